//! Runs inside of runs.

use std::fs;
use std::path::Path;

use capture::trace::{Method, MethodChoice};
use entities::Exit;

use crate::support::{Room, observe, read, run, write};

fn inner(room: &Room, name: &str, arguments: &str, command: &str) -> String {
    format!(
        "{} --log {} --outcome {} --copies {} {arguments} -- {command}",
        observe().display(),
        room.at(&format!("{name}.log")).display(),
        room.at(&format!("{name}.outcome")).display(),
        room.path().display(),
    )
}

fn log_of(room: &Room, name: &str) -> String {
    fs::read_to_string(room.at(&format!("{name}.log"))).unwrap()
}

fn outcome_of(room: &Room, name: &str) -> serde_json::Value {
    serde_json::from_str(&fs::read_to_string(room.at(&format!("{name}.outcome"))).unwrap()).unwrap()
}

fn has(log: &str, what: &str, path: &Path) -> bool {
    log.lines()
        .any(|line| line.ends_with(&format!("{what} {}", path.display())))
}

#[test]
fn an_inner_run_joins_the_outer_supervisor_and_both_see_its_files() {
    let room = Room::new();
    room.put("before", "x");
    room.put("data", "x");
    let script = format!(
        "cat before; {}; echo status $?",
        inner(&room, "inner", "", "sh -c 'cat data > copy; exit 7'")
    );
    let told = room.sh(&script);
    assert!(told.text().ends_with("status 7\n"), "{}", told.text());
    for name in ["before", "data"] {
        told.assert_has(&read(room.at(name)));
    }
    told.assert_has(&write(room.at("copy")));
    let log = log_of(&room, "inner");
    assert!(
        has(&log, "read", &room.at("data")) && has(&log, "write", &room.at("copy")),
        "{log}"
    );
    assert!(
        has(&log, "execute", &crate::support::named("/bin/cat")),
        "{log}"
    );
    // Neither what was before it, nor its own supervisor's files.
    assert!(!has(&log, "read", &room.at("before")));
    assert!(!has(&log, "write", &room.at("inner.outcome")));
    told.assert_has(&write(room.at("inner.outcome")));
    let outcome = outcome_of(&room, "inner");
    assert_eq!(outcome["method"], "notify");
    assert_eq!(outcome["processes"], 2);
}

#[test]
fn links_are_told_to_an_inner_run_too() {
    let room = Room::new();
    room.put("real/data", "x");
    std::os::unix::fs::symlink("real", room.at("link")).unwrap();
    room.sh(&format!(
        "cat link/data; {}",
        inner(&room, "inner", "", "cat link/data")
    ));
    let log = log_of(&room, "inner");
    assert!(has(&log, "link", &room.at("link")), "{log}");
}

#[test]
fn runs_three_deep_each_see_their_own() {
    let room = Room::new();
    for name in ["one", "two", "three"] {
        room.put(name, "x");
    }
    let third = room.at("third.sh");
    fs::write(
        &third,
        format!("cat two\n{}\n", inner(&room, "third", "", "cat three")),
    )
    .unwrap();
    let script = format!(
        "cat one; {}",
        inner(&room, "second", "", &format!("sh {}", third.display()))
    );
    let told = room.sh(&script);
    assert_eq!(
        told.stdout,
        b"xxx",
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    let seen = |log: &str| ["one", "two", "three"].map(|name| has(log, "read", &room.at(name)));
    assert_eq!(seen(&log_of(&room, "second")), [false, true, true]);
    assert_eq!(seen(&log_of(&room, "third")), [false, false, true]);
    for name in ["one", "two", "three"] {
        told.assert_has(&read(room.at(name)));
    }
}

#[test]
fn a_slow_inner_observer_holds_up_its_own_threads_only() {
    let room = Room::new();
    room.put("slow", "x");
    // More threads than the supervisors have, all waiting for an observer that itself opens files.
    let script = room.put(
        "threads.py",
        "import threading
def work(): open('slow').close()
threads = [threading.Thread(target=work) for _ in range(40)]
[t.start() for t in threads]
[t.join() for t in threads]
",
    );
    let command = format!(
        "{} {}",
        crate::support::python().display(),
        script.display()
    );
    let told = room.sh(&inner(&room, "inner", "--slow slow=50", &command));
    assert_eq!(told.outcome.exit, Exit::Code(0));
    let log = log_of(&room, "inner");
    assert_eq!(
        log.lines()
            .filter(|line| line.ends_with(&format!("read {}", room.at("slow").display())))
            .count(),
        40
    );
}

#[test]
fn an_inner_supervisor_that_is_killed_lets_its_command_end() {
    let room = Room::new();
    room.put("slow", "x");
    let script = format!(
        "{} & sleep 0.5; kill -9 $!; wait; cat slow; echo over",
        inner(
            &room,
            "inner",
            "--slow slow=100000",
            "sh -c 'echo $$ > pid; cat slow; sleep 60'"
        )
    );
    let told = room.sh(&script);
    assert!(told.text().ends_with("over\n"), "{}", told.text());
    let pid = fs::read_to_string(room.at("pid"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(!crate::support::is_alive(pid));
}

#[test]
fn where_the_outer_run_cannot_tell_files_are_compared() {
    let room = Room::new();
    room.put("data", "x");
    let script = inner(&room, "inner", "--scan .", "sh -c 'cat data > copy'");
    let mut options = room.options(["sh", "-c", &script]);
    options.choice = MethodChoice::Force(Method::Ptrace);
    let told = run(&options).unwrap();
    assert_eq!(told.outcome.exit, Exit::Code(0));
    told.assert_has(&write(room.at("copy")));
    let outcome = outcome_of(&room, "inner");
    assert_eq!(outcome["method"], "scan");
    let changed = outcome["changed"].as_array().unwrap();
    assert!(
        changed
            .iter()
            .any(|path| path.as_str().unwrap().ends_with("copy")),
        "{changed:?}"
    );
}

#[test]
fn inside_a_scanned_run_an_inner_one_has_its_own_listener() {
    let room = Room::new();
    room.put("data", "x");
    let mut options = room.options(["sh", "-c", &inner(&room, "inner", "", "cat data")]);
    options.choice = MethodChoice::Force(Method::Scan);
    run(&options).unwrap();
    assert_eq!(outcome_of(&room, "inner")["method"], "notify");
    assert!(has(&log_of(&room, "inner"), "read", &room.at("data")));
}

#[test]
fn a_supervisor_that_is_gone_is_passed_over() {
    let room = Room::new();
    room.put("data", "x");
    for address in ["@no-such-supervisor", "", "/no/such/socket", "@", "@\u{1}"] {
        let mut options = room.options(["cat", "data"]);
        options
            .environment
            .push(("REPROOF_SUPERVISOR".into(), address.into()));
        let told = run(&options).unwrap();
        assert_eq!(told.outcome.method, Method::Notify);
        told.assert_has(&read(room.at("data")));
    }
}

/// Somebody who speaks nonsense to the supervisor, or claims a process that is not his.
#[test]
fn strangers_cannot_join() {
    let room = Room::new();
    let told = room.python(
        "import json, os, socket
address = b'\\0' + os.environ['REPROOF_SUPERVISOR'][1:].encode()
def say(*packets):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(5)
    s.connect(address)
    for packet in packets: s.send(packet)
    return s.recv(65536)
refused = {'is_accepted': False}
assert json.loads(say(b'nonsense')) == refused
assert json.loads(say(b'\\xff' * 70000)) == refused
for keeper in (1, os.getppid(), 0, 2**32 - 1):
    assert json.loads(say(json.dumps({'v': 1, 'keeper': keeper}).encode())) == refused, keeper
assert json.loads(say(json.dumps({'v': 2, 'keeper': os.getpid()}).encode())) == refused
mute = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
mute.connect(address)
print('refused')
",
    );
    assert_eq!(
        told.text(),
        "refused\n",
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
}
