//! The one compiler from a search to SQL. Every value is bound; every identifier comes from the tables below.

mod columns;
mod conditions;
mod every;
mod expressions;
mod few;
mod figures;
mod issues;
mod pages;
mod places;
mod reach;
mod traces;
mod walker;
mod walks;

use std::fmt::Write as _;

use crate::sql::OwnedValue;
use crate::sql::{Connection, Dialect};
use entities::{DatasetName, ExperimentId, Field, OrderBy, PROMPT_TAG, SearchQuery};
use store::{Prompts, StoreError, View};

use self::columns::{Column, ColumnKind, find_column};
use self::few::Few;
use crate::fault::database_fault;

pub use self::every::all_searches;
pub(crate) use self::figures::FigureSearch;
pub(crate) use self::issues::IssueSearch;
pub(crate) use self::pages::Search;
pub use self::reach::SearchReach;

/// What is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Runs,
    Experiments,
    Models,
    RegisteredModels(Prompts),
    ModelVersions(Prompts),
    Traces,
    Datasets,
}

/// Each order is a join, of which SQLite takes 64.
const LARGEST_ORDER_COUNT: usize = 32;

/// SQLite nests conditions that are joined by `AND`, 1000 deep at most.
const LARGEST_CONDITION_COUNT: usize = 200;

/// SQLite binds 32,766 values at most.
const LARGEST_VALUE_COUNT: usize = 32_000;

/// Counts what fits, as SQL.
pub(crate) struct Count {
    sql: String,
    values: Vec<OwnedValue>,
}

impl Count {
    /// Of what fits all of the queries.
    pub(crate) fn new(
        dialect: Dialect,
        subject: Subject,
        experiments: &[ExperimentId],
        queries: &[&SearchQuery],
    ) -> Result<Self, StoreError> {
        let mut compiler = Compiler::new(dialect, subject);
        compiler.add_scope(experiments, View::All);
        for query in queries {
            compiler.add_conditions(query, None)?;
        }
        compiler.check_values()?;
        let sql = format!("SELECT COUNT(*) FROM ({}) AS fitting", compiler.select());
        Ok(Self {
            sql,
            values: compiler.values,
        })
    }

    pub(crate) fn read(&self, connection: &dyn Connection) -> Result<u64, StoreError> {
        let count: Option<i64> = connection
            .find(&self.sql, self.values.as_slice(), |row| row.get(0))
            .map_err(database_fault("counting"))?;
        Ok(count.unwrap_or(0) as u64)
    }
}

fn refuse<T>(message: impl Into<String>) -> Result<T, StoreError> {
    Err(StoreError::Query {
        message: message.into(),
    })
}

/// Gathers the parts of a statement.
struct Compiler {
    dialect: Dialect,
    subject: Subject,
    values: Vec<OwnedValue>,
    /// What it begins with, where that is not the subject's table.
    from: Option<String>,
    /// Whether each row is asked for what it has, and not all that have it are gathered first.
    asks_each_row: bool,
    /// What names the row that is asked, where that is not the subject's own number.
    asked_row: Option<String>,
    /// Whether the time of all rows is walked, whose index some experiments must not lead away from.
    walks_by_time: bool,
    joins: String,
    conditions: Vec<String>,
    orders: Vec<String>,
}

impl Compiler {
    const fn new(dialect: Dialect, subject: Subject) -> Self {
        Self {
            dialect,
            subject,
            values: Vec::new(),
            from: None,
            asks_each_row: false,
            asked_row: None,
            walks_by_time: false,
            joins: String::new(),
            conditions: Vec::new(),
            orders: Vec::new(),
        }
    }

    fn add_orders(&mut self, orders: &[OrderBy]) -> Result<(), StoreError> {
        orders.iter().try_for_each(|order| self.add_order(order))
    }

    /// What decides between rows that are equal so far.
    fn add_ties(&mut self) {
        let ties: &[&str] = match self.subject {
            Subject::Runs => &["run.started_at DESC", "run.id"],
            Subject::Experiments => &[
                "experiment.created_at DESC",
                "length(experiment.id)",
                "experiment.id",
            ],
            Subject::Models => &["model.created_at DESC", "model.id"],
            Subject::RegisteredModels(_) => &["registered_model.name"],
            Subject::ModelVersions(_) => &["registered_model.name", "model_version.version DESC"],
            Subject::Traces => &["trace.requested_at DESC", "trace.id"],
            Subject::Datasets => &[
                "evaluation_dataset.created_at DESC",
                "evaluation_dataset.number DESC",
            ],
        };
        self.orders.extend(ties.iter().map(|&tie| tie.to_owned()));
    }

    /// All conditions of a query but those that all rows fit that the search begins with.
    fn add_conditions(&mut self, query: &SearchQuery, few: Option<&Few>) -> Result<(), StoreError> {
        if query.conditions.len() > LARGEST_CONDITION_COUNT {
            return refuse(format!(
                "a filter has at most {LARGEST_CONDITION_COUNT} conditions"
            ));
        }
        let conditions = query.conditions.iter().enumerate();
        let conditions = conditions.filter(|(place, _)| few.is_none_or(|few| !few.fits(*place)));
        let (of_spans, others): (Vec<_>, Vec<_>) = conditions
            .map(|(_, condition)| condition)
            .partition(|condition| {
                matches!(condition.field, Field::Span(_) | Field::SpanAttribute(_))
            });
        for condition in others {
            let sql = self.condition(condition)?;
            self.conditions.push(sql);
        }
        if !of_spans.is_empty() {
            let sql = self.span_conditions(&of_spans)?;
            self.conditions.push(sql);
        }
        Ok(())
    }

    fn check_values(&self) -> Result<(), StoreError> {
        if self.values.len() > LARGEST_VALUE_COUNT {
            return refuse(format!(
                "a search holds at most {LARGEST_VALUE_COUNT} values"
            ));
        }
        Ok(())
    }

    /// Selects all that fits, in no order.
    fn select(&self) -> String {
        let from = self.from.as_deref().unwrap_or(match self.subject {
            Subject::Runs => "SELECT run.number FROM run",
            Subject::Experiments => "SELECT experiment.id FROM experiment",
            Subject::Models => "SELECT model.id FROM model",
            Subject::RegisteredModels(_) => "SELECT registered_model.number FROM registered_model",
            Subject::Traces => "SELECT trace.number FROM trace",
            Subject::Datasets => "SELECT evaluation_dataset.number FROM evaluation_dataset",
            Subject::ModelVersions(_) => {
                "SELECT model_version.number FROM model_version \
                 JOIN registered_model ON registered_model.number = model_version.model"
            }
        });
        let mut sql = format!("{from}{}", self.joins);
        if !self.conditions.is_empty() {
            sql += " WHERE ";
            sql += &self.conditions.join(" AND ");
        }
        sql
    }

    fn finish(
        mut self,
        limit: usize,
        offset: usize,
    ) -> Result<(String, Vec<OwnedValue>), StoreError> {
        let limit = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
        let limit = self.bind(OwnedValue::Integer(limit));
        let offset = self.bind(OwnedValue::Integer(offset as i64));
        self.check_values()?;
        let mut sql = self.select();
        sql += " ORDER BY ";
        sql += &self.orders.join(", ");
        sql += " LIMIT ";
        sql += &limit;
        sql += " OFFSET ";
        sql += &offset;
        Ok((sql, self.values))
    }

    /// Binds a value; gives the name under which the statement knows it.
    fn bind(&mut self, value: OwnedValue) -> String {
        self.values.push(value);
        format!("?{}", self.values.len())
    }

    /// A number that may be compared with whole ones.
    fn bind_number(&mut self, number: f64) -> String {
        let name = self.bind(OwnedValue::Real(number));
        format!("CAST({name} AS DOUBLE PRECISION)")
    }

    fn bind_text(&mut self, text: &str) -> String {
        self.bind(OwnedValue::Text(text.to_owned()))
    }

    fn add_scope(&mut self, experiments: &[ExperimentId], view: View) {
        let (experiment, lifecycle) = match self.subject {
            Subject::Runs => ("run.experiment", "run.lifecycle"),
            Subject::Experiments => ("experiment.id", "experiment.lifecycle"),
            Subject::Models => ("model.experiment", ""),
            Subject::Traces => ("trace.experiment", ""),
            Subject::Datasets => return self.add_dataset_scope(experiments),
            Subject::RegisteredModels(prompts) => {
                return self.add_registry_scope("registered_model", "model", prompts);
            }
            Subject::ModelVersions(prompts) => {
                self.conditions
                    .push("model_version.is_deleted = 0".to_owned());
                return self.add_registry_scope("model_version", "model_version", prompts);
            }
        };
        if !experiments.is_empty() {
            let names: Vec<_> = experiments
                .iter()
                .map(|id| self.bind_text(id.as_str()))
                .collect();
            self.conditions.push(match names.as_slice() {
                [one] => format!("{experiment} = {one}"),
                many if self.walks_by_time => {
                    format!("({experiment} || '') IN ({})", many.join(", "))
                }
                many => format!("{experiment} IN ({})", many.join(", ")),
            });
        }
        match view {
            _ if self.subject == Subject::Models => {
                self.conditions.push("model.is_deleted = 0".to_owned());
            }
            _ if self.subject == Subject::Traces => {}
            View::Active => self.conditions.push(format!("{lifecycle} = 'active'")),
            View::Deleted => self.conditions.push(format!("{lifecycle} = 'deleted'")),
            View::All => {}
        }
    }

    /// A dataset may belong to several experiments, or to none.
    fn add_dataset_scope(&mut self, experiments: &[ExperimentId]) {
        if experiments.is_empty() {
            return;
        }
        let names: Vec<_> = experiments
            .iter()
            .map(|id| self.bind_text(id.as_str()))
            .collect();
        self.conditions.push(format!(
            "evaluation_dataset.number IN (SELECT dataset FROM evaluation_dataset_experiment \
             WHERE experiment IN ({}))",
            names.join(", ")
        ));
    }

    /// Leaves prompts out: what has the tag that makes it one.
    fn add_registry_scope(&mut self, table: &str, owner: &str, prompts: Prompts) {
        if prompts == Prompts::LeftOut {
            let key = self.bind_text(PROMPT_TAG);
            self.conditions.push(format!(
                "{table}.number NOT IN (SELECT {owner} FROM {table}_tag \
                 WHERE key = {key} AND lower(value) = 'true')"
            ));
        }
    }

    fn add_order(&mut self, order: &OrderBy) -> Result<(), StoreError> {
        let OrderBy {
            field,
            is_ascending,
        } = order;
        let direction = if *is_ascending { "ASC" } else { "DESC" };
        match field {
            Field::Attribute(name) => {
                let column = find_column(self.subject, name)?;
                self.orders.extend(order_by_column(&column, direction));
            }
            Field::Metric(key) => self.add_metric_order(key, direction)?,
            Field::Param(key) => {
                let table = columns::param_table(self.subject)?;
                self.add_text_order(&table, key, direction);
            }
            Field::Tag(key) => {
                let table = columns::tag_table(self.subject);
                self.add_text_order(&table, key, direction);
            }
            Field::Measured { metric, datasets } => {
                let Some(metric) = metric else {
                    return refuse("an order names a metric");
                };
                self.add_model_metric_order(metric, datasets, direction);
            }
            Field::Metadata(key) => {
                let table = columns::metadata_table(self.subject)?;
                self.add_text_order(&table, key, direction);
            }
            Field::Dataset(_)
            | Field::Span(_)
            | Field::SpanAttribute(_)
            | Field::Feedback(_)
            | Field::Expectation(_)
            | Field::Issue
            | Field::Prompt => {
                return refuse("an order cannot name what there may be many of");
            }
        }
        Ok(())
    }

    fn add_text_order(&mut self, table: &columns::KeyedTable, key: &str, direction: &str) {
        let alias = self.join(table, key);
        self.orders.push(format!("{alias}.value IS NULL"));
        self.orders.push(format!("{alias}.value {direction}"));
    }

    /// Numbers first, then NaN, then runs without the metric, whatever the direction.
    fn add_metric_order(&mut self, key: &str, direction: &str) -> Result<(), StoreError> {
        if self.subject == Subject::Models {
            self.add_model_metric_order(key, &[], direction);
            return Ok(());
        }
        let table = columns::metric_table(self.subject)?;
        let alias = self.join(&table, key);
        self.orders.push(format!("coalesce({alias}.is_nan, 2)"));
        self.orders.push(format!("{alias}.value {direction}"));
        Ok(())
    }

    /// By the latest point of a logged model, on any dataset or on some.
    fn add_model_metric_order(&mut self, key: &str, datasets: &[DatasetName], direction: &str) {
        let key = self.bind_text(key);
        let measured = self.measured_on(datasets);
        let latest = |column: &str| {
            format!(
                "(SELECT {column} FROM model_metric WHERE model_metric.model = model.id \
                 AND model_metric.key = {key}{measured} \
                 ORDER BY timestamp_ms DESC, step DESC, run LIMIT 1)"
            )
        };
        self.orders
            .push(format!("coalesce({}, 2)", latest("is_nan")));
        self.orders.push(format!("{} {direction}", latest("value")));
    }

    /// What a point's dataset must be, as further conditions on its row; without datasets, none.
    fn measured_on(&mut self, datasets: &[DatasetName]) -> String {
        let mut each = Vec::with_capacity(datasets.len());
        for DatasetName { name, digest } in datasets {
            let name = self.bind_text(name);
            each.push(match digest {
                Some(digest) => {
                    let digest = self.bind_text(digest);
                    format!("dataset_name = {name} AND dataset_digest = {digest}")
                }
                None => format!("dataset_name = {name}"),
            });
        }
        if each.is_empty() {
            return String::new();
        }
        format!(" AND ({})", each.join(" OR "))
    }

    /// Joins the row of a key, where there is one; gives the name of the joined table.
    fn join(&mut self, table: &columns::KeyedTable, key: &str) -> String {
        let alias = format!("order_{}", self.orders.len());
        let key = self.bind_text(key);
        let columns::KeyedTable {
            table,
            owner,
            owner_column,
            values,
        } = table;
        if self.asks_each_row && self.dialect == Dialect::Postgres {
            let alone = self.alone();
            write!(
                self.joins,
                " LEFT JOIN LATERAL (SELECT {values} FROM {table} \
                 WHERE {table}.{owner_column} = {owner} AND {table}.key = {key}{alone}) AS {alias} ON TRUE"
            )
        } else {
            write!(
                self.joins,
                " LEFT JOIN {table} AS {alias} ON {alias}.{owner_column} = {owner} AND {alias}.key = {key}"
            )
        }
        .expect("writing to a text does not fail");
        alias
    }
}

fn order_by_column(column: &Column, direction: &str) -> Vec<String> {
    let Column {
        sql,
        kind,
        is_nullable,
    } = column;
    let mut orders = Vec::new();
    if *is_nullable {
        orders.push(format!("{sql} IS NULL"));
    }
    if *kind == ColumnKind::Decimal {
        orders.push(format!("length({sql}) {direction}"));
    }
    orders.push(format!("{sql} {direction}"));
    orders
}

#[cfg(test)]
mod tests {
    use entities::{Comparison, Condition};
    use store::PageRequest;

    use super::*;

    #[test]
    fn a_search_that_no_database_can_hold_is_refused() {
        let field = Field::Tag("t".to_owned());
        let values = (0..=LARGEST_VALUE_COUNT).map(|number| number.to_string());
        let list = Comparison::In {
            values: values.collect(),
            is_negated: false,
        };
        let null = Comparison::Null { is_negated: false };
        let condition = |comparison| Condition {
            field: field.clone(),
            comparison,
        };
        let order = OrderBy {
            field: field.clone(),
            is_ascending: true,
        };
        for (conditions, order_by) in [
            (vec![condition(list)], Vec::new()),
            (
                vec![condition(null); LARGEST_CONDITION_COUNT + 1],
                Vec::new(),
            ),
            (Vec::new(), vec![order; LARGEST_ORDER_COUNT + 1]),
        ] {
            let query = SearchQuery {
                conditions,
                order_by,
            };
            let page = PageRequest::first(5);
            let search = Search::new(
                (Dialect::Sqlite, SearchReach::DEFAULT),
                Subject::Runs,
                &[],
                &query,
                View::Active,
                &page,
            );
            assert!(matches!(search, Err(StoreError::Query { .. })));
        }
    }
}
