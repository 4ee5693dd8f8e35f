//! Secrets that show by their shape alone.

/// Beginnings of keys of known services, with the least number of characters that follow.
const PREFIXES: &[(&str, usize)] = &[
    ("AKIA", 16),
    ("ASIA", 16),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("gldt-", 16),
    ("hf_", 20),
    ("sk-", 20),
    ("sk_live_", 10),
    ("sk_test_", 10),
    ("rk_live_", 10),
    ("xoxa-", 10),
    ("xoxb-", 10),
    ("xoxp-", 10),
    ("xoxr-", 10),
    ("xoxs-", 10),
    ("xapp-", 10),
    ("AIza", 30),
    ("ya29.", 20),
    ("npm_", 30),
    ("pypi-", 40),
    ("dop_v1_", 30),
    ("dapi", 32),
    ("SG.", 40),
    ("AGE-SECRET-KEY-", 40),
    ("r8_", 30),
    ("nvapi-", 30),
    ("gsk_", 30),
];

/// A run of letters and digits of this length is a random one in `sk-…`, and not a word of `sk-learn-…`.
const RANDOM_RUN: usize = 16;

/// Whether something is a key is decided by this much of it, so that `sk-sk-sk-…` is not read again and again.
const LOOK_AHEAD: usize = 256;

const BLOCK_BEGIN: &str = "-----BEGIN ";
const BLOCK_END: &str = "-----END ";
const PRIVATE: &str = "PRIVATE KEY";

/// Length of the secret with which a text begins, if it begins with one.
///
/// The caller makes sure that a word begins here.
pub(super) fn secret_length(text: &str) -> Option<usize> {
    private_key_length(text)
        .or_else(|| jwt_length(text))
        .or_else(|| prefixed_length(text))
}

fn private_key_length(text: &str) -> Option<usize> {
    let header = text.strip_prefix(BLOCK_BEGIN)?;
    let label_end = header.find("-----")?;
    if !header[..label_end].contains(PRIVATE) {
        return None;
    }
    // A block without an end is one up to the end of the text.
    let body_start = BLOCK_BEGIN.len() + label_end + 5;
    let Some(end) = text[body_start..].find(BLOCK_END) else {
        return Some(text.len());
    };
    let after = body_start + end + BLOCK_END.len();
    let length = text[after..]
        .find("-----")
        .map_or(text.len(), |close| after + close + 5);
    Some(length)
}

/// A JSON web token: three parts of base64url, the first an object.
fn jwt_length(text: &str) -> Option<usize> {
    if !text.starts_with("eyJ") {
        return None;
    }
    let part = |from: usize| {
        text[from..]
            .bytes()
            .take_while(|&byte| is_of_word(byte))
            .count()
    };
    let first = part(0);
    let second = text[first..].starts_with('.').then(|| part(first + 1))?;
    if first < 10 || second < 10 {
        return None;
    }
    let two = first + 1 + second;
    Some(if text[two..].starts_with('.') {
        two + 1 + part(two + 1)
    } else {
        two
    })
}

fn prefixed_length(text: &str) -> Option<usize> {
    let (prefix, least) = PREFIXES
        .iter()
        .find(|(prefix, _)| text.starts_with(prefix))?;
    let rest = &text[prefix.len()..];
    let has_dots = matches!(*prefix, "SG." | "ya29.");
    let is_part = |byte: u8| match *prefix {
        "AKIA" | "ASIA" => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
        _ => is_of_word(byte) || has_dots && byte == b'.',
    };
    let length = |most: usize| {
        rest.bytes()
            .take(most)
            .take_while(|&byte| is_part(byte))
            .count()
    };
    let seen = length(LOOK_AHEAD);
    let is_random = *prefix != "sk-" || longest_run(&rest[..seen]) >= RANDOM_RUN;
    (seen >= *least && is_random).then(|| prefix.len() + length(usize::MAX))
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn longest_run(text: &str) -> usize {
    text.split(['-', '_']).map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_shapes_are_measured_to_their_end() {
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N";
        let block = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----";
        let whole = [
            "AKIAIOSFODNN7EXAMPLE".to_owned(),
            format!("ghp_{}", "a1".repeat(18)),
            format!("github_pat_{}", "a1_".repeat(10)),
            format!("sk-{}", "aB3".repeat(16)),
            format!("sk-proj-{}", "aB3".repeat(16)),
            format!("hf_{}", "aB".repeat(17)),
            jwt.to_owned(),
            block.to_owned(),
        ];
        for secret in whole {
            for after in ["", " x", "\"", "&"] {
                assert_eq!(
                    secret_length(&format!("{secret}{after}")),
                    Some(secret.len()),
                    "{secret}"
                );
            }
        }
        assert_eq!(secret_length("-----BEGIN PRIVATE KEY-----\nMII"), Some(31));
    }

    #[test]
    fn words_that_only_begin_like_a_key_are_none() {
        let words = [
            "sk-learn-random-forest-classifier-v2",
            "AKIA",
            "AKIAlowercase1234567",
            "ghp_short",
            "hf_hub",
            "eyJustAWord",
            "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----",
            "npm_config_cache",
            "é",
        ];
        for word in words {
            assert_eq!(secret_length(word), None, "{word}");
        }
    }
}
