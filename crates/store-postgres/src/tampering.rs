//! Whatever plain SQL does to a row, the verification tells where.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use entities::Random;
use store::LedgerStore as _;
use store::conformance::populate;
use store_sql::params;
use store_sql::sql::Connection;

use crate::session::Session;
use crate::statements::{drop_schema, new_schema};
use crate::store::{Access, OpenOptions, Postgres};
use crate::verify::verify_projection;

/// Rows that follow from no event.
const NOT_PROJECTED: &[&str] = &["lease", "webhook_progress", "writer"];

/// Tables that may be emptied: a copy that is gone is made anew.
const MAY_BE_GONE: &[&str] = &["metric_history"];

/// A copy that is of no run is never read.
const NEVER_READ: &[(&str, &str)] = &[("metric_history", "run")];

/// Numbers that count up.
struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = self.0.fetch_add(0x9d, Ordering::Relaxed) as u8;
        }
    }
}

fn list(session: &Session, sql: &str) -> Vec<String> {
    let connection: &dyn Connection = session;
    connection.list(sql, params![], |row| row.get(0)).unwrap()
}

/// What the verification says once a statement has changed something, which is undone.
fn find_fault(session: &Session, sql: &str) -> Option<String> {
    session.run("BEGIN").unwrap();
    session
        .run(sql)
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    let fault = match verify_projection(session) {
        Ok(fault) => fault.map(|fault| fault.table),
        Err(error) => Some(error.to_string()),
    };
    session.run("ROLLBACK").unwrap();
    fault
}

fn populated(name: &str) -> Option<Session> {
    let (session, address) = new_schema(name)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = OpenOptions {
            random: Arc::new(Counting(AtomicU64::new(1))),
            access: Access::Write,
        };
        let store = Postgres::open(address, options).await.unwrap();
        populate(&store).await;
        store.sequence().await.unwrap();
    });
    assert_eq!(verify_projection(&session).unwrap(), None);
    Some(session)
}

#[test]
fn every_column_of_every_table_that_is_edited_is_found() {
    let Some(session) = populated("columns") else {
        return;
    };
    let columns = list(
        &session,
        "SELECT table_name || '.' || column_name || '.' || data_type FROM information_schema.columns
            WHERE table_schema = current_schema() AND table_name <> 'event_position' ORDER BY 1",
    );
    let mut edits = 0;
    for column in columns {
        let parts: Vec<_> = column.split('.').collect();
        let [table, name, kind] = parts[..] else {
            panic!("{column}")
        };
        if NOT_PROJECTED.contains(&table) || NEVER_READ.contains(&(table, name)) {
            continue;
        }
        // One more, or one byte more: no column keeps its value.
        let edited = match kind {
            "bigint" => format!("coalesce(\"{name}\" + 1000, 1)"),
            "double precision" => format!("coalesce(\"{name}\" + 0.5, 1)"),
            "text" => format!("coalesce(\"{name}\", '') || 'x'"),
            "bytea" => format!("coalesce(\"{name}\", ''::BYTEA) || '\\x00'::BYTEA"),
            other => panic!("{other}"),
        };
        let edit = format!(
            "ALTER TABLE \"{table}\" DROP CONSTRAINT IF EXISTS \"{table}_id_check\";
            UPDATE \"{table}\" SET \"{name}\" = {edited} WHERE ctid = (SELECT ctid FROM \"{table}\" ORDER BY ctid LIMIT 1)"
        );
        assert!(
            find_fault(&session, &edit).is_some(),
            "{table}.{name} was edited unseen"
        );
        edits += 1;
    }
    assert!(edits > 150, "only {edits} columns were edited");
    drop_schema(&session);
}

#[test]
fn rows_and_parts_of_the_schema_that_come_or_go_are_found() {
    let Some(session) = populated("rows") else {
        return;
    };
    let tables = list(
        &session,
        "SELECT table_name::TEXT FROM information_schema.tables WHERE table_schema = current_schema()",
    );
    let emptied = tables
        .iter()
        .filter(|table| !matches!(table.as_str(), "lease" | "webhook_progress"))
        .filter(|table| !MAY_BE_GONE.contains(&table.as_str()))
        .map(|table| format!("DELETE FROM \"{table}\""));
    let others = [
        "INSERT INTO param (run, key, value) SELECT number, 'new', 'v' FROM run LIMIT 1",
        "INSERT INTO event_subject (subject, position, is_in_leaf) VALUES ('run:a', 1, 0)",
        "INSERT INTO event SELECT position + 10000, writer, wseq + 10000, kind, leaf, salt, body FROM event LIMIT 1",
        "INSERT INTO sequenced_event (place, position) SELECT MAX(place) + 1, -1 FROM sequenced_event",
        "UPDATE writer SET name = name || 'x'",
        "CREATE TABLE extra (a INTEGER)",
        "DROP INDEX tag_by_value",
        "CREATE VIEW extra AS SELECT 1",
        "CREATE RULE hidden AS ON INSERT TO tag DO INSTEAD NOTHING",
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE OR REPLACE FUNCTION text_fits(told TEXT, expression TEXT) RETURNS BOOLEAN LANGUAGE sql IMMUTABLE AS 'SELECT true'",
        "ALTER TABLE tag ALTER COLUMN value SET DEFAULT 'x'",
    ];
    for sql in emptied.chain(others.map(str::to_owned)) {
        assert!(find_fault(&session, &sql).is_some(), "{sql} was not seen");
    }
    drop_schema(&session);
}

#[test]
fn numbers_that_are_exchanged_are_found() {
    let Some(session) = populated("exchange") else {
        return;
    };
    // Events keep their leaves and bodies, and stand in another order.
    let exchange = "CREATE TEMP TABLE two ON COMMIT DROP AS SELECT position FROM event ORDER BY position DESC LIMIT 2;
        UPDATE event SET position = -position WHERE position IN (SELECT position FROM two);
        UPDATE event SET position = (SELECT SUM(position) FROM two)::BIGINT + position WHERE position < 0";
    assert!(find_fault(&session, exchange).is_some());
    drop_schema(&session);
}
