//! What commands do to files is told, with the paths that it was really done to.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::support::{Room, append, execute, named, python, read, write};
use capture::trace::{AccessKind, Method};
use entities::Exit;

#[test]
fn a_real_python_program_is_followed_from_its_execution_on() {
    let room = Room::new();
    let data = room.put("data.csv", "a,b\n1,2\n");
    let told = room.python("open('copy.csv', 'w').write(open('data.csv').read())");
    assert_eq!(told.outcome.exit, Exit::Code(0));
    assert_eq!(told.outcome.method, Method::Notify);
    assert_eq!(told.outcome.processes, 1);
    told.assert_has(&execute(python()));
    told.assert_has(&read(&data));
    told.assert_has(&write(room.at("copy.csv")));
    // Its standard library and the loader are among what it read.
    assert!(
        told.kinds()
            .any(|kind| matches!(kind, AccessKind::Read { path } if path.ends_with("libc.so.6")))
    );
    assert!(told.kinds().any(
        |kind| matches!(kind, AccessKind::Read { path } if path.file_name().unwrap().as_bytes().starts_with(b"ld-"))
    ));
    assert_eq!(
        fs::read_to_string(room.at("copy.csv")).unwrap(),
        "a,b\n1,2\n"
    );
}

#[test]
fn programs_that_a_shell_starts_are_followed_too() {
    let room = Room::new();
    let source = room.put("from", "x");
    let told = room.sh("cp from to && cat to >> log && mv to moved && ln moved second && ln -s moved soft && rm second");
    assert_eq!(told.outcome.exit, Exit::Code(0));
    told.assert_has(&read(source));
    let to = room.at("to");
    assert!(
        told.of(&to)
            .iter()
            .any(|kind| matches!(kind, AccessKind::Write { .. })),
        "{:?}",
        told.of(&to)
    );
    told.assert_has(&append(room.at("log")));
    told.assert_has(&AccessKind::Rename {
        from: to,
        to: room.at("moved"),
    });
    told.assert_has(&AccessKind::Link {
        from: room.at("moved"),
        to: room.at("second"),
    });
    told.assert_has(&AccessKind::Symlink {
        path: room.at("soft"),
    });
    told.assert_has(&AccessKind::Remove {
        path: room.at("second"),
    });
    assert!(told.outcome.processes >= 6, "{}", told.outcome.processes);
}

#[test]
fn each_way_of_opening_is_told_with_its_meaning() {
    let room = Room::new();
    for name in ["r", "w", "a", "rw", "rwt", "trunc", "excl"] {
        room.put(name, "content");
    }
    let told = room.python(
        "import os
def o(name, flags):
    try: os.close(os.open(name, flags, 0o600))
    except OSError: pass
o('r', os.O_RDONLY)
o('w', os.O_WRONLY | os.O_TRUNC | os.O_CREAT)
o('a', os.O_WRONLY | os.O_APPEND)
o('rw', os.O_RDWR)
o('rwt', os.O_RDWR | os.O_TRUNC)
o('excl', os.O_WRONLY | os.O_CREAT | os.O_EXCL)
o('missing', os.O_RDONLY)
o('missing', os.O_WRONLY)
o('no/folder', os.O_WRONLY | os.O_CREAT)
o('new', os.O_RDONLY | os.O_CREAT)
o('.', os.O_RDONLY)
os.truncate('trunc', 3)
",
    );
    told.assert_has(&read(room.at("r")));
    told.assert_has(&write(room.at("w")));
    told.assert_has(&append(room.at("a")));
    told.assert_has(&AccessKind::Write {
        path: room.at("rw"),
        keeps_content: true,
        reads: true,
    });
    told.assert_has(&AccessKind::Write {
        path: room.at("rwt"),
        keeps_content: false,
        reads: true,
    });
    told.assert_has(&append(room.at("new")));
    told.assert_has(&append(room.at("trunc")));
    for name in ["excl", "missing", "no/folder"] {
        assert_eq!(told.of(&room.at(name)), Vec::<&AccessKind>::new(), "{name}");
    }
    assert_eq!(told.of(&room.path()), Vec::<&AccessKind>::new());
}

#[test]
fn names_of_any_bytes_are_told_to_the_byte() {
    let room = Room::new();
    let names = [
        &b"with space"[..],
        b"with\nnewline",
        b"\xff\xfe not utf-8",
        b"\xc3\xa4",
        b"-dash",
        b"a'b\"c",
    ];
    for name in names {
        fs::write(room.path().join(OsStr::from_bytes(name)), "x").unwrap();
    }
    let mut command = vec![OsString::from("cat"), OsString::from("--")];
    command.extend(names.iter().map(|name| OsStr::from_bytes(name).to_owned()));
    let told = room.run(command);
    assert_eq!(told.outcome.exit, Exit::Code(0));
    for name in names {
        told.assert_has(&read(room.path().join(OsStr::from_bytes(name))));
    }
}

#[test]
fn links_are_followed_where_the_kernel_follows_them() {
    let room = Room::new();
    let target = room.put("real/target", "x");
    symlink("real", room.at("folder")).unwrap();
    symlink("target", room.at("real/link")).unwrap();
    symlink("real/made", room.at("broken")).unwrap();
    symlink("circle", room.at("circle")).unwrap();
    symlink(room.at("folder"), room.at("absolute")).unwrap();
    let told = room.sh("cat folder/./link absolute/../real/target; echo x > broken; cat circle; rm folder/link; rm -f none");
    told.assert_has(&read(&target));
    assert_eq!(told.of(&target).len(), 2);
    told.assert_has(&write(room.at("real/made")));
    told.assert_has(&AccessKind::Remove {
        path: room.at("real/link"),
    });
    assert_eq!(told.of(&room.at("circle")), Vec::<&AccessKind>::new());
    assert_eq!(told.of(&room.at("none")), Vec::<&AccessKind>::new());
}

#[test]
fn a_link_of_a_link_to_something_missing_is_made_where_it_leads() {
    let room = Room::new();
    fs::create_dir(room.at("deep")).unwrap();
    symlink("deep/two", room.at("one")).unwrap();
    symlink("../three", room.at("deep/two")).unwrap();
    let told = room.sh("echo x > one");
    assert!(room.at("three").exists());
    told.assert_has(&write(room.at("three")));
}

#[test]
fn paths_relative_to_descriptors_and_folders_are_resolved() {
    let room = Room::new();
    room.put("sub/inside", "x");
    room.put("sub/other", "x");
    let told = room.python(
        "import os
fd = os.open('sub', os.O_RDONLY)
os.open('inside', os.O_RDONLY, dir_fd=fd)
os.rename('other', 'renamed', src_dir_fd=fd, dst_dir_fd=fd)
os.link('inside', 'linked', src_dir_fd=fd, dst_dir_fd=fd)
os.symlink('inside', 'soft', dir_fd=fd)
os.chdir('sub')
open('../up', 'w')
os.unlink('linked')
",
    );
    assert_eq!(
        told.outcome.exit,
        Exit::Code(0),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    told.assert_has(&read(room.at("sub/inside")));
    told.assert_has(&AccessKind::Rename {
        from: room.at("sub/other"),
        to: room.at("sub/renamed"),
    });
    told.assert_has(&AccessKind::Link {
        from: room.at("sub/inside"),
        to: room.at("sub/linked"),
    });
    told.assert_has(&AccessKind::Symlink {
        path: room.at("sub/soft"),
    });
    told.assert_has(&write(room.at("up")));
    told.assert_has(&AccessKind::Remove {
        path: room.at("sub/linked"),
    });
}

#[test]
fn the_command_s_own_descriptors_are_meant_not_ours() {
    let room = Room::new();
    let data = room.put("data", "x");
    symlink("/proc/self/fd/9", room.at("nine")).unwrap();
    let told = room.sh("exec 9< data; cat /dev/fd/9; cat /proc/self/fd/9; cat nine; cat /proc/self/cwd/data; cat /proc/self/status > /dev/null; echo x | cat /dev/stdin");
    assert_eq!(
        told.outcome.exit,
        Exit::Code(0),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    assert_eq!(told.of(&data).len(), 5, "{:#?}", told.of(&data));
    let own = format!("/proc/{}", std::process::id());
    let strays: Vec<_> = told
        .kinds()
        .filter(|kind| {
            crate::support::paths_of(kind)
                .iter()
                .any(|path| path.starts_with(&own))
        })
        .collect();
    assert!(strays.is_empty(), "{strays:?}");
    let status = told.kinds().filter(|kind| {
        matches!(kind, AccessKind::Read { path } if path.starts_with("/proc") && path.ends_with("status"))
    });
    assert_eq!(status.count(), 1);
}

#[test]
fn a_deleted_working_directory_does_not_hide_what_is_opened_from_it() {
    let room = Room::new();
    room.put("beside", "x");
    fs::create_dir(room.at("gone")).unwrap();
    let told =
        room.sh("cd gone && rmdir ../gone && cat ../beside && echo x > new; echo done > ../after");
    told.assert_has(&read(room.at("beside")));
    told.assert_has(&write(room.at("after")));
    assert!(!told.kinds().any(|kind| {
        crate::support::paths_of(kind)
            .iter()
            .any(|path| path.ends_with("new"))
    }));
}

#[test]
fn a_folder_whose_name_looks_deleted_is_none() {
    let room = Room::new();
    let data = room.put("x (deleted)/data", "x");
    let told = room.sh("cat 'x (deleted)/data'; cd 'x (deleted)' && cat data");
    assert_eq!(told.of(&data).len(), 2);
}

#[test]
fn very_long_paths_are_told_as_far_as_the_kernel_takes_them() {
    let room = Room::new();
    let part = "d".repeat(200);
    let told = room.python(&format!(
        "import os
part = '{part}'
for _ in range(15):
    os.mkdir(part); os.chdir(part)
open('deep', 'w').write('x')
for _ in range(15):
    os.mkdir(part); os.chdir(part)
open('deeper', 'w').write('x')
try: open('x' * 5000)
except OSError: pass
try: open(('./' * 2047) + 'deeper')
except OSError: pass
"
    ));
    assert_eq!(
        told.outcome.exit,
        Exit::Code(0),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    let mut deep = room.path();
    deep.extend(std::iter::repeat_n(part.as_str(), 15));
    told.assert_has(&write(deep.join("deep")));
    // Beyond 4096 bytes there is no path that could be opened: that is said.
    assert!(told.has_gap("path_too_long"));
}

#[test]
fn scripts_are_told_with_their_interpreters() {
    let room = Room::new();
    let script = room.put("script", "#!/bin/sh\nexit 3\n");
    let outer = room.put("outer", &format!("#!{}\n", script.display()));
    for file in [&script, &outer] {
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let told = room.run(["./script"]);
    assert_eq!(told.outcome.exit, Exit::Code(3));
    told.assert_has(&execute(&script));
    told.assert_has(&execute(named("/bin/sh")));
    let told = room.run(["./outer"]);
    assert_eq!(told.outcome.exit, Exit::Code(3));
    told.assert_has(&execute(&outer));
    told.assert_has(&execute(&script));
}

#[test]
fn a_program_behind_a_descriptor_is_told_with_its_path() {
    let room = Room::new();
    let script = "import os
fd = os.open('/bin/true', os.O_RDONLY)
os.execve(fd, ['true'], {})
";
    let told = room.python(script);
    assert_eq!(told.outcome.exit, Exit::Code(0));
    told.assert_has(&execute(named("/bin/true")));
    let told = room.python(
        "import os
fd = os.memfd_create('prog')
os.write(fd, open('/bin/true', 'rb').read())
os.execve(fd, ['true'], {})
",
    );
    assert_eq!(told.outcome.exit, Exit::Code(0));
    assert!(told.has_gap("unnamed_program"));
}

#[test]
fn a_file_born_without_a_name_is_told_when_it_gets_one() {
    let room = Room::new();
    let told = room.python(
        "import ctypes, os
fd = os.open('.', os.O_TMPFILE | os.O_WRONLY, 0o600)
os.write(fd, b'x')
libc = ctypes.CDLL(None)
assert libc.linkat(-100, f'/proc/self/fd/{fd}'.encode(), -100, b'named', 0x400) == 0
",
    );
    assert_eq!(
        told.outcome.exit,
        Exit::Code(0),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    assert!(room.at("named").exists());
    told.assert_has(&write(room.at("named")));
}

#[test]
fn renames_that_fail_or_do_nothing_are_not_told() {
    let room = Room::new();
    room.put("a", "x");
    room.put("b", "y");
    fs::hard_link(room.at("a"), room.at("same")).unwrap();
    let told = room.python(
        "import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
AT = -100
assert libc.renameat2(AT, b'a', AT, b'b', 1) == -1
os.rename('a', 'same')
try: os.rename('missing', 'b')
except OSError: pass
assert libc.renameat2(AT, b'a', AT, b'b', 2) == 0
",
    );
    assert_eq!(
        told.outcome.exit,
        Exit::Code(0),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    assert!(
        !told
            .kinds()
            .any(|kind| matches!(kind, AccessKind::Rename { .. }))
    );
    told.assert_has(&AccessKind::Exchange {
        from: room.at("a"),
        to: room.at("b"),
    });
}

#[test]
fn a_renamed_folder_is_told_as_one() {
    let room = Room::new();
    room.put("old/file", "x");
    let told = room.sh("mv old/ new");
    told.assert_has(&AccessKind::Rename {
        from: room.at("old"),
        to: room.at("new"),
    });
}

#[test]
fn a_descriptor_linked_by_itself_is_told_with_its_path() {
    let room = Room::new();
    let data = room.put("data", "x");
    let told = room.python(
        "import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open('data', os.O_RDONLY)
AT_EMPTY_PATH = 0x1000
if libc.linkat(fd, b'', -100, b'second', AT_EMPTY_PATH) != 0: print('refused')
",
    );
    assert_eq!(told.outcome.exit, Exit::Code(0));
    if told.stdout == b"refused\n" {
        eprintln!("skipped: only root may link so");
        return;
    }
    told.assert_has(&AccessKind::Link {
        from: data,
        to: room.at("second"),
    });
}

#[test]
fn links_that_were_followed_are_told_in_their_order() {
    let room = Room::new();
    room.put("real/sub/data", "x");
    symlink("real", room.at("folder")).unwrap();
    symlink("data", room.at("real/sub/current")).unwrap();
    symlink("folder/sub/current", room.at("latest")).unwrap();
    let own = |told: &crate::support::Told| -> Vec<_> {
        let links = told
            .links
            .iter()
            .filter_map(|link| link.strip_prefix(room.path()).ok());
        links
            .map(|link| link.to_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        own(&room.sh("cat latest")),
        ["latest", "folder", "real/sub/current"]
    );
    assert_eq!(
        own(&room.sh("cat folder/sub/data real/sub/data ./real/../real/sub/data")),
        ["folder"]
    );
    assert_eq!(
        own(&room.sh("cd folder/sub; cat data current")),
        ["real/sub/current"]
    );
    // What is not opened is no link that was followed, nor is one that is itself removed.
    assert_eq!(
        own(&room.sh("ls folder/ > /dev/null; cat none folder/none")),
        Vec::<String>::new()
    );
    assert_eq!(
        own(&room.sh("echo x > folder/new; rm folder/sub/current")),
        ["folder", "folder"]
    );
}
