//! Files and folders that are shown at other places.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use capture::trace::{AccessKind, Bind, Method, MethodChoice, TraceError, TraceOptions, can_bind};
use entities::Exit;

use crate::support::{Room, Told, execute, named, observe, read, run, write};

fn bind(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Bind {
    Bind {
        source: source.into(),
        target: target.into(),
    }
}

/// Runs a script with binds; none where no mounts are allowed at all.
fn run_bound(room: &Room, binds: Vec<Bind>, directory: &Path, script: &str) -> Option<Told> {
    let mut options = room.options(["sh", "-c", script]);
    options.binds = binds;
    directory.clone_into(&mut options.working_directory);
    if !can_bind() {
        eprintln!("skipped: no mounts are allowed here");
        return None;
    }
    Some(run(&options).unwrap())
}

#[test]
fn a_folder_is_seen_at_its_target_and_changes_reach_its_source() {
    let room = Room::new();
    room.put("source/data", "from source");
    room.put("target/data", "hidden");
    let target = room.at("target");
    let script = "pwd; cat data; echo x > made; cat ../beside; mv data moved";
    room.put("beside", " beside");
    let Some(told) = run_bound(
        &room,
        vec![bind(room.at("source"), &target)],
        &target,
        script,
    ) else {
        return;
    };
    assert_eq!(
        told.text(),
        format!("{}\nfrom source beside", target.display())
    );
    told.assert_has(&read(target.join("data")));
    told.assert_has(&write(target.join("made")));
    told.assert_has(&read(room.at("beside")));
    told.assert_has(&AccessKind::Rename {
        from: target.join("data"),
        to: target.join("moved"),
    });
    told.assert_has(&execute(named("/bin/cat")));
    assert!(room.at("source/made").exists() && room.at("source/moved").exists());
    assert_eq!(
        fs::read_to_string(room.at("target/data")).unwrap(),
        "hidden"
    );
}

#[test]
fn absolute_links_and_descriptors_are_resolved_in_the_command_s_view() {
    let room = Room::new();
    room.put("source/data", "x");
    room.put("target/placeholder", "");
    let target = room.at("target");
    std::os::unix::fs::symlink(target.join("data"), room.at("source/link")).unwrap();
    let script =
        "cat link; exec 9< data; cat /dev/fd/9; cd /; cat $OLDPWD/./link; echo x > $OLDPWD/new";
    let Some(told) = run_bound(
        &room,
        vec![bind(room.at("source"), &target)],
        &target,
        script,
    ) else {
        return;
    };
    assert_eq!(
        told.outcome.exit,
        Exit::Code(0),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    assert_eq!(told.of(&target.join("data")).len(), 4);
    told.assert_has(&write(target.join("new")));
    assert!(told.of(&room.at("source/data")).is_empty());
}

#[test]
fn a_missing_target_is_made_without_touching_the_disk() {
    let room = Room::new();
    room.put("source/data", "x");
    room.put("home/me/file", "neighbour");
    fs::create_dir_all(room.at("home/me/folder/deep")).unwrap();
    std::os::unix::fs::symlink("file", room.at("home/me/link")).unwrap();
    let target = room.at("home/me/lost/project");
    let script = "pwd; cat data; cat ../../file; cat ../../link; ls ../..; echo x > out";
    let Some(told) = run_bound(
        &room,
        vec![bind(room.at("source"), &target)],
        &target,
        script,
    ) else {
        return;
    };
    assert_eq!(
        told.text(),
        format!(
            "{}\nxneighbourneighbourfile\nfolder\nlink\nlost\n",
            target.display()
        ),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    told.assert_has(&read(target.join("data")));
    told.assert_has(&read(room.at("home/me/file")));
    told.assert_has(&write(target.join("out")));
    assert!(told.has_gap("view_rebuilt"));
    assert!(!room.at("home/me/lost").exists());
    assert!(room.at("source/out").exists());
}

#[test]
fn a_target_missing_below_the_root_is_made_too() {
    let room = Room::new();
    room.put("source/data", "x");
    let target = PathBuf::from("/reproof-test-of-binds/of/project");
    let script = "pwd; cat data; ls / > /dev/null; test -e /etc/passwd && test -e /proc/self/exe && echo fine; readlink /proc/self/cwd";
    let Some(told) = run_bound(
        &room,
        vec![bind(room.at("source"), &target)],
        &target,
        script,
    ) else {
        return;
    };
    assert_eq!(
        told.text(),
        format!("{0}\nxfine\n{0}\n", target.display()),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    told.assert_has(&read(target.join("data")));
    assert!(!Path::new("/reproof-test-of-binds").exists());
}

#[test]
fn later_binds_cover_earlier_ones_and_files_can_be_bound() {
    let room = Room::new();
    room.put("one/data/kept", "one");
    room.put("two/inner", "two");
    room.put("file", "three");
    room.put("target/x", "");
    let target = room.at("target");
    let binds = vec![
        bind(room.at("one"), &target),
        bind(room.at("two"), target.join("data")),
        bind(room.at("file"), target.join("single")),
        // Covered by the first: sources are those of outside.
        bind(room.at("target"), room.at("one")),
    ];
    let script = "cat data/inner single; cat ../one/x; ls";
    let Some(told) = run_bound(&room, binds, &target, script) else {
        return;
    };
    assert_eq!(
        told.text(),
        "twothreedata\nsingle\n",
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    told.assert_has(&read(target.join("data/inner")));
    told.assert_has(&read(target.join("single")));
}

#[test]
fn without_all_its_binds_a_command_is_not_started() {
    let room = Room::new();
    room.put("source/data", "x");
    let mut options = room.options(["cat", "data"]);
    options.binds = vec![
        bind(room.at("source"), room.at("target")),
        bind(room.at("missing"), "/mnt"),
    ];
    options.working_directory = room.at("target");
    let refused = run(&options).map(|told| told.stdout).unwrap_err();
    assert!(matches!(refused, TraceError::Bind { .. }), "{refused}");
}

#[test]
fn a_place_among_too_many_neighbours_is_refused_and_named() {
    let room = Room::new();
    room.put("source/data", "x");
    for number in 0..=20_000 {
        room.put(&format!("full/{number}"), "");
    }
    let mut options = room.options(["touch", "started"]);
    options.binds = vec![bind(room.at("source"), room.at("full/missing"))];
    let refused = run(&options).map(|told| told.stdout).unwrap_err();
    assert!(
        matches!(&refused, TraceError::Bind { path, .. } if *path == room.at("full")),
        "{refused}"
    );
    assert!(!room.at("started").exists());
}

#[test]
fn binds_work_with_ptrace_too() {
    let room = Room::new();
    room.put("source/data", "x");
    room.put("target/y", "");
    let mut options: TraceOptions = room.options(["cat", "data"]);
    options.choice = MethodChoice::Force(Method::Ptrace);
    options.binds = vec![bind(room.at("source"), room.at("target"))];
    options.working_directory = room.at("target");
    if can_bind() {
        run(&options)
            .unwrap()
            .assert_has(&read(room.at("target/data")));
    }
}

/// The same as somebody who is not root, who needs a user namespace for it.
#[test]
fn without_rights_a_user_namespace_is_used() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: the other tests have shown this");
        return;
    }
    let room = Room::new();
    room.put("source/data", "x\n");
    room.put("target/y", "");
    fs::create_dir(room.at("out")).unwrap();
    let observe = {
        // Where it is built may be closed to others.
        let copy = room.at("observe");
        fs::copy(observe(), &copy).unwrap();
        copy
    };
    let status = Command::new("sh")
        .args([
            "-c",
            "chown -R 65534:65534 . && chmod 755 . && chmod a+rx observe",
        ])
        .current_dir(room.path())
        .status()
        .unwrap();
    assert!(status.success());
    for target in ["target", "lost/project"] {
        let target = room.at(target);
        let bind = format!("{}={}", room.at("source").display(), target.display());
        let output = Command::new("setpriv")
            .args([
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "--inh-caps=-all",
            ])
            .arg(&observe)
            .args(["--bind", &bind, "--in", target.to_str().unwrap()])
            .args([
                "--log",
                "out/log",
                "--outcome",
                "out/outcome",
                "--copies",
                "out",
                "--",
            ])
            .args([
                "sh",
                "-c",
                "pwd; id -u; cat data; grep NoNewPrivs /proc/self/status; echo x > made",
            ])
            .current_dir(room.path())
            .env("HOME", "/")
            .output();
        let Ok(output) = output else {
            eprintln!("skipped: no setpriv");
            return;
        };
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        if error.contains("nothing can be shown") {
            eprintln!("skipped: no user namespaces here");
            return;
        }
        assert!(output.status.success(), "{error}");
        let outcome: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(room.at("out/outcome")).unwrap()).unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.starts_with(&format!("{}\n65534\nx\n", target.display())),
            "{text}{error}"
        );
        let log = fs::read_to_string(room.at("out/log")).unwrap();
        assert!(
            log.contains(&format!("read {}/data", target.display())),
            "{log}"
        );
        assert!(
            log.contains(&format!("write {}/made", target.display())),
            "{log}"
        );
        assert!(
            !outcome["gaps"]
                .as_array()
                .unwrap()
                .contains(&"unreadable_process".into())
        );
        fs::remove_file(room.at("source/made")).unwrap();
    }
}

#[test]
fn it_can_be_asked_whether_binds_work() {
    let room = Room::new();
    room.put("source/data", "x");
    room.put("target/y", "");
    let mut options = room.options(["true"]);
    options.binds = vec![bind(room.at("source"), room.at("target"))];
    assert_eq!(can_bind(), run(&options).is_ok());
}

/// A process that changes its root, and one with mounts of its own.
#[test]
fn processes_with_another_view_are_told_as_well_as_can_be() {
    let room = Room::new();
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root may change its root");
        return;
    }
    room.put("jail/etc/data", "x");
    let script = "import os
os.chroot('jail')
os.chdir('/')
open('/etc/data'); open('etc/data'); open('../../etc/data')
open('/proc/self/status') if os.path.exists('/proc') else None
";
    let told = room.python(script);
    assert_eq!(
        told.outcome.exit,
        Exit::Code(0),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    assert_eq!(told.of(&room.at("jail/etc/data")).len(), 3);

    room.put("a/data", "x");
    room.put("b/placeholder", "");
    let told = room.sh("unshare -m sh -c 'mount --bind a b && cat b/data'");
    if told.outcome.exit != Exit::Code(0) {
        eprintln!("skipped: no mounts are allowed here");
        return;
    }
    told.assert_has(&read(room.at("b/data")));
    assert!(told.has_gap("other_view"));
}
