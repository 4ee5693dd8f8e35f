//! The files of a version: what they were, and whether they still are.

use std::path::PathBuf;

use entities::{EntryKind, ModelVersion, ObjectId, Tree, TreeFile, trees_of};

use crate::{Registry, RegistryError};

/// Root of all artifacts that are kept here.
const ROOT: &str = "mlflow-artifacts:/";

/// How the files of a version compare with those that were registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilesState {
    /// The same, to the byte.
    Unchanged,
    /// Others stand under its URI now, or none; those that were registered are kept.
    Changed,
    /// They were never on record.
    Unknown,
}

impl Registry {
    /// Whether the files under a version's URI are still those that were registered.
    pub async fn compare_files(&self, version: &ModelVersion) -> Result<FilesState, RegistryError> {
        let Some(registered) = version.files else {
            return Ok(FilesState::Unknown);
        };
        let trees = self.trees_below(version.download_uri(), version).await?;
        let now = trees.last().map(|tree| ObjectId::of(&tree.encode()));
        Ok(if now == Some(registered) {
            FilesState::Unchanged
        } else {
            FilesState::Changed
        })
    }

    /// Keeps the list of a new version's files; none where they are kept elsewhere, or there are none.
    pub async fn keep_files(
        &self,
        version: &ModelVersion,
    ) -> Result<Option<ObjectId>, RegistryError> {
        let trees = self.trees_below(version.download_uri(), version).await?;
        if trees.is_empty() {
            return Ok(None);
        }
        let cas = self.cas().clone();
        let kept = tokio::task::spawn_blocking(move || {
            let batch = cas.batch();
            let mut whole = None;
            for tree in &trees {
                whole = Some(batch.put_tree(tree)?);
            }
            batch.commit()?;
            Ok::<_, RegistryError>(whole)
        });
        kept.await.map_err(|_| RegistryError::BrokenOff {
            what: "keeping the files of a version",
        })?
    }

    /// The trees of the files below a URI, the whole last; empty where there are none here.
    async fn trees_below(
        &self,
        uri: &str,
        version: &ModelVersion,
    ) -> Result<Vec<Tree>, RegistryError> {
        let Some(folder) = self.folder_of(uri, version).await? else {
            return Ok(Vec::new());
        };
        let artifacts = self.store().list_artifacts_below(&folder).await?;
        if artifacts.is_empty() {
            return Ok(Vec::new());
        }
        let files = artifacts.into_iter().map(|artifact| {
            let inside = artifact
                .path
                .strip_prefix(&folder)
                .unwrap_or(&artifact.path);
            let file = TreeFile {
                kind: EntryKind::File,
                size_bytes: artifact.size_bytes,
                object: artifact.object,
            };
            (PathBuf::from(inside.trim_start_matches('/')), file)
        });
        Ok(trees_of(files)?)
    }

    /// The folder of artifacts that a URI names, where they are kept here.
    async fn folder_of(
        &self,
        uri: &str,
        version: &ModelVersion,
    ) -> Result<Option<String>, RegistryError> {
        let below = |uri: &str| {
            let path = uri.strip_prefix(ROOT)?.trim_matches('/');
            (!path.is_empty()).then(|| path.to_owned())
        };
        let (Some(rest), Some(run)) = (uri.strip_prefix("runs:/"), &version.run) else {
            return Ok(below(uri));
        };
        let Some(run) = self.store().find_run(run).await? else {
            return Ok(None);
        };
        let inside = rest.split_once('/').map_or("", |(_, inside)| inside);
        Ok(below(&format!("{}/{inside}", run.artifact_uri)))
    }
}
