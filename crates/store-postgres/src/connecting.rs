//! How connections are made.

use std::sync::Arc;

use postgres::config::SslMode;
use postgres::{Client, Config, NoTls};
use store::StoreError;
use store_sql::sql::SqlError;

use crate::fault::sort_error;
use crate::locks::LockNames;
use crate::session::Session;
use crate::tls::Tls;

/// What a new connection is given: texts are read as this program writes them, one that hangs in the middle of writing
/// must not keep others waiting for long, and what is acknowledged is durable. A server that is set to wait for its
/// replicas too goes on doing so.
const SETTINGS: &str = "SET client_min_messages = warning; \
    SET standard_conforming_strings = on; \
    SET lock_timeout = '20s'; \
    SET idle_in_transaction_session_timeout = '60s'; \
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'; \
    SET jit = off";

/// Where a store is, and how to get there.
#[derive(Clone)]
pub(crate) struct Connecting {
    pub(crate) config: Arc<Config>,
    pub(crate) tls: Tls,
    pub(crate) schema: String,
    pub(crate) names: LockNames,
}

impl Connecting {
    /// Makes a connection that looks in the store's schema alone.
    pub(crate) fn open(&self) -> Result<Session, StoreError> {
        let client = self.connect()?;
        let session = Session::new(client);
        let schema = quote(&self.schema);
        session
            .run(&format!("{SETTINGS}; SET search_path = {schema}"))
            .map_err(store_sql::database_fault("setting up a connection"))?;
        Ok(session)
    }

    pub(crate) fn connect(&self) -> Result<Client, StoreError> {
        // A server that has no place left is busy; whatever else it says, nobody is let in.
        let fault = |source: postgres::Error| match sort_error(source) {
            SqlError::Busy => StoreError::Busy,
            source => StoreError::Unreachable {
                source: Box::new(source),
            },
        };
        let connected = if self.config.get_ssl_mode() == SslMode::Disable {
            self.config.connect(NoTls)
        } else {
            self.config.connect(self.tls.connector())
        };
        connected.map_err(fault)
    }
}

/// A name as an identifier, whatever it holds.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
