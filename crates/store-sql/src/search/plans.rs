//! How a page of a search is found, so that its cost does not grow with all that there is.
//!
//! - What conditions on keys find, one by one or together, is few, or it is not: their indexes tell within some thousand
//!   entries. Where it is few, these are looked at and put in order, whatever else there is.
//! - Where nothing is few, and the first field of the order has an index, that index is walked from where the last page
//!   ended, and each row is asked whether it fits, until the page is full.
//! - Else everything that fits is put in order, and the page is cut out.
//!
//! All three give one order, so that a page may be found in another way than the one before it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use entities::{Field, OrderBy};
use store::{StoreError, View};

use super::columns::{self, KeyedTable};
use super::{Compiler, Subject};
use crate::fault::database_fault;
use crate::params;
use crate::sql::{Connection, Dialect, OwnedValue, Value};

/// So many are few: they are read and put in order in some milliseconds.
pub(super) const FEW: usize = 2_000;

/// So many are read of each of several conditions, to see how few fit them all.
pub(super) const MANY: usize = 20_000;

/// How many rows a statement names; a list is filled up to the next of these.
const NAMED_COUNTS: [usize; 2] = [100, FEW];

/// What is walked, and how it is restricted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Walk {
    /// The time of the rows themselves.
    Time { is_ascending: bool },
    /// The values of a key, some of which may be no number.
    Key { is_ascending: bool, has_nan: bool },
}

impl Walk {
    /// Whether it comes by a place.
    pub(super) const fn has(&self, place: &Place) -> bool {
        matches!(
            (self, place.stretch, place.value.as_ref()),
            (
                Self::Time { .. },
                Stretch::Values,
                None | Some(OwnedValue::Integer(_))
            ) | (
                Self::Key { has_nan: true, .. },
                Stretch::Values,
                None | Some(OwnedValue::Real(_))
            ) | (
                Self::Key { has_nan: false, .. },
                Stretch::Values,
                None | Some(OwnedValue::Text(_))
            ) | (Self::Key { has_nan: true, .. }, Stretch::NotANumber, None)
                | (Self::Key { .. }, Stretch::Missing, None)
        )
    }

    /// What is walked after a stretch.
    pub(super) const fn stretch_after(&self, stretch: Stretch) -> Option<Stretch> {
        match (self, stretch) {
            (Self::Key { has_nan: true, .. }, Stretch::Values) => Some(Stretch::NotANumber),
            (Self::Key { .. }, Stretch::Values | Stretch::NotANumber) => Some(Stretch::Missing),
            (Self::Time { .. }, _) | (_, Stretch::Missing) => None,
        }
    }
}

/// A part of a walk: they come one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stretch {
    /// Rows with a value, by it.
    Values,
    /// Rows whose value is no number.
    NotANumber,
    /// Rows without the key.
    Missing,
}

impl Stretch {
    const ALL: [Self; 3] = [Self::Values, Self::NotANumber, Self::Missing];

    const fn letter(self) -> char {
        match self {
            Self::Values => 'v',
            Self::NotANumber => 'n',
            Self::Missing => 'm',
        }
    }

    fn of(letter: char) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|stretch| stretch.letter() == letter)
    }
}

/// Where a walk goes on: in which stretch, from which value on, and past how many rows that have it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) stretch: Stretch,
    pub(super) value: Option<OwnedValue>,
    pub(super) skipped: usize,
}

impl Place {
    pub(super) const fn start(stretch: Stretch) -> Self {
        Self {
            stretch,
            value: None,
            skipped: 0,
        }
    }

    /// Goes past a row with this value.
    pub(super) fn pass(&mut self, value: Value<'_>) {
        let value = OwnedValue::of(value);
        if self.stretch != Stretch::Values || self.value.as_ref() == Some(&value) {
            self.skipped += 1;
        } else {
            self.value = Some(value);
            self.skipped = 1;
        }
    }

    /// As a part of a page token.
    pub(super) fn encode(&self) -> String {
        let value = match &self.value {
            None | Some(OwnedValue::Null | OwnedValue::Blob(_)) => String::from("."),
            Some(OwnedValue::Integer(number)) => format!("i{number}"),
            Some(OwnedValue::Real(number)) => format!("r{:x}", number.to_bits()),
            Some(OwnedValue::Text(text)) => {
                let mut hex = String::from("t");
                for byte in text.bytes() {
                    write!(hex, "{byte:02x}").expect("writing to a text does not fail");
                }
                hex
            }
        };
        format!("{}{}_{value}", self.stretch.letter(), self.skipped)
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        let stretch = Stretch::of(text.chars().next()?)?;
        let (skipped, value) = text.get(1..)?.split_once('_')?;
        let value = match value.chars().next()? {
            '.' => None,
            'i' => Some(OwnedValue::Integer(value.get(1..)?.parse().ok()?)),
            'r' => {
                let bits = u64::from_str_radix(value.get(1..)?, 16).ok()?;
                Some(OwnedValue::Real(f64::from_bits(bits)))
            }
            't' => Some(OwnedValue::Text(from_hex(value.get(1..)?)?)),
            _ => return None,
        };
        let skipped: usize = skipped.parse().ok()?;
        i64::try_from(skipped).ok()?;
        Some(Self {
            stretch,
            value,
            skipped,
        })
    }
}

fn from_hex(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    let bytes: Option<Vec<u8>> = bytes
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    String::from_utf8(bytes?).ok()
}

/// What a subject's rows are walked by.
pub(super) struct WalkedTable {
    pub(super) table: &'static str,
    pub(super) number: &'static str,
    pub(super) time: &'static str,
    /// The attribute that the time is known as in an order.
    pub(super) time_field: &'static str,
}

/// The table of a subject that is walked; none where there are never many.
pub(super) const fn walked_table(subject: Subject) -> Option<WalkedTable> {
    match subject {
        Subject::Runs => Some(WalkedTable {
            table: "run",
            number: "run.number",
            time: "run.started_at",
            time_field: "start_time",
        }),
        Subject::Traces => Some(WalkedTable {
            table: "trace",
            number: "trace.number",
            time: "trace.requested_at",
            time_field: "timestamp_ms",
        }),
        _ => None,
    }
}

/// What an order walks, where an index has it: only of one experiment, and of rows of one lifecycle.
pub(super) fn find_walk(
    subject: Subject,
    experiment_count: usize,
    view: View,
    orders: &[OrderBy],
) -> Option<Walk> {
    let table = walked_table(subject)?;
    let is_one_index = match subject {
        Subject::Runs => view != View::All,
        _ => true,
    };
    if experiment_count != 1 || !is_one_index {
        return None;
    }
    let Some(OrderBy {
        field,
        is_ascending,
    }) = orders.first()
    else {
        return Some(Walk::Time {
            is_ascending: false,
        });
    };
    let is_ascending = *is_ascending;
    let key = |has_nan| {
        Some(Walk::Key {
            is_ascending,
            has_nan,
        })
    };
    match field {
        Field::Attribute(name) if name == table.time_field => Some(Walk::Time { is_ascending }),
        Field::Metric(_) if subject == Subject::Runs => key(true),
        Field::Param(_) if subject == Subject::Runs => key(false),
        Field::Tag(_) => key(false),
        _ => None,
    }
}

impl Compiler {
    /// The table and the key of a condition or an order.
    pub(super) fn keyed(&self, field: &Field) -> Option<(KeyedTable, String)> {
        let (table, key) = match field {
            Field::Metric(key) if self.subject == Subject::Runs => {
                (columns::metric_table(self.subject).ok()?, key)
            }
            Field::Param(key) => (columns::param_table(self.subject).ok()?, key),
            Field::Tag(key) => (columns::tag_table(self.subject), key),
            Field::Metadata(key) => (columns::metadata_table(self.subject).ok()?, key),
            _ => return None,
        };
        Some((table, key.clone()))
    }

    /// Begins with the few rows that some conditions find.
    pub(super) fn begin_with(&mut self, few: &Few) {
        let Some(table) = walked_table(self.subject) else {
            return;
        };
        self.asks_each_row = true;
        // Filled up, so that there is one statement for many lists.
        let mut owners = few.owners.clone();
        let last = owners.last().copied().unwrap_or(-1);
        let count = NAMED_COUNTS
            .into_iter()
            .find(|count| *count >= owners.len());
        owners.resize(count.unwrap_or(owners.len()), last);
        let names: Vec<_> = owners
            .into_iter()
            .map(|owner| self.bind(OwnedValue::Integer(owner)))
            .collect();
        // Looked up first: as one more condition it would be asked of each row of an index that has the order.
        self.from = Some(format!(
            "SELECT {number} FROM (SELECT {number} AS owner FROM {name} WHERE {number} IN ({})) AS candidate \
             CROSS JOIN {name}",
            names.join(", "),
            number = table.number,
            name = table.table,
        ));
        self.conditions
            .push(format!("{} = candidate.owner", table.number));
        self.asked_row = Some("candidate.owner".to_owned());
    }

    /// Begins with a stretch of a walk; what gives the value that is walked is the second column.
    pub(super) fn begin_with_walk(
        &mut self,
        walk: &Walk,
        place: &Place,
        orders: &[OrderBy],
    ) -> Result<(), StoreError> {
        let Some(table) = walked_table(self.subject) else {
            return Ok(());
        };
        match walk {
            Walk::Time { is_ascending } => {
                self.from = Some(format!(
                    "SELECT {}, {} FROM {}",
                    table.number, table.time, table.table
                ));
                self.walk_by(table.time, *is_ascending, place);
                self.add_orders(orders.get(1..).unwrap_or_default())
            }
            Walk::Key {
                is_ascending,
                has_nan,
            } => {
                let first = orders.first().expect("a key is walked for an order");
                let (keyed, key) = self
                    .keyed(&first.field)
                    .expect("only what has a table of keys is walked by them");
                let key = self.bind_text(&key);
                let KeyedTable {
                    table: rows,
                    owner,
                    owner_column,
                } = keyed;
                match place.stretch {
                    Stretch::Missing => {
                        self.from =
                            Some(format!("SELECT {}, 0 FROM {}", table.number, table.table));
                        self.conditions.push(format!(
                            "NOT EXISTS (SELECT 1 FROM {rows} AS absent \
                             WHERE absent.{owner_column} = {owner} AND absent.key = {key})"
                        ));
                    }
                    stretch => {
                        self.from = Some(format!(
                            "SELECT {}, walked.value FROM {rows} AS walked CROSS JOIN {}",
                            table.number, table.table
                        ));
                        self.conditions.push(format!("walked.key = {key}"));
                        self.conditions
                            .push(format!("{owner} = walked.{owner_column}"));
                        // Asked before the row itself is looked up.
                        self.asked_row = Some(format!("walked.{owner_column}"));
                        if *has_nan {
                            let is_nan = i32::from(stretch == Stretch::NotANumber);
                            self.conditions.push(format!("walked.is_nan = {is_nan}"));
                        }
                        if stretch == Stretch::Values {
                            self.walk_by_value(*has_nan, *is_ascending, place);
                        }
                    }
                }
                self.add_orders(&orders[1..])
            }
        }
    }

    /// Texts are walked by their beginning where an index holds no more of them.
    fn walk_by_value(&mut self, is_number: bool, is_ascending: bool, place: &Place) {
        if self.dialect == Dialect::Postgres && !is_number {
            let direction = if is_ascending { "ASC" } else { "DESC" };
            self.orders
                .push(format!("left(walked.value, 256) {direction}"));
            if let Some(OwnedValue::Text(text)) = &place.value {
                let text = self.bind_text(text);
                let operator = if is_ascending { ">=" } else { "<=" };
                self.conditions.push(format!(
                    "left(walked.value, 256) {operator} left({text}, 256)"
                ));
            }
        }
        self.walk_by("walked.value", is_ascending, place);
    }

    fn walk_by(&mut self, column: &str, is_ascending: bool, place: &Place) {
        let (direction, operator) = if is_ascending {
            ("ASC", ">=")
        } else {
            ("DESC", "<=")
        };
        if let Some(value) = &place.value {
            let value = self.bind(value.clone());
            self.conditions.push(format!("{column} {operator} {value}"));
        }
        self.orders.push(format!("{column} {direction}"));
    }
}

/// The few rows that fit some conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Few {
    /// The places of the conditions that all of them fit.
    pub(super) conditions: Vec<usize>,
    owners: Vec<i64>,
}

impl Few {
    /// So many rows that fit the first condition.
    pub(super) fn of_many(count: i64) -> Self {
        Self {
            conditions: vec![0],
            owners: (0..count).collect(),
        }
    }

    pub(super) fn fits(&self, condition: usize) -> bool {
        self.conditions.contains(&condition)
    }

    /// Those that fit both; none where these are not few.
    pub(super) fn of_all(found: Vec<Self>) -> Option<Self> {
        let both = found.into_iter().reduce(|mut both, next| {
            let others: BTreeSet<i64> = next.owners.into_iter().collect();
            both.owners.retain(|owner| others.contains(owner));
            both.conditions.extend(next.conditions);
            both
        })?;
        (both.owners.len() <= FEW).then_some(both)
    }

    /// The rows that fit a condition, by its index; none where there are more than `most`.
    pub(super) fn find(
        connection: &dyn Connection,
        condition: usize,
        (rows, values): &(String, Vec<OwnedValue>),
        most: usize,
    ) -> Result<Option<Self>, StoreError> {
        let sql = format!("SELECT owner FROM ({rows}) AS found LIMIT {}", most + 1);
        let owners: Vec<i64> = connection
            .list(&sql, values.as_slice(), |row| row.get(0))
            .map_err(database_fault("looking how much there is"))?;
        Ok((owners.len() <= most).then_some(Self {
            conditions: vec![condition],
            owners,
        }))
    }
}

/// Whether an experiment has at most some rows.
pub(super) fn is_small(
    connection: &dyn Connection,
    subject: Subject,
    experiment: &str,
) -> Result<bool, StoreError> {
    let sql = match subject {
        Subject::Runs => COUNT_RUNS,
        _ => COUNT_TRACES,
    };
    let count: Option<i64> = connection
        .find(sql, params![experiment, FEW as i64 + 1], |row| row.get(0))
        .map_err(database_fault("looking how much there is"))?;
    Ok(count.unwrap_or(0) <= FEW as i64)
}

statements! {
    COUNT_RUNS = "SELECT COUNT(*) FROM (SELECT 1 FROM run WHERE experiment = ?1 LIMIT ?2) AS counted";
    COUNT_TRACES = "SELECT COUNT(*) FROM (SELECT 1 FROM trace WHERE experiment = ?1 LIMIT ?2) AS counted";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_into_a_token_and_read_again() {
        for value in [
            None,
            Some(OwnedValue::Integer(-5)),
            Some(OwnedValue::Real(f64::NEG_INFINITY)),
            Some(OwnedValue::Real(-0.0)),
            Some(OwnedValue::Text("ä-_\0".to_owned())),
            Some(OwnedValue::Text(String::new())),
        ] {
            for stretch in Stretch::ALL {
                let place = Place {
                    stretch,
                    value: value.clone(),
                    skipped: 7,
                };
                assert_eq!(Place::decode(&place.encode()), Some(place));
            }
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "v",
            "v1",
            "x1_.",
            "v1_",
            "v_.",
            "v-1_.",
            "v1_i",
            "v1_rg",
            "v1_t0",
            "v1_tzz",
            "v1_tff",
            "ä1_.",
            "v99999999999999999999_.",
        ] {
            assert_eq!(Place::decode(text), None, "{text}");
        }
    }
}
