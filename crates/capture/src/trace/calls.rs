//! The system calls of interest and their numbers, for this machine and for the other ABIs that its kernel serves.

/// A call of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Open,
    OpenAt,
    OpenAt2,
    Creat,
    Rename,
    RenameAt,
    RenameAt2,
    Unlink,
    UnlinkAt,
    Link,
    LinkAt,
    Symlink,
    SymlinkAt,
    Truncate,
    Execute,
    ExecuteAt,
    Connect,
    SendTo,
    /// The one socket call of 32-bit x86, with its true arguments in memory.
    #[cfg_attr(
        target_arch = "aarch64",
        expect(dead_code, reason = "no ABI of this machine has it")
    )]
    AnySocket,
    IoUringSetup,
    Clone,
    Unshare,
    /// `setns`, `chroot` and `pivot_root`: from here on a process may see other files under the same names.
    ChangeView,
}

/// The numbers of one ABI.
pub(super) struct Abi {
    /// `AUDIT_ARCH_…` of `linux/audit.h`, as the kernel tells it with each call.
    pub(super) arch: u32,
    /// Calls of interest by number.
    pub(super) calls: &'static [(Call, u32)],
}

/// The ABIs that this machine's kernel may serve, its own first.
pub(super) const ABIS: [Abi; 2] = [
    Abi {
        arch: native::ARCH,
        calls: native::CALLS,
    },
    Abi {
        arch: foreign::ARCH,
        calls: foreign::CALLS,
    },
];

/// Bit of a call's number that marks the x32 ABI, which shares the `AUDIT_ARCH` of x86-64.
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// A call of interest, and whether it was made in an ABI that is not this machine's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) call: Call,
    pub(super) is_foreign: bool,
}

/// Tells which call a number means.
pub(super) fn find_call(arch: u32, number: u32) -> Option<Known> {
    let index = ABIS.iter().position(|abi| abi.arch == arch)?;
    let has_x32 = cfg!(target_arch = "x86_64") && index == 0;
    let is_x32 = has_x32 && number & X32_BIT != 0;
    let number = if has_x32 { number & !X32_BIT } else { number };
    let (call, _) = ABIS
        .get(index)?
        .calls
        .iter()
        .find(|(_, known)| *known == number)?;
    Some(Known {
        call: *call,
        is_foreign: is_x32 || index != 0,
    })
}

#[cfg(target_arch = "x86_64")]
mod native {
    use super::Call;

    pub(super) const ARCH: u32 = 0xC000_003E;
    pub(super) const CALLS: &[(Call, u32)] = &[
        (Call::OpenAt, libc::SYS_openat as u32),
        (Call::Open, libc::SYS_open as u32),
        (Call::Clone, libc::SYS_clone as u32),
        (Call::Execute, libc::SYS_execve as u32),
        (Call::Unlink, libc::SYS_unlink as u32),
        (Call::UnlinkAt, libc::SYS_unlinkat as u32),
        (Call::Rename, libc::SYS_rename as u32),
        (Call::RenameAt, libc::SYS_renameat as u32),
        (Call::RenameAt2, libc::SYS_renameat2 as u32),
        (Call::OpenAt2, libc::SYS_openat2 as u32),
        (Call::Creat, libc::SYS_creat as u32),
        (Call::Link, libc::SYS_link as u32),
        (Call::LinkAt, libc::SYS_linkat as u32),
        (Call::Symlink, libc::SYS_symlink as u32),
        (Call::SymlinkAt, libc::SYS_symlinkat as u32),
        (Call::Truncate, libc::SYS_truncate as u32),
        (Call::ExecuteAt, libc::SYS_execveat as u32),
        (Call::Connect, libc::SYS_connect as u32),
        (Call::SendTo, libc::SYS_sendto as u32),
        (Call::IoUringSetup, libc::SYS_io_uring_setup as u32),
        (Call::Unshare, libc::SYS_unshare as u32),
        (Call::ChangeView, libc::SYS_setns as u32),
        (Call::ChangeView, libc::SYS_chroot as u32),
        (Call::ChangeView, libc::SYS_pivot_root as u32),
        // The x32 ABI has numbers of its own for these two (arch/x86/entry/syscalls/syscall_64.tbl).
        (Call::Execute, 520),
        (Call::ExecuteAt, 545),
    ];
}

/// 32-bit x86 (arch/x86/entry/syscalls/syscall_32.tbl).
#[cfg(target_arch = "x86_64")]
mod foreign {
    use super::Call;

    pub(super) const ARCH: u32 = 0x4000_0003;
    pub(super) const CALLS: &[(Call, u32)] = &[
        (Call::Open, 5),
        (Call::OpenAt, 295),
        (Call::OpenAt2, 437),
        (Call::Creat, 8),
        (Call::Rename, 38),
        (Call::RenameAt, 302),
        (Call::RenameAt2, 353),
        (Call::Unlink, 10),
        (Call::UnlinkAt, 301),
        (Call::Link, 9),
        (Call::LinkAt, 303),
        (Call::Symlink, 83),
        (Call::SymlinkAt, 304),
        (Call::Truncate, 92),
        (Call::Truncate, 193),
        (Call::Execute, 11),
        (Call::ExecuteAt, 358),
        (Call::Connect, 362),
        (Call::SendTo, 369),
        (Call::AnySocket, 102),
        (Call::IoUringSetup, 425),
        (Call::Clone, 120),
        (Call::Unshare, 310),
        (Call::ChangeView, 346),
        (Call::ChangeView, 61),
        (Call::ChangeView, 217),
    ];
}

#[cfg(target_arch = "aarch64")]
mod native {
    use super::Call;

    pub(super) const ARCH: u32 = 0xC000_00B7;
    pub(super) const CALLS: &[(Call, u32)] = &[
        (Call::OpenAt, libc::SYS_openat as u32),
        (Call::Clone, libc::SYS_clone as u32),
        (Call::Execute, libc::SYS_execve as u32),
        (Call::UnlinkAt, libc::SYS_unlinkat as u32),
        (Call::RenameAt, libc::SYS_renameat as u32),
        (Call::RenameAt2, libc::SYS_renameat2 as u32),
        (Call::OpenAt2, libc::SYS_openat2 as u32),
        (Call::LinkAt, libc::SYS_linkat as u32),
        (Call::SymlinkAt, libc::SYS_symlinkat as u32),
        (Call::Truncate, libc::SYS_truncate as u32),
        (Call::ExecuteAt, libc::SYS_execveat as u32),
        (Call::Connect, libc::SYS_connect as u32),
        (Call::SendTo, libc::SYS_sendto as u32),
        (Call::IoUringSetup, libc::SYS_io_uring_setup as u32),
        (Call::Unshare, libc::SYS_unshare as u32),
        (Call::ChangeView, libc::SYS_setns as u32),
        (Call::ChangeView, libc::SYS_chroot as u32),
        (Call::ChangeView, libc::SYS_pivot_root as u32),
    ];
}

/// 32-bit ARM (arch/arm/tools/syscall.tbl).
#[cfg(target_arch = "aarch64")]
mod foreign {
    use super::Call;

    pub(super) const ARCH: u32 = 0x4000_0028;
    pub(super) const CALLS: &[(Call, u32)] = &[
        (Call::Open, 5),
        (Call::OpenAt, 322),
        (Call::OpenAt2, 437),
        (Call::Creat, 8),
        (Call::Rename, 38),
        (Call::RenameAt, 329),
        (Call::RenameAt2, 382),
        (Call::Unlink, 10),
        (Call::UnlinkAt, 328),
        (Call::Link, 9),
        (Call::LinkAt, 330),
        (Call::Symlink, 83),
        (Call::SymlinkAt, 331),
        (Call::Truncate, 92),
        (Call::Truncate, 193),
        (Call::Execute, 11),
        (Call::ExecuteAt, 387),
        (Call::Connect, 283),
        (Call::SendTo, 290),
        (Call::IoUringSetup, 425),
        (Call::Clone, 120),
        (Call::Unshare, 337),
        (Call::ChangeView, 375),
        (Call::ChangeView, 61),
        (Call::ChangeView, 218),
    ];
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the numbers of system calls are known for x86_64 and aarch64 only");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_means_two_calls() {
        for abi in &ABIS {
            let mut numbers: Vec<_> = abi.calls.iter().map(|(_, number)| number).collect();
            numbers.sort();
            let all = numbers.len();
            numbers.dedup();
            assert_eq!(numbers.len(), all, "{:x}", abi.arch);
        }
    }

    #[test]
    fn calls_of_another_abi_are_known_as_foreign() {
        let own = find_call(ABIS[0].arch, libc::SYS_openat as u32).unwrap();
        assert_eq!(
            own,
            Known {
                call: Call::OpenAt,
                is_foreign: false
            }
        );
        let other = find_call(ABIS[1].arch, 5).unwrap();
        assert_eq!(
            other,
            Known {
                call: Call::Open,
                is_foreign: true
            }
        );
        assert_eq!(find_call(ABIS[0].arch, libc::SYS_read as u32), None);
        assert_eq!(find_call(0, libc::SYS_openat as u32), None);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_x32_abi_is_foreign_with_numbers_of_its_own_for_execution() {
        let open = find_call(ABIS[0].arch, X32_BIT | libc::SYS_openat as u32).unwrap();
        assert_eq!(
            open,
            Known {
                call: Call::OpenAt,
                is_foreign: true
            }
        );
        let execute = find_call(ABIS[0].arch, X32_BIT | 0x208).unwrap();
        assert_eq!(
            execute,
            Known {
                call: Call::Execute,
                is_foreign: true
            }
        );
    }
}
