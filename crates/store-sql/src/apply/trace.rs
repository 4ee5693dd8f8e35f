//! Changes of traces: what was said of each, once, and the rows that follow from it.
//!
//! While a database is rebuilt, records of traces that were removed later are missing. Such a trace is made without
//! what they said, so that its removal finds it.

use std::collections::BTreeMap;

use crate::params;
use crate::sql::{Row, SqlError};
use entities::{
    Assessment, Change, ExperimentId, SealedRecord, Span, SpanUsage, TRACE_ARTIFACTS_TAG,
    TRACE_SESSION_KEY, Trace, TraceId, TraceRecord,
};
use serde_json::Value;
use store::StoreError;

use super::Applier;
use crate::fault::damaged;
use crate::read::traces::{FIND_TRACE, LIST_METADATA, LIST_TAGS, read_trace};
use crate::rows::{read_id, read_id_if_any};

statements! {
    FIND_NUMBER = "SELECT number FROM trace WHERE id = ?1";
    ADD = "INSERT INTO trace (id, experiment, requested_at, state, number)
        VALUES (?1, ?2, 0, 'STATE_UNSPECIFIED', ?3)
        RETURNING number";
    SET = "UPDATE trace SET experiment = ?2, requested_at = ?3, duration_ms = ?4, state = ?5,
            client_request_id = ?6, request_preview = ?7, response_preview = ?8
        WHERE number = ?1";
    SET_TAG = "INSERT INTO trace_tag (trace, key, value) VALUES (?1, ?2, ?3)
        ON CONFLICT (trace, key) DO UPDATE SET value = excluded.value";
    SET_METADATA = "INSERT INTO trace_metadata (trace, key, value) VALUES (?1, ?2, ?3)
        ON CONFLICT (trace, key) DO UPDATE SET value = excluded.value";
    DELETE_TAG = "DELETE FROM trace_tag WHERE trace = ?1 AND key = ?2";
    ADD_RECORD = "INSERT INTO trace_record (trace, digest, encoded, number) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT DO NOTHING
        RETURNING number";
    FIND_RECORD = "SELECT number FROM trace_record WHERE trace = ?1 AND digest = ?2";
    SET_SPAN = "INSERT INTO span (trace, id, parent, name, type, status, start_ns, end_ns, tokens, cost, record)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
        ON CONFLICT (trace, id) DO UPDATE SET parent = excluded.parent, name = excluded.name, type = excluded.type,
            status = excluded.status, start_ns = excluded.start_ns, end_ns = excluded.end_ns,
            tokens = excluded.tokens, cost = excluded.cost, record = excluded.record";
    LIST_USAGES = "SELECT id, parent, tokens, cost FROM span WHERE trace = ?1 ORDER BY id";
    FIND_ASSESSMENT = "SELECT overrides FROM assessment WHERE trace = ?1 AND id = ?2";
    FIND_LAST_PLACE = "SELECT MAX(place) FROM assessment WHERE trace = ?1";
    ADD_ASSESSMENT = "INSERT INTO assessment
            (trace, id, created_at, place, kind, name, text, number, overrides, is_valid, covers_session, record)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    REVISE_ASSESSMENT = "UPDATE assessment
        SET kind = ?3, name = ?4, text = ?5, number = ?6, covers_session = ?7, record = ?8
        WHERE trace = ?1 AND id = ?2";
    SET_VALID = "UPDATE assessment SET is_valid = ?3 WHERE trace = ?1 AND id = ?2";
    DELETE_ASSESSMENT = "DELETE FROM assessment WHERE trace = ?1 AND id = ?2";
    LINK_RUN = "INSERT INTO trace_run (run, trace) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    LINK_PROMPT = "INSERT INTO trace_prompt (prompt, trace) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    DELETE_TAGS = "DELETE FROM trace_tag WHERE trace = ?1";
    DELETE_METADATA = "DELETE FROM trace_metadata WHERE trace = ?1";
    DELETE_SPANS = "DELETE FROM span WHERE trace = ?1";
    DELETE_ASSESSMENTS = "DELETE FROM assessment WHERE trace = ?1";
    DELETE_RUNS = "DELETE FROM trace_run WHERE trace = ?1";
    DELETE_PROMPTS = "DELETE FROM trace_prompt WHERE trace = ?1";
    DELETE_RECORDS = "DELETE FROM trace_record WHERE trace = ?1";
    DELETE = "DELETE FROM trace WHERE number = ?1";
}

impl Applier<'_> {
    pub(super) fn apply_to_trace(&self, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::TraceLogged {
                trace,
                experiment,
                artifact_uri,
                records,
            } => self.log_trace(trace, experiment, artifact_uri, records),
            Change::TraceNoted { trace, records } => {
                let number = self.get_trace(trace)?;
                self.note(trace, number, records)
            }
            Change::TraceTagDeleted { trace, key } => self.delete_trace_tag(trace, key),
            Change::AssessmentDeleted { trace, assessment } => {
                self.delete_assessment(trace, assessment)
            }
            Change::TracesLinked { traces, run } => traces.iter().try_for_each(|trace| {
                let number = self.get_trace(trace)?;
                self.send(LINK_RUN, params![run.as_str(), number])
            }),
            Change::PromptsLinked { trace, prompts } => {
                let number = self.get_trace(trace)?;
                prompts.iter().try_for_each(|(name, version)| {
                    let prompt = format!("{name}/{version}");
                    self.send(LINK_PROMPT, params![prompt, number])
                })
            }
            Change::TracesDeleted { traces } => {
                traces.iter().try_for_each(|trace| self.delete_trace(trace))
            }
            _ => unreachable!("`apply` hands over changes of traces only"),
        }
    }

    fn log_trace(
        &self,
        id: &TraceId,
        experiment: &ExperimentId,
        artifact_uri: &str,
        records: &[SealedRecord],
    ) -> Result<(), StoreError> {
        if let Some(number) = self.find_trace(id)? {
            return self.note(id, number, records);
        }
        self.check_experiment_is_active(experiment)?;
        let number = self.insert_new(ADD, params![id.as_str(), experiment.as_str()])?;
        self.send(SET_TAG, params![number, TRACE_ARTIFACTS_TAG, artifact_uri])?;
        self.make(number, id, experiment, records)
    }

    /// Makes a trace of the first that is said of it.
    fn make(
        &self,
        number: i64,
        id: &TraceId,
        experiment: &ExperimentId,
        records: &[SealedRecord],
    ) -> Result<(), StoreError> {
        let decoded = self.keep_records(id, number, records)?;
        let started = decoded.iter().find_map(|record| match record {
            TraceRecord::Started { trace } => Some(trace.clone()),
            _ => None,
        });
        let trace = match started {
            Some(trace) => trace,
            None => Trace::of_spans(id.clone(), experiment.clone(), &spans_of(&decoded)),
        };
        self.fold(number, trace, &decoded)
    }

    fn note(&self, id: &TraceId, number: i64, records: &[SealedRecord]) -> Result<(), StoreError> {
        let decoded = self.keep_records(id, number, records)?;
        if decoded.is_empty() {
            return Ok(());
        }
        let mut trace = self
            .find(FIND_TRACE, [id.as_str()], read_trace)?
            .ok_or_else(|| StoreError::NoTrace { id: id.clone() })?
            .1;
        trace.tags = self.list_pairs(LIST_TAGS, number)?;
        trace.metadata = self.list_pairs(LIST_METADATA, number)?;
        self.fold(number, trace, &decoded)
    }

    /// Keeps what was said, and the rows of its spans and assessments.
    fn keep_records(
        &self,
        id: &TraceId,
        number: i64,
        records: &[SealedRecord],
    ) -> Result<Vec<TraceRecord>, StoreError> {
        let mut decoded = Vec::with_capacity(records.len());
        for SealedRecord { digest, encoded } in records {
            let kept = encoded.as_deref().filter(|_| self.keeps_blocks);
            let row = params![number, digest.as_bytes(), kept.unwrap_or_default()];
            self.insert(ADD_RECORD, row)?;
            let Some(encoded) = encoded else {
                if self.keeps_blocks {
                    return Err(damaged("a record of a trace came without its text"));
                }
                continue;
            };
            let record: TraceRecord = serde_json::from_str(encoded)
                .map_err(|error| damaged(format!("a record of trace `{id}`: {error}")))?;
            let key = params![number, digest.as_bytes()];
            let place: i64 = self
                .find(FIND_RECORD, key, |row| row.get(0))?
                .ok_or_else(|| damaged("a record of a trace vanished within one write"))?;
            match &record {
                TraceRecord::Spanned { span } => self.set_span(number, span, place)?,
                TraceRecord::Assessed { assessment } => {
                    self.set_assessment(id, number, assessment, place)?;
                }
                _ => {}
            }
            decoded.push(record);
        }
        Ok(decoded)
    }

    /// Writes what follows from all that was said.
    fn fold(
        &self,
        number: i64,
        mut trace: Trace,
        records: &[TraceRecord],
    ) -> Result<(), StoreError> {
        for record in records {
            match record {
                TraceRecord::Started { trace: told } => trace.take_told(told),
                TraceRecord::Tagged { tags } => trace.tags.extend(tags.clone()),
                TraceRecord::Described { metadata } => trace.metadata.extend(metadata.clone()),
                TraceRecord::Ended { state, duration_ms } => {
                    trace.state = *state;
                    trace.duration_ms = Some(*duration_ms);
                }
                TraceRecord::Spanned { .. } | TraceRecord::Assessed { .. } => {}
            }
        }
        let spans = spans_of(records);
        if !spans.is_empty() {
            let has_counts = |span: &&Span| {
                span.attributes.contains_key(Span::TOKENS)
                    || span.attributes.contains_key(Span::COST)
            };
            let (tokens, costs) = if spans.iter().any(has_counts) {
                self.list_usages(number)?
            } else {
                (Vec::new(), Vec::new())
            };
            trace.take_spans(&spans, &tokens, &costs);
        }
        self.write_trace(number, &trace)
    }

    fn write_trace(&self, number: i64, trace: &Trace) -> Result<(), StoreError> {
        let Trace {
            id: _,
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
        let row = params![
            number,
            experiment.as_str(),
            requested_at.as_micros(),
            duration_ms,
            state.as_str(),
            client_request_id,
            request_preview,
            response_preview,
        ];
        self.send(SET, row)?;
        for (sql, pairs) in [(SET_TAG, tags), (SET_METADATA, metadata)] {
            for (key, value) in pairs {
                self.send(sql, params![number, key, value])?;
            }
        }
        Ok(())
    }

    fn set_span(&self, trace: i64, span: &Span, record: i64) -> Result<(), StoreError> {
        let counts = |key: &str| {
            let counts = span.attributes.get(key)?.as_object()?;
            serde_json::to_string(counts).ok()
        };
        let row = params![
            trace,
            span.id.as_str(),
            span.parent.as_ref().map(entities::SpanId::as_str),
            span.name,
            span.kind(),
            span.status.as_str(),
            span.start_ns as i64,
            span.end_ns.map(|end_ns| end_ns as i64),
            counts(Span::TOKENS),
            counts(Span::COST),
            record,
        ];
        self.send(SET_SPAN, row)
    }

    /// Tokens and costs of all spans of a trace.
    fn list_usages(&self, trace: i64) -> Result<(Vec<SpanUsage>, Vec<SpanUsage>), StoreError> {
        let read = |row: &Row<'_>| {
            let usage = |column: usize| {
                let counts: Option<String> = row.get(column)?;
                Ok::<_, SqlError>(SpanUsage {
                    span: read_id(row, 0)?,
                    parent: read_id_if_any(row, 1)?,
                    counts: counts.and_then(|counts| serde_json::from_str(&counts).ok()),
                })
            };
            Ok((usage(2)?, usage(3)?))
        };
        let usages: Vec<_> = self.list(LIST_USAGES, [trace], read)?;
        Ok(usages.into_iter().unzip())
    }

    fn set_assessment(
        &self,
        id: &TraceId,
        trace: i64,
        assessment: &Assessment,
        record: i64,
    ) -> Result<(), StoreError> {
        let (text, number) = compared(&assessment.value.value());
        let covers_session = assessment.metadata.contains_key(TRACE_SESSION_KEY);
        let kind = assessment.value.kind();
        let key = params![trace, assessment.id];
        let known: Option<Option<String>> = self.find(FIND_ASSESSMENT, key, |row| row.get(0))?;
        if known.is_some() {
            let row = params![
                trace,
                assessment.id,
                kind,
                assessment.name,
                text,
                number,
                covers_session,
                record
            ];
            return self.send(REVISE_ASSESSMENT, row);
        }
        if let Some(overridden) = &assessment.overrides {
            let row = params![trace, overridden, false];
            if self.execute(SET_VALID, row)? == 0 && self.keeps_blocks {
                return Err(StoreError::NoAssessment {
                    trace: id.clone(),
                    id: overridden.clone(),
                });
            }
        }
        let last: Option<i64> = self
            .find(FIND_LAST_PLACE, [trace], |row| row.get(0))?
            .flatten();
        let row = params![
            trace,
            assessment.id,
            assessment.created_at.as_micros(),
            last.unwrap_or(0) + 1,
            kind,
            assessment.name,
            text,
            number,
            assessment.overrides,
            assessment.is_valid,
            covers_session,
            record,
        ];
        self.send(ADD_ASSESSMENT, row)
    }

    fn delete_assessment(&self, id: &TraceId, assessment: &str) -> Result<(), StoreError> {
        let trace = self.get_trace(id)?;
        let key = params![trace, assessment];
        let overridden: Option<Option<String>> =
            self.find(FIND_ASSESSMENT, key, |row| row.get(0))?;
        if let Some(overridden) = overridden.flatten() {
            self.send(SET_VALID, params![trace, overridden, true])?;
        }
        self.send(DELETE_ASSESSMENT, params![trace, assessment])
    }

    fn delete_trace_tag(&self, id: &TraceId, key: &str) -> Result<(), StoreError> {
        let trace = self.get_trace(id)?;
        let deleted = self.execute(DELETE_TAG, params![trace, key])?;
        // In a database that is rebuilt, the tag of a trace that was removed later was never made.
        if deleted == 0 && self.keeps_blocks {
            return Err(StoreError::NoTag {
                key: key.to_owned(),
                subject: format!("trace `{id}`"),
            });
        }
        Ok(())
    }

    pub(super) fn delete_trace(&self, id: &TraceId) -> Result<(), StoreError> {
        let trace = self.get_trace(id)?;
        for sql in [
            DELETE_TAGS,
            DELETE_METADATA,
            DELETE_SPANS,
            DELETE_ASSESSMENTS,
            DELETE_RUNS,
            DELETE_PROMPTS,
            DELETE_RECORDS,
            DELETE,
        ] {
            self.send(sql, [trace])?;
        }
        Ok(())
    }

    fn get_trace(&self, id: &TraceId) -> Result<i64, StoreError> {
        self.find_trace(id)?
            .ok_or_else(|| StoreError::NoTrace { id: id.clone() })
    }

    fn find_trace(&self, id: &TraceId) -> Result<Option<i64>, StoreError> {
        self.find(FIND_NUMBER, [id.as_str()], |row| row.get(0))
    }

    fn list_pairs(&self, sql: &str, owner: i64) -> Result<BTreeMap<String, String>, StoreError> {
        self.list(sql, [owner], |row| Ok((row.get(0)?, row.get(1)?)))
    }
}

fn spans_of(records: &[TraceRecord]) -> Vec<&Span> {
    let spans = records.iter().filter_map(|record| match record {
        TraceRecord::Spanned { span } => Some(span),
        _ => None,
    });
    spans.collect()
}

/// What filters compare of a value: a text without its quotes, and a number where it is one.
fn compared(value: &Value) -> (String, Option<f64>) {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    (text, value.as_f64())
}
