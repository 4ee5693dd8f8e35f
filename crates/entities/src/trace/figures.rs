//! Figures over traces: how many there were, how long they took and what they cost, in groups and over time.
//!
//! Names and what may be asked of which figure are MLflow's. Sums and percentiles are taken here and not by a database, so
//! that every database gives the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use super::AssessmentValue;
use crate::{Condition, ExperimentId};

/// What a figure is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FigureView {
    /// Whole traces.
    Traces,
    /// Their spans.
    Spans,
    /// What is said of them, as far as nothing replaced it.
    Assessments,
}

impl FigureView {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Traces, Self::Spans, Self::Assessments];

    /// MLflow's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Spans => "SPANS",
            Self::Assessments => "ASSESSMENTS",
        }
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// How many traces there are.
    TraceCount,
    /// In how many sessions.
    SessionCount,
    /// How long a trace took, in milliseconds.
    TraceLatency,
    /// What a trace counts of this.
    Tokens(TokenKind),
    /// How many spans there are.
    SpanCount,
    /// How long a span took, in whole milliseconds.
    SpanLatency,
    /// What a span cost of this.
    Cost(CostKind),
    /// How many assessments there are.
    AssessmentCount,
    /// What they say, where it is a number, true or false, yes or no.
    AssessmentValue,
}

/// Which tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// What went in.
    Input,
    /// What came out.
    Output,
    /// Both.
    Total,
    /// What went in and was known.
    CacheRead,
    /// What went in and was kept.
    CacheCreation,
}

/// Which cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CostKind {
    /// Of what went in.
    Input,
    /// Of what came out.
    Output,
    /// Of both.
    Total,
}

/// All figures, in MLflow's order.
const FIGURES: [(FigureView, &str, Figure); 15] = [
    (FigureView::Traces, "trace_count", Figure::TraceCount),
    (FigureView::Traces, "session_count", Figure::SessionCount),
    (FigureView::Traces, "latency", Figure::TraceLatency),
    (
        FigureView::Traces,
        "input_tokens",
        Figure::Tokens(TokenKind::Input),
    ),
    (
        FigureView::Traces,
        "output_tokens",
        Figure::Tokens(TokenKind::Output),
    ),
    (
        FigureView::Traces,
        "total_tokens",
        Figure::Tokens(TokenKind::Total),
    ),
    (
        FigureView::Traces,
        "cache_read_input_tokens",
        Figure::Tokens(TokenKind::CacheRead),
    ),
    (
        FigureView::Traces,
        "cache_creation_input_tokens",
        Figure::Tokens(TokenKind::CacheCreation),
    ),
    (FigureView::Spans, "span_count", Figure::SpanCount),
    (FigureView::Spans, "latency", Figure::SpanLatency),
    (
        FigureView::Spans,
        "input_cost",
        Figure::Cost(CostKind::Input),
    ),
    (
        FigureView::Spans,
        "output_cost",
        Figure::Cost(CostKind::Output),
    ),
    (
        FigureView::Spans,
        "total_cost",
        Figure::Cost(CostKind::Total),
    ),
    (
        FigureView::Assessments,
        "assessment_count",
        Figure::AssessmentCount,
    ),
    (
        FigureView::Assessments,
        "assessment_value",
        Figure::AssessmentValue,
    ),
];

impl Figure {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        FIGURES.into_iter().map(|(_, _, figure)| figure)
    }

    /// The figure of that name in a view.
    pub fn find(view: FigureView, name: &str) -> Option<Self> {
        let found = FIGURES
            .iter()
            .find(|(of, known, _)| *of == view && *known == name);
        found.map(|(_, _, figure)| *figure)
    }

    /// The names in a view.
    pub fn names(view: FigureView) -> Vec<String> {
        let of_view = FIGURES.iter().filter(|(of, _, _)| *of == view);
        of_view.map(|(_, name, _)| (*name).to_owned()).collect()
    }

    /// MLflow's name; a token's and a cost's is also its key where spans and traces tell it.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What it is taken over.
    pub fn view(self) -> FigureView {
        self.row().0
    }

    fn row(self) -> &'static (FigureView, &'static str, Self) {
        let row = FIGURES.iter().find(|(_, _, figure)| *figure == self);
        row.expect("every figure is in the table")
    }

    /// The words of what may be asked of it, in the order of the alphabet.
    pub const fn aggregations(self) -> &'static [&'static str] {
        match self {
            Self::TraceCount | Self::SessionCount | Self::SpanCount | Self::AssessmentCount => {
                &["COUNT"]
            }
            Self::TraceLatency | Self::SpanLatency | Self::AssessmentValue => {
                &["AVG", "MAX", "MIN", "PERCENTILE"]
            }
            Self::Tokens(_) | Self::Cost(_) => &["AVG", "MAX", "MIN", "PERCENTILE", "SUM"],
        }
    }

    /// What it may be grouped by, in the order of the alphabet.
    pub const fn groupings(self) -> &'static [Grouping] {
        match self {
            Self::TraceCount => &[Grouping::TraceName, Grouping::TraceStatus],
            Self::SessionCount => &[],
            Self::TraceLatency | Self::Tokens(_) => &[Grouping::TraceName],
            Self::SpanCount => &[
                Grouping::SpanModelName,
                Grouping::SpanModelProvider,
                Grouping::SpanName,
                Grouping::SpanStatus,
                Grouping::SpanType,
            ],
            Self::SpanLatency => &[Grouping::SpanName, Grouping::SpanStatus],
            Self::Cost(_) => &[Grouping::SpanModelName, Grouping::SpanModelProvider],
            Self::AssessmentCount => &[Grouping::AssessmentName, Grouping::AssessmentValue],
            Self::AssessmentValue => &[Grouping::AssessmentName],
        }
    }
}

/// What is made of the values of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aggregation {
    /// How many there are.
    Count,
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The least.
    Least,
    /// The largest.
    Largest,
    /// The value below which so many of a hundred are, between neighbours if need be.
    Percentile(f64),
}

impl Aggregation {
    /// MLflow's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Count => "COUNT",
            Self::Sum => "SUM",
            Self::Mean => "AVG",
            Self::Least => "MIN",
            Self::Largest => "MAX",
            Self::Percentile(_) => "PERCENTILE",
        }
    }

    /// What its value is called in an answer.
    pub fn label(self) -> String {
        match self {
            Self::Percentile(percent) => format!("P{}", crate::python::float(percent)),
            other => other.word().to_owned(),
        }
    }
}

/// What a figure is grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// The name of the trace.
    TraceName,
    /// How the trace is.
    TraceStatus,
    /// The name of the span.
    SpanName,
    /// What kind of step it was.
    SpanType,
    /// How it ended.
    SpanStatus,
    /// The model that it asked.
    SpanModelName,
    /// Whose model.
    SpanModelProvider,
    /// What was assessed.
    AssessmentName,
    /// What is said of it, as JSON.
    AssessmentValue,
}

impl Grouping {
    /// MLflow's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TraceName => "trace_name",
            Self::TraceStatus => "trace_status",
            Self::SpanName => "span_name",
            Self::SpanType => "span_type",
            Self::SpanStatus => "span_status",
            Self::SpanModelName => "span_model_name",
            Self::SpanModelProvider => "span_model_provider",
            Self::AssessmentName => "assessment_name",
            Self::AssessmentValue => "assessment_value",
        }
    }
}

/// What a span or an assessment must have to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FigureField {
    /// The name of a span.
    SpanName,
    /// How it ended.
    SpanStatus,
    /// What kind of step it was.
    SpanType,
    /// What was assessed.
    AssessmentName,
    /// `feedback`, `expectation` or `issue`.
    AssessmentType,
}

/// A figure that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct FigureQuery {
    /// Of which experiments; of none, there is nothing to count.
    pub experiments: Vec<ExperimentId>,
    /// What.
    pub figure: Figure,
    /// What is made of the values of each group.
    pub aggregations: Vec<Aggregation>,
    /// In which groups.
    pub groupings: Vec<Grouping>,
    /// What the traces must have.
    pub traces: Vec<Condition>,
    /// What their spans or assessments must have.
    pub rows: Vec<(FigureField, String)>,
    /// From when on, in milliseconds.
    pub from_ms: Option<i64>,
    /// Until when, in milliseconds, this one too.
    pub until_ms: Option<i64>,
    /// In stretches of so many seconds, which is more than none.
    pub bucket_seconds: Option<i64>,
    /// So many groups, the first in their order.
    pub limit: usize,
}

impl FigureQuery {
    /// The begin of the stretch that a time is in, both in milliseconds; none where there are no stretches.
    pub fn bucket_of(&self, time_ms: i64) -> Option<i64> {
        let length_ms = self.bucket_seconds?.saturating_mul(1000).max(1);
        Some(time_ms.div_euclid(length_ms).saturating_mul(length_ms))
    }
}

/// A group, and what was made of its values.
#[derive(Clone, Debug, PartialEq)]
pub struct FigurePoint {
    /// Its stretch of time, in milliseconds.
    pub bucket_ms: Option<i64>,
    /// What it is the group of, in the order of the groupings.
    pub group: Vec<String>,
    /// In the order of the aggregations; none where there are no values.
    pub values: Vec<Option<f64>>,
}

/// What one row gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// Itself.
    Row,
    /// A number.
    Number(f64),
    /// A text of which each counts once.
    Once(String),
}

/// Gathers rows into groups.
///
/// *Cost*: a few numbers for each of the groups that are wanted, and all values of a group of which a percentile is.
#[derive(Debug)]
pub struct FigureTally<'q> {
    query: &'q FigureQuery,
    groups: BTreeMap<GroupKey, Group>,
}

/// Stretch and group.
type GroupKey = (Option<i64>, Vec<String>);

impl<'q> FigureTally<'q> {
    /// Without a row.
    pub fn new(query: &'q FigureQuery) -> Self {
        let mut groups = BTreeMap::new();
        if query.bucket_seconds.is_none() && query.groupings.is_empty() && query.limit > 0 {
            // Without groups there is one, of no rows too.
            groups.insert((None, Vec::new()), Group::default());
        }
        Self { query, groups }
    }

    /// Adds a row.
    pub fn add(&mut self, bucket_ms: Option<i64>, group: Vec<String>, sample: Sample) {
        let key = (bucket_ms, group);
        if self.groups.len() >= self.query.limit && !self.groups.contains_key(&key) {
            // What comes after all that is wanted was never wanted, whatever comes later.
            match self.groups.last_key_value() {
                Some((last, _)) if *last > key => drop(self.groups.pop_last()),
                _ => return,
            }
        }
        let keeps = self
            .query
            .aggregations
            .iter()
            .any(|aggregation| matches!(aggregation, Aggregation::Percentile(_)));
        self.groups.entry(key).or_default().add(sample, keeps);
    }

    /// What came out, in the order of time and groups.
    pub fn finish(self) -> Vec<FigurePoint> {
        let aggregations = &self.query.aggregations;
        let groups = self.groups.into_iter();
        let points = groups.map(|((bucket_ms, group), mut found)| {
            found.values.sort_by(f64::total_cmp);
            FigurePoint {
                bucket_ms,
                group,
                values: aggregations.iter().map(|each| found.made(*each)).collect(),
            }
        });
        points.collect()
    }
}

#[derive(Debug, Default)]
struct Group {
    count: u64,
    sum: f64,
    /// What was lost of the sum.
    lost: f64,
    least: Option<f64>,
    largest: Option<f64>,
    /// Where a percentile is wanted.
    values: Vec<f64>,
    /// Where each counts once.
    seen: BTreeSet<String>,
}

impl Group {
    fn add(&mut self, sample: Sample, keeps: bool) {
        match sample {
            Sample::Row => self.count += 1,
            Sample::Once(text) => {
                self.count += u64::from(self.seen.insert(text));
            }
            Sample::Number(number) => {
                self.count += 1;
                self.add_to_sum(number);
                self.least = Some(self.least.map_or(number, |least| least.min(number)));
                self.largest = Some(self.largest.map_or(number, |largest| largest.max(number)));
                if keeps {
                    self.values.push(number);
                }
            }
        }
    }

    /// *Source*: A. Neumaier, Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen (1974); SQLite sums so.
    fn add_to_sum(&mut self, number: f64) {
        let sum = self.sum + number;
        self.lost += if self.sum.abs() >= number.abs() {
            (self.sum - sum) + number
        } else {
            (number - sum) + self.sum
        };
        self.sum = sum;
    }

    /// `values` must be sorted.
    fn made(&self, aggregation: Aggregation) -> Option<f64> {
        let total = self.sum + self.lost;
        let has_numbers = self.least.is_some();
        match aggregation {
            Aggregation::Count => Some(self.count as f64),
            Aggregation::Sum => has_numbers.then_some(total),
            Aggregation::Mean => has_numbers.then(|| total / self.count as f64),
            Aggregation::Least => self.least,
            Aggregation::Largest => self.largest,
            Aggregation::Percentile(percent) => percentile(&self.values, percent),
        }
    }
}

/// Between the two nearest values, by how near they are; `values` must be sorted.
///
/// *Source*: R. Hyndman and Y. Fan, Sample quantiles in statistical packages (1996), definition 7.
fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    let place = percent / 100.0 * last as f64;
    let below = (place as usize).min(last);
    let above = (below + 1).min(last);
    let part = place - below as f64;
    Some(values[below] + part * (values[above] - values[below]))
}

/// What counts of tokens are: whole numbers, also those in a text.
pub fn token_count(value: &Value) -> Option<f64> {
    let count = finite(value)?;
    (count.fract() == 0.0 && count.abs() < 2_f64.powi(63)).then_some(count)
}

/// A number, also one in a text, as costs are told.
pub fn finite(value: &Value) -> Option<f64> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok()?,
        other => other.as_f64()?,
    };
    number.is_finite().then_some(number)
}

/// What an assessment counts as: a number, or 1 and 0 for what is so and what is not.
pub fn assessed_number(value: &AssessmentValue) -> Option<f64> {
    let said = match value {
        AssessmentValue::Feedback { value, .. } | AssessmentValue::Expectation { value } => value,
        AssessmentValue::Issue { .. } => return None,
    };
    match said {
        Value::Bool(is_so) => Some(f64::from(u8::from(*is_so))),
        Value::Number(number) => number.as_f64().filter(|number| number.is_finite()),
        Value::String(text) => match text.trim().to_lowercase().as_str() {
            "yes" => Some(1.0),
            "no" => Some(0.0),
            _ => None,
        },
        _ => None,
    }
}

/// What an assessment says, as MLflow's database holds it: JSON in ASCII, whose numbers went through protobuf.
pub fn assessed_text(value: &AssessmentValue) -> String {
    let said = match value {
        // Clients send structures that are expected as a text, whose numbers stay what they are.
        AssessmentValue::Expectation { value } if value.is_array() || value.is_object() => {
            value.clone()
        }
        AssessmentValue::Feedback { value, .. } | AssessmentValue::Expectation { value } => {
            with_floats(value)
        }
        AssessmentValue::Issue { issue } => serde_json::json!({ "issue_name": issue }),
    };
    let mut shown = String::new();
    for character in crate::python::dumps(&said).chars() {
        if character.is_ascii() {
            shown.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        }
    }
    shown
}

fn with_floats(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or_else(|| value.clone(), Value::from),
        Value::Array(items) => items.iter().map(with_floats).collect(),
        Value::Object(members) => {
            let members = members.iter();
            members
                .map(|(key, member)| (key.clone(), with_floats(member)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn query(aggregations: Vec<Aggregation>, limit: usize) -> FigureQuery {
        FigureQuery {
            experiments: Vec::new(),
            figure: Figure::TraceLatency,
            aggregations,
            groupings: vec![Grouping::TraceName],
            traces: Vec::new(),
            rows: Vec::new(),
            from_ms: None,
            until_ms: None,
            bucket_seconds: None,
            limit,
        }
    }

    #[test]
    fn every_figure_is_found_by_its_view_and_name() {
        for figure in Figure::all() {
            assert_eq!(Figure::find(figure.view(), figure.name()), Some(figure));
            assert!(figure.aggregations().is_sorted());
            let words: Vec<_> = figure
                .groupings()
                .iter()
                .map(|each| each.as_str())
                .collect();
            assert!(words.is_sorted(), "{words:?}");
        }
        assert_eq!(Figure::find(FigureView::Spans, "trace_count"), None);
    }

    /// What numpy gives for the same values.
    #[test]
    fn percentiles_are_those_of_numpy() {
        let values = [1.0, 2.0, 4.0, 8.0, 16.0];
        for (percent, expected) in [
            (0.0, 1.0),
            (10.0, 1.4),
            (50.0, 4.0),
            (90.0, 12.8),
            (100.0, 16.0),
        ] {
            let found = percentile(&values, percent).unwrap();
            assert!((found - expected).abs() < 1e-12, "{percent}: {found}");
        }
        assert_eq!(percentile(&[], 50.0), None);
        assert_eq!(percentile(&[3.0], 99.9), Some(3.0));
    }

    #[test]
    fn the_first_groups_are_kept_whole_in_whatever_order_rows_come() {
        let query = query(vec![Aggregation::Count, Aggregation::Sum], 2);
        let mut tally = FigureTally::new(&query);
        for (name, number) in [
            ("d", 1.0),
            ("b", 2.0),
            ("c", 3.0),
            ("a", 4.0),
            ("b", 5.0),
            ("d", 6.0),
        ] {
            tally.add(None, vec![name.to_owned()], Sample::Number(number));
        }
        let points = tally.finish();
        let shown: Vec<_> = points
            .iter()
            .map(|point| (point.group[0].as_str(), &point.values))
            .collect();
        assert_eq!(
            shown,
            [
                ("a", &vec![Some(1.0), Some(4.0)]),
                ("b", &vec![Some(2.0), Some(7.0)])
            ]
        );
    }

    #[test]
    fn a_sum_does_not_depend_on_the_order_of_its_parts() {
        let parts = [1e16, 1.0, -1e16, 0.25, 1.0];
        let sum = |parts: &[f64]| {
            let mut group = Group::default();
            for part in parts {
                group.add(Sample::Number(*part), false);
            }
            group.made(Aggregation::Sum)
        };
        let mut backward = parts;
        backward.reverse();
        assert_eq!(sum(&parts), Some(2.25));
        assert_eq!(sum(&backward), Some(2.25));
    }

    #[test]
    fn times_are_in_the_stretch_that_begins_before_them() {
        let mut query = query(Vec::new(), 1);
        assert_eq!(query.bucket_of(61_000), None);
        query.bucket_seconds = Some(60);
        for (time, expected) in [(0, 0), (59_999, 0), (60_000, 60_000), (-1, -60_000)] {
            assert_eq!(query.bucket_of(time), Some(expected), "{time}");
        }
        query.bucket_seconds = Some(i64::MAX);
        assert_eq!(query.bucket_of(5), Some(0));
    }

    #[test]
    fn what_is_no_count_counts_nothing() {
        for (told, expected) in [
            (json!(12), Some(12.0)),
            (json!(12.0), Some(12.0)),
            (json!(" 12 "), Some(12.0)),
            (json!(1.5), None),
            (json!(true), None),
            (json!("many"), None),
            (json!(1e300), None),
            (json!(null), None),
        ] {
            assert_eq!(token_count(&told), expected, "{told}");
        }
    }

    /// What MLflow 3.17.2 keeps of the same.
    #[test]
    fn assessments_are_numbers_and_texts_as_in_mlflow() {
        let feedback = |value: Value| AssessmentValue::Feedback { value, error: None };
        for (said, number, text) in [
            (feedback(json!(4)), Some(4.0), "4.0"),
            (feedback(json!(true)), Some(1.0), "true"),
            (feedback(json!(" No ")), Some(0.0), "\" No \""),
            (feedback(json!("grün")), None, "\"gr\\u00fcn\""),
            (feedback(json!(["a", 1, null])), None, "[\"a\", 1.0, null]"),
            (feedback(json!(null)), None, "null"),
            (
                AssessmentValue::Expectation {
                    value: json!({"a": 1}),
                },
                None,
                "{\"a\": 1}",
            ),
            (
                AssessmentValue::Issue {
                    issue: "yes".to_owned(),
                },
                None,
                "{\"issue_name\": \"yes\"}",
            ),
        ] {
            assert_eq!(assessed_number(&said), number, "{said:?}");
            assert_eq!(assessed_text(&said), text);
        }
    }
}
