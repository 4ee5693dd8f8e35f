//! The tree, its tiles and its notes against crates that others wrote.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ledger::{
    CHECKPOINT_PATH, Checkpoint, Integrator, MemoryTiles, Note, SigningKey, TileHashes,
    TileStorage, TreeHash, leaf_hash, prove_consistency, prove_inclusion, read_root, root_of,
};
use sha2::Sha256;
use signed_note::{StandardSigner, StandardVerifier, VerifierList};
use tlog_tiles::{Hash, Tile, TileHashReader, TileReader};

fn entry(index: u64) -> Vec<u8> {
    format!("entry {index}").into_bytes()
}

fn join(hashes: &[TreeHash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

#[test]
fn roots_and_proofs_are_those_of_ct_merkle() {
    let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let mut leaves = Vec::new();
    for size in 1..=140 {
        theirs.push(entry(size));
        leaves.push(leaf_hash(&entry(size)));
        assert_eq!(
            theirs.root().as_bytes().as_slice(),
            root_of(&leaves).as_bytes()
        );
        for index in (0..size).step_by(3) {
            let ours = prove_inclusion(index, size, &mut &leaves[..]).unwrap();
            let proof = theirs.prove_inclusion(index as usize);
            assert_eq!(proof.as_bytes(), join(&ours), "entry {index} of {size}");
        }
        for old in (1..size).step_by(3) {
            let ours = prove_consistency(old, size, &mut &leaves[..]).unwrap();
            let proof = theirs.prove_consistency((size - old) as usize);
            assert_eq!(proof.as_bytes(), join(&ours), "{old} to {size}");
        }
    }
}

/// Hands our stored tiles to the port of Go's `sumdb`, which authenticates them against the root.
struct Theirs<'a>(&'a MemoryTiles);

impl TileReader for Theirs<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = |tile: &Tile| {
            let path = tile.path().replacen("tile/8/", "tile/", 1);
            self.0.read(&path).unwrap().expect(&path)
        };
        Ok(tiles.iter().map(read).collect())
    }

    fn save_tiles(&self, _tiles: &[Tile], _data: &[Vec<u8>]) {}
}

#[test]
fn stored_tiles_serve_tlog_tiles_and_give_the_same_proofs() {
    let storage = MemoryTiles::default();
    let mut integrator = Integrator::new();
    let mut first = 0;
    for size in [1, 2, 255, 256, 257, 511, 512, 700, 65_536, 65_537, 66_000] {
        let entries: Vec<_> = (first..size).map(entry).collect();
        first = size;
        let head = integrator.append(&storage, &entries).unwrap();
        let reader = Theirs(&storage);
        let reader = TileHashReader::new(size, Hash(*head.root.as_bytes()), &reader);
        assert_eq!(
            tlog_tiles::tree_hash(size, &reader).unwrap().0,
            *head.root.as_bytes()
        );
        let mut ours = TileHashes::new(&storage, size);
        assert_eq!(read_root(size, &mut ours).unwrap(), head.root);
        for part in [0, size / 3, size / 2, size - 1] {
            let theirs = tlog_tiles::prove_record(size, part, &reader).unwrap();
            let proof = prove_inclusion(part, size, &mut ours).unwrap();
            assert!(
                theirs
                    .iter()
                    .map(|hash| &hash.0)
                    .eq(proof.iter().map(TreeHash::as_bytes))
            );
            let theirs = tlog_tiles::prove_tree(size, part + 1, &reader).unwrap();
            let proof = prove_consistency(part + 1, size, &mut ours).unwrap();
            assert!(
                theirs
                    .iter()
                    .map(|hash| &hash.0)
                    .eq(proof.iter().map(TreeHash::as_bytes))
            );
        }
    }
}

#[test]
fn keys_and_notes_are_understood_by_signed_note_and_the_other_way_round() {
    let key = SigningKey::from_seed("example.com/log", &[11; 32]).unwrap();
    let vkey = key.verifier().to_string();
    let known = || VerifierList::new(vec![Box::new(StandardVerifier::new(&vkey).unwrap())]);
    let storage = MemoryTiles::default();
    let mut integrator = Integrator::new();
    integrator.append(&storage, &[entry(0)]).unwrap();
    integrator.publish(&storage, &[&key]).unwrap();
    let signed = storage.read(CHECKPOINT_PATH).unwrap().unwrap();
    let theirs = signed_note::Note::from_bytes(&signed).unwrap();
    assert_eq!(theirs.verify(&known()).unwrap().0.len(), 1);
    let read = tlog_tiles::Checkpoint::from_bytes(theirs.text()).unwrap();
    assert_eq!(
        (read.origin(), read.size(), &read.hash().0),
        ("example.com/log", 1, integrator.head().root.as_bytes())
    );

    let signer = StandardSigner::new(&key.encode()).unwrap();
    let mut theirs = signed_note::Note::new(theirs.text(), &[]).unwrap();
    theirs.add_sigs(&[&signer]).unwrap();
    assert_eq!(theirs.to_bytes(), signed);
    let ours = Note::parse(&theirs.to_bytes()).unwrap();
    assert!(ours.verify(&[key.verifier()]).is_ok());
    assert!(Checkpoint::open(&theirs.to_bytes(), &[key.verifier()]).is_ok());
}
