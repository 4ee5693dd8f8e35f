//! Conditions as SQL. What is missing fits no condition but `IS NULL`.

use std::fmt::Write as _;

use crate::sql::OwnedValue;
use entities::{Comparison, Condition, DatasetName, Field, Operator};
use store::StoreError;

use super::columns::{
    ColumnKind, KeyedTable, find_column, metadata_table, metric_table, param_table, tag_table,
};
use super::walks::BEGINNING_LENGTH;
use super::{Compiler, Subject, expressions, refuse};
use crate::sql::Dialect;

impl Compiler {
    pub(super) fn condition(&mut self, condition: &Condition) -> Result<String, StoreError> {
        let Condition { field, comparison } = condition;
        match field {
            Field::Attribute(name) => self.attribute_condition(name, comparison),
            Field::Metric(key) => {
                let table = metric_table(self.subject)?;
                self.keyed_condition(&table, key, comparison, Compiler::metric_condition)
            }
            Field::Param(key) => {
                let table = param_table(self.subject)?;
                self.keyed_condition(&table, key, comparison, Compiler::value_condition)
            }
            Field::Tag(key) => {
                let table = tag_table(self.subject);
                self.keyed_condition(&table, key, comparison, Compiler::value_condition)
            }
            Field::Dataset(name) => self.dataset_condition(name, comparison),
            Field::Measured { metric, datasets } => {
                self.measured_condition(metric.as_deref(), datasets, comparison)
            }
            Field::Metadata(key) => {
                let table = metadata_table(self.subject)?;
                self.keyed_condition(&table, key, comparison, Compiler::value_condition)
            }
            Field::Feedback(name) => self.assessment_condition("feedback", name, comparison),
            Field::Expectation(name) => self.assessment_condition("expectation", name, comparison),
            Field::Issue => self.issue_condition(comparison),
            Field::Prompt => self.prompt_condition(comparison),
            Field::Span(_) | Field::SpanAttribute(_) => self.span_conditions(&[condition]),
        }
    }

    fn attribute_condition(
        &mut self,
        name: &str,
        comparison: &Comparison,
    ) -> Result<String, StoreError> {
        let column = find_column(self.subject, name)?;
        if (self.subject, name) == (Subject::Traces, "run_id") {
            return self.trace_run_condition(comparison);
        }
        match (column.kind, comparison) {
            (_, Comparison::Null { is_negated }) => Ok(is_null(column.sql, *is_negated)),
            (ColumnKind::Time, Comparison::Number(operator, millis)) => {
                Ok(self.time_condition(column.sql, *operator, *millis))
            }
            (ColumnKind::Integer, Comparison::Number(operator, number)) => {
                let number = self.bind_number(*number);
                Ok(format!(
                    "{} {} {number}",
                    column.sql,
                    operator_sql(*operator)
                ))
            }
            (ColumnKind::Time | ColumnKind::Integer, _) => {
                refuse(format!("`{name}` compares with a number"))
            }
            (ColumnKind::ModelStatus, _) => {
                self.text_condition(column.sql, &without_prefix(comparison))
            }
            _ => self.text_condition(column.sql, comparison),
        }
    }

    /// A condition on the row of a key. It selects the things that have such a row, so that SQLite may begin with
    /// the index on keys and values.
    fn keyed_condition(
        &mut self,
        table: &KeyedTable,
        key: &str,
        comparison: &Comparison,
        compile: fn(&mut Self, &Comparison) -> Result<String, StoreError>,
    ) -> Result<String, StoreError> {
        if self.asks_each_row {
            return self.keyed_condition_of_each(table, key, comparison, compile);
        }
        let KeyedTable {
            table,
            owner,
            owner_column,
            ..
        } = table;
        let key = self.bind_text(key);
        let rows = format!("SELECT {owner_column} FROM {table} WHERE key = {key}");
        if let Comparison::Null { is_negated } = comparison {
            let is = if *is_negated { "IN" } else { "NOT IN" };
            return Ok(format!("{owner} {is} ({rows})"));
        }
        let condition = compile(self, comparison)?;
        Ok(format!("{owner} IN ({rows} AND {condition})"))
    }

    /// The same, asked of each row: it does not matter how many others fit.
    fn keyed_condition_of_each(
        &mut self,
        table: &KeyedTable,
        key: &str,
        comparison: &Comparison,
        compile: fn(&mut Self, &Comparison) -> Result<String, StoreError>,
    ) -> Result<String, StoreError> {
        let KeyedTable {
            table,
            owner,
            owner_column,
            values,
        } = table;
        let key = self.bind_text(key);
        let owner = self.asked_row.as_deref().unwrap_or(owner).to_owned();
        let row = format!("{table} WHERE {owner_column} = {owner} AND key = {key}");
        if let Comparison::Null { is_negated } = comparison {
            let exists = if *is_negated { "EXISTS" } else { "NOT EXISTS" };
            return Ok(format!("{exists} (SELECT 1 FROM {row}{})", self.alone()));
        }
        let condition = compile(self, comparison)?;
        Ok(self.row_fits(values, &row, &condition))
    }

    /// Asks a row that is found by its key whether it fits. PostgreSQL must not look for it among all that fit.
    pub(super) fn row_fits(&self, values: &str, row: &str, condition: &str) -> String {
        match self.dialect {
            Dialect::Sqlite => format!("EXISTS (SELECT 1 FROM {row} AND {condition})"),
            Dialect::Postgres => {
                let alone = self.alone();
                format!(
                    "EXISTS (SELECT 1 FROM (SELECT {values} FROM {row}{alone}) AS kept WHERE {condition}{alone})"
                )
            }
        }
    }

    /// Ends what is asked of one row, so that it is not asked of all rows at once: PostgreSQL would read a whole table for
    /// a thousand rows.
    pub(super) const fn alone(&self) -> &'static str {
        match self.dialect {
            Dialect::Sqlite => "",
            Dialect::Postgres => " OFFSET 0",
        }
    }

    /// The rows that fit a condition on a key, as `owner`; none for other conditions, and for what is missing.
    pub(super) fn rows_of(&mut self, condition: &Condition) -> Result<Option<String>, StoreError> {
        let Condition { field, comparison } = condition;
        let compile = match field {
            Field::Metric(_) => Compiler::metric_condition,
            _ => Compiler::value_condition,
        };
        let Some((table, key)) = self.keyed(field) else {
            return Ok(None);
        };
        if matches!(comparison, Comparison::Null { .. }) {
            return Ok(None);
        }
        let key = self.bind_text(&key);
        let rows = |condition: &str| {
            let KeyedTable {
                table,
                owner_column,
                ..
            } = table;
            format!("SELECT {owner_column} AS owner FROM {table} WHERE key = {key} AND {condition}")
        };
        if self.dialect == Dialect::Postgres && table.has_short_values() {
            if let Comparison::Text(Operator::Equal, text) = comparison
                && is_short(text)
            {
                let text = self.bind_text(text);
                return Ok(Some(rows(&format!("{SHORT} AND value = {text}"))));
            }
            // Where the beginning is given, the other index leads to those few.
            if !begins_with_text(comparison) {
                let condition = compile(self, comparison)?;
                let [short, long] =
                    [SHORT, LONG].map(|length| rows(&format!("{length} AND {condition}")));
                return Ok(Some(format!("{short} UNION ALL {long}")));
            }
        }
        let condition = compile(self, comparison)?;
        Ok(Some(rows(&condition)))
    }

    fn value_condition(&mut self, comparison: &Comparison) -> Result<String, StoreError> {
        self.text_condition("value", comparison)
    }

    fn metric_condition(&mut self, comparison: &Comparison) -> Result<String, StoreError> {
        let Comparison::Number(operator, number) = comparison else {
            return refuse("a metric compares with a number");
        };
        let number = self.bind_number(*number);
        // NaN is unequal to every number, and neither smaller nor larger.
        Ok(match operator {
            Operator::NotEqual => format!("(is_nan = 1 OR value <> {number})"),
            _ => format!("is_nan = 0 AND value {} {number}", operator_sql(*operator)),
        })
    }

    fn measured_condition(
        &mut self,
        metric: Option<&str>,
        datasets: &[DatasetName],
        comparison: &Comparison,
    ) -> Result<String, StoreError> {
        if self.subject != Subject::Models {
            return refuse("only logged models are searched by what was measured on datasets");
        }
        let measured = self.measured_on(datasets);
        let fits = match (metric, comparison) {
            (None, Comparison::Null { is_negated: true }) => "1 = 1".to_owned(),
            (Some(metric), comparison) => {
                let metric = self.bind_text(metric);
                let condition = self.metric_condition(comparison)?;
                format!("key = {metric} AND {condition}")
            }
            _ => return refuse("a metric compares with a number"),
        };
        Ok(format!(
            "model.id IN (SELECT model FROM model_metric WHERE {fits}{measured})"
        ))
    }

    fn dataset_condition(
        &mut self,
        name: &str,
        comparison: &Comparison,
    ) -> Result<String, StoreError> {
        if self.subject != Subject::Runs {
            return refuse("only runs have datasets to search by");
        }
        let (rows, column) = match name {
            "name" => ("SELECT run FROM dataset_input WHERE", "name"),
            "digest" => ("SELECT run FROM dataset_input WHERE", "digest"),
            "context" => (
                "SELECT run FROM dataset_input_tag WHERE key = 'mlflow.data.context' AND",
                "value",
            ),
            _ => {
                return refuse(format!(
                    "`{name}` is not a field of a dataset; there are name, digest and context"
                ));
            }
        };
        if let Comparison::Null { is_negated } = comparison {
            let is = if *is_negated { "IN" } else { "NOT IN" };
            return Ok(format!("run.number {is} ({rows} {column} IS NOT NULL)"));
        }
        let condition = self.text_condition(column, comparison)?;
        Ok(format!("run.number IN ({rows} {condition})"))
    }

    pub(super) fn text_condition(
        &mut self,
        column: &str,
        comparison: &Comparison,
    ) -> Result<String, StoreError> {
        Ok(match comparison {
            Comparison::Number(..) => return refuse("a text compares with a text, not a number"),
            Comparison::Null { is_negated } => is_null(column, *is_negated),
            Comparison::Text(operator, text) => {
                let text = self.bind_text(text);
                let condition = format!("{column} {} {text}", operator_sql(*operator));
                if self.dialect == Dialect::Postgres && *operator == Operator::Equal {
                    // Its indexes hold the first characters of a text, since an entry cannot be long.
                    format!("(left({column}, 256) = left({text}, 256) AND {condition})")
                } else {
                    condition
                }
            }
            Comparison::Like {
                pattern,
                ignores_case,
            } => {
                let begins = match (ignores_case, self.asks_each_row) {
                    (false, false) => self.begins_as_pattern(column, pattern),
                    _ => String::new(),
                };
                let pattern = self.bind_text(pattern);
                let ignores_case = i32::from(*ignores_case);
                format!("({begins}text_matches({column}, {pattern}, {ignores_case}))")
            }
            Comparison::Matches { pattern } => {
                if let Err(error) = regex::Regex::new(pattern) {
                    return refuse(format!("`{pattern}` is no regular expression: {error}"));
                }
                let pattern = match self.dialect {
                    Dialect::Sqlite => self.bind_text(pattern),
                    Dialect::Postgres => match expressions::in_postgres(pattern) {
                        Ok(pattern) => self.bind_text(&pattern),
                        Err(why) => return refuse(format!("`{pattern}` cannot be used: {why}")),
                    },
                };
                format!("text_fits({column}, {pattern})")
            }
            Comparison::In { values, is_negated } => {
                let names: Vec<_> = values.iter().map(|value| self.bind_text(value)).collect();
                let is = if *is_negated { "NOT IN" } else { "IN" };
                format!("{column} {is} ({})", names.join(", "))
            }
        })
    }

    /// That a text begins with what stands before the first sign of a pattern, so that an index leads to those that do.
    fn begins_as_pattern(&mut self, column: &str, pattern: &str) -> String {
        let beginning = pattern.split(['%', '_']).next().unwrap_or_default();
        let beginning: String = beginning.chars().take(CERTAIN_LENGTH).collect();
        // No index holds what a function gives, which may be in the order of the database's own language.
        if beginning.is_empty() || column.contains('(') {
            return String::new();
        }
        let indexed = match self.dialect {
            Dialect::Sqlite => column.to_owned(),
            Dialect::Postgres => format!("left({column}, {BEGINNING_LENGTH})"),
        };
        let after = first_after(&beginning);
        let from = self.bind_text(&beginning);
        let mut sql = format!("{indexed} >= {from} AND ");
        if let Some(after) = after {
            let until = self.bind_text(&after);
            write!(sql, "{indexed} < {until} AND ").expect("writing to a text does not fail");
        }
        sql
    }

    /// Compares whole milliseconds, as MLflow shows them, with a column of microseconds, so that an index serves.
    fn time_condition(&mut self, column: &str, operator: Operator, millis: f64) -> String {
        let mut micros = |millis: f64| {
            // The cast saturates, as does what a caller can mean by such a time.
            let millis = millis as i64;
            self.bind(OwnedValue::Integer(millis.saturating_mul(1000)))
        };
        let is_whole = millis.fract() == 0.0;
        match operator {
            Operator::Less => format!("{column} < {}", micros(millis.ceil())),
            Operator::LessOrEqual => format!("{column} < {}", micros(millis.floor() + 1.0)),
            Operator::Greater => format!("{column} >= {}", micros(millis.floor() + 1.0)),
            Operator::GreaterOrEqual => format!("{column} >= {}", micros(millis.ceil())),
            Operator::Equal if is_whole => {
                let (from, to) = (micros(millis), micros(millis + 1.0));
                format!("({column} >= {from} AND {column} < {to})")
            }
            Operator::NotEqual if is_whole => {
                let (from, to) = (micros(millis), micros(millis + 1.0));
                format!("({column} < {from} OR {column} >= {to})")
            }
            Operator::Equal => "1 = 0".to_owned(),
            Operator::NotEqual => format!("{column} IS NOT NULL"),
        }
    }
}

/// The values of which PostgreSQL has an index as they are, and those beside it; as its schema says it.
const SHORT: &str = "char_length(value) < 256";
const LONG: &str = "char_length(value) >= 256";

/// So many characters are certainly no more than its indexes hold: it keeps some of them as two.
const CERTAIN_LENGTH: usize = BEGINNING_LENGTH / 2;

/// Whether a value that is this text is among the short ones.
fn is_short(text: &str) -> bool {
    text.chars().count() < CERTAIN_LENGTH
}

/// Whether an index on the first characters of values leads to those that fit.
fn begins_with_text(comparison: &Comparison) -> bool {
    match comparison {
        Comparison::Text(Operator::Equal, _) => true,
        Comparison::Like {
            pattern,
            ignores_case: false,
        } => !pattern.starts_with(['%', '_']) && !pattern.is_empty(),
        _ => false,
    }
}

/// The first text after all that begin so, in the order of their bytes; none where they are the last ones.
fn first_after(beginning: &str) -> Option<String> {
    let mut kept = beginning.to_owned();
    while let Some(last) = kept.pop() {
        // A range of characters leaves out what is none.
        if let Some(next) = (last..=char::MAX).nth(1) {
            kept.push(next);
            return Some(kept);
        }
    }
    None
}

pub(super) const fn operator_sql(operator: Operator) -> &'static str {
    match operator {
        Operator::Equal => "=",
        Operator::NotEqual => "<>",
        Operator::Less => "<",
        Operator::LessOrEqual => "<=",
        Operator::Greater => ">",
        Operator::GreaterOrEqual => ">=",
    }
}

fn is_null(column: &str, is_negated: bool) -> String {
    let is = if is_negated { "IS NOT NULL" } else { "IS NULL" };
    format!("{column} {is}")
}

/// Takes MLflow's wire words off the values of a comparison.
fn without_prefix(comparison: &Comparison) -> Comparison {
    let strip = |text: &String| text.replace("LOGGED_MODEL_", "");
    match comparison {
        Comparison::Text(operator, text) => Comparison::Text(*operator, strip(text)),
        Comparison::Like {
            pattern,
            ignores_case,
        } => Comparison::Like {
            pattern: strip(pattern),
            ignores_case: *ignores_case,
        },
        Comparison::In { values, is_negated } => Comparison::In {
            values: values.iter().map(strip).collect(),
            is_negated: *is_negated,
        },
        Comparison::Number(..) | Comparison::Null { .. } | Comparison::Matches { .. } => {
            comparison.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_with_a_text_is_before_the_first_text_after_it() {
        for beginning in ["a", "ab\u{10ffff}", "\u{d7ff}", "é", "z\0"] {
            let after = first_after(beginning).unwrap();
            for rest in ["", "\0", "x", "\u{10ffff}\u{10ffff}"] {
                assert!(
                    format!("{beginning}{rest}") < after,
                    "{beginning:?}{rest:?}"
                );
            }
            assert!(!after.starts_with(beginning));
        }
        assert_eq!(first_after("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(first_after("ab\u{10ffff}").as_deref(), Some("ac"));
        assert_eq!(first_after("\u{10ffff}\u{10ffff}"), None);
    }
}
