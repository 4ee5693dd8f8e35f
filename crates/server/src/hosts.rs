//! By which names the server may be called.
//!
//! A page of any web site can have its own name resolve to 127.0.0.1 and then talk to a server on this machine as if
//! it were its own (DNS rebinding). What it cannot change is the Host header, which holds its name.

use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, header};

use crate::pattern::fits;

/// The names by which a server may be called: those of this machine, and more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts {
    allows_private: bool,
    added: Vec<String>,
}

impl AllowedHosts {
    /// Loopback names and addresses, and the addresses of private networks (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16,
    /// fc00::/7), which no other name can resolve to and still be what the Host header says.
    pub fn private_network() -> Self {
        Self {
            allows_private: true,
            added: Vec::new(),
        }
    }

    /// Loopback names and addresses, and these: a name (with any port), a name with a port, or either with `*` for any
    /// characters, such as `*.domain`, `192.168.*` or `*` alone.
    pub fn new(added: Vec<String>) -> Self {
        let lower = added
            .into_iter()
            .map(|host| host.trim().to_ascii_lowercase());
        Self {
            allows_private: false,
            added: lower.filter(|host| !host.is_empty()).collect(),
        }
    }

    /// Whether a request with this Host header, such as `127.0.0.1:5000`, may be answered.
    pub fn allows(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let Some(name) = name_of(&host) else {
            return false;
        };
        is_loopback(name)
            || self.allows_private && address_of(name).is_some_and(is_private)
            || self.added.iter().any(|allowed| allow(allowed, &host, name))
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

/// The name in `name`, `name:port`, `[address]` or `[address]:port`.
pub(crate) fn name_of(host: &str) -> Option<&str> {
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

pub(crate) fn is_loopback(name: &str) -> bool {
    name == "localhost" || address_of(name).is_some_and(|address| address.is_loopback())
}

/// The address that a name is; of IPv6 in brackets.
fn address_of(name: &str) -> Option<IpAddr> {
    let address = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    address.unwrap_or(name).parse().ok()
}

/// Whether an address is one of a private network, or stands for all of this machine's.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_unspecified(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_unspecified(),
    }
}

/// Whether what was allowed is this host. A pattern of an address, such as `10.*`, is for addresses alone.
fn allow(allowed: &str, host: &str, name: &str) -> bool {
    let is_for_addresses =
        allowed != "*" && allowed.bytes().all(|byte| b"0123456789.*:".contains(&byte));
    if is_for_addresses && address_of(name).is_none() {
        return false;
    }
    fits(allowed, host) || fits(allowed, name)
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
        let added = [
            "Ml.Example.org",
            "other:81",
            "*.lab.example",
            "app-*.example.org",
            "192.168.*",
            " ",
        ];
        let hosts = AllowedHosts::new(added.map(str::to_owned).to_vec());
        for host in [
            "ml.example.org",
            "ML.example.org:443",
            "other:81",
            "a.b.lab.example:1",
            "app-7.example.org",
            "app-7.example.org:8080",
            "192.168.1.5",
            "192.168.1.5:5000",
        ] {
            assert!(hosts.allows(host), "{host} was refused");
        }
        for host in [
            "other",
            "other:80",
            "lab.example",
            "xlab.example",
            "example.org",
            "app-7.example.org.evil.com",
            "192.168.evil.com",
            "192.169.1.5",
            "10.0.0.1",
        ] {
            assert!(!hosts.allows(host), "{host} was allowed");
        }
        assert!(AllowedHosts::new(vec!["*".to_owned()]).allows("anything:1"));
    }

    #[test]
    fn addresses_of_private_networks_are_allowed_and_names_like_them_are_not() {
        let hosts = AllowedHosts::private_network();
        for host in [
            "localhost:5000",
            "10.1.2.3:5000",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.9:80",
            "0.0.0.0:5000",
            "[fd00::1]:5000",
        ] {
            assert!(hosts.allows(host), "{host} was refused");
        }
        for host in [
            "10.evil.com",
            "192.168.1.5.evil.com",
            "172.32.0.1",
            "8.8.8.8",
            "169.254.169.254",
            "[2001:db8::1]",
            "ml.example.org",
        ] {
            assert!(!hosts.allows(host), "{host} was allowed");
        }
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
}
