//! What happens on the disk is noticed: a changed byte, a lost or a cut file.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use cas::{Cas, CasError, CasFault, CasOptions, Damage};
use entities::ObjectId;

use crate::support::{Store, faults_of, files_below, noise, text};

const MIB: usize = 1 << 20;

fn try_open(folder: &Path) -> Result<Cas, CasError> {
    Cas::open(
        &folder.join("objects"),
        &folder.join("tmp"),
        CasOptions::default(),
    )
}

/// Each fault of a store that may not even open.
fn faults_below(folder: &Path) -> Vec<String> {
    match try_open(folder) {
        Ok(cas) => faults_of(&cas),
        Err(error) => vec![error.to_string()],
    }
}

#[test]
fn every_flipped_byte_of_a_small_store_is_found() {
    let store = Store::new();
    let contents = [b"a".to_vec(), noise(1, 300), text(2, 900), Vec::new()];
    let objects = store.put_all(contents.iter().map(Vec::as_slice));
    store.put(b"in a pack of its own");
    // Stored again, so that there is a file of what is young.
    store.put(b"a");
    let mut flipped = 0;
    for path in files_below(&store.folder.path().join("objects")) {
        let relative = path
            .strip_prefix(store.folder.path().join("objects"))
            .unwrap();
        let holds_content = relative.starts_with("packs") || relative == Path::new("format");
        let before = fs::read(&path).unwrap();
        for at in 0..before.len() {
            for mask in [0x01, 0x80] {
                let mut bytes = before.clone();
                bytes[at] ^= mask;
                fs::write(&path, &bytes).unwrap();
                let faults = faults_below(store.folder.path());
                assert_eq!(
                    faults.is_empty(),
                    !holds_content,
                    "{} byte {at}: {faults:?}",
                    relative.display()
                );
                if !holds_content {
                    let cas = store.reopened();
                    for (object, content) in objects.iter().zip(&contents) {
                        assert_eq!(cas.read(object).unwrap(), *content);
                    }
                }
                flipped += 1;
            }
        }
        fs::write(&path, &before).unwrap();
    }
    assert!(flipped > 1000, "{flipped}");
    store.assert_verifies();
}

#[test]
fn no_flipped_byte_ever_gives_a_wrong_content() {
    let store = Store::new();
    let contents = [noise(1, 300), text(2, 900)];
    let objects = store.put_all(contents.iter().map(Vec::as_slice));
    let path = &store.packs()[0];
    let before = fs::read(path).unwrap();
    for at in 0..before.len() {
        let mut bytes = before.clone();
        bytes[at] ^= 0x10;
        fs::write(path, &bytes).unwrap();
        let cas = store.reopened();
        for (object, content) in objects.iter().zip(&contents) {
            if let Ok(read) = cas.read(object) {
                assert_eq!(read, *content, "byte {at}");
            }
        }
    }
}

#[test]
fn flips_in_a_large_object_are_found_at_their_place() {
    let store = Store::new();
    let content = noise(1, 2 * MIB);
    let object = store.put(&content);
    let path = &store.packs()[0];
    let before = fs::read(path).unwrap();
    let mut found = 0;
    for at in (0..before.len()).step_by(before.len() / 150) {
        let mut bytes = before.clone();
        bytes[at] ^= 0x04;
        fs::write(path, &bytes).unwrap();
        let cas = store.reopened();
        let mut offsets = Vec::new();
        cas.verify(&mut |fault| match fault {
            CasFault::File(CasError::Damaged {
                path: named,
                offset,
                ..
            }) => {
                assert_eq!(named, *path);
                offsets.push(offset as usize);
            }
            CasFault::ChunkDamaged { object: named, .. } => assert_eq!(named, object),
            fault => panic!("{fault}"),
        })
        .unwrap();
        assert_eq!(offsets.len(), 1, "byte {at}");
        // An entry is told by where it begins; the longest is a chunk.
        assert!(
            (0..=131_072).contains(&(at as isize - offsets[0] as isize)),
            "byte {at} told as {offsets:?}"
        );
        let mut read = Vec::new();
        let outcome = cas
            .reader(&object)
            .map(|mut reader| reader.read_to_end(&mut read));
        if (16..2 * MIB).contains(&at) {
            assert!(outcome.is_ok_and(|outcome| outcome.is_err()), "byte {at}");
            assert!(content.starts_with(&read), "no wrong byte is handed out");
            assert!(matches!(cas.read(&object), Err(CasError::Damaged { .. })));
            let out = store.folder.path().join("out");
            assert!(matches!(
                cas.checkout_file(&object, &out, false),
                Err(CasError::Damaged { .. })
            ));
            assert!(!out.exists(), "a damaged file is not left");
        }
        found += 1;
    }
    assert!(found >= 150);
}

#[test]
fn a_pack_cut_off_anywhere_is_found() {
    let store = Store::new();
    store.put_all([&noise(1, 500)[..], b"a"]);
    let path = &store.packs()[0];
    let before = fs::read(path).unwrap();
    for length in 0..before.len() {
        fs::write(path, &before[..length]).unwrap();
        assert!(
            !faults_of(&store.reopened()).is_empty(),
            "cut to {length} bytes"
        );
    }
    fs::write(path, [&before[..], b"more"].concat()).unwrap();
    assert!(!faults_of(&store.reopened()).is_empty());
}

#[test]
fn a_damaged_pack_does_not_hide_what_others_hold() {
    let store = Store::new();
    let first = store.put(b"first");
    let damaged = store.packs()[0].clone();
    let second = store.put(b"second");
    let mut bytes = fs::read(&damaged).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    let cas = store.reopened();
    assert_eq!(cas.read(&second).unwrap(), b"second");
    assert!(matches!(cas.read(&first), Err(CasError::Damaged { path, .. }) if path == damaged));
    // Nor does it keep anybody from storing, the lost object included.
    let batch = cas.batch();
    batch.put(b"first").unwrap();
    batch.put(b"third").unwrap();
    batch.commit().unwrap();
    assert_eq!(cas.read(&first).unwrap(), b"first");
    // Nothing is collected as long as it is not known what the damaged pack refers to.
    let options = cas::GcOptions {
        grace_ms: 0,
        is_dry_run: false,
    };
    assert!(matches!(
        cas.gc(&[first].into(), &options),
        Err(CasError::Damaged { .. })
    ));
    assert_eq!(cas.read(&second).unwrap(), b"second");
}

#[test]
fn a_pack_under_another_name_is_found() {
    let store = Store::new();
    store.put(b"a");
    let path = store.packs()[0].clone();
    fs::rename(
        &path,
        path.with_file_name(format!("{}.pack", "0".repeat(32))),
    )
    .unwrap();
    let faults = faults_of(&store.reopened());
    assert!(
        faults.len() == 1 && faults[0].contains("another name"),
        "{faults:?}"
    );
}

#[test]
fn an_object_whose_chunks_are_lost_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let options = CasOptions {
        pack_max_bytes: 300_000,
        ..CasOptions::default()
    };
    let cas = crate::support::open_with(folder.path(), options);
    let batch = cas.batch();
    let object = batch.put(&noise(1, 2 * MIB)).unwrap();
    batch.commit().unwrap();
    let packs = files_below(&folder.path().join("objects/packs"));
    // Any pack but the one with the list.
    let holds_list = |pack: &&std::path::PathBuf| pack.metadata().unwrap().len() > 300_000;
    fs::remove_file(packs.iter().find(holds_list).unwrap()).unwrap();
    let cas = try_open(folder.path()).unwrap();
    let faults = faults_of(&cas);
    assert!(!faults.is_empty());
    let expected = format!("object `{object}`, listed in");
    assert!(
        faults
            .iter()
            .all(|fault| fault.starts_with(&expected) && fault.ends_with("is missing")),
        "{faults:?}"
    );
    let error = cas.read(&object).unwrap_err();
    assert!(
        matches!(
            error,
            CasError::Damaged {
                damage: Damage::ChunkMissing,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_newer_store_and_a_newer_pack_are_refused() {
    let store = Store::new();
    let object = store.put(b"a");
    let pack = &store.packs()[0];
    let mut bytes = fs::read(pack).unwrap();
    let version = bytes.len() - 16;
    bytes[version] = 2;
    fs::write(pack, bytes).unwrap();
    let error = store.reopened().read(&object).unwrap_err();
    assert!(
        matches!(
            error,
            CasError::Newer {
                found: 2,
                supported: 1,
                ..
            }
        ),
        "{error}"
    );
    fs::write(
        store.folder.path().join("objects/format"),
        "reproof objects 7\n",
    )
    .unwrap();
    let error = try_open(store.folder.path()).unwrap_err();
    assert!(
        matches!(
            error,
            CasError::Newer {
                found: 7,
                supported: 1,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn bytes_of_a_stranger_are_refused_and_take_no_memory() {
    let store = Store::new();
    store.put(b"a");
    let folder = store.folder.path().join("objects/packs");
    for (number, length) in [0_usize, 1, 79, 80, 4096, 100_000].into_iter().enumerate() {
        let name = format!("{}.pack", format!("{number:x}").repeat(32));
        fs::write(folder.join(name), noise(number as u64, length)).unwrap();
    }
    assert_eq!(faults_of(&store.reopened()).len(), 6);
    assert!(store.reopened().contains(&ObjectId::of(b"a")).unwrap());
}
