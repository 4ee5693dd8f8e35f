//! Storing and checking out objects, beside `cp` and `b3sum`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::measure::{median, time_s};
use super::{Bench, Section};
use crate::error::TaskError;
use crate::process::{self, cargo, program, works};

/// The same amounts as the example of `cas` takes: one large file, and many small ones.
const LARGE_BYTES: u64 = 1 << 30;
const SMALL_FILES: u64 = 10_000;
const SMALL_BYTES: u64 = 10_000;

/// Times that each is measured, of which the middle one counts.
const ROUNDS: usize = 3;

/// Copying a folder: as whoever must not lose it does, and as everybody does.
const COPIES: [(&str, &str); 2] = [
    (
        "`cp -r` and `sync`",
        "cp -r \"$0\" \"$1\" && sync -f \"$1\"",
    ),
    ("`cp -r`", "cp -r \"$0\" \"$1\""),
];

pub(super) fn measure(bench: &Bench<'_>) -> Result<Section, TaskError> {
    // Below the target directory: a temporary folder may be in memory.
    let target = &bench.context.target;
    let folder = tempfile::tempdir_in(target).map_err(TaskError::file(target))?;
    let ours = folder.path().join("ours");
    fs::create_dir(&ours).map_err(TaskError::file(&ours))?;
    let mut rows = bench.run_example("cas", "cas_bench", &[&ours.to_string_lossy()])?;
    fs::remove_dir_all(&ours).map_err(TaskError::file(&ours))?;

    let mut notes = vec![
        "Storing, checking out, `cp -r` and `b3sum`: the middle of three times. `cp -r` and `b3sum` work on files of the same sizes in the same folder. What Reproof stores is on the disk when it says so, which is `cp` with `sync`; what it checks out need not be, which is `cp` alone.".to_owned(),
    ];
    let has_b3sum = find_b3sum(bench)?;
    if !has_b3sum {
        notes.push("b3sum is not installed; `--install-peers` installs it.".to_owned());
    }
    let sources = make_sources(folder.path())?;
    // What still waits to be written of the sources would count as the copy's time.
    process::run(program("sync").arg("-f").arg(folder.path()))?;
    for (what, source) in sources {
        for (name, script) in COPIES {
            let copy = folder.path().join("copy");
            let mut times_s = Vec::new();
            for _ in 0..ROUNDS {
                let mut copying = program("sh");
                copying.args(["-c", script]).arg(&source).arg(&copy);
                times_s.push(time_s(&mut copying)?);
                fs::remove_dir_all(&copy).map_err(TaskError::file(&copy))?;
                process::run(program("sync").arg("-f").arg(folder.path()))?;
            }
            rows.push(row(format!("{name}, {what}"), median(&times_s)));
        }
        if has_b3sum {
            let mut times_s = Vec::new();
            for _ in 0..ROUNDS {
                let mut hashing = program("sh");
                hashing.args(["-c", "find \"$0\" -type f -print0 | xargs -0 b3sum"]);
                times_s.push(time_s(hashing.arg(&source))?);
            }
            rows.push(row(format!("`b3sum`, {what}"), median(&times_s)));
        }
    }
    Ok(Section {
        title: "Objects",
        command: "cargo xtask bench cas",
        head: vec!["what", "figures"],
        rows,
        notes,
        faults: Vec::new(),
    })
}

fn row(what: String, elapsed_s: f64) -> Vec<String> {
    vec![what, format!("{elapsed_s:.2} s")]
}

fn find_b3sum(bench: &Bench<'_>) -> Result<bool, TaskError> {
    let is_there = || works(program("b3sum").arg("--version").stdin(Stdio::null()));
    if !is_there() && bench.install_peers {
        process::run(cargo().args(["install", "--locked", "b3sum"]))?;
    }
    Ok(is_there())
}

/// Folders of files that no compression makes smaller.
fn make_sources(folder: &Path) -> Result<[(&'static str, PathBuf); 2], TaskError> {
    let (large, small) = (folder.join("large"), folder.join("small"));
    for directory in [&large, &small] {
        fs::create_dir(directory).map_err(TaskError::file(directory))?;
    }
    write_noise(&large.join("0"), LARGE_BYTES)?;
    for number in 0..SMALL_FILES {
        write_noise(&small.join(number.to_string()), SMALL_BYTES)?;
    }
    Ok([
        ("1 GiB in one file", large),
        ("10,000 files of 10 KB", small),
    ])
}

fn write_noise(path: &Path, size_bytes: u64) -> Result<(), TaskError> {
    let copy = || {
        let mut noise = fs::File::open("/dev/urandom")?.take(size_bytes);
        let mut file = fs::File::create(path)?;
        std::io::copy(&mut noise, &mut file)?;
        file.flush()
    };
    copy().map_err(TaskError::file(path))
}
