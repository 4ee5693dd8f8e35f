//! Refs, commits and files of any commit.

use super::*;

/// A commit that says that it is signed.
fn signed_commit(project: &Project, parent: &str) -> String {
    let tree = project.git(&["rev-parse", "HEAD^{tree}"]);
    let commit = format!(
        "tree {tree}\nparent {parent}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 5 +0000\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\nsigned\n"
    );
    project.write(".git/said", commit);
    project.git(&["hash-object", "-t", "commit", "-w", ".git/said"])
}

fn find(project: &Project) -> History {
    History::find(&project.root).unwrap()
}

#[test]
fn refs_what_was_noted_and_files_of_any_commit_are_read() {
    let project = Project::with_git();
    project.write("a b/ü.txt", "first").write("x", "same");
    fs::write(
        project.root.join(OsStr::from_bytes(b"odd-\xff")),
        "odd name",
    )
    .unwrap();
    symlink("/etc/passwd", project.root.join("link")).unwrap();
    let first = project.commit_all();
    project.write("a b/ü.txt", "second");
    let second = project.commit_all();
    for (commit, why) in [(&first, "one: 1"), (&second, "two: ü")] {
        project.git(&[
            "update-ref",
            "--create-reflog",
            "-m",
            why,
            "refs/exps/stash",
            commit,
        ]);
    }
    project.git(&["update-ref", "refs/exps/aa/bb/name", &first]);
    let inner = project.root.join("a b");
    let history = History::find(&inner).unwrap();
    assert_eq!(history.folder(), project.root);
    let names: Vec<_> = history.list_references("refs/exps/").unwrap();
    let names: Vec<_> = names.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(names, ["refs/exps/aa/bb/name", "refs/exps/stash"]);
    let noted = history.list_noted("refs/exps/stash").unwrap();
    let noted: Vec<_> = noted
        .iter()
        .map(|noted| (noted.object.as_str(), noted.message.as_str()))
        .collect();
    assert_eq!(noted, [(second.as_str(), "two: ü"), (&first, "one: 1")]);
    assert_eq!(history.list_noted("refs/exps/none").unwrap(), []);
    let log = project.root.join(".git/logs/refs/exps/stash");
    for is_link in [true, false] {
        fs::remove_file(&log).unwrap();
        if is_link {
            symlink("/etc/passwd", &log).unwrap();
        } else {
            let mode = rustix::fs::Mode::from_raw_mode(0o600);
            let kind = rustix::fs::FileType::Fifo;
            rustix::fs::mknodat(rustix::fs::CWD, &log, kind, mode, 0).unwrap();
        }
        assert!(history.list_noted("refs/exps/stash").is_err());
    }
    let parents = history.find_commit(&second).unwrap().parents;
    assert_eq!(parents, [first.as_str()]);
    let files = history.list_files(&first).unwrap();
    let told: Vec<_> = files
        .iter()
        .map(|file| {
            (
                file.path.as_str(),
                file.is_exact,
                file.is_link,
                file.size_bytes,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("a b/ü.txt", true, false, Some(5)),
            ("link", true, true, Some(11)),
            ("odd-\u{fffd}", false, false, Some(8)),
            ("x", true, false, Some(4)),
        ]
    );
    let alone: Vec<_> = files
        .iter()
        .map(|file| history.read(&file.object).unwrap())
        .collect();
    assert_eq!(&*alone[0], b"first");
    history
        .read_ahead(&files.iter().collect::<Vec<_>>())
        .unwrap();
    let ahead: Vec<_> = files
        .iter()
        .map(|file| history.read(&file.object).unwrap())
        .collect();
    assert_eq!(alone, ahead);
}

#[test]
fn nothing_is_executed_for_the_history_of_a_repository() {
    let project = Project::with_git();
    let marker = project.folder.path().join("executed");
    let evil = project.folder.path().join("evil");
    let script = format!("#!/bin/sh\necho \"$0 $@\" >> '{}'\ncat\n", marker.display());
    fs::write(&evil, script).unwrap();
    fs::set_permissions(&evil, fs::Permissions::from_mode(0o755)).unwrap();
    let evil = evil.to_str().unwrap();
    project
        .write("a", "one\n")
        .write(".gitattributes", "* filter=evil diff=evil\n");
    let first = project.commit_all();
    let commit = signed_commit(&project, &first);
    project.git(&[
        "update-ref",
        "--create-reflog",
        "-m",
        "why",
        "refs/exps/stash",
        &commit,
    ]);
    for key in [
        "core.fsmonitor",
        "core.sshCommand",
        "core.pager",
        "core.gitProxy",
        "core.askPass",
        "core.alternateRefsCommand",
        "credential.helper",
        "diff.external",
        "diff.evil.textconv",
        "filter.evil.smudge",
        "gpg.program",
        "gpg.openpgp.program",
        "pager.for-each-ref",
        "pager.rev-list",
        "pager.cat-file",
        "alias.cat-file",
        "alias.rev-list",
    ] {
        project.git(&["config", key, evil]);
    }
    project.git(&["config", "log.showSignature", "true"]);
    project.git(&["config", "protocol.ext.allow", "always"]);
    project.git(&["config", "remote.origin.url", &format!("ext::{evil}")]);
    project.git(&["config", "remote.origin.promisor", "true"]);
    project.git(&["config", "extensions.partialClone", "origin"]);
    // What is missing would be fetched from there.
    let blob = project.git(&["rev-parse", "HEAD:a"]);
    let loose = Path::new(".git/objects").join(&blob[..2]).join(&blob[2..]);
    fs::remove_file(project.root.join(loose)).unwrap();
    let _ = fs::remove_file(&marker);

    let history = find(&project);
    assert_eq!(history.list_references("refs/exps/").unwrap().len(), 1);
    let noted = history.list_noted("refs/exps/stash").unwrap();
    assert_eq!(
        (noted[0].object.as_str(), noted[0].message.as_str()),
        (commit.as_str(), "why")
    );
    assert_eq!(history.find_commit(&commit).unwrap().message, "signed");
    let files = history.list_files(&commit).unwrap();
    let missing = files.iter().find(|file| file.path == "a").unwrap();
    assert_eq!(missing.size_bytes, None);
    history
        .read_ahead(&files.iter().collect::<Vec<_>>())
        .unwrap();
    assert!(history.read(&missing.object).is_err());
    let executed = fs::read_to_string(&marker).unwrap_or_default();
    assert_eq!(executed, "", "something was executed");
}

#[test]
fn an_id_names_its_own_content_whatever_is_said_to_replace_it() {
    let project = Project::with_git();
    project.write("a", "the one");
    let commit = project.commit_all();
    let blob = project.git(&["rev-parse", "HEAD:a"]);
    project.write("b", "another");
    let other = project.git(&["hash-object", "-w", "b"]);
    project.git(&["replace", "-f", &blob, &other]);
    let history = find(&project);
    assert_eq!(&*history.read(&blob).unwrap(), b"the one");
    let files = history.list_files(&commit).unwrap();
    history
        .read_ahead(&files.iter().collect::<Vec<_>>())
        .unwrap();
    assert_eq!(&*history.read(&blob).unwrap(), b"the one");
}

#[test]
fn what_leads_out_of_a_repository_is_refused() {
    let other = Project::with_git();
    other.write("secret", "s");
    other.commit_all();
    let objects = other.root.join(".git/objects");
    let is_elsewhere = |project: &Project, name: &str| match History::find(&project.root) {
        Err(HistoryError::Elsewhere { path }) => {
            assert_eq!(path, project.root.join(name), "{name}");
        }
        found => panic!("{name}: {found:?}"),
    };
    let project = Project::new();
    project.write(
        ".git",
        format!("gitdir: {}\n", other.root.join(".git").display()),
    );
    is_elsewhere(&project, ".git");
    let project = Project::new();
    symlink(other.root.join(".git"), project.root.join(".git")).unwrap();
    is_elsewhere(&project, ".git");
    for (name, content) in [
        (
            ".git/objects/info/alternates",
            format!("{}\n", objects.display()),
        ),
        (
            ".git/commondir",
            format!("{}\n", other.root.join(".git").display()),
        ),
    ] {
        let project = Project::with_git();
        project.write(name, content);
        is_elsewhere(&project, name);
    }
    for (name, target) in [
        (".git/objects/aa", objects.clone()),
        (".git/refs/exps", other.root.join(".git/refs/heads")),
        (".git/packed-refs", PathBuf::from("/etc/passwd")),
        (".git/logs", other.root.join(".git/logs")),
    ] {
        let project = Project::with_git();
        let _ = fs::remove_dir_all(project.root.join(name));
        symlink(target, project.root.join(name)).unwrap();
        is_elsewhere(&project, name);
    }
    let project = Project::with_git();
    let hooks = project.root.join(".git/hooks");
    let _ = fs::remove_dir_all(&hooks);
    symlink("/etc", &hooks).unwrap();
    History::find(&project.root).unwrap();
    // Nor is anything asked where a setting cannot be switched off.
    let project = Project::with_git();
    project.git(&["config", "filter.a=b.clean", "touch evil"]);
    assert!(matches!(
        History::find(&project.root),
        Err(HistoryError::Settings { .. })
    ));
    let nothing = Project::new();
    assert!(matches!(
        History::find(&nothing.root),
        Err(HistoryError::NoRepository { .. })
    ));
}
