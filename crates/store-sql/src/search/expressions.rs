//! Regular expressions in PostgreSQL's words.
//!
//! A filter's expression is one of the `regex` crate, which differs from PostgreSQL's in its classes, its anchors and
//! its flags. So it is parsed here, and written again out of what both know: characters, lists of characters, groups,
//! alternatives and repetitions.
//!
//! Source: <https://www.postgresql.org/docs/current/functions-matching.html#POSIX-SYNTAX-DETAILS>.

use std::fmt::Write as _;

use regex_syntax::hir::{Class, ClassUnicode, Hir, HirKind, Look, Repetition};

/// PostgreSQL counts repetitions up to this.
const LARGEST_COUNT: u32 = 255;

/// An expression longer than this is refused: a class of Unicode has hundreds of ranges.
const LONGEST: usize = 1 << 16;

/// Says an expression in PostgreSQL's words.
///
/// *Errors*: a sentence on what PostgreSQL cannot say.
pub(super) fn in_postgres(pattern: &str) -> Result<String, String> {
    let parsed = regex_syntax::parse(pattern).map_err(|error| error.to_string())?;
    // Everything is said in plain words, and no character of it means something in the extended form.
    let mut written = String::from("***:");
    write_hir(&parsed, &mut written)?;
    Ok(written)
}

fn write_hir(hir: &Hir, out: &mut String) -> Result<(), String> {
    if out.len() > LONGEST {
        return Err("it is too long for the database".to_owned());
    }
    match hir.kind() {
        HirKind::Empty => out.push_str("(?:)"),
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0)
                .map_err(|_| "it asks for bytes that are no text".to_owned())?;
            for character in text.chars() {
                write_character(character, out);
            }
        }
        HirKind::Class(Class::Unicode(class)) => write_class(class, out),
        HirKind::Class(Class::Bytes(class)) => {
            let class = class
                .to_unicode_class()
                .ok_or_else(|| "it asks for single bytes".to_owned())?;
            write_class(&class, out);
        }
        HirKind::Look(look) => out.push_str(look_in_postgres(*look)?),
        HirKind::Repetition(repetition) => write_repetition(repetition, out)?,
        HirKind::Capture(capture) => write_group(&capture.sub, out)?,
        HirKind::Concat(parts) => {
            for part in parts {
                match part.kind() {
                    HirKind::Alternation(_) => write_group(part, out)?,
                    _ => write_hir(part, out)?,
                }
            }
        }
        HirKind::Alternation(parts) => {
            for (place, part) in parts.iter().enumerate() {
                if place > 0 {
                    out.push('|');
                }
                write_hir(part, out)?;
            }
        }
    }
    Ok(())
}

fn write_group(hir: &Hir, out: &mut String) -> Result<(), String> {
    out.push_str("(?:");
    write_hir(hir, out)?;
    out.push(')');
    Ok(())
}

fn write_repetition(repetition: &Repetition, out: &mut String) -> Result<(), String> {
    let Repetition { min, max, sub, .. } = repetition;
    if *min > LARGEST_COUNT || max.is_some_and(|max| max > LARGEST_COUNT) {
        return Err(format!(
            "it repeats something more than {LARGEST_COUNT} times"
        ));
    }
    write_group(sub, out)?;
    // Whether it is greedy does not matter to whether there is a match.
    let written = match (min, max) {
        (0, None) => write!(out, "*"),
        (1, None) => write!(out, "+"),
        (min, None) => write!(out, "{{{min},}}"),
        (min, Some(max)) => write!(out, "{{{min},{max}}}"),
    };
    written.expect("writing to a text does not fail");
    Ok(())
}

fn look_in_postgres(look: Look) -> Result<&'static str, String> {
    match look {
        Look::Start => Ok(r"\A"),
        Look::End => Ok(r"\Z"),
        Look::WordUnicode | Look::WordAscii => Ok(r"\y"),
        Look::WordUnicodeNegate | Look::WordAsciiNegate => Ok(r"\Y"),
        Look::WordStartUnicode | Look::WordStartAscii => Ok(r"\m"),
        Look::WordEndUnicode | Look::WordEndAscii => Ok(r"\M"),
        Look::StartLF | Look::StartCRLF => Ok(r"(?:\A|(?<=\n))"),
        Look::EndLF | Look::EndCRLF => Ok(r"(?=\n|\Z)"),
        _ => Err("it asks for half a boundary of a word".to_owned()),
    }
}

fn write_class(class: &ClassUnicode, out: &mut String) {
    if class.ranges().is_empty() {
        // Nothing fits.
        out.push_str("(?!)");
        return;
    }
    out.push('[');
    for range in class.ranges() {
        // The null character is in no text of PostgreSQL.
        let start = range.start().max('\u{1}');
        if start > range.end() {
            continue;
        }
        write_escaped(start, out);
        if range.end() != start {
            out.push('-');
            write_escaped(range.end(), out);
        }
    }
    out.push(']');
}

fn write_character(character: char, out: &mut String) {
    if character.is_ascii_alphanumeric() || character == ' ' {
        out.push(character);
    } else {
        write_escaped(character, out);
    }
}

fn write_escaped(character: char, out: &mut String) {
    write!(out, "\\U{:08x}", u32::from(character)).expect("writing to a text does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_said_in_other_words() {
        for (pattern, expected) in [
            ("ab c", "***:ab c"),
            ("a.b", r"***:a[\U00000001-\U00000009\U0000000b-\U0010ffff]b"),
            ("^(a|bc)+$", r"***:\A(?:(?:a|bc))+\Z"),
            ("(?i)k", r"***:[\U0000004b\U0000006b\U0000212a]"),
            (r"\$\[", r"***:\U00000024\U0000005b"),
            ("a{2,3}?", "***:(?:a){2,3}"),
            (r"x\by", r"***:x\yy"),
        ] {
            assert_eq!(in_postgres(pattern).as_deref(), Ok(expected), "{pattern}");
        }
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        for pattern in ["a{300}", r"(?-u)\xff", "("] {
            assert!(in_postgres(pattern).is_err(), "{pattern}");
        }
    }
}
