//! With real interpreters, and folders of packages as installers leave them.

#![expect(
    clippy::disallowed_methods,
    reason = "these tests start interpreters themselves"
)]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use base64::Engine as _;
use cas::{Cas, CasOptions};
use entities::{Clock, Distribution, RecordedPath, Timestamp};
use sha2::Digest as _;

use super::*;

/// A time by which every file is old enough to be remembered.
struct Later;

impl Clock for Later {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(32_503_680_000_000)
    }
}

/// Folders of packages, made by hand.
struct World {
    folder: tempfile::TempDir,
    cas: Cas,
    batch: Batch,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (objects, temporary) = (folder.path().join("objects"), folder.path().join("tmp"));
        for folder in [&objects, &temporary] {
            fs::create_dir(folder).unwrap();
        }
        let cas = Cas::open(&objects, &temporary, CasOptions::default()).unwrap();
        let batch = cas.batch();
        Self { folder, cas, batch }
    }

    /// A probe with what earlier ones saved.
    fn probe(&self) -> Probe {
        let digests = DigestCache::open_with_clock(self.path("cache/digests"), Box::new(Later));
        Probe::new(&self.path("cache"), Arc::new(digests))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    fn site(&self, name: &str) -> Site {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        Site { path }
    }

    fn describe(&self, site: &Site, read: &[&str]) -> PythonEnvironment {
        self.describe_with(&self.probe(), site, read)
    }

    fn describe_with(&self, probe: &Probe, site: &Site, read: &[&str]) -> PythonEnvironment {
        let read = read.iter().map(|path| site.path.join(path)).collect();
        probe
            .python(&facts(&site.path), &read, &self.batch)
            .unwrap()
    }
}

/// One folder of packages.
struct Site {
    path: PathBuf,
}

impl Site {
    fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// Installs a distribution as pip does.
    fn install(&self, name: &str, files: &[(&str, &str)]) -> &Self {
        let metadata = format!("{name}-1.0.dist-info");
        let mut record = String::new();
        let mut add = |path: &str, content: &str| {
            self.write(path, content);
            let digest = base64::engine::general_purpose::URL_SAFE_NO_PAD
                .encode(sha2::Sha256::digest(content));
            let _ = writeln!(record, "\"{path}\",sha256={digest},{}", content.len());
        };
        for (path, content) in files {
            add(path, content);
        }
        add(
            &format!("{metadata}/METADATA"),
            &format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"),
        );
        add(
            &format!("{metadata}/WHEEL"),
            "Wheel-Version: 1.0\nTag: py3-none-any\n",
        );
        add(&format!("{metadata}/INSTALLER"), "pip\n");
        let _ = writeln!(
            record,
            "{metadata}/RECORD,,\n../../../bin/{name},sha256=AA,1"
        );
        self.write(&format!("{metadata}/RECORD"), record)
    }
}

fn facts(site: &Path) -> PythonFacts {
    let path = |text: &str| RecordedPath::new(text);
    PythonFacts {
        interpreter: Interpreter {
            implementation: "CPython".into(),
            version: "3.11.7".into(),
            build: String::new(),
            path: path("/v/bin/python"),
            binary: path("/v/bin/python3.11"),
            object: entities::ObjectId::of(b""),
            prefix: path("/v"),
            base_prefix: path("/usr"),
        },
        site_packages: vec![site.to_owned()],
        prefixes: Vec::new(),
        search_path: vec![site.to_owned()],
    }
}

fn find<'a>(environment: &'a PythonEnvironment, name: &str) -> &'a Distribution {
    environment
        .distributions
        .iter()
        .find(|distribution| distribution.name == name)
        .unwrap()
}

fn modified(environment: &PythonEnvironment, name: &str) -> Vec<String> {
    find(environment, name)
        .modified_files
        .iter()
        .map(ToString::to_string)
        .collect()
}

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

/// The real interpreter behind `python3`, which may be a shim.
fn base_python() -> Option<PathBuf> {
    let script = "import sys; print(getattr(sys, '_base_executable', sys.executable))";
    let answer = Command::new("python3").args(["-c", script]).output().ok()?;
    let path = String::from_utf8(answer.stdout).ok()?;
    let found = fs::canonicalize(path.trim()).ok();
    if found.is_none() {
        println!("skipped: there is no python3");
    }
    found
}

fn make_venv(python: &Path, at: &Path, arguments: &[&str]) {
    let mut command = Command::new(python);
    let made = command
        .args(["-m", "venv", "--without-pip"])
        .args(arguments)
        .arg(at)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
}

#[test]
fn a_virtual_environment_is_told_from_its_base() {
    let Some(python) = base_python() else { return };
    let world = World::new();
    let venv = world.path("my venv");
    make_venv(&python, &venv, &[]);
    let probe = world.probe();
    let facts = probe
        .interpreter(&venv.join("bin/python"), &[], Path::new("/"))
        .unwrap()
        .unwrap();
    assert_eq!(facts.interpreter.prefix.to_path(), venv);
    assert_ne!(facts.interpreter.base_prefix, facts.interpreter.prefix);
    assert_eq!(facts.interpreter.binary.to_path(), python);
    assert_eq!(facts.interpreter.path.to_path(), venv.join("bin/python"));
    assert!(facts.interpreter.version.starts_with("3."));
    assert_eq!(facts.site_packages.len(), 1);
    assert!(
        facts.site_packages[0].starts_with(&venv)
            && facts.site_packages[0].ends_with("site-packages")
    );
    let base = probe
        .interpreter(&python, &[], Path::new("/"))
        .unwrap()
        .unwrap();
    assert_eq!(base.interpreter.prefix, base.interpreter.base_prefix);
    assert_eq!(base.interpreter.prefix, facts.interpreter.base_prefix);
}

#[test]
fn no_code_of_an_environment_runs_when_it_is_asked() {
    let Some(python) = base_python() else { return };
    let world = World::new();
    let venv = world.path("venv");
    make_venv(&python, &venv, &["--system-site-packages"]);
    let marker = world.path("executed");
    let evil = format!("open({:?}, 'w').write('x')\n", marker.display().to_string());
    let site = fs::read_dir(venv.join("lib"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path()
        .join("site-packages");
    let shadow = world.site("shadow");
    for module in [
        "sitecustomize.py",
        "usercustomize.py",
        "json.py",
        "site.py",
        "os.py",
        "ctypes.py",
    ] {
        fs::write(site.join(module), &evil).unwrap();
        shadow.write(module, &evil);
    }
    fs::write(
        site.join("evil.pth"),
        format!("import sys; exec({evil:?})\n"),
    )
    .unwrap();
    let shadow = shadow.path.to_str().unwrap().to_owned();
    let startup = format!("{shadow}/os.py");
    let environment: Vec<(OsString, OsString)> = [
        ("PYTHONPATH", shadow.as_str()),
        ("PYTHONSTARTUP", &startup),
        ("PYTHONINSPECT", "1"),
        ("HOME", &shadow),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .into();
    let facts = world
        .probe()
        .interpreter(&venv.join("bin/python"), &environment, Path::new(&shadow))
        .unwrap()
        .unwrap();
    assert!(!marker.exists(), "code of the environment was executed");
    assert_eq!(facts.search_path[0], Path::new(&shadow));
    assert_eq!(facts.site_packages[0], site);
    assert!(
        facts.site_packages.len() > 1 || facts.search_path.len() >= 2,
        "{facts:?}"
    );
}

#[test]
fn an_interpreter_is_started_once() {
    let Some(python) = base_python() else { return };
    let world = World::new();
    let venv = world.path("venv");
    make_venv(&python, &venv, &["--copies"]);
    let executed = venv.join("bin/python");
    let probe = world.probe();
    let first = probe
        .interpreter(&executed, &[], Path::new("/"))
        .unwrap()
        .unwrap();
    probe.save().unwrap();
    // From here on it cannot be started.
    let binary = fs::canonicalize(&executed).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o644)).unwrap();
    let second = world
        .probe()
        .interpreter(&executed, &[], Path::new("/"))
        .unwrap()
        .unwrap();
    assert_eq!(second.interpreter, first.interpreter);
    // Another setting of the environment is another question.
    fs::write(venv.join("pyvenv.cfg"), "home = /elsewhere\n").unwrap();
    assert!(matches!(
        world.probe().interpreter(&executed, &[], Path::new("/")),
        Err(CaptureError::Start { .. })
    ));
}

#[test]
fn paths_in_pth_files_and_python_path_are_searched() {
    let Some(python) = base_python() else { return };
    let world = World::new();
    let venv = world.path("venv");
    make_venv(&python, &venv, &[]);
    let executed = venv.join("bin/python");
    let site = world
        .probe()
        .interpreter(&executed, &[], Path::new("/"))
        .unwrap()
        .unwrap()
        .site_packages[0]
        .clone();
    let (developed, target) = (world.site("developed"), world.site("target"));
    developed
        .write("setup.py", "")
        .write("mine.egg-info/PKG-INFO", "Name: mine\nVersion: 1\n");
    target.install("put", &[("put.py", "1")]);
    fs::write(
        site.join("easy.pth"),
        format!("{}\n/none\n", developed.path.display()),
    )
    .unwrap();
    let environment = [("PYTHONPATH".into(), "target".into())];
    let facts = world
        .probe()
        .interpreter(&executed, &environment, &world.path(""))
        .unwrap()
        .unwrap();
    assert_eq!(
        facts.search_path,
        [world.path("target"), site.clone(), developed.path.clone()]
    );
    assert_eq!(facts.site_packages, [world.path("target"), site]);
    let environment = world
        .probe()
        .python(&facts, &BTreeSet::new(), &world.batch)
        .unwrap();
    assert_eq!(
        environment
            .distributions
            .iter()
            .map(|it| it.name.as_str())
            .collect::<Vec<_>>(),
        ["mine", "put"]
    );
}

#[test]
fn what_is_not_python_is_none() {
    let world = World::new();
    let shim = world.path("python3");
    fs::write(&shim, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&shim, fs::Permissions::from_mode(0o755)).unwrap();
    for path in [
        shim.as_path(),
        Path::new("/bin/sh"),
        Path::new("/none/python3"),
        Path::new("/"),
        Path::new(""),
    ] {
        assert!(
            world
                .probe()
                .interpreter(path, &[], Path::new("/"))
                .unwrap()
                .is_none(),
            "{path:?}"
        );
    }
}

#[test]
fn one_that_fails_is_an_error_and_not_a_silent_none() {
    let world = World::new();
    // A program that is not Python under its name: it knows no such options.
    let fake = world.path("python3");
    fs::copy(fs::canonicalize("/bin/ls").unwrap(), &fake).unwrap();
    assert!(matches!(
        world.probe().interpreter(&fake, &[], Path::new("/")),
        Err(CaptureError::Failed { .. })
    ));
}

/// What the tests' own environment has installed; none where it is not there.
fn test_python() -> Option<PathBuf> {
    let path = std::env::var_os("REPROOF_TEST_PYTHON")
        .map(PathBuf::from)
        .filter(|path| path.is_file());
    if path.is_none() {
        println!("skipped: REPROOF_TEST_PYTHON names no interpreter with scikit-learn");
    }
    path
}

#[test]
fn scikit_learn_is_seen_with_its_libraries_and_kernel() {
    let Some(python) = test_python() else { return };
    let script = "import sklearn.linear_model, sys\n\
        files = [m.__file__ for m in sys.modules.values() if getattr(m, '__file__', None)]\n\
        files += [line.split(None, 5)[5].strip() for line in open('/proc/self/maps') if '.so' in line]\n\
        print('\\n'.join(files))";
    let answer = Command::new(&python).args(["-c", script]).output().unwrap();
    assert!(answer.status.success());
    let read: BTreeSet<_> = String::from_utf8(answer.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| fs::canonicalize(line).ok())
        .collect();
    let world = World::new();
    let probe = world.probe();
    let haswell: Vec<(OsString, OsString)> = vec![("OPENBLAS_CORETYPE".into(), "Haswell".into())];
    let facts = probe
        .interpreter(&python, &haswell, Path::new("/"))
        .unwrap()
        .unwrap();
    let environment = probe.python(&facts, &read, &world.batch).unwrap();
    for (name, is_imported) in [
        ("scikit-learn", true),
        ("numpy", true),
        ("joblib", true),
        ("uv", false),
    ] {
        assert_eq!(find(&environment, name).is_imported, is_imported, "{name}");
    }
    let changed: Vec<_> = environment
        .distributions
        .iter()
        .filter(|it| !it.modified_files.is_empty())
        .collect();
    assert!(changed.is_empty(), "{changed:?}");
    let libraries = probe.libraries(&read);
    assert!(libraries.len() > 20, "{}", libraries.len());
    let blas = probe.blas(&libraries, &facts, &haswell);
    assert!(
        blas.iter()
            .any(|blas| blas.name == "openblas" && blas.version.is_some()),
        "{blas:?}"
    );
    if cfg!(target_arch = "x86_64") {
        assert!(
            blas.iter()
                .any(|blas| blas.kernel.as_deref() == Some("Haswell")),
            "{blas:?}"
        );
    }
    probe.save().unwrap();

    let warm = world.probe();
    assert_eq!(
        warm.python(&facts, &read, &world.batch).unwrap(),
        environment
    );
    assert_eq!(warm.libraries(&read), libraries);
    assert_eq!(warm.blas(&libraries, &facts, &haswell), blas);
}
