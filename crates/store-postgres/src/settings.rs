//! What a server says of itself.

use store::StoreError;
use store_sql::sql::Connection;
use store_sql::{database_fault, statements};

use crate::address::PostgresAddress;

statements! {
    FIND_SETTING = "SELECT current_setting(?1, true)";
}

/// A setting of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSetting {
    /// Its name, as `SHOW` has it.
    pub name: &'static str,
    /// What it is set to.
    pub value: String,
}

/// Those that say what version it is and whether what it acknowledges lasts.
const NAMES: [&str; 4] = [
    "server_version",
    "fsync",
    "full_page_writes",
    "synchronous_commit",
];

/// Asks a server for its version, and for what decides whether a crash loses something. It blocks.
///
/// *Errors*: `Unreachable`, `Busy`.
pub fn server_settings(address: &PostgresAddress) -> Result<Vec<ServerSetting>, StoreError> {
    let session = address.connecting()?.open()?;
    let connection: &dyn Connection = &session;
    let mut settings = Vec::new();
    for name in NAMES {
        let value: Option<Option<String>> = connection
            .find(FIND_SETTING, [name], |row| row.get(0))
            .map_err(database_fault("reading a setting of the server"))?;
        if let Some(value) = value.flatten() {
            settings.push(ServerSetting { name, value });
        }
    }
    Ok(settings)
}
