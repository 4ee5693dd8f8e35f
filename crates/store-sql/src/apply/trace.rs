//! Changes of traces: what was said of each, once, and the rows that follow from it.
//!
//! While a database is rebuilt, records of traces that were removed later are missing. Such a trace is made without
//! what they said, so that its removal finds it.

use std::collections::BTreeMap;

use crate::params;
use crate::sql::{Row, SqlError, ToValue};
use entities::{
    Assessment, Change, ExperimentId, ObjectId, SealedRecord, Span, SpanId, SpanUsage,
    TRACE_ARTIFACTS_TAG, TRACE_SESSION_KEY, Trace, TraceId, TraceRecord,
};
use serde_json::{Map, Value};
use store::StoreError;

use super::{Applier, rows_of_pairs};
use crate::fault::damaged;
use crate::read::traces::{FIND_TRACE, LIST_METADATA, LIST_TAGS, read_trace};
use crate::rows::{read_id, read_id_if_any};

statements! {
    FIND_NUMBER = "SELECT number FROM trace WHERE id = ?1";
    SET = "UPDATE trace SET experiment = ?2, requested_at = ?3, duration_ms = ?4, state = ?5,
            client_request_id = ?6, request_preview = ?7, response_preview = ?8
        WHERE number = ?1";
    DELETE_TAG = "DELETE FROM trace_tag WHERE trace = ?1 AND key = ?2";
    FIND_RECORD = "SELECT number FROM trace_record WHERE trace = ?1 AND digest = ?2";
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

row_statements! {
    ADD(9, key 0) = "INSERT INTO trace (id, experiment, requested_at, duration_ms, state, client_request_id, request_preview,
            response_preview, number)
        :rows
        RETURNING number";
    SET_TAGS(3, key 2) = "INSERT INTO trace_tag (trace, key, value) :rows
        ON CONFLICT (trace, key) DO UPDATE SET value = excluded.value";
    SET_METADATA(3, key 2) = "INSERT INTO trace_metadata (trace, key, value) :rows
        ON CONFLICT (trace, key) DO UPDATE SET value = excluded.value";
    ADD_RECORDS(4, key 0) = "INSERT INTO trace_record (trace, digest, encoded, number) :rows
        ON CONFLICT DO NOTHING
        RETURNING number";
    SET_SPANS(11, key 2) = "INSERT INTO span
            (trace, id, parent, name, type, status, start_ns, end_ns, tokens, cost, record)
        :rows
        ON CONFLICT (trace, id) DO UPDATE SET parent = excluded.parent, name = excluded.name, type = excluded.type,
            status = excluded.status, start_ns = excluded.start_ns, end_ns = excluded.end_ns,
            tokens = excluded.tokens, cost = excluded.cost, record = excluded.record";
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
        self.make(id, experiment, artifact_uri, records)
    }

    /// Makes a trace of the first that is said of it.
    fn make(
        &self,
        id: &TraceId,
        experiment: &ExperimentId,
        artifact_uri: &str,
        records: &[SealedRecord],
    ) -> Result<(), StoreError> {
        let decoded = self.decode_records(id, records)?;
        let said: Vec<_> = decoded.iter().flatten().collect();
        let started = said.iter().find_map(|record| match record {
            TraceRecord::Started { trace } => Some(trace.clone()),
            _ => None,
        });
        let spans = spans_of(&said);
        let mut trace = match started {
            Some(trace) => trace,
            None => Trace::of_spans(id.clone(), experiment.clone(), &spans),
        };
        trace
            .tags
            .entry(TRACE_ARTIFACTS_TAG.to_owned())
            .or_insert_with(|| artifact_uri.to_owned());
        take_records(&mut trace, &said);
        if !spans.is_empty() {
            let (tokens, costs) = usages_of(&spans);
            trace.take_spans(&spans, &tokens, &costs);
        }
        let row = params![
            id.as_str(),
            trace.experiment.as_str(),
            trace.requested_at.as_micros(),
            trace.duration_ms,
            trace.state.as_str(),
            trace.client_request_id,
            trace.request_preview,
            trace.response_preview,
        ];
        let number = self.add_new(&ADD, row)?;
        self.known.note_trace(id, number);
        self.set_pairs(number, &trace)?;
        self.add_records(id, number, records, &decoded)
    }

    /// The records of a new trace, and the rows of its spans and assessments.
    fn add_records(
        &self,
        id: &TraceId,
        number: i64,
        records: &[SealedRecord],
        decoded: &[Option<TraceRecord>],
    ) -> Result<(), StoreError> {
        let mut places: BTreeMap<&ObjectId, i64> = BTreeMap::new();
        for (record, decoded) in records.iter().zip(decoded) {
            // What is said twice is kept once.
            let place = if let Some(place) = places.get(&record.digest) {
                self.numbers.next()?;
                *place
            } else {
                let kept = record.encoded.as_deref().filter(|_| self.keeps_blocks);
                let row = params![number, record.digest.as_bytes(), kept.unwrap_or_default()];
                let place = self.add_new(&ADD_RECORDS, row)?;
                places.insert(&record.digest, place);
                place
            };
            if let Some(decoded) = decoded {
                self.add_said(id, number, decoded, place)?;
            }
        }
        Ok(())
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
        let decoded = self.decode_records(id, records)?;
        for (record, decoded) in records.iter().zip(&decoded) {
            let key = params![number, record.digest.as_bytes()];
            let kept = record.encoded.as_deref().filter(|_| self.keeps_blocks);
            let row = params![number, record.digest.as_bytes(), kept.unwrap_or_default()];
            let added = self.insert(ADD_RECORDS.of_one(), row)?;
            let Some(decoded) = decoded else { continue };
            let place = match added {
                Some(place) => place,
                None => self
                    .find(FIND_RECORD, key, |row| row.get(0))?
                    .ok_or_else(|| damaged("a record of a trace vanished within one write"))?,
            };
            self.add_said(id, number, decoded, place)?;
        }
        Ok(decoded.into_iter().flatten().collect())
    }

    /// What records say; nothing where a record is missing, which only a database that is rebuilt may find.
    fn decode_records(
        &self,
        id: &TraceId,
        records: &[SealedRecord],
    ) -> Result<Vec<Option<TraceRecord>>, StoreError> {
        let decode = |record: &SealedRecord| match &record.encoded {
            Some(encoded) => serde_json::from_str(encoded)
                .map(Some)
                .map_err(|error| damaged(format!("a record of trace `{id}`: {error}"))),
            None if self.keeps_blocks => Err(damaged("a record of a trace came without its text")),
            None => Ok(None),
        };
        records.iter().map(decode).collect()
    }

    /// The rows of a span or an assessment.
    fn add_said(
        &self,
        id: &TraceId,
        number: i64,
        said: &TraceRecord,
        place: i64,
    ) -> Result<(), StoreError> {
        match said {
            TraceRecord::Spanned { span } => self.set_span(number, span, place),
            TraceRecord::Assessed { assessment } => {
                self.set_assessment(id, number, assessment, place)
            }
            _ => Ok(()),
        }
    }

    /// Writes what follows from all that was said.
    fn fold(
        &self,
        number: i64,
        mut trace: Trace,
        records: &[TraceRecord],
    ) -> Result<(), StoreError> {
        let records: Vec<_> = records.iter().collect();
        take_records(&mut trace, &records);
        let spans = spans_of(&records);
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
            tags: _,
            metadata: _,
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
        self.set_pairs(number, trace)
    }

    /// Writes the tags and metadata of a trace.
    fn set_pairs(&self, number: i64, trace: &Trace) -> Result<(), StoreError> {
        self.send_rows(&SET_TAGS, &rows_of_pairs(&number, &trace.tags))?;
        self.send_rows(&SET_METADATA, &rows_of_pairs(&number, &trace.metadata))
    }

    fn set_span(&self, trace: i64, span: &Span, record: i64) -> Result<(), StoreError> {
        let counts = |key| serde_json::to_string(counts_of(span, key)?).ok();
        let row: [&dyn ToValue; 11] = [
            &trace,
            &span.id.as_str(),
            &span.parent.as_ref().map(SpanId::as_str),
            &span.name,
            &span.kind(),
            &span.status.as_str(),
            &(span.start_ns as i64),
            &span.end_ns.map(|end_ns| end_ns as i64),
            &counts(Span::TOKENS),
            &counts(Span::COST),
            &record,
        ];
        self.send_rows(&SET_SPANS, &[row])
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
        self.known.note_no_trace(id);
        Ok(())
    }

    fn get_trace(&self, id: &TraceId) -> Result<i64, StoreError> {
        self.find_trace(id)?
            .ok_or_else(|| StoreError::NoTrace { id: id.clone() })
    }

    fn find_trace(&self, id: &TraceId) -> Result<Option<i64>, StoreError> {
        self.known.find_trace(id, || {
            self.find(FIND_NUMBER, [id.as_str()], |row| row.get(0))
        })
    }

    fn list_pairs(&self, sql: &str, owner: i64) -> Result<BTreeMap<String, String>, StoreError> {
        self.list(sql, [owner], |row| Ok((row.get(0)?, row.get(1)?)))
    }
}

/// What was said of a trace itself.
fn take_records(trace: &mut Trace, records: &[&TraceRecord]) {
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
}

fn spans_of<'r>(records: &[&'r TraceRecord]) -> Vec<&'r Span> {
    let spans = records.iter().filter_map(|record| match record {
        TraceRecord::Spanned { span } => Some(span),
        _ => None,
    });
    spans.collect()
}

/// Tokens and costs of the spans that are all that a trace has; of two with one id, the later one counts.
fn usages_of(spans: &[&Span]) -> (Vec<SpanUsage>, Vec<SpanUsage>) {
    let spans: BTreeMap<&str, &Span> = spans.iter().map(|span| (span.id.as_str(), *span)).collect();
    let usage = |span: &Span, key| SpanUsage {
        span: span.id.clone(),
        parent: span.parent.clone(),
        counts: counts_of(span, key).cloned(),
    };
    spans
        .values()
        .map(|span| (usage(span, Span::TOKENS), usage(span, Span::COST)))
        .unzip()
}

fn counts_of<'s>(span: &'s Span, key: &str) -> Option<&'s Map<String, Value>> {
    span.attributes.get(key)?.as_object()
}

/// What filters compare of a value: a text without its quotes, and a number where it is one.
fn compared(value: &Value) -> (String, Option<f64>) {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    (text, value.as_f64())
}
