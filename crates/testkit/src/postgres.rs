//! A schema of PostgreSQL for one test, in the server that `REPROOF_TEST_POSTGRES` names.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use postgres::{Client, NoTls};
use store_postgres::{Access, OpenOptions, Postgres, PostgresAddress, PostgresStore};

use crate::SeededRandom;

/// An empty schema, which goes when this is dropped.
pub struct TestSchema {
    server: String,
    name: String,
    is_ours: bool,
}

impl TestSchema {
    /// None where there is no server to test on, which is said.
    pub fn make() -> Option<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let server = server()?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test \"{}\" {count}", std::process::id());
        let schema = Self {
            server,
            name,
            is_ours: true,
        };
        // What a killed test left under this name.
        schema.run(&format!(
            "DROP SCHEMA IF EXISTS {} CASCADE",
            schema.quoted()
        ));
        Some(schema)
    }

    /// The schema that another process made.
    ///
    /// *Panics* where there is no server to test on.
    pub fn of_another(name: &str) -> Self {
        Self {
            server: server().expect("the other process has told where it is"),
            name: name.to_owned(),
            is_ours: false,
        }
    }

    /// The address of the server, without the schema.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Its name, for another process.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name as an identifier.
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.name.replace('"', "\"\""))
    }

    /// Where a store in it is.
    ///
    /// *Panics* if the server's address is wrong.
    pub fn address(&self) -> PostgresAddress {
        let name = self.name.replace('"', "%22").replace(' ', "%20");
        let joint = if self.server.contains('?') { '&' } else { '?' };
        let uri = format!("{}{joint}schema={name}", self.server);
        PostgresAddress::parse(&uri, None).expect("the address of the tests' server is right")
    }

    /// Opens a store in it, which is made where it is missing; its random numbers follow from the seed.
    ///
    /// *Panics* if it cannot be opened.
    pub async fn open(&self, seed: u64) -> PostgresStore {
        let options = OpenOptions {
            random: Arc::new(SeededRandom::new(seed)),
            access: Access::Create,
        };
        Postgres::open(self.address(), options)
            .await
            .expect("a test can open its store")
    }

    /// Runs statements in the schema as somebody else would.
    ///
    /// *Panics* if the server refuses them.
    pub fn run(&self, sql: &str) {
        run_statements(
            &self.server,
            &format!("SET search_path = {}", self.quoted()),
            sql,
        );
    }

    /// Runs statements in another database of the server.
    ///
    /// *Panics* if it refuses them.
    pub fn run_in(&self, address: &str, sql: &str) {
        run_statements(address, "", sql);
    }
}

/// In a thread of its own, since a connection blocks.
fn run_statements(server: &str, path: &str, sql: &str) {
    let (server, path, sql) = (server.to_owned(), path.to_owned(), sql.to_owned());
    std::thread::spawn(move || {
        let mut client = Client::connect(&server, NoTls).expect("the tests' server is there");
        client.batch_execute(&path).expect("a schema can be named");
        client.batch_execute(&sql).expect("a test's statements fit");
    })
    .join()
    .expect("a test's statements run");
}

impl Drop for TestSchema {
    fn drop(&mut self) {
        if self.is_ours {
            self.run(&format!("DROP SCHEMA IF EXISTS {} CASCADE", self.quoted()));
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "the test command tells where its server is; a test that is skipped says so"
)]
fn server() -> Option<String> {
    let server = std::env::var("REPROOF_TEST_POSTGRES");
    if server.is_err() {
        eprintln!("skipped: REPROOF_TEST_POSTGRES names no server; `cargo xtask test` starts one");
    }
    server.ok()
}
