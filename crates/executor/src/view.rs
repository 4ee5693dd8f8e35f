//! Paths as a command sees them, and where the bytes behind them really are.
//!
//! Both are the same, except in a replay, which shows a fresh directory at the recorded path.

use std::path::{Path, PathBuf};

use capture::trace::Bind;

/// Which folders a command sees at other paths than ours.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// Pairs of the path that the command sees and the path that we see, the deepest first.
    shown: Vec<(PathBuf, PathBuf)>,
}

impl View {
    /// Makes the view that mounts give.
    pub(crate) fn new(binds: &[Bind]) -> Self {
        let mut shown: Vec<_> = binds
            .iter()
            .map(|bind| (bind.target.clone(), bind.source.clone()))
            .collect();
        shown.sort_by_key(|(seen, _)| std::cmp::Reverse(seen.components().count()));
        Self { shown }
    }

    /// Where we find what the command sees at a path.
    pub(crate) fn to_real(&self, seen: &Path) -> PathBuf {
        translate(
            self.shown
                .iter()
                .map(|(seen, real)| (seen.as_path(), real.as_path())),
            seen,
        )
    }

    /// Where the command sees what we find at a path.
    pub(crate) fn to_seen(&self, real: &Path) -> PathBuf {
        translate(
            self.shown
                .iter()
                .map(|(seen, real)| (real.as_path(), seen.as_path())),
            real,
        )
    }
}

fn translate<'a>(pairs: impl Iterator<Item = (&'a Path, &'a Path)>, path: &Path) -> PathBuf {
    for (from, to) in pairs {
        if let Ok(rest) = path.strip_prefix(from) {
            // Joining an empty rest would add a slash, which a file refuses.
            return if rest.as_os_str().is_empty() {
                to.to_owned()
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
        let bind = |source: &str, target: &str| Bind {
            source: source.into(),
            target: target.into(),
        };
        let view = View::new(&[
            bind("/fresh", "/project"),
            bind("/cache/venv", "/project/.venv"),
        ]);
        for (seen, real) in [
            ("/project/a.csv", "/fresh/a.csv"),
            ("/project", "/fresh"),
            ("/project/.venv/bin/python", "/cache/venv/bin/python"),
            ("/projects/a", "/projects/a"),
            ("/usr/lib/x.so", "/usr/lib/x.so"),
        ] {
            assert_eq!(view.to_real(Path::new(seen)), Path::new(real));
            assert_eq!(view.to_seen(Path::new(real)), Path::new(seen));
        }
    }
}
