//! Looks for the first row that does not follow from the events: they are applied to a scratch database of SQLite, so
//! that nothing the server says about itself is taken for granted.

use store::{RowFault, StoreError};
use store_sql::sql::Connection;
use store_sql::{Counting, database_fault, params, statements};
use store_sqlite::verify_elsewhere;

use crate::migrations::{check_history, known_version};

statements! {
    NO_IDLE_LIMIT = "SELECT set_config('idle_in_transaction_session_timeout', '0', true)";
    FIND_STATE = "SELECT signed, integrated, sequenced, (SELECT COUNT(*) FROM sequenced_event),
            (SELECT COUNT(*) FROM event)
        FROM ledger_state WHERE id = 1";
    FIND_WRONG_PLACE = "SELECT place, rank
        FROM (
            SELECT sequenced_event.place, row_number() OVER (ORDER BY event.position) AS rank
            FROM event LEFT JOIN sequenced_event ON sequenced_event.position = event.position
        ) AS ranked
        WHERE place IS DISTINCT FROM rank AND (place IS NOT NULL OR rank <= (SELECT MAX(place) FROM sequenced_event))
        ORDER BY rank
        LIMIT 1";
    FIND_WRONG_LAST = "SELECT last_position, sequenced_to, unsequenced_from
        FROM (
            SELECT last_position,
                (SELECT MAX(position) FROM sequenced_event) AS sequenced_to,
                least(
                    (SELECT MIN(event.position)
                        FROM event LEFT JOIN sequenced_event ON sequenced_event.position = event.position
                        WHERE sequenced_event.place IS NULL),
                    (SELECT last_value + 1 FROM event_position)
                ) AS unsequenced_from
            FROM ledger_state WHERE id = 1
        ) AS known
        WHERE last_position < coalesce(sequenced_to, 0) OR last_position >= unsequenced_from";
    FIND_UNKNOWN_WRITER = "SELECT event.writer
        FROM event LEFT JOIN writer ON writer.name = event.writer
        WHERE writer.name IS NULL
        LIMIT 1";
    LIST_COLUMNS = "SELECT table_name::TEXT || '.' || column_name::TEXT || ' ' || data_type::TEXT || ' '
            || coalesce(collation_name::TEXT, '') || ' ' || is_nullable::TEXT || coalesce(' ' || column_default::TEXT, '')
        FROM information_schema.columns
        WHERE table_schema = current_schema() AND table_name::TEXT <> 'schema_migration'
        ORDER BY table_name::TEXT COLLATE \"C\", ordinal_position";
    LIST_INDEXES = "SELECT replace(indexdef, quote_ident(current_schema()::TEXT) || '.', '')
        FROM pg_indexes
        WHERE schemaname = current_schema() AND tablename <> 'schema_migration'
        ORDER BY indexname::TEXT COLLATE \"C\"";
    LIST_FUNCTIONS = "SELECT proname::TEXT || ' ' || regexp_replace(prosrc, ' COLLATE \"[^\"]*\"', '')
        FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pg_proc.pronamespace
        WHERE nspname = current_schema()
        ORDER BY proname::TEXT COLLATE \"C\"";
    LIST_INTERFERING = "SELECT 'trigger ' || tgname::TEXT
        FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
            JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = current_schema() AND NOT tgisinternal
        UNION ALL
        SELECT 'rule ' || rulename::TEXT FROM pg_rules WHERE schemaname = current_schema()
        UNION ALL
        SELECT 'policy ' || policyname::TEXT FROM pg_policies WHERE schemaname = current_schema()
        UNION ALL
        SELECT 'view ' || viewname::TEXT FROM pg_views WHERE schemaname = current_schema()
        ORDER BY 1";
}

/// What the schema consists of; a test compares it with a new one.
pub(crate) const DESCRIPTION: &str = include_str!("../schema.txt");

/// Looks for the first row that does not follow from the events; the connection sees one state throughout.
pub(crate) fn verify_projection(
    connection: &dyn Connection,
) -> Result<Option<RowFault>, StoreError> {
    // Between two statements many events may be applied.
    connection
        .find(NO_IDLE_LIMIT, params![], |row| row.get::<String>(0))
        .map_err(database_fault("setting up the verification"))?;
    if let Some(fault) = check_schema(connection)? {
        return Ok(Some(fault));
    }
    check_history(connection, known_version())?;
    if let Some(fault) = check_state(connection)? {
        return Ok(Some(fault));
    }
    verify_elsewhere(connection, Counting::Events)
}

/// Tells what the schema consists of, a line each.
pub(crate) fn describe(connection: &dyn Connection) -> Result<String, StoreError> {
    let mut description = String::new();
    for sql in [LIST_COLUMNS, LIST_INDEXES, LIST_FUNCTIONS, LIST_INTERFERING] {
        let lines: Vec<String> = connection
            .list(sql, params![], |row| row.get(0))
            .map_err(database_fault("reading the schema"))?;
        for line in lines {
            let words: Vec<_> = line.split_whitespace().collect();
            description.push_str(&words.join(" "));
            description.push('\n');
        }
    }
    Ok(description)
}

fn check_schema(connection: &dyn Connection) -> Result<Option<RowFault>, StoreError> {
    let found = describe(connection)?;
    let (mut expected_lines, mut found_lines) = (DESCRIPTION.lines(), found.lines());
    loop {
        let (expected, found) = (expected_lines.next(), found_lines.next());
        if expected.is_none() && found.is_none() {
            return Ok(None);
        }
        if expected != found {
            return Ok(Some(RowFault {
                table: "the schema".to_owned(),
                key: String::from("its next part"),
                expected: expected.map(str::to_owned),
                found: found.map(str::to_owned),
            }));
        }
    }
}

/// Checks what is kept of the ledger's state, of the places of events, and of the writers.
fn check_state(connection: &dyn Connection) -> Result<Option<RowFault>, StoreError> {
    let fault = || database_fault("reading the ledger's state");
    let state: Option<[i64; 5]> = connection
        .find(FIND_STATE, params![], |row| {
            Ok([
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
            ])
        })
        .map_err(fault())?;
    let state = state.unwrap_or([-1; 5]);
    let [signed, integrated, sequenced, places, committed] = state;
    if signed < 0 || !state.is_sorted() || sequenced != places {
        return Ok(Some(RowFault {
            table: "ledger_state".to_owned(),
            key: "1".to_owned(),
            expected: Some(format!(
                "0 <= signed <= integrated <= sequenced = {places} places <= {committed} events"
            )),
            found: Some(format!(
                "signed {signed}, integrated {integrated}, sequenced {sequenced}"
            )),
        }));
    }
    let wrong: Option<(Option<i64>, i64)> = connection
        .find(FIND_WRONG_PLACE, params![], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .map_err(fault())?;
    if let Some((place, rank)) = wrong {
        return Ok(Some(RowFault {
            table: "sequenced_event".to_owned(),
            key: rank.to_string(),
            expected: Some(format!("the event of rank {rank}")),
            found: place.map(|place| format!("that event has place {place}")),
        }));
    }
    let wrong: Option<(i64, Option<i64>, Option<i64>)> = connection
        .find(FIND_WRONG_LAST, params![], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .map_err(fault())?;
    if let Some((found, sequenced_to, unsequenced_from)) = wrong {
        let before = unsequenced_from.map_or_else(String::new, |from| format!(", before {from}"));
        return Ok(Some(RowFault {
            table: "ledger_state".to_owned(),
            key: "1".to_owned(),
            expected: Some(format!(
                "last_position from {} on{before}",
                sequenced_to.unwrap_or(0)
            )),
            found: Some(format!("last_position = {found}")),
        }));
    }
    let unknown: Option<String> = connection
        .find(FIND_UNKNOWN_WRITER, params![], |row| row.get(0))
        .map_err(fault())?;
    Ok(unknown.map(|writer| RowFault {
        table: "writer".to_owned(),
        key: writer.clone(),
        expected: Some(writer),
        found: None,
    }))
}
