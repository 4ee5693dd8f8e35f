//! Traces, as callers see them.

use std::collections::BTreeMap;

use crate::params;
use crate::sql::{self, Connection, Row};
use async_trait::async_trait;
use entities::{
    Assessment, ExperimentId, FigurePoint, FigureQuery, FigureTally, RunId, SearchQuery, Span,
    TRACE_RUN_KEY, Timestamp, Trace, TraceDetail, TraceId, TraceRecord,
};
use store::{Page, PageRequest, StoreError, TraceStore, View};

use super::{find_row, list_rows};
use crate::fault::damaged;
use crate::rows::{read_id, read_time, read_trace_state};
use crate::search::{Count, FigureSearch, Search, Subject};
use crate::{Backend, SqlStore};

statements! {
    FIND_TRACE = "SELECT number, id, experiment, requested_at, duration_ms, state, client_request_id,
            request_preview, response_preview
        FROM trace WHERE id = ?1";
    FIND_BY_NUMBER = "SELECT number, id, experiment, requested_at, duration_ms, state, client_request_id,
            request_preview, response_preview
        FROM trace WHERE number = ?1";
    LIST_TAGS = "SELECT key, value FROM trace_tag WHERE trace = ?1";
    LIST_METADATA = "SELECT key, value FROM trace_metadata WHERE trace = ?1";
    LIST_SPANS = "SELECT trace_record.encoded
        FROM trace JOIN span ON span.trace = trace.number JOIN trace_record ON trace_record.number = span.record
        WHERE trace.id = ?1
        ORDER BY parent IS NOT NULL, start_ns, end_ns DESC NULLS LAST, span.id";
    LIST_ASSESSMENTS = "SELECT trace_record.encoded, is_valid
        FROM assessment JOIN trace_record ON trace_record.number = assessment.record
        WHERE assessment.trace = ?1
        ORDER BY created_at, place";
    FIND_ASSESSMENT = "SELECT trace_record.encoded, is_valid
        FROM trace JOIN assessment ON assessment.trace = trace.number
            JOIN trace_record ON trace_record.number = assessment.record
        WHERE trace.id = ?1 AND assessment.id = ?2";
    LIST_UNTIL = "SELECT id FROM trace WHERE experiment = ?1 AND requested_at <= ?2
        ORDER BY requested_at, id LIMIT ?3";
    LIST_OF_RUN = "SELECT id FROM trace
        WHERE number IN (SELECT trace FROM trace_run WHERE run = ?1
            UNION SELECT trace FROM trace_metadata WHERE key = ?2 AND value = ?1)
        ORDER BY requested_at, id LIMIT ?3";
}

#[async_trait]
impl<B: Backend> TraceStore for SqlStore<B> {
    async fn find_trace(&self, id: &TraceId) -> Result<Option<TraceDetail>, StoreError> {
        let id = id.clone();
        self.read(move |connection| {
            let found = find_row(connection, FIND_TRACE, [id.as_str()], read_trace)?;
            found
                .map(|(number, trace)| fill_trace(connection, number, trace))
                .transpose()
        })
        .await
    }

    async fn list_spans(&self, id: &TraceId) -> Result<Vec<Span>, StoreError> {
        let id = id.clone();
        self.read(move |connection| {
            let encoded: Vec<String> =
                list_rows(connection, LIST_SPANS, [id.as_str()], |row| row.get(0))?;
            encoded.iter().map(|text| decode_span(text)).collect()
        })
        .await
    }

    async fn find_assessment(
        &self,
        trace: &TraceId,
        id: &str,
    ) -> Result<Option<Assessment>, StoreError> {
        let (trace, id) = (trace.clone(), id.to_owned());
        self.read(move |connection| {
            let key = params![trace.as_str(), id];
            let found = find_row(connection, FIND_ASSESSMENT, key, read_pair)?;
            found.map(decode_assessment).transpose()
        })
        .await
    }

    async fn search_traces(
        &self,
        experiments: &[ExperimentId],
        query: &SearchQuery,
        page: &PageRequest,
    ) -> Result<Page<TraceDetail>, StoreError> {
        let search = Search::new(
            self.searching(),
            Subject::Traces,
            experiments,
            query,
            View::All,
            page,
        )?;
        self.read(move |connection| {
            search
                .read_page(connection, |row| row.get(0))?
                .try_map(|number: i64| {
                    let found = find_row(connection, FIND_BY_NUMBER, [number], read_trace)?;
                    let (number, trace) =
                        found.ok_or_else(|| damaged("a trace vanished within one read"))?;
                    fill_trace(connection, number, trace)
                })
        })
        .await
    }

    async fn count_traces(
        &self,
        experiments: &[ExperimentId],
        queries: &[&SearchQuery],
    ) -> Result<u64, StoreError> {
        let count = Count::new(self.dialect(), Subject::Traces, experiments, queries)?;
        self.read(move |connection| count.read(connection)).await
    }

    async fn measure_traces(&self, query: &FigureQuery) -> Result<Vec<FigurePoint>, StoreError> {
        let Some(search) = FigureSearch::new(self.dialect(), query)? else {
            return Ok(FigureTally::new(query).finish());
        };
        self.read(move |connection| search.read(connection)).await
    }

    async fn list_traces_until(
        &self,
        experiment: &ExperimentId,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<TraceId>, StoreError> {
        let experiment = experiment.clone();
        self.read(move |connection| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let key = params![experiment.as_str(), until.as_micros(), limit];
            list_rows(connection, LIST_UNTIL, key, |row| read_id(row, 0))
        })
        .await
    }

    async fn list_traces_of_run(
        &self,
        run: &RunId,
        limit: usize,
    ) -> Result<Vec<TraceId>, StoreError> {
        let run = run.clone();
        self.read(move |connection| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let key = params![run.as_str(), TRACE_RUN_KEY, limit];
            list_rows(connection, LIST_OF_RUN, key, |row| read_id(row, 0))
        })
        .await
    }
}

/// A trace without its tags and metadata, and its row.
pub(crate) fn read_trace(row: &Row<'_>) -> sql::Result<(i64, Trace)> {
    let trace = Trace {
        id: read_id(row, 1)?,
        experiment: read_id(row, 2)?,
        requested_at: read_time(row, 3)?,
        duration_ms: row.get(4)?,
        state: read_trace_state(row, 5)?,
        client_request_id: row.get(6)?,
        request_preview: row.get(7)?,
        response_preview: row.get(8)?,
        tags: BTreeMap::new(),
        metadata: BTreeMap::new(),
    };
    Ok((row.get(0)?, trace))
}

fn fill_trace(
    connection: &dyn Connection,
    number: i64,
    mut trace: Trace,
) -> Result<TraceDetail, StoreError> {
    let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    trace.tags = list_rows(connection, LIST_TAGS, [number], pair)?;
    trace.metadata = list_rows(connection, LIST_METADATA, [number], pair)?;
    let assessments: Vec<(String, bool)> =
        list_rows(connection, LIST_ASSESSMENTS, [number], read_pair)?;
    let assessments: Result<_, _> = assessments.into_iter().map(decode_assessment).collect();
    Ok(TraceDetail {
        trace,
        assessments: assessments?,
    })
}

fn read_pair(row: &Row<'_>) -> sql::Result<(String, bool)> {
    Ok((row.get(0)?, row.get(1)?))
}

fn decode_span(encoded: &str) -> Result<Span, StoreError> {
    match serde_json::from_str(encoded) {
        Ok(TraceRecord::Spanned { span }) => Ok(span),
        Ok(_) => Err(damaged("a span's record is that of something else")),
        Err(error) => Err(damaged(format!("a span's record: {error}"))),
    }
}

fn decode_assessment((encoded, is_valid): (String, bool)) -> Result<Assessment, StoreError> {
    match serde_json::from_str(&encoded) {
        Ok(TraceRecord::Assessed { assessment }) => Ok(Assessment {
            is_valid,
            ..assessment
        }),
        Ok(_) => Err(damaged("an assessment's record is that of something else")),
        Err(error) => Err(damaged(format!("an assessment's record: {error}"))),
    }
}
