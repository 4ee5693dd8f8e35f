//! Webhooks of a whole `reproof server`: what it tells, also after it was killed, and where its secrets are.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use serde_json::{Value, json};
use testkit::{Received, Receiver, Reply};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned, crypto};

use crate::listening::Server;
use crate::support::{Project, files_below};

const SECRET: &str = "a-s3cr3t-that-nobody-tells";

const OPEN: [(&str, &str); 2] = [
    ("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http"),
    ("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true"),
];

/// A server that may tell receivers on this machine.
fn start_open(project: &Project) -> Server {
    start_with(project, &OPEN)
}

fn start_with(project: &Project, variables: &[(&str, &str)]) -> Server {
    let mut program = project.program();
    program.envs(variables.iter().copied());
    Server::start_program(program, &[])
}

fn hook(url: &str) -> String {
    json!({
        "name": "hook",
        "url": url,
        "events": [{"entity": "REGISTERED_MODEL", "action": "CREATED"}],
        "secret": SECRET,
    })
    .to_string()
}

fn register(server: &Server, name: &str) {
    let made = server.post(
        "registered-models/create",
        &json!({ "name": name }).to_string(),
    );
    assert_eq!(made["registered_model"]["name"], name, "{made}");
}

/// The models that were told of, each once for each id of a delivery, in order.
fn told(received: &[Received]) -> Vec<String> {
    let mut deliveries: Vec<(String, String)> = Vec::new();
    for request in received {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let name = body["data"]["name"].as_str().unwrap().to_owned();
        let delivery = (request.header("X-MLflow-Delivery-Id").to_owned(), name);
        if !deliveries.contains(&delivery) {
            deliveries.push(delivery);
        }
    }
    deliveries.into_iter().map(|(_, name)| name).collect()
}

#[test]
fn a_server_that_was_killed_tells_what_is_left_when_it_is_started_again() {
    let project = Project::with_store();
    let receiver = Receiver::start(&[]);
    let mut server = start_open(&project);
    let made = server.post("webhooks", &hook(&receiver.url("/")));
    assert_eq!(made["webhook"]["status"], "ACTIVE", "{made}");
    let mut names = Vec::new();
    for round in 0..3 {
        for number in 0..4 {
            let name = format!("net-{round}-{number}");
            register(&server, &name);
            names.push(name);
        }
        // At once, so that most is not told yet.
        server.kill();
        server = start_open(&project);
    }
    // It may have been killed in the middle of an attempt, whose lease has to end first.
    let received = receiver.wait_until(|received| told(received).len() >= names.len());
    assert_eq!(told(&received), names);
    assert!(
        received
            .iter()
            .all(|request| request.header("X-MLflow-Signature").starts_with("v1,"))
    );
    server.end();
    project.reproof(&["audit", "verify"]).assert_code(0);
}

#[test]
fn two_servers_on_one_store_tell_everything_once_and_in_order() {
    let project = Project::with_store();
    let receiver = Receiver::start(&[]);
    let servers = [(); 2].map(|()| start_open(&project));
    servers[0].post("webhooks", &hook(&receiver.url("/")));
    let names: Vec<_> = (0..24).map(|number| format!("net-{number:02}")).collect();
    for (name, server) in names.iter().zip(servers.iter().cycle()) {
        register(server, name);
    }
    receiver.wait_until(|received| received.len() >= names.len());
    // A second delivery would come with the next look for what is due.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(receiver.received().len(), names.len());
    assert_eq!(told(&receiver.received()), names);
    for server in servers {
        server.end();
    }
    project.reproof(&["audit", "verify"]).assert_code(0);
}

#[test]
fn what_the_command_line_changes_is_told_by_the_server() {
    let project = Project::with_store();
    let receiver = Receiver::start(&[]);
    let server = start_open(&project);
    let events = json!([{"entity": "MODEL_VERSION", "action": "CREATED"}]);
    let new = json!({"name": "hook", "url": receiver.url("/"), "events": events});
    server.post("webhooks", &new.to_string());
    project.write("weights.txt", "1");
    let run = project.reproof(&["run", "--", "cp", "weights.txt", "model.txt"]);
    run.assert_code(0);
    let registering =
        project.reproof(&["model", "register", "net", "latest", "--path", "model.txt"]);
    registering.assert_code(0);
    let received = receiver.wait_until(|received| !received.is_empty());
    let body: Value = serde_json::from_str(&received[0].body).unwrap();
    assert_eq!(body["entity"], "model_version");
    assert_eq!(body["data"]["name"], "net");
    server.end();
}

#[test]
fn the_secret_is_in_no_file_of_the_project_and_its_key_is_the_users_alone() {
    let project = Project::with_store();
    let mut server = start_open(&project);
    // Nobody listens there, so that the log tells of failures too.
    let made = server.post("webhooks", &hook("http://127.0.0.1:1/"));
    let id = made["webhook"]["webhook_id"].as_str().unwrap();
    register(&server, "net");
    let tried = server.post(&format!("webhooks/{id}/test"), "{}");
    assert_eq!(tried["result"]["success"], false, "{tried}");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let log = server.read_log();
    assert!(log.contains("told again later"), "{log}");
    assert!(!log.contains(SECRET), "{log}");
    server.end();
    let files = files_below(&project.root);
    assert!(files.len() > 3);
    for file in files {
        let content = std::fs::read(&file).unwrap();
        let is_there = content
            .windows(SECRET.len())
            .any(|window| window == SECRET.as_bytes());
        assert!(!is_there, "the secret is in {}", file.display());
    }
    let mut keys = files_below(&project.settings().join("keys"));
    keys.retain(|key| key.extension().is_some_and(|ending| ending == "webhooks"));
    assert_eq!(keys.len(), 1);
    assert_eq!(
        keys[0].metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
    let log = project.reproof(&["audit", "log", "--json"]);
    assert!(!log.out().contains(SECRET));
}

#[test]
fn addresses_in_this_machine_are_refused_unless_they_are_allowed() {
    let project = Project::with_store();
    let receiver = Receiver::start(&[]);
    let server = Server::start(&project);
    let refused = server.post("webhooks", &hook(&receiver.url("/")));
    assert_eq!(
        refused["error_code"], "INVALID_PARAMETER_VALUE",
        "{refused}"
    );
    let url = receiver.url("/").replace("http:", "https:");
    let refused = server.post("webhooks", &hook(&url));
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("non-public"), "{message}");
    server.end();
    // One that was made while it was allowed is not told when it is not any more, and nothing of it is lost.
    let server = start_open(&project);
    server.post("webhooks", &hook(&receiver.url("/")));
    server.end();
    let server = Server::start(&project);
    register(&server, "net");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    server.end();
    assert!(receiver.received().is_empty());
    let log = project.reproof(&["audit", "log", "--json"]).out();
    assert!(!log.contains("webhook.delivery_given_up"), "{log}");
    let server = start_open(&project);
    receiver.wait_until(|received| !received.is_empty());
    server.end();
}

#[test]
fn a_delivery_that_is_given_up_is_listed_with_the_reason() {
    let project = Project::with_store();
    let receiver = Receiver::start(&[Reply::Status(404)]);
    let server = start_open(&project);
    let made = server.post("webhooks", &hook(&receiver.url("/")));
    register(&server, "net");
    receiver.wait_until(|received| !received.is_empty());
    server.end();
    let subject = format!(
        "webhook:{}",
        made["webhook"]["webhook_id"].as_str().unwrap()
    );
    let log = project.reproof(&["audit", "log", &subject]).out();
    assert!(log.contains("it answered with status 404"), "{log}");
}

/// Certificates of the tests' own, for a century: an authority, whose key is gone, and `localhost` by it.
const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/webhooks");

/// A receiver behind TLS, which takes whatever it is told; gives its port.
fn start_secure_receiver() -> u16 {
    let certificate = CertificateDer::from_pem_file(format!("{TLS}/receiver.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(format!("{TLS}/receiver.key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            let mut begin = [0; 64];
            // Whoever does not trust it breaks off here.
            if stream.read(&mut begin).is_ok() {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                let _ = stream.write_all(answer);
            }
        }
    });
    port
}

#[test]
fn a_receiver_behind_tls_must_be_whom_it_says_it_is() {
    let project = Project::with_store();
    let port = start_secure_receiver();
    let private = ("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true");
    let authority = format!("{TLS}/authority.pem");
    let trusting = [private, ("SSL_CERT_FILE", authority.as_str())];
    let server = start_with(&project, &trusting);
    let try_out = |server: &Server, host: &str| {
        let made = server.post("webhooks", &hook(&format!("https://{host}:{port}/")));
        let id = made["webhook"]["webhook_id"].as_str().unwrap().to_owned();
        server.post(&format!("webhooks/{id}/test"), "{}")["result"].clone()
    };
    let taken = try_out(&server, "localhost");
    assert_eq!(taken["response_status"], 200, "{taken}");
    let refused = |tried: Value, why: &str| {
        let failure = tried["error_message"].as_str().unwrap_or_default();
        assert!(failure.contains(why), "{tried}");
    };
    refused(try_out(&server, "127.0.0.1"), "not valid for name");
    server.end();
    let other = format!("{TLS}/receiver.pem");
    let server = start_with(&project, &[private, ("SSL_CERT_FILE", other.as_str())]);
    refused(try_out(&server, "localhost"), "UnknownIssuer");
    server.end();
}
