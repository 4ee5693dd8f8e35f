//! Issues: known problems that traces show.

use serde::{Deserialize, Serialize};

use crate::{ExperimentId, IssueId, RunId, Timestamp};

/// A known problem. Assessments of traces name it by its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// Its id.
    pub id: IssueId,
    /// The experiment whose traces show it.
    pub experiment: ExperimentId,
    /// What it is called.
    pub name: String,
    /// What it is.
    pub description: String,
    /// What became of it.
    pub status: IssueStatus,
    /// How bad it is.
    pub severity: Option<IssueSeverity>,
    /// Where it comes from.
    pub root_causes: Vec<String>,
    /// What kinds of problems it belongs to.
    pub categories: Vec<String>,
    /// The run that found it.
    pub source_run: Option<RunId>,
    /// Who made it, as the client says.
    pub created_by: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What is changed of an issue; what is none stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueUpdate {
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<IssueStatus>,
    /// How bad it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<IssueSeverity>,
}

/// An issue with how many traces are said to show it, where that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedIssue {
    /// The issue.
    pub issue: Issue,
    /// How many traces.
    pub traces: Option<u64>,
}

/// What became of an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueStatus {
    /// Nothing yet.
    Pending,
    /// It is none.
    Rejected,
    /// It was mended.
    Resolved,
}

impl IssueStatus {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Rejected, Self::Resolved];

    /// MLflow's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Rejected => "rejected",
            Self::Resolved => "resolved",
        }
    }

    /// Reads MLflow's word.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// How bad an issue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueSeverity {
    /// Not at all.
    NotAnIssue,
    /// A little.
    Low,
    /// Somewhat.
    Medium,
    /// Very.
    High,
}

impl IssueSeverity {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::NotAnIssue, Self::Low, Self::Medium, Self::High];

    /// MLflow's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAnIssue => "not_an_issue",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// Reads MLflow's word.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str() == word)
    }
}
