//! By which names the server may be called.
//!
//! A page of any web site can have its own name resolve to 127.0.0.1 and then talk to a server on this machine as if
//! it were its own (DNS rebinding). What it cannot change is the Host header, which holds its name.

use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, header};

/// The names by which a server may be called: those of this machine, and those that were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts {
    added: Vec<String>,
}

impl AllowedHosts {
    /// Loopback names and addresses, and these: a name (with any port), a name with a port, `*.domain` for every name
    /// below a domain, or `*` for every name.
    pub fn new(added: Vec<String>) -> Self {
        let lower = added
            .into_iter()
            .map(|host| host.trim().to_ascii_lowercase());
        Self {
            added: lower.filter(|host| !host.is_empty()).collect(),
        }
    }

    /// Whether a request with this Host header, such as `127.0.0.1:5000`, may be answered.
    pub fn allows(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let Some(name) = name_of(&host) else {
            return false;
        };
        is_loopback(name) || self.added.iter().any(|allowed| fits(allowed, &host, name))
    }

    /// Whether a request may be answered: its one Host header must be allowed, and so must the name in its target.
    pub(crate) fn allow(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return false;
        };
        let is_allowed = host.to_str().is_ok_and(|host| self.allows(host));
        let target = uri.authority().map(axum::http::uri::Authority::as_str);
        is_allowed && target.is_none_or(|target| self.allows(target))
    }
}

/// Whether a request comes from a page of another origin than the one that it is sent to.
///
/// Browsers name the origin of every request that changes something.
pub(crate) fn is_cross_origin(headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let (origin, more) = (origins.next(), origins.next());
    let Some(origin) = origin else {
        return false;
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let origin = origin.to_str().unwrap_or_default();
    let named = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    let is_same = match (named, host) {
        (Some(named), Some(host)) => named.eq_ignore_ascii_case(host),
        _ => false,
    };
    more.is_some() || !is_same
}

/// The name in `name`, `name:port`, `[address]` or `[address]:port`.
fn name_of(host: &str) -> Option<&str> {
    if host.starts_with('[') {
        let (address, port) = host.split_at(host.find(']')? + 1);
        return is_port(port).then_some(address);
    }
    let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
    (!name.is_empty() && is_port(port)).then_some(name)
}

/// Whether this is nothing, or a colon and digits.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_loopback(name: &str) -> bool {
    let address = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    name == "localhost"
        || address
            .unwrap_or(name)
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn fits(allowed: &str, host: &str, name: &str) -> bool {
    if allowed == "*" || allowed == host || allowed == name {
        return true;
    }
    let domain = allowed
        .strip_prefix('*')
        .filter(|rest| rest.starts_with('.'));
    domain.is_some_and(|domain| name.len() > domain.len() && name.ends_with(domain))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_names_of_this_machine_are_allowed_by_default() {
        let hosts = AllowedHosts::default();
        for host in [
            "localhost",
            "LocalHost:5000",
            "127.0.0.1",
            "127.0.0.1:5000",
            "127.8.9.1:1",
            "[::1]",
            "[::1]:5000",
        ] {
            assert!(hosts.allows(host), "{host} was refused");
        }
        for host in [
            "",
            ":5000",
            "evil.com",
            "evil.com:5000",
            "localhost.evil.com",
            "evil.com#localhost",
            "127.0.0.1.evil.com",
            "127.0.0.1@evil.com",
            "localhost:5000@evil.com",
            "localhost:evil",
            "10.0.0.1",
            "0.0.0.0",
            "[::1].evil.com",
            "[::1",
            "::1",
            "[::2]",
            "2130706433",
            "127.1",
            "*",
        ] {
            assert!(!hosts.allows(host), "{host} was allowed");
        }
    }

    #[test]
    fn added_names_are_allowed_with_their_port_or_any() {
        let added = ["Ml.Example.org", "other:81", "*.lab.example", " "];
        let hosts = AllowedHosts::new(added.map(str::to_owned).to_vec());
        for host in [
            "ml.example.org",
            "ML.example.org:443",
            "other:81",
            "a.b.lab.example:1",
        ] {
            assert!(hosts.allows(host), "{host} was refused");
        }
        for host in [
            "other",
            "other:80",
            "lab.example",
            ".lab.example",
            "xlab.example",
            "example.org",
        ] {
            assert!(!hosts.allows(host), "{host} was allowed");
        }
        assert!(AllowedHosts::new(vec!["*".to_owned()]).allows("anything:1"));
    }

    fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_request_has_one_host_and_a_target_that_agrees() {
        let hosts = AllowedHosts::default();
        let plain = Uri::from_static("/health");
        let one = headers(&[(header::HOST, "localhost:1")]);
        assert!(hosts.allow(&one, &plain));
        assert!(!hosts.allow(&HeaderMap::new(), &plain));
        let two = headers(&[(header::HOST, "localhost"), (header::HOST, "evil.com")]);
        assert!(!hosts.allow(&two, &plain));
        assert!(!hosts.allow(&one, &Uri::from_static("http://evil.com/health")));
        assert!(hosts.allow(&one, &Uri::from_static("http://localhost:1/health")));
    }

    #[test]
    fn an_origin_is_the_same_or_foreign() {
        let of = |origin| headers(&[(header::HOST, "localhost:5000"), (header::ORIGIN, origin)]);
        assert!(!is_cross_origin(&headers(&[(
            header::HOST,
            "localhost:5000"
        )])));
        assert!(!is_cross_origin(&of("http://localhost:5000")));
        for origin in [
            "http://localhost:5001",
            "http://localhost",
            "http://evil.com",
            "null",
            "",
            "localhost:5000",
            "http://localhost:5000.evil.com",
        ] {
            assert!(is_cross_origin(&of(origin)), "{origin} was taken");
        }
        let mut two = of("http://localhost:5000");
        two.append(header::ORIGIN, HeaderValue::from_static("http://evil.com"));
        assert!(is_cross_origin(&two));
    }
}
