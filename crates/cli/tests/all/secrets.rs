//! No secret gets into the store, however it came along.

use crate::support::{Project, files_below, training_project};

const SECRETS: [&str; 6] = [
    "hunter2-of-a-variable",
    "hunter2-of-an-argument",
    "hunter2-of-a-remote",
    "hunter2-of-dotenv",
    "hunter2-of-a-tracking-uri",
    "hunter2-of-a-key-file",
];

#[test]
fn no_secret_is_in_any_file_of_the_store() {
    let project = training_project(true);
    project.write(".env", "API_KEY=hunter2-of-dotenv\n");
    project.write(
        "id_rsa",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2-of-a-key-file\n",
    );
    project.git(&[
        "remote",
        "add",
        "origin",
        "https://ann:hunter2-of-a-remote@git.example.org/a.git",
    ]);
    project.write("read.py", "for name in ('.env', 'id_rsa', 'data.csv'):\n    open(name).read()\nopen('out.txt', 'w').write('done')\n");
    let mut command = project.program();
    command
        .args([
            "run",
            "python3",
            "read.py",
            "--password=hunter2-of-an-argument",
        ])
        .env("DATABASE_PASSWORD", "hunter2-of-a-variable")
        .env(
            "MLFLOW_TRACKING_URI",
            "https://ann:hunter2-of-a-tracking-uri@mlflow.example.org",
        );
    crate::support::Answer::of(&mut command).assert_code(0);
    let shown = project.json(&["show"]);
    let text = shown.to_string();
    for named in [
        "DATABASE_PASSWORD",
        ".env",
        "--password=***",
        "git.example.org",
        "mlflow.example.org",
    ] {
        assert!(text.contains(named), "`{named}` is not on record: {text}");
    }
    project.reproof(&["replay", "latest"]).assert_code(0);
    let found = find_secrets(&project);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn the_value_of_a_secret_param_is_nowhere_in_the_store_whatever_the_command_does_with_it() {
    let project = training_project(false);
    let secret = "hunter2-of-an-argument";
    let answer = project.reproof(&[
        "run",
        "-p",
        &format!("password={secret}"),
        "--",
        "sh",
        "-c",
        "echo $# $1 | wc -c > out.txt",
        "sh",
        "{password}",
        "login={password}",
        "--url",
        "user=me;pw={password}",
    ]);
    answer.assert_code(0);
    assert!(!answer.err().contains(secret), "{}", answer.err());
    let shown = project.json(&["show"]);
    assert_eq!(shown["run"]["params"]["login"], "***", "{shown}");
    assert_eq!(find_secrets(&project), Vec::<String>::new());
}

#[test]
fn a_replay_keeps_the_value_of_a_secret_param_no_more_than_its_origin() {
    let project = training_project(false);
    let secret = "hunter2-of-a-variable";
    let with_secret = |arguments: &[&str]| {
        crate::support::Answer::of(project.program().args(arguments).env("db_password", secret))
    };
    let given = format!("db_password={secret}");
    with_secret(&[
        "run",
        "-p",
        &given,
        "sh",
        "-c",
        "echo $db_password | wc -c > out.txt",
    ])
    .assert_code(0);
    for replay in [
        &["replay", "latest", "--verify"][..],
        &["replay", "latest", "--variable", &given],
    ] {
        with_secret(replay).assert_code(0);
    }
    let replay = project.json(&["show", &project.run_ids()[0]]);
    assert!(replay.to_string().contains("db_password"), "{replay}");
    assert_eq!(find_secrets(&project), Vec::<String>::new());
}

#[test]
fn what_a_command_logs_under_the_name_of_a_secret_has_no_value() {
    let project = training_project(false);
    let reproof = project.program();
    let reproof = reproof.get_program().to_string_lossy();
    let log = |what: &str| format!("{reproof} log {what} api_key hunter2-of-an-argument");
    let script = format!(
        "{} && {} && {reproof} log param lr 0.1",
        log("param"),
        log("tag")
    );
    project
        .reproof(&["run", "-q", "sh", "-c", &script])
        .assert_code(0);
    let shown = project.json(&["show"]);
    assert_eq!(shown["run"]["params"]["api_key"], "***", "{shown}");
    assert_eq!(shown["run"]["params"]["lr"], "0.1");
    let to_run = ["--run", "latest", "db_password", "hunter2-of-a-variable"];
    project
        .reproof(&[&["log", "param"][..], &to_run].concat())
        .assert_code(0);
    assert_eq!(
        project.json(&["show"])["run"]["params"]["db_password"],
        "***"
    );
    // The script itself, which is an argument and a file of nothing, names it: only what was logged is looked at.
    let database = std::fs::read(project.store().join("reproof.db")).unwrap();
    let is_there = |secret: &str| {
        database
            .windows(secret.len())
            .any(|window| window == secret.as_bytes())
    };
    assert!(!is_there("hunter2-of-a-variable"));
}

#[test]
fn a_secret_file_stays_one_where_it_is_exchanged_with_another() {
    let project = training_project(false);
    project.write(".env", "API_KEY=hunter2-of-dotenv\n");
    project.write("b.txt", "plain");
    let exchange = "import ctypes\nassert ctypes.CDLL(None).renameat2(-100, b'.env', -100, b'b.txt', 2) == 0\n";
    project.write("exchange.py", exchange);
    project
        .reproof(&["run", "-q", "python3", "exchange.py"])
        .assert_code(0);
    assert_eq!(find_secrets(&project), Vec::<String>::new());
    let page = project.reproof(&["show", "--full"]).out();
    assert!(page.contains("b.txt") && page.contains(".env"), "{page}");
}

/// Where a secret stands in the store, compressed or not.
fn find_secrets(project: &Project) -> Vec<String> {
    let mut found = Vec::new();
    let mut frames = 0;
    for file in files_below(&project.store()) {
        let bytes = std::fs::read(&file).expect("a file of the store");
        let mut contents = unpacked(&bytes);
        frames += contents.len();
        contents.push(bytes);
        for secret in SECRETS {
            let is_there = contents.iter().any(|content| {
                content
                    .windows(secret.len())
                    .any(|window| window == secret.as_bytes())
            });
            if is_there {
                found.push(format!("{secret} in {}", file.display()));
            }
        }
    }
    assert!(
        frames > 0,
        "no compressed object was found, so this test looks into none"
    );
    found
}

/// Every zstd frame of a file, decompressed.
fn unpacked(bytes: &[u8]) -> Vec<Vec<u8>> {
    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let starts = bytes
        .windows(4)
        .enumerate()
        .filter(|(_, window)| **window == MAGIC)
        .map(|(at, _)| at);
    starts
        .filter_map(|at| {
            let mut frame = zstd::stream::read::Decoder::new(&bytes[at..])
                .ok()?
                .single_frame();
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut frame, &mut content).ok()?;
            Some(content)
        })
        .collect()
}

#[test]
fn the_search_for_secrets_finds_one_that_is_there() {
    let project = training_project(true);
    project.write(
        "data.csv",
        format!("{}\n", "hunter2-of-dotenv ".repeat(100)),
    );
    project
        .reproof(&["run", "-q", "cat", "data.csv"])
        .assert_code(0);
    assert!(
        !find_secrets(&project).is_empty(),
        "the other test would pass whatever is stored"
    );
}

#[test]
fn forgetting_a_path_removes_all_its_versions_and_the_patch_that_shows_it() {
    let project = training_project(true);
    let secret = |word: &str| format!("{}\n", format!("hunter2-of-dotenv {word} ").repeat(100));
    project.write("notes.txt", "nothing\n");
    project.git(&["add", "-A"]);
    project.git(&["commit", "-q", "-m", "notes"]);
    project.write("notes.txt", secret("before"));
    let script = format!(
        "sed s/^/said:/ notes.txt; printf '%s' '{}' > notes.txt",
        "after ".repeat(300)
    );
    project
        .reproof(&["run", "-q", "sh", "-c", &script])
        .assert_code(0);
    assert!(!find_secrets(&project).is_empty());
    let asked = project.reproof(&["forget", "latest:notes.txt", "--reason", "r"]);
    asked.assert_code(2).assert_err_has("would forget b3:");
    let forgotten = project.reproof(&["forget", "latest:notes.txt", "--reason", "r", "--yes"]);
    forgotten.assert_code(0);
    for words in ["(code", "(output", "(git's difference"] {
        assert!(forgotten.out().contains(words), "{}", forgotten.out());
    }
    project
        .reproof(&["forget", "latest:@stdout", "--reason", "r", "--yes"])
        .assert_code(0);
    assert_eq!(find_secrets(&project), Vec::<String>::new());
    project.assert_sound();
    project.reproof(&["show", "--full"]).assert_code(0);
    project
        .reproof(&["restore", "latest", "back"])
        .assert_code(0);
    assert!(!project.path("back/notes.txt").exists());
    project
        .reproof(&["forget", "b3:12", "--reason", "r", "--yes"])
        .assert_code(2)
        .assert_err_has("no whole digest");
}
