//! `reproof user`: who may sign on to the server.

use std::process::ExitCode;

use access::{NewUser, Password};
use serde_json::json;

use crate::arguments::UserCommand;
use crate::context::Context;
use crate::error::CommandError;
use crate::faults::access_fault;
use crate::output::{Output, local_time, safe, table, table_text};
use crate::passwords::{draw_password, read_password};

pub(crate) async fn run(command: UserCommand, output: &Output) -> Result<ExitCode, CommandError> {
    match command {
        UserCommand::Create { name, admin, draw } => create(name, admin, draw, output).await,
        UserCommand::List => list(output).await,
        UserCommand::Password { name, draw } => set_password(&name, draw, output).await,
        UserCommand::Delete { name, yes } => delete(&name, yes, output).await,
        UserCommand::Admin { name, not } => set_admin(&name, !not, output).await,
    }
}

/// A password, and whether it is to be told.
fn password_of(draw: bool, output: &Output) -> Result<(Password, Option<String>), CommandError> {
    if draw {
        let drawn = draw_password();
        return Ok((Password::new(drawn.clone()), Some(drawn)));
    }
    Ok((Password::new(read_password(output)?), None))
}

fn tell(output: &Output, name: &str, done: &str, drawn: Option<&str>) {
    if output.is_json {
        output.json(&json!({ "user": name, "done": done, "password": drawn }));
        return;
    }
    output.say(&format!("{done} user `{}`", safe(name)));
    if let Some(drawn) = drawn {
        output.line(drawn);
        output.say("the password is shown this once");
    }
}

async fn create(
    name: String,
    is_admin: bool,
    draw: bool,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let context = Context::open_to_write(output).await?;
    let (password, drawn) = password_of(draw, output)?;
    let new = NewUser {
        name: name.clone(),
        password,
        is_admin,
    };
    let accounts = context.own_accounts();
    let creating = accounts.create_user(&context.bench.caller, new);
    creating.await.map_err(access_fault)?;
    context.publish_or_warn(output).await;
    tell(output, &name, "made", drawn.as_deref());
    Ok(ExitCode::SUCCESS)
}

async fn list(output: &Output) -> Result<ExitCode, CommandError> {
    let context = Context::open(output).await?;
    let users = context.own_accounts().list_users().await;
    let users = users.map_err(access_fault)?;
    if output.is_json {
        let users: Vec<_> = users
            .iter()
            .map(|user| {
                json!({
                    "name": user.name,
                    "is_admin": user.is_admin,
                    "created_ms": user.created_at.as_millis(),
                })
            })
            .collect();
        output.json(&json!({ "users": users }));
        return Ok(ExitCode::SUCCESS);
    }
    if users.is_empty() {
        output.say("there are no users; `reproof user create NAME --admin` makes the first");
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = table(&["name", "admin", "made"]);
    for user in &users {
        let admin = if user.is_admin { "yes" } else { "" };
        table.add_row([
            safe(&user.name),
            admin.to_owned(),
            local_time(user.created_at),
        ]);
    }
    output.line(&table_text(&table));
    Ok(ExitCode::SUCCESS)
}

async fn set_password(name: &str, draw: bool, output: &Output) -> Result<ExitCode, CommandError> {
    let context = Context::open_to_write(output).await?;
    let accounts = context.own_accounts();
    accounts.get_user(name).await.map_err(access_fault)?;
    let (password, drawn) = password_of(draw, output)?;
    let setting = accounts.set_password(&context.bench.caller, name, &password);
    setting.await.map_err(access_fault)?;
    context.publish_or_warn(output).await;
    tell(output, name, "set the password of", drawn.as_deref());
    Ok(ExitCode::SUCCESS)
}

async fn delete(name: &str, yes: bool, output: &Output) -> Result<ExitCode, CommandError> {
    let context = Context::open_to_write(output).await?;
    let accounts = context.own_accounts();
    accounts.get_user(name).await.map_err(access_fault)?;
    if !yes {
        let told = format!("`{}` would be deleted, with tokens and rights", safe(name));
        return Err(CommandError::usage("E0022", told).hint("say so with `--yes`"));
    }
    let deleting = accounts.delete_user(&context.bench.caller, name);
    deleting.await.map_err(access_fault)?;
    context.publish_or_warn(output).await;
    tell(output, name, "deleted", None);
    Ok(ExitCode::SUCCESS)
}

async fn set_admin(name: &str, is_admin: bool, output: &Output) -> Result<ExitCode, CommandError> {
    let context = Context::open_to_write(output).await?;
    let accounts = context.own_accounts();
    let setting = accounts.set_admin(&context.bench.caller, name, is_admin);
    setting.await.map_err(access_fault)?;
    context.publish_or_warn(output).await;
    let done = if is_admin {
        "made an administrator of"
    } else {
        "made no administrator of"
    };
    tell(output, name, done, None);
    Ok(ExitCode::SUCCESS)
}
