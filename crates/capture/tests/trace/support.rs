//! What the tests of the tracer share.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use capture::trace::{
    Access, AccessKind, MethodChoice, Observer, ScanScope, TraceError, TraceOptions, TraceOutcome,
    trace,
};
use entities::{Clock, Timestamp};

/// A clock that stands still.
pub(crate) struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1)
    }
}

/// Keeps everything that it is told.
#[derive(Default)]
pub(crate) struct Journal {
    accesses: Mutex<Vec<Access>>,
    links: Mutex<Vec<PathBuf>>,
}

impl Observer for Journal {
    fn before(&self, access: Access) {
        self.accesses.lock().unwrap().push(access);
    }

    fn followed_link(&self, _pid: u32, link: &Path) {
        self.links.lock().unwrap().push(link.to_owned());
    }
}

/// What came of a command, and what it did.
pub(crate) struct Told {
    pub(crate) outcome: TraceOutcome,
    pub(crate) accesses: Vec<Access>,
    pub(crate) links: Vec<PathBuf>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Told {
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &AccessKind> {
        self.accesses.iter().map(|access| &access.kind)
    }

    pub(crate) fn has(&self, kind: &AccessKind) -> bool {
        self.kinds().any(|told| told == kind)
    }

    #[track_caller]
    pub(crate) fn assert_has(&self, kind: &AccessKind) {
        assert!(
            self.has(kind),
            "{kind:?} is not among {:#?}",
            self.below(kind)
        );
    }

    /// What was told of files in the same folder, for messages.
    fn below(&self, kind: &AccessKind) -> Vec<&AccessKind> {
        let folder = |kind: &AccessKind| {
            paths_of(kind)
                .first()
                .and_then(|path| path.parent().map(Path::to_owned))
        };
        self.kinds()
            .filter(|other| folder(other) == folder(kind))
            .collect()
    }

    /// Everything that was told of a path.
    pub(crate) fn of(&self, path: &Path) -> Vec<&AccessKind> {
        self.kinds()
            .filter(|kind| paths_of(kind).contains(&path))
            .collect()
    }

    pub(crate) fn has_gap(&self, code: &str) -> bool {
        self.outcome.gaps.iter().any(|gap| gap.code == code)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

pub(crate) fn paths_of(kind: &AccessKind) -> Vec<&Path> {
    match kind {
        AccessKind::Read { path }
        | AccessKind::Write { path, .. }
        | AccessKind::Remove { path }
        | AccessKind::Symlink { path }
        | AccessKind::Execute { path } => vec![path],
        AccessKind::Rename { from, to }
        | AccessKind::Exchange { from, to }
        | AccessKind::Link { from, to } => vec![from, to],
        AccessKind::Connect { .. } => Vec::new(),
    }
}

pub(crate) fn read(path: impl Into<PathBuf>) -> AccessKind {
    AccessKind::Read { path: path.into() }
}

/// A path as a program is told by it: links of folders followed, the last one not.
pub(crate) fn named(path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    path.parent()
        .unwrap()
        .canonicalize()
        .unwrap()
        .join(path.file_name().unwrap())
}

pub(crate) fn execute(path: impl Into<PathBuf>) -> AccessKind {
    AccessKind::Execute { path: path.into() }
}

/// Written anew.
pub(crate) fn write(path: impl Into<PathBuf>) -> AccessKind {
    AccessKind::Write {
        path: path.into(),
        keeps_content: false,
        reads: false,
    }
}

/// Written with its content kept.
pub(crate) fn append(path: impl Into<PathBuf>) -> AccessKind {
    AccessKind::Write {
        path: path.into(),
        keeps_content: true,
        reads: false,
    }
}

/// A folder of a test's own, its path without links.
pub(crate) struct Room(tempfile::TempDir);

impl Room {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, content: &str) -> PathBuf {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Options for a command that is started in here.
    pub(crate) fn options<S: Into<OsString>>(
        &self,
        command: impl IntoIterator<Item = S>,
    ) -> TraceOptions {
        // Beside the folder, so that a scan of it does not find them.
        let copies = self.path().with_extension("copies");
        std::fs::create_dir_all(&copies).unwrap();
        TraceOptions {
            stdin: None,
            command: command.into_iter().map(Into::into).collect(),
            working_directory: self.path(),
            environment: std::env::vars_os().collect(),
            choice: MethodChoice::Auto,
            ends_orphans: false,
            binds: Vec::new(),
            scan: ScanScope::default(),
            stdout: copies.join("stdout"),
            stderr: copies.join("stderr"),
            sample_interval_ms: 0,
            clock: Arc::new(Still),
        }
    }

    /// Runs a command in here.
    pub(crate) fn run<S: Into<OsString>>(&self, command: impl IntoIterator<Item = S>) -> Told {
        run(&self.options(command)).unwrap()
    }

    /// Runs a script of a shell in here.
    pub(crate) fn sh(&self, script: &str) -> Told {
        self.run(["sh", "-c", script])
    }

    /// Runs a script of Python in here.
    pub(crate) fn python(&self, script: &str) -> Told {
        self.run([
            python().as_os_str(),
            "-I".as_ref(),
            "-c".as_ref(),
            script.as_ref(),
        ])
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0.path().with_extension("copies"));
    }
}

/// Runs a command.
pub(crate) fn run(options: &TraceOptions) -> Result<Told, TraceError> {
    let journal = Arc::new(Journal::default());
    let outcome = trace(options, journal.clone(), &mut |_| {})?;
    let accesses = std::mem::take(&mut *journal.accesses.lock().unwrap());
    let links = std::mem::take(&mut *journal.links.lock().unwrap());
    let stdout = std::fs::read(&options.stdout).unwrap();
    let stderr = std::fs::read(&options.stderr).unwrap();
    Ok(Told {
        outcome,
        accesses,
        links,
        stdout,
        stderr,
    })
}

/// The interpreter itself, behind whatever scripts stand for it.
pub(crate) fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let script = "import os, sys; print(os.path.realpath(sys.executable))";
        let output = Command::new("python3")
            .args(["-c", script])
            .output()
            .unwrap();
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    })
}

/// The example `observe`, for tests that need a supervisor in a process of its own.
pub(crate) fn observe() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let folder = own.ancestors().nth(2).unwrap();
    let path = folder.join("examples/observe");
    assert!(
        path.exists(),
        "`cargo test` and `cargo nextest run` build {}",
        path.display()
    );
    path
}

/// Compiles a small C program; none where there is no compiler.
pub(crate) fn compile(room: &Room, name: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    let file = room.put(&format!("{name}.c"), source);
    let program = room.at(name);
    let output = Command::new("cc")
        .args(flags)
        .arg("-o")
        .arg(&program)
        .arg(&file)
        .output();
    match output {
        Ok(output) if output.status.success() => Some(program),
        Ok(output) => {
            eprintln!(
                "skipped: cc {flags:?} failed: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            None
        }
        Err(error) => {
            eprintln!("skipped: no C compiler: {error}");
            None
        }
    }
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed().as_secs() < 20, "{what} has not come true");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Whether a process is there and has not ended.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z') && !rest.starts_with('X'))
}
