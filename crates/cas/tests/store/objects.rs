//! Storing and reading: what goes in comes out, once, whatever its size.

use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::{self, AtEnd, Store, faults_of, noise, open_with, text};
use cas::{CasError, CasOptions};
use entities::{EntryKind, ObjectId, Tree, TreeEntry};
use proptest::prelude::*;

const MIB: usize = 1 << 20;

/// Contents on both sides of every limit.
fn contents() -> Vec<Vec<u8>> {
    let mut contents = vec![Vec::new(), vec![0], b"short".to_vec(), vec![7; 3 * MIB]];
    for length in [
        63,
        64,
        8192,
        16_384,
        16_385,
        131_072,
        131_073,
        MIB - 1,
        MIB,
        MIB + 1,
        5 * MIB + 3,
    ] {
        contents.push(noise(length as u64, length));
        contents.push(text(length as u64, length));
    }
    contents
}

#[test]
fn stores_batches_and_readers_go_from_thread_to_thread() {
    fn shared<T: Send + Sync + 'static>() {}
    fn sent<T: Send + 'static>() {}
    shared::<cas::Cas>();
    shared::<cas::Batch>();
    sent::<cas::ObjectReader>();
}

#[test]
fn every_size_comes_back_in_every_way() {
    let store = Store::new();
    let contents = contents();
    let objects = store.put_all(contents.iter().map(Vec::as_slice));
    for cas in [store.cas.clone(), store.reopened()] {
        for (content, object) in contents.iter().zip(&objects) {
            assert_eq!(*object, ObjectId::of(content));
            assert!(cas.contains(object).unwrap());
            assert_eq!(cas.size_bytes(object).unwrap(), Some(content.len() as u64));
            assert!(cas.read(object).unwrap() == *content);
            let mut reader = cas.reader(object).unwrap();
            assert_eq!(reader.size_bytes(), content.len() as u64);
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            assert!(read == *content);
            let path = store.folder.path().join("out");
            cas.checkout_file(object, &path, false).unwrap();
            assert!(fs::read(&path).unwrap() == *content);
            fs::remove_file(&path).unwrap();
        }
    }
    store.assert_verifies();
}

#[test]
fn verification_counts_each_object_once() {
    let store = Store::new();
    store.put_all([&noise(1, 2 * MIB)[..], b"a", b"b", b"a"]);
    let summary = store.cas.verify(&mut |fault| panic!("{fault}")).unwrap();
    assert_eq!((summary.objects, summary.bytes), (3, 2 * MIB as u64 + 2));
}

#[test]
fn what_is_not_there_is_missing() {
    let store = Store::new();
    let object = ObjectId::of(b"never stored");
    assert!(!store.cas.contains(&object).unwrap());
    assert_eq!(store.cas.size_bytes(&object).unwrap(), None);
    let path = store.folder.path().join("out");
    let errors = [
        store.cas.read(&object).map(drop),
        store.cas.reader(&object).map(drop),
        store.cas.read_range(&object, 0, 1).map(drop),
        store.cas.read_tree(&object).map(drop),
        store.cas.checkout_file(&object, &path, false),
        store.cas.forget(&object),
    ];
    for error in errors {
        assert!(matches!(error, Err(CasError::Missing { object: missing }) if missing == object));
    }
    assert!(!path.exists());
}

#[test]
fn nothing_is_visible_before_a_flush_and_nothing_is_left_without_one() {
    let store = Store::new();
    let other = store.reopened();
    let batch = store.cas.batch();
    let small = batch.put(b"small").unwrap();
    let large = batch.put(&noise(1, 2 * MIB)).unwrap();
    for object in [small, large] {
        assert!(batch.contains(&object).unwrap());
        assert!(!store.cas.contains(&object).unwrap());
        assert!(!other.contains(&object).unwrap());
    }
    batch.flush().unwrap();
    assert!(other.contains(&small).unwrap() && store.cas.contains(&large).unwrap());
    let lost = batch.put(b"never committed").unwrap();
    drop(batch);
    assert!(!other.contains(&lost).unwrap());
    assert_eq!(store.temporary().len(), 0);
    store.assert_verifies();
}

#[test]
fn an_empty_batch_and_a_second_flush_write_nothing() {
    let store = Store::new();
    store.cas.batch().commit().unwrap();
    assert_eq!(store.packs().len(), 0);
    let batch = store.cas.batch();
    batch.put(b"a").unwrap();
    batch.flush().unwrap();
    batch.flush().unwrap();
    batch.commit().unwrap();
    assert_eq!(store.packs().len(), 1);
}

#[test]
fn what_is_stored_again_takes_no_room() {
    let store = Store::new();
    let contents = contents();
    store.put_all(contents.iter().map(Vec::as_slice));
    let before = store.stored_bytes();
    store.put_all(contents.iter().map(Vec::as_slice));
    let other = store.reopened();
    let batch = other.batch();
    for content in &contents {
        batch.put(content).unwrap();
    }
    batch.commit().unwrap();
    assert_eq!(store.stored_bytes(), before);
    assert_eq!(store.packs().len(), 1);
    assert_eq!(store.temporary().len(), 0);
}

#[test]
fn versions_of_a_large_file_share_their_chunks() {
    let store = Store::new();
    let mut content = noise(1, 8 * MIB);
    store.put(&content);
    let first = store.stored_bytes();
    content.splice(3 * MIB..3 * MIB + 10, *b"an insertion of some bytes");
    let second = store.put(&content);
    let grown = store.stored_bytes() - first;
    assert!(grown < 8 * 131_072, "the second version took {grown} bytes");
    assert!(store.cas.read(&second).unwrap() == content);
    store.assert_verifies();
}

#[test]
fn text_is_stored_compressed_and_noise_as_it_is() {
    let store = Store::new();
    store.put_all([&text(1, 4 * MIB)[..], &text(2, 100_000)]);
    assert!(
        store.stored_bytes() < MIB as u64,
        "{}",
        store.stored_bytes()
    );
    let store = Store::new();
    store.put_all([&noise(1, 4 * MIB)[..], &noise(2, 100_000)]);
    let overhead = store.stored_bytes() - (4 * MIB + 100_000) as u64;
    assert!(overhead < 20_000, "{overhead}");
}

/// The first chunk, as xet's specification has it.
fn first_chunk(content: &[u8]) -> &[u8] {
    let mut hasher = gearhash::Hasher::default();
    let is_cut = |(at, byte): &(usize, u8)| {
        hasher.update(&[*byte]);
        *at + 1 >= 8192 && hasher.is_match(0xFFFF << 48)
    };
    let bytes = content.iter().copied().enumerate().take(131_072);
    let end = bytes.clone().find(is_cut).map_or(131_072, |(at, _)| at + 1);
    &content[..end]
}

#[test]
fn a_chunk_is_no_object_until_it_is_stored_as_one() {
    let store = Store::new();
    let content = noise(1, 2 * MIB);
    let batch = store.cas.batch();
    batch.put(&content).unwrap();
    batch.flush().unwrap();
    let chunk = first_chunk(&content);
    let object = ObjectId::of(chunk);
    let pack = fs::read(&store.packs()[0]).unwrap();
    assert!(
        pack.windows(32).any(|window| window == object.as_bytes()),
        "it is a chunk"
    );
    assert!(!store.cas.contains(&object).unwrap());
    batch.put(chunk).unwrap();
    batch.commit().unwrap();
    assert_eq!(store.cas.read(&object).unwrap(), chunk);
    assert!(store.cas.read(&ObjectId::of(&content)).unwrap() == content);
    store.assert_verifies();
}

#[test]
fn a_file_is_stored_from_its_beginning_and_keeps_its_position() {
    let store = Store::new();
    let path = store.folder.path().join("in");
    for content in [b"0123456789".to_vec(), noise(1, 3 * MIB)] {
        fs::write(&path, &content).unwrap();
        let mut file = File::open(&path).unwrap();
        file.seek(SeekFrom::Start(4)).unwrap();
        let batch = store.cas.batch();
        let stored = batch.put_file(&file).unwrap();
        batch.commit().unwrap();
        assert_eq!(stored.size_bytes, content.len() as u64);
        assert_eq!(stored.object, ObjectId::of(&content));
        assert_eq!(file.stream_position().unwrap(), 4);
        assert_eq!(
            cas::digest_file(&file).unwrap(),
            (stored.object, stored.size_bytes)
        );
        let digested = cas::digest_reader(&mut &content[..]).unwrap();
        assert_eq!(digested, (stored.object, stored.size_bytes));
    }
}

/// Gives a few bytes at a time, is interrupted, and in the end may fail.
struct Reluctant<'a> {
    content: &'a [u8],
    calls: usize,
    fails: bool,
}

impl Read for Reluctant<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.calls += 1;
        if self.calls.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.content.is_empty() && self.fails {
            return Err(io::Error::other("the source broke off"));
        }
        let length = buffer.len().min(70_001);
        self.content.read(&mut buffer[..length])
    }
}

#[test]
fn a_reader_may_give_little_and_be_interrupted() {
    let store = Store::new();
    let content = noise(1, 6 * MIB + 5);
    let batch = store.cas.batch();
    let mut reader = Reluctant {
        content: &content,
        calls: 0,
        fails: false,
    };
    let stored = batch.put_reader(&mut reader).unwrap();
    batch.commit().unwrap();
    assert_eq!(stored.object, ObjectId::of(&content));
    assert!(store.cas.read(&stored.object).unwrap() == content);
}

#[test]
fn a_source_that_breaks_off_leaves_the_batch_usable() {
    let store = Store::new();
    for length in [10, 6 * MIB] {
        let content = noise(length as u64, length);
        let batch = store.cas.batch();
        let mut reader = Reluctant {
            content: &content,
            calls: 0,
            fails: true,
        };
        let error = batch.put_reader(&mut reader).unwrap_err();
        assert!(matches!(error, CasError::Io { .. }), "{error}");
        let other = batch.put(b"another").unwrap();
        batch.commit().unwrap();
        assert!(!store.cas.contains(&ObjectId::of(&content)).unwrap());
        assert_eq!(store.cas.read(&other).unwrap(), b"another");
    }
    store.assert_verifies();
}

#[test]
fn packs_that_are_full_are_followed_by_others() {
    let folder = tempfile::tempdir().unwrap();
    let options = CasOptions {
        pack_max_bytes: 100_000,
        ..CasOptions::default()
    };
    let cas = open_with(folder.path(), options);
    let batch = cas.batch();
    let contents: Vec<_> = (0..40)
        .map(|seed| noise(seed, 20_000))
        .chain([noise(99, 2 * MIB)])
        .collect();
    let objects: Vec<_> = contents
        .iter()
        .map(|content| batch.put(content).unwrap())
        .collect();
    // What stands in a pack that is full already is not written again.
    objects.iter().zip(&contents).for_each(|(object, content)| {
        assert_eq!(batch.put(content).unwrap(), *object);
        assert!(batch.contains(object).unwrap());
    });
    batch.commit().unwrap();
    let bytes: u64 = support::files_below(&folder.path().join("objects/packs"))
        .iter()
        .map(|pack| pack.metadata().unwrap().len())
        .sum();
    assert!(bytes < 40 * 20_000 + 2 * MIB as u64 + 50_000, "{bytes}");
    for (object, content) in objects.iter().zip(&contents) {
        assert!(cas.read(object).unwrap() == *content);
    }
    assert_eq!(faults_of(&cas), Vec::<String>::new());
}

#[test]
fn many_small_batches_leave_few_packs_and_lose_nothing() {
    let store = Store::new();
    let other = store.reopened();
    let objects: Vec<_> = (0..400_u32)
        .map(|number| store.put(&number.to_le_bytes()))
        .collect();
    assert!(store.packs().len() <= 32, "{} packs", store.packs().len());
    for cas in [&store.cas, &other] {
        for (object, number) in objects.iter().zip(0..400_u32) {
            assert_eq!(cas.read(object).unwrap(), number.to_le_bytes());
        }
    }
    store.assert_verifies();
}

#[test]
fn many_threads_may_share_a_batch() {
    let store = Store::new();
    let batch = store.cas.batch();
    let stored = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..6_u64 {
            let (batch, stored) = (&batch, &stored);
            scope.spawn(move || {
                for number in 0..60 {
                    // Half of the contents are those of another thread.
                    batch.put(&noise(number + (thread % 3) * 30, 3000)).unwrap();
                    if number % 20 == 0 {
                        batch.put(&noise(1000 + thread, 2 * MIB)).unwrap();
                    }
                    if number == 30 {
                        batch.flush().unwrap();
                    }
                    stored.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    batch.commit().unwrap();
    assert_eq!(stored.into_inner(), 360);
    let objects = (0..120)
        .map(|seed| noise(seed, 3000))
        .chain((0..6).map(|thread| noise(1000 + thread, 2 * MIB)));
    for content in objects {
        assert!(store.cas.read(&ObjectId::of(&content)).unwrap() == content);
    }
    store.assert_verifies();
}

#[test]
fn a_checkout_never_writes_over_anything_nor_through_a_link() {
    let store = Store::new();
    let object = store.put(b"content");
    let path = store.folder.path().join("out");
    let elsewhere = store.folder.path().join("elsewhere");
    fs::write(&path, b"mine").unwrap();
    assert!(store.cas.checkout_file(&object, &path, false).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    fs::remove_file(&path).unwrap();
    symlink(&elsewhere, &path).unwrap();
    assert!(store.cas.checkout_file(&object, &path, false).is_err());
    assert!(!elsewhere.exists() && path.is_symlink());
}

#[test]
fn a_checkout_has_the_mode_that_was_asked_for() {
    let store = Store::new();
    let object = store.put(b"content");
    let mode = |is_executable| {
        let path = store.folder.path().join(format!("{is_executable}"));
        store
            .cas
            .checkout_file(&object, &path, is_executable)
            .unwrap();
        path.metadata().unwrap().permissions().mode() & 0o777
    };
    let (plain, executable) = (mode(false), mode(true));
    assert_eq!((plain & 0o700, executable & 0o700), (0o600, 0o700));
    assert_eq!((plain & !0o644, executable & !0o755), (0, 0));
}

fn entry(name: &str, kind: EntryKind, object: ObjectId) -> TreeEntry {
    TreeEntry {
        name: name.into(),
        kind,
        size_bytes: 1,
        object,
    }
}

#[test]
fn a_tree_is_walked_with_what_is_absent() {
    let store = Store::new();
    let batch = store.cas.batch();
    let file = batch.put(b"file").unwrap();
    let absent = ObjectId::of(b"absent");
    let inner = Tree::new(vec![
        entry("a", EntryKind::File, file),
        entry("b", EntryKind::File, absent),
    ])
    .unwrap();
    let inner_id = batch.put_tree(&inner).unwrap();
    let absent_tree = ObjectId::of(b"absent tree");
    let outer = Tree::new(vec![
        entry("one", EntryKind::Directory, inner_id),
        entry("two", EntryKind::Directory, absent_tree),
        entry("two again", EntryKind::Directory, inner_id),
        entry("link", EntryKind::Symlink, file),
    ])
    .unwrap();
    let outer_id = batch.put_tree(&outer).unwrap();
    batch.commit().unwrap();
    assert_eq!(store.cas.read_tree(&outer_id).unwrap(), outer);
    let mut visited = Vec::new();
    store
        .cas
        .walk_tree(&outer_id, &mut |object| visited.push(object))
        .unwrap();
    visited.sort_unstable();
    visited.dedup();
    let mut expected = vec![outer_id, inner_id, absent_tree, file, absent];
    expected.sort_unstable();
    assert_eq!(visited, expected);
    let error = store.cas.read_tree(&file).unwrap_err();
    assert!(matches!(error, CasError::Io { .. }), "{error}");
    assert!(store.cas.walk_tree(&file, &mut |_| {}).is_err());
}

#[test]
fn a_tree_that_holds_another_many_times_is_walked_in_no_time() {
    let store = Store::new();
    let batch = store.cas.batch();
    let mut tree = batch.put_tree(&Tree::default()).unwrap();
    for _ in 0..64 {
        let entries = ["a", "b"].map(|name| entry(name, EntryKind::Directory, tree));
        tree = batch
            .put_tree(&Tree::new(entries.to_vec()).unwrap())
            .unwrap();
    }
    batch.commit().unwrap();
    let mut count = 0;
    store.cas.walk_tree(&tree, &mut |_| count += 1).unwrap();
    assert_eq!(count, 1 + 2 * 64);
}

#[test]
fn a_reader_goes_on_when_the_packs_are_replaced_under_it() {
    let store = Store::new();
    let reader_cas = store.reopened();
    let contents: Vec<_> = (0..4).map(|seed| noise(seed, MIB + 17)).collect();
    let objects: Vec<_> = contents.iter().map(|content| store.put(content)).collect();
    let mut readers: Vec<_> = objects
        .iter()
        .map(|object| reader_cas.reader(object).unwrap())
        .collect();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _at_end = AtEnd(&is_over);
        scope.spawn(|| {
            for number in 100.. {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                store.put(&noise(number, 200_000));
            }
        });
        for (reader, content) in readers.iter_mut().zip(&contents) {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            assert!(read == *content);
        }
    });
}

#[test]
fn a_store_is_opened_again_and_again() {
    let store = Store::new();
    let object = store.put(b"content");
    for _ in 0..3 {
        assert_eq!(store.reopened().read(&object).unwrap(), b"content");
    }
    let mut foreign = File::create(store.folder.path().join("objects/packs/notes.txt")).unwrap();
    foreign.write_all(b"not a pack").unwrap();
    store.assert_verifies();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn ranges_are_those_of_the_content(
        seed: u64,
        length in prop_oneof![0_usize..2000, 1_048_000_usize..2_500_000],
        ranges in proptest::collection::vec((0_u64..2_600_000, prop_oneof![0_u64..300_000, Just(u64::MAX)]), 8),
    ) {
        let store = Store::new();
        let content = noise(seed, length);
        let object = store.put(&content);
        for (offset, asked) in ranges {
            let from = (offset as usize).min(length);
            let to = offset.saturating_add(asked).min(length as u64) as usize;
            prop_assert!(store.cas.read_range(&object, offset, asked).unwrap() == content[from..to]);
        }
    }

    #[test]
    fn what_is_put_in_any_order_and_batches_comes_back(
        lengths in proptest::collection::vec((0_u64..20, prop_oneof![0_usize..3000, 900_000_usize..1_300_000], any::<bool>(), 0_u8..4), 1..20),
    ) {
        let store = Store::new();
        let mut batch = store.cas.batch();
        let mut put = Vec::new();
        for (seed, length, is_text, after) in lengths {
            let content = if is_text { text(seed, length) } else { noise(seed, length) };
            put.push((batch.put(&content).unwrap(), content));
            match after {
                0 => batch.flush().unwrap(),
                1 => std::mem::replace(&mut batch, store.cas.batch()).commit().unwrap(),
                _ => {}
            }
        }
        batch.commit().unwrap();
        let reopened = store.reopened();
        for (object, content) in put {
            prop_assert!(reopened.read(&object).unwrap() == content);
        }
        prop_assert_eq!(faults_of(&reopened), Vec::<String>::new());
    }
}
