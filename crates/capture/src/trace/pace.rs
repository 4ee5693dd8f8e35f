//! Whether a thread gets its turns on the processor.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// Looked at once in so many steps; a look costs about as much as two microseconds of work.
const STEPS: u32 = 64;

/// How long this thread has worked, and how long it has waited for a processor when it could have worked.
pub(super) struct Pace {
    /// None where the kernel does not tell.
    file: Option<File>,
    steps: u32,
    before: Times,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Times {
    worked_ns: u64,
    waited_ns: u64,
}

impl Pace {
    pub(super) fn of_this_thread() -> Self {
        let mut pace = Self {
            file: File::open("/proc/thread-self/schedstat").ok(),
            steps: 0,
            before: Times::default(),
        };
        pace.before = pace.read().unwrap_or_default();
        pace
    }

    /// Counts a step. Tells whether the thread waited longer than it worked in the last of them.
    pub(super) fn is_crowded(&mut self) -> bool {
        self.steps += 1;
        if self.steps < STEPS {
            return false;
        }
        self.steps = 0;
        let Some(now) = self.read() else { return false };
        let before = std::mem::replace(&mut self.before, now);
        let waited = now.waited_ns.saturating_sub(before.waited_ns);
        waited > now.worked_ns.saturating_sub(before.worked_ns)
    }

    fn read(&self) -> Option<Times> {
        let mut text = [0; 64];
        let length = self.file.as_ref()?.read_at(&mut text, 0).ok()?;
        parse(std::str::from_utf8(text.get(..length)?).ok()?)
    }
}

fn parse(text: &str) -> Option<Times> {
    let mut numbers = text.split_ascii_whitespace();
    let mut next = || numbers.next()?.parse().ok();
    Some(Times {
        worked_ns: next()?,
        waited_ns: next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read_and_what_it_does_not_say_is_no_crowd() {
        let times = Times {
            worked_ns: 12,
            waited_ns: 3,
        };
        assert_eq!(parse("12 3 7\n"), Some(times));
        for text in ["", "12", "a b c", "12 -1 3"] {
            assert_eq!(parse(text), None, "{text}");
        }
        let mut unknown = Pace {
            file: None,
            ..Pace::of_this_thread()
        };
        assert!(!(0..1000).any(|_| unknown.is_crowded()));
    }
}
