//! Artifacts by their paths.

use access::{Action, Need};
use entities::{Resource, ResourceKind};

use super::{Judge, Needs};
use crate::sign_on::needs::{experiment_need, inner_needs, kinds_at};

impl Judge<'_> {
    /// What artifacts at a path need: their experiment, and what is in it that they are of.
    ///
    /// An experiment may keep its artifacts elsewhere than under its number, so that runs, models and traces that the
    /// path names count with the experiments that they are in.
    pub(in crate::sign_on) async fn artifact(&self, path: &str, action: Action) -> Needs {
        let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let mut needs = Vec::new();
        let experiment = segments
            .first()
            .filter(|first| first.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some(id) = experiment {
            let deletes = action == Action::Manage;
            let kinds = kinds_at(&segments[1..], deletes);
            if kinds.is_empty() {
                needs.push(experiment_need(action, id));
            }
            needs.extend(kinds.iter().flat_map(|kind| inner_needs(*kind, action, id)));
        }
        for segment in &segments {
            if let Some(id) = self.experiment_of_run(segment).await? {
                needs.extend(inner_needs(ResourceKind::Run, action, &id));
            }
            if segment.starts_with("m-")
                && let Some(id) = self.experiment_of_model(segment).await?
            {
                needs.extend(inner_needs(ResourceKind::LoggedModel, action, &id));
            }
            if let Some(id) = self.experiment_of_trace(segment).await? {
                needs.extend(inner_needs(ResourceKind::Trace, action, &id));
            }
        }
        if needs.is_empty() {
            // Nothing was said of it: the default decides, whatever was said of others.
            needs.push(Need::new(
                action,
                Resource::new(ResourceKind::Experiment, "\0nowhere"),
            ));
        }
        Ok(needs)
    }
}
