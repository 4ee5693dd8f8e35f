//! A database of another program, open for reading as it was at one moment.
//!
//! A thread of its own holds the connection, since a client that waits must not run in a thread that answers others.
//! What a statement gives is fetched a page at a time, through a portal of the one transaction, so that a table of any
//! length needs the memory of a page, and the reader may ask something else in between.

use std::collections::BTreeMap;
use std::error::Error;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::{BufMut as _, BytesMut};
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, IsolationLevel, Portal, Statement, Transaction};
use store::StoreError;
use store_sql::sql::{
    Columns, Connection, Dialect, OwnedValue, Result, Row, SqlError, ToValue, Value,
};

use crate::address::PostgresAddress;
use crate::connecting::Connecting;
use crate::fault::sort_error;
use crate::session::in_dialect;

/// Rows of a page.
const ROWS_AT_ONCE: i32 = 1000;

/// It may be read for hours, and waits meanwhile for what is written elsewhere.
const SETTINGS: &str = "SET client_min_messages = warning; \
    SET idle_in_transaction_session_timeout = 0; \
    SET statement_timeout = 0; \
    SET jit = off";

/// A database of another program, as it was when it was opened; nothing can be written to it.
///
/// Tables are looked for where its user's connections look: the schema of the address is that of a store, not this one's.
pub struct PostgresSnapshot {
    requests: SyncSender<Request>,
}

type Rows = Vec<Vec<OwnedValue>>;

enum Request {
    /// Begins a statement; answered with its number and its first rows.
    Begin {
        sql: String,
        values: Vec<OwnedValue>,
        answer: SyncSender<Result<(u64, Rows)>>,
    },
    /// The next rows.
    Continue {
        number: u64,
        answer: SyncSender<Result<Rows>>,
    },
    /// There is nothing more to be read of it.
    End { number: u64 },
}

impl PostgresSnapshot {
    /// Connects, and keeps what all transactions that are done by now have written.
    ///
    /// *Errors*: `Unreachable` and `Busy`; `Database` where the server refuses the settings.
    pub fn open(address: &PostgresAddress) -> Result<Self, StoreError> {
        let connecting = address.connecting()?;
        let (requests, received) = sync_channel(1);
        let (opened, is_open) = sync_channel(1);
        std::thread::Builder::new()
            .name("postgres-snapshot".to_owned())
            .spawn(move || match connect(&connecting) {
                Ok(client) => serve(client, &received, &opened),
                Err(error) => drop(opened.send(Err(error))),
            })
            .map_err(|error| StoreError::Database {
                action: "starting a thread for a connection",
                source: Box::new(error),
            })?;
        is_open.recv().map_err(|_| StoreError::Closed)??;
        Ok(Self { requests })
    }

    fn ask<T>(&self, request: impl FnOnce(SyncSender<Result<T>>) -> Request) -> Result<T> {
        let (answer, answered) = sync_channel(1);
        let gone = || SqlError::Other("the connection is gone".into());
        self.requests.send(request(answer)).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }
}

impl Connection for PostgresSnapshot {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn execute(&self, _: &str, _: &[&dyn ToValue]) -> Result<usize> {
        Err(SqlError::ReadOnly)
    }

    fn query(
        &self,
        sql: &str,
        values: &[&dyn ToValue],
        reader: &mut dyn FnMut(&Row<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let values = values
            .iter()
            .map(|value| OwnedValue::of(value.to_value()))
            .collect();
        let sql = sql.to_owned();
        let (number, mut rows) = self.ask(|answer| Request::Begin {
            sql,
            values,
            answer,
        })?;
        let mut read = || {
            while !rows.is_empty() {
                for row in &rows {
                    if reader(&Row::new(&Cells(row)))?.is_break() {
                        return Ok(());
                    }
                }
                if rows.len() < ROWS_AT_ONCE as usize {
                    return Ok(());
                }
                rows = self.ask(|answer| Request::Continue { number, answer })?;
            }
            Ok(())
        };
        let done = read();
        // Where the thread is gone, so is the portal.
        drop(self.requests.send(Request::End { number }));
        done
    }
}

fn connect(connecting: &Connecting) -> Result<Client, StoreError> {
    let mut client = connecting.connect_reader()?;
    client
        .batch_execute(SETTINGS)
        .map_err(|error| store_sql::database_fault("setting up a connection")(sort_error(error)))?;
    Ok(client)
}

/// Answers requests until nobody can make any more.
fn serve(
    mut client: Client,
    requests: &Receiver<Request>,
    opened: &SyncSender<Result<(), StoreError>>,
) {
    let begun = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        // The first statement decides what is seen from then on.
        .and_then(|mut transaction| {
            transaction.batch_execute("SELECT 1")?;
            Ok(transaction)
        });
    let mut reading = match begun {
        Ok(transaction) => Reading {
            transaction,
            statements: BTreeMap::new(),
            portals: BTreeMap::new(),
            next: 0,
        },
        Err(error) => {
            let fault = store_sql::database_fault("beginning to read");
            return drop(opened.send(Err(fault(sort_error(error)))));
        }
    };
    drop(opened.send(Ok(())));
    // Whoever asked may have gone meanwhile.
    for request in requests {
        match request {
            Request::Begin {
                sql,
                values,
                answer,
            } => drop(answer.send(reading.begin(&sql, &values))),
            Request::Continue { number, answer } => drop(answer.send(reading.fetch(number))),
            Request::End { number } => drop(reading.portals.remove(&number)),
        }
    }
}

struct Reading<'c> {
    transaction: Transaction<'c>,
    /// The callers' statements are a few dozen, none of them made for a value.
    statements: BTreeMap<String, Statement>,
    portals: BTreeMap<u64, Portal>,
    next: u64,
}

impl Reading<'_> {
    fn begin(&mut self, sql: &str, values: &[OwnedValue]) -> Result<(u64, Rows)> {
        let known = self.statements.get(sql).cloned();
        let statement = if let Some(statement) = known {
            statement
        } else {
            let prepared = self.transaction.prepare(&in_dialect(sql));
            let prepared = prepared.map_err(sort_error)?;
            self.statements.insert(sql.to_owned(), prepared.clone());
            prepared
        };
        let bound: Vec<_> = values.iter().map(Bound).collect();
        let bound: Vec<_> = bound
            .iter()
            .map(|value| value as &(dyn ToSql + Sync))
            .collect();
        let portal = self
            .transaction
            .bind(&statement, &bound)
            .map_err(sort_error)?;
        let number = self.next;
        self.next += 1;
        self.portals.insert(number, portal);
        Ok((number, self.fetch(number)?))
    }

    fn fetch(&mut self, number: u64) -> Result<Rows> {
        let Some(portal) = self.portals.get(&number) else {
            return Ok(Vec::new());
        };
        let rows = self
            .transaction
            .query_portal(portal, ROWS_AT_ONCE)
            .map_err(sort_error)?;
        rows.iter().map(cells_of).collect()
    }
}

fn cells_of(row: &postgres::Row) -> Result<Vec<OwnedValue>> {
    (0..row.len())
        .map(|column| {
            let cell: Cell = row.try_get(column).map_err(|error| SqlError::Column {
                column,
                message: match error.source() {
                    Some(cause) => cause.to_string(),
                    None => error.to_string(),
                },
            })?;
            Ok(cell.0)
        })
        .collect()
}

/// The columns of a row that was fetched.
struct Cells<'r>(&'r [OwnedValue]);

impl Columns for Cells<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn column(&self, column: usize) -> Result<Value<'_>> {
        let cell = self.0.get(column).ok_or_else(|| SqlError::Column {
            column,
            message: format!("the row has {} columns", self.0.len()),
        })?;
        Ok(cell.to_value())
    }
}

/// A value of a statement. A text stands for a number where the column holds numbers, as it does in SQLite.
#[derive(Debug)]
struct Bound<'v>(&'v OwnedValue);

impl ToSql for Bound<'_> {
    fn to_sql(&self, wanted: &Type, out: &mut BytesMut) -> Result<IsNull, Fault> {
        let put_integer = |number: i64, out: &mut BytesMut| -> Result<(), Fault> {
            match *wanted {
                Type::INT8 => out.put_i64(number),
                Type::INT4 => out.put_i32(number.try_into()?),
                Type::INT2 => out.put_i16(number.try_into()?),
                _ => return Err(unfit(wanted)),
            }
            Ok(())
        };
        let is_text = matches!(
            *wanted,
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN
        );
        match self.0 {
            OwnedValue::Null => return Ok(IsNull::Yes),
            OwnedValue::Integer(number) if is_text => out.put_slice(number.to_string().as_bytes()),
            OwnedValue::Integer(number) => put_integer(*number, out)?,
            OwnedValue::Real(number) if *wanted == Type::FLOAT8 => out.put_f64(*number),
            OwnedValue::Text(text) if is_text => out.put_slice(text.as_bytes()),
            OwnedValue::Text(text) => put_integer(text.parse()?, out)?,
            OwnedValue::Real(_) | OwnedValue::Blob(_) => return Err(unfit(wanted)),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

type Fault = Box<dyn Error + Sync + Send>;

fn unfit(wanted: &Type) -> Fault {
    format!("the statement has {wanted} there").into()
}

/// What a column holds, as it came: texts as they are, whatever a store means by some of them.
struct Cell(OwnedValue);

impl FromSql<'_> for Cell {
    fn from_sql(kind: &Type, raw: &[u8]) -> Result<Self, Fault> {
        let text = |raw: &[u8]| -> Result<OwnedValue, Fault> {
            Ok(OwnedValue::Text(std::str::from_utf8(raw)?.to_owned()))
        };
        Ok(Self(match *kind {
            Type::INT8 => OwnedValue::Integer(i64::from_be_bytes(raw.try_into()?)),
            Type::INT4 | Type::OID => {
                OwnedValue::Integer(i32::from_be_bytes(raw.try_into()?).into())
            }
            Type::INT2 => OwnedValue::Integer(i16::from_be_bytes(raw.try_into()?).into()),
            Type::BOOL => OwnedValue::Integer(raw.first().is_some_and(|byte| *byte != 0).into()),
            Type::FLOAT8 => OwnedValue::Real(f64::from_be_bytes(raw.try_into()?)),
            Type::FLOAT4 => OwnedValue::Real(f32::from_be_bytes(raw.try_into()?).into()),
            Type::BYTEA => OwnedValue::Blob(raw.to_owned()),
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::JSON => {
                text(raw)?
            }
            // A byte for the version of the form, which is a text.
            Type::JSONB => text(raw.get(1..).unwrap_or_default())?,
            _ => return Err(format!("a column of {kind} cannot be read").into()),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Fault> {
        Ok(Self(OwnedValue::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
