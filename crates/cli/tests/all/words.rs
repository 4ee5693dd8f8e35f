//! What commands say: nothing that is not so, nothing twice, and which option or name was meant.

use crate::support::{Project, training_project};

#[test]
fn quiet_says_nothing_wherever_it_stands() {
    let project = Project::with_store();
    for words in [["-q", "run", "true"], ["run", "-q", "true"]] {
        let answer = project.reproof(&words);
        answer.assert_code(0);
        assert_eq!((answer.out(), answer.err()), (String::new(), String::new()));
    }
}

#[test]
fn an_empty_list_says_whether_the_store_or_the_filter_is_to_blame() {
    let project = Project::with_store();
    let listed = |filter: &str| project.reproof(&["runs", filter]).err();
    assert!(listed("status = 'finished'").contains("no runs in the store yet"));
    project.reproof(&["run", "true"]).assert_code(0);
    assert!(listed("status = 'failed'").contains("no run matches `status = 'failed'`"));
    let found = project.json(&["runs", "status = 'finished'"]);
    assert_eq!(found["runs"].as_array().unwrap().len(), 1);
    project
        .reproof(&["runs", "status = 'done'"])
        .assert_code(2)
        .assert_err_has("running, scheduled, finished, failed, killed");
}

#[test]
fn a_misspelt_param_in_braces_is_warned_of_and_braces_of_others_are_not() {
    let project = Project::with_store();
    let err = |words: &[&str]| {
        let answer = project.reproof(&[&["run", "-p", "lr=1", "--", "echo"], words].concat());
        answer.assert_code(0);
        answer.err()
    };
    let warned = err(&["{lr}", "{lrr}", "{seed}"]);
    assert!(
        warned
            .contains("{lrr}, {seed} in the command name no param and stay as they are; given: lr"),
        "{warned}"
    );
    assert!(!err(&["{lr}", "{\"lr\": 1}", "${HOME}"]).contains("warning"));
}

#[test]
fn latest_is_what_the_user_ran_and_not_its_replay() {
    let project = training_project(true);
    let train = ["run", "-q", "--", "python3", "train.py", "--lr", "0.1"];
    project.reproof(&train).assert_code(0);
    let run = project.run_ids().remove(0);
    for _ in 0..2 {
        project.reproof(&["replay", "--verify"]).assert_code(0);
        assert_eq!(project.json(&["show"])["run"]["run_id"], run.as_str());
    }
    let page = project.reproof(&["show"]).out();
    assert!(page.contains("replayed 2 times"), "{page}");
}

#[test]
fn a_replay_with_nothing_to_compare_is_not_verified_and_says_so() {
    let project = Project::with_store();
    project.reproof(&["run", "true"]).assert_code(0);
    let answer = project.reproof(&["replay", "--verify"]);
    answer.assert_code(1);
    let verdict = answer.out();
    for words in [
        "R3 –    there is nothing to compare",
        "R4 –    there is nothing to compare",
        "NOT verified: there is nothing to compare",
    ] {
        assert!(verdict.contains(words), "`{words}` is not in\n{verdict}");
    }
}

#[test]
fn a_file_that_is_not_kept_stands_in_the_list_once() {
    let project = training_project(false);
    project.write(".env", "TOKEN=x\n");
    project.git(&["init", "--quiet"]);
    project.git(&["add", "--force", ".env"]);
    project
        .reproof(&["run", "cat", ".env"])
        .assert_code(0)
        .assert_err_has("1 file is recorded without content");
    let page = project.reproof(&["show", "--full"]).out();
    let rows = page
        .lines()
        .filter(|line| line.trim_start().starts_with(".env "));
    assert_eq!(rows.count(), 1, "{page}");
}

#[test]
fn what_a_scan_cannot_see_is_not_told_as_nothing() {
    let project = training_project(true);
    let train = ["--", "python3", "train.py", "--lr", "0.1"];
    let run = |method| {
        let words = [&["run", "-q", "--trace", method], train.as_slice()].concat();
        project.reproof(&words).assert_code(0);
    };
    run("scan");
    let page = project.reproof(&["show"]).out();
    for words in [
        "data read: not seen with this method",
        "network      not seen with this method",
    ] {
        assert!(page.contains(words), "`{words}` is not in\n{page}");
    }
    assert!(!page.contains("no connection"), "{page}");
    run("auto");
    let ids = project.run_ids();
    let diff = project.reproof(&["diff", &ids[1], &ids[0]]).out();
    assert!(
        diff.contains("they are not known of one of them: data, interpreter, packages")
            && !diff.contains("\npackages\n"),
        "{diff}"
    );
}

#[test]
fn what_the_method_never_sees_is_nothing_that_a_run_lacks() {
    let project = Project::with_store();
    project.reproof(&["run", "true"]).assert_code(0);
    let shown = project.json(&["show"]);
    let gaps = shown["record"]["gaps"].to_string();
    let missing = shown["evidence"]["missing_for_next"].to_string();
    let page = project.reproof(&["show"]).out();
    if gaps.contains("entry_only") {
        assert!(page.contains("its limits   calls were seen"), "{page}");
    }
    assert!(!missing.contains("calls were seen"), "{missing}");
}

#[test]
fn a_param_that_the_command_contradicts_is_warned_of() {
    let project = Project::with_store();
    let run = |words: &[&str]| {
        let answer =
            project.reproof(&[&["run", "-p", "model=x", "-p", "password=abcdef"], words].concat());
        answer.assert_code(0);
        answer.err()
    };
    let told = run(&["true", "--model", "y", "--password", "uvwxyz"]);
    assert!(
        told.contains("give the param `model` different values"),
        "{told}"
    );
    assert!(
        !told.contains("abcdef") && !told.contains("uvwxyz"),
        "{told}"
    );
    for words in [
        ["true", "--model", "x"],
        ["true", "--model", "{model}"],
        ["true", "--other", "y"],
    ] {
        let told = run(&words);
        assert!(!told.contains("different values"), "{told}");
    }
}
