//! `reproof doctor`, here and at a server.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::listening::Server;
use crate::support::{Answer, Project};

/// What is said of a check.
fn find<'a>(told: &'a Value, name: &str) -> &'a Value {
    let checks = told["checks"].as_array().unwrap().iter();
    let mut found = checks.filter(|check| check["check"] == name);
    found
        .next()
        .unwrap_or_else(|| panic!("{name} is not in {told}"))
}

fn ask(project: &Project, arguments: &[&str], variables: &[(&str, &str)], code: i32) -> Value {
    let mut program = project.program();
    program.args(["doctor", "--json"]).args(arguments);
    program.envs(variables.iter().copied());
    let answer = Answer::of(&mut program);
    answer.assert_code(code);
    serde_json::from_slice(&answer.stdout).unwrap()
}

#[test]
fn a_store_without_its_key_and_one_that_is_damaged_are_named() {
    let project = Project::with_store();
    let told = ask(&project, &[], &[], 0);
    for name in ["store", "key", "ledger", "clock"] {
        assert_eq!(find(&told, name)["state"], "ok", "{told}");
    }
    let capture = find(&told, "capture");
    assert!(capture["state"] != "failed", "{capture}");
    let keys = project.settings().join("keys");
    let key = crate::support::files_below(&keys).remove(0);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let told = ask(&project, &[], &[], 0);
    let hints = find(&told, "key")["hints"].to_string();
    assert!(hints.contains("chmod 600"), "{told}");
    std::fs::rename(&keys, keys.with_extension("away")).unwrap();
    let told = ask(&project, &[], &[], 0);
    assert_eq!(find(&told, "key")["state"], "warning");
    std::fs::write(project.store().join("reproof.db"), "no database").unwrap();
    let told = ask(&project, &[], &[], 1);
    assert_eq!(find(&told, "store")["state"], "failed");
    let empty = Project::empty();
    let page = empty.reproof(&["doctor"]);
    page.assert_code(1);
    assert!(
        page.out().contains("E0001") && page.out().contains("try: `reproof init`"),
        "{}",
        page.out()
    );
}

#[test]
fn a_server_is_looked_at_as_its_clients_see_it() {
    let project = Project::with_store();
    let server = Server::start_with(&project, &["--expose-prometheus"]);
    let url = server.url.clone();
    let own = [("MLFLOW_TRACKING_URI", url.as_str())];
    let told = ask(&project, &["--server", &url, "--probe"], &own, 0);
    for name in [
        "reachable",
        "kind",
        "version",
        "tls",
        "clock",
        "name",
        "sign-on",
        "figures",
        "artifacts",
        "clients",
    ] {
        assert_eq!(find(&told, name)["state"], "ok", "{told}");
    }
    let proxied = [
        ("HTTP_PROXY", "http://ann:s3cret@proxy:3128"),
        ("MLFLOW_TRACKING_URI", "http://bob:s3cret@elsewhere"),
    ];
    let told = ask(&project, &["--server", &url], &proxied, 0);
    assert_eq!(find(&told, "proxy")["state"], "warning");
    assert_eq!(find(&told, "clients")["state"], "warning");
    assert!(!told.to_string().contains("s3cret"), "{told}");
    // By a name that the server does not have.
    let port = url.rsplit(':').next().unwrap();
    let foreign = format!("http://localhost.localdomain:{port}");
    let named = ask(&project, &["--server", &foreign], &[], 1);
    let checks = named["checks"].to_string();
    assert!(
        checks.contains("--allowed-hosts") || checks.contains("reachable"),
        "{named}"
    );
    server.end();
    let left = project.json(&["audit", "log", "--limit", "3"]).to_string();
    assert!(left.contains("artifact"), "the probe is on record: {left}");
    let told = ask(&project, &["--server", &url], &[], 1);
    assert_eq!(find(&told, "reachable")["state"], "failed");
    for url in ["localhost:5000", "http://ann:s3cret@host", "ftp://host"] {
        let told = ask(&project, &["--server", url], &[], 1);
        assert!(!told.to_string().contains("s3cret"), "{told}");
    }
}
