//! What this process was given on its standard input.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use rustix::fs::{FileType, fstat, major, minor};

/// What standard input is.
#[derive(Debug)]
pub enum StandardInput {
    /// Closed, or `/dev/null`: nothing can be read from it.
    Nothing,
    /// A terminal: what is typed is up to somebody.
    Terminal,
    /// A regular file that nobody has read from yet.
    File {
        /// Opened anew: reading it takes nothing away from whoever is given the same standard input.
        file: File,
        /// Its path; none where its name is gone, as that of a shell's here-document.
        path: Option<PathBuf>,
    },
    /// Something that can be read once, and is not read here so that the command can read it.
    Stream {
        /// What it is, such as `a pipe`.
        what: &'static str,
    },
}

/// Tells what standard input is, without reading from it.
pub fn standard_input() -> StandardInput {
    let input = io::stdin();
    let Ok(stat) = fstat(&input) else {
        return StandardInput::Nothing;
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => regular_file(),
        FileType::CharacterDevice if rustix::termios::isatty(&input) => StandardInput::Terminal,
        FileType::CharacterDevice if (major(stat.st_rdev), minor(stat.st_rdev)) == NULL_DEVICE => {
            StandardInput::Nothing
        }
        FileType::CharacterDevice => StandardInput::Stream { what: "a device" },
        FileType::Socket => StandardInput::Stream { what: "a socket" },
        _ => StandardInput::Stream { what: "a pipe" },
    }
}

/// `/dev/null` (Documentation/admin-guide/devices.txt of Linux).
const NULL_DEVICE: (u32, u32) = (1, 3);

const OURS: &str = "/proc/self/fd/0";

fn regular_file() -> StandardInput {
    let is_at_start = rustix::fs::tell(io::stdin()).is_ok_and(|offset| offset == 0);
    let opened = File::open(OURS);
    match opened {
        Ok(file) if is_at_start => StandardInput::File {
            path: path_of(&file),
            file,
        },
        Ok(_) => StandardInput::Stream {
            what: "a file that was read in part before",
        },
        Err(_) => StandardInput::Stream {
            what: "a file that may not be opened",
        },
    }
}

fn path_of(file: &File) -> Option<PathBuf> {
    let is_named = file.metadata().ok()?.nlink() > 0;
    let path = std::fs::read_link(OURS).ok()?;
    (is_named && path.is_absolute() && !path.as_os_str().as_bytes().is_empty()).then_some(path)
}
