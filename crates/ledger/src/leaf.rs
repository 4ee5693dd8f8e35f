//! The rules for leaves that hold beyond their form, which `entities::Leaf` describes.
//!
//! A leaf names its place by writer and the writer's own number, never by its index in the tree: an event is committed,
//! together with the change it describes, before it is sequenced, so its index is not yet known when its bytes are fixed.

use entities::{LARGEST_LEAF_BYTES, LARGEST_SUBJECT_COUNT, Leaf};

use crate::{ENTRY_SIZE_BYTES_MAX, LedgerError};

const _: () = assert!(
    LARGEST_LEAF_BYTES == ENTRY_SIZE_BYTES_MAX,
    "a leaf of the largest size fits into a bundle and no larger one does"
);

const COMMITMENT_PREFIX: &str = "sha256-commit:";

/// Fixes the bytes of a leaf, having checked it; these bytes are stored and hashed, and never encoded again.
///
/// *Errors*: what `check_leaf` refuses; more than 65,535 bytes.
pub fn encode_leaf(leaf: &Leaf) -> Result<Vec<u8>, LedgerError> {
    check_leaf(leaf)?;
    leaf.encode()
        .map_err(|source| LedgerError::LeafMalformed { source })
}

/// Reads a leaf and checks it; only the very bytes that `encode_leaf` gives for it are accepted.
pub fn decode_leaf(bytes: &[u8]) -> Result<Leaf, LedgerError> {
    let leaf = Leaf::decode(bytes).map_err(|source| LedgerError::LeafMalformed { source })?;
    check_leaf(&leaf)?;
    Ok(leaf)
}

/// Checks what a leaf says about itself.
///
/// *Errors*: another version; an empty type or schema; more than eight subjects, or one twice; a `prev` of something that
/// is no subject; a commitment that is not one.
pub fn check_leaf(leaf: &Leaf) -> Result<(), LedgerError> {
    let refuse = |reason| Err(LedgerError::LeafRefused { reason });
    if leaf.v != 1 {
        return refuse("its version is not 1");
    }
    if leaf.kind.is_empty() || leaf.schema.is_empty() {
        return refuse("its type or schema is empty");
    }
    if leaf.subject.len() > LARGEST_SUBJECT_COUNT {
        return refuse("it has more than 8 subjects");
    }
    if (1..leaf.subject.len()).any(|at| leaf.subject[..at].contains(&leaf.subject[at])) {
        return refuse("it names a subject twice");
    }
    if leaf.prev.keys().any(|key| !leaf.subject.contains(key)) {
        return refuse("`prev` names something that is not a subject");
    }
    if !is_commitment(&leaf.body_c) {
        return refuse("`body_c` is not `sha256-commit:` and 64 lower-case hex digits");
    }
    Ok(())
}

/// Checks that a body with its salt is the one that a leaf committed to.
pub fn verify_commitment(leaf: &Leaf, salt: &[u8; 32], body: &[u8]) -> Result<(), LedgerError> {
    if leaf.commits_to(salt, body) {
        Ok(())
    } else {
        Err(LedgerError::CommitmentDiffers)
    }
}

fn is_commitment(text: &str) -> bool {
    text.strip_prefix(COMMITMENT_PREFIX).is_some_and(|digits| {
        digits.len() == 64
            && digits
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use entities::{Actor, LeafError, Timestamp, commitment};

    fn leaf() -> Leaf {
        Leaf {
            v: 1,
            ts: Timestamp::from_micros(1_795_559_974_123_456),
            writer: "srv-1".parse().unwrap(),
            wseq: 987,
            actor: Actor {
                id: "u:ann".to_owned(),
                auth: "local".to_owned(),
            },
            kind: "run.finished".to_owned(),
            subject: vec!["run:abc".to_owned(), "experiment:0".to_owned()],
            prev: [("run:abc".to_owned(), "srv-1:986".to_owned())].into(),
            body_c: commitment(&[9; 32], b"body"),
            body_len: 4,
            schema: "audit/1".to_owned(),
            reason: None,
            req: None,
        }
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
        assert_eq!(encode_leaf(&leaf()).unwrap(), text.as_bytes());
        assert_eq!(decode_leaf(text.as_bytes()).unwrap(), leaf());
    }

    #[test]
    fn a_forged_leaf_in_any_other_form_is_refused() {
        let text = String::from_utf8(encode_leaf(&leaf()).unwrap()).unwrap();
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
            text.replacen("ca5d5", "cA5d5", 1),
            text.replacen("sha256-commit:01", "sha256:01", 1),
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
            assert!(decode_leaf(case.as_bytes()).is_err(), "{case} was taken");
        }
    }

    #[test]
    fn a_leaf_of_a_newer_version_is_refused_as_such() {
        assert!(matches!(
            decode_leaf(br#"{"something":"new","v":2}"#),
            Err(LedgerError::LeafMalformed {
                source: LeafError::Version { found: 2 }
            })
        ));
    }

    #[test]
    fn limits_are_held_when_encoding() {
        let mut many = leaf();
        many.subject = (0..9).map(|number| format!("run:{number}")).collect();
        many.prev.clear();
        assert!(encode_leaf(&many).is_err());
        many.subject.pop();
        assert!(encode_leaf(&many).is_ok());
        let mut long = leaf();
        long.reason = Some(String::new());
        let rest = 65_535 - encode_leaf(&long).unwrap().len();
        long.reason = Some("x".repeat(rest));
        assert_eq!(encode_leaf(&long).unwrap().len(), 65_535);
        long.reason = Some("x".repeat(rest + 1));
        assert!(encode_leaf(&long).is_err());
    }

    #[test]
    fn a_commitment_holds_for_its_body_and_salt_only() {
        assert!(verify_commitment(&leaf(), &[9; 32], b"body").is_ok());
        assert!(verify_commitment(&leaf(), &[9; 32], b"bodY").is_err());
        assert!(verify_commitment(&leaf(), &[8; 32], b"body").is_err());
    }
}
