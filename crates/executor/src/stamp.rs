//! What tells cheaply whether a file is still the one that it was.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;

use entities::EntryKind;

/// Identity, size and times of a file, as the kernel tells them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    /// Size in bytes.
    pub(crate) size_bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size_bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Tells whether the content may have changed; new names and permissions alone do not count.
    pub(crate) fn has_other_content(&self, other: &Self) -> bool {
        let Self {
            device,
            inode,
            size_bytes,
            modified,
            changed: _,
        } = other;
        (self.device, self.inode, self.size_bytes, self.modified)
            != (*device, *inode, *size_bytes, *modified)
    }
}

/// What a tree calls a file, and none for what no tree holds: sockets, FIFOs, devices, folders.
pub(crate) fn entry_kind(metadata: &Metadata) -> Option<EntryKind> {
    let kind = metadata.file_type();
    if kind.is_symlink() {
        Some(EntryKind::Symlink)
    } else if kind.is_file() {
        let is_executable = metadata.permissions().mode() & 0o100 != 0;
        Some(if is_executable {
            EntryKind::Executable
        } else {
            EntryKind::File
        })
    } else {
        None
    }
}
