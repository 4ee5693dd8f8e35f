//! The tasks of this repository.
#![doc = include_str!("../README.md")]
#![expect(
    clippy::print_stdout,
    reason = "a task talks to the person who started it"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod ci;
mod differential;
mod error;
mod frameworks;
mod listening;
mod postgres;
mod process;
mod setup;
mod test;
mod tidy;

use crate::error::TaskError;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The tasks of this repository")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Set up what the tests need, then run all of them
    Test {
        /// Only this room; may be given several times
        #[arg(short, long = "package", value_name = "ROOM")]
        packages: Vec<String>,
        /// Given to the test runner: names of tests, or its options
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run everything that must hold before a change is merged
    Ci,
    /// Check what no compiler checks: directions between rooms, sizes, links, wording
    Tidy,
    /// Send the same requests to stock MLflow and to Reproof, and compare what they answer
    Differential(differential::Arguments),
    /// Train with PyTorch and Keras against a server, with MLflow's client: several gigabytes of packages
    Frameworks,
    /// Measure, each figure beside its peer's from the same run
    Bench(bench::Arguments),
}

/// What a task needs to know of its surroundings.
#[derive(Debug)]
struct Context {
    /// The checkout.
    root: PathBuf,
    /// Where the tests' virtual environment is kept.
    cache: PathBuf,
    /// Where cargo builds.
    target: PathBuf,
    /// Whether the caller names a PostgreSQL server for the tests.
    names_postgres: bool,
}

impl Context {
    #[expect(
        clippy::disallowed_methods,
        reason = "the environment is read here, once"
    )]
    fn find() -> Result<Self, TaskError> {
        let metadata = cargo_metadata::MetadataCommand::new().no_deps().exec()?;
        let root = metadata.workspace_root.into_std_path_buf();
        let cache = match std::env::var_os("REPROOF_CACHE_DIR") {
            Some(directory) => root.join(directory),
            None => root.join(".cache"),
        };
        let target = metadata.target_directory.into_std_path_buf();
        Ok(Self {
            root,
            cache,
            target,
            names_postgres: std::env::var_os("REPROOF_TEST_POSTGRES").is_some(),
        })
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = Context::find().and_then(|context| match &arguments.task {
        Task::Test {
            packages,
            arguments,
        } => test::run(&context, packages, arguments),
        Task::Ci => ci::run(&context),
        Task::Tidy => tidy::run(&context),
        Task::Differential(arguments) => differential::run(&context, arguments),
        Task::Frameworks => frameworks::run(&context),
        Task::Bench(arguments) => bench::run(&context, arguments),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}
