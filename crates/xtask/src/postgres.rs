//! A PostgreSQL server of our own, in a folder that goes with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::TaskError;
use crate::process::{self, program};

/// A server that listens on a socket in its own folder, and ends when this is dropped.
#[derive(Debug)]
pub(crate) struct PrivatePostgres {
    binaries: PathBuf,
    folder: tempfile::TempDir,
}

/// Whether what a server writes survives the machine's end, as a real one's does, or it is only as fast as tests want
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// As installed.
    Real,
    /// Nothing is flushed to the disk.
    None,
}

impl PrivatePostgres {
    /// Where the server's programs are, if it is installed.
    pub(crate) fn find() -> Option<PathBuf> {
        let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
            .collect();
        versions.sort();
        let told = process::output_of(program("pg_config").arg("--bindir")).ok();
        let told = told.map(|path| PathBuf::from(path.trim()));
        let mut places = versions.into_iter().rev().chain(told);
        places.find(|place| place.join("initdb").is_file() && place.join("pg_ctl").is_file())
    }

    /// Makes a new one and starts it.
    pub(crate) fn start(durability: Durability) -> Result<Self, TaskError> {
        let binaries = Self::find().ok_or(TaskError::Missing {
            what: "the PostgreSQL server",
            advice: "install it (Debian: apt-get install postgresql) and start again",
        })?;
        let folder = tempfile::Builder::new()
            .prefix("reproof-postgres-")
            .tempdir()
            .map_err(TaskError::file(Path::new("a temporary folder")))?;
        let server = Self { binaries, folder };
        if is_root() {
            // The server refuses to run as root.
            process::run(program("chown").arg("postgres").arg(server.folder.path()))?;
        }
        process::run(
            server
                .command("initdb")
                .args(["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"])
                .args(["--username=postgres", "--no-instructions", "-D"])
                .arg(server.data()),
        )?;
        let flushing = match durability {
            Durability::Real => "on",
            Durability::None => "off",
        };
        let settings = format!(
            "-c listen_addresses= -c unix_socket_directories={} -c fsync={flushing}",
            server.folder.path().display()
        );
        process::run(
            server
                .command("pg_ctl")
                .args(["start", "--wait", "--silent", "-o", &settings, "-l"])
                .arg(server.folder.path().join("log"))
                .arg("-D")
                .arg(server.data()),
        )?;
        Ok(server)
    }

    /// Makes another database in it; tells where it is, for a client in Python.
    pub(crate) fn make_database(&self, name: &str) -> Result<String, TaskError> {
        process::run(
            self.command("psql")
                .args(["--quiet", "--host"])
                .arg(self.folder.path())
                .args(["--username=postgres", "--command"])
                .arg(format!("CREATE DATABASE {name}")),
        )?;
        Ok(format!(
            "postgresql://postgres@/{name}?host={}",
            self.folder.path().display()
        ))
    }

    /// How much a database takes on the disk, with its indexes.
    pub(crate) fn size_bytes(&self, database: &str) -> Result<u64, TaskError> {
        let mut command = self.command("psql");
        command
            .args(["--quiet", "--no-align", "--tuples-only", "--host"])
            .arg(self.folder.path())
            .args(["--username=postgres", "--command"])
            .arg(format!("SELECT pg_database_size('{database}')"));
        let told = process::output_of(&mut command)?;
        told.trim().parse().map_err(|_| TaskError::Output {
            command: "psql".to_owned(),
            reason: format!("`{}` is no size", told.trim()),
        })
    }

    /// Where it is, for a client.
    pub(crate) fn uri(&self) -> String {
        let folder = self.folder.path().display().to_string();
        format!(
            "postgresql://postgres@{}/postgres",
            folder.replace('/', "%2F")
        )
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// One of the server's programs, as somebody whom it lets run it.
    fn command(&self, name: &str) -> Command {
        let binary = self.binaries.join(name);
        if !is_root() {
            return program(binary);
        }
        let mut command = program("runuser");
        command.args(["-u", "postgres", "--"]).arg(binary);
        // Root's working folder may be one that nobody else may enter.
        command.current_dir("/");
        command
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        let stopped = process::run(
            self.command("pg_ctl")
                .args(["stop", "--mode=immediate", "--silent", "-D"])
                .arg(self.data()),
        );
        if let Err(error) = stopped {
            println!("the private PostgreSQL server could not be stopped: {error}");
        }
    }
}

fn is_root() -> bool {
    process::output_of(program("id").arg("-u")).is_ok_and(|user| user.trim() == "0")
}
