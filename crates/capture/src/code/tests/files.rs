//! Which files are taken, and how.

use super::*;

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

#[test]
fn what_a_run_made_is_no_code_and_makes_no_checkout_dirty_until_it_is_edited_or_added() {
    let project = Project::with_git();
    project.write("train.py", "x").commit_all();
    project.write("model.bin", "m").write("made.py", "p");
    let made: Vec<_> = ["model.bin", "made.py"]
        .iter()
        .map(|name| project.root.join(name).metadata().unwrap())
        .collect();
    project.made.add(&made).unwrap();
    let mut project = project;
    project.made = MadeFiles::open(project.folder.path().join("made"));
    let code = project.capture();
    assert_eq!(names(&code), ["train.py"]);
    assert!(!code.git.unwrap().is_dirty);
    project.git(&["add", "made.py"]);
    project.write("model.bin", "edited");
    let code = project.capture();
    assert_eq!(names(&code), ["made.py", "model.bin", "train.py"]);
    assert!(code.git.unwrap().is_dirty);
}
