//! Python environments: which ran, which a replay is shown, and what is claimed of them.

use std::ffi::OsStr;

use crate::support::{Answer, Project};

#[test]
fn a_run_whose_environment_is_not_on_record_is_replayed_in_todays() {
    let project = Project::with_store();
    project.write(".gitignore", ".venv/\n");
    let make = ["-m", "venv", "--without-pip", ".venv"];
    Answer::of(project.command("python3").args(make)).assert_code(0);
    project.write(
        "a.py",
        "import sys; open('out.txt', 'w').write(sys.prefix)\n",
    );
    let run = ["run", "-q", "--trace", "scan", ".venv/bin/python", "a.py"];
    project.reproof(&run).assert_code(0);
    let answer = project.reproof(&["replay", "latest"]);
    answer.assert_code(0);
    let told = answer.out();
    assert!(
        told.contains("which environment the run had is not on record"),
        "{told}"
    );
    assert!(told.contains("it finished"), "{told}");
}

#[test]
fn a_virtual_environment_outside_of_the_project_can_only_be_read_in_a_replay() {
    let project = Project::with_store();
    let outside = tempfile::tempdir().unwrap();
    let environment = outside.path().join("venv");
    let make = [
        OsStr::new("-m"),
        "venv".as_ref(),
        "--without-pip".as_ref(),
        environment.as_ref(),
    ];
    Answer::of(project.command("python3").args(make)).assert_code(0);
    project.write(
        "a.py",
        "import os, sys\nif 'AGAIN' in os.environ:\n    open(sys.prefix + '/new.txt', 'w').write('x')\nopen('out.txt', 'w').write('x')\n",
    );
    let python = environment.join("bin/python");
    let run = [
        OsStr::new("run"),
        "-q".as_ref(),
        python.as_ref(),
        "a.py".as_ref(),
    ];
    project.reproof(&run).assert_code(0);
    project
        .reproof(&["replay", "latest", "--verify"])
        .assert_code(0);
    let answer = project.reproof(&["replay", "latest", "--variable", "AGAIN=1"]);
    let told = answer.out() + &answer.err();
    assert!(told.contains("Read-only file system"), "{told}");
    assert!(!environment.join("new.txt").exists());
}

#[test]
fn every_python_environment_that_ran_is_on_record() {
    let project = Project::with_store();
    let outside = tempfile::tempdir().unwrap();
    let environment = outside.path().join("venv");
    let make = [
        OsStr::new("-m"),
        "venv".as_ref(),
        "--without-pip".as_ref(),
        environment.as_ref(),
    ];
    Answer::of(project.command("python3").args(make)).assert_code(0);
    let module = Answer::of(project.command(environment.join("bin/python")).args([
        "-c",
        "import sysconfig; print(sysconfig.get_paths()['purelib'])",
    ]));
    let packages = std::path::PathBuf::from(module.out().trim());
    let install = |version: &str| {
        let notes = packages.join("tiny-1.0.dist-info");
        std::fs::create_dir_all(&notes).unwrap();
        std::fs::write(packages.join("tiny.py"), format!("VERSION = '{version}'\n")).unwrap();
        std::fs::write(
            notes.join("METADATA"),
            format!("Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n"),
        )
        .unwrap();
        std::fs::write(
            notes.join("RECORD"),
            "tiny.py,,\ntiny-1.0.dist-info/METADATA,,\n",
        )
        .unwrap();
    };
    install("1.0");
    project.write(
        "a.py",
        "import tiny\nopen('out.txt', 'w').write(tiny.VERSION)\n",
    );
    let python = environment.join("bin/python");
    project.write(
        "launch.py",
        format!("import subprocess\nsubprocess.run([{python:?}, 'a.py'], check=True)\n"),
    );
    project
        .reproof(&["run", "-q", "python3", "launch.py"])
        .assert_code(0);
    let page = project.reproof(&["show", "latest"]).out();
    assert!(page.contains("also ran"), "{page}");
    assert!(page.contains(environment.to_str().unwrap()), "{page}");
    project
        .reproof(&["replay", "latest", "--verify"])
        .assert_code(0);
    install("2.0");
    let answer = project.reproof(&["replay", "latest", "--verify"]);
    answer.assert_code(1);
    let told = answer.out();
    assert!(told.contains("R0 no"), "{told}");
    assert!(told.contains("tiny (in "), "{told}");
}

#[test]
fn a_replay_of_what_was_only_scanned_claims_nothing_of_packages() {
    let project = Project::with_store();
    project.write("a.py", "open('out.txt', 'w').write('x')\n");
    let run = ["run", "-q", "--trace", "scan", "python3", "a.py"];
    project.reproof(&run).assert_code(0);
    let answer = project.reproof(&["replay", "latest"]);
    answer.assert_code(0);
    let told = answer.out();
    assert!(
        told.contains("no level: whether the packages are the same is not known"),
        "{told}"
    );
    assert!(told.contains("R0 –"), "{told}");
    assert!(told.contains("R4 yes"), "{told}");
    let verdict = &project.json(&["replay", "latest"])["comparison"];
    assert_eq!(verdict["level"], serde_json::Value::Null, "{verdict}");
}
