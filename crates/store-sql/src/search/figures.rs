//! Figures over traces, as one walk over the rows that fit: databases differ in what they can sum up, so they only choose.

use entities::{
    Aggregation, ExperimentId, Figure, FigureField, FigurePoint, FigureQuery, FigureTally,
    FigureView, Grouping, Sample, SearchQuery, TRACE_NAME_TAG, TRACE_SESSION_KEY, TRACE_TOKENS_KEY,
    TraceRecord, assessed_number, assessed_text, finite, token_count,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use store::{StoreError, View};

use super::{Compiler, Subject};
use crate::fault::{damaged, database_fault};
use crate::sql::{self, Connection, Dialect, OwnedValue, Row};

const NANOS_PER_MILLI: i64 = 1_000_000;
const MICROS_PER_MILLI: i64 = 1000;

/// A figure, as SQL and what its columns are.
pub(crate) struct FigureSearch {
    query: FigureQuery,
    sql: String,
    values: Vec<OwnedValue>,
    /// Where the record of a span or an assessment is, where it is needed.
    record: Option<usize>,
}

/// The columns of every statement: when, and what is measured; groups follow, then the record.
const TIME: usize = 0;
const MEASURED: usize = 1;
const FIRST_GROUP: usize = 2;

impl FigureSearch {
    /// A figure of no experiments is none.
    pub(crate) fn new(dialect: Dialect, query: &FigureQuery) -> Result<Option<Self>, StoreError> {
        if query.experiments.is_empty() {
            return Ok(None);
        }
        let mut compiler = Compiler::new(dialect, Subject::Traces);
        let record = compiler.select_figure(query);
        compiler.add_scope(&query.experiments, View::All);
        let traces = SearchQuery {
            conditions: query.traces.clone(),
            order_by: Vec::new(),
        };
        compiler.add_conditions(&traces, None)?;
        compiler.add_row_conditions(&query.rows);
        compiler.add_times(query);
        compiler.check_values()?;
        Ok(Some(Self {
            query: query.clone(),
            sql: compiler.select(),
            values: compiler.values,
            record,
        }))
    }

    pub(crate) fn read(&self, connection: &dyn Connection) -> Result<Vec<FigurePoint>, StoreError> {
        let mut tally = FigureTally::new(&self.query);
        let mut fault = None;
        connection
            .query_all(&self.sql, self.values.as_slice(), |row| {
                match self.read_row(row)? {
                    Ok(Some((bucket, group, sample))) => tally.add(bucket, group, sample),
                    Ok(None) => {}
                    Err(found) => fault = Some(found),
                }
                Ok(())
            })
            .map_err(database_fault("measuring traces"))?;
        fault.map_or_else(|| Ok(tally.finish()), Err)
    }

    /// What a row gives; none where it has nothing to measure, or is in no group.
    fn read_row(&self, row: &Row<'_>) -> sql::Result<Result<Option<Measured>, StoreError>> {
        let told = match self.record {
            Some(column) => match Told::read(self.query.figure.view(), row.text(column)?) {
                Ok(told) => Some(told),
                Err(fault) => return Ok(Err(fault)),
            },
            None => None,
        };
        let Some(sample) = self.read_sample(row, told.as_ref())? else {
            return Ok(Ok(None));
        };
        let mut group = Vec::with_capacity(self.query.groupings.len());
        for (place, grouping) in self.query.groupings.iter().enumerate() {
            let found = match (grouping, &told) {
                (Grouping::SpanModelName, Some(told)) => told.model.clone(),
                (Grouping::SpanModelProvider, Some(told)) => told.provider.clone(),
                (Grouping::AssessmentValue, Some(told)) => told.said.clone(),
                _ => row.get(FIRST_GROUP + place)?,
            };
            let Some(found) = found else {
                return Ok(Ok(None));
            };
            group.push(found);
        }
        let time: i64 = row.get(TIME)?;
        let time_ms = match self.query.figure.view() {
            FigureView::Spans => time.div_euclid(NANOS_PER_MILLI),
            FigureView::Traces | FigureView::Assessments => time.div_euclid(MICROS_PER_MILLI),
        };
        Ok(Ok(Some((self.query.bucket_of(time_ms), group, sample))))
    }

    fn read_sample(&self, row: &Row<'_>, told: Option<&Told>) -> sql::Result<Option<Sample>> {
        let figure = self.query.figure;
        let counted = |read: fn(&Value) -> Option<f64>| {
            let counts: Option<String> = row.get(MEASURED)?;
            let counts: Option<Map<String, Value>> =
                counts.and_then(|counts| serde_json::from_str(&counts).ok());
            let count = counts.and_then(|counts| read(counts.get(figure.name())?));
            Ok::<_, sql::SqlError>(count.map(Sample::Number))
        };
        Ok(match figure {
            Figure::TraceCount | Figure::SpanCount | Figure::AssessmentCount => Some(Sample::Row),
            Figure::SessionCount => Some(Sample::Once(row.get(MEASURED)?)),
            Figure::TraceLatency => {
                let duration_ms: i64 = row.get(MEASURED)?;
                Some(Sample::Number(duration_ms as f64))
            }
            Figure::SpanLatency => {
                let duration_ns: i64 = row.get(MEASURED)?;
                Some(Sample::Number((duration_ns / NANOS_PER_MILLI) as f64))
            }
            Figure::Tokens(_) => counted(token_count)?,
            Figure::Cost(_) => counted(finite)?,
            Figure::AssessmentValue => told.and_then(|told| told.number).map(Sample::Number),
        })
    }
}

/// Stretch of time, group, and what is measured.
type Measured = (Option<i64>, Vec<String>, Sample);

/// What a record says that no column does.
#[derive(Default)]
struct Told {
    model: Option<String>,
    provider: Option<String>,
    said: Option<String>,
    number: Option<f64>,
}

impl Told {
    fn read(view: FigureView, encoded: &str) -> Result<Self, StoreError> {
        if view == FigureView::Spans {
            return Self::read_span(encoded);
        }
        match serde_json::from_str(encoded) {
            Ok(TraceRecord::Assessed { assessment }) => Ok(Self {
                said: Some(assessed_text(&assessment.value)),
                number: assessed_number(&assessment.value),
                ..Self::default()
            }),
            Ok(_) => Err(damaged("an assessment's record is that of something else")),
            Err(error) => Err(damaged(format!("an assessment's record: {error}"))),
        }
    }

    /// Without what the model was asked and answered, which is long.
    fn read_span(encoded: &str) -> Result<Self, StoreError> {
        #[derive(Deserialize)]
        struct Record {
            span: SpanPart,
        }
        #[derive(Deserialize)]
        struct SpanPart {
            attributes: Attributes,
        }
        #[derive(Deserialize)]
        struct Attributes {
            #[serde(rename = "mlflow.llm.model")]
            model: Option<Value>,
            #[serde(rename = "mlflow.llm.provider")]
            provider: Option<Value>,
        }
        let record: Record = serde_json::from_str(encoded)
            .map_err(|error| damaged(format!("a span's record: {error}")))?;
        let text = |value: Option<Value>| match value {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        Ok(Self {
            model: text(record.span.attributes.model),
            provider: text(record.span.attributes.provider),
            ..Self::default()
        })
    }
}

impl Compiler {
    /// Begins with the rows that a figure is over; tells where their records are, where these are needed.
    fn select_figure(&mut self, query: &FigureQuery) -> Option<usize> {
        let figure = query.figure;
        let (mut tables, time) = match figure.view() {
            FigureView::Traces => ("trace".to_owned(), "trace.requested_at"),
            FigureView::Spans => (
                "trace JOIN span ON span.trace = trace.number".to_owned(),
                "span.start_ns",
            ),
            FigureView::Assessments => (
                "trace JOIN assessment ON assessment.trace = trace.number AND assessment.is_valid = 1"
                    .to_owned(),
                "trace.requested_at",
            ),
        };
        let measured = match figure {
            Figure::TraceCount
            | Figure::SpanCount
            | Figure::AssessmentCount
            | Figure::AssessmentValue => "0",
            Figure::TraceLatency => "trace.duration_ms",
            Figure::SpanLatency => "span.end_ns - span.start_ns",
            Figure::Cost(_) => "span.cost",
            Figure::SessionCount | Figure::Tokens(_) => {
                let key = match figure {
                    Figure::SessionCount => TRACE_SESSION_KEY,
                    _ => TRACE_TOKENS_KEY,
                };
                let key = self.bind_text(key);
                tables += " JOIN trace_metadata AS measured ON measured.trace = trace.number AND measured.key = ";
                tables += &key;
                "measured.value"
            }
        };
        let mut columns = vec![time, measured];
        if !matches!(measured, "0" | "measured.value") {
            self.conditions.push(format!("{measured} IS NOT NULL"));
        }
        let mut needs_record = figure == Figure::AssessmentValue;
        for (place, grouping) in query.groupings.iter().enumerate() {
            columns.push(match grouping {
                Grouping::TraceName if query.groupings[..place].contains(grouping) => {
                    "naming.value"
                }
                Grouping::TraceName => {
                    let key = self.bind_text(TRACE_NAME_TAG);
                    tables += " JOIN trace_tag AS naming ON naming.trace = trace.number AND naming.key = ";
                    tables += &key;
                    "naming.value"
                }
                Grouping::TraceStatus => "trace.state",
                Grouping::SpanName => "span.name",
                Grouping::SpanType => "span.type",
                Grouping::SpanStatus => "span.status",
                Grouping::AssessmentName => "assessment.name",
                Grouping::SpanModelName | Grouping::SpanModelProvider | Grouping::AssessmentValue => {
                    needs_record = true;
                    "0"
                }
            });
        }
        let record = needs_record.then_some(columns.len());
        if needs_record {
            columns.push("trace_record.encoded");
            tables += match figure.view() {
                FigureView::Assessments => {
                    " JOIN trace_record ON trace_record.number = assessment.record"
                }
                FigureView::Spans | FigureView::Traces => {
                    " JOIN trace_record ON trace_record.number = span.record"
                }
            };
        }
        self.from = Some(format!("SELECT {} FROM {tables}", columns.join(", ")));
        record
    }

    fn add_row_conditions(&mut self, rows: &[(FigureField, String)]) {
        for (field, value) in rows {
            let column = match field {
                FigureField::SpanName => "span.name",
                FigureField::SpanStatus => "span.status",
                FigureField::SpanType => "span.type",
                FigureField::AssessmentName => "assessment.name",
                FigureField::AssessmentType => "assessment.kind",
            };
            let value = self.bind_text(value);
            self.conditions.push(format!("{column} = {value}"));
        }
    }

    /// Costs are told by when their span began, all else by when the trace did.
    fn add_times(&mut self, query: &FigureQuery) {
        let (column, per_milli) = match query.figure {
            Figure::Cost(_) => ("span.start_ns", NANOS_PER_MILLI),
            _ => ("trace.requested_at", MICROS_PER_MILLI),
        };
        if let Some(from_ms) = query.from_ms {
            let from = self.bind(OwnedValue::Integer(from_ms.saturating_mul(per_milli)));
            self.conditions.push(format!("{column} >= {from}"));
        }
        if let Some(until_ms) = query.until_ms {
            let after = until_ms.saturating_add(1).saturating_mul(per_milli);
            let after = self.bind(OwnedValue::Integer(after));
            self.conditions.push(format!("{column} < {after}"));
        }
    }
}

/// Each figure by each grouping and with all that it can be asked for: for the tests of the databases.
pub(super) fn all_figures(dialect: Dialect) -> Vec<(String, String)> {
    let experiment: Result<ExperimentId, _> = "0".parse();
    let experiments: Vec<_> = experiment.into_iter().collect();
    let searches = Figure::all().filter_map(|figure| {
        let rows = match figure.view() {
            FigureView::Traces => Vec::new(),
            FigureView::Spans => vec![
                (FigureField::SpanName, "x".to_owned()),
                (FigureField::SpanStatus, "x".to_owned()),
                (FigureField::SpanType, "x".to_owned()),
            ],
            FigureView::Assessments => vec![
                (FigureField::AssessmentName, "x".to_owned()),
                (FigureField::AssessmentType, "x".to_owned()),
            ],
        };
        let query = FigureQuery {
            experiments: experiments.clone(),
            figure,
            aggregations: vec![Aggregation::Count],
            groupings: figure.groupings().to_vec(),
            traces: Vec::new(),
            rows,
            from_ms: Some(0),
            until_ms: Some(1),
            bucket_seconds: Some(60),
            limit: 5,
        };
        let search = FigureSearch::new(dialect, &query).ok()??;
        Some((format!("{figure:?}"), search.sql))
    });
    searches.collect()
}
