//! Which Debian package a file belongs to, from dpkg's own lists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use entities::RecordedPath;

use super::cache::Answers;
use crate::digests::Stamp;

/// The packages of a system, read only when somebody asks for a file that is not known yet.
pub(super) struct Packages {
    dpkg: PathBuf,
    is_checked: bool,
    lists: Option<Lists>,
}

/// All lists in memory: a system has some hundred thousand files, in 20 MB of text.
struct Lists {
    /// Contents of `info/*.list` by the name of the package, with its architecture where it has several.
    lists: Vec<(String, Vec<u8>)>,
    /// Versions by name and architecture, and by name alone.
    versions: BTreeMap<String, String>,
}

/// Where files of packages may stand. Others need no look into the lists.
const ROOTS: &[&str] = &[
    "/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/opt", "/etc",
];

impl Packages {
    pub(super) fn system() -> Self {
        Self::at(Path::new("/var/lib/dpkg"))
    }

    fn at(dpkg: &Path) -> Self {
        Self {
            dpkg: dpkg.to_owned(),
            is_checked: false,
            lists: None,
        }
    }

    /// Tells the package and its version, such as `libc6 2.36-9+deb12u10`.
    pub(super) fn find(&mut self, path: &Path, answers: &mut Answers) -> Option<String> {
        // What pip installs below `/usr` is nobody's package.
        let is_of_system = ROOTS.iter().any(|root| path.starts_with(root));
        let is_of_pip = path
            .components()
            .any(|part| part.as_os_str() == "site-packages");
        if !is_of_system || is_of_pip {
            return None;
        }
        self.forget_if_changed(answers);
        let key = RecordedPath::new(path).as_str().to_owned();
        if let Some(known) = answers.contents.packages.get(&key) {
            return known.clone();
        }
        let lists = self.lists.get_or_insert_with(|| Lists::read(&self.dpkg));
        let found = spellings(path).iter().find_map(|path| lists.find(path));
        answers.change().packages.insert(key, found.clone());
        found
    }

    /// Every install, upgrade and removal writes the list of packages anew.
    fn forget_if_changed(&mut self, answers: &mut Answers) {
        if std::mem::replace(&mut self.is_checked, true) {
            return;
        }
        let stamp = self
            .dpkg
            .join("status")
            .metadata()
            .map(|metadata| hex::encode(Stamp::of(&metadata).key()));
        let stamp = stamp.unwrap_or_default();
        if answers.contents.dpkg_stamp != stamp {
            let contents = answers.change();
            contents.packages.clear();
            contents.dpkg_stamp = stamp;
        }
    }
}

/// A path as it may stand in a list: as it is, with its links followed, and without or with the `/usr`
/// that `/lib` became a link to.
fn spellings(path: &Path) -> Vec<PathBuf> {
    let mut spellings = BTreeSet::from([path.to_owned()]);
    spellings.extend(path.canonicalize());
    let merged: Vec<_> = spellings
        .iter()
        .filter_map(|path| path.strip_prefix("/usr").ok())
        .map(|rest| Path::new("/").join(rest))
        .collect();
    let split = spellings.iter().filter(|path| !path.starts_with("/usr"));
    let split: Vec<_> = split
        .filter_map(|path| path.strip_prefix("/").ok())
        .map(|rest| Path::new("/usr").join(rest))
        .collect();
    spellings.extend(merged);
    spellings.extend(split);
    spellings.into_iter().collect()
}

impl Lists {
    fn read(dpkg: &Path) -> Self {
        let status = fs::read(dpkg.join("status")).unwrap_or_default();
        let entries = fs::read_dir(dpkg.join("info"))
            .into_iter()
            .flatten()
            .flatten();
        let mut lists: Vec<_> = entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let package = name.strip_suffix(".list")?.to_owned();
                Some((package, fs::read(entry.path()).ok()?))
            })
            .collect();
        lists.sort();
        Self {
            lists,
            versions: versions(&String::from_utf8_lossy(&status)),
        }
    }

    fn find(&self, path: &Path) -> Option<String> {
        let path = path.as_os_str().as_bytes();
        // Directories are in the lists of all packages that have files in them; a library is in one.
        let (package, _) = self.lists.iter().find(|(_, list)| has_line(list, path))?;
        let name = package.split(':').next().unwrap_or(package);
        let version = self
            .versions
            .get(package)
            .or_else(|| self.versions.get(name));
        Some(match version {
            Some(version) => format!("{name} {version}"),
            None => name.to_owned(),
        })
    }
}

fn has_line(list: &[u8], wanted: &[u8]) -> bool {
    list.split(|&byte| byte == b'\n').any(|line| line == wanted)
}

/// Versions from dpkg's list of packages, by `NAME` and by `NAME:ARCHITECTURE`.
fn versions(status: &str) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for stanza in status.split("\n\n") {
        let field = |name: &str| {
            let lines = stanza.lines().filter_map(|line| line.split_once(':'));
            let mut values = lines.filter(|(key, _)| *key == name);
            values.next().map(|(_, value)| value.trim().to_owned())
        };
        let (Some(name), Some(version)) = (field("Package"), field("Version")) else {
            continue;
        };
        if let Some(architecture) = field("Architecture") {
            versions.insert(format!("{name}:{architecture}"), version.clone());
        }
        versions.insert(name, version);
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system() -> tempfile::TempDir {
        let dpkg = tempfile::tempdir().unwrap();
        fs::create_dir(dpkg.path().join("info")).unwrap();
        let list =
            |name: &str, text: &str| fs::write(dpkg.path().join("info").join(name), text).unwrap();
        list("libc6:amd64.list", "/.\n/lib\n/lib/x/libnone.so.6\n");
        list("other.list", "/usr/lib/x/libother.so\n");
        list("other.md5sums", "/usr/lib/x/libwrong.so\n");
        let status = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\n\n\
            Package: libc6\nArchitecture: i386\nVersion: 1.0\n\nPackage: other\nVersion: 3:1.0\nDescription: x\n Version: 9\n";
        fs::write(dpkg.path().join("status"), status).unwrap();
        dpkg
    }

    #[test]
    fn files_are_found_in_the_lists_on_either_side_of_the_merge_of_usr() {
        let dpkg = system();
        let mut answers = Answers::open(dpkg.path().join("answers"));
        let mut packages = Packages::at(dpkg.path());
        let mut find = |path: &str| packages.find(Path::new(path), &mut answers);
        assert_eq!(
            find("/usr/lib/x/libnone.so.6").as_deref(),
            Some("libc6 2.36-9")
        );
        assert_eq!(find("/lib/x/libother.so").as_deref(), Some("other 3:1.0"));
        assert_eq!(find("/usr/lib/x/libwrong.so"), None);
        assert_eq!(find("/usr/lib/x/libother"), None);
        assert_eq!(find("/home/u/libother.so"), None);
        assert_eq!(find("/usr/lib/site-packages/x.so"), None);
    }

    #[test]
    fn answers_hold_until_packages_change() {
        let dpkg = system();
        let mut answers = Answers::open(dpkg.path().join("answers"));
        let path = Path::new("/usr/lib/x/libother.so");
        Packages::at(dpkg.path()).find(path, &mut answers);
        fs::remove_dir_all(dpkg.path().join("info")).unwrap();
        assert!(Packages::at(dpkg.path()).find(path, &mut answers).is_some());
        fs::write(dpkg.path().join("status"), "").unwrap();
        assert_eq!(Packages::at(dpkg.path()).find(path, &mut answers), None);
    }

    #[test]
    fn this_system_knows_its_c_library_if_it_has_packages() {
        if !Path::new("/var/lib/dpkg/status").exists() {
            println!("skipped: this system has no Debian packages");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut answers = Answers::open(folder.path().join("answers"));
        let candidates = [
            "/usr/lib/x86_64-linux-gnu/libc.so.6",
            "/usr/lib/aarch64-linux-gnu/libc.so.6",
        ];
        let Some(path) = candidates.iter().map(Path::new).find(|path| path.exists()) else {
            println!("skipped: the C library is somewhere else");
            return;
        };
        let package = Packages::system().find(path, &mut answers).unwrap();
        assert!(package.starts_with("libc6 2."), "{package}");
    }
}
