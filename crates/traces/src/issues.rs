//! Issues: known problems that traces show.

use entities::{
    Caller, Change, CountedIssue, ExperimentId, Issue, IssueId, IssueSeverity, IssueStatus,
    IssueUpdate, RunId, SearchKind, SearchQuery, draw_hex, parse_filter, python,
};
use store::{Page, PageRequest, StoreError};

use crate::traces::{Writing, experiment_subject};
use crate::validation::{LONGEST_VALUE, check_length, invalid};
use crate::{Traces, TracesError};

/// Characters in the name of an issue.
const LONGEST_NAME: usize = 250;

/// Characters in what a client says of who made an issue.
const LONGEST_CREATOR: usize = 255;

/// Root causes of an issue, and categories.
const LARGEST_LIST: usize = 1000;

/// Issues on a page.
const LARGEST_PAGE: usize = 50_000;

/// An issue that is to be made.
#[derive(Clone, Debug)]
pub struct NewIssue {
    /// The experiment whose traces show it.
    pub experiment: ExperimentId,
    /// What it is called.
    pub name: String,
    /// What it is.
    pub description: String,
    /// What became of it, in MLflow's word; pending if nothing.
    pub status: Option<String>,
    /// How bad it is, in MLflow's word.
    pub severity: Option<String>,
    /// Where it comes from.
    pub root_causes: Vec<String>,
    /// What kinds of problems it belongs to.
    pub categories: Vec<String>,
    /// The run that found it.
    pub source_run: Option<RunId>,
    /// Who made it.
    pub created_by: Option<String>,
}

/// What is to be changed of an issue, in MLflow's words; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct IssueChange {
    /// What it is called.
    pub name: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// What became of it.
    pub status: Option<String>,
    /// How bad it is.
    pub severity: Option<String>,
}

/// Reads the id of an issue as a client gives it. What can be no id names no issue.
pub fn parse_issue_id(text: &str) -> Result<IssueId, TracesError> {
    text.parse().map_err(|_| TracesError::NoIssue {
        id: text.to_owned(),
    })
}

impl Traces {
    /// Makes an issue.
    pub async fn create_issue(&self, caller: &Caller, new: NewIssue) -> Result<Issue, TracesError> {
        let NewIssue {
            experiment,
            name,
            description,
            status,
            severity,
            root_causes,
            categories,
            source_run,
            created_by,
        } = new;
        check_length("name", LONGEST_NAME, &name)?;
        check_length("description", LONGEST_VALUE, &description)?;
        check_length(
            "created_by",
            LONGEST_CREATOR,
            created_by.as_deref().unwrap_or_default(),
        )?;
        check_list("root_causes", &root_causes)?;
        check_list("categories", &categories)?;
        let status = status.as_deref().map(read_status).transpose()?;
        let severity = severity.as_deref().map(read_severity).transpose()?;
        if let Some(run) = &source_run
            && self.store().find_run(run).await?.is_none()
        {
            return Err(TracesError::NoRun { id: run.clone() });
        }
        self.get_active_experiment(&experiment).await?;
        let now = self.now();
        let id = format!("iss-{}", draw_hex(self.random()));
        let issue = Issue {
            id: parse_issue_id(&id)?,
            experiment,
            name,
            description,
            status: status.unwrap_or(IssueStatus::Pending),
            severity,
            root_causes,
            categories,
            source_run,
            created_by,
            created_at: now,
            updated_at: now,
        };
        let writing = Writing {
            caller,
            kind: "issue.created",
            subjects: vec![
                issue_subject(&issue.id),
                experiment_subject(&issue.experiment),
            ],
        };
        let change = Change::IssueCreated {
            issue: issue.clone(),
        };
        self.commit(writing, vec![change]).await?;
        Ok(issue)
    }

    /// An issue that must be there.
    pub async fn get_issue(&self, id: &IssueId) -> Result<Issue, TracesError> {
        let found = self.store().find_issue(id).await?;
        found.ok_or_else(|| TracesError::NoIssue {
            id: id.as_str().to_owned(),
        })
    }

    /// An issue, if it is there.
    pub async fn find_issue(&self, id: &IssueId) -> Result<Option<Issue>, TracesError> {
        Ok(self.store().find_issue(id).await?)
    }

    /// Changes an issue.
    pub async fn update_issue(
        &self,
        caller: &Caller,
        id: &IssueId,
        change: IssueChange,
    ) -> Result<Issue, TracesError> {
        let IssueChange {
            name,
            description,
            status,
            severity,
        } = change;
        check_length("name", LONGEST_NAME, name.as_deref().unwrap_or_default())?;
        check_length(
            "description",
            LONGEST_VALUE,
            description.as_deref().unwrap_or_default(),
        )?;
        let update = IssueUpdate {
            name,
            description,
            status: status.as_deref().map(read_status).transpose()?,
            severity: severity.as_deref().map(read_severity).transpose()?,
        };
        let issue = self.get_issue(id).await?;
        let writing = Writing {
            caller,
            kind: "issue.updated",
            subjects: vec![issue_subject(id), experiment_subject(&issue.experiment)],
        };
        let change = Change::IssueUpdated {
            issue: id.clone(),
            update,
            at: self.now(),
        };
        match self.commit(writing, vec![change]).await {
            Err(TracesError::Store(StoreError::NoIssue { id })) => Err(TracesError::NoIssue {
                id: id.as_str().to_owned(),
            }),
            other => other,
        }?;
        self.get_issue(id).await
    }

    /// Searches issues of one experiment, or of all.
    pub async fn search_issues(
        &self,
        experiment: Option<&ExperimentId>,
        filter: &str,
        counts_traces: bool,
        page: &PageRequest,
    ) -> Result<Page<CountedIssue>, TracesError> {
        if !(1..=LARGEST_PAGE).contains(&page.limit) {
            let reason = format!("It must be at least 1 and at most {LARGEST_PAGE}.");
            return Err(invalid("max_results", page.limit.to_string(), reason));
        }
        let query = SearchQuery {
            conditions: parse_filter(filter, SearchKind::Issues)?,
            order_by: Vec::new(),
        };
        let searching = self
            .store()
            .search_issues(experiment, &query, counts_traces, page);
        Ok(searching.await?)
    }
}

/// What an event about an issue names as its subject.
fn issue_subject(id: &IssueId) -> String {
    format!("issue:{id}")
}

fn check_list(field: &'static str, texts: &[String]) -> Result<(), TracesError> {
    if texts.len() > LARGEST_LIST {
        let reason = format!("There can be at most {LARGEST_LIST}.");
        return Err(invalid(field, texts.len().to_string(), reason));
    }
    texts
        .iter()
        .try_for_each(|text| check_length(field, LONGEST_VALUE, text))
}

fn read_status(word: &str) -> Result<IssueStatus, TracesError> {
    let words: Vec<_> = IssueStatus::ALL
        .iter()
        .map(|status| status.as_str())
        .collect();
    IssueStatus::find(word).ok_or_else(|| unknown("status", word, &words))
}

fn read_severity(word: &str) -> Result<IssueSeverity, TracesError> {
    let severities = IssueSeverity::ALL.iter();
    let words: Vec<_> = severities.map(|severity| severity.as_str()).collect();
    IssueSeverity::find(word).ok_or_else(|| unknown("severity", word, &words))
}

fn unknown(field: &'static str, word: &str, words: &[&str]) -> TracesError {
    let reason = format!("It must be one of {}.", words.join(", "));
    invalid(field, python::json(word), reason)
}
