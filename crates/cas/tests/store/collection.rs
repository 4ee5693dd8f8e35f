//! Collecting, forgetting, and those who write meanwhile.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use cas::{Cas, CasError, CasOptions, GcOptions, GcSummary};
use entities::ObjectId;

use crate::support::{AtEnd, Store, files_below, noise, open_with, text};

const MIB: usize = 1 << 20;
const HOUR_MS: u64 = 3_600_000;

fn collect(cas: &Cas, live: &[ObjectId], grace_ms: u64) -> GcSummary {
    let options = GcOptions {
        grace_ms,
        is_dry_run: false,
    };
    cas.gc(&live.iter().copied().collect(), &options).unwrap()
}

/// Makes everything that was written so far look two hours old.
fn age(store: &Store) {
    for path in files_below(store.folder.path()) {
        let file = File::options().append(true).open(&path).unwrap();
        let time: SystemTime = file.metadata().unwrap().modified().unwrap();
        file.set_times(FileTimes::new().set_modified(time - Duration::from_secs(7200)))
            .unwrap();
    }
}

/// Whether any file of the store holds these bytes.
fn holds(folder: &Path, secret: &[u8]) -> bool {
    let find = |path: &std::path::PathBuf| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(secret.len()).any(|window| window == secret)
    };
    files_below(folder).iter().any(find)
}

#[test]
fn what_is_live_stays_and_what_is_dead_goes() {
    let store = Store::new();
    let contents: Vec<_> = (0..20)
        .map(|seed| noise(seed, 1000))
        .chain([noise(90, 2 * MIB), noise(91, 2 * MIB)])
        .collect();
    let objects = store.put_all(contents.iter().map(Vec::as_slice));
    let (live, dead): (Vec<_>, Vec<_>) = objects
        .iter()
        .copied()
        .enumerate()
        .partition(|(number, _)| number % 2 == 0);
    let live: Vec<_> = live.into_iter().map(|(_, object)| object).collect();
    let before = store.stored_bytes();
    let options = GcOptions {
        grace_ms: 0,
        is_dry_run: true,
    };
    let tried = store
        .cas
        .gc(&live.iter().copied().collect(), &options)
        .unwrap();
    assert_eq!(store.stored_bytes(), before, "a dry run removes nothing");
    assert_eq!(collect(&store.cas, &live, 0), tried);
    assert_eq!(tried.removed_objects, 11);
    let freed = before - store.stored_bytes();
    assert!(
        freed.abs_diff(tried.freed_bytes) < 200,
        "{freed} of {}",
        tried.freed_bytes
    );
    let other = store.reopened();
    for cas in [&store.cas, &other] {
        for object in &live {
            assert_eq!(ObjectId::of(&cas.read(object).unwrap()), *object);
        }
        for (_, object) in &dead {
            assert!(!cas.contains(object).unwrap());
        }
    }
    store.assert_verifies();
    assert_eq!(
        collect(&store.cas, &live, 0),
        GcSummary::default(),
        "there is nothing left to do"
    );
    collect(&store.cas, &[], 0);
    assert_eq!(store.packs().len(), 0);
}

#[test]
fn a_chunk_that_a_live_object_shares_with_a_dead_one_stays() {
    let store = Store::new();
    let first = noise(1, 4 * MIB);
    let mut second = first.clone();
    second.truncate(3 * MIB);
    second.extend(noise(2, MIB));
    store.put(&first);
    let second_id = store.put(&second);
    let summary = collect(&store.cas, &[second_id], 0);
    assert_eq!(summary.removed_objects, 1);
    assert!(summary.freed_bytes > MIB as u64 / 2);
    assert!(store.cas.read(&second_id).unwrap() == second);
    store.assert_verifies();
}

#[test]
fn what_is_young_stays_until_it_is_old() {
    let store = Store::new();
    let object = store.put(&noise(1, 2 * MIB));
    assert_eq!(collect(&store.cas, &[], HOUR_MS), GcSummary::default());
    assert!(store.cas.read(&object).is_ok());
    age(&store);
    assert_eq!(collect(&store.cas, &[], HOUR_MS).removed_objects, 1);
}

#[test]
fn the_age_of_an_object_begins_with_its_commit() {
    let store = Store::new();
    // Each object ends its pack, so that nothing is left to write at the commit.
    let options = CasOptions {
        pack_max_bytes: 1,
        ..CasOptions::default()
    };
    let batch = open_with(store.folder.path(), options).batch();
    let object = batch.put(b"written long before it is committed").unwrap();
    age(&store);
    batch.commit().unwrap();
    assert_eq!(collect(&store.cas, &[], HOUR_MS), GcSummary::default());
    assert!(store.cas.contains(&object).unwrap());
}

#[test]
fn rewriting_and_merging_make_nothing_young_again() {
    let store = Store::new();
    let live = store.put_all([&b"live"[..], b"dead"])[0];
    age(&store);
    collect(&store.cas, &[live], HOUR_MS);
    assert!(store.cas.contains(&live).unwrap());
    assert_eq!(collect(&store.cas, &[], HOUR_MS).removed_objects, 1);
    for number in 0..15_u8 {
        store.put(&[number]);
    }
    age(&store);
    // The sixteenth pack merges all of them; it is young, and so is what it was merged with.
    let packs = store.packs().len();
    store.put(b"the last");
    assert!(store.packs().len() < packs);
    assert_eq!(collect(&store.cas, &[], HOUR_MS).removed_objects, 0);
    age(&store);
    assert_eq!(collect(&store.cas, &[], HOUR_MS).removed_objects, 16);
}

#[test]
fn what_is_stored_again_counts_as_young() {
    let store = Store::new();
    let old = store.put(b"old");
    store.put(b"never again");
    age(&store);
    let packs = store.packs();
    store.put(b"old");
    assert_eq!(store.packs(), packs, "nothing is written for it");
    assert_eq!(collect(&store.cas, &[], HOUR_MS).removed_objects, 1);
    assert!(store.cas.contains(&old).unwrap());
    age(&store);
    assert_eq!(collect(&store.cas, &[], HOUR_MS).removed_objects, 1);
}

#[test]
fn what_a_batch_relies_on_outlives_any_collection() {
    let store = Store::new();
    let large = noise(1, 3 * MIB);
    let (small_id, large_id) = (store.put(b"small"), store.put(&large));
    let similar = [&large[..2 * MIB], &noise(2, MIB)].concat();
    let batch = store.cas.batch();
    batch.put(b"small").unwrap();
    let similar_id = batch.put(&similar).unwrap();
    // As another process, without any grace, knowing of nothing. Of the large object the batch has chunks only.
    assert_eq!(collect(&store.reopened(), &[], 0).removed_objects, 1);
    assert!(!store.cas.contains(&large_id).unwrap());
    batch.commit().unwrap();
    assert_eq!(store.cas.read(&small_id).unwrap(), b"small");
    assert!(store.cas.read(&similar_id).unwrap() == similar);
    store.assert_verifies();
    assert_eq!(collect(&store.cas, &[similar_id], 0).removed_objects, 1);
    assert!(store.cas.read(&similar_id).unwrap() == similar);
    store.assert_verifies();
}

#[test]
fn what_a_batch_was_told_to_be_there_outlives_any_collection() {
    let store = Store::new();
    let large = noise(1, 3 * MIB);
    let objects = [store.put(b"small"), store.put(&large)];
    let batch = store.cas.batch();
    for object in &objects {
        assert!(batch.contains(object).unwrap());
    }
    assert_eq!(collect(&store.reopened(), &[], 0).removed_objects, 0);
    batch.put(b"names them").unwrap();
    batch.commit().unwrap();
    assert_eq!(store.cas.read(&objects[0]).unwrap(), b"small");
    assert!(store.cas.read(&objects[1]).unwrap() == large);
    store.assert_verifies();
}

#[test]
fn a_batch_that_ends_without_a_commit_keeps_nothing_back() {
    let store = Store::new();
    store.put(b"small");
    let batch = store.cas.batch();
    batch.put(b"small").unwrap();
    drop(batch);
    assert_eq!(collect(&store.cas, &[], 0).removed_objects, 1);
}

#[test]
fn a_batch_that_knows_of_an_object_that_was_collected_stores_it_anew() {
    let store = Store::new();
    let object = store.put(b"content");
    let large = noise(1, 2 * MIB);
    let large_id = store.put(&large);
    let batch = store.cas.batch();
    // The batch knows the packs, and relies on none of them yet.
    batch.put(b"other").unwrap();
    collect(&store.reopened(), &[], 0);
    batch.put(b"content").unwrap();
    batch.put(&large).unwrap();
    batch.commit().unwrap();
    assert_eq!(store.cas.read(&object).unwrap(), b"content");
    assert!(store.cas.read(&large_id).unwrap() == large);
    store.assert_verifies();
}

#[test]
fn writers_readers_and_collections_at_once_lose_nothing() {
    let store = Store::new();
    let base = noise(7, 2 * MIB);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let at_end = AtEnd(&is_over);
        let collector = store.reopened();
        scope.spawn(|| {
            let cas = collector;
            while !is_over.load(Ordering::Relaxed) {
                collect(&cas, &[], 0);
            }
        });
        let writers: Vec<_> = (0..3_u64)
            .map(|writer| {
                let cas = store.reopened();
                let base = &base;
                scope.spawn(move || {
                    for round in 0..25_u64 {
                        let batch = cas.batch();
                        let mut changed = base.clone();
                        changed.splice(MIB..MIB + 8, (writer * 1000 + round).to_le_bytes());
                        let put = [
                            (batch.put(&changed).unwrap(), changed),
                            (batch.put(&base[..]).unwrap(), base.clone()),
                            (
                                batch.put(&noise(round % 3, 5000)).unwrap(),
                                noise(round % 3, 5000),
                            ),
                        ];
                        // What is put is in the batch, however often others collect.
                        for (object, content) in &put {
                            assert!(batch.contains(object).unwrap());
                            assert_eq!(batch.put(content).unwrap(), *object);
                        }
                        batch.commit().unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        drop(at_end);
    });
    store.assert_verifies();
}

#[test]
fn what_was_committed_within_the_grace_survives_collections_at_any_moment() {
    let store = Store::new();
    let base = noise(7, 2 * MIB);
    store.put(&base);
    age(&store);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let at_end = AtEnd(&is_over);
        let collector = store.reopened();
        scope.spawn(|| {
            let cas = collector;
            while !is_over.load(Ordering::Relaxed) {
                collect(&cas, &[], HOUR_MS);
            }
        });
        let mut committed = BTreeSet::new();
        for round in 0..40_u64 {
            let batch = store.cas.batch();
            let mut changed = base.clone();
            changed.splice(MIB..MIB + 8, round.to_le_bytes());
            committed.insert(batch.put(&changed).unwrap());
            committed.insert(batch.put(&noise(round % 7, 5000)).unwrap());
            batch.commit().unwrap();
            for object in &committed {
                assert_eq!(
                    ObjectId::of(&store.cas.read(object).unwrap()),
                    *object,
                    "round {round}"
                );
            }
        }
        drop(at_end);
    });
    store.assert_verifies();
}

/// What several writers have said to be in use.
#[derive(Default)]
struct Register(Mutex<BTreeMap<ObjectId, u32>>);

impl Register {
    fn add(&self, objects: &[ObjectId]) {
        let mut uses = self.0.lock().unwrap();
        for object in objects {
            *uses.entry(*object).or_default() += 1;
        }
    }

    fn remove(&self, objects: &[ObjectId]) {
        let mut uses = self.0.lock().unwrap();
        for object in objects {
            *uses.get_mut(object).unwrap() -= 1;
        }
        uses.retain(|_, count| *count > 0);
    }

    fn live(&self) -> Vec<ObjectId> {
        self.0.lock().unwrap().keys().copied().collect()
    }
}

#[test]
fn objects_that_come_into_use_and_out_of_it_are_there_while_they_are_used() {
    /// Longer than a writer takes from its commit to its entry in the register.
    const GRACE_MS: u64 = 2000;
    let store = Store::new();
    let (register, is_over) = (Register::default(), AtomicBool::new(false));
    let base = noise(7, 2 * MIB);
    let removed = std::thread::scope(|scope| {
        let at_end = AtEnd(&is_over);
        let collector = store.reopened();
        let collecting = scope.spawn(|| {
            let (cas, mut removed) = (collector, 0);
            while !is_over.load(Ordering::Relaxed) {
                removed += collect(&cas, &register.live(), GRACE_MS).removed_objects;
            }
            removed
        });
        let writers = [0_u64, 1, 2].map(|writer| {
            let (cas, register, base) = (store.reopened(), &register, &base);
            scope.spawn(move || {
                let began = std::time::Instant::now();
                let mut used = VecDeque::new();
                for round in 0_u64.. {
                    if began.elapsed() > Duration::from_secs(6) {
                        break;
                    }
                    // Few different contents, so that each is often there already, and often just collected.
                    let mut changed = base.clone();
                    changed.splice(MIB..MIB + 8, (round % 5).to_le_bytes());
                    let contents = [
                        changed,
                        noise(round % 4, 5000),
                        noise(writer * 100 + round, 900),
                    ];
                    let batch = cas.batch();
                    let objects = contents.map(|content| batch.put(&content).unwrap());
                    batch.commit().unwrap();
                    register.add(&objects);
                    used.push_back(objects);
                    std::thread::sleep(Duration::from_millis(37 * (round % 7)));
                    for object in used.iter().flatten() {
                        assert_eq!(ObjectId::of(&cas.read(object).unwrap()), *object);
                    }
                    if used.len() > 2 {
                        register.remove(&used.pop_front().unwrap());
                    }
                }
                for objects in &used {
                    register.remove(objects);
                }
            })
        });
        for writer in writers {
            writer.join().unwrap();
        }
        drop(at_end);
        collecting.join().unwrap()
    });
    assert!(removed > 10, "only {removed} objects were ever collected");
    store.assert_verifies();
}

#[test]
fn chunks_flushed_while_their_object_is_under_way_stay() {
    /// Collects everything once the object is half read.
    struct Half<'a> {
        content: &'a [u8],
        batch: &'a cas::Batch,
        collector: &'a Cas,
        at: usize,
    }
    impl std::io::Read for Half<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.at == 0 && self.content.len() < 5 * MIB {
                self.at = 1;
                self.batch.flush().unwrap();
                collect(self.collector, &[], 0);
            }
            let length = buffer.len().min(MIB / 2);
            self.content.read(&mut buffer[..length])
        }
    }
    let store = Store::new();
    let content = noise(1, 10 * MIB);
    let batch = store.cas.batch();
    let collector = store.reopened();
    let mut reader = Half {
        content: &content,
        batch: &batch,
        collector: &collector,
        at: 0,
    };
    let stored = batch.put_reader(&mut reader).unwrap();
    batch.commit().unwrap();
    assert!(store.cas.read(&stored.object).unwrap() == content);
    store.assert_verifies();
}

#[test]
fn a_forgotten_object_leaves_no_byte_behind() {
    let store = Store::new();
    let secret = noise(5, 200);
    let object = store.put(&secret);
    let others = store.put_all([&b"before"[..], &noise(1, 3000)]);
    assert!(holds(store.folder.path(), &secret));
    store.cas.forget(&object).unwrap();
    assert!(!holds(store.folder.path(), &secret));
    for cas in [store.cas.clone(), store.reopened()] {
        assert!(!cas.contains(&object).unwrap());
        assert!(matches!(cas.forget(&object), Err(CasError::Missing { .. })));
        for other in &others {
            cas.read(other).unwrap();
        }
    }
    store.assert_verifies();
    // It may be stored again, and then it is there.
    assert_eq!(store.put(&secret), object);
    assert_eq!(store.cas.read(&object).unwrap(), secret);
}

#[test]
fn a_forgotten_secret_is_gone_from_every_pack_that_held_it() {
    let store = Store::new();
    let secret = noise(5, 200);
    // Two that know nothing of each other store the same.
    let (one, two) = (store.reopened(), store.reopened());
    let batches = [one.batch(), two.batch()];
    for (batch, beside) in batches.iter().zip([b"1", b"2"]) {
        batch.put(beside).unwrap();
        batch.put(&secret).unwrap();
    }
    for batch in batches {
        batch.commit().unwrap();
    }
    assert_eq!(store.packs().len(), 2);
    store.cas.forget(&ObjectId::of(&secret)).unwrap();
    assert!(!holds(store.folder.path(), &secret));
    assert!(!one.contains(&ObjectId::of(&secret)).unwrap());
    store.assert_verifies();
}

#[test]
fn chunks_of_a_forgotten_object_go_save_those_that_others_have() {
    let store = Store::new();
    let shared = noise(1, 2 * MIB);
    let secret = noise(2, MIB);
    let forgotten = [&shared[..], &secret].concat();
    let kept = [&shared[..], &noise(3, MIB)].concat();
    let (forgotten_id, kept_id) = (store.put(&forgotten), store.put(&kept));
    store.cas.forget(&forgotten_id).unwrap();
    for part in secret[200_000..].chunks(100_000) {
        assert!(!holds(store.folder.path(), &part[..64.min(part.len())]));
    }
    assert!(!store.cas.contains(&forgotten_id).unwrap());
    assert!(store.cas.read(&kept_id).unwrap() == kept);
    store.assert_verifies();
}

#[test]
fn forgetting_removes_what_a_killed_process_left() {
    let store = Store::new();
    let object = store.put(b"content");
    let left = store.folder.path().join("tmp/cas-pack-left.tmp");
    fs::write(&left, b"a secret that was under way").unwrap();
    store.cas.forget(&object).unwrap();
    assert!(!left.exists());
}

#[test]
fn a_batch_that_shares_a_chunk_with_a_forgotten_object_fails_and_nothing_is_damaged() {
    let store = Store::new();
    let content = noise(1, 3 * MIB);
    let object = store.put(&content);
    let similar = [&content[..2 * MIB], &noise(2, MIB)].concat();
    let batch = store.cas.batch();
    let similar_id = batch.put(&similar).unwrap();
    store.reopened().forget(&object).unwrap();
    let error = batch.commit().unwrap_err();
    assert!(matches!(error, CasError::Missing { .. }), "{error}");
    assert!(!store.cas.contains(&similar_id).unwrap());
    store.assert_verifies();
    // Given again it is stored whole.
    assert_eq!(store.put(&similar), similar_id);
    assert!(store.cas.read(&similar_id).unwrap() == similar);
}

#[test]
fn a_batch_stores_anew_what_was_forgotten_since_it_put_it() {
    let store = Store::new();
    let object = store.put(b"content");
    let batch = store.cas.batch();
    batch.put(b"content").unwrap();
    store.reopened().forget(&object).unwrap();
    batch.put(b"content").unwrap();
    batch.commit().unwrap();
    assert_eq!(store.cas.read(&object).unwrap(), b"content");
}

#[test]
fn a_batch_goes_on_when_something_else_is_forgotten() {
    let store = Store::new();
    let (one, large) = (store.put(b"one"), noise(1, 2 * MIB));
    store.put(&large);
    let batch = store.cas.batch();
    let similar = [&large[..MIB], &noise(2, MIB)].concat();
    let similar_id = batch.put(&similar).unwrap();
    store.reopened().forget(&one).unwrap();
    batch.commit().unwrap();
    assert!(store.cas.read(&similar_id).unwrap() == similar);
}

#[test]
fn collecting_and_forgetting_work_over_many_packs() {
    let folder = tempfile::tempdir().unwrap();
    let options = CasOptions {
        pack_max_bytes: 200_000,
        ..CasOptions::default()
    };
    let cas = open_with(folder.path(), options);
    let batch = cas.batch();
    let contents = [text(1, 3 * MIB), noise(2, 3 * MIB), noise(3, 3 * MIB)];
    let objects: Vec<_> = contents
        .iter()
        .map(|content| batch.put(content).unwrap())
        .collect();
    batch.commit().unwrap();
    assert_eq!(collect(&cas, &objects[1..], 0).removed_objects, 1);
    cas.forget(&objects[1]).unwrap();
    assert!(!holds(folder.path(), &contents[1][MIB..MIB + 64]));
    assert!(cas.read(&objects[2]).unwrap() == contents[2]);
    assert_eq!(crate::support::faults_of(&cas), Vec::<String>::new());
}
