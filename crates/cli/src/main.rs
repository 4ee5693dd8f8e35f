//! `reproof`: records ML experiments so completely that they can be run again, compared and proved.

mod arguments;
mod commands;
mod context;
mod diagnostics;
mod endpoints;
mod error;
mod explain;
mod faults;
mod keys;
mod output;
mod project;
mod publishing;
mod settings;
mod system;

use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::Arguments;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(refusal) => return arguments::tell(&refusal, std::env::args_os()),
    };
    diagnostics::install(&arguments.common);
    let output = output::Output::new(&arguments.common);
    match commands::carry_out(arguments, &output) {
        Ok(code) => code,
        Err(error) => {
            output.fail(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
