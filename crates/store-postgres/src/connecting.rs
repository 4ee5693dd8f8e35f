//! How connections are made.

use std::sync::Arc;

use store::StoreError;
use store_sql::sql::SqlError;
use tokio::runtime::Builder;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};

use crate::fault::sort_error;
use crate::locks::LockNames;
use crate::session::{AtWork, Session};
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
        let session = self.connect()?;
        let schema = quote(&self.schema);
        session
            .run(&format!("{SETTINGS}; SET search_path = {schema}"))
            .map_err(store_sql::database_fault("setting up a connection"))?;
        Ok(session)
    }

    fn connect(&self) -> Result<Session, StoreError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| StoreError::Unreachable {
                source: Box::new(source),
            })?;
        let connected = runtime.block_on(async {
            // Each connection is of a type of its own; what is left of it is that it goes on.
            if self.config.get_ssl_mode() == SslMode::Disable {
                let (client, connection) = self.config.connect(NoTls).await?;
                Ok((client, runtime.spawn(connection)))
            } else {
                let (client, connection) = self.config.connect(self.tls.connector()).await?;
                Ok((client, runtime.spawn(connection)))
            }
        });
        let (client, connection) = connected.map_err(connecting_fault)?;
        let at_work = AtWork::new(runtime, connection);
        Ok(Session::new(client, at_work))
    }

    /// A connection of the client that reads row after row.
    pub(crate) fn connect_reader(&self) -> Result<postgres::Client, StoreError> {
        let config = postgres::Config::from(Config::clone(&self.config));
        let connected = if self.config.get_ssl_mode() == SslMode::Disable {
            config.connect(NoTls)
        } else {
            config.connect(self.tls.connector())
        };
        connected.map_err(connecting_fault)
    }
}

/// A server that has no place left is busy; whatever else it says, nobody is let in.
fn connecting_fault(source: tokio_postgres::Error) -> StoreError {
    match sort_error(source) {
        SqlError::Busy => StoreError::Busy,
        source => StoreError::Unreachable {
            source: Box::new(source),
        },
    }
}

/// A name as an identifier, whatever it holds.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
