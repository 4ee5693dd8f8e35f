//! The proof of one entry as a text file: index, inclusion proof and checkpoint.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::parse_decimal;
use crate::{
    CHECKPOINT_PATH, Checkpoint, LedgerError, TileHashes, TileStorage, TreeHash, VerifierKey,
    leaf_hash, prove_inclusion, read_entry, verify_inclusion,
};

/// Proves that one entry is in a log, to whoever has the entry and the log's public key.
///
/// *Source*: C2SP tlog-proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryProof {
    /// Further data that the proof does not cover.
    pub extra: Option<Vec<u8>>,
    /// The index of the entry, from 0.
    pub index: u64,
    /// The inclusion proof.
    pub hashes: Vec<TreeHash>,
    /// The signed checkpoint.
    pub checkpoint: Vec<u8>,
}

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// A tree of 2^63 entries has proofs of this length.
const HASHES_MAX: usize = 63;

impl EntryProof {
    /// Makes the proof of an entry from a ledger, verifies it, and gives the entry with it.
    ///
    /// *Cost*: O(log size) tiles and one bundle.
    pub fn make<S: TileStorage + ?Sized>(
        storage: &S,
        keys: &[VerifierKey],
        index: u64,
    ) -> Result<(Self, Vec<u8>), LedgerError> {
        let signed = storage
            .read(CHECKPOINT_PATH)?
            .ok_or_else(|| LedgerError::TileMissing {
                path: CHECKPOINT_PATH.to_owned(),
                size: index.saturating_add(1),
            })?;
        let size = Checkpoint::open(&signed, keys)?.head.size;
        let proof = Self {
            extra: None,
            index,
            hashes: prove_inclusion(index, size, &mut TileHashes::new(storage, size))?,
            checkpoint: signed,
        };
        let entry = read_entry(storage, index, size)?;
        proof.verify(&entry, keys)?;
        Ok((proof, entry))
    }

    /// Verifies signature and inclusion, and gives what the checkpoint says.
    pub fn verify(&self, entry: &[u8], keys: &[VerifierKey]) -> Result<Checkpoint, LedgerError> {
        let checkpoint = Checkpoint::open(&self.checkpoint, keys)?;
        verify_inclusion(self.index, leaf_hash(entry), &self.hashes, checkpoint.head)?;
        Ok(checkpoint)
    }

    /// Writes the proof file.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("{FIRST_LINE}\n");
        if let Some(extra) = &self.extra {
            text.extend(["extra ", &STANDARD.encode(extra), "\n"]);
        }
        text.extend(["index ", &self.index.to_string(), "\n"]);
        for hash in &self.hashes {
            text.push_str(&hash.to_base64());
            text.push('\n');
        }
        text.push('\n');
        [text.as_bytes(), &self.checkpoint].concat()
    }

    /// Reads a proof file; nothing of it is verified.
    pub fn decode(bytes: &[u8]) -> Result<Self, LedgerError> {
        let text = std::str::from_utf8(bytes).map_err(|_| malformed(0, "it is not UTF-8"))?;
        let (head, checkpoint) = text
            .split_once("\n\n")
            .ok_or_else(|| malformed(0, "no blank line stands before the checkpoint"))?;
        let mut lines = (1..).zip(head.split('\n')).peekable();
        if lines.next().is_none_or(|(_, first)| first != FIRST_LINE) {
            return Err(malformed(1, "it is not `c2sp.org/tlog-proof@v1`"));
        }
        let mut extra = None;
        if let Some((line, encoded)) = lines
            .peek()
            .and_then(|(line, content)| Some((*line, content.strip_prefix("extra ")?)))
        {
            let decoded = STANDARD.decode(encoded);
            extra = Some(decoded.map_err(|_| malformed(line, "the extra data is not base64"))?);
            lines.next();
        }
        let index = lines
            .next()
            .and_then(|(_, content)| parse_decimal(content.strip_prefix("index ")?))
            .ok_or_else(|| malformed(2, "there is no line `index` with a decimal number"))?;
        let mut hashes = Vec::new();
        for (line, content) in lines {
            if hashes.len() == HASHES_MAX {
                return Err(malformed(line, "it has more hashes than any tree is high"));
            }
            let hash = TreeHash::from_base64(content);
            hashes.push(hash.map_err(|_| malformed(line, "it is not a base64 hash"))?);
        }
        Ok(Self {
            extra,
            index,
            hashes,
            checkpoint: checkpoint.as_bytes().to_vec(),
        })
    }
}

fn malformed(line: usize, reason: &'static str) -> LedgerError {
    LedgerError::Malformed {
        what: "proof",
        line,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Integrator, MemoryTiles, SigningKey};

    fn proof() -> (EntryProof, Vec<u8>, [VerifierKey; 1]) {
        let storage = MemoryTiles::default();
        let key = SigningKey::from_seed("log", &[5; 32]).unwrap();
        let entries: Vec<_> = (0..300).map(|number| format!("entry {number}")).collect();
        let mut integrator = Integrator::new();
        integrator.append(&storage, &entries).unwrap();
        integrator.publish(&storage, &[&key]).unwrap();
        let keys = [key.verifier()];
        let (proof, entry) = EntryProof::make(&storage, &keys, 257).unwrap();
        (proof, entry, keys)
    }

    #[test]
    fn a_proof_survives_its_file_and_holds_for_its_entry_only() {
        let (mut proof, entry, keys) = proof();
        assert_eq!(entry, b"entry 257");
        for extra in [None, Some(b"more".to_vec())] {
            proof.extra = extra;
            let read = EntryProof::decode(&proof.encode()).unwrap();
            assert_eq!(read, proof);
            assert_eq!(read.verify(&entry, &keys).unwrap().head.size, 300);
            assert!(read.verify(b"entry 256", &keys).is_err());
        }
    }

    #[test]
    fn every_changed_byte_of_a_proof_file_is_caught() {
        let (proof, entry, keys) = proof();
        let bytes = proof.encode();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let verdict = EntryProof::decode(&changed).and_then(|read| read.verify(&entry, &keys));
            assert!(verdict.is_err(), "a change of byte {at} was taken");
        }
    }

    #[test]
    fn malformed_proof_files_are_refused_with_the_line() {
        let (proof, ..) = proof();
        let text = String::from_utf8(proof.encode()).unwrap();
        let cases = [
            (text.replacen("@v1", "@v2", 1), 1),
            (text.replacen("index 257", "index 0257", 1), 2),
            (text.replacen("index 257", "extra ?\nindex 257", 1), 2),
            (text.replacen("index 257\n", "index 257\nx\n", 1), 3),
            (text.replacen("\n\n", "\n", 2), 0),
            (String::new(), 0),
        ];
        for (case, expected) in cases {
            match EntryProof::decode(case.as_bytes()) {
                Err(LedgerError::Malformed { line, .. }) => assert_eq!(line, expected, "{case}"),
                other => panic!("{case} gave {other:?}"),
            }
        }
    }
}
