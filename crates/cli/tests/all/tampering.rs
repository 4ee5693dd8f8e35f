//! Whatever was changed after it was written, `audit verify` exits with 1 and names it.

use std::path::{Path, PathBuf};

use crate::support::{Answer, Project, copy_folder, files_below, training_project};

/// A store with two runs and a replay.
fn store_to_tamper_with() -> Project {
    let project = training_project(true);
    for rate in ["0.1", "0.2"] {
        project
            .reproof(&["run", "-q", "python3", "train.py", "--lr", rate])
            .assert_code(0);
    }
    project.reproof(&["replay", "-q", "latest"]).assert_code(0);
    project.assert_sound();
    project
}

/// Works on a copy, and expects the fault to be found and named.
fn assert_found(project: &Project, what: &str, tamper: impl FnOnce(&Path), words: &[&str]) {
    let answer = verify_tampered(project, tamper);
    assert_eq!(
        answer.code,
        Some(1),
        "{what}: {}{}",
        answer.out(),
        answer.err()
    );
    assert!(
        answer.out().starts_with("NOT sound: "),
        "{what}: {}",
        answer.out()
    );
    for words in words {
        assert!(
            answer.out().contains(words),
            "{what}: `{words}` is not in {}",
            answer.out()
        );
    }
}

fn verify_tampered(project: &Project, tamper: impl FnOnce(&Path)) -> Answer {
    let copy = tempfile::tempdir().expect("a temporary folder");
    let store = copy.path().join(".reproof");
    copy_folder(&project.store(), &store);
    tamper(&store);
    Answer::of(
        project
            .program()
            .arg("-C")
            .arg(copy.path())
            .args(["audit", "verify"]),
    )
}

fn in_sql(sql: &str) -> impl FnOnce(&Path) + use<'_> {
    move |store| {
        let database = rusqlite::Connection::open(store.join("reproof.db")).expect("the database");
        let changed = database.execute(sql, []).expect("the statement is right");
        assert!(changed > 0, "`{sql}` changed nothing");
    }
}

fn flip_a_byte(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).expect("the file");
    bytes[at] ^= 1;
    std::fs::write(file, bytes).expect("the file");
}

fn largest_file(folder: &Path) -> PathBuf {
    let files = files_below(folder);
    files
        .into_iter()
        .max_by_key(|file| file.metadata().map_or(0, |metadata| metadata.len()))
        .expect("a file")
}

#[test]
fn an_edited_row_is_found_and_named() {
    let project = store_to_tamper_with();
    let cases = [
        (
            "a metric",
            "UPDATE latest_metric SET value = value + 0.01 WHERE key = 'loss'",
            "latest_metric",
        ),
        (
            "a param",
            "UPDATE param SET value = '0.9' WHERE key = 'lr'",
            "param",
        ),
        (
            "a tag",
            "UPDATE tag SET value = 'mallory' WHERE key = 'mlflow.user'",
            "tag",
        ),
        ("a status", "UPDATE run SET status = 'FAILED'", "run"),
        (
            "a verdict",
            "UPDATE replay SET is_identical = 1 - is_identical",
            "replay",
        ),
        ("a run that is gone", "DELETE FROM param", "param"),
    ];
    for (what, sql, table) in cases {
        assert_found(&project, what, in_sql(sql), &[table]);
    }
}

#[test]
fn an_edited_event_is_found() {
    let project = store_to_tamper_with();
    for (what, sql) in [
        (
            "a body",
            "UPDATE event SET body = CAST(replace(CAST(body AS TEXT), 'tester', 'mallor') AS BLOB)
                WHERE position = (SELECT MIN(position) FROM event WHERE kind = 'run.created')",
        ),
        (
            "a leaf",
            "UPDATE event SET leaf = CAST(replace(CAST(leaf AS TEXT), 'tester', 'mallor') AS BLOB) WHERE position = 2",
        ),
        (
            "a salt",
            "UPDATE event SET salt = zeroblob(32) WHERE position = 2",
        ),
        (
            "an event that is gone",
            "DELETE FROM event WHERE position = (SELECT MAX(position) FROM event)",
        ),
    ] {
        let answer = verify_tampered(&project, |store| {
            let database = rusqlite::Connection::open(store.join("reproof.db")).unwrap();
            database.pragma_update(None, "foreign_keys", false).unwrap();
            let changed = database.execute(sql, []).unwrap();
            assert!(changed > 0, "`{sql}` changed nothing");
        });
        assert_eq!(
            answer.code,
            Some(1),
            "{what}: {}{}",
            answer.out(),
            answer.err()
        );
    }
}

#[test]
fn a_changed_byte_of_tiles_and_checkpoint_is_found() {
    let project = store_to_tamper_with();
    let ledger = project.store().join("ledger");
    let files: Vec<_> = files_below(&ledger)
        .into_iter()
        .filter(|file| file.metadata().is_ok_and(|metadata| metadata.len() > 0))
        .collect();
    assert!(
        files.len() >= 3,
        "a checkpoint, a hash tile and an entry bundle: {files:?}"
    );
    for file in files {
        let relative = file.strip_prefix(project.store()).unwrap();
        let size = file.metadata().unwrap().len() as usize;
        for at in [0, size / 2, size - 1] {
            assert_found(
                &project,
                &format!("byte {at} of {}", relative.display()),
                |store| flip_a_byte(&store.join(relative), at),
                &[],
            );
        }
    }
}

#[test]
fn a_missing_file_of_the_ledger_is_found() {
    let project = store_to_tamper_with();
    let ledger = project.store().join("ledger");
    // Partial tiles of smaller trees may go at any time: those of the signed tree have the highest numbers.
    let mut newest = std::collections::BTreeMap::new();
    for file in files_below(&ledger) {
        let width = file
            .file_name()
            .and_then(|name| name.to_str()?.parse::<u32>().ok())
            .unwrap_or(0);
        let folder = if width == 0 {
            file.clone()
        } else {
            file.parent().unwrap().to_owned()
        };
        let kept = newest.entry(folder).or_insert((width, file.clone()));
        if width > kept.0 {
            *kept = (width, file);
        }
    }
    let files: Vec<_> = newest
        .into_values()
        .map(|(_, file)| file)
        .filter(|file| file.metadata().unwrap().len() > 0)
        .collect();
    assert_eq!(
        files.len(),
        3,
        "a checkpoint, a hash tile and an entry bundle: {files:?}"
    );
    for file in files {
        let relative = file.strip_prefix(project.store()).unwrap();
        let what = format!("{} is gone", relative.display());
        assert_found(
            &project,
            &what,
            |store| std::fs::remove_file(store.join(relative)).unwrap(),
            &[],
        );
    }
}

#[test]
fn a_changed_byte_of_an_object_is_found_unless_objects_are_left_out() {
    let project = store_to_tamper_with();
    let pack = largest_file(&project.store().join("objects"));
    let relative = pack.strip_prefix(project.store()).unwrap().to_owned();
    let size = pack.metadata().unwrap().len() as usize;
    for part in 1..20 {
        let at = size * part / 20;
        let answer = verify_tampered(&project, |store| flip_a_byte(&store.join(&relative), at));
        assert_eq!(
            answer.code,
            Some(1),
            "byte {at} of {}: {}",
            relative.display(),
            answer.out()
        );
    }
    assert_found(
        &project,
        "a pack is gone",
        |store| std::fs::remove_file(store.join(&relative)).unwrap(),
        &[],
    );
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&project.store(), &copy.path().join(".reproof"));
    flip_a_byte(&copy.path().join(".reproof").join(&relative), size / 2);
    let quick = Answer::of(
        project
            .program()
            .arg("-C")
            .arg(copy.path())
            .args(["audit", "verify", "--quick"]),
    );
    quick.assert_code(0);
    assert!(quick.out().contains("objects left out"), "{}", quick.out());
}

#[test]
fn a_damaged_store_is_not_written_to_by_its_verification() {
    let project = store_to_tamper_with();
    in_sql("UPDATE param SET value = '0.9' WHERE key = 'lr'")(&project.store());
    let events = |project: &Project| {
        project.json(&["audit", "log", "--limit", "10000"])["events"]
            .as_array()
            .unwrap()
            .len()
    };
    let before = events(&project);
    project.reproof(&["audit", "verify"]).assert_code(1);
    assert_eq!(events(&project), before);
}

#[test]
fn a_store_that_names_another_key_than_the_one_kept_elsewhere_is_not_sound() {
    let project = training_project(false);
    project.reproof(&["run", "-q", "true"]).assert_code(0);
    let told = project.reproof(&["audit", "verify", "--quick"]).out();
    let key = told.trim_end().rsplit("signed by ").next().unwrap();
    project.write("kept.pub", format!("{key}\n"));
    for given in [key, "kept.pub"] {
        let arguments = ["audit", "verify", "--quick", "--key", given];
        project.reproof(&arguments).assert_code(0);
    }
    let other = Project::with_store();
    let answer = other.reproof(&["audit", "verify", "--quick", "--key", key]);
    answer.assert_code(1);
    assert!(
        answer.out().contains(&format!("not by {key}")),
        "{}",
        answer.out()
    );
    other
        .reproof(&["audit", "verify", "--key", "nonsense"])
        .assert_code(2)
        .assert_err_has("is no public key");
}

fn put_back(project: &Project, copy: &Path) {
    std::fs::remove_dir_all(project.store()).expect("the store");
    copy_folder(copy, &project.store());
}

fn count_events(project: &Project) -> i64 {
    rusqlite::Connection::open(project.store().join("reproof.db"))
        .and_then(|database| database.query_row("SELECT COUNT(*) FROM event", [], |row| row.get(0)))
        .expect("the events")
}

#[test]
fn a_store_that_was_put_back_is_not_signed_again_until_its_owner_accepts_it() {
    let project = store_to_tamper_with();
    let copies = tempfile::tempdir().unwrap();
    let old = copies.path().join("old");
    copy_folder(&project.store(), &old);
    project
        .reproof(&["run", "-q", "python3", "train.py", "--lr", "0.3"])
        .assert_code(0);

    put_back(&project, &old);
    let checkpoint = project.store().join("ledger/checkpoint");
    let signed = std::fs::read(&checkpoint).unwrap();
    let events = count_events(&project);
    let answer = project.reproof(&["audit", "verify"]);
    assert_eq!(answer.code, Some(1));
    assert!(
        answer
            .out()
            .starts_with("NOT sound: the ledger's `checkpoint` covers "),
        "{}",
        answer.out()
    );
    assert!(
        answer.err().contains("reproof audit accept"),
        "{}",
        answer.err()
    );
    assert_eq!(count_events(&project), events, "nothing was recorded");

    // Work goes on, and nothing that comes after is signed.
    let answer = project.reproof(&["run", "-q", "python3", "train.py", "--lr", "0.4"]);
    answer.assert_code(0);
    assert!(
        answer.err().contains("could not be signed"),
        "{}",
        answer.err()
    );
    assert_eq!(std::fs::read(&checkpoint).unwrap(), signed);

    project
        .reproof(&["audit", "accept", "--reason", "the backup of Monday"])
        .assert_code(0);
    project.assert_sound();
    let log = project.reproof(&["audit", "log", "ledger"]);
    assert!(log.out().contains("ledger.accepted"), "{}", log.out());
    assert!(log.out().contains("the backup of Monday"), "{}", log.out());
    let again = project.reproof(&["audit", "accept", "--reason", "again"]);
    again.assert_code(0);
    assert!(again.out().contains("nothing to accept"), "{}", again.out());
}

#[test]
fn a_history_that_was_written_anew_without_the_key_is_not_signed() {
    let project = store_to_tamper_with();
    // Without these nothing in the store tells that anything was ever signed.
    std::fs::remove_dir_all(project.store().join("ledger")).unwrap();
    in_sql("UPDATE ledger_state SET sequenced = 0, integrated = 0, signed = 0")(&project.store());
    for command in [&["audit", "verify"][..], &["runs"], &["audit", "verify"]] {
        let answer = project.reproof(command);
        assert!(!project.store().join("ledger/checkpoint").exists());
        if command[0] == "audit" {
            assert_eq!(answer.code, Some(1));
            assert!(
                answer
                    .out()
                    .starts_with("NOT sound: the ledger's `checkpoint` is missing, although "),
                "{}",
                answer.out()
            );
        }
    }
    // Nor does it help to show the store to its owner somewhere else.
    let moved = tempfile::tempdir().unwrap();
    copy_folder(&project.store(), &moved.path().join(".reproof"));
    let answer = Answer::of(
        project
            .program()
            .arg("-C")
            .arg(moved.path())
            .args(["audit", "verify"]),
    );
    assert_eq!(answer.code, Some(1), "{}", answer.out());
}

#[test]
fn a_store_that_does_not_verify_in_itself_cannot_be_accepted() {
    let project = store_to_tamper_with();
    let copies = tempfile::tempdir().unwrap();
    let old = copies.path().join("old");
    copy_folder(&project.store(), &old);
    project
        .reproof(&["run", "-q", "python3", "train.py", "--lr", "0.3"])
        .assert_code(0);
    in_sql("UPDATE latest_metric SET value = value + 0.01 WHERE key = 'loss'")(&old);
    put_back(&project, &old);
    let events = count_events(&project);
    let answer = project.reproof(&["audit", "accept", "--reason", "a backup"]);
    assert_ne!(answer.code, Some(0));
    assert!(answer.err().contains("latest_metric"), "{}", answer.err());
    assert_eq!(count_events(&project), events);
    assert_eq!(project.reproof(&["audit", "verify"]).code, Some(1));
}

#[test]
fn no_store_is_made_over_the_ledger_of_another() {
    let project = store_to_tamper_with();
    let database = project.store().join("reproof.db");
    let aside = project.store().join("aside");
    std::fs::rename(&database, &aside).unwrap();
    for (command, code) in [(&["init"][..], 4), (&["run", "true"], 125)] {
        project
            .reproof(command)
            .assert_code(code)
            .assert_err_has("ledger/checkpoint")
            .assert_err_has("put `reproof.db` back");
        assert!(!database.exists());
    }
    std::fs::rename(&aside, &database).unwrap();
    project.assert_sound();
}

#[test]
fn a_copied_project_goes_on_beside_its_original() {
    let project = store_to_tamper_with();
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&project.path(""), copy.path());
    let in_copy = |arguments: &[&str]| {
        Answer::of(project.program().arg("-C").arg(copy.path()).args(arguments))
    };
    let run = ["run", "-q", "python3", "train.py", "--lr", "0.3"];
    // The copy goes first, and then both.
    for _ in 0..2 {
        for answer in [in_copy(&run), project.reproof(&run)] {
            answer.assert_code(0);
            assert!(!answer.err().contains("signed"), "{}", answer.err());
        }
    }
    in_copy(&["audit", "verify"]).assert_code(0);
    project.assert_sound();
}

#[test]
fn a_copy_that_its_original_has_overtaken_is_sound_and_goes_on_once_its_owner_says_so() {
    let project = store_to_tamper_with();
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&project.path(""), copy.path());
    let in_copy = |arguments: &[&str]| {
        Answer::of(project.program().arg("-C").arg(copy.path()).args(arguments))
    };
    let run = ["run", "-q", "python3", "train.py", "--lr", "0.3"];
    project.reproof(&run).assert_code(0);
    let checkpoint = copy.path().join(".reproof/ledger/checkpoint");
    let signed = std::fs::read(&checkpoint).unwrap();
    let answer = in_copy(&["audit", "verify"]);
    answer.assert_code(0);
    let told = answer.out();
    assert!(
        told.starts_with("sound: ") && told.contains("this is an older copy"),
        "{told}"
    );
    let answer = in_copy(&run);
    answer.assert_code(0);
    assert!(
        answer.err().contains("could not be signed"),
        "{}",
        answer.err()
    );
    assert_eq!(std::fs::read(&checkpoint).unwrap(), signed);
    in_copy(&["audit", "accept", "--reason", "a copy to try things in"]).assert_code(0);
    for answer in [in_copy(&run), project.reproof(&run)] {
        answer.assert_code(0);
        assert!(!answer.err().contains("signed"), "{}", answer.err());
    }
    let answer = in_copy(&["audit", "verify"]);
    answer.assert_code(0);
    assert!(!answer.out().contains("older copy"), "{}", answer.out());
    project.assert_sound();
}

#[test]
fn a_history_that_was_written_anew_is_not_accepted_by_mistake() {
    let project = store_to_tamper_with();
    std::fs::remove_dir_all(project.store().join("ledger")).unwrap();
    in_sql("UPDATE ledger_state SET sequenced = 0, integrated = 0, signed = 0")(&project.store());
    let answer = project.reproof(&["audit", "verify"]);
    assert!(!answer.err().contains("audit accept"), "{}", answer.err());
    let events = count_events(&project);
    let answer = project.reproof(&["audit", "accept", "--reason", "a backup"]);
    answer.assert_code(4).assert_err_has("--rewritten");
    assert_eq!(count_events(&project), events);
    project
        .reproof(&[
            "audit",
            "accept",
            "--rewritten",
            "--reason",
            "the disk lost the folder",
        ])
        .assert_code(0);
    project.assert_sound();
}

#[test]
fn who_cannot_sign_cannot_say_that_a_history_is_right() {
    let project = store_to_tamper_with();
    let copies = tempfile::tempdir().unwrap();
    let old = copies.path().join("old");
    copy_folder(&project.store(), &old);
    project
        .reproof(&["run", "-q", "python3", "train.py", "--lr", "0.3"])
        .assert_code(0);
    put_back(&project, &old);
    let keys = project.root.parent().unwrap().join("config/keys");
    let aside = keys.with_extension("aside");
    std::fs::rename(&keys, &aside).unwrap();
    let events = count_events(&project);
    let answer = project.reproof(&["audit", "accept", "--reason", "a backup"]);
    answer.assert_code(4).assert_err_has("E0021");
    assert_eq!(count_events(&project), events);
    std::fs::rename(&aside, &keys).unwrap();
    project
        .reproof(&["audit", "accept", "--reason", "a backup"])
        .assert_code(0);
    project.assert_sound();
}

#[test]
fn a_store_whose_database_is_gone_is_not_passed_over_for_one_further_up() {
    let project = store_to_tamper_with();
    let inner = project.path("inner");
    copy_folder(&project.store(), &inner.join(".reproof"));
    std::fs::remove_file(inner.join(".reproof/reproof.db")).unwrap();
    for arguments in [&["run", "true"][..], &["runs"]] {
        let answer = Answer::of(project.program().arg("-C").arg(&inner).args(arguments));
        assert!(
            answer.code == Some(4) || answer.code == Some(125),
            "{:?}",
            answer.code
        );
        answer.assert_err_has("its database is gone");
    }
}

#[test]
fn without_a_settings_folder_a_store_can_be_used_and_verified() {
    let project = store_to_tamper_with();
    let homeless = |arguments: &[&str]| {
        let mut program = project.program();
        program
            .args(arguments)
            .env_remove("HOME")
            .env_remove("REPROOF_CONFIG_DIR");
        Answer::of(&mut program)
    };
    homeless(&["runs"]).assert_code(0);
    let answer = homeless(&["run", "-q", "python3", "train.py", "--lr", "0.3"]);
    answer.assert_code(0).assert_err_has("E0021");
    homeless(&["audit", "verify"]).assert_code(0);
    project.assert_sound();
}
