//! Taking over what clients wrote elsewhere by themselves, when a run ends or a model is complete.
//!
//! What is to be looked at stands as a file in a folder, durable before the answer that a client waits for, so that a
//! process that is killed loses none of it. A folder is looked at as often as somebody notes it; what is there already is
//! known by its digest, and nothing is written twice.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cas::{Cas, CasError};
use entities::{Artifact, Caller, Change, ModelId, ObjectId, RunId};
use locations::{Found, FoundFile, Location, LocationError, Locations};
use tokio::sync::Notify;

use crate::tracking::{Writing, model_subject, run_subject};
use crate::{Tracking, TrackingError};

/// The tag of a run or model that names what stood in its folder and could not be taken over.
pub const PASSED_OVER_TAG: &str = "reproof.artifacts_not_taken_over";

/// Files of one folder; a list of more would fill the memory.
const MOST_FILES: usize = 100_000;

/// What is named in one event, and so how much is read anew after a kill.
const GROUP_FILES: usize = 1000;
const GROUP_BYTES: u64 = 256 << 20;

/// How often what failed is tried again: a disk may be mounted again.
const PAUSE: Duration = Duration::from_secs(60);

/// How often it is asked whether another process is done.
const PAUSE_OF_OTHERS: Duration = Duration::from_millis(200);

/// How many files are remembered, so that they need not be read again.
const KNOWN_MAX: usize = 100_000;

/// How often a file is read that changes meanwhile.
const READINGS_MAX: usize = 3;

/// Names in the tag.
const NAMES_MAX: usize = 20;

/// What ends the name of a note that is being carried out.
const DOING: &str = ".doing";

/// Whose folder it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ArtifactOwner {
    /// A run.
    Run(RunId),
    /// A logged model.
    Model(ModelId),
}

impl ArtifactOwner {
    fn name(&self) -> String {
        match self {
            Self::Run(run) => format!("run-{run}"),
            Self::Model(model) => format!("model-{model}"),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        if let Some(run) = name.strip_prefix("run-") {
            return run.parse().ok().map(Self::Run);
        }
        let model = name.strip_prefix("model-")?;
        model.parse().ok().map(Self::Model)
    }

    fn subject(&self) -> String {
        match self {
            Self::Run(run) => run_subject(run),
            Self::Model(model) => model_subject(model),
        }
    }
}

/// What was taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// Files that are on record now and were not before, or were others.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// What could not be taken over, each with the reason.
    pub passed_over: Vec<String>,
}

/// Takes over what clients wrote to folders that the server may read.
#[derive(Debug)]
pub struct TakingOver {
    tracking: Tracking,
    locations: Locations,
    /// Where notes are.
    notes: PathBuf,
    caller: Caller,
    /// Paths on record whose content was read, each with what the file was known by then.
    known: Mutex<BTreeMap<String, (String, ObjectId)>>,
    /// Held while a folder is looked at.
    working: tokio::sync::Mutex<()>,
    noted: Notify,
}

impl TakingOver {
    /// Puts it on the services, what may be read, and a folder for notes, which is made.
    ///
    /// *Errors*: those of making the folder.
    pub fn open(
        tracking: Tracking,
        locations: Locations,
        notes: &Path,
        caller: Caller,
    ) -> io::Result<Self> {
        fs::create_dir_all(notes)?;
        Ok(Self {
            tracking,
            locations,
            notes: notes.to_owned(),
            caller,
            known: Mutex::default(),
            working: tokio::sync::Mutex::new(()),
            noted: Notify::new(),
        })
    }

    /// What the server may read.
    pub fn locations(&self) -> &Locations {
        &self.locations
    }

    /// Whether the artifacts of a run or model are where something is taken over from; not so where it is not there.
    pub async fn is_meant(&self, owner: &ArtifactOwner) -> Result<bool, TrackingError> {
        if self.locations.is_empty() {
            return Ok(false);
        }
        let store = self.tracking.store();
        let uri = match owner {
            ArtifactOwner::Run(id) => store.find_run(id).await?.map(|run| run.artifact_uri),
            ArtifactOwner::Model(id) => {
                let found = store.find_model(id).await?;
                found.map(|found| found.model.artifact_uri)
            }
        };
        let found = uri.and_then(|uri| self.locations.find(&uri));
        Ok(found.is_some_and(|location| location.is_taken_over()))
    }

    /// Notes that a folder is to be looked at. The note is durable when this returns.
    pub fn note(&self, owner: &ArtifactOwner) -> Result<(), TrackingError> {
        let path = self.notes.join(owner.name());
        let noted = File::create(&path)
            .and_then(|file| file.sync_all())
            .and_then(|()| File::open(&self.notes)?.sync_all());
        noted.map_err(|source| TrackingError::Note {
            path: path.display().to_string(),
            source,
        })?;
        self.noted.notify_one();
        Ok(())
    }

    /// Looks at a folder now; false where that takes longer than `limit`, and goes on in the background.
    pub async fn take_over_within(
        &self,
        owner: &ArtifactOwner,
        limit: Duration,
    ) -> Result<bool, TrackingError> {
        self.note(owner)?;
        let looking = async {
            loop {
                let working = self.working.lock().await;
                if self.carry_out(&owner.name()).await? {
                    return Ok(());
                }
                drop(working);
                tokio::time::sleep(PAUSE_OF_OTHERS).await;
            }
        };
        match tokio::time::timeout(limit, looking).await {
            Ok(Ok(())) => Ok(true),
            Ok(Err(error)) => Err(error),
            Err(_) => {
                self.noted.notify_one();
                Ok(false)
            }
        }
    }

    /// Carries out notes until it is asked to end. What is under way then is carried out by the next process.
    pub async fn run(&self, ends: impl Future<Output = ()>) {
        tokio::pin!(ends);
        loop {
            tokio::select! {
                () = &mut ends => return,
                () = self.carry_out_all() => {}
            }
            tokio::select! {
                () = &mut ends => return,
                () = self.noted.notified() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Carries out all notes; what fails stays noted.
    pub async fn carry_out_all(&self) {
        let names = match self.list_notes() {
            Ok(names) => names,
            Err(error) => {
                tracing::warn!(%error, folder = %self.notes.display(), "cannot list which artifacts are to be taken over");
                return;
            }
        };
        let mut failed = 0_usize;
        let mut first = None;
        for name in names {
            let _working = self.working.lock().await;
            if let Err(error) = self.carry_out(&name).await {
                failed += 1;
                first.get_or_insert_with(|| (name, tell(&error)));
            }
        }
        if let Some((name, error)) = first {
            tracing::warn!(%error, %name, failed, "artifacts that clients wrote could not be taken over; they are looked at again in a minute");
        }
    }

    fn list_notes(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.notes)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            names.push(name.strip_suffix(DOING).unwrap_or(&name).to_owned());
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Carries out a note, under the lock; false where another process is about it. A note that is made meanwhile is
    /// another.
    async fn carry_out(&self, name: &str) -> Result<bool, TrackingError> {
        let Some(owner) = ArtifactOwner::parse(name) else {
            return Ok(true);
        };
        let doing = self.notes.join(format!("{name}{DOING}"));
        let fault = |source| TrackingError::Note {
            path: doing.display().to_string(),
            source,
        };
        let claimed = match self.claim(name, &doing).map_err(fault)? {
            Claim::Ours(claimed) => claimed,
            Claim::Others => return Ok(false),
            Claim::Nothing => return Ok(true),
        };
        match self.take_over(&owner).await {
            Ok(taken) => {
                if taken.files > 0 {
                    tracing::info!(
                        owner = name,
                        files = taken.files,
                        size_bytes = taken.bytes,
                        "artifacts that clients wrote were taken over"
                    );
                }
            }
            // Nobody could do anything about it by waiting.
            Err(TrackingError::NoRun { .. } | TrackingError::NoModel { .. }) => {}
            Err(error) => return Err(error),
        }
        if is_at(&claimed, &doing).map_err(fault)? {
            remove_if_there(&doing).map_err(fault)?;
        }
        Ok(true)
    }

    /// Makes a note one that is being carried out, by this process alone: whoever is about it holds a lock on the file,
    /// which the system lets go when a process is killed.
    fn claim(&self, name: &str, doing: &Path) -> io::Result<Claim> {
        let note = self.notes.join(name);
        loop {
            let adopted = open_if_there(doing)?;
            let is_adopted = adopted.is_some();
            let Some(file) = adopted.map_or_else(|| open_if_there(&note), |file| Ok(Some(file)))?
            else {
                return Ok(Claim::Nothing);
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(Claim::Others),
                // As before there were locks: both may do the same, and the second finds it there.
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Another process may have been faster between opening and locking.
            if is_adopted {
                if is_at(&file, doing)? {
                    // What it asks for is looked at from now on.
                    remove_if_there(&note)?;
                    return Ok(Claim::Ours(file));
                }
            } else if is_at(&file, &note)? {
                match fs::rename(&note, doing) {
                    Ok(()) => return Ok(Claim::Ours(file)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Takes over what stands in the folder of a run or model.
    async fn take_over(&self, owner: &ArtifactOwner) -> Result<TakenOver, TrackingError> {
        let (uri, folder) = self.places_of(owner).await?;
        let Some(location) = self.locations.find(&uri) else {
            return Ok(TakenOver::default());
        };
        if !location.is_taken_over() {
            return Ok(TakenOver::default());
        }
        let mut taken = TakenOver::default();
        let walking = Arc::clone(&location);
        let walked = run_blocking("listing artifacts that clients wrote", move || {
            walking.walk("", MOST_FILES)
        })
        .await?;
        let files = match walked {
            Ok(Some(walk)) => {
                let others = walk.passed_over.into_iter();
                taken
                    .passed_over
                    .extend(others.map(|path| format!("{path} (no file of its own)")));
                walk.files
            }
            Ok(None) => Vec::new(),
            Err(error @ (LocationError::TooMany { .. } | LocationError::Outside { .. })) => {
                taken.passed_over.push(format!("all ({error})"));
                Vec::new()
            }
            Err(error) => return Err(error.into()),
        };
        let on_record = self.list_on_record(&folder).await?;
        let is_new = |file: &FoundFile| {
            let path = format!("{folder}/{}", file.path);
            let known = self.lock_known().get(&path).cloned();
            let object = on_record.get(&path);
            !known.is_some_and(|(tag, known)| tag == file.tag && object == Some(&known))
        };
        let files: Vec<FoundFile> = files.into_iter().filter(is_new).collect();
        for group in groups(&files) {
            let group = Group {
                owner,
                location: &location,
                folder: &folder,
                files: group,
                on_record: &on_record,
            };
            self.take_over_group(group, &mut taken).await?;
        }
        self.note_passed_over(owner, &taken.passed_over).await?;
        Ok(taken)
    }

    /// Where clients write, and under which folder it is on record.
    async fn places_of(&self, owner: &ArtifactOwner) -> Result<(String, String), TrackingError> {
        Ok(match owner {
            ArtifactOwner::Run(id) => {
                let run = self.tracking.get_bare_run(id).await?;
                (run.artifact_uri.clone(), run.artifact_folder())
            }
            ArtifactOwner::Model(id) => {
                let model = self.tracking.get_model(id).await?.model;
                (model.artifact_uri.clone(), model.artifact_folder())
            }
        })
    }

    async fn list_on_record(
        &self,
        folder: &str,
    ) -> Result<BTreeMap<String, ObjectId>, TrackingError> {
        let artifacts = self.tracking.list_artifacts_below(folder).await?;
        let artifacts = artifacts.into_iter();
        Ok(artifacts
            .map(|artifact| (artifact.path, artifact.object))
            .collect())
    }

    async fn take_over_group(
        &self,
        group: Group<'_>,
        taken: &mut TakenOver,
    ) -> Result<(), TrackingError> {
        let Group {
            owner,
            location,
            folder,
            files,
            on_record,
        } = group;
        let (cas, location) = (self.tracking.cas().clone(), Arc::clone(location));
        let files = files.to_vec();
        let stored = run_blocking("storing artifacts that clients wrote", move || {
            store(&cas, location.as_ref(), &files)
        });
        let (stored, passed_over) = stored.await??;
        taken.passed_over.extend(passed_over);
        let mut changed = Vec::new();
        let mut read = Vec::new();
        for (file, object, size_bytes) in stored {
            let path = format!("{folder}/{}", file.path);
            if on_record.get(&path) != Some(&object) {
                taken.files += 1;
                taken.bytes += size_bytes;
                changed.push(Artifact {
                    path: path.clone(),
                    object,
                    size_bytes,
                });
            }
            read.push((path, (file.tag, object)));
        }
        // Reading took a while: files of what was removed meanwhile would be nobody's.
        self.places_of(owner).await?;
        self.tracking
            .commit_artifacts(&self.caller, "artifact.taken_over", changed)
            .await?;
        let mut known = self.lock_known();
        if known.len() + read.len() > KNOWN_MAX {
            known.clear();
        }
        known.extend(read);
        Ok(())
    }

    /// Says in a tag what could not be taken over, so that nobody takes the record for the whole.
    async fn note_passed_over(
        &self,
        owner: &ArtifactOwner,
        passed_over: &[String],
    ) -> Result<(), TrackingError> {
        let named = passed_over
            .iter()
            .take(NAMES_MAX)
            .cloned()
            .collect::<Vec<_>>();
        let mut text = format!("{}: {}", passed_over.len(), named.join(", "));
        if passed_over.len() > NAMES_MAX {
            text.push_str(", …");
        }
        let tags = match owner {
            ArtifactOwner::Run(id) => self.tracking.get_run(id).await?.tags,
            ArtifactOwner::Model(id) => self.tracking.get_model(id).await?.model.tags,
        };
        let before = tags.get(PASSED_OVER_TAG);
        let is_same = match before {
            None => passed_over.is_empty(),
            Some(before) => *before == text,
        };
        if is_same {
            return Ok(());
        }
        let tags = BTreeMap::from([(PASSED_OVER_TAG.to_owned(), text)]);
        let at = self.tracking.clock().now();
        let change = match owner {
            ArtifactOwner::Run(id) => Change::TagsSet {
                run: id.clone(),
                tags,
            },
            ArtifactOwner::Model(id) => Change::ModelTagsSet {
                model: id.clone(),
                tags,
                at,
            },
        };
        let writing = Writing {
            caller: &self.caller,
            at,
            kind: "artifact.passed_over",
            subjects: vec![owner.subject()],
        };
        match self.tracking.commit(writing, vec![change]).await {
            // Nothing is said of what is deleted.
            Err(TrackingError::RunDeleted { .. }) => Ok(()),
            other => other,
        }
    }

    fn lock_known(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, (String, ObjectId)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Some files of a folder.
struct Group<'a> {
    owner: &'a ArtifactOwner,
    location: &'a Arc<dyn Location>,
    /// Under which they are on record.
    folder: &'a str,
    files: &'a [FoundFile],
    on_record: &'a BTreeMap<String, ObjectId>,
}

/// Whose a note is.
enum Claim {
    /// This process's, as long as the file is open.
    Ours(File),
    /// Another's, which is about it.
    Others,
    /// There is none.
    Nothing,
}

fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match File::options().read(true).write(true).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether an open file is what stands at a path.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let (file, standing) = (file.metadata()?, fs::metadata(path));
    match standing {
        Ok(standing) => Ok((file.dev(), file.ino()) == (standing.dev(), standing.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

type Stored = (FoundFile, ObjectId, u64);

/// Stores files, durable at the end; names those that could not be read, with the reason.
fn store(
    cas: &Cas,
    location: &dyn Location,
    files: &[FoundFile],
) -> Result<(Vec<Stored>, Vec<String>), TrackingError> {
    let batch = cas.batch();
    let (mut stored, mut passed_over) = (Vec::new(), Vec::new());
    for file in files {
        match store_one(&batch, location, file)? {
            Ok(done) => stored.push(done),
            Err(reason) => passed_over.push(format!("{} ({reason})", file.path)),
        }
    }
    batch.commit()?;
    Ok((stored, passed_over))
}

/// Stores a file as it is at one moment; the inner error says why it cannot be read.
fn store_one(
    batch: &cas::Batch,
    location: &dyn Location,
    file: &FoundFile,
) -> Result<Result<Stored, String>, TrackingError> {
    let mut reason = String::new();
    for _ in 0..READINGS_MAX {
        let opened = match location.open(&file.path) {
            Ok(Found::File(opened)) => opened,
            Ok(_) => return Ok(Err("it went while it was looked at".to_owned())),
            Err(error @ (LocationError::Root { .. } | LocationError::Remote { .. })) => {
                return Err(error.into());
            }
            Err(error) => return Ok(Err(tell(&error))),
        };
        let (size_bytes, tag) = (opened.size_bytes(), opened.tag().to_owned());
        let mut reader = opened.read(0, size_bytes)?;
        match batch.put_reader(&mut reader) {
            Ok(put) => {
                let is_same = match location.open(&file.path) {
                    Ok(Found::File(again)) => again.tag() == tag,
                    _ => false,
                };
                if is_same {
                    let file = FoundFile {
                        tag,
                        ..file.clone()
                    };
                    return Ok(Ok((file, put.object, put.size_bytes)));
                }
                "it changed while it was read".clone_into(&mut reason);
            }
            // The reader failed, and the batch goes on.
            Err(CasError::Io { path, source, .. }) if path.as_os_str().is_empty() => {
                reason = source.to_string();
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Err(reason))
}

/// Files as they are named in one event each.
fn groups(files: &[FoundFile]) -> Vec<&[FoundFile]> {
    let mut groups = Vec::new();
    let (mut from, mut bytes) = (0, 0);
    for (at, file) in files.iter().enumerate() {
        let is_full = at - from >= GROUP_FILES || bytes >= GROUP_BYTES;
        if is_full {
            groups.push(&files[from..at]);
            (from, bytes) = (at, 0);
        }
        bytes += file.size_bytes;
    }
    if from < files.len() {
        groups.push(&files[from..]);
    }
    groups
}

async fn run_blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, TrackingError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| TrackingError::BrokenOff { what })
}

fn tell(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told.push_str(": ");
        told.push_str(&error.to_string());
        cause = error.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_grouped_by_number_and_size() {
        let file = |size_bytes| FoundFile {
            path: String::new(),
            size_bytes,
            tag: String::new(),
        };
        let lengths = |files: &[FoundFile]| -> Vec<usize> {
            groups(files).iter().map(|group| group.len()).collect()
        };
        assert!(lengths(&[]).is_empty());
        assert_eq!(lengths(&vec![file(1); 2500]), [1000, 1000, 500]);
        let large = file(GROUP_BYTES);
        let mixed = [large.clone(), file(1), file(2), large.clone(), large];
        assert_eq!(lengths(&mixed), [1, 3, 1]);
    }

    #[test]
    fn a_note_names_its_owner_and_nothing_else_is_one() {
        let run = ArtifactOwner::Run("0123456789abcdef".parse().unwrap());
        let model = ArtifactOwner::Model("m-1".parse().unwrap());
        for owner in [run, model] {
            assert_eq!(ArtifactOwner::parse(&owner.name()), Some(owner));
        }
        for name in ["", "run-", "run-../x", "other", ".x", "model-"] {
            assert_eq!(ArtifactOwner::parse(name), None, "{name}");
        }
    }
}
