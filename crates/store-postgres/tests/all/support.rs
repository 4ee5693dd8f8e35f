//! What the tests of this room share: a schema of their own in the server that `REPROOF_TEST_POSTGRES` names.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use entities::Random;
use postgres::{Client, NoTls};
use store_postgres::{Access, OpenOptions, Postgres, PostgresAddress, PostgresStore};

/// A generator whose numbers follow from a seed: splitmix64.
pub(crate) struct SeededRandom(AtomicU64);

impl SeededRandom {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let bytes = (mixed ^ (mixed >> 31)).to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

/// An empty schema, which goes when this is dropped.
pub(crate) struct Schema {
    server: String,
    name: String,
    is_ours: bool,
}

impl Schema {
    /// None where there is no server to test on, which is said.
    pub(crate) fn make() -> Option<Self> {
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
    pub(crate) fn of_another(name: &str) -> Self {
        Self {
            server: server().expect("the other process has told where it is"),
            name: name.to_owned(),
            is_ours: false,
        }
    }

    /// The address of the server, without the schema.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.name.replace('"', "\"\""))
    }

    pub(crate) fn address(&self) -> PostgresAddress {
        let name = self.name.replace('"', "%22").replace(' ', "%20");
        let joint = if self.server.contains('?') { '&' } else { '?' };
        let uri = format!("{}{joint}schema={name}", self.server);
        PostgresAddress::parse(&uri, None).expect("the address of the tests' server is right")
    }

    pub(crate) async fn open(&self, seed: u64) -> PostgresStore {
        let options = OpenOptions {
            random: Arc::new(SeededRandom::new(seed)),
            access: Access::Create,
        };
        Postgres::open(self.address(), options)
            .await
            .expect("a test can open its store")
    }

    /// Runs statements in the schema as somebody else would.
    pub(crate) fn run(&self, sql: &str) {
        let (server, sql) = (self.server.clone(), sql.to_owned());
        let path = format!("SET search_path = {}", self.quoted());
        std::thread::spawn(move || {
            let mut client = Client::connect(&server, NoTls).expect("the tests' server is there");
            client.batch_execute(&path).expect("a schema can be named");
            client.batch_execute(&sql).expect("a test's statements fit");
        })
        .join()
        .expect("a test's statements run");
    }
}

impl Drop for Schema {
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
