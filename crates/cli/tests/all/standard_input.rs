//! What a command is given on its standard input.

use std::process::Stdio;

use crate::support::{Answer, Project};

/// Calls `reproof run` of a command that counts the lines it is given.
fn count_lines(project: &Project, input: Stdio) -> Answer {
    let mut program = project.program();
    program
        .args(["run", "sh", "-c", "wc -l > lines.txt"])
        .stdin(input);
    Answer::of(&mut program)
}

fn open(project: &Project, path: &str) -> std::fs::File {
    std::fs::File::open(project.path(path)).unwrap()
}

#[test]
fn a_file_on_standard_input_is_an_input_and_a_replay_is_given_it_again() {
    let project = Project::with_store();
    project.write(".gitignore", "*.txt\n");
    project.write("numbers.txt", "1\n2\n3\n");
    count_lines(&project, open(&project, "numbers.txt").into()).assert_code(0);
    let shown = project.json(&["show", "--full"]);
    let given = &shown["recipe"]["standard_input"];
    assert_eq!(given["size_bytes"], 6);
    assert_eq!(given["path"], project.path("numbers.txt").to_str().unwrap());
    assert_eq!(shown["recipe"]["inputs"]["files"], 1);
    project.write("numbers.txt", "1\n");
    count_lines(&project, open(&project, "numbers.txt").into()).assert_code(0);
    let runs = project.run_ids();
    let diff = project.reproof(&["diff", &runs[1], &runs[0]]);
    assert!(
        diff.out().contains("standard input\n  6 B b3:"),
        "{}",
        diff.out()
    );
    project
        .reproof(&["replay", &runs[1], "--verify"])
        .assert_code(0);
    project.assert_sound();
}

#[test]
fn a_here_document_that_has_no_name_is_kept_all_the_same() {
    let project = Project::with_store();
    project.write("text", "1\n2\n");
    let file = open(&project, "text");
    std::fs::remove_file(project.path("text")).unwrap();
    count_lines(&project, file.into()).assert_code(0);
    let run = project.run_ids().remove(0);
    // What it was given must outlive the collection of what nothing refers to.
    project
        .reproof(&["gc", "--grace-hours", "0"])
        .assert_code(0);
    project
        .reproof(&["replay", &run, "--verify"])
        .assert_code(0);
}

#[test]
fn what_came_through_a_pipe_is_named_as_missing() {
    let project = Project::with_store();
    let script = format!(
        "printf '1\\n2\\n' | {} run sh -c 'wc -l > lines.txt'",
        env!("CARGO_BIN_EXE_reproof")
    );
    let answer = Answer::of(project.command("sh").args(["-c", &script]));
    answer
        .assert_code(0)
        .assert_err_has("standard input is not on record: it was a pipe");
    assert_eq!(
        std::fs::read_to_string(project.path("lines.txt")).unwrap(),
        "2\n"
    );
    let replayed = project.reproof(&["replay", "latest"]);
    replayed.assert_code(0);
    assert!(
        replayed
            .out()
            .contains("the command is given that of this replay"),
        "{}",
        replayed.out()
    );
}

#[test]
fn a_file_that_was_read_in_part_and_one_that_holds_secrets_are_not_kept() {
    use std::io::Read as _;
    let project = Project::with_store();
    project.write("numbers.txt", "1\n2\n3\n");
    let mut file = open(&project, "numbers.txt");
    file.read_exact(&mut [0; 2]).unwrap();
    count_lines(&project, file.into())
        .assert_code(0)
        .assert_err_has("it was a file that was read in part before");
    project.write(".env", "PASSWORD=long-and-secret\n");
    count_lines(&project, open(&project, ".env").into())
        .assert_code(0)
        .assert_err_has("it was a file that holds secrets");
    let shown = project.json(&["show", "--full"]);
    assert_eq!(shown["recipe"]["standard_input"], serde_json::Value::Null);
}

#[test]
fn closed_and_empty_standard_input_are_no_gap() {
    let project = Project::with_store();
    let script = format!("{} run true <&-", env!("CARGO_BIN_EXE_reproof"));
    let closed = Answer::of(project.command("sh").args(["-c", &script]));
    closed.assert_code(0);
    let empty = project.reproof(&["run", "true"]);
    for answer in [closed, empty] {
        assert!(!answer.err().contains("standard input"), "{}", answer.err());
    }
}

#[test]
fn a_replay_without_a_standard_input_that_was_forgotten_is_not_verified() {
    let project = Project::with_store();
    project.write("text", "1\n2\n");
    let file = open(&project, "text");
    std::fs::remove_file(project.path("text")).unwrap();
    count_lines(&project, file.into()).assert_code(0);
    project
        .reproof(&["forget", "latest:@stdin", "--reason", "r", "--yes"])
        .assert_code(0);
    let answer = project.reproof(&["replay", "latest", "--verify"]);
    answer.assert_code(1);
    assert!(
        answer
            .out()
            .contains("1 of its inputs could not be given back"),
        "{}",
        answer.out()
    );
}
