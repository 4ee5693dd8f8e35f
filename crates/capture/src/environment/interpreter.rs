//! Asking an interpreter what it is.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use entities::{Interpreter, ObjectId, RecordedPath};
use serde::{Deserialize, Serialize};

use super::cache::Answers;
use super::{find_variable, lock};
use crate::digests::{DigestCache, Stamp};
use crate::{CaptureError, process};

/// A cold start from a slow disk takes a second or two.
const LIMIT: Duration = Duration::from_secs(30);

/// What an interpreter said of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) interpreter: Interpreter,
    /// Folders that `site` would add, in its order.
    pub(super) site: Vec<RecordedPath>,
    /// The user's own folder of packages, where the environment lets it count.
    pub(super) user_site: Option<RecordedPath>,
    /// Folders of the standard library.
    pub(super) library: Vec<RecordedPath>,
    /// The library that holds the interpreter where the binary does not, and what `stat` said of it.
    shared: Option<(RecordedPath, String)>,
}

/// Prints fields as `KEY\0VALUE\0`, so that any path comes through.
/// What `site` does is done by hand as far as it computes, since `site` itself would run code of the environment.
const SCRIPT: &str = include_str!("interpreter.py");

/// Variables that change where an interpreter finds its own library or that of the user.
const VARIABLES: &[&str] = &[
    "PATH",
    "HOME",
    "PYTHONHOME",
    "PYTHONUSERBASE",
    "LD_LIBRARY_PATH",
];

/// Finds the binary behind a path if it is a Python interpreter by name and a program by content.
pub(super) fn find_binary(executed: &Path) -> Option<PathBuf> {
    let binary = fs::canonicalize(executed).ok()?;
    let is_named = |path: &Path| path.file_name().is_some_and(is_python_name);
    let is_python = (is_named(executed) || is_named(&binary)) && is_elf(&binary);
    is_python.then_some(binary)
}

/// `python`, `python3.11`, `python3.13t`, `pypy3`, but not `python3-config`.
fn is_python_name(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    let rest = ["python", "pypy", "graalpy"]
        .iter()
        .find_map(|start| name.strip_prefix(start));
    let rest = rest.map(|rest| rest.strip_suffix("-dbg").unwrap_or(rest));
    rest.is_some_and(|rest| {
        let numbers = rest.trim_end_matches(['d', 'm', 't', 'u']);
        numbers
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    })
}

pub(super) fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    let file = crate::digests::open_regular(path);
    file.and_then(|mut file: File| file.read_exact(&mut magic))
        .is_ok()
        && magic == *b"\x7fELF"
}

/// Asks, or remembers what it said; none where the binary has vanished.
pub(super) fn ask(
    executed: &Path,
    binary: &Path,
    environment: &[(OsString, OsString)],
    digests: &DigestCache,
    answers: &Mutex<Answers>,
) -> Result<Option<Known>, CaptureError> {
    let object = match digests.digest(binary) {
        Ok((object, _)) => object,
        Err(error) => {
            tracing::warn!(path = %binary.display(), %error, "an interpreter cannot be read");
            return Ok(None);
        }
    };
    let key = key(executed, object, environment);
    let known = lock(answers)
        .contents
        .interpreters
        .get(&key)
        .filter(|known| known.is_current())
        .cloned();
    if let Some(known) = known {
        return Ok(Some(known));
    }
    let said = process::run_well(command(executed, environment), LIMIT)?;
    let known =
        read_answer(&said, executed, binary, object).ok_or_else(|| CaptureError::Answer {
            program: executed.to_owned(),
            message: "a field is missing".to_owned(),
        })?;
    lock(answers)
        .change()
        .interpreters
        .insert(key, known.clone());
    Ok(Some(known))
}

impl Known {
    /// Whether the shared library that the answer came from is still the same.
    fn is_current(&self) -> bool {
        self.shared
            .as_ref()
            .is_none_or(|(path, stamp)| stamp_of(&path.to_path()) == *stamp)
    }
}

fn stamp_of(path: &Path) -> String {
    path.metadata()
        .map(|metadata| hex::encode(Stamp::of(&metadata).key()))
        .unwrap_or_default()
}

/// Everything that the answer depends on.
fn key(executed: &Path, object: ObjectId, environment: &[(OsString, OsString)]) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut add = |part: &[u8]| {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    };
    add(SCRIPT.as_bytes());
    add(executed.as_os_str().as_bytes());
    add(object.as_bytes());
    for folder in executed.ancestors().skip(1).take(2) {
        add(&fs::read(folder.join("pyvenv.cfg")).unwrap_or_default());
    }
    for name in VARIABLES {
        add(find_variable(environment, name)
            .map(|value| value.as_bytes())
            .unwrap_or_default());
    }
    hasher.finalize().to_hex().to_string()
}

/// Starts an interpreter such that no code of the environment runs.
pub(super) fn isolated(program: &Path, environment: &[(OsString, OsString)]) -> Command {
    #[expect(
        clippy::disallowed_methods,
        reason = "asking the interpreter is what this room is for"
    )]
    let mut command = Command::new(program);
    let has_home = find_variable(environment, "PYTHONHOME").is_some();
    // Isolated, it would not hear of PYTHONHOME, and may not find its own library without.
    command
        .arg(if has_home { "-s" } else { "-I" })
        .args(["-S", "-B"]);
    command
        .current_dir("/")
        .env_clear()
        .env("LC_ALL", "C.UTF-8")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    for name in VARIABLES {
        if let Some(value) = find_variable(environment, name) {
            command.env(name, value);
        }
    }
    command
}

fn command(executed: &Path, environment: &[(OsString, OsString)]) -> Command {
    let mut command = isolated(executed, environment);
    command.args(["-c", SCRIPT]);
    command
}

fn read_answer(said: &[u8], executed: &Path, binary: &Path, object: ObjectId) -> Option<Known> {
    let parts: Vec<_> = said.split(|&byte| byte == 0).collect();
    let fields: Vec<_> = parts
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .collect();
    let all = |wanted: &[u8]| -> Vec<PathBuf> {
        let values = fields
            .iter()
            .filter(|(key, _)| *key == wanted)
            .map(|(_, value)| value);
        values
            .map(|value| PathBuf::from(OsString::from_vec(value.to_vec())))
            .collect()
    };
    let one = |wanted: &[u8]| all(wanted).into_iter().next();
    let text = |wanted: &[u8]| one(wanted).map(|value| value.to_string_lossy().into_owned());
    let recorded = |paths: Vec<PathBuf>| paths.into_iter().map(RecordedPath::new).collect();
    let said_version = text(b"version")?;
    let (version, build) = said_version
        .split_once(char::is_whitespace)
        .unwrap_or((&said_version, ""));
    Some(Known {
        interpreter: Interpreter {
            implementation: implementation_name(&text(b"implementation")?),
            version: version.to_owned(),
            build: build.split_whitespace().collect::<Vec<_>>().join(" "),
            path: RecordedPath::new(executed),
            binary: RecordedPath::new(binary),
            object,
            prefix: RecordedPath::new(one(b"prefix")?),
            base_prefix: RecordedPath::new(one(b"base_prefix")?),
        },
        site: recorded(all(b"site")),
        user_site: one(b"user").map(RecordedPath::new),
        library: recorded(all(b"library")),
        shared: one(b"shared").map(|path| {
            let stamp = stamp_of(&path);
            (RecordedPath::new(path), stamp)
        }),
    })
}

fn implementation_name(name: &str) -> String {
    match name {
        "cpython" => "CPython",
        "pypy" => "PyPy",
        "graalpy" => "GraalPy",
        other => other,
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_interpreters_are_known() {
        for name in [
            "python",
            "python3",
            "python3.11",
            "python3.13t",
            "python3.11d",
            "python3-dbg",
            "pypy3.10",
        ] {
            assert!(is_python_name(OsStr::new(name)), "{name}");
        }
        for name in [
            "python3-config",
            "ipython",
            "pythonista",
            "perl",
            "",
            "python3.py",
        ] {
            assert!(!is_python_name(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn a_script_named_python_is_no_python() {
        let folder = tempfile::tempdir().unwrap();
        let shim = folder.path().join("python");
        fs::write(&shim, "#!/bin/sh\nexec pyenv exec python\n").unwrap();
        assert_eq!(find_binary(&shim), None);
        assert_eq!(find_binary(&folder.path().join("python3")), None);
        assert_eq!(find_binary(Path::new("/bin/sh")), None);
    }

    #[test]
    fn an_answer_is_read_with_any_path_and_a_damaged_one_is_none() {
        let said = b"implementation\0cpython\0version\x003.11.7 (main, Dec 4) \n[GCC 12]\0prefix\0/v \xff\0base_prefix\0/usr\0site\0/v/s\0site\0/v/t\0";
        let object = ObjectId::of(b"");
        let known = read_answer(
            said,
            Path::new("/v/bin/python"),
            Path::new("/usr/bin/python3.11"),
            object,
        )
        .unwrap();
        assert_eq!(known.interpreter.version, "3.11.7");
        assert_eq!(known.interpreter.build, "(main, Dec 4) [GCC 12]");
        assert_eq!(known.interpreter.implementation, "CPython");
        assert_eq!(
            known.interpreter.prefix.to_path().as_os_str().as_bytes(),
            b"/v \xff"
        );
        assert_eq!(known.site.len(), 2);
        for said in [&b""[..], b"version", b"version\x003\0", b"\0\0\0"] {
            assert!(read_answer(said, Path::new("/p"), Path::new("/p"), object).is_none());
        }
    }
}
