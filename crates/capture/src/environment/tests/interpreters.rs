//! Real interpreters.

use super::*;

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
