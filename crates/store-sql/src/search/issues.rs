//! Searching issues.

use entities::{CountedIssue, ExperimentId, Field, IssueSeverity, ObjectId, SearchQuery};
use store::{Page, PageRequest, StoreError};

use super::pages::{PagePlace, read_token};
use super::{Compiler, Subject, refuse};
use crate::fault::database_fault;
use crate::read::issues::read_issue;
use crate::sql::{Connection, Dialect, OwnedValue};

/// A page of issues, as SQL.
pub(crate) struct IssueSearch {
    sql: String,
    values: Vec<OwnedValue>,
    limit: usize,
    offset: usize,
    /// Ties a page token to its search.
    name: String,
    counts_traces: bool,
}

/// The columns of an issue; how many traces show it follows.
const COLUMNS: &str = "issue.id, issue.experiment, issue.name, issue.description, issue.status, issue.severity, \
     issue.root_causes, issue.categories, issue.source_run, issue.created_by, issue.created_at, issue.updated_at";
const TRACES: usize = 12;

impl IssueSearch {
    /// The worst first, then those that most traces show, then the newest.
    pub(crate) fn new(
        dialect: Dialect,
        experiment: Option<&ExperimentId>,
        query: &SearchQuery,
        counts_traces: bool,
        page: &PageRequest,
    ) -> Result<Self, StoreError> {
        let told = format!("issues {experiment:?} {query:?} {counts_traces}");
        let name = ObjectId::of(told.as_bytes()).short();
        let offset = match page.token.as_deref().map(|token| read_token(token, &name)) {
            None => 0,
            Some(Ok(PagePlace::Offset(offset))) => offset,
            Some(Err(error)) => return Err(error),
            Some(Ok(_)) => {
                let token = page.token.clone().unwrap_or_default();
                return Err(StoreError::PageToken { token });
            }
        };
        let mut compiler = Compiler::new(dialect, Subject::Traces);
        // As the index has it.
        let named = match dialect {
            Dialect::Sqlite => "assessment.name = issue.id",
            Dialect::Postgres => {
                "left(assessment.name, 256) = left(issue.id, 256) AND assessment.name = issue.id"
            }
        };
        let traces = if counts_traces {
            format!(
                "(SELECT COUNT(DISTINCT assessment.trace) FROM assessment \
                 WHERE assessment.kind = 'issue' AND {named})"
            )
        } else {
            "0".to_owned()
        };
        compiler.from = Some(format!("SELECT {COLUMNS}, {traces} AS traces FROM issue"));
        if let Some(experiment) = experiment {
            let experiment = compiler.bind_text(experiment.as_str());
            compiler
                .conditions
                .push(format!("issue.experiment = {experiment}"));
        }
        for condition in &query.conditions {
            let column = match &condition.field {
                Field::Attribute(name) => match name.as_str() {
                    "status" => "issue.status",
                    "source_run_id" => "issue.source_run",
                    "severity" => "issue.severity",
                    _ => return refuse(format!("issues cannot be searched by `{name}`")),
                },
                _ => {
                    return refuse(
                        "issues are searched by `status`, `severity` and `source_run_id`",
                    );
                }
            };
            let sql = compiler.text_condition(column, &condition.comparison)?;
            compiler.conditions.push(sql);
        }
        let ranks = IssueSeverity::ALL.iter().enumerate();
        let ranks: Vec<_> = ranks
            .map(|(rank, severity)| format!("WHEN '{}' THEN {rank}", severity.as_str()))
            .collect();
        compiler.orders = vec![
            format!("CASE issue.severity {} ELSE -1 END DESC", ranks.join(" ")),
            "traces DESC".to_owned(),
            "issue.created_at DESC".to_owned(),
            "issue.id DESC".to_owned(),
        ];
        let limit = page.limit.max(1);
        let (sql, values) = compiler.finish(limit, offset)?;
        Ok(Self {
            sql,
            values,
            limit,
            offset,
            name,
            counts_traces,
        })
    }

    pub(crate) fn read(
        &self,
        connection: &dyn Connection,
    ) -> Result<Page<CountedIssue>, StoreError> {
        let mut items: Vec<CountedIssue> = connection
            .list(&self.sql, self.values.as_slice(), |row| {
                let traces: i64 = row.get(TRACES)?;
                Ok(CountedIssue {
                    issue: read_issue(row)?,
                    traces: self.counts_traces.then_some(traces.unsigned_abs()),
                })
            })
            .map_err(database_fault("searching issues"))?;
        let has_more = items.len() > self.limit;
        items.truncate(self.limit);
        let next = has_more.then(|| format!("{}-{}", self.offset + self.limit, self.name));
        Ok(Page { items, next })
    }
}

/// For the tests of the databases.
pub(super) fn all_issue_searches(dialect: Dialect) -> Vec<(String, String)> {
    let experiment = "0".parse().ok();
    let searches = ["status", "source_run_id", "severity"]
        .into_iter()
        .filter_map(|name| {
            let query = SearchQuery {
                conditions: vec![entities::Condition {
                    field: Field::Attribute(name.to_owned()),
                    comparison: entities::Comparison::Text(
                        entities::Operator::NotEqual,
                        "x".to_owned(),
                    ),
                }],
                order_by: Vec::new(),
            };
            let page = PageRequest::first(5);
            let search =
                IssueSearch::new(dialect, experiment.as_ref(), &query, true, &page).ok()?;
            Some((format!("issues by {name}"), search.sql))
        });
    searches.collect()
}
