//! From a call of the kernel to what its thread wants.
//!
//! Everything that belongs to the thread is taken here: paths from its memory, its folders.
//! Only when the thread is known to be still the one that asked are the paths resolved (`observe.rs`).

use std::cell::RefCell;
use std::os::unix::ffi::OsStrExt as _;

use super::calls::{Call, find_call};
use super::findings::{self, Notes};
use super::listener::RawCall;
use super::memory::{MemoryFault, read_bytes, read_fully, read_path};
use super::peer::{ADDRESS_BYTES_MAX, PeerAddress, parse_address};
use super::view::{Place, View};

/// What a call asks for.
#[derive(Debug)]
pub(super) enum Intent {
    Open {
        place: Place,
        flags: i32,
    },
    Remove {
        place: Place,
    },
    Rename {
        from: Place,
        to: Place,
        flags: u32,
    },
    Link {
        from: Place,
        to: Place,
        follows: bool,
    },
    Symlink {
        place: Place,
    },
    Truncate {
        place: Place,
    },
    Execute {
        place: Place,
        follows: bool,
    },
    /// The place is that of a socket with a path.
    Connect {
        address: PeerAddress,
        place: Option<Place>,
    },
    /// To be refused, since what would follow could not be seen.
    SetUpIoUring,
    /// Nothing that is told.
    Nothing,
}

/// Reads what a call asks for.
pub(super) fn decode(view: &View, notes: &RefCell<Notes>, call: &RawCall) -> Intent {
    let Some(known) = find_call(call.arch, call.number) else {
        return Intent::Nothing;
    };
    if known.is_foreign {
        notes.borrow_mut().gap(findings::FOREIGN_ABI);
    }
    let decoder = Decoder { view, call };
    match decoder.decode(known.call) {
        Ok(intent) => intent.unwrap_or(Intent::Nothing),
        Err(MemoryFault::Bad) => Intent::Nothing,
        Err(MemoryFault::Denied) => {
            notes.borrow_mut().gap(findings::UNREADABLE_PROCESS);
            Intent::Nothing
        }
    }
}

struct Decoder<'a> {
    view: &'a View,
    call: &'a RawCall,
}

/// None where the call cannot succeed or needs not be told.
type Decoded = Result<Option<Intent>, MemoryFault>;

impl Decoder<'_> {
    fn decode(&self, call: Call) -> Decoded {
        match call {
            Call::Open => self.open(None, 0, self.flags(1)),
            Call::OpenAt => self.open(Some(0), 1, self.flags(2)),
            Call::OpenAt2 => self.open_with_how(),
            Call::Creat => self.open(None, 0, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC),
            Call::Rename => self.rename((None, 0), (None, 1), 0),
            Call::RenameAt => self.rename((Some(0), 1), (Some(2), 3), 0),
            Call::RenameAt2 => self.rename((Some(0), 1), (Some(2), 3), self.number(4)),
            Call::Unlink => self.remove(None, 0, 0),
            Call::UnlinkAt => self.remove(Some(0), 1, self.flags(2)),
            Call::Link => self.link((None, 0), (None, 1), 0),
            Call::LinkAt => self.link((Some(0), 1), (Some(2), 3), self.flags(4)),
            Call::Symlink => Ok(self.place(None, 1)?.map(|place| Intent::Symlink { place })),
            Call::SymlinkAt => Ok(self
                .place(Some(1), 2)?
                .map(|place| Intent::Symlink { place })),
            Call::Truncate => Ok(self.place(None, 0)?.map(|place| Intent::Truncate { place })),
            Call::Execute => self.execute(None, 0, 0),
            Call::ExecuteAt => self.execute(Some(0), 1, self.flags(4)),
            Call::Connect => self.connect(self.argument(1), self.argument(2)),
            Call::SendTo => self.connect(self.argument(4), self.argument(5)),
            Call::AnySocket => self.socket_call(),
            Call::IoUringSetup => Ok(Some(Intent::SetUpIoUring)),
            Call::Clone | Call::Unshare | Call::ChangeView => {
                self.view.expect_differences();
                Ok(None)
            }
        }
    }

    fn argument(&self, index: usize) -> u64 {
        self.call.arguments.get(index).copied().unwrap_or_default()
    }

    fn number(&self, index: usize) -> u32 {
        self.argument(index) as u32
    }

    fn flags(&self, index: usize) -> i32 {
        self.number(index) as i32
    }

    /// The place that two arguments name: a folder's descriptor (none for the working directory) and a path.
    fn place(&self, folder: Option<usize>, path: usize) -> Result<Option<Place>, MemoryFault> {
        let folder = folder.map_or(libc::AT_FDCWD, |index| self.flags(index));
        let path = read_path(self.call.tid, self.argument(path))?;
        Ok(self.view.place(self.call.tid, folder, path))
    }

    /// The same where an empty path may mean the descriptor itself; otherwise it means nothing.
    fn place_or_descriptor(
        &self,
        folder: Option<usize>,
        path: usize,
        allows_empty: bool,
    ) -> Result<Option<Place>, MemoryFault> {
        Ok(self
            .place(folder, path)?
            .filter(|place| allows_empty || !place.path.is_empty()))
    }

    fn open(&self, folder: Option<usize>, path: usize, flags: i32) -> Decoded {
        let place = self.place_or_descriptor(folder, path, false)?;
        Ok(place.map(|place| Intent::Open { place, flags }))
    }

    fn open_with_how(&self) -> Decoded {
        // `struct open_how`: flags, mode, resolve.
        let [flags, _, resolve] = read_numbers(self.call.tid, self.argument(2))?;
        let flags = flags as i32;
        if flags & (libc::O_PATH | libc::O_DIRECTORY) != 0 {
            return Ok(None);
        }
        let mut place = self.place_or_descriptor(Some(0), 1, false)?;
        if resolve & libc::RESOLVE_IN_ROOT != 0 {
            // An absolute path begins at the descriptor then.
            place = place.and_then(|place| {
                let base = match place.base {
                    Some(base) => Some(base),
                    None => {
                        self.view
                            .place(self.call.tid, self.flags(0), b".".to_vec())?
                            .base
                    }
                };
                Some(Place {
                    base,
                    is_in_base: true,
                    ..place
                })
            });
        }
        Ok(place.map(|place| Intent::Open { place, flags }))
    }

    fn remove(&self, folder: Option<usize>, path: usize, flags: i32) -> Decoded {
        if flags & libc::AT_REMOVEDIR != 0 {
            return Ok(None);
        }
        Ok(self
            .place(folder, path)?
            .map(|place| Intent::Remove { place }))
    }

    fn rename(&self, from: Pair, to: Pair, flags: u32) -> Decoded {
        let from = self.place(from.0, from.1)?;
        let to = self.place(to.0, to.1)?;
        Ok(from
            .zip(to)
            .map(|(from, to)| Intent::Rename { from, to, flags }))
    }

    fn link(&self, from: Pair, to: Pair, flags: i32) -> Decoded {
        let from = self.place_or_descriptor(from.0, from.1, flags & libc::AT_EMPTY_PATH != 0)?;
        let to = self.place(to.0, to.1)?;
        let follows = flags & libc::AT_SYMLINK_FOLLOW != 0;
        Ok(from
            .zip(to)
            .map(|(from, to)| Intent::Link { from, to, follows }))
    }

    fn execute(&self, folder: Option<usize>, path: usize, flags: i32) -> Decoded {
        let place = self.place_or_descriptor(folder, path, flags & libc::AT_EMPTY_PATH != 0)?;
        let follows = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
        Ok(place.map(|place| Intent::Execute { place, follows }))
    }

    fn connect(&self, address: u64, length: u64) -> Decoded {
        let length = (length as u32 as usize).min(ADDRESS_BYTES_MAX);
        let mut bytes = [0; ADDRESS_BYTES_MAX];
        let bytes = bytes.get_mut(..length).unwrap_or_default();
        read_fully(self.call.tid, address, bytes)?;
        let Some(address) = parse_address(bytes) else {
            return Ok(None);
        };
        let place = match &address {
            PeerAddress::UnixPath(path) => {
                let path = path.as_os_str().as_bytes().to_vec();
                self.view.place(self.call.tid, libc::AT_FDCWD, path)
            }
            _ => None,
        };
        Ok(Some(Intent::Connect { address, place }))
    }

    /// `socketcall(call, arguments)` of 32-bit x86, with numbers of linux/net.h.
    fn socket_call(&self) -> Decoded {
        const CONNECT: u32 = 3;
        const SEND_TO: u32 = 11;
        let address_index = match self.number(0) {
            CONNECT => 1,
            SEND_TO => 4,
            _ => return Ok(None),
        };
        let from = self
            .argument(1)
            .checked_add(address_index * 4)
            .ok_or(MemoryFault::Bad)?;
        let number = |at: u64| read_bytes(self.call.tid, at).map(u32::from_ne_bytes);
        let address = number(from)?;
        if address == 0 {
            return Ok(None);
        }
        let length = number(from.checked_add(4).ok_or(MemoryFault::Bad)?)?;
        self.connect(u64::from(address), u64::from(length))
    }
}

/// Indices of the arguments that name a place.
type Pair = (Option<usize>, usize);

fn read_numbers(tid: u32, address: u64) -> Result<[u64; 3], MemoryFault> {
    let bytes: [u8; 24] = read_bytes(tid, address)?;
    let mut numbers = [0; 3];
    for (number, chunk) in numbers.iter_mut().zip(bytes.chunks_exact(8)) {
        *number = u64::from_ne_bytes(chunk.try_into().expect("chunks of eight have eight bytes"));
    }
    Ok(numbers)
}
