//! What can go wrong with objects.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use entities::ObjectId;

use crate::DistantError;

/// What can go wrong with objects.
#[derive(Debug, thiserror::Error)]
pub enum CasError {
    /// The disk, or the quota on it, has no room left; what was stored before is unharmed.
    #[error("no space is left for objects")]
    DiskFull,
    /// No pack holds the object.
    #[error("object `{object}` is missing")]
    Missing {
        /// What was asked for.
        object: ObjectId,
    },
    /// Bytes on the disk are not those that were written.
    #[error("{}", describe_damage(path, *offset, object.as_ref(), *damage))]
    Damaged {
        /// The file, most often a pack.
        path: PathBuf,
        /// Where in the file the damaged part begins.
        offset: u64,
        /// The object or chunk that the part belongs to, where one is known.
        object: Option<ObjectId>,
        /// What is wrong with it.
        damage: Damage,
    },
    /// The store, or a pack in it, was written by a newer version.
    #[error("`{}` has format {found}; formats up to {supported} can be read here", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of the format that it names.
        found: u32,
        /// The newest version that can be read.
        supported: u32,
    },
    /// What is kept elsewhere than in packs cannot be had.
    #[error(transparent)]
    Distant(#[from] DistantError),
    /// The system refused.
    #[error("{}", describe_io(action, path))]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// What it was tried on; empty where that has no name.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl CasError {
    /// Makes an error of what the system says of a path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }

    /// Whether a file was not there: a pack that another process has replaced since it was listed.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// What is wrong with a damaged part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// The file ends before its parts do.
    Truncated,
    /// The first bytes are not those of such a file.
    Header,
    /// The last bytes, which say where the index is, do not match their checksum.
    Footer,
    /// A part of the index does not match its checksum.
    Index,
    /// An entry of the index contradicts itself or its neighbours.
    Entry,
    /// The stored bytes do not match the checksum in the index.
    Stored,
    /// The stored bytes cannot be decompressed.
    Compression,
    /// The content has another digest than its name.
    Content,
    /// A list of chunks contradicts itself.
    ChunkList,
    /// A chunk of the object is in no pack.
    ChunkMissing,
    /// Bytes belong to no entry.
    Unaccounted,
    /// The file has another name than its content gives it.
    Name,
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Truncated => "the file is cut off",
            Self::Header => "the header is wrong",
            Self::Footer => "the footer does not match its checksum",
            Self::Index => "the index does not match its checksum",
            Self::Entry => "an entry of the index contradicts itself",
            Self::Stored => "the stored bytes do not match their checksum",
            Self::Compression => "the stored bytes cannot be decompressed",
            Self::Content => "the content has another digest",
            Self::ChunkList => "the list of chunks contradicts itself",
            Self::ChunkMissing => "a chunk of it is missing",
            Self::Unaccounted => "there are bytes that belong to nothing",
            Self::Name => "the file has another name than its content",
        })
    }
}

fn describe_damage(path: &Path, offset: u64, object: Option<&ObjectId>, damage: Damage) -> String {
    let place = format!("`{}` is damaged at byte {offset}", path.display());
    match object {
        Some(object) => format!("{place}, object `{object}`: {damage}"),
        None => format!("{place}: {damage}"),
    }
}

fn describe_io(action: &str, path: &Path) -> String {
    if path.as_os_str().is_empty() {
        format!("cannot {action}")
    } else {
        format!("cannot {action} `{}`", path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_spent_quota_are_told_from_other_faults() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            let error = CasError::io("write", Path::new("a"))(kind.into());
            assert!(matches!(error, CasError::DiskFull), "{error}");
        }
        let error = CasError::io("write", Path::new("a"))(io::ErrorKind::PermissionDenied.into());
        assert_eq!(error.to_string(), "cannot write `a`");
    }

    #[test]
    fn damage_names_file_offset_and_object() {
        let object = ObjectId::of(b"abc");
        let error = CasError::Damaged {
            path: "packs/a.pack".into(),
            offset: 16,
            object: Some(object),
            damage: Damage::Content,
        };
        assert_eq!(
            error.to_string(),
            format!(
                "`packs/a.pack` is damaged at byte 16, object `{object}`: the content has another digest"
            )
        );
    }
}
