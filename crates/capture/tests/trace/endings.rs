//! How commands end when somebody wants them to, and when a supervisor is killed.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Room, is_alive, observe, wait_until};

fn start_observed(room: &Room, arguments: &[&str], script: &str) -> std::process::Child {
    Command::new(observe())
        .args([
            "--copies",
            room.path().to_str().unwrap(),
            "--outcome",
            room.at("outcome").to_str().unwrap(),
        ])
        .args(arguments)
        .args(["--", "sh", "-c", script])
        .current_dir(room.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn outcome_of(room: &Room) -> serde_json::Value {
    serde_json::from_str(&fs::read_to_string(room.at("outcome")).unwrap()).unwrap()
}

fn signal(pid: u32, signal: i32) {
    let result = rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid as i32).unwrap(),
        match signal {
            libc::SIGTERM => rustix::process::Signal::TERM,
            libc::SIGINT => rustix::process::Signal::INT,
            libc::SIGUSR1 => rustix::process::Signal::USR1,
            _ => rustix::process::Signal::KILL,
        },
    );
    result.unwrap();
}

#[test]
fn signals_to_us_reach_the_command_and_we_survive_them() {
    let room = Room::new();
    let script = "trap 'echo usr1 >> got' USR1; trap 'echo term >> got; exit 9' TERM; echo > ready; while :; do sleep 0.02; done";
    let mut child = start_observed(&room, &[], script);
    wait_until("the command", || room.at("ready").exists());
    signal(child.id(), libc::SIGUSR1);
    wait_until("the first signal", || {
        fs::read_to_string(room.at("got")).is_ok_and(|got| got == "usr1\n")
    });
    signal(child.id(), libc::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(9));
    assert_eq!(fs::read_to_string(room.at("got")).unwrap(), "usr1\nterm\n");
    let outcome = outcome_of(&room);
    assert_eq!(outcome["was_interrupted"], true);
    assert_eq!(outcome["exit"]["code"], 9);
}

#[test]
fn an_interrupt_that_ends_the_command_is_told_as_its_signal() {
    let room = Room::new();
    let mut child = start_observed(&room, &[], "echo > ready; exec sleep 60");
    wait_until("the command", || room.at("ready").exists());
    std::thread::sleep(Duration::from_millis(50));
    signal(child.id(), libc::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let outcome = outcome_of(&room);
    assert_eq!(
        (&outcome["exit"]["signal"], &outcome["was_interrupted"]),
        (&2.into(), &true.into())
    );
}

/// With its supervisor gone a command's calls fail; nothing of it may hang or stay.
#[test]
fn a_killed_supervisor_takes_the_command_with_it() {
    let room = Room::new();
    let script = "echo $$ > first; (setsid sh -c 'trap \"\" TERM HUP; echo $$ > second; while :; do sleep 1; done' &)
while :; do cat first > /dev/null; done";
    let mut child = start_observed(&room, &[], script);
    let pid_in =
        |name: &str| -> Option<u32> { fs::read_to_string(room.at(name)).ok()?.trim().parse().ok() };
    wait_until("both processes", || {
        pid_in("first").is_some() && pid_in("second").is_some()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let pids: Vec<u32> = ["first", "second"]
        .iter()
        .map(|name| pid_in(name).unwrap())
        .collect();
    wait_until("the end of the command", || {
        pids.iter().all(|&pid| !is_alive(pid))
    });
}

/// At whatever moment it is killed, while the command is being started too.
#[test]
fn a_supervisor_killed_at_the_start_leaves_nothing_behind() {
    let room = Room::new();
    for round in 0..40_u64 {
        let mark = format!("{}-{round}", room.path().display());
        let method = ["notify", "ptrace", "scan"][round as usize % 3];
        let mut child = Command::new(observe())
            .args([
                "--copies",
                room.path().to_str().unwrap(),
                "--method",
                method,
                "--",
                "sleep",
                "60",
            ])
            .env("MARK_OF_A_TEST", &mark)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(300 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        wait_until(&format!("the end of round {round} with {method}"), || {
            !is_marked_left(&mark)
        });
    }
}

fn is_marked_left(mark: &str) -> bool {
    let line = format!("MARK_OF_A_TEST={mark}").into_bytes();
    let pids = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|&pid| is_alive(pid)).any(|pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|&byte| byte == 0)
            .any(|variable| variable == line)
    })
}

#[test]
fn a_request_to_end_reaches_what_outlives_the_command() {
    let room = Room::new();
    let script = "echo > ready; cat /dev/null; sleep 60";
    let mut child = start_observed(&room, &[], script);
    wait_until("the command", || room.at("ready").exists());
    std::thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    signal(child.id(), libc::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_killed_keeper_leaves_nothing_behind() {
    let room = Room::new();
    let script = "echo $PPID > keeper; (setsid sh -c 'echo $$ > second; sleep 60' &) ; echo $$ > first; sleep 60";
    let mut child = start_observed(&room, &[], script);
    let pid_in =
        |name: &str| -> Option<u32> { fs::read_to_string(room.at(name)).ok()?.trim().parse().ok() };
    wait_until("all processes", || {
        ["keeper", "first", "second"]
            .iter()
            .all(|name| pid_in(name).is_some())
    });
    signal(pid_in("keeper").unwrap(), libc::SIGKILL);
    assert_eq!(child.wait().unwrap().code(), Some(125));
    let outcome = outcome_of(&room);
    assert_eq!(outcome["exit"], "unknown");
    assert!(
        outcome["gaps"]
            .as_array()
            .unwrap()
            .contains(&"lost_supervision".into())
    );
    for name in ["first", "second"] {
        let pid = pid_in(name).unwrap();
        wait_until("the end of the command", || !is_alive(pid));
    }
}
