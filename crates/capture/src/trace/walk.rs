//! Walking a path component by component, for the few that the kernel would resolve for the wrong process.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::view::{Actor, PLACE, is_same_file};

/// Where a walk ended.
#[derive(Debug)]
pub(super) enum Walked {
    /// At something.
    There(OwnedFd),
    /// In a folder that does not hold the last name.
    Missing { folder: OwnedFd, name: Vec<u8> },
    /// Before that.
    Nowhere,
}

/// Links that the kernel follows in one path before it gives up (`MAXSYMLINKS`).
const LINKS_MAX: usize = 40;

/// `PROC_SUPER_MAGIC` of linux/magic.h.
const PROC_MAGIC: u64 = 0x9fa0;

/// Inode of the root of every `/proc` (`PROC_ROOT_INO`).
const PROC_ROOT_INODE: u64 = 1;

/// A link that was followed on the way.
pub(super) struct Followed<'a> {
    /// The folder that holds it.
    pub(super) folder: &'a OwnedFd,
    pub(super) name: &'a [u8],
    /// Whether it was the last name of the path.
    pub(super) is_last: bool,
}

/// Where to begin.
#[derive(Clone, Copy)]
pub(super) struct Start<'a> {
    /// Where absolute paths and links begin.
    pub(super) root: BorrowedFd<'a>,
    /// Where relative ones begin.
    pub(super) folder: BorrowedFd<'a>,
}

/// Walks a path. `/proc/self` means the thread `actor`.
pub(super) fn walk(
    actor: Actor,
    start: Start<'_>,
    path: &[u8],
    follows_last: bool,
    on_link: &mut dyn FnMut(Followed<'_>),
) -> Walked {
    walk_path(actor, start, path, follows_last, on_link).unwrap_or(Walked::Nowhere)
}

fn walk_path(
    actor: Actor,
    Start { root, folder }: Start<'_>,
    path: &[u8],
    follows_last: bool,
    on_link: &mut dyn FnMut(Followed<'_>),
) -> Option<Walked> {
    let follows_last = follows_last || path.ends_with(b"/");
    let mut at = duplicate(if path.starts_with(b"/") { root } else { folder })?;
    let mut rest: VecDeque<Vec<u8>> = components(path).collect();
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        match name.as_slice() {
            b"." => continue,
            b".." => {
                if !is_same_place(&at, root)? {
                    at = open(&at, b"..", PLACE).ok()?;
                }
                continue;
            }
            _ => {}
        }
        let next = match open(&at, &name, PLACE | OFlags::NOFOLLOW) {
            Ok(next) => next,
            Err(Errno::NOENT) if rest.is_empty() => {
                return Some(Walked::Missing { folder: at, name });
            }
            Err(_) => return None,
        };
        let stat = rustix::fs::fstat(&next).ok()?;
        let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
        if !is_link || (rest.is_empty() && !follows_last) {
            at = next;
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return None;
        }
        on_link(Followed {
            folder: &at,
            name: &name,
            is_last: rest.is_empty(),
        });
        match follow(actor, &at, &name, &next)? {
            Lead::To(place) => at = place,
            Lead::Text(target) => {
                if target.starts_with(b"/") {
                    at = duplicate(root)?;
                }
                let further: Vec<_> = components(&target).collect();
                for component in further.into_iter().rev() {
                    rest.push_front(component);
                }
            }
        }
    }
    Some(Walked::There(at))
}

/// Where a link leads.
enum Lead {
    /// Straight to something, as the links of `/proc/PID/fd` do.
    To(OwnedFd),
    /// Where this text leads.
    Text(Vec<u8>),
}

fn follow(actor: Actor, folder: &OwnedFd, name: &[u8], link: &OwnedFd) -> Option<Lead> {
    if is_on_proc(folder) {
        let is_root = rustix::fs::fstat(folder).ok()?.st_ino == PROC_ROOT_INODE;
        match name {
            b"self" if is_root => return Some(Lead::Text(actor.pid.to_string().into_bytes())),
            b"thread-self" if is_root => {
                return Some(Lead::Text(
                    format!("{}/task/{}", actor.pid, actor.tid).into_bytes(),
                ));
            }
            _ => {}
        }
        let resolved = rustix::fs::openat2(
            folder,
            name,
            PLACE,
            Mode::empty(),
            ResolveFlags::NO_MAGICLINKS,
        );
        if matches!(resolved, Err(Errno::LOOP | Errno::NOSYS | Errno::PERM)) {
            return open(folder, name, PLACE).ok().map(Lead::To);
        }
    }
    let text = rustix::fs::readlinkat(link, c"", Vec::with_capacity(256)).ok()?;
    Some(Lead::Text(text.into_bytes()))
}

fn is_on_proc(folder: &OwnedFd) -> bool {
    rustix::fs::fstatfs(folder).is_ok_and(|system| system.f_type as u64 == PROC_MAGIC)
}

fn open(folder: &OwnedFd, name: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(folder, name, flags, Mode::empty())
}

fn duplicate(place: BorrowedFd<'_>) -> Option<OwnedFd> {
    place.try_clone_to_owned().ok()
}

fn is_same_place(at: &OwnedFd, root: BorrowedFd<'_>) -> Option<bool> {
    Some(is_same_file(
        &rustix::fs::fstat(at.as_fd()).ok()?,
        &rustix::fs::fstat(root).ok()?,
    ))
}

fn components(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    path.split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::path::Path;

    use rustix::fs::CWD;

    use super::*;

    fn place(path: &Path) -> OwnedFd {
        rustix::fs::openat(CWD, path, PLACE, Mode::empty()).unwrap()
    }

    fn own() -> Actor {
        Actor {
            tid: std::process::id(),
            pid: std::process::id(),
        }
    }

    fn go(actor: Actor, root: &OwnedFd, path: &[u8], follows_last: bool) -> Walked {
        let start = Start {
            root: root.as_fd(),
            folder: root.as_fd(),
        };
        walk(actor, start, path, follows_last, &mut |_| {})
    }

    /// The inode that a walk ends at.
    fn inode(root: &Path, path: &[u8], follows_last: bool) -> Option<u64> {
        let root = place(root);
        match go(own(), &root, path, follows_last) {
            Walked::There(found) => Some(rustix::fs::fstat(&found).unwrap().st_ino),
            _ => None,
        }
    }

    #[test]
    fn no_path_leads_out_of_its_root() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("jail/sub")).unwrap();
        fs::write(folder.path().join("outside"), "").unwrap();
        fs::write(folder.path().join("jail/inside"), "").unwrap();
        let jail = folder.path().join("jail");
        for (name, target) in [
            ("up", "../../outside"),
            ("root", "/inside"),
            ("sub/deep", "../../../../inside"),
        ] {
            symlink(target, jail.join(name)).unwrap();
        }
        let inside = fs::metadata(jail.join("inside")).unwrap().ino();
        for path in [
            &b"/root"[..],
            b"sub/deep",
            b"../../inside",
            b"sub/../../../inside",
            b"/sub/.././inside",
        ] {
            assert_eq!(
                inode(&jail, path, true),
                Some(inside),
                "{}",
                String::from_utf8_lossy(path)
            );
        }
        for path in [&b"/up"[..], b"../outside", b"sub/../../outside"] {
            assert_eq!(
                inode(&jail, path, true),
                None,
                "{}",
                String::from_utf8_lossy(path)
            );
        }
    }

    #[test]
    fn circles_and_missing_names_end() {
        let folder = tempfile::tempdir().unwrap();
        symlink("b", folder.path().join("a")).unwrap();
        symlink("a", folder.path().join("b")).unwrap();
        symlink("missing", folder.path().join("broken")).unwrap();
        let root = place(folder.path());
        let go = |path: &[u8]| go(own(), &root, path, true);
        assert!(matches!(go(b"a"), Walked::Nowhere));
        assert!(matches!(go(b"broken"), Walked::Missing { name, .. } if name == b"missing"));
        assert!(matches!(go(b"missing/below"), Walked::Nowhere));
        let link = fs::symlink_metadata(folder.path().join("a")).unwrap().ino();
        assert_eq!(inode(folder.path(), b"a", false), Some(link));
    }

    #[test]
    fn proc_self_is_the_other_process() {
        #[expect(
            clippy::disallowed_methods,
            reason = "a test of what looks at processes starts one"
        )]
        let mut child = std::process::Command::new("sleep")
            .arg("30")
            .spawn()
            .unwrap();
        let root = place(Path::new("/"));
        let actor = Actor {
            tid: child.id(),
            pid: child.id(),
        };
        let go = |path: &[u8]| match go(actor, &root, path, true) {
            Walked::There(found) => Some(rustix::fs::fstat(&found).unwrap().st_ino),
            _ => None,
        };
        let expected = |name: &str| {
            fs::metadata(format!("/proc/{}/{name}", child.id()))
                .unwrap()
                .ino()
        };
        assert_eq!(go(b"/proc/self/status"), Some(expected("status")));
        assert_eq!(
            go(b"/proc/thread-self/../../status"),
            Some(expected("status"))
        );
        assert_eq!(go(b"/proc/self/exe"), Some(expected("exe")));
        assert_eq!(go(b"/dev/fd/0"), Some(expected("fd/0")));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
