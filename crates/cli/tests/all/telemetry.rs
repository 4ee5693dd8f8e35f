//! Spans of a server's work, sent to a collector of OpenTelemetry: to another server of ours, which takes them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::listening::Server;
use crate::support::Project;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A server that sends its spans to an address.
fn start_sending(project: &Project, endpoint: &str, options: &[&str]) -> Server {
    let mut program = project.program();
    program
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-mlflow-experiment-id=0")
        .env("OTEL_BSP_SCHEDULE_DELAY", "100");
    Server::start_program(program, options)
}

/// Names of what a collector has of the default experiment, with the ids of their traces.
fn list_traces(collector: &Server) -> Vec<Value> {
    let place =
        json!({ "type": "MLFLOW_EXPERIMENT", "mlflow_experiment": { "experiment_id": "0" } });
    let asked = json!({ "locations": [place], "max_results": 100 }).to_string();
    let answer = collector
        .agent
        .post(format!("{}/api/3.0/mlflow/traces/search", collector.url))
        .header("Content-Type", "application/json")
        .send(asked);
    let text = answer.unwrap().body_mut().read_to_string().unwrap();
    let found: Value = serde_json::from_str(&text).unwrap();
    found["traces"].as_array().cloned().unwrap_or_default()
}

fn attributes(span: &Value) -> BTreeMap<String, String> {
    let attributes = span["attributes"].as_array().unwrap().iter();
    attributes
        .map(|attribute| {
            let value = attribute["value"].as_object().unwrap().values().next();
            let value = value.map(|value| value.as_str().map_or(value.to_string(), str::to_owned));
            let key = attribute["key"].as_str().unwrap().to_owned();
            (key, value.unwrap_or_default())
        })
        .collect()
}

#[test]
fn requests_are_spans_of_the_trace_that_their_headers_name() {
    let (collecting, sending) = (Project::with_store(), Project::with_store());
    let collector = Server::start(&collecting);
    let server = start_sending(&sending, &collector.url, &[]);
    let create = server
        .agent
        .post(format!("{}/api/2.0/mlflow/experiments/create", server.url))
        .header("Content-Type", "application/json")
        .header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01"))
        .send(r#"{ "name": "secret-name" }"#)
        .unwrap();
    let request_id = create.headers()["x-request-id"].to_str().unwrap();
    let artifact = "api/2.0/mlflow-artifacts/artifacts/secret-name.txt";
    let put = server.agent.put(format!("{}/{artifact}", server.url));
    put.send("content").unwrap();
    server
        .agent
        .get(format!("{}/health", server.url))
        .call()
        .unwrap();
    // What is not sampled where it began is sent nowhere.
    let unsampled = format!("00-{}-b7ad6b7169203331-00", TRACE.replace('0', "1"));
    let version = server.agent.get(format!(
        "{}/api/2.0/mlflow/experiments/get?experiment_id=0",
        server.url
    ));
    version.header("traceparent", unsampled).call().unwrap();
    server.end();

    assert_eq!(list_traces(&collector).len(), 2);
    let trace = collector.get(&format!("api/3.0/mlflow/traces/get?trace_id=tr-{TRACE}"));
    let spans = trace["trace"]["spans"].as_array().unwrap();
    let find = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap();
    let request = find("POST /api/2.0/mlflow/experiments/create");
    let told = attributes(request);
    assert_eq!(told["http.request.method"], "POST");
    assert_eq!(told["http.route"], "/api/2.0/mlflow/experiments/create");
    assert_eq!(told["http.response.status_code"], "200");
    assert_eq!(told["reproof.request.id"], request_id);
    let commit = find("store.commit");
    assert_eq!(commit["parent_span_id"], request["span_id"]);
    let told = attributes(commit);
    assert_eq!(told["db.system.name"], "sqlite");
    assert_eq!(told["reproof.event.kind"], "experiment.created");
    for trace in list_traces(&collector) {
        let id = trace["trace_id"].as_str().unwrap();
        let whole = collector.get(&format!("api/3.0/mlflow/traces/get?trace_id={id}"));
        assert!(!whole.to_string().contains("secret-name"), "{whole}");
        assert!(whole.to_string().contains("reproof"), "{whole}");
    }
    collector.end();
}

/// A server that is its own collector would otherwise never be done.
#[test]
fn that_spans_came_is_no_span() {
    let (collecting, sending) = (Project::with_store(), Project::with_store());
    let collector = Server::start(&collecting);
    let between = start_sending(&sending, &collector.url, &[]);
    let third = Project::with_store();
    let server = start_sending(&third, &between.url, &[]);
    server.get("api/2.0/mlflow/experiments/get?experiment_id=0");
    server.end();
    assert_eq!(list_traces(&between).len(), 1);
    between.end();
    // The search for the one, and nothing of its coming.
    assert_eq!(list_traces(&collector).len(), 1);
    collector.end();
}

#[test]
fn a_collector_that_is_away_is_told_of_once_and_slows_nothing_down() {
    let project = Project::with_store();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let mut program = project.program();
    program
        .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &address)
        .env(
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization=Bearer%20hidden-token",
        )
        .env("OTEL_BSP_SCHEDULE_DELAY", "20");
    let mut server = Server::start_program(program, &[]);
    let mut log = String::new();
    let begun = std::time::Instant::now();
    while !log.contains("could not be sent") {
        assert!(begun.elapsed().as_secs() < 20, "{log}");
        server.get("api/2.0/mlflow/experiments/get?experiment_id=0");
        log = server.read_log();
    }
    for _ in 0..5 {
        server.get("api/2.0/mlflow/experiments/get?experiment_id=0");
        std::thread::sleep(std::time::Duration::from_millis(40));
    }
    let log = server.read_log();
    assert_eq!(log.matches("could not be sent").count(), 1, "{log}");
    assert!(!log.contains("hidden-token"), "{log}");
    server.end();
}

#[test]
fn a_protocol_that_is_not_spoken_is_named_and_the_server_serves() {
    let project = Project::with_store();
    let mut program = project.program();
    program
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let mut server = Server::start_program(program, &[]);
    let answer = server.get("api/2.0/mlflow/experiments/get?experiment_id=0");
    assert_eq!(answer["experiment"]["name"], "Default");
    let log = server.read_log();
    assert!(
        log.contains("no spans are sent: OTEL_EXPORTER_OTLP_PROTOCOL is `grpc`"),
        "{log}"
    );
    server.end();
}
