//! `reproof doctor`

mod local;
mod remote;

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::arguments::DoctorArguments;
use crate::error::CommandError;
use crate::output::{Output, safe, safe_lines};

pub(crate) async fn run(
    arguments: &DoctorArguments,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let checks = match &arguments.server {
        Some(url) => {
            let (url, is_probed) = (url.clone(), arguments.probe);
            // What asks a server waits for it.
            let asked = tokio::task::spawn_blocking(move || remote::check_all(&url, is_probed));
            asked
                .await
                .map_err(|error| CommandError::caused("E0023", &error))?
        }
        None => local::check_all(output).await,
    };
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    let (warnings, failures) = (count(State::Warning), count(State::Failed));
    if output.is_json {
        let checks: Vec<Value> = checks.iter().map(Check::as_json).collect();
        output.json(&json!({
            "checks": checks,
            "warnings": warnings,
            "failures": failures,
        }));
    } else {
        for check in &checks {
            check.print(output);
        }
        output.line(&format!(
            "{} checks: {failures} failed, {warnings} with a warning",
            checks.len()
        ));
    }
    Ok(ExitCode::from(u8::from(failures > 0)))
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ok,
    Warning,
    Failed,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
struct Check {
    name: &'static str,
    state: State,
    found: String,
    hints: Vec<String>,
}

impl Check {
    fn new(name: &'static str, state: State, found: impl Into<String>) -> Self {
        Self {
            name,
            state,
            found: found.into(),
            hints: Vec::new(),
        }
    }

    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, State::Ok, found)
    }

    fn warning(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, State::Warning, found)
    }

    fn failed(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, State::Failed, found)
    }

    /// A fault with its code and what to try.
    fn of_error(name: &'static str, error: &CommandError) -> Self {
        Self {
            name,
            state: State::Failed,
            found: format!("{} ({})", error.message(), error.code()),
            hints: error.hints().to_vec(),
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    fn print(&self, output: &Output) {
        let Self {
            name,
            state,
            found,
            hints,
        } = self;
        output.line(&format!("{:<8} {name:<12} {}", state.as_str(), safe(found)));
        for hint in hints {
            output.line(&format!(
                "                        try: {}",
                safe_lines(hint)
            ));
        }
    }

    fn as_json(&self) -> Value {
        let Self {
            name,
            state,
            found,
            hints,
        } = self;
        json!({ "check": name, "state": state.as_str(), "found": found, "hints": hints })
    }
}
