//! Methods that are forced, and what follows when one is refused.

use std::fs;
use std::process::Command;

use capture::trace::{AccessKind, Method, MethodChoice, ScanScope, TraceError, TraceOptions};
use entities::Exit;

use crate::support::{Room, Told, is_alive, observe, python, read, run, wait_until, write};

fn forced(mut options: TraceOptions, method: Method) -> TraceOptions {
    options.choice = MethodChoice::Force(method);
    options
}

fn ptrace_sh(room: &Room, script: &str) -> Told {
    run(&forced(room.options(["sh", "-c", script]), Method::Ptrace)).unwrap()
}

#[test]
fn ptrace_tells_the_same_as_a_listener() {
    let room = Room::new();
    room.put("from", "x");
    let script = "cat from > to; ln to linked; mv to moved; ln -s moved soft; rm moved; (cat linked; true) | cat > end; exit 4";
    let listened = room.sh(script);
    for name in ["to", "linked", "moved", "soft", "end"] {
        let _ = fs::remove_file(room.at(name));
    }
    let traced = ptrace_sh(&room, script);
    assert_eq!(traced.outcome.method, Method::Ptrace);
    assert_eq!(traced.outcome.exit, Exit::Code(4));
    assert_eq!(traced.outcome.processes, listened.outcome.processes);
    let sorted = |told: &Told| {
        let mut kinds: Vec<String> = told.kinds().map(|kind| format!("{kind:?}")).collect();
        kinds.sort();
        kinds
    };
    assert_eq!(sorted(&traced), sorted(&listened));
}

#[test]
fn ptrace_follows_threads_and_processes_and_hands_signals_on() {
    let room = Room::new();
    let script = "import os, signal, subprocess, threading
got = []
signal.signal(signal.SIGUSR1, lambda *_: got.append(1))
os.kill(os.getpid(), signal.SIGUSR1)
assert got
def work(i):
    open(f'thread{i}', 'w').close()
threads = [threading.Thread(target=work, args=(i,)) for i in range(20)]
[t.start() for t in threads]
[t.join() for t in threads]
child = subprocess.Popen(['sleep', '60'])
child.send_signal(signal.SIGSTOP)
assert os.waitpid(child.pid, os.WUNTRACED)[1] == 0x137f
child.send_signal(signal.SIGCONT)
child.kill()
assert child.wait() == -9
os.kill(os.getpid(), signal.SIGTERM)
";
    let options = room.options([python().as_os_str(), "-c".as_ref(), script.as_ref()]);
    let told = run(&forced(options, Method::Ptrace)).unwrap();
    assert_eq!(
        told.outcome.exit,
        Exit::Signal(15),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    for index in 0..20 {
        told.assert_has(&write(room.at(&format!("thread{index}"))));
    }
    assert!(told.has_gap("io_uring_unseen"));
}

#[test]
fn ptrace_waits_for_orphans_and_ends_them() {
    let room = Room::new();
    let told = ptrace_sh(
        &room,
        "(setsid sh -c 'sleep 0.3; echo late > late' &) ; exit 5",
    );
    assert_eq!(told.outcome.exit, Exit::Code(5));
    told.assert_has(&write(room.at("late")));
    let mut options = room.options(["sh", "-c", "(setsid sleep 60 &) ; exit 6"]);
    options.ends_orphans = true;
    let told = run(&forced(options, Method::Ptrace)).unwrap();
    assert_eq!(told.outcome.exit, Exit::Code(6));
}

#[test]
fn ptrace_ends_with_its_supervisor() {
    let room = Room::new();
    let mut child = Command::new(observe())
        .args([
            "--method",
            "ptrace",
            "--copies",
            room.path().to_str().unwrap(),
            "--",
        ])
        .args(["sh", "-c", "echo $$ > pid; sleep 60"])
        .current_dir(room.path())
        .spawn()
        .unwrap();
    let pid = || fs::read_to_string(room.at("pid")).ok()?.trim().parse().ok();
    wait_until("the command", || pid().is_some());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the end of the command", || !is_alive(pid().unwrap()));
}

#[test]
fn a_scan_finds_what_changed_and_follows_nothing() {
    let room = Room::new();
    room.put("kept", "x");
    room.put("changed", "x");
    room.put("deleted", "x");
    room.put(".hidden/left_out", "x");
    let script = "echo more >> changed; rm deleted; echo x > new; echo x > .hidden/left_out; cat kept; echo $REPROOF_SUPERVISOR";
    let mut options = forced(room.options(["sh", "-c", script]), Method::Scan);
    options.scan = ScanScope {
        roots: vec![room.path()],
        excludes: vec![room.at(".hidden")],
    };
    let told = run(&options).unwrap();
    assert_eq!(told.outcome.method, Method::Scan);
    let scan = told.outcome.scan.as_ref().unwrap();
    assert_eq!(
        scan.created_or_changed,
        [room.at("changed"), room.at("new")]
    );
    assert_eq!(scan.deleted, [room.at("deleted")]);
    assert!(told.accesses.is_empty());
    assert!(told.has_gap("reads_not_seen"));
    assert_eq!(told.text(), "x\n".trim_end().to_owned() + "\n");
}

#[test]
fn a_scan_waits_for_orphans_too() {
    let room = Room::new();
    let mut options = forced(
        room.options(["sh", "-c", "(setsid sh -c 'sleep 0.3; echo x > late' &)"]),
        Method::Scan,
    );
    options.scan.roots.push(room.path());
    let told = run(&options).unwrap();
    assert_eq!(
        told.outcome.scan.unwrap().created_or_changed,
        [room.at("late")]
    );
}

/// Runs the example under a filter that has a listener of its own or forbids one, as containers have.
fn under_filter(
    room: &Room,
    filter: &str,
    method: &str,
) -> (serde_json::Value, String, Option<i32>) {
    let script = format!(
        "import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def statement(code, k): return struct.pack('HBBI', code, 0, 0, k)
def jump(code, k, jt, jf): return struct.pack('HBBI', code, jt, jf, k)
{filter}
code = ctypes.create_string_buffer(b''.join(program))
class Prog(ctypes.Structure): _fields_ = [('len', ctypes.c_ushort), ('filter', ctypes.c_void_p)]
prog = Prog(len(program), ctypes.cast(code, ctypes.c_void_p))
libc.prctl(38, 1, 0, 0, 0)
result = libc.syscall(SECCOMP, 1, FLAGS, ctypes.byref(prog))
assert result >= 0, ctypes.get_errno()
if FLAGS: os.set_inheritable(result, True)
os.execv({observe:?}, ['observe', '--method', {method:?}, '--log', 'log', '--outcome', 'outcome', '--copies', '.', '--scan', '.', '--', 'cat', 'data'])
",
        observe = observe().to_str().unwrap(),
    );
    room.put("data", "x");
    let status = Command::new(python())
        .args(["-c", &script])
        .current_dir(room.path())
        .status()
        .unwrap();
    let outcome = fs::read_to_string(room.at("outcome")).unwrap_or_default();
    let log = fs::read_to_string(room.at("log")).unwrap_or_default();
    (
        serde_json::from_str(&outcome).unwrap_or_default(),
        log,
        status.code(),
    )
}

const SECCOMP: u32 = libc::SYS_seccomp as u32;

/// A listener that is asked about nothing that happens here (number 9999).
fn foreign_listener() -> String {
    format!(
        "SECCOMP, FLAGS = {SECCOMP}, 8
program = [statement(0x20, 0), jump(0x15, 9999, 0, 1), statement(6, 0x7fc00000), statement(6, 0x7fff0000)]"
    )
}

/// A filter under which nobody may put on another, nor trace.
fn forbidding() -> String {
    format!(
        "SECCOMP, FLAGS = {SECCOMP}, 0
program = [statement(0x20, 0), jump(0x15, {SECCOMP}, 1, 0), jump(0x15, {ptrace}, 0, 1), statement(6, 0x00050001), statement(6, 0x7fff0000)]",
        ptrace = libc::SYS_ptrace
    )
}

#[test]
fn where_another_listens_the_debugging_interface_is_used() {
    let room = Room::new();
    let (outcome, log, status) = under_filter(&room, &foreign_listener(), "auto");
    assert_eq!(status, Some(0));
    assert_eq!(outcome["method"], "ptrace");
    assert!(
        log.contains(&format!("read {}", room.at("data").display())),
        "{log}"
    );
    let room = Room::new();
    let (_, _, status) = under_filter(&room, &foreign_listener(), "notify");
    assert_eq!(status, Some(125));
}

#[test]
fn where_nothing_is_allowed_files_are_compared() {
    let room = Room::new();
    let (outcome, log, status) = under_filter(&room, &forbidding(), "auto");
    assert_eq!(status, Some(0));
    assert_eq!(outcome["method"], "scan");
    assert_eq!(log, "");
    let room = Room::new();
    let (_, _, status) = under_filter(&room, &forbidding(), "ptrace");
    assert_eq!(status, Some(125));
}

#[test]
fn a_command_run_under_a_debugger_is_still_observed() {
    let room = Room::new();
    room.put("data", "x");
    let trace = room.at("strace");
    let status = Command::new("strace")
        .args([
            "-f",
            "-o",
            trace.to_str().unwrap(),
            observe().to_str().unwrap(),
        ])
        .args([
            "--log",
            "log",
            "--outcome",
            "outcome",
            "--copies",
            ".",
            "--",
            "cat",
            "data",
        ])
        .current_dir(room.path())
        .status();
    let Ok(status) = status else {
        eprintln!("skipped: no strace");
        return;
    };
    assert!(status.success());
    let log = fs::read_to_string(room.at("log")).unwrap();
    assert!(
        log.contains(&format!("read {}", room.at("data").display())),
        "{log}"
    );
}

#[test]
fn debuggers_inside_a_command_work() {
    let room = Room::new();
    room.put("data", "x");
    let told = room.sh("strace -f -o strace cat data");
    if told.outcome.exit == Exit::Code(127) {
        eprintln!("skipped: no strace");
        return;
    }
    assert_eq!(
        told.outcome.exit,
        Exit::Code(0),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    told.assert_has(&read(room.at("data")));
    assert!(
        fs::read_to_string(room.at("strace"))
            .unwrap()
            .contains("exited with 0")
    );
}

#[test]
fn a_forced_method_that_is_refused_is_an_error() {
    let room = Room::new();
    // A command that cannot be looked up is the same error with each method.
    for method in [Method::Notify, Method::Ptrace, Method::Scan] {
        let options = forced(room.options(["no-such-command"]), method);
        assert!(
            matches!(run(&options), Err(TraceError::NotFound { .. })),
            "{method:?}"
        );
    }
}

#[test]
fn programs_with_rights_of_their_own_keep_them_or_it_is_said() {
    let room = Room::new();
    let told = room.sh("grep NoNewPrivs /proc/self/status");
    let is_root = rustix::process::geteuid().is_root();
    let expected = if is_root {
        "NoNewPrivs:\t0\n"
    } else {
        "NoNewPrivs:\t1\n"
    };
    assert_eq!(told.text(), expected);
    assert!(
        told.kinds()
            .any(|kind| matches!(kind, AccessKind::Execute { .. }))
    );
}
