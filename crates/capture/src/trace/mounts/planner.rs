//! From binds to the steps that make them.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::Step;
use crate::trace::error::BindFault;
use crate::trace::options::map_to_source;
use crate::trace::plan::to_c;
use crate::trace::{Bind, TraceError};

/// More neighbours than this are not recreated.
const NEIGHBOURS_MAX: usize = 20_000;

#[derive(Debug, Default)]
pub(super) struct Planner<'a> {
    binds: &'a [Bind],
    steps: Vec<Step>,
    slots: usize,
    /// Folders that are recreated in memory.
    rebuilt: BTreeSet<PathBuf>,
    /// What the steps make.
    made: BTreeSet<PathBuf>,
}

impl<'a> Planner<'a> {
    /// Steps, how many slots they use, and whether a folder is recreated in memory.
    pub(super) fn plan(binds: &'a [Bind]) -> Result<(Vec<Step>, usize, bool), TraceError> {
        let mut planner = Self {
            binds,
            ..Self::default()
        };
        planner.take_sources_and_put()?;
        Ok((planner.steps, planner.slots, !planner.rebuilt.is_empty()))
    }

    fn take_sources_and_put(&mut self) -> Result<(), TraceError> {
        let mut sources = Vec::new();
        // All sources first, and all that is kept: what is put somewhere may cover one.
        for bind in self.binds {
            let source = self.new_slot();
            self.steps.push(Step::Take {
                slot: source,
                path: c_path(&bind.source)?,
                is_read_only: bind.is_read_only,
            });
            let kept = if bind.keeps.is_empty() {
                None
            } else {
                Some(self.remember(&bind.target)?)
            };
            sources.push((source, kept));
        }
        for (index, (bind, (source, kept))) in self.binds.iter().zip(sources).enumerate() {
            self.make_target(index, bind)?;
            self.steps.push(Step::Put {
                slot: source,
                path: c_path(&bind.target)?,
            });
            for name in kept.iter().flat_map(|_| &bind.keeps) {
                let place = bind.target.join(name);
                let Ok(metadata) = place.symlink_metadata() else {
                    continue;
                };
                let shown = Shown {
                    kind: metadata.file_type(),
                    real: &place,
                    name,
                    is_read_only: metadata.is_file(),
                };
                self.show_again(&shown, kept.unwrap_or_default(), None, &place)?;
            }
        }
        Ok(())
    }

    fn remember(&mut self, folder: &Path) -> Result<usize, TraceError> {
        let slot = self.new_slot();
        self.steps.push(Step::Remember {
            slot,
            path: c_path(folder)?,
        });
        Ok(slot)
    }

    fn new_slot(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }

    /// Makes the place of the bind with this index, where it is missing.
    fn make_target(&mut self, index: usize, bind: &Bind) -> Result<(), TraceError> {
        if self.exists(index, &bind.target) {
            return Ok(());
        }
        let above = bind.target.ancestors().skip(1);
        let nearest = above
            .map(Path::to_owned)
            .find(|path| self.exists(index, path))
            .unwrap_or_else(|| PathBuf::from("/"));
        // In a folder that was put there the missing ones are made; in one that is only shown again they are not.
        let mut earlier = self.earlier(index).iter().rev();
        let covering = earlier
            .find_map(|earlier| Some((earlier, nearest.strip_prefix(&earlier.target).ok()?)));
        let is_bound = covering.is_some_and(|(earlier, inside)| !earlier.keeps(inside));
        let is_made = self.made.contains(&nearest) || self.rebuilt.contains(&nearest);
        if !is_bound && !is_made {
            self.rebuild(&nearest)
                .map_err(|cause| cause.of(&bind.target))?;
        }
        let missing: Vec<PathBuf> = bind
            .target
            .ancestors()
            .take_while(|path| *path != nearest)
            .map(Path::to_owned)
            .collect();
        let is_folder = fs::metadata(&bind.source).is_ok_and(|metadata| metadata.is_dir());
        for path in missing.into_iter().rev() {
            let c_form = c_path(&path)?;
            self.steps.push(if is_folder || path != bind.target {
                Step::MakeFolder { path: c_form }
            } else {
                Step::MakeFile { path: c_form }
            });
            self.made.insert(path);
        }
        Ok(())
    }

    fn earlier(&self, index: usize) -> &'a [Bind] {
        self.binds.get(..index).unwrap_or_default()
    }

    /// Whether something has this path in the view that the binds before this index make.
    fn exists(&self, index: usize, path: &Path) -> bool {
        self.made.contains(path) || fs::metadata(map_to_source(self.earlier(index), path)).is_ok()
    }

    /// Recreates a folder in memory.
    fn rebuild(&mut self, folder: &Path) -> Result<(), NotRebuilt> {
        let unlisted = |source| {
            NotRebuilt::Fault(BindFault::Unlisted {
                folder: folder.to_owned(),
                source,
            })
        };
        let metadata = fs::metadata(folder).map_err(unlisted)?;
        let entries = fs::read_dir(folder).map_err(unlisted)?;
        let mut entries: Vec<_> = entries.flatten().take(NEIGHBOURS_MAX + 1).collect();
        if entries.len() > NEIGHBOURS_MAX {
            return Err(NotRebuilt::Fault(BindFault::Crowded {
                folder: folder.to_owned(),
                limit: NEIGHBOURS_MAX,
            }));
        }
        entries.sort_by_key(fs::DirEntry::file_name);
        let is_root = folder == Path::new("/");
        let options = format!("mode={:o}", metadata.permissions().mode() & 0o7777);
        let options = CString::new(options).expect("digits hold no zero byte");
        let remembered = self.remember(folder)?;
        // The root cannot be covered, only left: the new one is put together on one of its folders.
        let base = entries
            .iter()
            .find(|entry| is_root && entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let (workshop, covered) = match base {
            Some(base) => {
                let slot = self.new_slot();
                self.steps.push(Step::Take {
                    slot,
                    path: c_path(&base.path())?,
                    is_read_only: false,
                });
                (base.path(), Some((base.file_name(), slot)))
            }
            None if is_root => return Err(unlisted(io::ErrorKind::NotFound.into())),
            None => (folder.to_owned(), None),
        };
        self.steps.push(Step::Cover {
            path: c_path(&workshop)?,
            options,
        });
        for entry in &entries {
            let (name, real) = (entry.file_name(), entry.path());
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let shown = Shown {
                kind,
                real: &real,
                name: Path::new(&name),
                is_read_only: false,
            };
            let own_slot = covered
                .as_ref()
                .filter(|(covered, _)| *covered == name)
                .map(|(_, slot)| *slot);
            self.show_again(&shown, remembered, own_slot, &workshop.join(&name))?;
        }
        if is_root {
            self.steps.push(Step::Enter {
                path: c_path(&workshop)?,
            });
        }
        self.rebuilt.insert(folder.to_owned());
        Ok(())
    }

    /// Shows something of a remembered folder again, or of a slot of its own where that is covered.
    fn show_again(
        &mut self,
        shown: &Shown<'_>,
        remembered: usize,
        own_slot: Option<usize>,
        path: &Path,
    ) -> Result<(), TraceError> {
        let path = c_path(path)?;
        if shown.kind.is_symlink() {
            if let Ok(text) = fs::read_link(shown.real) {
                self.steps.push(Step::MakeLink {
                    text: c_path(&text)?,
                    path,
                });
            }
            return Ok(());
        }
        let path_again = path.clone();
        self.steps.push(if shown.kind.is_dir() {
            Step::MakeFolder { path }
        } else {
            Step::MakeFile { path }
        });
        self.steps.push(match own_slot {
            Some(slot) => Step::Put {
                slot,
                path: path_again,
            },
            None => Step::Show {
                slot: remembered,
                name: c_path(shown.name)?,
                path: path_again,
                is_read_only: shown.is_read_only,
            },
        });
        Ok(())
    }
}

/// Something that is shown again.
struct Shown<'a> {
    kind: fs::FileType,
    /// Where it is.
    real: &'a Path,
    /// Its path in the remembered folder.
    name: &'a Path,
    /// Whether it cannot be written to.
    is_read_only: bool,
}

/// Why a folder was not recreated.
enum NotRebuilt {
    Fault(BindFault),
    Other(TraceError),
}

impl NotRebuilt {
    fn of(self, path: &Path) -> TraceError {
        match self {
            Self::Fault(source) => TraceError::NotShown {
                path: path.to_owned(),
                source,
            },
            Self::Other(error) => error,
        }
    }
}

impl From<TraceError> for NotRebuilt {
    fn from(error: TraceError) -> Self {
        Self::Other(error)
    }
}

fn c_path(path: &Path) -> Result<CString, TraceError> {
    to_c(path.as_os_str().to_owned())
}
