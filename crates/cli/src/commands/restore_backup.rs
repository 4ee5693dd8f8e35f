//! `reproof restore-backup`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use entities::Random as _;
use serde_json::json;
use store::StoreError;
use tracking::Departure;

use super::audit::find_fault;
use crate::arguments::RestoreBackupArguments;
use crate::backup::files::{
    check_file, copy_file, damaged, make_folder, read_file, remove_folder, sync_folder,
    sync_folders, write_file,
};
use crate::backup::place::BackupPlace;
use crate::backup::{DatabaseKind, KEYS, LEDGER, Manifest, RECORD, SETTINGS};
use crate::context::Context;
use crate::database::{parse_address, write_address};
use crate::error::CommandError;
use crate::faults::store_fault;
use crate::keys::{key_directory, make_private_directory, read_key};
use crate::output::{Output, safe};
use crate::project::{Project, STORE_DIRECTORY, cannot_write};
use crate::system::SystemRandom;

/// The folder in which a store is put together before it counts.
const STAGING: &str = ".reproof-restoring";

/// Names the backup that is restored in it.
const MARK: &str = "backup";

pub(crate) async fn run(
    arguments: &RestoreBackupArguments,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let place = BackupPlace::open(&arguments.directory)?;
    let name = match &arguments.backup {
        Some(name) => name.clone(),
        None => place.list()?.pop().ok_or_else(|| {
            CommandError::usage(
                "E0032",
                format!("{} holds no backup that is whole", place.root().display()),
            )
        })?,
    };
    let manifest = place.manifest(&name)?;
    check_database(&manifest, arguments.postgresql.as_deref())?;
    let target = &arguments.target;
    refuse_store(target)?;
    let restore = Restore {
        place: &place,
        name: &name,
        manifest: &manifest,
        staging: Project {
            root: target.join(STAGING),
        },
    };
    let _lock = restore.begin()?;
    let working = output.work("copying the record, the ledger and the objects");
    restore.copy()?;
    if let Some(uri) = &arguments.postgresql {
        restore.fill_postgres(uri).await?;
    }
    drop(working);
    if arguments.with_keys {
        restore.take_keys()?;
    }
    restore.verify(output).await?;
    restore.finish(target)?;
    tell(target, &name, &manifest, output).await?;
    Ok(ExitCode::SUCCESS)
}

fn check_database(manifest: &Manifest, uri: Option<&str>) -> Result<(), CommandError> {
    match (manifest.database, uri) {
        (DatabaseKind::Postgresql, None) => Err(CommandError::usage(
            "E0022",
            format!(
                "the record of this backup was in PostgreSQL, at {}, and goes back there",
                safe(&manifest.place)
            ),
        )
        .hint("`--postgresql postgresql://USER@HOST/DATABASE` names a database without this store; `?schema=NAME` another schema of it")),
        (DatabaseKind::Sqlite, Some(_)) => Err(CommandError::usage(
            "E0022",
            "the record of this backup was in a file, and goes back into one",
        )
        .hint("leave `--postgresql` out")),
        (_, Some(uri)) => parse_address(uri).map(drop),
        (_, None) => Ok(()),
    }
}

/// Never over a store that is there, or what is left of one.
fn refuse_store(target: &Path) -> Result<(), CommandError> {
    let store = target.join(STORE_DIRECTORY);
    if store.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(CommandError::usage(
        "E0033",
        format!(
            "{} is there already, and a backup is put back beside nothing",
            store.display()
        ),
    )
    .hint("name another folder, or move that one away first"))
}

struct Restore<'a> {
    place: &'a BackupPlace,
    name: &'a str,
    manifest: &'a Manifest,
    staging: Project,
}

impl Restore<'_> {
    /// Makes the folder to put the store together in; what a killed restore of the same backup left is gone on with.
    fn begin(&self) -> Result<std::fs::File, CommandError> {
        let root = &self.staging.root;
        make_folder(root)?;
        let lock = std::fs::File::open(root).map_err(|error| cannot_write(root, &error))?;
        // Where the file system has no locks, it is on whoever calls two at once.
        let locked = rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive);
        if locked == Err(rustix::io::Errno::WOULDBLOCK) {
            return Err(CommandError::system(
                "E0013",
                format!("another backup is being restored in {}", root.display()),
            ));
        }
        let mark = root.join(MARK);
        let wanted = format!("{}\n{}\n", self.place.root().display(), self.name);
        if read_file(&mark)?.is_none_or(|found| found != wanted.as_bytes()) {
            remove_folder(&self.staging.store_directory())?;
            match std::fs::remove_file(root.join("mark")) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(cannot_write(&root.join("mark"), &error));
                }
                _ => {}
            }
            write_file(&mark, wanted.as_bytes(), 0o644)?;
        }
        Ok(lock)
    }

    fn copy(&self) -> Result<(), CommandError> {
        let Self {
            place,
            name,
            manifest,
            staging,
        } = self;
        staging.make_folders()?;
        let folder = place.folder(name);
        // What a restore that was cut short did with it since is not known.
        for ending in ["", "-wal", "-shm"] {
            let mut path = staging.database().into_os_string();
            path.push(ending);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(cannot_write(&PathBuf::from(path), &error));
                }
                _ => {}
            }
        }
        remove_folder(&staging.ledger())?;
        for listed in &manifest.files {
            let Some(target) = self.place_of(&listed.path) else {
                continue;
            };
            if let Some(parent) = target.parent() {
                make_folder(parent)?;
            }
            let source = folder.join(&listed.path);
            check_file(&folder, listed)?;
            let (digest, _) = copy_file(&source, &target, 0o644)?;
            if digest != listed.digest {
                return Err(damaged(&source, "it was copied with other bytes"));
            }
        }
        let packs = staging.objects().join("packs");
        make_folder(&packs)?;
        for listed in &manifest.packs {
            // One that is there was copied before: it got its name when it was durable.
            if check_file(&packs, listed).is_ok() {
                continue;
            }
            check_file(&place.packs(), listed)?;
            let source = place.packs().join(&listed.path);
            let (digest, _) = copy_file(&source, &packs.join(&listed.path), 0o644)?;
            if digest != listed.digest {
                return Err(damaged(&source, "it was copied with other bytes"));
            }
        }
        // The store that was backed up may be alive, and what it named since must not be collected by this one.
        staging.only_read_destinations()?;
        let format = place.objects().join("format");
        copy_file(&format, &staging.objects().join("format"), 0o644)?;
        write_file(
            &staging.store_directory().join(".gitignore"),
            b"# Nothing here belongs into git.\n*\n",
            0o644,
        )?;
        sync_folders(&staging.root)
    }

    /// Where a file of the backup belongs; none for what does not go into the store.
    fn place_of(&self, path: &str) -> Option<PathBuf> {
        let staging = &self.staging;
        if path == RECORD {
            return Some(match self.manifest.database {
                DatabaseKind::Sqlite => staging.database(),
                DatabaseKind::Postgresql => staging.temporary().join(RECORD),
            });
        }
        let (folder, rest) = path.split_once('/')?;
        match (folder, rest) {
            (LEDGER, rest) => Some(staging.ledger().join(rest)),
            (SETTINGS, "local.toml") => Some(staging.store_directory().join("local.toml")),
            (SETTINGS, "destinations") => Some(staging.destinations_file()),
            (SETTINGS, "reproof.toml") => Some(staging.root.join("reproof.toml")),
            _ => None,
        }
    }

    /// Fills a schema of PostgreSQL, in one transaction.
    async fn fill_postgres(&self, uri: &str) -> Result<(), CommandError> {
        let address = parse_address(uri)?;
        let shown = address.place();
        // Written once the database holds it: a restore that was cut short does not fill it twice.
        if read_file(&self.staging.address_file())?
            .is_some_and(|known| known == format!("{uri}\n").as_bytes())
        {
            return Ok(());
        }
        let from = self.staging.temporary().join(RECORD);
        let mark = self.draw_mark()?;
        let filled = tokio::task::spawn_blocking({
            let from = from.clone();
            move || store_postgres::restore_copy(&address, &from, &mark)
        });
        let filled = match filled.await {
            Ok(filled) => filled,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => return Err(CommandError::caused("E0023", &error)),
        };
        match filled {
            Err(StoreError::Exists { .. }) => {
                return Err(CommandError::usage(
                    "E0033",
                    format!("{} holds a store already", safe(&shown)),
                )
                .hint("`?schema=NAME` at the end of the address names another schema")
                .hint("or drop that one, if nothing needs it: DROP SCHEMA … CASCADE"));
            }
            Err(error) => return Err(store_fault(error)),
            Ok(()) => {}
        }
        write_address(&self.staging, uri)?;
        std::fs::remove_file(&from).map_err(|error| cannot_write(&from, &error))
    }

    /// What this restore marks its schema with, drawn once: so one that was cut short knows what it made.
    fn draw_mark(&self) -> Result<String, CommandError> {
        let path = self.staging.root.join("mark");
        if let Some(known) = read_file(&path)? {
            return Ok(String::from_utf8_lossy(&known).into_owned());
        }
        let mut drawn = [0; 16];
        SystemRandom.fill(&mut drawn);
        let mark = hex::encode(drawn);
        write_file(&path, mark.as_bytes(), 0o600)?;
        sync_folder(&self.staging.root)?;
        Ok(mark)
    }

    /// Puts the keys of the backup where keys are kept, never over others.
    fn take_keys(&self) -> Result<(), CommandError> {
        let prefix = format!("{KEYS}/");
        let folder = self.place.folder(self.name);
        let target = key_directory()?;
        let listed = self.manifest.files.iter();
        let keys: Vec<_> = listed
            .filter(|file| file.path.starts_with(&prefix))
            .collect();
        if keys.is_empty() {
            return Err(
                CommandError::usage("E0022", "this backup holds no keys").hint(
                    "leave `--with-keys` out, and put the key where `reproof restore-backup` says",
                ),
            );
        }
        make_private_directory(&target).map_err(|error| cannot_write(&target, &error))?;
        for key in keys {
            check_file(&folder, key)?;
            let path = target.join(&key.path[prefix.len()..]);
            if path.symlink_metadata().is_err() {
                copy_file(&folder.join(&key.path), &path, 0o600)?;
            }
        }
        sync_folder(&target)
    }

    /// Verifies all of it as `audit verify` does, before it counts as a store.
    async fn verify(&self, output: &Output) -> Result<(), CommandError> {
        let context = Context::open_at(self.staging.clone(), output).await?;
        if context.verifier_key != self.manifest.verifier_key {
            return Err(damaged(
                &self.place.folder(self.name).join(RECORD),
                "its ledger has another key than the manifest says",
            ));
        }
        let finding = find_fault(&context, false, None, output).await?;
        match finding.fault {
            Some(fault) => Err(damaged(&self.place.folder(self.name), &fault)),
            None => Ok(()),
        }
    }

    /// Gives the store its place: from then on it counts.
    fn finish(&self, target: &Path) -> Result<(), CommandError> {
        let staging = &self.staging;
        let settings = (
            staging.root.join("reproof.toml"),
            target.join("reproof.toml"),
        );
        if settings.0.is_file() && !settings.1.exists() {
            copy_file(&settings.0, &settings.1, 0o644)?;
        }
        sync_folders(&staging.root)?;
        let store = target.join(STORE_DIRECTORY);
        std::fs::rename(staging.store_directory(), &store)
            .map_err(|error| cannot_write(&store, &error))?;
        sync_folder(target)?;
        remove_folder(&staging.root)
    }
}

/// Says what is there now, and what comes next.
async fn tell(
    target: &Path,
    name: &str,
    manifest: &Manifest,
    output: &Output,
) -> Result<(), CommandError> {
    let root = target.canonicalize().unwrap_or_else(|_| target.to_owned());
    let has_key = read_key(&manifest.verifier_key)?.is_some();
    let context = Context::open_at(
        Project { root: root.clone() },
        &Output {
            is_quiet: true,
            ..output.clone()
        },
    )
    .await?;
    let departure = context.find_departure()?.filter(Departure::is_older);
    let signed_since = departure.map(|departure| departure.remembered.size);
    if output.is_json {
        output.json(&json!({
            "backup": name,
            "root": root,
            "events": manifest.events,
            "has_key": has_key,
            "older_than": signed_since,
        }));
        return Ok(());
    }
    output.line(&format!(
        "restored backup {} into {}: {} events, tree and signature, every row and every object verified",
        safe(name),
        root.display(),
        manifest.events
    ));
    let mut steps = Vec::new();
    if !has_key {
        let keys = key_directory().map_or_else(
            |_| "the settings folder".to_owned(),
            |keys| keys.display().to_string(),
        );
        steps.push(format!(
            "put the key of the ledger into {keys}, or new events stay unsigned"
        ));
    }
    if let Some(signed) = signed_since {
        steps.push(format!(
            "{signed} events of this ledger were signed with your key, and the backup ends before them. To go on from the backup: reproof -C {} audit accept --reason WHY",
            crate::output::in_shell_words([&*root.to_string_lossy()])
        ));
    }
    if steps.is_empty() {
        steps.push("nothing more: use it, or start `reproof server` on it".to_owned());
    }
    for step in steps {
        output.say(&format!("  next: {step}"));
    }
    Ok(())
}
