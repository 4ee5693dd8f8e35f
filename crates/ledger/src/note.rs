//! Signed notes: a text, a blank line, and lines of signatures.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::key::is_key_name;
use crate::{LedgerError, SigningKey, VerifierKey};

/// A note as read: its signatures are not checked until `verify`.
///
/// *Source*: C2SP signed-note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// One signature line of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    /// The name of the key.
    pub name: String,
    /// The id of the key.
    pub id: u32,
    /// The signature, whose form depends on the kind of key.
    pub signature: Vec<u8>,
}

/// The most signatures a note may have, as in Go's `sumdb/note`; the standard asks for 16 at least.
const SIGNATURES_MAX: usize = 100;

/// The longest note that is read, as in Go's `sumdb/note`.
const NOTE_SIZE_BYTES_MAX: usize = 1_000_000;

const LINE_PREFIX: &str = "\u{2014} ";

impl Note {
    /// Signs a text, which must end in a newline.
    pub fn sign(text: &str, keys: &[&SigningKey]) -> Result<Self, LedgerError> {
        check_text(text)?;
        let sign = |key: &&SigningKey| NoteSignature {
            name: key.name().to_owned(),
            id: key.id(),
            signature: key.sign(text.as_bytes()).to_vec(),
        };
        Ok(Self {
            text: text.to_owned(),
            signatures: keys.iter().map(sign).collect(),
        })
    }

    /// Reads a note.
    pub fn parse(bytes: &[u8]) -> Result<Self, LedgerError> {
        if bytes.len() > NOTE_SIZE_BYTES_MAX {
            return Err(malformed(0, "it is longer than 1000000 bytes"));
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| malformed(0, "it is not UTF-8"))?;
        let split = whole
            .rfind("\n\n")
            .ok_or_else(|| malformed(0, "no blank line stands before the signatures"))?;
        let (text, lines) = (&whole[..=split], &whole[split + 2..]);
        check_text(text)?;
        let first_line = text.matches('\n').count() + 2;
        let lines = lines
            .strip_suffix('\n')
            .ok_or_else(|| malformed(first_line, "there is no signature line"))?;
        let mut signatures = Vec::new();
        for (line, content) in (first_line..).zip(lines.split('\n')) {
            if signatures.len() == SIGNATURES_MAX {
                return Err(malformed(line, "it has more than 100 signatures"));
            }
            signatures.push(parse_signature(line, content)?);
        }
        Ok(Self {
            text: text.to_owned(),
            signatures,
        })
    }

    /// The text that is signed, with its last newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines in order.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a line signed elsewhere, such as a witness's.
    pub fn push_signature(&mut self, signature: NoteSignature) {
        self.signatures.push(signature);
    }

    /// Writes the note.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("{}\n", self.text);
        for NoteSignature {
            name,
            id,
            signature,
        } in &self.signatures
        {
            let bytes = [&id.to_be_bytes()[..], signature].concat();
            text.extend([LINE_PREFIX, name, " ", &STANDARD.encode(bytes), "\n"]);
        }
        text.into_bytes()
    }

    /// Checks the signatures of known keys and gives back those keys that signed.
    ///
    /// *Errors*: any signature of a known key that is wrong; no signature of a known key.
    /// Signatures of unknown keys are passed over.
    pub fn verify<'a>(
        &self,
        known: &'a [VerifierKey],
    ) -> Result<Vec<&'a VerifierKey>, LedgerError> {
        let mut signed = Vec::new();
        for line in &self.signatures {
            for key in known {
                if key.name() != line.name || key.id() != line.id {
                    continue;
                }
                if !key.accepts(self.text.as_bytes(), &line.signature) {
                    return Err(LedgerError::SignatureWrong {
                        name: line.name.clone(),
                    });
                }
                if !signed.contains(&key) {
                    signed.push(key);
                }
            }
        }
        if signed.is_empty() {
            return Err(LedgerError::SignatureMissing);
        }
        Ok(signed)
    }
}

fn check_text(text: &str) -> Result<(), LedgerError> {
    if !text.ends_with('\n') {
        return Err(malformed(0, "its text does not end in a newline"));
    }
    let mut lines = (1..).zip(text.split('\n'));
    match lines.find(|(_, line)| line.bytes().any(|byte| byte < 0x20)) {
        Some((line, _)) => Err(malformed(line, "it has a control character")),
        None => Ok(()),
    }
}

fn parse_signature(line: usize, content: &str) -> Result<NoteSignature, LedgerError> {
    let (name, encoded) = content
        .strip_prefix(LINE_PREFIX)
        .and_then(|rest| rest.split_once(' '))
        .ok_or_else(|| malformed(line, "it has not the form of a signature"))?;
    if !is_key_name(name) {
        return Err(malformed(line, "the name of the key is not allowed"));
    }
    let bytes = STANDARD
        .decode(encoded)
        .map_err(|_| malformed(line, "the signature is not base64"))?;
    match bytes.split_first_chunk() {
        Some((id, signature)) if !signature.is_empty() => Ok(NoteSignature {
            name: name.to_owned(),
            id: u32::from_be_bytes(*id),
            signature: signature.to_vec(),
        }),
        _ => Err(malformed(line, "the signature is too short")),
    }
}

fn malformed(line: usize, reason: &'static str) -> LedgerError {
    LedgerError::Malformed {
        what: "note",
        line,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, seed: u8) -> SigningKey {
        SigningKey::from_seed(name, &[seed; 32]).unwrap()
    }

    #[test]
    fn a_note_with_many_signatures_is_read_and_unknown_ones_are_passed_over() {
        let keys: Vec<_> = (0..100)
            .map(|seed| key(&format!("k{seed}"), seed))
            .collect();
        let all: Vec<_> = keys.iter().collect();
        let bytes = Note::sign("text\n\nwith a blank line\n", &all)
            .unwrap()
            .encode();
        let note = Note::parse(&bytes).unwrap();
        assert_eq!(note.text(), "text\n\nwith a blank line\n");
        assert_eq!(note.encode(), bytes);
        let known = [keys[99].verifier()];
        assert_eq!(note.verify(&known).unwrap(), [&known[0]]);
        assert!(matches!(
            note.verify(&[key("other", 1).verifier()]),
            Err(LedgerError::SignatureMissing)
        ));
        let mut more = note;
        more.push_signature(NoteSignature {
            name: "one-more".to_owned(),
            id: 1,
            signature: vec![1],
        });
        assert!(Note::parse(&more.encode()).is_err());
    }

    #[test]
    fn a_wrong_signature_of_a_known_key_refuses_the_note_even_beside_a_right_one() {
        let (good, bad) = (key("good", 1), key("bad", 2));
        let mut note = Note::sign("text\n", &[&good]).unwrap();
        note.push_signature(NoteSignature {
            name: "bad".to_owned(),
            id: bad.id(),
            signature: vec![0; 64],
        });
        assert!(note.verify(&[good.verifier()]).is_ok());
        assert!(matches!(
            note.verify(&[good.verifier(), bad.verifier()]),
            Err(LedgerError::SignatureWrong { name }) if name == "bad"
        ));
    }

    #[test]
    fn a_second_encoding_of_a_signature_is_refused() {
        let signer = key("log", 3);
        let mut note = Note::sign("text\n", &[&signer]).unwrap();
        // S + L is the same number to a verifier that does not ask for S < L.
        let group_order =
            hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
                .unwrap();
        let mut carry = 0;
        for (byte, add) in note.signatures[0].signature[32..]
            .iter_mut()
            .zip(group_order)
        {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            *byte = sum as u8;
            carry = sum >> 8;
        }
        assert_eq!(carry, 0, "S + L fits into 32 bytes");
        assert!(matches!(
            note.verify(&[signer.verifier()]),
            Err(LedgerError::SignatureWrong { .. })
        ));
    }

    #[test]
    fn malformed_notes_are_refused_with_the_line() {
        let line = "\u{2014} k AAAAAQE=";
        let cases: [(String, usize); 11] = [
            (String::new(), 0),
            ("text\n".to_owned(), 0),
            ("text\n\n".to_owned(), 3),
            (format!("text\n\n{line}"), 3),
            (format!("te\txt\n\n{line}\n"), 1),
            (format!("text\n\n{line}\n\n"), 5),
            (format!("text\n\n{line}\nx\n"), 4),
            (format!("text\n\n{line} \n"), 3),
            ("text\n\n\u{2014} k AAAA\n".to_owned(), 3),
            ("text\n\n\u{2014} k+ AAAAAQE=\n".to_owned(), 3),
            ("text\n\n- k AAAAAQE=\n".to_owned(), 3),
        ];
        for (text, expected) in cases {
            match Note::parse(text.as_bytes()) {
                Err(LedgerError::Malformed { line, .. }) => assert_eq!(line, expected, "{text:?}"),
                other => panic!("{text:?} gave {other:?}"),
            }
        }
        assert!(Note::parse(b"\xff\n\n").is_err());
        assert!(Note::sign("no newline", &[]).is_err());
    }
}
