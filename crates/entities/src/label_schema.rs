//! Label schemas: what people are asked of traces.

use serde::{Deserialize, Serialize};

use crate::{ExperimentId, LabelSchemaId, Timestamp};

/// A question about traces, and what may be answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelSchema {
    /// Its id.
    pub id: LabelSchemaId,
    /// The experiment whose traces it is about.
    pub experiment: ExperimentId,
    /// Its name, unique within the experiment: the question, and the name of the assessments that answer it.
    pub name: String,
    /// What an answer is.
    pub kind: LabelKind,
    /// What else is said to those who answer.
    pub instruction: Option<String>,
    /// Whether they may say why.
    pub has_comment: bool,
    /// What may be answered.
    pub input: LabelInput,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What is changed of a label schema; what is none stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LabelSchemaUpdate {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What else is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruction: Option<String>,
    /// Whether those who answer may say why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_comment: Option<bool>,
    /// What may be answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<LabelInput>,
}

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelKind {
    /// How good something was.
    Feedback,
    /// What should have come out.
    Expectation,
}

impl LabelKind {
    /// The word that is kept.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Feedback => "feedback",
            Self::Expectation => "expectation",
        }
    }

    /// Reads it.
    pub fn find(word: &str) -> Option<Self> {
        [Self::Feedback, Self::Expectation]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// What may be answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "snake_case")]
pub enum LabelInput {
    /// One of two.
    PassFail {
        /// What is good.
        positive: String,
        /// What is not.
        negative: String,
    },
    /// One of several, or more than one.
    Categorical {
        /// Of which.
        options: Vec<String>,
        /// Whether more than one.
        is_multiple: bool,
    },
    /// A number.
    Numeric {
        /// The least.
        least: Option<f64>,
        /// The largest.
        largest: Option<f64>,
    },
    /// A text.
    Text {
        /// How many characters it may have.
        longest: Option<i64>,
    },
}
