//! With real interpreters, and folders of packages as installers leave them.

#![expect(
    clippy::disallowed_methods,
    reason = "these tests start interpreters themselves"
)]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use base64::Engine as _;
use cas::{Cas, CasOptions};
use entities::{Clock, Distribution, RecordedPath, Timestamp};
use sha2::Digest as _;

use super::*;

mod distributions;
mod interpreters;

/// A time by which every file is old enough to be remembered.
struct Later;

impl Clock for Later {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(32_503_680_000_000)
    }
}

/// Folders of packages, made by hand.
struct World {
    folder: tempfile::TempDir,
    cas: Cas,
    batch: Batch,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (objects, temporary) = (folder.path().join("objects"), folder.path().join("tmp"));
        for folder in [&objects, &temporary] {
            fs::create_dir(folder).unwrap();
        }
        let cas = Cas::open(&objects, &temporary, CasOptions::default()).unwrap();
        let batch = cas.batch();
        Self { folder, cas, batch }
    }

    /// A probe with what earlier ones saved.
    fn probe(&self) -> Probe {
        let digests = DigestCache::open_with_clock(self.path("cache/digests"), Box::new(Later));
        Probe::new(&self.path("cache"), Arc::new(digests))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    fn site(&self, name: &str) -> Site {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        Site { path }
    }

    fn describe(&self, site: &Site, read: &[&str]) -> PythonEnvironment {
        self.describe_with(&self.probe(), site, read)
    }

    fn describe_with(&self, probe: &Probe, site: &Site, read: &[&str]) -> PythonEnvironment {
        let read = read.iter().map(|path| site.path.join(path)).collect();
        probe
            .python(&facts(&site.path), &read, &self.batch)
            .unwrap()
    }
}

/// One folder of packages.
struct Site {
    path: PathBuf,
}

impl Site {
    fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// Installs a distribution as pip does.
    fn install(&self, name: &str, files: &[(&str, &str)]) -> &Self {
        let metadata = format!("{name}-1.0.dist-info");
        let mut record = String::new();
        let mut add = |path: &str, content: &str| {
            self.write(path, content);
            let digest = base64::engine::general_purpose::URL_SAFE_NO_PAD
                .encode(sha2::Sha256::digest(content));
            let _ = writeln!(record, "\"{path}\",sha256={digest},{}", content.len());
        };
        for (path, content) in files {
            add(path, content);
        }
        add(
            &format!("{metadata}/METADATA"),
            &format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"),
        );
        add(
            &format!("{metadata}/WHEEL"),
            "Wheel-Version: 1.0\nTag: py3-none-any\n",
        );
        add(&format!("{metadata}/INSTALLER"), "pip\n");
        let _ = writeln!(
            record,
            "{metadata}/RECORD,,\n../../../bin/{name},sha256=AA,1"
        );
        self.write(&format!("{metadata}/RECORD"), record)
    }
}

fn facts(site: &Path) -> PythonFacts {
    let path = |text: &str| RecordedPath::new(text);
    PythonFacts {
        interpreter: Interpreter {
            implementation: "CPython".into(),
            version: "3.11.7".into(),
            build: String::new(),
            path: path("/v/bin/python"),
            binary: path("/v/bin/python3.11"),
            object: entities::ObjectId::of(b""),
            prefix: path("/v"),
            base_prefix: path("/usr"),
        },
        site_packages: vec![site.to_owned()],
        prefixes: Vec::new(),
        search_path: vec![site.to_owned()],
    }
}

fn find<'a>(environment: &'a PythonEnvironment, name: &str) -> &'a Distribution {
    environment
        .distributions
        .iter()
        .find(|distribution| distribution.name == name)
        .unwrap()
}

fn modified(environment: &PythonEnvironment, name: &str) -> Vec<String> {
    find(environment, name)
        .modified_files
        .iter()
        .map(ToString::to_string)
        .collect()
}
