//! Reading the memory of a traced process.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::sys;

/// Longest path that the kernel takes, its zero byte included (`PATH_MAX`).
const PATH_BYTES_MAX: usize = 4096;

/// Most paths are shorter; reading on costs a second call.
const FIRST_READ_BYTES: usize = 256;

/// Why memory could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemoryFault {
    /// There is nothing at that address, or no end within the longest path; the call itself will fail too.
    Bad,
    /// The process may not be looked into.
    Denied,
}

/// Reads the path at an address.
pub(super) fn read_path(tid: u32, address: u64) -> Result<Vec<u8>, MemoryFault> {
    let mut path = Vec::with_capacity(FIRST_READ_BYTES);
    let mut buffer = [0; PATH_BYTES_MAX];
    let page = sys::page_size();
    let mut wanted = FIRST_READ_BYTES;
    while path.len() < PATH_BYTES_MAX {
        let from = address
            .checked_add(path.len() as u64)
            .ok_or(MemoryFault::Bad)?;
        // Not beyond the page: what follows may not be there, and a partial read is told only by pages.
        let to_page_end = (page - from % page) as usize;
        let length = wanted.min(to_page_end).min(PATH_BYTES_MAX - path.len());
        let target = buffer.get_mut(..length).ok_or(MemoryFault::Bad)?;
        let read = read_at(tid, from, target)?;
        let bytes = buffer.get(..read).ok_or(MemoryFault::Bad)?;
        match bytes.iter().position(|&byte| byte == 0) {
            Some(end) => {
                path.extend_from_slice(bytes.get(..end).unwrap_or_default());
                return Ok(path);
            }
            None if read == 0 => return Err(MemoryFault::Bad),
            None => path.extend_from_slice(bytes),
        }
        wanted = PATH_BYTES_MAX;
    }
    Err(MemoryFault::Bad)
}

/// Reads exactly so many bytes at an address.
pub(super) fn read_bytes<const N: usize>(tid: u32, address: u64) -> Result<[u8; N], MemoryFault> {
    let mut bytes = [0; N];
    read_fully(tid, address, &mut bytes)?;
    Ok(bytes)
}

/// Fills a buffer from an address.
pub(super) fn read_fully(tid: u32, address: u64, buffer: &mut [u8]) -> Result<(), MemoryFault> {
    if read_at(tid, address, buffer)? == buffer.len() {
        Ok(())
    } else {
        Err(MemoryFault::Bad)
    }
}

fn read_at(tid: u32, address: u64, buffer: &mut [u8]) -> Result<usize, MemoryFault> {
    match sys::read_memory(tid, address, buffer) {
        Ok(read) => Ok(read),
        Err(error) if error.raw_os_error() == Some(libc::EFAULT) => Err(MemoryFault::Bad),
        // Where that call is not built in or a filter of the host forbids it, the file may still work.
        Err(_) => {
            read_from_file(tid, address, buffer).map_err(|error| match error.raw_os_error() {
                Some(libc::EACCES | libc::EPERM) => MemoryFault::Denied,
                _ => MemoryFault::Bad,
            })
        }
    }
}

fn read_from_file(tid: u32, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
    File::open(format!("/proc/{tid}/mem"))?.read_at(buffer, address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_own(text: &[u8]) -> Result<Vec<u8>, MemoryFault> {
        read_path(std::process::id(), text.as_ptr() as u64)
    }

    #[test]
    fn a_path_ends_at_its_zero_byte() {
        assert_eq!(read_own(b"/a/b\0rest").unwrap(), b"/a/b");
        assert_eq!(read_own(b"\0").unwrap(), b"");
        let mut long = vec![b'x'; PATH_BYTES_MAX - 1];
        long.push(0);
        assert_eq!(read_own(&long).unwrap().len(), PATH_BYTES_MAX - 1);
    }

    #[test]
    fn a_path_without_an_end_is_refused() {
        assert_eq!(
            read_own(&vec![b'x'; 3 * PATH_BYTES_MAX]),
            Err(MemoryFault::Bad)
        );
    }

    #[test]
    fn wild_addresses_and_dead_threads_are_refused() {
        for address in [0, 1, 0xdead_beef, u64::MAX, u64::MAX - 4095, 1 << 63] {
            assert!(
                read_path(std::process::id(), address).is_err(),
                "{address:x}"
            );
        }
        assert!(read_path(u32::MAX, 4096).is_err());
        assert!(read_bytes::<16>(std::process::id(), 8).is_err());
    }

    #[test]
    fn the_file_reads_the_same_as_the_call() {
        let text = *b"some bytes";
        let mut buffer = [0; 10];
        let read = read_from_file(std::process::id(), text.as_ptr() as u64, &mut buffer).unwrap();
        assert_eq!((read, buffer), (10, text));
    }
}
