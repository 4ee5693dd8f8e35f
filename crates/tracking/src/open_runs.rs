//! Runs that a process left open when it was killed.

use std::collections::BTreeMap;

use entities::{
    Caller, Change, Comparison, Condition, Field, ObjectId, Operator, ProcessIdentity, RunId,
    RunStatus, SearchQuery,
};
use store::{PageRequest, View};

use crate::runs::PARENT_TAG;
use crate::tracking::{Writing, run_subject};
use crate::{LARGEST_PAGE, Tracking, TrackingError};

/// What could be kept of a run whose process was killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SalvagedRun {
    /// The recipe of its manifest, as far as it is known.
    pub recipe: ObjectId,
    /// The record of its manifest.
    pub record: ObjectId,
    /// Params that were read from outside; those that were logged explicitly stay as they are.
    pub params: BTreeMap<String, String>,
}

/// Tells what is kept of a run; nothing where there is nothing.
pub type Salvage<'a> = dyn Fn(&RunId) -> Option<SalvagedRun> + Sync + 'a;

impl Tracking {
    /// Marks runs whose process has ended without closing them, and the runs that clients opened inside them.
    /// Gives those that it marked.
    ///
    /// A run without a process and without such a parent stays as it is: its client may be anywhere.
    /// What `salvage` finds of a run becomes its manifest.
    pub async fn mark_interrupted(
        &self,
        caller: &Caller,
        is_alive: &(dyn Fn(&RunId, &ProcessIdentity) -> bool + Sync),
        salvage: &Salvage<'_>,
    ) -> Result<Vec<RunId>, TrackingError> {
        let mut marked = Vec::new();
        for run in self.store().list_open_runs().await? {
            let is_left = run
                .process
                .as_ref()
                .is_some_and(|process| !is_alive(&run.id, process));
            if is_left && self.interrupt(caller, &run.id, salvage).await? {
                marked.push(run.id);
            }
        }
        // A child may have children, so the list grows while it is gone through.
        let mut next = 0;
        while let Some(parent) = marked.get(next).cloned() {
            next += 1;
            for child in self.list_open_children(&parent).await? {
                if self.interrupt(caller, &child, &|_| None).await? {
                    marked.push(child);
                }
            }
        }
        Ok(marked)
    }

    /// Marks a run, unless it was closed meanwhile: its process may have ended well after the runs were listed.
    async fn interrupt(
        &self,
        caller: &Caller,
        id: &RunId,
        salvage: &Salvage<'_>,
    ) -> Result<bool, TrackingError> {
        let salvaged = salvage(id);
        loop {
            match self.try_interrupt(caller, id, salvaged.clone()).await {
                // A client that outlived the process logged one of the params just now, and wins.
                Err(TrackingError::ParamsChanged { .. }) => {}
                other => return other,
            }
        }
    }

    async fn try_interrupt(
        &self,
        caller: &Caller,
        id: &RunId,
        salvaged: Option<SalvagedRun>,
    ) -> Result<bool, TrackingError> {
        let there = self.get_run(id).await?;
        if there.run.status.is_terminal() {
            return Ok(false);
        }
        let mut changes = Vec::new();
        if let Some(SalvagedRun {
            recipe,
            record,
            mut params,
        }) = salvaged
        {
            changes.push(Change::ManifestRecorded {
                run: id.clone(),
                recipe,
                record,
            });
            params.retain(|key, _| !there.params.contains_key(key));
            if !params.is_empty() {
                changes.push(Change::ParamsLogged {
                    run: id.clone(),
                    params,
                });
            }
        }
        let at = self.now();
        let writing = Writing {
            caller,
            at,
            kind: "run.interrupted",
            subjects: vec![run_subject(id)],
        };
        changes.push(Change::RunInterrupted {
            run: id.clone(),
            at,
        });
        self.commit(writing, changes).await?;
        Ok(true)
    }

    /// Open runs that a client made inside another, which have no process of their own.
    async fn list_open_children(&self, parent: &RunId) -> Result<Vec<RunId>, TrackingError> {
        let is = |field, value: &str| Condition {
            field,
            comparison: Comparison::Text(Operator::Equal, value.to_owned()),
        };
        let query = SearchQuery {
            conditions: vec![
                is(Field::Tag(PARENT_TAG.to_owned()), parent.as_str()),
                is(
                    Field::Attribute("status".to_owned()),
                    RunStatus::Running.as_str(),
                ),
            ],
            order_by: Vec::new(),
        };
        let page = PageRequest::first(LARGEST_PAGE);
        let found = self
            .store()
            .search_runs(&[], &query, View::Active, &page)
            .await?;
        let children = found.items.into_iter().map(|detail| detail.run);
        Ok(children
            .filter(|run| run.process.is_none())
            .map(|run| run.id)
            .collect())
    }
}
