//! The digests by which DVC names contents.

use md5::{Digest as _, Md5};

/// How much of a content older releases read at a time.
const PART_BYTES: usize = 1 << 20;

/// How much of a part decides whether it is text.
const HEAD_BYTES: usize = 512;

/// The MD5 of a content, and the one that releases before DVC 3 gave it: they read the line ends of Windows as those of
/// Unix in what they took for text.
///
/// *Source*: `dvc_data/hashfile/hash.py` and `istextfile.py`: each part of a mebibyte is judged, and changed, by itself.
pub(super) struct Digests {
    plain: Md5,
    unix: Option<Unix>,
}

struct Unix {
    digest: Md5,
    part: Vec<u8>,
}

/// Which releases may have named a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Era {
    /// DVC 3 and later.
    Now,
    /// Those before.
    Before,
}

impl Digests {
    pub(super) fn new(era: Era) -> Self {
        Self {
            plain: Md5::new(),
            unix: (era == Era::Before).then(|| Unix {
                digest: Md5::new(),
                part: Vec::with_capacity(PART_BYTES),
            }),
        }
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        self.plain.update(bytes);
        let Some(unix) = &mut self.unix else { return };
        while !bytes.is_empty() {
            let (taken, rest) = bytes.split_at(bytes.len().min(PART_BYTES - unix.part.len()));
            unix.part.extend_from_slice(taken);
            bytes = rest;
            if unix.part.len() == PART_BYTES {
                unix.close_part();
            }
        }
    }

    /// Whether what was read has this MD5, in hex digits.
    pub(super) fn is(self, md5: &str) -> bool {
        let unix = self.unix.is_some_and(|mut unix| {
            unix.close_part();
            hex::encode(unix.digest.finalize()) == md5
        });
        unix || hex::encode(self.plain.finalize()) == md5
    }
}

impl Unix {
    fn close_part(&mut self) {
        if is_text(&self.part[..self.part.len().min(HEAD_BYTES)]) {
            let mut bytes = self.part.iter().copied().peekable();
            let mut changed = Vec::with_capacity(self.part.len());
            while let Some(byte) = bytes.next() {
                if byte != b'\r' || bytes.peek() != Some(&b'\n') {
                    changed.push(byte);
                }
            }
            self.digest.update(&changed);
        } else {
            self.digest.update(&self.part);
        }
        self.part.clear();
    }
}

/// Nothing of it is zero, and not more than three in ten are what no text of ASCII has.
fn is_text(head: &[u8]) -> bool {
    let is_plain = |byte: &&u8| matches!(**byte, 0x20..=0x7e | b'\n' | b'\r' | b'\t' | 0x0c | 0x08);
    let plain = head.iter().filter(is_plain).count();
    !head.contains(&0) && (head.len() - plain) * 10 <= head.len() * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(era: Era, content: &[u8], named: &[u8]) -> bool {
        let mut digests = Digests::new(era);
        for part in content.chunks(1000) {
            digests.update(part);
        }
        digests.is(&hex::encode(Md5::digest(named)))
    }

    #[test]
    fn texts_of_windows_have_the_name_that_older_releases_gave_them() {
        for (content, unix) in [
            (&b"a\r\nb\r\n"[..], &b"a\nb\n"[..]),
            (b"a\rb\r", b"a\rb\r"),
            (b"\r\r\n", b"\r\n"),
            (b"", b""),
        ] {
            assert!(is(Era::Before, content, content), "{content:?}");
            assert!(is(Era::Before, content, unix), "{content:?}");
            assert_eq!(is(Era::Now, content, unix), content == unix, "{content:?}");
        }
        let binary = b"\0a\r\nb";
        assert!(is(Era::Before, binary, binary));
        assert!(!is(Era::Before, binary, b"\0a\nb"));
        assert!(!is(
            Era::Before,
            b"\xc3\xbc\xc3\xbc\r\n",
            b"\xc3\xbc\xc3\xbc\n"
        ));
    }

    #[test]
    fn each_mebibyte_is_judged_by_itself() {
        // A line end over the border stays what it is, and the second part is no text.
        let mut content = vec![b'x'; PART_BYTES - 3];
        content.extend_from_slice(b"\r\n\r");
        let mut expected = content.clone();
        expected.remove(PART_BYTES - 3);
        for text in [&mut content, &mut expected] {
            text.extend_from_slice(b"\n\0\r\n");
        }
        assert!(is(Era::Before, &content, &expected));
    }
}
