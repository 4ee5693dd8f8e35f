//! Frameworks that are too large for every run of the tests, with the unmodified client against a server.

use crate::Context;
use crate::error::TaskError;
use crate::listening::{Server, free_port};
use crate::process::{self, cargo, program};
use crate::setup;

/// Builds the server, and trains against it in a folder that is thrown away.
pub(crate) fn run(context: &Context) -> Result<(), TaskError> {
    let python = setup::make_framework_environment(context)?;
    process::run(
        cargo()
            .args(["build", "--locked", "-p", "cli"])
            .current_dir(&context.root),
    )?;
    let folder = tempfile::tempdir().map_err(TaskError::file("a temporary folder"))?;
    let port = free_port()?;
    let mut command = program(context.target.join("debug/reproof"));
    command
        .args(["server", "--port", &port.to_string()])
        .current_dir(folder.path());
    let server = Server::start(command, port, &folder.path().join("server.log"))?;
    let told = process::output_of(
        program(python)
            .arg(context.root.join("tests/frameworks/neural.py"))
            .current_dir(folder.path())
            .env("MLFLOW_TRACKING_URI", format!("http://127.0.0.1:{port}"))
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    )?;
    drop(server);
    process::run(
        program(context.target.join("debug/reproof"))
            .args(["audit", "verify"])
            .current_dir(folder.path()),
    )?;
    println!("{}", told.lines().last().unwrap_or_default());
    Ok(())
}
