//! What a traced command is started with.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use entities::Clock;

use super::MethodChoice;

/// What a traced command is started with.
#[derive(Clone)]
pub struct TraceOptions {
    /// The command and its arguments; without a `/` the first is looked up in the `PATH` of `environment`.
    pub command: Vec<OsString>,
    /// Where to start it, as the command sees it.
    pub working_directory: PathBuf,
    /// The whole environment of the command; `REPROOF_SUPERVISOR` is read from it and set in it.
    pub environment: Vec<(OsString, OsString)>,
    /// How to observe.
    pub choice: MethodChoice,
    /// Whether descendants that outlive the command are ended instead of waited for.
    pub ends_orphans: bool,
    /// Folders and files to show at other places; later ones cover earlier ones.
    /// Where one of them cannot be shown, the command is not started, except that what is shown again at its own place
    /// may be gone by then.
    pub binds: Vec<Bind>,
    /// What `Method::Scan` looks at.
    pub scan: ScanScope,
    /// File to give as standard input; without one the command is given ours.
    pub stdin: Option<PathBuf>,
    /// File that takes a copy of standard output, and of the terminal where the command has one.
    pub stdout: PathBuf,
    /// File that takes a copy of standard error where it is not the same terminal as standard output.
    pub stderr: PathBuf,
    /// How often CPU and memory are sampled; 0 for never.
    pub sample_interval_ms: u64,
    /// Gives samples their time.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for TraceOptions {
    /// Leaves out the environment, which may hold secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TraceOptions")
            .field("command", &self.command)
            .field("working_directory", &self.working_directory)
            .field("choice", &self.choice)
            .field("binds", &self.binds)
            .finish_non_exhaustive()
    }
}

/// A file or folder that the command sees at another place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// Where it really is.
    pub source: PathBuf,
    /// Where the command sees it.
    pub target: PathBuf,
    /// Paths in the target whose present content is shown all the same, each on an empty file or folder in the source.
    /// Such a file cannot be written to (from Linux 5.12 on); what is in such a folder is as it always is.
    ///
    /// Not after a bind whose target has to be recreated in the root folder, which makes the command another root.
    pub keeps: BTreeSet<PathBuf>,
    /// Whether the command may only read what is shown (from Linux 5.12 on).
    pub is_read_only: bool,
}

impl Bind {
    /// Shows a source at a target, and nothing of what it covers.
    pub fn new(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self {
            source: source.into(),
            target: target.into(),
            keeps: BTreeSet::new(),
            is_read_only: false,
        }
    }

    /// Shows a source that the command may only read.
    pub fn read_only(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self {
            is_read_only: true,
            ..Self::new(source, target)
        }
    }

    /// Whether a path in the target still means what is there outside.
    pub fn keeps(&self, inside: &Path) -> bool {
        inside.ancestors().any(|path| self.keeps.contains(path))
    }
}

/// What a scan looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanScope {
    /// Folders, each with everything below it.
    pub roots: Vec<PathBuf>,
    /// What is left out, with everything below it.
    pub excludes: Vec<PathBuf>,
}

/// Maps a path of the command's view back to where it really is.
pub(super) fn map_to_source(binds: &[Bind], path: &Path) -> PathBuf {
    let covering = binds
        .iter()
        .rev()
        .find(|bind| path.starts_with(&bind.target));
    match covering.and_then(|bind| Some((bind, path.strip_prefix(&bind.target).ok()?))) {
        Some((bind, rest)) if rest.as_os_str().is_empty() => bind.source.clone(),
        Some((bind, rest)) if bind.keeps(rest) => path.to_owned(),
        Some((bind, rest)) => bind.source.join(rest),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bind_that_covers_a_path_counts_and_not_what_it_keeps() {
        let mut binds = [Bind::new("/s/a", "/p"), Bind::new("/s/b", "/p/data")];
        binds[1].keeps.insert(PathBuf::from("own/x"));
        let cases = [
            ("/p", "/s/a"),
            ("/p/x", "/s/a/x"),
            ("/p/data", "/s/b"),
            ("/p/data/y", "/s/b/y"),
            ("/p/data/own", "/s/b/own"),
            ("/p/data/own/x", "/p/data/own/x"),
            ("/p/data/own/x/z", "/p/data/own/x/z"),
            ("/p/data/own/xz", "/s/b/own/xz"),
            ("/pq", "/pq"),
            ("/", "/"),
        ];
        for (seen, real) in cases {
            assert_eq!(map_to_source(&binds, Path::new(seen)), Path::new(real));
        }
    }
}
