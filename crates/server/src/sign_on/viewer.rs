//! What somebody may see of what a search finds.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use access::Action;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use entities::{ExperimentId, RegisteredModel, ResourceKind, TraceId};
use store::{Page, PageRequest};
use tracking::TrackingError;

use super::Signed;
use super::needs::{
    experiment_need, inner_needs, registered_kind, registered_needs, scorer_needs, trace_needs,
};
use crate::app::App;
use crate::error::RequestError;

/// Who looks at what is found; everything is shown where nobody has to sign on.
pub(crate) struct Viewer(Option<Signed>);

impl FromRequestParts<App> for Viewer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<Signed>().cloned()))
    }
}

/// Items that are looked at together, where not all may be shown.
const CHUNK: usize = 500;

impl Viewer {
    /// Whether all that there is may be seen.
    pub(crate) fn sees_all(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|signed| signed.rights.is_unlimited())
    }

    fn allows(&self, needs: &[access::Need]) -> bool {
        self.0
            .as_ref()
            .is_none_or(|signed| signed.rights.allow_all(needs))
    }

    pub(crate) fn sees_experiment(&self, id: &ExperimentId) -> bool {
        self.allows(&[experiment_need(Action::Read, id.as_str())])
    }

    /// Whether runs or models of an experiment may be seen.
    pub(crate) fn sees_inside(&self, kind: ResourceKind, experiment: &ExperimentId) -> bool {
        self.allows(&inner_needs(kind, Action::Read, experiment.as_str()))
    }

    pub(crate) fn sees_registered(&self, model: &RegisteredModel) -> bool {
        let kind = registered_kind(model.is_prompt());
        self.allows(&registered_needs(kind, &model.name))
    }

    pub(crate) fn sees_scorer(&self, experiment: &ExperimentId, name: &str) -> bool {
        self.allows(&scorer_needs(Action::Read, experiment.as_str(), name))
    }

    /// Whether an entry of the root of all artifacts may be seen: what is no experiment's is shown by default alone.
    pub(crate) fn sees_folder(&self, name: &str) -> bool {
        self.allows(&[experiment_need(Action::Read, name)])
    }

    /// Refuses to add to traces that are there and may not be changed where they are.
    pub(crate) async fn check_traces(
        &self,
        app: &App,
        ids: &BTreeSet<TraceId>,
    ) -> Result<(), RequestError> {
        if self.sees_all() {
            return Ok(());
        }
        for id in ids {
            if let Some(found) = app.traces.find_trace(id).await? {
                let needs = trace_needs(Action::Update, found.trace.experiment.as_str());
                if !self.allows(&needs) {
                    return Err(RequestError::NotAllowed);
                }
            }
        }
        Ok(())
    }

    /// Refuses to link to a run that may not be changed.
    pub(crate) async fn check_run(
        &self,
        app: &App,
        id: &entities::RunId,
    ) -> Result<(), RequestError> {
        if self.sees_all() {
            return Ok(());
        }
        let found = app.tracking.store().find_run(id).await;
        let found = found.map_err(TrackingError::from)?;
        let is_allowed = found.is_some_and(|run| {
            let needs = inner_needs(ResourceKind::Run, Action::Update, run.experiment.as_str());
            self.allows(&needs)
        });
        if is_allowed {
            Ok(())
        } else {
            Err(RequestError::NotAllowed)
        }
    }

    /// Which of these registered models may be seen, by their names.
    pub(crate) async fn seen_names(
        &self,
        app: &App,
        names: &[&str],
    ) -> Result<BTreeMap<String, bool>, RequestError> {
        let mut seen = BTreeMap::new();
        for name in names {
            if seen.contains_key(*name) {
                continue;
            }
            let found = app.tracking.store().find_registered_model(name).await;
            let found = found.map_err(TrackingError::from)?;
            let is_seen = found.is_some_and(|detail| self.sees_registered(&detail.model));
            seen.insert((*name).to_owned(), is_seen);
        }
        Ok(seen)
    }
}

/// Fills a page with what may be seen: pages are as long as if there were nothing else.
///
/// It says which page to look for, is given what was found there, and ends when it is full or there is no more.
pub(crate) struct Filling<T> {
    limit: usize,
    next: Option<PageRequest>,
    filled: Page<T>,
}

impl<T> Filling<T> {
    pub(crate) fn new(page: PageRequest) -> Self {
        Self {
            limit: page.limit,
            // The first is looked for as it was asked for, so that limits are checked as they were given.
            next: Some(page),
            filled: Page {
                items: Vec::new(),
                next: None,
            },
        }
    }

    /// What to look for next; none once the page is filled.
    pub(crate) fn wanted(&self) -> Option<PageRequest> {
        self.next.clone()
    }

    /// Takes what was found, with whether each item may be seen.
    pub(crate) fn take(&mut self, found: Page<T>, seen: &[bool]) {
        let Some(asked) = self.next.take() else {
            return;
        };
        let missing = self.limit - self.filled.items.len();
        if let Some(end) = end_of(seen, missing) {
            // The page ends amid what was found: only what ends there tells where the next page begins.
            self.next = Some(PageRequest {
                limit: end,
                ..asked
            });
            return;
        }
        let shown = found.items.into_iter().zip(seen);
        let shown = shown.filter(|(_, seen)| **seen);
        self.filled.items.extend(shown.map(|(item, _)| item));
        let missing = self.limit - self.filled.items.len();
        match found.next {
            Some(token) if missing > 0 => {
                self.next = Some(PageRequest {
                    limit: missing.max(CHUNK),
                    token: Some(token),
                });
            }
            next => self.filled.next = next,
        }
    }

    pub(crate) fn filled(self) -> Page<T> {
        self.filled
    }
}

/// How many items hold that many that may be seen, if fewer than there are.
fn end_of(seen: &[bool], wanted: usize) -> Option<usize> {
    let mut places = seen.iter().enumerate().filter(|(_, seen)| **seen);
    let (place, _) = places.nth(wanted.checked_sub(1)?)?;
    (place + 1 < seen.len()).then_some(place + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages of the numbers below `count`, of which every `every`th may be seen; and how often was looked.
    fn pages(count: usize, every: usize, limit: usize) -> (Vec<Vec<usize>>, usize) {
        let mut page = PageRequest::first(limit);
        let (mut pages, mut looks) = (Vec::new(), 0);
        loop {
            let mut filling = Filling::new(page.clone());
            while let Some(wanted) = filling.wanted() {
                looks += 1;
                let token = wanted.token.as_ref();
                let from: usize = token.map_or(0, |token| token.parse().unwrap());
                let end = (from + wanted.limit).min(count);
                let found = Page {
                    items: (from..end).collect::<Vec<_>>(),
                    next: (end < count).then(|| end.to_string()),
                };
                let seen = found.items.iter().map(|item| item % every == 0);
                let seen: Vec<_> = seen.collect();
                filling.take(found, &seen);
            }
            let found = filling.filled();
            pages.push(found.items);
            match found.next {
                None => return (pages, looks),
                next => page.token = next,
            }
        }
    }

    #[test]
    fn pages_are_full_and_hold_each_item_once() {
        for (count, every, limit) in [
            (0, 1, 10),
            (10, 1, 10),
            (95, 1, 10),
            (95, 2, 10),
            (5000, 7, 10),
            (5000, 7, 600),
            (3000, 2999, 1),
            (100, 1000, 10),
        ] {
            let (pages, _) = pages(count, every, limit);
            let seen: Vec<_> = pages.iter().flatten().copied().collect();
            let expected: Vec<_> = (0..count).filter(|item| item % every == 0).collect();
            assert_eq!(seen, expected, "{count} {every} {limit}");
            let (_, whole) = pages.split_last().unwrap();
            for page in whole {
                assert_eq!(page.len(), limit, "{count} {every} {limit}");
            }
        }
    }

    #[test]
    fn what_is_rare_is_not_looked_for_one_by_one() {
        let (pages, looks) = pages(10_000, 9999, 1);
        assert_eq!(pages.iter().flatten().count(), 2);
        assert!(looks < 30, "{looks} looks");
    }
}
