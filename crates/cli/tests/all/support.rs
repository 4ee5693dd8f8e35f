//! What the tests of this room share: a project of its own, and `reproof` called from outside.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A project in a temporary directory, with a settings folder of its own.
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    config: PathBuf,
    program: PathBuf,
    /// What programs of the user are started by; nothing where that is who runs the tests.
    become_user: Vec<OsString>,
    _outer: TempDir,
}

/// What `reproof` answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Project {
    /// An empty folder, without store and without git.
    pub(crate) fn empty() -> Self {
        Self::named(OsStr::new("project"))
    }

    /// An empty folder of this name.
    pub(crate) fn named(name: &OsStr) -> Self {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().canonicalize().unwrap().join(name);
        std::fs::create_dir(&root).unwrap();
        let config = outer.path().join("config");
        Self {
            root,
            config,
            program: env!("CARGO_BIN_EXE_reproof").into(),
            become_user: Vec::new(),
            _outer: outer,
        }
    }

    /// A folder with a store, of a user who is not root; none where the tests run as one, or cannot become one.
    pub(crate) fn of_ordinary_user() -> Option<Self> {
        const BECOME: [&str; 5] = [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--inh-caps=-all",
        ];
        let mut project = Self::empty();
        let outer = project.root.parent().unwrap();
        // Where it is built may be closed to others.
        let copy = outer.join("reproof");
        std::fs::copy(env!("CARGO_BIN_EXE_reproof"), &copy).unwrap();
        let script = format!(
            "test $(id -u) = 0 && chown -R 65534:65534 '{0}' && {1} '{2}' --version",
            outer.display(),
            BECOME.join(" "),
            copy.display()
        );
        let answer = Answer::of(project.command("sh").args(["-c", &script]));
        if answer.code != Some(0) {
            crate::python::say(&format!("skipped: nobody else to become: {}", answer.err()));
            return None;
        }
        project.become_user = BECOME.iter().map(OsString::from).collect();
        project.program = copy;
        project.reproof(&["init"]).assert_code(0);
        Some(project)
    }

    /// A folder with a store.
    pub(crate) fn with_store() -> Self {
        let project = Self::empty();
        project.reproof(&["init"]).assert_code(0);
        project
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The settings folder of its user.
    pub(crate) fn settings(&self) -> &Path {
        &self.config
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.root.join(".reproof")
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A command with nothing in its environment but what a program needs.
    #[expect(
        clippy::disallowed_methods,
        reason = "tests call programs as a user does"
    )]
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .current_dir(&self.root)
            .env_clear()
            .env("PATH", path)
            .env("HOME", &self.config)
            .env("USER", "tester")
            .env("TZ", "UTC")
            .env("REPROOF_CONFIG_DIR", &self.config)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .stdin(Stdio::null());
        command
    }

    /// `reproof`, not yet started.
    pub(crate) fn program(&self) -> Command {
        self.command_of_user(&self.program)
    }

    fn command_of_user(&self, program: impl AsRef<OsStr>) -> Command {
        let Some((first, rest)) = self.become_user.split_first() else {
            return self.command(program);
        };
        let mut command = self.command(first);
        command.args(rest).arg(program.as_ref());
        command
    }

    /// Calls `reproof` and waits.
    pub(crate) fn reproof<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Answer {
        Answer::of(self.program().args(arguments))
    }

    /// Calls `reproof … --json`, which must succeed, and reads its answer.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let answer = self.reproof(&[arguments, &["--json"]].concat());
        answer.assert_code(0);
        serde_json::from_slice(&answer.stdout).unwrap()
    }

    /// Starts `reproof` and leaves it at work, its output thrown away.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.program()
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    pub(crate) fn git(&self, arguments: &[&str]) {
        let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"];
        let answer = Answer::of(self.command_of_user("git").args(identity).args(arguments));
        answer.assert_code(0);
    }

    /// Ids of all runs, the last started first.
    pub(crate) fn run_ids(&self) -> Vec<String> {
        let list = self.json(&["runs", "--all", "--limit", "1000"]);
        let runs = list["runs"].as_array().unwrap();
        runs.iter()
            .map(|run| run["run_id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The ledger and everything under it verifies.
    pub(crate) fn assert_sound(&self) {
        let answer = self.reproof(&["audit", "verify"]);
        answer.assert_code(0);
        assert!(answer.out().starts_with("sound: "), "{}", answer.out());
    }

    /// A text with what differs from time to time replaced by words.
    pub(crate) fn plain(&self, text: &str) -> String {
        let mut text = text.replace(self.root.to_str().unwrap(), "[project]");
        if let Some(at) = text.find("reproof.local/") {
            let end = text[at..]
                .find(['\n', '"', ' '])
                .map_or(text.len(), |length| at + length);
            text.replace_range(at..end, "[key]");
        }
        text
    }
}

impl Answer {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: output.stderr,
        }
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    #[track_caller]
    pub(crate) fn assert_code(&self, code: i32) -> &Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout: {}\nstderr: {}",
            self.out(),
            self.err()
        );
        self
    }

    #[track_caller]
    pub(crate) fn assert_err_has(&self, words: &str) -> &Self {
        assert!(
            self.err().contains(words),
            "`{words}` is not in: {}",
            self.err()
        );
        self
    }
}

/// Every file below a folder.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                waiting.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files
}

/// Copies a folder with all below it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    for file in files_below(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&file, &target).unwrap();
    }
}

/// A training script without any package: reads data, writes a model and metrics, and is told a rate.
pub(crate) const TRAIN: &str = r#"
import json, pathlib, sys

rate = float(sys.argv[sys.argv.index("--lr") + 1])
values = [float(line) for line in open("data.csv")]
pathlib.Path("out").mkdir(exist_ok=True)
weights = [value * rate for value in values]
pathlib.Path("out/model.json").write_text(json.dumps(weights))
pathlib.Path("metrics.json").write_text(json.dumps({"loss": sum(weights) / len(weights), "rows": len(values)}))
print("trained on", len(values), "rows")
print("a warning", file=sys.stderr)
"#;

/// A project with data and a training script, in git where asked.
pub(crate) fn training_project(in_git: bool) -> Project {
    let project = Project::empty();
    project.write("train.py", TRAIN);
    project.write("data.csv", "1\n2\n3.5\n");
    project.write(".gitignore", "out/\nmetrics.json\n");
    if in_git {
        project.git(&["init", "--quiet", "--initial-branch", "main"]);
        project.git(&["add", "--all"]);
        project.git(&["commit", "--quiet", "-m", "first"]);
    }
    project
}
