//! Whether spans of a server's work are sent to a collector of OpenTelemetry: only the environment says so.

use telemetry::{Settings, Telemetry};

use crate::arguments::Command;
use crate::error::with_causes;
use crate::output::{Output, safe};
use crate::system::variable;

/// Opens the way to a collector, where a server is started and the environment names one.
///
/// What the environment asks for and cannot have is told: a server does its work without a collector too.
pub(crate) fn open(command: &Command, output: &Output) -> Option<Telemetry> {
    if !matches!(command, Command::Server(_)) {
        return None;
    }
    let settings = match Settings::read(variable) {
        Ok(settings) => settings?,
        Err(error) => {
            output.warn(&format!("no spans are sent: {}", safe(&error.to_string())));
            return None;
        }
    };
    let agent = migrate::web_agent(settings.timeout);
    match Telemetry::open(agent, env!("CARGO_PKG_VERSION")) {
        Ok(telemetry) => Some(telemetry),
        Err(error) => {
            output.warn(&format!(
                "no spans are sent: {}",
                safe(&with_causes(&error))
            ));
            None
        }
    }
}
