//! `kill -9`, several processes, and a full disk: what was committed is there, and all of it verifies.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests start themselves again as the process that is killed"
)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cas::{CasError, GcOptions};
use entities::ObjectId;

use crate::support::{Store, faults_of, files_below, noise, open, text};

const MIB: usize = 1 << 20;
const CHILD_FOLDER: &str = "CAS_TEST_FOLDER";
const CHILD_SEED: &str = "CAS_TEST_SEED";

/// Starts this test again as a child that stores until it is killed.
fn start_child(test: &str, folder: &Path, seed: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(CHILD_FOLDER, folder)
        .env(CHILD_SEED, seed.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The folder and seed of a child; nothing in the test itself.
fn task_of_child() -> Option<(String, u64)> {
    let folder = std::env::var(CHILD_FOLDER).ok()?;
    let seed = std::env::var(CHILD_SEED).ok()?.parse().ok()?;
    Some((folder, seed))
}

/// File that names what a child must leave alone.
const LIVE: &str = "live";

/// Commits batches of all kinds, and says which objects are committed.
///
/// Now and then it collects, sparing what is young; or, where it is told what is live, everything else,
/// and forgets something.
fn store_for_ever(folder: &Path, seed: u64) {
    let cas = open(folder);
    let base = noise(1, 2 * MIB);
    let mut live: Option<BTreeSet<ObjectId>> = std::fs::read_to_string(folder.join(LIVE))
        .ok()
        .map(|text| text.lines().map(|line| line.parse().unwrap()).collect());
    for number in 0_u64.. {
        let unique = seed * 10_000 + number;
        let batch = cas.batch();
        let mut objects = Vec::new();
        for part in 0..number % 5 {
            objects.push(batch.put(&noise(unique * 10 + part, 4000)).unwrap());
            objects.push(batch.put(&text(part, 30_000)).unwrap());
        }
        let garbage = noise(unique + 500_000_000, 3000);
        let garbage = batch.put(&garbage).unwrap();
        if number % 3 == 0 {
            let mut changed = base.clone();
            changed.splice(MIB..MIB + 8, unique.to_le_bytes());
            objects.push(batch.put(&changed).unwrap());
        }
        batch.commit().unwrap();
        let hex: Vec<_> = objects.iter().map(ObjectId::to_hex).collect();
        let lines = hex
            .iter()
            .fold(String::new(), |lines, hex| lines + "done " + hex + "\n");
        std::io::stdout().write_all(lines.as_bytes()).unwrap();
        if let Some(live) = &mut live {
            live.extend(objects);
        }
        if number % 5 == 4 {
            let options = GcOptions {
                grace_ms: if live.is_some() { 0 } else { 3_600_000 },
                is_dry_run: false,
            };
            let live = live.clone().unwrap_or_default();
            cas.gc(&live, &options).unwrap();
        } else if number % 5 == 2 && live.is_some() {
            cas.forget(&garbage).unwrap();
        }
    }
}

/// Kills a child after some time, and gives what it said was committed.
fn kill_after(mut child: Child, time: Duration) -> Vec<ObjectId> {
    std::thread::sleep(time);
    child.kill().unwrap();
    child.wait().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The last line may be cut off.
    let object_of = |line: String| {
        line.strip_prefix("done ")
            .and_then(|digits| digits.parse().ok())
    };
    lines.map_while(Result::ok).filter_map(object_of).collect()
}

#[test]
fn whatever_was_committed_survives_a_kill_at_any_moment() {
    if let Some((folder, seed)) = task_of_child() {
        return store_for_ever(Path::new(&folder), seed);
    }
    let store = Store::new();
    let mut committed: Vec<ObjectId> = Vec::new();
    for round in 0..14_u64 {
        let live: Vec<_> = committed.iter().map(ObjectId::to_hex).collect();
        std::fs::write(store.folder.path().join(LIVE), live.join("\n")).unwrap();
        let test = "crashes::whatever_was_committed_survives_a_kill_at_any_moment";
        let child = start_child(test, store.folder.path(), round);
        // Primes, so that the moments fall everywhere in what a child does.
        committed.extend(kill_after(child, Duration::from_millis(60 + round * 37)));
        let cas = store.reopened();
        assert_eq!(faults_of(&cas), Vec::<String>::new());
        for object in &committed {
            assert_eq!(
                ObjectId::of(&cas.read(object).unwrap()),
                *object,
                "round {round}"
            );
        }
    }
    assert!(
        committed.len() > 50,
        "only {} objects were committed",
        committed.len()
    );
    // What the killed left is found by the next collection, and is no object.
    let options = GcOptions {
        grace_ms: 0,
        is_dry_run: false,
    };
    store
        .cas
        .gc(&committed.iter().copied().collect(), &options)
        .unwrap();
    assert_eq!(store.temporary().len(), 0);
    for object in &committed {
        store.cas.read(object).unwrap();
    }
    store.assert_verifies();
}

#[test]
fn several_processes_store_collect_and_read_at_once() {
    if let Some((folder, seed)) = task_of_child() {
        return store_for_ever(Path::new(&folder), seed);
    }
    let store = Store::new();
    let test = "crashes::several_processes_store_collect_and_read_at_once";
    let children: Vec<_> = (0..3)
        .map(|seed| start_child(test, store.folder.path(), seed + 100))
        .collect();
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(150));
        store.assert_verifies();
    }
    let mut committed = Vec::new();
    for child in children {
        committed.extend(kill_after(child, Duration::ZERO));
    }
    assert!(
        committed.len() > 30,
        "only {} objects were committed",
        committed.len()
    );
    for object in &committed {
        assert_eq!(ObjectId::of(&store.cas.read(object).unwrap()), *object);
    }
    store.assert_verifies();
}

/// A small file system of its own; unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let option = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &option, "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then(|| Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(self.0.path()).status());
    }
}

#[test]
fn a_full_disk_is_told_and_damages_nothing() {
    let Some(disk) = SmallDisk::mount("6m") else {
        println!("skipped: a small file system cannot be mounted here, which takes root");
        return;
    };
    let folder = disk.0.path();
    let cas = open(folder);
    let batch = cas.batch();
    let kept = batch.put(&noise(1, 2 * MIB)).unwrap();
    let small = batch.put(b"small").unwrap();
    batch.commit().unwrap();
    let put_too_much = |by_parts: bool| {
        let batch = cas.batch();
        let put = if by_parts {
            (0..2000).try_for_each(|seed| batch.put(&noise(seed + 10, 10_000)).map(drop))
        } else {
            batch.put(&noise(2, 8 * MIB)).map(drop)
        };
        let error = put.and_then(|()| batch.flush()).unwrap_err();
        assert!(matches!(error, CasError::DiskFull), "{error}");
        // It stays so for this batch, and takes no room.
        assert!(matches!(batch.put(b"more"), Err(CasError::DiskFull)));
        assert!(matches!(batch.commit(), Err(CasError::DiskFull)));
    };
    put_too_much(true);
    put_too_much(false);
    assert_eq!(files_below(&folder.join("tmp")).len(), 0);
    let out = folder.join("out");
    std::fs::write(folder.join("ballast"), vec![0; 3 * MIB]).unwrap();
    assert!(matches!(
        cas.checkout_file(&kept, &out, false),
        Err(CasError::DiskFull)
    ));
    assert!(!out.exists());
    // There is no room to rewrite the pack either; it stays as it was.
    let options = GcOptions {
        grace_ms: 0,
        is_dry_run: false,
    };
    assert!(matches!(
        cas.gc(&[kept].into(), &options),
        Err(CasError::DiskFull)
    ));
    assert!(matches!(cas.forget(&small), Err(CasError::DiskFull)));
    assert!(cas.read(&kept).unwrap() == noise(1, 2 * MIB));
    assert_eq!(cas.read(&small).unwrap(), b"small");
    assert_eq!(faults_of(&open(folder)), Vec::<String>::new());
    // As soon as there is room it goes on.
    std::fs::remove_file(folder.join("ballast")).unwrap();
    let batch = cas.batch();
    let later = batch.put(&noise(3, MIB)).unwrap();
    batch.commit().unwrap();
    assert!(cas.read(&later).is_ok());
    cas.forget(&small).unwrap();
    assert_eq!(faults_of(&cas), Vec::<String>::new());
}
