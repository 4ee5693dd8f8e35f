//! `kill -9` at any moment: the store opens, verifies, and says which run was cut short.

use std::time::Duration;

use crate::support::{Project, training_project};

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
