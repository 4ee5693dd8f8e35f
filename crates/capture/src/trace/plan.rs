//! Everything that a command needs to be started, made before the fork.
//!
//! After it, the child of a process with several threads may allocate nothing: another thread may have held the
//! allocator's lock. So what follows the fork only reads this.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::fd::RawFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use libc::sock_filter;

use super::TraceError;
use super::mounts::MountPlan;

/// Everything that a command needs to be started.
#[derive(Debug)]
pub(super) struct Plan {
    /// Files to execute, the first that works: one, or one for each folder of `PATH`.
    pub(super) candidates: Vec<Candidate>,
    pub(super) arguments: Texts,
    pub(super) environment: Texts,
    pub(super) working_directory: CString,
    /// Descriptors to become standard input, output and error.
    pub(super) stdio: [Option<RawFd>; 3],
    /// The terminal to start a session on.
    pub(super) terminal: Option<RawFd>,
    /// The terminal of this process and how it was set before, for the keeper to restore.
    pub(super) own_terminal: Option<(RawFd, libc::termios)>,
    pub(super) mounts: Option<MountPlan>,
    pub(super) filter: Option<Filter>,
    /// Signals that this process blocked before.
    pub(super) signal_mask: libc::sigset_t,
    /// Signals whose handling is set back to the default.
    pub(super) default_signals: Vec<libc::c_int>,
    /// Where the command reports to.
    pub(super) report: RawFd,
    /// Where the keeper takes orders from and reports to.
    pub(super) control: RawFd,
}

/// A file to execute.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) path: CString,
    /// The arguments with which a shell executes it when it has no format that the kernel knows (as `execvp` does).
    pub(super) shell_arguments: Texts,
}

/// A filter to be put on the command.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) program: Vec<sock_filter>,
    pub(super) has_listener: bool,
}

/// Texts as C takes them: an array of pointers with a null at its end.
#[derive(Debug)]
pub(super) struct Texts {
    /// What the pointers point to; never changed.
    #[expect(dead_code, reason = "kept alive for the pointers")]
    owned: Vec<CString>,
    pointers: Vec<usize>,
}

impl Texts {
    fn new(owned: Vec<CString>) -> Self {
        // As numbers, so that the plan may be looked at from any thread; they are only used where `owned` lives.
        let pointers = owned
            .iter()
            .map(|text| text.as_ptr() as usize)
            .chain([0])
            .collect();
        Self { owned, pointers }
    }

    pub(super) fn as_ptr(&self) -> *const *const libc::c_char {
        self.pointers.as_ptr().cast()
    }
}

/// The shell that executes what has no format.
pub(super) const SHELL: &CStr = c"/bin/sh";

/// Where a command is looked for when there is no `PATH`, as the C library does.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The files that a command may mean.
pub(super) fn find_candidates(
    command: &[OsString],
    environment: &[(OsString, OsString)],
) -> Result<Vec<Candidate>, TraceError> {
    let name = command
        .first()
        .filter(|name| !name.is_empty())
        .ok_or(TraceError::NoCommand)?;
    if name.as_bytes().contains(&b'/') {
        return Ok(vec![candidate(name.clone(), command)?]);
    }
    let path = environment.iter().rev().find(|(key, _)| key == "PATH");
    let path = path.map_or(OsStr::new(DEFAULT_PATH), |(_, value)| value.as_os_str());
    let folders = path.as_bytes().split(|&byte| byte == b':');
    folders
        .map(|folder| {
            let mut file = folder.to_vec();
            if !file.is_empty() {
                file.push(b'/');
            }
            file.extend_from_slice(name.as_bytes());
            candidate(OsString::from_vec(file), command)
        })
        .collect()
}

fn candidate(path: OsString, command: &[OsString]) -> Result<Candidate, TraceError> {
    let shell = OsStr::from_bytes(SHELL.to_bytes()).to_owned();
    let arguments = [shell, path.clone()]
        .into_iter()
        .chain(command.iter().skip(1).cloned());
    let shell_arguments = Texts::new(arguments.map(to_c).collect::<Result<_, _>>()?);
    Ok(Candidate {
        path: to_c(path)?,
        shell_arguments,
    })
}

/// The arguments of a command.
pub(super) fn arguments(command: &[OsString]) -> Result<Texts, TraceError> {
    Ok(Texts::new(
        command
            .iter()
            .cloned()
            .map(to_c)
            .collect::<Result<_, _>>()?,
    ))
}

/// The environment of a command as `NAME=VALUE`.
pub(super) fn environment(variables: &[(OsString, OsString)]) -> Result<Texts, TraceError> {
    let lines = variables.iter().map(|(name, value)| {
        let mut line = name.as_bytes().to_vec();
        line.push(b'=');
        line.extend_from_slice(value.as_bytes());
        CString::new(line).map_err(|_| TraceError::ZeroByte { text: name.clone() })
    });
    Ok(Texts::new(lines.collect::<Result<_, _>>()?))
}

/// A text for C.
pub(super) fn to_c(text: OsString) -> Result<CString, TraceError> {
    CString::new(text.as_bytes()).map_err(|_| TraceError::ZeroByte { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn paths(command: &[&str], path: Option<&str>) -> Vec<String> {
        let environment: Vec<_> = path
            .into_iter()
            .map(|path| ("PATH".into(), path.into()))
            .collect();
        let candidates = find_candidates(&words(command), &environment).unwrap();
        candidates
            .iter()
            .map(|candidate| candidate.path.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_name_without_a_slash_is_looked_up() {
        assert_eq!(paths(&["x"], Some("/a:/b")), ["/a/x", "/b/x"]);
        assert_eq!(paths(&["x"], Some("/a::rel")), ["/a/x", "x", "rel/x"]);
        assert_eq!(paths(&["x"], None), ["/bin/x", "/usr/bin/x"]);
        assert_eq!(paths(&["./x"], Some("/a")), ["./x"]);
    }

    #[test]
    fn what_no_process_can_be_given_is_refused() {
        assert!(matches!(
            find_candidates(&[], &[]),
            Err(TraceError::NoCommand)
        ));
        assert!(matches!(
            find_candidates(&words(&[""]), &[]),
            Err(TraceError::NoCommand)
        ));
        assert!(matches!(
            arguments(&words(&["a", "b\0c"])),
            Err(TraceError::ZeroByte { .. })
        ));
        let variables = [(OsString::from("A"), OsString::from("x\0"))];
        assert!(matches!(
            environment(&variables),
            Err(TraceError::ZeroByte { .. })
        ));
    }

    #[test]
    fn texts_end_with_a_null() {
        let texts = arguments(&words(&["a", "b"])).unwrap();
        assert_eq!(texts.pointers.len(), 3);
        assert_eq!(texts.pointers[2], 0);
    }
}
