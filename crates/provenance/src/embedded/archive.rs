//! Modification times in the headers of gzip and zip archives.

use super::{EmbeddedDifference, EmbeddedKind};

/// Lists the modification times in which two archives differ; none where they differ in anything else.
pub(super) fn compare(old: &[u8], new: &[u8]) -> Option<Vec<EmbeddedDifference>> {
    if old.len() != new.len() {
        return None;
    }
    let (old_fields, new_fields) = (time_fields(old)?, time_fields(new)?);
    if old_fields != new_fields {
        return None;
    }
    let mut differences = Vec::new();
    let mut plain_from = 0;
    for (at, length) in old_fields {
        if old[plain_from..at] != new[plain_from..at] {
            return None;
        }
        plain_from = at + length;
        let (before, after) = (&old[at..plain_from], &new[at..plain_from]);
        if before != after {
            let hex = |bytes: &[u8]| {
                bytes
                    .iter()
                    .rev()
                    .fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
            };
            differences.push(EmbeddedDifference {
                kind: EmbeddedKind::ArchiveTime,
                at,
                before: hex(before),
                after: hex(after),
            });
        }
    }
    (old[plain_from..] == new[plain_from..] && !differences.is_empty()).then_some(differences)
}

/// Place and length of every field that holds a modification time, in order and without overlap.
fn time_fields(bytes: &[u8]) -> Option<Vec<(usize, usize)>> {
    if bytes.starts_with(&[0x1f, 0x8b, 8]) && bytes.len() >= 18 {
        // RFC 1952, section 2.3: MTIME follows magic, method and flags.
        return Some(vec![(4, 4)]);
    }
    if bytes.starts_with(b"PK\x03\x04") {
        zip_time_fields(bytes)
    } else {
        None
    }
}

/// Length of a record of the end of the central directory without its comment.
const END_LENGTH: usize = 22;

/// Reads the central directory and the local headers that it points to (APPNOTE 6.3.10, section 4.3).
///
/// None for what is damaged, or needs zip64's fields to be read.
fn zip_time_fields(bytes: &[u8]) -> Option<Vec<(usize, usize)>> {
    let lowest = bytes
        .len()
        .saturating_sub(END_LENGTH + usize::from(u16::MAX));
    let end = (lowest..=bytes.len().checked_sub(END_LENGTH)?)
        .rev()
        .find(|&at| {
            bytes[at..].starts_with(b"PK\x05\x06")
                && number(bytes, at + 20, 2) == Some(bytes.len() - at - END_LENGTH)
        })?;
    let count = number(bytes, end + 10, 2)?;
    let mut at = number(bytes, end + 16, 4)?;
    let mut fields = Vec::new();
    for _ in 0..count {
        if !bytes.get(at..end)?.starts_with(b"PK\x01\x02") {
            return None;
        }
        let (name, extra, comment) = (
            number(bytes, at + 28, 2)?,
            number(bytes, at + 30, 2)?,
            number(bytes, at + 32, 2)?,
        );
        fields.push((at + 12, 4));
        push_extra_times(bytes, at + 46 + name, extra, &mut fields)?;
        let local = number(bytes, at + 42, 4)?;
        if !bytes.get(local..)?.starts_with(b"PK\x03\x04") {
            return None;
        }
        let (name, extra) = (number(bytes, local + 26, 2)?, number(bytes, local + 28, 2)?);
        fields.push((local + 10, 4));
        push_extra_times(bytes, local + 30 + name, extra, &mut fields)?;
        at += 46 + bytes_of_variable(bytes, at)? + comment;
    }
    fields.sort_unstable();
    // Two entries that share a header would give one field twice: a forged archive.
    let is_disjoint = fields
        .windows(2)
        .all(|pair| pair[0].0 + pair[0].1 <= pair[1].0);
    (at == end
        && is_disjoint
        && fields
            .last()
            .is_none_or(|(at, length)| at + length <= bytes.len()))
    .then_some(fields)
}

/// Length of name and extra fields of a central header.
fn bytes_of_variable(bytes: &[u8], at: usize) -> Option<usize> {
    Some(number(bytes, at + 28, 2)? + number(bytes, at + 30, 2)?)
}

/// The extended timestamp (0x5455) keeps flags in its first byte and Unix times after it.
fn push_extra_times(
    bytes: &[u8],
    mut at: usize,
    length: usize,
    fields: &mut Vec<(usize, usize)>,
) -> Option<()> {
    let end = at + length;
    while at + 4 <= end {
        let (id, size) = (number(bytes, at, 2)?, number(bytes, at + 2, 2)?);
        if at + 4 + size > end {
            return None;
        }
        if id == 0x5455 && size > 1 {
            fields.push((at + 5, size - 1));
        }
        at += 4 + size;
    }
    (end <= bytes.len()).then_some(())
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    let field = bytes.get(at..at.checked_add(length)?)?;
    Some(
        field
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | usize::from(*byte)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive of stored files, written by hand after the specification.
    fn zip(dos_time: u32, unix_time: u32, files: &[(&str, &[u8])]) -> Vec<u8> {
        let (mut bytes, mut directory) = (Vec::new(), Vec::new());
        let extra = [&[0x55, 0x54, 5, 0, 1][..], &unix_time.to_le_bytes()].concat();
        for (name, content) in files {
            let local = (bytes.len() as u32).to_le_bytes();
            let size = (content.len() as u32).to_le_bytes();
            let (name_length, extra_length) = (
                (name.len() as u16).to_le_bytes(),
                (extra.len() as u16).to_le_bytes(),
            );
            let version_flags_method = [20, 0, 0, 0, 0, 0];
            let time = dos_time.to_le_bytes();
            let common = [
                &version_flags_method[..],
                &time,
                &[7; 4],
                &size,
                &size,
                &name_length,
                &extra_length,
            ]
            .concat();
            bytes.extend([b"PK\x03\x04", &common[..], name.as_bytes(), &extra, content].concat());
            directory.extend(
                [
                    b"PK\x01\x02\x14\0",
                    &common[..],
                    &[0; 10],
                    &local,
                    name.as_bytes(),
                    &extra,
                ]
                .concat(),
            );
        }
        let (start, count) = (
            (bytes.len() as u32).to_le_bytes(),
            (files.len() as u16).to_le_bytes(),
        );
        let size = (directory.len() as u32).to_le_bytes();
        bytes.extend(directory);
        bytes.extend(
            [
                b"PK\x05\x06",
                &[0; 4][..],
                &count,
                &count,
                &size,
                &start,
                &[0; 2],
            ]
            .concat(),
        );
        bytes
    }

    const FILES: &[(&str, &[u8])] = &[("a.npy", b"12345"), ("b.npy", b"PK\x05\x06")];

    #[test]
    fn a_zip_with_other_times_differs_in_times_only() {
        let (old, new) = (zip(1, 2, FILES), zip(3, 4, FILES));
        let found = compare(&old, &new).unwrap();
        assert_eq!(
            found.len(),
            8,
            "two files, each with two headers of two times"
        );
        assert!(
            found
                .iter()
                .all(|difference| difference.kind == EmbeddedKind::ArchiveTime)
        );
        assert_eq!(found[0].before, "0x00000001");
        assert_eq!(
            compare(&old, &zip(1, 2, &[("a.npy", b"12346"), FILES[1]])),
            None
        );
    }

    #[test]
    fn no_other_byte_of_a_zip_is_masked() {
        let (old, new) = (zip(1, 2, FILES), zip(3, 4, FILES));
        let fields = time_fields(&new).unwrap();
        assert_eq!(fields.len(), 8);
        for at in 0..new.len() {
            for bit in 0..8 {
                let mut changed = new.clone();
                changed[at] ^= 1 << bit;
                let is_time = fields
                    .iter()
                    .any(|(from, length)| (*from..from + length).contains(&at));
                assert_eq!(
                    compare(&old, &changed).is_some(),
                    is_time,
                    "bit {bit} of byte {at}"
                );
            }
        }
    }

    #[test]
    fn a_damaged_zip_is_not_looked_into() {
        let whole = zip(1, 2, FILES);
        for length in 0..whole.len() {
            assert_eq!(
                compare(&whole[..length], &zip(3, 4, FILES)[..length]),
                None,
                "cut to {length} bytes"
            );
        }
    }

    #[test]
    fn a_gzip_with_another_time_differs_in_it_only() {
        let gzip = |time: u32, content: u8| {
            [
                &[0x1f, 0x8b, 8, 0][..],
                &time.to_le_bytes(),
                &[0, 3, content, 1, 2, 3, 4, 5, 6, 7, 8],
            ]
            .concat()
        };
        assert_eq!(compare(&gzip(1, 0), &gzip(2, 0)).unwrap().len(), 1);
        assert_eq!(compare(&gzip(1, 0), &gzip(2, 1)), None);
        assert_eq!(compare(&gzip(1, 0), &gzip(1, 1)), None);
    }
}
