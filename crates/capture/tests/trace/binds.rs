//! Files and folders that are shown at other places.

use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use capture::trace::{
    AccessKind, Bind, BindFault, Method, MethodChoice, TraceError, TraceOptions, can_bind,
    check_binds,
};
use entities::Exit;
use rustix::process::{Resource, Rlimit};

use crate::support::{Room, Told, execute, named, observe, read, run, write};

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
        vec![Bind::new(room.at("source"), &target)],
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
        vec![Bind::new(room.at("source"), &target)],
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
        vec![Bind::new(room.at("source"), &target)],
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
        vec![Bind::new(room.at("source"), &target)],
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
        Bind::new(room.at("one"), &target),
        Bind::new(room.at("two"), target.join("data")),
        Bind::new(room.at("file"), target.join("single")),
        // Covered by the first: sources are those of outside.
        Bind::new(room.at("target"), room.at("one")),
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
        Bind::new(room.at("source"), room.at("target")),
        Bind::new(room.at("missing"), "/mnt"),
    ];
    options.working_directory = room.at("target");
    let refused = run(&options).map(|told| told.stdout).unwrap_err();
    assert!(
        matches!(&refused, TraceError::NotShown { path, .. } if *path == room.at("missing")),
        "{refused:?}"
    );
}

#[test]
fn binds_work_with_ptrace_too() {
    let room = Room::new();
    room.put("source/data", "x");
    room.put("target/y", "");
    let mut options: TraceOptions = room.options(["cat", "data"]);
    options.choice = MethodChoice::Force(Method::Ptrace);
    options.binds = vec![Bind::new(room.at("source"), room.at("target"))];
    options.working_directory = room.at("target");
    if can_bind() {
        run(&options)
            .unwrap()
            .assert_has(&read(room.at("target/data")));
    }
}

#[test]
fn a_command_that_needs_its_binds_is_not_started_without_them() {
    let room = Room::new();
    room.put("source/data", "x");
    room.put("file", "x");
    for (target, named) in [
        // A file is no place for a folder.
        (room.at("file"), room.at("file")),
        (room.at("file/below"), room.at("file/below")),
    ] {
        let binds = vec![Bind::new(room.at("source"), &target)];
        let mut options = room.options(["touch", room.at("started").to_str().unwrap()]);
        options.binds = binds.clone();
        let refused = run(&options).map(drop).unwrap_err();
        let checked = check_binds(&binds).unwrap_err();
        for error in [refused, checked] {
            assert!(
                matches!(&error, TraceError::NotShown { path, .. } if *path == named),
                "{error:?}"
            );
        }
        assert!(!room.at("started").exists());
    }
    let missing = [Bind::new(room.at("missing"), room.at("source"))];
    let error = check_binds(&missing).unwrap_err();
    assert!(
        matches!(&error, TraceError::NotShown { path, .. } if *path == room.at("missing")),
        "{error:?}"
    );
}

#[test]
fn a_missing_folder_with_too_many_neighbours_is_refused_with_its_name() {
    let room = Room::new();
    room.put("source/data", "x");
    fs::create_dir(room.at("crowd")).unwrap();
    for number in 0..=20_000 {
        fs::File::create(room.at(&format!("crowd/{number}"))).unwrap();
    }
    let target = room.at("crowd/project");
    let error = check_binds(&[Bind::new(room.at("source"), &target)]).unwrap_err();
    let TraceError::NotShown {
        path,
        source: BindFault::Crowded { folder, limit },
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!((path, folder, limit), (target, room.at("crowd"), 20_000));
    assert!(!room.at("crowd/project").exists());
}

/// A folder with everything that may stand in one, and a bind that covers it and keeps all but `own`.
fn kept_folder(room: &Room) -> Bind {
    room.put("real/own", "today's");
    room.put("real/file", "neighbour");
    room.put("real/folder/deep", "deep");
    room.put("real/odd\n name", "odd");
    let odd = PathBuf::from(std::ffi::OsString::from_vec(b"real/\xff".to_vec()));
    fs::write(room.path().join(&odd), "not text").unwrap();
    std::os::unix::fs::symlink("file", room.at("real/link")).unwrap();
    let fifo = room.at("real/fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    room.put("staged/own", "recorded");
    fs::create_dir(room.at("staged/inner")).unwrap();
    let mut bind = Bind::new(room.at("staged"), room.at("real"));
    let names = fs::read_dir(room.at("real")).unwrap();
    let names = names.map(|entry| PathBuf::from(entry.unwrap().file_name()));
    bind.keeps = names.filter(|name| name != Path::new("own")).collect();
    bind
}

#[test]
fn what_a_bind_keeps_is_seen_and_cannot_be_removed_and_all_else_is_in_the_source() {
    let room = Room::new();
    let bind = kept_folder(&room);
    let socket = std::os::unix::net::UnixListener::bind(room.at("real/socket")).unwrap();
    let mut bind = bind;
    bind.keeps.insert("socket".into());
    bind.keeps.insert("gone".into());
    let script = r#"cat own file folder/deep link "odd
 name"; echo
test -p fifo && test -S socket && test ! -e gone && echo kinds
rm -f file 2>/dev/null && echo harmed
mv own file 2>/dev/null && echo harmed
( echo x >> file ) 2>/dev/null && echo harmed
echo deeper > folder/made
rm -rf folder/none 2>/dev/null; rmdir folder 2>/dev/null && echo harmed
rm own && echo new > made && echo newer > tmp && mv tmp made && rm link && mkdir -p d/e && echo deep > d/e/f && echo done
test ! -e own && cat made"#;
    let target = room.at("real");
    let Some(told) = run_bound(&room, vec![bind], &target, script) else {
        return;
    };
    drop(socket);
    assert_eq!(
        told.text(),
        "recordedneighbourdeepneighbourodd\nkinds\ndone\nnewer\n",
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    told.assert_has(&read(target.join("own")));
    told.assert_has(&AccessKind::Rename {
        from: target.join("tmp"),
        to: target.join("made"),
    });
    let text = |path: &str| fs::read_to_string(room.at(path)).unwrap();
    assert_eq!(text("real/own"), "today's");
    assert_eq!(text("real/file"), "neighbour");
    assert_eq!(text("real/folder/made"), "deeper\n", "folders are as ever");
    assert!(!room.at("real/made").exists() && !room.at("real/d").exists());
    assert!(room.at("real/link").is_symlink());
    assert_eq!(text("staged/made"), "newer\n");
    assert_eq!(text("staged/d/e/f"), "deep\n");
    assert!(!room.at("staged/own").exists());
}

#[test]
fn binds_inside_a_kept_neighbour_work_and_a_missing_place_in_it_is_not_made_for_real() {
    let room = Room::new();
    let mut binds = vec![kept_folder(&room)];
    room.put("source/data", "project");
    room.put("input", "input");
    binds.push(Bind::new(room.at("source"), room.at("real/folder")));
    binds.push(Bind::new(room.at("source"), room.at("real/inner/project")));
    fs::create_dir(room.at("real/other")).unwrap();
    binds[0].keeps.insert("other".into());
    binds.push(Bind::new(
        room.at("input"),
        room.at("real/other/lost/input"),
    ));
    let script = "cat folder/data inner/project/data other/lost/input own";
    let Some(told) = run_bound(&room, binds, &room.at("real"), script) else {
        return;
    };
    assert_eq!(
        told.text(),
        "projectprojectinputrecorded",
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    assert!(!room.at("real/other/lost").exists());
    assert!(!room.at("real/inner").exists());
}

#[test]
fn many_binds_need_no_higher_limit_and_the_command_has_its_own() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let low = Rlimit {
        current: Some(1_000),
        maximum: limit.maximum,
    };
    rustix::process::setrlimit(Resource::Nofile, low).unwrap();
    let room = Room::new();
    room.put("real/x", "");
    room.put("staged/y", "");
    let mut bind = Bind::new(room.at("staged"), room.at("real"));
    let mut binds = Vec::new();
    for number in 0..1_500 {
        let name = format!("n{number}");
        room.put(&format!("real/{name}"), "");
        bind.keeps.insert(name.clone().into());
        binds.push(Bind::new(room.at("staged/y"), room.at("real").join(name)));
    }
    binds.insert(0, bind);
    let script = "ls | wc -l; ulimit -n";
    let Some(told) = run_bound(&room, binds, &room.at("real"), script) else {
        return;
    };
    assert_eq!(told.text(), "1501\n1000\n");
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
    options.binds = vec![Bind::new(room.at("source"), room.at("target"))];
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
