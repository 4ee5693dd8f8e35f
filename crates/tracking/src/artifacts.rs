//! Artifacts.

use std::collections::BTreeSet;
use std::io::Read;

use entities::{Artifact, ArtifactEntry, Caller, Change, ModelId, RunId};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::tracking::{Writing, model_subject, run_subject};
use crate::validation::check_artifact_path;
use crate::{Tracking, TrackingError};

impl Tracking {
    /// Stores a content and names it; one that was there under the same path is replaced.
    ///
    /// The content is durable before the event that names it is written.
    ///
    /// *Cost*: constant memory; the calling thread does the work, outside of the runtime's way where that is possible.
    pub async fn put_artifact(
        &self,
        caller: &Caller,
        path: &str,
        content: &mut (dyn Read + Send),
    ) -> Result<Artifact, TrackingError> {
        check_artifact_path(path)?;
        let stored = run_blocking(|| self.cas().store(content))?;
        let artifact = Artifact {
            path: path.to_owned(),
            object: stored.object,
            size_bytes: stored.size_bytes,
        };
        self.put_artifacts(caller, vec![artifact.clone()]).await?;
        Ok(artifact)
    }

    /// Names contents that are stored already, in one event.
    pub async fn put_artifacts(
        &self,
        caller: &Caller,
        artifacts: Vec<Artifact>,
    ) -> Result<(), TrackingError> {
        self.commit_artifacts(caller, "artifact.put", artifacts)
            .await
    }

    pub(crate) async fn commit_artifacts(
        &self,
        caller: &Caller,
        kind: &'static str,
        artifacts: Vec<Artifact>,
    ) -> Result<(), TrackingError> {
        for artifact in &artifacts {
            check_artifact_path(&artifact.path)?;
        }
        if artifacts.is_empty() {
            return Ok(());
        }
        let owners: BTreeSet<String> = artifacts
            .iter()
            .map(|artifact| owner_subject(&artifact.path))
            .collect();
        let writing = Writing {
            caller,
            at: self.now(),
            kind,
            subjects: owners.into_iter().collect(),
        };
        self.commit(writing, vec![Change::ArtifactsPut { artifacts }])
            .await
    }

    /// Looks an artifact up.
    pub async fn find_artifact(&self, path: &str) -> Result<Option<Artifact>, TrackingError> {
        check_artifact_path(path)?;
        Ok(self.store().find_artifact(path).await?)
    }

    /// Files and folders right below a folder, by name; empty for one that is not there. The empty path is the root.
    pub async fn list_artifacts(&self, folder: &str) -> Result<Vec<ArtifactEntry>, TrackingError> {
        let folder = folder.strip_suffix('/').unwrap_or(folder);
        if !folder.is_empty() {
            check_artifact_path(folder)?;
        }
        Ok(self.store().list_artifacts(folder).await?)
    }

    /// Every artifact below a folder, however deep; none for one that is not there.
    pub async fn list_artifacts_below(&self, folder: &str) -> Result<Vec<Artifact>, TrackingError> {
        check_artifact_path(folder)?;
        Ok(self.store().list_artifacts_below(folder).await?)
    }

    /// Deletes an artifact, or a folder with all below it. The content stays until garbage is collected.
    pub async fn delete_artifact(&self, caller: &Caller, path: &str) -> Result<(), TrackingError> {
        check_artifact_path(path)?;
        let writing = Writing {
            caller,
            at: self.now(),
            kind: "artifact.deleted",
            subjects: vec![owner_subject(path)],
        };
        let change = Change::ArtifactDeleted {
            path: path.to_owned(),
        };
        self.commit(writing, vec![change]).await
    }
}

/// What an artifact belongs to, as its path tells: a run, a logged model, or nothing but itself.
fn owner_subject(path: &str) -> String {
    let parts: Vec<&str> = path.splitn(5, '/').collect();
    if let [_, "models", model, "artifacts", ..] = parts.as_slice()
        && let Ok(model) = model.parse::<ModelId>()
    {
        return model_subject(&model);
    }
    if let [_, run, "artifacts", ..] = parts.as_slice()
        && let Ok(run) = run.parse::<RunId>()
    {
        return run_subject(&run);
    }
    format!("artifact:{path}")
}

/// Does work that blocks, without keeping other tasks of this thread waiting where the runtime has other threads.
fn run_blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_about_an_artifact_names_the_run_or_model_that_has_it() {
        for (path, subject) in [
            ("0/abc/artifacts/model/MLmodel", "run:abc"),
            ("7/abc/artifacts/x", "run:abc"),
            ("0/models/m-1/artifacts/MLmodel", "model:m-1"),
            ("elsewhere/x", "artifact:elsewhere/x"),
            ("0/-/artifacts/x", "artifact:0/-/artifacts/x"),
        ] {
            assert_eq!(owner_subject(path), subject);
        }
    }
}
