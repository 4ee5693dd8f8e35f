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

/// A project in a folder of its own, outside of any repository.
struct Project {
    folder: tempfile::TempDir,
    root: PathBuf,
    cas: Cas,
    batch: Batch,
    digests: DigestCache,
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
        let batch = cas.batch();
        let root = root.canonicalize().unwrap();
        Self {
            folder,
            root,
            cas,
            batch,
            digests,
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

#[test]
fn a_clean_checkout_is_its_commit() {
    let project = Project::with_git();
    project
        .write("train.py", "print(1)")
        .write("src/model.py", "x")
        .write(".gitignore", "*.csv\n");
    let commit = project.commit_all();
    project.write("data.csv", "1,2");
    let code = project.capture();
    assert_eq!(names(&code), [".gitignore", "src/model.py", "train.py"]);
    let expected = GitState {
        commit: Some(commit),
        branch: Some("main".into()),
        ..GitState::default()
    };
    assert_eq!(code.git, Some(expected));
    assert_eq!(missing(&code), []);
    let train = code.files[Path::new("train.py")];
    assert_eq!(
        (train.object, train.size_bytes, train.kind),
        (ObjectId::of(b"print(1)"), 8, EntryKind::File)
    );
    assert_eq!(project.object(train.object), b"print(1)");
}

#[test]
fn changes_are_in_the_tree_and_in_the_patch() {
    let project = Project::with_git();
    project
        .write("a.py", "one\n")
        .write("b.py", "b\n")
        .write("gone.py", "g\n")
        .write("bin.dat", b"\0\x01");
    project.commit_all();
    project
        .write("a.py", "two\n")
        .write("new.py", "n\n")
        .write("bin.dat", b"\0\x02");
    fs::remove_file(project.root.join("gone.py")).unwrap();
    fs::rename(project.root.join("b.py"), project.root.join("c.py")).unwrap();
    let code = project.capture();
    assert_eq!(names(&code), ["a.py", "bin.dat", "c.py", "new.py"]);
    assert!(git_of(&code).is_dirty);
    let patch = project.patch(&code);
    for part in [
        "-one\n+two",
        "deleted file mode 100644",
        "GIT binary patch",
        "a/gone.py",
        "a/b.py",
    ] {
        assert!(patch.contains(part), "{part} is not in {patch}");
    }
    let fresh = project.folder.path().join("fresh");
    project.git(&["clone", "-q", ".", fresh.to_str().unwrap()]);
    fs::write(
        project.folder.path().join("p"),
        project.object(git_of(&code).patch.unwrap()),
    )
    .unwrap();
    git_in(&fresh, &["apply", "../p"]);
    assert_eq!(fs::read(fresh.join("bin.dat")).unwrap(), b"\0\x02");
}

#[test]
fn staged_and_renamed_files_are_in_the_patch_too() {
    let project = Project::with_git();
    project.write("a.py", "one\n");
    project.commit_all();
    project.git(&["mv", "a.py", "b.py"]);
    project.write("staged.py", "s\n");
    project.git(&["add", "staged.py"]);
    let code = project.capture();
    assert_eq!(names(&code), ["b.py", "staged.py"]);
    let patch = project.patch(&code);
    for part in ["a/a.py", "b/b.py", "b/staged.py"] {
        assert!(patch.contains(part), "{part} is not in {patch}");
    }
}

#[test]
fn a_file_that_was_only_touched_is_no_change() {
    let project = Project::with_git();
    project.write("a.py", "one\n");
    project.commit_all();
    let index = fs::read(project.root.join(".git/index")).unwrap();
    project.write("a.py", "one\n");
    let code = project.capture();
    assert!(!git_of(&code).is_dirty);
    assert_eq!(git_of(&code).patch, None);
    assert_eq!(
        fs::read(project.root.join(".git/index")).unwrap(),
        index,
        "the index was written"
    );
}

#[test]
fn an_unborn_branch_has_files_and_no_commit() {
    let project = Project::with_git();
    project.write("train.py", "x");
    let code = project.capture();
    assert_eq!(names(&code), ["train.py"]);
    let git = git_of(&code);
    assert_eq!(
        (git.commit.as_deref(), git.branch.as_deref(), git.is_dirty),
        (None, Some("main"), true)
    );
    project.git(&["add", "train.py"]);
    assert_eq!(project.capture(), code);
}

#[test]
fn a_detached_head_has_no_branch() {
    let project = Project::with_git();
    project.write("a", "1");
    let commit = project.commit_all();
    project.git(&["checkout", "-q", "--detach"]);
    let code = project.capture();
    assert_eq!(
        (git_of(&code).commit.as_ref(), &git_of(&code).branch),
        (Some(&commit), &None)
    );
}

#[test]
fn a_worktree_is_a_checkout() {
    let project = Project::with_git();
    project.write("a.py", "1");
    let commit = project.commit_all();
    let other = project.folder.path().join("other");
    project.git(&[
        "worktree",
        "add",
        "-q",
        "-b",
        "side",
        other.to_str().unwrap(),
    ]);
    fs::write(other.join("b.py"), "2").unwrap();
    let code = project.capture_at(&other.canonicalize().unwrap());
    assert_eq!(names(&code), ["a.py", "b.py"]);
    let git = git_of(&code);
    assert_eq!(
        (git.commit.as_ref(), git.branch.as_deref(), git.is_dirty),
        (Some(&commit), Some("side"), true)
    );
}

#[test]
fn without_git_the_rules_for_ignored_files_hold() {
    let project = Project::new();
    project
        .write("train.py", "x")
        .write("data.csv", "1")
        .write(".gitignore", "*.csv\n")
        .write("notes.txt", "n");
    project
        .write(".reproofignore", "notes.txt\n")
        .write("sub/.gitignore", "*.tmp\n")
        .write("sub/a.tmp", "")
        .write("sub/b", "");
    project
        .write("env/pyvenv.cfg", "")
        .write("env/lib/x.py", "")
        .write("__pycache__/a.pyc", "")
        .write(".hidden", "h");
    project
        .write(".reproof/reproof.db", "")
        .write("big.bin", vec![0; (1 << 20) + 1])
        .write("cache/CACHEDIR.TAG", "");
    let code = project.capture();
    assert_eq!(
        names(&code),
        [
            ".gitignore",
            ".hidden",
            ".reproofignore",
            "sub/.gitignore",
            "sub/b",
            "train.py"
        ]
    );
    assert_eq!((code.git, code.not_kept), (None, Vec::new()));
}

#[test]
fn untracked_environments_caches_and_large_files_are_no_code() {
    let project = Project::with_git();
    project.write("a.py", "1");
    project.commit_all();
    project
        .write("env/pyvenv.cfg", "")
        .write("env/lib/x.py", "")
        .write("big.bin", vec![0; (1 << 20) + 1]);
    project
        .write("node_modules/x.js", "")
        .write("noted.txt", "")
        .write(".reproofignore", "noted.txt\n");
    project
        .write("tracked_env/pyvenv.cfg", "")
        .write("tracked_env/x.py", "");
    project.git(&["add", "tracked_env"]);
    let code = project.capture();
    assert_eq!(
        names(&code),
        [
            ".reproofignore",
            "a.py",
            "tracked_env/pyvenv.cfg",
            "tracked_env/x.py"
        ]
    );
}

#[test]
fn a_tracked_file_over_the_limit_has_a_digest_only() {
    let mut project = Project::with_git();
    project.size_limit_bytes = 10;
    project
        .write("large.bin", vec![7; 11])
        .write("small.bin", "1");
    project.commit_all();
    let code = project.capture();
    assert_eq!(names(&code), ["small.bin"]);
    assert_eq!(
        missing(&code),
        [("large.bin", NotKeptReason::OverSizeLimit)]
    );
    assert_eq!(code.not_kept[0].object, Some(ObjectId::of(&[7; 11])));
    project.batch.flush().unwrap();
    assert!(!project.cas.contains(&ObjectId::of(&[7; 11])).unwrap());
}

#[test]
fn names_of_any_bytes_are_kept() {
    for has_git in [true, false] {
        let project = if has_git {
            Project::with_git()
        } else {
            Project::new()
        };
        let odd = [
            &b"a b"[..],
            b"a\nb",
            b"\xff\xfe",
            b"-rf",
            b"\"q\"",
            b"tab\t",
            b"dir \n/\xc3(",
            b":(top)x",
            b"*",
        ];
        for name in odd {
            let path = project.root.join(OsStr::from_bytes(name));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "one").unwrap();
        }
        if has_git {
            project.git(&["add", "--", ":(literal)a b", "\u{22}q\u{22}"]);
            project.commit_all();
            for name in odd {
                fs::write(project.root.join(OsStr::from_bytes(name)), "two").unwrap();
            }
        }
        let code = project.capture();
        for name in odd {
            let file = code.files.get(Path::new(OsStr::from_bytes(name)));
            assert!(file.is_some(), "{:?} is missing", OsStr::from_bytes(name));
        }
        assert_eq!(code.files.len(), odd.len());
        if has_git {
            let patch = project.patch(&code);
            assert_eq!(patch.matches("-one\n").count(), odd.len(), "{patch}");
        }
    }
}

#[test]
fn links_stay_links_and_special_files_are_named() {
    for has_git in [true, false] {
        let project = if has_git {
            Project::with_git()
        } else {
            Project::new()
        };
        project
            .write("real/a.py", "1")
            .write("run.sh", "#!/bin/sh")
            .write("empty", "");
        fs::set_permissions(
            project.root.join("run.sh"),
            fs::Permissions::from_mode(0o755),
        )
        .unwrap();
        for (target, link) in [
            ("none", "broken"),
            ("loop", "loop"),
            ("real", "folder"),
            ("/etc/passwd", "outside"),
        ] {
            symlink(target, project.root.join(link)).unwrap();
        }
        if has_git {
            project.commit_all();
        }
        make_fifo(&project.root.join("real/fifo"));
        let _socket = std::os::unix::net::UnixListener::bind(project.root.join("socket")).unwrap();
        let code = project.capture();
        let expected = [
            "broken",
            "empty",
            "folder",
            "loop",
            "outside",
            "real/a.py",
            "run.sh",
        ];
        assert_eq!(names(&code), expected);
        for (link, target) in [
            ("broken", "none"),
            ("loop", "loop"),
            ("folder", "real"),
            ("outside", "/etc/passwd"),
        ] {
            let file = code.files[Path::new(link)];
            assert_eq!(
                (file.kind, file.object),
                (EntryKind::Symlink, ObjectId::of(target.as_bytes()))
            );
        }
        assert_eq!(code.files[Path::new("run.sh")].kind, EntryKind::Executable);
        assert_eq!(code.files[Path::new("empty")].object, ObjectId::of(b""));
        assert_eq!(
            missing(&code),
            [
                ("real/fifo", NotKeptReason::Special),
                ("socket", NotKeptReason::Special)
            ]
        );
    }
}

#[test]
fn tracked_files_behind_a_link_or_replaced_by_a_fifo_are_not_read() {
    let project = Project::with_git();
    project
        .write("folder/passwd", "mine")
        .write("file", "1")
        .write("kept", "k");
    project.commit_all();
    fs::remove_dir_all(project.root.join("folder")).unwrap();
    symlink("/etc", project.root.join("folder")).unwrap();
    fs::remove_file(project.root.join("file")).unwrap();
    make_fifo(&project.root.join("file"));
    let code = project.capture();
    assert_eq!(names(&code), ["folder", "kept"]);
    assert_eq!(code.files[Path::new("folder")].kind, EntryKind::Symlink);
    assert_eq!(missing(&code), [("file", NotKeptReason::Special)]);
}

#[test]
fn files_of_secrets_have_a_path_only_and_no_part_in_the_patch() {
    let project = Project::with_git();
    project
        .write(".env", "A=1\n")
        .write("tls.key", "k1\n")
        .write("vault/x", "v1\n")
        .write("a.py", "1\n");
    project.commit_all();
    project
        .write(".env", "A=hunter2\n")
        .write("tls.key", "hunter2\n")
        .write("vault/x", "hunter2\n")
        .write("a.py", "2\n");
    project
        .write("credentials.json", "hunter2")
        .write(".env.example", "A=\n");
    let code = project.capture();
    assert_eq!(names(&code), [".env.example", "a.py"]);
    let secret = [".env", "credentials.json", "tls.key", "vault/x"]
        .map(|path| (path, NotKeptReason::Secret));
    assert_eq!(missing(&code), secret);
    let patch = project.patch(&code);
    assert!(
        patch.contains("a.py") && !patch.contains("hunter2") && !patch.contains(".env"),
        "{patch}"
    );
    project.batch.flush().unwrap();
    assert!(!project.cas.contains(&ObjectId::of(b"hunter2")).unwrap());
    assert!(!project.cas.contains(&ObjectId::of(b"hunter2\n")).unwrap());
}

#[test]
fn remotes_lose_their_credentials() {
    let project = Project::with_git();
    project.write("a", "1");
    project.commit_all();
    for (url, expected) in [
        (
            "https://me:hunter2@example.com/x.git",
            "https://***@example.com/x.git",
        ),
        (
            "https://ghp_token@example.com/x.git",
            "https://***@example.com/x.git",
        ),
        ("git@example.com:x.git", "git@example.com:x.git"),
        ("ssh://git@example.com/x.git", "ssh://git@example.com/x.git"),
    ] {
        project.git(&["config", "remote.origin.url", url]);
        assert_eq!(git_of(&project.capture()).remote.as_deref(), Some(expected));
    }
}

#[test]
fn submodules_are_part_of_the_tree_each_with_its_state() {
    let (library, project) = (Project::with_git(), Project::with_git());
    library.write("lib.py", "1").write(".gitignore", "*.csv\n");
    let first = library.commit_all();
    project.write("a.py", "1");
    project.git(&[
        "submodule",
        "add",
        "-q",
        library.root.to_str().unwrap(),
        "libs/one",
    ]);
    project.git(&[
        "submodule",
        "add",
        "-q",
        library.root.to_str().unwrap(),
        "libs/two",
    ]);
    project.commit_all();
    let clean = project.capture();
    let git = git_of(&clean);
    assert!(
        !git.is_dirty && git.submodules.iter().all(|submodule| !submodule.is_dirty),
        "{git:?}"
    );
    assert_eq!(git.submodules[0].path.as_str(), "libs/one");
    assert_eq!(git.submodules[0].commit, first);

    project
        .write("libs/one/lib.py", "changed")
        .write("libs/one/x.csv", "")
        .write("libs/one/new.py", "");
    let code = project.capture();
    let git = git_of(&code);
    assert_eq!(
        git.submodules
            .iter()
            .map(|submodule| submodule.is_dirty)
            .collect::<Vec<_>>(),
        [true, false]
    );
    assert!(git.is_dirty);
    for path in [
        "libs/one/lib.py",
        "libs/one/new.py",
        "libs/two/lib.py",
        "libs/two/.gitignore",
        "a.py",
    ] {
        assert!(code.files.contains_key(Path::new(path)), "{path}");
    }
    assert!(!code.files.contains_key(Path::new("libs/one/x.csv")));
    assert_eq!(
        code.files[Path::new("libs/one/lib.py")].object,
        ObjectId::of(b"changed")
    );
}

#[test]
fn a_submodule_that_is_not_there_is_not_claimed() {
    let (library, project) = (Project::with_git(), Project::with_git());
    library.write("lib.py", "1");
    library.commit_all();
    project.git(&[
        "submodule",
        "add",
        "-q",
        library.root.to_str().unwrap(),
        "lib",
    ]);
    project.commit_all();
    project.git(&["submodule", "deinit", "-q", "-f", "lib"]);
    let code = project.capture();
    assert_eq!(names(&code), [".gitmodules"]);
    assert_eq!(git_of(&code).submodules, []);
}

#[test]
fn a_checkout_inside_the_project_that_is_no_submodule_is_code_too() {
    let project = Project::with_git();
    project.write("a.py", "1");
    project.commit_all();
    project
        .write("inner/b.py", "2")
        .write("inner/x.csv", "")
        .write("inner/.gitignore", "*.csv");
    git_in(&project.root.join("inner"), &["init", "-q"]);
    git_in(&project.root.join("inner"), &["add", "b.py"]);
    project.write("broken/c.py", "3");
    fs::create_dir(project.root.join("broken/.git")).unwrap();
    let code = project.capture();
    assert_eq!(
        names(&code),
        ["a.py", "broken/c.py", "inner/.gitignore", "inner/b.py"]
    );
    assert!(git_of(&code).is_dirty);
}

#[test]
fn a_project_in_a_folder_of_a_checkout_is_that_folder() {
    let project = Project::with_git();
    project
        .write("other/x.py", "1")
        .write("mine/a.py", "1")
        .write("mine/deep/b.py", "1");
    let commit = project.commit_all();
    project
        .write("other/x.py", "2")
        .write("mine/new.py", "1")
        .write("mine/a.py", "2\n");
    let code = project.capture_at(&project.root.join("mine"));
    assert_eq!(names(&code), ["a.py", "deep/b.py", "new.py"]);
    assert_eq!(git_of(&code).commit, Some(commit));
    let patch = project.patch(&code);
    assert!(
        patch.contains("mine/a.py") && !patch.contains("other"),
        "{patch}"
    );
}

#[test]
fn a_project_that_the_checkout_around_it_ignores_is_its_own() {
    let project = Project::with_git();
    project.write(".gitignore", "scratch/\n");
    project.commit_all();
    project.write("scratch/demo/a.py", "1");
    let code = project.capture_at(&project.root.join("scratch/demo"));
    assert_eq!((names(&code), &code.git), (vec!["a.py"], &None));
    let empty = project.root.join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(project.capture_at(&empty).git.is_some());
}

#[test]
fn pointers_of_lfs_are_recorded_as_such() {
    let project = Project::with_git();
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12345\n",
        "ab".repeat(32)
    );
    project
        .write("model.bin", &pointer)
        .write(".gitattributes", "*.bin filter=lfs\n")
        .write("fake.txt", "x".repeat(130));
    for _ in 0..2 {
        let code = project.capture();
        assert_eq!(code.lfs_pointers, [RecordedPath::new("model.bin")]);
        assert_eq!(
            code.files[Path::new("model.bin")].object,
            ObjectId::of(pointer.as_bytes())
        );
    }
}

#[test]
fn an_unmerged_file_is_there_once() {
    let project = Project::with_git();
    project.write("a.py", "base\n");
    project.commit_all();
    project.git(&["checkout", "-q", "-b", "side"]);
    project.write("a.py", "side\n");
    project.commit_all();
    project.git(&["checkout", "-q", "main"]);
    project.write("a.py", "main\n");
    project.commit_all();
    let merged = Command::new("git")
        .current_dir(&project.root)
        .args(["merge", "-q", "side"])
        .output()
        .unwrap();
    assert!(!merged.status.success());
    let code = project.capture();
    assert_eq!(names(&code), ["a.py"]);
    assert!(git_of(&code).is_dirty && project.patch(&code).contains("a.py"));
}

#[test]
fn nothing_that_a_repository_names_is_executed() {
    let project = Project::with_git();
    let marker = project.folder.path().join("executed");
    let evil = project.folder.path().join("evil");
    fs::write(
        &evil,
        format!("#!/bin/sh\necho \"$0 $@\" >> '{}'\ncat\n", marker.display()),
    )
    .unwrap();
    fs::set_permissions(&evil, fs::Permissions::from_mode(0o755)).unwrap();
    let evil = evil.to_str().unwrap();
    let attributes = "* filter=evil diff=evil merge=evil\n*.other filter=sp ace\n";
    project
        .write("a.py", "one\n")
        .write("b.other", "one\n")
        .write(".gitattributes", attributes);
    project.commit_all();
    let hooks = project.root.join(".git/hooks");
    for hook in [
        "post-index-change",
        "fsmonitor-watchman",
        "pre-auto-gc",
        "reference-transaction",
    ] {
        fs::copy(evil, hooks.join(hook)).unwrap();
    }
    for key in [
        "core.fsmonitor",
        "core.sshCommand",
        "core.pager",
        "core.editor",
        "core.gitProxy",
        "core.askPass",
        "diff.external",
        "core.alternateRefsCommand",
        "credential.helper",
        "filter.evil.clean",
        "filter.evil.smudge",
        "filter.evil.process",
        "diff.evil.command",
        "diff.evil.textconv",
        "merge.evil.driver",
        "gpg.program",
        "interactive.diffFilter",
        "pager.status",
        "pager.diff",
        "pager.config",
        "alias.status",
        "alias.ls-files",
    ] {
        project.git(&["config", key, evil]);
    }
    project.git(&["config", "core.hooksPath", hooks.to_str().unwrap()]);
    project.git(&["config", "filter.evil.required", "true"]);
    project.git(&["config", "protocol.ext.allow", "always"]);
    project.git(&["config", "remote.origin.url", &format!("ext::{evil}")]);
    project.git(&["config", "remote.origin.promisor", "true"]);
    project.git(&["config", "extensions.partialClone", "origin"]);
    let _ = fs::remove_file(&marker);
    // Of another length, of the same length, and only touched: git must look into each.
    project
        .write("a.py", "two two\n")
        .write("b.other", "two\n")
        .write("new.py", "n\n");
    project.write(".gitattributes", attributes);
    let code = project.capture();
    assert_eq!(
        names(&code),
        [".gitattributes", "a.py", "b.other", "new.py"]
    );
    assert!(git_of(&code).is_dirty);
    assert!(project.patch(&code).contains("+two two"));
    let executed = fs::read_to_string(&marker).unwrap_or_default();
    assert_eq!(executed, "", "something was executed");

    // The trap is one: git itself walks into it.
    let _ = Command::new("git")
        .current_dir(&project.root)
        .args(["status"])
        .output()
        .unwrap();
    assert!(
        marker.exists(),
        "the repository of this test executes nothing in any case"
    );
}

#[test]
fn nothing_that_a_submodule_names_is_executed() {
    let (library, project) = (Project::with_git(), Project::with_git());
    library.write("lib.py", "1");
    library.commit_all();
    project.git(&[
        "submodule",
        "add",
        "-q",
        library.root.to_str().unwrap(),
        "lib",
    ]);
    project.commit_all();
    let marker = project.folder.path().join("executed");
    let evil = project.folder.path().join("evil");
    fs::write(
        &evil,
        format!("#!/bin/sh\necho x >> '{}'\n", marker.display()),
    )
    .unwrap();
    fs::set_permissions(&evil, fs::Permissions::from_mode(0o755)).unwrap();
    let inner = project.root.join("lib");
    git_in(
        &inner,
        &["config", "core.fsmonitor", evil.to_str().unwrap()],
    );
    project.write("lib/lib.py", "2");
    let code = project.capture();
    assert!(git_of(&code).submodules[0].is_dirty);
    assert!(!marker.exists(), "something was executed");
    let _ = Command::new("git")
        .current_dir(&project.root)
        .args(["status"])
        .output()
        .unwrap();
    assert!(
        marker.exists(),
        "the submodule of this test executes nothing in any case"
    );
}

#[test]
fn a_repository_that_git_refuses_is_a_folder_without_git() {
    let project = Project::new();
    project.write("a.py", "1").write(".git/HEAD", "nonsense");
    let code = project.capture();
    assert_eq!((names(&code), &code.git), (vec!["a.py"], &None));
    let project = Project::new();
    project.write("a.py", "1").write(".git", "gitdir: /none");
    assert_eq!(names(&project.capture()), ["a.py"]);
}

#[test]
fn a_worktree_setting_that_leads_elsewhere_does_not_mislead() {
    let project = Project::with_git();
    project.write("a.py", "1");
    project.commit_all();
    project.git(&["config", "core.worktree", "/"]);
    let code = project.capture();
    for path in code.files.keys() {
        assert!(
            path.is_relative() && path.components().count() == 1,
            "{path:?}"
        );
    }
    assert!(code.files.contains_key(Path::new("a.py")));
}

#[test]
fn a_file_that_was_read_before_is_not_read_again() {
    let project = Project::with_git();
    project.write("a.py", "one").write("b.py", "two");
    project.commit_all();
    let path = project.root.join("a.py");
    // A lie, to see that the cache is asked; the file must be old enough to be remembered.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let lie = project.batch.put(b"lie").unwrap();
    project.digests.note(&path.metadata().unwrap(), lie);
    assert_eq!(project.capture().files[Path::new("a.py")].object, lie);
    // Known and not stored: it must be read.
    project
        .digests
        .note(&path.metadata().unwrap(), ObjectId::of(b"not stored"));
    assert_eq!(
        project.capture().files[Path::new("a.py")].object,
        ObjectId::of(b"one")
    );
}

/// Root reads everything, unless the thread takes on another identity for files.
#[test]
fn an_unreadable_file_is_named() {
    let project = Project::new();
    project.write("a.py", "1").write("closed.py", "2");
    fs::set_permissions(
        project.root.join("closed.py"),
        fs::Permissions::from_mode(0o000),
    )
    .unwrap();
    for folder in [project.folder.path(), &project.root] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    }
    for folder in ["objects", "tmp"] {
        fs::set_permissions(
            project.folder.path().join(folder),
            fs::Permissions::from_mode(0o777),
        )
        .unwrap();
    }
    let code = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                #[expect(
                    unsafe_code,
                    reason = "changes the identity for files of this thread only"
                )]
                // SAFETY: the call takes a number and touches no memory.
                let _ = unsafe { libc::syscall(libc::SYS_setfsuid, 65534) };
            }
            project.capture()
        });
        thread.join().unwrap()
    });
    assert_eq!(names(&code), ["a.py"]);
    assert_eq!(missing(&code), [("closed.py", NotKeptReason::Unreadable)]);
}
