//! Captured runs from start to manifest, with real processes, a real store and real objects.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use entities::{NotKeptReason, RecordedPath, RunStatus};
use executor::{exit_status, flatten_tree, list_files, run};
use support::{TestProject, files_of};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_and_then_changed_is_an_input_with_its_old_content() {
    let project = TestProject::new();
    project.write("data.csv", "1,2\n");
    let script = "read line < data.csv; echo 3,4 > data.csv; cp data.csv copy.csv";
    let outcome = project.shell(script).await;
    let inputs = files_of(&project, &outcome.recipe.inputs);
    assert_eq!(inputs["data.csv"], b"1,2\n");
    let outputs = files_of(&project, &outcome.record.outputs);
    assert_eq!(outputs["data.csv"], b"3,4\n");
    assert_eq!(outputs["copy.csv"], b"3,4\n");
    assert_eq!(outcome.run.status, RunStatus::Finished);
}

#[tokio::test(flavor = "multi_thread")]
async fn appending_to_a_file_keeps_what_it_was() {
    let project = TestProject::new();
    project.write("log.txt", "old\n");
    let outcome = project.shell("echo new >> log.txt").await;
    assert_eq!(
        files_of(&project, &outcome.recipe.inputs)["log.txt"],
        b"old\n"
    );
    assert_eq!(
        files_of(&project, &outcome.record.outputs)["log.txt"],
        b"old\nnew\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_created_and_removed_is_only_counted() {
    let project = TestProject::new();
    let outcome = project
        .shell("echo x > scratch.tmp; mv scratch.tmp kept.txt; echo y > gone; rm gone")
        .await;
    let outputs = files_of(&project, &outcome.record.outputs);
    assert_eq!(outputs.keys().collect::<Vec<_>>(), ["kept.txt"]);
    assert_eq!(outcome.record.scratch_files.0, 2);
    assert!(outcome.record.deleted.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_there_and_is_removed_is_named_and_kept_where_it_was_read() {
    let project = TestProject::new();
    project.write("data.csv", "1\n");
    let outcome = project.shell("cat data.csv; rm data.csv").await;
    assert_eq!(outcome.record.deleted, [RecordedPath::new("data.csv")]);
    assert_eq!(
        files_of(&project, &outcome.recipe.inputs)["data.csv"],
        b"1\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_input_is_kept_under_its_old_name() {
    let project = TestProject::new();
    project.write("raw/a.csv", "a\n");
    project.write("raw/b.csv", "b\n");
    let outcome = project.shell("mv raw done").await;
    let outputs = files_of(&project, &outcome.record.outputs);
    assert_eq!(outputs["done/a.csv"], b"a\n");
    assert_eq!(outputs["done/b.csv"], b"b\n");
    assert_eq!(
        files_of(&project, &outcome.recipe.inputs)["raw/b.csv"],
        b"b\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_have_a_path_and_no_content() {
    let project = TestProject::new();
    project.write(".env", "TOKEN=hunter2-hunter2\n");
    let outcome = project
        .shell("cat .env > /dev/null; cat .env > copy-of-nothing.pem")
        .await;
    let missing = &outcome.recipe.inputs.not_kept;
    assert!(
        missing
            .iter()
            .any(|file| file.path.as_str() == ".env" && file.reason == NotKeptReason::Secret)
    );
    assert!(!files_of(&project, &outcome.recipe.inputs).contains_key(".env"));
    assert!(find_in_store(&project, b"hunter2-hunter2").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_over_the_limit_is_known_by_its_digest_only() {
    let mut project = TestProject::new();
    project.bench.settings.size_limit_bytes = 10;
    project.write("large.bin", "0123456789abcdef");
    let outcome = project.shell("cat large.bin > out.bin").await;
    for missing in [
        &outcome.recipe.inputs.not_kept,
        &outcome.record.outputs.not_kept,
    ] {
        let file = missing
            .iter()
            .find(|file| file.path.as_str().contains(".bin"))
            .unwrap();
        assert_eq!(file.reason, NotKeptReason::OverSizeLimit);
        assert_eq!(
            file.object,
            Some(entities::ObjectId::of(b"0123456789abcdef"))
        );
        assert!(!project.bench.cas.contains(&file.object.unwrap()).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_names_links_and_special_files_are_told_truthfully() {
    use std::os::unix::ffi::OsStrExt as _;
    let project = TestProject::new();
    let odd = std::ffi::OsStr::from_bytes(b"odd \n\xff name");
    std::fs::write(project.root().join(odd), "odd").unwrap();
    let script = "cat odd* > 'a b'; ln -s nowhere broken; ln -s loop loop; mkfifo pipe; : > empty";
    let outcome = project.shell(script).await;
    let inputs = list_files(&project.bench.cas, &outcome.recipe.inputs).unwrap();
    let outputs = list_files(&project.bench.cas, &outcome.record.outputs).unwrap();
    let code = flatten_tree(&project.bench.cas, &outcome.recipe.code.tree).unwrap();
    assert!(
        inputs.contains_key(&RecordedPath::new(odd)) || code.contains_key(&RecordedPath::new(odd))
    );
    for name in ["a b", "broken", "loop", "empty"] {
        assert!(
            outputs.contains_key(&RecordedPath::new(name)),
            "{name} is missing in {outputs:?}"
        );
    }
    assert_eq!(
        project
            .bench
            .cas
            .read(&outputs[&RecordedPath::new("broken")].object)
            .unwrap(),
        b"nowhere"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn params_are_substituted_exported_and_logged_and_metrics_are_read() {
    let project = TestProject::new();
    let mut request = project.request(&[
        "sh",
        "-c",
        "echo '{\"auc\": 0.75}' > metrics.json; echo $lr {lr}",
    ]);
    request.params = BTreeMap::from([("lr".to_owned(), "0.1".to_owned())]);
    let outcome = run(&project.bench, request).await.unwrap();
    assert_eq!(outcome.params["lr"], "0.1");
    assert_eq!(outcome.metrics["auc"].to_bits(), 0.75_f64.to_bits());
    let stdout = project
        .bench
        .cas
        .read(&outcome.record.stdout.unwrap())
        .unwrap();
    assert_eq!(stdout, b"0.1 0.1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_signal_are_passed_on() {
    let project = TestProject::new();
    let outcome = project.shell("exit 7").await;
    assert_eq!(
        (exit_status(outcome.record.exit), outcome.run.status),
        (7, RunStatus::Failed)
    );
    let outcome = project.shell("kill -TERM $$").await;
    assert_eq!(
        (exit_status(outcome.record.exit), outcome.run.status),
        (143, RunStatus::Killed)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_run_twice_has_one_fingerprint() {
    let project = TestProject::new();
    project.write("data.csv", "1\n");
    let one = project.shell("cat data.csv > out.txt").await;
    // What the first run left behind is an output, not code of the second.
    let other = project.shell("cat data.csv > out.txt").await;
    assert_eq!(one.run.recipe, other.run.recipe);
    assert_ne!(one.run.record, other.run.record);
    project.write("data.csv", "2\n");
    let changed = project.shell("cat data.csv > out.txt").await;
    assert_ne!(one.run.recipe, changed.run.recipe);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_made_is_code_of_a_later_one_only_when_it_was_edited() {
    let project = TestProject::new();
    project.write("train.sh", "echo 1 > model.txt; echo 2 > notes.md\n");
    let code = |outcome: &executor::Outcome| -> Vec<String> {
        let tree = flatten_tree(&project.bench.cas, &outcome.recipe.code.tree).unwrap();
        tree.keys().map(|path| path.as_str().to_owned()).collect()
    };
    project.shell("sh train.sh").await;
    let evaluated = project.shell("cat model.txt > score.txt").await;
    assert_eq!(code(&evaluated), ["train.sh"]);
    // It was read, and so it is on record as data.
    let inputs = files_of(&project, &evaluated.recipe.inputs);
    assert_eq!(inputs["model.txt"], b"1\n");
    project.write("notes.md", "written by hand\n");
    let later = project.shell("true").await;
    assert_eq!(code(&later), ["notes.md", "train.sh"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_not_there_leaves_a_failed_run_and_no_open_one() {
    let project = TestProject::new();
    let request = project.request(&["no-such-command-anywhere"]);
    assert!(run(&project.bench, request).await.is_err());
    let open = project
        .bench
        .tracking
        .store()
        .list_open_runs()
        .await
        .unwrap();
    assert!(open.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_was_read_from_outside_the_project_is_kept_with_its_absolute_path() {
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().canonicalize().unwrap().join("data.bin");
    std::fs::write(&file, "outside").unwrap();
    let project = TestProject::new();
    let outcome = project
        .shell(&format!("cat {} > out", file.display()))
        .await;
    let inputs = list_files(&project.bench.cas, &outcome.recipe.inputs).unwrap();
    assert!(inputs.contains_key(&RecordedPath::new(&file)), "{inputs:?}");
    assert!(Path::new(&file).is_file());
}

/// Looks for bytes in everything that the store holds; gives the file where they stand.
fn find_in_store(project: &TestProject, needle: &[u8]) -> Option<PathBuf> {
    let mut waiting = vec![project.bench.project.store_directory.clone()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                waiting.push(path);
            } else if std::fs::read(&path)
                .unwrap()
                .windows(needle.len())
                .any(|window| window == needle)
            {
                return Some(path);
            }
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn untracked_code_that_is_read_and_rewritten_stays_on_record() {
    let project = TestProject::new();
    project.write("settings.yaml", "old: 1\n");
    let script = "cat settings.yaml > seen.txt; echo new: 2 > settings.yaml";
    let outcome = project.shell(script).await;
    let code = flatten_tree(&project.bench.cas, &outcome.recipe.code.tree).unwrap();
    let inputs = files_of(&project, &outcome.recipe.inputs);
    let old = entities::ObjectId::of(b"old: 1\n");
    let is_in_code = code
        .get(&RecordedPath::new("settings.yaml"))
        .is_some_and(|fact| fact.object == old);
    assert!(
        is_in_code
            || inputs
                .get("settings.yaml")
                .is_some_and(|bytes| bytes == b"old: 1\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ignored_program_that_is_executed_is_kept() {
    use std::os::unix::fs::PermissionsExt as _;
    let project = TestProject::new();
    project.write(".gitignore", "build/\n");
    project.write("build/fit", "#!/bin/sh\necho fitted\n");
    let program = project.root().join("build/fit");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let outcome = project.shell("./build/fit > out.txt").await;
    assert_eq!(
        files_of(&project, &outcome.recipe.inputs)["build/fit"],
        b"#!/bin/sh\necho fitted\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_stays_one_under_another_name() {
    let project = TestProject::new();
    project.write(".env", "TOKEN=hunter2-hunter2\n");
    let outcome = project.shell("ln .env linked; mv .env settings").await;
    let outputs = files_of(&project, &outcome.record.outputs);
    assert!(!outputs.contains_key("settings") && !outputs.contains_key("linked"));
    assert!(find_in_store(&project, b"hunter2-hunter2").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_among_the_params_is_not_written_down() {
    let project = TestProject::new();
    let mut request = project.request(&["sh", "-c", "test {password} = hunter2-hunter2"]);
    request.params = BTreeMap::from([("password".to_owned(), "hunter2-hunter2".to_owned())]);
    let outcome = run(&project.bench, request).await.unwrap();
    assert_eq!(
        exit_status(outcome.record.exit),
        0,
        "the command itself is given it"
    );
    assert_eq!(outcome.params["password"], "***");
}
