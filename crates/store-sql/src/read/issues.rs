//! Issues, as callers see them.

use async_trait::async_trait;
use entities::{CountedIssue, ExperimentId, Issue, IssueId, SearchQuery};
use store::{IssueStore, Page, PageRequest, StoreError};

use super::find_row;
use crate::rows::{
    read_id, read_id_if_any, read_issue_status, read_json, read_severity_if_any, read_time,
};
use crate::search::IssueSearch;
use crate::sql::{self, Row};
use crate::{Backend, SqlStore};

statements! {
    FIND = "SELECT id, experiment, name, description, status, severity, root_causes, categories, source_run,
            created_by, created_at, updated_at
        FROM issue WHERE id = ?1";
}

#[async_trait]
impl<B: Backend> IssueStore for SqlStore<B> {
    async fn find_issue(&self, id: &IssueId) -> Result<Option<Issue>, StoreError> {
        let id = id.clone();
        self.read(move |connection| find_row(connection, FIND, [id.as_str()], read_issue))
            .await
    }

    async fn search_issues(
        &self,
        experiment: Option<&ExperimentId>,
        query: &SearchQuery,
        counts_traces: bool,
        page: &PageRequest,
    ) -> Result<Page<CountedIssue>, StoreError> {
        let search = IssueSearch::new(self.dialect(), experiment, query, counts_traces, page)?;
        self.read(move |connection| search.read(connection)).await
    }
}

/// An issue in the columns of `FIND`.
pub(crate) fn read_issue(row: &Row<'_>) -> sql::Result<Issue> {
    Ok(Issue {
        id: read_id(row, 0)?,
        experiment: read_id(row, 1)?,
        name: row.get(2)?,
        description: row.get(3)?,
        status: read_issue_status(row, 4)?,
        severity: read_severity_if_any(row, 5)?,
        root_causes: read_json(row, 6)?,
        categories: read_json(row, 7)?,
        source_run: read_id_if_any(row, 8)?,
        created_by: row.get(9)?,
        created_at: read_time(row, 10)?,
        updated_at: read_time(row, 11)?,
    })
}
