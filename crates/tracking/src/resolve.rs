//! Which run a user means.

use std::collections::BTreeMap;

use entities::{Comparison, Condition, Field, Lifecycle, Run, RunId, SearchQuery};
use store::{PageRequest, View};

use crate::runs::PARENT_TAG;
use crate::{Tracking, TrackingError};

/// Runs that are listed where a reference fits several.
const CANDIDATES_MAX: usize = 10;

/// Runs that are looked at together for the latest that is no replay.
const PAGE_LENGTH: usize = 20;

impl Tracking {
    /// Finds the run that a user means: a whole id, the beginning of one, a name, or `latest`.
    ///
    /// `latest` is the active run that was started last and is neither a child of another run nor a replay:
    /// else to replay `latest` twice would replay the replay.
    /// A deleted run is found by its whole id, and by the beginning of it where no active run fits.
    ///
    /// *Errors*: `UnknownRun`; `AmbiguousRun` if several runs fit.
    pub async fn resolve_run(&self, reference: &str) -> Result<Run, TrackingError> {
        let unknown = || TrackingError::UnknownRun {
            reference: reference.to_owned(),
        };
        if reference.is_empty() {
            return Err(unknown());
        }
        if let Ok(id) = reference.parse::<RunId>()
            && let Some(run) = self.store().find_run(&id).await?
        {
            return Ok(run);
        }
        if reference == "latest" {
            return self.find_latest_run().await?.ok_or_else(unknown);
        }
        let mut fitting = self.list_fitting(reference).await?;
        match fitting.len() {
            0 => Err(unknown()),
            1 => Ok(fitting.remove(0)),
            _ => Err(TrackingError::AmbiguousRun {
                reference: reference.to_owned(),
                candidates: fitting
                    .into_iter()
                    .take(CANDIDATES_MAX)
                    .map(|run| run.id)
                    .collect(),
            }),
        }
    }

    /// Active runs whose id begins so or whose name this is, the latest first; deleted ones where there is none.
    async fn list_fitting(&self, reference: &str) -> Result<Vec<Run>, TrackingError> {
        let limit = CANDIDATES_MAX + 1;
        let named = self.store().list_runs_by_name(reference, limit).await?;
        let is_prefix = reference.parse::<RunId>().is_ok();
        let beginning = if is_prefix {
            // More than are shown, since deleted ones among them give way.
            self.store()
                .list_runs_by_prefix(reference, 10 * limit)
                .await?
        } else {
            Vec::new()
        };
        let distinct: BTreeMap<RunId, Run> = named
            .into_iter()
            .chain(beginning)
            .map(|run| (run.id.clone(), run))
            .collect();
        let (mut fitting, deleted): (Vec<Run>, Vec<Run>) = distinct
            .into_values()
            .partition(|run| run.lifecycle == Lifecycle::Active);
        if fitting.is_empty() {
            fitting = deleted;
        }
        fitting.sort_by(|a, b| {
            b.started_at
                .cmp(&a.started_at)
                .then_with(|| a.id.cmp(&b.id))
        });
        Ok(fitting)
    }

    async fn find_latest_run(&self) -> Result<Option<Run>, TrackingError> {
        let no_parent = Condition {
            field: Field::Tag(PARENT_TAG.to_owned()),
            comparison: Comparison::Null { is_negated: false },
        };
        let query = SearchQuery {
            conditions: vec![no_parent],
            order_by: Vec::new(),
        };
        // The search has no word for replays: they are passed over here, a page at a time.
        let mut page = PageRequest::first(PAGE_LENGTH);
        loop {
            let found = self
                .store()
                .search_runs(&[], &query, View::Active, &page)
                .await?;
            let mut runs = found.items.into_iter().map(|detail| detail.run);
            if let Some(run) = runs.find(|run| run.replay_of.is_none()) {
                return Ok(Some(run));
            }
            if found.next.is_none() {
                return Ok(None);
            }
            page.token = found.next;
        }
    }
}
