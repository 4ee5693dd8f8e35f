//! The Range header, for one range of bytes.

/// What part of a file is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it; also where the header cannot be read, or asks for several parts, as RFC 9110 allows.
    Whole,
    /// So many bytes from an offset on, at least one.
    Bytes { offset: u64, length: u64 },
    /// Nothing that the file has.
    Outside,
}

/// Reads the header for a file of that size.
pub(super) fn read_range(header: Option<&str>, size_bytes: u64) -> Part {
    let Some(range) = header.and_then(|header| header.strip_prefix("bytes=")) else {
        return Part::Whole;
    };
    let Some((first, last)) = range.trim().split_once('-') else {
        return Part::Whole;
    };
    let (Some(first), Some(last)) = (Bound::read(first), Bound::read(last)) else {
        return Part::Whole;
    };
    let (offset, end) = match (first, last) {
        (Bound::At(first), Bound::At(last)) if first <= last => {
            (first, last.saturating_add(1).min(size_bytes))
        }
        (Bound::At(first), Bound::Open) => (first, size_bytes),
        (Bound::Open, Bound::At(count)) => (size_bytes.saturating_sub(count), size_bytes),
        _ => return Part::Whole,
    };
    if offset >= end {
        return Part::Outside;
    }
    Part::Bytes {
        offset,
        length: end - offset,
    }
}

/// One side of the dash.
#[derive(Clone, Copy)]
enum Bound {
    /// Nothing stands there.
    Open,
    At(u64),
}

impl Bound {
    /// None where something else than a number stands there.
    fn read(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::Open);
        }
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        // One beyond 64 bits is beyond every file.
        is_number.then(|| Self::At(text.parse().unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_read_and_all_else_is_the_whole_or_outside() {
        let bytes = |offset, length| Part::Bytes { offset, length };
        for (header, part) in [
            ("bytes=0-0", bytes(0, 1)),
            ("bytes=2-5", bytes(2, 4)),
            ("bytes=2-", bytes(2, 8)),
            ("bytes=-3", bytes(7, 3)),
            ("bytes=-30", bytes(0, 10)),
            ("bytes=5-99999999999999999999999", bytes(5, 5)),
            ("bytes=10-", Part::Outside),
            ("bytes=10-11", Part::Outside),
            ("bytes=99999999999999999999999-", Part::Outside),
            ("bytes=-0", Part::Outside),
            ("bytes=5-2", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes", Part::Whole),
            ("items=0-1", Part::Whole),
        ] {
            assert_eq!(read_range(Some(header), 10), part, "{header}");
        }
        assert_eq!(read_range(None, 10), Part::Whole);
        assert_eq!(read_range(Some("bytes=0-"), 0), Part::Outside);
    }
}
