//! MLflow's database of users, taken over.

use std::path::Path;

use rusqlite::Connection;
use serde_json::json;

use super::{migrate, told};
use crate::access::{basic, start_as_is, status};
use crate::python::python;
use crate::support::{Answer, Project};

/// Hashes of `the password of NAME`, made by Werkzeug 3.1.
const HASHES: [(&str, &str); 3] = [
    (
        "chief",
        "scrypt:32768:8:1$9BKoebb3jJizV7mu$34a02a9344da2f079aacad2d4c1880f8a2eb6362768ea87825d016ce09df2cc7697c44c75b3c1e46385844ef41da3cbb9221cf098b318fb2437c5e34c86be367",
    ),
    (
        "ann",
        "scrypt:32768:8:1$jFakoYgPSLZQBtOI$383a9058b0aaf00f9993c138629f27a3ca5885edc7b1c1c9b6339eb4a97c55c8399c81f340efb588d35d40e5fda29fa0a4fddfd64b0ce36c0a9fd5fd60a568e1",
    ),
    (
        "old",
        "pbkdf2:sha256:20000$Sc5bWDF4d5UYRQXK$9314a78651e4bc566612230f10d8e344fe6703d296a7833809cdd7ef542e0fbb",
    ),
];

/// The tables of MLflow 3.17, with two users.
fn with_users(project: &Project) -> Connection {
    let database = Connection::open(project.path("basic_auth.db")).unwrap();
    database
        .execute_batch(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT, password_hash TEXT, is_admin BOOLEAN);
             CREATE TABLE roles (id INTEGER PRIMARY KEY, name TEXT, workspace TEXT, description TEXT);
             CREATE TABLE role_permissions (id INTEGER PRIMARY KEY, role_id INTEGER, resource_type TEXT,
                 resource_pattern TEXT, permission TEXT);
             CREATE TABLE user_role_assignments (id INTEGER PRIMARY KEY, user_id INTEGER, role_id INTEGER);
             CREATE TABLE experiment_permissions (id INTEGER PRIMARY KEY, experiment_id TEXT, user_id INTEGER,
                 permission TEXT);
             CREATE TABLE alembic_version_auth (version_num TEXT);
             INSERT INTO alembic_version_auth VALUES ('f1a2b3c4d5e6');",
        )
        .unwrap();
    for (index, (name, hash)) in HASHES.iter().enumerate() {
        let sql = "INSERT INTO users VALUES (?1, ?2, ?3, ?4)";
        let row = rusqlite::params![index as i64 + 1, name, hash, *name == "chief"];
        database.execute(sql, row).unwrap();
    }
    database
}

fn take_over(project: &Project) -> Answer {
    migrate(project, &["--auth-db", "sqlite:///basic_auth.db", "--json"])
}

fn hash_of(project: &Project, name: &str) -> String {
    let store = Connection::open(project.store().join("reproof.db")).unwrap();
    let sql = "SELECT encoded FROM access_password JOIN access_user ON access_user.number = account WHERE name = ?1";
    store.query_row(sql, [name], |row| row.get(0)).unwrap()
}

#[test]
fn users_keep_their_passwords_which_are_hashed_anew_when_they_sign_on() {
    let project = Project::empty();
    with_users(&project);
    let answer = take_over(&project);
    answer.assert_code(0);
    let report = told(&answer);
    assert_eq!(
        report["access"]["users"],
        json!({ "new": 3, "there": 0 }),
        "{report}"
    );
    let server = start_as_is(&project);
    for (name, hash) in HASHES {
        assert_eq!(hash_of(&project, name), hash);
        let password = format!("the password of {name}");
        assert_eq!(
            status(&server, &basic(name, "another password")),
            401,
            "{name}"
        );
        assert_eq!(
            hash_of(&project, name),
            hash,
            "a wrong password changes nothing"
        );
        assert_eq!(status(&server, &basic(name, &password)), 200, "{name}");
        let renewed = hash_of(&project, name);
        assert!(renewed.starts_with("$argon2id$"), "{renewed}");
        assert_eq!(
            status(&server, &basic(name, "another password")),
            401,
            "{name}"
        );
        assert_eq!(status(&server, &basic(name, &password)), 200, "{name}");
        assert_eq!(hash_of(&project, name), renewed, "once is enough");
    }
    server.end();
    let log = project.reproof(&["audit", "log", "user:ann"]).out();
    for kind in ["user.imported", "user.password_rehashed"] {
        assert!(log.contains(kind), "{log}");
    }
    project.assert_sound();
    let again = told(&take_over(&project));
    assert_eq!(
        again["access"]["users"],
        json!({ "new": 0, "there": 3 }),
        "{again}"
    );
}

#[test]
fn what_mlflow_itself_wrote_of_users_comes_over() {
    let Some(python) = python() else { return };
    let project = Project::empty();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/migrate");
    let filled = Answer::of(
        project
            .command(&python)
            .arg(scripts.join("fill_users.py"))
            .arg(format!(
                "sqlite:///{}",
                project.path("basic_auth.db").display()
            ))
            .env("MLFLOW_FLASK_SERVER_SECRET_KEY", "x")
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    );
    filled.assert_code(0);
    project.reproof(&["init"]).assert_code(0);
    let answer = take_over(&project);
    // The password that everybody knows did not come with its user.
    answer.assert_code(1);
    let report = told(&answer);
    let access = &report["access"];
    assert_eq!(access["users"]["new"], 4, "{report}");
    assert_eq!(access["roles"]["new"], 1, "{report}");
    assert_eq!(access["rights"], 5, "{report}");
    let told_of = access["without_password"].as_array().unwrap();
    assert!(
        told_of.len() == 1 && told_of[0].as_str().unwrap().contains("`admin`"),
        "{report}"
    );
    let server = start_as_is(&project);
    for (name, password, expected) in [
        ("admin", "password1234", 401),
        ("chief", "the password of chief", 200),
        ("ann", "the password of ann", 200),
        ("bob", "the password of bob", 200),
        ("bob", "the password of ann", 401),
    ] {
        assert_eq!(status(&server, &basic(name, password)), expected, "{name}");
    }
    let asks = |name: &str| {
        let request = server
            .agent
            .get(&format!(
                "{}/api/2.0/mlflow/experiments/get?experiment_id=0",
                server.url
            ))
            .header(
                "Authorization",
                basic(name, &format!("the password of {name}")),
            );
        request.call().unwrap().status().as_u16()
    };
    assert_eq!((asks("ann"), asks("bob"), asks("chief")), (200, 403, 200));
    server.end();
    project.assert_sound();
}

#[test]
fn rights_of_older_releases_come_over_and_what_was_denied_stays_so() {
    let project = Project::empty();
    let database = with_users(&project);
    database
        .execute_batch(
            "DROP TABLE roles; DROP TABLE role_permissions; DROP TABLE user_role_assignments; DROP TABLE alembic_version_auth;
             CREATE TABLE registered_model_permissions (id INTEGER PRIMARY KEY, name TEXT, user_id INTEGER, permission TEXT);
             INSERT INTO experiment_permissions VALUES (1, '0', 2, 'NO_PERMISSIONS'), (2, '1', 2, 'MANAGE'), (3, '2', 99, 'READ'),
                 (4, '3', 2, 'NOTHING');
             INSERT INTO registered_model_permissions VALUES (1, 'net', 2, 'EDIT');",
        )
        .unwrap();
    let answer = take_over(&project);
    answer.assert_code(1);
    let report = told(&answer);
    assert_eq!(report["access"]["rights"], 3, "{report}");
    assert_eq!(
        report["access"]["unreadable"],
        json!(["a right in `experiment_permissions`: `NOTHING` is no permission"])
    );
    let server = start_as_is(&project);
    let request = server
        .agent
        .get(&format!(
            "{}/api/2.0/mlflow/experiments/get?experiment_id=0",
            server.url
        ))
        .header("Authorization", basic("ann", "the password of ann"));
    assert_eq!(request.call().unwrap().status().as_u16(), 403);
    server.end();
    project.assert_sound();
}

#[test]
fn hashes_that_would_take_the_server_down_and_odd_names_are_named() {
    let project = Project::empty();
    let database = with_users(&project);
    let zeros = "00".repeat(64);
    for (id, name, hash) in [
        (10, "huge", format!("scrypt:1073741824:8:1$salt${zeros}")),
        (
            11,
            "long",
            format!("pbkdf2:sha256:4294967295$salt${}", "00".repeat(32)),
        ),
        (12, "plain", "secret".to_owned()),
        (13, "a:b", HASHES[0].1.to_owned()),
        (14, "new\nline", HASHES[0].1.to_owned()),
    ] {
        let sql = "INSERT INTO users VALUES (?1, ?2, ?3, 0)";
        database
            .execute(sql, rusqlite::params![id, name, hash])
            .unwrap();
    }
    database
        .execute_batch(
            "INSERT INTO roles VALUES (1, 'there', 'elsewhere', NULL), (2, '__user_x__', 'default', NULL),
                 (3, '__user_2__', 'default', NULL);
             INSERT INTO role_permissions VALUES (1, 1, 'experiment', '*', 'MANAGE'), (2, 3, 'workspace', '*', 'READ'),
                 (3, 3, 'planet', '*', 'READ'), (4, 3, 'run', '7', 'READ'), (5, 3, 'experiment', '4', 'EDIT');
             INSERT INTO user_role_assignments VALUES (1, 2, 1), (2, 2, 3);",
        )
        .unwrap();
    let answer = take_over(&project);
    answer.assert_code(1);
    let report = told(&answer);
    let access = &report["access"];
    assert_eq!(access["users"]["new"], 6, "{report}");
    assert_eq!(
        access["without_password"].as_array().unwrap().len(),
        3,
        "{report}"
    );
    assert_eq!(access["rights"], 1, "{report}");
    let unreadable = access["unreadable"].as_array().unwrap();
    for words in [
        "`there`",
        "`__user_x__`",
        "a:b",
        "new\nline",
        "planet",
        "workspace",
        "run",
    ] {
        assert!(
            unreadable
                .iter()
                .any(|one| one.as_str().unwrap().contains(words)),
            "{words}: {report}"
        );
    }
    let text = serde_json::to_string(access).unwrap();
    assert!(
        !text.contains(&zeros) && !text.contains("secret"),
        "no hash is told: {text}"
    );
    let server = start_as_is(&project);
    for (name, password) in [("huge", ""), ("plain", "secret")] {
        assert_eq!(status(&server, &basic(name, password)), 401);
    }
    server.end();
    project.assert_sound();
}

#[test]
fn what_is_no_database_of_users_is_refused() {
    let project = Project::empty();
    Connection::open(project.path("other.db"))
        .unwrap()
        .execute_batch("CREATE TABLE t (x)")
        .unwrap();
    for uri in [
        "sqlite:///other.db",
        "sqlite:///missing.db",
        "http://127.0.0.1:1/x",
    ] {
        migrate(&project, &["--auth-db", uri])
            .assert_code(2)
            .assert_err_has("E0035");
    }
    migrate(&project, &["--auth-db", "x.db", "--reverse", "y.db"]).assert_code(2);
    assert!(!project.store().exists(), "no store is made for nothing");
}
