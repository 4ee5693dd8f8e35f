//! The schema's history: numbered steps, each taken once, in order, while nobody else migrates or writes.

use sha2::Digest as _;
use store::StoreError;
use store_sql::sql::Connection;
use store_sql::{damaged, database_fault, params, statements};

use crate::connecting::{Connecting, quote};
use crate::session::Session;

struct Migration {
    version: u32,
    name: &'static str,
    text: &'static str,
}

/// Never edit one that has been released: add the next.
const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "initial",
        text: include_str!("../migrations/0001_initial.sql"),
    },
    Migration {
        version: 2,
        name: "removal",
        text: include_str!("../migrations/0002_removal.sql"),
    },
    Migration {
        version: 3,
        name: "issues",
        text: include_str!("../migrations/0003_issues.sql"),
    },
    Migration {
        version: 4,
        name: "histories",
        text: include_str!("../migrations/0004_histories.sql"),
    },
    Migration {
        version: 5,
        name: "searches",
        text: include_str!("../migrations/0005_searches.sql"),
    },
    Migration {
        version: 6,
        name: "blocks",
        text: include_str!("../migrations/0006_blocks.sql"),
    },
    Migration {
        version: 7,
        name: "short_values",
        text: include_str!("../migrations/0007_short_values.sql"),
    },
];

/// The schema that this program knows.
pub(crate) fn known_version() -> u32 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

const CREATE_HISTORY: &str = "CREATE TABLE IF NOT EXISTS schema_migration (
    version BIGINT PRIMARY KEY,
    name TEXT COLLATE \"C\" NOT NULL,
    checksum BYTEA NOT NULL
)";
const LIST_HISTORY: &str = "SELECT version, name, checksum FROM schema_migration ORDER BY version";
const FIND_VERSION: &str = "SELECT MAX(version) FROM schema_migration";
const ADD_TO_HISTORY: &str =
    "INSERT INTO schema_migration (version, name, checksum) VALUES (?1, ?2, ?3)";

statements! {
    FIND_HISTORY = "SELECT COUNT(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
        WHERE relname = 'schema_migration' AND nspname = current_schema()";
    FIND_ENCODING = "SELECT current_setting('server_encoding')";
    FIND_COLLATION = "SELECT collname::TEXT FROM pg_collation
        WHERE collname IN ('und-x-icu', 'C.utf8', 'C.UTF-8', 'en_US.utf8')
            AND collencoding IN (-1, 6)
        ORDER BY array_position(ARRAY['und-x-icu', 'C.utf8', 'C.UTF-8', 'en_US.utf8'], collname::TEXT)
        LIMIT 1";
}

/// The schema that the database has; 0 where there is none.
pub(crate) fn find_version(connection: &dyn Connection) -> Result<u32, StoreError> {
    let fault = || database_fault("reading the schema's version");
    let histories: Option<i64> = connection
        .find(FIND_HISTORY, params![], |row| row.get(0))
        .map_err(fault())?;
    if histories != Some(1) {
        return Ok(0);
    }
    let version: Option<Option<u32>> = connection
        .find(FIND_VERSION, params![], |row| row.get(0))
        .map_err(fault())?;
    Ok(version.flatten().unwrap_or(0))
}

/// Takes the steps that are missing; a database with other steps than ours is refused.
pub(crate) fn migrate(session: &Session, connecting: &Connecting) -> Result<(), StoreError> {
    let begin = format!(
        "BEGIN; SELECT pg_advisory_xact_lock({}); SELECT pg_advisory_xact_lock({}); CREATE SCHEMA IF NOT EXISTS {}",
        connecting.names.migration(),
        connecting.names.whole(),
        quote(&connecting.schema),
    );
    let fault = || database_fault("migrating the schema");
    let done = session
        .run(&begin)
        .map_err(fault())
        .and_then(|()| take_steps(session));
    match done {
        Ok(()) => session.run("COMMIT").map_err(fault()),
        Err(error) => {
            // The error is the one to tell.
            drop(session.run("ROLLBACK"));
            Err(error)
        }
    }
}

/// Makes the schema as it was at a version, in a transaction that stays open; it must not be there.
///
/// *Errors*: `Exists` where it is.
pub(crate) fn make_schema(
    session: &Session,
    connecting: &Connecting,
    version: u32,
) -> Result<(), StoreError> {
    let begin = format!(
        "BEGIN; SELECT pg_advisory_xact_lock({}); SELECT pg_advisory_xact_lock({}); CREATE SCHEMA IF NOT EXISTS {}",
        connecting.names.migration(),
        connecting.names.whole(),
        quote(&connecting.schema),
    );
    session
        .run(&begin)
        .map_err(database_fault("making the schema"))?;
    if find_version(session)? != 0 {
        return Err(StoreError::Exists {
            subject: format!("a store in schema `{}`", connecting.schema),
        });
    }
    take_steps_to(session, version)
}

fn take_steps(session: &Session) -> Result<(), StoreError> {
    take_steps_to(session, known_version())
}

fn take_steps_to(session: &Session, version: u32) -> Result<(), StoreError> {
    let fault = || database_fault("migrating the schema");
    let connection: &dyn Connection = session;
    check_encoding(connection)?;
    // Another process may have been here while we waited for the lock.
    let found = find_version(connection)?;
    if found > known_version() {
        return Err(StoreError::Newer {
            found,
            known: known_version(),
        });
    }
    connection
        .change(CREATE_HISTORY, params![])
        .map_err(fault())?;
    check_history(connection, found)?;
    if found == 0 {
        session
            .run(&functions_of_locale(connection)?)
            .map_err(fault())?;
    }
    let missing = MIGRATIONS
        .iter()
        .filter(|step| step.version > found && step.version <= version);
    for migration in missing {
        session.run(migration.text).map_err(fault())?;
        let row = params![migration.version, migration.name, checksum(migration)];
        connection.change(ADD_TO_HISTORY, row).map_err(fault())?;
    }
    Ok(())
}

fn check_encoding(connection: &dyn Connection) -> Result<(), StoreError> {
    let encoding: Option<String> = connection
        .find(FIND_ENCODING, params![], |row| row.get(0))
        .map_err(database_fault("reading the database's encoding"))?;
    match encoding.as_deref() {
        Some("UTF8") => Ok(()),
        other => Err(StoreError::Query {
            message: format!(
                "the database keeps texts in {}, a store needs one in UTF8",
                other.unwrap_or("an unknown encoding")
            ),
        }),
    }
}

/// Ignoring case, and knowing what a word is, in all of Unicode takes a locale that knows it; which there are is told by
/// the server alone.
fn functions_of_locale(connection: &dyn Connection) -> Result<String, StoreError> {
    let collation: Option<String> = connection
        .find(FIND_COLLATION, params![], |row| row.get(0))
        .map_err(database_fault("looking for a collation"))?;
    let collate = collation.map_or_else(String::new, |name| format!(" COLLATE {}", quote(&name)));
    Ok(format!(
        "CREATE FUNCTION text_lower(told TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE PARALLEL SAFE \
         AS $$ SELECT lower(told{collate}) $$; \
         CREATE FUNCTION text_fits(told TEXT, expression TEXT) RETURNS BOOLEAN LANGUAGE sql IMMUTABLE PARALLEL SAFE \
         AS $$ SELECT told{collate} ~ expression $$"
    ))
}

pub(crate) fn check_history(connection: &dyn Connection, version: u32) -> Result<(), StoreError> {
    let taken: Vec<(u32, String, Vec<u8>)> = connection
        .list(LIST_HISTORY, params![], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .map_err(database_fault("reading the schema's history"))?;
    let ours = MIGRATIONS.iter().filter(|step| step.version <= version);
    let expected: Vec<(u32, String, Vec<u8>)> = ours
        .map(|step| (step.version, step.name.to_owned(), checksum(step)))
        .collect();
    if taken == expected {
        Ok(())
    } else {
        Err(damaged(format!(
            "its schema's history up to version {version} is not the one this program knows"
        )))
    }
}

fn checksum(migration: &Migration) -> Vec<u8> {
    sha2::Sha256::digest(migration.text.as_bytes()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbered_without_a_gap() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.version as usize, index + 1);
        }
    }
}
