//! The server against its own document of the API, tried by Schemathesis; the script and its rules are in
//! `tests/schemathesis`.

use std::process::Command;

use crate::python::{python, say};
use crate::support::Answer;

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the script starts the server by itself"
)]
fn the_server_does_what_its_document_says() {
    let Some(python) = python() else { return };
    let found = Command::new(&python)
        .args(["-c", "import schemathesis"])
        .output();
    if !found.is_ok_and(|found| found.status.success()) {
        say("skipped: REPROOF_TEST_PYTHON has no schemathesis; tests/requirements.txt names it");
        return;
    }
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/schemathesis/run.py"
    );
    let mut trying = Command::new(python);
    trying
        .args([script, "--reproof", env!("CARGO_BIN_EXE_reproof")])
        .args(["--seed", "1", "--examples", "10"])
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let answer = Answer::of(&mut trying);
    assert_eq!(answer.code, Some(0), "{}\n{}", answer.out(), answer.err());
}
