//! Experiments of DVC: commits that refs of their own name, with params, metrics and outputs in their trees.
//!
//! *Source*: `dvc/repo/experiments/refs.py` and `dvc/repo/experiments/queue` of DVC 3.67.

mod cache;
mod declared;
mod digests;
mod found;
mod numbers;
mod reading;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use capture::CaptureError;
use capture::code::{CommittedFile, History};
use entities::{Artifact, Experiment, Lifecycle, Run, RunId};

use self::cache::Cache;
pub(crate) use self::cache::{CachedFile, Checked};
use self::found::{Found, State, find_all};
use self::reading::{Reading, View, Wanted, read};
use crate::artifacts::{FileOrigin, SourceFile, SourceFiles};
use crate::source::{Outline, RunPlace, SourceRun};
use crate::{MigrateError, NotTaken};

/// Longest file of a commit that is taken: git gives it whole.
const LONGEST_COMMITTED_BYTES: u64 = 256 << 20;

/// The folder by which a folder is the top of a project.
const MARK: &str = ".dvc";

/// Experiments of a project of DVC. The repository of git that it is in may have others.
pub(crate) struct DvcProject {
    history: Arc<History>,
    /// Its folder in the repository; empty where that is the top.
    project: String,
    cache: Cache,
    found: BTreeMap<RunId, Found>,
    experiment: Option<Experiment>,
    /// What cannot be read, each as a sentence.
    faults: Vec<String>,
    /// The experiment that was read last, which is asked for more than once in a row.
    last: Mutex<Option<(RunId, Arc<Reading>)>>,
    /// The files of the commit that was one's begin last: most began there.
    begin: Mutex<Option<(String, Arc<Tree>)>>,
}

/// Files of a commit by their paths in the repository.
type Tree = BTreeMap<String, CommittedFile>;

impl DvcProject {
    /// Looks for experiments in the repository that a folder is in. What is named as the cache is read, wherever it is.
    ///
    /// *Errors*: `Repository` if there is none, or it cannot be read; `NoDvcProject`; `NoExperiments`; `NoFolder`.
    pub(crate) fn open(folder: &Path, cache: Option<&Path>) -> Result<Self, MigrateError> {
        let path = || folder.display().to_string();
        if let Some(cache) = cache.filter(|cache| !cache.is_dir()) {
            return Err(MigrateError::NoFolder {
                path: cache.display().to_string(),
            });
        }
        let unread = |source| MigrateError::Repository {
            path: path(),
            source: Box::new(source),
        };
        let history = History::find(folder).map_err(unread)?;
        let no_project = || MigrateError::NoDvcProject { path: path() };
        let project = project_of(folder, history.folder()).ok_or_else(no_project)?;
        let (found, faults) = find_all(&history, &project).map_err(|error| unread(error.into()))?;
        if found.is_empty() && faults.is_empty() {
            return Err(MigrateError::NoExperiments { path: path() });
        }
        Ok(Self {
            cache: Cache::of(history.folder(), &project, cache),
            history: Arc::new(history),
            project,
            found,
            experiment: None,
            faults,
            last: Mutex::default(),
            begin: Mutex::default(),
        })
    }

    /// What the project is called.
    pub(crate) fn project(&self) -> String {
        let name = self.folder().file_name().map(ToOwned::to_owned);
        let name = name.map(|name| name.to_string_lossy().into_owned());
        name.unwrap_or_else(|| "DVC".to_owned())
    }

    pub(crate) fn put_into(&mut self, experiment: Experiment) {
        self.experiment = Some(experiment);
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.history.folder().join(&self.project)
    }

    /// Reads all but the runs; every experiment is read once to see whether it can be.
    pub(crate) fn outline(&self) -> Result<Outline, MigrateError> {
        let experiment = self.experiment()?;
        let mut outline = Outline {
            experiments: vec![experiment.clone()],
            unreadable: self.faults.clone(),
            ..Outline::default()
        };
        let mut left = |noun: &str, count| {
            *outline.left_behind.entry(noun.to_owned()).or_default() += count;
        };
        let mut runs: Vec<_> = self.found.iter().collect();
        runs.sort_by_key(|(id, found)| (found.detail.committed_at_s, (*id).clone()));
        for (id, found) in runs {
            let name = &found.name;
            let reading = match self.read(id, found) {
                Ok(Some(reading)) => reading,
                Ok(None) => {
                    left("experiments of other projects in the repository", 1);
                    continue;
                }
                Err(error) => {
                    let fault = format!("experiment `{name}`: {error}");
                    outline.unreadable.push(fault);
                    continue;
                }
            };
            for (noun, count) in &reading.others {
                left(noun, *count);
            }
            let faults = reading.faults.iter();
            let faults = faults.map(|why| format!("experiment `{name}`: {why}"));
            outline.unreadable.extend(faults);
            outline.runs.push(RunPlace {
                id: id.clone(),
                experiment: experiment.id.clone(),
                artifact_uri: String::new(),
                folder: None,
                has_event_files: false,
            });
        }
        Ok(outline)
    }

    /// Reads a run with everything that belongs to it.
    pub(crate) fn run(&self, id: &RunId) -> Result<SourceRun, MigrateError> {
        let (found, reading) = self.find(id)?;
        let at = found.time();
        let Reading {
            params,
            tags,
            points,
            datasets,
            ..
        } = reading.as_ref();
        Ok(SourceRun {
            run: Run {
                id: id.clone(),
                experiment: self.experiment()?.id.clone(),
                name: found.name.clone(),
                user: found.detail.author.clone(),
                status: found.status(),
                started_at: at,
                ended_at: (found.state != State::Waiting).then_some(at),
                lifecycle: Lifecycle::Active,
                artifact_uri: String::new(),
                parent: None,
                replay_of: None,
                process: None,
                is_interrupted: false,
                recipe: None,
                record: None,
            },
            params: params.clone(),
            tags: tags.clone().into_iter().chain(found.tags()).collect(),
            points: points.clone(),
            datasets: datasets.clone(),
            model_inputs: Vec::new(),
            model_outputs: Vec::new(),
        })
    }

    /// The files of a run by their paths in the project. The MD5 of those in the cache is checked, which reads them.
    pub(crate) fn files_of_run(&self, id: &RunId) -> Result<SourceFiles, MigrateError> {
        let (found, reading) = self.find(id)?;
        let mut files = SourceFiles::default();
        for (path, wanted) in &reading.files {
            let from = if Artifact::is_valid_path(path) {
                self.origin_of(path, wanted)
            } else {
                Err("its name cannot be that of an artifact")
            };
            match from {
                Ok(from) => files.files.push(SourceFile {
                    from,
                    path: path.clone(),
                }),
                Err(why) => files.not_taken.push(NotTaken {
                    path: format!("{}: {path}", found.name).into(),
                    why,
                }),
            }
        }
        Ok(files)
    }

    fn origin_of(&self, path: &str, wanted: &Wanted) -> Result<FileOrigin, &'static str> {
        match wanted {
            Wanted::Lost(why) => Err(why),
            Wanted::Cached(md5) => self.cache.find(md5).map(FileOrigin::Cached),
            Wanted::Committed(file) => match file.size_bytes {
                _ if file.is_link => Err("it is a link, which may lead anywhere"),
                _ if !file.is_exact => Err("its name cannot be that of an artifact"),
                None => Err("git has lost its content"),
                Some(LONGEST_COMMITTED_BYTES..) => {
                    Err("it has more than 256 MiB in git, which is not read")
                }
                Some(_) => Ok(FileOrigin::Committed {
                    history: Arc::clone(&self.history),
                    object: file.object.clone(),
                    path: path.to_owned(),
                }),
            },
        }
    }

    fn find(&self, id: &RunId) -> Result<(&Found, Arc<Reading>), MigrateError> {
        let missing = || MigrateError::Row {
            what: format!("run `{id}`"),
            why: "it was there a moment ago".to_owned(),
        };
        let found = self.found.get(id).ok_or_else(missing)?;
        let reading = self.read(id, found);
        let reading = reading.map_err(|source| MigrateError::Repository {
            path: self.folder().display().to_string(),
            source: Box::new(source.into()),
        })?;
        Ok((found, reading.ok_or_else(missing)?))
    }

    fn experiment(&self) -> Result<&Experiment, MigrateError> {
        self.experiment.as_ref().ok_or_else(|| MigrateError::Row {
            what: format!("project `{}`", self.project()),
            why: "no experiment was named for it".to_owned(),
        })
    }

    /// Reads an experiment; none where it is of another project in the repository.
    fn read(&self, id: &RunId, found: &Found) -> Result<Option<Arc<Reading>>, CaptureError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, reading)) = last.as_ref()
            && known == id
        {
            return Ok(Some(Arc::clone(reading)));
        }
        let tree = tree_of(&self.history, &found.commit)?;
        let before = self.begin_of(found);
        let projects = projects_in(&tree);
        if self.is_of_another(&tree, &before, &projects) {
            return Ok(None);
        }
        let own = |tree: &Tree| -> BTreeMap<String, CommittedFile> {
            let own = tree.iter().filter_map(|(path, file)| {
                let inside = inside(&self.project, path)?;
                let is_own =
                    projects.is_empty() || project_above(&projects, path) == Some(&self.project);
                let file = CommittedFile {
                    path: inside.to_owned(),
                    ..file.clone()
                };
                is_own.then(|| (inside.to_owned(), file))
            });
            own.collect()
        };
        let before = own(&before).into_iter();
        let view = View {
            history: &self.history,
            cache: &self.cache,
            found,
            committed: &own(&tree),
            before: &before.map(|(path, file)| (path, file.object)).collect(),
        };
        let reading = Arc::new(read(&view)?);
        *last = Some((id.clone(), Arc::clone(&reading)));
        Ok(Some(reading))
    }

    /// The files of the commit that an experiment began at; none where it is not there any more.
    fn begin_of(&self, found: &Found) -> Arc<Tree> {
        let id = &found.baseline;
        let mut begin = self.begin.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, tree)) = begin.as_ref()
            && known == id
        {
            return Arc::clone(tree);
        }
        let tree = match id.as_str() {
            "" => Tree::new(),
            id => tree_of(&self.history, id).unwrap_or_default(),
        };
        let tree = Arc::new(tree);
        *begin = Some((id.clone(), Arc::clone(&tree)));
        tree
    }

    /// Whether an experiment changed files of other projects, and none of this one.
    fn is_of_another(&self, tree: &Tree, before: &Tree, projects: &BTreeSet<String>) -> bool {
        if before.is_empty() {
            return false;
        }
        let object = |tree: &Tree, path: &str| tree.get(path).map(|file| file.object.clone());
        let paths: BTreeSet<&String> = tree.keys().chain(before.keys()).collect();
        let changed = paths.into_iter();
        let changed = changed.filter(|path| object(tree, path) != object(before, path));
        let (mut own, mut others) = (0_u64, 0_u64);
        for path in changed {
            match project_above(projects, path) {
                Some(project) if *project == self.project => own += 1,
                Some(_) => others += 1,
                None => {}
            }
        }
        own == 0 && others > 0
    }
}

fn tree_of(history: &History, commit: &str) -> Result<Tree, CaptureError> {
    let files = history.list_files(commit)?.into_iter();
    Ok(files.map(|file| (file.path.clone(), file)).collect())
}

/// The folder of the project that a folder is in, below that of the repository.
fn project_of(folder: &Path, repository: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let is_marked = |folder: &&Path| {
        let mark = folder.join(MARK).symlink_metadata();
        mark.is_ok_and(|mark| mark.is_dir())
    };
    let mut above = folder
        .ancestors()
        .take_while(|one| one.starts_with(repository));
    let project = above.find(is_marked)?;
    Some(project.strip_prefix(repository).ok()?.to_str()?.to_owned())
}

/// The folders of all projects of a commit.
fn projects_in(tree: &Tree) -> BTreeSet<String> {
    let settings = tree
        .keys()
        .filter_map(|path| path.strip_suffix(".dvc/config"));
    let folders = settings.filter(|above| above.is_empty() || above.ends_with('/'));
    folders
        .map(|above| above.trim_end_matches('/').to_owned())
        .collect()
}

/// The innermost project that a file is in.
fn project_above<'p>(projects: &'p BTreeSet<String>, path: &str) -> Option<&'p String> {
    let mut above = path;
    while let Some((folder, _)) = above.rsplit_once('/') {
        if let Some(project) = projects.get(folder) {
            return Some(project);
        }
        above = folder;
    }
    projects.get("")
}

/// A path below a folder.
fn inside<'p>(folder: &str, path: &'p str) -> Option<&'p str> {
    if folder.is_empty() {
        return Some(path);
    }
    path.strip_prefix(folder)?.strip_prefix('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_of_the_innermost_project() {
        let paths = [
            ".dvc/config",
            "in/.dvc/config",
            "x.dvc/config",
            "in/other/file",
        ];
        let tree = paths.map(|path| {
            let file = CommittedFile {
                path: path.to_owned(),
                is_exact: true,
                object: "aa".to_owned(),
                is_link: false,
                size_bytes: Some(1),
            };
            (path.to_owned(), file)
        });
        let projects = projects_in(&Tree::from(tree));
        assert_eq!(projects, ["", "in"].map(str::to_owned).into());
        for (path, project) in [
            ("in/other/file", "in"),
            ("in", ""),
            ("inside/x", ""),
            ("x", ""),
        ] {
            assert_eq!(
                project_above(&projects, path),
                Some(&project.to_owned()),
                "{path}"
            );
        }
        assert_eq!(project_above(&["in".to_owned()].into(), "x"), None);
    }

    #[test]
    fn a_path_is_told_from_the_project() {
        assert_eq!(inside("", "a/b"), Some("a/b"));
        assert_eq!(inside("a", "a/b"), Some("b"));
        assert_eq!(inside("a", "ab/c"), None);
    }
}
