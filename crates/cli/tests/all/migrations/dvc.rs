//! Experiments of DVC, taken over.
//!
//! `tests/migrate/dvc/make.sh` makes the repository with the real DVC, and what DVC itself says of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::told;
use crate::listening::Server;
use crate::support::{Answer, Project};

/// The MD5 of `hello`.
const HELLO: &str = "5d41402abc4b2a76b9719d911017c592";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/migrate/dvc")
        .join(name)
}

/// A folder with a repository of the real DVC, `boats`.
fn with_boats() -> Project {
    let project = Project::empty();
    let mut unpack = project.command("tar");
    let kept = golden("experiments.tar.gz");
    Answer::of(unpack.args(["xzf", kept.to_str().unwrap(), "--no-same-owner"])).assert_code(0);
    project
}

/// What DVC says of experiments, by their names.
fn shown(name: &str) -> BTreeMap<String, Value> {
    // Python writes numbers that JSON does not have.
    let text = fs::read_to_string(golden(name)).unwrap();
    serde_json::from_str(&text.replace(": NaN", ": \"NaN\"")).unwrap()
}

fn take_over(project: &Project, arguments: &[&str]) -> Answer {
    project.reproof(&[&["migrate", "dvc-exp"], arguments, &["--json"]].concat())
}

fn count(report: &Value, new: u64, there: u64) {
    let expected = json!({ "new": new, "there": there });
    assert_eq!(report["counts"]["runs"], expected, "{report:#}");
    assert_eq!(report["differences"], json!([]), "{report:#}");
}

/// What the server tells of all runs of an experiment, by their names.
fn runs_of(server: &Server, experiment: &str) -> BTreeMap<String, Value> {
    let found = server.get(&format!(
        "api/2.0/mlflow/experiments/get-by-name?experiment_name={experiment}"
    ));
    let id = &found["experiment"]["experiment_id"];
    let search = json!({ "experiment_ids": [id], "max_results": 100 }).to_string();
    let found = server.post("runs/search", &search);
    let runs = found["runs"].as_array().unwrap().iter();
    runs.map(|run| {
        let name = run["info"]["run_name"].as_str().unwrap();
        (name.to_owned(), run.clone())
    })
    .collect()
}

fn pairs(run: &Value, part: &str) -> BTreeMap<String, Value> {
    let pairs = run["data"][part].as_array().into_iter().flatten();
    pairs
        .map(|pair| {
            let key = pair["key"].as_str().unwrap();
            (key.to_owned(), pair["value"].clone())
        })
        .collect()
}

fn file_of(server: &Server, run: &Value, path: &str) -> String {
    let id = run["info"]["run_id"].as_str().unwrap();
    let path = utf8_percent_encode(path, NON_ALPHANUMERIC);
    let address = format!("{}/get-artifact?run_id={id}&path={path}", server.url);
    let mut answer = server.agent.get(address).call().unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.body_mut().read_to_string().unwrap()
}

fn steps_of(server: &Server, run: &Value, key: &str) -> Vec<(i64, f64)> {
    let id = run["info"]["run_id"].as_str().unwrap();
    let key = utf8_percent_encode(key, NON_ALPHANUMERIC);
    let history = server.get(&format!(
        "api/2.0/mlflow/metrics/get-history?run_id={id}&metric_key={key}"
    ));
    let points = history["metrics"].as_array().unwrap().iter();
    let mut points: Vec<_> = points
        .map(|point| {
            (
                point["step"].as_i64().unwrap(),
                point["value"].as_f64().unwrap(),
            )
        })
        .collect();
    points.sort_by_key(|(step, _)| *step);
    points
}

/// Values by their whole names.
fn flat(value: &Value, name: &str, into: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) => {
            for (key, inner) in members {
                let dot = if name.is_empty() { "" } else { "." };
                flat(inner, &format!("{name}{dot}{key}"), into);
            }
        }
        value => into.push((name.to_owned(), value.clone())),
    }
}

/// What DVC says of a kind of values of an experiment: file, name and value.
fn values_of(experiment: &Value, kind: &str) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for (file, values) in experiment[kind].as_object().unwrap() {
        let mut found = Vec::new();
        flat(values, "", &mut found);
        let found = found.into_iter().filter(|(name, _)| !name.is_empty());
        all.extend(found.map(|(name, value)| (file.clone(), name, value)));
    }
    all
}

/// The names that a value may have here: its own, or with the file or the folder of DVCLive before it.
fn names_here(file: &str, name: &str) -> [String; 4] {
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let slashed = name.replace('.', "/");
    [
        name.to_owned(),
        format!("{file}:{name}"),
        format!("{folder}/{slashed}"),
        slashed,
    ]
}

/// Compares params and metrics of runs with what DVC says of them.
fn compare_with_dvc(runs: &BTreeMap<String, Value>, shown: &BTreeMap<String, Value>) {
    let mut compared = 0;
    for (name, experiment) in shown {
        let Some(run) = runs.get(name) else { continue };
        let (params, metrics) = (pairs(run, "params"), pairs(run, "metrics"));
        let tags = pairs(run, "tags");
        for (file, key, value) in values_of(experiment, "params") {
            if file == "params.py" && !params.contains_key(&key) {
                // Nobody but Python reads it where no stage has run.
                assert_ne!(run["info"]["status"], "FINISHED", "{name} {key}");
                continue;
            }
            let text = value.as_str().map_or(value.to_string(), str::to_owned);
            assert_eq!(params[&key], json!(text), "{name}: {file} {key}");
            compared += 1;
        }
        for (file, key, value) in values_of(experiment, "metrics") {
            let here = names_here(&file, &key);
            let here = here.iter().find_map(|name| metrics.get(name));
            let here = here.or_else(|| tags.get(&format!("dvc.metric/{key}")));
            let here = here.unwrap_or_else(|| panic!("{name}: {file} {key}: {run:#}"));
            let is_same = match (here.as_f64(), value.as_f64()) {
                (Some(here), Some(value)) => here.to_bits() == value.to_bits(),
                _ => *here == value,
            };
            assert!(is_same, "{name}: {file} {key}: {here} {value}");
            compared += 1;
        }
        let outs = experiment["outs"].as_object().unwrap();
        let expected = outs.values().filter(|out| out.is_string()).count();
        assert!(
            expected > 0 || run["info"]["status"] != "FINISHED",
            "{name}"
        );
        assert_eq!(tags["dvc.baseline"], experiment["baseline"], "{name}");
        let commit = &tags["mlflow.source.git.commit"];
        assert_eq!(*commit, experiment["rev"], "{name}");
    }
    assert!(compared > 0);
}

#[test]
fn experiments_come_over_with_the_params_and_metrics_that_dvc_itself_shows() {
    let project = with_boats();
    let answer = take_over(&project, &["boats"]);
    // Two never ran, and only Python could read one of their files.
    answer.assert_code(1);
    let report = told(&answer);
    count(&report, 7, 0);
    assert_eq!(report["not_taken"], json!([]), "{report:#}");
    let unreadable = report["unreadable"].as_array().unwrap();
    let is_of_python = |fault: &Value| {
        fault
            .as_str()
            .unwrap()
            .contains("`params.py`: it is in Python")
    };
    assert_eq!(unreadable.len(), 2, "{report:#}");
    assert!(unreadable.iter().all(is_of_python), "{report:#}");
    let left = "experiments of other projects in the repository";
    assert_eq!(report["left_behind"][left], 1, "{report:#}");

    let server = Server::start(&project);
    let runs = runs_of(&server, "boats");
    let states: Vec<_> = runs
        .iter()
        .map(|(name, run)| (name.as_str(), run["info"]["status"].as_str().unwrap()))
        .collect();
    assert_eq!(
        states,
        [
            ("broken", "FAILED"),
            ("first", "FINISHED"),
            ("later", "FINISHED"),
            ("lively", "FINISHED"),
            ("saved", "FINISHED"),
            ("second", "FINISHED"),
            ("waiting", "SCHEDULED"),
        ]
    );
    compare_with_dvc(&runs, &shown("show.json"));

    // What DVC does not show, or shows otherwise.
    let first = pairs(&runs["first"], "params");
    assert_eq!(
        (&first["size"], &first["net.layers"]),
        (&json!("5"), &json!("[8,4]"))
    );
    assert!(!first.contains_key("unused"), "{first:?}");
    let metrics = pairs(&runs["first"], "metrics");
    let names: Vec<_> = metrics.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "by.class.sail",
            "metrics.json:acc",
            "odd",
            "paint/blue.json:acc",
            "paint/red.json:acc"
        ]
    );
    // What a history says, and a file of metrics too, is here once.
    let metrics = pairs(&runs["lively"], "metrics");
    let names = metrics.keys().filter(|name| !name.contains(':'));
    let names: Vec<_> = names.map(String::as_str).collect();
    assert_eq!(names, ["best", "dvclive/acc", "step", "train/loss"]);
    assert!(!metrics.contains_key("dvclive/metrics.json:acc"));
    // What it began with is no metric of one that never ran.
    for name in ["broken", "waiting"] {
        assert_eq!(pairs(&runs[name], "metrics"), BTreeMap::new(), "{name}");
    }
    let id = runs["waiting"]["info"]["run_id"].as_str().unwrap();
    let files = server.get(&format!("api/2.0/mlflow/artifacts/list?run_id={id}"));
    let files = files["files"].as_array().unwrap().iter();
    let files: Vec<_> = files.map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(files, ["dvc.yaml", "more.toml", "params.py", "params.yaml"]);
    let tags = |name: &str| pairs(&runs[name], "tags");
    assert_eq!(tags("lively")["mlflow.note.content"], "by hand");
    assert_eq!(tags("saved")["mlflow.note.content"], "kept by hand");
    assert!(!tags("first").contains_key("mlflow.note.content"));
    assert!(!tags("waiting").contains_key("mlflow.note.content"));
    assert_eq!(tags("waiting")["dvc.state"], "queued");
    assert_ne!(tags("first")["dvc.baseline"], tags("later")["dvc.baseline"]);
    let data = |name: &str| runs[name]["inputs"]["dataset_inputs"][0]["dataset"].clone();
    let expected = &shown("show.json")["first"]["outs"]["data"];
    assert_eq!(
        (&data("first")["name"], &data("first")["digest"]),
        (&json!("data"), expected)
    );
    assert_ne!(data("first")["digest"], data("later")["digest"]);
    server.end();
    project.assert_sound();
}

#[test]
fn histories_and_outputs_come_out_of_commits_and_out_of_the_cache() {
    let project = with_boats();
    let report = told(&take_over(&project, &["boats"]));
    let server = Server::start(&project);
    let runs = runs_of(&server, "boats");
    let lively = &runs["lively"];
    let losses = [(0, 1.0), (1, 0.5), (2, 1.0 / 3.0), (3, 0.25)];
    assert_eq!(steps_of(&server, lively, "train/loss"), losses);
    let accuracy = [(0, 0.0), (1, 0.1), (2, 0.2), (3, 0.3)];
    assert_eq!(steps_of(&server, lively, "dvclive/acc"), accuracy);
    // It is in no history.
    assert_eq!(steps_of(&server, lively, "best"), [(3, 0.25)]);
    assert_eq!(file_of(&server, lively, "weights.bin"), "lively weights");
    let loss = file_of(&server, lively, "dvclive/plots/metrics/train/loss.tsv");
    assert!(loss.starts_with("step\tloss\n0\t1.0\n"), "{loss}");
    let second = &runs["second"];
    assert_eq!(file_of(&server, second, "models/model.bin"), "weights 0.25");
    assert_eq!(
        file_of(&server, second, "models/deep/notes.txt"),
        "a note\n"
    );
    assert_eq!(file_of(&server, second, "report.txt"), "lr is 0.25\n");
    assert_eq!(
        file_of(&server, &runs["first"], "report.txt"),
        "lr is 0.1\n"
    );
    assert!(file_of(&server, second, "dvc.lock").contains("models"));
    assert!(file_of(&server, second, "metrics.json").contains("0.75"));
    server.end();
    let again = take_over(&project, &["boats/.dvc"]);
    let again = told(&again);
    count(&again, 0, 7);
    assert_eq!(again["compared"], report["compared"], "{again:#}");
    assert_eq!(again["metric_points"], 0, "{again:#}");
    project.assert_sound();
}

#[test]
fn a_project_inside_of_another_has_its_own_experiments() {
    let project = with_boats();
    let answer = take_over(&project, &["boats/inner"]);
    answer.assert_code(0);
    let report = told(&answer);
    count(&report, 1, 0);
    let server = Server::start(&project);
    let runs = runs_of(&server, "inner");
    compare_with_dvc(&runs, &shown("show-inner.json"));
    assert_eq!(
        pairs(&runs["inside"], "metrics"),
        [("knots".to_owned(), json!(4.0))].into()
    );
    assert_eq!(file_of(&server, &runs["inside"], "log.txt"), "sailed\n");
    server.end();
    project.assert_sound();
}

/// The path in the cache of what an experiment has as an output.
fn cached(experiment: &str, path: &str) -> String {
    let shown = shown("show.json");
    let md5 = shown[experiment]["outs"][path].as_str().unwrap();
    format!("boats/.dvc/cache/files/md5/{}/{}", &md5[..2], &md5[2..])
}

#[test]
fn an_output_that_is_gone_or_changed_is_named_and_comes_when_it_is_back() {
    let project = with_boats();
    let report = project.path(&cached("second", "report.txt"));
    let models = project.path(&cached("first", "models"));
    let content = fs::read(&report).unwrap();
    fs::set_permissions(&report, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&report, "something else").unwrap();
    let kept = fs::read(&models).unwrap();
    fs::remove_file(&models).unwrap();
    let elsewhere = project.path("elsewhere");
    let name = models
        .strip_prefix(project.path("boats/.dvc/cache"))
        .unwrap();
    fs::create_dir_all(elsewhere.join(name).parent().unwrap()).unwrap();
    fs::write(elsewhere.join(name), kept).unwrap();

    let answer = take_over(&project, &["boats", "--experiment", "sea"]);
    answer.assert_code(1);
    let told_of = |answer: &Answer| -> BTreeMap<String, String> {
        let report = told(answer);
        let named = report["not_taken"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        named
            .map(|file| (text(&file["path"]), text(&file["why"])))
            .collect()
    };
    let named = told_of(&answer);
    // DVCLive's began with the outputs of the second.
    assert_eq!(named.len(), 3, "{named:?}");
    assert!(
        named["lively: report.txt"].contains("another MD5"),
        "{named:?}"
    );
    assert!(
        named["second: report.txt"].contains("another MD5"),
        "{named:?}"
    );
    assert!(named["first: models"].contains("`dvc fetch`"), "{named:?}");
    count(&told(&answer), 7, 0);
    // They are named again, and what is here stays as it is.
    let again = take_over(&project, &["boats", "--experiment", "sea"]);
    again.assert_code(1);
    assert_eq!(told_of(&again), named);
    count(&told(&again), 0, 7);
    let server = Server::start(&project);
    assert_eq!(runs_of(&server, "sea").len(), 7);
    server.end();
    project.assert_sound();

    // Another store, and a cache that is named.
    let other = with_boats();
    let cache = elsewhere.to_str().unwrap();
    let named = told_of(&take_over(&other, &["boats", "--cache", cache]));
    assert!(!named.contains_key("first: models"), "{named:?}");
    assert!(named.contains_key("first: models/model.bin"), "{named:?}");
    assert!(named.contains_key("second: report.txt"), "{named:?}");
    fs::write(&report, content).unwrap();
    let whole = with_boats();
    assert_eq!(told_of(&take_over(&whole, &["boats"])), BTreeMap::new());
}

#[test]
fn what_waited_and_has_run_since_is_a_run_of_its_own() {
    let project = with_boats();
    take_over(&project, &["boats"]);
    let git = |arguments: &[&str]| {
        let mut git = project.command("git");
        let answer = Answer::of(git.current_dir(project.path("boats")).args(arguments));
        answer.assert_code(0);
        answer.out().trim().to_owned()
    };
    // As DVC does when it has run one: the queue is empty, and a ref names a commit.
    let baseline = git(&["rev-parse", "other"]);
    let commit = git(&[
        "for-each-ref",
        "--format=%(objectname)",
        "refs/exps/*/*/later",
    ]);
    git(&["update-ref", "-d", "refs/exps/celery/stash"]);
    let (first, rest) = baseline.split_at(2);
    git(&[
        "update-ref",
        &format!("refs/exps/{first}/{rest}/waiting"),
        &commit,
    ]);
    let answer = take_over(&project, &["boats"]);
    count(&told(&answer), 1, 6);
    project.assert_sound();
}

/// A repository that was made to do harm: settings that name programs, paths and links that lead out.
fn with_traps() -> Project {
    let project = Project::empty();
    project.git(&["init", "-q", "-b", "main", "."]);
    let evil = project.path("evil.sh");
    let marker = project.path("executed");
    let script = format!("#!/bin/sh\necho \"$0 $@\" >> '{}'\ncat\n", marker.display());
    project.write("evil.sh", script);
    fs::set_permissions(&evil, fs::Permissions::from_mode(0o755)).unwrap();
    project.write(".dvc/config", "[core]\n    remote = x\n");
    project.write(
        ".dvc/cache/files/md5/5d/41402abc4b2a76b9719d911017c592",
        "hello",
    );
    project.write("params.yaml", "a: {b: [1, {c: 2}]}\n'x(': 1\n'x)': 2\n");
    project.write(
        "dvc.yaml",
        "metrics: [../up.json, m.json, link.json, bad.json]\nplots: [/etc/passwd]\nstages: {t: {wdir: /etc, cmd: x}}\n",
    );
    project.write(
        "m.json",
        "{\"n\": NaN, \"v\": 2, \"text\": \"x\", \"list\": [1]}",
    );
    project.write("bad.json", "{");
    project.write("deep/dvc.yaml", "[".repeat(10_000));
    let outs = ["../../escaped", "fine/out", "/etc/passwd"];
    let outs = outs.map(|path| format!("- {{md5: {HELLO}, path: {path}}}\n"));
    let outs = outs.concat() + "- {md5: ../../../etc/passwd, path: p}\n";
    project.write("x.dvc", format!("outs:\n{outs}"));
    project.write("plots/metrics/l.tsv", "step\tl\n0\t1\nx\ty\n1\tred\n");
    project.write(".gitattributes", "* filter=evil diff=evil\n");
    symlink("/etc/passwd", project.path("link.json")).unwrap();
    symlink("/etc/passwd", project.path("link.dvc")).unwrap();
    project.git(&["add", "-A", "-f"]);
    project.git(&["commit", "-q", "-m", "odd"]);
    let odd = "refs/exps/aa/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    for name in [
        "--upload-pack=evil.sh",
        "ünï/code",
        "$(touch${IFS}executed)",
    ] {
        project.git(&["update-ref", &format!("{odd}/{name}"), "HEAD"]);
    }
    // A ref to what is no commit, and a queue with what is none.
    project.git(&["update-ref", &format!("{odd}/tree"), "HEAD^{tree}"]);
    let message = "commit: dvc-exp:aa:--output=executed:name";
    project.git(&[
        "update-ref",
        "--create-reflog",
        "-m",
        message,
        "refs/exps/stash",
        "HEAD",
    ]);
    let evil = evil.to_str().unwrap();
    for key in [
        "core.fsmonitor",
        "core.sshCommand",
        "core.pager",
        "core.editor",
        "core.askPass",
        "core.alternateRefsCommand",
        "credential.helper",
        "diff.external",
        "diff.evil.textconv",
        "filter.evil.clean",
        "filter.evil.smudge",
        "filter.evil.process",
        "gpg.program",
        "pager.log",
        "pager.cat-file",
        "uploadpack.packObjectsHook",
    ] {
        project.git(&["config", key, evil]);
    }
    for hook in [
        "post-checkout",
        "reference-transaction",
        "fsmonitor-watchman",
    ] {
        fs::create_dir_all(project.path(".git/hooks")).unwrap();
        fs::copy(evil, project.path(".git/hooks").join(hook)).unwrap();
    }
    project.git(&["config", "log.showSignature", "true"]);
    project.git(&["config", "protocol.ext.allow", "always"]);
    project.git(&["config", "remote.origin.url", &format!("ext::{evil}")]);
    project.git(&["config", "remote.origin.promisor", "true"]);
    project.git(&["config", "extensions.partialClone", "origin"]);
    let _ = fs::remove_file(&marker);
    project
}

#[test]
fn a_hostile_repository_leads_nowhere_and_runs_nothing() {
    let project = with_traps();
    let answer = take_over(&project, &[]);
    answer.assert_code(1);
    let executed = fs::read_to_string(project.path("executed")).unwrap_or_default();
    assert_eq!(executed, "", "something was executed");
    let report = told(&answer);
    count(&report, 4, 0);
    let unreadable = report["unreadable"].to_string();
    for words in [
        "`tree`",
        "metrics `../up.json`",
        "plots `/etc/passwd`",
        "`/etc` leads out",
        "`bad.json`",
        "`link.json`: it is a link",
        "`deep/dvc.yaml`",
        "`../../escaped`",
        "output `/etc/passwd`",
        "`../../../etc/passwd` is no MD5",
        "`plots/metrics/l.tsv`: line 3",
        "param `x)`",
    ] {
        assert!(unreadable.contains(words), "{words}: {report:#}");
    }
    let not_taken = report["not_taken"].to_string();
    assert!(not_taken.contains("link.json"), "{report:#}");
    assert!(!answer.out().contains("root:"), "{report:#}");
    let server = Server::start(&project);
    let runs = runs_of(&server, "project");
    let names: Vec<_> = runs.keys().map(String::as_str).collect();
    assert!(names.contains(&"$(touch${IFS}executed)") && names.contains(&"--upload-pack=evil.sh"));
    let run = &runs["ünï/code"];
    assert_eq!(pairs(run, "params")["a.b"], json!("[1,{\"c\":2}]"));
    let metrics = pairs(run, "metrics");
    assert_eq!(metrics.keys().collect::<Vec<_>>(), ["l", "n", "v"], "{run}");
    assert_eq!(file_of(&server, run, "fine/out"), "hello");
    server.end();
    project.assert_sound();
    let executed = fs::read_to_string(project.path("executed")).unwrap_or_default();
    assert_eq!(executed, "", "something was executed");
}

#[test]
fn a_content_that_git_has_lost_keeps_its_experiment_back_and_no_other() {
    let project = with_boats();
    let git = |arguments: &[&str]| {
        let mut git = project.command("git");
        let answer = Answer::of(git.current_dir(project.path("boats")).args(arguments));
        answer.assert_code(0);
        answer.out().trim().to_owned()
    };
    let commit = git(&[
        "for-each-ref",
        "--format=%(objectname)",
        "refs/exps/*/*/second",
    ]);
    let metrics = git(&["rev-parse", &format!("{commit}:metrics.json")]);
    // Unpacked, so that one can be taken away.
    let packs = project.path("boats/.git/objects/pack");
    fs::rename(&packs, project.path("packs")).unwrap();
    fs::create_dir(&packs).unwrap();
    for pack in fs::read_dir(project.path("packs")).unwrap() {
        let pack = pack.unwrap().path();
        if pack.extension().is_some_and(|end| end == "pack") {
            let mut unpack = project.command("git");
            unpack
                .current_dir(project.path("boats"))
                .args(["unpack-objects", "-q"])
                .stdin(fs::File::open(pack).unwrap());
            Answer::of(&mut unpack).assert_code(0);
        }
    }
    let loose = format!("boats/.git/objects/{}/{}", &metrics[..2], &metrics[2..]);
    let kept = fs::read(project.path(&loose)).unwrap();
    fs::remove_file(project.path(&loose)).unwrap();
    let answer = take_over(&project, &["boats"]);
    answer.assert_code(1);
    let report = told(&answer);
    count(&report, 6, 0);
    let unreadable = report["unreadable"].to_string();
    assert!(
        unreadable.contains("experiment `second`: `git`"),
        "{report:#}"
    );
    // Mended, it comes.
    fs::write(project.path(&loose), kept).unwrap();
    count(&told(&take_over(&project, &["boats"])), 1, 6);
    project.assert_sound();
}

#[test]
fn nothing_is_read_where_a_repository_leads_out_of_itself() {
    let project = with_boats();
    // Its cache is a link, or settings name another.
    let cache = project.path("boats/.dvc/cache");
    fs::rename(&cache, project.path("cache")).unwrap();
    symlink(project.path("cache"), &cache).unwrap();
    let refuse = |why: &str| {
        let answer = take_over(&project, &["boats", "-e", why]);
        answer.assert_code(1);
        let report = told(&answer);
        assert_eq!(report["differences"], json!([]), "{report:#}");
        let named = report["not_taken"].as_array().unwrap();
        let is_it = |file: &Value| file["why"].as_str().unwrap().contains(why);
        assert!(named.len() > 5 && named.iter().all(is_it), "{report:#}");
        fs::remove_dir_all(project.store()).unwrap();
    };
    refuse("`dvc fetch`");
    let settings = format!("[cache]\n    dir = {}\n", project.path("cache").display());
    project.write("boats/.dvc/config.local", settings);
    refuse("outside of the repository");
    let cache = project.path("cache");
    let answer = take_over(&project, &["boats", "--cache", cache.to_str().unwrap()]);
    assert_eq!(told(&answer)["not_taken"], json!([]));
    fs::remove_dir_all(project.store()).unwrap();

    // Its own objects are another's.
    let git = project.path("boats/.git");
    fs::rename(&git, project.path("git")).unwrap();
    symlink(project.path("git"), &git).unwrap();
    let answer = project.reproof(&["migrate", "dvc-exp", "boats"]);
    answer
        .assert_code(2)
        .assert_err_has("E0025")
        .assert_err_has("leads out of the repository");
    assert!(!project.store().exists());
}

#[test]
fn what_is_no_project_with_experiments_is_refused() {
    let project = Project::empty();
    let refuse = |arguments: &[&str], words: &str| {
        let answer = project.reproof(&[&["migrate", "dvc-exp"], arguments].concat());
        answer
            .assert_code(2)
            .assert_err_has("E0025")
            .assert_err_has(words);
    };
    refuse(&["."], "is in no repository of git");
    project.git(&["init", "-q", "."]);
    refuse(&[], "is in no project of DVC");
    project.write(".dvc/config", "");
    refuse(&["."], "no experiments of DVC");
    refuse(&["missing"], "missing");
    refuse(&["--cache", "missing"], "`missing` is no folder");
    assert!(!project.store().exists());
}
