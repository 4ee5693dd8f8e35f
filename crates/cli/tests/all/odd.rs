//! Odd files, odd checkouts, odd processes: a truthful record, and never a damaged store.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use serde_json::Value;

use crate::support::{Answer, Project, training_project};

/// Why a path is recorded without its content, if it is.
fn reason_of(shown: &Value, part: &str, path: &str) -> Option<String> {
    let part = match part {
        "code" => &shown["recipe"]["code"],
        "inputs" => &shown["recipe"]["inputs"],
        _ => &shown["record"]["outputs"],
    };
    let list = part["not_kept"].as_array()?;
    let found = list.iter().find(|file| file["path"] == path)?;
    found["reason"].as_str().map(str::to_owned)
}

#[test]
fn links_sockets_and_fifos_in_the_project_are_recorded_as_what_they_are() {
    let project = Project::empty();
    project.write("data.csv", "1\n");
    project.write("empty", "");
    symlink("data.csv", project.path("link")).unwrap();
    symlink("nowhere", project.path("broken")).unwrap();
    symlink("circle-b", project.path("circle-a")).unwrap();
    symlink("circle-a", project.path("circle-b")).unwrap();
    symlink("/", project.path("root")).unwrap();
    let _socket = UnixListener::bind(project.path("socket")).unwrap();
    let made = project.command("mkfifo").arg("fifo").status().unwrap();
    assert!(made.success());
    let answer = project.reproof(&[
        "run",
        "-q",
        "sh",
        "-c",
        "cat link empty; cat circle-a 2>/dev/null; ln -s data.csv new-link; : > new-empty",
    ]);
    answer.assert_code(0);
    assert_eq!(answer.out(), "1\n");
    let shown = project.json(&["show"]);
    for (path, kind) in [
        ("link", "symlink"),
        ("broken", "symlink"),
        ("circle-a", "symlink"),
        ("root", "symlink"),
        ("empty", "file"),
    ] {
        assert_eq!(
            shown["code"][path]["kind"], kind,
            "{path}: {}",
            shown["code"]
        );
    }
    assert_eq!(
        reason_of(&shown, "code", "socket").as_deref(),
        Some("special")
    );
    assert_eq!(
        reason_of(&shown, "code", "fifo").as_deref(),
        Some("special")
    );
    assert_eq!(shown["outputs"]["project"]["new-link"]["kind"], "symlink");
    assert_eq!(shown["outputs"]["project"]["new-empty"]["size_bytes"], 0);
    project
        .reproof(&["restore", "latest", "../restored", "--outputs"])
        .assert_code(0);
    let restored = project.root.with_file_name("restored");
    assert_eq!(
        std::fs::read_link(restored.join("broken"))
            .unwrap()
            .to_str(),
        Some("nowhere")
    );
    assert_eq!(
        std::fs::read_link(restored.join("new-link"))
            .unwrap()
            .to_str(),
        Some("data.csv")
    );
    project
        .reproof(&["replay", "latest", "--verify"])
        .assert_code(0);
    project.assert_sound();
}

#[test]
fn a_file_over_the_limit_is_recorded_by_its_digest_only() {
    let project = Project::with_store();
    project.write(
        "reproof.toml",
        "[capture]\nsize_limit = 1000\ncode_file_limit = 1000\n",
    );
    project.write("large.csv", "x".repeat(5000));
    project
        .reproof(&[
            "run",
            "-q",
            "sh",
            "-c",
            "cat large.csv > copy.csv; echo small > small.csv",
        ])
        .assert_code(0);
    let shown = project.json(&["show"]);
    assert_eq!(
        reason_of(&shown, "inputs", "large.csv").as_deref(),
        Some("over_size_limit")
    );
    assert_eq!(
        reason_of(&shown, "outputs", "copy.csv").as_deref(),
        Some("over_size_limit")
    );
    let digest = &shown["inputs"]["project"]["large.csv"]["object"];
    assert_eq!(
        digest, &shown["outputs"]["project"]["copy.csv"]["object"],
        "they have the same content"
    );
    let page = project.reproof(&["show"]).out();
    assert!(page.contains("larger than the size limit"), "{page}");
    let restored = project.reproof(&["restore", "latest", "../restored"]);
    restored.assert_code(0);
    assert!(
        restored.out().contains("not restored: large.csv"),
        "{}",
        restored.out()
    );
    project.assert_sound();
}

#[test]
fn a_file_that_is_read_and_then_changed_is_an_input_with_its_old_content() {
    let project = Project::empty();
    project.write("state.txt", "old");
    project.write(
        "step.py",
        "text = open('state.txt').read()\nopen('state.txt', 'w').write(text + ' and new')\n",
    );
    project
        .reproof(&["run", "-q", "python3", "step.py"])
        .assert_code(0);
    assert_eq!(
        std::fs::read(project.path("state.txt")).unwrap(),
        b"old and new"
    );
    project
        .reproof(&["restore", "latest", "../restored"])
        .assert_code(0);
    assert_eq!(
        std::fs::read(project.root.with_file_name("restored").join("state.txt")).unwrap(),
        b"old"
    );
    project
        .reproof(&["replay", "latest", "--verify"])
        .assert_code(0);
    assert_eq!(
        std::fs::read(project.path("state.txt")).unwrap(),
        b"old and new",
        "a replay works elsewhere"
    );
}

#[test]
fn what_outlives_the_command_is_waited_for_or_ended_as_configured() {
    let project = Project::with_store();
    let script = "(sleep 1; echo late > late.txt) & echo early > early.txt";
    project
        .reproof(&["run", "-q", "sh", "-c", script])
        .assert_code(0);
    let shown = project.json(&["show"]);
    assert!(
        !shown["outputs"]["project"]["late.txt"].is_null(),
        "it was waited for: {}",
        shown["outputs"]
    );
    project.write("reproof.toml", "[capture]\norphans = \"end\"\n");
    let begun = std::time::Instant::now();
    project
        .reproof(&["run", "-q", "sh", "-c", "sleep 30 & echo early > early.txt"])
        .assert_code(0);
    assert!(begun.elapsed().as_secs() < 20, "it was ended");
    let gaps = project.json(&["show"])["record"]["gaps"].to_string();
    assert!(gaps.contains("orphans_ended"), "{gaps}");
}

#[test]
fn a_child_that_is_killed_is_no_fault_of_the_run() {
    let project = Project::with_store();
    let answer = project.reproof(&[
        "run",
        "-q",
        "sh",
        "-c",
        "sh -c 'kill -9 $$'; echo status $?",
    ]);
    answer.assert_code(0);
    assert_eq!(answer.out(), "status 137\n");
    project.assert_sound();
}

#[test]
fn git_without_a_commit_in_a_worktree_and_detached_is_recorded_truthfully() {
    let project = Project::empty();
    project.write("a.py", "print('a')\n");
    project.git(&["init", "--quiet", "--initial-branch", "main"]);
    project
        .reproof(&["run", "-q", "python3", "a.py"])
        .assert_code(0);
    let git = project.json(&["show"])["recipe"]["code"]["git"].clone();
    assert_eq!(
        (git["commit"].is_null(), git["branch"].as_str()),
        (true, Some("main")),
        "an unborn branch: {git}"
    );
    project.git(&["add", "--all"]);
    project.git(&["commit", "--quiet", "-m", "first"]);
    project.git(&["worktree", "add", "--quiet", "--detach", "../tree"]);
    let tree = project.root.with_file_name("tree");
    std::fs::write(tree.join("a.py"), "print('changed')\n").unwrap();
    let answer = Answer::of(
        project
            .program()
            .arg("-C")
            .arg(&tree)
            .args(["run", "python3", "a.py"]),
    );
    answer.assert_code(0).assert_err_has("made the store");
    let shown = Answer::of(
        project
            .program()
            .arg("-C")
            .arg(&tree)
            .args(["show", "--json"]),
    );
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let git = &shown["recipe"]["code"]["git"];
    assert_eq!(
        (git["branch"].is_null(), git["is_dirty"].as_bool()),
        (true, Some(true)),
        "{git}"
    );
    assert!(git["patch"].is_string(), "{git}");
    assert_eq!(git["commit"].as_str().map(str::len), Some(40));
}

#[test]
fn submodules_and_lfs_pointers_are_recorded_as_such() {
    let inner = training_project(true);
    let project = Project::empty();
    project.git(&["init", "--quiet"]);
    let allow = ["-c", "protocol.file.allow=always"];
    project.git(
        &[
            &allow[..],
            &[
                "submodule",
                "--quiet",
                "add",
                inner.root.to_str().unwrap(),
                "inner",
            ],
        ]
        .concat(),
    );
    let pointer = "version https://git-lfs.github.com/spec/v1\n\
                   oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
    project.write("weights.bin", pointer);
    project.git(&["add", "--all"]);
    project.git(&["commit", "--quiet", "-m", "first"]);
    project
        .reproof(&["run", "-q", "cat", "inner/data.csv"])
        .assert_code(0);
    let shown = project.json(&["show"]);
    let code = &shown["recipe"]["code"];
    assert_eq!(code["git"]["submodules"][0]["path"], "inner", "{code}");
    assert_eq!(code["lfs_pointers"][0], "weights.bin");
    assert!(
        !shown["code"]["inner/train.py"].is_null(),
        "the submodule's files are part of the code"
    );
    let page = project.reproof(&["show"]).out();
    assert!(page.contains("Git LFS pointers"), "{page}");
    project.assert_sound();
}

#[test]
fn a_full_disk_ends_with_a_clear_record_or_error_and_a_sound_store() {
    // A file system of 3 MiB, in namespaces that only this test sees.
    let project = Project::empty();
    project.write(
        "test.sh",
        "set -u\nmkdir disk && mount -t tmpfs -o size=3m tmpfs disk || exit 77\ncd disk\n\"$TOOL\" init -q || exit 78\n\
         head -c 20000000 /dev/urandom > ../noise\n\
         \"$TOOL\" run cat ../noise > /dev/null 2> ../err; echo \"run: $?\"\n\
         \"$TOOL\" audit verify; echo \"verify: $?\"\n\"$TOOL\" runs --json | grep -c run_id\n",
    );
    let mut command = project.command("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "test.sh"])
        .env("TOOL", env!("CARGO_BIN_EXE_reproof"));
    let answer = Answer::of(&mut command);
    if matches!(answer.code, Some(77 | 1)) && !answer.out().contains("run: ") {
        crate::python::say("skipped: mounting in a namespace is not allowed here");
        return;
    }
    answer.assert_code(0);
    let error = std::fs::read_to_string(project.path("err")).unwrap();
    assert!(
        answer.out().contains("verify: 0\n"),
        "{} {error}",
        answer.out()
    );
    let is_recorded = answer.out().contains("run: 0\n") && error.contains("missing");
    let is_refused = answer.out().contains("run: 125\n") && error.contains("error[E0012]");
    assert!(is_recorded || is_refused, "{} {error}", answer.out());
}
