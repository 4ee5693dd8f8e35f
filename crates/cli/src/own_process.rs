//! What this process uses of the machine, as the kernel tells it.

use std::fs;

use entities::Timestamp;
use server::ProcessFigures;

/// Parts of a second in which the kernel tells times of processors (`USER_HZ`): 100 on all machines that Rust builds
/// for.
const TICKS_PER_SECOND: f64 = 100.0;

const MICROS_PER_SECOND: f64 = 1e6;

/// Reads what the process uses now; what cannot be read is 0.
pub(crate) fn read_own_figures(started_at: Timestamp) -> ProcessFigures {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The listing itself is one of them.
    let open = fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count().saturating_sub(1));
    ProcessFigures {
        resident_bytes: kibibytes(&status, "VmRSS:") << 10,
        virtual_bytes: kibibytes(&status, "VmSize:") << 10,
        open_descriptors: open as u64,
        cpu_seconds: ticks(&stat) as f64 / TICKS_PER_SECOND,
        started_at_seconds: started_at.as_micros() as f64 / MICROS_PER_SECOND,
    }
}

/// The number of a line such as `VmRSS:     1234 kB`.
fn kibibytes(status: &str, name: &str) -> u64 {
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix(name));
    let number = value.and_then(|value| value.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Time on processors, for itself and in the kernel: fields 14 and 15. The second, a name in parentheses, may hold
/// blanks and parentheses.
fn ticks(stat: &str) -> u64 {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields = after_name.split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_is_read() {
        let status = "Name:\treproof\nVmSize:\t  204800 kB\nVmRSS:\t   10240 kB\nThreads:\t3\n";
        assert_eq!(kibibytes(status, "VmRSS:"), 10_240);
        assert_eq!(kibibytes(status, "VmSize:"), 204_800);
        assert_eq!(kibibytes(status, "VmSwap:"), 0);
        let stat =
            "7 (a) b (c) S 1 7 7 0 -1 4194560 900 0 0 0 31 11 5 6 20 0 3 0 100 209715200 2560";
        assert_eq!(ticks(stat), 42);
        assert_eq!(ticks(""), 0);
    }

    #[test]
    fn this_process_uses_something() {
        let figures = read_own_figures(Timestamp::from_millis(1_500));
        assert!(figures.resident_bytes > 1 << 16);
        assert!(figures.virtual_bytes >= figures.resident_bytes);
        assert!(figures.open_descriptors > 0);
        assert!((figures.started_at_seconds - 1.5).abs() < 1e-9);
    }
}
