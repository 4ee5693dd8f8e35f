//! Which web pages may ask.
//!
//! A page of any site can make its reader's browser send requests to a server on this machine. Browsers say of every
//! such request that changes something where it comes from, ask before those that a form could not send, and show the
//! page an answer only where that says so (CORS).

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use crate::hosts::{is_loopback, name_of};
use crate::pattern::fits;

/// What a page that is let in may ask, as MLflow says it.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS, PATCH");

/// How many seconds a browser need not ask again.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The origins of the pages that may ask beside the server's own; none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedOrigins {
    allows_loopback: bool,
    added: Vec<String>,
}

impl AllowedOrigins {
    /// Pages of servers on this machine, and these: `https://name`, with a port if it has one, with `*` for any
    /// characters, or `*` for every page, which is then not sent what its reader is known by.
    pub fn new(added: Vec<String>) -> Self {
        let lower = added
            .into_iter()
            .map(|origin| origin.trim().trim_end_matches('/').to_ascii_lowercase());
        Self {
            allows_loopback: true,
            added: lower.filter(|origin| !origin.is_empty()).collect(),
        }
    }

    fn allows_all(&self) -> bool {
        self.added.iter().any(|allowed| allowed == "*")
    }

    fn allows(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        let is_local = || host_of(&origin).and_then(name_of).is_some_and(is_loopback);
        self.allows_loopback && is_local()
            || self.added.iter().any(|allowed| fits(allowed, &origin))
    }
}

/// Where a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// No page, or one of the server itself.
    Own,
    /// A page that is let in.
    Allowed {
        /// What its answers say of whom they are for.
        named: HeaderValue,
    },
    /// Another page.
    Foreign,
}

impl Origin {
    pub(crate) fn of(headers: &HeaderMap, allowed: &AllowedOrigins) -> Self {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else {
            return Self::Own;
        };
        if origins.next().is_some() {
            return Self::Foreign;
        }
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let told = origin.to_str().unwrap_or_default();
        match (host_of(told), host) {
            (Some(named), Some(host)) if named.eq_ignore_ascii_case(host) => Self::Own,
            _ if allowed.allows_all() => Self::Allowed {
                named: HeaderValue::from_static("*"),
            },
            _ if allowed.allows(told) => Self::Allowed {
                named: origin.clone(),
            },
            _ => Self::Foreign,
        }
    }

    /// Lets the page read the answer, if it may.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        let Self::Allowed { named } = self else {
            return;
        };
        if named != "*" {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
            let yes = HeaderValue::from_static("true");
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, named.clone());
        let all = HeaderValue::from_static("*");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, all);
    }

    /// The answer to a browser that asks whether a page may ask, if the request is that.
    pub(crate) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        let is_asking = method == Method::OPTIONS
            && headers.contains_key(header::ORIGIN)
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !is_asking {
            return None;
        }
        if *self == Self::Foreign {
            return Some((StatusCode::BAD_REQUEST, "Disallowed CORS origin").into_response());
        }
        let mut response = "OK".into_response();
        let told = response.headers_mut();
        told.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        told.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        if let Some(asked) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            told.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        Some(response)
    }
}

/// The host, with its port, of an origin such as `http://localhost:8888`.
fn host_of(origin: &str) -> Option<&str> {
    origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(origins: &[&'static str], allowed: &AllowedOrigins) -> Origin {
        let mut headers = HeaderMap::new();
        let host = HeaderValue::from_static("localhost:5000");
        headers.insert(header::HOST, host);
        for origin in origins {
            headers.append(header::ORIGIN, HeaderValue::from_static(origin));
        }
        Origin::of(&headers, allowed)
    }

    fn named(origin: &'static str) -> Origin {
        Origin::Allowed {
            named: HeaderValue::from_static(origin),
        }
    }

    #[test]
    fn without_more_only_the_servers_own_pages_may_ask() {
        let none = AllowedOrigins::default();
        assert_eq!(of(&[], &none), Origin::Own);
        assert_eq!(of(&["http://localhost:5000"], &none), Origin::Own);
        for origin in [
            "http://localhost:5001",
            "http://localhost",
            "http://evil.com",
            "null",
            "",
            "localhost:5000",
            "http://localhost:5000.evil.com",
        ] {
            assert_eq!(of(&[origin], &none), Origin::Foreign, "{origin}");
        }
        let two = ["http://localhost:5000", "http://evil.com"];
        assert_eq!(of(&two, &none), Origin::Foreign);
    }

    #[test]
    fn pages_of_this_machine_and_added_ones_may_ask_a_team() {
        let added = ["https://App.example.org/", "https://*.lab.example:8443", ""];
        let allowed = AllowedOrigins::new(added.map(str::to_owned).to_vec());
        for origin in [
            "http://localhost:8888",
            "http://127.0.0.1",
            "https://[::1]:1",
            "https://app.example.org",
            "https://a.lab.example:8443",
        ] {
            assert_eq!(of(&[origin], &allowed), named(origin));
        }
        for origin in [
            "http://app.example.org",
            "https://app.example.org:444",
            "https://app.example.org.evil.com",
            "https://a.lab.example",
            "http://localhost.evil.com",
            "http://localhost:80@evil.com",
            "http://127.0.0.1.evil.com",
            "http://evil.com/http://localhost",
            "file://localhost",
            "null",
            "",
        ] {
            assert_eq!(of(&[origin], &allowed), Origin::Foreign, "{origin}");
        }
    }

    #[test]
    fn where_every_page_may_ask_none_is_named() {
        let allowed = AllowedOrigins::new(vec!["*".to_owned()]);
        let origin = of(&["http://evil.com"], &allowed);
        assert_eq!(origin, named("*"));
        let mut headers = HeaderMap::new();
        origin.mark(&mut headers);
        let credentials = header::ACCESS_CONTROL_ALLOW_CREDENTIALS;
        assert!(!headers.contains_key(credentials));
    }
}
