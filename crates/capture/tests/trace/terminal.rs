//! Commands on a terminal. A script of Python stands for the user: it opens a terminal and types.

use std::fs;
use std::process::Command;

use crate::support::{Room, observe, python};

/// What the user's side begins with: `start` runs a command line on a new terminal, `expect` waits for a text.
const USER: &str = r"
import os, pty, re, select, signal, struct, sys, termios, time, fcntl
def start(*command, rows=33, columns=77):
    global pid, terminal, seen
    seen = b''
    has_size, tell = os.pipe()
    pid, terminal = pty.fork()
    if pid == 0:
        os.read(has_size, 1)
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
    os.write(tell, b'!')
def expect(text, seconds=15):
    global seen
    end = time.monotonic() + seconds
    while True:
        found = re.search(text, seen)
        if found:
            seen = seen[found.end():]
            return found
        left = end - time.monotonic()
        assert left > 0, (text, seen[-500:])
        if select.select([terminal], [], [], left)[0]:
            try: data = os.read(terminal, 65536)
            except OSError: data = b''
            assert data, (text, seen[-500:], 'ended')
            seen += data
def type(text): os.write(terminal, text)
def finish(seconds=15):
    global seen
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.05)[0]:
            try: seen += os.read(terminal, 65536)
            except OSError: pass
        done, status = os.waitpid(pid, os.WNOHANG)
        if done: return status
    raise AssertionError('it does not end', seen[-500:])
";

/// Runs the user's side; `observe` stands there for a command line that observes what follows.
#[track_caller]
fn as_user(room: &Room, script: &str) {
    let observed = format!(
        "observe = [{:?}, '--copies', {:?}, '--outcome', {:?}, '--log', {:?}, '--']\npython = {:?}\n",
        observe().to_str().unwrap(),
        room.path().to_str().unwrap(),
        room.at("outcome").to_str().unwrap(),
        room.at("log").to_str().unwrap(),
        python().to_str().unwrap(),
    );
    let all = format!("{USER}{observed}{script}");
    let output = Command::new(python())
        .args(["-c", &all])
        .current_dir(room.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn outcome_of(room: &Room) -> serde_json::Value {
    serde_json::from_slice(&fs::read(room.at("outcome")).unwrap()).unwrap()
}

#[test]
fn a_command_has_a_terminal_of_the_same_size_and_settings() {
    let room = Room::new();
    as_user(
        &room,
        r#"
start(*observe, 'sh', '-c', 'sleep 0.2; test -t 0 && test -t 1 && test -t 2 && echo three; stty size; stty -a | grep -o "[-]*echo "; echo x > /dev/tty')
expect(rb'three\r\n33 77\r\n')
expect(rb'echo \r\n')
expect(rb'x\r\n')
assert finish() == 0
"#,
    );
    // What the terminal did to line feeds is not in the copy.
    assert!(
        fs::read_to_string(room.at("stdout"))
            .unwrap()
            .starts_with("three\n33 77\n")
    );
}

#[test]
fn what_is_typed_is_read_and_echoed_once() {
    let room = Room::new();
    as_user(
        &room,
        r#"
start(*observe, python, '-c', 'print("got", repr(input("name? ")))')
expect(rb'name\? ')
type(b'ab\n')
expect(rb"^ab\r\ngot 'ab'\r\n")
assert finish() == 0
"#,
    );
    assert_eq!(
        fs::read_to_string(room.at("stdout")).unwrap(),
        "name? ab\ngot 'ab'\n"
    );
}

#[test]
fn end_of_file_and_raw_keys_reach_the_command() {
    let room = Room::new();
    as_user(
        &room,
        r#"
start(*observe, 'cat')
time.sleep(0.3)
type(b'line\n\x04')
expect(rb'line\r\nline\r\n')
assert finish() == 0
start(*observe, python, '-c', '''
import sys, termios, tty
before = termios.tcgetattr(0)
tty.setraw(0)
print("ready", end="\\r\\n", flush=True)
print(repr(sys.stdin.buffer.read(3)), end="\\r\\n", flush=True)
termios.tcsetattr(0, termios.TCSANOW, before)
print("cooked")
''')
expect(rb'ready\r\n')
type(b'\x03\x1a\r')
expect(rb"b'\\x03\\x1a\\r'\r\ncooked\r\n")
assert finish() == 0
"#,
    );
    assert_eq!(outcome_of(&room)["was_interrupted"], false);
}

#[test]
fn an_interrupt_from_the_keyboard_ends_the_command_and_not_us() {
    let room = Room::new();
    as_user(
        &room,
        r"
start(*observe, 'sh', '-c', 'echo ready; exec sleep 60')
expect(rb'ready')
time.sleep(0.1)
type(b'\x03')
assert os.waitstatus_to_exitcode(finish()) == 130
",
    );
    let outcome = outcome_of(&room);
    assert_eq!(outcome["exit"]["signal"], 2);
    assert_eq!(outcome["was_interrupted"], true);
}

#[test]
fn a_changed_size_reaches_the_command() {
    let room = Room::new();
    as_user(
        &room,
        r#"
start(*observe, 'sh', '-c', 'trap "stty size; exit" WINCH; echo ready; while :; do sleep 0.05; done')
expect(rb'ready')
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 11, 22, 0, 0))
expect(rb'11 22')
assert finish() == 0
"#,
    );
}

#[test]
fn the_terminal_is_as_before_whatever_way_it_ends() {
    let room = Room::new();
    as_user(
        &room,
        r#"
script = 'stty -a > before; "$@"; stty -a > after; cmp before after && echo same'
def check(*command, status=b'same', act=lambda: None):
    start('sh', '-c', script, 'sh', *command)
    act()
    expect(status)
    finish()
# Its command ends, changes its own settings, is not found, is killed.
check(*observe, 'true')
check(*observe, 'stty', 'raw', '-echo')
check(*observe, 'no-such-command')
check(*observe, 'sh', '-c', 'kill -9 $$')
# It is itself killed: its keeper sets the terminal back.
start('bash', '-m', '-c', 'stty -a > before; python3 -c "import os,sys; open(\'supervisor\',\'w\').write(str(os.getpid())); os.execv(sys.argv[1], sys.argv[1:])" "$@"; sleep 0.5; stty -a > after; cmp before after && echo same', 'bash', *observe, 'sh', '-c', 'echo ready; sleep 60')
expect(rb'ready')
os.kill(int(open('supervisor').read()), signal.SIGKILL)
expect(rb'same')
finish()
"#,
    );
}

#[test]
fn a_command_can_be_stopped_and_continued_from_a_shell() {
    let room = Room::new();
    as_user(
        &room,
        r#"
start('bash', '--norc', '-i')
type(b"PS1='prompt> '\n")
expect(rb"prompt> ")
type(b' '.join(word.encode() for word in observe) + b" sh -c 'echo ready; read line; echo line $line'\n")
expect(rb'[\r\n]ready\r\n')
time.sleep(0.2)
type(b'\x1a')
expect(rb'Stopped')
expect(rb'prompt> ')
type(b'stty -a | grep -c icanon\n')
expect(rb'[\r\n]1\r\n')
type(b'fg\n')
time.sleep(0.2)
type(b'word\n')
expect(rb'line word')
expect(rb'prompt> ')
type(b'exit\n')
finish()
"#,
    );
}

#[test]
fn in_the_background_the_terminal_is_left_alone() {
    let room = Room::new();
    as_user(
        &room,
        r#"
start('bash', '--norc', '-i')
type(b"PS1='prompt> '\n")
expect(rb'prompt> ')
type(b' '.join(word.encode() for word in observe) + b" sh -c 'test -t 1 && echo on a terminal' & wait; echo all $?\n")
expect(rb'[\r\n]on a terminal\r\n')
expect(rb'all 0')
type(b'exit\n')
finish()
"#,
    );
}

#[test]
fn only_what_is_a_terminal_for_us_is_one_for_the_command() {
    let room = Room::new();
    as_user(
        &room,
        r#"
test = 'for n in 0 1 2; do test -t $n && echo $n yes >> tty || echo $n no >> tty; done; echo out; echo err >&2'
def check(redirect, expected):
    if os.path.exists('tty'): os.unlink('tty')
    words = ' '.join(observe)
    start('sh', '-c', f"{words} sh -c '{test}' {redirect}; echo done")
    expect(rb'done')
    finish()
    assert open('tty').read().split() == expected.split(), (redirect, open('tty').read())
check('', '0 yes 1 yes 2 yes')
check('> out', '0 yes 1 no 2 yes')
assert open('out').read() == 'out\n'
check('2> err', '0 yes 1 yes 2 no')
assert open('err').read() == 'err\n'
check('> out 2> err', '0 yes 1 no 2 no')
check('< /dev/null', '0 no 1 yes 2 yes')
check('< /dev/null | cat', '0 no 1 no 2 yes')
"#,
    );
}

#[test]
fn with_input_from_elsewhere_keys_still_interrupt() {
    let room = Room::new();
    as_user(
        &room,
        r#"
start('sh', '-c', ' '.join(observe) + " sh -c 'echo ready; exec sleep 60' < /dev/null; echo status $?")
expect(rb'ready')
time.sleep(0.1)
type(b'\x03')
# The shell itself is interrupted too.
status = finish()
"#,
    );
    let outcome = outcome_of(&room);
    assert_eq!(
        (&outcome["exit"]["signal"], &outcome["was_interrupted"]),
        (&2.into(), &true.into())
    );
}

#[test]
fn a_great_deal_of_output_and_input_passes() {
    let room = Room::new();
    as_user(
        &room,
        r#"
start(*observe, python, '-c', 'import sys, termios\na = termios.tcgetattr(0)\na[3] &= ~termios.ECHO\ntermios.tcsetattr(0, termios.TCSANOW, a)\nprint("ready", flush=True)\nn = sum(len(sys.stdin.readline()) for _ in range(2000))\nprint("sum", n)\nfor i in range(20000): print(i)')
expect(rb'ready')
def feed():
    for _ in range(2000):
        os.write(terminal, b'x' * 20 + b'\n')
import threading
thread = threading.Thread(target=feed); thread.start()
expect(rb'sum 42000')
expect(rb'\n19999\r\n')
thread.join()
assert finish() == 0
"#,
    );
}
