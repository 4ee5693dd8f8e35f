//! The choice of a method, and of a way to show files at other places.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use super::attempt::{Attempt, Attempted, Way};
use super::launch::LaunchFailure;
use super::message::Stage;
use super::mounts::{MountPlan, check_binds};
use super::nested::{Invitation, VARIABLE};
use super::options::map_to_source;
use super::plan::find_candidates;
use super::signals::Signals;
use super::{
    Bind, BindFault, Method, MethodChoice, Observer, TraceError, TraceOptions, TraceOutcome,
};

/// Runs a command under observation, from its start to the end of its last descendant.
///
/// `on_started` is called with the process id when the command's program runs.
/// Whatever way this ends, a panic of the observer included, no process of the command is left and the terminal is
/// as it was.
///
/// # Errors
///
/// A command that was started has an outcome, however it ended; an error is that it could not be.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the observer is shared with threads; callers hand theirs over"
)]
pub fn trace(
    options: &TraceOptions,
    observer: Arc<dyn Observer>,
    on_started: &mut dyn FnMut(u32),
) -> Result<TraceOutcome, TraceError> {
    let outer = options
        .environment
        .iter()
        .rev()
        .find(|(name, _)| name == VARIABLE);
    let invitation = outer.and_then(|(_, address)| Invitation::find(address.to_str()?));
    let signals = Signals::watch()?;
    let mut mounting = Mounting::new(options);
    let mut ways = list_ways(options.choice, invitation.is_some()).into_iter();
    let mut way = ways.next().unwrap_or(Way::Scan);
    loop {
        let mounts = mounting.plan(options)?;
        let attempt = Attempt {
            options,
            way,
            signals: &signals,
            invitation: invitation.as_ref(),
            mounts,
        };
        let failure = match attempt.run(observer.clone(), on_started)? {
            Attempted::Done(outcome) => return Ok(*outcome),
            Attempted::Failed(failure) => failure,
        };
        match failure.stage {
            Stage::Mounts => {
                tracing::info!(error = %failure.source(), "files cannot be shown at other places");
                mounting = mounting.next(options, &failure)?;
            }
            Stage::Filter => {
                tracing::info!(method = way.method().as_str(), error = %failure.source(), "method refused");
                let unsupported = TraceError::Unsupported {
                    method: way.method(),
                    source: failure.source(),
                };
                way = ways.next().ok_or(unsupported)?;
            }
            Stage::Directory => {
                let path = options.working_directory.clone();
                return Err(TraceError::WorkingDirectory {
                    path,
                    source: failure.source(),
                });
            }
            Stage::Execute => return Err(execution_error(options, &failure)),
            Stage::Other => return Err(TraceError::io("start the command")(failure.source())),
        }
    }
}

/// Ways to try, in this order.
///
/// Under another supervisor the kernel refuses a second listener, and would hand every call to that one before a
/// tracer sees it.
fn list_ways(choice: MethodChoice, is_invited: bool) -> Vec<Way> {
    match (choice, is_invited) {
        (MethodChoice::Auto, true) => vec![Way::Join, Way::Scan],
        (MethodChoice::Auto, false) => vec![Way::Notify, Way::Ptrace, Way::Scan],
        (MethodChoice::Force(Method::Notify), true) => vec![Way::Join],
        (MethodChoice::Force(Method::Notify), false) => vec![Way::Notify],
        (MethodChoice::Force(Method::Ptrace), _) => vec![Way::Ptrace],
        (MethodChoice::Force(Method::Scan), _) => vec![Way::Scan],
    }
}

/// How files are shown at other places, from the least to the last resort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mounting {
    /// There is nothing to show.
    Unneeded,
    /// With the rights that this process has.
    Own,
    /// In a user namespace, where any user may mount.
    User,
}

impl Mounting {
    fn new(options: &TraceOptions) -> Self {
        if options.binds.is_empty() {
            Self::Unneeded
        } else {
            Self::Own
        }
    }

    /// What to try after a failure. Without its binds no command is started: it would change what it should not see.
    fn next(self, options: &TraceOptions, failure: &LaunchFailure) -> Result<Self, TraceError> {
        if self == Self::Own {
            return Ok(Self::User);
        }
        Err(binds_error(options, failure))
    }

    fn plan(self, options: &TraceOptions) -> Result<Option<MountPlan>, TraceError> {
        if self == Self::Unneeded {
            return Ok(None);
        }
        MountPlan::new(&options.binds, self == Self::User).map(Some)
    }
}

/// Tells what could not be shown, and why. The command's process only told that something was not.
fn binds_error(options: &TraceOptions, failure: &LaunchFailure) -> TraceError {
    let target = |bind: &Bind| bind.target.clone();
    let in_general = TraceError::NotShown {
        path: options.binds.first().map(target).unwrap_or_default(),
        source: BindFault::Refused {
            source: failure.source(),
        },
    };
    check_binds(&options.binds).err().unwrap_or(in_general)
}

/// Tells a command that is not there from one that cannot be executed.
fn execution_error(options: &TraceOptions, failure: &LaunchFailure) -> TraceError {
    let command = options.command.first().cloned().unwrap_or_default();
    let is_missing = matches!(failure.error, libc::ENOENT | libc::ENOTDIR);
    // A script whose interpreter is missing fails with the same error as a missing script.
    let is_there = |path: &Path| {
        let seen = options.working_directory.join(path);
        map_to_source(&options.binds, &seen).is_file()
    };
    let candidates = find_candidates(&options.command, &options.environment).unwrap_or_default();
    let exists = candidates
        .iter()
        .any(|file| is_there(Path::new(OsStr::from_bytes(file.path.as_bytes()))));
    if is_missing && !exists {
        return TraceError::NotFound { command };
    }
    TraceError::NotExecutable {
        command,
        source: io::Error::from_raw_os_error(failure.error),
    }
}
