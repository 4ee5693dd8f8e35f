//! What a request brings to tell who sends it.

use access::{Credentials, Password};
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Longer headers hold no password that could be one.
const LONGEST_HEADER: usize = 8192;

/// Some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads them; none where there are none, or several, or they cannot be read.
pub(super) fn credentials_of(headers: &HeaderMap) -> Option<Credentials> {
    let mut found = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (found.next(), found.next()) else {
        return None;
    };
    let value = value.to_str().ok()?;
    if value.len() > LONGEST_HEADER {
        return None;
    }
    let (scheme, rest) = value.trim().split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Credentials::Token(Password::new(rest.to_owned())));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64.decode(rest).ok()?;
    let text = match String::from_utf8(decoded) {
        Ok(text) => text,
        // RFC 7617 leaves the encoding open; what is no UTF-8 is what older clients send, Latin-1.
        Err(error) => error.into_bytes().into_iter().map(char::from).collect(),
    };
    let (name, password) = text.split_once(':')?;
    Some(Credentials::Password {
        name: name.to_owned(),
        password: Password::new(password.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn read(values: &[&[u8]]) -> Option<Credentials> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                header::AUTHORIZATION,
                HeaderValue::from_bytes(value).unwrap(),
            );
        }
        credentials_of(&headers)
    }

    fn basic(text: &[u8]) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(text)).into_bytes()
    }

    fn name_of(credentials: Option<Credentials>) -> Option<String> {
        match credentials {
            Some(Credentials::Password { name, .. }) => Some(name),
            _ => None,
        }
    }

    #[test]
    fn names_and_passwords_are_read_in_whatever_encoding() {
        assert_eq!(name_of(read(&[&basic(b"ann:a:b")])).as_deref(), Some("ann"));
        assert_eq!(
            name_of(read(&[&basic("Änn:ü".as_bytes())])).as_deref(),
            Some("Änn")
        );
        assert_eq!(
            name_of(read(&[&basic(b"\xc4nn:x")])).as_deref(),
            Some("Änn")
        );
        assert_eq!(name_of(read(&[b"bAsIc YTpi"])).as_deref(), Some("a"));
        assert_eq!(name_of(read(&[b"Basic YWI6Yw"])).as_deref(), Some("ab"));
        assert_eq!(name_of(read(&[&basic(b":")])).as_deref(), Some(""));
        assert!(matches!(read(&[b"Bearer x"]), Some(Credentials::Token(_))));
    }

    #[test]
    fn what_cannot_be_read_is_nothing() {
        let long = basic(&[b'x'; 9000]);
        for garbage in [
            &b""[..],
            b"Basic",
            b"Basic ",
            b"Basic !!!",
            b"Digest YTpi",
            b"YTpi",
            &basic(b"no colon"),
            b"Basic YTpi\xff",
            &long,
        ] {
            assert!(
                read(&[garbage]).is_none(),
                "{}",
                String::from_utf8_lossy(garbage)
            );
        }
        let one = basic(b"a:b");
        assert!(read(&[&one, &one]).is_none());
        assert!(read(&[]).is_none());
    }
}
