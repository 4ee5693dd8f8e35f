//! The state of git in all its forms.

use super::*;

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
    assert!(!code.files[Path::new("train.py")].is_tracked);
    project.git(&["add", "train.py"]);
    let staged = project.capture();
    assert_eq!(staged.git, code.git);
    assert!(staged.files[Path::new("train.py")].is_tracked);
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
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
        .args(["merge", "-q", "side"])
        .output()
        .unwrap();
    // With 1 it has stopped at the conflict; without a name to commit by it would not even begin.
    assert_eq!(merged.status.code(), Some(1));
    let code = project.capture();
    assert_eq!(names(&code), ["a.py"]);
    assert!(git_of(&code).is_dirty && project.patch(&code).contains("a.py"));
}

#[test]
fn a_submodule_whose_repository_is_broken_is_a_folder_and_not_its_parent() {
    let (library, project) = (Project::with_git(), Project::with_git());
    library.write("lib.py", "1");
    library.commit_all();
    let url = library.root.to_str().unwrap();
    project.git(&["submodule", "add", "-q", url, "lib"]);
    project.commit_all();
    fs::remove_file(project.root.join("lib/.git")).unwrap();
    fs::create_dir(project.root.join("lib/.git")).unwrap();
    let code = project.capture();
    assert_eq!(names(&code), [".gitmodules", "lib/lib.py"]);
    assert_eq!(missing(&code), []);
    assert_eq!(git_of(&code).submodules, []);
}
