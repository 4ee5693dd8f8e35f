//! Opening what lies below an open folder, and nothing else.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

/// Which links may be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// Those that stay below the folder.
    Inside,
    /// None.
    None,
}

/// Whether the system has `openat2`; Linux has it from 5.6 on, but a sandbox may keep it back.
static LACKS_OPENAT2: AtomicBool = AtomicBool::new(false);

/// Opens a path below a folder; the empty path is the folder.
///
/// *Errors*: `XDEV` where it leads out, `LOOP` where a link stands in the way that is not followed.
pub(crate) fn open_beneath(
    folder: BorrowedFd<'_>,
    path: &str,
    flags: OFlags,
    links: Links,
) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC;
    let path = if path.is_empty() { "." } else { path };
    if !LACKS_OPENAT2.load(Ordering::Relaxed) {
        let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        if links == Links::None {
            resolve |= ResolveFlags::NO_SYMLINKS;
        }
        match openat2(folder, path, flags, Mode::empty(), resolve) {
            Err(Errno::NOSYS | Errno::PERM) => LACKS_OPENAT2.store(true, Ordering::Relaxed),
            // A folder was moved while it was looked at; the kernel asks for another try.
            Err(Errno::AGAIN) => return open_step_by_step(folder, path, flags),
            opened => return opened,
        }
    }
    open_step_by_step(folder, path, flags)
}

/// The same without help of the system: every component by itself, and no link is followed.
fn open_step_by_step(folder: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
    let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut inner: Option<OwnedFd> = None;
    for component in above.split('/').filter(|component| !component.is_empty()) {
        if component == ".." {
            return Err(Errno::XDEV);
        }
        let outer = inner.as_ref().map_or(folder, |inner| inner.as_fd());
        let opened = openat(outer, component, step, Mode::empty());
        // A link where a folder must be is told as either.
        inner = Some(opened.map_err(|error| match error {
            Errno::NOTDIR if is_link(outer, component) => Errno::LOOP,
            error => error,
        })?);
    }
    if name == ".." {
        return Err(Errno::XDEV);
    }
    let outer = inner.as_ref().map_or(folder, |inner| inner.as_fd());
    let opened = openat(outer, name, flags | OFlags::NOFOLLOW, Mode::empty());
    opened.map_err(|error| match error {
        Errno::NOTDIR if is_link(outer, name) => Errno::LOOP,
        error => error,
    })
}

fn is_link(folder: BorrowedFd<'_>, name: &str) -> bool {
    let found = rustix::fs::statat(folder, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
    found.is_ok_and(|found| rustix::fs::FileType::from_raw_mode(found.st_mode).is_symlink())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn without_help_of_the_system_no_link_is_followed_and_nothing_leads_out() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/file"), "x").unwrap();
        fs::write(folder.path().join("secret"), "x").unwrap();
        symlink("b", root.join("a/inside")).unwrap();
        symlink("../../..", root.join("a/out")).unwrap();
        symlink("../../secret", root.join("a/secret")).unwrap();
        let opened = fs::File::open(&root).unwrap();
        let open = |path: &str| open_step_by_step(opened.as_fd(), path, OFlags::RDONLY);
        for path in ["a/b/file", "a/b", ".", "a"] {
            assert!(open(path).is_ok(), "{path}");
        }
        for (path, error) in [
            ("a/inside/file", Errno::LOOP),
            ("a/out/secret", Errno::LOOP),
            ("a/secret", Errno::LOOP),
            ("../secret", Errno::XDEV),
            ("a/../../secret", Errno::XDEV),
            ("a/..", Errno::XDEV),
            ("none", Errno::NOENT),
            ("a/b/file/x", Errno::NOTDIR),
        ] {
            assert_eq!(open(path).unwrap_err(), error, "{path}");
        }
    }
}
