//! The same requests to stock MLflow and to `reproof server`; the driver and its rules are in `tests/differential`.

use std::process::Command;

use crate::python::python;
use crate::support::Answer;

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the driver starts both servers by itself"
)]
fn answers_differ_from_mlflow_s_for_known_reasons_alone() {
    let Some(python) = python() else { return };
    let driver = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/differential/drive.py"
    );
    let mut driving = Command::new(python);
    driving
        .args([driver, "--reproof", env!("CARGO_BIN_EXE_reproof")])
        .args(["--seed", "1", "--requests", "400", "--faults", "3"])
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let answer = Answer::of(&mut driving);
    assert_eq!(answer.code, Some(0), "{}\n{}", answer.out(), answer.err());
}
