//! Inclusion and consistency proofs: made as RFC 6962 defines them, verified as RFC 9162 does.

use crate::{HashReader, LedgerError, Node, ProofKind, TreeHash, TreeHead, empty_root, node_hash};

/// Makes the proof that the leaf at `index` is in the tree of `size` leaves.
///
/// *Cost*: O(log² size) reads of hashes at worst.
/// *Source*: RFC 6962 section 2.1.1, `PATH`.
pub fn prove_inclusion(
    index: u64,
    size: u64,
    reader: &mut impl HashReader,
) -> Result<Vec<TreeHash>, LedgerError> {
    if index >= size {
        return Err(LedgerError::IndexOutside { index, size });
    }
    let mut proof = Vec::new();
    let (mut first, mut end) = (0, size);
    while end - first > 1 {
        let middle = first + split(end - first);
        if index < middle {
            proof.push(read_range(middle, end, reader)?);
            end = middle;
        } else {
            proof.push(read_range(first, middle, reader)?);
            first = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Makes the proof that the tree of `old_size` leaves is a prefix of that of `new_size`.
///
/// The proof between equal sizes, and from the empty tree, is empty.
/// *Source*: RFC 6962 section 2.1.2, `PROOF`.
pub fn prove_consistency(
    old_size: u64,
    new_size: u64,
    reader: &mut impl HashReader,
) -> Result<Vec<TreeHash>, LedgerError> {
    if old_size > new_size {
        return Err(LedgerError::SizesReversed { old_size, new_size });
    }
    if old_size == 0 || old_size == new_size {
        return Ok(Vec::new());
    }
    let mut proof = Vec::new();
    let (mut first, mut end) = (0, new_size);
    while end != old_size {
        let middle = first + split(end - first);
        if old_size <= middle {
            proof.push(read_range(middle, end, reader)?);
            end = middle;
        } else {
            proof.push(read_range(first, middle, reader)?);
            first = middle;
        }
    }
    if first != 0 {
        proof.push(read_range(first, end, reader)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Reads the root of the tree of `size` leaves.
pub fn read_root(size: u64, reader: &mut impl HashReader) -> Result<TreeHash, LedgerError> {
    if size == 0 {
        return Ok(empty_root());
    }
    read_range(0, size, reader)
}

/// Checks an inclusion proof.
///
/// *Source*: RFC 9162 section 2.1.3.2.
pub fn verify_inclusion(
    index: u64,
    leaf: TreeHash,
    proof: &[TreeHash],
    head: TreeHead,
) -> Result<(), LedgerError> {
    if index >= head.size {
        return Err(LedgerError::IndexOutside {
            index,
            size: head.size,
        });
    }
    let refuse = |reason| LedgerError::ProofRefused {
        kind: ProofKind::Inclusion,
        reason,
    };
    let (mut position, mut last, mut hash) = (index, head.size - 1, leaf);
    for &sibling in proof {
        if last == 0 {
            return Err(refuse("it has too many hashes"));
        }
        if position & 1 == 1 || position == last {
            hash = node_hash(sibling, hash);
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(hash, sibling);
        }
        position >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(refuse("it has too few hashes"));
    }
    if hash != head.root {
        return Err(refuse("it leads to another root"));
    }
    Ok(())
}

/// Checks a consistency proof between two tree heads.
///
/// *Source*: RFC 9162 section 2.1.4.2.
pub fn verify_consistency(
    old: TreeHead,
    new: TreeHead,
    proof: &[TreeHash],
) -> Result<(), LedgerError> {
    if old.size > new.size {
        return Err(LedgerError::SizesReversed {
            old_size: old.size,
            new_size: new.size,
        });
    }
    let refuse = |reason| LedgerError::ProofRefused {
        kind: ProofKind::Consistency,
        reason,
    };
    if old.size == 0 || old.size == new.size {
        return match (old.size, proof.is_empty()) {
            (_, false) => Err(refuse("it has too many hashes")),
            (0, _) if old.root != empty_root() => Err(refuse("it starts from another root")),
            (0, _) if new.size > 0 => Ok(()),
            _ if old.root != new.root => Err(refuse("one size has two roots")),
            _ => Ok(()),
        };
    }
    let (mut position, mut last) = (old.size - 1, new.size - 1);
    while position & 1 == 1 {
        position >>= 1;
        last >>= 1;
    }
    // A power of two: the old root is itself a node of the new tree and is left out of the proof.
    let (start, rest) = if old.size.is_power_of_two() {
        (old.root, proof)
    } else {
        let (&start, rest) = proof
            .split_first()
            .ok_or_else(|| refuse("it has too few hashes"))?;
        (start, rest)
    };
    let (mut old_hash, mut new_hash) = (start, start);
    for &sibling in rest {
        if last == 0 {
            return Err(refuse("it has too many hashes"));
        }
        if position & 1 == 1 || position == last {
            old_hash = node_hash(sibling, old_hash);
            new_hash = node_hash(sibling, new_hash);
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(new_hash, sibling);
        }
        position >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(refuse("it has too few hashes"));
    }
    if old_hash != old.root {
        return Err(refuse("it starts from another root"));
    }
    if new_hash != new.root {
        return Err(refuse("it leads to another root"));
    }
    Ok(())
}

/// The hash of the leaves from `first` up to `end`, where `first` is a multiple of the largest power of two below the width.
fn read_range(first: u64, end: u64, reader: &mut impl HashReader) -> Result<TreeHash, LedgerError> {
    let width = end - first;
    if width.is_power_of_two() {
        let level = width.trailing_zeros() as u8;
        return reader.read_hash(Node {
            level,
            index: first >> level,
        });
    }
    let middle = first + split(width);
    let left = read_range(first, middle, reader)?;
    let right = read_range(middle, end, reader)?;
    Ok(node_hash(left, right))
}

/// The largest power of two smaller than `width`, which is at least 2.
fn split(width: u64) -> u64 {
    1 << (u64::BITS - 1 - (width - 1).leading_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{leaf_hash, root_of};

    fn leaves(count: u64) -> Vec<TreeHash> {
        (0..count)
            .map(|number| leaf_hash(&number.to_be_bytes()))
            .collect()
    }

    fn head_of(leaves: &[TreeHash]) -> TreeHead {
        TreeHead {
            size: leaves.len() as u64,
            root: root_of(leaves),
        }
    }

    #[test]
    fn every_inclusion_proof_up_to_70_leaves_verifies_and_no_changed_one_does() {
        let all = leaves(70);
        for size in 1..=70_u64 {
            let tree = &all[..size as usize];
            let head = head_of(tree);
            for index in 0..size {
                let leaf = tree[index as usize];
                let proof = prove_inclusion(index, size, &mut &*tree).unwrap();
                verify_inclusion(index, leaf, &proof, head).unwrap();
                let mut longer = proof.clone();
                longer.push(leaf);
                assert!(verify_inclusion(index, leaf, &longer, head).is_err());
                for at in 0..proof.len() {
                    let mut changed = proof.clone();
                    changed[at] = leaf_hash(b"other");
                    assert!(verify_inclusion(index, leaf, &changed, head).is_err());
                    changed.remove(at);
                    assert!(verify_inclusion(index, leaf, &changed, head).is_err());
                }
                for other in (0..=size).filter(|&other| other != index) {
                    assert!(verify_inclusion(other, leaf, &proof, head).is_err());
                }
            }
        }
    }

    #[test]
    fn every_consistency_proof_up_to_130_leaves_verifies_and_no_changed_one_does() {
        let all = leaves(130);
        let heads: Vec<_> = (0..=130).map(|size| head_of(&all[..size])).collect();
        for new in &heads {
            for old in &heads[..=new.size as usize] {
                let proof = prove_consistency(old.size, new.size, &mut &all[..]).unwrap();
                verify_consistency(*old, *new, &proof).unwrap();
                let mut longer = proof.clone();
                longer.push(new.root);
                assert!(verify_consistency(*old, *new, &longer).is_err());
                for at in 0..proof.len() {
                    let mut changed = proof.clone();
                    changed[at] = leaf_hash(b"other");
                    assert!(verify_consistency(*old, *new, &changed).is_err());
                    changed.remove(at);
                    assert!(verify_consistency(*old, *new, &changed).is_err());
                }
                let forked = TreeHead {
                    root: leaf_hash(b"other"),
                    ..*old
                };
                assert!(verify_consistency(forked, *new, &proof).is_err());
            }
        }
    }

    #[test]
    fn proofs_outside_the_tree_are_refused() {
        let all = leaves(4);
        assert!(prove_inclusion(4, 4, &mut &all[..]).is_err());
        assert!(prove_consistency(5, 4, &mut &all[..]).is_err());
        assert!(prove_inclusion(0, 0, &mut &all[..0]).is_err());
        let empty = head_of(&[]);
        assert!(verify_inclusion(0, all[0], &[], empty).is_err());
        assert!(verify_consistency(head_of(&all), empty, &[]).is_err());
    }

    #[test]
    fn a_root_of_the_empty_tree_other_than_the_standard_one_is_refused() {
        let lie = TreeHead {
            size: 0,
            root: leaf_hash(b""),
        };
        assert!(verify_consistency(lie, head_of(&leaves(3)), &[]).is_err());
        assert!(verify_consistency(lie, lie, &[]).is_err());
    }
}
