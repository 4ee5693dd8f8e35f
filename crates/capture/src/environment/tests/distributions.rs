//! Folders of packages as installers leave them.

use super::*;

#[test]
fn the_digest_does_not_depend_on_place_installer_or_compiled_files() {
    let world = World::new();
    let (one, other) = (
        world.site("a/site-packages"),
        world.site("deep/er/b/site-packages"),
    );
    for site in [&one, &other] {
        site.install("alpha", &[("alpha/__init__.py", "1")])
            .install("beta", &[("beta.py", "2")]);
    }
    other
        .write("alpha-1.0.dist-info/INSTALLER", "uv")
        .write("alpha-1.0.dist-info/REQUESTED", "");
    other.write("alpha/__pycache__/__init__.cpython-311.pyc", "compiled");
    other.write(
        "alpha-1.0.dist-info/direct_url.json",
        r#"{"url": "https://t0ken@h/x.whl", "archive_info": {}}"#,
    );
    let (one, other) = (world.describe(&one, &[]), world.describe(&other, &[]));
    assert_eq!(one.content_digest, other.content_digest);
    assert_eq!(modified(&other, "alpha"), Vec::<String>::new());
    assert_eq!(
        find(&other, "alpha").direct_url.as_deref(),
        Some("https://***@h/x.whl")
    );
    assert_eq!(one.distributions.len(), 2);
}

#[test]
fn an_edit_is_noticed_cold_and_warm_and_the_same_size_does_not_hide_it() {
    let world = World::new();
    let site = world.site("s");
    site.install(
        "alpha",
        &[("alpha/__init__.py", "x = 1"), ("alpha/data.txt", "d")],
    );
    let probe = world.probe();
    let before = world.describe_with(&probe, &site, &[]);
    probe.save().unwrap();
    let warm = world.probe();
    assert_eq!(world.describe_with(&warm, &site, &[]), before);
    site.write("alpha/__init__.py", "x = 2");
    let after = world.describe(&site, &[]);
    assert_ne!(after.content_digest, before.content_digest);
    assert_eq!(modified(&after, "alpha"), ["alpha/__init__.py"]);
    site.write("alpha/__init__.py", "x = 1");
    assert_eq!(world.describe(&site, &[]), before);
    fs::remove_file(site.path.join("alpha/data.txt")).unwrap();
    assert_eq!(
        modified(&world.describe(&site, &[]), "alpha"),
        ["alpha/data.txt"]
    );
}

#[test]
fn what_is_known_is_not_read_again() {
    let world = World::new();
    let site = world.site("s");
    site.install("alpha", &[("alpha.py", "1")]);
    let probe = world.probe();
    world.describe_with(&probe, &site, &[]);
    probe.save().unwrap();
    // A lie, to see that the cache is asked: another inventory says another version.
    let inventory = world.path("cache/distributions");
    let bytes = crate::digests::without_checksum(fs::read(&inventory).unwrap()).unwrap();
    let lie = String::from_utf8_lossy(&bytes)
        .find(r#""version":"1.0""#)
        .map(|_| {
            let at = bytes
                .windows(15)
                .position(|part| part == br#""version":"1.0""#)
                .unwrap();
            let mut lie = bytes.clone();
            lie[at + 11] = b'9';
            lie
        });
    crate::digests::write_with_checksum(&inventory, lie.unwrap()).unwrap();
    assert_eq!(find(&world.describe(&site, &[]), "alpha").version, "9.0");
}

#[test]
fn young_files_are_looked_at_each_time() {
    let world = World::new();
    let site = world.site("s");
    site.install("alpha", &[("alpha.py", "1")]);
    let probe = Probe::new(
        &world.path("cache"),
        Arc::new(DigestCache::open(world.path("cache/digests"))),
    );
    world.describe_with(&probe, &site, &[]);
    assert!(
        lock(&probe.inventory)
            .find(&site.path.join("alpha-1.0.dist-info"))
            .is_none()
    );
}

#[test]
fn imported_is_what_was_read_beyond_metadata() {
    let world = World::new();
    let site = world.site("s");
    for name in [
        "source",
        "compiled",
        "native",
        "asked",
        "started",
        "untouched",
    ] {
        let (module, start) = (format!("{name}/__init__.py"), format!("{name}.pth"));
        site.install(name, &[(&module, "1"), (&start, "import x")]);
    }
    site.write("native/x.so", "");
    let read = [
        "source/__init__.py",
        "compiled/__pycache__/__init__.cpython-311.pyc",
        "native/__init__.py",
        "asked-1.0.dist-info/METADATA",
        "started.pth",
    ];
    let environment = world.describe(&site, &read);
    let imported: Vec<_> = environment
        .distributions
        .iter()
        .filter(|it| it.is_imported)
        .map(|it| it.name.as_str())
        .collect();
    assert_eq!(imported, ["compiled", "native", "source"]);
}

#[test]
fn a_file_that_was_added_to_a_package_and_read_is_named() {
    let world = World::new();
    let site = world.site("s");
    site.install("alpha", &[("alpha/__init__.py", "1")])
        .install("beta", &[("beta/__init__.py", "1")]);
    site.write("alpha/patch.py", "evil")
        .write("alpha/unread.py", "x")
        .write("loose.py", "x");
    let read = [
        "alpha/patch.py",
        "alpha/__init__.py",
        "loose.py",
        "alpha/__pycache__/f.nbi",
        "beta/__init__.py",
    ];
    let environment = world.describe(&site, &read);
    assert_eq!(modified(&environment, "alpha"), ["alpha/patch.py"]);
    assert_eq!(modified(&environment, "beta"), Vec::<String>::new());
}

#[test]
fn a_record_cannot_lead_out_or_block() {
    let world = World::new();
    let site = world.site("s");
    site.install("alpha", &[("alpha.py", "1")]);
    fs::write(world.path("outside"), "secret").unwrap();
    let record = fs::read_to_string(site.path.join("alpha-1.0.dist-info/RECORD")).unwrap();
    let honest = world.describe(&site, &[]);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        site.path.join("fifo"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    symlink("/dev/zero", site.path.join("endless")).unwrap();
    symlink("loop", site.path.join("loop")).unwrap();
    let evil = format!(
        "{record}../outside,sha256=AA,1\n{},,\nfifo,,\nendless,,\nloop,,\n",
        world.path("outside").display()
    );
    site.write("alpha-1.0.dist-info/RECORD", evil);
    let environment = world.describe(&site, &[]);
    assert_eq!(modified(&environment, "alpha"), ["endless", "fifo", "loop"]);
    assert_ne!(environment.content_digest, honest.content_digest);
    site.write(
        "alpha-1.0.dist-info/RECORD",
        format!("{record}../outside,sha256=AA,1\n/etc/shadow,,\n"),
    );
    assert_eq!(
        world.describe(&site, &[]).content_digest,
        honest.content_digest
    );
}

#[test]
fn without_a_list_the_files_are_those_that_are_there() {
    let world = World::new();
    let site = world.site("s");
    site.write(
        "debian_made-2.0.dist-info/METADATA",
        "Name: debian-made\nVersion: 2.0\n",
    );
    site.write(
        "debian_made-2.0.dist-info/top_level.txt",
        "debmod\n../../etc\n..\n",
    );
    site.write("debmod/__init__.py", "1")
        .write("debmod/sub/x.py", "1");
    site.write("single-1.egg-info", "Name: single\nVersion: 1\n")
        .write("single.py", "1");
    site.write("listed.egg-info/PKG-INFO", "Name: listed\nVersion: 3\n");
    site.write(
        "listed.egg-info/installed-files.txt",
        "../listed/__init__.py\n",
    )
    .write("listed/__init__.py", "1");
    symlink("/etc", site.path.join("debmod/link")).unwrap();
    let read = ["debmod/sub/x.py", "listed/__init__.py"];
    let before = world.describe(&site, &read);
    assert_eq!(
        before
            .distributions
            .iter()
            .map(|it| it.name.as_str())
            .collect::<Vec<_>>(),
        ["debian-made", "listed", "single"]
    );
    assert_eq!(
        before
            .distributions
            .iter()
            .map(|it| it.is_imported)
            .collect::<Vec<_>>(),
        [true, true, false]
    );
    for edited in [
        "debmod/sub/x.py",
        "debmod/new.py",
        "single.py",
        "listed/__init__.py",
    ] {
        let probe = world.probe();
        let old = world.describe_with(&probe, &site, &[]);
        probe.save().unwrap();
        site.write(edited, "22");
        assert_ne!(
            world.describe(&site, &[]).content_digest,
            old.content_digest,
            "{edited}"
        );
    }
}

#[test]
fn what_comes_first_on_the_path_hides_what_comes_later() {
    let world = World::new();
    let (first, second) = (world.site("a"), world.site("b"));
    first.install("same", &[("same.py", "first")]);
    second
        .install("same", &[("same.py", "second")])
        .install("other", &[("other.py", "1")]);
    let mut facts = facts(&first.path);
    facts.search_path.push(second.path.clone());
    facts.site_packages.push(second.path.clone());
    let read = BTreeSet::from([first.path.join("same.py")]);
    let both = world.probe().python(&facts, &read, &world.batch).unwrap();
    assert_eq!(both.distributions.len(), 2);
    let alone = world.describe(&first, &["same.py"]);
    assert_eq!(find(&both, "same"), find(&alone, "same"));
}

#[test]
fn an_editable_install_is_imported_from_where_it_is_developed() {
    let world = World::new();
    let (site, project) = (world.site("s"), world.site("my project"));
    project.write("src/mine/__init__.py", "1");
    site.install("mine", &[("__editable__.mine-1.0.pth", "/x")]);
    let url = format!("file://{}", project.path.display()).replace(' ', "%20");
    site.write(
        "mine-1.0.dist-info/direct_url.json",
        format!(r#"{{"url": "{url}", "dir_info": {{"editable": true}}}}"#),
    );
    assert!(!find(&world.describe(&site, &[]), "mine").is_imported);
    let read = BTreeSet::from([project.path.join("src/mine/__init__.py")]);
    let environment = world
        .probe()
        .python(&facts(&site.path), &read, &world.batch)
        .unwrap();
    assert!(find(&environment, "mine").is_imported);
    world.batch.flush().unwrap();
    let pylock = String::from_utf8(world.cas.read(&environment.pylock).unwrap()).unwrap();
    assert!(pylock.contains("editable = true"), "{pylock}");
}

#[test]
fn metadata_in_a_project_is_not_taken_for_installed_files() {
    let world = World::new();
    let project = world.site("project");
    project
        .write("mine.egg-info/PKG-INFO", "Name: mine\nVersion: 1\n")
        .write("mine/__init__.py", "1");
    let mut facts = facts(&project.path);
    facts.site_packages.clear();
    let before = world
        .probe()
        .python(&facts, &BTreeSet::new(), &world.batch)
        .unwrap();
    assert_eq!(before.distributions.len(), 1);
    project.write("mine/__init__.py", "2");
    assert_eq!(
        world
            .probe()
            .python(&facts, &BTreeSet::new(), &world.batch)
            .unwrap(),
        before
    );
}
