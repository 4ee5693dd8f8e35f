//! Credentials in URLs.

/// Schemes whose user is part of the address and no secret: `git@`.
const USER_IS_ADDRESS: &[&str] = &["ssh", "git+ssh", "ssh+git", "svn+ssh", "sftp", "rsync"];

/// Longer credentials than this are not looked for, so that a text of many `://` is not read again and again.
const LOOK_AHEAD: usize = 1024;

/// Length of the credentials, the `@` included, with which the text after `SCHEME://` begins; none where there are none.
///
/// A password that should have been escaped and was not (`u:p/w@host`, `u:p@ss@host`) is found whole.
pub(super) fn credentials_length(scheme: &str, rest: &str) -> Option<usize> {
    let is_end = |character: char| {
        character.is_whitespace() || matches!(character, '"' | '\'' | '<' | '>' | '`')
    };
    let limit = (0..=LOOK_AHEAD.min(rest.len()))
        .rev()
        .find(|&at| rest.is_char_boundary(at))
        .unwrap_or(0);
    let rest = &rest[..limit];
    let token = &rest[..rest.find(is_end).unwrap_or(rest.len())];
    let authority = &token[..token.find(['/', '?', '#']).unwrap_or(token.len())];
    let Some(at) = authority.rfind('@') else {
        return unescaped_length(token, authority);
    };
    let user = &authority[..at];
    let is_address =
        USER_IS_ADDRESS.contains(&scheme.to_ascii_lowercase().as_str()) && !user.contains(':');
    (!user.is_empty() && !is_address).then_some(at + 1)
}

/// What looks like a port and is not a number is a password with a `/` in it, if an `@` follows.
fn unescaped_length(token: &str, authority: &str) -> Option<usize> {
    let (_, port) = authority.rsplit_once(':')?;
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    if is_port || authority.starts_with('[') {
        return None;
    }
    token.rfind('@').map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_whole() {
        let cases = [
            ("https", "user:pass@host/x", Some("user:pass@")),
            ("https", "token@host/x", Some("token@")),
            ("https", "u:p@ss@host/x", Some("u:p@ss@")),
            ("postgres", "u:p/w@host/db", Some("u:p/w@")),
            ("https", "u:p?w#x@host/db", Some("u:p?w#x@")),
            ("ssh", "git@host/x", None),
            ("ssh", "git:pw@host/x", Some("git:pw@")),
            ("https", "host/pkg@1.0", None),
            ("https", "host:8080/pkg@1.0", None),
            ("http", "[::1]/pkg@1.0", None),
            ("http", "host and me@example.com", None),
            ("https", "@host", None),
            ("https", "", None),
            ("file", "/a@b", None),
        ];
        for (scheme, rest, expected) in cases {
            let found = credentials_length(scheme, rest).map(|length| &rest[..length]);
            assert_eq!(found, expected, "{scheme}://{rest}");
        }
    }
}
