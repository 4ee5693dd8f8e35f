//! Runs a command under observation and writes down what it did.
//!
//! `observe [--log FILE] [--outcome FILE] [--method auto|notify|ptrace|scan] [--bind SOURCE=TARGET [--keep PATH]…]… [--in DIRECTORY]
//! [--copies DIRECTORY] [--end-orphans] [--sample MS] [--scan DIRECTORY] [--slow NAME=MS] -- COMMAND…`
//!
//! Beside showing how the tracer is used, this is what the tests start where they need a process of their own.
#![expect(clippy::print_stderr, reason = "a program for the command line")]
#![expect(
    clippy::disallowed_methods,
    reason = "a program of its own: it reads its environment and the clock"
)]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use capture::trace::{
    Access, AccessKind, Bind, Method, MethodChoice, Observer, ScanScope, TraceError, TraceOptions,
    trace,
};
use entities::{Clock, Exit, RecordedPath, Timestamp};

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

#[derive(Default)]
struct Log {
    file: Option<Mutex<File>>,
    slow: Option<(OsString, Duration)>,
}

impl Observer for Log {
    fn before(&self, access: Access) {
        let (line, name) = describe(&access.kind);
        if let Some((slow, time)) = &self.slow
            && name.file_name() == Some(slow)
        {
            std::thread::sleep(*time);
        }
        self.write(access.pid, &line);
    }

    fn followed_link(&self, pid: u32, link: &Path) {
        self.write(pid, &format!("link {}", recorded(link)));
    }
}

impl Log {
    fn write(&self, pid: u32, line: &str) {
        if let Some(file) = &self.file
            && let Ok(mut file) = file.lock()
        {
            let _ = file.write_all(format!("{pid} {line}\n").as_bytes());
        }
    }
}

/// A path on one line.
fn recorded(path: &Path) -> String {
    RecordedPath::new(path).as_str().replace('\n', "\\n")
}

fn describe(kind: &AccessKind) -> (String, PathBuf) {
    let one = |word: &str, path: &PathBuf| (format!("{word} {}", recorded(path)), path.clone());
    match kind {
        AccessKind::Read { path } => one("read", path),
        AccessKind::Write {
            path,
            keeps_content,
            reads,
        } => {
            let word = format!(
                "write{}{}",
                if *keeps_content { "+keep" } else { "" },
                if *reads { "+read" } else { "" }
            );
            one(&word, path)
        }
        AccessKind::Remove { path } => one("remove", path),
        AccessKind::Rename { from, to } => (
            format!("rename {} {}", recorded(from), recorded(to)),
            to.clone(),
        ),
        AccessKind::Exchange { from, to } => (
            format!("exchange {} {}", recorded(from), recorded(to)),
            to.clone(),
        ),
        AccessKind::Link { from, to } => (
            format!("link {} {}", recorded(from), recorded(to)),
            to.clone(),
        ),
        AccessKind::Symlink { path } => one("symlink", path),
        AccessKind::Execute { path } => one("execute", path),
        AccessKind::Connect { peer } => (
            format!("connect {} {}", peer.family, peer.address),
            PathBuf::new(),
        ),
    }
}

struct Arguments {
    options: TraceOptions,
    log: Log,
    outcome: Option<PathBuf>,
}

fn parse() -> Option<Arguments> {
    let mut words = std::env::args_os().skip(1);
    let copies = std::env::temp_dir();
    let mut options = TraceOptions {
        stdin: None,
        command: Vec::new(),
        working_directory: std::env::current_dir().ok()?,
        environment: std::env::vars_os().collect(),
        choice: MethodChoice::Auto,
        ends_orphans: false,
        binds: Vec::new(),
        scan: ScanScope::default(),
        stdout: copies.join(format!("observe-{}.out", std::process::id())),
        stderr: copies.join(format!("observe-{}.err", std::process::id())),
        sample_interval_ms: 0,
        clock: Arc::new(SystemClock),
    };
    let mut log = Log::default();
    let mut outcome = None;
    while let Some(word) = words.next() {
        let mut value = || words.next();
        match word.to_str()? {
            "--" => break,
            "--log" => log.file = Some(Mutex::new(File::create(value()?).ok()?)),
            "--outcome" => outcome = Some(PathBuf::from(value()?)),
            "--method" => options.choice = choice(value()?.to_str()?)?,
            "--in" => options.working_directory = PathBuf::from(value()?),
            "--end-orphans" => options.ends_orphans = true,
            "--sample" => options.sample_interval_ms = value()?.to_str()?.parse().ok()?,
            "--scan" => options.scan.roots.push(PathBuf::from(value()?)),
            "--bind" => {
                let (source, target) = split(&value()?)?;
                options.binds.push(Bind::new(source, target));
            }
            "--keep" => {
                options.binds.last_mut()?.keeps.insert(value()?.into());
            }
            "--slow" => {
                let (name, time_ms) = split(&value()?)?;
                log.slow = Some((name, Duration::from_millis(time_ms.to_str()?.parse().ok()?)));
            }
            "--copies" => {
                let folder = PathBuf::from(value()?);
                options.stdout = folder.join("stdout");
                options.stderr = folder.join("stderr");
            }
            _ => return None,
        }
    }
    options.command = words.collect();
    Some(Arguments {
        options,
        log,
        outcome,
    })
}

fn choice(word: &str) -> Option<MethodChoice> {
    let methods = [Method::Notify, Method::Ptrace, Method::Scan];
    let forced = methods
        .into_iter()
        .find(|method| method.as_str() == word)
        .map(MethodChoice::Force);
    forced.or_else(|| (word == "auto").then_some(MethodChoice::Auto))
}

fn split(word: &OsStr) -> Option<(OsString, OsString)> {
    let bytes = word.as_bytes();
    let at = bytes.iter().position(|&byte| byte == b'=')?;
    let part = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
    Some((part(bytes.get(..at)?), part(bytes.get(at + 1..)?)))
}

fn main() -> ExitCode {
    let Some(Arguments {
        options,
        log,
        outcome: report,
    }) = parse()
    else {
        eprintln!("observe: wrong arguments; see the head of its source");
        return ExitCode::from(125);
    };
    let outcome = match trace(&options, Arc::new(log), &mut |_| {}) {
        Ok(outcome) => outcome,
        Err(error) => {
            let cause = std::error::Error::source(&error)
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            eprintln!("observe: {error}{cause}");
            return ExitCode::from(match error {
                TraceError::NotFound { .. } => 127,
                TraceError::NotExecutable { .. } => 126,
                _ => 125,
            });
        }
    };
    if let Some(report) = report {
        let lists =
            |gaps: &[entities::Gap]| gaps.iter().map(|gap| gap.code.clone()).collect::<Vec<_>>();
        let samples = outcome.samples.iter();
        let value = serde_json::json!({
            "exit": outcome.exit,
            "usage": outcome.usage,
            "method": outcome.method.as_str(),
            "processes": outcome.processes,
            "gaps": lists(&outcome.gaps),
            "signs": lists(&outcome.signs),
            "samples": samples.map(|sample| (sample.cpu_percent, sample.memory_bytes)).collect::<Vec<_>>(),
            "was_interrupted": outcome.was_interrupted,
            "changed": outcome.scan.as_ref().map(|scan| scan.created_or_changed.clone()),
            "deleted": outcome.scan.as_ref().map(|scan| scan.deleted.clone()),
        });
        if let Err(error) = std::fs::write(report, value.to_string()) {
            eprintln!("observe: {error}");
            return ExitCode::from(125);
        }
    }
    match outcome.exit {
        Exit::Code(code) => ExitCode::from(code as u8),
        Exit::Signal(signal) => ExitCode::from(128 + signal as u8),
        Exit::Unknown => ExitCode::from(125),
    }
}
