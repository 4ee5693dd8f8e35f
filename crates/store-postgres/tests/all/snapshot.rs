//! A database of another program, read as it was at one moment.

use std::ops::ControlFlow;

use store_postgres::{PostgresAddress, PostgresSnapshot};
use store_sql::params;
use store_sql::sql::{Connection, SqlError};

use testkit::TestSchema;

/// A schema with a table of 2500 rows, and a snapshot that looks there.
fn with_rows() -> Option<(TestSchema, PostgresSnapshot)> {
    let schema = TestSchema::make()?;
    let name = schema.quoted();
    schema.run(&format!("CREATE SCHEMA {name}; SET search_path = {name};"));
    schema.run(
        "CREATE TABLE numbers (number bigint, word text, flag boolean, told jsonb);
         INSERT INTO numbers SELECT i, 'n' || i, i % 2 = 0, '{\"a\": 1}' FROM generate_series(1, 2500) AS i",
    );
    let path = format!("-csearch_path={}", schema.quoted());
    let path = path.replace(' ', "\\ ");
    let mut encoded = String::new();
    for byte in path.bytes() {
        use std::fmt::Write as _;
        write!(encoded, "%{byte:02x}").unwrap();
    }
    let joint = if schema.server().contains('?') {
        '&'
    } else {
        '?'
    };
    let uri = format!("{}{joint}options={encoded}", schema.server());
    let address = PostgresAddress::parse(&uri, None).unwrap();
    let snapshot = PostgresSnapshot::open(&address).unwrap();
    Some((schema, snapshot))
}

fn count(snapshot: &PostgresSnapshot) -> i64 {
    let connection: &dyn Connection = snapshot;
    let found = connection.find("SELECT COUNT(*) FROM numbers", params![], |row| row.get(0));
    found.unwrap().unwrap()
}

#[test]
fn what_is_written_later_is_not_seen() {
    let Some((schema, snapshot)) = with_rows() else {
        return;
    };
    schema.run("DELETE FROM numbers WHERE number > 10");
    assert_eq!(count(&snapshot), 2500);
}

#[test]
fn rows_come_page_by_page_and_something_else_can_be_asked_in_between() {
    let Some((_schema, snapshot)) = with_rows() else {
        return;
    };
    let connection: &dyn Connection = &snapshot;
    let mut sum = 0;
    connection
        .query(
            "SELECT number, word, flag, told FROM numbers WHERE number > ?1 ORDER BY number",
            params![0_i64],
            &mut |row| {
                let number: i64 = row.get(0)?;
                assert_eq!(row.text(1)?, format!("n{number}"));
                assert_eq!(row.get::<bool>(2)?, number % 2 == 0);
                assert_eq!(row.text(3)?, "{\"a\": 1}");
                sum += number;
                if number % 900 == 0 {
                    assert_eq!(count(&snapshot), 2500);
                }
                Ok(ControlFlow::Continue(()))
            },
        )
        .unwrap();
    assert_eq!(sum, 2500 * 2501 / 2);
    // A text stands for a number.
    let of = |value: &str| -> Result<Option<i64>, SqlError> {
        connection.find(
            "SELECT number FROM numbers WHERE number = ?1",
            params![value],
            |row| row.get(0),
        )
    };
    assert_eq!(of("1700").unwrap(), Some(1700));
    assert!(of("soon").is_err());
}

#[test]
fn nothing_can_be_written() {
    let Some((_schema, snapshot)) = with_rows() else {
        return;
    };
    let connection: &dyn Connection = &snapshot;
    let refused = connection.change("DELETE FROM numbers", params![]);
    assert!(matches!(refused, Err(SqlError::ReadOnly)), "{refused:?}");
    let sneaked =
        connection.find::<i64>("DELETE FROM numbers RETURNING number", params![], |row| {
            row.get(0)
        });
    assert!(matches!(sneaked, Err(SqlError::ReadOnly)), "{sneaked:?}");
}
