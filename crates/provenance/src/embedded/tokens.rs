//! Cuts a text into what has the form of a time or an id, and what stands between.

use entities::Timestamp;

/// A part of a text.
pub(super) enum Piece<'a> {
    Literal(&'a str),
    Token(Token<'a>),
}

/// A part that has the form of a time or an id.
pub(super) struct Token<'a> {
    pub(super) form: TokenForm,
    pub(super) text: &'a str,
    /// Where it begins, in bytes.
    pub(super) at: usize,
    /// The time that it tells, in microseconds since the epoch; local ones as if they were UTC.
    pub(super) micros: Option<i64>,
    /// Whether it tells no offset from UTC.
    pub(super) is_local: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenForm {
    /// By the place in the list of layouts, or the number of digits of an epoch.
    Time(TimeForm),
    Uuid,
    Hex32,
    KnownId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeForm {
    Layout(usize),
    Epoch(usize),
}

pub(super) fn pieces_of<'a>(text: &'a str, ids: &[String]) -> Vec<Piece<'a>> {
    let bytes = text.as_bytes();
    let (mut pieces, mut literal_from, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        let is_start = bytes[at].is_ascii_alphanumeric()
            && (at == 0 || !bytes[at - 1].is_ascii_alphanumeric());
        if !is_start {
            at += 1;
            continue;
        }
        if let Some(token) = token_at(text, at, ids) {
            pieces.push(Piece::Literal(&text[literal_from..at]));
            at += token.text.len();
            literal_from = at;
            pieces.push(Piece::Token(token));
        } else {
            at += 1;
        }
    }
    pieces.push(Piece::Literal(&text[literal_from..]));
    pieces
}

fn token_at<'a>(text: &'a str, at: usize, ids: &[String]) -> Option<Token<'a>> {
    let rest = &text[at..];
    let token = |form, length: usize, micros, is_local| Token {
        form,
        text: &rest[..length],
        at,
        micros,
        is_local,
    };
    let known = ids
        .iter()
        .filter(|id| !id.is_empty() && rest.starts_with(id.as_str()) && ends_at(rest, id.len()))
        .max_by_key(|id| id.len());
    if let Some(length) = uuid_length(rest) {
        return Some(token(TokenForm::Uuid, length, None, false));
    }
    if let Some(length) = hex32_length(rest) {
        return Some(token(TokenForm::Hex32, length, None, false));
    }
    if let Some(id) = known {
        return Some(token(TokenForm::KnownId, id.len(), None, false));
    }
    if let Some((layout, length, micros, is_local)) = layout_at(rest) {
        return Some(token(
            TokenForm::Time(TimeForm::Layout(layout)),
            length,
            Some(micros),
            is_local,
        ));
    }
    let is_fraction = at > 0 && text.as_bytes()[at - 1] == b'.';
    let (digits, length, micros) = epoch_at(rest).filter(|_| !is_fraction)?;
    Some(token(
        TokenForm::Time(TimeForm::Epoch(digits)),
        length,
        Some(micros),
        false,
    ))
}

/// Whether a word ends after so many bytes.
fn ends_at(rest: &str, length: usize) -> bool {
    rest.as_bytes()
        .get(length)
        .is_none_or(|byte| !byte.is_ascii_alphanumeric())
}

fn uuid_length(rest: &str) -> Option<usize> {
    const LENGTH: usize = 36;
    let bytes = rest.as_bytes().get(..LENGTH)?;
    let fits = bytes.iter().enumerate().all(|(place, byte)| match place {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    (fits && ends_at(rest, LENGTH)).then_some(LENGTH)
}

fn hex32_length(rest: &str) -> Option<usize> {
    const LENGTH: usize = 32;
    let bytes = rest.as_bytes().get(..LENGTH)?;
    let fits = bytes
        .iter()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (fits && ends_at(rest, LENGTH)).then_some(LENGTH)
}

/// Forms of a time: Y, M, D, h, m, s are digits, `b` a month's name, `a` a weekday's, three letters each.
const LAYOUTS: &[&str] = &[
    "YYYY-MM-DDThh:mm:ss",
    "YYYY-MM-DD hh:mm:ss",
    "YYYY-MM-DD_hh-mm-ss",
    "YYYY-MM-DD hh:mm",
    "YYYYMMDDThhmmss",
    "YYYYMMDD_hhmmss",
    "YYYYMMDD-hhmmss",
    "a, DD b YYYY hh:mm:ss",
    "a b DD hh:mm:ss YYYY",
    "DD b YYYY hh:mm:ss",
];

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// The layout that fits, its length with the fraction of a second, the time, and whether it tells no offset.
fn layout_at(rest: &str) -> Option<(usize, usize, i64, bool)> {
    LAYOUTS.iter().enumerate().find_map(|(place, layout)| {
        let (mut length, micros) = read_layout(layout, rest)?;
        if layout.ends_with('s') {
            length += fraction_length(&rest[length..]);
        }
        let (offset_micros, after) = offset_at(&rest[length..]);
        // The offset itself stays outside the token, so that it must be equal; what follows it must end the word.
        let is_end = ends_at(rest, length + after);
        is_end.then_some((
            place,
            length,
            micros - offset_micros.unwrap_or(0),
            offset_micros.is_none(),
        ))
    })
}

fn read_layout(layout: &str, rest: &str) -> Option<(usize, i64)> {
    let bytes = rest.as_bytes();
    let (mut year, mut month, mut day, mut hour, mut minute, mut second) = (0, 0, 0, 0, 0, 0);
    let mut at = 0;
    for letter in layout.bytes() {
        if matches!(letter, b'a' | b'b') {
            let name = rest.get(at..at + 3)?;
            if letter == b'b' {
                month = MONTHS.iter().position(|known| *known == name)? as u32 + 1;
            } else if !WEEKDAYS.contains(&name) {
                return None;
            }
            at += 3;
            continue;
        }
        let byte = *bytes.get(at)?;
        at += 1;
        let field = match letter {
            b'Y' => &mut year,
            b'M' => &mut month,
            b'D' => &mut day,
            b'h' => &mut hour,
            b'm' => &mut minute,
            b's' => &mut second,
            literal if literal == byte => continue,
            _ => return None,
        };
        let digit = match byte {
            b'0'..=b'9' => u32::from(byte - b'0'),
            // C's `ctime` pads the day with a space.
            b' ' if letter == b'D' && *field == 0 && layout.starts_with("a b") => 0,
            _ => return None,
        };
        *field = *field * 10 + digit;
    }
    let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000000Z");
    let time: Timestamp = text.parse().ok()?;
    Some((at, time.as_micros()))
}

/// Length of `.123456` or `,123`, nine digits at most.
fn fraction_length(rest: &str) -> usize {
    if !rest.starts_with(['.', ',']) {
        return 0;
    }
    match rest[1..].bytes().take_while(u8::is_ascii_digit).count() {
        digits @ 1..=9 => digits + 1,
        _ => 0,
    }
}

/// `Z`, ` GMT`, ` UTC`, `+hh:mm` or `-hhmm`, also after a space: microseconds east of UTC, and the length.
fn offset_at(rest: &str) -> (Option<i64>, usize) {
    for word in ["Z", " GMT", " UTC", "GMT", "UTC"] {
        if rest.starts_with(word) {
            return (Some(0), word.len());
        }
    }
    let space = usize::from(rest.starts_with(' '));
    let body = &rest.as_bytes()[space..];
    let sign = match body.first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return (None, 0),
    };
    let has_colon = body.get(3) == Some(&b':');
    let digits: Vec<i64> = body
        .iter()
        .skip(1)
        .filter(|byte| **byte != b':')
        .take_while(|byte| byte.is_ascii_digit())
        .map(|byte| i64::from(byte - b'0'))
        .take(4)
        .collect();
    match digits[..] {
        [h1, h2, m1, m2] => (
            Some(sign * ((h1 * 10 + h2) * 3600 + (m1 * 10 + m2) * 60) * 1_000_000),
            space + 5 + usize::from(has_colon),
        ),
        _ => (None, 0),
    }
}

/// A count of seconds, milliseconds, microseconds or nanoseconds: its digits, its length with a fraction, the time.
fn epoch_at(rest: &str) -> Option<(usize, usize, i64)> {
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let number: i64 = rest[..digits].parse().ok()?;
    let micros = match digits {
        10 => number.checked_mul(1_000_000)?,
        13 => number.checked_mul(1000)?,
        16 => number,
        19 => number / 1000,
        _ => return None,
    };
    let fraction = rest[digits..].strip_prefix('.').map_or(0, |after| {
        after.bytes().take_while(u8::is_ascii_digit).count()
    });
    let length = if digits == 10 && fraction > 0 {
        digits + 1 + fraction
    } else {
        digits
    };
    let goes_on = rest[length..]
        .strip_prefix('.')
        .is_some_and(|after| after.starts_with(|next: char| next.is_ascii_digit()));
    (ends_at(rest, length) && !goes_on).then_some((digits, length, micros))
}
