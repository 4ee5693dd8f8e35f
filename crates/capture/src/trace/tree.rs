//! Processes and their descendants, as `/proc` shows them.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd as _;

use rustix::process::{Pid, PidfdFlags};

/// The process that a thread belongs to.
pub(super) fn process_of(tid: u32) -> Option<u32> {
    let status = fs::read(format!("/proc/{tid}/status")).ok()?;
    let line = status
        .split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(b"Tgid:"))?;
    std::str::from_utf8(line).ok()?.trim().parse().ok()
}

/// What `/proc/PID/stat` tells of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Its parent.
    pub(crate) parent: u32,
    /// CPU time of itself and of all children that it has waited for, in ticks.
    pub(crate) cpu_ticks: u64,
    /// Resident memory in pages.
    pub(crate) resident_pages: u64,
}

/// Reads `/proc/PID/stat`.
pub(crate) fn read_stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Fields are counted from behind the name, which may hold blanks and brackets (proc(5)).
fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    let name_end = bytes.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(bytes.get(name_end + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // `fields` begins with field 3, the state.
    let number = |field: usize| fields.get(field - 3)?.parse::<i64>().ok();
    let ticks: i64 = (14..=17).map(number).sum::<Option<i64>>()?;
    Some(Stat {
        parent: u32::try_from(number(4)?).ok()?,
        cpu_ticks: u64::try_from(ticks).ok()?,
        resident_pages: u64::try_from(number(24)?).ok()?,
    })
}

/// Lists a process's descendants, itself left out.
///
/// One that is born or reparented meanwhile may be missing: whoever ends processes asks again until none is left.
pub(crate) fn list_descendants(root: u32) -> BTreeSet<u32> {
    list_by_children(root).unwrap_or_else(|| list_by_parents(root))
}

/// From the kernel's lists of children; none where it keeps no such lists (`CONFIG_PROC_CHILDREN`).
fn list_by_children(root: u32) -> Option<BTreeSet<u32>> {
    if !fs::exists("/proc/thread-self/children").unwrap_or(false) {
        return None;
    }
    let mut found = BTreeSet::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
            continue;
        };
        for task in tasks.flatten() {
            let Ok(children) = fs::read_to_string(task.path().join("children")) else {
                continue;
            };
            for child in children
                .split_ascii_whitespace()
                .filter_map(|child| child.parse().ok())
            {
                if found.insert(child) {
                    open.push(child);
                }
            }
        }
    }
    Some(found)
}

/// From every process's parent.
fn list_by_parents(root: u32) -> BTreeSet<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return BTreeSet::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<(u32, u32)> = pids
        .filter_map(|pid| Some((pid, read_stat(pid)?.parent)))
        .collect();
    let mut found = BTreeSet::new();
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        let children = parents
            .iter()
            .filter(|(_, of)| *of == parent)
            .map(|(pid, _)| *pid);
        for child in children {
            if found.insert(child) {
                open.push(child);
            }
        }
    }
    found
}

/// Whether a process descends from another, or is it.
pub(super) fn descends_from(pid: u32, ancestor: u32) -> bool {
    /// Deeper trees are not followed; also an end should the parents ever form a circle.
    const DEPTH_MAX: usize = 1024;
    let mut at = pid;
    for _ in 0..DEPTH_MAX {
        if at == ancestor {
            return true;
        }
        match read_stat(at) {
            Some(stat) if stat.parent != 0 => at = stat.parent,
            _ => return false,
        }
    }
    false
}

/// Kills every process that has a supervisor's address in its environment; false when there is none.
pub(super) fn kill_marked(address: &str) -> bool {
    let line = format!("{}={address}", super::nested::VARIABLE).into_bytes();
    let Ok(entries) = fs::read_dir("/proc") else {
        return false;
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut has_killed = false;
    for pid in pids {
        let Some(raw) = Pid::from_raw(pid as i32) else {
            continue;
        };
        let Ok(process) = rustix::process::pidfd_open(raw, PidfdFlags::empty()) else {
            continue;
        };
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else {
            continue;
        };
        if environment
            .split(|&byte| byte == 0)
            .any(|variable| variable == line)
        {
            super::sys::signal_process(process.as_fd(), libc::SIGKILL);
            has_killed = true;
        }
    }
    has_killed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let line = b"42 (a) b) R 7 42 42 0 -1 4194304 1 2 3 4 10 20 30 40 20 0 1 0 99 1000 55 18446744073709551615";
        let stat = parse_stat(line).unwrap();
        assert_eq!(
            stat,
            Stat {
                parent: 7,
                cpu_ticks: 100,
                resident_pages: 55
            }
        );
    }

    #[test]
    fn damaged_lines_are_refused() {
        for line in [
            &b""[..],
            b"1",
            b"1 (a)",
            b"1 (a) R",
            b"1 (a) R x 1 1",
            b")",
            b"1 (\xff) R 1",
        ] {
            assert_eq!(parse_stat(line), None);
        }
    }

    #[test]
    fn both_ways_find_the_same_descendants() {
        let own = std::process::id();
        #[expect(
            clippy::disallowed_methods,
            reason = "a test of what lists processes starts one"
        )]
        let mut child = std::process::Command::new("sleep")
            .arg("30")
            .spawn()
            .unwrap();
        let by_children = list_by_children(own);
        let by_parents = list_by_parents(own);
        assert!(by_parents.contains(&child.id()));
        assert!(by_children.is_none_or(|found| found.contains(&child.id())));
        assert!(descends_from(child.id(), own));
        assert!(!descends_from(own, child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_thread_belongs_to_its_process() {
        let tid = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        assert_eq!(process_of(tid), Some(std::process::id()));
    }
}
