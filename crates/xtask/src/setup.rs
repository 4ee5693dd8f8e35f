//! What the tests need beside the Rust toolchain: Debian packages and a Python environment.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Context;
use crate::error::TaskError;
use crate::postgres::{Durability, PrivatePostgres};
use crate::process::{self, program, works};

/// Python packages of the tests, relative to the checkout.
const REQUIREMENTS: &str = "tests/requirements.txt";
/// Those of an older client, which are laid over that environment.
const OLD_CLIENT: &str = "tests/requirements-old-client.txt";
/// In the environment: the requirements that it was made from.
const STAMP: &str = "requirements.stamp";

/// What was set up.
#[derive(Debug)]
pub(crate) struct Setup {
    /// Interpreter of the tests' virtual environment.
    pub(crate) python: PathBuf,
    /// What to put before all else on that interpreter's path for the client of a year ago.
    pub(crate) old_client: PathBuf,
    /// Tests that will skip, each with what it lacks.
    pub(crate) skipped: Vec<String>,
    /// The server that the tests use; none where it is not installed.
    pub(crate) postgres: Option<PrivatePostgres>,
}

/// Makes everything ready that the tests need, as far as this machine and user allow.
pub(crate) fn prepare(context: &Context) -> Result<Setup, TaskError> {
    let skipped = install_debian_packages();
    let python = make_environment(context)?;
    let old_client = lay_out_old_client(context, &python)?;
    // A server that the caller names is used as it is.
    let is_wanted = !context.names_postgres && PrivatePostgres::find().is_some();
    let postgres = if is_wanted {
        Some(PrivatePostgres::start(Durability::None)?)
    } else {
        None
    };
    Ok(Setup {
        python,
        old_client,
        skipped,
        postgres,
    })
}

/// A Debian package, why the tests want it, and how to see that it is there.
struct DebianPackage {
    name: &'static str,
    is_there: fn() -> bool,
    without_it: &'static str,
}

const DEBIAN_PACKAGES: [DebianPackage; 5] = [
    DebianPackage {
        name: "git",
        is_there: || works(program("git").arg("--version")),
        without_it: "the tests that make git projects fail",
    },
    DebianPackage {
        name: "golang-go",
        is_there: || works(program("go").arg("version")),
        without_it: "the check of the ledger by Go's sumdb is skipped",
    },
    DebianPackage {
        name: "golang-golang-x-mod-dev",
        is_there: || Path::new("/usr/share/gocode/src/golang.org/x/mod/sumdb").is_dir(),
        without_it: "the check of the ledger by Go's sumdb is skipped",
    },
    DebianPackage {
        name: "postgresql",
        is_there: || PrivatePostgres::find().is_some(),
        without_it: "the tests on PostgreSQL are skipped",
    },
    DebianPackage {
        name: "python3-venv",
        is_there: || works(program("python3").args(["-c", "import venv, ensurepip"])),
        without_it: "the Python environment of the tests cannot be made",
    },
];

/// Installs what is missing where this user may; says what stays missing and what that means.
fn install_debian_packages() -> Vec<String> {
    let missing: Vec<_> = DEBIAN_PACKAGES
        .iter()
        .filter(|package| !(package.is_there)())
        .collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let names: Vec<_> = missing.iter().map(|package| package.name).collect();
    println!("Debian packages are missing: {}", names.join(", "));
    let obstacle = if !works(program("apt-get").arg("--version")) {
        Some("this machine has no apt-get")
    } else if !is_root() {
        Some("only root may install them")
    } else if install(&names).is_err() {
        Some("apt-get could not install them")
    } else {
        None
    };
    let Some(obstacle) = obstacle else {
        return Vec::new();
    };
    println!("They stay missing: {obstacle}.");
    println!("To install them: sudo apt-get install {}", names.join(" "));
    missing
        .iter()
        .filter(|package| !(package.is_there)())
        .map(|package| format!("without {}: {}", package.name, package.without_it))
        .collect()
}

fn is_root() -> bool {
    process::output_of(program("id").arg("-u")).is_ok_and(|user| user.trim() == "0")
}

fn install(names: &[&str]) -> Result<(), TaskError> {
    let install = || {
        process::run(
            program("apt-get")
                .args(["install", "-y", "-qq", "--no-install-recommends"])
                .args(names)
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )
    };
    // A fresh machine has no lists, or old ones.
    install().or_else(|_| {
        process::run(program("apt-get").args(["update", "-qq"]))?;
        install()
    })
}

/// An environment of Python that is kept.
struct Environment {
    folder: &'static str,
    /// Its packages, relative to the checkout.
    requirements: &'static str,
    /// What can be imported when all is there.
    imports: &'static str,
}

/// Makes the environment of the tests, unless it is there and made from the same requirements.
fn make_environment(context: &Context) -> Result<PathBuf, TaskError> {
    let environment = Environment {
        folder: "test-venv",
        requirements: REQUIREMENTS,
        imports: "import mlflow, sklearn",
    };
    environment.make(context)
}

/// As `make_environment`, of what is too large to be had with each test.
pub(crate) fn make_framework_environment(context: &Context) -> Result<PathBuf, TaskError> {
    let environment = Environment {
        folder: "framework-venv",
        requirements: "tests/frameworks/requirements.txt",
        imports: "import mlflow, torch, keras, lightning",
    };
    environment.make(context)
}

impl Environment {
    fn make(&self, context: &Context) -> Result<PathBuf, TaskError> {
        let base = find_python()?;
        let path = context.root.join(self.requirements);
        let requirements = fs::read_to_string(&path).map_err(TaskError::file(&path))?;
        let wanted = stamp(&base, &requirements)?;
        let environment = context.cache.join(self.folder);
        let python = environment.join("bin/python");
        let stamp_path = environment.join(STAMP);
        let is_ready = fs::read_to_string(&stamp_path).is_ok_and(|found| found == wanted)
            && works(
                program(&python)
                    .args(["-c", self.imports])
                    .env("KERAS_BACKEND", "torch"),
            );
        if is_ready {
            return Ok(python);
        }
        println!("making a Python environment in {}", environment.display());
        process::run(
            program(&base)
                .args(["-m", "venv", "--clear"])
                .arg(&environment),
        )?;
        process::run(
            program(&python)
                .args([
                    "-m",
                    "pip",
                    "install",
                    "-q",
                    "--disable-pip-version-check",
                    "-r",
                ])
                .arg(&path),
        )?;
        fs::write(&stamp_path, wanted).map_err(TaskError::file(&stamp_path))?;
        Ok(python)
    }
}

/// Lays out the packages of the client of a year ago, unless they are there and of the same requirements.
///
/// Without those that they ask for, which the environment has: a tenth of the time and a twentieth of the room that an
/// environment of their own takes.
fn lay_out_old_client(context: &Context, python: &Path) -> Result<PathBuf, TaskError> {
    let path = context.root.join(OLD_CLIENT);
    let wanted = fs::read_to_string(&path).map_err(TaskError::file(&path))?;
    let folder = context.cache.join("old-client");
    let stamp_path = folder.join(STAMP);
    if fs::read_to_string(&stamp_path).is_ok_and(|found| found == wanted) {
        return Ok(folder);
    }
    println!("laying out an older client in {}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(TaskError::file(&folder))?;
    }
    process::run(
        program(python)
            .args(["-m", "pip", "install", "-q", "--disable-pip-version-check"])
            .args(["--no-deps", "--target"])
            .arg(&folder)
            .arg("-r")
            .arg(&path),
    )?;
    fs::write(&stamp_path, wanted).map_err(TaskError::file(&stamp_path))?;
    Ok(folder)
}

/// The first Python on the path that is new enough for what the tests import.
fn find_python() -> Result<String, TaskError> {
    let names = [
        "python3",
        "python3.14",
        "python3.13",
        "python3.12",
        "python3.11",
        "python3.10",
    ];
    let is_new_enough = |name: &&str| {
        works(program(name).args(["-c", "import sys; sys.exit(sys.version_info < (3, 10))"]))
    };
    names
        .into_iter()
        .find(is_new_enough)
        .map(str::to_owned)
        .ok_or(TaskError::Missing {
            what: "Python 3.10 or newer",
            advice: "install it (Debian: apt-get install python3 python3-venv) and start again",
        })
}

fn stamp(python: &str, requirements: &str) -> Result<String, TaskError> {
    let version =
        process::output_of(program(python).args(["-c", "import sys; print(sys.version)"]))?;
    Ok(format!("{version}{requirements}"))
}
