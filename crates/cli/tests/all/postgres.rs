//! A store whose record is in PostgreSQL.

use std::os::unix::fs::PermissionsExt as _;

use testkit::TestSchema;

use crate::listening::Server;
use crate::support::Project;

/// The address of a schema, as a user writes it.
pub(crate) fn address(schema: &TestSchema) -> String {
    let name = schema.name().replace('"', "%22").replace(' ', "%20");
    format!("{}?schema={name}", schema.server())
}

#[test]
fn a_store_in_postgresql_is_used_like_any_other() {
    let Some(schema) = TestSchema::make() else {
        return;
    };
    let address = address(&schema);
    let project = Project::empty();
    project
        .reproof(&["init", "--postgresql", &address])
        .assert_code(0);
    let file = project.store().join("postgresql");
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), address);
    let mode = file.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!project.store().join("reproof.db").exists());
    project.write("train.py", "print('trained')\n");
    project
        .reproof(&["run", "--", "python3", "train.py"])
        .assert_code(0);
    assert_eq!(project.run_ids().len(), 1);
    project.assert_sound();
    project.reproof(&["replay", "latest"]).assert_code(0);
    // Again, and without its address: it is the same store.
    for arguments in [vec!["init", "--postgresql", &address], vec!["init"]] {
        let again = project.reproof(&arguments);
        again.assert_code(0);
        assert!(again.out().contains("there already"), "{}", again.out());
    }
    assert_eq!(project.run_ids().len(), 2);
    // A folder without its objects and its ledger is another store's.
    let other = Project::empty();
    other
        .reproof(&["init", "--postgresql", &address])
        .assert_code(2)
        .assert_err_has("E0026")
        .assert_err_has("another folder");
    // And one that has its record in a file stays with it.
    let file = Project::with_store();
    file.reproof(&["server", "--port", "0", "--backend-store-uri", &address])
        .assert_code(2)
        .assert_err_has("E0026")
        .assert_err_has("reproof.db");
}

#[test]
fn servers_on_one_database_answer_as_one() {
    let Some(schema) = TestSchema::make() else {
        return;
    };
    let address = address(&schema).replace("postgresql:", "postgresql+psycopg2:");
    let project = Project::empty();
    let options = ["--backend-store-uri", &address];
    let servers = [
        Server::start_with(&project, &options),
        Server::start_with(&project, &options),
    ];
    let mut runs = Vec::new();
    for turn in 0..10 {
        let [one, other] = if turn % 2 == 0 { [0, 1] } else { [1, 0] };
        let created = servers[one].post("runs/create", r#"{"experiment_id": "0"}"#);
        let id = created["run"]["info"]["run_id"]
            .as_str()
            .unwrap()
            .to_owned();
        let metric = format!(
            r#"{{"run_id": "{id}", "key": "acc", "value": 0.{turn}, "timestamp": 1, "step": 0}}"#
        );
        servers[other].post("runs/log-metric", &metric);
        let found = servers[one].get(&format!("api/2.0/mlflow/runs/get?run_id={id}"));
        assert_eq!(found["run"]["data"]["metrics"][0]["key"], "acc");
        runs.push(id);
    }
    for server in servers {
        let found = server.post(
            "runs/search",
            r#"{"experiment_ids": ["0"], "filter": "metrics.acc > 0.55"}"#,
        );
        assert_eq!(found["runs"].as_array().unwrap().len(), 4);
        server.end();
    }
    project.assert_sound();
    let log = project
        .reproof(&["audit", "log", "--json"])
        .assert_code(0)
        .out();
    for id in &runs {
        assert!(log.contains(id), "{id} is not in the ledger");
    }
}

#[test]
fn a_server_that_is_not_there_is_told_without_the_password() {
    let project = Project::empty();
    let address = "postgresql://ann:s3cret@127.0.0.1:1/ml";
    let refused = project.reproof(&["init", "--postgresql", address]);
    refused.assert_code(4).assert_err_has("E0027");
    assert!(!refused.err().contains("s3cret"), "{}", refused.err());
    // What does not name a database is a mistake of whoever wrote it.
    for (address, word) in [
        ("postgresql://h/d?sslmode=maybe", "sslmode"),
        ("mysql://h/d", "postgresql://"),
    ] {
        project
            .reproof(&["init", "--postgresql", address])
            .assert_code(2)
            .assert_err_has("E0022")
            .assert_err_has(word);
    }
    // Nothing is left that would keep a store from being made.
    project.reproof(&["init"]).assert_code(0);
    project.assert_sound();
}

#[test]
fn a_database_that_mlflow_writes_to_is_left_to_it() {
    let Some(schema) = TestSchema::make() else {
        return;
    };
    let name = format!("mlflow_{}", std::process::id());
    schema.run(&format!("DROP DATABASE IF EXISTS {name}"));
    schema.run(&format!("CREATE DATABASE {name}"));
    let (server, _) = schema.server().rsplit_once('/').unwrap();
    let address = format!("{server}/{name}");
    schema.run_in(
        &address,
        "CREATE TABLE alembic_version (version_num TEXT); CREATE TABLE experiments (experiment_id INTEGER)",
    );
    let project = Project::empty();
    project
        .reproof(&["server", "--port", "0", "--backend-store-uri", &address])
        .assert_code(2)
        .assert_err_has("E0026")
        .assert_err_has("schema=reproof");
    // Beside it, where it is said that this is meant.
    let beside = format!("{address}?schema=reproof");
    project
        .reproof(&["init", "--postgresql", &beside])
        .assert_code(0);
    project.assert_sound();
    schema.run(&format!("DROP DATABASE {name} WITH (FORCE)"));
}
