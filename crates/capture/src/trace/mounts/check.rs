//! Trying binds out, in a child that does nothing else.

use std::path::Path;
use std::sync::OnceLock;

use rustix::io::Errno;

use super::{MountPlan, Refused};
use crate::trace::error::BindFault;
use crate::trace::{Bind, TraceError, keeper};

/// Whether files can be shown at other places here. Tried once, in a process of its own.
pub fn can_bind() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let folder = Path::new("/proc");
        check_binds(&[Bind::new(folder, folder)]).is_ok()
    })
}

/// Makes binds in a process of its own, which ends at once.
///
/// What `Bind::keeps` needs in the sources is there afterwards.
///
/// # Errors
///
/// `TraceError::NotShown` with the place that cannot be shown, and why.
pub fn check_binds(binds: &[Bind]) -> Result<(), TraceError> {
    let Some(first) = binds.first() else {
        return Ok(());
    };
    let mut reason = None;
    for with_user in [false, true] {
        let plan = MountPlan::new(binds, with_user)?;
        let Some(refused) = try_in_child(&plan) else {
            return Ok(());
        };
        // That rights are missing is the last thing to say: mostly it is only why the other way was tried.
        let is_better = reason
            .as_ref()
            .is_none_or(|(_, earlier): &(_, Refused)| earlier.error == Errno::PERM);
        if is_better {
            reason = Some((plan.path_of(refused), refused));
        }
    }
    let (path, error) = reason.map_or((None, Errno::PERM), |(path, refused)| (path, refused.error));
    Err(TraceError::NotShown {
        path: path.unwrap_or_else(|| first.target.clone()),
        source: BindFault::Refused {
            source: error.into(),
        },
    })
}

/// Where a plan is refused; none where it is not.
fn try_in_child(plan: &MountPlan) -> Option<Refused> {
    /// What stands for no namespace in the upper half; steps are counted from 1 above it.
    const NO_STEP: u64 = 1;
    let answer = keeper::answer_of_child(|| match plan.apply() {
        Ok(()) => 0,
        Err(Refused { step, error }) => {
            let step = step.map_or(NO_STEP, |step| step as u64 + NO_STEP + 1);
            step << 32 | u64::from(error.raw_os_error().unsigned_abs())
        }
    });
    let lost = Refused {
        step: None,
        error: Errno::IO,
    };
    match answer {
        Some(0) => None,
        None => Some(lost),
        Some(answer) => Some(Refused {
            step: (answer >> 32)
                .checked_sub(NO_STEP + 1)
                .map(|step| step as usize),
            error: Errno::from_raw_os_error((answer & 0xffff_ffff) as i32),
        }),
    }
}
