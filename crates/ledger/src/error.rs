//! What can go wrong in this room, other than a ledger that does not verify.

use std::io;

use crate::{Fault, Node, TreeHash};

/// The error of this room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// A ledger does not verify.
    #[error(transparent)]
    Fault(#[from] Box<Fault>),
    /// The storage refused or failed.
    #[error("cannot {action} `{path}`")]
    Storage {
        /// What was tried.
        action: &'static str,
        /// Where, as named in the ledger.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A path is not one that a ledger may hold.
    #[error("`{path}` is not a path inside a ledger: {reason}")]
    PathRefused {
        /// The path as given.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Something else than a file of sensible size stands where a file of the ledger should.
    #[error("`{path}` is not a file of the ledger: {reason}")]
    FileRefused {
        /// Where.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A tile or bundle that the tree needs is not there.
    #[error("`{path}` is missing, which a tree of {size} entries needs")]
    TileMissing {
        /// Which.
        path: String,
        /// The size of the tree.
        size: u64,
    },
    /// A tile or bundle has the wrong form.
    #[error("`{path}` is damaged at byte {byte}: {reason}")]
    TileMalformed {
        /// Which.
        path: String,
        /// Where in the file, from 0.
        byte: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// The tiles give another root than the signed one.
    #[error(
        "the tiles of the first {size} entries have root {found}, the checkpoint says {expected}"
    )]
    RootDiffers {
        /// The size of the tree.
        size: u64,
        /// The signed root.
        expected: TreeHash,
        /// The root that the tiles give.
        found: TreeHash,
    },
    /// An index lies outside the tree.
    #[error("entry {index} is not in a tree of {size} entries")]
    IndexOutside {
        /// The index, from 0.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// A subtree lies outside the tree.
    #[error("subtree {} of level {} is not in the tree", node.index, node.level)]
    NodeOutside {
        /// Which.
        node: Node,
    },
    /// The old tree is larger than the new one.
    #[error("a tree of {old_size} entries cannot be the beginning of one of {new_size}")]
    SizesReversed {
        /// The size of the supposedly older tree.
        old_size: u64,
        /// The size of the supposedly newer tree.
        new_size: u64,
    },
    /// A proof does not prove what it should.
    #[error("the {kind} proof is refused: {reason}")]
    ProofRefused {
        /// Which kind of proof.
        kind: ProofKind,
        /// Why.
        reason: &'static str,
    },
    /// An entry is longer than a bundle can hold.
    #[error("an entry has {size_bytes} bytes, at most 65535 are allowed")]
    EntryTooLong {
        /// Its size.
        size_bytes: usize,
    },
    /// A text of a standard format has the wrong form.
    #[error("the {what} is malformed at line {line}: {reason}")]
    Malformed {
        /// What was read.
        what: &'static str,
        /// The line, from 1; 0 if the whole is meant.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A key was refused.
    #[error("the key `{name}` is refused: {reason}")]
    KeyRefused {
        /// The key's name, as far as it was readable.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// A note carries a signature that claims to be of a known key and is not.
    #[error("the signature of `{name}` is wrong")]
    SignatureWrong {
        /// The name of the key.
        name: String,
    },
    /// A note carries no signature of a known key.
    #[error("no signature is of a known key")]
    SignatureMissing,
    /// A checkpoint speaks of another log than the key that signed it.
    #[error("the checkpoint is of the log `{found}`, not of `{expected}`")]
    OriginDiffers {
        /// The origin that the key stands for.
        expected: String,
        /// The origin in the checkpoint.
        found: String,
    },
    /// A leaf was refused.
    #[error("the leaf is refused: {reason}")]
    LeafRefused {
        /// Why.
        reason: &'static str,
    },
    /// A leaf has not the form of one.
    #[error("the leaf is refused")]
    LeafMalformed {
        /// What is wrong with its form.
        #[source]
        source: entities::LeafError,
    },
    /// A body is not the one that was committed to.
    #[error("the body is not the one that the event committed to")]
    CommitmentDiffers,
}

/// The two kinds of Merkle proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofKind {
    /// An entry is in a tree.
    Inclusion,
    /// A tree is the beginning of another.
    Consistency,
}

impl std::fmt::Display for ProofKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Inclusion => "inclusion",
            Self::Consistency => "consistency",
        })
    }
}

impl From<Fault> for LedgerError {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}
