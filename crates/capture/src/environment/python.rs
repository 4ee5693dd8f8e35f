//! The installed distributions of an interpreter: which there are, what is in them, which were imported.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use cas::Batch;
use entities::{Distribution, PythonEnvironment, RecordedPath, Sha256Digest, Timestamp};

use super::distribution::{Examined, Folder, examine, source_of, stamps};
use super::inventory::Inventory;
use super::listing::{self, Installed};
use super::paths::as_path;
use super::record::is_in_metadata;
use super::{PythonFacts, pylock};
use crate::CaptureError;

/// First line of what the digest of an environment is over; the number is the version of the definition.
const ENVIRONMENT_HEADER: &str = "reproof environment 1\n";

/// Hashing is bound by the disk beyond this, and `stat` by locks of the kernel.
const THREADS_MAX: usize = 8;

/// Describes the distributions that an interpreter finds.
pub(super) fn describe(
    facts: &PythonFacts,
    read_files: &BTreeSet<PathBuf>,
    inventory: &mut Inventory,
    now: Timestamp,
    batch: &Batch,
) -> Result<PythonEnvironment, CaptureError> {
    let installed: Vec<_> = facts
        .search_path
        .iter()
        .flat_map(|folder| listing::list(folder))
        .collect();
    let examined = examine_all(&installed, facts, inventory, now);
    let mut read = ReadFiles::new(facts, read_files);
    let mut distributions: BTreeMap<String, (Distribution, Examined)> = BTreeMap::new();
    for (installed, examined) in examined {
        let is_imported = read.take(&installed.folder, &examined) || read.has_source_of(&examined);
        // What comes first on the search path hides what comes later, and may be the older one.
        distributions
            .entry(examined.facts.name.clone())
            .or_insert_with(|| {
                let mut distribution = describe_one(&examined);
                distribution.is_imported = is_imported;
                (distribution, examined)
            });
    }
    for (distribution, examined) in distributions.values_mut() {
        let added = read.added_to(examined);
        distribution.modified_files.extend(added);
        distribution.modified_files.sort();
        distribution.modified_files.dedup();
    }
    let all: Vec<_> = distributions
        .values()
        .map(|(distribution, examined)| (distribution, &examined.facts))
        .collect();
    let pylock = batch.put(pylock::write(&facts.interpreter, &all).as_bytes())?;
    Ok(PythonEnvironment {
        pylock,
        content_digest: environment_digest(all.iter().map(|(distribution, _)| *distribution)),
        site_packages: facts.site_packages.iter().map(RecordedPath::new).collect(),
        distributions: distributions
            .into_values()
            .map(|(distribution, _)| distribution)
            .collect(),
    })
}

fn describe_one(examined: &Examined) -> Distribution {
    let facts = &examined.facts;
    Distribution {
        name: facts.name.clone(),
        version: facts.version.clone(),
        content_digest: facts.content_digest,
        is_imported: false,
        direct_url: facts
            .origin
            .as_ref()
            .map(super::origin::Origin::as_requirement),
        modified_files: facts.modified.clone(),
    }
}

fn environment_digest<'a>(distributions: impl Iterator<Item = &'a Distribution>) -> Sha256Digest {
    let mut text = ENVIRONMENT_HEADER.to_owned();
    for distribution in distributions {
        // Names and versions come from foreign metadata; as JSON they cannot pass for another line.
        let line = (
            &distribution.name,
            &distribution.version,
            distribution.content_digest,
        );
        text.push_str(&serde_json::to_string(&line).expect("texts have a JSON form"));
        text.push('\n');
    }
    Sha256Digest::of(text.as_bytes())
}

/// Looks at each distribution, or only at what `stat` says where it was looked at before, several at a time.
fn examine_all<'a>(
    installed: &'a [Installed],
    facts: &PythonFacts,
    inventory: &mut Inventory,
    now: Timestamp,
) -> Vec<(&'a Installed, Examined)> {
    let known = installed
        .iter()
        .map(|installed| inventory.find(&installed.metadata_path()));
    let slots: Vec<_> = known.map(|known| Mutex::new(Slot::Known(known))).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let (Some(slot), Some(installed)) = (slots.get(index), installed.get(index)) else {
                return;
            };
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            if let Slot::Known(known) = &mut *slot {
                *slot = Slot::Looked(look_at(installed, known.take(), facts, now));
            }
        }
    };
    let threads = std::thread::available_parallelism()
        .map_or(1, std::num::NonZero::get)
        .min(THREADS_MAX);
    std::thread::scope(|scope| {
        for _ in 1..threads.min(installed.len()) {
            scope.spawn(work);
        }
        work();
    });
    let mut all = Vec::with_capacity(installed.len());
    for (installed, slot) in installed.iter().zip(slots) {
        let path = installed.metadata_path();
        let Slot::Looked(looked) = slot.into_inner().unwrap_or_else(PoisonError::into_inner) else {
            continue;
        };
        match looked {
            Ok((examined, is_new)) => {
                if is_new {
                    inventory.note(&path, &examined);
                }
                all.push((installed, examined));
            }
            // Its folder was there when it was listed.
            Err(error) => tracing::warn!(path = %path.display(), %error, "a distribution vanished"),
        }
    }
    all
}

/// A distribution before and after it was looked at.
enum Slot {
    Known(Option<Examined>),
    /// With whether it is new.
    Looked(io::Result<(Examined, bool)>),
}

/// Tells also whether it had to be looked at anew.
fn look_at(
    installed: &Installed,
    known: Option<Examined>,
    facts: &PythonFacts,
    now: Timestamp,
) -> io::Result<(Examined, bool)> {
    if let Some(known) = known {
        let folder = Folder::open(installed.base())?;
        let (now_stamps, _) = stamps(&folder, &known.watched, &known.files, now);
        if now_stamps == known.stamps {
            return Ok((known, false));
        }
    }
    let holds_packages = facts.site_packages.contains(&installed.folder);
    Ok((examine(installed, holds_packages, now)?, true))
}

/// Files that a run read, by the folder of packages that they are in.
struct ReadFiles<'a> {
    all: &'a BTreeSet<PathBuf>,
    folders: BTreeMap<PathBuf, Folded>,
}

/// Files of one folder, compiled modules by their source.
struct Folded {
    files: BTreeSet<Vec<u8>>,
    /// Those that a distribution has listed.
    owned: BTreeSet<Vec<u8>>,
}

impl<'a> ReadFiles<'a> {
    fn new(facts: &PythonFacts, all: &'a BTreeSet<PathBuf>) -> Self {
        let folders = facts.search_path.iter().map(|folder| {
            // What was read is known by its real path.
            let real = folder.canonicalize().unwrap_or_else(|_| folder.clone());
            let inside = all
                .range(real.clone()..)
                .take_while(|path| path.starts_with(&real));
            let files = inside
                .filter_map(|path| path.strip_prefix(&real).ok())
                .map(|path| {
                    source_of(path)
                        .unwrap_or_else(|| path.to_owned())
                        .into_os_string()
                        .into_encoded_bytes()
                })
                .collect();
            (
                folder.clone(),
                Folded {
                    files,
                    owned: BTreeSet::new(),
                },
            )
        });
        Self {
            all,
            folders: folders.collect(),
        }
    }

    /// Tells whether a file of a distribution was read that is neither metadata nor read at every start.
    fn take(&mut self, folder: &Path, examined: &Examined) -> bool {
        let Some(folded) = self
            .folders
            .get_mut(folder)
            .filter(|folded| !folded.files.is_empty())
        else {
            return false;
        };
        let mut is_imported = false;
        for file in examined.files.iter() {
            if folded.files.contains(file.to_bytes()) {
                folded.owned.insert(file.to_bytes().to_vec());
                is_imported |= !is_in_metadata(as_path(file)) && !is_read_at_start(as_path(file));
            }
        }
        is_imported
    }

    /// Of an editable install, the code stands where it is developed.
    fn has_source_of(&self, examined: &Examined) -> bool {
        let Some(folder) = examined
            .facts
            .origin
            .as_ref()
            .and_then(super::origin::Origin::folder)
        else {
            return false;
        };
        let real = folder.canonicalize().unwrap_or(folder);
        let mut inside = self
            .all
            .range(real.clone()..)
            .take_while(|path| path.starts_with(&real));
        inside.any(|path| {
            let is_module = path
                .extension()
                .is_some_and(|extension| extension == "py" || extension == "so");
            is_module || source_of(path).is_some()
        })
    }

    /// Files that were read below a folder of a distribution and are none of its own, nor of another.
    fn added_to(&self, examined: &Examined) -> Vec<RecordedPath> {
        let unowned = self
            .folders
            .values()
            .flat_map(|folded| folded.files.difference(&folded.owned));
        let unowned: Vec<_> = unowned
            .map(|file| Path::new(OsStr::from_bytes(file)))
            .filter(|file| may_be_added(file))
            .collect();
        if unowned.is_empty() {
            return Vec::new();
        }
        let tops: BTreeSet<_> = examined
            .files
            .iter()
            .filter_map(|file| top_folder(as_path(file)))
            .collect();
        let is_added = |file: &&&Path| top_folder(file).is_some_and(|top| tops.contains(top));
        unowned
            .iter()
            .filter(is_added)
            .map(RecordedPath::new)
            .collect()
    }
}

/// Tools keep what they compiled beside the source.
fn may_be_added(file: &Path) -> bool {
    !is_in_metadata(file)
        && file
            .components()
            .all(|part| part.as_os_str() != "__pycache__")
}

/// `site` reads each of these whenever the interpreter starts.
fn is_read_at_start(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "pth") && file.components().count() == 1
}

/// The first folder of a path, if it is in one that is not metadata.
fn top_folder(file: &Path) -> Option<&Path> {
    let mut components = file.components();
    let first = components.next()?;
    let is_inside = components.next().is_some() && !is_in_metadata(file);
    is_inside.then(|| Path::new(first.as_os_str()))
}
