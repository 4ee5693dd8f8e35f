//! Backups: made while others write, cut short, altered, and put back.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use testkit::TestSchema;

use crate::listening::Server;
use crate::support::{Project, files_below, training_project};

fn train(project: &Project, name: &str, rate: &str) {
    let command = ["run", "-q", "-n", name, "python3", "train.py", "--lr", rate];
    project.reproof(&command).assert_code(0);
}

/// A path beside the project, as text.
fn beside(project: &Project, name: &str) -> String {
    project
        .root
        .with_file_name(name)
        .to_str()
        .unwrap()
        .to_owned()
}

fn verify_at(project: &Project, root: &str) -> String {
    let answer = project.reproof(&["-C", root, "audit", "verify"]);
    answer.assert_code(0);
    answer.out()
}

fn packs(backups: &str) -> Vec<PathBuf> {
    files_below(&Path::new(backups).join("objects/packs"))
}

#[test]
fn a_backup_is_put_back_whole_and_a_second_one_copies_what_is_new() {
    let project = training_project(false);
    train(&project, "first", "0.1");
    let backups = beside(&project, "backups");
    let first = project.json(&["backup", &backups]);
    assert!(first["copied_packs"].as_u64().unwrap() > 0, "{first}");
    assert!(first["signed_events"].as_u64().unwrap() > 0, "{first}");
    let before = packs(&backups);
    train(&project, "second", "0.2");
    let second = project.json(&["backup", &backups]);
    let new: Vec<_> = packs(&backups)
        .into_iter()
        .filter(|pack| !before.contains(pack))
        .collect();
    assert_eq!(second["copied_packs"], new.len());
    assert!(
        before.iter().all(|pack| pack.is_file()),
        "the first one's stay"
    );
    assert_eq!(project.json(&["backup", &backups])["copied_packs"], 0);
    let listed = project.json(&["backup", &backups, "--list"]);
    assert_eq!(listed["backups"].as_array().unwrap().len(), 3);
    // No secret is in it.
    for file in files_below(Path::new(&backups)) {
        let bytes = std::fs::read(&file).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("PRIVATE+KEY"), "{}", file.display());
    }
    let target = beside(&project, "restored");
    let name = first["backup"].as_str().unwrap();
    let restored = project.reproof(&["restore-backup", &backups, &target, "--backup", name]);
    restored.assert_code(0).assert_err_has("audit accept");
    let runs = project.json(&["-C", &target, "runs", "--all"]);
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1);
    assert!(verify_at(&project, &target).contains("older copy"));
    project
        .reproof(&[
            "-C",
            &target,
            "audit",
            "accept",
            "--reason",
            "the disk failed",
        ])
        .assert_code(0);
    project
        .reproof(&["-C", &target, "replay", "first", "--verify"])
        .assert_code(0);
    project.assert_sound();
    // Never over a store, nor into itself.
    project
        .reproof(&["restore-backup", &backups, &target])
        .assert_code(2)
        .assert_err_has("E0033");
    project
        .reproof(&["backup", ".reproof/backups"])
        .assert_code(2)
        .assert_err_has("inside the store");
    project
        .reproof(&["backup", project.root.to_str().unwrap()])
        .assert_code(2)
        .assert_err_has("holds other files");
    for (arguments, code) in [
        (vec!["restore-backup", &target, "new"], "E0032"),
        (
            vec!["restore-backup", &backups, "new", "--backup", "../.."],
            "E0022",
        ),
        (
            vec![
                "restore-backup",
                &backups,
                "new",
                "--postgresql",
                "postgresql://a@b/c",
            ],
            "E0022",
        ),
    ] {
        project
            .reproof(&arguments)
            .assert_code(2)
            .assert_err_has(code);
        assert!(!project.path("new/.reproof").exists());
    }
    // The newest is kept, and what only the others had goes.
    let kept = project.json(&["backup", &backups, "--keep", "1"]);
    assert_eq!(kept["removed_backups"].as_array().unwrap().len(), 3);
    let last = beside(&project, "last");
    project
        .reproof(&["restore-backup", &backups, &last])
        .assert_code(0);
    assert_eq!(
        project.json(&["-C", &last, "runs"])["runs"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn keys_go_along_only_where_they_are_asked_for() {
    let project = training_project(false);
    train(&project, "first", "0.1");
    let backups = beside(&project, "backups");
    project
        .reproof(&["backup", &backups, "--with-keys"])
        .assert_code(0)
        .assert_err_has("can sign in your name");
    let elsewhere = Project::empty();
    let target = beside(&elsewhere, "restored");
    elsewhere
        .reproof(&["restore-backup", &backups, &target, "--with-keys"])
        .assert_code(0);
    let verified = elsewhere.reproof(&["-C", &target, "audit", "verify"]);
    verified.assert_code(0);
    assert!(
        !verified.out().contains("not signed yet"),
        "{}",
        verified.out()
    );
    let keyless = Project::empty();
    let target = beside(&keyless, "restored");
    keyless
        .reproof(&["restore-backup", &backups, &target])
        .assert_code(0)
        .assert_err_has("put the key of the ledger into");
}

#[test]
fn an_altered_byte_of_a_backup_is_found_and_nothing_is_put_back() {
    let project = training_project(false);
    train(&project, "first", "0.1");
    let backups = beside(&project, "backups");
    project.reproof(&["backup", &backups]).assert_code(0);
    let target = beside(&project, "restored");
    let mut files = files_below(Path::new(&backups));
    files.retain(|file| !file.ends_with("lock"));
    assert!(files.len() > 5, "{files:?}");
    for (number, file) in files.into_iter().enumerate() {
        // A new place each time: what one restore has copied well, the next one at that place goes on with.
        let target = format!("{target}-{number}");
        let whole = std::fs::read(&file).unwrap();
        let mut altered = whole.clone();
        let at = altered.len() / 2;
        altered[at] ^= 1;
        std::fs::write(&file, &altered).unwrap();
        let refused = project.reproof(&["restore-backup", &backups, &target]);
        let is_format = file.ends_with("objects/format");
        assert_ne!(
            refused.code,
            Some(0),
            "{} was altered unseen",
            file.display()
        );
        assert!(
            is_format || refused.err().contains("E0032") || refused.err().contains("E0003"),
            "{}: {}",
            file.display(),
            refused.err()
        );
        assert!(
            !Path::new(&target).join(".reproof").exists(),
            "{}",
            file.display()
        );
        if file
            .extension()
            .is_some_and(|extension| extension == "pack")
        {
            let refused = project.reproof(&["backup", &backups]);
            refused.assert_code(4).assert_err_has("E0032");
        }
        std::fs::write(&file, &whole).unwrap();
    }
    project
        .reproof(&["restore-backup", &backups, &target])
        .assert_code(0);
    verify_at(&project, &target);
}

struct SetWhenDropped<'b>(&'b AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What is left of a folder of backups whose making was cut short at its first file.
#[test]
fn a_folder_of_backups_that_was_begun_is_gone_on_with() {
    let project = Project::with_store();
    let backups = beside(&project, "backups");
    std::fs::create_dir(&backups).unwrap();
    std::fs::write(Path::new(&backups).join("lock"), "").unwrap();
    std::fs::write(Path::new(&backups).join("reproof-backups.new"), "repr").unwrap();
    project.reproof(&["backup", &backups]).assert_code(0);
    let target = beside(&project, "restored");
    project
        .reproof(&["restore-backup", &backups, &target])
        .assert_code(0);
    verify_at(&project, &target);
    let other = beside(&project, "other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(Path::new(&other).join("reproof-backups.newer"), "").unwrap();
    project
        .reproof(&["backup", &other])
        .assert_code(2)
        .assert_err_has("holds other files and no backups");
}

/// Backs a store up again and again while a client writes, kills some of it, and puts every backup back.
fn back_up_beside_a_writer(
    project: &Project,
    options: &[&str],
    restore: &dyn Fn(&str, usize) -> Vec<String>,
) {
    let backups = beside(project, "backups");
    let server = Server::start_with(project, options);
    let created = server.post("runs/create", r#"{"experiment_id": "0"}"#);
    let run = created["run"]["info"]["run_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let is_over = AtomicBool::new(false);
    let whole = std::thread::scope(|scope| {
        // Also where an assertion fails, so that the test ends.
        let ending = SetWhenDropped(&is_over);
        let writing = scope.spawn(|| {
            let mut step = 0;
            while !is_over.load(Ordering::Relaxed) {
                step += 1;
                let body = format!(
                    r#"{{"run_id": "{run}", "key": "m", "value": {step}, "timestamp": {step}, "step": {step}}}"#
                );
                server.post("runs/log-metric", &body);
                let path = format!("{}/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/{step}.txt", server.url);
                server.agent.put(&path).send(format!("file {step}")).unwrap();
            }
            step
        });
        let mut whole = 0;
        for attempt in 0..6_u64 {
            if attempt % 2 == 0 {
                let mut child = project.start(&["backup", &backups]);
                std::thread::sleep(Duration::from_millis(30 + attempt * 60));
                child.kill().unwrap();
                child.wait().unwrap();
            } else {
                project.reproof(&["backup", &backups]).assert_code(0);
                whole += 1;
            }
        }
        drop(ending);
        assert!(writing.join().unwrap() > 10);
        whole
    });
    server.end();
    project.assert_sound();
    let listed = project.json(&["backup", &backups, "--list"]);
    let names: Vec<_> = listed["backups"].as_array().unwrap().clone();
    assert!(names.len() >= whole, "{listed}");
    for (number, backup) in names.iter().enumerate() {
        let target = beside(project, &format!("restored-{number}"));
        let name = backup["backup"].as_str().unwrap();
        let more = restore(&target, number);
        let mut arguments = vec!["restore-backup", &backups, &target, "--backup", name];
        arguments.extend(more.iter().map(String::as_str));
        if number == 0 {
            for wait in [20, 60, 150] {
                let mut child = project.start(&arguments);
                std::thread::sleep(Duration::from_millis(wait));
                child.kill().unwrap();
                child.wait().unwrap();
                if Path::new(&target).join(".reproof").exists() {
                    break;
                }
            }
        }
        if !Path::new(&target).join(".reproof").exists() {
            project.reproof(&arguments).assert_code(0);
        }
        verify_at(project, &target);
        let shown = project.json(&["-C", &target, "runs"]);
        assert_eq!(shown["runs"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn backups_beside_a_writer_and_cut_short_are_whole_or_not_there() {
    let project = Project::with_store();
    back_up_beside_a_writer(&project, &[], &|_, _| Vec::new());
}

#[test]
fn backups_of_a_record_in_postgresql_are_put_back_into_another_schema() {
    let Some(schema) = TestSchema::make() else {
        return;
    };
    let address = crate::postgres::address(&schema);
    let project = Project::empty();
    project
        .reproof(&["init", "--postgresql", &address])
        .assert_code(0);
    let schemas: Vec<_> = (0..8).map(|_| TestSchema::make().unwrap()).collect();
    let restore = |_: &str, number: usize| {
        let schema = &schemas[number];
        vec!["--postgresql".to_owned(), crate::postgres::address(schema)]
    };
    let backups = beside(&project, "backups");
    back_up_beside_a_writer(&project, &["--backend-store-uri", &address], &restore);
    project
        .reproof(&["restore-backup", &backups, "elsewhere"])
        .assert_code(2)
        .assert_err_has("--postgresql");
    project
        .reproof(&[
            "restore-backup",
            &backups,
            "elsewhere",
            "--postgresql",
            &address,
        ])
        .assert_code(2)
        .assert_err_has("holds a store already");
}
