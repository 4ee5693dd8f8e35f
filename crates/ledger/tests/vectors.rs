//! The tree, notes and proofs against vectors made by an independent implementation and checked with Go's `sumdb`.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

use std::collections::BTreeMap;

use ledger::{
    Checkpoint, EntryProof, Note, SigningKey, TreeHash, TreeHead, VerifierKey, leaf_hash,
    prove_consistency, prove_inclusion, root_of, verify_consistency, verify_inclusion,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    origin: String,
    log_vkey: String,
    log_seed_hex: String,
    witness_vkey: String,
    roots: BTreeMap<u64, String>,
    inclusion: Vec<Inclusion>,
    consistency: Vec<Consistency>,
    checkpoints: BTreeMap<u64, String>,
    tlog_proof_example: String,
}

#[derive(Deserialize)]
struct Inclusion {
    size: u64,
    index: u64,
    proof: Vec<String>,
}

#[derive(Deserialize)]
struct Consistency {
    old: u64,
    new: u64,
    proof: Vec<String>,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("golden/tlog.json")).unwrap()
}

fn entry(index: u64) -> Vec<u8> {
    match index {
        0 => Vec::new(),
        1 => vec![0],
        _ => format!("entry {index}").into_bytes(),
    }
}

fn leaves() -> Vec<TreeHash> {
    (0..300).map(|index| leaf_hash(&entry(index))).collect()
}

fn hash(hex_digits: &str) -> TreeHash {
    TreeHash::from_bytes(hex::decode(hex_digits).unwrap().try_into().unwrap())
}

fn head(vectors: &Vectors, size: u64) -> TreeHead {
    TreeHead {
        size,
        root: hash(&vectors.roots[&size]),
    }
}

#[test]
fn roots_are_those_of_the_vectors() {
    let (vectors, leaves) = (vectors(), leaves());
    assert_eq!(vectors.roots.len(), 46);
    for (&size, root) in &vectors.roots {
        assert_eq!(root_of(&leaves[..size as usize]), hash(root), "size {size}");
    }
}

#[test]
fn inclusion_proofs_are_those_of_the_vectors_and_verify() {
    let (vectors, leaves) = (vectors(), leaves());
    assert_eq!(vectors.inclusion.len(), 55);
    for Inclusion { size, index, proof } in &vectors.inclusion {
        let proof: Vec<_> = proof.iter().map(|digits| hash(digits)).collect();
        let made = prove_inclusion(*index, *size, &mut &leaves[..]).unwrap();
        assert_eq!(made, proof, "entry {index} of {size}");
        let leaf = leaves[*index as usize];
        verify_inclusion(*index, leaf, &proof, head(&vectors, *size)).unwrap();
    }
}

#[test]
fn consistency_proofs_are_those_of_the_vectors_and_verify() {
    let (mut vectors, leaves) = (vectors(), leaves());
    assert_eq!(vectors.consistency.len(), 15);
    for Consistency { old, new, proof } in std::mem::take(&mut vectors.consistency) {
        let proof: Vec<_> = proof.iter().map(|digits| hash(digits)).collect();
        let made = prove_consistency(old, new, &mut &leaves[..]).unwrap();
        assert_eq!(made, proof, "{old} to {new}");
        verify_consistency(head(&vectors, old), head(&vectors, new), &proof).unwrap();
    }
}

#[test]
fn checkpoints_open_and_are_signed_to_the_same_bytes() {
    let vectors = vectors();
    let seed = hex::decode(&vectors.log_seed_hex).unwrap();
    let key = SigningKey::from_seed(&vectors.origin, &seed.try_into().unwrap()).unwrap();
    assert_eq!(key.verifier().to_string(), vectors.log_vkey);
    let keys: [VerifierKey; 1] = [vectors.log_vkey.parse().unwrap()];
    for (&size, signed) in &vectors.checkpoints {
        let checkpoint = Checkpoint::open(signed.as_bytes(), &keys).unwrap();
        assert_eq!(checkpoint.origin, vectors.origin);
        assert_eq!(checkpoint.head, head(&vectors, size));
        // The log's own line is deterministic; the witness's line follows it and is of an unknown key here.
        let ours = Checkpoint::sign(checkpoint.head, &[&key]).unwrap();
        assert!(signed.as_bytes().starts_with(&ours), "size {size}");
        let note = Note::parse(signed.as_bytes()).unwrap();
        assert_eq!(note.signatures().len(), 2);
        assert_eq!(note.encode(), signed.as_bytes());
    }
}

#[test]
fn a_witness_key_is_refused_where_a_log_key_should_stand() {
    assert!(vectors().witness_vkey.parse::<VerifierKey>().is_err());
}

#[test]
fn the_proof_file_of_the_vectors_verifies_and_is_written_back_the_same() {
    let vectors = vectors();
    let keys: [VerifierKey; 1] = [vectors.log_vkey.parse().unwrap()];
    let bytes = vectors.tlog_proof_example.as_bytes();
    let proof = EntryProof::decode(bytes).unwrap();
    let checkpoint = proof.verify(&entry(5), &keys).unwrap();
    assert_eq!((proof.index, checkpoint.head.size), (5, 300));
    assert_eq!(proof.encode(), bytes);
    assert!(proof.verify(&entry(6), &keys).is_err());
}
