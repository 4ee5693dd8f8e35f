//! The command line from outside: what is printed where, and how it exits.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Answer, Project};

#[test]
fn init_makes_a_store_and_says_what_it_made() {
    let project = Project::empty();
    let answer = project.reproof(&["init"]);
    answer.assert_code(0);
    assert_eq!(
        project.plain(&answer.out()),
        "made the store [project]/.reproof\n\
         settings are in reproof.toml; the signing key is in your settings folder, not in the project\n\
         commit reproof.toml; git ignores `.reproof/`, by its own .gitignore\n\
         the ledger is signed by [key]\n"
    );
    assert_eq!(answer.err(), "");
    let settings = std::fs::read_to_string(project.path("reproof.toml")).unwrap();
    assert!(
        settings.contains("#: size_limit"),
        "the settings are explained"
    );
    project.assert_sound();
}

#[test]
fn init_says_so_where_git_would_take_the_store() {
    let project = Project::empty();
    project.write(".reproof/.gitignore", "# nothing\n");
    let answer = project.reproof(&["init"]);
    answer.assert_code(0);
    assert!(answer.out().contains("does NOT ignore"), "{}", answer.out());
}

#[test]
fn init_again_changes_nothing() {
    let project = Project::with_store();
    project.write("reproof.toml", "[capture]\nsize_limit = 7\n");
    let before = project.json(&["init"])["verifier_key"].clone();
    let answer = project.reproof(&["init"]);
    answer.assert_code(0);
    assert_eq!(
        project.plain(&answer.out()),
        "the store [project]/.reproof is there already; nothing was changed\nthe ledger is signed by [key]\n"
    );
    assert_eq!(
        std::fs::read_to_string(project.path("reproof.toml")).unwrap(),
        "[capture]\nsize_limit = 7\n"
    );
    assert_eq!(project.json(&["init"])["verifier_key"], before);
}

#[test]
fn init_inside_another_store_is_refused_unless_told() {
    let project = Project::with_store();
    std::fs::create_dir(project.path("inner")).unwrap();
    let answer = project.reproof(&["init", "inner"]);
    answer.assert_code(2);
    assert_eq!(answer.out(), "");
    assert_eq!(
        project.plain(&answer.err()),
        "reproof: error[E0002]: [project]/inner belongs to the project [project], which has a store\n  \
           try: use that store: every command finds it from here\n  \
           try: `reproof init --nested` makes another one here all the same\n  \
           more: reproof explain E0002\n"
    );
    assert!(!project.path("inner/.reproof").exists());
    project
        .reproof(&["init", "inner", "--nested"])
        .assert_code(0);
    assert!(project.path("inner/.reproof/reproof.db").is_file());
}

#[test]
fn without_a_store_every_reading_command_says_how_to_make_one() {
    let project = Project::empty();
    for command in [
        &["runs"][..],
        &["show"],
        &["logs"],
        &["diff", "a", "b"],
        &["audit", "verify"],
        &["gc"],
    ] {
        let answer = project.reproof(command);
        answer.assert_code(2);
        assert_eq!(
            project.plain(&answer.err()),
            "reproof: error[E0001]: no store in [project] or any directory above it\n  \
               try: `reproof init` makes one here\n  \
               try: `reproof -C DIR …` works in another directory\n  \
               more: reproof explain E0001\n",
            "{command:?}"
        );
    }
    assert!(!project.store().exists(), "looking makes nothing");
}

#[test]
fn an_error_is_json_where_json_was_asked_for() {
    let project = Project::empty();
    let answer = project.reproof(&["runs", "--json"]);
    answer.assert_code(2);
    let value: serde_json::Value = serde_json::from_slice(&answer.stderr).unwrap();
    assert_eq!(value["error"]["code"], "E0001");
    assert_eq!(value["error"]["hints"].as_array().unwrap().len(), 2);
    assert_eq!(answer.out(), "");
}

#[test]
fn run_makes_the_store_at_the_root_of_the_checkout_and_says_so() {
    let project = Project::empty();
    project.git(&["init", "--quiet"]);
    std::fs::create_dir(project.path("deep")).unwrap();
    let answer = project.reproof(&["-C", "deep", "run", "true"]);
    answer.assert_code(0);
    let error = project.plain(&answer.err());
    assert!(
        error.starts_with("reproof: made the store [project]/.reproof, and reproof.toml"),
        "{error}"
    );
    assert!(!project.path("deep/.reproof").exists());
}

#[test]
fn an_unknown_run_is_bad_input() {
    let project = Project::with_store();
    for command in [
        &["show", "nope"][..],
        &["logs", "nope"],
        &["restore", "nope", "x"],
        &["replay", "nope"],
    ] {
        let answer = project.reproof(command);
        answer
            .assert_code(2)
            .assert_err_has("error[E0005]")
            .assert_err_has("nope")
            .assert_err_has("`reproof runs`");
    }
    project
        .reproof(&["show", "latest"])
        .assert_code(2)
        .assert_err_has("error[E0005]");
}

#[test]
fn a_beginning_that_fits_several_runs_names_them() {
    let project = Project::with_store();
    // Of 17 ids two begin with the same hex digit.
    for _ in 0..17 {
        project.reproof(&["run", "-q", "true"]).assert_code(0);
    }
    let ids = project.run_ids();
    let twice = ids
        .iter()
        .map(|id| &id[..1])
        .find(|first| ids.iter().filter(|id| id.starts_with(first)).count() > 1);
    let first = twice.expect("17 ids have only 16 first digits");
    let answer = project.reproof(&["show", first]);
    answer.assert_code(2).assert_err_has("error[E0006]");
    let fitting: Vec<_> = ids.iter().filter(|id| id.starts_with(first)).collect();
    for id in fitting.iter().take(5) {
        answer.assert_err_has(&id[..8]);
    }
    let shown = project.json(&["show", &fitting[0][..12]]);
    assert_eq!(
        shown["run"]["run_id"], **fitting[0],
        "more digits tell them apart"
    );
}

#[test]
fn a_store_of_a_newer_version_is_not_written_to() {
    let project = Project::with_store();
    project.reproof(&["run", "-q", "true"]).assert_code(0);
    let database = project.store().join("reproof.db");
    rusqlite::Connection::open(&database)
        .unwrap()
        .pragma_update(None, "user_version", 999)
        .unwrap();
    let answer = project.reproof(&["run", "true"]);
    answer
        .assert_code(125)
        .assert_err_has("error[E0003]")
        .assert_err_has("999");
    project
        .reproof(&[
            "forget",
            &format!("b3:{}", "0".repeat(64)),
            "--reason",
            "x",
            "--yes",
        ])
        .assert_code(2);
    project.reproof(&["runs"]).assert_code(0);
    let answer = project.reproof(&["audit", "verify"]);
    answer.assert_code(2).assert_err_has("error[E0003]");
}

#[test]
fn a_command_that_is_not_there_exits_as_in_a_shell() {
    let project = Project::with_store();
    let answer = project.reproof(&["run", "no-such-command-anywhere"]);
    answer
        .assert_code(127)
        .assert_err_has("error[E0007]")
        .assert_err_has("no-such-command-anywhere");
    project
        .reproof(&["run", "./no-such-file"])
        .assert_code(127)
        .assert_err_has("error[E0007]");
    project.write("not-executable", "#!/bin/sh\n");
    let answer = project.reproof(&["run", "./not-executable"]);
    answer
        .assert_code(126)
        .assert_err_has("error[E0008]")
        .assert_err_has("not-executable");
    project.reproof(&["run", "/"]).assert_code(126);
    project.assert_sound();
}

#[test]
fn the_status_of_the_command_is_passed_on() {
    let project = Project::with_store();
    for status in [0, 1, 7, 255] {
        project
            .reproof(&["run", "sh", "-c", &format!("exit {status}")])
            .assert_code(status);
    }
    project
        .reproof(&["run", "sh", "-c", "kill -9 $$"])
        .assert_code(128 + 9);
    let shown = project.json(&["show"]);
    assert_eq!(shown["run"]["status"], "KILLED");
    assert_eq!(shown["record"]["exit"]["signal"], 9);
}

#[test]
fn what_the_command_prints_passes_through_unchanged_and_is_kept() {
    let project = Project::with_store();
    let script = r"printf 'a\0b\377\r\nno newline at the end'; printf 'to stderr\n' >&2";
    let answer = project.reproof(&["run", "-q", "sh", "-c", script]);
    answer.assert_code(0);
    assert_eq!(answer.stdout, b"a\0b\xff\r\nno newline at the end");
    assert_eq!(answer.stderr, b"to stderr\n");
    let logs = project.reproof(&["logs"]);
    assert_eq!((logs.stdout, logs.stderr), (answer.stdout, answer.stderr));
    assert_eq!(
        project.reproof(&["logs", "--stderr"]).stdout,
        b"to stderr\n"
    );
}

#[test]
fn standard_input_reaches_the_command() {
    let project = Project::with_store();
    project.write("input.txt", "line one\nline two\n");
    let input = std::fs::File::open(project.path("input.txt")).unwrap();
    let answer = Answer::of(project.program().args(["run", "-q", "cat"]).stdin(input));
    answer.assert_code(0);
    assert_eq!(answer.out(), "line one\nline two\n");
}

#[test]
fn a_signal_reaches_the_command_and_the_run_is_closed_as_killed() {
    let project = Project::with_store();
    let mut child = project.start(&["run", "sh", "-c", "touch started; exec sleep 30"]);
    let begun = std::time::Instant::now();
    while !project.path("started").exists() {
        assert!(begun.elapsed().as_secs() < 20, "the command did not start");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
    assert!(
        begun.elapsed().as_secs() < 25,
        "it waited for the command instead of ending it"
    );
    let shown = project.json(&["show"]);
    assert_eq!(shown["run"]["status"], "KILLED");
    assert_eq!(
        shown["run"]["is_interrupted"], false,
        "it was closed in order"
    );
    assert_eq!(
        shown["outputs"]["project"]["started"]["size_bytes"], 0,
        "and nothing was lost"
    );
    project.assert_sound();
}

#[test]
fn a_project_may_have_any_name() {
    let names: [&[u8]; 4] = [
        b"with space",
        b"new\nline",
        b"not-utf8-\xff\xfe",
        b"quote'\"and$(x)",
    ];
    for name in names {
        let project = Project::named(OsStr::from_bytes(name));
        project.reproof(&["init"]).assert_code(0);
        project.write("data", "some data");
        let odd = project.root.join(OsStr::from_bytes(b"odd \n\xff name"));
        std::fs::write(&odd, "odd data").unwrap();
        let answer = Answer::of(
            project
                .program()
                .args(["run", "-q", "cat", "data"])
                .arg(&odd),
        );
        answer.assert_code(0);
        assert_eq!(answer.out(), "some dataodd data");
        project.reproof(&["show", "--full"]).assert_code(0);
        project
            .reproof(&["restore", "latest", "../restored"])
            .assert_code(0);
        let restored = project
            .root
            .with_file_name("restored")
            .join(odd.file_name().unwrap());
        assert_eq!(std::fs::read(restored).unwrap(), b"odd data");
        project.assert_sound();
    }
}

#[test]
fn every_error_is_explained() {
    let project = Project::empty();
    let list = project.reproof(&["explain"]);
    list.assert_code(0);
    assert!(
        list.out().starts_with("E0001: no store here\nE0002: "),
        "{}",
        list.out()
    );
    for line in list.out().lines() {
        let (code, title) = line.split_once(": ").unwrap();
        let page = project.reproof(&["explain", &code.to_lowercase()]);
        page.assert_code(0);
        assert!(
            page.out().starts_with(&format!("# {code}: {title}\n")),
            "{}",
            page.out()
        );
    }
    let answer = project.reproof(&["explain", "E9999"]);
    answer.assert_code(2);
    assert_eq!(
        answer.err(),
        "reproof: error[E0022]: no error has the code `E9999`\n  \
           try: `reproof explain` lists the codes\n  \
           more: reproof explain E0022\n"
    );
}

#[test]
fn wrong_settings_are_named_with_file_and_line() {
    let project = Project::with_store();
    project.write("reproof.toml", "[capture]\nsize_limit = \"5 parsecs\"\n");
    let answer = project.reproof(&["runs"]);
    answer
        .assert_code(2)
        .assert_err_has("error[E0004]")
        .assert_err_has("reproof.toml")
        .assert_err_has("line 2");
    answer.assert_err_has("5 parsecs");
    project
        .reproof(&["run", "true"])
        .assert_code(125)
        .assert_err_has("error[E0004]");
    project.write("reproof.toml", "");
    project.write(".reproof/local.toml", "[capture]\norphan = 1\n");
    project
        .reproof(&["runs"])
        .assert_code(2)
        .assert_err_has("local.toml")
        .assert_err_has("orphan");
}

#[test]
fn a_mistyped_command_line_is_told_apart_from_the_commands_own_status() {
    let project = Project::with_store();
    project
        .reproof(&["runs", "--nonsense"])
        .assert_code(2)
        .assert_err_has("--nonsense");
    project.reproof(&["nonsense"]).assert_code(2);
    project
        .reproof(&["run", "--nonsense", "true"])
        .assert_code(125)
        .assert_err_has("--nonsense");
    project.reproof(&["run"]).assert_code(125);
    project
        .reproof(&["run", "-p", "novalue", "true"])
        .assert_code(125)
        .assert_err_has("KEY=VALUE");
    project
        .reproof(&["-C", "nowhere", "run", "true"])
        .assert_code(125)
        .assert_err_has("nowhere");
    project.reproof(&["-C", "nowhere", "runs"]).assert_code(2);
    project.reproof(&["--help"]).assert_code(0);
    project.reproof(&["run", "--help"]).assert_code(0);
}

#[test]
fn a_filter_that_cannot_be_read_is_told_with_its_place() {
    let project = Project::with_store();
    let answer = project.reproof(&["runs", "metrics.auc >"]);
    answer
        .assert_code(2)
        .assert_err_has("error[E0014]")
        .assert_err_has("metrics.auc > 0.9 AND");
    project
        .reproof(&["runs", "--order-by", "metrics.auc SIDEWAYS"])
        .assert_code(2)
        .assert_err_has("error[E0014]");
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let project = Project::empty();
    let program = env!("CARGO_BIN_EXE_reproof");
    let answer = Answer::of(
        project
            .command("sh")
            .args(["-c", &format!("'{program}' explain | head -n 1")]),
    );
    answer.assert_code(0);
    assert_eq!(
        (answer.out().as_str(), answer.err().as_str()),
        ("E0001: no store here\n", "")
    );
}

#[test]
fn a_missing_key_is_a_warning_and_the_run_is_recorded() {
    let project = Project::with_store();
    let keys: Vec<_> =
        crate::support::files_below(&project.root.with_file_name("config").join("keys"));
    assert_eq!(keys.len(), 1);
    assert_eq!(
        keys[0].metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
    let hidden = project.root.with_file_name("hidden");
    std::fs::rename(&keys[0], &hidden).unwrap();
    let answer = project.reproof(&["run", "true"]);
    answer
        .assert_code(0)
        .assert_err_has("warning")
        .assert_err_has("E0021");
    let verified = project.json(&["audit", "verify"]);
    assert!(
        verified["unsigned_events"].as_u64().unwrap() > 0,
        "{verified}"
    );
    std::fs::rename(&hidden, &keys[0]).unwrap();
    assert_eq!(
        project.json(&["audit", "verify"])["unsigned_events"],
        0,
        "with the key, all is signed again"
    );
}

#[test]
fn a_database_that_is_none_is_said_to_be_damaged() {
    let project = Project::with_store();
    project.reproof(&["run", "-q", "true"]).assert_code(0);
    let database = project.store().join("reproof.db");
    std::fs::write(&database, b"this is not a database, whatever its name says").unwrap();
    let answer = project.reproof(&["runs"]);
    answer.assert_code(4).assert_err_has("error[E0011]");
    let answer = project.reproof(&["audit", "verify"]);
    answer.assert_code(1);
    assert!(answer.out().starts_with("NOT sound: "), "{}", answer.out());
}

#[test]
fn the_demo_overwrites_nothing() {
    let project = Project::empty();
    project.write("mine/notes.txt", "keep me");
    let answer = project.reproof(&["demo", "mine"]);
    answer.assert_code(2).assert_err_has("error[E0009]");
    assert_eq!(crate::support::files_below(&project.root).len(), 1);
}

#[test]
fn metrics_files_that_cannot_be_read_are_named() {
    let project = Project::with_store();
    let script = "echo '{\"a\": 1,' > metrics.json; echo '[1, 2]' > metrics-b.json; echo '{\"step\": 5, \"loss\": 2}\n{\"step\": 6, \"loss\": 1}' > metrics-c.json";
    let answer = project.reproof(&["run", "--metrics", "scores.json", "sh", "-c", script]);
    answer.assert_code(0);
    for words in [
        "no metrics were read from `metrics.json`: metrics are not JSON at line 2",
        "no metrics were read from `metrics-b.json`: it holds no numbers with names",
        "matches `--metrics scores.json`",
        "loss=1",
    ] {
        assert!(answer.err().contains(words), "`{words}`: {}", answer.err());
    }
}

#[test]
fn what_was_forgotten_is_said_to_be_wherever_one_looks_for_it() {
    let project = Project::with_store();
    project.write("d.csv", "personal\n");
    project.write(".gitignore", "d.csv\n");
    project
        .reproof(&["run", "-q", "sh", "-c", "cat d.csv; cp d.csv copy.csv"])
        .assert_code(0);
    for what in ["latest:@stdout", "latest:d.csv"] {
        // The same bytes may be gone already.
        let answer = project.reproof(&["forget", what, "--reason", "asked to", "--yes"]);
        assert!(matches!(answer.code, Some(0 | 2)), "{}", answer.err());
    }
    let logs = project.reproof(&["logs", "latest"]);
    logs.assert_code(0);
    assert_eq!(logs.out(), "");
    logs.assert_err_has("standard output was removed by `reproof forget`");
    let page = project.reproof(&["show", "latest"]).out();
    for path in ["copy.csv", "d.csv"] {
        let line = page
            .lines()
            .find(|line| line.contains(path) && line.contains("removed by `reproof forget`"));
        assert!(line.is_some(), "{path}: {page}");
    }
    let events = project.reproof(&["audit", "log", "latest"]).out();
    assert!(events.contains("object.forgotten"), "{events}");
    let answer = project.reproof(&["replay", "latest"]);
    answer.assert_code(0);
    assert!(
        answer
            .out()
            .contains("with the replay it is on record again"),
        "{}",
        answer.out()
    );
}

#[test]
fn a_command_line_in_one_word_is_told_to_be_for_a_shell() {
    let project = Project::with_store();
    project
        .reproof(&["run", "echo hi | wc"])
        .assert_code(127)
        .assert_err_has("reproof run sh -c 'echo hi | wc'");
}

#[test]
fn a_tolerance_for_no_metric_is_warned_of() {
    let project = Project::with_store();
    let script = "echo '{\"loss\": 1}' > metrics.json";
    project
        .reproof(&["run", "-q", "sh", "-c", script])
        .assert_code(0);
    let known = project.reproof(&["replay", "latest", "--tolerance", "loss=0.1"]);
    assert!(
        !known.err().contains("no metric of that name"),
        "{}",
        known.err()
    );
    project
        .reproof(&["replay", "latest", "--tolerance", "los=0.1"])
        .assert_code(0)
        .assert_err_has("no metric of that name");
}

#[test]
fn what_is_forgotten_elsewhere_too_is_told() {
    let project = Project::with_store();
    project.write("same.txt", "the same bytes");
    for number in ["1", "2"] {
        project
            .reproof(&[
                "run",
                "-q",
                "sh",
                "-c",
                &format!("cat same.txt > out.txt; echo {number}"),
            ])
            .assert_code(0);
    }
    let target = ["latest:same.txt", "--reason", "a test"];
    let answer = project.reproof(&[&["forget"][..], &target].concat());
    answer
        .assert_code(2)
        .assert_err_has("another run has the same bytes");
}
