//! `--app-name basic-auth`: who may sign on, by MLflow's settings for it.

use std::path::Path;

use access::{AccessError, Accounts, NewUser, Password};
use entities::Permission;

use crate::arguments::ServerArguments;
use crate::commands::server::mlflow_options::{given, refusal};
use crate::context::Context;
use crate::error::CommandError;
use crate::faults::access_fault;
use crate::output::{Output, safe};
use crate::system::{raw_variable, variable};

/// MLflow's name of the app that asks for names and passwords.
const BASIC_AUTH: &str = "basic-auth";

/// What MLflow asks with: another function is a program of the user's own.
const OWN_FUNCTION: &str = "mlflow.server.auth:authenticate_request_basic_auth";

/// What older versions of MLflow had as everybody's first password.
const KNOWN_PASSWORD: &str = "password1234";

/// MLflow's settings, as far as they mean something here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AccessSettings {
    default_permission: Permission,
    admin_name: Option<String>,
    admin_password: Option<String>,
}

/// The settings where users have to sign on; none where nobody is asked.
///
/// *Errors*: E0026 where something is asked for that is not done here, E0022 where a setting cannot be read.
pub(super) fn settings(
    arguments: &ServerArguments,
    output: &Output,
) -> Result<Option<AccessSettings>, CommandError> {
    match given(arguments.app_name.as_ref()).map(String::as_str) {
        None => return Ok(None),
        Some(BASIC_AUTH) => {}
        Some(other) => {
            return Err(refusal(format!(
                "`--app-name {}` is not supported: programs of others cannot be loaded",
                safe(other)
            ))
            .hint("`--app-name basic-auth` asks for names and passwords"));
        }
    }
    let text = match variable("MLFLOW_AUTH_CONFIG_PATH") {
        None => String::new(),
        Some(path) => std::fs::read_to_string(Path::new(&path)).map_err(|error| {
            let told = format!("cannot read `{}`: {error}", safe(&path));
            CommandError::usage("E0022", told)
                .hint("MLFLOW_AUTH_CONFIG_PATH names the file with MLflow's settings for users")
        })?,
    };
    let mut settings = read(&text, output)?;
    // A variable that is set decides, also where it is empty: an old value in the file is not fallen back to.
    for (name, setting) in [
        ("MLFLOW_AUTH_ADMIN_USERNAME", &mut settings.admin_name),
        ("MLFLOW_AUTH_ADMIN_PASSWORD", &mut settings.admin_password),
    ] {
        if let Some(value) = raw_variable(name) {
            *setting = Some(value).filter(|value| !value.is_empty());
        }
    }
    Ok(Some(settings))
}

/// Reads the section `[mlflow]` of a file as Python's `configparser` does, as far as such files go.
fn read(text: &str, output: &Output) -> Result<AccessSettings, CommandError> {
    let mut settings = AccessSettings {
        default_permission: Permission::Read,
        admin_name: Some("admin".to_owned()),
        admin_password: None,
    };
    let mut section = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            name.clone_into(&mut section);
            continue;
        }
        if section != "mlflow" {
            continue;
        }
        let (key, value) = line.split_once(['=', ':']).ok_or_else(|| {
            let told = format!("line {number} of the settings for users is no setting");
            CommandError::usage("E0022", told).hint("such as: default_permission = READ")
        })?;
        set(
            &mut settings,
            &key.trim().to_lowercase(),
            value.trim(),
            output,
        )?;
    }
    Ok(settings)
}

fn set(
    settings: &mut AccessSettings,
    key: &str,
    value: &str,
    output: &Output,
) -> Result<(), CommandError> {
    // As `configparser` writes a percent sign.
    let value = value.replace("%%", "%");
    let told = Some(value.clone()).filter(|value| !value.is_empty());
    match key {
        "default_permission" => {
            let known = Permission::find(&value).filter(|known| *known != Permission::Deny);
            settings.default_permission = known.ok_or_else(|| {
                CommandError::usage(
                    "E0022",
                    format!("`default_permission = {}` is no permission", safe(&value)),
                )
                .hint("READ, USE, EDIT, MANAGE or NO_PERMISSIONS")
            })?;
        }
        "admin_username" => settings.admin_name = told,
        "admin_password" => settings.admin_password = told,
        "authorization_function" if value == OWN_FUNCTION => {}
        "authorization_function" => {
            return Err(refusal(format!(
                "`authorization_function = {}` is not supported: programs of others cannot be loaded",
                safe(&value)
            ))
            .hint("leave it out, and give programs tokens: `reproof token create USER`"));
        }
        _ => output.say(&format!(
            "`{}` in the settings for users has no effect: users and rights are kept in the store",
            safe(key)
        )),
    }
    Ok(())
}

/// Says that nobody is asked, where there are users who may think so.
pub(super) async fn warn_of_users(context: &Context, output: &Output) -> Result<(), CommandError> {
    let users = context.own_accounts().list_users().await;
    if !users.map_err(access_fault)?.is_empty() {
        output.warn(
            "this store has users, and nobody is asked who they are: `--app-name basic-auth` asks",
        );
    }
    Ok(())
}

/// The services over users, with an administrator, who is made where there is none.
///
/// *Errors*: E0028 where there is no administrator, and no password to make one with.
pub(super) async fn accounts(
    context: &Context,
    settings: AccessSettings,
    output: &Output,
) -> Result<Accounts, CommandError> {
    let AccessSettings {
        default_permission,
        admin_name,
        admin_password,
    } = settings;
    let accounts = context.accounts(default_permission);
    if accounts.has_admin().await.map_err(access_fault)? {
        return Ok(accounts);
    }
    let nobody = |why: &str| {
        CommandError::usage("E0028", format!("nobody could sign on to the server: {why}"))
            .hint("set MLFLOW_AUTH_ADMIN_PASSWORD, or `admin_password` in the file that MLFLOW_AUTH_CONFIG_PATH names, to a password of at least 12 characters")
            .hint("or make an administrator before: `reproof user create NAME --admin`")
    };
    let name = admin_name.ok_or_else(|| nobody("the administrator has no name"))?;
    let password = admin_password.ok_or_else(|| {
        nobody(&format!(
            "there is no administrator, and no password to make `{}` with",
            safe(&name)
        ))
    })?;
    if password == KNOWN_PASSWORD {
        return Err(nobody(
            "the password for the administrator is the one that older versions of MLflow came with, which everybody knows",
        ));
    }
    if password.chars().count() < 12 {
        return Err(nobody("the password for the administrator is too short"));
    }
    let new = NewUser {
        name: name.clone(),
        password: Password::new(password),
        is_admin: true,
    };
    let made = accounts.create_user(&context.bench.caller, new).await;
    made.map_err(|error| match error {
        AccessError::UserExists { name } => nobody(&format!(
            "`{}` is a user, but no administrator",
            safe(&name)
        ))
        .hint(format!(
            "`reproof user admin {}` makes one of them",
            safe(&name)
        )),
        error => access_fault(error),
    })?;
    output.say(&format!("made the administrator `{}`", safe(&name)));
    Ok(accounts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> Output {
        Output {
            is_json: false,
            is_quiet: true,
            log_format: crate::arguments::LogFormat::Text,
        }
    }

    #[test]
    fn settings_are_read_as_mlflow_reads_them() {
        let text = "[other]\ndefault_permission = MANAGE\n[mlflow]\n# a comment\ndefault_permission = NO_PERMISSIONS\nDATABASE_URI: sqlite:///basic_auth.db\nadmin_username = root\nadmin_password = a%%b=c:d  \nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n";
        let read = read(text, &quiet()).unwrap();
        assert_eq!(
            read,
            AccessSettings {
                default_permission: Permission::NoPermissions,
                admin_name: Some("root".to_owned()),
                admin_password: Some("a%b=c:d".to_owned()),
            }
        );
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        for line in [
            "default_permission = ALL",
            "default_permission = DENY",
            "authorization_function = mine:ask",
            "nothing",
        ] {
            let text = format!("[mlflow]\n{line}\n");
            assert!(read(&text, &quiet()).is_err(), "{line}");
        }
        assert!(read("", &quiet()).unwrap().admin_password.is_none());
    }
}
