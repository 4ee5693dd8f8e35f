//! `reproof run`

use std::process::ExitCode;

use executor::RunRequest;
use provenance::params_from_command_line;

use crate::arguments::{Method, RunArguments};
use crate::commands::outcome::{outcome_in_words, outcome_json};
use crate::commands::placeholders::unknown_placeholders;
use crate::context::{Context, working_directory};
use crate::error::CommandError;
use crate::faults::executor_fault;
use crate::output::{Output, safe};

/// Reproof's own faults, so that they are not taken for the command's status.
pub(crate) const OWN_FAULT: u8 = 125;

/// The command was found and cannot be executed.
const NOT_EXECUTABLE: u8 = 126;

/// The command was not found.
const NOT_FOUND: u8 = 127;

pub(crate) async fn run(
    arguments: RunArguments,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    if let Some(name) = &arguments.name {
        check_name(name)?;
    }
    let mut context = Context::open_or_create(output).await?;
    warn_of_placeholders(&arguments, output);
    warn_of_contradictions(&arguments, output);
    context.bench.settings.method = method_choice(arguments.trace);
    let request = RunRequest {
        experiment: arguments.experiment,
        name: arguments.name,
        params: arguments.params.into_iter().collect(),
        tags: arguments.tags.into_iter().collect(),
        metrics_files: arguments.metrics,
        command: arguments.command,
        working_directory: working_directory()?,
    };
    let meanwhile = context.work_meanwhile();
    let outcome = executor::run(&context.bench, request).await;
    meanwhile.stop().await;
    let outcome = outcome.map_err(executor_fault)?;
    context.publish_or_warn(output).await;
    if output.is_json {
        output.json_aside(&outcome_json(&outcome));
    } else {
        output.say(&outcome_in_words(&outcome));
    }
    Ok(ExitCode::from(executor::exit_status(outcome.record.exit)))
}

/// Refuses a name that could not be used to find the run.
fn check_name(name: &str) -> Result<(), CommandError> {
    let refuse = |why: &str| {
        let text = format!("a run cannot be named `{}`: {why}", safe(name));
        Err(CommandError::usage("E0022", text))
    };
    if name == "latest" {
        refuse("that word means the latest run")
    } else if name.chars().any(char::is_control) {
        refuse("it holds control characters")
    } else {
        Ok(())
    }
}

/// Says which names in braces stay as they are, where params are given and one may be misspelt.
fn warn_of_placeholders(arguments: &RunArguments, output: &Output) {
    if arguments.params.is_empty() {
        return;
    }
    let unknown = unknown_placeholders(&arguments.command, &arguments.params);
    if unknown.is_empty() {
        return;
    }
    let unknown: Vec<_> = unknown.iter().map(|name| format!("{{{name}}}")).collect();
    let known: Vec<_> = arguments.params.iter().map(|(key, _)| safe(key)).collect();
    output.warn(&format!(
        "{} in the command {}; given: {}",
        unknown.join(", "),
        if unknown.len() == 1 {
            "names no param and stays as it is"
        } else {
            "name no param and stay as they are"
        },
        known.join(", ")
    ));
}

/// Says where the command line gives a param another value than `-p`, which is the one on record.
fn warn_of_contradictions(arguments: &RunArguments, output: &Output) {
    let words = arguments.command.iter();
    let words: Vec<_> = words
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let of_command = params_from_command_line(&words);
    for (key, value) in &arguments.params {
        let other = of_command.get(key);
        if other.is_some_and(|other| other != value && !other.contains('{')) {
            let key = safe(key);
            // Values stay unsaid: one may be a secret.
            output.warn(&format!(
                "`-p` and the command give the param `{key}` different values; that of `-p` is on record, and `{{{key}}}` puts it into the command"
            ));
        }
    }
}

/// Gives a fault of Reproof itself a status that is not taken for the command's, as a shell does.
pub(crate) fn own_fault(error: CommandError) -> CommandError {
    let status = match error.code() {
        "E0007" => NOT_FOUND,
        "E0008" => NOT_EXECUTABLE,
        _ => OWN_FAULT,
    };
    error.exits_with(status)
}

fn method_choice(method: Method) -> capture::trace::MethodChoice {
    use capture::trace::{Method as Traced, MethodChoice};
    match method {
        Method::Auto => MethodChoice::Auto,
        Method::Notify => MethodChoice::Force(Traced::Notify),
        Method::Ptrace => MethodChoice::Force(Traced::Ptrace),
        Method::Scan => MethodChoice::Force(Traced::Scan),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_something_else_are_refused() {
        assert!(check_name("baseline").is_ok());
        assert_eq!(check_name("latest").unwrap_err().code(), "E0022");
        assert_eq!(check_name("a\nb").unwrap_err().code(), "E0022");
    }
}
