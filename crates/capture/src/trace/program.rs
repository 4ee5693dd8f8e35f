//! What the kernel reads of a file that is executed: the interpreter of a script, the loader of a binary.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use rustix::fs::{FileType, Mode, OFlags};

use super::view::Found;

/// What an executed file names in its first bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Companion {
    /// `#!`: executed in its place.
    Interpreter(PathBuf),
    /// `PT_INTERP`: mapped beside it.
    Loader(PathBuf),
}

/// The kernel reads no more of a first line (`BINPRM_BUF_SIZE`).
const HEAD_BYTES: usize = 256;

/// Program headers lie right behind the ELF header in all that compilers make.
const ELF_BYTES: usize = 4096;

/// Reads what an executed file names.
pub(super) fn read_companion(found: &Found) -> Option<Companion> {
    // Opening anything else, such as a FIFO, could wait or have effects.
    if found.file_type() != FileType::RegularFile {
        return None;
    }
    let path = format!("/proc/self/fd/{}", found.place.as_fd().as_raw_fd());
    let opened = rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK,
        Mode::empty(),
    );
    let file = File::from(opened.ok()?);
    let mut buffer = [0; ELF_BYTES];
    let read = file.read_at(&mut buffer, 0).ok()?;
    let head = buffer.get(..read)?;
    parse_script(head.get(..read.min(HEAD_BYTES))?).or_else(|| parse_elf(head, &file))
}

/// The interpreter of a script: the first word behind `#!`.
fn parse_script(head: &[u8]) -> Option<Companion> {
    let line = head.strip_prefix(b"#!")?;
    let line = line.split(|&byte| byte == b'\n').next()?;
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = line.iter().position(|byte| !is_blank(byte))?;
    let word = line
        .get(start..)?
        .split(|byte| is_blank(byte) || *byte == 0)
        .next()?;
    (!word.is_empty()).then(|| Companion::Interpreter(PathBuf::from(OsStr::from_bytes(word))))
}

/// `PT_INTERP` of elf.h.
const PT_INTERP: u32 = 3;

/// The loader of an ELF file of this machine's byte order.
fn parse_elf(head: &[u8], file: &File) -> Option<Companion> {
    let rest = head.strip_prefix(b"\x7fELF")?;
    let is_64 = match rest.first()? {
        2 => true,
        1 => false,
        _ => return None,
    };
    if rest.get(1)? != &1 {
        return None;
    }
    let (offset_at, size_at, count_at) = if is_64 { (32, 54, 56) } else { (28, 42, 44) };
    let headers = if is_64 {
        read_u64(head, offset_at)?
    } else {
        u64::from(read_u32(head, offset_at)?)
    };
    let size = usize::from(read_u16(head, size_at)?);
    let count = usize::from(read_u16(head, count_at)?);
    for index in 0..count {
        let at = usize::try_from(headers)
            .ok()?
            .checked_add(index.checked_mul(size)?)?;
        if read_u32(head, at)? != PT_INTERP {
            continue;
        }
        let (offset, length) = if is_64 {
            (
                read_u64(head, at.checked_add(8)?)?,
                read_u64(head, at.checked_add(32)?)?,
            )
        } else {
            let offset = read_u32(head, at.checked_add(4)?)?;
            (
                u64::from(offset),
                u64::from(read_u32(head, at.checked_add(16)?)?),
            )
        };
        let mut path = vec![
            0;
            usize::try_from(length)
                .ok()
                .filter(|&length| length <= ELF_BYTES)?
        ];
        file.read_exact_at(&mut path, offset).ok()?;
        let path = path.split(|&byte| byte == 0).next()?;
        return (!path.is_empty())
            .then(|| Companion::Loader(PathBuf::from(OsStr::from_bytes(path))));
    }
    None
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn interpreter(head: &[u8]) -> Option<PathBuf> {
        match parse_script(head)? {
            Companion::Interpreter(path) => Some(path),
            Companion::Loader(_) => None,
        }
    }

    #[test]
    fn the_first_word_behind_the_mark_is_the_interpreter() {
        assert_eq!(
            interpreter(b"#!/bin/sh -e\nrest"),
            Some(PathBuf::from("/bin/sh"))
        );
        assert_eq!(
            interpreter(b"#! \t/usr/bin/env python3\n"),
            Some(PathBuf::from("/usr/bin/env"))
        );
        assert_eq!(interpreter(b"#!sh"), Some(PathBuf::from("sh")));
        for head in [
            &b"#!"[..],
            b"#!\n/bin/sh",
            b"#! \n",
            b"",
            b"# !/bin/sh",
            b"\x7fELF",
        ] {
            assert_eq!(interpreter(head), None);
        }
    }

    #[test]
    fn the_loader_of_a_real_binary_is_found() {
        let file = File::open("/bin/sh").unwrap();
        let mut head = [0; ELF_BYTES];
        let read = file.read_at(&mut head, 0).unwrap();
        let Some(Companion::Loader(path)) = parse_elf(&head[..read], &file) else {
            panic!("no loader")
        };
        assert!(path.exists(), "{}", path.display());
    }

    #[test]
    fn damaged_headers_are_refused_without_a_panic() {
        let sound = std::fs::read("/bin/sh").unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&sound[..ELF_BYTES]).unwrap();
        for at in 0..128 {
            for value in [0, 1, 3, 0x7f, 0xff] {
                let mut head = sound[..512].to_vec();
                head[at] = value;
                let _ = parse_elf(&head, &file);
                let _ = parse_elf(&head[..at], &file);
            }
        }
    }
}
