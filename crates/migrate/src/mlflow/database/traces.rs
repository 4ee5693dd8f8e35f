//! Traces in MLflow's database.
//!
//! *Source*: `SqlTraceInfo`, `SqlSpan`, `SqlAssessments` and `SqlEntityAssociation` in
//! `mlflow/store/tracking/dbmodels/models.py`, and `mlflow/store/tracking/utils/trace_analytics.py`.

use std::collections::BTreeMap;

use entities::{
    Assessment, ExperimentId, Span, TRACE_COST_KEY, TRACE_NAME_TAG, TRACE_SESSION_KEY,
    TRACE_TOKENS_KEY, Trace, TraceId, python,
};
use serde_json::{Map, Value};
use store_sql::params;

use super::super::cells::Cells;
use super::MlflowDatabase;
use crate::MigrateError;
use crate::mlflow::assessment::{in_order, metadata_of, source_of, value_of};
use crate::mlflow::json::read_json;
use crate::mlflow::span::{span_of, state_of};
use crate::mlflow::time::{duration_of_millis, time_of_millis};
use crate::source::{SourceTrace, TraceLinks, TracePlace, TraceReading};

/// Columns of `trace_info` that hold tokens, by the names that metadata have for them.
pub(crate) const TOKEN_COLUMNS: [&str; 6] = [
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation_input_tokens_above_1hr",
];

/// Columns of `trace_info` that hold costs, likewise.
pub(crate) const COST_COLUMNS: [&str; 3] = ["input_cost", "output_cost", "total_cost"];

/// Columns of `trace_info` that every release has, but for the id.
const FIRST_COLUMNS: [&str; 4] = [
    "experiment_id",
    "timestamp_ms",
    "execution_time_ms",
    "status",
];

/// Columns of `assessments`.
const ASSESSMENT_COLUMNS: [&str; 15] = [
    "assessment_id",
    "name",
    "assessment_type",
    "value",
    "error",
    "created_timestamp",
    "last_updated_timestamp",
    "source_type",
    "source_id",
    "run_id",
    "span_id",
    "rationale",
    "overrides",
    "valid",
    "assessment_metadata",
];

/// Other columns of `trace_info` that not every release has.
const LATER_COLUMNS: [&str; 5] = [
    "client_request_id",
    "request_preview",
    "response_preview",
    "trace_name",
    "session_id",
];

/// Where the spans of a trace are if they are files. Those that the database holds need no place.
const SPANS_AT: &str = "(SELECT value FROM trace_tags
    WHERE trace_tags.request_id = trace_info.request_id AND key = 'mlflow.artifactLocation')";

impl MlflowDatabase {
    /// Which traces there are, oldest first, and a sentence for each that has no id or no experiment.
    pub(super) fn trace_places(&self) -> Result<(Vec<TracePlace>, Vec<String>), MigrateError> {
        let spans_at = match (
            self.tables.contains("trace_tags"),
            self.tables.contains("spans"),
        ) {
            (false, _) => "NULL".to_owned(),
            (true, false) => SPANS_AT.to_owned(),
            (true, true) => format!(
                "CASE WHEN EXISTS (SELECT 1 FROM spans WHERE spans.trace_id = trace_info.request_id)
                     THEN NULL ELSE {SPANS_AT} END"
            ),
        };
        let sql = format!(
            "SELECT request_id, experiment_id, {spans_at} AS spans_at
             FROM trace_info ORDER BY timestamp_ms, request_id"
        );
        let rows = self.list("trace_info", &sql, params![], |row| {
            let columns = &["request_id", "experiment_id", "spans_at"];
            Ok(place_of(Cells { row, columns }))
        })?;
        let mut faults = Vec::new();
        let places = rows.into_iter().filter_map(|row| kept(row, &mut faults));
        Ok((places.collect(), faults))
    }

    /// Reads a trace with everything that belongs to it.
    pub(crate) fn trace(&self, id: &TraceId) -> Result<TraceReading, MigrateError> {
        let mut faults = Vec::new();
        let sql = format!(
            "SELECT {}{}
             FROM trace_info WHERE request_id = ?1",
            FIRST_COLUMNS.join(", "),
            self.later_trace_columns
        );
        let columns = [
            &FIRST_COLUMNS[..],
            &LATER_COLUMNS,
            &TOKEN_COLUMNS,
            &COST_COLUMNS,
        ]
        .concat();
        let rows = self.list("trace_info", &sql, [id.as_str()], |row| {
            let columns = &columns;
            Ok(trace_of(id, Cells { row, columns }).map_err(|why| format!("trace {id}: {why}")))
        })?;
        let Some(mut trace) = rows
            .into_iter()
            .next()
            .and_then(|row| kept(row, &mut faults))
        else {
            return Ok(TraceReading {
                trace: None,
                faults,
            });
        };
        // Where both are, the columns were filled from the rows, which a server that knows no columns has since changed.
        trace
            .tags
            .extend(self.pairs_of_trace("trace_tags", id, &mut faults)?);
        let metadata = self.pairs_of_trace("trace_request_metadata", id, &mut faults)?;
        trace.metadata.extend(metadata);
        let (spans, archived_spans) = self.spans(id, &mut faults)?;
        let assessments = self.assessments(id, &mut faults)?;
        let links = self.links(id, &mut faults)?;
        let trace = SourceTrace {
            trace,
            spans,
            archived_spans,
            assessments,
            links,
            folder: None,
        };
        Ok(TraceReading {
            trace: Some(trace),
            faults,
        })
    }

    /// Those of the columns of `trace_info` that not every release has, as they are selected.
    pub(super) fn find_later_trace_columns(&self) -> Result<String, MigrateError> {
        let all = LATER_COLUMNS
            .iter()
            .chain(&TOKEN_COLUMNS)
            .chain(&COST_COLUMNS);
        let mut selected = String::new();
        for column in all {
            if self.has_column("trace_info", column)? {
                selected.push_str(", ");
                selected.push_str(column);
            } else {
                selected.push_str(", NULL AS ");
                selected.push_str(column);
            }
        }
        Ok(selected)
    }

    fn pairs_of_trace(
        &self,
        table: &'static str,
        id: &TraceId,
        faults: &mut Vec<String>,
    ) -> Result<BTreeMap<String, String>, MigrateError> {
        let sql = format!("SELECT key, value FROM {table} WHERE request_id = ?1");
        let rows = self.list(table, &sql, [id.as_str()], |row| {
            let columns = &["key", "value"];
            let cells = Cells { row, columns };
            let pair = cells
                .some_text("key")
                .and_then(|key| Ok((key, cells.text("value")?.unwrap_or_default())));
            Ok(pair.map_err(|why| format!("a row in `{table}` of trace {id}: {why}")))
        })?;
        Ok(rows
            .into_iter()
            .filter_map(|row| kept(row, faults))
            .collect())
    }

    /// The spans of a trace, and how many more MLflow moved into its archive.
    fn spans(
        &self,
        id: &TraceId,
        faults: &mut Vec<String>,
    ) -> Result<(Vec<Span>, u64), MigrateError> {
        let rows = self.list(
            "spans",
            "SELECT span_id, content FROM spans WHERE trace_id = ?1 ORDER BY start_time_unix_nano, span_id",
            [id.as_str()],
            |row| {
                let columns = &["span_id", "content"];
                let cells = Cells { row, columns };
                let name = cells.text("span_id").ok().flatten().unwrap_or_default();
                Ok((name, cells.some_text("content")))
            },
        )?;
        let mut archived = 0;
        let mut spans: BTreeMap<_, Span> = BTreeMap::new();
        let mut order = Vec::with_capacity(rows.len());
        for (name, content) in rows {
            if content.as_deref() == Ok("") {
                archived += 1;
                continue;
            }
            let span = content
                .and_then(|content| span_of(&content, id))
                .and_then(|span| {
                    let is_new = !spans.contains_key(&span.id);
                    is_new
                        .then_some(span)
                        .ok_or_else(|| "its id is there twice".to_owned())
                });
            let fault = |why| format!("span `{name}` of trace {id}: {why}");
            if let Some(span) = kept(span.map_err(fault), faults) {
                order.push(span.id.clone());
                spans.insert(span.id.clone(), span);
            }
        }
        let spans = order.iter().filter_map(|span| spans.remove(span)).collect();
        Ok((spans, archived))
    }

    fn assessments(
        &self,
        id: &TraceId,
        faults: &mut Vec<String>,
    ) -> Result<Vec<Assessment>, MigrateError> {
        let sql = format!(
            "SELECT {} FROM assessments WHERE trace_id = ?1",
            ASSESSMENT_COLUMNS.join(", ")
        );
        let rows = self.list("assessments", &sql, [id.as_str()], |row| {
            let columns = &ASSESSMENT_COLUMNS;
            let cells = Cells { row, columns };
            let name = cells.text("assessment_id").ok().flatten();
            let name = name.unwrap_or_default();
            let fault = |why| format!("assessment `{name}` of trace {id}: {why}");
            Ok(assessment_of(cells).map_err(fault))
        })?;
        let found: Vec<Assessment> = rows
            .into_iter()
            .filter_map(|row| kept(row, faults))
            .collect();
        Ok(in_order(found))
    }

    /// Runs and versions of prompts that a trace is linked to.
    fn links(&self, id: &TraceId, faults: &mut Vec<String>) -> Result<TraceLinks, MigrateError> {
        let rows = self.list(
            "entity_associations",
            "SELECT destination_type, destination_id FROM entity_associations
             WHERE source_type = 'trace' AND source_id = ?1 AND destination_type IN ('run', 'prompt_version')
             ORDER BY destination_type, destination_id",
            [id.as_str()],
            |row| {
                let columns = &["destination_type", "destination_id"];
                let cells = Cells { row, columns };
                let destination = cells.some_text("destination_id");
                let kind = cells.some_text("destination_type");
                let link = kind.and_then(|kind| Ok((kind == "run", destination?)));
                Ok(link.map_err(|why| format!("a link of trace {id}: {why}")))
            },
        )?;
        let mut links = TraceLinks::default();
        for row in rows {
            let Some((is_run, destination)) = kept(row, faults) else {
                continue;
            };
            if is_run {
                let run = destination.parse();
                let fault = |error| format!("a link of trace {id}: {error}");
                links.runs.extend(kept(run.map_err(fault), faults));
            } else {
                let prompt = destination.rsplit_once('/');
                let prompt = prompt.map(|(name, version)| (name.to_owned(), version.to_owned()));
                let fault =
                    || format!("a link of trace {id}: `{destination}` is no version of a prompt");
                links.prompts.extend(kept(prompt.ok_or_else(fault), faults));
            }
        }
        Ok(links)
    }
}

/// What was read; where it could not be, why is noted.
pub(super) fn kept<T>(read: Result<T, String>, faults: &mut Vec<String>) -> Option<T> {
    read.map_err(|fault| faults.push(fault)).ok()
}

fn place_of(row: Cells<'_>) -> Result<TracePlace, String> {
    let name = row
        .some_text("request_id")
        .map_err(|why| format!("a trace: {why}"))?;
    let fault = |why| format!("trace `{name}`: {why}");
    let id = name
        .parse()
        .map_err(|_| fault("that is no id of a trace".to_owned()))?;
    Ok(TracePlace {
        id,
        experiment: experiment_at(row).map_err(fault)?,
        spans_at: row.text("spans_at").map_err(fault)?,
    })
}

fn experiment_at(row: Cells<'_>) -> Result<ExperimentId, String> {
    let id = row.some_text("experiment_id")?;
    id.parse()
        .map_err(|_| format!("its experiment `{id}` is none"))
}

/// A trace with those of its tags and metadata that are columns.
fn trace_of(id: &TraceId, row: Cells<'_>) -> Result<Trace, String> {
    let requested_at = time_of_millis(row.some_integer("timestamp_ms")?);
    let duration_ms = match row.integer("execution_time_ms")? {
        Some(millis) => {
            let duration = duration_of_millis(millis);
            Some(duration.ok_or("its `execution_time_ms` is no duration")?)
        }
        None => None,
    };
    let name = row.text("trace_name")?;
    let tags = name.map(|name| (TRACE_NAME_TAG.to_owned(), name));
    Ok(Trace {
        id: id.clone(),
        experiment: experiment_at(row)?,
        requested_at: requested_at.ok_or("its `timestamp_ms` is no time")?,
        duration_ms,
        state: state_of(&row.some_text("status")?)?,
        client_request_id: row.text("client_request_id")?,
        request_preview: row.text("request_preview")?,
        response_preview: row.text("response_preview")?,
        tags: tags.into_iter().collect(),
        metadata: column_metadata_of(row)?,
    })
}

/// Metadata that are columns, in the form in which MLflow gives them.
fn column_metadata_of(row: Cells<'_>) -> Result<BTreeMap<String, String>, String> {
    let mut metadata = BTreeMap::new();
    if let Some(session) = row.text("session_id")? {
        metadata.insert(TRACE_SESSION_KEY.to_owned(), session);
    }
    let mut tokens = Map::new();
    for column in TOKEN_COLUMNS {
        if let Some(count) = row.integer(column)? {
            tokens.insert(column.to_owned(), Value::from(count));
        }
    }
    let mut costs = Map::new();
    for column in COST_COLUMNS {
        if let Some(cost) = row.number(column)? {
            costs.insert(column.to_owned(), Value::from(cost));
        }
    }
    for (key, counts) in [(TRACE_TOKENS_KEY, tokens), (TRACE_COST_KEY, costs)] {
        if !counts.is_empty() {
            metadata.insert(key.to_owned(), python::dumps(&Value::Object(counts)));
        }
    }
    Ok(metadata)
}

fn assessment_of(row: Cells<'_>) -> Result<Assessment, String> {
    let json = |column: &str| {
        let text = row.text(column)?;
        let value = text.map(|text| read_json(&text)).transpose();
        value.map_err(|error| format!("its `{column}` is no JSON: {error}"))
    };
    let time = |column: &str| {
        let time = time_of_millis(row.some_integer(column)?);
        time.ok_or_else(|| format!("its `{column}` is no time"))
    };
    let kind = row.some_text("assessment_type")?;
    let value = json("value")?.ok_or("its `value` is missing")?;
    let source = row.some_text("source_type")?;
    Ok(Assessment {
        id: row.some_text("assessment_id")?,
        name: row.some_text("name")?,
        value: value_of(&kind, value, json("error")?)?,
        source: source_of(&source, row.text("source_id")?)?,
        rationale: row.text("rationale")?,
        metadata: metadata_of(json("assessment_metadata")?, row.text("run_id")?)?,
        span: row.text("span_id")?,
        created_at: time("created_timestamp")?,
        updated_at: time("last_updated_timestamp")?,
        overrides: row.text("overrides")?.filter(|id| !id.is_empty()),
        is_valid: row.integer("valid")?.is_none_or(|valid| valid != 0),
    })
}
