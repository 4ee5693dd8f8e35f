//! Artifacts: named paths that point at objects.

use serde::{Deserialize, Serialize};

use crate::ObjectId;

/// A named path that points at an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The path below `mlflow-artifacts:/`, such as `0/<run id>/artifacts/model/MLmodel`:
    /// no leading `/`, no empty, `.` or `..` component.
    pub path: String,
    /// The content.
    pub object: ObjectId,
    /// Its size in bytes.
    #[serde(with = "crate::exact")]
    pub size_bytes: u64,
}

impl Artifact {
    /// Tells whether a path may name an artifact.
    pub fn is_valid_path(path: &str) -> bool {
        !path.is_empty()
            && path.len() <= 4096
            && !path.contains(['\0', '\\'])
            && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
    }
}

/// The path below the root of all artifacts that a URI means, such as `0/<run id>/artifacts`; none where it is of a
/// place that clients write to by themselves.
pub fn proxied_path(uri: &str) -> Option<&str> {
    let rest = uri.strip_prefix("mlflow-artifacts:")?;
    let path = match rest.strip_prefix("//") {
        // What follows is a host, which is this one, since it serves the run.
        Some(rest) => rest.split_once('/')?.1,
        None => rest,
    };
    let path = path.trim_matches('/');
    Artifact::is_valid_path(path).then_some(path)
}

/// One line of a listing of artifacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactEntry {
    /// The name in the folder that was listed.
    pub name: String,
    /// Size in bytes and object of a file; none for a folder.
    pub file: Option<(u64, ObjectId)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uris_of_the_proxy_are_here() {
        for (uri, path) in [
            ("mlflow-artifacts:/0/r/artifacts", Some("0/r/artifacts")),
            ("mlflow-artifacts:///0/r/artifacts", Some("0/r/artifacts")),
            ("mlflow-artifacts://host:80/0/r/", Some("0/r")),
            ("mlflow-artifacts://host", None),
            ("mlflow-artifacts:/", None),
            ("mlflow-artifacts:/../x", None),
            ("s3://bucket/x", None),
            ("/tmp/x", None),
            ("file:///tmp/x", None),
        ] {
            assert_eq!(proxied_path(uri), path, "{uri}");
        }
    }

    #[test]
    fn a_path_cannot_leave_its_root() {
        for path in [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a\\..\\b", "a\0b",
        ] {
            assert!(!Artifact::is_valid_path(path), "{path:?} was taken");
        }
        for path in ["a", "a/b", "a b/ü.csv", "...", "a..b"] {
            assert!(Artifact::is_valid_path(path), "{path:?} was refused");
        }
    }
}
