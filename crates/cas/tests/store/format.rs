//! The format stays what it is: packs of this version are read by all later ones.

use std::fs;
use std::path::PathBuf;

use entities::ObjectId;

use crate::support::{Store, noise, text};

/// The names that the golden packs have in a store.
const PLAIN: &str = "55a23a881e0a617ddd76d6af9f2e47f7";
const COMPRESSED: &str = "461e14ec88b13ff3b18edc328c5c86ec";

fn golden() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"))
}

/// Contents that are stored as they are, so that no other library's version shows in the bytes.
fn plain() -> Vec<Vec<u8>> {
    let small = (0..300).map(|seed| noise(seed, 20 + seed as usize % 50));
    // Large, and of few different chunks.
    let large = noise(1000, 16_384).repeat(70);
    [Vec::new(), large].into_iter().chain(small).collect()
}

fn compressed() -> Vec<Vec<u8>> {
    vec![text(1, 2000), text(2, (1 << 20) + 1)]
}

fn store_of(contents: &[Vec<u8>]) -> Store {
    let store = Store::new();
    store.put_all(contents.iter().map(Vec::as_slice));
    store
}

#[test]
fn the_same_contents_give_the_same_pack_to_the_byte() {
    let store = store_of(&plain());
    let pack = &store.packs()[0];
    let expected = fs::read(golden().join("plain.pack.bin")).unwrap();
    assert!(
        fs::read(pack).unwrap() == expected,
        "the format has changed"
    );
    assert_eq!(
        pack.file_name().unwrap().to_str().unwrap(),
        format!("{PLAIN}.pack")
    );
}

#[test]
fn packs_of_this_version_are_read() {
    let store = Store::new();
    let folder = store.folder.path().join("objects/packs");
    for (file, name) in [("plain", PLAIN), ("compressed", COMPRESSED)] {
        let golden = golden().join(format!("{file}.pack.bin"));
        fs::copy(golden, folder.join(format!("{name}.pack"))).unwrap();
    }
    for content in plain().iter().chain(&compressed()) {
        assert!(store.cas.read(&ObjectId::of(content)).unwrap() == *content);
    }
    store.assert_verifies();
    let format = fs::read(store.folder.path().join("objects/format")).unwrap();
    assert_eq!(format, b"reproof objects 1\n");
}
