//! Changes of issues.

use entities::{Issue, IssueId, IssueUpdate, Timestamp};
use store::StoreError;

use super::Applier;
use crate::params;

statements! {
    FIND = "SELECT 1 FROM issue WHERE id = ?1";
    ADD = "INSERT INTO issue
            (id, experiment, name, description, status, severity, root_causes, categories, source_run, created_by,
             created_at, updated_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    SET = "UPDATE issue
        SET name = coalesce(?2, name), description = coalesce(?3, description), status = coalesce(?4, status),
            severity = coalesce(?5, severity), updated_at = ?6
        WHERE id = ?1";
}

impl Applier<'_> {
    pub(super) fn create_issue(&self, issue: &Issue) -> Result<(), StoreError> {
        let Issue {
            id,
            experiment,
            name,
            description,
            status,
            severity,
            root_causes,
            categories,
            source_run,
            created_by,
            created_at,
            updated_at,
        } = issue;
        self.check_experiment_is_active(experiment)?;
        let known: Option<i64> = self.find(FIND, [id.as_str()], |row| row.get(0))?;
        if known.is_some() {
            return Err(StoreError::Exists {
                subject: format!("issue `{id}`"),
            });
        }
        let row = params![
            id.as_str(),
            experiment.as_str(),
            name,
            description,
            status.as_str(),
            severity.map(entities::IssueSeverity::as_str),
            list(root_causes),
            list(categories),
            source_run.as_ref().map(entities::RunId::as_str),
            created_by,
            created_at.as_micros(),
            updated_at.as_micros(),
        ];
        self.send(ADD, row)
    }

    pub(super) fn update_issue(
        &self,
        id: &IssueId,
        update: &IssueUpdate,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let IssueUpdate {
            name,
            description,
            status,
            severity,
        } = update;
        let row = params![
            id.as_str(),
            name,
            description,
            status.map(entities::IssueStatus::as_str),
            severity.map(entities::IssueSeverity::as_str),
            at.as_micros(),
        ];
        match self.execute(SET, row)? {
            0 => Err(StoreError::NoIssue { id: id.clone() }),
            _ => Ok(()),
        }
    }
}

/// Texts as JSON.
fn list(texts: &[String]) -> String {
    serde_json::Value::from(texts).to_string()
}
