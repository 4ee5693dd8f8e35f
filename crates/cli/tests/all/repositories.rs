//! The git repository that a replay's command finds, and that its own recipe tells of.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Answer, Project};

/// What a script may ask git, in answers that do not depend on what is staged.
const ASK: &str = "git rev-parse HEAD > head.out; git rev-parse --abbrev-ref HEAD > branch.out; \
    git log --format=%s > log.out; git diff HEAD > diff.out; git config remote.origin.url > url.out; \
    git describe --tags --always > describe.out; git status --porcelain | cut -c 3- | sort > status.out";

fn git_in(project: &Project, folder: &Path, arguments: &[&str]) -> String {
    let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"];
    let mut command = project.command("git");
    let answer = Answer::of(
        command
            .current_dir(folder)
            .args(identity)
            .args(["-c", "protocol.file.allow=always"])
            .args(arguments),
    );
    answer.assert_code(0);
    answer.out().trim().to_owned()
}

/// A checkout with two commits, a tag and a remote, and outputs that git ignores.
fn checkout() -> Project {
    let project = Project::empty();
    prepare(&project);
    project
}

fn prepare(project: &Project) {
    project.write(".gitignore", "*.out\n.reproof/\nreproof.toml\n");
    project.write("a.py", "1\n");
    project.write("cached.py", "1\n");
    project.write("gone.py", "1\n");
    project.git(&["init", "--quiet", "--initial-branch", "feature/x"]);
    project.git(&["add", "--all"]);
    project.git(&["commit", "--quiet", "-m", "first"]);
    project.git(&["tag", "v1"]);
    project.write("a.py", "1\n2\n");
    project.git(&["commit", "--quiet", "--all", "-m", "second"]);
    project.git(&["remote", "add", "origin", "https://example.org/code.git"]);
}

fn reproof_in(project: &Project, folder: &Path, arguments: &[&str]) -> Answer {
    Answer::of(project.program().arg("-C").arg(folder).args(arguments))
}

/// Runs a script in a folder and replays it; gives both runs as `show` tells them.
#[track_caller]
fn run_and_replay(project: &Project, folder: &Path, script: &str) -> (Value, Value, Answer) {
    reproof_in(project, folder, &["run", "-q", "sh", "-c", script]).assert_code(0);
    let shown = |run: &str| -> Value {
        let answer = reproof_in(project, folder, &["show", run, "--json"]);
        serde_json::from_slice(&answer.assert_code(0).stdout).unwrap()
    };
    let origin = shown("latest");
    let id = origin["run"]["run_id"].as_str().unwrap();
    let answer = reproof_in(project, folder, &["replay", id, "--verify"]);
    let runs = reproof_in(project, folder, &["runs", "--limit", "1", "--json"]);
    let runs: Value = serde_json::from_slice(&runs.assert_code(0).stdout).unwrap();
    let replayed = shown(runs["runs"][0]["run_id"].as_str().unwrap());
    assert_eq!(replayed["run"]["replay_of"], id, "{}", answer.err());
    (origin, replayed, answer)
}

/// The same, and nothing may differ.
#[track_caller]
fn assert_same(project: &Project, folder: &Path, script: &str) -> Value {
    let (origin, replayed, answer) = run_and_replay(project, folder, script);
    answer.assert_code(0);
    let git = |run: &Value| run["recipe"]["code"]["git"].clone();
    assert_eq!(git(&origin), git(&replayed));
    let ids = [&origin, &replayed].map(|run| run["run"]["run_id"].as_str().unwrap());
    let difference = reproof_in(project, folder, &["diff", ids[0], ids[1]]);
    difference.assert_code(0);
    assert!(
        difference.out().contains("nothing differs"),
        "{}",
        difference.out()
    );
    git(&origin)
}

fn object_files(folder: &Path) -> Vec<PathBuf> {
    crate::support::files_below(&folder.join(".git"))
}

#[test]
fn a_replay_finds_the_recorded_commit_branch_and_remote_although_the_project_went_on() {
    for project in [Some(Project::empty()), Project::of_ordinary_user()]
        .into_iter()
        .flatten()
    {
        prepare(&project);
        project
            .reproof(&["run", "-q", "sh", "-c", ASK])
            .assert_code(0);
        let origin = project.run_ids()[0].clone();
        project.write("a.py", "other\n");
        project.git(&["checkout", "--quiet", "-b", "later"]);
        project.git(&["commit", "--quiet", "--all", "-m", "third"]);
        let before = object_files(&project.root);
        let answer = project.reproof(&["replay", &origin, "--verify"]);
        answer.assert_code(0);
        assert!(!answer.out().contains("repository"), "{}", answer.out());
        let shown = project.json(&["show", &project.run_ids()[0]]);
        let git = &shown["recipe"]["code"]["git"];
        assert_eq!(git["branch"], "feature/x");
        assert_eq!(git["is_dirty"], false);
        assert_eq!(
            object_files(&project.root),
            before,
            "the project's own is left alone"
        );
    }
}

#[test]
fn what_differs_from_the_commit_differs_in_a_replay_too() {
    let project = checkout();
    project.write("a.py", "1\n2\n3\n");
    std::fs::remove_file(project.path("gone.py")).unwrap();
    project.git(&["rm", "--quiet", "--cached", "cached.py"]);
    project.write("added.py", "new\n");
    project.write("odd \n\"näme", "new\n");
    project.write("-n", "new\n");
    project.write("empty.py", "");
    project.git(&["add", "added.py", "odd \n\"näme", "empty.py"]);
    project.git(&["add", "--", "-n"]);
    project.write("untracked.py", "new\n");
    let git = assert_same(&project, &project.root, ASK);
    assert_eq!(git["is_dirty"], true);
    assert!(git["patch"].is_string());
}

#[test]
fn what_cannot_be_restored_is_no_difference_of_the_replay() {
    let project = checkout();
    project.write("reproof.toml", "[capture]\nsize_limit = 1000\n");
    project.write("large.bin", "x".repeat(2000));
    project.write(".env", "TOKEN=1\n");
    project.git(&["add", "--force", "large.bin", ".env"]);
    project.git(&["commit", "--quiet", "-m", "large"]);
    let (origin, replayed, answer) = run_and_replay(&project, &project.root, ASK);
    // Not verified, since git itself read the secret.
    for output in ["status.out", "diff.out"] {
        let line = format!("output  {output:<12}  identical  0 B ");
        assert!(answer.out().contains(&line), "{}", answer.out());
    }
    let git = |run: &Value| run["recipe"]["code"]["git"].clone();
    assert_eq!(git(&origin)["is_dirty"], false);
    assert_eq!(git(&origin), git(&replayed));
}

#[test]
fn a_replay_may_commit_and_run_no_hook_without_a_trace_in_the_project() {
    let project = checkout();
    project.write(
        ".git/hooks/pre-commit",
        "#!/bin/sh\ntouch \"$(git rev-parse --show-toplevel)/hook.out\"\n",
    );
    let script = "git -c user.name=a -c user.email=b@c commit --quiet --allow-empty --date=@1 -m by-the-run && git log --format=%s > log.out; git tag mine";
    let head = git_in(&project, &project.root, &["rev-parse", "HEAD"]);
    project
        .reproof(&["run", "-q", "sh", "-c", script])
        .assert_code(0);
    let origin = project.run_ids()[0].clone();
    project.git(&["tag", "--delete", "mine"]);
    project.git(&["reset", "--quiet", "--hard", &head]);
    let hook = project.path(".git/hooks/pre-commit");
    std::fs::set_permissions(hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let before = object_files(&project.root);
    project
        .reproof(&["replay", &origin, "--verify"])
        .assert_code(0);
    assert_eq!(object_files(&project.root), before);
    assert_eq!(
        git_in(&project, &project.root, &["rev-parse", "HEAD"]),
        head
    );
}

#[test]
fn a_detached_head_a_branch_without_commits_and_a_worktree_are_found_as_they_were() {
    let project = checkout();
    project.git(&["checkout", "--quiet", "--detach"]);
    let git = assert_same(&project, &project.root, ASK);
    assert!(git["branch"].is_null());

    project.git(&["worktree", "add", "--quiet", "-b", "tree", "../tree"]);
    let tree = project.root.with_file_name("tree");
    std::fs::write(tree.join("a.py"), "changed\n").unwrap();
    let git = assert_same(&project, &tree, ASK);
    assert_eq!(git["branch"], "tree");

    let unborn = Project::empty();
    unborn.write("a.py", "1\n");
    unborn.write(".gitignore", "*.out\n.reproof/\nreproof.toml\n");
    unborn.git(&["init", "--quiet", "--initial-branch", "new"]);
    let git = assert_same(&unborn, &unborn.root, "git symbolic-ref HEAD > head.out");
    assert_eq!(
        (&git["commit"], &git["branch"]),
        (&Value::Null, &"new".into())
    );
}

#[test]
fn submodules_are_found_at_their_commits() {
    let inner = checkout();
    let project = checkout();
    let url = inner.root.to_str().unwrap();
    git_in(
        &project,
        &project.root,
        &["submodule", "--quiet", "add", url, "libs/inner"],
    );
    project.git(&["commit", "--quiet", "-m", "with a submodule"]);
    let script = format!(
        "{ASK}; git submodule status > submodules.out; git -C libs/inner log --format=%s > inner.out"
    );
    let git = assert_same(&project, &project.root, &script);
    assert_eq!(git["submodules"].as_array().unwrap().len(), 1, "{git}");
    // One that stands at another commit than the project names, and has changes.
    git_in(
        &project,
        &project.path("libs/inner"),
        &["checkout", "--quiet", "v1"],
    );
    let git = assert_same(&project, &project.root, &script);
    assert_eq!(git["submodules"][0]["is_dirty"], true, "{git}");
}

#[test]
fn a_project_with_any_path_a_cut_off_history_and_other_digests_has_its_repository_too() {
    let source = checkout();
    let url = format!("file://{}", source.root.display());
    let odd = Project::named(std::ffi::OsStr::new("new\nline \"quote"));
    prepare(&odd);
    assert_same(&odd, &odd.root, ASK);

    let shallow = source.root.with_file_name("shallow");
    let target = shallow.to_str().unwrap();
    git_in(
        &source,
        &source.root,
        &["clone", "--quiet", "--depth=1", &url, target],
    );
    assert_same(&source, &shallow, ASK);

    let other = Project::empty();
    other.write(".gitignore", "*.out\n.reproof/\nreproof.toml\n");
    other.git(&["init", "--quiet", "--object-format=sha256"]);
    other.git(&["add", "--all"]);
    other.git(&["commit", "--quiet", "-m", "first"]);
    assert_same(&other, &other.root, ASK);
}

#[test]
fn without_the_commit_a_note_says_that_there_is_no_repository() {
    let project = checkout();
    let script = "git rev-parse HEAD > head.out; echo done > done.out";
    project
        .reproof(&["run", "-q", "sh", "-c", script])
        .assert_code(0);
    let commit = project.json(&["show"])["recipe"]["code"]["git"]["commit"].clone();
    std::fs::remove_dir_all(project.path(".git")).unwrap();
    project.git(&["init", "--quiet"]);
    let answer = project.reproof(&["replay", "latest"]);
    answer.assert_code(0);
    let note = format!(
        "note: there is no git repository in the replay: the commit `{}` is not in the project's repository any more\n",
        commit.as_str().unwrap()
    );
    assert!(answer.out().contains(&note), "{}", answer.out());
    std::fs::remove_dir_all(project.path(".git")).unwrap();
    let answer = project.reproof(&["replay", "feature"]);
    answer.assert_code(2);
    let origin = project.run_ids().pop().unwrap();
    let answer = project.reproof(&["replay", &origin]);
    assert!(answer.out().contains("has none today"), "{}", answer.out());
}

#[test]
fn the_objects_of_the_projects_repository_cannot_be_changed_by_a_replay() {
    let project = checkout();
    let script = "git rev-parse HEAD > head.out; d=.git/objects-of-the-project; \
        test ! -d $d || { touch $d/harm 2>/dev/null; rm -rf $d/pack $d/?? 2>/dev/null; true; }";
    let before = object_files(&project.root);
    assert_same(&project, &project.root.clone(), script);
    assert_eq!(object_files(&project.root), before);
}

#[test]
fn settings_that_a_run_made_are_no_change_to_a_clean_checkout() {
    let project = Project::empty();
    project.write("a.txt", "1\n");
    project.git(&["init", "-q"]);
    project.git(&["add", "a.txt"]);
    project.git(&["commit", "-q", "-m", "a"]);
    let is_dirty = || {
        project
            .reproof(&["run", "-q", "cat", "a.txt"])
            .assert_code(0);
        let run = project.json(&["show", "latest"]);
        run["recipe"]["code"]["git"]["is_dirty"].as_bool().unwrap()
    };
    assert!(!is_dirty(), "the first run makes the store");
    assert!(project.path("reproof.toml").exists());
    assert!(!is_dirty());
    project.write("b.txt", "2\n");
    assert!(is_dirty());
}
