//! The real clock, the real generator and the environment: the one place that asks the machine for them.

use std::future::Future;
use std::path::PathBuf;

use entities::{Clock, Random, Timestamp};

use crate::error::CommandError;

/// The system's clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everybody else is given"
    )]
    fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }
}

/// The system's random generator.
pub(crate) struct SystemRandom;

impl Random for SystemRandom {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the generator that everybody else is given"
    )]
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer)
            .expect("Linux has getrandom since 3.17, and it does not fail once seeded");
    }
}

/// Reads an environment variable that is UTF-8 and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where the environment is read"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Reads an environment variable that is UTF-8, also an empty one.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where the environment is read"
)]
pub(crate) fn raw_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Who is at the keyboard.
pub(crate) fn user_name() -> String {
    variable("USER")
        .or_else(|| variable("LOGNAME"))
        .unwrap_or_else(|| {
            let id = rustix::process::getuid().as_raw();
            let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
            find_user(&users, id).map_or_else(|| format!("uid-{id}"), str::to_owned)
        })
}

/// The name of a user in the lines of `/etc/passwd`.
fn find_user(users: &str, id: u32) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then_some(name)
    })
}

/// The folder for this user's settings and keys.
pub(crate) fn configuration_directory() -> Option<PathBuf> {
    if let Some(directory) = variable("REPROOF_CONFIG_DIR") {
        return Some(PathBuf::from(directory));
    }
    let base = variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".config")))?;
    Some(base.join("reproof"))
}

/// Does work while what is written to standard output goes to standard error; afterwards it is as before.
pub(crate) async fn with_stdout_on_stderr<T>(
    work: impl Future<Output = T>,
) -> Result<T, CommandError> {
    let failed = |error: rustix::io::Errno| {
        CommandError::system("E0018", format!("cannot move standard output: {error}"))
    };
    let kept = rustix::io::fcntl_dupfd_cloexec(std::io::stdout(), 3).map_err(failed)?;
    rustix::stdio::dup2_stdout(std::io::stderr()).map_err(failed)?;
    let answer = work.await;
    rustix::stdio::dup2_stdout(kept).map_err(failed)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_number() {
        let users = "root:x:0:0:root:/home:/bin/sh\nbroken\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(find_user(users, 1000), Some("ann"));
        assert_eq!(find_user(users, 0), Some("root"));
        assert_eq!(find_user(users, 5), None);
    }
}
