//! Every kind of search that there is, as SQL: for the tests of the databases, which prepare them all.

use entities::{Comparison, Condition, ExperimentId, Field, Operator, OrderBy, SearchQuery};
use store::{PageRequest, Prompts, StoreError, View};

use super::columns::{self, ColumnKind};
use super::few::{Few, few_sql, is_few_sql};
use super::figures;
use super::issues;
use super::places::Stretch;
use super::reach::SearchReach;
use super::walks::{Bound, Group, Part, Step};
use super::{Compiler, Search, Subject};
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
    each.chain(all_indexed(dialect))
        .chain(all_walks(dialect))
        .chain(figures::all_figures(dialect))
        .chain(issues::all_issue_searches(dialect))
        .collect()
}

/// What an index is asked for, of values of every kind.
fn all_indexed(dialect: Dialect) -> Vec<(String, String)> {
    let comparisons = [
        Comparison::Text(Operator::Equal, "short".to_owned()),
        Comparison::Text(Operator::Equal, "long ".repeat(100)),
        Comparison::Text(Operator::NotEqual, "k".to_owned()),
        Comparison::Like {
            pattern: "begins%".to_owned(),
            ignores_case: false,
        },
        Comparison::Like {
            pattern: "%ends".to_owned(),
            ignores_case: true,
        },
    ];
    let fields = [Field::Param("k".to_owned()), Field::Tag("k".to_owned())];
    let conditions = fields.iter().flat_map(|field| {
        comparisons.iter().map(|comparison| Condition {
            field: field.clone(),
            comparison: comparison.clone(),
        })
    });
    conditions
        .map(|condition| {
            let mut compiler = Compiler::new(dialect, Subject::Runs);
            let rows = compiler.rows_of(&condition);
            let rows = rows.expect("these conditions can be asked");
            let rows = rows.expect("an index tells the rows of each");
            let name = format!("rows by {condition:?}");
            (name, few_sql(dialect, &rows, 5))
        })
        .collect()
}

/// Every walk that there is, with all that it asks on its way.
fn all_walks(dialect: Dialect) -> Vec<(String, String)> {
    let key = || "k".to_owned();
    let fields = [
        (Subject::Runs, Field::Attribute("start_time".to_owned())),
        (Subject::Runs, Field::Metric(key())),
        (Subject::Runs, Field::Param(key())),
        (Subject::Runs, Field::Tag(key())),
        (Subject::Traces, Field::Attribute("timestamp_ms".to_owned())),
        (Subject::Traces, Field::Tag(key())),
    ];
    let each = fields.into_iter().flat_map(|(subject, field)| {
        [1, 2].into_iter().flat_map(move |experiment_count| {
            let walks = walks_by(dialect, subject, &field, experiment_count).unwrap_or_default();
            let field = field.clone();
            walks.into_iter().map(move |(step, sql)| {
                let name = format!("{subject:?} of {experiment_count} walked by {field:?}, {step}");
                (name, sql)
            })
        })
    });
    each.collect()
}

/// What is asked where a field is searched and put in order by.
fn walks_by(
    dialect: Dialect,
    subject: Subject,
    field: &Field,
    experiment_count: usize,
) -> Result<Vec<(String, String)>, StoreError> {
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
            Comparison::Text(Operator::Equal, "k".to_owned()),
            OwnedValue::Text("k".to_owned()),
        ),
    };
    let query = SearchQuery {
        conditions: vec![Condition {
            field: field.clone(),
            comparison,
        }],
        order_by: vec![OrderBy {
            field: field.clone(),
            is_ascending: true,
        }],
    };
    let names = ["0", "1"].into_iter().take(experiment_count);
    let experiments: Vec<ExperimentId> = names.flat_map(str::parse).collect();
    let page = PageRequest::first(5);
    let kind = (dialect, SearchReach::DEFAULT);
    let search = Search::new(kind, subject, &experiments, &query, View::Active, &page)?;
    let few = Few::of_many(100);
    let bound = |is_included| Bound {
        value: value.clone(),
        is_included,
    };
    let part = Part {
        from: Some(bound(true)),
        until: Some(bound(false)),
    };
    let mut asked = vec![
        (
            "among few".to_owned(),
            search.compile_sorted(Some(&few), 0)?.0,
        ),
        ("all".to_owned(), is_few_sql(&search.rows_of_scope().0, 5)),
    ];
    for (_, (rows, _)) in search.indexed_conditions()? {
        asked.push(("its rows".to_owned(), few_sql(dialect, &rows, 5)));
    }
    for (depth, walk) in search.find_walks().iter().enumerate() {
        let probe = search.compile_probe(walk, part.from.as_ref(), 5);
        asked.push((format!("probe at {depth}"), probe.0));
        for stretch in [Stretch::Values, Stretch::NotANumber, Stretch::Missing] {
            if !walk.has(stretch, None) {
                continue;
            }
            let groups: Vec<Group> = (0..depth)
                .map(|_| Group {
                    field: field.clone(),
                    stretch: Stretch::Values,
                    value: Some(value.clone()),
                })
                .collect();
            for among in [None, Some(&few)] {
                let step = Step {
                    depth,
                    walk,
                    stretch,
                    part: &part,
                    groups: &groups,
                    among,
                };
                let name = format!("{stretch:?} at {depth}, {}", among.is_some());
                asked.push((name, search.compile_step(&step, 0, 5)?.0));
            }
            for group in groups {
                if let Some((rows, _)) = search.compiler().rows_of_group(&group) {
                    asked.push(("a group".to_owned(), few_sql(dialect, &rows, 5)));
                }
            }
        }
    }
    Ok(asked)
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
        (dialect, SearchReach::DEFAULT),
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
