//! MLflow's record in a database of PostgreSQL, taken over.

use std::sync::atomic::{AtomicU32, Ordering};

use postgres::{Client, NoTls};

use super::{TABLES, compare_by_client, migrate, run_id, told};
use crate::listening::Server;
use crate::python::{python, say};
use crate::support::{Answer, Project};

/// A password that nothing may show; the tests' server asks for none.
const PASSWORD: &str = "s3cret-w0rd";

/// A database of its own in the tests' server, which goes when this is dropped.
struct Database {
    server: String,
    name: String,
}

impl Database {
    /// None where there is no server to test on, which is said.
    fn make() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        #[expect(
            clippy::disallowed_methods,
            reason = "the test command tells where its server is"
        )]
        let server = std::env::var("REPROOF_TEST_POSTGRES");
        let Ok(server) = server else {
            say("skipped: REPROOF_TEST_POSTGRES names no server; `cargo xtask test` starts one");
            return None;
        };
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mlflow_{}_{count}", std::process::id());
        let mut client = Client::connect(&server, NoTls).unwrap();
        // What a killed test left under this name.
        client
            .batch_execute(&format!("DROP DATABASE IF EXISTS {name}"))
            .unwrap();
        client
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .unwrap();
        Some(Self { server, name })
    }

    /// Its address as SQLAlchemy takes it, with settings before which a `&` stands.
    fn address(&self, driver: &str, settings: &str) -> String {
        let (_, rest) = self.server.split_once("://").unwrap();
        let place = rest.rsplit_once('/').unwrap().0;
        let (user, host) = place.split_once('@').unwrap_or(("postgres", place));
        let (name, user) = (&self.name, user.split(':').next().unwrap());
        match host.split_once("%2F") {
            // SQLAlchemy takes a folder of sockets as a setting only.
            Some(_) => {
                let folder = percent_encoding::percent_decode_str(host).decode_utf8();
                let folder = folder.unwrap();
                format!("postgresql{driver}://{user}:{PASSWORD}@/{name}?host={folder}{settings}")
            }
            None => format!(
                "postgresql{driver}://{user}:{PASSWORD}@{host}/{name}?application_name=t{settings}"
            ),
        }
    }

    fn connect(&self) -> Client {
        let (place, _) = self.server.rsplit_once('/').unwrap();
        Client::connect(&format!("{place}/{}", self.name), NoTls).unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let mut client = Client::connect(&self.server, NoTls).unwrap();
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        client.batch_execute(&sql).unwrap();
    }
}

#[test]
fn a_database_of_postgresql_that_the_real_client_filled_is_read_the_same_from_here() {
    let Some(database) = Database::make() else {
        return;
    };
    let Some(python) = python() else { return };
    let project = Project::empty();
    let found = Answer::of(project.command(&python).args(["-c", "import psycopg2"]));
    if found.code != Some(0) {
        say("skipped: the Python of the tests has no psycopg2");
        return;
    }
    let address = database.address("+psycopg2", "");
    compare_by_client(&project, &address, &database.address("", ""));
}

/// A database of an older release with two runs, the first of which has more points than a page of rows.
fn fill(database: &Database) -> Client {
    let mut client = database.connect();
    client.batch_execute(TABLES).unwrap();
    let run = run_id(1);
    client
        .batch_execute(&format!(
            "CREATE TABLE alembic_version (version_num TEXT);
             INSERT INTO runs VALUES ('{run}', 'r', 'LOCAL', 't.py', '', 'ann', 'FINISHED', 1000, 1500, NULL, '', 'active',
                 's3://bucket/{run}', 0);
             INSERT INTO runs VALUES ('{}', 'r', 'LOCAL', 't.py', '', 'ann', 'FINISHED', 1000, 1500, NULL, '', 'deleted',
                 's3://bucket/x', 1);
             INSERT INTO metrics SELECT 'm', i / 7.0, i, '{run}', i, false FROM generate_series(1, 2500) AS i;
             INSERT INTO metrics VALUES ('m', 0, 2501, '{run}', 2501, true);
             INSERT INTO params VALUES ('p', U&'\\FDD00 stays \\FDD0', '{run}');",
            run_id(2)
        ))
        .unwrap();
    client
}

#[test]
fn a_database_of_postgresql_is_taken_over_whole_and_served_under_its_address() {
    let Some(database) = Database::make() else {
        return;
    };
    let mut client = fill(&database);
    let project = Project::empty();
    let address = database.address("+psycopg2", "&connect_timeout=9");
    let server =
        |uri: &str| project.reproof(&["server", "--port", "0", "--backend-store-uri", uri]);
    server(&address)
        .assert_code(2)
        .assert_err_has("E0026")
        .assert_err_has("`reproof migrate mlflow`");
    let count = "SELECT COUNT(*) FROM pg_namespace WHERE nspname = 'reproof'";
    let schemas: i64 = client.query_one(count, &[]).unwrap().get(0);
    assert_eq!(schemas, 0, "what is MLflow's was written to");

    let answer = migrate(&project, &[&address, "--json"]);
    answer.assert_code(0);
    let report = told(&answer);
    assert_eq!(report["metric_points"], 2501, "{report}");
    assert_eq!(report["counts"]["runs"]["new"], 2, "{report}");
    assert_eq!(report["differences"], serde_json::json!([]), "{report}");
    assert_eq!(report["left_behind"]["users"], 1, "{report}");
    let notes = std::fs::read_to_string(project.store().join("migrated")).unwrap();
    assert!(notes.contains(&database.name), "{notes}");
    for told in [answer.out(), answer.err(), notes] {
        assert!(!told.contains(PASSWORD), "{told}");
    }
    let run = project.json(&["show", &run_id(1)]);
    let param = run["run"]["params"]["p"].as_str();
    assert_eq!(param, Some("\u{fdd0}0 stays \u{fdd0}"), "{run}");
    project.assert_sound();

    // However the address is written, and whether the folder is named or not.
    let other = database.address("", "");
    let root = project.path("").display().to_string();
    for options in [
        vec!["--backend-store-uri", &address],
        vec!["--backend-store-uri", &other, "--root", &root],
    ] {
        let server = Server::start_with(&project, &options);
        let found = server.get(&format!("api/2.0/mlflow/runs/get?run_id={}", run_id(1)));
        assert_eq!(found["run"]["info"]["run_name"], "r", "{found}");
        server.end();
    }
    let elsewhere = Project::empty();
    let answer = elsewhere.reproof(&["server", "--port", "0", "--backend-store-uri", &address]);
    answer.assert_code(2).assert_err_has("E0026");
    assert!(!answer.err().contains(PASSWORD), "{}", answer.err());

    let again = told(&migrate(&project, &[&other, "--json"]));
    assert_eq!(again["counts"]["runs"]["new"], 0, "{again}");
    let rows: i64 = client
        .query_one("SELECT COUNT(*) FROM metrics", &[])
        .unwrap()
        .get(0);
    assert_eq!(rows, 2501);
}

#[test]
fn a_database_of_postgresql_that_cannot_be_read_is_refused_before_a_store_is_made() {
    let Some(database) = Database::make() else {
        return;
    };
    let project = Project::empty();
    let refused = |address: &str, words: &str| {
        let answer = migrate(&project, &[address]);
        answer.assert_err_has(words);
        assert_ne!(answer.code, Some(0));
        assert!(!answer.err().contains(PASSWORD), "{}", answer.err());
        assert!(!project.store().exists(), "{address} made a store");
    };
    let address = database.address("", "");
    refused(&address, "no table `experiments`");
    refused(&format!("{address}&no_such_setting=1"), "E0022");
    refused(&address.replace(&database.name, "no_such"), "E0027");
    let mut client = fill(&database);
    client
        .batch_execute("ALTER TABLE experiments ALTER COLUMN name TYPE point USING point(1, 2)")
        .unwrap();
    refused(&address, "a column of point cannot be read");
    client
        .batch_execute(
            "ALTER TABLE experiments ALTER COLUMN name TYPE text
                 USING CASE experiment_id WHEN 0 THEN 'Default' ELSE 'old' END;
             ALTER TABLE runs ALTER COLUMN start_time TYPE text USING 'soon'",
        )
        .unwrap();
    migrate(&project, &[&address])
        .assert_code(2)
        .assert_err_has("a text was not expected there");
}
