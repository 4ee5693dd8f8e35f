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
use crate::several::{Belonging, Several};
use crate::{Backend, SqlStore};

statements! {
    FIND_TRACE = "SELECT number, id, experiment, requested_at, duration_ms, state, client_request_id,
            request_preview, response_preview
        FROM trace WHERE id = ?1";
    LIST_TAGS = "SELECT key, value FROM trace_tag WHERE trace = ?1";
    LIST_METADATA = "SELECT key, value FROM trace_metadata WHERE trace = ?1";
    LIST_SPANS = "SELECT trace_record.encoded
        FROM trace JOIN span ON span.trace = trace.number JOIN trace_record ON trace_record.number = span.record
        WHERE trace.id = ?1
        ORDER BY parent IS NOT NULL, start_ns, end_ns DESC NULLS LAST, span.id";
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
            let mut filled = fill_traces(connection, found.into_iter().collect())?;
            Ok(filled.pop_first().map(|(_, detail)| detail))
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
            let found = search.read_page(connection, |row| row.get(0))?;
            found.map_all(|numbers| read_details(connection, numbers))
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

const READ_TRACES: &str =
    "SELECT number, id, experiment, requested_at, duration_ms, state, client_request_id,
        request_preview, response_preview
    FROM trace WHERE number IN (:numbers)";
const TAGS: Belonging = Belonging {
    columns: "trace, key, value",
    from: "trace_tag",
    owner: "trace",
    order: "key",
};
const METADATA: Belonging = Belonging {
    columns: "trace, key, value",
    from: "trace_metadata",
    owner: "trace",
    order: "key",
};
const ASSESSMENTS: Belonging = Belonging {
    columns: "trace_record.encoded, assessment.is_valid, assessment.trace",
    from: "assessment JOIN trace_record ON trace_record.number = assessment.record",
    owner: "assessment.trace",
    order: "created_at, place",
};

/// What belongs to traces.
pub(crate) const BELONGING: &[Belonging] = &[TAGS, METADATA, ASSESSMENTS];

/// The traces of these numbers, in their order.
fn read_details(
    connection: &dyn Connection,
    numbers: &[i64],
) -> Result<Vec<TraceDetail>, StoreError> {
    let mut details = Vec::with_capacity(numbers.len());
    for some in Several::split(numbers) {
        let traces: BTreeMap<i64, Trace> =
            Several::of(connection, some).list(READ_TRACES, read_trace)?;
        let mut read = fill_traces(connection, traces)?;
        for number in some {
            let detail = read.remove(number);
            details.push(detail.ok_or_else(|| damaged("a trace vanished within one read"))?);
        }
    }
    Ok(details)
}

/// Adds what belongs to some traces, no more than `Several` takes.
fn fill_traces(
    connection: &dyn Connection,
    traces: BTreeMap<i64, Trace>,
) -> Result<BTreeMap<i64, TraceDetail>, StoreError> {
    if traces.is_empty() {
        return Ok(BTreeMap::new());
    }
    let numbers: Vec<i64> = traces.keys().copied().collect();
    let several = Several::of(connection, &numbers);
    let traces = traces.into_iter().map(|(number, trace)| {
        let assessments = Vec::new();
        (number, TraceDetail { trace, assessments })
    });
    let mut details: BTreeMap<i64, TraceDetail> = traces.collect();
    let pair = |row: &Row<'_>| Ok((row.get(0)?, (row.get(1)?, row.get(2)?)));
    for (trace, (key, value)) in several.list_belonging::<_, Vec<_>>(&TAGS, pair)? {
        of(&mut details, trace)?.trace.tags.insert(key, value);
    }
    for (trace, (key, value)) in several.list_belonging::<_, Vec<_>>(&METADATA, pair)? {
        of(&mut details, trace)?.trace.metadata.insert(key, value);
    }
    let assessment = |row: &Row<'_>| Ok((row.get(2)?, read_pair(row)?));
    for (trace, pair) in several.list_belonging::<_, Vec<_>>(&ASSESSMENTS, assessment)? {
        let assessment = decode_assessment(pair)?;
        of(&mut details, trace)?.assessments.push(assessment);
    }
    Ok(details)
}

fn of(
    details: &mut BTreeMap<i64, TraceDetail>,
    trace: i64,
) -> Result<&mut TraceDetail, StoreError> {
    details
        .get_mut(&trace)
        .ok_or_else(|| damaged("a row belongs to a trace that was not asked for"))
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
