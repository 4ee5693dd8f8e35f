//! Events: who changed what, when, and the commitment that ties it to the ledger.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::{CanonicalError, Change, Sha256Digest, Timestamp, WriterId, canonical_json};

/// Largest leaf in bytes: an entry bundle of C2SP tlog-tiles counts its length in 16 bits.
pub const LARGEST_LEAF_BYTES: usize = 65_535;

/// How many subjects a leaf names itself; a longer list stands in the body.
pub const LARGEST_SUBJECT_COUNT: usize = 8;

/// Who did something, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// The principal, such as `u:ann`.
    pub id: String,
    /// How they were told: `local` for the owner of the process.
    pub auth: String,
}

/// What somebody wants to change: all of it happens, with one event, or nothing does.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    /// Who.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// What kind of event, such as `run.created`.
    pub kind: &'static str,
    /// What it is about (`run:<id>`, `experiment:<id>`, …), the most important first;
    /// only the first `LARGEST_SUBJECT_COUNT` go into the leaf.
    pub subjects: Vec<String>,
    /// Why, where somebody said so.
    pub reason: Option<String>,
    /// Id of the request, where there was one.
    pub request: Option<String>,
    /// The changes, applied in order.
    pub changes: Vec<Change>,
}

/// The body of an event: the whole change. It is kept outside the tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventBody {
    /// Version of the form, 1.
    pub v: u32,
    /// The changes, in the order in which they were applied.
    pub changes: Vec<Change>,
}

/// One entry of the ledger.
///
/// It holds the writer's own number and no global index, because an event is committed before it is
/// sequenced, so that writers on several machines need not wait for one another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    /// Version of the form, 1.
    pub v: u32,
    /// When.
    pub ts: Timestamp,
    /// Which installation wrote it.
    pub writer: WriterId,
    /// The writer's own number, from 0 without a gap.
    pub wseq: u64,
    /// Who.
    pub actor: Actor,
    /// What kind of event.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is about.
    pub subject: Vec<String>,
    /// For each subject that had an event before, that event as `<writer>:<wseq>`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prev: BTreeMap<String, String>,
    /// Commitment to the body: `sha256-commit:` and 64 hex digits.
    pub body_c: String,
    /// Length of the body in bytes.
    pub body_len: u64,
    /// `audit/1`.
    pub schema: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub req: Option<String>,
}

/// A leaf that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LeafError {
    /// Too large for an entry bundle.
    #[error("a leaf of {length_bytes} bytes is larger than {LARGEST_LEAF_BYTES}")]
    TooLarge {
        /// Its length.
        length_bytes: usize,
    },
    /// No canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// Not a leaf.
    #[error("these {length_bytes} bytes are not a leaf")]
    Malformed {
        /// Length of what was given.
        length_bytes: usize,
        /// What the decoder said.
        #[source]
        source: serde_json::Error,
    },
    /// A leaf of a later version.
    #[error("a leaf of version {found} cannot be read here, only version 1")]
    Version {
        /// Its version.
        found: u32,
    },
    /// Right content in another form than the canonical one.
    #[error("a leaf is not in canonical form")]
    NotCanonical,
}

impl Leaf {
    /// Encodes as canonical JSON: the exact bytes that are hashed and kept.
    pub fn encode(&self) -> Result<Vec<u8>, LeafError> {
        let bytes = canonical_json(self)?;
        if bytes.len() > LARGEST_LEAF_BYTES {
            return Err(LeafError::TooLarge {
                length_bytes: bytes.len(),
            });
        }
        Ok(bytes)
    }

    /// Decodes exactly what `encode` wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, LeafError> {
        #[derive(Deserialize)]
        struct VersionOnly {
            v: u32,
        }
        let malformed = |source| LeafError::Malformed {
            length_bytes: bytes.len(),
            source,
        };
        let VersionOnly { v } = serde_json::from_slice(bytes).map_err(malformed)?;
        if v != 1 {
            return Err(LeafError::Version { found: v });
        }
        let leaf: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        if leaf.encode()? != bytes {
            return Err(LeafError::NotCanonical);
        }
        Ok(leaf)
    }

    /// Tells whether this leaf commits to that body.
    pub fn commits_to(&self, salt: &[u8; 32], body: &[u8]) -> bool {
        self.body_len == body.len() as u64 && self.body_c == commitment(salt, body)
    }

    /// How other events refer to this one.
    pub fn reference(&self) -> String {
        format!("{}:{}", self.writer, self.wseq)
    }
}

/// Commits to a body without telling anything of it: SHA-256 over 0x02, a random salt and the body.
///
/// With salt and body destroyed, nobody can check a guess against what is left.
pub fn commitment(salt: &[u8; 32], body: &[u8]) -> String {
    let mut hasher = sha2::Sha256::new();
    hasher.update([2]);
    hasher.update(salt);
    hasher.update(body);
    format!(
        "sha256-commit:{}",
        Sha256Digest::from_bytes(hasher.finalize().into())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf() -> Leaf {
        Leaf {
            v: 1,
            ts: Timestamp::from_micros(1_700_000_000_123_456),
            writer: "w-1".parse().unwrap(),
            wseq: 7,
            actor: Actor {
                id: "u:ann".to_owned(),
                auth: "local".to_owned(),
            },
            kind: "run.created".to_owned(),
            subject: vec!["run:abc".to_owned()],
            prev: BTreeMap::from([("run:abc".to_owned(), "w-1:3".to_owned())]),
            body_c: commitment(&[9; 32], b"body"),
            body_len: 4,
            schema: "audit/1".to_owned(),
            reason: None,
            req: None,
        }
    }

    #[test]
    fn a_leaf_survives_and_keeps_its_form() {
        let bytes = leaf().encode().unwrap();
        assert_eq!(Leaf::decode(&bytes).unwrap(), leaf());
        assert!(
            bytes
                .starts_with(br#"{"actor":{"auth":"local","id":"u:ann"},"body_c":"sha256-commit:"#)
        );
    }

    #[test]
    fn another_form_of_the_same_leaf_is_refused() {
        let bytes = leaf().encode().unwrap();
        let spaced = [b" ", bytes.as_slice()].concat();
        assert!(matches!(
            Leaf::decode(&spaced),
            Err(LeafError::NotCanonical)
        ));
        let text = String::from_utf8(bytes).unwrap();
        let later = text.replace("\"v\":1", "\"v\":2");
        assert!(matches!(
            Leaf::decode(later.as_bytes()),
            Err(LeafError::Version { found: 2 })
        ));
        let extended = text.replace("\"v\":1", "\"v\":1,\"x\":1");
        assert!(matches!(
            Leaf::decode(extended.as_bytes()),
            Err(LeafError::Malformed { .. })
        ));
    }

    #[test]
    fn a_commitment_holds_only_its_own_body_and_salt() {
        assert!(leaf().commits_to(&[9; 32], b"body"));
        assert!(!leaf().commits_to(&[8; 32], b"body"));
        assert!(!leaf().commits_to(&[9; 32], b"bodz"));
    }

    #[test]
    fn a_leaf_that_no_bundle_can_hold_is_refused() {
        let large = Leaf {
            reason: Some("x".repeat(LARGEST_LEAF_BYTES)),
            ..leaf()
        };
        assert!(matches!(large.encode(), Err(LeafError::TooLarge { .. })));
    }
}
