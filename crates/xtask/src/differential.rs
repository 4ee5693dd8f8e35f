//! The same requests to stock MLflow and to Reproof, and how their answers differ.

use std::path::PathBuf;

use crate::Context;
use crate::error::TaskError;
use crate::process::{self, cargo, program};
use crate::setup;

/// What to send.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where random requests begin
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many random requests there are at least
    #[arg(long, default_value_t = 5000)]
    requests: u64,
    /// One kind of random requests, such as runs, registry or traces
    #[arg(long)]
    only: Option<String>,
    /// Requests of a file in place of all others: what was printed of a difference
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Write a short sequence for each rule that has none
    #[arg(long)]
    collect: bool,
    /// The Python interpreter with MLflow, in place of that of the tests
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
}

/// Builds the server and starts the driver, which starts both servers.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<(), TaskError> {
    let python = match &arguments.python {
        Some(python) => python.clone(),
        None => setup::prepare(context)?.python,
    };
    process::run(
        cargo()
            .args(["build", "--locked", "-p", "cli"])
            .current_dir(&context.root),
    )?;
    let mut driver = program(python);
    driver
        .arg(context.root.join("tests/differential/drive.py"))
        .arg("--reproof")
        .arg(context.target.join("debug/reproof"))
        .args(["--seed", &arguments.seed.to_string()])
        .args(["--requests", &arguments.requests.to_string()])
        .env("PYTHONDONTWRITEBYTECODE", "1");
    if let Some(kind) = &arguments.only {
        driver.args(["--only", kind]);
    }
    if let Some(file) = &arguments.replay {
        driver.arg("--replay").arg(file);
    }
    if arguments.collect {
        driver.arg("--collect");
    }
    process::run(&mut driver)
}
