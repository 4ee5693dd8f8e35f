//! Finding the store of a project, and making one.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::error::CommandError;
use crate::settings::TEMPLATE;

/// Name of the folder that holds a store.
pub(crate) const STORE_DIRECTORY: &str = ".reproof";

/// Name of the file in it that holds the address of a PostgreSQL database.
const ADDRESS_FILE: &str = "postgresql";

/// First line of the file that names places in object stores.
const DESTINATIONS_FORMAT: &str = "reproof destinations 1";

/// What stands before a place that is only read.
const ONLY_READ: &str = "read ";

/// A place in an object store where contents are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) uri: String,
    /// Since the store was put back from a backup: another copy of it may use the place.
    pub(crate) is_only_read: bool,
}

impl Destination {
    fn parse(line: &str) -> Self {
        let read = line.strip_prefix(ONLY_READ);
        Self {
            uri: read.unwrap_or(line).to_owned(),
            is_only_read: read.is_some(),
        }
    }

    fn line(&self) -> String {
        let prefix = if self.is_only_read { ONLY_READ } else { "" };
        format!("{prefix}{}\n", self.uri)
    }
}

/// A project: the folder that holds `.reproof/`.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub(crate) root: PathBuf,
}

impl Project {
    /// Looks for a store, from a directory upward.
    pub(crate) fn find(from: &Path) -> Option<Self> {
        from.ancestors()
            .find(|directory| {
                let store = directory.join(STORE_DIRECTORY);
                store.join("reproof.db").is_file() || store.join(ADDRESS_FILE).is_file()
            })
            .map(|root| Self {
                root: root.to_owned(),
            })
    }

    /// Refuses to go on to a store further up past one that has lost its database.
    pub(crate) fn refuse_remains(from: &Path) -> Result<(), CommandError> {
        let store = from
            .ancestors()
            .map(|directory| directory.join(STORE_DIRECTORY))
            .find(|store| store.is_dir());
        let Some(store) = store else { return Ok(()) };
        let has_database = store.join("reproof.db").exists() || store.join(ADDRESS_FILE).exists();
        if has_database || !store.join("ledger/checkpoint").exists() {
            return Ok(());
        }
        Err(CommandError::system(
            "E0011",
            format!(
                "{} has a ledger, `ledger/checkpoint`, and its database is gone",
                store.display()
            ),
        )
        .hint("put `reproof.db` back from a backup, or move the folder away"))
    }

    /// Looks for a store, which must be there.
    pub(crate) fn get(from: &Path) -> Result<Self, CommandError> {
        Self::refuse_remains(from)?;
        Self::find(from).ok_or_else(|| {
            CommandError::usage(
                "E0001",
                format!("no store in {} or any directory above it", from.display()),
            )
            .hint("`reproof init` makes one here")
            .hint("`reproof -C DIR …` works in another directory")
        })
    }

    /// Whether this user may change the store, as far as permissions and mounts tell.
    pub(crate) fn is_writable(&self) -> bool {
        [
            self.store_directory(),
            self.database(),
            self.address_file(),
            self.objects(),
            self.temporary(),
        ]
        .iter()
        .all(|path| {
            // What is missing is made, or refused with its own reason.
            !matches!(
                rustix::fs::access(path, rustix::fs::Access::WRITE_OK),
                Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM | rustix::io::Errno::ROFS)
            )
        })
    }

    /// Refuses a store that this user may only read.
    pub(crate) fn check_writable(&self) -> Result<(), CommandError> {
        if self.is_writable() {
            return Ok(());
        }
        let store = self.store_directory();
        Err(CommandError::system(
            "E0018",
            format!(
                "the store {} can only be read by this user",
                store.display()
            ),
        )
        .hint("copy the project with its `.reproof/` to a folder of yours and work there")
        .hint("or have whoever it belongs to do it, or let you write to `.reproof/`"))
    }

    pub(crate) fn store_directory(&self) -> PathBuf {
        self.root.join(STORE_DIRECTORY)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.store_directory().join("reproof.db")
    }

    /// Holds the address of the database where it is one of PostgreSQL.
    pub(crate) fn address_file(&self) -> PathBuf {
        self.store_directory().join(ADDRESS_FILE)
    }

    pub(crate) fn objects(&self) -> PathBuf {
        self.store_directory().join("objects")
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.store_directory().join("tmp")
    }

    /// The places in object stores where contents are beside the packs, the last one last.
    pub(crate) fn destinations(&self) -> Result<Vec<Destination>, CommandError> {
        let path = self.destinations_file();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                let told = format!("cannot read {}: {error}", path.display());
                return Err(CommandError::system("E0018", told));
            }
        };
        let mut lines = text.lines();
        if lines.next() != Some(DESTINATIONS_FORMAT) {
            return Err(CommandError::usage(
                "E0003",
                format!("{} was written by a newer version", path.display()),
            )
            .hint("install the version of Reproof that made the store, or a later one"));
        }
        Ok(lines.map(Destination::parse).collect())
    }

    /// Notes a place in an object store where contents are kept, and removed, from now on, durably.
    pub(crate) fn note_destination(&self, uri: &str) -> Result<(), CommandError> {
        let noted = Destination {
            uri: uri.to_owned(),
            is_only_read: false,
        };
        let mut known = self.destinations()?;
        if known.last() == Some(&noted) {
            return Ok(());
        }
        known.retain(|known| known.uri != uri);
        known.push(noted);
        self.write_destinations(&known)
    }

    /// Notes that all places are only read from now on.
    pub(crate) fn only_read_destinations(&self) -> Result<(), CommandError> {
        let mut known = self.destinations()?;
        if known.is_empty() {
            return Ok(());
        }
        for destination in &mut known {
            destination.is_only_read = true;
        }
        self.write_destinations(&known)
    }

    fn write_destinations(&self, known: &[Destination]) -> Result<(), CommandError> {
        let path = self.destinations_file();
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        let lines: String = known.iter().map(Destination::line).collect();
        let text = format!("{DESTINATIONS_FORMAT}\n{lines}");
        let write = || {
            let mut file = std::fs::File::create(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            std::fs::File::open(self.objects())?.sync_all()
        };
        write().map_err(|error| cannot_write(&path, &error))
    }

    /// Names the places in object stores where contents are.
    pub(crate) fn destinations_file(&self) -> PathBuf {
        self.objects().join("destinations")
    }

    /// What the server noted that it is to take over.
    pub(crate) fn taking_over(&self) -> PathBuf {
        self.store_directory().join("taking-over")
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.store_directory().join("ledger")
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.store_directory().join("cache")
    }

    /// Makes the folders and the commented settings; leaves alone what is there.
    pub(crate) fn lay_out(root: &Path) -> Result<Self, CommandError> {
        let project = Self {
            root: root.to_owned(),
        };
        project.make_folders()?;
        write_new(
            &project.store_directory().join(".gitignore"),
            "# Nothing here belongs into git.\n*\n",
        )?;
        write_new(&root.join("reproof.toml"), TEMPLATE)?;
        Ok(project)
    }

    /// Notes that what another tool has on record there was taken over.
    pub(crate) fn note_migrated(&self, source: &str) -> Result<(), CommandError> {
        if self.has_migrated(source) {
            return Ok(());
        }
        let path = self.migrated();
        let line = format!("{source:?}\n");
        let mut options = std::fs::OpenOptions::new();
        let opened = options.create(true).append(true).open(&path);
        opened
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .map_err(|error| cannot_write(&path, &error))
    }

    /// Whether what another tool has on record there was taken over.
    pub(crate) fn has_migrated(&self, source: &str) -> bool {
        let line = format!("{source:?}");
        std::fs::read_to_string(self.migrated())
            .is_ok_and(|text| text.lines().any(|known| known == line))
    }

    /// Where sources of migrations are noted, a line each: for those who start a server, and nothing rests on it.
    fn migrated(&self) -> PathBuf {
        self.store_directory().join("migrated")
    }

    /// Makes the folders that are missing; those that can be made again may have been removed.
    pub(crate) fn make_folders(&self) -> Result<(), CommandError> {
        for directory in [
            self.store_directory(),
            self.objects(),
            self.temporary(),
            self.ledger(),
            self.cache(),
        ] {
            std::fs::create_dir_all(&directory)
                .map_err(|error| cannot_write(&directory, &error))?;
        }
        Ok(())
    }
}

/// Writes a file that must not be there, whole or not at all; one that is there stays as it is.
fn write_new(path: &Path, text: &str) -> Result<(), CommandError> {
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!("{name}.{}.tmp", std::process::id()));
    let write = || {
        std::fs::write(&temporary, text)?;
        // A link never replaces what another process has put there meanwhile, as a rename would.
        std::fs::hard_link(&temporary, path)
    };
    let written = write();
    let _ = std::fs::remove_file(&temporary);
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(cannot_write(path, &error))
        }
        _ => Ok(()),
    }
}

pub(crate) fn cannot_write(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::system("E0018", format!("cannot write {}: {error}", path.display()))
        .hint("look at the permissions and the free space of that directory")
}
