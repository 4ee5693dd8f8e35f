//! Removing traces for good.

use entities::{Caller, Change, ExperimentId, Timestamp, TraceId};

use crate::traces::{Writing, experiment_subject, trace_subject};
use crate::{Traces, TracesError};

/// Traces that one event removes; more are removed by more events.
const LARGEST_DELETION: usize = 1000;

/// Which traces of an experiment are to be removed.
#[derive(Clone, Debug, Default)]
pub struct Deletion {
    /// Those that were requested until then.
    pub until: Option<Timestamp>,
    /// At most so many of them, the oldest first.
    pub limit: Option<i64>,
    /// Or those with these ids; others are passed over.
    pub ids: Vec<TraceId>,
}

impl Traces {
    /// Removes traces for good, with all that was said of them; the events that told it stay. Tells how many.
    pub async fn delete_traces(
        &self,
        caller: &Caller,
        experiment: &ExperimentId,
        deletion: Deletion,
    ) -> Result<u64, TracesError> {
        let Deletion { until, limit, ids } = deletion;
        match (until, limit) {
            (None, _) if ids.is_empty() => return Err(TracesError::NothingToDelete),
            (Some(_), _) if !ids.is_empty() => return Err(TracesError::BothToDelete),
            (None, Some(_)) => return Err(TracesError::NumberWithIds),
            (_, Some(given)) if given <= 0 => return Err(TracesError::NotPositive { given }),
            _ => {}
        }
        let mut left = limit.map_or(usize::MAX, |limit| limit as usize);
        let mut deleted = 0;
        let mut pending = ids.as_slice();
        while left > 0 {
            let chunk = left.min(LARGEST_DELETION);
            let found = if let Some(until) = until {
                self.store()
                    .list_traces_until(experiment, until, chunk)
                    .await?
            } else {
                let (now, later) = pending.split_at(pending.len().min(chunk));
                pending = later;
                self.list_there(experiment, now).await?
            };
            let is_last = match until {
                Some(_) => found.len() < chunk,
                None => pending.is_empty(),
            };
            left -= found.len();
            deleted += self.delete_those(caller, experiment, found).await?;
            if is_last {
                break;
            }
        }
        Ok(deleted)
    }

    /// Those of an experiment that are there, each once.
    async fn list_there(
        &self,
        experiment: &ExperimentId,
        ids: &[TraceId],
    ) -> Result<Vec<TraceId>, TracesError> {
        let mut there = Vec::with_capacity(ids.len());
        for id in ids {
            let found = self.store().find_trace(id).await?;
            let is_there = found.is_some_and(|found| found.trace.experiment == *experiment);
            if is_there && !there.contains(id) {
                there.push(id.clone());
            }
        }
        Ok(there)
    }

    /// Another caller may remove some of them in the same moment: those are left out.
    async fn delete_those(
        &self,
        caller: &Caller,
        experiment: &ExperimentId,
        mut traces: Vec<TraceId>,
    ) -> Result<u64, TracesError> {
        while !traces.is_empty() {
            let mut subjects = vec![experiment_subject(experiment)];
            subjects.extend(traces.iter().map(trace_subject));
            let writing = Writing {
                caller,
                kind: "traces.deleted",
                subjects,
            };
            let count = traces.len() as u64;
            let change = Change::TracesDeleted {
                traces: traces.clone(),
            };
            match self.commit(writing, vec![change]).await {
                Err(TracesError::NoTrace { id }) => traces.retain(|trace| trace.as_str() != id),
                Err(error) => return Err(error),
                Ok(()) => return Ok(count),
            }
        }
        Ok(0)
    }
}
