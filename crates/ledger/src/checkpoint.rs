//! Checkpoints: the signed statement of how large the tree is and what its root is.

use crate::{LedgerError, Note, SigningKey, TreeHash, TreeHead, VerifierKey};

/// What a checkpoint says.
///
/// *Source*: C2SP tlog-checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the log, which is also the name of its key.
    pub origin: String,
    /// Size and root of the tree.
    pub head: TreeHead,
    /// Further lines, which are kept and mean nothing here.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// Makes and signs a checkpoint in the name of the keys, which must all have the name of the log.
    pub fn sign(head: TreeHead, keys: &[&SigningKey]) -> Result<Vec<u8>, LedgerError> {
        let Some(first) = keys.first() else {
            return Err(LedgerError::SignatureMissing);
        };
        if let Some(other) = keys.iter().find(|key| key.name() != first.name()) {
            return Err(LedgerError::OriginDiffers {
                expected: first.name().to_owned(),
                found: other.name().to_owned(),
            });
        }
        let checkpoint = Self {
            origin: first.name().to_owned(),
            head,
            extensions: Vec::new(),
        };
        Ok(Note::sign(&checkpoint.body(), keys)?.encode())
    }

    /// Reads a signed checkpoint and verifies it with the keys of its log, old and new ones alike.
    ///
    /// *Errors*: a wrong signature of a known key; none of a known key; a key that stands for another log.
    pub fn open(signed: &[u8], keys: &[VerifierKey]) -> Result<Self, LedgerError> {
        let note = Note::parse(signed)?;
        let signers = note.verify(keys)?;
        let checkpoint = Self::parse(note.text())?;
        match signers.first() {
            Some(key) if signers.iter().all(|key| key.name() != checkpoint.origin) => {
                Err(LedgerError::OriginDiffers {
                    expected: key.name().to_owned(),
                    found: checkpoint.origin,
                })
            }
            _ => Ok(checkpoint),
        }
    }

    /// Writes the text that is signed.
    pub fn body(&self) -> String {
        let TreeHead { size, root } = self.head;
        let mut text = format!("{}\n{size}\n{}\n", self.origin, root.to_base64());
        for line in &self.extensions {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// Reads the text that is signed.
    pub fn parse(body: &str) -> Result<Self, LedgerError> {
        let malformed = |line, reason| LedgerError::Malformed {
            what: "checkpoint",
            line,
            reason,
        };
        let mut lines = body
            .strip_suffix('\n')
            .ok_or_else(|| malformed(0, "it does not end in a newline"))?
            .split('\n');
        let mut next = |line| lines.next().ok_or_else(|| malformed(line, "it is missing"));
        let (origin, size, root) = (next(1)?, next(2)?, next(3)?);
        if origin.is_empty() {
            return Err(malformed(1, "the name of the log is empty"));
        }
        let size = parse_decimal(size)
            .ok_or_else(|| malformed(2, "the size is not a plain decimal number"))?;
        let root = TreeHash::from_base64(root)
            .map_err(|_| malformed(3, "the root is not the base64 form of 32 bytes"))?;
        let extensions: Vec<_> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(malformed(0, "an extension line is empty"));
        }
        Ok(Self {
            origin: origin.to_owned(),
            head: TreeHead { size, root },
            extensions,
        })
    }
}

/// Reads a number in the one form that `Display` writes, up to the largest that all readers take (2^63 - 1).
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text && i64::try_from(number).is_ok()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::empty_root;

    fn key(name: &str, seed: u8) -> SigningKey {
        SigningKey::from_seed(name, &[seed; 32]).unwrap()
    }

    fn empty_head() -> TreeHead {
        TreeHead {
            size: 0,
            root: empty_root(),
        }
    }

    #[test]
    fn a_checkpoint_of_an_old_and_a_new_key_opens_with_either() {
        let (old, new) = (key("log", 1), key("log", 2));
        let signed = Checkpoint::sign(empty_head(), &[&old, &new]).unwrap();
        for known in [old.verifier(), new.verifier()] {
            let opened = Checkpoint::open(&signed, &[known]).unwrap();
            assert_eq!(opened.head, empty_head());
        }
        assert!(Checkpoint::open(&signed, &[key("log", 3).verifier()]).is_err());
        assert!(Checkpoint::sign(empty_head(), &[&old, &key("gol", 2)]).is_err());
        assert!(Checkpoint::sign(empty_head(), &[]).is_err());
    }

    #[test]
    fn a_checkpoint_signed_by_the_key_of_another_log_is_refused() {
        let other = key("other", 1);
        let body = format!("log\n0\n{}\n", empty_root().to_base64());
        let signed = Note::sign(&body, &[&other]).unwrap().encode();
        assert!(matches!(
            Checkpoint::open(&signed, &[other.verifier()]),
            Err(LedgerError::OriginDiffers { expected, found }) if expected == "other" && found == "log"
        ));
    }

    #[test]
    fn extension_lines_are_kept() {
        let body = format!("log\n0\n{}\nfurther\nlines\n", empty_root().to_base64());
        let checkpoint = Checkpoint::parse(&body).unwrap();
        assert_eq!(checkpoint.extensions, ["further", "lines"]);
        assert_eq!(checkpoint.body(), body);
    }

    #[test]
    fn malformed_bodies_are_refused() {
        let root = empty_root().to_base64();
        for body in [
            String::new(),
            "log\n".to_owned(),
            "log\n0\n".to_owned(),
            format!("log\n0\n{root}"),
            format!("\n0\n{root}\n"),
            format!("log\n00\n{root}\n"),
            format!("log\n+1\n{root}\n"),
            format!("log\n-1\n{root}\n"),
            format!("log\n9223372036854775808\n{root}\n"),
            format!("log\n0\n{root}\n\n"),
            "log\n0\nAAAA\n".to_owned(),
        ] {
            assert!(Checkpoint::parse(&body).is_err(), "{body:?} was taken");
        }
    }
}
