//! Enumerations: by name, or by protobuf's number.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use entities::{FigureView, LabelKind, ModelStatus, RunStatus, TraceState, WebhookStatus};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use store::View;

/// How the message of a word that is none begins; the decoder knows it by that.
pub(super) const UNKNOWN: &str = "unknown word, expected one of ";

/// A run's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunStatusWord(pub(crate) RunStatus);

/// A logged model's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModelStatusWord(pub(crate) ModelStatus);

/// How a trace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceStateWord(pub(crate) TraceState);

/// Who assesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourceWord(pub(crate) &'static str);

/// Whether a webhook is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WebhookStatusWord(pub(crate) WebhookStatus);

/// What a figure is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FigureViewWord(pub(crate) FigureView);

/// What is made of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AggregationWord(pub(crate) &'static str);

/// What an answer to a label schema is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LabelKindWord(pub(crate) LabelKind);

/// What an event is about, in small letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntityWord(pub(crate) &'static str);

/// What happened, in small letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ActionWord(pub(crate) &'static str);

/// Which of the active and the deleted are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ViewWord(pub(crate) View);

const RUN_STATUSES: &[(&str, u64, RunStatus)] = &[
    ("RUNNING", 1, RunStatus::Running),
    ("SCHEDULED", 2, RunStatus::Scheduled),
    ("FINISHED", 3, RunStatus::Finished),
    ("FAILED", 4, RunStatus::Failed),
    ("KILLED", 5, RunStatus::Killed),
];

const MODEL_STATUSES: &[(&str, u64, ModelStatus)] = &[
    ("LOGGED_MODEL_PENDING", 1, ModelStatus::Pending),
    ("LOGGED_MODEL_READY", 2, ModelStatus::Ready),
    ("LOGGED_MODEL_UPLOAD_FAILED", 3, ModelStatus::UploadFailed),
];

/// With the word that clients of MLflow 2 have for the first.
const TRACE_STATES: &[(&str, u64, TraceState)] = &[
    ("STATE_UNSPECIFIED", 0, TraceState::StateUnspecified),
    ("OK", 1, TraceState::Ok),
    ("ERROR", 2, TraceState::Error),
    ("IN_PROGRESS", 3, TraceState::InProgress),
    ("TRACE_STATUS_UNSPECIFIED", 0, TraceState::StateUnspecified),
];

const SOURCES: &[(&str, u64, &str)] = &[
    ("SOURCE_TYPE_UNSPECIFIED", 0, "SOURCE_TYPE_UNSPECIFIED"),
    ("HUMAN", 1, "HUMAN"),
    ("LLM_JUDGE", 2, "LLM_JUDGE"),
    ("CODE", 3, "CODE"),
];

const WEBHOOK_STATUSES: &[(&str, u64, WebhookStatus)] = &[
    ("ACTIVE", 1, WebhookStatus::Active),
    ("DISABLED", 2, WebhookStatus::Disabled),
];

const ENTITIES: &[(&str, u64, &str)] = &[
    ("REGISTERED_MODEL", 1, "registered_model"),
    ("MODEL_VERSION", 2, "model_version"),
    ("MODEL_VERSION_TAG", 3, "model_version_tag"),
    ("MODEL_VERSION_ALIAS", 4, "model_version_alias"),
    ("PROMPT", 5, "prompt"),
    ("PROMPT_VERSION", 6, "prompt_version"),
    ("PROMPT_TAG", 7, "prompt_tag"),
    ("PROMPT_VERSION_TAG", 8, "prompt_version_tag"),
    ("PROMPT_ALIAS", 9, "prompt_alias"),
    ("BUDGET_POLICY", 10, "budget_policy"),
];

const ACTIONS: &[(&str, u64, &str)] = &[
    ("CREATED", 1, "created"),
    ("UPDATED", 2, "updated"),
    ("DELETED", 3, "deleted"),
    ("SET", 4, "set"),
    ("EXCEEDED", 5, "exceeded"),
];

const LABEL_KINDS: &[(&str, u64, LabelKind)] = &[
    ("FEEDBACK", 1, LabelKind::Feedback),
    ("EXPECTATION", 2, LabelKind::Expectation),
];

const FIGURE_VIEWS: &[(&str, u64, FigureView)] = &[
    ("TRACES", 1, FigureView::Traces),
    ("SPANS", 2, FigureView::Spans),
    ("ASSESSMENTS", 3, FigureView::Assessments),
];

const AGGREGATIONS: &[(&str, u64, &str)] = &[
    ("COUNT", 1, "COUNT"),
    ("SUM", 2, "SUM"),
    ("AVG", 3, "AVG"),
    ("PERCENTILE", 4, "PERCENTILE"),
    ("MIN", 5, "MIN"),
    ("MAX", 6, "MAX"),
];

const VIEWS: &[(&str, u64, View)] = &[
    ("ACTIVE_ONLY", 1, View::Active),
    ("DELETED_ONLY", 2, View::Deleted),
    ("ALL", 3, View::All),
];

impl<'de> Deserialize<'de> for RunStatusWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Words(RUN_STATUSES)).map(Self)
    }
}

impl<'de> Deserialize<'de> for ModelStatusWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(Words(MODEL_STATUSES))
            .map(Self)
    }
}

impl<'de> Deserialize<'de> for TraceStateWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Words(TRACE_STATES)).map(Self)
    }
}

impl<'de> Deserialize<'de> for SourceWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Words(SOURCES)).map(Self)
    }
}

impl<'de> Deserialize<'de> for WebhookStatusWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(Words(WEBHOOK_STATUSES))
            .map(Self)
    }
}

impl<'de> Deserialize<'de> for FigureViewWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Words(FIGURE_VIEWS)).map(Self)
    }
}

impl<'de> Deserialize<'de> for AggregationWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Words(AGGREGATIONS)).map(Self)
    }
}

impl<'de> Deserialize<'de> for LabelKindWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Words(LABEL_KINDS)).map(Self)
    }
}

impl<'de> Deserialize<'de> for EntityWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Words(ENTITIES)).map(Self)
    }
}

impl<'de> Deserialize<'de> for ActionWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Words(ACTIONS)).map(Self)
    }
}

impl<'de> Deserialize<'de> for ViewWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Words(VIEWS)).map(Self)
    }
}

/// What a document of the API says of a word: one of these, or its number.
macro_rules! described {
    ($($word:ty => $table:ident,)*) => {$(
        impl JsonSchema for $word {
            fn schema_name() -> Cow<'static, str> {
                stringify!($word).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schema_of($table)
            }
        }
    )*};
}

described! {
    RunStatusWord => RUN_STATUSES,
    ModelStatusWord => MODEL_STATUSES,
    TraceStateWord => TRACE_STATES,
    SourceWord => SOURCES,
    WebhookStatusWord => WEBHOOK_STATUSES,
    FigureViewWord => FIGURE_VIEWS,
    AggregationWord => AGGREGATIONS,
    LabelKindWord => LABEL_KINDS,
    EntityWord => ENTITIES,
    ActionWord => ACTIONS,
    ViewWord => VIEWS,
}

fn schema_of<T>(table: &[(&'static str, u64, T)]) -> Schema {
    let words: Vec<_> = table.iter().map(|(word, ..)| *word).collect();
    let numbers: BTreeSet<_> = table.iter().map(|(_, number, _)| *number).collect();
    json_schema!({
        "anyOf": [{ "type": "string", "enum": words }, { "type": "integer", "enum": numbers }]
    })
}

impl ViewWord {
    /// Reads it from a query.
    pub(crate) fn find(text: &str) -> Option<Self> {
        let number = text.parse().ok();
        let found = VIEWS
            .iter()
            .find(|(word, place, _)| *word == text || Some(*place) == number)?;
        Some(Self(found.2))
    }
}

struct Words<T: 'static>(&'static [(&'static str, u64, T)]);

impl<T: Copy> Words<T> {
    fn unknown<E: Error>(&self) -> E {
        let words: Vec<_> = self.0.iter().map(|(word, ..)| *word).collect();
        E::custom(format_args!("{UNKNOWN}{}", words.join(", ")))
    }
}

impl<T: Copy> Visitor<'_> for Words<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a word or its number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        let found = self.0.iter().find(|(word, ..)| *word == text);
        found.map(|found| found.2).ok_or_else(|| self.unknown())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        let found = self.0.iter().find(|(_, place, _)| *place == number);
        found.map(|found| found.2).ok_or_else(|| self.unknown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_read_by_the_word_that_is_written() {
        for (word, number, status) in RUN_STATUSES {
            assert_eq!(status.as_str(), *word);
            for json in [format!("\"{word}\""), number.to_string()] {
                let read: RunStatusWord = serde_json::from_str(&json).unwrap();
                assert_eq!(read.0, *status);
            }
        }
        for (word, number, status) in MODEL_STATUSES {
            assert_eq!(status.as_str(), *word);
            let read: ModelStatusWord = serde_json::from_str(&number.to_string()).unwrap();
            assert_eq!(read.0, *status);
        }
        for json in ["\"BAD\"", "\"finished\"", "0", "6", "-1", "true"] {
            assert!(
                serde_json::from_str::<RunStatusWord>(json).is_err(),
                "{json} was taken"
            );
        }
        assert_eq!(ViewWord::find("ALL"), ViewWord::find("3"));
        assert_eq!(ViewWord::find("4"), None);
    }
}
