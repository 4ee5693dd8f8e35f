//! `reproof backup`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cas::{Cas, CasOptions};
use entities::Timestamp;
use ledger::{DirectoryTiles, VerifierKey};
use serde_json::json;
use store::{LedgerProgress, StoreError};
use store_postgres::{PostgresAddress, PostgresCopy};
use store_sqlite::SqliteSnapshot;

use crate::arguments::BackupArguments;
use crate::backup::files::{copy_file, make_folder, write_file};
use crate::backup::ledger_files::{LedgerFiles, read_with_record};
use crate::backup::place::BackupPlace;
use crate::backup::{
    DatabaseKind, FORMAT, KEYS, LEDGER, ListedFile, MANIFEST, Manifest, RECORD, SETTINGS,
};
use crate::commands::audit::{Elsewhere, find_fault, find_missing_objects};
use crate::context::{Context, parse_verifier_key, working_directory};
use crate::database::read_address;
use crate::error::CommandError;
use crate::faults::{objects_fault, store_fault, tracking_fault};
use crate::keys::{file_name, key_directory};
use crate::output::{Output, local_time, safe, size, table, table_text};
use crate::project::Project;

pub(crate) async fn run(
    arguments: &BackupArguments,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    if arguments.list {
        return list(&arguments.directory, output);
    }
    let context = Context::open_unchanged(output).await?;
    refuse_inside(context.project(), &arguments.directory)?;
    let (place, _lock) = BackupPlace::make(&arguments.directory)?;
    let known = match place.list()?.last() {
        // One that cannot be read says nothing of packs: they are read themselves.
        Some(last) => place
            .manifest(last)
            .map(|manifest| manifest.packs)
            .unwrap_or_default(),
        None => Vec::new(),
    };
    if !arguments.quick {
        check_store(&context, output).await?;
    }
    let now = context.bench.clock.now();
    let name = name_of(now, &place)?;
    let folder = place.begin(&name)?;
    let working = output.work("copying the record, the ledger and the objects");
    let maker = Maker {
        context: &context,
        place: &place,
        folder: folder.clone(),
        key: parse_verifier_key(&context.verifier_key)?,
        with_keys: arguments.with_keys,
    };
    let (manifest, copied) = maker.make(now, &known).await?;
    drop(working);
    let working = output.work("reading the copy again");
    verify(&place, &folder, &manifest, &maker.key, arguments.quick)?;
    drop(working);
    place.finish(&folder, &name)?;
    let removed = match arguments.keep {
        Some(count) => place.keep(count, &name)?,
        None => Vec::new(),
    };
    tell(
        &Told {
            place: &place,
            name: &name,
            manifest: &manifest,
            copied,
            removed: &removed,
        },
        arguments,
        output,
    );
    Ok(ExitCode::SUCCESS)
}

/// What is not sound cannot be put back, so that a copy of it must not take the place of a good one.
async fn check_store(context: &Context, output: &Output) -> Result<(), CommandError> {
    let finding = find_fault(context, true, None, output).await?;
    let fault = match finding.fault {
        None => find_missing_objects(context, Elsewhere::LookedFor).await?.1,
        fault => fault,
    };
    match fault {
        None => Ok(()),
        Some(fault) => Err(CommandError::system(
            "E0032",
            format!("the store itself is not sound: {fault}"),
        )
        .hint("no backup was made and none removed: the last good one stays")
        .hint("`reproof audit verify` looks at everything; `--quick` keeps a copy as it is, which is never put back")),
    }
}

/// Packs that were copied, and their bytes.
#[derive(Clone, Copy, Default)]
struct Copied {
    packs: usize,
    bytes: u64,
}

struct Told<'a> {
    place: &'a BackupPlace,
    name: &'a str,
    manifest: &'a Manifest,
    copied: Copied,
    removed: &'a [String],
}

fn tell(told: &Told<'_>, arguments: &BackupArguments, output: &Output) {
    let Told {
        place,
        name,
        manifest,
        copied,
        removed,
    } = told;
    let total: u64 = manifest.packs.iter().map(|pack| pack.size_bytes).sum();
    if output.is_json {
        output.json(&json!({
            "backup": name,
            "directory": place.root(),
            "events": manifest.events,
            "signed_events": manifest.signed,
            "packs": manifest.packs.len(),
            "pack_bytes": total,
            "copied_packs": copied.packs,
            "copied_bytes": copied.bytes,
            "has_keys": arguments.with_keys,
            "removed_backups": removed,
        }));
    } else {
        output.line(&format!(
            "backup {name}: {} events, objects of {}, of which {} are new",
            manifest.events,
            size(total),
            size(copied.bytes)
        ));
        for name in *removed {
            output.line(&format!("removed backup {}", safe(name)));
        }
    }
    if arguments.with_keys {
        output.warn("the backup holds the keys: whoever can read it can sign in your name and open the secrets of webhooks");
    } else if let Ok(keys) = key_directory() {
        output.say(&format!(
            "the keys are not in it: keep {} with your other secrets, or add `--with-keys`",
            keys.display()
        ));
    }
}

fn list(directory: &Path, output: &Output) -> Result<ExitCode, CommandError> {
    let place = BackupPlace::open(directory)?;
    let mut rows = Vec::new();
    for name in place.list()? {
        let manifest = place.manifest(&name)?;
        rows.push((name, manifest));
    }
    if output.is_json {
        let backups: Vec<_> = rows
            .iter()
            .map(|(name, manifest)| {
                json!({
                    "backup": name,
                    "made_at": manifest.made_at,
                    "made_by": manifest.made_by,
                    "database": manifest.database,
                    "place": manifest.place,
                    "events": manifest.events,
                    "signed_events": manifest.signed,
                    "pack_bytes": manifest.packs.iter().map(|pack| pack.size_bytes).sum::<u64>(),
                })
            })
            .collect();
        output.json(&json!({ "backups": backups }));
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = table(&["backup", "made", "events", "objects", "record"]);
    for (name, manifest) in &rows {
        let bytes: u64 = manifest.packs.iter().map(|pack| pack.size_bytes).sum();
        table.add_row([
            safe(name),
            local_time(manifest.made_at),
            manifest.events.to_string(),
            size(bytes),
            safe(&manifest.place),
        ]);
    }
    output.line(&table_text(&table));
    Ok(ExitCode::SUCCESS)
}

/// Such a folder would be copied into itself, and goes with what it is to stand in for.
fn refuse_inside(project: &Project, directory: &Path) -> Result<(), CommandError> {
    let mut full = working_directory()?.join(directory);
    // What is not there yet has a folder above it that is.
    while !full.exists() && full.pop() {}
    let full = full.canonicalize().unwrap_or(full);
    let store = project.store_directory();
    let store = store.canonicalize().unwrap_or(store);
    if full.starts_with(&store) {
        return Err(CommandError::usage(
            "E0033",
            format!("{} is inside the store itself", directory.display()),
        )
        .hint("name a folder elsewhere, best on another disk"));
    }
    Ok(())
}

/// A name that is the time, such as `2026-11-27T23-41-55Z`; a second one of the same second has a number.
fn name_of(now: Timestamp, place: &BackupPlace) -> Result<String, CommandError> {
    let time: String = now.to_string().chars().take(19).collect();
    let time = format!("{}Z", time.replace(':', "-"));
    let taken = place.list()?;
    let numbered = (2..).map(|number| format!("{time}-{number:02}"));
    let mut names = std::iter::once(time.clone()).chain(numbered);
    Ok(names
        .find(|name| !taken.contains(name))
        .unwrap_or_else(|| unreachable!("there are numbers without end")))
}

/// Makes one backup.
struct Maker<'a> {
    context: &'a Context,
    place: &'a BackupPlace,
    folder: PathBuf,
    key: VerifierKey,
    with_keys: bool,
}

/// The record as it was at one moment.
enum Record {
    Sqlite(SqliteSnapshot),
    Postgres(PostgresCopy),
}

impl Record {
    fn open(
        project: &Project,
        address: Option<&PostgresAddress>,
        is_writable: bool,
    ) -> Result<Self, StoreError> {
        match address {
            Some(address) => PostgresCopy::begin(address).map(Self::Postgres),
            None => SqliteSnapshot::open(&project.database(), is_writable).map(Self::Sqlite),
        }
    }

    fn progress(&self) -> Result<LedgerProgress, StoreError> {
        match self {
            Self::Sqlite(snapshot) => snapshot.progress(),
            Self::Postgres(copy) => copy.progress(),
        }
    }

    fn copy_to(self, target: &Path) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(snapshot) => snapshot.copy_to(target),
            Self::Postgres(copy) => copy.copy_to(target),
        }
    }
}

impl Maker<'_> {
    async fn make(
        &self,
        now: Timestamp,
        known: &[ListedFile],
    ) -> Result<(Manifest, Copied), CommandError> {
        let project = self.context.project();
        let cas = &self.context.bench.cas;
        // From before the record is looked at: no object that it names may go before it is copied.
        let held = cas.hold_packs().map_err(objects_fault)?;
        let address = read_address(project)?;
        let shown = address.as_ref().map(PostgresAddress::place);
        let (files, progress) = self.copy_record(address).await?;
        self.copy_ledger(&files)?;
        self.copy_settings()?;
        if self.with_keys {
            self.copy_keys()?;
        }
        let (mut packs, mut copied) = (Vec::new(), Copied::default());
        for pack in cas.list_packs().map_err(objects_fault)? {
            let (listed, is_new) = self.place.take_pack(&pack, known)?;
            if is_new {
                copied.packs += 1;
                copied.bytes += listed.size_bytes;
            }
            packs.push(listed);
        }
        copy_file(
            &project.objects().join("format"),
            &self.place.objects().join("format"),
            0o644,
        )?;
        crate::backup::files::sync_folder(&self.place.packs())?;
        crate::backup::files::sync_folder(&self.place.objects())?;
        drop(held);
        let manifest = Manifest {
            format: FORMAT,
            made_at: now,
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
            verifier_key: self.context.verifier_key.clone(),
            database: match shown {
                Some(_) => DatabaseKind::Postgresql,
                None => DatabaseKind::Sqlite,
            },
            place: shown.unwrap_or_else(|| project.root.display().to_string()),
            events: progress.committed,
            signed: files.size,
            files: list_files(&self.folder)?,
            packs,
        };
        let text = serde_json::to_vec_pretty(&manifest)
            .map_err(|error| CommandError::caused("E0023", &error))?;
        write_file(&self.folder.join(MANIFEST), &text, 0o644)?;
        Ok((manifest, copied))
    }

    /// Copies the record; gives the ledger's files that agree with it. In a thread that may block.
    async fn copy_record(
        &self,
        address: Option<PostgresAddress>,
    ) -> Result<(LedgerFiles, LedgerProgress), CommandError> {
        let (project, key) = (self.context.project().clone(), self.key.clone());
        let target = self.folder.join(RECORD);
        let is_writable = project.is_writable();
        let copied = tokio::task::spawn_blocking(move || {
            let (files, record) = read_with_record(&project.ledger(), &key, || {
                Record::open(&project, address.as_ref(), is_writable).map_err(store_fault)
            })?;
            let progress = record.progress().map_err(store_fault)?;
            if files.size < progress.signed || files.size > progress.sequenced {
                return Err(CommandError::system(
                    "E0011",
                    format!(
                        "the checkpoint covers {} events, and the record says that {} are signed and {} have their place",
                        files.size, progress.signed, progress.sequenced
                    ),
                )
                .hint("`reproof audit verify` says what is wrong"));
            }
            record.copy_to(&target).map_err(store_fault)?;
            Ok((files, progress))
        });
        match copied.await {
            Ok(copied) => copied,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => Err(CommandError::caused("E0023", &error)),
        }
    }

    fn copy_ledger(&self, files: &LedgerFiles) -> Result<(), CommandError> {
        let (from, to) = (self.context.project().ledger(), self.folder.join(LEDGER));
        make_folder(&to)?;
        let make_folder_of = |path: &Path| path.parent().map_or(Ok(()), make_folder);
        for (path, bytes) in &files.replaced {
            let target = to.join(path);
            make_folder_of(&target)?;
            write_file(&target, bytes, 0o644)?;
        }
        for path in &files.full {
            let target = to.join(path);
            make_folder_of(&target)?;
            copy_file(&from.join(path), &target, 0o644)?;
        }
        Ok(())
    }

    fn copy_settings(&self) -> Result<(), CommandError> {
        let project = self.context.project();
        let files = [
            project.root.join("reproof.toml"),
            project.store_directory().join("local.toml"),
            // Objects in object stores stay where they are; a store that is put back must know where.
            project.destinations_file(),
        ];
        let to = self.folder.join(SETTINGS);
        for path in files.iter().filter(|path| path.is_file()) {
            make_folder(&to)?;
            copy_file(path, &to.join(path.file_name().unwrap_or_default()), 0o644)?;
        }
        Ok(())
    }

    fn copy_keys(&self) -> Result<(), CommandError> {
        let (from, to) = (key_directory()?, self.folder.join(KEYS));
        let name = file_name(&self.key);
        if !from.join(&name).is_file() {
            return Err(CommandError::system(
                "E0021",
                format!(
                    "the key that signs this store's ledger is not in {}",
                    from.display()
                ),
            )
            .hint("whoever has it makes the backup, or leave `--with-keys` out"));
        }
        crate::keys::make_private_directory(&to)
            .map_err(|error| crate::project::cannot_write(&to, &error))?;
        for name in [name.clone(), format!("{name}.webhooks")] {
            if from.join(&name).is_file() {
                copy_file(&from.join(&name), &to.join(&name), 0o600)?;
            }
        }
        Ok(())
    }
}

/// Every file of a backup under way, as it is read again.
fn list_files(folder: &Path) -> Result<Vec<ListedFile>, CommandError> {
    let mut files = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(below) = waiting.pop() {
        let fault = |error| crate::backup::files::cannot_read(&below, &error);
        for entry in std::fs::read_dir(&below).map_err(fault)? {
            let path = entry.map_err(fault)?.path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let (digest, size_bytes) = crate::backup::files::digest_file(&path)?;
            let relative = path.strip_prefix(folder).unwrap_or(&path);
            files.push(ListedFile {
                path: relative.to_string_lossy().into_owned(),
                size_bytes,
                digest,
            });
        }
    }
    files.sort();
    Ok(files)
}

/// Reads the copy itself: every object by its digest, the ledger from its leaves up to its signed root.
fn verify(
    place: &BackupPlace,
    folder: &Path,
    manifest: &Manifest,
    key: &VerifierKey,
    is_quick: bool,
) -> Result<(), CommandError> {
    if manifest.signed > 0 {
        let tiles = DirectoryTiles::new(folder.join(LEDGER));
        ledger::verify(&tiles, std::slice::from_ref(key), |_, _| Ok(()))
            .map_err(|error| tracking_fault(error.into()))?;
    }
    if is_quick {
        return Ok(());
    }
    let options = CasOptions::default();
    let cas =
        Cas::open_read_only(&place.objects(), place.root(), options).map_err(objects_fault)?;
    let mut first = None;
    cas.verify(&mut |fault| {
        first.get_or_insert_with(|| fault.to_string());
    })
    .map_err(objects_fault)?;
    match first {
        Some(fault) => Err(CommandError::system(
            "E0032",
            format!("the copy of the objects is damaged: {fault}"),
        )
        .hint("`reproof audit verify` says whether the store itself is sound")
        .hint(
            "remove the damaged pack from the folder of backups: the next backup copies it again",
        )),
        None => Ok(()),
    }
}
