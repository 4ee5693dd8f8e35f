//! Calls that are not about files alone, and those that are made in unusual ways.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use capture::trace::AccessKind;
use entities::Exit;

use crate::support::{Room, compile, read};

#[test]
fn fifos_and_sockets_hold_nobody_up() {
    let room = Room::new();
    let told = room.sh("mkfifo pipe; (echo through > pipe) & cat pipe; wait");
    assert_eq!(told.stdout, b"through\n");
    told.assert_has(&read(room.at("pipe")));
    let told = room.python(
        "import socket, threading
server = socket.socket(socket.AF_UNIX); server.bind('sock'); server.listen()
client = socket.socket(socket.AF_UNIX); client.connect('sock')
try: open('sock')
except OSError: pass
",
    );
    assert_eq!(told.outcome.exit, Exit::Code(0));
    let peer = entities::NetworkPeer {
        family: "unix".into(),
        address: room.at("sock").to_str().unwrap().into(),
    };
    told.assert_has(&AccessKind::Connect { peer });
    assert!(!told.has(&read(room.at("sock"))));
}

#[test]
fn peers_are_told_connected_or_not() {
    let room = Room::new();
    let told = room.python(
        "import socket
server = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(server.getsockname())
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.sendto(b'x', ('::1', 9))
try: socket.create_connection(('192.0.2.1', 9), timeout=0.01)
except OSError: pass
print(server.getsockname()[1])
",
    );
    assert_eq!(
        told.outcome.exit,
        Exit::Code(0),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    let peer = |family: &str, address: String| AccessKind::Connect {
        peer: entities::NetworkPeer {
            family: family.into(),
            address,
        },
    };
    told.assert_has(&peer("inet", format!("127.0.0.1:{}", told.text().trim())));
    told.assert_has(&peer("inet6", "[::1]:9".into()));
    told.assert_has(&peer("inet", "192.0.2.1:9".into()));
    assert!(
        told.outcome
            .signs
            .iter()
            .any(|sign| sign.code == "network_used")
    );
}

#[test]
fn a_command_that_stays_on_this_machine_used_no_network() {
    let room = Room::new();
    let told = room.python("open('/dev/urandom', 'rb').read(1)");
    let signs: Vec<_> = told
        .outcome
        .signs
        .iter()
        .map(|sign| sign.code.as_str())
        .collect();
    assert_eq!(signs, ["randomness_read"]);
}

#[test]
fn io_uring_is_refused_and_noted() {
    let room = Room::new();
    let told = room.python(
        "import ctypes
libc = ctypes.CDLL(None, use_errno=True)
parameters = ctypes.create_string_buffer(120)
print(libc.syscall(425, 4, parameters), ctypes.get_errno())
",
    );
    assert_eq!(told.stdout, b"-1 38\n");
    assert!(told.has_gap("io_uring"));
}

#[test]
fn a_static_program_is_followed() {
    let room = Room::new();
    let data = room.put("data", "x");
    let source = r#"
#include <fcntl.h>
#include <stdio.h>
int main(void) { return open("data", O_RDONLY) < 0 || rename("data", "moved") != 0; }
"#;
    let Some(program) = compile(&room, "static", source, &["-static"]) else {
        return;
    };
    let told = room.run([program]);
    assert_eq!(told.outcome.exit, Exit::Code(0));
    told.assert_has(&read(&data));
    told.assert_has(&AccessKind::Rename {
        from: data,
        to: room.at("moved"),
    });
}

/// 32-bit calls from a 64-bit program, which a filter that looks at numbers only would take for others.
#[cfg(target_arch = "x86_64")]
#[test]
fn calls_of_the_32_bit_abi_do_not_slip_by() {
    let room = Room::new();
    let data = room.put("data", "x");
    let source = r#"
#include <fcntl.h>
static char path[] = "data", to[] = "moved";
static long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
    return result;
}
int main(void) {
    long opened = call(5, (long)path, O_RDONLY, 0);
    if (opened == -38) return 77;
    return opened < 0 || call(38, (long)path, (long)to, 0) != 0;
}
"#;
    let Some(program) = compile(&room, "abi", source, &["-static", "-no-pie"]) else {
        return;
    };
    let told = room.run([program]);
    if told.outcome.exit == Exit::Signal(libc::SIGSEGV) || told.outcome.exit == Exit::Code(77) {
        eprintln!("skipped: this kernel serves no 32-bit calls");
        return;
    }
    assert_eq!(told.outcome.exit, Exit::Code(0));
    told.assert_has(&read(&data));
    told.assert_has(&AccessKind::Rename {
        from: data,
        to: room.at("moved"),
    });
    assert!(told.has_gap("foreign_abi"));
}

/// Pointers of all kinds of wrongness: the call fails as without us, and nothing else happens.
#[cfg(target_arch = "x86_64")]
#[test]
fn wild_pointers_fail_as_they_would() {
    let room = Room::new();
    let told = room.python(
        "import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for address in [0, 1, 0xdeadbeef, (1 << 64) - 1, (1 << 47) - 4096, 1 << 63]:
    for number in [2, 257, 437, 59, 82, 87, 76, 42, 44]:
        pointer = ctypes.c_void_p(address)
        if number in (257, 437):
            result = libc.syscall(number, ctypes.c_long(-100), pointer, pointer, ctypes.c_long(24))
        elif number == 42:
            result = libc.syscall(number, ctypes.c_long(0), pointer, ctypes.c_long(16))
        elif number == 44:
            result = libc.syscall(number, ctypes.c_long(0), b'', ctypes.c_long(0), ctypes.c_long(0), pointer, ctypes.c_long(128))
        else:
            result = libc.syscall(number, pointer, pointer, pointer)
        assert result == -1, (number, address)
print('survived')
",
    );
    assert_eq!(
        told.stdout,
        b"survived\n",
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
}

#[test]
fn openat2_is_understood_with_its_root() {
    let room = Room::new();
    room.put("jail/etc/passwd", "x");
    let told = room.python(
        "import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open('jail', os.O_RDONLY | os.O_DIRECTORY)
RESOLVE_IN_ROOT = 0x10
how = struct.pack('QQQ', os.O_RDONLY, 0, RESOLVE_IN_ROOT)
assert libc.syscall(437, fd, b'/etc/passwd', how, 24) >= 0
assert libc.syscall(437, fd, b'../../etc/passwd', how, 24) >= 0
how = struct.pack('QQQ', os.O_RDONLY, 0, 0)
assert libc.syscall(437, fd, b'etc/passwd', how, 24) >= 0
",
    );
    assert_eq!(
        told.outcome.exit,
        Exit::Code(0),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    assert_eq!(told.of(&room.at("jail/etc/passwd")).len(), 3);
    assert!(told.of(Path::new("/etc/passwd")).is_empty());
}

/// A process that others may not look into, as programs with secrets make themselves.
#[test]
fn a_process_that_cannot_be_looked_into_is_a_gap() {
    let room = Room::new();
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs two users");
        return;
    }
    let script = "import ctypes, os
ctypes.CDLL(None).prctl(4, 0)
open('/etc/hostname').close()
";
    fs::set_permissions(room.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let observe = room.at("observe");
    fs::copy(crate::support::observe(), &observe).unwrap();
    let status = std::process::Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--inh-caps=-all",
        ])
        .arg(&observe)
        .args([
            "--outcome",
            "outcome",
            "--copies",
            ".",
            "--",
            "/usr/bin/python3",
            "-c",
            script,
        ])
        .current_dir(room.path())
        .status();
    if !status.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no setpriv, or no Python that anybody may execute");
        return;
    }
    let outcome: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(room.at("outcome")).unwrap()).unwrap();
    assert!(
        outcome["gaps"]
            .as_array()
            .unwrap()
            .contains(&"unreadable_process".into()),
        "{outcome}"
    );
}
