//! Which distributions are in a folder, and what their metadata says.

use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::search::is_egg;
use crate::digests::open_regular;

/// A distribution as its folder shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Installed {
    /// The folder that is searched.
    pub(super) folder: PathBuf,
    /// Name of the metadata in it; of a zipped egg, none.
    pub(super) metadata: OsString,
    pub(super) form: Form,
}

/// How a distribution was installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `x-1.0.dist-info/`, from a wheel.
    DistInfo,
    /// `x.egg-info/`, or a file of that name.
    EggInfo,
    /// A zipped egg: one file that is searched itself.
    ZippedEgg,
}

/// Name and version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Normalised (PEP 503).
    pub(super) name: String,
    pub(super) version: String,
}

/// Metadata holds a long description; what is larger than this is something else.
const METADATA_BYTES_MAX: u64 = 4 << 20;

/// Larger lists of files are not read: half a million files is more than any distribution has.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// Lists the distributions of a folder in the order of their names.
pub(super) fn list(folder: &Path) -> Vec<Installed> {
    let installed = |metadata: OsString, form| Installed {
        folder: folder.to_owned(),
        metadata,
        form,
    };
    if is_egg(folder) {
        let is_unzipped = folder.is_dir();
        return vec![if is_unzipped {
            installed("EGG-INFO".into(), Form::EggInfo)
        } else {
            installed(OsString::new(), Form::ZippedEgg)
        }];
    }
    let Ok(entries) = folder.read_dir() else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    let forms = names.into_iter().filter_map(|name| {
        let bytes = name.as_bytes();
        // What pip renames to `~x` is half removed.
        let form = match bytes {
            [b'~', ..] => return None,
            _ if bytes.ends_with(b".dist-info") => Form::DistInfo,
            _ if bytes.ends_with(b".egg-info") => Form::EggInfo,
            _ => return None,
        };
        Some(installed(name, form))
    });
    forms.collect()
}

impl Installed {
    /// The metadata, or the zipped egg.
    pub(super) fn metadata_path(&self) -> PathBuf {
        match self.form {
            Form::ZippedEgg => self.folder.clone(),
            _ => self.folder.join(&self.metadata),
        }
    }

    /// The folder that paths of its files are relative to.
    pub(super) fn base(&self) -> &Path {
        match self.form {
            Form::ZippedEgg => self.folder.parent().unwrap_or(Path::new("/")),
            Form::DistInfo | Form::EggInfo => &self.folder,
        }
    }

    /// Names of the files in the folder by which it is seen that something changed.
    pub(super) fn watched(&self) -> Vec<PathBuf> {
        let names: &[&str] = match self.form {
            Form::DistInfo => &["RECORD", "METADATA", "direct_url.json", "WHEEL"],
            Form::EggInfo => &["PKG-INFO", "installed-files.txt", "top_level.txt"],
            // The one file is what counts.
            Form::ZippedEgg => return Vec::new(),
        };
        let inside = names
            .iter()
            .map(|name| Path::new(&self.metadata).join(name));
        // The metadata itself too: a file in place of a folder, or a folder to which files were added.
        std::iter::once(PathBuf::from(&self.metadata))
            .chain(inside)
            .collect()
    }

    /// Name and version, from the metadata or else from the name of its folder.
    pub(super) fn identity(&self) -> Identity {
        let text = match self.form {
            Form::DistInfo => self.read("METADATA", METADATA_BYTES_MAX),
            Form::EggInfo if self.metadata_path().is_dir() => {
                self.read("PKG-INFO", METADATA_BYTES_MAX)
            }
            Form::EggInfo => read_limited(&self.metadata_path(), METADATA_BYTES_MAX),
            Form::ZippedEgg => None,
        };
        let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
        let shown = self.metadata_path();
        let shown = match self.form {
            // The folder of an unzipped egg has the name.
            Form::EggInfo if self.metadata == "EGG-INFO" => self.folder.clone(),
            _ => shown,
        };
        let (name, version) = identity_of_name(shown.file_stem().unwrap_or_default());
        Identity {
            name: normalise(&header(&text, "Name").unwrap_or(name)),
            version: header(&text, "Version").unwrap_or(version),
        }
    }

    /// Reads a file of the metadata folder; none where it is missing or too large.
    pub(super) fn read(&self, name: &str, limit_bytes: u64) -> Option<Vec<u8>> {
        read_limited(&self.metadata_path().join(name), limit_bytes)
    }

    /// Reads a list of files of the metadata folder.
    pub(super) fn read_list(&self, name: &str) -> Option<Vec<u8>> {
        self.read(name, LIST_BYTES_MAX)
    }
}

fn read_limited(path: &Path, limit_bytes: u64) -> Option<Vec<u8>> {
    let file = open_regular(path).ok()?;
    let mut bytes = Vec::new();
    file.take(limit_bytes + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= limit_bytes).then_some(bytes)
}

/// A field of metadata. They end at the first empty line; what follows is the description.
fn header(text: &str, wanted: &str) -> Option<String> {
    let headers = text.lines().take_while(|line| !line.trim().is_empty());
    let mut values = headers.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(wanted)
            .then(|| value.trim().to_owned())
    });
    values.next().filter(|value| !value.is_empty())
}

/// `NAME-VERSION` and, for eggs, `-py3.11` after it.
fn identity_of_name(stem: &OsStr) -> (String, String) {
    let stem = stem.to_string_lossy();
    let mut parts = stem.split('-');
    let name = parts.next().unwrap_or_default().to_owned();
    let version = parts.next().unwrap_or_default().to_owned();
    (name, version)
}

/// PEP 503: small letters, and one `-` for each run of `-`, `_` and `.`.
pub(super) fn normalise(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for character in name.trim().chars() {
        if matches!(character, '-' | '_' | '.') {
            if !normal.ends_with('-') {
                normal.push('-');
            }
        } else {
            normal.extend(character.to_lowercase());
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_as_by_pep_503() {
        for (name, normal) in [
            ("Scikit_Learn", "scikit-learn"),
            ("a.-_b", "a-b"),
            ("ruamel.yaml", "ruamel-yaml"),
        ] {
            assert_eq!(normalise(name), normal);
        }
    }

    #[test]
    fn metadata_decides_and_the_name_of_the_folder_stands_in() {
        let folder = tempfile::tempdir().unwrap();
        let dist_info = folder.path().join("foo_bar-1.0.dist-info");
        std::fs::create_dir(&dist_info).unwrap();
        std::fs::create_dir(folder.path().join("~oo-2.dist-info")).unwrap();
        std::fs::write(
            folder.path().join("old-3-py3.11.egg-info"),
            "Metadata-Version: 1\n\nName: lie\n",
        )
        .unwrap();
        let identities = || {
            list(folder.path())
                .iter()
                .map(Installed::identity)
                .collect::<Vec<_>>()
        };
        let identity = |name: &str, version: &str| Identity {
            name: name.into(),
            version: version.into(),
        };
        assert_eq!(
            identities(),
            [identity("foo-bar", "1.0"), identity("old", "3")]
        );
        std::fs::write(
            dist_info.join("METADATA"),
            "name: Foo.Bar\nVersion:  1.0.post1 \n\nVersion: 9\n",
        )
        .unwrap();
        assert_eq!(identities()[0], identity("foo-bar", "1.0.post1"));
    }

    #[test]
    fn eggs_are_distributions_themselves() {
        let folder = tempfile::tempdir().unwrap();
        let zipped = folder.path().join("zip_egg-1.2-py3.11.egg");
        std::fs::write(&zipped, "PK").unwrap();
        let unzipped = folder.path().join("dir_egg-2.0-py3.11.egg");
        std::fs::create_dir_all(unzipped.join("EGG-INFO")).unwrap();
        let of = |egg: &Path| list(egg)[0].identity();
        assert_eq!(
            of(&zipped),
            Identity {
                name: "zip-egg".into(),
                version: "1.2".into()
            }
        );
        assert_eq!(
            of(&unzipped),
            Identity {
                name: "dir-egg".into(),
                version: "2.0".into()
            }
        );
    }

    #[test]
    fn metadata_that_is_no_file_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let dist_info = folder.path().join("x-1.dist-info");
        std::fs::create_dir(&dist_info).unwrap();
        std::os::unix::fs::symlink("/dev/zero", dist_info.join("METADATA")).unwrap();
        std::os::unix::fs::symlink("RECORD", dist_info.join("RECORD")).unwrap();
        let installed = &list(folder.path())[0];
        assert_eq!(
            installed.identity(),
            Identity {
                name: "x".into(),
                version: "1".into()
            }
        );
        assert_eq!(installed.read_list("RECORD"), None);
    }
}
