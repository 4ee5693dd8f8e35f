//! Artifacts by their paths.

use access::{Action, Need};
use entities::{Resource, ResourceKind, RunId, proxied_path};
use percent_encoding::percent_decode_str;
use tracking::TrackingError;

use super::{Judge, Needs};
use crate::sign_on::needs::{experiment_need, inner_needs, kinds_at};

impl Judge<'_> {
    /// What writing a file of a run needs: to change the run, and what its place is of. Where the files of a run are was
    /// chosen by whoever made the experiment, so that they may be among those of others.
    pub(super) async fn run_file(&self) -> Needs {
        let mut needs = self.runs("run_id", Action::Update).await?;
        for id in self.asked.all("run_id") {
            let Ok(id) = id.parse::<RunId>() else {
                continue;
            };
            let run = self.store().find_run(&id).await;
            let Some(run) = run.map_err(TrackingError::from)? else {
                continue;
            };
            let uri = &run.artifact_uri;
            if let Some(folder) = proxied_path(uri) {
                for path in self.asked.all("path") {
                    let whole = format!("{folder}/{path}");
                    needs.extend(self.artifact(&whole, Action::Update).await?);
                }
                continue;
            }
            // Folders are found by the decoded path.
            let given = percent_decode_str(uri).decode_utf8_lossy();
            let segments: Vec<&str> = given.split('/').collect();
            needs.extend(self.owners_at(&segments, Action::Update).await?);
            let root = self.app.artifact_root.as_deref().unwrap_or_default();
            let below = uri.strip_prefix(root).filter(|_| !root.is_empty());
            if let Some(below) = below {
                let below = percent_decode_str(below).decode_utf8_lossy();
                needs.extend(self.artifact(&below, Action::Update).await?);
            }
        }
        Ok(needs)
    }

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
        needs.extend(self.owners_at(&segments, action).await?);
        if needs.is_empty() {
            // Nothing was said of it: the default decides, whatever was said of others.
            needs.push(Need::new(
                action,
                Resource::new(ResourceKind::Experiment, "\0nowhere"),
            ));
        }
        Ok(needs)
    }

    /// What the runs, models and traces need that a path names.
    async fn owners_at(&self, segments: &[&str], action: Action) -> Needs {
        let mut needs = Vec::new();
        for segment in segments {
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
        Ok(needs)
    }
}
