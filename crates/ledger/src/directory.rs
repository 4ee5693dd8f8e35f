//! A ledger in a folder of the local disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{ENTRY_SIZE_BYTES_MAX, LedgerError, TILE_WIDTH, TileStorage};

/// Keeps a ledger in a folder: any copy of the folder is the ledger.
///
/// A file is written under a temporary name in its own folder; `sync` flushes all of them, renames them into place and
/// flushes the folders, so that a crash leaves every file either as it was or as it should be.
/// What `sync` has not placed is given up when the value is dropped.
#[derive(Debug)]
pub struct DirectoryTiles {
    root: PathBuf,
    pending: Mutex<BTreeMap<String, File>>,
}

/// The longest file that can be right: a bundle full of the longest entries.
const FILE_SIZE_BYTES_MAX: u64 = (TILE_WIDTH * (2 + ENTRY_SIZE_BYTES_MAX)) as u64;

/// What names of files that are not yet in place begin with; no path of a ledger has such a part.
const TEMPORARY_PREFIX: &str = ".tmp-";

impl DirectoryTiles {
    /// Uses a folder, which is made with the first file if it is not there.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            pending: Mutex::default(),
        }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn pending(&self) -> MutexGuard<'_, BTreeMap<String, File>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the place of a checked path, having refused a symbolic link on the way to it.
    fn place(&self, path: &str) -> Result<PathBuf, LedgerError> {
        check_path(path)?;
        let mut place = self.root.clone();
        for part in path.split('/') {
            place.push(part);
            match fs::symlink_metadata(&place) {
                Ok(metadata) if metadata.is_symlink() => {
                    return Err(LedgerError::FileRefused {
                        path: path.to_owned(),
                        reason: "there is a symbolic link on the way",
                    });
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(storage_error("look at", path, source)),
            }
        }
        Ok(place)
    }

    fn create_temporary(&self, path: &str) -> Result<File, LedgerError> {
        let place = self.place(path)?;
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)
                .map_err(|source| storage_error("make the folder of", path, source))?;
        }
        let temporary = temporary_of(&place);
        // One left by a crash is in the way; `create_new` then cannot be led elsewhere by a link.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(storage_error("replace the temporary form of", path, error));
            }
            _ => {}
        }
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)
            .map_err(|source| storage_error("create", path, source))
    }

    /// Collects the folders whose entries change when files appear under `place`, up to the root's parent.
    fn add_folders(&self, place: &Path, folders: &mut BTreeSet<PathBuf>) {
        for folder in place.ancestors().skip(1) {
            folders.insert(folder.to_owned());
            if folder == self.root {
                break;
            }
        }
    }
}

impl TileStorage for DirectoryTiles {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        let place = self.place(path)?;
        let metadata = match fs::symlink_metadata(&place) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(storage_error("look at", path, source)),
        };
        let refuse = |reason| LedgerError::FileRefused {
            path: path.to_owned(),
            reason,
        };
        // Asked before opening, since opening a FIFO would wait for its writer.
        if !metadata.is_file() {
            return Err(refuse("it is not a regular file"));
        }
        if metadata.len() > FILE_SIZE_BYTES_MAX {
            return Err(refuse("it is longer than any tile can be"));
        }
        let mut bytes = Vec::with_capacity(metadata.len() as usize);
        File::open(&place)
            .and_then(|file| file.take(FILE_SIZE_BYTES_MAX).read_to_end(&mut bytes))
            .map_err(|source| storage_error("read", path, source))?;
        Ok(Some(bytes))
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), LedgerError> {
        let mut file = self.create_temporary(path)?;
        file.write_all(bytes)
            .map_err(|source| storage_error("write", path, source))?;
        self.pending().insert(path.to_owned(), file);
        if self.pending().len() >= PENDING_MAX {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), LedgerError> {
        let pending = std::mem::take(&mut *self.pending());
        for (path, file) in &pending {
            file.sync_all()
                .map_err(|source| storage_error("flush", path, source))?;
        }
        let mut folders = BTreeSet::new();
        for (path, file) in pending {
            drop(file);
            let place = self.place(&path)?;
            fs::rename(temporary_of(&place), &place)
                .map_err(|source| storage_error("put in place", &path, source))?;
            self.add_folders(&place, &mut folders);
        }
        for folder in folders {
            File::open(&folder)
                .and_then(|opened| opened.sync_all())
                .map_err(|source| {
                    storage_error("flush the folder", &folder.to_string_lossy(), source)
                })?;
        }
        Ok(())
    }

    fn remove_partials(&self, full_path: &str) -> Result<(), LedgerError> {
        let path = format!("{full_path}.p");
        let place = self.place(&path)?;
        match fs::remove_dir_all(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(storage_error("remove", &path, error))
            }
            _ => Ok(()),
        }
    }

    /// Lists everything that is not a folder, leaving out what `sync` has not put in place.
    fn list(&self) -> Result<Vec<String>, LedgerError> {
        let mut found = Vec::new();
        list_folder(&self.root, "", &mut found)?;
        found.sort();
        Ok(found)
    }
}

/// How many written files may wait for `sync`, well below the usual limit of 1024 open files.
const PENDING_MAX: usize = 256;

fn list_folder(folder: &Path, prefix: &str, found: &mut Vec<String>) -> Result<(), LedgerError> {
    let named =
        |source| storage_error("list", if prefix.is_empty() { "." } else { prefix }, source);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if prefix.is_empty() && error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(named(source)),
    };
    for entry in entries {
        let entry = entry.map_err(named)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(TEMPORARY_PREFIX) {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.file_type().map_err(named)?.is_dir() {
            list_folder(&entry.path(), &format!("{path}/"), found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

/// Refuses a path that could lead out of the folder, or that no ledger has.
fn check_path(path: &str) -> Result<(), LedgerError> {
    let refuse = |reason| {
        Err(LedgerError::PathRefused {
            path: path.to_owned(),
            reason,
        })
    };
    if path.len() > 255 {
        return refuse("it is longer than 255 bytes");
    }
    for part in path.split('/') {
        if part.is_empty() {
            return refuse("a part of it is empty");
        }
        if part.starts_with('.') {
            return refuse("a part of it begins with a dot");
        }
        if !part
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        {
            return refuse("it has a character other than letters, digits, `.`, `_`, `-` and `/`");
        }
    }
    Ok(())
}

fn temporary_of(place: &Path) -> PathBuf {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    place.with_file_name(format!("{TEMPORARY_PREFIX}{name}"))
}

fn storage_error(action: &'static str, path: &str, source: io::Error) -> LedgerError {
    LedgerError::Storage {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ESCAPES: [&str; 16] = [
        "",
        "/",
        "/etc/passwd",
        "..",
        "../outside",
        "tile/../../outside",
        "tile/0/..",
        "./checkpoint",
        "tile//0",
        "tile/0/",
        "tile\\..\\outside",
        "a\0b",
        "a b",
        "ä",
        ".tmp-checkpoint",
        "C:/x",
    ];

    #[test]
    fn a_path_that_could_leave_the_folder_is_neither_read_nor_written() {
        let outer = tempfile::tempdir().unwrap();
        fs::write(outer.path().join("outside"), b"secret").unwrap();
        let tiles = DirectoryTiles::new(outer.path().join("ledger"));
        for path in ESCAPES {
            assert!(tiles.read(path).is_err(), "{path:?} was read");
            assert!(tiles.write(path, b"x").is_err(), "{path:?} was written");
        }
        assert!(tiles.remove_partials("../outside").is_err());
        assert!(tiles.read(&"a".repeat(300)).is_err());
        assert_eq!(fs::read(outer.path().join("outside")).unwrap(), b"secret");
        assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_symbolic_link_on_the_way_is_refused() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("ledger");
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(outer.path().join("elsewhere")).unwrap();
        fs::write(outer.path().join("elsewhere/0"), b"secret").unwrap();
        std::os::unix::fs::symlink("../elsewhere", root.join("tile")).unwrap();
        std::os::unix::fs::symlink("../elsewhere/0", root.join("checkpoint")).unwrap();
        let tiles = DirectoryTiles::new(&root);
        for path in ["tile/0", "checkpoint"] {
            assert!(matches!(
                tiles.read(path),
                Err(LedgerError::FileRefused { .. })
            ));
            assert!(tiles.write(path, b"x").is_err());
        }
        assert_eq!(
            fs::read(outer.path().join("elsewhere/0")).unwrap(),
            b"secret"
        );
    }

    #[test]
    fn a_folder_or_a_huge_file_in_place_of_a_tile_is_refused() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("checkpoint")).unwrap();
        let huge = File::create(root.path().join("huge")).unwrap();
        huge.set_len(FILE_SIZE_BYTES_MAX + 1).unwrap();
        let tiles = DirectoryTiles::new(root.path());
        assert!(tiles.read("checkpoint").is_err());
        assert!(tiles.read("huge").is_err());
    }

    #[test]
    fn what_was_written_is_there_after_sync_and_a_crashed_write_is_replaced() {
        let root = tempfile::tempdir().unwrap();
        let tiles = DirectoryTiles::new(root.path().join("new"));
        tiles.write("tile/0/000.p/1", b"one").unwrap();
        drop(tiles);
        let tiles = DirectoryTiles::new(root.path().join("new"));
        assert_eq!(tiles.read("tile/0/000.p/1").unwrap(), None);
        assert_eq!(tiles.list().unwrap(), Vec::<String>::new());
        tiles.write("tile/0/000.p/1", b"two").unwrap();
        tiles.write("tile/0/000", b"full").unwrap();
        tiles.sync().unwrap();
        assert_eq!(tiles.read("tile/0/000.p/1").unwrap().unwrap(), b"two");
        assert_eq!(tiles.list().unwrap(), ["tile/0/000", "tile/0/000.p/1"]);
        tiles.remove_partials("tile/0/000").unwrap();
        assert_eq!(tiles.list().unwrap(), ["tile/0/000"]);
    }
}
