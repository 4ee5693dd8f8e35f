//! What a replay does to files outside of the project, and what it says of inputs that it could not give back.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Answer, Project};

/// A project of root, or whoever runs the tests, and one of somebody who may mount in a namespace of their own only.
fn projects() -> impl Iterator<Item = Project> {
    [Some(Project::with_store()), Project::of_ordinary_user()]
        .into_iter()
        .flatten()
}

/// A folder beside the project, open to everybody.
fn beside(project: &Project, name: &str) -> PathBuf {
    let folder = project.root.with_file_name(name);
    fs::create_dir_all(&folder).unwrap();
    open_to_all(&folder);
    folder
}

fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
}

fn put(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    open_to_all(path);
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[track_caller]
fn run(project: &Project, script: &str) {
    project
        .reproof(&["run", "-q", "sh", "-c", script])
        .assert_code(0);
}

fn replay(project: &Project, more: &[&str]) -> Answer {
    project.reproof(&[&["replay", "latest"], more].concat())
}

#[track_caller]
fn assert_verified(project: &Project) -> Value {
    let answer = replay(project, &["--verify", "--json"]);
    answer.assert_code(0);
    serde_json::from_slice(&answer.stdout).unwrap()
}

#[test]
fn a_file_outside_that_the_run_deleted_survives_its_replay() {
    for project in projects() {
        let folder = beside(&project, "elsewhere");
        let (unread, read) = (folder.join("unread"), folder.join("read"));
        put(&unread, "old");
        put(&read, "old");
        run(
            &project,
            "cat ../elsewhere/read > out && rm ../elsewhere/read ../elsewhere/unread",
        );
        assert!(!unread.exists() && !read.exists());
        // Once with nothing there, as the run left it, and once with other files of that name.
        assert_verified(&project);
        assert!(!unread.exists() && !read.exists());
        put(&unread, "today's");
        put(&read, "today's");
        let replayed = assert_verified(&project);
        assert_eq!(
            (text(&unread), text(&read)),
            ("today's".into(), "today's".into())
        );
        let run = replayed["run"]["run_id"].as_str().unwrap();
        let deleted = &project.json(&["show", run])["record"]["deleted"];
        assert_eq!(deleted.as_array().unwrap().len(), 2, "{deleted}");
    }
}

#[test]
fn an_input_outside_is_replaced_by_renaming_and_todays_file_is_left_alone() {
    for project in projects() {
        let file = beside(&project, "elsewhere").join("data.csv");
        put(&file, "3\n1\n2\n");
        run(
            &project,
            "cd ../elsewhere && sort data.csv > data.new && mv data.new data.csv",
        );
        assert_eq!(text(&file), "1\n2\n3\n");
        put(&file, "today's\n");
        let replayed = assert_verified(&project);
        let outputs = replayed["comparison"]["outputs"].as_array().unwrap();
        assert_eq!(outputs.len(), 1, "{outputs:?}");
        assert_eq!(outputs[0]["place"], "outside");
        assert_eq!(outputs[0]["outcome"], "identical");
        assert_eq!(text(&file), "today's\n");
    }
}

#[test]
fn data_behind_a_link_that_leads_elsewhere_today_is_the_recorded_data() {
    for project in projects() {
        let folder = beside(&project, "data");
        let link = folder.join("current");
        let lead_to = |target: &str| {
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(target, &link).unwrap();
        };
        for version in ["v1", "v2"] {
            put(
                &beside(&project, "data/nothing").with_file_name(version),
                version,
            );
        }
        lead_to("v1");
        run(&project, "cat ../data/current > out");
        lead_to("v2");
        assert_verified(&project);
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("v2"));
        fs::remove_file(&link).unwrap();
        fs::create_dir(&link).unwrap();
        assert_verified(&project);
        assert!(link.is_dir());
        fs::remove_dir_all(&folder).unwrap();
        assert_verified(&project);
        assert!(!folder.exists());
    }
}

#[test]
fn a_replay_that_reads_what_its_origin_did_not_is_not_verified() {
    for project in projects() {
        let folder = beside(&project, "data");
        put(&folder.join("a.csv"), "1\n");
        run(&project, "cat ../data/*.csv > /dev/null; echo done > out");
        assert_verified(&project);
        put(&folder.join("b.csv"), "2\n");
        let answer = replay(&project, &["--verify"]);
        answer.assert_code(1);
        let words = answer.out();
        assert!(words.contains("level R2"), "{words}");
        assert!(
            words.contains("NOT verified: it read 1 input file"),
            "{words}"
        );
        let other = folder.canonicalize().unwrap().join("b.csv");
        assert!(words.contains(&format!("{}", other.display())), "{words}");
        assert!(!words.contains("likely causes"), "nothing differs: {words}");
    }
}

#[test]
fn where_nothing_can_be_mounted_data_that_changed_counts_as_lost() {
    let project = Project::with_store();
    let file = beside(&project, "data").join("a.csv");
    put(&file, "1\n");
    run(&project, "cat ../data/a.csv > /dev/null; echo done > out");
    let replay = || {
        // A user's namespace in which the kernel makes no further ones for mounts.
        let script = "echo 0 > /proc/sys/user/max_mnt_namespaces || exit 77; exec \"$TOOL\" replay latest --verify";
        let mut command = project.command("unshare");
        command
            .args(["--user", "--map-root-user", "sh", "-c", script])
            .env("TOOL", env!("CARGO_BIN_EXE_reproof"));
        Answer::of(&mut command)
    };
    let same = replay();
    if same.code == Some(77) || same.err().contains("unshare") {
        crate::python::say("skipped: namespaces of users cannot be limited here");
        return;
    }
    same.assert_code(0);
    put(&file, "2\n");
    let other = replay();
    other.assert_code(1);
    let words = other.out();
    assert!(words.contains("data/a.csv` is another today"), "{words}");
    assert!(words.contains("level R2"), "{words}");
    assert!(
        words.contains("1 of its inputs could not be given back"),
        "{words}"
    );
}

#[test]
fn a_file_that_the_run_made_outside_is_not_made_again_and_compared_all_the_same() {
    for project in projects() {
        let folder = beside(&project, "elsewhere");
        // `set -C` refuses to write to a file that is there.
        let script = "mkdir -p ../elsewhere/a/b && set -C && echo model > ../elsewhere/a/b/m.bin && echo last > ../elsewhere/last.bin";
        run(&project, script);
        fs::remove_dir_all(folder.join("a")).unwrap();
        fs::remove_file(folder.join("last.bin")).unwrap();
        let replayed = assert_verified(&project);
        let outputs = replayed["comparison"]["outputs"].as_array().unwrap();
        assert_eq!(outputs.len(), 2, "{outputs:?}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }
}

#[test]
fn a_neighbour_of_what_the_run_changed_can_be_read_and_not_be_removed_or_replaced() {
    for project in projects() {
        let folder = beside(&project, "elsewhere");
        put(&folder.join("lib.txt"), "library\n");
        let script = "cd ../elsewhere; cat lib.txt > out.txt; rm -f later; mv out.txt later 2>/dev/null; cat later > out.txt; rmdir deep 2>/dev/null; true";
        run(&project, script);
        fs::remove_file(folder.join("later")).unwrap();
        put(&folder.join("later"), "somebody's\n");
        fs::create_dir(folder.join("deep")).unwrap();
        open_to_all(&folder.join("deep"));
        let kept: Vec<&[u8]> = vec![b"odd\n\xff name", b"-rf", b"sp ace"];
        for name in &kept {
            put(&folder.join(std::ffi::OsStr::from_bytes(name)), "mine");
        }
        std::os::unix::fs::symlink("/nowhere", folder.join("dangling")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap();
        assert_verified(&project);
        assert_eq!(text(&folder.join("later")), "somebody's\n");
        assert!(folder.join("deep").is_dir() && folder.join("dangling").is_symlink());
        for name in kept {
            assert_eq!(
                text(&folder.join(std::ffi::OsStr::from_bytes(name))),
                "mine"
            );
        }

        // A later file that is no output of the run, and that its command would remove or overwrite.
        for harm in [
            "rm -f two",
            "echo harm > two",
            "echo harm >> two",
            "chmod 000 two",
        ] {
            let script = format!("cd ../elsewhere; echo 1 > one; test ! -e two || ( {harm} )");
            let _ = fs::remove_file(folder.join("two"));
            run(&project, &script);
            put(&folder.join("two"), "somebody's\n");
            let answer = replay(&project, &["--verify"]);
            answer.assert_code(1);
            assert_eq!(text(&folder.join("two")), "somebody's\n", "{harm}");
        }
    }
}

#[test]
fn locks_and_databases_that_are_opened_for_writing_and_left_alone_can_be_opened_again() {
    for project in projects() {
        let folder = beside(&project, "elsewhere");
        put(&folder.join("lock"), "");
        put(&folder.join("base.db"), "content");
        run(
            &project,
            "cd ../elsewhere; exec 3<>lock 4<>base.db; read -r line <&4; echo \"$line\" > out.txt",
        );
        assert_verified(&project);
        assert_eq!(text(&folder.join("base.db")), "content");
    }
}

#[test]
fn the_folder_around_the_project_can_be_written_to_in_a_replay() {
    for project in projects() {
        open_to_all(project.root.parent().unwrap());
        project.write("in.txt", "input\n");
        run(
            &project,
            "cat in.txt > ../result.txt; cat ../result.txt > out.txt; mkdir -p ../deep; echo a > ../deep/a; rm -r ../deep; mkdir ../deep && echo b > ../deep/b",
        );
        let result = project.root.with_file_name("result.txt");
        put(&result, "today's\n");
        project.write("in.txt", "changed\n");
        assert_verified(&project);
        assert_eq!(text(&result), "today's\n");
        // The project itself may be gone, and its place with it.
        let directory = project.root.with_file_name("replayed");
        replay(
            &project,
            &["--verify", "--into", directory.to_str().unwrap()],
        )
        .assert_code(0);
        let staged = directory.join(".reproof-written");
        let left: Vec<_> = crate::support::files_below(&staged);
        let names: Vec<_> = left.iter().map(|file| file.file_name().unwrap()).collect();
        assert_eq!(
            names,
            [".gitignore", "b", "result.txt"],
            "no neighbour's placeholder is left"
        );
    }
}

#[test]
fn a_run_that_is_replayed_beside_too_many_neighbours_is_refused_before_it_starts() {
    let project = Project::with_store();
    let folder = beside(&project, "elsewhere");
    let script = "echo x > ../elsewhere/out; touch ../elsewhere/started";
    run(&project, script);
    fs::remove_file(folder.join("started")).unwrap();
    for number in 0..=5_000 {
        fs::write(folder.join(format!("n{number}")), "").unwrap();
    }
    let runs = project.run_ids().len();
    let answer = replay(&project, &[]);
    answer
        .assert_code(2)
        .assert_err_has("error[E0024]")
        .assert_err_has("a replay cannot protect: more than 5000 files stand in it")
        .assert_err_has("`reproof restore RUN DIR`");
    assert_eq!(project.run_ids().len(), runs, "no run was recorded");
    assert!(!folder.join("started").exists());
    project.assert_sound();
}

#[test]
fn a_replay_whose_mounts_are_refused_ends_before_it_starts_and_names_the_path() {
    let project = Project::with_store();
    let folder = beside(&project, "elsewhere");
    put(&folder.join("in.txt"), "input");
    run(&project, "cat ../elsewhere/in.txt > out; echo x > ../trace");
    let trace = project.root.with_file_name("trace");
    fs::remove_file(&trace).unwrap();
    // A folder stands where a file is to be shown.
    fs::remove_file(folder.join("in.txt")).unwrap();
    fs::create_dir(folder.join("in.txt")).unwrap();
    let runs = project.run_ids().len();
    replay(&project, &[])
        .assert_code(2)
        .assert_err_has("error[E0024]")
        .assert_err_has("elsewhere/in.txt` cannot be shown to the command");
    assert_eq!(project.run_ids().len(), runs, "no run was recorded");
    assert!(!trace.exists());
}

#[test]
fn an_input_whose_bytes_are_gone_is_said_and_nothing_is_verified_by_it() {
    let project = Project::with_store();
    let file = beside(&project, "elsewhere").join("data.csv");
    put(&file, "1\n2\n");
    run(
        &project,
        "cat ../elsewhere/data.csv > /dev/null; echo same > out.txt",
    );
    let target = format!("latest:{}", file.display());
    project
        .reproof(&["forget", &target, "--reason", "licence", "--yes"])
        .assert_code(0);

    for (todays, instead) in [
        (Some("3\n"), "today's, which is another, is used"),
        (None, "the command runs without it"),
    ] {
        match todays {
            Some(todays) => put(&file, todays),
            None => fs::remove_file(&file).unwrap(),
        }
        let answer = replay(&project, &["--verify"]);
        answer.assert_code(1);
        let said = format!(
            "input `{}` is not on record (removed by `reproof forget`, or missing); {instead}\n",
            file.display()
        );
        for words in [
            said.as_str(),
            "level R2\n",
            "NOT verified: 1 of its inputs could not be given back",
        ] {
            assert!(answer.out().contains(words), "{words}: {}", answer.out());
        }
        assert!(!answer.out().contains("likely causes"), "{}", answer.out());
    }
    put(&file, "1\n2\n");
    let answer = replay(&project, &["--verify"]);
    answer.assert_code(0);
    assert!(
        answer
            .out()
            .contains("today's file has the recorded digest and is used"),
        "{}",
        answer.out()
    );
    project.assert_sound();
}

#[test]
fn data_over_the_size_limit_comes_from_todays_file_where_that_is_the_same() {
    let project = Project::with_store();
    project.write("reproof.toml", "[capture]\nsize_limit = 1000\n");
    project.write(".gitignore", "data/\nout/\n");
    let data = "12345678\n".repeat(1000);
    project.write("data/large.csv", &data);
    let outside = beside(&project, "elsewhere").join("large.csv");
    put(&outside, &data);
    run(
        &project,
        "mkdir -p out; wc -l < data/large.csv > out/n; echo 9 >> ../elsewhere/large.csv; wc -l < ../elsewhere/large.csv > out/m",
    );
    put(&outside, &data);
    let replayed = assert_verified(&project);
    assert_eq!(replayed["notes"].as_array().unwrap().len(), 2, "{replayed}");
    assert_eq!(text(&outside), data, "the replay added to a copy");

    project.write("data/large.csv", "other\n");
    put(&outside, "other\n");
    let answer = replay(&project, &["--verify"]);
    answer.assert_code(1);
    let reason = "is not on record (larger than the size limit, only its digest is kept)";
    for said in [
        format!("input `data/large.csv` {reason}; the command runs without it\n"),
        format!(
            "input `{}` {reason}; today's, which is another, is used\n",
            outside.display()
        ),
    ] {
        assert!(answer.out().contains(&said), "{said}: {}", answer.out());
    }
    assert_eq!(text(&outside), "other\n");
    assert_eq!(text(&project.path("data/large.csv")), "other\n");
}

#[test]
fn a_rename_that_only_a_replay_is_refused_is_named_as_the_cause() {
    let project = Project::with_store();
    let folder = beside(&project, "elsewhere");
    // `mv` copies where it cannot rename; `rename` of Python does not.
    let script =
        "echo 1 > kept.tmp; python3 -c \"import os; os.rename('kept.tmp', '../elsewhere/kept')\"";
    run(&project, script);
    fs::remove_file(folder.join("kept")).unwrap();
    let answer = replay(&project, &["--verify"]);
    answer.assert_code(1);
    let causes = answer.out();
    let (_, causes) = causes.split_once("likely causes").unwrap();
    let first = causes.lines().nth(1).unwrap();
    assert!(
        first.contains("`kept.tmp` was to be renamed to") && first.contains("elsewhere/kept"),
        "{causes}"
    );
    // With what copies then nothing is amiss.
    run(&project, "echo 1 > kept.tmp; mv kept.tmp ../elsewhere/kept");
    assert_verified(&project);
}

#[test]
fn the_virtual_environment_of_the_project_is_read_and_not_written_by_a_replay() {
    let project = project_with_environment();
    project.write(
        "write.py",
        "import sys, pathlib, os\nif 'FAIL' in os.environ: pathlib.Path(sys.prefix, 'x').write_text('x')\nprint(1, file=open('out.txt', 'w'))\n",
    );
    project
        .reproof(&["run", "-q", ".venv/bin/python", "write.py"])
        .assert_code(0);
    assert_verified(&project);
    let answer = replay(&project, &["--variable", "FAIL=1", "--verify"]);
    answer.assert_code(1);
    assert!(!project.path(".venv/x").exists());
}

fn project_with_environment() -> Project {
    let project = Project::with_store();
    project.write(".gitignore", ".venv/\n");
    let make = ["-m", "venv", "--without-pip", ".venv"];
    Answer::of(project.command("python3").args(make)).assert_code(0);
    project
}

#[test]
fn what_a_run_writes_into_its_environment_is_its_output_and_a_replay_writes_to_a_copy() {
    let project = project_with_environment();
    project.write(
        "change.py",
        "import sys, pathlib, os\np = pathlib.Path(sys.prefix)\n\
         log = p / 'share' / 'log.txt'\nlog.write_text(log.read_text() + 'more\\n')\n\
         (p / 'old.txt').unlink()\n(p / 'models').mkdir()\n(p / 'models' / 'm.bin').write_text('model')\n",
    );
    std::fs::create_dir(project.path(".venv/share")).unwrap();
    let paths = ["share/log.txt", "old.txt", "models/m.bin"];
    let [log, old, model] = paths.map(|path| project.path(".venv").join(path));
    put(&log, "first\n");
    put(&old, "old");
    let run = ["run", "-q", ".venv/bin/python", "change.py"];
    project.reproof(&run).assert_code(0);
    assert_eq!(text(&log), "first\nmore\n");
    // Twice: the first replay leaves nothing to the second.
    for _ in 0..2 {
        let replayed = assert_verified(&project);
        let outputs = replayed["comparison"]["outputs"].as_array().unwrap();
        let told: Vec<_> = outputs
            .iter()
            .map(|output| {
                (
                    output["path"].as_str().unwrap(),
                    output["outcome"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (".venv/models/m.bin", "identical"),
                (".venv/share/log.txt", "identical")
            ]
        );
        assert_eq!(text(&log), "first\nmore\n", "the user's own file");
        assert_eq!(text(&model), "model");
        assert!(!old.exists());
    }
    let shown = project.json(&["show", "latest"]);
    assert_eq!(shown["record"]["deleted"][0], ".venv/old.txt", "{shown}");

    // What it wrote counts.
    project.write(
        "random.py",
        "import sys, pathlib, os\npathlib.Path(sys.prefix, 'r').write_bytes(os.urandom(8))\npathlib.Path('out').write_text('x')\n",
    );
    let run = ["run", "-q", ".venv/bin/python", "random.py"];
    project.reproof(&run).assert_code(0);
    let answer = replay(&project, &["--verify"]);
    answer.assert_code(1);
    assert!(answer.out().contains(".venv/r"), "{}", answer.out());
}

/// Something in the root folder, which is removed again.
struct InRoot(PathBuf);

impl Drop for InRoot {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_folder_that_the_run_made_in_the_root_is_set_apart_too() {
    let made = InRoot(format!("/.reproof-test-{}", std::process::id()).into());
    if fs::create_dir(&made.0).is_err() {
        crate::python::say("skipped: this user may not make a folder in the root");
        return;
    }
    fs::remove_dir(&made.0).unwrap();
    let project = Project::with_store();
    let folder = made.0.display();
    run(
        &project,
        &format!("mkdir -p {folder}/a && echo 1 > {folder}/a/b && cat {folder}/a/b > out"),
    );
    put(&made.0.join("a/b"), "today's\n");
    assert_verified(&project);
    assert_eq!(text(&made.0.join("a/b")), "today's\n");
    fs::remove_dir_all(&made.0).unwrap();
    assert_verified(&project);
    assert!(!made.0.exists());
}
