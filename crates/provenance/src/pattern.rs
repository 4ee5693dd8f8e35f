//! Patterns with `*` and `?`, for paths and for keys.

/// Tells whether a pattern covers a path.
///
/// `*` is any text without `/`, `**` any text, `?` one character other than `/`.
/// A pattern without `/` speaks of the last part of the path, whatever folder it is in;
/// one with `/` of the whole path.
pub fn matches_path(pattern: &str, path: &str) -> bool {
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    let text = if pattern.contains('/') {
        path
    } else {
        path.rsplit('/').next().unwrap_or(path)
    };
    matches(pattern, text, Some('/'))
}

/// Tells whether a pattern covers a key: `*` is any text, `?` one character, `/` is nothing special.
pub fn matches_key(pattern: &str, key: &str) -> bool {
    matches(pattern, key, None)
}

/// Keeps, token by token, which beginnings of the text are covered so far.
///
/// *Cost*: the product of both lengths, whatever the pattern.
fn matches(pattern: &str, text: &str, separator: Option<char>) -> bool {
    let tokens = tokens_of(pattern, separator.is_some());
    let text: Vec<char> = text.chars().collect();
    // `can[at]`: the tokens so far cover `text[..at]`.
    let mut can = vec![false; text.len() + 1];
    can[0] = true;
    for token in tokens {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            next[at] = match token {
                Token::One(wanted) => at > 0 && can[at - 1] && text[at - 1] == wanted,
                Token::AnyOne => at > 0 && can[at - 1] && Some(text[at - 1]) != separator,
                Token::Any => can[at] || at > 0 && next[at - 1] && Some(text[at - 1]) != separator,
                Token::AnyDeep => can[at] || at > 0 && next[at - 1],
            };
        }
        can = next;
    }
    can[text.len()]
}

#[derive(Clone, Copy)]
enum Token {
    One(char),
    AnyOne,
    Any,
    AnyDeep,
}

fn tokens_of(pattern: &str, has_deep: bool) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        tokens.push(match character {
            '*' if has_deep && characters.next_if_eq(&'*').is_some() => Token::AnyDeep,
            '*' => Token::Any,
            '?' => Token::AnyOne,
            other => Token::One(other),
        });
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_pattern_knows_folders() {
        let cases = [
            ("*.csv", "deep/er/a.csv", true),
            ("*.csv", "a.csv/b", false),
            ("data/*.csv", "data/a.csv", true),
            ("data/*.csv", "data/x/a.csv", false),
            ("data/**", "data/x/a.csv", true),
            ("data/**.csv", "data/x/a.csv", true),
            ("./a?.txt", "a1.txt", true),
            ("a?.txt", "a.txt", false),
            ("x/?", "x//", false),
            ("", "a", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(matches_path(pattern, path), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn a_key_pattern_crosses_slashes() {
        assert!(matches_key("time/*", "time/epoch/train"));
        assert!(matches_key("*_seconds", "fit/wall_seconds"));
        assert!(!matches_key("*_seconds", "seconds"));
        assert!(matches_key("é?", "éa"));
    }

    #[test]
    fn many_stars_stay_quick() {
        assert!(!matches_key(&"*a".repeat(50), &"a".repeat(49)));
        assert!(matches_key(&"*a".repeat(50), &"a".repeat(3000)));
    }
}
