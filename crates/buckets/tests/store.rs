//! Contents and locations in a real object store, and what happens when it, or the way to it, is not what it should be.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use buckets::{Address, Bucket, BucketObjects, BucketRoot, Environment};
use cas::{Distant as _, DistantError, DistantFault, PutError, Stored};
use entities::ObjectId;
use locations::{Entry, Found, Root as _};
use support::{Fault, Store};

const SECRET: &str = "hunter2hunter2";

fn bucket(store: &Store, uri: &str) -> Bucket {
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_REGION", "us-east-1"),
        ("MLFLOW_S3_ENDPOINT_URL", store.url.as_str()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Bucket::new(Address::parse(uri).unwrap(), &Environment::new(variables)).unwrap()
}

/// Contents below a place, with a folder for what waits.
struct Objects {
    objects: Arc<BucketObjects>,
    temporary: tempfile::TempDir,
}

impl Objects {
    fn new(store: &Store, uri: &str) -> Self {
        Self::of_owner(store, uri, "this+store")
    }

    fn of_owner(store: &Store, uri: &str, owner: &str) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let objects = BucketObjects::new(bucket(store, uri), owner, temporary.path());
        Self {
            objects: Arc::new(objects),
            temporary,
        }
    }

    fn put(&self, content: &[u8]) -> Result<Stored, DistantError> {
        self.put_from(&mut &*content)
    }

    fn put_from(&self, content: &mut dyn std::io::Read) -> Result<Stored, DistantError> {
        let mut announced = None;
        let put = self.objects.put(content, &mut |id| {
            announced = Some(*id);
            Ok(())
        });
        match put {
            Ok(stored) => {
                assert_eq!(announced, Some(stored.object));
                Ok(stored)
            }
            Err(PutError::Distant(error)) => Err(error),
            Err(PutError::Here(error)) => panic!("{error}"),
        }
    }

    fn read_part(&self, id: &ObjectId, offset: u64, length: u64) -> Result<Vec<u8>, String> {
        let found = self.objects.read(id, offset, length);
        let mut reader = found.map_err(|error| error.message)?.ok_or("missing")?;
        let mut read = Vec::new();
        match reader.read_to_end(&mut read) {
            Ok(_) => Ok(read),
            Err(error) => Err(format!("{error} after {}", read.len())),
        }
    }

    fn read(&self, id: &ObjectId) -> Result<Vec<u8>, String> {
        self.read_part(id, 0, u64::MAX)
    }
}

fn content(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at.wrapping_mul(at + 7) % 251) as u8)
        .collect()
}

const MIB: usize = 1 << 20;

#[test]
fn contents_of_any_length_come_back_in_whole_and_in_parts() {
    let Some(store) = Store::start() else { return };
    let here = Objects::new(&store, "s3://box/ml/arts");
    here.objects.check().unwrap();
    here.objects.check().unwrap();
    for length in [
        0,
        1,
        MIB - 1,
        MIB,
        MIB + 1,
        4 * MIB,
        4 * MIB + 1,
        20 * MIB + 3,
    ] {
        let content = content(length);
        let stored = here.put(&content).unwrap();
        assert_eq!(stored.object, ObjectId::of(&content), "{length}");
        assert_eq!(stored.size_bytes, length as u64);
        assert!(here.read(&stored.object).unwrap() == content, "{length}");
        let size_bytes = here.objects.size_bytes(&stored.object).unwrap();
        assert_eq!(size_bytes, Some(length as u64));
        for (offset, part) in [(0, 10), (MIB - 3, 7), (length / 2, 2 * MIB), (length, 5)] {
            let end = (offset + part).min(length);
            let expected = &content[offset.min(end)..end];
            let read = here.read_part(&stored.object, offset as u64, part as u64);
            assert!(read.unwrap() == expected, "{offset} of {length}");
        }
    }
    let missing = ObjectId::of(b"never stored");
    assert!(here.objects.read(&missing, 0, 1).unwrap().is_none());
    assert_eq!(here.objects.size_bytes(&missing).unwrap(), None);
    let left = std::fs::read_dir(here.temporary.path()).unwrap().count();
    assert_eq!(left, 0, "something was left over");
}

#[test]
fn what_is_there_is_not_sent_again_and_a_part_is_read_as_a_part() {
    let Some(store) = Store::start() else { return };
    let here = Objects::new(&store, "s3://box/ml");
    for content in [content(1000), content(20 * MIB)] {
        let id = here.put(&content).unwrap().object;
        let before = store.sent_bytes();
        here.put(&content).unwrap();
        assert!(store.sent_bytes() - before < 10_000, "it was sent again");
        // Another server, which remembers nothing.
        let other = Objects::new(&store, "s3://box/ml");
        let before = store.received_bytes();
        other.read_part(&id, 500, 10).unwrap();
        assert!(store.received_bytes() - before < 3 * MIB as u64);
    }
}

#[test]
fn two_servers_that_store_the_same_at_once_do_not_harm_each_other() {
    let Some(store) = Store::start() else { return };
    let content = Arc::new(content(9 * MIB));
    let storing: Vec<_> = (0..4)
        .map(|_| {
            let (here, content) = (Objects::new(&store, "s3://box/ml"), Arc::clone(&content));
            std::thread::spawn(move || {
                here.objects.check().unwrap();
                here.put(&content[..1000]).unwrap();
                here.put(&content).unwrap()
            })
        })
        .collect();
    for storing in storing {
        let stored = storing.join().unwrap();
        assert!(
            Objects::new(&store, "s3://box/ml")
                .read(&stored.object)
                .unwrap()
                == *content
        );
    }
}

#[test]
fn what_is_overloaded_or_breaks_off_is_asked_again() {
    let Some(store) = Store::start() else { return };
    let here = Objects::new(&store, "s3://box/ml");
    let (small, large) = (content(1000), content(10 * MIB));
    for content in [&small, &large] {
        store.set(Fault::Busy, 2);
        let id = here.put(content).unwrap().object;
        store.set(Fault::Busy, 2);
        assert!(here.read(&id).unwrap() == *content);
        store.set(Fault::Truncated, 2);
        assert!(Objects::new(&store, "s3://box/ml").read(&id).unwrap() == *content);
    }
}

#[test]
fn nothing_that_was_altered_is_handed_out() {
    let Some(store) = Store::start() else { return };
    let here = Objects::new(&store, "s3://box/ml");
    for content in [content(1000), content(6 * MIB)] {
        let id = here.put(&content).unwrap().object;
        // Once is the network's fault, and what is stored is sound; always is damage.
        let other = Objects::new(&store, "s3://box/ml");
        store.set(Fault::Altered, usize::MAX);
        let told = other.read(&id).unwrap_err();
        assert!(told.contains("damaged"), "{told}");
        assert!(other.read_part(&id, 5, 5).is_err());
        store.set(Fault::None, 0);
        assert!(other.read(&id).unwrap() == content);
    }
    // In the middle of a large one: what came before was right.
    let content = content(12 * MIB);
    let id = here.put(&content).unwrap().object;
    let mut reader = here.objects.read(&id, 0, u64::MAX).unwrap().unwrap();
    let mut first = vec![0; MIB];
    reader.read_exact(&mut first).unwrap();
    store.set(Fault::Altered, usize::MAX);
    let mut rest = Vec::new();
    let error = reader.read_to_end(&mut rest).unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
    first.extend(rest);
    assert!(content.starts_with(&first) && first.len() < content.len());
}

#[test]
fn an_upload_that_breaks_off_names_nothing_and_can_be_done_again() {
    let Some(store) = Store::start() else { return };
    let here = Objects::new(&store, "s3://box/ml");
    let content = content(30 * MIB);
    let id = ObjectId::of(&content);
    store.set(Fault::CutOff, usize::MAX);
    let error = here.put(&content).unwrap_err();
    assert_eq!(error.kind, DistantFault::Unreachable, "{error}");
    store.set(Fault::None, 0);
    assert_eq!(here.objects.size_bytes(&id).unwrap(), None);
    here.put(&content).unwrap();
    assert!(here.read(&id).unwrap() == content);
    // A source that breaks off is nobody's content.
    let broken = (&content[..]).chain(Broken);
    let error = here.put_from(&mut { broken }).unwrap_err();
    assert_eq!(error.kind, DistantFault::Source);
}

struct Broken;

impl std::io::Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::UnexpectedEof.into())
    }
}

#[test]
fn who_is_refused_is_told_what_to_set_and_no_secret_is_said() {
    let Some(store) = Store::start() else { return };
    let here = Objects::new(&store, "s3://box/ml");
    store.set(Fault::Denied, usize::MAX);
    for error in [
        here.objects.check().unwrap_err(),
        here.put(b"x").unwrap_err(),
        here.put(&content(6 * MIB)).unwrap_err(),
    ] {
        assert_eq!(error.kind, DistantFault::Denied, "{error}");
        assert!(error.message.contains("`AWS_SECRET_ACCESS_KEY`"), "{error}");
        assert!(error.message.contains("s3://box/ml"), "{error}");
        assert!(!error.message.contains(SECRET), "{error}");
    }
    store.set(Fault::None, 0);
    let nowhere = Objects::new(&store, "s3://nowhere/ml");
    let error = nowhere.objects.check().unwrap_err();
    assert_eq!(error.kind, DistantFault::NoPlace, "{error}");
    let told = format!("{:?} {:?}", here.objects, bucket(&store, "s3://box/ml"));
    assert!(!told.contains(SECRET), "{told}");
}

#[test]
fn a_place_that_a_newer_version_or_somebody_else_uses_is_refused() {
    let Some(store) = Store::start() else { return };
    store.put("box/new/format", "reproof objects 2\n");
    store.put("box/other/format", "PNG");
    for (uri, words) in [
        ("s3://box/new", "newer version"),
        ("s3://box/other", "something else"),
    ] {
        let error = Objects::new(&store, uri).objects.check().unwrap_err();
        assert!(error.message.contains(words), "{error}");
    }
}

#[test]
fn another_store_neither_keeps_nor_removes_anything_there() {
    let Some(store) = Store::start() else { return };
    let here = Objects::new(&store, "s3://box/ml");
    here.objects.check().unwrap();
    let id = here.put(b"ours").unwrap().object;
    let other = Objects::of_owner(&store, "s3://box/ml", "other+store");
    let error = other.objects.check().unwrap_err();
    assert!(error.message.contains("another store"), "{error}");
    let error = other.objects.remove(&id).unwrap_err();
    assert!(error.message.contains("another store"), "{error}");
    assert_eq!(here.read(&id).unwrap(), b"ours");
    // A copy of this very store that was put back reads, and removes nothing either.
    let copy = BucketObjects::new(
        bucket(&store, "s3://box/ml"),
        "this+store",
        here.temporary.path(),
    );
    let copy = copy.only_read();
    for refused in [copy.remove(&id).map(drop), copy.remove_all(&[id])] {
        let error = refused.unwrap_err();
        assert!(error.message.contains("is only read"), "{error}");
    }
    assert!(!copy.remove(&ObjectId::of(b"nowhere")).unwrap());
    assert_eq!(here.read(&id).unwrap(), b"ours");
    Objects::of_owner(&store, "s3://box/ml/other", "other+store")
        .objects
        .check()
        .unwrap();
}

#[test]
fn what_is_removed_is_gone_with_its_outline() {
    let Some(store) = Store::start() else { return };
    let here = Objects::new(&store, "s3://box/ml");
    let id = here.put(&content(3 * MIB)).unwrap().object;
    assert!(here.objects.remove(&id).unwrap());
    assert!(!here.objects.remove(&id).unwrap());
    assert!(here.objects.read(&id, 0, 1).unwrap().is_none());
    here.put(&content(3 * MIB)).unwrap();
    assert!(here.read(&id).unwrap() == content(3 * MIB));
}

#[test]
fn all_contents_are_listed_and_many_are_removed_at_once() {
    let Some(store) = Store::start() else { return };
    let here = Objects::new(&store, "s3://box/ml");
    let large = here.put(&content(3 * MIB)).unwrap().object;
    let mut expected = BTreeMap::from([(large, 3 * MIB as u64)]);
    for number in 0..1100_u32 {
        let content = number.to_string();
        let stored = here.put(content.as_bytes()).unwrap();
        expected.insert(stored.object, stored.size_bytes);
    }
    // What is beside ours is not.
    store.put("box/ml/objects/ab/README", "not an object");
    let list = || {
        let mut found = BTreeMap::new();
        let visit = &mut |id, size_bytes| *found.entry(id).or_insert(0) += size_bytes;
        here.objects.list(visit).map(|()| found)
    };
    assert_eq!(list().unwrap(), expected);
    let ids: Vec<ObjectId> = expected.keys().copied().skip(1).collect();
    here.objects.remove_all(&ids).unwrap();
    here.objects.remove_all(&ids).unwrap();
    assert_eq!(list().unwrap().len(), 1);
    store.set(Fault::Denied, usize::MAX);
    assert_eq!(list().unwrap_err().kind, DistantFault::Denied);
}

#[test]
fn what_clients_wrote_by_themselves_is_listed_read_and_written_below_the_root_alone() {
    let Some(store) = Store::start() else { return };
    store.put("box/arts/0/run/artifacts/model/MLmodel", "flavors");
    store.put("box/arts/0/run/artifacts/a b.txt", "0123456789");
    store.put("box/arts/0/other/artifacts/theirs", "theirs");
    store.put("box/secret", "secret");
    let root = BucketRoot::new(bucket(&store, "s3://box/arts"));
    for uri in [
        "s3://box",
        "s3://box/secret",
        "s3://box/arts/../secret",
        "s3://box/arts/%2e%2e",
        "s3://other/arts",
        "/arts",
    ] {
        assert!(root.find(uri).is_none(), "{uri}");
    }
    let location = root.find("s3://box/arts/0/run/artifacts").unwrap();
    let listed = location.list("").unwrap().unwrap();
    let expected = [("a b.txt", Some(10)), ("model", None)].map(|(name, size_bytes)| Entry {
        name: name.to_owned(),
        size_bytes,
    });
    assert_eq!(listed, expected);
    assert_eq!(location.list("model").unwrap().unwrap().len(), 1);
    assert_eq!(location.list("none").unwrap(), None);
    let Found::File(file) = location.open("a b.txt").unwrap() else {
        panic!("no file");
    };
    let mut part = String::new();
    file.read(3, 4).unwrap().read_to_string(&mut part).unwrap();
    assert_eq!(part, "3456");
    assert!(matches!(location.open("model").unwrap(), Found::Folder));
    assert!(matches!(location.open("none").unwrap(), Found::Nothing));
    let walk = location.walk("", 10).unwrap().unwrap();
    let paths: Vec<_> = walk.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["a b.txt", "model/MLmodel"]);
    assert_eq!(location.walk("model", 10).unwrap().unwrap().files.len(), 1);
    assert!(location.walk("", 1).is_err());
    location.write("new/x", &mut "1".as_bytes()).unwrap();
    assert!(matches!(location.open("new/x").unwrap(), Found::File(_)));
    assert!(!location.is_taken_over());
}
