//! A store that may only be read, such as another user's: what reads works, what writes is refused with words.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Answer, Project, files_below, training_project};

/// Nobody's id, as far as tests go.
const STRANGER: &str = "65534";

/// A project as a user sees it who may not write to it.
struct Foreign {
    project: Project,
    program: PathBuf,
    /// A folder that this user may write to.
    own: PathBuf,
}

impl Foreign {
    fn new(project: Project) -> Self {
        let outer = project.root.parent().unwrap().to_owned();
        let program = outer.join("reproof");
        std::fs::copy(env!("CARGO_BIN_EXE_reproof"), &program).unwrap();
        let own = outer.join("own");
        std::fs::create_dir(&own).unwrap();
        for (path, mode) in [(&outer, 0o755), (&program, 0o755), (&own, 0o777)] {
            set_mode(path, mode);
        }
        let foreign = Self {
            project,
            program,
            own,
        };
        foreign.change_all(|mode| mode & !0o222);
        foreign
    }

    /// Changes the permissions of the project with all below it.
    fn change_all(&self, change: impl Fn(u32) -> u32) {
        for path in everything_below(&self.project.root) {
            set_mode(&path, change(path.metadata().unwrap().permissions().mode()));
        }
    }

    /// Calls `reproof` as somebody who may not write; root may always, and so becomes somebody else.
    fn reproof(&self, arguments: &[&str]) -> Answer {
        let is_root = rustix::process::getuid().is_root();
        let mut command = if is_root {
            let mut command = self.project.command("setpriv");
            command.args(["--reuid", STRANGER, "--regid", STRANGER, "--clear-groups"]);
            command.arg(&self.program);
            command
        } else {
            self.project.command(&self.program)
        };
        Answer::of(with_own_settings(&mut command, &self.own).args(arguments))
    }

    /// Calls what must work, with so many warnings and no other change.
    fn read(&self, arguments: &[&str], warnings: usize) -> String {
        let before = self.state();
        let answer = self.reproof(arguments);
        answer.assert_code(0);
        let found = answer.err().matches("reproof: warning").count();
        assert_eq!(found, warnings, "{arguments:?}: {}", answer.err());
        assert_eq!(self.state(), before, "after {arguments:?}");
        answer.out()
    }

    fn state(&self) -> Vec<(PathBuf, u64)> {
        let files = files_below(&self.project.root).into_iter();
        files
            .map(|path| {
                let size_bytes = path.metadata().unwrap().len();
                (path, size_bytes)
            })
            .collect()
    }
}

impl Drop for Foreign {
    /// Who is not root could not remove the folder otherwise.
    fn drop(&mut self) {
        self.change_all(|mode| mode | 0o200);
    }
}

fn with_own_settings<'a>(command: &'a mut Command, own: &Path) -> &'a mut Command {
    command.env("HOME", own).env("REPROOF_CONFIG_DIR", own)
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn everything_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        if path.is_dir() {
            let entries = std::fs::read_dir(path).unwrap();
            found.extend(entries.map(|entry| entry.unwrap().path()));
        }
    }
    found
}

fn project_with_two_runs() -> Project {
    let project = training_project(false);
    for (name, rate) in [("first", "0.1"), ("second", "0.2")] {
        project
            .reproof(&["run", "-q", "-n", name, "python3", "train.py", "--lr", rate])
            .assert_code(0);
    }
    project
}

#[test]
fn a_store_that_may_only_be_read_is_read_and_nothing_is_made_in_it() {
    let foreign = Foreign::new(project_with_two_runs());
    let list = foreign.read(&["runs"], 0);
    assert!(list.contains("first") && list.contains("second"), "{list}");
    assert!(foreign.read(&["show", "first"], 0).contains("first"));
    assert!(
        foreign
            .read(&["logs", "first"], 0)
            .contains("trained on 3 rows")
    );
    assert!(foreign.read(&["diff", "first", "second"], 0).contains("lr"));
    assert!(foreign.read(&["audit", "log"], 0).contains("run.created"));
    let verified = foreign.read(&["audit", "verify"], 1);
    assert!(verified.starts_with("sound: "), "{verified}");
    let copy = foreign.own.join("copy");
    foreign.read(&["restore", "first", copy.to_str().unwrap()], 0);
    assert_eq!(
        std::fs::read(copy.join("data.csv")).unwrap(),
        b"1\n2\n3.5\n"
    );
}

#[test]
fn what_would_write_to_a_store_that_may_only_be_read_is_refused_with_what_to_try() {
    let foreign = Foreign::new(project_with_two_runs());
    let object = format!("b3:{}", "0".repeat(64));
    let commands: [(&[&str], i32); 5] = [
        (&["run", "true"], 125),
        (&["log", "tag", "--run", "first", "a", "b"], 4),
        (&["forget", &object, "--reason", "test", "--yes"], 4),
        (&["gc"], 4),
        (&["replay", "first"], 4),
    ];
    for (arguments, code) in commands {
        let before = foreign.state();
        let answer = foreign.reproof(arguments);
        answer
            .assert_code(code)
            .assert_err_has("error[E0018]: the store ")
            .assert_err_has("can only be read by this user")
            .assert_err_has("try: copy the project");
        assert_eq!(foreign.state(), before, "after {arguments:?}");
    }
}

#[test]
fn what_a_killed_run_wrote_last_is_read_from_the_log_or_said_to_be_out_of_reach() {
    let project = project_with_two_runs();
    let mut child = project.start(&["run", "-n", "killed", "sh", "-c", "touch made; sleep 1000"]);
    for _ in 0..600 {
        if project.path("made").exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let index = project.store().join("reproof.db-shm");
    let log = project.store().join("reproof.db-wal");
    assert!(index.exists() && log.metadata().unwrap().len() > 0);
    let foreign = Foreign::new(project);
    let list = foreign.read(&["runs"], 1);
    assert!(list.contains("killed"), "{list}");
    let verified = foreign.read(&["audit", "verify"], 1);
    assert!(verified.starts_with("sound: "), "{verified}");
    set_mode(&foreign.project.store(), 0o755);
    std::fs::remove_file(&index).unwrap();
    set_mode(&foreign.project.store(), 0o555);
    foreign
        .reproof(&["runs"])
        .assert_code(4)
        .assert_err_has("error[E0018]: what was written to the store last stands in ")
        .assert_err_has("try: ");
}
