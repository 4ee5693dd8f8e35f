//! One attempt to run a command with one method, and its life if that works.

use std::ffi::OsString;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Instant;

use entities::Usage;
use rustix::fs::Mode;

use super::failure::Failure;
use super::filter::{Report, filter_program};
use super::findings::{self, Findings};
use super::launch::{LaunchFailure, Launched, launch};
use super::life::{Ended, Life};
use super::message::Stage;
use super::mounts::MountPlan;
use super::nested::{Door, Forwarder, Invitation, Membership, VARIABLE};
use super::notify::Answerers;
use super::observe::Interpreter;
use super::plan::{self, Filter, Plan};
use super::ptrace::{self, Tracer};
use super::scan::Snapshot;
use super::signals::{Signals, signals_to_reset};
use super::stdio::Stdio;
use super::view::{PLACE, View};
use super::{
    Method, Observer, ScanDifference, ScanScope, TraceError, TraceOptions, TraceOutcome, sys,
};
use crate::sampling::Sampler;

/// How calls come to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Through the supervisor of an outer run.
    Join,
    Notify,
    Ptrace,
    Scan,
}

impl Way {
    pub(super) fn method(self) -> Method {
        match self {
            Self::Join | Self::Notify => Method::Notify,
            Self::Ptrace => Method::Ptrace,
            Self::Scan => Method::Scan,
        }
    }

    fn filter(self) -> Option<Filter> {
        let (report, has_listener) = match self {
            Self::Notify => (Report::Notify, true),
            Self::Ptrace => (Report::Trace, false),
            Self::Join | Self::Scan => return None,
        };
        Some(Filter {
            program: filter_program(report),
            has_listener,
        })
    }
}

/// One attempt to run a command.
pub(super) struct Attempt<'a> {
    pub(super) options: &'a TraceOptions,
    pub(super) way: Way,
    pub(super) signals: &'a Signals,
    pub(super) invitation: Option<&'a Invitation>,
    pub(super) mounts: Option<MountPlan>,
}

/// What came of an attempt.
pub(super) enum Attempted {
    Done(Box<TraceOutcome>),
    Failed(LaunchFailure),
}

/// Whatever sees the calls, until no process of the command is left.
enum Watch {
    Join(Membership),
    Notify(Answerers),
    Ptrace(Tracer),
    Scan(Snapshot),
}

/// What those who see the calls have in common.
struct Shared {
    findings: Arc<Findings>,
    failure: Arc<Failure>,
    observer: Arc<dyn Observer>,
}

impl Attempt<'_> {
    pub(super) fn run(
        self,
        observer: Arc<dyn Observer>,
        on_started: &mut dyn FnMut(u32),
    ) -> Result<Attempted, TraceError> {
        if let Some(error) = self.refusal() {
            return Ok(Attempted::Failed(LaunchFailure {
                stage: Stage::Filter,
                error,
            }));
        }
        let failure = Failure::new().map_err(TraceError::io("make a descriptor for events"))?;
        let shared = Shared {
            findings: Arc::default(),
            failure: Arc::new(failure),
            observer,
        };
        let door = self.open_door()?;
        let address = door.as_ref().map(Door::address);
        let stdio = Stdio::open(self.options)?;
        let session = stdio.session.clone();
        let before = Snapshot::take(&self.scan_scope());
        let launched = match launch(|report, control| {
            self.make_plan(&stdio, address.as_deref(), report, control)
        })? {
            Ok(launched) => launched,
            Err(failure) => return Ok(Attempted::Failed(failure)),
        };
        let pumps = stdio.start(&shared.findings)?;
        if let Some(session) = &session {
            session.enter();
        }
        let started_at = Instant::now();
        let watch = match self.watch(&launched, door, before, &shared)? {
            Ok(watch) => watch,
            Err(failure) => return Ok(Attempted::Failed(failure)),
        };
        if let Err(failure) = launched.wait_for_execution()? {
            return Ok(Attempted::Failed(failure));
        }
        let sampler = self.start_sampler(launched.keeper.pid())?;
        on_started(launched.command.pid);
        // Dropped before everything above, should something panic; after it, if not: then our terminal is as it was.
        let Launched {
            mut keeper,
            command,
            ..
        } = launched;
        let life = Life {
            ends_orphans: self.options.ends_orphans,
            keeper: &mut keeper,
            command: &command,
            signals: self.signals,
            failure: &shared.failure,
            findings: &shared.findings,
            pumps: &pumps,
            session: session.as_deref(),
            passed_on: None,
            mark: address,
        };
        let ended = life.follow()?;
        let wall_ms = started_at.elapsed().as_millis() as u64;
        let scan = self.finish_watch(watch);
        drop(pumps);
        drop(keeper);
        let samples = sampler.map(Sampler::stop).unwrap_or_default();
        if let Some(panic) = shared.failure.take() {
            std::panic::resume_unwind(panic);
        }
        let Ended {
            exit,
            user_us,
            system_us,
            peak_kib,
            reaped,
            was_interrupted,
        } = ended;
        self.note_limits(&shared.findings);
        let processes = if scan.is_some() {
            u64::from(reaped)
        } else {
            shared.findings.processes()
        };
        Ok(Attempted::Done(Box::new(TraceOutcome {
            exit,
            usage: Usage {
                wall_ms,
                user_cpu_ms: user_us / 1000,
                system_cpu_ms: system_us / 1000,
                peak_memory_bytes: peak_kib.saturating_mul(1024).into(),
            },
            method: self.way.method(),
            processes,
            gaps: shared.findings.gaps(),
            signs: shared.findings.signs(),
            samples,
            was_interrupted,
            scan,
        })))
    }

    /// Why this way cannot work here, as far as that can be known before.
    fn refusal(&self) -> Option<i32> {
        match self.way {
            // The outer supervisor's filter comes first and would leave nothing to the tracer.
            Way::Ptrace if self.invitation.is_some() => Some(libc::EBUSY),
            Way::Ptrace if !ptrace::is_supported() => Some(libc::ENOSYS),
            Way::Notify if !sys::are_notifications_known() => Some(libc::ENOSYS),
            _ => None,
        }
    }

    /// A place for inner runs to join. Where calls are seen in another way, it tells them that they cannot.
    fn open_door(&self) -> Result<Option<Door>, TraceError> {
        match self.way {
            Way::Notify | Way::Ptrace => Door::open()
                .map(Some)
                .map_err(TraceError::io("make a socket for inner runs")),
            Way::Join | Way::Scan => Ok(None),
        }
    }

    fn scan_scope(&self) -> ScanScope {
        if self.way == Way::Scan {
            self.options.scan.clone()
        } else {
            ScanScope::default()
        }
    }

    fn make_plan(
        &self,
        stdio: &Stdio,
        address: Option<&str>,
        report: RawFd,
        control: RawFd,
    ) -> Result<Plan, TraceError> {
        let command = &self.options.command;
        let environment = self.environment(address);
        let own_terminal = stdio
            .session
            .as_ref()
            .and_then(|session| session.settings());
        Ok(Plan {
            candidates: plan::find_candidates(command, &environment)?,
            arguments: plan::arguments(command)?,
            environment: plan::environment(&environment)?,
            working_directory: plan::to_c(self.options.working_directory.clone().into_os_string())?,
            stdio: stdio.descriptors,
            terminal: stdio.terminal(),
            own_terminal,
            mounts: self.mounts.clone(),
            filter: self.way.filter(),
            signal_mask: sys::no_signals(),
            default_signals: signals_to_reset(),
            report,
            control,
        })
    }

    /// The command's environment, in which inner runs find their supervisor.
    fn environment(&self, address: Option<&str>) -> Vec<(OsString, OsString)> {
        let mut environment = self.options.environment.clone();
        // One that joins is not the supervisor of those further in; they join the same one.
        if self.way != Way::Join {
            environment.retain(|(name, _)| name != VARIABLE);
            environment.extend(address.map(|address| (VARIABLE.into(), address.into())));
        }
        environment
    }

    /// Puts in place whatever sees the calls, and lets the command go.
    fn watch(
        &self,
        launched: &Launched,
        door: Option<Door>,
        before: Snapshot,
        shared: &Shared,
    ) -> Result<Result<Watch, LaunchFailure>, TraceError> {
        let Shared {
            findings,
            failure,
            observer,
        } = shared;
        let keeper = launched.keeper.pid();
        let busy = LaunchFailure {
            stage: Stage::Filter,
            error: libc::EBUSY,
        };
        match self.way {
            Way::Scan => {
                launched.let_go()?;
                Ok(Ok(Watch::Scan(before)))
            }
            Way::Join => {
                let Some(invitation) = self.invitation else {
                    return Ok(Err(busy));
                };
                let joined =
                    invitation.accept(keeper, observer.clone(), findings.clone(), failure.clone());
                let Some(membership) = joined.map_err(TraceError::io("join the outer run"))? else {
                    return Ok(Err(busy));
                };
                launched.let_go()?;
                Ok(Ok(Watch::Join(membership)))
            }
            Way::Notify | Way::Ptrace => {
                let interpreter = Arc::new(self.make_interpreter(launched, shared)?);
                let forwarder = Forwarder::start(door, keeper);
                let forwarder =
                    Arc::new(forwarder.map_err(TraceError::io("start a thread for inner runs"))?);
                if self.way == Way::Ptrace {
                    watch_by_ptrace(launched, &interpreter, forwarder, failure)
                } else {
                    watch_by_listener(launched, interpreter, forwarder, failure)
                }
            }
        }
    }

    fn make_interpreter(
        &self,
        launched: &Launched,
        shared: &Shared,
    ) -> Result<Interpreter, TraceError> {
        let view = self.open_root(launched.command.pid).and_then(View::new);
        let view = view
            .map_err(io::Error::from)
            .map_err(TraceError::io("see files as the command does"))?;
        let Shared {
            findings, observer, ..
        } = shared;
        Ok(Interpreter::new(
            view,
            findings.clone(),
            observer.clone(),
            launched.command.pid,
        ))
    }

    /// The root of the command, where mounts of its own make it another one than ours.
    fn open_root(&self, pid: u32) -> rustix::io::Result<Option<OwnedFd>> {
        if self.mounts.is_none() {
            return Ok(None);
        }
        rustix::fs::open(format!("/proc/{pid}/root"), PLACE, Mode::empty()).map(Some)
    }

    fn start_sampler(&self, keeper: u32) -> Result<Option<Sampler>, TraceError> {
        let TraceOptions {
            sample_interval_ms,
            clock,
            ..
        } = self.options;
        if *sample_interval_ms == 0 {
            return Ok(None);
        }
        Sampler::start(keeper, *sample_interval_ms, clock.clone())
            .map(Some)
            .map_err(TraceError::io("start a thread for samples"))
    }

    fn finish_watch(&self, watch: Watch) -> Option<ScanDifference> {
        match watch {
            Watch::Join(membership) => drop(membership),
            Watch::Notify(answerers) => drop(answerers),
            Watch::Ptrace(tracer) => tracer.finish(),
            Watch::Scan(before) => {
                return Some(before.difference(&Snapshot::take(&self.options.scan)));
            }
        }
        None
    }

    /// Notes what this way misses in general.
    fn note_limits(&self, findings: &Findings) {
        match self.way {
            Way::Join | Way::Notify => findings.gap(findings::ENTRY_ONLY),
            Way::Ptrace => {
                findings.gap(findings::ENTRY_ONLY);
                findings.gap(findings::IO_URING_UNSEEN);
            }
            Way::Scan => findings.gap(findings::READS_NOT_SEEN),
        }
        if self.mounts.as_ref().is_some_and(|plan| plan.rebuilds) {
            findings.gap(findings::VIEW_REBUILT);
        }
    }
}

fn watch_by_listener(
    launched: &Launched,
    interpreter: Arc<Interpreter>,
    forwarder: Arc<Forwarder>,
    failure: &Arc<Failure>,
) -> Result<Result<Watch, LaunchFailure>, TraceError> {
    launched.let_go()?;
    let filtered = match launched.wait_for_filter()? {
        Ok(filtered) => filtered,
        Err(failure) => return Ok(Err(failure)),
    };
    if filtered.has_no_new_privileges {
        interpreter.expect_no_new_privileges();
    }
    let Some(listener) = filtered.listener else {
        return Ok(Err(LaunchFailure {
            stage: Stage::Other,
            error: libc::ESRCH,
        }));
    };
    forwarder.admit(listener.clone());
    let answerers = Answerers::start(listener, interpreter, forwarder, failure.clone());
    Ok(Ok(Watch::Notify(
        answerers.map_err(TraceError::io("start threads that observe"))?,
    )))
}

fn watch_by_ptrace(
    launched: &Launched,
    interpreter: &Arc<Interpreter>,
    forwarder: Arc<Forwarder>,
    failure: &Arc<Failure>,
) -> Result<Result<Watch, LaunchFailure>, TraceError> {
    let tracer = match Tracer::start(
        launched.command.pid,
        interpreter.clone(),
        forwarder,
        failure.clone(),
    ) {
        Ok(tracer) => tracer,
        Err(error) => {
            let error = error.raw_os_error().unwrap_or(libc::EPERM);
            return Ok(Err(LaunchFailure {
                stage: Stage::Filter,
                error,
            }));
        }
    };
    launched.let_go()?;
    match launched.wait_for_filter()? {
        Ok(filtered) => {
            if filtered.has_no_new_privileges {
                interpreter.expect_no_new_privileges();
            }
            Ok(Ok(Watch::Ptrace(tracer)))
        }
        Err(failure) => Ok(Err(failure)),
    }
}
