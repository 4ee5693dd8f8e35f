//! The whole way of a run: recorded, looked at, compared, restored, replayed, verified.

use crate::support::{Project, TRAIN, training_project};

fn train(project: &Project, rate: &str) -> String {
    let answer = project.reproof(&["run", "python3", "train.py", "--lr", rate]);
    answer.assert_code(0);
    assert_eq!(answer.out(), "trained on 3 rows\n");
    answer
        .assert_err_has("a warning\n")
        .assert_err_has(&format!("lr={rate}"))
        .assert_err_has("loss=");
    project.run_ids().remove(0)
}

#[test]
fn a_run_is_recorded_shown_compared_restored_replayed_and_proved() {
    let project = training_project(true);
    let first = train(&project, "0.1");
    shown(&project, &first);

    // The world moves on.
    project.write(
        "train.py",
        TRAIN.replace("value * rate", "value * rate * 2"),
    );
    project.write("data.csv", "1\n2\n4.5\n");
    let second = train(&project, "0.2");
    listed(&project, &first, &second);
    compared(&project, &first, &second);
    restored(&project, &first);

    let replayed = project.reproof(&["replay", &first, "--into", "../replayed", "--verify"]);
    replayed.assert_code(0);
    assert!(
        replayed.out().ends_with("\nverified\n"),
        "{}",
        replayed.out()
    );
    assert!(
        replayed.out().contains("out/model.json"),
        "{}",
        replayed.out()
    );
    let model = std::fs::read(
        project
            .root
            .with_file_name("replayed")
            .join("out/model.json"),
    )
    .unwrap();
    assert_eq!(model, b"[0.1, 0.2, 0.35000000000000003]");
    let page = project.reproof(&["show", &first]).out();
    assert!(
        page.contains("reproducible: replayed once, identical on 1 host"),
        "{page}"
    );
    project.assert_sound();
}

fn shown(project: &Project, run: &str) {
    let shown = project.json(&["show", run]);
    assert_eq!(shown["run"]["status"], "FINISHED");
    assert_eq!(shown["run"]["params"]["lr"], "0.1");
    assert_eq!(shown["run"]["metrics"]["rows"], 3.0);
    assert_eq!(shown["evidence"]["level"], "captured");
    assert!(
        shown["outputs"]["project"]["out/model.json"]["object"]
            .as_str()
            .unwrap()
            .starts_with("b3:")
    );
    assert_eq!(shown["recipe"]["code"]["git"]["branch"], "main");
    assert_eq!(
        shown["recipe"]["environment"]["interpreter"]["implementation"],
        "CPython"
    );
    let code = shown["code"].as_object().unwrap();
    assert!(
        code.contains_key("train.py") && code.contains_key("data.csv"),
        "tracked files are the code"
    );
    let page = project.reproof(&["show", run]);
    page.assert_code(0);
    for words in [
        "finished",
        "python3 train.py --lr 0.1",
        "captured",
        "it was not replayed yet",
        "out/model.json",
        "CPython",
    ] {
        assert!(
            page.out().contains(words),
            "`{words}` is not in\n{}",
            page.out()
        );
    }
    let full = project.reproof(&["show", run, "--full"]);
    full.assert_code(0);
    assert!(full.out().len() > page.out().len());
}

fn listed(project: &Project, first: &str, second: &str) {
    assert_eq!(project.run_ids(), [second, first]);
    let table = project.reproof(&["runs"]).out();
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    let columns: Vec<_> = lines[0].split_whitespace().collect();
    assert_eq!(
        columns,
        [
            "RUN",
            "NAME",
            "STATUS",
            "STARTED",
            "params.lr",
            "metrics.loss",
            "metrics.rows"
        ]
    );
    assert!(
        lines[1].starts_with(&second[..8]) && lines[1].contains("finished"),
        "{table}"
    );
    let found = project.json(&["runs", "params.lr = '0.1'"]);
    assert_eq!(found["runs"].as_array().unwrap().len(), 1);
    assert_eq!(found["runs"][0]["run_id"], first);
    let ordered = project.json(&["runs", "--order-by", "metrics.loss ASC"]);
    assert_eq!(ordered["runs"][0]["run_id"], first);
}

fn compared(project: &Project, first: &str, second: &str) {
    let diff = project.reproof(&["diff", first, second]);
    diff.assert_code(0);
    for words in [
        "lr",
        "→",
        "-weights = [value * rate for value in values]",
        "+weights = [value * rate * 2 for value in values]",
        "out/model.json",
        "changed  data.csv",
        "equal: ",
    ] {
        assert!(
            diff.out().contains(words),
            "`{words}` is not in\n{}",
            diff.out()
        );
    }
    project
        .reproof(&["diff", first, second, "--exit-code"])
        .assert_code(1);
    project
        .reproof(&["diff", first, first, "--exit-code"])
        .assert_code(0);
    let same = project.reproof(&["diff", first, first]).out();
    assert!(same.ends_with("nothing differs\n"), "{same}");
    // The patch is a real one: git takes it to the code of the first run and makes that of the second.
    let patch = project.reproof(&["diff", first, second, "--patch"]).out();
    let scratch = Project::empty();
    project
        .reproof(&["restore", first, scratch.path("code").to_str().unwrap()])
        .assert_code(0);
    scratch.write("patch", &patch);
    scratch.git(&["-C", "code", "apply", "../patch"]);
    assert_eq!(
        std::fs::read(scratch.path("code/train.py")).unwrap(),
        std::fs::read(project.path("train.py")).unwrap()
    );
}

fn restored(project: &Project, first: &str) {
    let answer = project.reproof(&["restore", first, "../restored"]);
    answer.assert_code(0);
    let there =
        |path: &str| std::fs::read(project.root.with_file_name("restored").join(path)).unwrap();
    assert_eq!(there("train.py"), TRAIN.as_bytes());
    assert_eq!(there("data.csv"), b"1\n2\n3.5\n");
    let files = crate::support::files_below(&project.root.with_file_name("restored"));
    let told = format!("restored {} files", files.len());
    assert!(answer.out().contains(&told), "{}", answer.out());
    assert!(
        !project.root.with_file_name("restored").join("out").exists(),
        "outputs come with --outputs only"
    );
    let again = project.reproof(&["restore", first, "../restored"]);
    again.assert_code(2).assert_err_has("error[E0009]");
    project
        .reproof(&["restore", first, "../with-outputs", "--outputs"])
        .assert_code(0);
    assert!(
        project
            .root
            .with_file_name("with-outputs")
            .join("out/model.json")
            .is_file()
    );
}

#[test]
fn a_project_without_git_is_recorded_and_replayed_too() {
    let project = training_project(false);
    let run = train(&project, "0.5");
    let shown = project.json(&["show", &run]);
    assert!(shown["recipe"]["code"]["git"].is_null());
    std::fs::remove_file(project.path("data.csv")).unwrap();
    std::fs::remove_file(project.path("train.py")).unwrap();
    let replayed = project.json(&["replay", &run, "--verify"]);
    assert_eq!(replayed["is_verified"], true, "{replayed}");
    assert_eq!(replayed["comparison"]["is_identical"], true);
    project.assert_sound();
}

#[test]
fn a_replay_that_differs_is_said_to_and_why() {
    let project = Project::empty();
    project.write(
        "draw.py",
        "import pathlib\nnoise = open('/dev/urandom', 'rb').read(16)\npathlib.Path('out.bin').write_bytes(noise)\n",
    );
    project
        .reproof(&["run", "python3", "draw.py"])
        .assert_code(0);
    let run = project.run_ids().remove(0);
    let replayed = project.reproof(&["replay", &run, "--verify"]);
    replayed.assert_code(1);
    assert!(
        replayed.out().contains("DIFFERENT") && replayed.out().contains("NOT verified"),
        "{}",
        replayed.out()
    );
    assert!(
        replayed.out().contains("likely causes"),
        "{}",
        replayed.out()
    );
    project.reproof(&["replay", &run]).assert_code(0);
    let page = project.reproof(&["show", &run]).out();
    assert!(
        page.contains("captured: replayed 2 times, never the same"),
        "{page}"
    );
    project.assert_sound();
}

#[test]
fn a_replay_within_tolerance_needs_the_tolerance() {
    let project = Project::empty();
    let script = "import json, os\nvalue = 1 + (1e-6 if os.environ.get('OFF') else 0)\n\
                  json.dump({'auc': value}, open('/dev/null', 'w'))\n\
                  import subprocess\nsubprocess.run([os.environ['TOOL'], 'log', 'metric', 'auc', str(value)], check=True)\n";
    project.write("train.py", script);
    let tool = env!("CARGO_BIN_EXE_reproof");
    let run = |project: &Project| {
        project
            .program()
            .args(["run", "python3", "train.py"])
            .env("TOOL", tool)
            .status()
    };
    assert!(run(&project).unwrap().success());
    let id = project.run_ids().remove(0);
    let variables = ["--variable", "OFF=1", "--variable", &format!("TOOL={tool}")];
    let replay = |more: &[&str]| {
        project.reproof(&[&["replay", id.as_str(), "--verify"], &variables[..], more].concat())
    };
    replay(&[]).assert_code(1);
    replay(&["--tolerance", "auc=1e-5"]).assert_code(0);
    replay(&["--tolerance", "auc=0.001%"]).assert_code(0);
    replay(&["--tolerance", "auc=1e-7"]).assert_code(1);
    replay(&["--tolerance", "auc=x"]).assert_code(2);
}

#[test]
fn a_script_in_any_language_logs_into_its_run() {
    let project = Project::with_store();
    project.write("notes/a.txt", "first note");
    project.write("notes/deep/b.txt", "second note");
    project.write(
        "log.sh",
        "set -e\n\
         \"$TOOL\" log metric auc 0.5\n\
         \"$TOOL\" log metric auc 0.75 --step 1\n\
         \"$TOOL\" log metric worst -- -inf\n\
         \"$TOOL\" log param depth 3\n\
         \"$TOOL\" log tag owner ann\n\
         \"$TOOL\" log artifact notes --as docs\n\
         if \"$TOOL\" log param depth 4; then exit 9; fi\n",
    );
    let answer = crate::support::Answer::of(
        project
            .program()
            .args(["run", "sh", "log.sh"])
            .env("TOOL", env!("CARGO_BIN_EXE_reproof")),
    );
    answer.assert_code(0).assert_err_has("error[E0019]");
    let shown = project.json(&["show"]);
    assert_eq!(shown["run"]["params"]["depth"], "3");
    assert_eq!(shown["run"]["tags"]["owner"], "ann");
    assert_eq!(shown["run"]["metrics"]["auc"], 0.75);
    assert_eq!(shown["run"]["metrics"]["worst"], "-Infinity");
    let artifacts: Vec<_> = shown["artifacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(artifacts.len(), 2, "{artifacts:?}");
    assert!(
        artifacts[0].ends_with("/docs/a.txt") && artifacts[1].ends_with("/docs/deep/b.txt"),
        "{artifacts:?}"
    );
    let outside = project.reproof(&["log", "metric", "auc", "1"]);
    outside.assert_code(2).assert_err_has("error[E0015]");
    project
        .reproof(&["log", "tag", "reviewed", "yes", "--run", "latest"])
        .assert_code(0);
    assert_eq!(project.json(&["show"])["run"]["tags"]["reviewed"], "yes");
    project.assert_sound();
}

#[test]
fn params_of_the_command_line_are_substituted_and_exported() {
    let project = Project::with_store();
    let answer = project.reproof(&[
        "run",
        "-q",
        "-e",
        "grid",
        "-n",
        "mine",
        "--tag",
        "team=a",
        "-p",
        "lr=0.1",
        "-p",
        "name=x y",
        "--",
        "sh",
        "-c",
        "echo {lr} $lr \"$name\"",
    ]);
    answer.assert_code(0);
    assert_eq!(answer.out(), "0.1 0.1 x y\n");
    let shown = project.json(&["show", "mine"]);
    assert_eq!(shown["experiment"], "grid");
    assert_eq!(shown["run"]["params"]["lr"], "0.1");
    assert_eq!(shown["run"]["tags"]["team"], "a");
    assert_eq!(
        project.json(&["runs", "-e", "grid"])["runs"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    project.reproof(&["runs", "-e", "nothing"]).assert_code(2);
}

#[test]
fn gc_keeps_what_runs_refer_to() {
    let project = training_project(true);
    let run = train(&project, "0.1");
    let before = project.json(&["gc", "--grace-hours", "0", "--dry-run"]);
    let removed = project.json(&["gc", "--grace-hours", "0"]);
    assert_eq!(before["removed_objects"], removed["removed_objects"]);
    project.assert_sound();
    project
        .reproof(&["restore", &run, "../restored"])
        .assert_code(0);
}

#[test]
fn forget_removes_an_object_for_good_and_says_so() {
    let project = training_project(false);
    let run = train(&project, "0.1");
    let object = format!("{run}:out/model.json");
    let asked = project.reproof(&["forget", &object, "--reason", "it was personal"]);
    asked.assert_code(2).assert_err_has("`--yes`");
    project
        .reproof(&["forget", &object, "--reason", "it was personal", "--yes"])
        .assert_code(0);
    let events = project.reproof(&["audit", "log", "--json"]).out();
    assert!(
        events.contains("object.forgotten") && events.contains("it was personal"),
        "{events}"
    );
    let page = project.reproof(&["show", &run]);
    page.assert_code(0);
    assert!(
        page.out().contains("not in the store any more"),
        "{}",
        page.out()
    );
    let restored = project.reproof(&["restore", &run, "../restored", "--outputs"]);
    restored.assert_code(0);
    assert!(
        restored.out().contains("not restored: out/model.json"),
        "{}",
        restored.out()
    );
    project
        .reproof(&["forget", &object, "--reason", "again", "--yes"])
        .assert_code(2);
    project.assert_sound();
    let verified = project.reproof(&["audit", "verify"]).out();
    assert!(
        verified.contains("1 object that runs refer to was removed on purpose"),
        "{verified}"
    );
}

#[test]
fn what_holds_the_record_together_cannot_be_forgotten() {
    let project = training_project(false);
    let run = train(&project, "0.1");
    project.reproof(&["replay", &run]).assert_code(0);
    let shown = project.json(&["show", &run]);
    let objects = [
        &shown["run"]["fingerprint"],
        &shown["replays"][0]["comparison"],
        &shown["recipe"]["code"]["tree"],
        &shown["record"]["outputs"]["project"],
    ];
    for object in objects {
        let object = object.as_str().unwrap();
        project
            .reproof(&["forget", object, "--reason", "r", "--yes"])
            .assert_code(2)
            .assert_err_has("cannot be forgotten")
            .assert_err_has("RUN:PATH");
    }
    project.reproof(&["gc"]).assert_code(0);
    project.assert_sound();
}

fn remove_object(project: &Project, object: &str) {
    let store = project.store();
    let options = cas::CasOptions::default();
    let cas = cas::Cas::open(&store.join("objects"), &store.join("tmp"), options).unwrap();
    cas.forget(&object.parse().unwrap()).unwrap();
}

/// Says that an object was removed on purpose, as earlier versions let somebody remove a recipe.
fn say_forgotten(project: &Project, object: &str) {
    let change = entities::Change::ObjectForgotten {
        object: object.parse().unwrap(),
        reason: "r".to_owned(),
        at: entities::Timestamp::from_millis(0),
    };
    let subject = format!("object:{object}");
    let commit = testkit::commit("object.forgotten", &[&subject], vec![change]);
    let options = store_sqlite::OpenOptions {
        random: std::sync::Arc::new(testkit::SeededRandom::new(1)),
        create: false,
    };
    let database = project.store().join("reproof.db");
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = store_sqlite::Sqlite::open(&database, options).unwrap();
        store::Store::commit(&store, commit).await.unwrap();
    });
}

#[test]
fn gc_leaves_objects_of_the_last_minute_which_somebody_may_be_about_to_name() {
    let project = Project::with_store();
    let objects = project.store().join("objects");
    let cas = cas::Cas::open(
        &objects,
        &project.store().join("tmp"),
        cas::CasOptions::default(),
    );
    let batch = cas.unwrap().batch();
    batch.put(b"of a verdict").unwrap();
    batch.commit().unwrap();
    let collect = || project.json(&["gc", "--grace-hours", "0"])["removed_objects"].clone();
    assert_eq!(collect(), 0);
    for file in crate::support::files_below(&objects) {
        let file = std::fs::File::options().append(true).open(file).unwrap();
        let then = file.metadata().unwrap().modified().unwrap();
        file.set_modified(then - std::time::Duration::from_mins(2))
            .unwrap();
    }
    assert_eq!(collect(), 1);
}

#[test]
fn a_recipe_that_is_lost_keeps_gc_from_removing_what_it_names() {
    for part in [
        "/run/fingerprint",
        "/recipe/code/tree",
        "/record/outputs/project",
    ] {
        let project = training_project(false);
        let run = train(&project, "0.1");
        let shown = project.json(&["show", &run]);
        let object = shown.pointer(part).unwrap().as_str().unwrap();
        remove_object(&project, object);
        let objects = project.store().join("objects");
        let before = crate::support::files_below(&objects);
        let answer = project.reproof(&["gc", "--grace-hours", "0"]);
        answer.assert_code(4).assert_err_has(object);
        assert_eq!(crate::support::files_below(&objects), before, "{part}");
        let verified = project.reproof(&["audit", "verify"]);
        verified.assert_code(1);
        assert!(
            verified.out().contains(object),
            "{part}: {}",
            verified.out()
        );

        // By the word of an event it is no loss.
        say_forgotten(&project, object);
        project.assert_sound();
        let verified = project.reproof(&["audit", "verify"]).out();
        assert!(
            verified.contains("1 object that runs refer to"),
            "{verified}"
        );
        let answer = project.reproof(&["gc", "--grace-hours", "0"]);
        answer.assert_code(0).assert_err_has("removed on purpose");
        project.assert_sound();
    }
}

#[test]
fn the_ledger_tells_who_did_what() {
    let project = training_project(false);
    let run = train(&project, "0.1");
    let table = project.reproof(&["audit", "log", &run]).out();
    assert!(
        table.contains("u:tester") && table.contains("run.created"),
        "{table}"
    );
    let all = project.json(&["audit", "log", "--full"]);
    let events = all["events"].as_array().unwrap();
    assert_eq!(events[0]["leaf"]["type"], "store.initialised");
    let indices: Vec<_> = events.iter().map(|event| event["index"].as_u64()).collect();
    assert_eq!(
        indices,
        (0..events.len() as u64).map(Some).collect::<Vec<_>>()
    );
    assert!(events[0]["body"]["changes"].is_array());
}
