//! How commands end, and what becomes of everything that they started.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::panic::AssertUnwindSafe;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use capture::trace::{Access, AccessKind, Observer, TraceError, trace};
use entities::{Count, Exit};

use crate::support::{Room, compile, execute, is_alive, named, observe, python, read, run, write};

#[test]
fn statuses_and_signals_are_told_apart() {
    let room = Room::new();
    assert_eq!(room.sh("exit 0").outcome.exit, Exit::Code(0));
    assert_eq!(room.sh("exit 200").outcome.exit, Exit::Code(200));
    assert_eq!(room.sh("kill -9 $$").outcome.exit, Exit::Signal(9));
    assert_eq!(room.sh("kill -SEGV $$").outcome.exit, Exit::Signal(11));
    assert!(!room.sh("kill -INT $$").outcome.was_interrupted);
}

#[test]
fn a_command_that_is_not_there_is_told_from_one_that_cannot_be_executed() {
    let room = Room::new();
    let fails = |command: &[&str]| run(&room.options(command.iter().copied())).err().unwrap();
    assert!(
        matches!(fails(&["no-such-command"]), TraceError::NotFound { command } if command == "no-such-command")
    );
    assert!(matches!(
        fails(&["./no/such/command"]),
        TraceError::NotFound { .. }
    ));
    assert!(matches!(fails(&[]), TraceError::NoCommand));
    room.put("plain", "echo x");
    assert!(matches!(
        fails(&["./plain"]),
        TraceError::NotExecutable { .. }
    ));
    assert!(matches!(fails(&["./"]), TraceError::NotExecutable { .. }));
    let orphan = room.put("orphan", "#!/no/such/interpreter\n");
    fs::set_permissions(&orphan, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(
        fails(&["./orphan"]),
        TraceError::NotExecutable { .. }
    ));
    let mut options = room.options(["true"]);
    options.working_directory = room.at("missing");
    assert!(matches!(
        run(&options),
        Err(TraceError::WorkingDirectory { .. })
    ));
    options = room.options(["true"]);
    options.stdout = room.at("missing/stdout");
    assert!(matches!(run(&options), Err(TraceError::Copy { .. })));
    options = room.options(["a\0b"]);
    assert!(matches!(run(&options), Err(TraceError::ZeroByte { .. })));
}

#[test]
fn a_command_is_looked_up_in_the_path_that_it_is_given() {
    let room = Room::new();
    for (name, status) in [("one", 1), ("two", 2)] {
        let file = room.put(&format!("{name}/tool"), &format!("exit {status}\n"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(room.at("one/tool"), fs::Permissions::from_mode(0o644)).unwrap();
    let mut options = room.options(["tool"]);
    // Relative to where the command starts; the first is not executable; the second has no format but a shell's.
    options.environment = vec![
        ("PATH".into(), "none:one:two".into()),
        ("A".into(), "b".into()),
    ];
    let told = run(&options).unwrap();
    assert_eq!(told.outcome.exit, Exit::Code(2));
    told.assert_has(&execute(room.at("two/tool")));
}

#[test]
fn the_environment_is_the_given_one_and_nothing_else() {
    let room = Room::new();
    let mut options = room.options(["/usr/bin/env"]);
    options.environment = vec![
        ("A".into(), "b c".into()),
        ("EMPTY".into(), OsString::new()),
    ];
    let told = run(&options).unwrap();
    let text = told.text();
    let mut lines: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with("REPROOF_SUPERVISOR=@"))
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, ["A=b c", "EMPTY="]);
}

#[test]
fn a_child_that_outlives_its_parent_is_waited_for_and_followed() {
    let room = Room::new();
    let told = room.sh("(setsid sh -c 'sleep 0.4; echo late > late' > /dev/null 2>&1 &) ; exit 5");
    assert_eq!(told.outcome.exit, Exit::Code(5));
    assert!(room.at("late").exists());
    told.assert_has(&write(room.at("late")));
    assert!(
        told.outcome.usage.wall_ms >= 400,
        "{}",
        told.outcome.usage.wall_ms
    );
}

#[test]
fn a_child_that_outlives_its_parent_is_ended_where_asked_for() {
    let room = Room::new();
    let script = "(setsid sh -c 'trap \"\" TERM; echo $$ > stubborn; while :; do sleep 0.1; done' &)
(setsid sh -c 'trap \"echo asked > asked; exit\" TERM; echo $$ > polite; while :; do sleep 0.1; done' &)
while ! [ -s stubborn ] || ! [ -s polite ]; do sleep 0.05; done";
    let mut options = room.options(["sh", "-c", script]);
    options.ends_orphans = true;
    let start = Instant::now();
    let told = run(&options).unwrap();
    assert_eq!(told.outcome.exit, Exit::Code(0));
    assert!(start.elapsed() < Duration::from_secs(15));
    assert!(told.has_gap("orphans_ended"));
    assert!(
        room.at("asked").exists(),
        "it was not asked before it was killed"
    );
    for name in ["stubborn", "polite"] {
        let pid = fs::read_to_string(room.at(name))
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        assert!(!is_alive(pid), "{name} is left");
    }
}

#[test]
fn nothing_is_ended_where_nothing_is_left() {
    let room = Room::new();
    let mut options = room.options(["sh", "-c", "sleep 0.05 & wait"]);
    options.ends_orphans = true;
    let told = run(&options).unwrap();
    assert_eq!(told.outcome.exit, Exit::Code(0));
    assert!(!told.has_gap("orphans_ended"));
}

#[test]
fn two_hundred_threads_that_open_files_at_once_are_all_seen() {
    let room = Room::new();
    for index in 0..200 {
        room.put(&format!("in/{index}"), "x");
    }
    let told = room.python(
        "import threading
gate = threading.Barrier(200)
def work(index):
    gate.wait()
    for _ in range(5):
        data = open(f'in/{index}').read()
    open(f'out{index}', 'w').write(data)
threads = [threading.Thread(target=work, args=(i,)) for i in range(200)]
[t.start() for t in threads]
[t.join() for t in threads]
",
    );
    assert_eq!(
        told.outcome.exit,
        Exit::Code(0),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    assert_eq!(told.outcome.processes, 1);
    for index in 0..200 {
        assert_eq!(told.of(&room.at(&format!("in/{index}"))).len(), 5);
        told.assert_has(&write(room.at(&format!("out{index}"))));
    }
    let first = told.accesses.first().unwrap().pid;
    assert!(
        told.accesses.iter().all(|access| access.pid == first),
        "threads are told as processes"
    );
}

#[test]
fn processes_of_python_s_multiprocessing_are_followed() {
    let room = Room::new();
    for method in ["fork", "spawn", "forkserver"] {
        let script = room.put(
            "pool.py",
            &format!(
                "import multiprocessing as m
def work(index):
    open(f'{method}-{{index}}', 'w').write('x')
    return index
if __name__ == '__main__':
    m.set_start_method('{method}')
    with m.Pool(3) as pool:
        assert pool.map(work, range(6)) == list(range(6))
"
            ),
        );
        let told = room.run([python().as_os_str(), script.as_os_str()]);
        assert_eq!(
            told.outcome.exit,
            Exit::Code(0),
            "{}",
            String::from_utf8_lossy(&told.stderr)
        );
        for index in 0..6 {
            told.assert_has(&write(room.at(&format!("{method}-{index}"))));
        }
        assert!(told.outcome.processes >= 2, "{}", told.outcome.processes);
    }
}

#[test]
fn processes_are_counted_by_every_way_of_starting_one() {
    let room = Room::new();
    assert_eq!(
        room.sh("(cat /dev/null); /bin/true; echo > /dev/null")
            .outcome
            .processes,
        3
    );
    let told = room.python("import os, subprocess; subprocess.run(['true']); os.system('true'); os.posix_spawn('/bin/true', ['true'], {}); os.wait()");
    assert_eq!(
        told.outcome.exit,
        Exit::Code(0),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    // `os.system` has its shell execute the one command in its own place, or not.
    assert!(
        (4..=5).contains(&told.outcome.processes),
        "{}",
        told.outcome.processes
    );
}

#[test]
fn time_and_memory_are_those_of_the_whole_tree() {
    let room = Room::new();
    let script = "import os
def burn():
    end = os.times().user + 0.3
    while os.times().user < end: pass
if os.fork() == 0:
    block = bytearray(150_000_000)
    burn()
    os._exit(0)
burn()
os.wait()
";
    let told = room.python(script);
    let usage = told.outcome.usage;
    assert!(usage.user_cpu_ms >= 550, "{usage:?}");
    assert!(usage.user_cpu_ms < 5_000, "{usage:?}");
    assert!(usage.peak_memory_bytes >= Count(150_000_000), "{usage:?}");
    assert!(usage.peak_memory_bytes < Count(400_000_000), "{usage:?}");
    assert!(usage.wall_ms >= 250, "{usage:?}");
}

#[test]
fn samples_show_a_busy_tree() {
    let room = Room::new();
    let mut options = room.options(["sh", "-c", "(while :; do :; done) & sleep 1; kill $!"]);
    options.sample_interval_ms = 100;
    let told = run(&options).unwrap();
    let samples = &told.outcome.samples;
    assert!(samples.len() >= 4, "{samples:?}");
    assert!(
        samples.iter().any(|sample| sample.cpu_percent > 5.0),
        "{samples:?}"
    );
    assert!(
        samples.iter().all(|sample| sample.memory_bytes > 100_000),
        "{samples:?}"
    );
}

/// Waits long for one file only.
struct Slow {
    name: &'static str,
    time: Duration,
}

impl Observer for Slow {
    fn before(&self, access: Access) {
        if let AccessKind::Read { path } = &access.kind
            && path.ends_with(self.name)
        {
            std::thread::sleep(self.time);
        }
    }
}

#[test]
fn the_thread_that_asked_waits_and_no_other() {
    let room = Room::new();
    room.put("slow", "x");
    room.put("quick", "x");
    let script = "import threading, time
times = {}
def work(name, count):
    start = time.monotonic()
    for _ in range(count): open(name).close()
    times[name] = time.monotonic() - start
threads = [threading.Thread(target=work, args=a) for a in (('slow', 1), ('quick', 200))]
[t.start() for t in threads]
[t.join() for t in threads]
assert times['slow'] >= 1, times
assert times['quick'] < 0.8, times
";
    let options = room.options([python().as_os_str(), "-c".as_ref(), script.as_ref()]);
    let slow = Slow {
        name: "slow",
        time: Duration::from_secs(1),
    };
    let outcome = trace(&options, Arc::new(slow), &mut |_| {}).unwrap();
    assert_eq!(
        outcome.exit,
        Exit::Code(0),
        "{}",
        fs::read_to_string(&options.stderr).unwrap()
    );
}

#[test]
fn a_process_that_is_killed_while_it_waits_harms_nobody() {
    let room = Room::new();
    room.put("slow", "x");
    let script = "cat slow & sleep 0.2; kill -9 $!; wait; cat slow > /dev/null; echo over";
    let options = room.options(["sh", "-c", script]);
    let slow = Slow {
        name: "slow",
        time: Duration::from_millis(600),
    };
    let outcome = trace(&options, Arc::new(slow), &mut |_| {}).unwrap();
    assert_eq!(outcome.exit, Exit::Code(0));
    assert!(
        fs::read_to_string(&options.stdout)
            .unwrap()
            .ends_with("over\n")
    );
}

struct Panics;

impl Observer for Panics {
    fn before(&self, access: Access) {
        let AccessKind::Read { path } = access.kind else {
            return;
        };
        assert!(!path.ends_with("trap"), "the observer fell into the trap");
    }
}

#[test]
fn a_panic_of_the_observer_ends_the_command_and_goes_on() {
    let room = Room::new();
    room.put("trap", "x");
    let script = "echo $$ > pid; (setsid sleep 60 & echo $! > orphan) ; cat trap; sleep 60";
    let options = room.options(["sh", "-c", script]);
    let start = Instant::now();
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
        trace(&options, Arc::new(Panics), &mut |_| {}).map(drop)
    }));
    let panic = result.err().unwrap();
    assert!(panic.downcast_ref::<&str>().unwrap().contains("trap"));
    assert!(start.elapsed() < Duration::from_secs(20));
    for name in ["pid", "orphan"] {
        let pid = fs::read_to_string(room.at(name))
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        assert!(!is_alive(pid), "{name} is left");
    }
}

#[test]
fn the_start_is_told_with_the_process() {
    let room = Room::new();
    let options = room.options(["sh", "-c", "echo $$"]);
    let started = AtomicU32::new(0);
    let observer = Arc::new(Slow {
        name: "",
        time: Duration::ZERO,
    });
    trace(&options, observer, &mut |pid| {
        started.store(pid, Ordering::SeqCst);
    })
    .unwrap();
    let pid: u32 = fs::read_to_string(&options.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert_eq!(started.load(Ordering::SeqCst), pid);
}

#[test]
fn a_panic_at_the_start_leaves_nothing_behind() {
    let room = Room::new();
    let options = room.options(["sleep", "60"]);
    let observer = Arc::new(Slow {
        name: "",
        time: Duration::ZERO,
    });
    let started = AtomicU32::new(0);
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
        trace(&options, observer, &mut |pid| {
            started.store(pid, Ordering::SeqCst);
            panic!("at the start");
        })
        .map(drop)
    }));
    assert!(result.is_err());
    assert!(!is_alive(started.load(Ordering::SeqCst)));
}

/// Commands that many threads of one process start at once do not take each other's children.
#[test]
fn several_commands_at_once_do_not_mix() {
    let rooms: Vec<_> = (0..6).map(|_| Room::new()).collect();
    let rooms = &rooms;
    std::thread::scope(|scope| {
        for (index, room) in rooms.iter().enumerate() {
            scope.spawn(move || {
                room.put("mine", "x");
                let told = room.sh(&format!("cat mine; sleep 0.1; cat mine; exit {index}"));
                assert_eq!(told.outcome.exit, Exit::Code(index as i32));
                assert_eq!(told.of(&room.at("mine")).len(), 2);
                assert_eq!(told.stdout, b"xx");
                let others = rooms
                    .iter()
                    .enumerate()
                    .filter(|(other, _)| *other != index);
                for (_, other) in others {
                    assert!(!told.has(&read(other.at("mine"))));
                }
            });
        }
        // Other children of this process are still its own to wait for.
        for _ in 0..20 {
            assert!(Command::new("true").status().unwrap().success());
        }
    });
}

#[test]
fn descriptors_that_we_were_given_are_the_command_s_too_and_ours_are_not() {
    let room = Room::new();
    let observed = format!(
        "{} --copies {} --",
        observe().display(),
        room.path().display()
    );
    let [with, without] = [observed.as_str(), ""].map(|prefix| {
        let script = format!("exec 7< /dev/null; {prefix} sh -c 'ls /proc/self/fd'");
        String::from_utf8(
            Command::new("sh")
                .args(["-c", &script])
                .output()
                .unwrap()
                .stdout,
        )
        .unwrap()
    });
    assert!(with.lines().any(|descriptor| descriptor == "7"), "{with}");
    assert_eq!(with, without);
}

#[test]
fn a_program_of_vfork_and_many_children_is_followed() {
    let room = Room::new();
    let source = r#"
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static int in_clone(void *argument) { (void)argument; execl("/bin/true", "true", (char *)0); _exit(1); }
int main(void) {
    static char stack[65536], other[65536];
    for (int i = 0; i < 50; i++) {
        if (vfork() == 0) { execl("/bin/true", "true", (char *)0); _exit(1); }
    }
    clone(in_clone, stack + sizeof stack, CLONE_VM | SIGCHLD, 0);
    /* A child whose end sends no signal. */
    clone(in_clone, other + sizeof other, CLONE_VFORK, 0);
    while (waitpid(-1, 0, __WALL) > 0) {}
    return 0;
}
"#;
    let Some(program) = compile(&room, "forks", source, &[]) else {
        return;
    };
    let told = room.run([program]);
    assert_eq!(told.outcome.exit, Exit::Code(0));
    assert_eq!(told.outcome.processes, 53);
    assert_eq!(told.of(&named("/bin/true")).len(), 52);
}
