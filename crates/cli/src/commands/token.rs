//! `reproof token`: what programs bring in place of a password.

use std::process::ExitCode;

use access::NewToken;
use entities::{Timestamp, TokenId};
use serde_json::json;

use crate::arguments::TokenCommand;
use crate::context::Context;
use crate::error::CommandError;
use crate::faults::access_fault;
use crate::output::{Output, local_time, safe, table, table_text};

pub(crate) async fn run(command: TokenCommand, output: &Output) -> Result<ExitCode, CommandError> {
    match command {
        TokenCommand::Create { user, label, days } => {
            let new = NewToken {
                user,
                label: label.unwrap_or_default(),
                days,
            };
            create(new, output).await
        }
        TokenCommand::List { user } => list(user.as_deref(), output).await,
        TokenCommand::Revoke { id } => revoke(&id, output).await,
    }
}

async fn create(new: NewToken, output: &Output) -> Result<ExitCode, CommandError> {
    let context = Context::open_to_write(output).await?;
    let accounts = context.own_accounts();
    let made = accounts.create_token(&context.bench.caller, new).await;
    let made = made.map_err(access_fault)?;
    context.publish_or_warn(output).await;
    let token = &made.token;
    if output.is_json {
        output.json(&json!({
            "id": token.id,
            "user": token.user,
            "label": token.label,
            "token": made.text,
            "expires_ms": token.expires_at.map(Timestamp::as_millis),
        }));
        return Ok(ExitCode::SUCCESS);
    }
    output.line(&made.text);
    output.say(&format!(
        "the token {} stands for `{}` and is shown this once; in Python: MLFLOW_TRACKING_TOKEN",
        token.id,
        safe(&token.user)
    ));
    Ok(ExitCode::SUCCESS)
}

async fn list(user: Option<&str>, output: &Output) -> Result<ExitCode, CommandError> {
    let context = Context::open(output).await?;
    let tokens = context.own_accounts().list_tokens(user).await;
    let tokens = tokens.map_err(access_fault)?;
    if output.is_json {
        let tokens: Vec<_> = tokens
            .iter()
            .map(|token| {
                json!({
                    "id": token.id,
                    "user": token.user,
                    "label": token.label,
                    "created_ms": token.created_at.as_millis(),
                    "expires_ms": token.expires_at.map(Timestamp::as_millis),
                })
            })
            .collect();
        output.json(&json!({ "tokens": tokens }));
        return Ok(ExitCode::SUCCESS);
    }
    if tokens.is_empty() {
        output.say("there are no tokens; `reproof token create USER` makes one");
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = table(&["id", "user", "label", "made", "until"]);
    for token in &tokens {
        table.add_row([
            token.id.to_string(),
            safe(&token.user),
            safe(&token.label),
            local_time(token.created_at),
            token.expires_at.map(local_time).unwrap_or_default(),
        ]);
    }
    output.line(&table_text(&table));
    Ok(ExitCode::SUCCESS)
}

async fn revoke(id: &str, output: &Output) -> Result<ExitCode, CommandError> {
    let context = Context::open_to_write(output).await?;
    let no_token = || {
        CommandError::usage("E0022", format!("there is no token `{}`", safe(id)))
            .hint("`reproof token list` lists them with their ids")
    };
    let parsed: TokenId = id.parse().map_err(|_| no_token())?;
    let accounts = context.own_accounts();
    let revoking = accounts.revoke_token(&context.bench.caller, &parsed);
    revoking.await.map_err(|error| match error {
        access::AccessError::NoToken { .. } => no_token(),
        error => access_fault(error),
    })?;
    context.publish_or_warn(output).await;
    if output.is_json {
        output.json(&json!({ "revoked": parsed }));
    } else {
        output.say(&format!("revoked token {parsed}"));
    }
    Ok(ExitCode::SUCCESS)
}
