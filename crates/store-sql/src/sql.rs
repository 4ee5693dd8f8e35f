//! A connection to a database, as this room sees it: statements go in, rows come out.
//!
//! Statements name their values `?1`, `?2`, and so on. What a database has no word for is not used: columns hold whole
//! numbers, floating-point numbers, texts and bytes, and truth is 0 or 1.

use std::ops::ControlFlow;

use crate::several::AddRows;

/// How the database fails, sorted by what a caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// Somebody else holds it for too long.
    #[error("the database is locked")]
    Busy,
    /// There is no space left.
    #[error("the disk is full")]
    DiskFull,
    /// It may only be read.
    #[error("the database can only be read")]
    ReadOnly,
    /// A text is longer than an index of the database takes.
    #[error("{message}")]
    TooLong {
        /// What the database says.
        message: String,
    },
    /// What is stored is not what was written.
    #[error("{message}")]
    Damaged {
        /// What is wrong with it.
        message: String,
    },
    /// A column does not hold what it should.
    #[error("column {column}: {message}")]
    Column {
        /// Its place in the row, from 0.
        column: usize,
        /// What is wrong with it.
        message: String,
    },
    /// Anything else.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

/// What a database says to a statement.
pub type Result<T, E = SqlError> = std::result::Result<T, E>;

/// Which words a database has where they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

impl Dialect {
    /// The database, as OpenTelemetry's semantic conventions call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgresql",
        }
    }
}

/// A connection, inside a transaction where one is needed.
pub trait Connection {
    /// Which words the database has.
    fn dialect(&self) -> Dialect;

    /// Runs a statement that changes rows; tells how many.
    fn execute(&self, sql: &str, values: &[&dyn ToValue]) -> Result<usize>;

    /// Runs a statement that changes rows, of which nothing more is asked. It may be on its way when this returns: what it
    /// fails with is told by a later call then, at the latest by the one that ends the transaction.
    fn send(&self, sql: &str, values: &[&dyn ToValue]) -> Result<()> {
        // Some give a row back, which nobody looks at.
        self.query(sql, values, &mut |_| Ok(ControlFlow::Continue(())))
    }

    /// As `send`, of the values of rows, one row after the other, no two of which have the same key. Rows of one statement
    /// may wait for more of it, while rows of others are added: no two statements may be about one table.
    fn send_rows(&self, statement: &'static AddRows, values: &[&dyn ToValue]) -> Result<()> {
        statement.in_counts(values, |text, values| self.send(text, values))
    }

    /// Asks for rows that are needed later only. What is changed after this is not in them.
    fn ask(&self, sql: &str, values: &[&dyn ToValue]) -> Result<Asked<'_>> {
        let mut rows = Vec::new();
        self.query(sql, values, &mut |row| {
            rows.push(OwnedRow::of(row)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Asked(Box::new(|| Ok(rows))))
    }

    /// Runs a statement that gives rows, until they end or the reader breaks off.
    ///
    /// The reader may use the connection.
    fn query(
        &self,
        sql: &str,
        values: &[&dyn ToValue],
        reader: &mut dyn FnMut(&Row<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()>;
}

/// Rows that were asked for, and may be on their way.
pub struct Asked<'c>(Box<dyn FnOnce() -> Result<Vec<OwnedRow>> + 'c>);

impl<'c> Asked<'c> {
    /// Those that this waits for.
    pub fn new(wait: impl FnOnce() -> Result<Vec<OwnedRow>> + 'c) -> Self {
        Self(Box::new(wait))
    }

    /// Waits for them, and reads them all.
    pub fn list<T, C: FromIterator<T>>(
        self,
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<C> {
        let rows = (self.0)()?;
        rows.iter().map(|row| read(&Row::new(row))).collect()
    }

    /// Waits for them, and reads the first, where there is one.
    pub fn find<T>(self, read: impl FnOnce(&Row<'_>) -> Result<T>) -> Result<Option<T>> {
        let rows = (self.0)()?;
        rows.first().map(|row| read(&Row::new(row))).transpose()
    }
}

/// A row that outlives the statement that gave it.
#[derive(Debug)]
pub struct OwnedRow(Vec<OwnedValue>);

impl OwnedRow {
    /// Keeps a row.
    pub fn of(row: &Row<'_>) -> Result<Self> {
        let columns = 0..row.0.count();
        let values = columns.map(|column| row.get_ref(column).map(OwnedValue::of));
        values.collect::<Result<_>>().map(Self)
    }
}

impl Columns for OwnedRow {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn column(&self, column: usize) -> Result<Value<'_>> {
        match self.0.get(column) {
            Some(value) => Ok(value.to_value()),
            None => Err(SqlError::Column {
                column,
                message: format!("the row has {} columns", self.0.len()),
            }),
        }
    }
}

impl dyn Connection + '_ {
    /// The first row, where there is one.
    pub fn find<T>(
        &self,
        sql: &str,
        values: impl Values,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let (mut read, mut found) = (Some(read), None);
        values.with(|values| {
            self.query(sql, values, &mut |row| {
                if let Some(read) = read.take() {
                    found = Some(read(row)?);
                }
                Ok(ControlFlow::Break(()))
            })
        })?;
        Ok(found)
    }

    /// All rows, collected.
    pub fn list<T, C: FromIterator<T>>(
        &self,
        sql: &str,
        values: impl Values,
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<C> {
        let mut rows = Vec::new();
        values.with(|values| {
            self.query(sql, values, &mut |row| {
                rows.push(read(row)?);
                Ok(ControlFlow::Continue(()))
            })
        })?;
        Ok(rows.into_iter().collect())
    }

    /// Reads all rows, one after the other.
    pub fn query_all(
        &self,
        sql: &str,
        values: impl Values,
        mut read: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        values.with(|values| {
            self.query(sql, values, &mut |row| {
                read(row)?;
                Ok(ControlFlow::Continue(()))
            })
        })
    }

    /// As `send`, of values of any kind.
    pub fn send_change(&self, sql: &str, values: impl Values) -> Result<()> {
        values.with(|values| self.send(sql, values))
    }

    /// Runs a statement that changes rows; tells how many.
    pub fn change(&self, sql: &str, values: impl Values) -> Result<usize> {
        values.with(|values| self.execute(sql, values))
    }
}

/// What a column holds, or a statement is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'v> {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// A text.
    Text(&'v str),
    /// Bytes.
    Blob(&'v [u8]),
}

impl Value<'_> {
    const fn noun(self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Integer(_) => "a whole number",
            Self::Real(_) => "a floating-point number",
            Self::Text(_) => "a text",
            Self::Blob(_) => "bytes",
        }
    }
}

/// A value that outlives what it was made from.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnedValue {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl OwnedValue {
    /// Keeps a value.
    pub fn of(value: Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Integer(number) => Self::Integer(number),
            Value::Real(number) => Self::Real(number),
            Value::Text(text) => Self::Text(text.to_owned()),
            Value::Blob(bytes) => Self::Blob(bytes.to_owned()),
        }
    }
}

/// The columns of a row.
pub trait Columns {
    /// How many there are.
    fn count(&self) -> usize;

    /// What stands in a column, from 0.
    fn column(&self, column: usize) -> Result<Value<'_>>;
}

/// A row that a statement gave.
pub struct Row<'r>(&'r dyn Columns);

impl<'r> Row<'r> {
    /// The row of these columns.
    pub fn new(columns: &'r dyn Columns) -> Self {
        Self(columns)
    }

    /// What stands in a column, as it is.
    pub fn get_ref(&self, column: usize) -> Result<Value<'_>> {
        self.0.column(column)
    }

    /// What stands in a column, as what it is read as.
    pub fn get<T: FromValue>(&self, column: usize) -> Result<T> {
        let value = self.0.column(column)?;
        T::from_value(value).ok_or_else(|| SqlError::Column {
            column,
            message: format!("{} was not expected there", value.noun()),
        })
    }

    /// The text of a column.
    pub fn text(&self, column: usize) -> Result<&str> {
        match self.0.column(column)? {
            Value::Text(text) => Ok(text),
            other => Err(SqlError::Column {
                column,
                message: format!("{} was not expected there", other.noun()),
            }),
        }
    }
}

/// What a column can be read as; none where it holds something else.
pub trait FromValue: Sized {
    /// Reads it.
    fn from_value(value: Value<'_>) -> Option<Self>;
}

impl FromValue for i64 {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Integer(number) => Some(number),
            _ => None,
        }
    }
}

impl FromValue for u32 {
    fn from_value(value: Value<'_>) -> Option<Self> {
        i64::from_value(value)?.try_into().ok()
    }
}

impl FromValue for bool {
    fn from_value(value: Value<'_>) -> Option<Self> {
        i64::from_value(value).map(|number| number != 0)
    }
}

impl FromValue for f64 {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Real(number) => Some(number),
            Value::Integer(number) => Some(number as f64),
            _ => None,
        }
    }
}

impl FromValue for String {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.to_owned()),
            _ => None,
        }
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Blob(bytes) => Some(bytes.to_owned()),
            _ => None,
        }
    }
}

impl<const LENGTH: usize> FromValue for [u8; LENGTH] {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Blob(bytes) => bytes.try_into().ok(),
            _ => None,
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

/// What a statement can be given.
pub trait ToValue {
    /// As the value of a column.
    fn to_value(&self) -> Value<'_>;
}

impl ToValue for Value<'_> {
    fn to_value(&self) -> Value<'_> {
        *self
    }
}

impl ToValue for OwnedValue {
    fn to_value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Integer(number) => Value::Integer(*number),
            Self::Real(number) => Value::Real(*number),
            Self::Text(text) => Value::Text(text),
            Self::Blob(bytes) => Value::Blob(bytes),
        }
    }
}

impl ToValue for i64 {
    fn to_value(&self) -> Value<'_> {
        Value::Integer(*self)
    }
}

impl ToValue for u32 {
    fn to_value(&self) -> Value<'_> {
        Value::Integer(i64::from(*self))
    }
}

impl ToValue for bool {
    fn to_value(&self) -> Value<'_> {
        Value::Integer(i64::from(*self))
    }
}

impl ToValue for f64 {
    fn to_value(&self) -> Value<'_> {
        Value::Real(*self)
    }
}

impl ToValue for str {
    fn to_value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl ToValue for String {
    fn to_value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl ToValue for [u8] {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl ToValue for Vec<u8> {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl<const LENGTH: usize> ToValue for [u8; LENGTH] {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value<'_> {
        (**self).to_value()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

/// The values of a statement, in the order of their numbers.
pub trait Values {
    /// Lends them.
    fn with<R>(self, take: impl FnOnce(&[&dyn ToValue]) -> R) -> R;
}

impl Values for &[&dyn ToValue] {
    fn with<R>(self, take: impl FnOnce(&[&dyn ToValue]) -> R) -> R {
        take(self)
    }
}

impl<T: ToValue, const LENGTH: usize> Values for [T; LENGTH] {
    fn with<R>(self, take: impl FnOnce(&[&dyn ToValue]) -> R) -> R {
        take(&self.each_ref().map(|value| value as &dyn ToValue))
    }
}

impl Values for &[OwnedValue] {
    fn with<R>(self, take: impl FnOnce(&[&dyn ToValue]) -> R) -> R {
        let values: Vec<_> = self.iter().map(|value| value as &dyn ToValue).collect();
        take(&values)
    }
}

/// Values of different types, for one statement.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        &[$(&$value as &dyn $crate::sql::ToValue),*] as &[&dyn $crate::sql::ToValue]
    };
}
