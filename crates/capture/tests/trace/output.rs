//! Standard input, output and error: pipes.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Room, observe, python, wait_until};

fn observed(room: &Room, command: &[&str]) -> Command {
    let mut observed = Command::new(observe());
    observed
        .args([
            "--copies",
            room.path().to_str().unwrap(),
            "--outcome",
            room.at("outcome").to_str().unwrap(),
            "--",
        ])
        .args(command)
        .current_dir(room.path());
    observed
}

#[test]
fn every_byte_passes_unchanged_and_is_kept() {
    let room = Room::new();
    let script = "import os, sys
data = bytes(range(256)) * 5000 + b'\\r\\n\\n\\r'
sys.stdout.buffer.write(data); sys.stdout.buffer.flush()
sys.stderr.buffer.write(data[::-1])
";
    let output = observed(&room, &[python().to_str().unwrap(), "-c", script])
        .output()
        .unwrap();
    let mut data: Vec<u8> = (0..=255).collect::<Vec<u8>>().repeat(5000);
    data.extend(b"\r\n\n\r");
    assert!(output.stdout == data && fs::read(room.at("stdout")).unwrap() == data);
    data.reverse();
    assert!(output.stderr == data && fs::read(room.at("stderr")).unwrap() == data);
}

#[test]
fn standard_input_is_handed_over() {
    let room = Room::new();
    let mut child = observed(&room, &["cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"from above")
        .unwrap();
    let mut text = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "from above");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reader_that_has_enough_ends_the_writer() {
    let room = Room::new();
    let script = format!(
        "{} --copies {} --outcome {} -- yes | head -n 1",
        observe().display(),
        room.path().display(),
        room.at("outcome").display()
    );
    let start = Instant::now();
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(output.stdout, b"y\n");
    assert!(start.elapsed() < Duration::from_secs(10));
    let outcome: serde_json::Value =
        serde_json::from_slice(&fs::read(room.at("outcome")).unwrap()).unwrap();
    assert_eq!(outcome["exit"]["signal"], 13, "{outcome}");
    assert!(
        outcome["gaps"]
            .as_array()
            .unwrap()
            .contains(&"output_cut".into())
    );
}

#[test]
fn a_reader_that_is_slow_slows_the_writer() {
    let room = Room::new();
    let script = "import os
for index in range(100):
    os.write(1, b'x' * 65536)
    open('progress', 'w').write(str(index))
";
    let command = [python().to_str().unwrap(), "-c", script];
    let mut child = observed(&room, &command)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the first block", || room.at("progress").exists());
    std::thread::sleep(Duration::from_millis(300));
    let progress: u32 = fs::read_to_string(room.at("progress"))
        .unwrap()
        .parse()
        .unwrap();
    assert!(progress < 20, "{progress} blocks are under way");
    let mut all = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), 6_553_600);
    assert!(child.wait().unwrap().success());
}

#[test]
fn output_of_orphans_is_kept_to_its_end() {
    let room = Room::new();
    let output = observed(
        &room,
        &[
            "sh",
            "-c",
            "(setsid sh -c 'sleep 0.3; echo late' &) ; echo early",
        ],
    )
    .output()
    .unwrap();
    assert_eq!(output.stdout, b"early\nlate\n");
    assert_eq!(fs::read(room.at("stdout")).unwrap(), b"early\nlate\n");
}

#[test]
fn a_copy_that_cannot_be_written_does_not_stop_the_command() {
    let room = Room::new();
    if fs::metadata("/dev/full").is_err() {
        eprintln!("skipped: no /dev/full");
        return;
    }
    std::os::unix::fs::symlink("/dev/full", room.at("stdout")).unwrap();
    let output = observed(&room, &["echo", "seen"]).output().unwrap();
    assert_eq!(output.stdout, b"seen\n");
    let outcome: serde_json::Value =
        serde_json::from_slice(&fs::read(room.at("outcome")).unwrap()).unwrap();
    assert!(
        outcome["gaps"]
            .as_array()
            .unwrap()
            .contains(&"output_not_kept".into()),
        "{outcome}"
    );
}

#[test]
fn sigpipe_is_as_programs_expect_it() {
    let room = Room::new();
    let output = observed(
        &room,
        &["sh", "-c", "grep -E 'SigIgn|SigBlk' /proc/self/status"],
    )
    .output()
    .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for line in text.lines() {
        let mask = u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
        assert_eq!(mask & (1 << (libc::SIGPIPE - 1)), 0, "{text}");
        if line.starts_with("SigBlk") {
            assert_eq!(mask, 0, "{text}");
        }
    }
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let room = Room::new();
    let script = format!(
        "trap '' HUP; exec {} --copies {} -- sh -c 'kill -HUP $PPID; kill -HUP $$; echo alive'",
        observe().display(),
        room.path().display()
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(output.stdout, b"alive\n");
}
