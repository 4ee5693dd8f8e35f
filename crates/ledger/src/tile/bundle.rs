//! Bundles of entries: each a big-endian 16-bit length and the entry's bytes.

use crate::LedgerError;

/// The longest entry that a bundle can hold.
pub const ENTRY_SIZE_BYTES_MAX: usize = 65_535;

/// Appends an entry to the bytes of a bundle.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), LedgerError> {
    let length = u16::try_from(entry.len()).map_err(|_| LedgerError::EntryTooLong {
        size_bytes: entry.len(),
    })?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// Walks over the entries of a bundle.
///
/// Each item is the position of the entry's length and the entry; after a bundle that ends within an entry comes one error.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    bundle: &'a [u8],
    at: usize,
}

/// A bundle ends within an entry that begins at this byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundleCut {
    /// Where the cut entry's length stands, from 0.
    pub byte: u64,
}

impl<'a> Entries<'a> {
    /// Walks from the beginning.
    pub fn new(bundle: &'a [u8]) -> Self {
        Self { bundle, at: 0 }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(u64, &'a [u8]), BundleCut>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bundle.get(self.at..).filter(|rest| !rest.is_empty())?;
        let byte = self.at as u64;
        let entry = rest.split_first_chunk().and_then(|(length, after)| {
            let length = usize::from(u16::from_be_bytes(*length));
            after.get(..length)
        });
        if let Some(entry) = entry {
            self.at += 2 + entry.len();
            Some(Ok((byte, entry)))
        } else {
            self.at = self.bundle.len();
            Some(Err(BundleCut { byte }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_every_allowed_size_come_back() {
        let entries = [vec![], vec![7], vec![1; 300], vec![2; ENTRY_SIZE_BYTES_MAX]];
        let mut bundle = Vec::new();
        for entry in &entries {
            push_entry(&mut bundle, entry).unwrap();
        }
        let read: Vec<_> = Entries::new(&bundle)
            .map(|item| item.unwrap().1.to_vec())
            .collect();
        assert_eq!(read, entries);
    }

    #[test]
    fn an_entry_that_is_too_long_is_refused_and_leaves_the_bundle_alone() {
        let mut bundle = vec![0, 0];
        let error = push_entry(&mut bundle, &vec![0; ENTRY_SIZE_BYTES_MAX + 1]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "an entry has 65536 bytes, at most 65535 are allowed"
        );
        assert_eq!(bundle, [0, 0]);
    }

    #[test]
    fn a_cut_bundle_ends_with_the_place_of_the_cut_entry() {
        let mut bundle = Vec::new();
        push_entry(&mut bundle, b"abc").unwrap();
        push_entry(&mut bundle, b"def").unwrap();
        for length in 6..10 {
            let mut entries = Entries::new(&bundle[..length]);
            assert_eq!(entries.next(), Some(Ok((0, &b"abc"[..]))));
            assert_eq!(entries.next(), Some(Err(BundleCut { byte: 5 })));
            assert_eq!(entries.next(), None);
        }
    }
}
