//! Names and times of tools that have no rules for them, as they are here.

use entities::{Timestamp, key_fault};

/// Longest text that becomes a tag, as many characters as MLflow's clients send.
pub(crate) const LONGEST_TEXT: usize = 5000;

/// A name as a key: what a key cannot have becomes an underscore.
pub(crate) fn key_of(tag: &str) -> String {
    if key_fault(tag).is_none() {
        return tag.to_owned();
    }
    let is_allowed = |character: char| character.is_alphanumeric() || "/_.- :".contains(character);
    let plain: String = tag
        .chars()
        .map(|character| {
            if is_allowed(character) {
                character
            } else {
                '_'
            }
        })
        .collect();
    let names = plain
        .split('/')
        .filter(|name| !matches!(*name, "" | "." | ".."));
    let key = names.collect::<Vec<_>>().join("/");
    if key.is_empty() { "_".to_owned() } else { key }
}

/// A time that was told in seconds.
pub(crate) fn time_of(seconds: Option<f64>) -> Timestamp {
    // Further than any clock goes, a cast gives the largest number.
    let millis = seconds.unwrap_or(0.0) * 1000.0;
    Timestamp::from_millis((millis.round() as i64).min(253_402_300_799_999))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_tags_become_keys_that_lead_nowhere() {
        for (tag, key) in [
            ("loss/train", "loss/train"),
            ("../../etc/passwd", "etc/passwd"),
            ("/abs//x", "abs/x"),
            ("a(b)=c\n", "a_b__c_"),
            ("", "_"),
            ("..", "_"),
        ] {
            assert_eq!(key_of(tag), key);
            assert!(key_fault(&key_of(tag)).is_none(), "{tag}");
        }
    }
}
