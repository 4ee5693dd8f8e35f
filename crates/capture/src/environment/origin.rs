//! Where a distribution came from when not from an index: `direct_url.json` (PEP 610).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::redaction::redact_url;

/// What `direct_url.json` says, credentials removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    pub(super) url: String,
    pub(super) kind: OriginKind,
    pub(super) subdirectory: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum OriginKind {
    Vcs { system: String, commit: String },
    Archive { sha256: Option<String> },
    Directory { is_editable: bool },
}

#[derive(Deserialize)]
struct DirectUrl {
    url: String,
    subdirectory: Option<String>,
    vcs_info: Option<VcsInfo>,
    archive_info: Option<ArchiveInfo>,
    dir_info: Option<DirInfo>,
}

#[derive(Deserialize)]
struct VcsInfo {
    vcs: String,
    commit_id: String,
}

#[derive(Deserialize)]
struct ArchiveInfo {
    hash: Option<String>,
    hashes: Option<std::collections::BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct DirInfo {
    #[serde(default)]
    editable: bool,
}

impl Origin {
    /// Reads a `direct_url.json`; none where it says nothing that can be understood.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let DirectUrl {
            url,
            subdirectory,
            vcs_info,
            archive_info,
            dir_info,
        } = serde_json::from_slice(bytes).ok()?;
        let kind = match (vcs_info, archive_info, dir_info) {
            (Some(VcsInfo { vcs, commit_id }), _, _) => OriginKind::Vcs {
                system: vcs,
                commit: commit_id,
            },
            (None, Some(info), _) => OriginKind::Archive {
                sha256: info.sha256(),
            },
            (None, None, info) => OriginKind::Directory {
                is_editable: info.is_some_and(|info| info.editable),
            },
        };
        Some(Self {
            url: redact_url(&url),
            kind,
            subdirectory,
        })
    }

    /// The URL as a requirement gives it: `git+https://…@COMMIT#subdirectory=…`.
    pub(super) fn as_requirement(&self) -> String {
        let mut text = match &self.kind {
            OriginKind::Vcs { system, commit } => format!("{system}+{}@{commit}", self.url),
            OriginKind::Archive { .. } | OriginKind::Directory { .. } => self.url.clone(),
        };
        if let Some(subdirectory) = &self.subdirectory {
            text.push_str("#subdirectory=");
            text.push_str(subdirectory);
        }
        text
    }
}

impl Origin {
    /// The folder that a distribution is developed in.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        let is_editable = self.kind == OriginKind::Directory { is_editable: true };
        let path = self.url.strip_prefix("file://").filter(|_| is_editable)?;
        let folder = PathBuf::from(OsString::from_vec(decode_percent(path.as_bytes())));
        (folder.is_absolute() && folder.components().count() > 1).then_some(folder)
    }
}

/// Takes out the escapes of a URL.
fn decode_percent(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let mut value = [0];
        match after.get(..2) {
            Some(digits) if byte == b'%' && hex::decode_to_slice(digits, &mut value).is_ok() => {
                decoded.push(value[0]);
                rest = &after[2..];
            }
            _ => {
                decoded.push(byte);
                rest = after;
            }
        }
    }
    decoded
}

impl ArchiveInfo {
    fn sha256(self) -> Option<String> {
        let listed = self.hashes.and_then(|mut hashes| hashes.remove("sha256"));
        listed.or_else(|| self.hash?.strip_prefix("sha256=").map(str::to_owned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_become_requirements_without_credentials() {
        let cases = [
            (
                r#"{"url": "https://tok3n@h/x.git", "vcs_info": {"vcs": "git", "commit_id": "abc", "requested_revision": "v1"}, "subdirectory": "p"}"#,
                "git+https://***@h/x.git@abc#subdirectory=p",
            ),
            (
                r#"{"url": "https://h/x.whl?token=s3cret", "archive_info": {"hash": "sha256=00"}}"#,
                "https://h/x.whl?token=***",
            ),
            (
                r#"{"url": "file:///p", "dir_info": {"editable": true}}"#,
                "file:///p",
            ),
            (r#"{"url": "file:///p"}"#, "file:///p"),
        ];
        for (text, expected) in cases {
            assert_eq!(
                Origin::parse(text.as_bytes()).unwrap().as_requirement(),
                expected
            );
        }
        let archive =
            Origin::parse(br#"{"url": "u", "archive_info": {"hashes": {"sha256": "11"}}}"#)
                .unwrap();
        assert_eq!(
            archive.kind,
            OriginKind::Archive {
                sha256: Some("11".to_owned())
            }
        );
    }

    #[test]
    fn the_folder_of_an_editable_install_is_told() {
        let folder = |url: &str, is_editable| {
            let text = format!(r#"{{"url": "{url}", "dir_info": {{"editable": {is_editable}}}}}"#);
            Origin::parse(text.as_bytes()).unwrap().folder()
        };
        assert_eq!(
            folder("file:///p/a%20b%2", true),
            Some(PathBuf::from("/p/a b%2"))
        );
        assert_eq!(folder("file:///p", false), None);
        assert_eq!(folder("file:///", true), None);
        assert_eq!(folder("https://h/p", true), None);
    }

    #[test]
    fn what_cannot_be_understood_is_no_origin() {
        for text in ["", "{}", "[]", "\"x\"", "{\"url\": 1}", "\u{0}"] {
            assert_eq!(Origin::parse(text.as_bytes()), None);
        }
    }
}
