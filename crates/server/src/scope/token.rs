//! The token of a captured run.

use axum::http::{HeaderMap, header};

/// A token, kept as its digest: two digests are compared in constant time, so that the time of an answer tells nothing
/// of how much of a guess was right.
pub(super) struct Token(blake3::Hash);

impl Token {
    pub(super) fn new(token: &str) -> Self {
        Self(blake3::hash(token.as_bytes()))
    }

    /// Whether a request brings it.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut found = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (found.next(), found.next()) else {
            return false;
        };
        let Some((scheme, token)) = value.to_str().ok().and_then(|value| value.split_once(' '))
        else {
            return false;
        };
        scheme.eq_ignore_ascii_case("bearer") && blake3::hash(token.trim().as_bytes()) == self.0
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_the_whole_token_in_its_scheme_is_taken() {
        let token = Token::new("s3cret");
        let is_taken = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            token.is_in(&headers)
        };
        assert!(is_taken(&["Bearer s3cret"]));
        assert!(is_taken(&["bearer s3cret"]));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "s3cret",
            "Bearer s3cre",
            "Bearer s3crett",
            "Basic s3cret",
        ] {
            assert!(!is_taken(&[wrong]), "{wrong:?} was taken");
        }
        assert!(!is_taken(&[]));
        assert!(!is_taken(&["Bearer s3cret", "Bearer other"]));
    }
}
