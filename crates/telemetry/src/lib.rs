#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod exporting;
mod remote;
mod settings;
mod telemetry;

pub use remote::set_remote_parent;
pub use settings::{Settings, SettingsError};
pub use telemetry::{Telemetry, TelemetryError};
