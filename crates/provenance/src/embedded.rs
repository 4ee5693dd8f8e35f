//! Whether two versions of a file differ in nothing but a time or an id that is embedded in them.
//!
//! A text is cut into tokens that have the form of a time or an id, and what stands between them.
//! Two texts differ in embedded values only when everything between the tokens is equal byte for byte,
//! the tokens have the same forms in the same order, and wherever two tokens differ
//! each time lies within its own run, and ids are renamed consistently, one for one.
//! A date of the data or a checksum therefore counts as what it is.

mod archive;
mod tokens;

use std::collections::BTreeMap;

use entities::Timestamp;
use serde::Serialize;

use tokens::{Piece, Token, TokenForm, pieces_of};

/// Texts larger than this are not looked into.
pub const LARGEST_EMBEDDED_TEXT_BYTES: usize = 1 << 20;

/// Archives larger than this are not looked into.
pub const LARGEST_EMBEDDED_ARCHIVE_BYTES: usize = 64 << 20;

/// What may be embedded in the files of two runs.
#[derive(Clone, Debug, Default)]
pub struct EmbeddedRules {
    /// Ids that belong to either run: of the run, its models, its children.
    pub ids: Vec<String>,
    /// When the first run ran.
    pub old_window: TimeWindow,
    /// When the second did.
    pub new_window: TimeWindow,
}

/// The time from the start to the end of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeWindow {
    /// Start.
    pub from: Timestamp,
    /// End.
    pub until: Timestamp,
}

/// One place in which two versions differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EmbeddedDifference {
    /// What kind of value stands there.
    pub kind: EmbeddedKind,
    /// Where it stands in the first version, in bytes.
    pub at: usize,
    /// What stands there in the first version.
    pub before: String,
    /// And in the second.
    pub after: String,
}

/// Kinds of embedded values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EmbeddedKind {
    /// A point in time.
    Time,
    /// An id of a run, a model or the like.
    Id,
    /// The modification time in the header of an archive.
    ArchiveTime,
}

/// Lists where two versions differ, if they differ in embedded times and ids only; none otherwise, and for equal ones.
///
/// Looks into UTF-8 texts, and into the headers of zip (also `.npz`, `.whl`) and gzip archives without unpacking them.
///
/// *Cost*: one pass over both versions.
pub fn embedded_only(
    old: &[u8],
    new: &[u8],
    rules: &EmbeddedRules,
) -> Option<Vec<EmbeddedDifference>> {
    if old == new {
        return None;
    }
    let length = old.len().max(new.len());
    if length <= LARGEST_EMBEDDED_ARCHIVE_BYTES
        && let Some(differences) = archive::compare(old, new)
    {
        return Some(differences);
    }
    if length > LARGEST_EMBEDDED_TEXT_BYTES {
        return None;
    }
    compare_texts(
        std::str::from_utf8(old).ok()?,
        std::str::from_utf8(new).ok()?,
        rules,
    )
}

fn compare_texts(old: &str, new: &str, rules: &EmbeddedRules) -> Option<Vec<EmbeddedDifference>> {
    let (old_pieces, new_pieces) = (pieces_of(old, &rules.ids), pieces_of(new, &rules.ids));
    if old_pieces.len() != new_pieces.len() {
        return None;
    }
    let (mut renamed, mut named_from) = (BTreeMap::new(), BTreeMap::new());
    let mut differences = Vec::new();
    for pair in old_pieces.iter().zip(&new_pieces) {
        let (before, after) = match pair {
            (Piece::Literal(before), Piece::Literal(after)) if before == after => continue,
            (Piece::Token(before), Piece::Token(after)) if before.form == after.form => {
                (before, after)
            }
            _ => return None,
        };
        let kind = if matches!(before.form, TokenForm::Time(_)) {
            EmbeddedKind::Time
        } else {
            EmbeddedKind::Id
        };
        // An id that is equal in one place and renamed in another is not renamed consistently.
        let is_consistent = kind == EmbeddedKind::Time
            || (*renamed.entry(before.text).or_insert(after.text) == after.text
                && *named_from.entry(after.text).or_insert(before.text) == before.text);
        if !is_consistent {
            return None;
        }
        if before.text == after.text {
            continue;
        }
        if !may_differ(kind, (old, before), (new, after), rules) {
            return None;
        }
        differences.push(EmbeddedDifference {
            kind,
            at: before.at,
            before: before.text.to_owned(),
            after: after.text.to_owned(),
        });
    }
    // Cut alike and equal in every piece, two texts are equal, which the caller has excluded.
    (!differences.is_empty()).then_some(differences)
}

fn may_differ(
    kind: EmbeddedKind,
    (old, before): (&str, &Token<'_>),
    (new, after): (&str, &Token<'_>),
    rules: &EmbeddedRules,
) -> bool {
    if kind == EmbeddedKind::Time {
        return is_within(before, rules.old_window) && is_within(after, rules.new_window);
    }
    let is_known = |token: &Token<'_>| rules.ids.iter().any(|id| id == token.text);
    (is_known(before) && is_known(after))
        || (is_random_id(before)
            && is_random_id(after)
            && !is_called_checksum(old, before)
            && !is_called_checksum(new, after))
}

/// A clock is read to the second in many forms, and a file's time may be a tick before the run's.
const SLACK_MICROS: i64 = 2_000_000;

/// Without an offset a time may be local: 14 hours is the largest offset in use.
const LOCAL_SLACK_MICROS: i64 = 14 * 3600 * 1_000_000;

fn is_within(token: &Token<'_>, window: TimeWindow) -> bool {
    let slack = if token.is_local {
        LOCAL_SLACK_MICROS + SLACK_MICROS
    } else {
        SLACK_MICROS
    };
    let from = window.from.as_micros().saturating_sub(slack);
    let until = window.until.as_micros().saturating_add(slack);
    token
        .micros
        .is_some_and(|micros| (from..=until).contains(&micros))
}

/// A UUID with hyphens is an id; 32 hex digits are one only with the marks of a random UUID,
/// which an MD5 sum has by chance once in 64 times.
fn is_random_id(token: &Token<'_>) -> bool {
    let digits = token.text.as_bytes();
    match token.form {
        // Those of versions 3, 5 and 8 are made from a content, and tell another one.
        TokenForm::Uuid => matches!(digits[14], b'1' | b'4' | b'6' | b'7'),
        TokenForm::Hex32 => digits[12] == b'4' && matches!(digits[16], b'8' | b'9' | b'a' | b'b'),
        TokenForm::KnownId | TokenForm::Time(_) => false,
    }
}

/// Whether the words just before say that a digest follows.
fn is_called_checksum(text: &str, token: &Token<'_>) -> bool {
    let before = &text.as_bytes()[token.at.saturating_sub(40)..token.at];
    let line = before
        .rsplit(|&byte| byte == b'\n')
        .next()
        .unwrap_or(before)
        .to_ascii_lowercase();
    let line = String::from_utf8_lossy(&line).into_owned();
    ["md5", "sha", "digest", "hash", "checksum", "etag", "crc"]
        .iter()
        .any(|word| line.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::START_S;

    const OLD_ID: &str = "0123456789ab4def8123456789abcdef";
    const NEW_ID: &str = "fedcba9876544210a123456789abcdef";

    fn window(start_s: i64) -> TimeWindow {
        TimeWindow {
            from: Timestamp::from_millis(start_s * 1000),
            until: Timestamp::from_millis((start_s + 60) * 1000),
        }
    }

    /// The second run was a day and an hour later.
    fn rules() -> EmbeddedRules {
        EmbeddedRules {
            ids: vec!["run-one".to_owned(), "run-two".to_owned()],
            old_window: window(START_S),
            new_window: window(START_S + 90_000),
        }
    }

    fn compare(old: &str, new: &str) -> Option<usize> {
        embedded_only(old.as_bytes(), new.as_bytes(), &rules()).map(|differences| differences.len())
    }

    #[test]
    fn every_form_of_time_and_id_is_seen() {
        let cases = [
            ("t: 2026-11-24T08:22:11Z", "t: 2026-11-25T09:22:12Z"),
            (
                "t: 2026-11-24T08:22:11.123456+00:00",
                "t: 2026-11-25T09:22:12+00:00",
            ),
            (
                "t: 2026-11-24T10:22:11+02:00",
                "t: 2026-11-25T11:22:12+02:00",
            ),
            (
                "t: '2026-11-24 08:22:11.123456'",
                "t: '2026-11-25 09:22:12.1'",
            ),
            ("t: 2026-11-24 19:22", "t: 2026-11-25 20:22"),
            ("f_20261124_082211.txt", "f_20261125_092211.txt"),
            ("f 20261124T082211", "f 20261125T092211"),
            (
                "Tue, 24 Nov 2026 08:22:11 GMT",
                "Wed, 25 Nov 2026 09:22:12 GMT",
            ),
            ("Tue Nov 24 08:22:11 2026", "Wed Nov 25 09:22:12 2026"),
            ("{\"t\": 1795508531}", "{\"t\": 1795598532}"),
            ("{\"t\": 1795508531.25}", "{\"t\": 1795598532.3333}"),
            ("{\"t\": 1795508531123}", "{\"t\": 1795598532123}"),
            ("{\"t\": 1795508531123456}", "{\"t\": 1795598532123456}"),
            (
                "{\"t\": 1795508531123456789}",
                "{\"t\": 1795598532123456789}",
            ),
            (
                "u: 123e4567-e89b-12d3-a456-426614174000",
                "u: 00000000-e89b-12d3-a456-426614174000",
            ),
            (
                "run_id: 0123456789ab4def8123456789abcdef",
                "run_id: fedcba9876544210a123456789abcdef",
            ),
            (
                "m-0123456789ab4def8123456789abcdef",
                "m-fedcba9876544210a123456789abcdef",
            ),
            ("by run-one", "by run-two"),
        ];
        for (old, new) in cases {
            assert_eq!(compare(old, new), Some(1), "{old} / {new}");
            assert_eq!(compare(old, old), None, "equal files do not differ");
        }
    }

    #[test]
    fn what_only_looks_like_a_time_or_an_id_counts() {
        let cases = [
            (
                "a date of the data",
                "2019-01-01T00:00:00Z",
                "2019-01-02T00:00:00Z",
            ),
            ("a date alone", "2026-11-24", "2026-11-25"),
            (
                "a time outside the second run",
                "2026-11-24T08:22:11Z",
                "2026-11-24T08:22:12Z",
            ),
            (
                "another offset",
                "2026-11-24T08:22:11+00:00",
                "2026-11-25T09:22:12+01:00",
            ),
            (
                "another form",
                "2026-11-24T08:22:11Z",
                "2026-11-25 09:22:12Z",
            ),
            (
                "no such date",
                "2026-11-24T08:22:11Z",
                "2026-11-99T09:22:12Z",
            ),
            ("a number of ten digits", "5795508531", "5795508532"),
            ("a number that goes on", "17955085311", "17955985321"),
            ("a fraction", "0.1795508531", "0.1795598532"),
            (
                "a checksum by its marks",
                "0123456789ab0def8123456789abcdef",
                "1123456789ab0def8123456789abcdef",
            ),
            (
                "a checksum by its name",
                "md5: 0123456789ab4def8123456789abcdef",
                "md5: fedcba9876544210a123456789abcdef",
            ),
            (
                "a longer digest",
                "0123456789ab4def8123456789abcdef00",
                "fedcba9876544210a123456789abcdef00",
            ),
            ("an unknown id", "by run-one", "by run-six"),
            ("a duration", "took 1.25 s", "took 1.26 s"),
            (
                "an id twice and two ids",
                &format!("{OLD_ID} {OLD_ID}"),
                &format!("{NEW_ID} {OLD_ID}"),
            ),
            (
                "two ids and an id twice",
                &format!("{OLD_ID} {NEW_ID}"),
                &format!("{NEW_ID} {NEW_ID}"),
            ),
        ];
        for (why, old, new) in cases {
            assert_eq!(compare(old, new), None, "{why}: {old} / {new}");
        }
    }

    #[test]
    fn no_change_outside_the_tokens_is_ever_masked() {
        // Parts with an even place are plain, those with an odd one are tokens, in both versions.
        let plain = [
            "flavors:\n  f1: 0.97, \"seed\": 42\nrun_id: ",
            "\nutc_time_created: '",
            "'\nms: ",
            " é end, md5 d41d8cd98f00b204e9800998ecf8427e\n",
        ];
        let old_tokens = [OLD_ID, "2026-11-24 08:22:11.123456", "1795508531123"];
        let new_tokens = [NEW_ID, "2026-11-25 09:22:12.654321", "1795598532123"];
        let build = |tokens: [&str; 3]| {
            let (mut text, mut is_plain) = (String::new(), Vec::new());
            for (place, part) in plain.iter().enumerate() {
                text.push_str(part);
                is_plain.extend(vec![true; part.len()]);
                if let Some(token) = tokens.get(place) {
                    text.push_str(token);
                    is_plain.extend(vec![false; token.len()]);
                }
            }
            (text.into_bytes(), is_plain)
        };
        let ((old, _), (new, is_plain)) = (build(old_tokens), build(new_tokens));
        assert_eq!(embedded_only(&old, &new, &rules()).unwrap().len(), 3);
        for at in (0..new.len()).filter(|&at| is_plain[at]) {
            for byte in (0..=255)
                .step_by(5)
                .chain(*b"0149af-:. \n\"")
                .filter(|&byte| byte != new[at])
            {
                let mut changed = new.clone();
                changed[at] = byte;
                assert_eq!(
                    embedded_only(&old, &changed, &rules()),
                    None,
                    "byte {at} became {byte}"
                );
            }
            let mut shorter = new.clone();
            shorter.remove(at);
            assert_eq!(
                embedded_only(&old, &shorter, &rules()),
                None,
                "byte {at} was removed"
            );
        }
    }

    #[test]
    fn what_is_neither_text_nor_archive_is_not_looked_into() {
        assert_eq!(
            embedded_only(
                b"\xff 2026-11-24T08:22:11Z",
                b"\xff 2026-11-25T09:22:12Z",
                &rules()
            ),
            None
        );
        let pad = "x".repeat(LARGEST_EMBEDDED_TEXT_BYTES);
        assert_eq!(
            compare(
                &format!("2026-11-24T08:22:11Z {pad}"),
                &format!("2026-11-25T09:22:12Z {pad}")
            ),
            None
        );
    }

    #[test]
    fn the_place_and_both_values_are_told() {
        let found = embedded_only(b"ok 1795508531", b"ok 1795598532", &rules()).unwrap();
        let expected = EmbeddedDifference {
            kind: EmbeddedKind::Time,
            at: 3,
            before: "1795508531".to_owned(),
            after: "1795598532".to_owned(),
        };
        assert_eq!(found, [expected]);
    }
}
