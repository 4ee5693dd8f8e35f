//! Traces as wholes: told by clients, looked up, searched.

use std::collections::BTreeMap;

use entities::{
    Assessment, Caller, ExperimentId, SearchKind, SearchQuery, Span, TRACE_TOLD_KEY, Timestamp,
    Trace, TraceDetail, TraceId, TraceRecord, TraceState, parse_filter, parse_order_by,
};
use store::{Page, PageRequest};

use crate::traces::{Writing, experiment_subject, logged, trace_subject};
use crate::validation::{check_page, check_pairs, check_preview};
use crate::{Traces, TracesError};

/// A trace with its spans.
#[derive(Clone, Debug, PartialEq)]
pub struct WholeTrace {
    /// What is known of it as a whole.
    pub detail: TraceDetail,
    /// Its spans, by their begin.
    pub spans: Vec<Span>,
}

/// A trace that a client of MLflow 2 begins.
#[derive(Clone, Debug)]
pub struct NewTrace {
    /// The experiment that it belongs to.
    pub experiment: ExperimentId,
    /// When the request came.
    pub requested_at: Timestamp,
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// How a trace of a client of MLflow 2 ended.
#[derive(Clone, Debug)]
pub struct EndedTrace {
    /// When.
    pub ended_at: Timestamp,
    /// How.
    pub state: TraceState,
    /// Further metadata.
    pub metadata: BTreeMap<String, String>,
    /// Further tags.
    pub tags: BTreeMap<String, String>,
}

impl Traces {
    /// Takes what a client tells of a trace as a whole, before or after its spans.
    pub async fn start_trace(
        &self,
        caller: &Caller,
        mut trace: Trace,
        assessments: Vec<Assessment>,
    ) -> Result<TraceDetail, TracesError> {
        check_pairs(&trace.tags)?;
        check_pairs(&trace.metadata)?;
        check_preview(trace.request_preview.as_deref())?;
        check_preview(trace.response_preview.as_deref())?;
        trace
            .metadata
            .insert(TRACE_TOLD_KEY.to_owned(), "true".to_owned());
        let id = trace.id.clone();
        let experiment = trace.experiment.clone();
        let assessments = assessments
            .into_iter()
            .map(|assessment| self.complete(assessment));
        let assessed = assessments.map(|assessment| TraceRecord::Assessed { assessment });
        let mut records = vec![TraceRecord::Started { trace }];
        records.extend(assessed);
        self.log(caller, "trace.started", &id, &experiment, &records)
            .await?;
        self.get_trace(&id).await
    }

    /// Begins a trace for a client of MLflow 2, which tells its end later.
    pub async fn begin_trace(
        &self,
        caller: &Caller,
        new: NewTrace,
    ) -> Result<TraceDetail, TracesError> {
        let NewTrace {
            experiment,
            requested_at,
            metadata,
            tags,
        } = new;
        check_pairs(&tags)?;
        check_pairs(&metadata)?;
        let id = TraceId::random(self.random());
        let trace = Trace {
            id: id.clone(),
            experiment: experiment.clone(),
            requested_at,
            duration_ms: None,
            state: TraceState::InProgress,
            client_request_id: None,
            request_preview: None,
            response_preview: None,
            tags,
            metadata,
        };
        let records = [TraceRecord::Started { trace }];
        self.log(caller, "trace.started", &id, &experiment, &records)
            .await?;
        self.get_trace(&id).await
    }

    /// Takes the end of such a trace.
    pub async fn end_trace(
        &self,
        caller: &Caller,
        id: &TraceId,
        ended: EndedTrace,
    ) -> Result<TraceDetail, TracesError> {
        let EndedTrace {
            ended_at,
            state,
            metadata,
            tags,
        } = ended;
        check_pairs(&tags)?;
        check_pairs(&metadata)?;
        let begun = self.get_trace(id).await?.trace;
        let records = [
            TraceRecord::Ended {
                state,
                duration_ms: ended_at
                    .as_millis()
                    .saturating_sub(begun.requested_at.as_millis()),
            },
            TraceRecord::Described { metadata },
            TraceRecord::Tagged { tags },
        ];
        self.note(caller, "trace.ended", id, &records).await?;
        self.get_trace(id).await
    }

    async fn log(
        &self,
        caller: &Caller,
        kind: &'static str,
        id: &TraceId,
        experiment: &ExperimentId,
        records: &[TraceRecord],
    ) -> Result<(), TracesError> {
        let experiment = self.get_experiment(experiment).await?;
        let writing = Writing {
            caller,
            kind,
            subjects: vec![trace_subject(id), experiment_subject(&experiment.id)],
        };
        let change = logged(id, &experiment, records);
        self.commit(writing, vec![change]).await
    }

    /// Gets a trace without its spans.
    pub async fn get_trace(&self, id: &TraceId) -> Result<TraceDetail, TracesError> {
        self.find_trace(id)
            .await?
            .ok_or_else(|| TracesError::NoTrace { id: id.to_string() })
    }

    /// Looks a trace up, without its spans.
    pub async fn find_trace(&self, id: &TraceId) -> Result<Option<TraceDetail>, TracesError> {
        Ok(self.store().find_trace(id).await?)
    }

    /// Looks a trace up with its spans.
    pub async fn find_whole(&self, id: &TraceId) -> Result<Option<WholeTrace>, TracesError> {
        let Some(detail) = self.find_trace(id).await? else {
            return Ok(None);
        };
        let spans = self.store().list_spans(id).await?;
        Ok(Some(WholeTrace { detail, spans }))
    }

    /// Searches by MLflow's grammar. Without an order: last requested first. Of no experiments, there are none.
    pub async fn search_traces(
        &self,
        experiments: &[ExperimentId],
        filter: &str,
        order_by: &[&str],
        page: &PageRequest,
    ) -> Result<Page<TraceDetail>, TracesError> {
        check_page(page)?;
        let query = parse_query(filter, order_by)?;
        if experiments.is_empty() {
            return Ok(Page {
                items: Vec::new(),
                next: None,
            });
        }
        Ok(self
            .store()
            .search_traces(experiments, &query, page)
            .await?)
    }
}

/// Reads a filter and an order.
pub(crate) fn parse_query(filter: &str, order_by: &[&str]) -> Result<SearchQuery, TracesError> {
    Ok(SearchQuery {
        conditions: parse_filter(filter, SearchKind::Traces)?,
        order_by: parse_order_by(order_by, SearchKind::Traces)?,
    })
}
