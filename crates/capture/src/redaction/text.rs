//! Finding secrets in text: by the names before them, by their shape, in URLs.

use super::{MARK, names, shapes, url};

/// A flag whose value stands in the next argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    /// The whole value is a secret.
    Secret,
    /// The value is `USER:PASSWORD`, as curl takes it.
    User,
}

/// Tells whether an argument says that the next one holds a secret.
pub(super) fn flag_before_value(argument: &str) -> Option<Flag> {
    if matches!(argument, "-u" | "--user" | "--proxy-user" | "-U") {
        return Some(Flag::User);
    }
    let name = argument.strip_prefix('-')?;
    let is_name = name.len() > 1 && name.chars().all(is_of_name);
    (is_name && names::is_secret(name)).then_some(Flag::Secret)
}

/// Splits a flag that holds `USER:PASSWORD` itself, as curl takes it: `--user=ann:x`, `-uann:x`.
pub(super) fn attached_user(argument: &str) -> Option<(&str, &str)> {
    ["--user=", "--proxy-user=", "-u", "-U"]
        .into_iter()
        .find_map(|flag| {
            let value = argument.strip_prefix(flag)?;
            let has_user = !value.starts_with(['=', ':', '-']) && value.contains(':');
            has_user.then(|| argument.split_at(flag.len()))
        })
}

/// Tells whether an argument is a flag itself and so not the value of the one before.
pub(super) fn is_flag(argument: &str) -> bool {
    match argument.strip_prefix("--") {
        Some(name) => name.starts_with(|first: char| first.is_ascii_alphabetic()),
        None => {
            argument.len() == 2
                && argument.starts_with('-')
                && argument.as_bytes()[1].is_ascii_alphabetic()
        }
    }
}

/// Redacts the value of a flag.
pub(super) fn redact_value(flag: Flag, value: &str) -> String {
    match flag {
        Flag::Secret if is_switch(value) => value.to_owned(),
        Flag::Secret => MARK.to_owned(),
        Flag::User => match value.split_once(':') {
            // `1000:1000` is a user and a group.
            Some((user, password)) if !password.bytes().all(|byte| byte.is_ascii_digit()) => {
                format!("{user}:{MARK}")
            }
            _ => redact(value),
        },
    }
}

/// Values that tell nothing, whatever they are the value of.
fn is_switch(value: &str) -> bool {
    let switches = [
        "", "true", "false", "yes", "no", "on", "off", "none", "null",
    ];
    // `--pass 2` counts passes; nobody keeps a secret of three digits.
    let is_small_number = value.len() <= 3 && value.bytes().all(|byte| byte.is_ascii_digit());
    is_small_number || switches.contains(&value.to_ascii_lowercase().as_str())
}

fn is_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.')
}

/// Replaces what looks like a secret.
///
/// *Cost*: linear, but for a look-ahead of bounded length.
pub(super) fn redact(text: &str) -> String {
    Scanner {
        text,
        at: 0,
        redacted: String::with_capacity(text.len()),
        is_in_query: false,
    }
    .scan()
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    redacted: String,
    /// Whether it stands in the query of a URL.
    is_in_query: bool,
}

impl Scanner<'_> {
    fn scan(mut self) -> String {
        while self.at < self.text.len() {
            let is_taken = self.take_shape() || self.take_credentials() || self.take_named();
            if !is_taken {
                self.pass_on();
            }
        }
        self.redacted
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn previous(&self) -> Option<char> {
        self.text[..self.at].chars().next_back()
    }

    fn keep(&mut self, length: usize) {
        self.redacted
            .push_str(&self.text[self.at..self.at + length]);
        self.at += length;
    }

    fn replace(&mut self, length: usize) {
        self.redacted.push_str(MARK);
        self.at += length;
    }

    fn pass_on(&mut self) {
        let Some(character) = self.rest().chars().next() else {
            return;
        };
        match character {
            '?' if self.is_in_url() => self.is_in_query = true,
            '#' | '"' | '\'' => self.is_in_query = false,
            other if other.is_whitespace() => self.is_in_query = false,
            _ => {}
        }
        self.keep(character.len_utf8());
    }

    /// Whether the word up to here began with `SCHEME://`; looks back no further than URLs are long.
    fn is_in_url(&self) -> bool {
        let word = self
            .redacted
            .bytes()
            .rev()
            .take(1024)
            .take_while(|byte| !byte.is_ascii_whitespace());
        let mut slashes = 0;
        for byte in word {
            match byte {
                b'/' => slashes += 1,
                b':' if slashes >= 2 => return true,
                _ => slashes = 0,
            }
        }
        false
    }

    fn take_shape(&mut self) -> bool {
        let is_word_start = self
            .previous()
            .is_none_or(|previous| !previous.is_alphanumeric());
        // What is no token from its beginning is none from its middle; else `eyJ-eyJ-…` is read again and again.
        let is_inside =
            matches!(self.previous(), Some('-' | '_')) && self.rest().starts_with("eyJ");
        if !is_word_start || is_inside {
            return false;
        }
        match shapes::secret_length(self.rest()) {
            Some(length) => {
                self.replace(length);
                true
            }
            None => false,
        }
    }

    fn take_credentials(&mut self) -> bool {
        let Some(after) = self.rest().strip_prefix("://") else {
            return false;
        };
        let before = &self.text[..self.at];
        let is_of_scheme =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let scheme = before
            .bytes()
            .rev()
            .take(32)
            .take_while(is_of_scheme)
            .count();
        let length = url::credentials_length(&before[before.len() - scheme..], after);
        self.keep(3);
        if let Some(length) = length {
            self.replace(length - 1);
        }
        true
    }

    /// Takes a name of a secret with its value: `token=x`, `"token": "x"`, `--token x`, `Authorization: Bearer x`.
    fn take_named(&mut self) -> bool {
        let is_start = self.previous().is_none_or(|previous| !is_of_name(previous));
        if !is_start {
            return false;
        }
        let name_length = self
            .rest()
            .find(|character| !is_of_name(character))
            .unwrap_or(self.rest().len());
        if name_length == 0 {
            return false;
        }
        let name = &self.rest()[..name_length];
        let is_secret = if self.is_in_query {
            names::is_secret_in_query(name)
        } else {
            names::is_secret(name)
        };
        let Some(value_at) = is_secret.then(|| self.value_after(name_length)).flatten() else {
            // The name itself cannot be the beginning of another name, but a secret may stand in it.
            return false;
        };
        let is_whole = self.at == 0 && !self.rest()[name_length..].starts_with(char::is_whitespace);
        self.keep(value_at);
        self.redact_named_value(is_whole);
        true
    }

    /// Where the value begins, counted from here; none where the name is not followed by one.
    fn value_after(&self, name_length: usize) -> Option<usize> {
        let (name, after_name) = self.rest().split_at(name_length);
        let after_quote = after_name.strip_prefix(['"', '\'']).unwrap_or(after_name);
        let after_space = after_quote.trim_start_matches([' ', '\t']);
        let signs = ["=>", ":=", "==", "=", ":"];
        let separated = signs.iter().find_map(|sign| after_space.strip_prefix(sign));
        let value = match separated {
            Some(value) if value.starts_with("//") => return None,
            Some(value) => value.trim_start_matches([' ', '\t']),
            None if name.starts_with('-') && after_space.len() < after_name.len() => after_space,
            None => return None,
        };
        let is_next_flag = separated.is_none() && is_flag(first_word(value));
        let is_value = !value.is_empty() && !is_next_flag;
        is_value.then(|| self.rest().len() - value.len())
    }

    fn redact_named_value(&mut self, is_whole: bool) {
        let rest = self.rest();
        let quote = rest
            .chars()
            .next()
            .filter(|first| matches!(first, '"' | '\'' | '`'));
        if let Some(quote) = quote {
            let length = quoted_length(rest, quote);
            self.keep(1);
            self.replace(length);
            return;
        }
        let word = first_word(rest);
        let is_kind = ["bearer", "basic", "token", "digest", "apikey"]
            .contains(&word.to_ascii_lowercase().as_str());
        let after_word = &rest[word.len()..];
        if is_kind && after_word.starts_with(' ') {
            let space = after_word.len() - after_word.trim_start_matches(' ').len();
            self.keep(word.len() + space);
        }
        let rest = self.rest();
        let is_query = self.is_in_query;
        let is_end = |character: char| match character {
            '&' | '#' => true,
            ';' | ',' | ')' | '}' | ']' | '"' | '\'' | '|' | '<' | '>' => {
                !is_query || character == '"'
            }
            other => other.is_whitespace(),
        };
        let length = if is_whole {
            rest.len()
        } else {
            rest.find(is_end).unwrap_or(rest.len())
        };
        if length == 0 || is_switch(&rest[..length]) {
            self.keep(length);
        } else {
            self.replace(length);
        }
    }
}

fn first_word(text: &str) -> &str {
    text.split(char::is_whitespace).next().unwrap_or_default()
}

/// Length of what stands between quotes, the text beginning with the first.
fn quoted_length(text: &str, quote: char) -> usize {
    let inner = &text[1..];
    let mut is_escaped = false;
    for (at, character) in inner.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            other if other == quote => return at,
            _ => {}
        }
    }
    inner.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_redacted_wherever_they_stand() {
        let (github, openai) = (
            format!("ghp_{}", "a1".repeat(18)),
            format!("sk-{}", "aB3".repeat(16)),
        );
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N";
        let cases = [
            ("--password=hunter2", "--password=***"),
            ("--password=hunter2 & more", "--password=***"),
            ("password=hunter2", "password=***"),
            (
                "run --password hunter2 --lr 0.1",
                "run --password *** --lr 0.1",
            ),
            (
                "export TOKEN=hunter2; train --lr 0.1",
                "export TOKEN=***; train --lr 0.1",
            ),
            ("login(token='hunter2', lr=1)", "login(token='***', lr=1)"),
            (
                "{\"api_key\": \"hun\\\"ter2\", \"lr\": 1}",
                "{\"api_key\": \"***\", \"lr\": 1}",
            ),
            (
                "-H 'Authorization: Bearer hunter2'",
                "-H 'Authorization: Bearer ***'",
            ),
            (
                "Authorization: Basic aHVudGVyMg==",
                "Authorization: Basic ***",
            ),
            ("https://user:hunter2@host/x?y=1", "https://***@host/x?y=1"),
            ("https://hunter2@host/x.git", "https://***@host/x.git"),
            (
                "git+https://hunter2@host/x.git@v1",
                "git+https://***@host/x.git@v1",
            ),
            ("ssh://git@host/x.git", "ssh://git@host/x.git"),
            (
                "https://host/x?token=hunter2&y=1",
                "https://host/x?token=***&y=1",
            ),
            (
                "s3://b/x?X-Amz-Signature=hunter2",
                "s3://b/x?X-Amz-Signature=***",
            ),
            (
                "https://b/x?a=1&sig=hun%20ter2,x",
                "https://b/x?a=1&sig=***",
            ),
            (
                "a https://u:hunter2@h b postgres://v:hunter2@h",
                "a https://***@h b postgres://***@h",
            ),
            ("x AKIAIOSFODNN7EXAMPLE y", "x *** y"),
            ("--id=AKIAIOSFODNN7EXAMPLE", "--id=***"),
            (&format!("({github})"), "(***)"),
            (&format!("x={openai}"), "x=***"),
            (&format!("j {jwt} k"), "j *** k"),
            (
                "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\nx",
                "***\nx",
            ),
            ("passwörter ü token=hünter2 ü", "passwörter ü token=*** ü"),
        ];
        for (given, expected) in cases {
            assert_eq!(redact(given), expected, "{given}");
            assert!(!redact(given).contains("hunter2"));
        }
    }

    #[test]
    fn what_is_no_secret_is_left_as_it_is() {
        let texts = [
            "",
            "train.py",
            "--lr=0.1",
            "--max-tokens=100",
            "--tokenizer=bert-base",
            "tokens=100",
            "--key-column id",
            "data/a@b.csv",
            "http://localhost:5000/#/x",
            "https://host/pkg@1.0?x=1",
            "print('token')",
            "the password is not here",
            "--use-auth-token=true",
            "--pass=12",
            "auth://x",
            "sk-learn-random-forest-classifier-v2",
            "a:b@c",
            "é=ü",
        ];
        for text in texts {
            assert_eq!(redact(text), text);
        }
    }

    #[test]
    fn redacting_twice_changes_nothing_more() {
        for text in [
            "--password=x",
            "https://u:p@h/?token=t",
            "token: 'x'",
            "curl -H 'Authorization: Bearer x'",
        ] {
            let once = redact(text);
            assert_eq!(redact(&once), once);
        }
    }

    #[test]
    fn long_texts_stay_quick() {
        let started = std::time::Instant::now();
        for text in [
            "sk-",
            "eyJ-",
            "eyJ.",
            "token",
            "a://",
            "-----BEGIN ",
            "?",
            "://u:",
            "token=\"",
            "é",
        ] {
            redact(&text.repeat(100_000 / text.len()));
        }
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }
}
