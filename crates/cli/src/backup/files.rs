//! Copying files so that they are durable, and checking them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use entities::ObjectId;

use super::ListedFile;
use crate::error::CommandError;
use crate::project::cannot_write;

/// Copies a file to a new one under another name first, and gives what was copied; it is durable when this returns.
///
/// `mode` is that of the new file.
pub(crate) fn copy_file(
    from: &Path,
    to: &Path,
    mode: u32,
) -> Result<(ObjectId, u64), CommandError> {
    let mut source = open(from)?;
    write_new(to, mode, |mut file| io::copy(&mut source, &mut file))?;
    digest_file(to)
}

/// Writes a new file under another name first; it is durable when this returns.
pub(crate) fn write_file(to: &Path, bytes: &[u8], mode: u32) -> Result<(), CommandError> {
    write_new(to, mode, |mut file| file.write_all(bytes)).map(drop)
}

fn write_new<T>(
    to: &Path,
    mode: u32,
    write: impl FnOnce(&File) -> io::Result<T>,
) -> Result<T, CommandError> {
    let mut temporary = to.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let made = || {
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
        let written = write(&file)?;
        file.sync_all()?;
        std::fs::rename(&temporary, to)?;
        Ok(written)
    };
    made().map_err(|error| write_fault(to, &error))
}

/// The digest and the length of a file, as it is read again.
pub(crate) fn digest_file(path: &Path) -> Result<(ObjectId, u64), CommandError> {
    cas::digest_file(&open(path)?).map_err(|error| cannot_read(path, &error))
}

/// Refuses a file that is not what is listed.
pub(crate) fn check_file(folder: &Path, listed: &ListedFile) -> Result<(), CommandError> {
    let path = folder.join(&listed.path);
    let metadata = match std::fs::symlink_metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(damaged(&path, "it is missing"));
        }
        Err(error) => return Err(cannot_read(&path, &error)),
    };
    if !metadata.is_file() {
        return Err(damaged(&path, "it is not a regular file"));
    }
    if metadata.len() != listed.size_bytes {
        let why = format!(
            "it has {} bytes, the manifest says {}",
            metadata.len(),
            listed.size_bytes
        );
        return Err(damaged(&path, &why));
    }
    let (digest, _) = digest_file(&path)?;
    if digest != listed.digest {
        return Err(damaged(&path, "its bytes are not those that were written"));
    }
    Ok(())
}

/// Makes a folder, and those above it.
pub(crate) fn make_folder(folder: &Path) -> Result<(), CommandError> {
    std::fs::create_dir_all(folder).map_err(|error| write_fault(folder, &error))
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), CommandError> {
    File::open(folder)
        .and_then(|opened| opened.sync_all())
        .map_err(|error| write_fault(folder, &error))
}

/// Makes the names in a folder and in all below it durable.
pub(crate) fn sync_folders(folder: &Path) -> Result<(), CommandError> {
    for entry in std::fs::read_dir(folder).map_err(|error| cannot_read(folder, &error))? {
        let entry = entry.map_err(|error| cannot_read(folder, &error))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            sync_folders(&entry.path())?;
        }
    }
    sync_folder(folder)
}

/// Removes a folder with all below it, where it is there.
pub(crate) fn remove_folder(folder: &Path) -> Result<(), CommandError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(write_fault(folder, &error)),
        _ => Ok(()),
    }
}

/// Reads a small file whole.
pub(crate) fn read_file(path: &Path) -> Result<Option<Vec<u8>>, CommandError> {
    match File::open(path) {
        Ok(mut file) => {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)
                .map_err(|error| cannot_read(path, &error))?;
            Ok(Some(bytes))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot_read(path, &error)),
    }
}

fn open(path: &Path) -> Result<File, CommandError> {
    File::open(path).map_err(|error| cannot_read(path, &error))
}

pub(crate) fn cannot_read(path: &Path, error: &io::Error) -> CommandError {
    CommandError::system("E0018", format!("cannot read {}: {error}", path.display()))
}

fn write_fault(path: &Path, error: &io::Error) -> CommandError {
    if error.kind() == io::ErrorKind::StorageFull {
        return CommandError::system("E0012", format!("no space is left for {}", path.display()))
            .hint("free some space; the same command goes on where it was");
    }
    cannot_write(path, error)
}

pub(crate) fn damaged(path: &Path, why: &str) -> CommandError {
    CommandError::system(
        "E0032",
        format!("the backup is damaged: {}: {why}", path.display()),
    )
    .hint("take another backup: `reproof backup DIR --list` lists them")
}
