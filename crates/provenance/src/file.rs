//! Files as facts: what a tree says of one, and lists of them.

use std::collections::BTreeMap;
use std::path::Path;

use entities::{EntryKind, ObjectId, RecordedPath};
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

/// Files by their path.
pub type FileMap = BTreeMap<RecordedPath, FileFact>;

/// What is known of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFact {
    /// Its content.
    pub object: ObjectId,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// What it is.
    pub kind: EntryKind,
}

impl Serialize for FileFact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            object,
            size_bytes,
            kind,
        } = self;
        let mut fields = serializer.serialize_struct("FileFact", 3)?;
        fields.serialize_field("object", object)?;
        fields.serialize_field("size_bytes", &entities::Count(*size_bytes))?;
        fields.serialize_field("kind", kind_word(*kind))?;
        fields.end()
    }
}

/// Files of a run: those of the project by their path in it, so that two checkouts compare, and those elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSet {
    /// Files below the project root, by their path relative to it.
    pub project: FileMap,
    /// Files elsewhere, by their absolute path without the first `/`, as in the tree.
    pub outside: FileMap,
}

/// Where a path of a run's files starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// At the project root.
    Project,
    /// At `/`.
    Outside,
}

impl Place {
    /// The path in the project, or the absolute one of what is outside of it.
    pub fn whole(self, path: &RecordedPath) -> RecordedPath {
        match self {
            Self::Project => path.clone(),
            Self::Outside => RecordedPath::new(Path::new("/").join(path.to_path())),
        }
    }
}

const fn kind_word(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File => "file",
        EntryKind::Executable => "executable",
        EntryKind::Symlink => "symlink",
        EntryKind::Directory => "directory",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_tells_digest_size_and_kind() {
        let fact = FileFact {
            object: ObjectId::of(b"x"),
            size_bytes: u64::MAX,
            kind: EntryKind::Symlink,
        };
        let value = serde_json::to_value(&fact).unwrap();
        assert_eq!(value["object"], fact.object.to_string());
        assert_eq!(
            value["size_bytes"],
            u64::MAX.to_string(),
            "beyond 2^53 it is a text"
        );
        assert_eq!(value["kind"], "symlink");
    }
}
