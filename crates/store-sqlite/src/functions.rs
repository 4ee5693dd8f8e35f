//! SQL functions that are ours.
//!
//! `LIKE` with its case kept, or ignored in all of Unicode: SQLite's own ignores case for ASCII letters only, and its
//! switch for that is deprecated. Regular expressions, which SQLite has a word for and no code. And what a record of a
//! span says.

use entities::TraceRecord;
use regex::Regex;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::{Connection, Error, Result};

/// Adds `text_matches(text, pattern, ignores_case)`, `text_fits(text, expression)`, `span_content(record)` and
/// `span_attribute(record, key)`; each gives null where the first is null.
pub(crate) fn register(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function("text_matches", 3, flags, |context| {
        let Some(text) = context.get_raw(0).as_str_or_null()? else {
            return Ok(None);
        };
        let pattern = context.get_raw(1).as_str()?;
        Ok(Some(is_like(text, pattern, context.get::<bool>(2)?)))
    })?;
    connection.create_scalar_function("text_fits", 2, flags, |context| {
        let Some(text) = context.get_raw(0).as_str_or_null()? else {
            return Ok(None);
        };
        // Compiled once a statement.
        let expression = context.get_or_create_aux(1, |value| {
            let pattern = value.as_str().map_err(Box::new)?;
            Regex::new(pattern).map_err(Box::<dyn std::error::Error + Send + Sync>::from)
        })?;
        Ok(Some(expression.is_match(text)))
    })?;
    connection.create_scalar_function("span_content", 1, flags, |context| {
        let record = record_of(context)?;
        Ok(record.map(|record| TraceRecord::content_of(record).to_owned()))
    })?;
    connection.create_scalar_function("span_attribute", 2, flags, |context| {
        let key = context.get_raw(1).as_str()?;
        let Some(record) = record_of(context)? else {
            return Ok(None);
        };
        TraceRecord::attribute_of(record, key)
            .map_err(|error| Error::UserFunctionError(Box::new(error)))
    })
}

fn record_of<'c>(context: &'c Context<'_>) -> Result<Option<&'c str>> {
    Ok(context.get_raw(0).as_str_or_null()?)
}

/// Tells whether a text fits a pattern in which `%` is any text and `_` any character.
///
/// *Cost*: length of the text times that of the pattern at most, since only the last `%` is ever gone back to.
fn is_like(text: &str, pattern: &str, ignores_case: bool) -> bool {
    if ignores_case {
        return is_like(&text.to_lowercase(), &pattern.to_lowercase(), false);
    }
    let (mut text, mut pattern) = (text.chars(), pattern.chars());
    let mut last_percent = None;
    loop {
        let rest_of_text = text.clone();
        match (text.next(), pattern.next()) {
            (None, None) => return true,
            (_, Some('%')) => {
                text = rest_of_text.clone();
                last_percent = Some((rest_of_text, pattern.clone()));
            }
            (Some(_), Some('_')) => {}
            (Some(character), Some(wanted)) if character == wanted => {}
            (None, Some(_)) => return false,
            _ => {
                let Some((mut from, after)) = last_percent.take() else {
                    return false;
                };
                if from.next().is_none() {
                    return false;
                }
                text = from.clone();
                pattern = after.clone();
                last_percent = Some((from, after));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_sql_says() {
        let cases = [
            ("abc", "abc", true),
            ("abc", "ABC", false),
            ("abc", "a%", true),
            ("abc", "%c", true),
            ("abc", "%b%", true),
            ("abc", "a_c", true),
            ("abc", "a_", false),
            ("", "%", true),
            ("", "_", false),
            ("aab", "%ab", true),
            ("a%b", "a%b", true),
            ("ä", "_", true),
            ("mississippi", "m%iss%ip%i", true),
            ("mississippi", "m%iss%ip%x", false),
            ("a*b[c]?", "a*b[c]?", true),
            ("abc", "", false),
        ];
        for (text, pattern, expected) in cases {
            assert_eq!(
                is_like(text, pattern, false),
                expected,
                "{text} LIKE {pattern}"
            );
        }
        assert!(is_like("ÄRGER", "är%", true));
    }

    #[test]
    fn expressions_fit_anywhere_and_nulls_nowhere() {
        let connection = Connection::open_in_memory().unwrap();
        register(&connection).unwrap();
        let fits = |text: Option<&str>, pattern: &str| {
            connection.query_row("SELECT text_fits(?1, ?2)", (text, pattern), |row| {
                row.get::<_, Option<bool>>(0)
            })
        };
        assert_eq!(fits(Some("abc"), "b").unwrap(), Some(true));
        assert_eq!(fits(Some("abc"), "^b").unwrap(), Some(false));
        assert_eq!(fits(None, "b").unwrap(), None);
        assert!(fits(Some("abc"), "(").is_err());
    }

    #[test]
    fn a_hostile_pattern_ends_soon() {
        let text = "a".repeat(5_000);
        let pattern = format!("{}b", "%a".repeat(500));
        assert!(!is_like(&text, &pattern, false));
    }
}
