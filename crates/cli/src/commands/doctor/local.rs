//! What there is to look at on this machine.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use entities::Leaf;
use store_postgres::ServerSetting;

use super::Check;
use crate::context::{Context, working_directory};
use crate::database::read_address;
use crate::error::CommandError;
use crate::faults::store_fault;
use crate::keys::{key_directory, key_path};
use crate::output::{Output, size};
use crate::project::Project;

/// With less, a run of some size fills the disk.
const FREE_WARNING_BYTES: u64 = 1 << 30;
/// With less, a commit may fail.
const FREE_FAILURE_BYTES: u64 = 64 << 20;

/// A server with a few hundred clients has as many files open, and 64 packs.
const FILES_WARNING: u64 = 1024;

/// How far ahead of the clock the last event may be: those of another server, with another clock.
const CLOCK_WARNING_MS: i64 = 60_000;

/// 2026-01-01: no event is older than the program.
const EARLIEST_MS: i64 = 1_767_225_600_000;

/// The version that is tried; see docs/postgresql.md.
const POSTGRES_VERSION: u32 = 15;

pub(super) async fn check_all(output: &Output) -> Vec<Check> {
    let mut checks = Vec::new();
    let quiet = Output {
        is_quiet: true,
        ..output.clone()
    };
    match find_project() {
        Err(error) => checks.push(Check::of_error("store", &error)),
        Ok(project) => {
            checks.push(check_disk(&project.store_directory()));
            if let Some(check) = check_postgres(&project).await {
                checks.push(check);
            }
            match Context::open_at(project, &quiet).await {
                Err(error) => checks.push(Check::of_error("store", &error)),
                Ok(context) => {
                    checks.push(check_store(&context));
                    checks.push(check_key(&context));
                    checks.extend(check_ledger(&context).await);
                }
            }
        }
    }
    checks.push(check_files());
    checks.push(check_capture());
    checks
}

fn find_project() -> Result<Project, CommandError> {
    Project::get(&working_directory()?)
}

fn check_store(context: &Context) -> Check {
    let project = context.project();
    let found = format!("{} opens", project.store_directory().display());
    if project.is_writable() {
        Check::ok("store", found)
    } else {
        Check::warning(
            "store",
            format!("{found}, and can only be read by this user"),
        )
        .hint("whoever it belongs to lets you write to `.reproof/`")
    }
}

fn check_disk(store: &Path) -> Check {
    let found = match rustix::fs::statvfs(store) {
        Ok(found) => found,
        Err(error) => {
            return Check::failed(
                "disk",
                format!("cannot look at {}: {error}", store.display()),
            );
        }
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let told = format!("{} free at {}", size(free), store.display());
    let hint = "free some space; `reproof gc` removes what no run refers to";
    if free < FREE_FAILURE_BYTES {
        Check::failed("disk", told).hint(hint)
    } else if free < FREE_WARNING_BYTES {
        Check::warning("disk", told).hint(hint)
    } else if found.f_files > 0 && found.f_favail < 1000 {
        Check::warning("disk", format!("{told}, and {} files more", found.f_favail)).hint(hint)
    } else {
        Check::ok("disk", told)
    }
}

/// None where the record is in a file.
async fn check_postgres(project: &Project) -> Option<Check> {
    let address = match read_address(project) {
        Ok(address) => address?,
        Err(error) => return Some(Check::of_error("postgresql", &error)),
    };
    let place = address.place();
    let asked =
        tokio::task::spawn_blocking(move || store_postgres::server_settings(&address)).await;
    let settings = match asked {
        Ok(Ok(settings)) => settings,
        Ok(Err(error)) => return Some(Check::of_error("postgresql", &store_fault(error))),
        Err(error) => return Some(Check::failed("postgresql", error.to_string())),
    };
    Some(judge_postgres(&place, &settings))
}

fn judge_postgres(place: &str, settings: &[ServerSetting]) -> Check {
    let of = |name: &str| {
        let found = settings.iter().find(|setting| setting.name == name);
        found.map_or("", |setting| setting.value.as_str())
    };
    let version = of("server_version");
    let told = format!("{place}, version {version}");
    for name in ["fsync", "full_page_writes"] {
        if of(name) == "off" {
            return Check::warning("postgresql", format!("{told}: `{name}` is off, so that a crash of its machine loses what was acknowledged"))
                .hint(format!("ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf();"));
        }
    }
    let major = version
        .split(|letter: char| !letter.is_ascii_digit())
        .next();
    let major: u32 = major.and_then(|digits| digits.parse().ok()).unwrap_or(0);
    if major < POSTGRES_VERSION {
        return Check::warning(
            "postgresql",
            format!("{told}: {POSTGRES_VERSION} is the version that is tried"),
        );
    }
    Check::ok("postgresql", told)
}

fn check_key(context: &Context) -> Check {
    if !context.has_key() {
        let keys = key_directory().map_or_else(
            |_| "the settings folder, which is missing".to_owned(),
            |keys| keys.display().to_string(),
        );
        return Check::warning(
            "key",
            "the key that signs this ledger is not here: new events stay unsigned",
        )
        .hint(format!(
            "put it into {keys}, from where the store was made or from a backup"
        ));
    }
    match key_path(&context.verifier_key).map(|path| (path.metadata(), path)) {
        Ok((Ok(metadata), path)) if metadata.permissions().mode() & 0o077 != 0 => {
            Check::warning("key", format!("{} can be read by others", path.display()))
                .hint(format!("chmod 600 {}", path.display()))
        }
        _ => Check::ok("key", "the key that signs this ledger is here"),
    }
}

async fn check_ledger(context: &Context) -> Vec<Check> {
    let progress = match context.store.ledger_progress().await {
        Ok(progress) => progress,
        Err(error) => return vec![Check::of_error("ledger", &store_fault(error))],
    };
    let told = format!(
        "{} events, {} of them signed",
        progress.committed, progress.signed
    );
    let ledger = match context.find_departure() {
        Err(error) => Check::of_error("ledger", &error),
        Ok(Some(departure)) => Check::failed("ledger", format!("{told}; {}", departure.error)).hint(
            if departure.is_older() {
                "if that is right, as after a backup was put back: `reproof audit accept --reason WHY`"
            } else {
                "no backup looks like this: `reproof audit verify` says more"
            },
        ),
        Ok(None) if progress.signed < progress.committed && context.has_key() => {
            Check::warning("ledger", told)
                .hint("a command or a server of whoever has the key signs them; `reproof audit verify` does")
        }
        Ok(None) => Check::ok("ledger", told),
    };
    vec![ledger, check_clock(context, progress.sequenced).await]
}

/// Compares the clock with the last event.
async fn check_clock(context: &Context, sequenced: u64) -> Check {
    let now = context.bench.clock.now();
    if now.as_millis() < EARLIEST_MS {
        return Check::failed("clock", format!("it says {now}")).hint("set the clock, best by NTP");
    }
    let last = context
        .store
        .list_events(sequenced.saturating_sub(1), 1)
        .await;
    let last = last.ok().and_then(|events| events.into_iter().next());
    let last = last.and_then(|event| Leaf::decode(&event.leaf).ok());
    match last {
        Some(leaf) if leaf.ts.as_millis() > now.as_millis() + CLOCK_WARNING_MS => Check::warning(
            "clock",
            format!("it says {now}, and the last event was at {}", leaf.ts),
        )
        .hint("set the clocks of all machines that write, best by NTP"),
        _ => Check::ok("clock", format!("it says {now}")),
    }
}

fn check_files() -> Check {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    match limit {
        Some(limit) if limit < FILES_WARNING => {
            Check::warning("files", format!("a process may have {limit} files open"))
                .hint("`ulimit -n 4096` before `reproof server`, or LimitNOFILE= in its unit")
        }
        Some(limit) => Check::ok("files", format!("a process may have {limit} files open")),
        None => Check::ok("files", "a process may have any number of files open"),
    }
}

/// Captures a run that does nothing, in a store that is thrown away, and says how it was observed.
fn check_capture() -> Check {
    match try_capture() {
        Err(why) => Check::failed("capture", format!("a run cannot be captured here: {why}"))
            .hint("`reproof run true` in an empty folder says more"),
        Ok(method) => match method.as_str() {
            "notify" => Check::ok("capture", "runs are observed by seccomp notification, whole and fast"),
            "ptrace" => Check::ok("capture", "runs are observed by ptrace, whole, and more slowly"),
            "join" => Check::ok("capture", "this is a captured run, and runs in it are observed with it"),
            other => Check::warning("capture", format!("runs are observed by `{other}`: what they read is not seen"))
                .hint("a kernel from 5.9 on, and a container that allows seccomp and ptrace, see all of it"),
        },
    }
}

#[expect(clippy::disallowed_methods, reason = "it tries what a user would call")]
fn try_capture() -> Result<String, String> {
    let mut name = [0; 8];
    entities::Random::fill(&crate::system::SystemRandom, &mut name);
    let folder = std::env::temp_dir().join(format!("reproof-doctor-{}", hex::encode(name)));
    std::fs::create_dir(&folder).map_err(|error| error.to_string())?;
    let program = std::env::current_exe().map_err(|error| error.to_string());
    let call = |program: &Path, arguments: &[&str]| {
        let done = Command::new(program)
            .arg("-C")
            .arg(&folder)
            .args(arguments)
            .env("REPROOF_CONFIG_DIR", folder.join("settings"))
            .stdin(std::process::Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        if done.status.success() {
            Ok(done.stdout)
        } else {
            Err(String::from_utf8_lossy(&done.stderr).trim().to_owned())
        }
    };
    let found = program.and_then(|program| {
        call(&program, &["init", "--nested", "-q"])?;
        call(&program, &["run", "-q", "true"])?;
        let shown = call(&program, &["show", "latest", "--json"])?;
        let shown: serde_json::Value =
            serde_json::from_slice(&shown).map_err(|error| error.to_string())?;
        let method = shown
            .pointer("/record/method")
            .and_then(|method| method.as_str());
        method
            .map(str::to_owned)
            .ok_or_else(|| "the run does not say how it was observed".to_owned())
    });
    let _ = std::fs::remove_dir_all(&folder);
    found
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn settings_of_a_server_that_loses_what_it_acknowledged_are_named() {
        let judge = |version: &str, fsync: &str| {
            let of = |name: &'static str, value: &str| ServerSetting {
                name,
                value: value.to_owned(),
            };
            let settings = [of("server_version", version), of("fsync", fsync)];
            judge_postgres("here", &settings)
        };
        assert_eq!(judge("15.8 (Debian 15.8-0)", "on").state, State::Ok);
        assert_eq!(judge("9.6.1", "on").state, State::Warning);
        let check = judge("16.2", "off");
        assert!(
            check.state == State::Warning && check.found.contains("fsync"),
            "{check:?}"
        );
    }
}
