//! `reproof`: records ML experiments so completely that they can be run again, compared and proved.

mod arguments;
mod backup;
mod collector;
mod commands;
mod context;
mod database;
mod delivering;
mod destinations;
mod diagnostics;
mod endpoints;
mod error;
mod explain;
mod faults;
mod keys;
mod meanwhile;
mod output;
mod own_process;
mod passwords;
mod project;
mod sealing;
mod settings;
mod signed;
mod system;
mod taking_over;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::Arguments;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(refusal) => return arguments::tell(&refusal, std::env::args_os()),
    };
    let output = output::Output::new(&arguments.common);
    let telemetry = collector::open(&arguments.command, &output);
    diagnostics::install(&arguments.common, telemetry.as_ref());
    let is_run = matches!(arguments.command, arguments::Command::Run(_));
    // A panic prints where it was; what is left is to exit with a status that nobody takes for an answer.
    let carried_out =
        std::panic::catch_unwind(AssertUnwindSafe(|| commands::carry_out(arguments, &output)));
    if let Some(telemetry) = telemetry {
        telemetry.close();
    }
    match carried_out {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            output.fail(&error);
            ExitCode::from(error.exit_code())
        }
        Err(_) => {
            let fault =
                error::CommandError::system("E0023", "this should not have happened, see above");
            output.fail(&fault.hint("please report it, with what is printed above"));
            ExitCode::from(if is_run { commands::run::OWN_FAULT } else { 4 })
        }
    }
}
