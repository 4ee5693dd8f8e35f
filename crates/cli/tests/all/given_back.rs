//! What a replay and `restore` are given back, and what they leave alone.

use crate::support::{Answer, Project};
#[test]
fn a_replay_without_one_of_its_inputs_is_not_verified_although_its_outputs_are_the_same() {
    let project = Project::with_store();
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().canonicalize().unwrap().join("a.csv");
    std::fs::write(&file, "forget me\n").unwrap();
    let script = format!("wc -l < {} > lines.txt", file.display());
    project
        .reproof(&["run", "-q", "sh", "-c", &script])
        .assert_code(0);
    let run = project.run_ids().remove(0);
    let verify = ["replay", &run, "--verify"];
    project.reproof(&verify).assert_code(0);
    let object = format!("{run}:{}", file.display());
    project
        .reproof(&["forget", &object, "--reason", "asked to", "--yes"])
        .assert_code(0);
    // As long as today's file is the same, it is the same input.
    project.reproof(&verify).assert_code(0);
    project
        .reproof(&["forget", &object, "--reason", "again", "--yes"])
        .assert_code(0);
    std::fs::write(&file, "another\n").unwrap();
    let answer = project.reproof(&verify);
    answer.assert_code(1);
    let told = answer.out();
    for words in [
        "is not on record (removed by `reproof forget`, or missing); today's, which is another, is used",
        "NOT verified: 1 of its inputs could not be given back",
    ] {
        assert!(told.contains(words), "`{words}` is not in\n{told}");
    }
    project.assert_sound();
}

#[test]
fn a_replay_is_given_todays_secrets_and_large_files_that_are_still_the_same() {
    let project = Project::empty();
    project.write("reproof.toml", "[capture]\nsize_limit = \"1 KiB\"\n");
    project.reproof(&["init"]).assert_code(0);
    project.write(".gitignore", "*.bin\n.env\n");
    project.write(".env", "TOKEN=long-and-secret\n");
    project.write("large.bin", vec![b'x'; 5000]);
    project
        .reproof(&[
            "run",
            "-q",
            "sh",
            "-c",
            "cat .env large.bin | wc -c > size.txt",
        ])
        .assert_code(0);
    let answer = project.reproof(&["replay", "latest", "--verify"]);
    answer.assert_code(0);
    let told = answer.out();
    assert!(
        told.contains(
            "input `.env` is not on record (a secret, only its path is kept); today's is used"
        ),
        "{told}"
    );
    project.write("large.bin", vec![b'y'; 5000]);
    let run = project.run_ids().pop().unwrap();
    let answer = project.reproof(&["replay", &run, "--verify"]);
    answer.assert_code(1);
    assert!(
        answer.out().contains(
            "input `large.bin` is not on record (larger than the size limit, only its digest is kept); the command runs without it"
        ),
        "{}",
        answer.out()
    );
}

#[test]
fn a_replay_does_not_write_to_todays_secrets() {
    let project = Project::with_store();
    project.write(".gitignore", ".env\n");
    project.write(".env", "TOKEN=of-the-origin\n");
    let script = "wc -l < .env > lines.txt; echo TOKEN=renewed > .env";
    project
        .reproof(&["run", "-q", "sh", "-c", script])
        .assert_code(0);
    project.write(".env", "TOKEN=of-today\n");
    project
        .reproof(&["replay", "latest", "--into", "again"])
        .assert_code(0);
    assert_eq!(
        std::fs::read_to_string(project.path(".env")).unwrap(),
        "TOKEN=of-today\n"
    );
    assert_eq!(
        std::fs::read_to_string(project.path("again/lines.txt")).unwrap(),
        "1\n"
    );
    // The directory may be passed on; the secret is not.
    assert!(!project.path("again/.env").exists());
}

#[test]
fn every_input_that_is_gone_is_named_although_two_hold_the_same_bytes() {
    let project = Project::with_store();
    let elsewhere = tempfile::tempdir().unwrap();
    let folder = elsewhere.path().canonicalize().unwrap();
    for name in ["a", "b"] {
        std::fs::write(folder.join(name), "same bytes\n").unwrap();
    }
    let script = format!("cd {}; cat a b | wc -l > /dev/null", folder.display());
    project
        .reproof(&["run", "-q", "sh", "-c", &script])
        .assert_code(0);
    let object = format!("latest:{}", folder.join("a").display());
    project
        .reproof(&["forget", &object, "--reason", "r", "--yes"])
        .assert_code(0);
    std::fs::remove_file(folder.join("a")).unwrap();
    std::fs::remove_file(folder.join("b")).unwrap();
    let replayed = project.json(&["replay", "latest"]);
    let lost = &replayed["comparison"]["lost_inputs"];
    assert_eq!(lost.as_array().unwrap().len(), 2, "{lost}");
}

#[test]
fn what_a_run_wrote_outside_is_restored_with_its_outputs() {
    let project = Project::with_store();
    let outside = project.root.with_file_name("elsewhere");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("registry.csv"), "old\n").unwrap();
    let script = "cat ../elsewhere/registry.csv > in.txt; echo new >> ../elsewhere/registry.csv; mkdir ../elsewhere/deep; echo x > ../elsewhere/deep/x";
    project
        .reproof(&["run", "-q", "sh", "-c", script])
        .assert_code(0);
    let place = |into: &str, file: &str| {
        let folder = outside.canonicalize().unwrap();
        let below = project.path(into).join(".reproof-outside");
        below.join(folder.strip_prefix("/").unwrap()).join(file)
    };
    project
        .reproof(&["restore", "latest", "inputs"])
        .assert_code(0);
    let text = |path| std::fs::read_to_string(path).unwrap();
    assert_eq!(text(place("inputs", "registry.csv")), "old\n");
    assert!(!place("inputs", "deep").exists());
    let answer = project.reproof(&["restore", "latest", "all", "--outputs"]);
    answer.assert_code(0);
    assert_eq!(text(place("all", "registry.csv")), "old\nnew\n");
    assert_eq!(text(place("all", "deep/x")), "x\n");
    assert_eq!(answer.out().matches("registry.csv stands at").count(), 1);
    std::fs::write(project.path("file"), "").unwrap();
    project
        .reproof(&["restore", "latest", "file"])
        .assert_code(2)
        .assert_err_has("E0009");
}

#[test]
fn a_run_from_an_empty_folder_is_replayed_from_it() {
    let project = Project::with_store();
    std::fs::create_dir(project.path("empty")).unwrap();
    let command = ["run", "-q", "sh", "-c", "echo 1 > ../out.txt"];
    let mut program = project.program();
    let answer = Answer::of(program.current_dir(project.path("empty")).args(command));
    answer.assert_code(0);
    project
        .reproof(&["replay", "latest", "--verify"])
        .assert_code(0);
}

#[test]
fn data_of_an_annex_is_kept_and_given_back() {
    let project = Project::with_store();
    project.git(&["init", "--quiet"]);
    let annexed = ".git/annex/objects/a/b/x.csv";
    project.write(annexed, "1,2\n");
    std::fs::create_dir(project.path("data")).unwrap();
    std::os::unix::fs::symlink(format!("../{annexed}"), project.path("data/x.csv")).unwrap();
    project
        .reproof(&["run", "-q", "sh", "-c", "cat data/x.csv > out.txt"])
        .assert_code(0);
    project.write(annexed, "3,4\n");
    project
        .reproof(&["replay", "latest", "--verify"])
        .assert_code(0);
    project
        .reproof(&["restore", "latest", "back"])
        .assert_code(0);
    let restored = std::fs::read_to_string(project.path("back/data/x.csv")).unwrap();
    assert_eq!(restored, "1,2\n");
}
