//! Where an interpreter finds packages.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::interpreter::Known;
use super::{PythonFacts, find_variable};
use crate::digests::open_regular;

/// A `.pth` file of a few lines; a megabyte is somebody's mistake.
const PTH_BYTES_MAX: u64 = 1 << 20;

/// Files by which a folder says that it is somebody's project and no place of installed packages.
const PROJECT_FILES: &[&str] = &[
    ".git",
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "reproof.toml",
];

/// Adds the search path that follows from variables and `.pth` files.
pub(super) fn facts(
    known: Known,
    environment: &[(OsString, OsString)],
    working_directory: &Path,
) -> PythonFacts {
    let Known {
        interpreter,
        site,
        user_site,
        library,
        ..
    } = known;
    let is_user_site_off =
        find_variable(environment, "PYTHONNOUSERSITE").is_some_and(|value| !value.is_empty());
    let user_site = user_site.filter(|_| !is_user_site_off);
    let sites: Vec<_> = user_site
        .iter()
        .chain(&site)
        .map(entities::RecordedPath::to_path)
        .collect();
    let mut folders = Folders::default();
    for folder in python_path(environment, working_directory) {
        folders.add(folder);
    }
    for site in &sites {
        folders.add(site.clone());
        for folder in lines_of_pth_files(site) {
            folders.add(folder);
        }
    }
    let search_path = folders.list;
    let holds_packages =
        |folder: &&PathBuf| sites.contains(folder) || is_target_of_installs(folder);
    let mut prefixes = vec![
        interpreter.prefix.to_path(),
        interpreter.base_prefix.to_path(),
    ];
    prefixes.extend(library.iter().map(entities::RecordedPath::to_path));
    prefixes.dedup();
    PythonFacts {
        interpreter,
        site_packages: search_path.iter().filter(holds_packages).cloned().collect(),
        prefixes,
        search_path,
    }
}

/// Folders that exist, each once, in order.
#[derive(Default)]
struct Folders {
    list: Vec<PathBuf>,
    seen: BTreeSet<PathBuf>,
}

impl Folders {
    fn add(&mut self, folder: PathBuf) {
        // A zipped egg is a file and a place to search.
        let Ok(real) = folder.canonicalize() else {
            return;
        };
        let is_place = real.is_dir() || is_egg(&folder);
        if is_place && self.seen.insert(real) {
            self.list.push(folder);
        }
    }
}

pub(super) fn is_egg(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("egg"))
}

fn python_path(environment: &[(OsString, OsString)], working_directory: &Path) -> Vec<PathBuf> {
    let Some(value) = find_variable(environment, "PYTHONPATH").filter(|value| !value.is_empty())
    else {
        return Vec::new();
    };
    std::env::split_paths(value)
        .map(|folder| working_directory.join(folder))
        .collect()
}

/// Paths that the `.pth` files of a folder add. Lines of code in them are not followed.
fn lines_of_pth_files(site: &Path) -> Vec<PathBuf> {
    let Ok(entries) = site.read_dir() else {
        return Vec::new();
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    let mut names: Vec<_> = names.filter(|name| is_pth(name)).collect();
    names.sort();
    let mut paths = Vec::new();
    for name in names {
        let mut bytes = Vec::new();
        let read = open_regular(&site.join(&name))
            .and_then(|file| file.take(PTH_BYTES_MAX).read_to_end(&mut bytes));
        if read.is_ok() {
            paths.extend(paths_of_pth(&bytes).map(|path| site.join(path)));
        }
    }
    paths
}

fn is_pth(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    bytes.ends_with(b".pth") && !bytes.starts_with(b".")
}

fn paths_of_pth(bytes: &[u8]) -> impl Iterator<Item = &Path> {
    let lines = bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    lines.filter_map(|line| {
        let is_code = line.starts_with(b"import ") || line.starts_with(b"import\t");
        let is_path = !line.is_empty() && !line.starts_with(b"#") && !is_code && !line.contains(&0);
        is_path.then(|| Path::new(OsStr::from_bytes(line)))
    })
}

/// Whether packages were installed into a folder (`pip install --target`) that is not somebody's project as well.
fn is_target_of_installs(folder: &Path) -> bool {
    if PROJECT_FILES
        .iter()
        .any(|name| folder.join(name).symlink_metadata().is_ok())
    {
        return false;
    }
    let Ok(entries) = folder.read_dir() else {
        return false;
    };
    let mut names = entries.flatten().map(|entry| entry.file_name());
    names.any(|name| {
        name.as_bytes().ends_with(b".dist-info") && folder.join(&name).join("RECORD").is_file()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_pth_files_are_taken() {
        let bytes = b"# comment\n/abs\n rel \nimport evil; evil()\nimport\tx\n\n\0\nlast";
        let paths: Vec<_> = paths_of_pth(bytes).collect();
        assert_eq!(paths, ["/abs", "rel", "last"].map(Path::new));
    }

    #[test]
    fn a_pth_file_that_is_none_is_passed_over() {
        let site = tempfile::tempdir().unwrap();
        let fifo = site.path().join("a.pth");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        std::os::unix::fs::symlink("b.pth", site.path().join("b.pth")).unwrap();
        std::fs::create_dir(site.path().join("c.pth")).unwrap();
        std::fs::write(site.path().join("d.pth"), "here\n").unwrap();
        assert_eq!(lines_of_pth_files(site.path()), [site.path().join("here")]);
    }

    #[test]
    fn a_project_is_no_place_of_packages_even_with_packages_in_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("x-1.dist-info")).unwrap();
        assert!(!is_target_of_installs(folder.path()));
        std::fs::write(folder.path().join("x-1.dist-info/RECORD"), "").unwrap();
        assert!(is_target_of_installs(folder.path()));
        std::fs::write(folder.path().join("pyproject.toml"), "").unwrap();
        assert!(!is_target_of_installs(folder.path()));
    }

    #[test]
    fn python_path_is_relative_to_where_the_command_started() {
        let environment = [("PYTHONPATH".into(), "src:/abs".into())];
        assert_eq!(
            python_path(&environment, Path::new("/p")),
            ["/p/src", "/abs"].map(PathBuf::from)
        );
    }
}
