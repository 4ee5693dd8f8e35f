//! Paths as a command sees them, and where the bytes behind them really are.
//!
//! Both are the same, except in a replay, which shows a fresh directory at the recorded path.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use capture::trace::Bind;

/// Which folders a command sees at other paths than ours.
///
/// The deepest one that a path is in decides.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// What we see, by what the command sees.
    real: BTreeMap<PathBuf, PathBuf>,
    /// What the command sees, by what we see.
    seen: BTreeMap<PathBuf, PathBuf>,
}

impl View {
    /// Makes the view that mounts give.
    pub(crate) fn new(binds: &[Bind]) -> Self {
        let mut view = Self::default();
        for bind in binds {
            view.show(bind.source.clone(), bind.target.clone());
            for path in &bind.keeps {
                let kept = bind.target.join(path);
                view.show(kept.clone(), kept);
            }
        }
        view
    }

    fn show(&mut self, real: PathBuf, seen: PathBuf) {
        self.seen.insert(real.clone(), seen.clone());
        self.real.insert(seen, real);
    }

    /// Where we find what the command sees at a path.
    pub(crate) fn to_real(&self, seen: &Path) -> PathBuf {
        translate(&self.real, seen)
    }

    /// Whether the command sees two files in one mount, so that one can be renamed to the other.
    pub(crate) fn are_in_one_mount(&self, seen: &Path, other: &Path) -> bool {
        let mount = |path: &Path| {
            let mut folders = path.ancestors().skip(1);
            folders
                .find(|folder| self.real.contains_key(*folder))
                .map(Path::to_owned)
        };
        mount(seen) == mount(other)
    }

    /// Where the command sees what we find at a path.
    pub(crate) fn to_seen(&self, real: &Path) -> PathBuf {
        translate(&self.seen, real)
    }
}

fn translate(pairs: &BTreeMap<PathBuf, PathBuf>, path: &Path) -> PathBuf {
    for from in path.ancestors() {
        let Some(to) = pairs.get(from) else { continue };
        if let Ok(rest) = path.strip_prefix(from) {
            // Joining an empty rest would add a slash, which a file refuses.
            return if rest.as_os_str().is_empty() {
                to.clone()
            } else {
                to.join(rest)
            };
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_folder_that_fits_decides_both_ways() {
        let mut folder = Bind::new("/fresh/.staged/home", "/home");
        folder.keeps.insert("me".into());
        let view = View::new(&[
            folder,
            Bind::new("/fresh", "/project"),
            Bind::new("/cache/venv", "/project/.venv"),
            Bind::new("/fresh/.outside/home/me/in.csv", "/home/me/in.csv"),
        ]);
        for (seen, real) in [
            ("/project/a.csv", "/fresh/a.csv"),
            ("/project", "/fresh"),
            ("/project/.venv/bin/python", "/cache/venv/bin/python"),
            ("/projects/a", "/projects/a"),
            ("/home/new.bin", "/fresh/.staged/home/new.bin"),
            ("/home/me/file", "/home/me/file"),
            ("/home/me/in.csv", "/fresh/.outside/home/me/in.csv"),
            ("/usr/lib/x.so", "/usr/lib/x.so"),
        ] {
            assert_eq!(view.to_real(Path::new(seen)), Path::new(real));
            assert_eq!(view.to_seen(Path::new(real)), Path::new(seen));
        }
    }

    #[test]
    fn two_files_are_in_one_mount_where_the_same_bind_shows_both_or_none() {
        let mut folder = Bind::new("/fresh/.staged/out", "/out");
        folder.keeps.insert("kept".into());
        let view = View::new(&[folder, Bind::new("/fresh", "/project")]);
        let same =
            |seen: &str, other: &str| view.are_in_one_mount(Path::new(seen), Path::new(other));
        assert!(same("/out/a.new", "/out/a") && same("/project/x/a", "/project/a"));
        assert!(same("/tmp/a", "/var/a"));
        assert!(!same("/tmp/a", "/out/a") && !same("/out/a", "/project/a"));
        assert!(!same("/out/kept/a", "/out/a"));
    }
}
