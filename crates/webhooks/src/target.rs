//! What the address of a webhook says.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::WebhooksError;

/// Longest address, in characters: what MLflow's schema has room for, and SQLite does not check.
const LONGEST_URL: usize = 500;

/// What may not stand in a path or a query as it is; what is encoded already stays so.
const ENCODED: &AsciiSet = &CONTROLS.add(b'"').add(b'<').add(b'>').add(b'`').add(b'\\');

/// Where a webhook is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Whether it is told through TLS.
    pub(crate) is_secure: bool,
    /// The host in small letters, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The host as it stands in a header: with brackets, and with its port where that is not the usual one.
    pub(crate) authority: String,
    /// The path with the query.
    pub(crate) path: String,
}

impl Target {
    /// Reads an address by MLflow's rules, with these schemes.
    ///
    /// Beyond them it refuses what no client sends as it is meant: blanks and control characters inside, a port that
    /// is none, a host that is not in ASCII; and a name with its password, since addresses are shown.
    pub(crate) fn read(url: &str, schemes: &[String]) -> Result<Self, WebhooksError> {
        let invalid = |why: &str| WebhooksError::InvalidUrl {
            url: url.to_owned(),
            why: why.to_owned(),
        };
        if url.trim().is_empty() {
            return Err(WebhooksError::BlankUrl {
                url: url.to_owned(),
            });
        }
        let (scheme, rest) = split_scheme(url);
        let (authority, path) = split_authority(rest);
        check_brackets(url, authority)?;
        if !schemes.contains(&scheme) {
            return Err(WebhooksError::Scheme {
                scheme,
                allowed: schemes.to_vec(),
            });
        }
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (host, port) = split_port(place);
        if host.is_empty() {
            return Err(WebhooksError::NoHost {
                url: url.to_owned(),
            });
        }
        if user.is_some() {
            return Err(WebhooksError::InvalidUrl {
                // It holds a secret.
                url: format!("{scheme}://…@{place}"),
                why: "a user name and password would be shown to everybody who lists webhooks"
                    .to_owned(),
            });
        }
        if url.chars().count() > LONGEST_URL {
            return Err(WebhooksError::TooLong {
                field: "url",
                limit: LONGEST_URL,
            });
        }
        if url
            .chars()
            .any(|letter| letter.is_whitespace() || letter.is_control())
        {
            return Err(invalid("blanks and control characters must be encoded"));
        }
        if !host.is_ascii() {
            return Err(invalid(
                "write the host in ASCII, such as xn--bcher-kva.example",
            ));
        }
        let is_secure = scheme == "https";
        let usual_port = if is_secure { 443 } else { 80 };
        let port = match port {
            None | Some("") => usual_port,
            Some(port) => read_port(port).ok_or_else(|| invalid("the port is none"))?,
        };
        let host = host.to_ascii_lowercase();
        Ok(Self {
            is_secure,
            authority: authority_of(&host, (port != usual_port).then_some(port)),
            host,
            port,
            path: path_of(path),
        })
    }
}

/// The scheme in small letters, and what comes after its colon; an empty one where there is none.
fn split_scheme(url: &str) -> (String, &str) {
    let is_scheme = |text: &str| {
        text.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && text
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
    };
    match url.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
        _ => (String::new(), url),
    }
}

/// What stands between the slashes and the path, and what comes after it.
fn split_authority(rest: &str) -> (&str, &str) {
    let Some(rest) = rest.strip_prefix("//") else {
        return ("", rest);
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    rest.split_at(end)
}

fn check_brackets(url: &str, authority: &str) -> Result<(), WebhooksError> {
    let invalid = |why: &str| WebhooksError::InvalidUrl {
        url: url.to_owned(),
        why: format!("ValueError({})", entities::python::repr(why)),
    };
    if authority.contains('[') != authority.contains(']') {
        return Err(invalid("Invalid IPv6 URL"));
    }
    let Some((_, rest)) = authority.split_once('[') else {
        return Ok(());
    };
    let host = rest.split(']').next().unwrap_or_default();
    match host.parse::<std::net::Ipv6Addr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(invalid(&format!(
            "'{host}' does not appear to be an IPv4 or IPv6 address"
        ))),
    }
}

/// The host without brackets, and the port.
fn split_port(place: &str) -> (&str, Option<&str>) {
    if let Some((_, rest)) = place.split_once('[') {
        let (host, after) = rest.split_once(']').unwrap_or((rest, ""));
        return (host, after.strip_prefix(':'));
    }
    match place.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (place, None),
    }
}

/// Digits alone: a sign is none of a port's.
fn read_port(port: &str) -> Option<u16> {
    let is_number = port.bytes().all(|digit| digit.is_ascii_digit());
    is_number
        .then(|| port.parse().ok())?
        .filter(|port| *port > 0)
}

fn authority_of(host: &str, port: Option<u16>) -> String {
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    match port {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}

/// The path with the query; a fragment is not sent.
fn path_of(path: &str) -> String {
    let path = path.split('#').next().unwrap_or_default();
    let path = utf8_percent_encode(path, ENCODED).to_string();
    if path.starts_with('/') {
        path
    } else {
        format!("/{path}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Target, WebhooksError> {
        Target::read(url, &["https".to_owned(), "http".to_owned()])
    }

    #[test]
    fn an_address_is_taken_apart() {
        let target = read("HTTPS://Hooks.Example.org:8443/a/b%20c?x=1&y=ü#part").unwrap();
        assert!(target.is_secure);
        assert_eq!(target.host, "hooks.example.org");
        assert_eq!(target.port, 8443);
        assert_eq!(target.authority, "hooks.example.org:8443");
        assert_eq!(target.path, "/a/b%20c?x=1&y=%C3%BC");
        let target = read("http://[2606:4700::1]").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("2606:4700::1", 80));
        assert_eq!(target.authority, "[2606:4700::1]");
        assert_eq!(target.path, "/");
        assert_eq!(read("https://a.example?q").unwrap().path, "/?q");
        assert_eq!(
            read("https://a.example:443/").unwrap().authority,
            "a.example"
        );
    }

    #[test]
    fn what_cannot_be_told_to_is_refused() {
        for url in [
            "",
            " ",
            "a",
            "https:",
            "https://",
            "https:///x",
            "https://:1/",
            "ftp://a.example/",
            "https://a.example:0/",
            "https://a.example:65536/",
            "https://a.example:+1/",
            "https://a.example:1x/",
            "https://bücher.example/",
            "https://a.example/a b",
            "https://a.example/\r\nX-Evil: 1",
            "https://[::1/",
            "https://[zz]/",
        ] {
            assert!(read(url).is_err(), "{url}");
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic_and_none_slips_a_line_in() {
        let random = testkit::SeededRandom::new(1);
        let pieces = [
            "http",
            "https",
            ":",
            "//",
            "/",
            "@",
            "[",
            "]",
            "::1",
            "a.example",
            "?",
            "#",
            "%",
            "é",
            "\r\n",
            " ",
            "99999",
            "\u{0}",
            "𝄞",
            "..",
        ];
        for _ in 0..20_000 {
            let count = random.below(9);
            let chosen = (0..count).map(|_| pieces[random.below(pieces.len() as u64) as usize]);
            let url: String = chosen.collect();
            if let Ok(target) = read(&url) {
                let sent = format!("{}{}", target.authority, target.path);
                assert!(sent.bytes().all(|byte| byte.is_ascii_graphic()), "{url:?}");
            }
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        let refused = read("https://ann:p4ss@a.example/").unwrap_err().to_string();
        assert!(!refused.contains("p4ss"), "{refused}");
    }
}
