//! Whole ledgers: growing, crashing, and being attacked.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

use std::collections::BTreeMap;

use ledger::{
    CHECKPOINT_PATH, Checkpoint, DirectoryTiles, EntryProof, Fault, Integrator, LedgerError,
    MemoryTiles, Note, NoteSignature, SigningKey, TileHashes, TileStorage, TreeHead, VerifierKey,
    leaf_hash, load_frontier, prove_consistency, root_of, verify, verify_against,
    verify_consistency,
};
use proptest::prelude::*;

fn key() -> SigningKey {
    SigningKey::from_seed("example.com/log", &[42; 32]).unwrap()
}

fn keys() -> [VerifierKey; 1] {
    [key().verifier()]
}

fn entries(from: u64, to: u64) -> Vec<Vec<u8>> {
    (from..to)
        .map(|number| format!("entry number {number}").into_bytes())
        .collect()
}

/// Grows a ledger from `from` in the given steps, signing after each.
fn grow<S: TileStorage>(storage: &S, integrator: &mut Integrator, sizes: &[u64]) {
    for &size in sizes {
        let from = integrator.head().size;
        integrator.append(storage, &entries(from, size)).unwrap();
        integrator.publish(storage, &[&key()]).unwrap();
    }
}

fn ledger_of(sizes: &[u64]) -> MemoryTiles {
    let storage = MemoryTiles::default();
    let mut integrator = Integrator::new();
    integrator.publish(&storage, &[&key()]).unwrap();
    grow(&storage, &mut integrator, sizes);
    storage
}

fn files<S: TileStorage>(storage: &S) -> BTreeMap<String, Vec<u8>> {
    let paths = storage.list().unwrap();
    paths
        .into_iter()
        .map(|path| (path.clone(), storage.read(&path).unwrap().unwrap()))
        .collect()
}

fn verify_all<S: TileStorage>(storage: &S) -> Result<Checkpoint, LedgerError> {
    verify(storage, &keys(), |_, _| Ok(()))
}

fn fault<S: TileStorage>(storage: &S) -> Fault {
    match verify_all(storage) {
        Err(LedgerError::Fault(fault)) => *fault,
        other => panic!("expected a fault, got {other:?}"),
    }
}

fn change(storage: &MemoryTiles, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = storage.read(path).unwrap().expect(path);
    change(&mut bytes);
    storage.write(path, &bytes).unwrap();
}

#[test]
fn an_empty_ledger_verifies() {
    assert_eq!(verify_all(&ledger_of(&[])).unwrap().head.size, 0);
}

#[test]
fn a_ledger_grown_in_steps_verifies_and_has_the_root_of_its_leaves() {
    let sizes = [
        1, 2, 255, 256, 257, 300, 511, 512, 513, 65_535, 65_536, 65_800,
    ];
    let storage = ledger_of(&sizes);
    let leaves: Vec<_> = entries(0, 65_800)
        .iter()
        .map(|entry| leaf_hash(entry))
        .collect();
    let head = verify_all(&storage).unwrap().head;
    assert_eq!((head.size, head.root), (65_800, root_of(&leaves)));
    assert_eq!(load_frontier(&storage, 65_800).unwrap().head(), head);
    let paths = storage.list().unwrap();
    assert!(paths.contains(&"tile/2/000.p/1".to_owned()));
    let partials = paths.iter().filter(|path| path.contains(".p/"));
    assert_eq!(
        partials.cloned().collect::<Vec<_>>(),
        [
            "tile/0/257.p/8",
            "tile/1/001.p/1",
            "tile/2/000.p/1",
            "tile/entries/257.p/8"
        ],
        "partial tiles that became full are gone"
    );
}

#[test]
fn an_integrator_taken_up_again_at_any_size_goes_on_as_if_it_had_never_stopped() {
    for stop in [0, 1, 100, 255, 256, 257, 511, 512, 600] {
        let whole = ledger_of(&[stop, 700]);
        let storage = ledger_of(&[stop]);
        let head = verify_all(&storage).unwrap().head;
        let mut integrator = Integrator::load(&storage, head).unwrap();
        grow(&storage, &mut integrator, &[700]);
        assert_eq!(files(&storage), files(&whole), "stopped at {stop}");
    }
}

#[test]
fn an_integrator_refuses_tiles_that_are_not_under_the_signed_root() {
    let storage = ledger_of(&[300]);
    let head = verify_all(&storage).unwrap().head;
    change(&storage, "tile/entries/001.p/44", |bytes| bytes[5] ^= 1);
    assert!(matches!(
        Integrator::load(&storage, head),
        Err(LedgerError::TileMalformed { byte: 0, .. })
    ));
    change(&storage, "tile/entries/001.p/44", |bytes| bytes[5] ^= 1);
    change(&storage, "tile/0/001.p/44", |bytes| bytes[5] ^= 1);
    assert!(matches!(
        Integrator::load(&storage, head),
        Err(LedgerError::RootDiffers { size: 300, .. })
    ));
    assert!(storage.remove("tile/0/001.p/44"));
    assert!(matches!(
        Integrator::load(&storage, head),
        Err(LedgerError::TileMissing { .. })
    ));
}

/// Fails every write after the first few, as a crash or a full disk would.
struct Failing<'a> {
    inner: &'a MemoryTiles,
    writes_left: std::cell::Cell<usize>,
}

impl TileStorage for Failing<'_> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        self.inner.read(path)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), LedgerError> {
        let Some(left) = self.writes_left.get().checked_sub(1) else {
            return Err(LedgerError::Storage {
                action: "write",
                path: path.to_owned(),
                source: std::io::ErrorKind::StorageFull.into(),
            });
        };
        self.writes_left.set(left);
        self.inner.write(path, bytes)
    }

    fn sync(&self) -> Result<(), LedgerError> {
        self.inner.sync()
    }

    fn remove_partials(&self, full_path: &str) -> Result<(), LedgerError> {
        self.inner.remove_partials(full_path)
    }

    fn list(&self) -> Result<Vec<String>, LedgerError> {
        self.inner.list()
    }
}

#[test]
fn a_crash_after_any_write_leaves_a_ledger_that_goes_on_to_the_same_files() {
    let whole = files(&ledger_of(&[250, 600]));
    for writes in 0..12 {
        let storage = ledger_of(&[250]);
        let signed = storage.read(CHECKPOINT_PATH).unwrap().unwrap();
        let head = Checkpoint::open(&signed, &keys()).unwrap().head;
        let mut integrator = Integrator::load(&storage, head).unwrap();
        let failing = Failing {
            inner: &storage,
            writes_left: writes.into(),
        };
        let crashed = integrator.append(&failing, &entries(250, 600)).is_err()
            || integrator.publish(&failing, &[&key()]).is_err();
        // Seven files of tiles and entries, a partial tile of row 1, the checkpoint.
        assert_eq!(crashed, writes < 8, "after {writes} writes");
        if integrator.head().size == 250 {
            integrator.append(&storage, &entries(250, 600)).unwrap();
            integrator.publish(&storage, &[&key()]).unwrap();
            assert_eq!(files(&storage), whole, "repeated after {writes} writes");
        }
        let signed = storage.read(CHECKPOINT_PATH).unwrap().unwrap();
        let head = Checkpoint::open(&signed, &keys()).unwrap().head;
        let mut again = Integrator::load(&storage, head).unwrap();
        grow(&storage, &mut again, &[600]);
        assert_eq!(files(&storage), whole, "taken up after {writes} writes");
        verify_all(&storage).unwrap();
    }
}

#[test]
fn a_failed_append_leaves_the_integrator_as_it_was() {
    let storage = ledger_of(&[]);
    let mut integrator = Integrator::new();
    let too_long = [b"fine".to_vec(), vec![0; 65_536]];
    assert!(integrator.append(&storage, &too_long).is_err());
    assert_eq!(integrator.head().size, 0);
    grow(&storage, &mut integrator, &[3]);
    assert_eq!(files(&storage), files(&ledger_of(&[3])));
}

/// The exception: lines of keys that the reader does not know are not signed content, and a reader must pass them over.
#[test]
fn every_flipped_byte_of_a_small_ledger_is_caught_save_in_an_unknown_signature_line() {
    let root = tempfile::tempdir().unwrap();
    let storage = DirectoryTiles::new(root.path());
    let mut integrator = Integrator::new();
    grow(&storage, &mut integrator, &[7, 20]);
    let signed = storage.read(CHECKPOINT_PATH).unwrap().unwrap();
    let mut note = Note::parse(&signed).unwrap();
    note.push_signature(NoteSignature {
        name: "witness.example".to_owned(),
        id: 7,
        signature: vec![1; 72],
    });
    storage.write(CHECKPOINT_PATH, &note.encode()).unwrap();
    storage.sync().unwrap();
    verify_all(&storage).unwrap();
    let unknown_line = signed.len()..note.encode().len();

    let all = files(&storage);
    // Partial tiles of size 7 and size 20, of hashes and of entries, and the checkpoint.
    assert_eq!(all.len(), 5);
    for (path, whole) in &all {
        for at in 0..whole.len() {
            for flip in [1 << (at % 8), 0xff] {
                let mut changed = whole.clone();
                changed[at] ^= flip;
                std::fs::write(root.path().join(path), changed).unwrap();
                let passed = verify_all(&storage).is_ok();
                let allowed = path == CHECKPOINT_PATH && unknown_line.contains(&at);
                assert!(
                    !passed || allowed,
                    "byte {at} of {path} flipped by {flip:#x}"
                );
            }
        }
        std::fs::write(root.path().join(path), whole).unwrap();
    }
    verify_all(&storage).unwrap();
}

#[test]
fn every_file_removed_cut_or_made_longer_is_caught_and_named() {
    let storage = ledger_of(&[20, 600]);
    for (path, whole) in files(&storage) {
        assert!(storage.remove(&path));
        assert!(fault(&storage).to_string().contains(&path), "{path} gone");
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            storage.write(&path, &whole[..length]).unwrap();
            assert!(
                fault(&storage).to_string().contains(&path),
                "{path} cut to {length}"
            );
        }
        let longer = [&whole[..], b"\0"].concat();
        storage.write(&path, &longer).unwrap();
        assert!(fault(&storage).to_string().contains(&path), "{path} longer");
        storage.write(&path, &whole).unwrap();
    }
    for path in [
        "tile/0/003",
        "tile/0/002.p/89",
        "tile/1/001.p/1",
        "notes.txt",
        "tile/9/000",
    ] {
        storage.write(path, b"").unwrap();
        assert!(
            matches!(fault(&storage), Fault::FileUnexpected { path: found, size: 600 } if found == path)
        );
        assert!(storage.remove(path));
    }
    verify_all(&storage).unwrap();
}

#[test]
fn the_first_fault_is_told_with_its_place() {
    let storage = ledger_of(&[600]);
    change(&storage, "tile/entries/001", |bytes| bytes[18 * 3 + 4] ^= 1);
    let text = "entry 259 (`tile/entries/001` byte 54) does not have the hash in `tile/0/001` (byte 96): one of them was changed";
    assert_eq!(fault(&storage).to_string(), text);
    change(&storage, "tile/entries/001", |bytes| bytes[18 * 3 + 4] ^= 1);
    change(&storage, "tile/1/000.p/2", |bytes| bytes[40] ^= 1);
    assert_eq!(
        fault(&storage).to_string(),
        "`tile/1/000.p/2` has a wrong hash at byte 32"
    );
}

#[test]
fn an_entry_changed_with_the_whole_tree_recomputed_is_caught_by_the_signed_root() {
    let honest = ledger_of(&[300]);
    let forged = MemoryTiles::default();
    let mut changed = entries(0, 300);
    changed[17] = b"entry number 71".to_vec();
    Integrator::new().append(&forged, &changed).unwrap();
    let signed = honest.read(CHECKPOINT_PATH).unwrap().unwrap();
    forged.write(CHECKPOINT_PATH, &signed).unwrap();
    assert!(matches!(
        fault(&forged),
        Fault::RootDiffers { size: 300, .. }
    ));
}

#[test]
fn a_reordered_doubled_or_omitted_entry_is_caught_by_the_signed_root() {
    let signed = ledger_of(&[30]).read(CHECKPOINT_PATH).unwrap().unwrap();
    let honest = entries(0, 30);
    let mut reordered = honest.clone();
    reordered.swap(3, 4);
    let mut doubled = honest.clone();
    doubled[4] = doubled[3].clone();
    let mut omitted = honest;
    omitted.remove(3);
    omitted.push(b"filler".to_vec());
    for forgery in [reordered, doubled, omitted] {
        let forged = MemoryTiles::default();
        Integrator::new().append(&forged, &forgery).unwrap();
        forged.write(CHECKPOINT_PATH, &signed).unwrap();
        assert!(matches!(fault(&forged), Fault::RootDiffers { .. }));
    }
}

#[test]
fn a_tree_recomputed_and_signed_by_another_key_is_refused() {
    let forged = MemoryTiles::default();
    let mut integrator = Integrator::new();
    integrator.append(&forged, &entries(0, 3)).unwrap();
    let thief = SigningKey::from_seed("example.com/log", &[1; 32]).unwrap();
    integrator.publish(&forged, &[&thief]).unwrap();
    assert!(matches!(fault(&forged), Fault::CheckpointRefused { .. }));
}

#[test]
fn an_old_checkpoint_put_back_over_newer_tiles_is_caught() {
    let storage = ledger_of(&[300]);
    let old = storage.read(CHECKPOINT_PATH).unwrap().unwrap();
    let head = verify_all(&storage).unwrap().head;
    let mut integrator = Integrator::load(&storage, head).unwrap();
    grow(&storage, &mut integrator, &[310]);
    storage.write(CHECKPOINT_PATH, &old).unwrap();
    assert!(matches!(
        fault(&storage),
        Fault::FileUnexpected { size: 300, .. }
    ));
}

/// A restored backup is a valid ledger: only what was kept elsewhere tells.
#[test]
fn rollback_and_fork_verify_alone_and_are_caught_by_a_checkpoint_kept_elsewhere() {
    let storage = ledger_of(&[200, 300]);
    let kept = verify_all(&storage).unwrap().head;
    let rolled_back = ledger_of(&[200]);
    let head = verify_all(&rolled_back).unwrap().head;
    assert!(matches!(
        verify_consistency(kept, head, &[]),
        Err(LedgerError::SizesReversed { .. })
    ));

    let mut forked = Integrator::load(&rolled_back, head).unwrap();
    let other = vec![b"another history".to_vec(); 200];
    forked.append(&rolled_back, &other).unwrap();
    forked.publish(&rolled_back, &[&key()]).unwrap();
    let head = verify_all(&rolled_back).unwrap().head;
    let mut reader = TileHashes::new(&rolled_back, head.size);
    let proof = prove_consistency(kept.size, head.size, &mut reader).unwrap();
    assert!(matches!(
        verify_consistency(kept, head, &proof),
        Err(LedgerError::ProofRefused { .. })
    ));
}

#[test]
fn entries_are_compared_with_those_the_caller_has() {
    let storage = ledger_of(&[300]);
    let against = |expected: Vec<Vec<u8>>| {
        verify_against(
            &storage,
            &keys(),
            expected.into_iter().map(Ok::<_, LedgerError>),
        )
    };
    assert_eq!(against(entries(0, 300)).unwrap().head.size, 300);
    let mut edited = entries(0, 300);
    edited[260][13] = b'X';
    let cases = [
        (
            edited,
            "entry 260 differs from what was expected, from byte 13",
        ),
        (
            entries(0, 299),
            "the ledger has 300 entries, expected were 299",
        ),
        (
            entries(0, 301),
            "the ledger has 300 entries, expected were 301",
        ),
    ];
    for (expected, text) in cases {
        assert_eq!(against(expected).unwrap_err().to_string(), text);
    }
    let broken = [Err(LedgerError::SignatureMissing), Ok(Vec::new())];
    let error = verify_against(&storage, &keys(), broken).unwrap_err();
    assert!(matches!(error, LedgerError::SignatureMissing));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_way_of_batching_gives_the_same_ledger(
        mut cuts in proptest::collection::vec(0_u64..1200, 0..6),
        size in 1_u64..1200,
    ) {
        cuts.retain(|&cut| cut < size);
        cuts.sort_unstable();
        cuts.push(size);
        let storage = ledger_of(&cuts);
        let at_once = ledger_of(&[size]);
        prop_assert_eq!(verify_all(&storage).unwrap(), verify_all(&at_once).unwrap());
        let all = files(&storage);
        for (path, bytes) in files(&at_once) {
            prop_assert_eq!(&bytes, &all[&path], "{}", path);
        }
    }

    #[test]
    fn any_entry_can_be_proved_and_any_two_sizes_are_consistent(
        size in 1_u64..1500,
        parts in proptest::collection::vec(0.0_f64..1.0, 1..5),
    ) {
        let storage = ledger_of(&[size]);
        let new = verify_all(&storage).unwrap().head;
        for part in parts {
            let index = (part * size as f64) as u64;
            let (proof, entry) = EntryProof::make(&storage, &keys(), index).unwrap();
            prop_assert_eq!(&entry, &entries(index, index + 1)[0]);
            prop_assert!(proof.verify(b"other", &keys()).is_err());
            let leaves: Vec<_> = entries(0, index).iter().map(|entry| leaf_hash(entry)).collect();
            let old = TreeHead { size: index, root: root_of(&leaves) };
            let mut reader = TileHashes::new(&storage, size);
            let hashes = prove_consistency(index, size, &mut reader).unwrap();
            verify_consistency(old, new, &hashes).unwrap();
        }
    }

    #[test]
    fn no_text_is_misread_as_a_note_a_key_a_path_or_a_leaf(text in "\\PC{0,80}") {
        prop_assert!(Checkpoint::open(text.as_bytes(), &keys()).is_err());
        prop_assert!(text.parse::<VerifierKey>().is_err());
        prop_assert!(ledger::decode_leaf(text.as_bytes()).is_err());
        prop_assert!(EntryProof::decode(text.as_bytes()).is_err());
        if let Ok(path) = text.parse::<ledger::TilePath>() {
            prop_assert_eq!(path.to_string(), text);
        }
    }
}
