//! A folder as a location, and attempts to get out of it.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use locations::{Entry, FolderRoot, Found, Location, LocationError, Locations, Root as _};
use proptest::prelude::*;
use tempfile::TempDir;

/// A root with a run's folder in it, another run beside it, and a secret outside.
struct Place {
    folder: TempDir,
    location: Arc<dyn Location>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("data");
        fs::create_dir_all(root.join("0/run/artifacts/model")).unwrap();
        fs::create_dir_all(root.join("0/other/artifacts")).unwrap();
        fs::write(root.join("0/other/artifacts/theirs"), "theirs").unwrap();
        fs::write(root.join("0/run/artifacts/model/MLmodel"), "flavors").unwrap();
        fs::write(folder.path().join("secret"), "hunter2").unwrap();
        let uri = root.join("0/run/artifacts");
        let root = FolderRoot::new(root.to_str().unwrap()).unwrap();
        let location = root.find(uri.to_str().unwrap()).unwrap();
        Self { folder, location }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join("data/0/run/artifacts").join(below)
    }

    fn read(&self, path: &str) -> Result<Option<String>, LocationError> {
        match self.location.open(path)? {
            Found::File(file) => {
                let size_bytes = file.size_bytes();
                let mut text = String::new();
                file.read(0, size_bytes)?.read_to_string(&mut text).unwrap();
                Ok(Some(text))
            }
            Found::Nothing | Found::Folder => Ok(None),
        }
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let listed = self.location.list(folder).unwrap().unwrap_or_default();
        listed.into_iter().map(|entry| entry.name).collect()
    }
}

#[test]
fn files_are_listed_read_in_parts_and_written() {
    let place = Place::new();
    place
        .location
        .write("plots/a b.txt", &mut "0123456789".as_bytes())
        .unwrap();
    assert_eq!(place.names(""), ["model", "plots"]);
    let listed = place.location.list("plots").unwrap().unwrap();
    let entry = Entry {
        name: "a b.txt".to_owned(),
        size_bytes: Some(10),
    };
    assert_eq!(listed, [entry]);
    let Found::File(file) = place.location.open("plots/a b.txt").unwrap() else {
        panic!("no file");
    };
    let mut part = String::new();
    file.read(3, 4).unwrap().read_to_string(&mut part).unwrap();
    assert_eq!(part, "3456");
    let before = place.location.walk("", 10).unwrap().unwrap();
    let paths: Vec<_> = before.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["model/MLmodel", "plots/a b.txt"]);
    place
        .location
        .write("plots/a b.txt", &mut "9876543210".as_bytes())
        .unwrap();
    let after = place.location.walk("plots", 10).unwrap().unwrap();
    assert_eq!(after.files[0].path, "plots/a b.txt");
    assert_ne!(after.files[0].tag, before.files[1].tag);
    assert_eq!(place.names("plots"), ["a b.txt"], "something was left over");
    assert_eq!(place.location.list("none").unwrap(), None);
    assert_eq!(place.location.list("model/MLmodel").unwrap(), None);
    assert!(matches!(
        place.location.open("model").unwrap(),
        Found::Folder
    ));
    assert!(matches!(
        place.location.open("none/x").unwrap(),
        Found::Nothing
    ));
    let many = place.location.walk("", 1).unwrap_err();
    assert!(matches!(many, LocationError::TooMany { limit: 1 }));
}

#[test]
fn a_folder_in_the_way_is_told_and_nothing_is_left_over() {
    let place = Place::new();
    for path in ["model", "model/MLmodel/x"] {
        let error = place.location.write(path, &mut "x".as_bytes()).unwrap_err();
        assert!(matches!(error, LocationError::InTheWay { .. }), "{error}");
    }
    let left = fs::read_dir(place.path("")).unwrap().count();
    assert_eq!(left, 1);
    // A source that breaks off leaves what was there.
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::UnexpectedEof.into())
        }
    }
    assert!(place.location.write("model/MLmodel", &mut Broken).is_err());
    assert_eq!(place.read("model/MLmodel").unwrap().unwrap(), "flavors");
    assert_eq!(fs::read_dir(place.path("model")).unwrap().count(), 1);
}

#[test]
fn links_are_followed_where_they_stay_inside_and_never_out() {
    let place = Place::new();
    let secret = place.folder.path().join("secret");
    symlink("MLmodel", place.path("model/same")).unwrap();
    symlink("model", place.path("linked")).unwrap();
    symlink(&secret, place.path("absolute")).unwrap();
    symlink("../../../../secret", place.path("relative")).unwrap();
    symlink("../../other/artifacts", place.path("theirs")).unwrap();
    symlink("/", place.path("system")).unwrap();
    symlink("/proc/self/cwd/..", place.path("magic")).unwrap();
    symlink("loop", place.path("loop")).unwrap();
    symlink("nowhere", place.path("dangling")).unwrap();
    assert_eq!(place.read("model/same").unwrap().unwrap(), "flavors");
    assert_eq!(place.read("linked/MLmodel").unwrap().unwrap(), "flavors");
    assert_eq!(place.names(""), ["linked", "model"]);
    for path in [
        "absolute",
        "relative",
        "theirs/theirs",
        "system/etc/passwd",
        "magic/etc/passwd",
        "loop",
    ] {
        let error = place.read(path).unwrap_err();
        assert!(
            matches!(error, LocationError::Outside { .. }),
            "{path}: {error}"
        );
    }
    for path in ["theirs/new", "system/tmp/new", "linked/new"] {
        let error = place.location.write(path, &mut "x".as_bytes()).unwrap_err();
        assert!(
            matches!(
                error,
                LocationError::Outside { .. } | LocationError::InTheWay { .. }
            ),
            "{path}: {error}"
        );
    }
    let walk = place.location.walk("", 100).unwrap().unwrap();
    let paths: Vec<_> = walk.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["model/MLmodel", "model/same"]);
    assert_eq!(
        walk.passed_over,
        [
            "absolute", "dangling", "linked", "loop", "magic", "relative", "system", "theirs"
        ]
    );
    // A link is replaced by what is written under its name, and what it points at stays.
    place
        .location
        .write("absolute", &mut "x".as_bytes())
        .unwrap();
    assert_eq!(fs::read_to_string(secret).unwrap(), "hunter2");
}

#[test]
fn the_folder_of_a_run_that_is_a_link_is_not_followed() {
    let place = Place::new();
    let root = place.folder.path().join("data");
    symlink("other", root.join("0/linked")).unwrap();
    let found = FolderRoot::new(root.to_str().unwrap()).unwrap();
    let uri = root.join("0/linked/artifacts");
    let location = found.find(uri.to_str().unwrap()).unwrap();
    let error = location.open("theirs").unwrap_err();
    assert!(matches!(error, LocationError::Outside { .. }), "{error}");
    assert!(location.list("").is_err());
    assert!(location.walk("", 9).is_err());
}

#[test]
fn only_what_is_below_a_named_root_is_found() {
    let place = Place::new();
    let base = place.folder.path().to_str().unwrap().to_owned();
    let root = FolderRoot::new(&format!("file://{base}/data")).unwrap();
    let locations = Locations::new(vec![Arc::new(root)]);
    let is_found = |uri: &str| locations.find(&uri.replace("BASE", &base)).is_some();
    for uri in [
        "BASE/data/0/run/artifacts",
        "file://BASE/data/0/run/artifacts",
        "file://localhostBASE/data/0",
        "BASE//data/0/",
        "BASE/data",
    ] {
        assert!(is_found(uri), "{uri}");
    }
    for uri in [
        "BASE",
        "BASE/data2",
        "BASE/secret",
        "BASE/data/../secret",
        "BASE/data/%2e%2e/secret",
        "BASE/data/0/..%2f..%2f..",
        "file://BASE/data/..",
        "file://hostBASE/data",
        "data",
        "./data",
        "/etc",
        "/",
        "s3://bucket/x",
        "mlflow-artifacts:/0/run/artifacts",
        "file:",
        "",
    ] {
        assert!(!is_found(uri), "{uri} was found");
    }
    assert!(FolderRoot::new("/").is_none());
    assert!(FolderRoot::new("file:///").is_none());
    assert!(FolderRoot::new("relative").is_none());
    assert!(Locations::default().find(&format!("{base}/data")).is_none());
}

#[test]
fn a_root_that_is_a_link_is_named_either_way() {
    let place = Place::new();
    let link = place.folder.path().join("link");
    symlink(place.folder.path().join("data"), &link).unwrap();
    let root = FolderRoot::new(link.to_str().unwrap()).unwrap();
    let real = place.folder.path().canonicalize().unwrap().join("data");
    for way in [link, real] {
        let uri = format!("{}/0/run/artifacts", way.display());
        let location = root.find(&uri).unwrap();
        assert!(matches!(
            location.open("model/MLmodel").unwrap(),
            Found::File(_)
        ));
    }
}

#[test]
fn where_no_folder_is_yet_there_is_nothing_and_a_root_that_is_none_is_a_fault() {
    let place = Place::new();
    let base = place.folder.path().to_str().unwrap();
    let gone = FolderRoot::new(&format!("{base}/gone")).unwrap();
    let location = gone.find(&format!("{base}/gone/0/a")).unwrap();
    assert_eq!(location.walk("", 9).unwrap(), None);
    // Whoever may write there is the concern of its owner.
    let error = location.write("x", &mut "1".as_bytes()).unwrap_err();
    assert!(matches!(error, LocationError::Root { .. }), "{error}");
    let file = FolderRoot::new(&format!("{base}/secret")).unwrap();
    let location = file.find(&format!("{base}/secret/0/a")).unwrap();
    let error = location.walk("", 9).unwrap_err();
    assert!(matches!(error, LocationError::Root { .. }), "{error}");
    let root = FolderRoot::new(&format!("{base}/data")).unwrap();
    let empty = root.find(&format!("{base}/data/0/new/artifacts")).unwrap();
    assert_eq!(empty.walk("", 9).unwrap(), None);
    assert_eq!(empty.list("").unwrap(), None);
    assert!(matches!(empty.open("x").unwrap(), Found::Nothing));
    empty.write("x", &mut "1".as_bytes()).unwrap();
    assert_eq!(empty.list("").unwrap().unwrap().len(), 1);
}

#[test]
fn what_is_no_file_and_what_is_no_text_is_passed_over() {
    let place = Place::new();
    let odd = std::ffi::OsStr::from_bytes(b"\xff");
    fs::write(place.path("").join(odd), "x").unwrap();
    fs::write(place.path("a\\b"), "x").unwrap();
    fs::write(place.path(".artifact.uploading.abc"), "half").unwrap();
    let pipe = place.path("pipe");
    let path = rustix::fs::CWD;
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(path, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert_eq!(place.names(""), ["model"]);
    assert!(matches!(
        place.location.open("pipe").unwrap(),
        Found::Nothing
    ));
    let walk = place.location.walk("", 9).unwrap().unwrap();
    assert_eq!(walk.files.len(), 1);
    assert_eq!(walk.passed_over, ["a\\b", "pipe", "\u{fffd}"]);
}

#[test]
fn more_folders_than_a_process_may_have_open_are_walked_and_counted() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let place = Place::new();
    for number in 0..2000 {
        fs::create_dir(place.path(&number.to_string())).unwrap();
    }
    fs::write(place.path("1999/x"), "x").unwrap();
    let limit = Rlimit {
        current: Some(256),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    let walk = place.location.walk("", 3000).unwrap().unwrap();
    let paths: Vec<_> = walk.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["1999/x", "model/MLmodel"]);
    assert!(walk.passed_over.is_empty());
    // 2001 folders and two files.
    assert!(place.location.walk("", 2003).is_ok());
    for most in [0, 1000, 2002] {
        let many = place.location.walk("", most).unwrap_err();
        assert!(matches!(many, LocationError::TooMany { limit } if limit == most));
    }
}

#[test]
fn a_folder_that_may_not_be_read_is_passed_over() {
    let place = Place::new();
    fs::create_dir_all(place.path("private/inner")).unwrap();
    fs::set_permissions(place.path("private"), fs::Permissions::from_mode(0o0)).unwrap();
    fs::set_permissions(place.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let location = Arc::clone(&place.location);
    // The superuser may read everything: this thread alone becomes somebody else.
    let walking = std::thread::spawn(move || {
        if rustix::process::geteuid().is_root() {
            rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65534)).unwrap();
        }
        location.walk("", 9)
    });
    let walk = walking.join().unwrap().unwrap().unwrap();
    assert_eq!(walk.files.len(), 1);
    assert_eq!(walk.passed_over, ["private"]);
    fs::set_permissions(place.path("private"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_file_that_became_shorter_is_not_sent_as_if_it_were_whole() {
    let place = Place::new();
    fs::write(place.path("shrinks"), [7; 1000]).unwrap();
    let Found::File(file) = place.location.open("shrinks").unwrap() else {
        panic!("no file");
    };
    fs::write(place.path("shrinks"), [7; 10]).unwrap();
    let mut read = Vec::new();
    let error = file.read(0, 1000).unwrap().read_to_end(&mut read);
    let kind = error.unwrap_err().kind();
    assert_eq!((kind, read.len()), (std::io::ErrorKind::UnexpectedEof, 10));
}

/// Somebody who may write into the folder swaps a folder for a link, again and again.
#[test]
fn a_link_that_is_put_there_meanwhile_is_not_followed() {
    let place = Place::new();
    let outside = place.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "secret").unwrap();
    fs::create_dir(place.path("swapped")).unwrap();
    fs::write(place.path("swapped/file"), "own").unwrap();
    let is_done = Arc::new(AtomicBool::new(false));
    let (done, real) = (Arc::clone(&is_done), place.path("swapped"));
    let aside = place.path("aside");
    let swapping = std::thread::spawn(move || {
        while !done.load(Ordering::Relaxed) {
            fs::rename(&real, &aside).unwrap();
            symlink(&outside, &real).unwrap();
            fs::remove_file(&real).unwrap();
            fs::rename(&aside, &real).unwrap();
        }
    });
    let mut seen = 0;
    for _ in 0..20_000 {
        if let Ok(Some(text)) = place.read("swapped/file") {
            assert_eq!(text, "own");
            seen += 1;
        }
    }
    is_done.store(true, Ordering::Relaxed);
    swapping.join().unwrap();
    assert!(seen > 0, "it was never there");
}

proptest! {
    /// Whatever a URI says, what is found lies below the root.
    #[test]
    fn no_uri_leads_out(parts in prop::collection::vec("(\\.\\.|%2e%2e|%2E\\.|data|0|/|%2f|\\\\|file:|a)", 0..8)) {
        let place = Place::new();
        let base = place.folder.path().to_str().unwrap().to_owned();
        let root = FolderRoot::new(&format!("{base}/data")).unwrap();
        let uri = format!("{base}/data/{}", parts.join("/"));
        if let Some(location) = root.find(&uri)
            && let Some(walk) = location.walk("", 100).unwrap()
        {
            prop_assert!(walk.files.iter().all(|file| !file.path.contains("secret")));
        }
    }
}
