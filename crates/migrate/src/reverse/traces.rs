//! Traces with their spans and assessments.
//!
//! *Source*: `log_spans` and `start_trace` in `mlflow/store/tracking/sqlalchemy_store.py`, and
//! `mlflow/store/tracking/utils/trace_analytics.py`.

use std::collections::BTreeMap;

use entities::{
    Assessment, AssessmentValue, Comparison, Condition, Field, Operator, RunId, SearchQuery, Span,
    TRACE_COST_KEY, TRACE_NAME_TAG, TRACE_RUN_KEY, TRACE_SESSION_KEY, TRACE_TOKENS_KEY, Trace,
    TraceDetail, TraceId, python,
};
use serde_json::{Map, Value, json};
use store::{PageRequest, Prompts, View};
use store_sql::params;

use super::tracking::number_of;
use super::{Writer, all, id_of};
use crate::MigrateError;
use crate::mlflow::{COST_COLUMNS, SOURCE_RUN_KEY, TOKEN_COLUMNS, content_of};

/// Traces that are held at once.
const TRACES_AT_ONCE: usize = 100;

/// Characters of the name of a model or its provider that MLflow keeps beside a span.
const DIMENSION: usize = 500;

impl Writer<'_> {
    pub(super) async fn write_traces(&mut self) -> Result<(), MigrateError> {
        let query = SearchQuery::default();
        let mut page = PageRequest::first(TRACES_AT_ONCE);
        let mut done = 0;
        loop {
            let part = self.store().search_traces(&[], &query, &page).await?;
            for TraceDetail { trace, assessments } in &part.items {
                self.write_trace(trace)?;
                for span in self.store().list_spans(&trace.id).await? {
                    self.write_span(trace, &span)?;
                    self.report.count("spans", 1);
                }
                for assessment in assessments {
                    self.write_assessment(trace, assessment)?;
                    self.report.count("assessments", 1);
                }
            }
            done += part.items.len();
            self.report.count("traces", part.items.len() as u64);
            self.tell("traces", done, done);
            match part.next {
                Some(next) => page.token = Some(next),
                None => return Ok(()),
            }
        }
    }

    fn write_trace(&mut self, trace: &Trace) -> Result<(), MigrateError> {
        let Trace {
            id,
            experiment,
            requested_at,
            duration_ms,
            state,
            client_request_id,
            request_preview,
            response_preview,
            tags,
            metadata,
        } = trace;
        let tokens = counts_of(metadata.get(TRACE_TOKENS_KEY));
        let costs = counts_of(metadata.get(TRACE_COST_KEY));
        let count = |column: &str| tokens.get(column).and_then(Value::as_i64);
        let cost = |column: &str| costs.get(column).and_then(finite);
        self.write(
            "trace_info",
            "INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, execution_time_ms, status, client_request_id,
                 request_preview, response_preview, trace_name, session_id, input_tokens, output_tokens, total_tokens,
                 cache_read_input_tokens, cache_creation_input_tokens, cache_creation_input_tokens_above_1hr, input_cost,
                 output_cost, total_cost)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
            params![
                id.as_str(),
                number_of(experiment)?,
                requested_at.as_millis(),
                duration_ms,
                state.as_str(),
                client_request_id,
                request_preview,
                response_preview,
                tags.get(TRACE_NAME_TAG),
                metadata.get(TRACE_SESSION_KEY),
                count(TOKEN_COLUMNS[0]),
                count(TOKEN_COLUMNS[1]),
                count(TOKEN_COLUMNS[2]),
                count(TOKEN_COLUMNS[3]),
                count(TOKEN_COLUMNS[4]),
                count(TOKEN_COLUMNS[5]),
                cost(COST_COLUMNS[0]),
                cost(COST_COLUMNS[1]),
                cost(COST_COLUMNS[2])
            ],
        )?;
        self.write_pairs(
            "trace_tags",
            "INSERT INTO trace_tags (request_id, key, value) VALUES (?1, ?2, ?3)",
            params![id.as_str()],
            tags.iter().filter(|(key, _)| *key != TRACE_NAME_TAG),
        )?;
        let kept = metadata.iter().filter(|(key, value)| match key.as_str() {
            TRACE_SESSION_KEY => false,
            TRACE_TOKENS_KEY => {
                **value
                    != told_by(&tokens, &TOKEN_COLUMNS, |value| {
                        value.as_i64().map(Value::from)
                    })
            }
            TRACE_COST_KEY => {
                **value
                    != told_by(&costs, &COST_COLUMNS, |value| {
                        finite(value).map(Value::from)
                    })
            }
            _ => true,
        });
        let kept: BTreeMap<_, _> = kept.collect();
        // MLflow does not show these rows, whose numbers it has in columns; whoever comes over again gets them whole.
        for key in [TRACE_TOKENS_KEY, TRACE_COST_KEY] {
            if kept.keys().any(|kept| *kept == key) {
                self.report.not_held.push(format!(
                    "trace {id}: of its metadata `{key}` MLflow shows the numbers that it knows, in its own form"
                ));
            }
        }
        self.write_pairs(
            "trace_request_metadata",
            "INSERT INTO trace_request_metadata (request_id, key, value) VALUES (?1, ?2, ?3)",
            params![id.as_str()],
            kept,
        )
    }

    fn write_span(&self, trace: &Trace, span: &Span) -> Result<(), MigrateError> {
        let costs = match span.attributes.get(Span::COST) {
            Some(Value::Object(costs)) => costs.clone(),
            _ => Map::new(),
        };
        let cost = |column: &str| costs.get(column).and_then(finite);
        let dimension = |key: &str| {
            let text = span.text(key)?;
            Some(text.chars().take(DIMENSION).collect::<String>())
        };
        let nanos = |nanos: u64| i64::try_from(nanos).unwrap_or(i64::MAX);
        self.write(
            "spans",
            "INSERT INTO spans (trace_id, experiment_id, span_id, parent_span_id, name, type, status, start_time_unix_nano,
                 end_time_unix_nano, content, input_cost, output_cost, total_cost, model_name, model_provider)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            params![
                trace.id.as_str(),
                number_of(&trace.experiment)?,
                span.id.as_str(),
                span.parent.as_ref().map(entities::SpanId::as_str),
                span.name,
                span.kind().unwrap_or("UNKNOWN"),
                span.status.as_str(),
                nanos(span.start_ns),
                span.end_ns.map(nanos),
                python::dumps(&content_of(&trace.id, span)),
                cost(COST_COLUMNS[0]),
                cost(COST_COLUMNS[1]),
                cost(COST_COLUMNS[2]),
                dimension("mlflow.llm.model"),
                dimension("mlflow.llm.provider")
            ],
        )?;
        Ok(())
    }

    fn write_assessment(&self, trace: &Trace, assessment: &Assessment) -> Result<(), MigrateError> {
        let Assessment {
            id,
            name,
            value,
            source,
            rationale,
            metadata,
            span,
            created_at,
            updated_at,
            overrides,
            is_valid,
        } = assessment;
        let (told, error) = match value {
            AssessmentValue::Feedback { value, error } => (
                value.clone(),
                error.as_ref().map(|error| {
                    json!({
                        "error_code": error.code,
                        "error_message": error.message,
                        "stack_trace": error.stack_trace,
                    })
                }),
            ),
            AssessmentValue::Expectation { value } => (value.clone(), None),
            AssessmentValue::Issue { issue } => (json!({ "issue_name": issue }), None),
        };
        let (aggregate, is_number) = aggregate_of(&told);
        let run = metadata.get(SOURCE_RUN_KEY);
        let metadata = (!metadata.is_empty()).then(|| json!(metadata));
        self.write(
            "assessments",
            "INSERT INTO assessments (assessment_id, trace_id, name, assessment_type, value, error, created_timestamp,
                 last_updated_timestamp, source_type, source_id, run_id, span_id, rationale, overrides, valid,
                 assessment_metadata, experiment_id, trace_timestamp_ms, aggregate_value, is_numeric_value)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
            params![
                id,
                trace.id.as_str(),
                name,
                value.kind(),
                python::dumps(&told),
                error.as_ref().map(python::dumps),
                created_at.as_millis(),
                updated_at.as_millis(),
                source.kind,
                source.id,
                run,
                span,
                rationale,
                overrides,
                is_valid,
                metadata.as_ref().map(python::dumps),
                number_of(&trace.experiment)?,
                trace.requested_at.as_millis(),
                aggregate,
                is_number
            ],
        )?;
        Ok(())
    }

    /// Runs and versions of prompts that traces are linked to. A run in which a trace was made is told by its metadata.
    pub(super) async fn write_links_of_traces(&mut self) -> Result<(), MigrateError> {
        let query = SearchQuery::default();
        let store = self.store();
        let experiments =
            all(async |page| store.search_experiments(&query, View::All, &page).await).await?;
        for experiment in experiments {
            for lifecycle in [entities::Lifecycle::Active, entities::Lifecycle::Deleted] {
                for run in store.list_run_ids(&experiment.id, lifecycle).await? {
                    self.write_links_of_run(&run).await?;
                }
            }
        }
        let store = self.store();
        let versions = all(async |page| {
            store
                .search_model_versions(&query, Prompts::Included, &page)
                .await
        })
        .await?;
        for found in versions {
            let prompt = format!("{}/{}", found.version.name, found.version.version);
            // No filter names one that has a slash in its name, and MLflow makes none.
            if !found.version.name.contains('/') {
                self.write_links_of_prompt(prompt).await?;
            }
        }
        Ok(())
    }

    async fn write_links_of_run(&self, run: &RunId) -> Result<(), MigrateError> {
        for trace in self.store().list_traces_of_run(run, usize::MAX).await? {
            let found = self.store().find_trace(&trace).await?;
            let was_made_there = found.is_some_and(|found| {
                found.trace.metadata.get(TRACE_RUN_KEY).map(String::as_str) == Some(run.as_str())
            });
            if !was_made_there {
                self.write_link_of_trace(&trace, "run", run.as_str())?;
            }
        }
        Ok(())
    }

    async fn write_links_of_prompt(&self, prompt: String) -> Result<(), MigrateError> {
        let query = SearchQuery {
            conditions: vec![Condition {
                field: Field::Prompt,
                comparison: Comparison::Text(Operator::Equal, prompt.clone()),
            }],
            order_by: Vec::new(),
        };
        let store = self.store();
        let traces = all(async |page| store.search_traces(&[], &query, &page).await).await?;
        for found in traces {
            self.write_link_of_trace(&found.trace.id, "prompt_version", &prompt)?;
        }
        Ok(())
    }

    fn write_link_of_trace(
        &self,
        trace: &TraceId,
        kind: &str,
        destination: &str,
    ) -> Result<(), MigrateError> {
        self.write(
            "entity_associations",
            "INSERT INTO entity_associations
                 (association_id, source_type, source_id, destination_type, destination_id, created_time)
             VALUES (?1, 'trace', ?2, ?3, ?4, ?5)",
            params![
                id_of(&["trace", trace.as_str(), kind, destination]),
                trace.as_str(),
                kind,
                destination,
                self.target.clock.now().as_millis()
            ],
        )?;
        Ok(())
    }
}

/// What metadata count, such as tokens.
fn counts_of(metadata: Option<&String>) -> Map<String, Value> {
    let told = metadata.and_then(|text| serde_json::from_str(text).ok());
    match told {
        Some(Value::Object(counts)) => counts,
        _ => Map::new(),
    }
}

/// The text that MLflow makes of columns.
fn told_by(
    counts: &Map<String, Value>,
    columns: &[&str],
    kept: impl Fn(&Value) -> Option<Value>,
) -> String {
    let told: Map<_, _> = columns
        .iter()
        .filter_map(|column| Some(((*column).to_owned(), kept(counts.get(*column)?)?)))
        .collect();
    if told.is_empty() {
        String::new()
    } else {
        python::dumps(&Value::Object(told))
    }
}

fn finite(value: &Value) -> Option<f64> {
    value.as_f64().filter(|value| value.is_finite())
}

/// What MLflow reckons with in place of a value, and whether that is the value.
fn aggregate_of(value: &Value) -> (Option<f64>, bool) {
    match value {
        Value::Bool(truth) => (Some(f64::from(u8::from(*truth))), false),
        Value::Number(_) => {
            let number = finite(value);
            (number, number.is_some())
        }
        Value::String(text) => match text.trim().to_lowercase().as_str() {
            "yes" => (Some(1.0), false),
            "no" => (Some(0.0), false),
            _ => (None, false),
        },
        _ => (None, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_as_mlflow_counts_it() {
        for (value, expected) in [
            (json!(true), (Some(1.0), false)),
            (json!(2.5), (Some(2.5), true)),
            (json!(3), (Some(3.0), true)),
            (json!(" Yes "), (Some(1.0), false)),
            (json!("no"), (Some(0.0), false)),
            (json!("maybe"), (None, false)),
            (json!(null), (None, false)),
            (json!([1]), (None, false)),
        ] {
            assert_eq!(aggregate_of(&value), expected, "{value}");
        }
    }

    #[test]
    fn tokens_are_told_in_mlflows_own_form() {
        let counts = counts_of(Some(
            &r#"{"total_tokens": 3, "input_tokens": 1, "other": 2}"#.to_owned(),
        ));
        let told = told_by(&counts, &TOKEN_COLUMNS, |value| {
            value.as_i64().map(Value::from)
        });
        assert_eq!(told, r#"{"input_tokens": 1, "total_tokens": 3}"#);
        assert_eq!(counts_of(Some(&"no JSON".to_owned())), Map::new());
    }
}
