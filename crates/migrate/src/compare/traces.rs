//! Comparing traces, and what they are linked to.

use std::collections::{BTreeMap, BTreeSet};

use entities::{
    Assessment, Comparison as Compares, Condition, Field, Operator, RunId, SPANS_LOCATION_TAG,
    SearchQuery, Span, SpanId, TRACE_COST_KEY, TRACE_SESSION_KEY, TRACE_TOKENS_KEY, TRACE_USER_KEY,
    Trace, TraceId,
};
use store::PageRequest;

use super::Comparison;
use crate::source::{SourceTrace, TracePlace};
use crate::{MigrateError, Progress};

/// Traces of a prompt that are read at once.
const TRACES_AT_ONCE: usize = 1000;

/// Metadata that follow from the spans, where MLflow had not worked them out.
const FROM_SPANS: [&str; 4] = [
    TRACE_SESSION_KEY,
    TRACE_USER_KEY,
    TRACE_TOKENS_KEY,
    TRACE_COST_KEY,
];

/// Traces by what they are linked to, each by its place in the list.
#[derive(Default)]
struct LinkedTraces {
    runs: BTreeMap<RunId, Vec<usize>>,
    prompts: BTreeMap<(String, String), Vec<usize>>,
}

impl Comparison<'_> {
    /// Compares all traces, and tells what of them cannot be read.
    pub(super) async fn compare_traces(
        &mut self,
        traces: &[TracePlace],
        on_progress: &dyn Fn(Progress),
    ) -> Result<(), MigrateError> {
        let mut links = LinkedTraces::default();
        let mut archived = 0;
        for (index, place) in traces.iter().enumerate() {
            let reading = self.source.trace(&place.id)?;
            self.report.unreadable.extend(reading.faults);
            if let Some(found) = reading.trace {
                archived += found.archived_spans;
                if self.compare_trace(&found).await? {
                    for run in found.links.runs {
                        links.runs.entry(run).or_default().push(index);
                    }
                    for prompt in found.links.prompts {
                        links.prompts.entry(prompt).or_default().push(index);
                    }
                }
            }
            on_progress(Progress {
                what: "traces compared",
                done: index as u64 + 1,
                total: traces.len() as u64,
            });
        }
        if archived > 0 {
            let what = "spans in MLflow's archive".to_owned();
            self.report.left_behind.insert(what, archived);
        }
        self.compare_links(traces, links).await
    }

    /// Whether the trace is there.
    async fn compare_trace(&mut self, found: &SourceTrace) -> Result<bool, MigrateError> {
        let id = &found.trace.id;
        let what = format!("trace {id}");
        let files = self.places.files_of_trace(found)?;
        let Some(there) = self.store().find_trace(id).await? else {
            self.note_missing(&what);
            return Ok(false);
        };
        let trace = self.held(there.trace);
        let assessments = there.assessments.into_iter();
        let assessments: Vec<_> = assessments.map(|found| self.held(found)).collect();
        let expected = self.places.of_trace(found);
        let has_spans = !found.spans.is_empty();
        self.compare_told(&what, &expected, &trace, has_spans);
        let spans = self.store().list_spans(id).await?;
        let is_same = spans_by_id(&spans) == spans_by_id(&found.spans);
        self.check(&what, "spans", is_same);
        let is_same = by_id(&assessments) == by_id(&found.assessments);
        self.check(&what, "assessments", is_same);
        self.compare_files(&what, files).await?;
        Ok(true)
    }

    /// What spans tell of a trace is there even where MLflow had not worked it out.
    fn compare_told(&mut self, what: &str, expected: &Trace, there: &Trace, has_spans: bool) {
        let row = |trace: &Trace| Trace {
            tags: BTreeMap::new(),
            metadata: BTreeMap::new(),
            request_preview: trace
                .request_preview
                .clone()
                .filter(|_| !has_spans || expected.request_preview.is_some()),
            response_preview: trace
                .response_preview
                .clone()
                .filter(|_| !has_spans || expected.response_preview.is_some()),
            ..trace.clone()
        };
        self.check(what, "row", row(expected) == row(there));
        let without =
            |pairs: &BTreeMap<String, String>, known: &BTreeMap<String, String>, keys: &[&str]| {
                let mut pairs = pairs.clone();
                pairs.retain(|key, _| {
                    !has_spans || known.contains_key(key) || !keys.contains(&key.as_str())
                });
                pairs
            };
        let tags = without(&there.tags, &expected.tags, &[SPANS_LOCATION_TAG]);
        self.check(what, "tags", expected.tags == tags);
        let metadata = without(&there.metadata, &expected.metadata, &FROM_SPANS);
        self.check(what, "metadata", expected.metadata == metadata);
    }

    async fn compare_links(
        &mut self,
        traces: &[TracePlace],
        links: LinkedTraces,
    ) -> Result<(), MigrateError> {
        let is_among = |expected: &[usize], there: &BTreeSet<TraceId>| {
            let mut expected = expected.iter();
            expected.all(|index| there.contains(&traces[*index].id))
        };
        for (run, expected) in links.runs {
            let there = self.store().list_traces_of_run(&run, usize::MAX).await?;
            let is_same = is_among(&expected, &there.into_iter().collect());
            self.check(&format!("run {run}"), "linked traces", is_same);
        }
        for ((name, version), expected) in links.prompts {
            let what = format!("prompt `{name}/{version}`");
            // No filter names a prompt that has a slash in its name, and MLflow makes none.
            if !name.contains('/') {
                let there = self.traces_of_prompt(format!("{name}/{version}")).await?;
                self.check(&what, "linked traces", is_among(&expected, &there));
            }
        }
        Ok(())
    }

    async fn traces_of_prompt(&self, prompt: String) -> Result<BTreeSet<TraceId>, MigrateError> {
        let query = SearchQuery {
            conditions: vec![Condition {
                field: Field::Prompt,
                comparison: Compares::Text(Operator::Equal, prompt),
            }],
            order_by: Vec::new(),
        };
        let mut page = PageRequest::first(TRACES_AT_ONCE);
        let mut found = BTreeSet::new();
        loop {
            let part = self.store().search_traces(&[], &query, &page).await?;
            found.extend(part.items.into_iter().map(|detail| detail.trace.id));
            match part.next {
                Some(next) => page.token = Some(next),
                None => return Ok(found),
            }
        }
    }
}

fn spans_by_id(spans: &[Span]) -> BTreeMap<&SpanId, &Span> {
    spans.iter().map(|span| (&span.id, span)).collect()
}

fn by_id(assessments: &[Assessment]) -> BTreeMap<&str, &Assessment> {
    let assessments = assessments.iter();
    assessments
        .map(|assessment| (assessment.id.as_str(), assessment))
        .collect()
}
