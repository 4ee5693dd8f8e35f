//! The folder that holds backups.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::files::{
    cannot_read, copy_file, make_folder, read_file, remove_folder, sync_folder, write_file,
};
use super::{FORMAT, ListedFile, MANIFEST, Manifest};
use crate::error::CommandError;
use crate::output::safe;
use crate::project::cannot_write;

const MARK: &str = "reproof-backups";
/// What the mark is called while it is written.
const UNFINISHED_MARK: &str = "reproof-backups.new";
const OBJECTS: &str = "objects";
const LOCK: &str = "lock";

/// What the name of a backup under way begins with.
const UNDER_WAY: &str = ".new-";

/// A folder of backups.
#[derive(Debug)]
pub(crate) struct BackupPlace {
    root: PathBuf,
}

/// Held by whoever writes to the folder; it goes with the process.
pub(crate) struct PlaceLock(#[expect(dead_code, reason = "it is held, not read")] File);

impl BackupPlace {
    /// Opens a folder to write to it, and makes it where it is not there or empty.
    pub(crate) fn make(root: &Path) -> Result<(Self, PlaceLock), CommandError> {
        let is_new = root.symlink_metadata().is_err();
        make_folder(root)?;
        if is_new {
            // Whoever reads a backup reads the record, with the hashes of passwords in it.
            std::fs::set_permissions(root, Permissions::from_mode(0o700))
                .map_err(|error| cannot_write(root, &error))?;
        }
        let place = Self {
            root: root.to_owned(),
        };
        let mark = root.join(MARK);
        if read_file(&mark)?.is_none() {
            let mut entries = std::fs::read_dir(root).map_err(|error| cannot_read(root, &error))?;
            // One whose making was cut short has the lock and an unfinished mark, at most.
            let is_foreign = |name: OsString| name != LOCK && name != UNFINISHED_MARK;
            if entries.any(|entry| entry.is_ok_and(|entry| is_foreign(entry.file_name()))) {
                return Err(CommandError::usage(
                    "E0033",
                    format!("{} holds other files and no backups", root.display()),
                )
                .hint("name a folder that is empty or not there"));
            }
        }
        let lock = place.lock()?;
        if read_file(&mark)?.is_none() {
            write_file(
                &mark,
                format!("reproof backups {FORMAT}\n").as_bytes(),
                0o644,
            )?;
        }
        place.check_format()?;
        make_folder(&place.packs())?;
        sync_folder(root)?;
        for entry in place.list_entries()? {
            if entry.starts_with(UNDER_WAY) {
                remove_folder(&root.join(entry))?;
            }
        }
        Ok((place, lock))
    }

    /// Opens a folder to read it.
    pub(crate) fn open(root: &Path) -> Result<Self, CommandError> {
        let place = Self {
            root: root.to_owned(),
        };
        place.check_format()?;
        Ok(place)
    }

    fn lock(&self) -> Result<PlaceLock, CommandError> {
        let path = self.root.join(LOCK);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| cannot_write(&path, &error))?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            // Where the file system has no locks, it is on whoever calls two at once.
            Ok(()) | Err(rustix::io::Errno::NOTSUP | rustix::io::Errno::NOSYS) => {
                Ok(PlaceLock(file))
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Err(CommandError::system(
                "E0013",
                format!("another backup to {} is under way", self.root.display()),
            )
            .hint("try again when it has ended")),
            Err(errno) => Err(cannot_write(&path, &errno.into())),
        }
    }

    fn check_format(&self) -> Result<(), CommandError> {
        let mark = self.root.join(MARK);
        let text = read_file(&mark)?.ok_or_else(|| {
            CommandError::usage(
                "E0032",
                format!("{} is no folder of backups", self.root.display()),
            )
            .hint("it is the folder that `reproof backup` was given")
        })?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let version = text.strip_prefix("reproof backups ").map(str::trim_end);
        match version.and_then(|version| version.parse::<u32>().ok()) {
            Some(FORMAT) => Ok(()),
            Some(found) if found > FORMAT => Err(CommandError::usage(
                "E0003",
                format!(
                    "{} has version {found}, this program knows {FORMAT}",
                    mark.display()
                ),
            )
            .hint("install the version of Reproof that made the backups, or a later one")),
            _ => Err(super::files::damaged(&mark, "it names no version")),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The objects of all backups, as a store has them.
    pub(crate) fn objects(&self) -> PathBuf {
        self.root.join(OBJECTS)
    }

    pub(crate) fn packs(&self) -> PathBuf {
        self.objects().join("packs")
    }

    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The folder in which a backup is made before it has its name.
    pub(crate) fn begin(&self, name: &str) -> Result<PathBuf, CommandError> {
        let folder = self.root.join(format!("{UNDER_WAY}{name}"));
        remove_folder(&folder)?;
        make_folder(&folder)?;
        Ok(folder)
    }

    /// Gives a backup its name: from then on it counts.
    pub(crate) fn finish(&self, folder: &Path, name: &str) -> Result<(), CommandError> {
        super::files::sync_folders(folder)?;
        let place = self.folder(name);
        std::fs::rename(folder, &place).map_err(|error| cannot_write(&place, &error))?;
        sync_folder(&self.root)
    }

    /// Names of the backups that are whole, the oldest first.
    pub(crate) fn list(&self) -> Result<Vec<String>, CommandError> {
        let mut names = self.list_entries()?;
        names.retain(|name| {
            !name.starts_with('.') && name != OBJECTS && self.folder(name).join(MANIFEST).is_file()
        });
        names.sort();
        Ok(names)
    }

    fn list_entries(&self) -> Result<Vec<String>, CommandError> {
        let fault = |error| cannot_read(&self.root, &error);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.root).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    }

    /// The manifest of a backup.
    pub(crate) fn manifest(&self, name: &str) -> Result<Manifest, CommandError> {
        let names = self.list()?;
        if !names.iter().any(|known| known == name) {
            let error = CommandError::usage(
                "E0022",
                format!("{} has no backup `{}`", self.root.display(), safe(name)),
            );
            return Err(match names.last() {
                Some(last) => error.hint(format!("the newest is `{}`", safe(last))),
                None => error.hint("there is none that is whole"),
            });
        }
        let path = self.folder(name).join(MANIFEST);
        let bytes = read_file(&path)?.unwrap_or_default();
        Manifest::decode(&path, &bytes)
    }

    /// Copies a pack that is not there yet; tells what it holds, and whether it was copied.
    ///
    /// A pack whose name and length are there was copied before: it got its name when it was durable.
    pub(crate) fn take_pack(
        &self,
        pack: &cas::PackFile,
        known: &[ListedFile],
    ) -> Result<(ListedFile, bool), CommandError> {
        let target = self.packs().join(&pack.name);
        let is_there = std::fs::metadata(&target).is_ok_and(|there| there.len() == pack.size_bytes);
        let (digest, size_bytes) = if is_there {
            let listed = known.iter().find(|listed| listed.path == pack.name);
            match listed.filter(|listed| listed.size_bytes == pack.size_bytes) {
                Some(listed) => (listed.digest, listed.size_bytes),
                None => super::files::digest_file(&target)?,
            }
        } else {
            copy_file(&pack.path, &target, 0o644)?
        };
        let listed = ListedFile {
            path: pack.name.clone(),
            size_bytes,
            digest,
        };
        Ok((listed, !is_there))
    }

    /// Removes the oldest backups but some, and the packs that none of the rest has; gives the names of what went.
    ///
    /// The one that was just made stays, also where the clock was set back.
    pub(crate) fn keep(&self, count: usize, made: &str) -> Result<Vec<String>, CommandError> {
        let mut names = self.list()?;
        names.retain(|name| name != made);
        names.push(made.to_owned());
        let (old, rest) = names.split_at(names.len().saturating_sub(count));
        let mut wanted = std::collections::BTreeSet::new();
        // Read before anything goes: one that cannot be read keeps everything.
        for name in rest {
            wanted.extend(self.manifest(name)?.packs.into_iter().map(|pack| pack.path));
        }
        for name in old {
            // Without its manifest it is no backup any more, whatever stays of it.
            let manifest = self.folder(name).join(MANIFEST);
            std::fs::remove_file(&manifest).map_err(|error| cannot_write(&manifest, &error))?;
            remove_folder(&self.folder(name))?;
        }
        let packs = self.packs();
        for entry in std::fs::read_dir(&packs).map_err(|error| cannot_read(&packs, &error))? {
            let entry = entry.map_err(|error| cannot_read(&packs, &error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !wanted.contains(&name) {
                std::fs::remove_file(entry.path())
                    .map_err(|error| cannot_write(&entry.path(), &error))?;
            }
        }
        sync_folder(&packs)?;
        Ok(old.to_vec())
    }
}
