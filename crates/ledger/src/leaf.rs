//! The leaf: what the tree holds of one event.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use entities::{Count, Timestamp, WriterId, canonical_json};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::{ENTRY_SIZE_BYTES_MAX, LedgerError};

/// One event as the tree holds it, without its body.
///
/// It names its place by writer and the writer's own number, not by its index in the tree: an event is committed,
/// together with the change it describes, before it is sequenced, so its index is not yet known when its bytes are fixed.
/// The bytes that `encode` gives are what is stored and hashed; nobody encodes a leaf again in order to verify it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    v: LeafVersion,
    /// When it happened, by the writer's clock.
    pub ts: Timestamp,
    /// The installation that wrote it.
    pub writer: WriterId,
    /// The writer's own number for it, from 0 without gaps.
    #[serde(with = "as_count")]
    pub wseq: u64,
    /// Who did it.
    pub actor: Actor,
    /// What kind of event it is, such as `run.finished`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is about, the most important first, at most eight; longer lists stand in the body.
    pub subject: Vec<String>,
    /// For each subject that the ledger knew before, the last event about it.
    pub prev: BTreeMap<String, EventRef>,
    /// The commitment to the body.
    pub body_c: Commitment,
    /// The size of the body in bytes.
    #[serde(with = "as_count")]
    pub body_len: u64,
    /// The schema of the body, such as `audit/1`.
    pub schema: String,
    /// Why it was done, in the actor's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The request that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub req: Option<String>,
}

/// The version of the leaf format that this program writes and reads.
pub const LEAF_VERSION: u64 = 1;

/// The schema of bodies that this program writes.
pub const BODY_SCHEMA: &str = "audit/1";

/// The most subjects that a leaf names: a handful, so that leaves stay small.
pub const SUBJECTS_MAX: usize = 8;

impl Leaf {
    /// Starts a leaf with what every event has; the public fields take the rest.
    pub fn new(
        event: EventRef,
        ts: Timestamp,
        actor: Actor,
        kind: &str,
        body_c: Commitment,
        body_len: u64,
    ) -> Self {
        Self {
            v: LeafVersion,
            ts,
            writer: event.writer,
            wseq: event.wseq,
            actor,
            kind: kind.to_owned(),
            subject: Vec::new(),
            prev: BTreeMap::new(),
            body_c,
            body_len,
            schema: BODY_SCHEMA.to_owned(),
            reason: None,
            req: None,
        }
    }

    /// Gives writer and number, by which later leaves refer to this one.
    pub fn event(&self) -> EventRef {
        EventRef {
            writer: self.writer.clone(),
            wseq: self.wseq,
        }
    }

    /// Fixes the bytes of the leaf: canonical JSON.
    ///
    /// *Errors*: more than eight subjects, a repeated one, a `prev` of something that is no subject, an empty kind or
    /// schema, more than 65,535 bytes.
    pub fn encode(&self) -> Result<Vec<u8>, LedgerError> {
        self.check()?;
        let bytes = canonical_json(self).map_err(|error| LedgerError::LeafMalformed {
            source: error.source,
        })?;
        if bytes.len() > ENTRY_SIZE_BYTES_MAX {
            return Err(LedgerError::EntryTooLong {
                size_bytes: bytes.len(),
            });
        }
        Ok(bytes)
    }

    /// Reads a leaf; only the very bytes that `encode` gives for it are accepted.
    pub fn decode(bytes: &[u8]) -> Result<Self, LedgerError> {
        #[derive(Deserialize)]
        struct Versioned {
            v: Option<u64>,
        }
        if bytes.len() > ENTRY_SIZE_BYTES_MAX {
            return Err(LedgerError::EntryTooLong {
                size_bytes: bytes.len(),
            });
        }
        let leaf = match serde_json::from_slice::<Self>(bytes) {
            Ok(leaf) => leaf,
            // Asked only now, so that the usual leaf is read once.
            Err(source) => match serde_json::from_slice(bytes) {
                Ok(Versioned { v: Some(found) }) if found != LEAF_VERSION => {
                    return Err(LedgerError::LeafVersion {
                        found,
                        supported: LEAF_VERSION,
                    });
                }
                _ => return Err(LedgerError::LeafMalformed { source }),
            },
        };
        if leaf.encode()? != bytes {
            return Err(LedgerError::LeafRefused {
                reason: "it is not in canonical form",
            });
        }
        Ok(leaf)
    }

    fn check(&self) -> Result<(), LedgerError> {
        let refuse = |reason| Err(LedgerError::LeafRefused { reason });
        if self.kind.is_empty() {
            return refuse("its type is empty");
        }
        if self.schema.is_empty() {
            return refuse("its schema is empty");
        }
        if self.subject.len() > SUBJECTS_MAX {
            return refuse("it has more than 8 subjects");
        }
        if (1..self.subject.len()).any(|at| self.subject[..at].contains(&self.subject[at])) {
            return refuse("it names a subject twice");
        }
        if self.prev.keys().any(|key| !self.subject.contains(key)) {
            return refuse("`prev` names something that is not a subject");
        }
        Ok(())
    }
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// The principal, such as `u:ann`.
    pub id: String,
    /// How the principal was recognised, such as `local` or `token:<id>`.
    pub auth: String,
}

/// Names an event by its writer and the writer's own number, written `<writer>:<wseq>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventRef {
    /// The installation that wrote it.
    pub writer: WriterId,
    /// The writer's own number for it.
    pub wseq: u64,
}

impl fmt::Display for EventRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.writer, self.wseq)
    }
}

impl FromStr for EventRef {
    type Err = LedgerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_once(':')
            .and_then(|(writer, wseq)| {
                Some(Self {
                    writer: writer.parse().ok()?,
                    wseq: wseq.parse().ok()?,
                })
            })
            .filter(|event| event.to_string() == text)
            .ok_or(LedgerError::LeafRefused {
                reason: "a reference to an event has not the form `writer:number`",
            })
    }
}

impl Serialize for EventRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A commitment to a body: SHA256(0x02 || salt || body), written `sha256-commit:<hex>`.
///
/// It binds to the body, and tells nothing of it once body and salt are erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commitment([u8; 32]);

const COMMITMENT_PREFIX: &str = "sha256-commit:";

impl Commitment {
    /// Gives the raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Commits to a body with a salt that nobody can guess and that is used once.
pub fn commitment(salt: &[u8; 32], body: &[u8]) -> Commitment {
    Commitment(
        Sha256::new()
            .chain_update([2])
            .chain_update(salt)
            .chain_update(body)
            .finalize()
            .into(),
    )
}

/// Checks that a body with its salt is the one that was committed to.
pub fn verify_commitment(
    expected: &Commitment,
    salt: &[u8; 32],
    body: &[u8],
) -> Result<(), LedgerError> {
    if commitment(salt, body) == *expected {
        Ok(())
    } else {
        Err(LedgerError::CommitmentDiffers)
    }
}

impl fmt::Display for Commitment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{COMMITMENT_PREFIX}{}", hex::encode(self.0))
    }
}

impl FromStr for Commitment {
    type Err = LedgerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix(COMMITMENT_PREFIX)
            .and_then(|digits| hex::decode(digits).ok()?.try_into().ok())
            .map(Self)
            .filter(|read| read.to_string() == text)
            .ok_or(LedgerError::LeafRefused {
                reason: "a commitment has not the form `sha256-commit:` and 64 lower-case hex digits",
            })
    }
}

impl Serialize for Commitment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Commitment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The number 1, and a reader that takes no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LeafVersion;

impl Serialize for LeafVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(LEAF_VERSION)
    }
}

impl<'de> Deserialize<'de> for LeafVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            LEAF_VERSION => Ok(Self),
            _ => Err(serde::de::Error::custom("an unknown version")),
        }
    }
}

/// Numbers beyond 2^53 as texts, since canonical JSON reads numbers as doubles.
mod as_count {
    use super::{Count, Deserialize as _, Deserializer, Serialize as _, Serializer};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands fields over by reference"
    )]
    pub(super) fn serialize<S: Serializer>(number: &u64, to: S) -> Result<S::Ok, S::Error> {
        Count(*number).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        Count::deserialize(from).map(|count| count.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf() -> Leaf {
        let event = "srv-1:987".parse().unwrap();
        let actor = Actor {
            id: "u:ann".to_owned(),
            auth: "local".to_owned(),
        };
        let ts = Timestamp::from_micros(1_795_559_974_123_456);
        let body_c = commitment(&[9; 32], b"body");
        let mut leaf = Leaf::new(event, ts, actor, "run.finished", body_c, 4);
        leaf.subject = vec!["run:abc".to_owned(), "experiment:0".to_owned()];
        leaf.prev
            .insert("run:abc".to_owned(), "srv-1:986".parse().unwrap());
        leaf
    }

    #[test]
    fn the_bytes_of_a_leaf_never_change() {
        let text = concat!(
            r#"{"actor":{"auth":"local","id":"u:ann"},"#,
            r#""body_c":"sha256-commit:016343270ca5d5c733837cdf880ba5ef662b7a043ac26f8bf2e17c018e2bc614","#,
            r#""body_len":4,"prev":{"run:abc":"srv-1:986"},"schema":"audit/1","#,
            r#""subject":["run:abc","experiment:0"],"ts":"2026-11-24T22:39:34.123456Z","#,
            r#""type":"run.finished","v":1,"writer":"srv-1","wseq":987}"#
        );
        assert_eq!(String::from_utf8(leaf().encode().unwrap()).unwrap(), text);
        assert_eq!(Leaf::decode(text.as_bytes()).unwrap(), leaf());
    }

    #[test]
    fn a_leaf_in_any_other_form_is_refused() {
        let text = String::from_utf8(leaf().encode().unwrap()).unwrap();
        let forged = [
            text.replacen("{\"actor\"", "{ \"actor\"", 1),
            format!("{text}\n"),
            text.replacen("\"wseq\":987", "\"wseq\":987.0", 1),
            text.replacen("\"wseq\":987", "\"wseq\":\"987\"", 1),
            text.replacen("\"wseq\":987", "\"wseq\":0987", 1),
            text.replacen("\"v\":1,", "\"v\":1,\"v\":1,", 1),
            text.replacen("\"v\":1,", "", 1),
            text.replacen("\"schema\":", "\"reason\":null,\"schema\":", 1),
            text.replacen("\"schema\":", "\"note\":\"x\",\"schema\":", 1),
            text.replacen("u:ann", "u:\\u0061nn", 1),
            text.replacen("srv-1:986", "srv-1:0986", 1),
            text.replacen("ca5d5", "cA5d5", 1),
            text.replacen("\"prev\":{", "\"prev\":{\"run:abc\":\"srv-1:1\",", 1),
            text.replacen("\"prev\":{\"run:abc\"", "\"prev\":{\"run:xyz\"", 1),
            text.replacen("experiment:0", "run:abc", 1),
            text.replacen("run.finished", "", 1),
            text.replacen("123456Z", "12345Z", 1),
            "{}".to_owned(),
            String::new(),
        ];
        for case in forged {
            assert_ne!(case, text);
            assert!(Leaf::decode(case.as_bytes()).is_err(), "{case} was taken");
        }
    }

    #[test]
    fn a_leaf_of_a_newer_version_is_refused_as_such() {
        let text = r#"{"v":2,"something":"new"}"#;
        assert!(matches!(
            Leaf::decode(text.as_bytes()),
            Err(LedgerError::LeafVersion {
                found: 2,
                supported: 1
            })
        ));
    }

    #[test]
    fn limits_are_held_when_encoding() {
        let mut many = leaf();
        many.subject = (0..9).map(|number| format!("run:{number}")).collect();
        many.prev.clear();
        assert!(many.encode().is_err());
        many.subject.pop();
        assert!(many.encode().is_ok());
        let mut long = leaf();
        long.reason = Some("x".repeat(65_000));
        assert!(long.encode().is_ok());
        long.reason = Some("x".repeat(65_536));
        assert!(matches!(
            long.encode(),
            Err(LedgerError::EntryTooLong { .. })
        ));
    }

    #[test]
    fn numbers_beyond_a_double_are_kept() {
        let mut large = leaf();
        large.wseq = u64::MAX;
        large.body_len = (1 << 53) + 1;
        assert_eq!(Leaf::decode(&large.encode().unwrap()).unwrap(), large);
    }

    #[test]
    fn a_commitment_holds_for_its_body_and_salt_only() {
        let made = commitment(&[1; 32], b"body");
        assert!(verify_commitment(&made, &[1; 32], b"body").is_ok());
        assert!(verify_commitment(&made, &[1; 32], b"bodY").is_err());
        assert!(verify_commitment(&made, &[2; 32], b"body").is_err());
        assert_eq!(made.to_string().parse::<Commitment>().unwrap(), made);
    }
}
