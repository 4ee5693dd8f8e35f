//! Everything that must hold before a change is merged.

use std::process::Command;
use std::time::Instant;

use crate::error::TaskError;
use crate::process::{self, cargo, program};
use crate::{Context, test, tidy};

/// Runs all checks, also after one has failed, and closes with a table of them.
pub(crate) fn run(context: &Context) -> Result<(), TaskError> {
    let before = tracked_changes(context)?;
    let mut steps = Steps::default();
    steps.take("tidy", || tidy::run(context));
    steps.take("fmt", || {
        run_cargo(context, &["fmt", "--all", "--check"], &[])
    });
    steps.take("clippy", || {
        let arguments = ["clippy", "--workspace", "--all-targets", "--locked"];
        run_cargo(
            context,
            &[&arguments[..], &["--", "-D", "warnings"]].concat(),
            &[],
        )
    });
    steps.take("doc", || {
        let arguments = ["doc", "--workspace", "--no-deps", "--locked"];
        run_cargo(context, &arguments, &[("RUSTDOCFLAGS", "-D warnings")])
    });
    steps.take("test", || test::run(context, &[], &[]));
    steps.take("generated", || unchanged(context, &before));
    steps.close()
}

/// What was run, how it ended and how long it took.
#[derive(Debug, Default)]
struct Steps {
    done: Vec<(&'static str, bool, u64)>,
}

impl Steps {
    fn take(&mut self, name: &'static str, step: impl FnOnce() -> Result<(), TaskError>) {
        println!("\n=== {name}");
        let start = Instant::now();
        let result = step();
        if let Err(error) = &result {
            println!("{name}: {error}");
        }
        self.done
            .push((name, result.is_ok(), start.elapsed().as_secs()));
    }

    fn close(self) -> Result<(), TaskError> {
        println!("\n=== summary");
        for (name, is_good, elapsed_s) in &self.done {
            let verdict = if *is_good { "ok" } else { "FAILED" };
            println!("{name:<10} {verdict:<7} {elapsed_s:>5} s");
        }
        let steps: Vec<_> = self
            .done
            .iter()
            .filter(|(_, is_good, _)| !is_good)
            .map(|(name, _, _)| (*name).to_owned())
            .collect();
        if steps.is_empty() {
            return Ok(());
        }
        Err(TaskError::Steps { steps })
    }
}

fn run_cargo(
    context: &Context,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Result<(), TaskError> {
    process::run(
        cargo()
            .args(arguments)
            .envs(variables.iter().copied())
            .current_dir(&context.root),
    )
}

/// Generated files (`Cargo.lock`, snapshots, whatever a test writes) are committed as the checks leave them.
fn unchanged(context: &Context, before: &str) -> Result<(), TaskError> {
    let after = tracked_changes(context)?;
    let changed: Vec<_> = after
        .lines()
        .filter(|line| !before.lines().any(|known| known == *line))
        .collect();
    for line in &changed {
        println!("changed by the checks: {line}");
    }
    if changed.is_empty() {
        return Ok(());
    }
    Err(TaskError::Steps {
        steps: vec!["generated files differ from what is committed".to_owned()],
    })
}

/// One line for each file that differs from the commit, with how many lines do.
fn tracked_changes(context: &Context) -> Result<String, TaskError> {
    let mut git: Command = program("git");
    git.args(["diff", "--numstat", "HEAD"]);
    let tracked = process::output_of(git.current_dir(&context.root))?;
    let untracked = process::output_of(
        program("git")
            .args(["ls-files", "--others", "--exclude-standard"])
            .current_dir(&context.root),
    )?;
    Ok(tracked + &untracked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_is_named_and_later_ones_still_run() {
        let mut steps = Steps::default();
        steps.take("first", || {
            Err(TaskError::Missing {
                what: "it",
                advice: "get it",
            })
        });
        let mut has_run = false;
        steps.take("second", || {
            has_run = true;
            Ok(())
        });
        assert!(has_run);
        assert_eq!(steps.close().unwrap_err().to_string(), "failed: first");
    }
}
