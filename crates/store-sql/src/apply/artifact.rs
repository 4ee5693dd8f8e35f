//! Changes of artifacts.

use crate::params;
use entities::Artifact;
use store::StoreError;

use super::Applier;
use crate::rows::folder_range;

statements! {
    PUT = "INSERT INTO artifact (path, object, size_bytes) VALUES (?1, ?2, ?3)
        ON CONFLICT (path) DO UPDATE SET object = excluded.object, size_bytes = excluded.size_bytes";
    DELETE = "DELETE FROM artifact WHERE path = ?1";
    DELETE_BELOW = "DELETE FROM artifact WHERE path >= ?1 AND path < ?2";
}

impl Applier<'_> {
    pub(super) fn put_artifacts(&self, artifacts: &[Artifact]) -> Result<(), StoreError> {
        for artifact in artifacts {
            let Artifact {
                path,
                object,
                size_bytes,
            } = artifact;
            if !Artifact::is_valid_path(path) {
                return Err(StoreError::Query {
                    message: format!("`{path}` may not name an artifact"),
                });
            }
            let row = params![path, object.as_bytes(), *size_bytes as i64];
            self.send(PUT, row)?;
        }
        Ok(())
    }

    pub(super) fn delete_artifact(&self, path: &str) -> Result<(), StoreError> {
        let (from, to) = folder_range(path);
        let deleted = self.execute(DELETE, [path])? + self.execute(DELETE_BELOW, [from, to])?;
        if deleted == 0 {
            return Err(StoreError::NoArtifact {
                path: path.to_owned(),
            });
        }
        Ok(())
    }
}
