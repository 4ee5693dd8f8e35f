//! With real repositories.

#![expect(
    clippy::disallowed_methods,
    reason = "these tests start git themselves"
)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use cas::CasOptions;
use entities::NotKeptReason;

use super::*;

mod attacks;
mod files;
mod history;
mod repositories;

/// A project in a folder of its own, outside of any repository.
struct Project {
    folder: tempfile::TempDir,
    root: PathBuf,
    cas: Cas,
    batch: Batch,
    digests: DigestCache,
    made: MadeFiles,
    size_limit_bytes: u64,
    code_file_limit_bytes: u64,
}

impl Project {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("project");
        fs::create_dir(&root).unwrap();
        let (objects, temporary) = (folder.path().join("objects"), folder.path().join("tmp"));
        for folder in [&objects, &temporary] {
            fs::create_dir(folder).unwrap();
        }
        let cas = Cas::open(&objects, &temporary, CasOptions::default()).unwrap();
        let digests = DigestCache::open(folder.path().join("digests"));
        let made = MadeFiles::open(folder.path().join("made"));
        let batch = cas.batch();
        let root = root.canonicalize().unwrap();
        Self {
            folder,
            root,
            cas,
            batch,
            digests,
            made,
            size_limit_bytes: 1 << 30,
            code_file_limit_bytes: 1 << 20,
        }
    }

    fn with_git() -> Self {
        let project = Self::new();
        project.git(&["init", "-q", "-b", "main"]);
        project
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn git(&self, arguments: &[&str]) -> String {
        git_in(&self.root, arguments)
    }

    fn commit_all(&self) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "c"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn capture(&self) -> CapturedCode {
        self.capture_at(&self.root)
    }

    fn capture_at(&self, root: &Path) -> CapturedCode {
        let redaction = Redaction::new(&[], &["vault/".to_owned()], [1; 32]);
        capture_code(CodeRequest {
            root,
            store_directory: &root.join(".reproof"),
            batch: &self.batch,
            redaction: &redaction,
            digests: &self.digests,
            made: &self.made,
            cas: &self.cas,
            size_limit_bytes: self.size_limit_bytes,
            code_file_limit_bytes: self.code_file_limit_bytes,
        })
        .unwrap()
    }

    fn object(&self, id: ObjectId) -> Vec<u8> {
        self.batch.flush().unwrap();
        self.cas.read(&id).unwrap()
    }

    fn patch(&self, code: &CapturedCode) -> String {
        let patch = code.git.as_ref().unwrap().patch.unwrap();
        String::from_utf8_lossy(&self.object(patch)).into_owned()
    }
}

fn git_in(folder: &Path, arguments: &[&str]) -> String {
    let answer = Command::new("git")
        .current_dir(folder)
        .args([
            "-c",
            "user.name=n",
            "-c",
            "user.email=e@x",
            "-c",
            "protocol.file.allow=always",
        ])
        .args(["-c", "commit.gpgsign=false"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(
        answer.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&answer.stderr)
    );
    String::from_utf8(answer.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

fn names(code: &CapturedCode) -> Vec<&str> {
    code.files
        .keys()
        .map(|path| path.to_str().unwrap())
        .collect()
}

fn missing(code: &CapturedCode) -> Vec<(&str, NotKeptReason)> {
    code.not_kept
        .iter()
        .map(|missing| (missing.path.as_str(), missing.reason))
        .collect()
}

fn git_of(code: &CapturedCode) -> &GitState {
    code.git.as_ref().unwrap()
}

fn make_fifo(path: &Path) {
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
}
