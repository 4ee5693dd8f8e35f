//! `reproof model`: from a run to the version that is used, without MLflow.

use crate::support::{Project, training_project};

/// A project in git whose run wrote a model, registered.
fn with_version() -> Project {
    let project = training_project(true);
    project.reproof(&["init"]).assert_code(0);
    project.write(".gitignore", "out/\nmetrics.json\nmodel/\n");
    project.write(
        "fit.py",
        "import os\nos.makedirs('model', exist_ok=True)\nopen('model/weights.txt', 'w').write(open('data.csv').read() * 2)\nopen('model/about.txt', 'w').write('a mean')\n",
    );
    project.git(&["add", "--all"]);
    project.git(&["commit", "--quiet", "-m", "fit"]);
    project
        .reproof(&["run", "-q", "python3", "fit.py"])
        .assert_code(0);
    let register = ["model", "register", "means", "latest", "--path", "model"];
    let answer = project.reproof(&register);
    answer.assert_code(0);
    assert!(
        answer
            .out()
            .starts_with("registered means/1, a new name, from run "),
        "{}",
        answer.out()
    );
    project
}

#[test]
fn a_version_leads_back_to_run_code_and_data() {
    let project = with_version();
    let page = project.reproof(&["model", "show", "means/1"]).out();
    for told in [
        "2, 22 B, as they were registered",
        "python3 fit.py",
        "data.csv 8 B b3:",
        "on main",
        "captured, not replayed yet",
    ] {
        assert!(page.contains(told), "`{told}` is not in {page}");
    }
    let shown = project.json(&["model", "show", "means@latest"]);
    assert_eq!(shown["files"]["state"], "unchanged");
    assert_eq!(
        shown["run"]["run_id"],
        project.json(&["show"])["run"]["run_id"]
    );
    let listed = project.reproof(&["model", "list"]).out();
    assert!(listed.contains("means"), "{listed}");
    let events = project.reproof(&["audit", "log"]).out();
    for kind in ["registered_model.created", "model_version.created"] {
        assert!(events.contains(kind), "{events}");
    }
}

#[test]
fn promotion_asks_for_evidence_and_says_what_is_missing() {
    let project = with_version();
    let answer = project.reproof(&["model", "promote", "means/1"]);
    answer.assert_code(1);
    let told = answer.out();
    assert!(told.contains("NOT promoted"), "{told}");
    assert!(
        told.contains("no   a replay had the same results: `reproof replay RUN` shows it"),
        "{told}"
    );
    assert!(
        told.contains("yes  its code is a commit, unchanged"),
        "{told}"
    );
    project
        .reproof(&["model", "show", "means@champion"])
        .assert_code(2)
        .assert_err_has("alias champion not found");
    project
        .reproof(&["replay", "latest", "--verify"])
        .assert_code(0);
    let answer = project.reproof(&["model", "promote", "means/1"]);
    answer.assert_code(0);
    assert!(
        answer.out().ends_with("promoted: `champion` is means/1\n"),
        "{}",
        answer.out()
    );

    // A second version from changed code, for a reason.
    project.write("fit.py", "import os\nos.makedirs('model', exist_ok=True)\nopen('model/weights.txt', 'w').write('5')\n");
    project
        .reproof(&["run", "-q", "python3", "fit.py"])
        .assert_code(0);
    project
        .reproof(&["model", "register", "means", "--path", "model/weights.txt"])
        .assert_code(0);
    let promote = ["model", "promote", "means/2", "--to", "challenger"];
    project.reproof(&promote).assert_code(1);
    project
        .reproof(&[&promote[..], &["--reason", "a fix that cannot wait"]].concat())
        .assert_code(0);
    let log = project.reproof(&["audit", "log"]).out();
    assert!(log.contains("model_version.promoted"), "{log}");
    assert!(log.contains("a fix that cannot wait"), "{log}");
    project.assert_sound();
}

#[test]
fn the_files_of_a_version_come_back_as_they_were_whatever_happened_since() {
    let project = with_version();
    project.write("data.csv", "9\n");
    project
        .reproof(&["run", "-q", "python3", "fit.py"])
        .assert_code(0);
    project
        .reproof(&["gc", "--grace-hours", "0"])
        .assert_code(0);
    project
        .reproof(&["model", "download", "means/1", "back"])
        .assert_code(0);
    let weights = std::fs::read_to_string(project.path("back/weights.txt")).unwrap();
    assert_eq!(weights, "1\n2\n3.5\n1\n2\n3.5\n");
    project
        .reproof(&["model", "download", "means/1", "back"])
        .assert_code(2)
        .assert_err_has("not empty");
    // Without the run's own record of it the bytes stay too, since a version has them.
    let kept = project.json(&["gc", "--grace-hours", "0", "--dry-run"]);
    assert_eq!(kept["removed_objects"], 0, "{kept}");
    project.assert_sound();
}

#[test]
fn aliases_and_stages_are_moved_and_taken_away() {
    let project = with_version();
    project
        .reproof(&["model", "register", "means", "--path", "model"])
        .assert_code(0);
    for (arguments, told) in [
        (
            &["model", "alias", "means/1", "champion"][..],
            "`means@champion` is version 1",
        ),
        (
            &["model", "alias", "means@latest", "champion"],
            "`means@champion` is version 2",
        ),
        (
            &["model", "stage", "means@champion", "production"],
            "means/2 stands in Production",
        ),
        (
            &["model", "stage", "means/1", "Production", "--archive"],
            "means/1 stands in Production",
        ),
        (
            &["model", "alias", "means", "champion", "--delete"],
            "alias `champion` of means is deleted",
        ),
    ] {
        let answer = project.reproof(arguments);
        answer.assert_code(0);
        assert_eq!(answer.out().trim_end(), told);
    }
    let page = project.reproof(&["model", "show", "means"]).out();
    assert!(
        page.contains("Archived") && page.contains("Production"),
        "{page}"
    );
    project.assert_sound();
}

#[test]
fn what_cannot_be_registered_is_told_with_what_can() {
    let project = with_version();
    for (arguments, told) in [
        (
            &["model", "register", "means", "latest"][..],
            "logged no model",
        ),
        (
            &["model", "register", "means", "--path", "nowhere"],
            "has no `nowhere`",
        ),
        (
            &["model", "register", "a/b", "--path", "model"],
            "Invalid model name 'a/b'",
        ),
        (
            &["model", "register", "means", "nosuchrun", "--path", "model"],
            "E0005",
        ),
        (
            &["model", "show", "nope"],
            "Registered Model with name=nope not found",
        ),
        (&["model", "show", "means/7"], "version=7) not found"),
        (&["model", "show", "means/x"], "must be an integer"),
        (&["model", "alias", "means/1", "v3"], "is reserved"),
        (
            &["model", "alias", "means", "never", "--delete"],
            "alias never not found",
        ),
        (
            &["model", "stage", "means/1", "Somewhere"],
            "None, Staging, Production, Archived",
        ),
        (&["model", "list", "metrics.a > 1"], "E0014"),
    ] {
        let answer = project.reproof(arguments);
        answer.assert_code(2).assert_err_has(told);
    }
    project.assert_sound();
}
