//! `kill -9` at any moment: the store opens, verifies, and says which run was cut short.

use std::process::{Child, Stdio};
use std::time::Duration;

use crate::support::{Project, files_below, training_project};

/// A script that reads, writes, starts processes and takes about a second.
const BUSY: &str = r#"
import json, pathlib, subprocess, time

pathlib.Path("out").mkdir(exist_ok=True)
for step in range(10):
    rows = open("data.csv").read()
    pathlib.Path(f"out/part-{step}.bin").write_bytes(bytes(range(256)) * 2000)
    subprocess.run(["true"], check=True)
    time.sleep(0.05)
json.dump({"steps": 10}, open("metrics.json", "w"))
"#;

#[test]
fn a_run_killed_at_any_moment_leaves_a_sound_store_and_is_marked() {
    let project = training_project(true);
    project.write("busy.py", BUSY);
    project
        .reproof(&[
            "run", "-q", "-n", "whole", "python3", "train.py", "--lr", "0.1",
        ])
        .assert_code(0);
    let mut interrupted = 0;
    for attempt in 0..16_u64 {
        let mut child = project.start(&["run", "python3", "busy.py"]);
        // From before the store is open to about the end, the moments spread unevenly.
        std::thread::sleep(Duration::from_millis(attempt * attempt * 5));
        child.kill().unwrap();
        child.wait().unwrap();
        let list = project.json(&["runs", "--all", "--limit", "1000"]);
        for run in list["runs"].as_array().unwrap() {
            assert_ne!(run["status"], "RUNNING", "after attempt {attempt}: {run}");
        }
        let marked = list["runs"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|run| run["is_interrupted"] == true)
            .count();
        assert!(
            marked == interrupted || marked == interrupted + 1,
            "after attempt {attempt}"
        );
        interrupted = marked;
        project.assert_sound();
    }
    assert!(
        interrupted > 3,
        "only {interrupted} of 16 were killed in their middle: the moments are badly chosen"
    );
    project.reproof(&["runs"]).assert_code(0);
    let left: Vec<_> = std::fs::read_dir(project.store().join("tmp"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        // One that was killed before it had locked its folder is known by its age only.
        .filter(|path| path.join("alive").exists())
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let page = project.reproof(&["show", "latest"]).out();
    assert!(page.contains("run ") && page.contains("status "), "{page}");
    // What was recorded before is whole.
    project
        .reproof(&["replay", "whole", "--verify"])
        .assert_code(0);
    assert_eq!(leftovers(&project), Vec::<String>::new());
}

/// Processes of the killed commands that are still there after a while.
fn leftovers(project: &Project) -> Vec<String> {
    let mut found = Vec::new();
    for _ in 0..50 {
        found = processes_in(&project.root);
        if found.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    found
}

fn processes_in(folder: &std::path::Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let directories = entries.flatten().map(|entry| entry.path());
    directories
        .filter(|process| std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder))
        .map(|process| {
            let words = std::fs::read(process.join("cmdline")).unwrap_or_default();
            format!(
                "{}: {}",
                process.display(),
                String::from_utf8_lossy(&words).replace('\0', " ")
            )
        })
        .collect()
}

#[test]
fn a_store_whose_making_was_killed_is_made_by_the_next() {
    for attempt in 0..12_u64 {
        let project = Project::empty();
        let mut child = project.start(&["init"]);
        std::thread::sleep(Duration::from_millis(attempt * 4));
        child.kill().unwrap();
        child.wait().unwrap();
        project.reproof(&["init"]).assert_code(0);
        project.reproof(&["run", "-q", "true"]).assert_code(0);
        project.assert_sound();
    }
}

/// Names of what is in the store's temporary folder for as long as a command.
fn temporary_directories(project: &Project) -> Vec<String> {
    let entries = std::fs::read_dir(project.store().join("tmp")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names
        .filter(|name| name.starts_with("run-") || name.starts_with("replay-"))
        .collect();
    names.sort();
    names
}

/// Waits until the command that was started has made a file, and so is at work.
fn wait_for(project: &Project, child: &mut Child, path: &str) {
    for _ in 0..600 {
        if project.path(path).exists() {
            return;
        }
        assert_eq!(child.try_wait().unwrap(), None, "it ended too early");
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the command did not start within a minute");
}

#[test]
fn what_killed_commands_left_is_removed_and_what_lives_is_spared() {
    let project = Project::with_store();
    let sleep =
        |file: &str| ["run", "sh", "-c", &format!("touch {file}; sleep 1000")].map(str::to_owned);
    let start = |file: &str| {
        let words = sleep(file);
        let mut child = project.start(&words.each_ref().map(String::as_str));
        wait_for(&project, &mut child, file);
        child
    };
    let mut killed = start("one");
    let left = temporary_directories(&project);
    assert_eq!(left.len(), 1, "{left:?}");
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(temporary_directories(&project), left);
    let mut alive = start("two");
    let spared = temporary_directories(&project);
    assert!(
        spared.len() == 1 && spared != left,
        "{spared:?} after {left:?}"
    );
    let list = project.json(&["runs", "--all"]);
    assert_eq!(list["runs"][0]["status"], "RUNNING", "{list}");
    assert_eq!(list["runs"][1]["is_interrupted"], true, "{list}");
    assert_eq!(temporary_directories(&project), spared);
    alive.kill().unwrap();
    alive.wait().unwrap();
    project.reproof(&["runs"]).assert_code(0);
    assert_eq!(temporary_directories(&project), Vec::<String>::new());
}

#[test]
fn what_a_killed_replay_left_is_removed_with_its_read_only_folders() {
    let project = Project::with_store();
    let (waits, replaying) = (
        project.root.with_file_name("waits"),
        project.root.with_file_name("replaying"),
    );
    // Only the replay waits; both leave a folder behind that others than root cannot empty.
    let script = format!(
        "mkdir -p locked/below; touch locked/below/file; chmod 500 locked/below locked; \
         if [ -e {} ]; then touch {}; exec sleep 1000; fi",
        waits.display(),
        replaying.display()
    );
    project
        .reproof(&["run", "-q", "-n", "origin", "sh", "-c", &script])
        .assert_code(0);
    std::fs::write(&waits, "").unwrap();
    let mut replay = project.start(&["replay", "origin"]);
    wait_for(&project, &mut replay, "../replaying");
    let left = temporary_directories(&project);
    assert!(
        left.iter().any(|name| name.starts_with("replay-")),
        "{left:?}"
    );
    replay.kill().unwrap();
    replay.wait().unwrap();
    project.reproof(&["runs"]).assert_code(0);
    assert_eq!(temporary_directories(&project), Vec::<String>::new());
}

#[test]
fn a_replay_that_is_killed_leaves_no_copy_of_a_secret_in_the_directory_it_was_given() {
    let project = Project::with_store();
    project.write(".gitignore", ".env\n");
    let outside = project.root.with_file_name("elsewhere");
    std::fs::create_dir(&outside).unwrap();
    for file in [project.path(".env"), outside.join(".env")] {
        std::fs::write(file, "TOKEN=very-secret\n").unwrap();
    }
    // It also changes something beside the secret outside, so that its folder is set apart.
    let script = "cat .env ../elsewhere/.env | wc -l > lines; echo > ../elsewhere/out; [ -z \"$WAIT\" ] || { grep -q very-secret .env && echo > ready; sleep 60; }";
    project
        .reproof(&["run", "-q", "sh", "-c", script])
        .assert_code(0);
    let directory = project.root.with_file_name("again");
    let into = directory.to_str().unwrap();
    let arguments = ["replay", "latest", "--into", into, "--variable", "WAIT=1"];
    let mut child = project.start(&arguments);
    wait_for(&project, &mut child, "../again/ready");
    child.kill().unwrap();
    child.wait().unwrap();
    let files = files_below(&directory);
    assert!(files.iter().any(|file| file.ends_with("lines")));
    let has_secret = |file: &std::path::PathBuf| {
        std::fs::read(file).is_ok_and(|bytes| bytes.starts_with(b"TOKEN="))
    };
    let told: Vec<_> = files.iter().filter(|file| has_secret(file)).collect();
    assert!(told.is_empty(), "{told:?}");
    project.reproof(&["runs"]).assert_code(0);
    let left: Vec<_> = files_below(&project.store().join("tmp"));
    assert!(!left.iter().any(has_secret), "{left:?}");
}

#[test]
fn a_run_in_another_pid_namespace_is_alive_until_it_is_killed() {
    let unshare = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let project = Project::with_store();
    let can_unshare = project
        .command("unshare")
        .args(unshare)
        .arg("true")
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !can_unshare {
        crate::python::say(
            "skipped: `unshare --pid --mount-proc` is not allowed here, as without root or in a container",
        );
        return;
    }
    let mut container = project
        .command("unshare")
        .args(unshare)
        .arg(env!("CARGO_BIN_EXE_reproof"))
        .args(["run", "sh", "-c", "touch inside; sleep 1000"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(&project, &mut container, "inside");
    let list = project.json(&["runs", "--all"]);
    assert_eq!(list["runs"][0]["status"], "RUNNING", "{list}");
    assert_eq!(temporary_directories(&project).len(), 1);
    container.kill().unwrap();
    container.wait().unwrap();
    // Who is in the namespace is killed with it, a moment later.
    let mut is_interrupted = false;
    for _ in 0..100 {
        let list = project.json(&["runs", "--all"]);
        is_interrupted = list["runs"][0]["is_interrupted"] == true;
        if is_interrupted {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(is_interrupted);
    project.reproof(&["runs"]).assert_code(0);
    assert_eq!(temporary_directories(&project), Vec::<String>::new());
}

#[test]
fn a_killed_run_that_lasted_a_while_keeps_what_it_was_started_with_and_what_it_printed() {
    let project = training_project(true);
    let script = "cat data.csv > /dev/null; echo so far; touch started; exec sleep 1000";
    let mut child = project.start(&["run", "-p", "lr=0.1", "sh", "-c", script, "--seed=7"]);
    wait_for(&project, &mut child, "started");
    let opening = || {
        let left = temporary_directories(&project);
        let directory = project.store().join("tmp").join(&left[0]);
        directory.join("opening.json").exists()
    };
    for _ in 0..600 {
        if opening() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    project.write("train.py", "changed since\n");
    let shown = project.json(&["show"]);
    assert_eq!(shown["run"]["is_interrupted"], true);
    assert_eq!(shown["run"]["status"], "KILLED");
    assert_eq!(shown["run"]["params"]["seed"], "7", "{shown}");
    assert_eq!(shown["recipe"]["command"][2], script);
    assert_eq!(shown["record"]["gaps"][0]["code"], "cut_short");
    let page = project.reproof(&["show"]).out();
    assert!(
        page.contains("interrupted") && page.contains("not seen"),
        "{page}"
    );
    assert_eq!(project.reproof(&["logs"]).out(), "so far\n");
    let copy = project.root.with_file_name("copy");
    project
        .reproof(&["restore", "latest", copy.to_str().unwrap()])
        .assert_code(0);
    let code = std::fs::read_to_string(copy.join("train.py")).unwrap();
    assert!(code.contains("metrics.json"), "{code}");
    project.assert_sound();
}
