//! Set-up, all tests, and one line that says how they went.

use std::fmt;
use std::process::Command;

use crate::Context;
use crate::error::TaskError;
use crate::process::{self, Stream, cargo, works};
use crate::setup::{self, Setup};

/// Sets up what the tests need and runs those of the named rooms, or of all; `arguments` go to the test runner.
pub(crate) fn run(
    context: &Context,
    packages: &[String],
    arguments: &[String],
) -> Result<(), TaskError> {
    let setup = setup::prepare(context)?;
    let runner = Runner {
        context,
        setup: &setup,
        packages,
        arguments,
    };
    let has_nextest = works(cargo().args(["nextest", "--version"]));
    let mut tally = Tally::default();
    let tests = if has_nextest {
        runner.run_nextest(&mut tally)
    } else {
        runner.run_cargo_test(&mut tally)
    };
    // Of named tests, none is an example in the documentation.
    let documentation = if arguments.is_empty() {
        runner.run_documentation(&mut tally)
    } else {
        Ok(())
    };
    println!("\n{tally}");
    for skipped in &setup.skipped {
        println!("{skipped}");
    }
    if let Some(summary) = &tally.summary {
        println!("{summary}");
    }
    tests.and(documentation)
}

/// How many tests ended how.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
    /// nextest's own last line.
    summary: Option<String>,
}

impl Tally {
    /// Takes a line such as `test result: ok. 12 passed; 0 failed; 1 ignored; …`, of which there is one per binary.
    fn see_cargo_test(&mut self, line: &str) {
        let Some(rest) = line.trim().strip_prefix("test result:") else {
            return;
        };
        self.passed += count_before(rest, "passed");
        self.failed += count_before(rest, "failed");
        self.skipped += count_before(rest, "ignored");
    }

    /// Takes the line `Summary [ 1.2s] 12 tests run: 11 passed (1 slow), 1 failed, 2 skipped`, which comes once.
    fn see_nextest(&mut self, line: &str) {
        let line = line.trim();
        if !line.starts_with("Summary [") {
            return;
        }
        self.passed += count_before(line, "passed");
        self.failed += count_before(line, "failed") + count_before(line, "timed out");
        self.skipped += count_before(line, "skipped");
        self.summary = Some(line.to_owned());
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.passed + self.failed == 0 {
            return write!(formatter, "Tests: none was run");
        }
        let Self {
            passed,
            failed,
            skipped,
            summary: _,
        } = self;
        write!(
            formatter,
            "Tests: {passed} passed, {failed} failed, {skipped} skipped"
        )
    }
}

/// The number that stands before `word`, or 0.
fn count_before(line: &str, word: &str) -> u64 {
    line.split([';', ',', ':', '.'])
        .filter_map(|part| part.trim().split_once(' '))
        .find(|(_, rest)| rest.starts_with(word))
        .and_then(|(count, _)| count.parse().ok())
        .unwrap_or(0)
}

/// Which tests to run, and with what.
struct Runner<'a> {
    context: &'a Context,
    setup: &'a Setup,
    packages: &'a [String],
    arguments: &'a [String],
}

impl Runner<'_> {
    fn run_nextest(&self, tally: &mut Tally) -> Result<(), TaskError> {
        let mut command = self.command(&["nextest", "run", "--color", "never"]);
        command.args(self.arguments);
        process::run_seen(&mut command, Stream::Error, |line| tally.see_nextest(line))
    }

    fn run_cargo_test(&self, tally: &mut Tally) -> Result<(), TaskError> {
        let mut command = self.command(&["test", "--no-fail-fast", "--lib", "--bins"]);
        command
            .args(["--tests", "--examples", "--"])
            .args(self.arguments);
        process::run_seen(&mut command, Stream::Output, |line| {
            tally.see_cargo_test(line);
        })
    }

    fn run_documentation(&self, tally: &mut Tally) -> Result<(), TaskError> {
        let has_library = |room: &&String| {
            self.context
                .root
                .join("crates")
                .join(room)
                .join("src/lib.rs")
                .is_file()
        };
        if !self.packages.is_empty() && !self.packages.iter().any(|room| has_library(&room)) {
            return Ok(());
        }
        let mut command = self.command(&["test", "--doc", "--no-fail-fast"]);
        process::run_seen(&mut command, Stream::Output, |line| {
            tally.see_cargo_test(line);
        })
    }

    /// cargo, for these rooms, with the Python and the servers that the tests ask for.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = cargo();
        command
            .args(arguments)
            .arg("--locked")
            .env("REPROOF_TEST_PYTHON", &self.setup.python)
            .env("REPROOF_TEST_OLD_CLIENT", &self.setup.old_client)
            // The demo installs packages, as the set-up before it did.
            .env("REPROOF_TEST_DEMO", "1")
            .current_dir(&self.context.root);
        if let Some(postgres) = &self.setup.postgres {
            command.env("REPROOF_TEST_POSTGRES", postgres.uri());
        }
        if self.packages.is_empty() {
            command.arg("--workspace");
        }
        for package in self.packages {
            command.args(["-p", package]);
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_binaries_are_added_up() {
        let mut tally = Tally::default();
        tally.see_cargo_test(
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
        );
        tally.see_cargo_test("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured");
        tally.see_cargo_test("test reading ... ok");
        assert_eq!((tally.passed, tally.failed, tally.skipped), (15, 2, 1));
    }

    #[test]
    fn the_summary_of_nextest_is_read_and_kept() {
        let mut tally = Tally::default();
        let line = "     Summary [   1.234s] 14 tests run: 11 passed (1 slow), 2 failed, 1 timed out, 5 skipped";
        tally.see_nextest(line);
        assert_eq!((tally.passed, tally.failed, tally.skipped), (11, 3, 5));
        assert_eq!(tally.summary.as_deref(), Some(line.trim()));
    }
}
