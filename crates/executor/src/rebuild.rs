//! Rebuilding a recorded Python environment with uv.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use cas::Cas;
use entities::{Interpreter, PythonEnvironment};

use crate::{ExecutorError, Workbench};

/// Rebuilds an environment below the cache and gives its prefix; one that was rebuilt before is taken as it is.
///
/// The environment is relocatable, because it is made in the cache and shown to the command at the recorded path.
pub(crate) fn rebuild(
    bench: &Workbench,
    interpreter: &Interpreter,
    python: &PythonEnvironment,
) -> Result<PathBuf, ExecutorError> {
    let base = find_base_interpreter(interpreter)?;
    let parent = bench.project.cache_directory.join("environments");
    let prefix = parent.join(format!(
        "{}-{}",
        interpreter.version,
        &python.content_digest.to_string()[..24]
    ));
    std::fs::create_dir_all(&parent).map_err(|error| ExecutorError::io("make", &parent, error))?;
    let mut lock_path = prefix.clone().into_os_string();
    lock_path.push(".lock");
    let _lock = lock(Path::new(&lock_path))?;
    if prefix.join(MARKER).is_file() {
        return Ok(prefix);
    }
    if prefix.exists() {
        // What a killed replay left half made: nobody else is at it, for we have the lock.
        std::fs::remove_dir_all(&prefix)
            .map_err(|error| ExecutorError::io("remove", &prefix, error))?;
    }
    let uv = find_uv(bench, &base)?;
    call(
        &uv,
        &[
            "venv".into(),
            "--relocatable".into(),
            "--python".into(),
            base.into(),
            prefix.clone().into(),
        ],
    )?;
    install(&bench.cas, &uv, &prefix, python)?;
    let marker = prefix.join(MARKER);
    // The marker must not be on the disk before what it says is whole.
    std::fs::File::open(&prefix)
        .and_then(|folder| Ok(rustix::fs::syncfs(folder)?))
        .and_then(|()| std::fs::write(&marker, ""))
        .map_err(|error| ExecutorError::io("write", &marker, error))?;
    Ok(prefix)
}

/// Says that an environment was made to its end.
const MARKER: &str = "reproof-complete";

/// Waits until no other replay makes this environment; released when the file is closed.
fn lock(path: &Path) -> Result<std::fs::File, ExecutorError> {
    std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .and_then(|file| {
            rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
            Ok(file)
        })
        .map_err(|error| ExecutorError::io("lock", path, error))
}

fn install(
    cas: &Cas,
    uv: &Path,
    prefix: &Path,
    python: &PythonEnvironment,
) -> Result<(), ExecutorError> {
    let requirements = requirements(python)?;
    if requirements.is_empty() {
        return Ok(());
    }
    let list = prefix.join("reproof-requirements.txt");
    std::fs::write(&list, requirements.join("\n"))
        .map_err(|error| ExecutorError::io("write", &list, error))?;
    let interpreter = prefix.join("bin/python");
    let arguments: [OsString; 9] = [
        "pip".into(),
        "install".into(),
        // Replays can only read it, and could not keep what they compile.
        "--compile-bytecode".into(),
        "--no-deps".into(),
        "--no-config".into(),
        "--python".into(),
        interpreter.into(),
        "--requirement".into(),
        list.into(),
    ];
    call(uv, &arguments)?;
    let pylock = prefix.join("pylock.toml");
    Ok(cas.checkout_file(&python.pylock, &pylock, false)?)
}

/// One line a distribution: `name==version`, or the URL that it was installed from.
fn requirements(python: &PythonEnvironment) -> Result<Vec<String>, ExecutorError> {
    let mut lines = Vec::with_capacity(python.distributions.len());
    for distribution in &python.distributions {
        let line = match &distribution.direct_url {
            None => format!("{}=={}", distribution.name, distribution.version),
            Some(url) if url.starts_with("file:") => {
                return Err(ExecutorError::Rebuild {
                    message: format!(
                        "`{}` was installed from {url}, not from an index",
                        distribution.name
                    ),
                });
            }
            Some(url) => format!("{} @ {url}", distribution.name),
        };
        lines.push(line);
    }
    Ok(lines)
}

/// Finds the interpreter that the recorded environment stood on, or one of the same version.
fn find_base_interpreter(interpreter: &Interpreter) -> Result<PathBuf, ExecutorError> {
    let recorded = interpreter.binary.to_path();
    if recorded.is_file() {
        return Ok(recorded);
    }
    let by_version = interpreter
        .version
        .rsplit_once('.')
        .map_or("3", |(minor, _)| minor);
    Err(ExecutorError::Rebuild {
        message: format!(
            "the interpreter {} (version {}) is not on this machine; install Python {by_version} at that path",
            recorded.display(),
            interpreter.version
        ),
    })
}

/// Finds uv on the PATH, or installs it once into a folder of its own.
fn find_uv(bench: &Workbench, base: &Path) -> Result<PathBuf, ExecutorError> {
    let path = bench
        .environment
        .iter()
        .find(|(name, _)| name == "PATH")
        .map(|(_, value)| value.clone());
    let on_path = path
        .iter()
        .flat_map(std::env::split_paths)
        .map(|folder| folder.join("uv"))
        .find(|candidate| is_runnable(candidate));
    if let Some(uv) = on_path {
        return Ok(uv);
    }
    let folder = bench.project.cache_directory.join("uv");
    let uv = folder.join("bin/uv");
    if is_runnable(&uv) {
        return Ok(uv);
    }
    call(base, &["-m".into(), "venv".into(), folder.clone().into()])?;
    let install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "uv",
    ];
    call(&folder.join("bin/python"), &install.map(OsString::from))?;
    Ok(uv)
}

/// Tells whether a program really starts: a shim of a version manager may be there and do nothing.
fn is_runnable(uv: &Path) -> bool {
    uv.is_file() && call(uv, &["--version".into()]).is_ok()
}

#[expect(
    clippy::disallowed_methods,
    reason = "starting processes is what this room is for"
)]
fn call(program: &Path, arguments: &[OsString]) -> Result<(), ExecutorError> {
    let failed = |words: String| ExecutorError::Rebuild {
        message: format!("`{}` failed: {words}", program.display()),
    };
    let answer = Command::new(program)
        .args(arguments)
        // pip trusts the certificates of the system, and an index that it reached must be reached again.
        // The variable has had two names.
        .envs([("UV_SYSTEM_CERTS", "true"), ("UV_NATIVE_TLS", "true")])
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if answer.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&answer.stderr);
    let lines: Vec<_> = words.trim_end().lines().collect();
    Err(failed(lines[lines.len().saturating_sub(6)..].join("\n")))
}
