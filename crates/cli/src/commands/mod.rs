//! One file a command.

mod audit;
mod backup;
mod demo;
mod diff;
mod doctor;
mod explain;
mod forget;
mod gc;
mod init;
mod log;
mod logs;
mod migrate;
mod model;
mod outcome;
mod placeholders;
mod references;
mod replay;
mod restore;
mod restore_backup;
pub(crate) mod run;
mod runs;
mod server;
mod show;
mod token;
mod user;

use std::future::Future;
use std::process::ExitCode;

use crate::arguments::{Arguments, Command, Common};
use crate::error::CommandError;
use crate::output::Output;

type Answer = Result<ExitCode, CommandError>;

/// Carries out what was typed.
pub(crate) fn carry_out(arguments: Arguments, output: &Output) -> Answer {
    let Arguments { common, command } = arguments;
    let is_run = matches!(command, Command::Run(_));
    let answer = enter(&common).and_then(|()| dispatch(command, output));
    if is_run {
        answer.map_err(run::own_fault)
    } else {
        answer
    }
}

fn dispatch(command: Command, output: &Output) -> Answer {
    match command {
        Command::Init(arguments) => block_on(init::run(&arguments, output)),
        Command::Run(arguments) => block_on(run::run(arguments, output)),
        Command::Log(command) => block_on(log::run(command, output)),
        Command::Runs(arguments) => block_on(runs::run(&arguments, output)),
        Command::Show(arguments) => block_on(show::run(&arguments, output)),
        Command::Logs(arguments) => block_on(logs::run(&arguments, output)),
        Command::Model(command) => block_on(model::run(command, output)),
        Command::Diff(arguments) => block_on(diff::run(&arguments, output)),
        Command::Restore(arguments) => block_on(restore::run(&arguments, output)),
        Command::Replay(arguments) => block_on(replay::run(arguments, output)),
        Command::Gc(arguments) => block_on(gc::run(&arguments, output)),
        Command::Forget(arguments) => block_on(forget::run(&arguments, output)),
        Command::Backup(arguments) => block_on(backup::run(&arguments, output)),
        Command::RestoreBackup(arguments) => block_on(restore_backup::run(&arguments, output)),
        Command::Audit(command) => block_on(audit::run(&command, output)),
        Command::Migrate(command) => block_on(migrate::run(command, output)),
        Command::Server(arguments) => block_on(server::run(*arguments, output)),
        Command::User(command) => block_on(user::run(command, output)),
        Command::Token(command) => block_on(token::run(command, output)),
        Command::Doctor(arguments) => block_on(doctor::run(&arguments, output)),
        Command::Demo(arguments) => demo::run(&arguments, output),
        Command::Explain(arguments) => explain::run(&arguments, output),
    }
}

/// Goes to where the command is to work.
fn enter(common: &Common) -> Result<(), CommandError> {
    let Some(directory) = &common.start_directory else {
        return Ok(());
    };
    std::env::set_current_dir(directory).map_err(|error| {
        let message = format!("cannot work in {}: {error}", directory.display());
        CommandError::usage("E0022", message)
    })
}

fn block_on(command: impl Future<Output = Answer>) -> Answer {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| CommandError::system("E0018", format!("cannot start threads: {error}")))?;
    runtime.block_on(command)
}
