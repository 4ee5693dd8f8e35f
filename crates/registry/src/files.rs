//! The files of a version: what they were, and whether they still are.

use std::path::PathBuf;

use entities::{EntryKind, ModelVersion, ObjectId, Tree, TreeFile, proxied_path, trees_of};

use crate::{Registry, RegistryError};

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

/// Where the files of a version are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionPlace {
    /// URI of the artifacts of the run or logged model that it is of.
    pub uri: String,
    /// The folder in which those are on record.
    pub folder: String,
    /// The folder of the version in either; empty where it is all.
    pub inside: String,
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

    /// The folder of artifacts that a URI of a version names, where it is on record.
    async fn folder_of(
        &self,
        uri: &str,
        version: &ModelVersion,
    ) -> Result<Option<String>, RegistryError> {
        let place = self.place_below(uri, version).await?;
        Ok(place.map(|place| match place.inside.as_str() {
            "" => place.folder,
            inside => format!("{}/{inside}", place.folder),
        }))
    }

    /// Where the files of a version are.
    ///
    /// A folder that clients write to by themselves counts only where it is that of the version's own run or logged
    /// model, since a source may name any.
    pub async fn place_of(
        &self,
        version: &ModelVersion,
    ) -> Result<Option<VersionPlace>, RegistryError> {
        self.place_below(version.download_uri(), version).await
    }

    async fn place_below(
        &self,
        uri: &str,
        version: &ModelVersion,
    ) -> Result<Option<VersionPlace>, RegistryError> {
        if let Some(path) = proxied_path(uri) {
            return Ok(Some(VersionPlace {
                uri: uri.to_owned(),
                folder: path.to_owned(),
                inside: String::new(),
            }));
        }
        let run = match &version.run {
            Some(run) => self.store().find_run(run).await?,
            None => None,
        };
        let model = match &version.logged_model {
            Some(model) => self.store().find_model(model).await?,
            None => None,
        };
        let owners = run
            .map(|run| (run.artifact_folder(), run.artifact_uri))
            .into_iter()
            .chain(model.map(|found| (found.model.artifact_folder(), found.model.artifact_uri)));
        for (folder, root) in owners {
            let inside = match uri.strip_prefix("runs:/") {
                Some(rest) => rest.split_once('/').map_or("", |(_, inside)| inside),
                None => match uri.strip_prefix(root.as_str()) {
                    Some(inside) if inside.is_empty() || inside.starts_with('/') => inside,
                    _ => continue,
                },
            };
            let inside = inside.trim_matches('/');
            if inside.is_empty() || entities::Artifact::is_valid_path(inside) {
                return Ok(Some(VersionPlace {
                    uri: root,
                    folder,
                    inside: inside.to_owned(),
                }));
            }
        }
        Ok(None)
    }
}
