//! Checks that run over leaves in ledger order: gapless writers, unbroken chains of subjects.

use std::collections::BTreeMap;

use entities::{Leaf, WriterId};

use crate::{Fault, decode_leaf};

/// Checks each writer's numbers and each subject's chain, one leaf at a time.
///
/// A writer's events are numbered from 0 without gaps and stand in that order.
/// A leaf names in `prev` the last event of each of its subjects that the ledger already has, and nothing else.
///
/// *Cost*: memory in proportion to the number of distinct subjects.
#[derive(Clone, Debug, Default)]
pub struct WriterChecker {
    index: u64,
    next: BTreeMap<WriterId, u64>,
    last: BTreeMap<String, String>,
}

impl WriterChecker {
    /// Starts at the first entry of a ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads and checks the next entry's bytes.
    pub fn check_bytes(&mut self, bytes: &[u8]) -> Result<Leaf, Fault> {
        let leaf = decode_leaf(bytes).map_err(|source| Fault::LeafRefused {
            index: self.index,
            source,
        })?;
        self.check(&leaf)?;
        Ok(leaf)
    }

    /// Checks the next leaf; after a fault the checker stays where it was.
    pub fn check(&mut self, leaf: &Leaf) -> Result<(), Fault> {
        let index = self.index;
        let expected = self.next.get(&leaf.writer).copied().unwrap_or(0);
        if leaf.wseq != expected {
            return Err(Fault::WriterGap {
                index,
                expected,
                found: leaf.reference(),
            });
        }
        for subject in &leaf.subject {
            let (expected, found) = (self.last.get(subject), leaf.prev.get(subject));
            if expected != found {
                return Err(Fault::PrevDiffers {
                    index,
                    subject: subject.clone(),
                    expected: expected.cloned(),
                    found: found.cloned(),
                });
            }
        }
        self.next.insert(leaf.writer.clone(), expected + 1);
        for subject in &leaf.subject {
            self.last.insert(subject.clone(), leaf.reference());
        }
        self.index += 1;
        Ok(())
    }

    /// The number of events of each writer so far.
    pub fn writers(&self) -> &BTreeMap<WriterId, u64> {
        &self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use entities::{Actor, Timestamp, commitment};

    fn leaf(event: &str, subject: &str, prev: Option<&str>) -> Leaf {
        let actor = Actor {
            id: "u:ann".to_owned(),
            auth: "local".to_owned(),
        };
        let (writer, wseq) = event.split_once(':').unwrap();
        let prev = prev
            .map(|event| (subject.to_owned(), event.to_owned()))
            .into_iter()
            .collect();
        Leaf {
            v: 1,
            ts: Timestamp::from_micros(0),
            writer: writer.parse().unwrap(),
            wseq: wseq.parse().unwrap(),
            actor,
            kind: "x".to_owned(),
            subject: vec![subject.to_owned()],
            prev,
            body_c: commitment(&[0; 32], b""),
            body_len: 0,
            schema: "audit/1".to_owned(),
            reason: None,
            req: None,
        }
    }

    fn history() -> Vec<Leaf> {
        vec![
            leaf("a:0", "run:1", None),
            leaf("b:0", "run:2", None),
            leaf("a:1", "run:1", Some("a:0")),
            leaf("b:1", "run:1", Some("a:1")),
            leaf("a:2", "run:2", Some("b:0")),
        ]
    }

    fn first_fault(leaves: &[Leaf]) -> Option<Fault> {
        let mut checker = WriterChecker::new();
        leaves
            .iter()
            .find_map(|leaf| checker.check_bytes(&leaf.encode().unwrap()).err())
    }

    #[test]
    fn an_honest_history_of_two_writers_passes() {
        assert!(first_fault(&history()).is_none());
    }

    #[test]
    fn an_event_left_out_doubled_or_moved_is_a_gap() {
        let mut omitted = history();
        omitted.remove(2);
        let fault = first_fault(&omitted).unwrap();
        assert_eq!(
            fault.to_string(),
            "entry 2 says that `a:1` came before it for `run:1`, the ledger has `a:0`"
        );
        let mut omitted = history();
        omitted.drain(2..4);
        assert!(matches!(
            first_fault(&omitted),
            Some(Fault::WriterGap {
                index: 2,
                expected: 1,
                ..
            })
        ));
        let mut doubled = history();
        doubled.insert(3, doubled[2].clone());
        assert!(matches!(
            first_fault(&doubled),
            Some(Fault::WriterGap {
                index: 3,
                expected: 2,
                ..
            })
        ));
        let mut moved = history();
        moved.swap(0, 2);
        assert!(matches!(
            first_fault(&moved),
            Some(Fault::WriterGap {
                index: 0,
                expected: 0,
                ..
            })
        ));
    }

    #[test]
    fn a_chain_that_skips_an_event_or_invents_one_is_a_fault() {
        let mut silent = history();
        silent[2].prev.clear();
        assert!(matches!(
            first_fault(&silent),
            Some(Fault::PrevDiffers {
                index: 2,
                found: None,
                ..
            })
        ));
        let mut invented = history();
        invented[1].prev = [("run:2".to_owned(), "a:0".to_owned())].into();
        assert!(matches!(
            first_fault(&invented),
            Some(Fault::PrevDiffers {
                index: 1,
                expected: None,
                ..
            })
        ));
    }

    #[test]
    fn an_entry_that_is_no_leaf_is_told_with_its_index() {
        let mut checker = WriterChecker::new();
        checker.check(&history()[0]).unwrap();
        let fault = checker.check_bytes(b"{}").unwrap_err();
        assert!(matches!(fault, Fault::LeafRefused { index: 1, .. }));
    }
}
