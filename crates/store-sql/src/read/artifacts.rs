//! Artifacts, as callers see them.

use std::collections::BTreeMap;

use crate::sql::{self, Connection, Row};
use async_trait::async_trait;
use entities::{Artifact, ArtifactEntry, ObjectId};
use store::{ArtifactStore, StoreError};

use super::{find_row, list_rows};
use crate::rows::{folder_range, read_object};
use crate::{Backend, SqlStore};

statements! {
    FIND = "SELECT path, object, size_bytes FROM artifact WHERE path = ?1";
    FIND_NEXT = "SELECT path, object, size_bytes FROM artifact WHERE path >= ?1 AND path < ?2 ORDER BY path LIMIT 1";
    LIST_BELOW = "SELECT path, object, size_bytes FROM artifact WHERE path >= ?1 AND path < ?2 ORDER BY path";
}

#[async_trait]
impl<B: Backend> ArtifactStore for SqlStore<B> {
    async fn find_artifact(&self, path: &str) -> Result<Option<Artifact>, StoreError> {
        let path = path.to_owned();
        self.read(move |connection| find_row(connection, FIND, [path], read_artifact))
            .await
    }

    async fn list_artifacts(&self, folder: &str) -> Result<Vec<ArtifactEntry>, StoreError> {
        let folder = folder.to_owned();
        self.read(move |connection| list_folder(connection, &folder))
            .await
    }

    async fn list_artifacts_below(&self, folder: &str) -> Result<Vec<Artifact>, StoreError> {
        let (from, to) = folder_range(folder);
        self.read(move |connection| list_rows(connection, LIST_BELOW, [from, to], read_artifact))
            .await
    }
}

/// What stands right below a folder. A subfolder is stepped over as a whole, so its size does not matter.
fn list_folder(
    connection: &dyn Connection,
    folder: &str,
) -> Result<Vec<ArtifactEntry>, StoreError> {
    let (mut from, to) = folder_range(folder);
    let prefix_length = from.len();
    let mut entries: BTreeMap<(String, bool), Option<(u64, ObjectId)>> = BTreeMap::new();
    while let Some(artifact) = find_row(connection, FIND_NEXT, [&from, &to], read_artifact)? {
        let below = &artifact.path[prefix_length..];
        if let Some((name, _)) = below.split_once('/') {
            entries.insert((name.to_owned(), false), None);
            let subfolder = &artifact.path[..prefix_length + name.len()];
            from = folder_range(subfolder).1;
        } else {
            let file = (artifact.size_bytes, artifact.object);
            entries.insert((below.to_owned(), true), Some(file));
            // The next text after this one.
            from = format!("{}\0", artifact.path);
        }
    }
    let entries = entries.into_iter();
    Ok(entries
        .map(|((name, _), file)| ArtifactEntry { name, file })
        .collect())
}

fn read_artifact(row: &Row<'_>) -> sql::Result<Artifact> {
    Ok(Artifact {
        path: row.get(0)?,
        object: read_object(row, 1)?,
        size_bytes: row.get::<i64>(2)? as u64,
    })
}
