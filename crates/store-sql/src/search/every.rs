//! Every kind of search that there is, as SQL: for the tests of the databases, which prepare them all.

use entities::{Comparison, Condition, ExperimentId, Field, Operator, OrderBy, SearchQuery};
use store::{PageRequest, Prompts, StoreError, View};

use super::columns::{self, ColumnKind};
use super::figures;
use super::issues;
use super::plans::{self, Few, Place, Stretch};
use super::{Search, Subject};
use crate::sql::{Dialect, OwnedValue};

/// A search by each column that there is, as a filter and as an order: for the tests of the databases.
pub fn all_searches(dialect: Dialect) -> Vec<(String, String)> {
    let subjects = [
        Subject::Runs,
        Subject::Experiments,
        Subject::Models,
        Subject::RegisteredModels(Prompts::LeftOut),
        Subject::RegisteredModels(Prompts::Included),
        Subject::ModelVersions(Prompts::LeftOut),
        Subject::Traces,
        Subject::Datasets,
    ];
    let each = subjects.into_iter().flat_map(|subject| {
        let columns = columns::columns_of(subject).iter();
        columns.filter_map(move |(name, column)| {
            let search = search_by(dialect, subject, name, column.kind).ok()?;
            let (sql, _) = search.compile_sorted(None, 0).ok()?;
            Some((format!("{subject:?} by {name}"), sql))
        })
    });
    each.chain(all_walks(dialect))
        .chain(figures::all_figures(dialect))
        .chain(issues::all_issue_searches(dialect))
        .collect()
}

/// Every walk that there is, in all its stretches, and a search among few.
fn all_walks(dialect: Dialect) -> Vec<(String, String)> {
    let key = || "k".to_owned();
    let mut walks = Vec::new();
    for (subject, field) in [
        (Subject::Runs, Field::Attribute("start_time".to_owned())),
        (Subject::Runs, Field::Metric(key())),
        (Subject::Runs, Field::Param(key())),
        (Subject::Runs, Field::Tag(key())),
        (Subject::Traces, Field::Attribute("timestamp_ms".to_owned())),
        (Subject::Traces, Field::Tag(key())),
    ] {
        let (comparison, value) = match field {
            Field::Metric(_) => (
                Comparison::Number(Operator::Greater, 1.0),
                OwnedValue::Real(1.0),
            ),
            Field::Attribute(_) => (
                Comparison::Number(Operator::Greater, 1.0),
                OwnedValue::Integer(1),
            ),
            _ => (
                Comparison::Text(Operator::Equal, key()),
                OwnedValue::Text(key()),
            ),
        };
        let query = SearchQuery {
            conditions: vec![Condition {
                field: field.clone(),
                comparison,
            }],
            order_by: vec![OrderBy {
                field,
                is_ascending: true,
            }],
        };
        let experiment: Result<ExperimentId, _> = "0".parse();
        let experiments: Vec<_> = experiment.into_iter().collect();
        let page = PageRequest::first(5);
        let search = Search::new(dialect, subject, &experiments, &query, View::Active, &page);
        let Ok(search) = search else { continue };
        let walk = plans::find_walk(subject, 1, View::Active, &query.order_by);
        let Some(walk) = walk else { continue };
        for stretch in [Stretch::Values, Stretch::NotANumber, Stretch::Missing] {
            let place = Place {
                value: Some(value.clone()),
                ..Place::start(stretch)
            };
            let Ok((sql, _)) = search.compile_walk(&walk, &place, 5) else {
                continue;
            };
            walks.push((format!("{subject:?} walked by {query:?}, {stretch:?}"), sql));
        }
        for count in [1, 1_000] {
            let few = Few::of_many(count);
            if let Ok((sql, _)) = search.compile_sorted(Some(&few), 0) {
                walks.push((format!("{subject:?} among {count} of {query:?}"), sql));
            }
        }
    }
    walks
}

fn search_by(
    dialect: Dialect,
    subject: Subject,
    name: &str,
    kind: ColumnKind,
) -> Result<Search, StoreError> {
    let field = Field::Attribute(name.to_owned());
    let comparison = match kind {
        ColumnKind::Time | ColumnKind::Integer => Comparison::Number(Operator::NotEqual, 1.5),
        _ => Comparison::Text(Operator::Equal, "x".to_owned()),
    };
    let null = Comparison::Null { is_negated: true };
    let conditions = [comparison, null].map(|comparison| Condition {
        field: field.clone(),
        comparison,
    });
    let query = SearchQuery {
        conditions: conditions.to_vec(),
        order_by: vec![OrderBy {
            field,
            is_ascending: false,
        }],
    };
    Search::new(
        dialect,
        subject,
        &[],
        &query,
        View::Active,
        &PageRequest::first(5),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_search_by_every_column() {
        assert!(
            all_searches(Dialect::Sqlite).len() > 40,
            "only {}",
            all_searches(Dialect::Sqlite).len()
        );
    }
}
