//! What MLflow has on record: a database, a folder of files, or a server that runs.

mod assessment;
mod auth;
mod cells;
mod database;
mod fernet;
mod folder;
mod json;
mod server;
mod span;
mod time;

pub(crate) use self::assessment::SOURCE_RUN_KEY;
pub(crate) use self::auth::{AuthDatabase, SourceRole, SourceUser};
pub(crate) use self::database::{
    COST_COLUMNS, MlflowDatabase, SqliteFile, TOKEN_COLUMNS, WRAPPED_OUTPUTS,
};
pub use self::fernet::FernetKey;
pub(crate) use self::folder::MlrunsFolder;
pub(crate) use self::json::read_json;
pub(crate) use self::server::{MlflowClient, MlflowServer};
pub use self::server::{ServerAccess, web_agent};
pub(crate) use self::span::content_of;
