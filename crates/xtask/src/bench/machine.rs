//! On what the figures were taken.

use std::fs;

use crate::error::TaskError;
use crate::process::{self, program};

/// One sentence: date, processor, memory, kernel, load.
pub(super) fn describe() -> Result<String, TaskError> {
    let date = process::output_of(program("date").args(["-u", "+%Y-%m-%d"]))?;
    let kernel = process::output_of(program("uname").arg("-sr"))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let processor =
        field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown CPU".to_owned());
    let memory_gib = field("/proc/meminfo", "MemTotal")
        .and_then(|text| {
            text.split(' ')
                .next()
                .and_then(|number| number.parse::<u64>().ok())
        })
        .map_or(0, |memory_kib| memory_kib.div_ceil(1024 * 1024));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown").to_owned();
    // What follows the version is of one machine.
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    Ok(format!(
        "Measured {} on {processor}, {cores} cores, {memory_gib} GiB, {kernel}, load average {load} before the start.",
        date.trim(),
    ))
}

/// The value of the first line `name : value` in a file of the kernel.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim().to_owned())
}
