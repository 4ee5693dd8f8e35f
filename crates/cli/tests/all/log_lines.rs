//! What is said on standard error, as objects of JSON.

use serde_json::Value;

use crate::listening::Server;
use crate::support::Project;

fn lines(text: &str) -> Vec<Value> {
    let parse =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    text.lines().map(parse).collect()
}

#[test]
fn a_servers_log_has_a_line_for_each_request_under_the_id_of_its_answer() {
    let project = Project::with_store();
    let mut server = Server::start_with(&project, &["--log-format", "json"]);
    let call = |path: &str| {
        let uri = format!("{}/api/2.0/mlflow/{path}", server.url);
        let answer = server.agent.get(uri).call().unwrap();
        let id = answer.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        (answer.status().as_u16(), id)
    };
    let calls = [
        call("experiments/get?experiment_id=0"),
        call("experiments/get?experiment_id=secret-name"),
    ];
    server
        .agent
        .get(format!("{}/health", server.url))
        .call()
        .unwrap();
    server.kill();
    let log = server.read_log();
    assert!(!log.contains("secret-name"), "{log}");
    let lines = lines(&log);
    let answered: Vec<&Value> = lines
        .iter()
        .filter(|line| line["message"] == "request answered")
        .collect();
    assert_eq!(answered.len(), calls.len(), "{log}");
    for (line, (status, id)) in answered.iter().zip(calls) {
        assert_eq!(
            (&line["level"], &line["room"]),
            (&"info".into(), &"server".into())
        );
        let fields = &line["fields"];
        assert_eq!(fields["request"], id);
        assert_eq!(fields["status"], status);
        assert_eq!(fields["method"], "GET");
        assert_eq!(fields["route"], "/api/2.0/mlflow/experiments/get");
        assert!(fields["duration_ms"].as_f64().unwrap() > 0.0);
        assert!(line["time"].as_str().unwrap().ends_with('Z'));
    }
}

#[test]
fn sentences_warnings_and_errors_are_objects_too() {
    let project = Project::empty();
    let made = project.reproof(&["init", "--log-format", "json"]);
    made.assert_code(0);
    for line in lines(&made.err()) {
        assert_eq!(line["level"], "info");
    }
    let mut program = project.program();
    program.env("REPROOF_LOG_FORMAT", "json");
    let failed = crate::support::Answer::of(program.args(["show", "nothing"]));
    failed.assert_code(2);
    let told = lines(&failed.err());
    let last = told.last().unwrap();
    assert_eq!(last["level"], "error");
    assert!(
        last["fields"]["code"].as_str().unwrap().starts_with('E'),
        "{last}"
    );
    assert!(last["fields"]["hints"].is_array());
    let refused = project.reproof(&["runs", "--log-format", "xml"]);
    refused.assert_code(2).assert_err_has("text, json");
}
