//! Walks through the rows that are searched, in an order that an index has, as SQL.
//!
//! Each field of an order has a walk of its own: the next one goes through rows that have one value of those before it,
//! and the last one goes by time, newest first, as the ties of every order do.

use entities::{Field, OrderBy};
use store::{StoreError, View};

use super::columns::{self, KeyedTable};
use super::few::{Few, Rows};
use super::places::Stretch;
use super::{Compiler, Subject};
use crate::sql::{Dialect, OwnedValue};

/// What is walked, and how it is restricted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Walk {
    /// The time of the rows themselves.
    Time { is_ascending: bool },
    /// The values of a key, some of which may be no number.
    Key {
        field: Field,
        is_ascending: bool,
        has_nan: bool,
    },
}

impl Walk {
    /// Whether it comes by a stretch, at a value or at its start.
    pub(super) const fn has(&self, stretch: Stretch, value: Option<&OwnedValue>) -> bool {
        matches!(
            (self, stretch, value),
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

    const fn is_ascending(&self) -> bool {
        match self {
            Self::Time { is_ascending } | Self::Key { is_ascending, .. } => *is_ascending,
        }
    }

    /// Whether an index holds only the beginnings of what is walked.
    const fn is_by_beginning(&self, dialect: Dialect) -> bool {
        matches!(dialect, Dialect::Postgres) && matches!(self, Self::Key { has_nan: false, .. })
    }

    /// What an index holds of a value.
    pub(super) fn indexed(&self, dialect: Dialect, value: &OwnedValue) -> OwnedValue {
        match value {
            OwnedValue::Text(text) if self.is_by_beginning(dialect) => {
                OwnedValue::Text(text.chars().take(BEGINNING_LENGTH).collect())
            }
            whole => whole.clone(),
        }
    }

    /// Whether what an index holds is the value itself.
    pub(super) fn is_whole(&self, dialect: Dialect, indexed: &OwnedValue) -> bool {
        match indexed {
            OwnedValue::Text(text) if self.is_by_beginning(dialect) => {
                text.chars().count() < BEGINNING_LENGTH
            }
            _ => true,
        }
    }
}

/// So many characters of a text are in an index of PostgreSQL, whose entries cannot be long.
pub(super) const BEGINNING_LENGTH: usize = 256;

/// A value at which a part of a walk begins or ends.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bound {
    pub(super) value: OwnedValue,
    pub(super) is_included: bool,
}

/// A part of a stretch of values, in the direction of the walk.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Part {
    pub(super) from: Option<Bound>,
    /// Of what the index holds.
    pub(super) until: Option<Bound>,
}

/// Rows that a walk has in one place; the next walk goes through them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    pub(super) field: Field,
    pub(super) stretch: Stretch,
    /// Of rows that have one.
    pub(super) value: Option<OwnedValue>,
}

/// The table of a subject that is walked.
pub(super) struct WalkedTable {
    pub(super) table: &'static str,
    pub(super) number: &'static str,
    pub(super) time: &'static str,
    /// Those that a condition or an order may name.
    columns: &'static str,
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
            columns: "number, id, experiment, name, \"user\", status, started_at, ended_at, lifecycle, artifact_uri",
            time_field: "start_time",
        }),
        Subject::Traces => Some(WalkedTable {
            table: "trace",
            number: "trace.number",
            time: "trace.requested_at",
            columns: "number, id, experiment, requested_at, duration_ms, state, client_request_id",
            time_field: "timestamp_ms",
        }),
        _ => None,
    }
}

/// The walks that an order takes, one inside of the other; none where no index has its first field.
pub(super) fn find_walks(
    subject: Subject,
    experiment_count: usize,
    view: View,
    orders: &[OrderBy],
) -> Vec<Walk> {
    let Some(table) = walked_table(subject) else {
        return Vec::new();
    };
    let has_time = match subject {
        Subject::Runs => view != View::All,
        _ => experiment_count == 1,
    };
    let newest_first = OrderBy {
        field: Field::Attribute(table.time_field.to_owned()),
        is_ascending: false,
    };
    let mut walks = Vec::new();
    for order in orders.iter().chain([&newest_first]) {
        let OrderBy {
            field,
            is_ascending,
        } = order;
        let is_ascending = *is_ascending;
        let key = |has_nan| Walk::Key {
            field: field.clone(),
            is_ascending,
            has_nan,
        };
        match field {
            Field::Attribute(name) if name == table.time_field && has_time => {
                walks.push(Walk::Time { is_ascending });
                break;
            }
            Field::Metric(_) if subject == Subject::Runs => walks.push(key(true)),
            Field::Param(_) if subject == Subject::Runs => walks.push(key(false)),
            Field::Tag(_) => walks.push(key(false)),
            _ => break,
        }
    }
    walks
}

/// What one statement of a walk looks at.
pub(super) struct Step<'s> {
    /// How many fields of the order are before it.
    pub(super) depth: usize,
    pub(super) walk: &'s Walk,
    pub(super) stretch: Stretch,
    pub(super) part: &'s Part,
    pub(super) groups: &'s [Group],
    /// Only these, where they are known.
    pub(super) among: Option<&'s Few>,
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
        // Looked up first: as one more condition it would be asked of each row of an index that has the order.
        let mut from = format!("SELECT {} FROM {}", table.number, self.candidates(few));
        from += &self.look_up(&table, "candidate.owner");
        self.from = Some(from);
        self.asked_row = Some("candidate.owner".to_owned());
    }

    /// Joins a row of the subject by its number.
    fn look_up(&mut self, table: &WalkedTable, number: &str) -> String {
        match self.dialect {
            Dialect::Sqlite => {
                self.conditions.push(format!("{} = {number}", table.number));
                format!(" CROSS JOIN {}", table.table)
            }
            Dialect::Postgres => format!(
                " CROSS JOIN LATERAL (SELECT {} FROM {table} WHERE number = {number}{}) AS {table}",
                table.columns,
                self.alone(),
                table = table.table,
            ),
        }
    }

    /// Joins the row of a candidate that has a key.
    fn look_up_key(&mut self, rows: &KeyedTable, key: &str) -> String {
        let KeyedTable {
            table,
            owner_column,
            ..
        } = rows;
        let fits = |walked: &str| {
            format!("{walked}{owner_column} = candidate.owner AND {walked}key = {key}")
        };
        match self.dialect {
            Dialect::Sqlite => {
                self.conditions.push(fits("walked."));
                format!(" CROSS JOIN {table} AS walked")
            }
            Dialect::Postgres => format!(
                " CROSS JOIN LATERAL (SELECT {owner_column}, {} FROM {table} WHERE {}{}) AS walked",
                rows.values,
                fits(""),
                self.alone(),
            ),
        }
    }

    fn candidates(&mut self, few: &Few) -> String {
        let value = self.bind(few.value());
        Few::table(self.dialect, &value)
    }

    /// Begins with a step of a walk; what gives the value that is walked is the second column.
    pub(super) fn begin_with_step(
        &mut self,
        step: &Step<'_>,
        orders: &[OrderBy],
    ) -> Result<(), StoreError> {
        let Some(table) = walked_table(self.subject) else {
            return Ok(());
        };
        self.asks_each_row = true;
        let mut from = String::new();
        if let Some(few) = step.among {
            from = self.candidates(few);
            self.asked_row = Some("candidate.owner".to_owned());
        }
        let value = match (step.walk, step.stretch) {
            (Walk::Time { .. }, _) => {
                self.walk_by(table.time, step.walk, step.part);
                table.time
            }
            (Walk::Key { field, .. }, Stretch::Missing) => {
                self.add_missing(field);
                "0"
            }
            (Walk::Key { field, has_nan, .. }, stretch) => {
                let (rows, key) = self.get_keyed(field);
                let key = self.bind_text(&key);
                if step.among.is_some() {
                    from += &self.look_up_key(&rows, &key);
                } else {
                    from = format!("{} AS walked", rows.table);
                    self.conditions.push(format!("walked.key = {key}"));
                    // Asked before the row itself is looked up.
                    self.asked_row = Some(format!("walked.{}", rows.owner_column));
                }
                if *has_nan {
                    let is_nan = i32::from(stretch == Stretch::NotANumber);
                    self.conditions.push(format!("walked.is_nan = {is_nan}"));
                }
                if stretch == Stretch::Values {
                    self.walk_by("walked.value", step.walk, step.part);
                }
                "walked.value"
            }
        };
        match self.asked_row.clone() {
            Some(number) => from += &self.look_up(&table, &number),
            None => table.table.clone_into(&mut from),
        }
        self.from = Some(format!("SELECT {}, {value} FROM {from}", table.number));
        for group in step.groups {
            self.add_group(group);
        }
        self.add_orders(orders.get(step.depth + 1..).unwrap_or_default())
    }

    fn get_keyed(&self, field: &Field) -> (KeyedTable, String) {
        self.keyed(field)
            .expect("only what has a table of keys is walked by them")
    }

    /// The row that is asked for what it has.
    fn asked(&self, rows: &KeyedTable) -> String {
        self.asked_row
            .clone()
            .unwrap_or_else(|| rows.owner.to_owned())
    }

    fn add_missing(&mut self, field: &Field) {
        let (rows, key) = self.get_keyed(field);
        let (asked, key) = (self.asked(&rows), self.bind_text(&key));
        self.conditions.push(format!(
            "NOT EXISTS (SELECT 1 FROM {} AS absent WHERE absent.{} = {asked} AND absent.key = {key}{})",
            rows.table,
            rows.owner_column,
            self.alone(),
        ));
    }

    /// Asks each row whether it belongs to a group.
    fn add_group(&mut self, group: &Group) {
        if group.stretch == Stretch::Missing {
            self.add_missing(&group.field);
            return;
        }
        let (rows, key) = self.get_keyed(&group.field);
        let (asked, key) = (self.asked(&rows), self.bind_text(&key));
        let fits = self.fits_group(group);
        let row = format!(
            "{} WHERE {} = {asked} AND key = {key}",
            rows.table, rows.owner_column
        );
        let fits = self.row_fits(rows.values, &row, &fits);
        self.conditions.push(fits);
    }

    fn fits_group(&mut self, group: &Group) -> String {
        match &group.value {
            None => "is_nan = 1".to_owned(),
            Some(value) => {
                let is_text = matches!(value, OwnedValue::Text(_));
                let value = self.bind(value.clone());
                match (is_text, self.dialect) {
                    (true, Dialect::Sqlite) => format!("value = {value}"),
                    (true, Dialect::Postgres) => {
                        format!("left(value, {BEGINNING_LENGTH}) = {value} AND value = {value}")
                    }
                    (false, _) => {
                        format!("is_nan = 0 AND value = CAST({value} AS DOUBLE PRECISION)")
                    }
                }
            }
        }
    }

    /// The rows of a group, by the index; none of those that miss a key.
    pub(super) fn rows_of_group(mut self, group: &Group) -> Option<Rows> {
        if group.stretch == Stretch::Missing {
            return None;
        }
        let (rows, key) = self.keyed(&group.field)?;
        let key = self.bind_text(&key);
        let fits = self.fits_group(group);
        let sql = format!(
            "SELECT {} AS owner FROM {} WHERE key = {key} AND {fits}",
            rows.owner_column, rows.table,
        );
        Some((sql, self.values))
    }

    /// What the index holds so many entries on, from the beginning of a part of the stretch of values.
    pub(super) fn probe(mut self, walk: &Walk, from: Option<&Bound>, entries: usize) -> Rows {
        let (table, column) = match walk {
            Walk::Time { .. } => match walked_table(self.subject) {
                Some(table) => (table.table, table.time),
                None => ("", ""),
            },
            Walk::Key { field, has_nan, .. } => {
                let (rows, key) = self.get_keyed(field);
                let key = self.bind_text(&key);
                self.conditions.push(format!("key = {key}"));
                if *has_nan {
                    self.conditions.push("is_nan = 0".to_owned());
                }
                (rows.table, "value")
            }
        };
        let indexed = indexed_column(column, walk, self.dialect);
        if let Some(bound) = from {
            self.add_bound(&indexed, walk, bound, true);
        }
        let direction = direction_sql(walk);
        let entries = self.bind(OwnedValue::Integer(entries as i64));
        let sql = format!(
            "SELECT {indexed} FROM {table} WHERE {} ORDER BY {indexed} {direction} LIMIT 1 OFFSET {entries}",
            self.conditions.join(" AND "),
        );
        (sql, self.values)
    }

    fn walk_by(&mut self, column: &str, walk: &Walk, part: &Part) {
        let direction = direction_sql(walk);
        let indexed = indexed_column(column, walk, self.dialect);
        if walk.is_by_beginning(self.dialect) {
            self.orders.push(format!("{indexed} {direction}"));
        }
        if let Some(from) = &part.from {
            if walk.is_by_beginning(self.dialect) {
                let beginning = Bound {
                    value: walk.indexed(self.dialect, &from.value),
                    ..from.clone()
                };
                self.add_bound(&indexed, walk, &beginning, true);
            }
            self.add_bound(column, walk, from, true);
        }
        if let Some(until) = &part.until {
            self.add_bound(&indexed, walk, until, false);
        }
        self.orders.push(format!("{column} {direction}"));
    }

    fn add_bound(&mut self, column: &str, walk: &Walk, bound: &Bound, is_from: bool) {
        let operator = match (walk.is_ascending() == is_from, bound.is_included) {
            (true, true) => ">=",
            (true, false) => ">",
            (false, true) => "<=",
            (false, false) => "<",
        };
        let value = self.bind(bound.value.clone());
        self.conditions.push(format!("{column} {operator} {value}"));
    }
}

const fn direction_sql(walk: &Walk) -> &'static str {
    if walk.is_ascending() { "ASC" } else { "DESC" }
}

fn indexed_column(column: &str, walk: &Walk, dialect: Dialect) -> String {
    if walk.is_by_beginning(dialect) {
        format!("left({column}, {BEGINNING_LENGTH})")
    } else {
        column.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(field: Field) -> OrderBy {
        OrderBy {
            field,
            is_ascending: true,
        }
    }

    #[test]
    fn an_order_is_walked_as_far_as_indexes_have_it() {
        let metric = || order(Field::Metric("m".to_owned()));
        let param = || order(Field::Param("p".to_owned()));
        let attribute = |name: &str| order(Field::Attribute(name.to_owned()));
        let count = |orders: &[OrderBy], view| find_walks(Subject::Runs, 1, view, orders).len();
        assert_eq!(count(&[], View::Active), 1);
        assert_eq!(count(&[], View::All), 0);
        assert_eq!(count(&[metric(), param()], View::Active), 3);
        assert_eq!(count(&[metric(), param()], View::All), 2);
        assert_eq!(count(&[attribute("start_time"), param()], View::Active), 1);
        assert_eq!(count(&[param(), attribute("run_id")], View::Active), 1);
        assert_eq!(count(&[attribute("run_id")], View::Active), 0);
        let traces = |count| find_walks(Subject::Traces, count, View::All, &[]).len();
        assert_eq!((traces(1), traces(2)), (1, 0));
    }
}
