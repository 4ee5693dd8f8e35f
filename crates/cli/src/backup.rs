//! Backups: copies of a store in a folder, which share the objects.
//!
//! | path below the folder | is |
//! |---|---|
//! | `reproof-backups` | `reproof backups 1` and a line break |
//! | `objects/` | the packs of all backups, as the store has them |
//! | `NAME/backup.json` | the manifest: what belongs to it, with sizes and digests |
//! | `NAME/record.db` | the record |
//! | `NAME/ledger/` | checkpoint and tiles |
//! | `NAME/settings/` | `reproof.toml` and `local.toml` |
//! | `NAME/keys/` | the keys, where they were asked for |
//! | `lock` | locked by whoever writes |
//!
//! A backup is made under a name that begins with a dot and gets its own when all of it is durable.

pub(crate) mod files;
pub(crate) mod ledger_files;
pub(crate) mod place;

use std::path::{Component, Path};

use entities::{ObjectId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::CommandError;

/// The version of the folder and of manifests.
pub(crate) const FORMAT: u32 = 1;

pub(crate) const MANIFEST: &str = "backup.json";
pub(crate) const RECORD: &str = "record.db";
pub(crate) const LEDGER: &str = "ledger";
pub(crate) const SETTINGS: &str = "settings";
pub(crate) const KEYS: &str = "keys";

/// What belongs to a backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) format: u32,
    pub(crate) made_at: Timestamp,
    /// The version of the program.
    pub(crate) made_by: String,
    /// The public key of the ledger, as text.
    pub(crate) verifier_key: String,
    pub(crate) database: DatabaseKind,
    /// Where the record was, for people; without user and password.
    pub(crate) place: String,
    /// Events that were committed.
    pub(crate) events: u64,
    /// Events that the checkpoint covers.
    pub(crate) signed: u64,
    /// Below the folder of the backup.
    pub(crate) files: Vec<ListedFile>,
    /// Below `objects/packs`.
    pub(crate) packs: Vec<ListedFile>,
}

/// What kept the record, and is to keep it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DatabaseKind {
    Sqlite,
    Postgresql,
}

/// A file, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListedFile {
    pub(crate) path: String,
    pub(crate) size_bytes: u64,
    pub(crate) digest: ObjectId,
}

impl Manifest {
    /// Reads a manifest. Whoever may write to the folder of backups may have written it.
    pub(crate) fn decode(path: &Path, bytes: &[u8]) -> Result<Self, CommandError> {
        let damaged = |why: String| {
            CommandError::system("E0032", format!("{} is damaged: {why}", path.display()))
                .hint("take an older backup: `reproof backup DIR --list` lists them")
        };
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let version: Version =
            serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        if version.format != FORMAT {
            return Err(CommandError::usage(
                "E0003",
                format!(
                    "{} has version {}, this program knows {FORMAT}",
                    path.display(),
                    version.format
                ),
            )
            .hint("install the version of Reproof that made the backup, or a later one"));
        }
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        let is_pack = |name: &str| {
            name.strip_suffix(".pack")
                .is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
        };
        for ListedFile { path, .. } in &manifest.packs {
            if !is_pack(path) {
                return Err(damaged(format!(
                    "`{}` is no name of a pack",
                    crate::output::safe(path)
                )));
            }
        }
        for ListedFile { path, .. } in &manifest.files {
            if !is_inside(path) {
                return Err(damaged(format!(
                    "`{}` leads elsewhere",
                    crate::output::safe(path)
                )));
            }
        }
        Ok(manifest)
    }
}

/// Whether a path stays below the folder that it is joined to.
fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.contains('\\')
        && Path::new(path)
            .components()
            .all(|component| matches!(component, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(files: &str, packs: &str) -> String {
        let digest = ObjectId::of(b"");
        let list = |path: &str| {
            format!(r#"[{{"path": {path:?}, "size_bytes": 1, "digest": "{digest}"}}]"#)
        };
        format!(
            r#"{{"format": 1, "made_at": "2026-11-23T22:19:34.123456Z", "made_by": "0", "verifier_key": "k",
                "database": "sqlite", "place": "", "events": 1, "signed": 1, "files": {}, "packs": {}}}"#,
            list(files),
            list(packs)
        )
    }

    #[test]
    fn a_manifest_leads_nowhere_else() {
        let read = |files: &str, packs: &str| {
            Manifest::decode(Path::new("m"), manifest(files, packs).as_bytes())
        };
        assert!(read("ledger/tile/0/x001/000", "0123456789abcdef.pack").is_ok());
        for path in ["", "..", "../a", "/etc/passwd", "a/../../b", "a\\b", "."] {
            assert_eq!(read(path, "00.pack").unwrap_err().code(), "E0032", "{path}");
            assert_eq!(read("a", path).unwrap_err().code(), "E0032", "{path}");
        }
        assert_eq!(read("a", "../00.pack").unwrap_err().code(), "E0032");
    }

    #[test]
    fn a_manifest_of_another_version_or_none_is_refused() {
        let newer = manifest("a", "00.pack").replace("\"format\": 1", "\"format\": 2, \"more\": 1");
        let of = |text: &str| Manifest::decode(Path::new("m"), text.as_bytes()).unwrap_err();
        assert_eq!(of(&newer).code(), "E0003");
        let more = manifest("a", "00.pack").replace("\"format\": 1", "\"format\": 1, \"more\": 1");
        for text in ["", "{}", "[1]", "\u{feff}{}", more.as_str()] {
            assert_eq!(of(text).code(), "E0032", "{text}");
        }
    }
}
