//! Whether more threads want a processor than there are.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

/// Looked at once in so many steps; a look costs a few microseconds.
const STEPS: u32 = 64;

/// What the kernel says of the whole machine, looked at now and then.
pub(super) struct Crowd {
    /// None where the kernel does not tell.
    file: Option<File>,
    processors: u64,
    steps: u32,
    /// Whether the last look saw one.
    was_here: bool,
}

impl Crowd {
    pub(super) fn new() -> Self {
        let statistics = fs::read_to_string("/proc/stat").unwrap_or_default();
        Self {
            file: File::open("/proc/loadavg").ok(),
            processors: count_processors(&statistics),
            steps: 0,
            was_here: false,
        }
    }

    /// Counts a step, and looks once in so many of them. Tells whether two looks one after the other saw that others
    /// keep every processor busy.
    pub(super) fn is_here(&mut self) -> bool {
        self.steps = (self.steps + 1) % STEPS;
        if self.steps != 0 {
            return false;
        }
        let running = self.running();
        self.has_seen(running.unwrap_or_default())
    }

    /// Of those that run, one is this thread and one the command's that has been answered just now.
    fn has_seen(&mut self, running: u64) -> bool {
        let is_here = self.processors > 0 && running > self.processors + 1;
        std::mem::replace(&mut self.was_here, is_here) && is_here
    }

    fn running(&self) -> Option<u64> {
        let mut text = [0; 128];
        let length = self.file.as_ref()?.read_at(&mut text, 0).ok()?;
        parse_running(std::str::from_utf8(text.get(..length)?).ok()?)
    }
}

/// The number before the slash in `0.03 0.96 1.23 2/245 21463`: threads that run or could.
fn parse_running(text: &str) -> Option<u64> {
    let (running, _) = text.split_ascii_whitespace().nth(3)?.split_once('/')?;
    running.parse().ok()
}

/// The lines `cpu0`, `cpu1`, ….
fn count_processors(statistics: &str) -> u64 {
    let lines = statistics.lines();
    let is_processor = |line: &&str| {
        line.strip_prefix("cpu")
            .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    };
    lines.filter(is_processor).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read_and_what_it_does_not_say_is_no_crowd() {
        assert_eq!(parse_running("0.03 0.96 1.23 2/245 21463\n"), Some(2));
        for text in ["", "0.03 0.96 1.23", "a b c d e", "1 2 3 x/9 4"] {
            assert_eq!(parse_running(text), None, "{text}");
        }
        assert_eq!(count_processors("cpu  1 2\ncpu0 1\ncpu1 2\nintr 5\n"), 2);
        let mut unknown = Crowd {
            file: None,
            ..Crowd::new()
        };
        assert!(!(0..1000).any(|_| unknown.is_here()));
    }

    #[test]
    fn as_many_others_as_processors_are_a_crowd_if_they_stay() {
        let mut crowd = Crowd {
            file: None,
            processors: 2,
            steps: 0,
            was_here: false,
        };
        let seen: Vec<_> = [3, 4, 3, 4, 4, 9, 2, 4]
            .map(|running| crowd.has_seen(running))
            .into();
        assert_eq!(seen, [false, false, false, false, true, true, false, false]);
    }
}
