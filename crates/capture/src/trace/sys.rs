//! Calls of the kernel that no safe crate offers, each behind a safe function.
#![expect(
    unsafe_code,
    reason = "the room's calls to the kernel stand here, one function each"
)]

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use rustix::io::Errno;

pub(super) fn last_error() -> i32 {
    // SAFETY: the address of this thread's own error number.
    unsafe { *libc::__errno_location() }
}

/// Turns the -1 of a C function into the error behind it.
pub(super) fn check(result: i64) -> io::Result<i64> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Reads memory of another process; returns how many bytes could be read from `address` on.
pub(super) fn read_memory(tid: u32, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let remote = libc::iovec {
        iov_base: address as *mut libc::c_void,
        iov_len: buffer.len(),
    };
    // SAFETY: the kernel writes at most `buffer.len()` bytes to `buffer`, which outlives the call;
    // `remote` is an address of the other process, and a wrong one fails there with EFAULT.
    let read = unsafe {
        libc::process_vm_readv(
            tid as libc::pid_t,
            &raw const local,
            1,
            &raw const remote,
            1,
            0,
        )
    };
    check(read as i64).map(|read| read as usize)
}

/// One message of a notification: the kernel's `struct seccomp_notif`.
pub(super) fn receive_notification(listener: BorrowedFd<'_>) -> io::Result<libc::seccomp_notif> {
    // SAFETY: the struct consists of numbers only, for which zero is a value; the kernel insists on zeros.
    let mut notification: libc::seccomp_notif = unsafe { zeroed() };
    // SAFETY: the request's number holds the size of the struct, so that a kernel that writes more refuses it.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_RECV,
            &raw mut notification,
        )
    };
    check(i64::from(result)).map(|_| notification)
}

/// Answers a notification.
pub(super) fn send_answer(
    listener: BorrowedFd<'_>,
    mut answer: libc::seccomp_notif_resp,
) -> io::Result<()> {
    // SAFETY: the kernel reads and writes only the struct, whose size the request's number holds.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SEND,
            &raw mut answer,
        )
    };
    check(i64::from(result)).map(|_| ())
}

/// Whether the thread behind a notification still waits for its answer.
pub(super) fn is_notification_valid(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads eight bytes of `id`.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_ID_VALID,
            &raw const id,
        )
    };
    result == 0
}

/// Asks the kernel to wake listener and asker on the same processor; false where it does not know how (before 6.6).
pub(super) fn wake_on_same_processor(listener: BorrowedFd<'_>) -> bool {
    /// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP` of linux/seccomp.h.
    const SYNC_WAKE_UP: libc::c_ulong = 1;
    // SAFETY: the argument is a number.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS,
            SYNC_WAKE_UP,
        )
    };
    result == 0
}

/// Whether the kernel's notifications have the size that this was built for.
pub(super) fn are_notifications_known() -> bool {
    let mut sizes = libc::seccomp_notif_sizes {
        seccomp_notif: 0,
        seccomp_notif_resp: 0,
        seccomp_data: 0,
    };
    // SAFETY: the kernel writes three 16-bit sizes to the struct.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_GET_NOTIF_SIZES,
            0,
            &raw mut sizes,
        )
    };
    result == 0
        && usize::from(sizes.seccomp_notif) == size_of::<libc::seccomp_notif>()
        && usize::from(sizes.seccomp_notif_resp) == size_of::<libc::seccomp_notif_resp>()
}

/// Takes one message and the file descriptor that may come with it; `None` at the end.
pub(super) fn receive_with_descriptor(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<Option<(usize, Option<OwnedFd>)>> {
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let mut control = ControlBuffer([0; CONTROL_BYTES]);
    // SAFETY: the struct consists of numbers and pointers, for which zero is a value.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = CONTROL_BYTES as _;
    // SAFETY: header, part and both buffers outlive the call and have the lengths that are given.
    let received =
        unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC) };
    let received = check(received as i64)? as usize;
    let descriptor = take_descriptor(&header);
    if received == 0 && descriptor.is_none() {
        return Ok(None);
    }
    Ok(Some((received, descriptor)))
}

/// Room for the header of one control message and one descriptor (`CMSG_SPACE(4)` is 24).
const CONTROL_BYTES: usize = 64;

#[repr(align(8))]
struct ControlBuffer([u8; CONTROL_BYTES]);

fn take_descriptor(header: &libc::msghdr) -> Option<OwnedFd> {
    // SAFETY: the kernel has filled in the control buffer and its length, which the macros walk.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(header);
        if message.is_null() {
            return None;
        }
        let is_descriptor =
            (*message).cmsg_level == libc::SOL_SOCKET && (*message).cmsg_type == libc::SCM_RIGHTS;
        if !is_descriptor {
            return None;
        }
        let raw = libc::CMSG_DATA(message).cast::<RawFd>().read_unaligned();
        // SAFETY: the kernel has just made this descriptor for us, so nobody else owns it.
        Some(OwnedFd::from_raw_fd(raw))
    }
}

/// Sends one message with a file descriptor. Allocates nothing, so that it may be used after a fork.
pub(super) fn send_with_descriptor(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptor: RawFd,
) -> io::Result<()> {
    let mut part = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let mut control = ControlBuffer([0; CONTROL_BYTES]);
    // SAFETY: the struct consists of numbers and pointers, for which zero is a value.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: the macros do arithmetic only.
    let space = unsafe { libc::CMSG_SPACE(size_of::<RawFd>() as u32) };
    header.msg_controllen = space as _;
    // SAFETY: the buffer is aligned, larger than one control message with one descriptor, and outlives the call.
    let sent = unsafe {
        let message = libc::CMSG_FIRSTHDR(&raw const header);
        (*message).cmsg_level = libc::SOL_SOCKET;
        (*message).cmsg_type = libc::SCM_RIGHTS;
        (*message).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as _;
        libc::CMSG_DATA(message)
            .cast::<RawFd>()
            .write_unaligned(descriptor);
        libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_NOSIGNAL)
    };
    check(sent as i64).map(|_| ())
}

/// Puts a filter on this thread and returns its listener, where it has one.
///
/// Allocates nothing, so that it may be used after a fork.
pub(super) fn install_filter(
    program: &[libc::sock_filter],
    flags: libc::c_ulong,
) -> io::Result<RawFd> {
    let described = libc::sock_fprog {
        len: program.len() as libc::c_ushort,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel reads `len` instructions, and checks the program before it takes it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const described,
        )
    };
    check(result).map(|descriptor| descriptor as RawFd)
}

/// Clock ticks per second of the times in `/proc`.
pub(crate) fn clock_ticks_per_second() -> u64 {
    // SAFETY: takes a number and returns one.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks)
        .ok()
        .filter(|&ticks| ticks > 0)
        .unwrap_or(100)
}

/// Bytes of a page of memory.
pub(crate) fn page_size() -> u64 {
    // SAFETY: takes a number and returns one.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes)
        .ok()
        .filter(|&bytes| bytes > 0)
        .unwrap_or(4096)
}

/// Opens a terminal for a command: our end and the command's.
pub(super) fn open_terminal_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: numbers only; each descriptor is new and owned by nobody else.
    unsafe {
        let controller = check(i64::from(libc::posix_openpt(flags)))?;
        let controller = OwnedFd::from_raw_fd(controller as RawFd);
        check(i64::from(libc::grantpt(controller.as_raw_fd())))?;
        check(i64::from(libc::unlockpt(controller.as_raw_fd())))?;
        let end = check(i64::from(libc::ioctl(
            controller.as_raw_fd(),
            libc::TIOCGPTPEER,
            flags,
        )))?;
        Ok((controller, OwnedFd::from_raw_fd(end as RawFd)))
    }
}

/// How a terminal is set.
pub(super) fn terminal_settings(terminal: BorrowedFd<'_>) -> io::Result<libc::termios> {
    // SAFETY: the struct consists of numbers, and the call fills it.
    unsafe {
        let mut settings: libc::termios = zeroed();
        check(i64::from(libc::tcgetattr(
            terminal.as_raw_fd(),
            &raw mut settings,
        )))?;
        Ok(settings)
    }
}

/// Sets a terminal.
pub(super) fn set_terminal(terminal: BorrowedFd<'_>, settings: &libc::termios) -> io::Result<()> {
    // SAFETY: the call reads the struct.
    let result = unsafe { libc::tcsetattr(terminal.as_raw_fd(), libc::TCSANOW, settings) };
    check(i64::from(result)).map(|_| ())
}

/// Changes settings so that every key is handed through and output is not treated.
pub(super) fn make_raw(settings: &mut libc::termios) {
    // SAFETY: the call changes fields of the struct.
    unsafe { libc::cfmakeraw(settings) };
}

/// Gives a socket a name of the kernel's own name space that nobody else has; returns it without its zero byte.
pub(super) fn bind_to_new_name(socket: &OwnedFd) -> io::Result<String> {
    // SAFETY: the struct consists of numbers, for which zero is a value.
    let mut address: libc::sockaddr_un = unsafe { zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let family_bytes = size_of::<libc::sa_family_t>() as libc::socklen_t;
    let mut length = size_of::<libc::sockaddr_un>() as libc::socklen_t;
    // With the family alone the kernel chooses a name (unix(7), "autobind").
    // SAFETY: the lengths are those of the parts of the struct that are read and may be written.
    unsafe {
        let bound = libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            family_bytes,
        );
        check(i64::from(bound))?;
        let named = libc::getsockname(
            socket.as_raw_fd(),
            (&raw mut address).cast(),
            &raw mut length,
        );
        check(i64::from(named))?;
    }
    let name_bytes = (length as usize).saturating_sub(size_of::<libc::sa_family_t>());
    let name = address
        .sun_path
        .iter()
        .take(name_bytes)
        .skip(1)
        .map(|&byte| byte as u8)
        .collect();
    String::from_utf8(name).map_err(io::Error::other)
}

/// The process that connected a socket; none when it cannot be seen from here (another process namespace).
pub(super) fn peer_process(socket: &OwnedFd) -> Option<u32> {
    let mut credentials = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes no more than `length` bytes to the struct, which consists of numbers.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut length,
        )
    };
    check(i64::from(result)).ok()?;
    u32::try_from(credentials.pid).ok().filter(|&pid| pid != 0)
}

/// Sends a signal to the process behind a descriptor; one that has ended takes none.
pub(super) fn signal_process(process: BorrowedFd<'_>, signal: i32) {
    // SAFETY: numbers and a null pointer, which stands for the usual information.
    unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
}

/// Sends a signal to a group of processes.
pub(super) fn signal_group(group: u32, signal: i32) {
    if let Ok(group) = libc::pid_t::try_from(group)
        && group > 1
    {
        // SAFETY: numbers only.
        unsafe { libc::kill(-group, signal) };
    }
}

/// The empty set of signals.
pub(super) fn no_signals() -> libc::sigset_t {
    // SAFETY: the call fills the set.
    unsafe {
        let mut signals: libc::sigset_t = zeroed();
        libc::sigemptyset(&raw mut signals);
        signals
    }
}

/// Makes a mount that has no place yet read-only (Linux 5.12); before, it stays as it is.
pub(super) fn make_read_only(mount: BorrowedFd<'_>) -> rustix::io::Result<()> {
    /// `struct mount_attr` of linux/mount.h in its first version.
    #[repr(C)]
    struct Attributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    const READ_ONLY: u64 = 1;
    let attributes = Attributes {
        set: READ_ONLY,
        clear: 0,
        propagation: 0,
        user_namespace: 0,
    };
    // SAFETY: the struct and the empty path outlive the call, which only reads them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    };
    if result == 0 {
        return Ok(());
    }
    match Errno::from_raw_os_error(last_error()) {
        Errno::NOSYS => Ok(()),
        error => Err(error),
    }
}

/// Asks for short turns on the processor, which come soon after a thread is woken (Linux 6.12); no loss without.
pub(super) fn prefer_short_turns() {
    /// `struct sched_attr` of linux/sched/types.h in its first version.
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime_ns: u64,
        deadline_ns: u64,
        period_ns: u64,
    }
    /// The shortest that the kernel takes.
    const TURN_NS: u64 = 100_000;
    let bytes = size_of::<Attributes>() as u32;
    let mut attributes = Attributes {
        size: bytes,
        ..Attributes::default()
    };
    // SAFETY: the kernel writes no more than `bytes` to the struct, which consists of numbers.
    let read = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, bytes, 0) };
    if read != 0 || attributes.policy != libc::SCHED_OTHER as u32 {
        return;
    }
    attributes.runtime_ns = TURN_NS;
    // SAFETY: the kernel reads as many bytes as the struct says that it has.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        let kind = SocketType::SEQPACKET;
        rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap()
    }

    fn null() -> OwnedFd {
        std::fs::File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn a_descriptor_arrives_with_its_message_and_is_closed_on_execution() {
        let (ours, other) = pair();
        send_with_descriptor(other.as_fd(), b"packet", null().as_raw_fd()).unwrap();
        let mut buffer = [0; 16];
        let (length, descriptor) = receive_with_descriptor(ours.as_fd(), &mut buffer)
            .unwrap()
            .unwrap();
        assert_eq!(&buffer[..length], b"packet");
        let descriptor = descriptor.unwrap();
        let flags = rustix::io::fcntl_getfd(&descriptor).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        assert_eq!(
            rustix::fs::fstat(&descriptor).unwrap().st_rdev,
            rustix::fs::stat("/dev/null").unwrap().st_rdev
        );
    }

    #[test]
    fn messages_without_a_descriptor_and_too_long_ones_are_taken_as_they_are() {
        let (ours, other) = pair();
        let mut buffer = [0; 4];
        rustix::net::send(&other, b"longer than that", SendFlags::empty()).unwrap();
        let (length, descriptor) = receive_with_descriptor(ours.as_fd(), &mut buffer)
            .unwrap()
            .unwrap();
        assert_eq!((length, descriptor.is_none(), &buffer), (4, true, b"long"));
        drop(other);
        assert!(
            receive_with_descriptor(ours.as_fd(), &mut buffer)
                .unwrap()
                .is_none()
        );
        assert!(receive_with_descriptor(null().as_fd(), &mut buffer).is_err());
        assert!(send_with_descriptor(ours.as_fd(), b"x", -1).is_err());
    }

    /// Somebody sends more descriptors than there is room for: one is taken, none is lost open.
    #[test]
    fn more_descriptors_than_expected_do_no_harm() {
        let (ours, other) = pair();
        let many: Vec<OwnedFd> = (0..40).map(|_| null()).collect();
        let borrowed: Vec<_> = many.iter().map(AsFd::as_fd).collect();
        let mut space = vec![std::mem::MaybeUninit::uninit(); 1024];
        let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
        assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&borrowed)));
        let part = [rustix::io::IoSlice::new(b"x")];
        rustix::net::sendmsg(&other, &part, &mut control, SendFlags::empty()).unwrap();
        let mut buffer = [0; 4];
        let (_, descriptor) = receive_with_descriptor(ours.as_fd(), &mut buffer)
            .unwrap()
            .unwrap();
        assert!(descriptor.is_some());
    }

    #[test]
    fn the_listener_s_calls_fail_on_what_is_no_listener() {
        let file = null();
        assert!(receive_notification(file.as_fd()).is_err());
        let answer = libc::seccomp_notif_resp {
            id: u64::MAX,
            val: 0,
            error: 0,
            flags: 0,
        };
        assert!(send_answer(file.as_fd(), answer).is_err());
        assert!(!is_notification_valid(file.as_fd(), 0));
        assert!(!wake_on_same_processor(file.as_fd()));
    }

    #[test]
    fn a_filter_that_is_none_is_refused() {
        let nonsense = [libc::sock_filter {
            code: 0xffff,
            jt: 9,
            jf: 9,
            k: 7,
        }];
        // Without a listener's flag or rights, and with a program that the kernel checks first.
        assert!(install_filter(&nonsense, 0).is_err());
        assert!(install_filter(&[], 0).is_err());
    }

    #[test]
    fn what_is_no_terminal_has_no_settings() {
        let file = null();
        assert!(terminal_settings(file.as_fd()).is_err());
        let (controller, end) = open_terminal_pair().unwrap();
        let mut settings = terminal_settings(end.as_fd()).unwrap();
        make_raw(&mut settings);
        set_terminal(end.as_fd(), &settings).unwrap();
        assert_eq!(
            terminal_settings(controller.as_fd()).unwrap().c_lflag & libc::ICANON,
            0
        );
        assert!(set_terminal(file.as_fd(), &settings).is_err());
    }

    #[test]
    fn each_socket_gets_a_name_of_its_own() {
        let socket = || {
            let kind = SocketType::SEQPACKET;
            rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap()
        };
        let (one, other) = (socket(), socket());
        let names = [
            bind_to_new_name(&one).unwrap(),
            bind_to_new_name(&other).unwrap(),
        ];
        assert_ne!(names[0], names[1]);
        assert!(names.iter().all(|name| !name.is_empty()), "{names:?}");
        assert!(bind_to_new_name(&one).is_ok_and(|name| name == names[0]));
        assert!(bind_to_new_name(&null()).is_err());
    }

    #[test]
    fn the_process_behind_a_socket_is_known_and_no_other_file_has_one() {
        let (ours, _other) = pair();
        assert_eq!(peer_process(&ours), Some(std::process::id()));
        assert_eq!(peer_process(&null()), None);
    }

    #[test]
    fn signals_to_nobody_do_nothing() {
        signal_process(null().as_fd(), libc::SIGKILL);
        // Neither every process nor our own group is ever meant.
        signal_group(0, libc::SIGKILL);
        signal_group(1, libc::SIGKILL);
        signal_group(u32::MAX, libc::SIGKILL);
    }

    #[test]
    fn short_turns_leave_a_thread_s_rank_alone() {
        std::thread::spawn(|| {
            let rank = || rustix::process::getpriority_process(None).unwrap();
            let before = rank();
            prefer_short_turns();
            assert_eq!(rank(), before);
        })
        .join()
        .unwrap();
    }
}
