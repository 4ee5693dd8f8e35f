//! Running a command captured, from its first process to the commit of its manifest.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use entities::{Exit, RunId};

use crate::launch::{Identity, Launch, Outcome, launch};
use crate::{ExecutorError, Workbench};

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct RunRequest {
    /// The experiment to file it under; `Default` if none.
    pub experiment: Option<String>,
    /// The run's name; a random one if none.
    pub name: Option<String>,
    /// Params, put into the command where it says `{K}` and exported as variables.
    pub params: BTreeMap<String, String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Patterns of metrics files, besides the configured ones.
    pub metrics_files: Vec<String>,
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// Where to start it.
    pub working_directory: PathBuf,
}

/// Runs a command captured.
///
/// The run is created before the command is started and closed when its last process has ended.
pub async fn run(bench: &Workbench, request: RunRequest) -> Result<Outcome, ExecutorError> {
    let command = substitute(&request.command, &request.params);
    let mut environment = bench.environment.clone();
    for (key, value) in &request.params {
        set_variable(&mut environment, key, value);
    }
    let mut metrics_files = bench.settings.metrics_files.clone();
    metrics_files.extend(request.metrics_files.iter().cloned());
    launch(
        bench,
        Launch {
            identity: Identity {
                experiment: request.experiment,
                name: request.name,
                tags: request.tags,
                replay_of: None,
            },
            command,
            params: request.params,
            environment,
            working_directory: request.working_directory,
            metrics_files,
            asked_metrics_files: request.metrics_files,
            standard_input: None,
            stage: None,
        },
    )
    .await
}

/// Status with which `reproof run` ends for a command that ended so: a signal is 128 and its number, as in a shell.
pub fn exit_status(exit: Exit) -> u8 {
    match exit {
        Exit::Code(code) => code as u8,
        Exit::Signal(signal) => 128_u8.saturating_add(signal as u8),
        Exit::Unknown => 125,
    }
}

/// Ids of runs that a request may name.
pub fn short_id(run: &RunId) -> &str {
    run.as_str().get(..8).unwrap_or(run.as_str())
}

/// Puts params where the command says `{K}`.
fn substitute(command: &[OsString], params: &BTreeMap<String, String>) -> Vec<OsString> {
    command
        .iter()
        .map(|word| substitute_word(word, params))
        .collect()
}

fn substitute_word(word: &OsStr, params: &BTreeMap<String, String>) -> OsString {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    // One pass from the left, so that a value that holds `{K}` is not substituted again.
    while let Some(start) = rest.iter().position(|&byte| byte == b'{') {
        bytes.extend_from_slice(&rest[..start]);
        rest = &rest[start..];
        let known = params.iter().find(|(key, _)| {
            rest.get(1..)
                .is_some_and(|after| after.starts_with(key.as_bytes()))
                && rest.get(1 + key.len()) == Some(&b'}')
        });
        if let Some((key, value)) = known {
            bytes.extend_from_slice(value.as_bytes());
            rest = &rest[key.len() + 2..];
        } else {
            bytes.push(b'{');
            rest = &rest[1..];
        }
    }
    bytes.extend_from_slice(rest);
    OsString::from_vec(bytes)
}

/// Sets a variable, in place of any that is there.
pub(crate) fn set_variable(
    environment: &mut Vec<(OsString, OsString)>,
    key: &str,
    value: impl Into<OsString>,
) {
    environment.retain(|(name, _)| name != key);
    environment.push((OsString::from(key), value.into()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_stand_where_the_command_names_them() {
        let params = BTreeMap::from([
            ("lr".to_owned(), "0.1".to_owned()),
            ("name".to_owned(), "{lr}".to_owned()),
        ]);
        let command: Vec<OsString> = [
            "train",
            "--lr={lr}",
            "{name}",
            "{lr}{lr}",
            "{other}",
            "{",
            "a{lr",
        ]
        .iter()
        .map(OsString::from)
        .collect();
        let expected = [
            "train", "--lr=0.1", "{lr}", "0.10.1", "{other}", "{", "a{lr",
        ];
        assert_eq!(substitute(&command, &params), expected);
    }

    #[test]
    fn a_signal_becomes_the_status_of_a_shell() {
        assert_eq!(exit_status(Exit::Code(3)), 3);
        assert_eq!(exit_status(Exit::Signal(9)), 137);
    }
}
