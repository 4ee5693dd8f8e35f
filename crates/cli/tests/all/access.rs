//! Users of a whole `reproof server`: the first administrator, users and tokens by command, and MLflow's own clients.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;

use crate::listening::Server;
use crate::python::python;
use crate::support::{Answer, Project, files_below};

const PASSWORD: &str = "adminpassword1234";

/// A server whose administrator is made at its start.
fn start(project: &Project) -> Server {
    let mut program = project.program();
    program.env("MLFLOW_AUTH_ADMIN_PASSWORD", PASSWORD);
    Server::start_program(program, &["--app-name", "basic-auth"])
}

/// A server of a store that has an administrator.
pub(crate) fn start_as_is(project: &Project) -> Server {
    Server::start_with(project, &["--app-name", "basic-auth"])
}

/// Calls `reproof` with something on standard input.
fn reproof_with(project: &Project, input: &str, arguments: &[&str]) -> Answer {
    let mut program = project.program();
    program.args(arguments).stdin(Stdio::piped());
    program.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = program.spawn().unwrap();
    let mut pipe = process.stdin.take().unwrap();
    pipe.write_all(input.as_bytes()).unwrap();
    drop(pipe);
    let output = process.wait_with_output().unwrap();
    Answer {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: output.stderr,
    }
}

pub(crate) fn status(server: &Server, authorization: &str) -> u16 {
    let request = server
        .agent
        .get(&format!("{}/api/2.0/mlflow/users/current", server.url))
        .header("Authorization", authorization);
    request.call().unwrap().status().as_u16()
}

pub(crate) fn basic(user: &str, password: &str) -> String {
    let text = format!("{user}:{password}");
    // Three bytes in four letters: this needs no library.
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            let letter = (bits >> (18 - 6 * place)) & 63;
            encoded.push(LETTERS[letter as usize].into());
        }
    }
    format!("Basic {encoded}")
}

#[test]
fn without_an_administrator_the_server_says_what_to_set() {
    let project = Project::empty();
    let started = ["server", "--port", "0", "--app-name", "basic-auth"];
    let refused = project.reproof(&started);
    refused.assert_code(2);
    for words in ["E0028", "MLFLOW_AUTH_ADMIN_PASSWORD", "reproof user create"] {
        refused.assert_err_has(words);
    }
    for wrong in ["password1234", "short", ""] {
        let mut program = project.program();
        program
            .args(started)
            .env("MLFLOW_AUTH_ADMIN_PASSWORD", wrong);
        let refused = Answer::of(&mut program);
        refused.assert_code(2).assert_err_has("E0028");
        if !wrong.is_empty() {
            assert!(!refused.err().contains(&format!("`{wrong}`")));
        }
    }
    // A user of the name is no administrator.
    project.json(&["user", "create", "admin", "--draw"]);
    let mut program = project.program();
    program
        .args(started)
        .env("MLFLOW_AUTH_ADMIN_PASSWORD", PASSWORD);
    let refused = Answer::of(&mut program);
    refused
        .assert_code(2)
        .assert_err_has("reproof user admin admin");
    let other = ["server", "--port", "0", "--app-name", "mine"];
    project
        .reproof(&other)
        .assert_code(2)
        .assert_err_has("E0026");
}

#[test]
fn settings_of_mlflow_are_read_and_an_administrator_is_made_once() {
    let project = Project::empty();
    project.write(
        "auth.ini",
        "[mlflow]\ndefault_permission = NO_PERMISSIONS\nadmin_username = root\nadmin_password = from the file 1234\n",
    );
    let start = |password: &str| {
        let mut program = project.program();
        program.env("MLFLOW_AUTH_CONFIG_PATH", "auth.ini");
        program.env("MLFLOW_AUTH_ADMIN_PASSWORD", password);
        Server::start_program(program, &["--app-name", "basic-auth"])
    };
    let server = start(PASSWORD);
    // The variable decides.
    assert_eq!(status(&server, &basic("root", PASSWORD)), 200);
    assert_eq!(status(&server, &basic("root", "from the file 1234")), 401);
    server.end();
    let server = start("another password");
    assert_eq!(status(&server, &basic("root", PASSWORD)), 200);
    assert_eq!(status(&server, &basic("root", "another password")), 401);
    server.end();
    // Without the option nobody is asked, which is worth a warning.
    let mut open = Server::start(&project);
    assert!(open.read_log().contains("this store has users"));
    open.end();
}

#[test]
fn users_and_tokens_are_made_by_command_and_count_at_once() {
    let project = Project::empty();
    let server = start(&project);
    reproof_with(
        &project,
        "bob's long password\n",
        &["user", "create", "bob"],
    )
    .assert_code(0);
    assert_eq!(status(&server, &basic("bob", "bob's long password")), 200);
    let drawn = project.json(&["user", "create", "eve", "--draw", "--admin"]);
    let drawn = drawn["password"].as_str().unwrap().to_owned();
    assert_eq!(status(&server, &basic("eve", &drawn)), 200);
    let listed = project.json(&["user", "list"]);
    let admins: Vec<_> = listed["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| (user["name"].as_str().unwrap(), user["is_admin"] == true))
        .collect();
    assert_eq!(admins, [("admin", true), ("bob", false), ("eve", true)]);
    assert!(project.reproof(&["user", "list"]).out().contains("bob"));

    let made = project.json(&["token", "create", "bob", "--label", "ci", "--days", "7"]);
    let (token, id) = (
        made["token"].as_str().unwrap(),
        made["id"].as_str().unwrap(),
    );
    assert_eq!(status(&server, &format!("Bearer {token}")), 200);
    let listed = project.reproof(&["token", "list"]).out();
    assert!(listed.contains(id) && listed.contains("ci"), "{listed}");
    assert!(!listed.contains(token), "{listed}");
    project.reproof(&["token", "revoke", id]).assert_code(0);
    assert_eq!(status(&server, &format!("Bearer {token}")), 401);
    let again = project.reproof(&["token", "revoke", id]);
    again.assert_code(2).assert_err_has("reproof token list");

    reproof_with(&project, "another password\n", &["user", "password", "bob"]).assert_code(0);
    assert_eq!(status(&server, &basic("bob", "bob's long password")), 401);
    assert_eq!(status(&server, &basic("bob", "another password")), 200);
    reproof_with(&project, "short\n", &["user", "password", "bob"])
        .assert_code(2)
        .assert_err_has("at least 12 characters");
    reproof_with(&project, "", &["user", "create", "x"])
        .assert_code(2)
        .assert_err_has("no password on standard input");
    project.reproof(&["user", "admin", "bob"]).assert_code(0);
    project
        .reproof(&["user", "admin", "bob", "--not"])
        .assert_code(0);
    let unsure = project.reproof(&["user", "delete", "bob"]);
    unsure.assert_code(2).assert_err_has("--yes");
    project
        .reproof(&["user", "delete", "bob", "--yes"])
        .assert_code(0);
    assert_eq!(status(&server, &basic("bob", "another password")), 401);
    for name in ["eve", "nobody"] {
        let code = if name == "eve" { 0 } else { 2 };
        let deleted = project.reproof(&["user", "delete", name, "--yes"]);
        deleted.assert_code(code);
    }
    let last = project.reproof(&["user", "delete", "admin", "--yes"]);
    last.assert_code(2).assert_err_has("the only admin");
    server.end();
    project.assert_sound();
    let events = project.reproof(&["audit", "log", "--limit", "100"]).out();
    for kind in [
        "user.created",
        "user.password_set",
        "user.deleted",
        "token.created",
        "token.revoked",
    ] {
        assert!(events.contains(kind), "{kind} is not in {events}");
    }
}

/// Not in the store, the ledger or the settings, nor in what the server says of its work.
#[test]
fn passwords_and_tokens_stand_nowhere() {
    let project = Project::empty();
    let mut server = start(&project);
    let token = project.json(&["token", "create", "admin"]);
    let token = token["token"].as_str().unwrap().to_owned();
    assert_eq!(status(&server, &format!("Bearer {token}")), 200);
    assert_eq!(status(&server, &basic("admin", PASSWORD)), 200);
    assert_eq!(status(&server, &basic("admin", "a guess that fails")), 401);
    let log = server.read_log();
    for secret in [PASSWORD, token.as_str(), "a guess that fails"] {
        assert!(!log.contains(secret), "{log}");
        for folder in [project.root.as_path(), project.settings()] {
            for file in files_below(folder) {
                let bytes = std::fs::read(&file).unwrap();
                let found = bytes
                    .windows(secret.len())
                    .any(|part| part == secret.as_bytes());
                assert!(!found, "{} holds it", file.display());
            }
        }
    }
    server.end();
}

/// What a captured run is given is as it is: its endpoint asks for the token of the run alone.
#[test]
fn a_captured_run_signs_on_nowhere() {
    let Some(python) = python() else { return };
    let project = Project::empty();
    project.reproof(&["init"]).assert_code(0);
    project.json(&["user", "create", "eve", "--draw"]);
    project.write("log.py", "import mlflow\nmlflow.log_param('p', 1)\n");
    project.reproof(&["run", &python, "log.py"]).assert_code(0);
    let shown = project.json(&["show"]);
    assert_eq!(shown["run"]["params"]["p"], "1", "{shown}");
}

#[test]
fn mlflows_own_clients_sign_on() {
    let Some(python) = python() else { return };
    let project = Project::empty();
    let server = start(&project);
    project.write("client.py", include_str!("access/client.py"));
    let mut client = project.command(&python);
    client.args(["client.py", &server.url]);
    let answer = Answer::of(&mut client);
    answer.assert_code(0);
    assert!(answer.out().contains("done"), "{}", answer.out());

    // A token in place of a name and a password.
    let token = project.json(&["token", "create", "ann"]);
    let mut client = project.command(&python);
    let script = "import mlflow; mlflow.set_experiment('by token'); mlflow.log_param('p', 1); print(mlflow.last_active_run().info.run_id)";
    client.args(["-c", script]);
    client.env("MLFLOW_TRACKING_URI", &server.url);
    client.env("MLFLOW_TRACKING_TOKEN", token["token"].as_str().unwrap());
    Answer::of(&mut client).assert_code(0);
    server.end();
    project.assert_sound();
    let log = project.json(&["audit", "log", "--limit", "3"]);
    let events = log["events"].as_array().cloned().unwrap_or_default();
    let is_by_token = |event: &Value| event.to_string().contains("token:");
    assert!(events.iter().any(is_by_token), "{log}");
}
