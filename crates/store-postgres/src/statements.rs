//! What only a server can tell: whether every statement fits the schema, and what the schema consists of.

use store_sql::sql::Connection;

use crate::address::PostgresAddress;
use crate::migrations::migrate;
use crate::session::Session;
use crate::verify::{DESCRIPTION, describe};

/// A new schema; none where there is no server, which is said.
#[expect(
    clippy::disallowed_methods,
    reason = "the test command tells where its server is"
)]
pub(crate) fn new_schema(name: &str) -> Option<(Session, PostgresAddress)> {
    let Ok(server) = std::env::var("REPROOF_TEST_POSTGRES") else {
        eprintln!("skipped: REPROOF_TEST_POSTGRES names no server; `cargo xtask test` starts one");
        return None;
    };
    let name = format!("{name}_{}", std::process::id());
    let joint = if server.contains('?') { '&' } else { '?' };
    let address = PostgresAddress::parse(&format!("{server}{joint}schema={name}"), None).unwrap();
    let connecting = address.connecting().unwrap();
    let session = connecting.open().unwrap();
    session
        .run(&format!("DROP SCHEMA IF EXISTS {name} CASCADE"))
        .unwrap();
    migrate(&session, &connecting).unwrap();
    Some((session, address))
}

pub(crate) fn drop_schema(session: &Session) {
    let connection: &dyn Connection = session;
    let name: Option<String> = connection
        .find(
            "SELECT current_schema()::TEXT",
            store_sql::params![],
            |row| row.get(0),
        )
        .unwrap();
    session
        .run(&format!("DROP SCHEMA {} CASCADE", name.unwrap()))
        .unwrap();
}

#[test]
fn every_statement_fits_the_schema() {
    let Some((session, _)) = new_schema("statements") else {
        return;
    };
    let own = [
        crate::copy::ALL,
        crate::ledger::ALL,
        crate::migrations::ALL,
        crate::settings::ALL,
        crate::store::ALL,
        crate::verify::ALL,
        crate::writer::ALL,
    ]
    .concat();
    let named = own.into_iter().chain(store_sql::all_statements());
    let named = named.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let searches = store_sql::all_searches(store_sql::sql::Dialect::Postgres);
    let lists = store_sql::all_lists(store_sql::sql::Dialect::Postgres);
    for (name, text) in named.chain(searches).chain(lists) {
        let prepared = session.prepare(&text);
        assert!(prepared.is_ok(), "{name}: {}", prepared.unwrap_err());
    }
    for (name, statement) in store_sql::all_row_statements() {
        let prepared = session.prepare(statement.of_one());
        assert!(prepared.is_ok(), "{name}: {}", prepared.unwrap_err());
        let columns = prepared.unwrap().params().len();
        assert_eq!(columns, statement.columns(), "{name}");
        let many = session.prepare_together(&[statement]);
        assert!(many.is_ok(), "{name}: {}", many.err().unwrap());
    }
    let all = store_sql::all_row_statements();
    let all: Vec<_> = all.into_iter().map(|(_, statement)| statement).collect();
    let together = session.prepare_together(&all);
    assert!(together.is_ok(), "{}", together.err().unwrap());
    drop_schema(&session);
}

/// Rows of one statement wait while those of others go, so that two about one table could change places.
#[test]
fn no_two_statements_add_rows_to_one_table() {
    let mut tables: Vec<&str> = store_sql::all_row_statements()
        .iter()
        .map(|(_, statement)| {
            let rest = statement.of_one().strip_prefix("INSERT INTO ").unwrap();
            rest.split_whitespace().next().unwrap()
        })
        .collect();
    let count = tables.len();
    tables.sort_unstable();
    tables.dedup();
    assert_eq!(tables.len(), count, "{tables:?}");
}

/// With `REPROOF_UPDATE_SCHEMA=1` the description is written anew.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a developer asks for the description to be written"
)]
fn the_schema_is_the_one_that_was_described() {
    let Some((session, _)) = new_schema("description") else {
        return;
    };
    let found = describe(&session).unwrap();
    if std::env::var("REPROOF_UPDATE_SCHEMA").is_ok() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/schema.txt"), &found).unwrap();
    } else {
        assert_eq!(found, DESCRIPTION);
    }
    drop_schema(&session);
}
