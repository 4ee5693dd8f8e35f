//! Trees: folders as objects.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, PathBuf};

use crate::ObjectId;

/// What an entry of a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A regular file that its owner may execute.
    Executable,
    /// A symbolic link; its object holds the target, byte for byte.
    Symlink,
    /// A folder; its object is a tree.
    Directory,
}

impl EntryKind {
    const fn code(self) -> u8 {
        match self {
            Self::File => b'f',
            Self::Executable => b'x',
            Self::Symlink => b'l',
            Self::Directory => b'd',
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            b'f' => Some(Self::File),
            b'x' => Some(Self::Executable),
            b'l' => Some(Self::Symlink),
            b'd' => Some(Self::Directory),
            _ => None,
        }
    }
}

/// One name in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// The name: not empty, no `/`, no NUL, neither `.` nor `..`.
    pub name: OsString,
    /// What it is.
    pub kind: EntryKind,
    /// Size of the content in bytes; of a directory, the sum below it.
    pub size_bytes: u64,
    /// The content.
    pub object: ObjectId,
}

/// A folder: entries sorted by the bytes of their names, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    entries: Vec<TreeEntry>,
}

/// A file that is to stand in trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeFile {
    /// What it is; no directory.
    pub kind: EntryKind,
    /// Size of the content in bytes.
    pub size_bytes: u64,
    /// The content.
    pub object: ObjectId,
}

/// A tree, or the bytes of one, that breaks the rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The bytes do not begin with a header this version knows.
    #[error("not a tree of a version that can be read here")]
    Header,
    /// The bytes end early or go on too long.
    #[error("a tree of {length_bytes} bytes is damaged at byte {at}")]
    Damaged {
        /// Where reading stopped.
        at: usize,
        /// How long the encoding is.
        length_bytes: usize,
    },
    /// A name that may not stand in a tree.
    #[error("`{name}` cannot be a name in a tree")]
    Name {
        /// The name, with what is not UTF-8 replaced.
        name: String,
    },
    /// Two entries in the wrong order, or one name twice.
    #[error("`{name}` is out of order in a tree")]
    Order {
        /// The second of the two names.
        name: String,
    },
}

/// First line of every encoded tree; the number is the format's major version.
const HEADER: &[u8] = b"reproof tree 1\n";

impl Tree {
    /// Sorts the entries and checks the names.
    pub fn new(mut entries: Vec<TreeEntry>) -> Result<Self, TreeError> {
        entries.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        let tree = Self { entries };
        tree.check()?;
        Ok(tree)
    }

    /// The entries in the order of their names.
    pub fn entries(&self) -> &[TreeEntry] {
        &self.entries
    }

    /// Sum of the sizes of all files below.
    pub fn size_bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.size_bytes).sum()
    }

    /// Encodes: the header, then for each entry kind (1 byte), size (8, little-endian), object (32),
    /// length of the name (4, little-endian), name.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = HEADER.to_vec();
        for entry in &self.entries {
            let name = entry.name.as_bytes();
            bytes.push(entry.kind.code());
            bytes.extend_from_slice(&entry.size_bytes.to_le_bytes());
            bytes.extend_from_slice(entry.object.as_bytes());
            bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
            bytes.extend_from_slice(name);
        }
        bytes
    }

    /// Decodes and checks; only what `encode` writes is taken.
    pub fn decode(bytes: &[u8]) -> Result<Self, TreeError> {
        let mut rest = bytes.strip_prefix(HEADER).ok_or(TreeError::Header)?;
        let mut entries = Vec::new();
        while !rest.is_empty() {
            let at = bytes.len() - rest.len();
            let (entry, after) = decode_entry(rest).ok_or(TreeError::Damaged {
                at,
                length_bytes: bytes.len(),
            })?;
            entries.push(entry);
            rest = after;
        }
        let tree = Self { entries };
        tree.check()?;
        Ok(tree)
    }

    fn check(&self) -> Result<(), TreeError> {
        let lossy = |name: &OsStr| name.to_string_lossy().into_owned();
        for entry in &self.entries {
            let name = entry.name.as_bytes();
            let is_reserved = matches!(name, b"" | b"." | b"..");
            if is_reserved || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
                return Err(TreeError::Name {
                    name: lossy(&entry.name),
                });
            }
        }
        for pair in self.entries.windows(2) {
            if pair[0].name.as_bytes() >= pair[1].name.as_bytes() {
                return Err(TreeError::Order {
                    name: lossy(&pair[1].name),
                });
            }
        }
        Ok(())
    }
}

fn decode_entry(bytes: &[u8]) -> Option<(TreeEntry, &[u8])> {
    let (&code, rest) = bytes.split_first()?;
    let (size, rest) = rest.split_first_chunk::<8>()?;
    let (object, rest) = rest.split_first_chunk::<32>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (name, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let entry = TreeEntry {
        name: OsString::from_vec(name.to_vec()),
        kind: EntryKind::from_code(code)?,
        size_bytes: u64::from_le_bytes(*size),
        object: ObjectId::from_bytes(*object),
    };
    Some((entry, rest))
}

#[derive(Default)]
struct Folder {
    folders: BTreeMap<OsString, Folder>,
    files: BTreeMap<OsString, TreeFile>,
}

/// Makes the trees of a list of files by relative paths: inner folders before those they stand in, the whole last.
///
/// What of a path is no name (`..`, a first `/`) is left out. Without files there is one empty tree.
///
/// *Errors*: `Name` for a name that may not stand in a tree.
pub fn trees_of(
    files: impl IntoIterator<Item = (PathBuf, TreeFile)>,
) -> Result<Vec<Tree>, TreeError> {
    let mut root = Folder::default();
    for (path, file) in files {
        let mut names: Vec<_> = path
            .components()
            .filter_map(|component| match component {
                Component::Normal(name) => Some(name.to_owned()),
                _ => None,
            })
            .collect();
        let Some(name) = names.pop() else { continue };
        let folder = names.into_iter().fold(&mut root, |folder, name| {
            folder.folders.entry(name).or_default()
        });
        folder.files.insert(name, file);
    }
    let mut trees = Vec::new();
    add_trees(root, &mut trees)?;
    Ok(trees)
}

/// Adds the trees of a folder; gives the id and the size of its own.
fn add_trees(folder: Folder, trees: &mut Vec<Tree>) -> Result<(ObjectId, u64), TreeError> {
    let Folder { folders, mut files } = folder;
    let mut entries = Vec::with_capacity(folders.len() + files.len());
    for (name, folder) in folders {
        // A path that was a file and later a folder: the folder is what stands there last.
        files.remove(&name);
        let (object, size_bytes) = add_trees(folder, trees)?;
        entries.push(TreeEntry {
            name,
            kind: EntryKind::Directory,
            size_bytes,
            object,
        });
    }
    entries.extend(files.into_iter().map(|(name, file)| TreeEntry {
        name,
        kind: file.kind,
        size_bytes: file.size_bytes,
        object: file.object,
    }));
    let tree = Tree::new(entries)?;
    let made = (ObjectId::of(&tree.encode()), tree.size_bytes());
    trees.push(tree);
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &[u8]) -> TreeEntry {
        TreeEntry {
            name: OsString::from_vec(name.to_vec()),
            kind: EntryKind::File,
            size_bytes: 3,
            object: ObjectId::of(name),
        }
    }

    #[test]
    fn entries_are_sorted_by_bytes_and_survive() {
        let tree = Tree::new(vec![
            entry(b"b"),
            entry(b"\xff"),
            entry(b"a\nb"),
            entry(b"B"),
        ])
        .unwrap();
        let names: Vec<_> = tree
            .entries()
            .iter()
            .map(|entry| entry.name.as_bytes())
            .collect();
        assert_eq!(names, [&b"B"[..], b"a\nb", b"b", b"\xff"]);
        assert_eq!(Tree::decode(&tree.encode()), Ok(tree));
    }

    #[test]
    fn a_name_cannot_leave_the_tree() {
        for name in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0"] {
            assert!(Tree::new(vec![entry(name)]).is_err(), "{name:?} was taken");
            let forged = Tree {
                entries: vec![entry(name)],
            }
            .encode();
            assert!(Tree::decode(&forged).is_err(), "{name:?} was read");
        }
    }

    #[test]
    fn damage_is_refused() {
        let bytes = Tree::new(vec![entry(b"a"), entry(b"b")]).unwrap().encode();
        for length in 0..bytes.len() {
            let cut = Tree::decode(&bytes[..length]);
            let whole_entries =
                (length - HEADER.len().min(length)) % 46 == 0 && length >= HEADER.len();
            assert_eq!(cut.is_ok(), whole_entries, "cut to {length} bytes");
        }
        let swapped = Tree {
            entries: vec![entry(b"b"), entry(b"a")],
        }
        .encode();
        assert_eq!(
            Tree::decode(&swapped),
            Err(TreeError::Order {
                name: "a".to_owned()
            })
        );
    }
}
