//! Replays: the same bytes after the world has moved on, and truthful verdicts where they are not the same.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use std::collections::BTreeMap;

use entities::ReplayLevel;
use executor::{Outcome, ReplayRequest, Replayed, replay, restore};
use provenance::{Outcome as Compared, Tolerances};
use support::{TestProject, files_of};

async fn replay_run(project: &TestProject, outcome: &Outcome) -> Replayed {
    let request = ReplayRequest {
        run: outcome.run.clone(),
        into: None,
        environment: None,
        variables: BTreeMap::new(),
        tolerances: Tolerances::default(),
    };
    replay(&project.bench, request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn code_and_data_come_back_although_both_have_changed() {
    let project = TestProject::new();
    project.write(
        "train.sh",
        "sort data/raw.csv > model.bin; pwd > where.txt\n",
    );
    project.write("data/raw.csv", "b\na\n");
    let origin = project.shell("sh train.sh").await;
    project.write("train.sh", "echo nonsense > model.bin\n");
    project.write("data/raw.csv", "z\n");
    let replayed = replay_run(&project, &origin).await;
    assert!(
        replayed.comparison.is_identical,
        "{:#?}",
        replayed.comparison
    );
    assert_eq!(replayed.comparison.level, Some(ReplayLevel::R4));
    let outputs = files_of(&project, &replayed.outcome.record.outputs);
    assert_eq!(outputs["model.bin"], b"a\nb\n");
    assert_eq!(
        outputs["where.txt"],
        format!("{}\n", project.root().display()).into_bytes()
    );
    let now = std::fs::read(project.root().join("model.bin")).unwrap();
    assert_eq!(now, b"a\nb\n", "the user's own checkout is left alone");
    let verdicts = project
        .bench
        .tracking
        .list_replays(&origin.run.id)
        .await
        .unwrap();
    assert_eq!(verdicts.len(), 1);
    assert!(verdicts[0].is_identical);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_is_random_is_told_as_different() {
    let project = TestProject::new();
    let origin = project
        .shell("head -c 16 /dev/urandom > noise.bin; echo same > same.txt")
        .await;
    let replayed = replay_run(&project, &origin).await;
    assert!(!replayed.comparison.is_identical);
    let outcome = |name: &str| {
        replayed
            .comparison
            .outputs
            .iter()
            .find(|output| output.path.as_str() == name)
            .unwrap()
            .outcome
    };
    assert_eq!(outcome("noise.bin"), Compared::Different);
    assert_eq!(outcome("same.txt"), Compared::Identical);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_from_outside_is_shown_as_it_was() {
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().canonicalize().unwrap().join("data.csv");
    std::fs::write(&file, "old\n").unwrap();
    let project = TestProject::new();
    let origin = project
        .shell(&format!("cat {} > out.txt", file.display()))
        .await;
    std::fs::write(&file, "new\n").unwrap();
    let replayed = replay_run(&project, &origin).await;
    assert!(
        replayed.comparison.is_identical,
        "{:?} {:#?}",
        replayed.notes, replayed.comparison.outputs
    );
    assert_eq!(std::fs::read(&file).unwrap(), b"new\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_restored_is_equal_to_the_byte_and_a_full_directory_is_refused() {
    let project = TestProject::new();
    project.write("run.sh", "cat in/a > out\n");
    project.write("in/a", "input");
    let origin = project.shell("sh run.sh").await;
    let target = tempfile::tempdir().unwrap();
    let into = target.path().join("restored");
    restore(
        &project.bench.cas,
        &origin.recipe,
        Some(&origin.record),
        &into,
    )
    .unwrap();
    assert_eq!(
        std::fs::read(into.join("run.sh")).unwrap(),
        b"cat in/a > out\n"
    );
    assert_eq!(std::fs::read(into.join("in/a")).unwrap(), b"input");
    assert_eq!(std::fs::read(into.join("out")).unwrap(), b"input");
    let again = restore(&project.bench.cas, &origin.recipe, None, &into);
    assert!(matches!(
        again,
        Err(executor::ExecutorError::NotEmpty { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_was_there_and_empty_is_there_again() {
    let project = TestProject::new();
    std::fs::create_dir(project.root().join("models")).unwrap();
    // Its time of birth must lie before the run.
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let origin = project.shell("echo model > models/m.bin").await;
    std::fs::remove_dir_all(project.root().join("models")).unwrap();
    let replayed = replay_run(&project, &origin).await;
    assert!(
        replayed.comparison.is_identical,
        "{:#?}",
        replayed.comparison
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_does_not_write_over_what_stands_outside_today() {
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().canonicalize().unwrap().join("prod.bin");
    let project = TestProject::new();
    let origin = project
        .shell(&format!("echo old > {}", file.display()))
        .await;
    std::fs::write(&file, "today's\n").unwrap();
    let replayed = replay_run(&project, &origin).await;
    assert!(
        replayed.comparison.is_identical,
        "{:#?}",
        replayed.comparison.outputs
    );
    assert_eq!(std::fs::read(&file).unwrap(), b"today's\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_ends_otherwise_is_not_identical_although_its_outputs_are() {
    let elsewhere = tempfile::tempdir().unwrap();
    let flag = elsewhere.path().canonicalize().unwrap().join("flag");
    let project = TestProject::new();
    let origin = project
        .shell(&format!(
            "echo same > out.txt; test ! -e {}",
            flag.display()
        ))
        .await;
    std::fs::write(&flag, "").unwrap();
    let replayed = replay_run(&project, &origin).await;
    assert!(!replayed.comparison.is_identical && !replayed.comparison.is_within_tolerance);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_is_read_through_a_link_comes_back_with_the_link() {
    let project = TestProject::new();
    project.write(".gitignore", "data/\n");
    project.write("data/iris.csv", "1,2\n");
    std::os::unix::fs::symlink("iris.csv", project.root().join("data/current.csv")).unwrap();
    let origin = project.shell("cat data/current.csv > out.txt").await;
    std::fs::remove_dir_all(project.root().join("data")).unwrap();
    let replayed = replay_run(&project, &origin).await;
    assert!(
        replayed.comparison.is_identical,
        "{:#?}",
        replayed.comparison
    );
}

/// A folder outside of the project, and what stands in it today.
fn outside(files: &[(&str, &str)]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    for (name, content) in files {
        std::fs::write(path.join(name), content).unwrap();
    }
    (folder, path)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_removes_and_renames_nothing_outside() {
    let (_folder, path) = outside(&[("old.csv", "1\n"), ("queue", "q\n"), ("beside", "b\n")]);
    let project = TestProject::new();
    let script = format!(
        "cd {} && sort old.csv > new.tmp && mv new.tmp old.csv && rm queue && cat beside > made",
        path.display()
    );
    let origin = project.shell(&script).await;
    let today = [
        ("old.csv", "today\n"),
        ("queue", "kept\n"),
        ("beside", "b\n"),
    ];
    for (name, content) in today {
        std::fs::write(path.join(name), content).unwrap();
    }
    std::fs::remove_file(path.join("made")).unwrap();
    let replayed = replay_run(&project, &origin).await;
    assert!(
        replayed.comparison.is_identical,
        "{:?} {:#?}",
        replayed.outcome.record.exit, replayed.comparison.outputs
    );
    assert_eq!(replayed.outcome.record.deleted, origin.record.deleted);
    for (name, content) in today {
        assert_eq!(std::fs::read_to_string(path.join(name)).unwrap(), content);
    }
    assert!(!path.join("made").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_of_what_a_run_changed_outside_cannot_be_removed_by_its_replay() {
    let (_folder, path) = outside(&[]);
    let project = TestProject::new();
    let script = format!(
        "cd {} && echo 1 > made; rm -rf ./other*; true",
        path.display()
    );
    let origin = project.shell(&script).await;
    std::fs::remove_file(path.join("made")).unwrap();
    std::fs::create_dir(path.join("other-folder")).unwrap();
    std::fs::write(path.join("other-file"), "precious\n").unwrap();
    let replayed = replay_run(&project, &origin).await;
    assert_eq!(
        std::fs::read(path.join("other-file")).unwrap(),
        b"precious\n"
    );
    assert!(path.join("other-folder").is_dir());
    assert!(!path.join("made").exists());
    assert!(
        replayed.comparison.is_identical,
        "{:#?}",
        replayed.comparison
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_writes_beside_its_own_project_is_replayed_in_the_fresh_one() {
    let project = TestProject::new();
    project.write("data.csv", "old\n");
    let beside = project.root().parent().unwrap().join("beside.txt");
    let origin = project
        .shell(&format!(
            "cat data.csv | tee out.txt > {}",
            beside.display()
        ))
        .await;
    project.write("data.csv", "new\n");
    std::fs::write(&beside, "today's\n").unwrap();
    let replayed = replay_run(&project, &origin).await;
    assert!(
        replayed.comparison.is_identical,
        "{:?} {:#?}",
        replayed.outcome.record.exit, replayed.comparison.outputs
    );
    assert_eq!(replayed.comparison.outputs.len(), 2);
    assert_eq!(std::fs::read(&beside).unwrap(), b"today's\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_made_outside_itself_is_not_there_when_its_replay_makes_it() {
    let (_folder, path) = outside(&[]);
    let project = TestProject::new();
    let script = format!(
        "cd {} && mkdir -p new/deep && set -C && echo 1 > new/deep/file && echo 2 > single && ln -s single link",
        path.display()
    );
    let origin = project.shell(&script).await;
    assert_eq!(origin.record.exit, entities::Exit::Code(0));
    // Once with what the origin left behind, once without.
    for _ in 0..2 {
        let replayed = replay_run(&project, &origin).await;
        assert!(
            replayed.comparison.is_identical,
            "{:?} {:#?}",
            replayed.outcome.record.exit, replayed.comparison.outputs
        );
        let _ = std::fs::remove_dir_all(path.join("new"));
        let _ = std::fs::remove_file(path.join("single"));
        let _ = std::fs::remove_file(path.join("link"));
    }
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
}
