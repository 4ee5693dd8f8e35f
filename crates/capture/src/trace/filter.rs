//! The filter that picks the calls of interest, as a program of classic BPF.
//!
//! The kernel runs it at each call of the command and all its descendants.
//! It sees numbers and arguments, not memory; so flags can be looked at and paths cannot.
//! It never forbids anything: it observes, and is no sandbox.

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JA, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W,
};
use libc::{
    SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_TRACE, SECCOMP_RET_USER_NOTIF, sock_filter,
};

use super::calls::{ABIS, Abi, Call, X32_BIT};

/// What the filter does with calls of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// Asks the listener.
    Notify,
    /// Stops for the tracer.
    Trace,
}

/// Offsets into `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

/// Makes the program.
pub(super) fn filter_program(report: Report) -> Vec<sock_filter> {
    let mut program = vec![load(ARCH)];
    for (index, abi) in ABIS.iter().enumerate() {
        let block = abi_block(abi, index == 0, report);
        program.push(jump(BPF_JEQ, abi.arch, 1, 0));
        // The next block is too far for the 8 bits of a conditional jump.
        program.push(sock_filter {
            code: (BPF_JMP | BPF_JA) as u16,
            jt: 0,
            jf: 0,
            k: block.len() as u32,
        });
        program.extend(block);
    }
    program.push(allow());
    program
}

/// The calls of one ABI, ending with a verdict.
fn abi_block(abi: &Abi, is_native: bool, report: Report) -> Vec<sock_filter> {
    let mut block = vec![load(NUMBER)];
    if is_native && cfg!(target_arch = "x86_64") {
        block.push(statement(BPF_ALU | BPF_AND | BPF_K, !X32_BIT));
    }
    for &(call, number) in abi.calls {
        let verdict = call_verdict(call, report);
        let length =
            u8::try_from(verdict.len()).expect("the verdict on one call is a few instructions");
        block.push(jump(BPF_JEQ, number, 0, length));
        block.extend(verdict);
    }
    block.push(allow());
    block
}

/// What is done with one call, looking at its flags where that saves a report.
fn call_verdict(call: Call, report: Report) -> Vec<sock_filter> {
    let reported = match report {
        Report::Notify => ret(SECCOMP_RET_USER_NOTIF),
        Report::Trace => ret(SECCOMP_RET_TRACE),
    };
    let unless = |argument: u32, flags: u32| {
        vec![
            load_argument(argument),
            jump(BPF_JSET, flags, 0, 1),
            allow(),
            reported,
        ]
    };
    let only_if = |argument: u32, flags: u32| {
        vec![
            load_argument(argument),
            jump(BPF_JSET, flags, 1, 0),
            allow(),
            reported,
        ]
    };
    match call {
        Call::Open => unless(1, UNINTERESTING_OPEN),
        Call::OpenAt => unless(2, UNINTERESTING_OPEN),
        Call::UnlinkAt => unless(2, libc::AT_REMOVEDIR as u32),
        // Only where a process comes to see other files. Starting one is not reported otherwise: until the listener has
        // taken a question, a signal whose handler does not restart calls makes it fail with EINTR, and no program
        // expects that of `fork`.
        Call::Clone | Call::Unshare => only_if(0, libc::CLONE_NEWNS as u32),
        // An address of zero is `send` on a connected socket.
        Call::SendTo => vec![
            load_argument(4),
            jump(BPF_JEQ, 0, 0, 3),
            load(ARGUMENTS + 4 * 8 + 4),
            jump(BPF_JEQ, 0, 0, 1),
            allow(),
            reported,
        ],
        // A tracer could not refuse it without writing registers; and only a listener learns that it was tried.
        Call::IoUringSetup if report == Report::Trace => {
            vec![ret(SECCOMP_RET_ERRNO | libc::ENOSYS as u32)]
        }
        _ => vec![reported],
    }
}

/// Opens that read nothing: a place only, or a directory.
///
/// `O_TMPFILE` holds the bit of `O_DIRECTORY`: such a file has no name until a `linkat` gives it one.
const UNINTERESTING_OPEN: u32 = (libc::O_PATH | libc::O_DIRECTORY) as u32;

const fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    }
}

const fn jump(condition: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter {
        code: (BPF_JMP | condition | BPF_K) as u16,
        jt,
        jf,
        k,
    }
}

const fn load(offset: u32) -> sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, offset)
}

/// Loads the low half of an argument; both architectures are little-endian.
const fn load_argument(index: u32) -> sock_filter {
    load(ARGUMENTS + index * 8)
}

const fn ret(action: u32) -> sock_filter {
    statement(BPF_RET | BPF_K, action)
}

const fn allow() -> sock_filter {
    ret(SECCOMP_RET_ALLOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUDIT_OTHER: u32 = 0xC000_00F3;

    /// Runs the program as the kernel does, for the few instructions that it is made of.
    fn run(program: &[sock_filter], arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend(number.to_le_bytes());
        data.extend(arch.to_le_bytes());
        data.extend(0_u64.to_le_bytes());
        for argument in arguments {
            data.extend(argument.to_le_bytes());
        }
        let mut at = 0;
        let mut accumulator = 0_u32;
        loop {
            let instruction = program[at];
            at += 1;
            let code = u32::from(instruction.code);
            match code {
                _ if code == BPF_LD | BPF_W | BPF_ABS => {
                    let from = instruction.k as usize;
                    accumulator = u32::from_le_bytes(data[from..from + 4].try_into().unwrap());
                }
                _ if code == BPF_ALU | BPF_AND | BPF_K => accumulator &= instruction.k,
                _ if code == BPF_JMP | BPF_JA => at += instruction.k as usize,
                _ if code == BPF_JMP | BPF_JEQ | BPF_K || code == BPF_JMP | BPF_JSET | BPF_K => {
                    let holds = if code & BPF_JSET == BPF_JSET {
                        accumulator & instruction.k != 0
                    } else {
                        accumulator == instruction.k
                    };
                    at += usize::from(if holds {
                        instruction.jt
                    } else {
                        instruction.jf
                    });
                }
                _ if code == BPF_RET | BPF_K => return instruction.k,
                _ => panic!("instruction {code:x} is not known"),
            }
        }
    }

    fn native(number: libc::c_long, arguments: [u64; 6]) -> u32 {
        run(
            &filter_program(Report::Notify),
            ABIS[0].arch,
            number as u32,
            arguments,
        )
    }

    #[test]
    fn every_call_of_interest_is_reported_in_every_abi() {
        for (report, action) in [
            (Report::Notify, SECCOMP_RET_USER_NOTIF),
            (Report::Trace, SECCOMP_RET_TRACE),
        ] {
            let program = filter_program(report);
            for abi in &ABIS {
                for &(call, number) in abi.calls {
                    let arguments = match call {
                        Call::Clone | Call::Unshare => [libc::CLONE_NEWNS as u64, 0, 0, 0, 0, 0],
                        Call::SendTo => [0, 0, 0, 0, 1 << 32, 16],
                        _ => [0; 6],
                    };
                    let expected = if call == Call::IoUringSetup && report == Report::Trace {
                        SECCOMP_RET_ERRNO | libc::ENOSYS as u32
                    } else {
                        action
                    };
                    assert_eq!(
                        run(&program, abi.arch, number, arguments),
                        expected,
                        "{call:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn reading_and_writing_are_never_stopped() {
        for number in [
            libc::SYS_read,
            libc::SYS_write,
            libc::SYS_mmap,
            libc::SYS_futex,
            libc::SYS_exit_group,
        ] {
            assert_eq!(native(number, [u64::MAX; 6]), SECCOMP_RET_ALLOW);
        }
        let program = filter_program(Report::Notify);
        assert_eq!(
            run(&program, AUDIT_OTHER, libc::SYS_openat as u32, [0; 6]),
            SECCOMP_RET_ALLOW
        );
    }

    #[test]
    fn flags_spare_reports_of_what_reads_nothing() {
        let open = |flags: i32| native(libc::SYS_openat, [0, 0, flags as u64, 0, 0, 0]);
        assert_eq!(
            open(libc::O_RDONLY | libc::O_CLOEXEC),
            SECCOMP_RET_USER_NOTIF
        );
        assert_eq!(open(libc::O_WRONLY | libc::O_CREAT), SECCOMP_RET_USER_NOTIF);
        assert_eq!(open(libc::O_DIRECTORY), SECCOMP_RET_ALLOW);
        assert_eq!(open(libc::O_PATH | libc::O_CLOEXEC), SECCOMP_RET_ALLOW);
        let clone = |flags: i32| native(libc::SYS_clone, [flags as u64, 0, 0, 0, 0, 0]);
        assert_eq!(clone(libc::SIGCHLD), SECCOMP_RET_ALLOW);
        assert_eq!(
            clone(libc::CLONE_NEWNS | libc::SIGCHLD),
            SECCOMP_RET_USER_NOTIF
        );
        assert_eq!(
            native(
                libc::SYS_unlinkat,
                [0, 0, libc::AT_REMOVEDIR as u64, 0, 0, 0]
            ),
            SECCOMP_RET_ALLOW
        );
        assert_eq!(
            native(libc::SYS_sendto, [3, 1, 1, 0, 0, 0]),
            SECCOMP_RET_ALLOW
        );
        assert_eq!(
            native(libc::SYS_sendto, [3, 1, 1, 0, 7, 16]),
            SECCOMP_RET_USER_NOTIF
        );
        assert_eq!(
            native(libc::SYS_unshare, [libc::CLONE_FILES as u64, 0, 0, 0, 0, 0]),
            SECCOMP_RET_ALLOW
        );
    }

    #[test]
    fn the_program_is_one_that_the_kernel_takes() {
        // BPF_MAXINSNS of linux/bpf_common.h.
        assert!(filter_program(Report::Notify).len() < 4096);
    }
}
