//! Search: MLflow's filter and order grammar as values.

mod fields;
mod figures;
mod parse;
mod tokens;

pub use figures::{FigureFilter, parse_figure_filter};
pub use parse::{SearchKind, SearchParseError, parse_filter, parse_order_by};

use serde::{Deserialize, Serialize};

/// A filter and an order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchQuery {
    /// Conditions that must all hold.
    pub conditions: Vec<Condition>,
    /// Orders, the most important first.
    pub order_by: Vec<OrderBy>,
}

/// What a condition or an order speaks of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Field {
    /// A field of the thing itself, by MLflow's name (`start_time`, `status`, `name`, …).
    Attribute(String),
    /// The latest point of a metric.
    Metric(String),
    /// A param.
    Param(String),
    /// A tag.
    Tag(String),
    /// A field of a declared dataset: `name`, `digest` or `context`.
    Dataset(String),
    /// What was measured of a logged model on one of some datasets: a metric, or anything.
    Measured {
        /// The metric.
        metric: Option<String>,
        /// The datasets.
        datasets: Vec<DatasetName>,
    },
    /// What was said of a trace when it was made.
    Metadata(String),
    /// A field of one span of a trace: `name`, `type`, `status` or `content`.
    ///
    /// All conditions of a filter on spans and their attributes must hold of the same span.
    Span(String),
    /// An attribute of one span of a trace.
    SpanAttribute(String),
    /// A valid feedback on a trace, by name; one on its session counts too.
    Feedback(String),
    /// A valid expectation of a trace, likewise.
    Expectation(String),
    /// An issue that a trace is said to show.
    Issue,
    /// A version of a prompt that is linked to a trace, as `name/version`.
    Prompt,
}

/// Names a dataset by its name, and its digest where that matters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DatasetName {
    /// Its name.
    pub name: String,
    /// Its digest.
    pub digest: Option<String>,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// What it speaks of.
    pub field: Field,
    /// How it compares.
    pub comparison: Comparison,
}

/// How a condition compares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Comparison {
    /// With a number.
    Number(Operator, f64),
    /// With a text, byte by byte.
    Text(Operator, String),
    /// `LIKE`, or `ILIKE` where case is ignored: `%` is any text, `_` any character.
    Like {
        /// The pattern.
        pattern: String,
        /// Whether case is ignored.
        ignores_case: bool,
    },
    /// `RLIKE`: a regular expression that fits somewhere in the text.
    Matches {
        /// The expression.
        pattern: String,
    },
    /// `IN`, or `NOT IN` where negated.
    In {
        /// The list.
        values: Vec<String>,
        /// Whether it must not be in the list.
        is_negated: bool,
    },
    /// `IS NULL`, or `IS NOT NULL` where negated.
    Null {
        /// Whether it must be there.
        is_negated: bool,
    },
}

/// A comparison of size or equality.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// One order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderBy {
    /// What it orders by.
    pub field: Field,
    /// Whether the smallest comes first.
    pub is_ascending: bool,
}

impl Operator {
    /// The sign, as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}
