//! Paths of artifacts as clients give them.

use axum::http::Uri;
use entities::Artifact;
use percent_encoding::percent_decode_str;

use crate::error::RequestError;

/// How often a text may be encoded over before it is refused unread.
const DECODINGS_MAX: usize = 10;

/// Takes the path of an artifact out of a request's target, decoded once.
pub(crate) fn path_of(uri: &Uri, prefix: &str) -> Result<String, RequestError> {
    let encoded = uri
        .path()
        .strip_prefix(prefix)
        .ok_or(RequestError::InvalidPath)?;
    let path = percent_decode_str(encoded)
        .decode_utf8()
        .map_err(|_| RequestError::InvalidPath)?;
    check_path(&path)?;
    Ok(path.into_owned())
}

/// Refuses a path that could lead out of the artifacts, here or wherever else it is decoded or joined once more.
///
/// What is on record is rows, and their contents are named by digest; where a path is looked for in a folder, the system
/// lets nothing lead out of that. A client that downloads a folder does join what it is told, and so does whoever exports it.
pub(crate) fn check_path(path: &str) -> Result<(), RequestError> {
    let mut decoded = path.to_owned();
    for _ in 0..DECODINGS_MAX {
        if !Artifact::is_valid_path(&decoded) || has_drive(&decoded) {
            return Err(RequestError::InvalidPath);
        }
        let Ok(next) = percent_decode_str(&decoded).decode_utf8() else {
            return Err(RequestError::InvalidPath);
        };
        if next == decoded.as_str() {
            return Ok(());
        }
        decoded = next.into_owned();
    }
    Err(RequestError::InvalidPath)
}

/// Whether it begins as an absolute path of Windows does.
pub(super) fn has_drive(path: &str) -> bool {
    let bytes = path.as_bytes();
    matches!(bytes, [letter, b':', b'/', ..] if letter.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(target: &str) -> Option<String> {
        let uri: Uri = format!("/artifacts/{target}").parse().ok()?;
        path_of(&uri, "/artifacts/").ok()
    }

    #[test]
    fn a_path_is_decoded_once() {
        for (target, read) in [
            ("0/run/artifacts/MLmodel", "0/run/artifacts/MLmodel"),
            ("a%20b/%C3%BC.csv", "a b/ü.csv"),
            ("a%2Fb", "a/b"),
            ("100%25.txt", "100%.txt"),
            ("a%23b", "a#b"),
            ("a..b/...", "a..b/..."),
            ("C:x", "C:x"),
        ] {
            assert_eq!(path(target).as_deref(), Some(read));
        }
    }

    /// Ways out of a folder that were tried against MLflow and others.
    #[test]
    fn no_path_leads_out() {
        for target in [
            "",
            "/",
            "/etc/passwd",
            "%2Fetc%2Fpasswd",
            "..",
            "../x",
            "a/../../x",
            "a/..",
            "..%2F..%2Fetc%2Fpasswd",
            "%2e%2e/x",
            "%2e%2e%2fx",
            "%252e%252e%252fx",
            "%25252e%25252e/x",
            "%252Fetc%252Fpasswd",
            "a/%2e%2e/%2e%2e/x",
            "..%5Cx",
            "a%5C..%5Cx",
            "%255c",
            "a//b",
            "a/./b",
            "./a",
            "a/",
            "a%00b",
            "%2500",
            "%FF",
            "%25FF",
            "C:/x",
            "c:%5Cx",
            "C:%2Fx",
            "file:///etc/passwd",
            "file:%2F%2F%2Fetc",
            "http://x/../y",
        ] {
            assert_eq!(path(target), None, "{target} was taken");
        }
        let mut deep = "%".to_owned();
        for _ in 0..12 {
            deep.push_str("25");
        }
        assert_eq!(path(&deep), None);
        assert_eq!(path(&"a".repeat(5000)), None);
    }
}
