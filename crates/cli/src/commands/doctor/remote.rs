//! What there is to look at from a client's side.

use std::time::{Duration, Instant};

use entities::{Clock as _, Random as _};
use ureq::http::Response;

use super::Check;
use crate::system::{SystemClock, SystemRandom, raw_variable, variable};

/// How long an answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(20);

/// An answer to `/health` that takes longer is worth a word.
const LATENCY_WARNING: Duration = Duration::from_millis(500);

/// Clocks that differ by more confuse whoever compares times; see docs/postgresql.md.
const CLOCK_WARNING_MS: i64 = 5_000;

/// How much of an answer is read.
const LONGEST_ANSWER_BYTES: u64 = 1 << 20;

/// How often `/health` is asked; the fastest counts.
const ATTEMPTS: usize = 3;

/// A server, as its clients reach it.
struct Remote {
    url: String,
    host: String,
    is_tls: bool,
    agent: ureq::Agent,
    /// The value of the header `Authorization`, from the variables that MLflow's clients read.
    authorization: Option<String>,
}

type Answer = Response<ureq::Body>;

pub(super) fn check_all(url: &str, is_probed: bool) -> Vec<Check> {
    let remote = match Remote::new(url) {
        Ok(remote) => remote,
        Err(check) => return vec![*check],
    };
    let mut checks = Vec::new();
    let Some(health) = remote.check_reachable(&mut checks) else {
        checks.extend(remote.check_variables());
        return checks;
    };
    checks.push(check_kind(&health));
    checks.push(remote.check_version());
    checks.push(remote.check_tls());
    checks.push(check_clock(&health));
    let is_accepted = remote.check_access(&mut checks);
    checks.push(remote.check_figures());
    if is_probed && is_accepted {
        checks.push(remote.check_artifacts());
    }
    checks.extend(remote.check_variables());
    checks
}

impl Remote {
    fn new(url: &str) -> Result<Self, Box<Check>> {
        let refuse = |why: &str| {
            let check = Check::failed("address", format!("`{url}` {why}"));
            Box::new(check.hint("such as http://127.0.0.1:5000 or https://mlflow.example.org"))
        };
        let plain = url.trim_end_matches('/');
        let (is_tls, rest) = match (
            plain.strip_prefix("http://"),
            plain.strip_prefix("https://"),
        ) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(refuse("begins with neither http:// nor https://")),
        };
        let authority = rest.split('/').next().unwrap_or_default();
        if authority.contains('@') {
            // It would be printed with all that is found.
            let check = Check::failed("address", "it holds a user or a password");
            return Err(Box::new(check.hint(
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, say who asks",
            )));
        }
        let host = host_of(authority);
        if host.is_empty() || plain.parse::<ureq::http::Uri>().is_err() {
            return Err(refuse("names no host"));
        }
        Ok(Self {
            url: plain.to_owned(),
            host: host.to_owned(),
            is_tls,
            agent: migrate::web_agent(ANSWER_TIME),
            authorization: authorization(),
        })
    }

    fn get(&self, path: &str, is_signed: bool) -> Result<Answer, ureq::Error> {
        let request = self.agent.get(format!("{}{path}", self.url));
        match &self.authorization {
            Some(authorization) if is_signed => {
                request.header("Authorization", authorization).call()
            }
            _ => request.call(),
        }
    }

    fn check_reachable(&self, checks: &mut Vec<Check>) -> Option<Answer> {
        let (mut fastest, mut last) = (None, None);
        for _ in 0..ATTEMPTS {
            let begun = Instant::now();
            match self.get("/health", false) {
                Ok(answer) => {
                    let took = begun.elapsed();
                    fastest = Some(fastest.map_or(took, |fastest: Duration| fastest.min(took)));
                    last = Some(answer);
                }
                Err(error) => {
                    let check = Check::failed("reachable", format!("{}: {error}", self.url));
                    checks.push(check.hint(
                        "see that the server runs, listens at an address that is not only its own (`--host`), and that no firewall is between",
                    ));
                    return None;
                }
            }
        }
        let (took, answer) = (fastest?, last?);
        let told = format!(
            "{} answers in {:.1} ms",
            self.url,
            took.as_secs_f64() * 1000.0
        );
        let status = answer.status().as_u16();
        checks.push(match status {
            200 if took > LATENCY_WARNING => Check::warning("reachable", told)
                .hint("look at the network between, and at what else the server's machine does"),
            200 => Check::ok("reachable", told),
            _ => Check::warning("reachable", format!("{told}, and says {status} to /health")).hint(
                "where it is served below a path (`--static-prefix`), give it with that path",
            ),
        });
        Some(answer)
    }

    fn check_version(&self) -> Check {
        match self.get("/version", true) {
            Ok(answer) if answer.status().as_u16() == 200 => {
                let text = read(answer).unwrap_or_default();
                Check::ok("version", format!("it answers as MLflow {}", text.trim()))
            }
            Ok(answer) if matches!(answer.status().as_u16(), 401 | 403) => {
                Check::ok("version", "it tells whoever signs on")
            }
            Ok(answer) => Check::warning(
                "version",
                format!("it says {} to /version", answer.status()),
            ),
            Err(error) => Check::failed("version", error.to_string()),
        }
    }

    fn check_tls(&self) -> Check {
        let is_local = ["localhost", "127.0.0.1", "[::1]"].contains(&self.host.as_str());
        match (self.is_tls, is_local) {
            (true, _) => Check::ok(
                "tls",
                "the connection is encrypted, and the certificate is trusted here",
            ),
            (false, true) => Check::ok("tls", "not encrypted, on this machine"),
            (false, false) => Check::warning(
                "tls",
                "not encrypted: passwords, tokens and data can be read on the way",
            )
            .hint("put a proxy that speaks TLS before it, and reach it by https://"),
        }
    }

    /// Whether it may be asked by this name, and by whom; tells whether it answers now.
    fn check_access(&self, checks: &mut Vec<Check>) -> bool {
        const PATH: &str = "/api/2.0/mlflow/experiments/get?experiment_id=0";
        let status = match self.get(PATH, false) {
            Err(error) => {
                checks.push(Check::failed("name", error.to_string()));
                return false;
            }
            Ok(answer) => {
                let status = answer.status().as_u16();
                if status == 403 && read(answer).is_some_and(|text| text.contains("Host header")) {
                    let check = Check::failed(
                        "name",
                        format!("it may not be asked by the name `{}`", self.host),
                    );
                    checks.push(check.hint(format!(
                        "start it with `--allowed-hosts {}`, beside the names that it has",
                        self.host
                    )));
                    return false;
                }
                status
            }
        };
        checks.push(Check::ok(
            "name",
            format!("it may be asked by the name `{}`", self.host),
        ));
        let hint = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN; `reproof user` and `reproof token` make them on its side";
        if status != 401 {
            let told = match &self.authorization {
                None => "it asks nobody who they are",
                Some(_) => "it asks nobody who they are, and the variables here say who",
            };
            checks.push(Check::ok("sign-on", told));
            return true;
        }
        if self.authorization.is_none() {
            checks.push(
                Check::warning("sign-on", "it asks who calls, and no variable here says so")
                    .hint(hint),
            );
            return false;
        }
        match self.get(PATH, true).map(|answer| answer.status().as_u16()) {
            Ok(401) => {
                checks.push(
                    Check::failed("sign-on", "it does not accept whom the variables here name")
                        .hint(hint),
                );
                false
            }
            Ok(_) => {
                checks.push(Check::ok(
                    "sign-on",
                    "it accepts whom the variables here name",
                ));
                true
            }
            Err(error) => {
                checks.push(Check::failed("sign-on", error.to_string()));
                false
            }
        }
    }

    fn check_figures(&self) -> Check {
        match self.get("/metrics", true) {
            Ok(answer) if answer.status().as_u16() == 200 => {
                Check::ok("figures", "/metrics tells Prometheus its figures")
            }
            Ok(answer) if answer.status().as_u16() == 404 => Check::ok(
                "figures",
                "none: `--expose-prometheus` tells them at /metrics",
            ),
            Ok(answer) => Check::warning("figures", format!("/metrics says {}", answer.status())),
            Err(error) => Check::failed("figures", error.to_string()),
        }
    }

    /// Sends a small file, reads it again and removes it.
    fn check_artifacts(&self) -> Check {
        let mut drawn = [0; 8];
        SystemRandom.fill(&mut drawn);
        let name = hex::encode(drawn);
        let url = format!(
            "{}/api/2.0/mlflow-artifacts/artifacts/0/doctor-{name}/artifacts/probe.txt",
            self.url
        );
        let signed = |authorization: &Option<String>| authorization.clone().unwrap_or_default();
        let begun = Instant::now();
        let sent = self
            .agent
            .put(&url)
            .header("Authorization", signed(&self.authorization))
            .send(name.as_str());
        let status = match sent {
            Ok(answer) => answer.status().as_u16(),
            Err(error) => return Check::failed("artifacts", format!("sending: {error}")),
        };
        if matches!(status, 401 | 403) {
            return Check::warning(
                "artifacts",
                "whoever asks may send no files to experiment 0",
            );
        }
        if status != 200 {
            return Check::failed(
                "artifacts",
                format!("sending a small file is answered with {status}"),
            )
            .hint("a proxy before it must let files pass; see docs/server.md");
        }
        let read_again = self
            .agent
            .get(&url)
            .header("Authorization", signed(&self.authorization))
            .call();
        let is_same = read_again.is_ok_and(|answer| read(answer).as_deref() == Some(name.as_str()));
        let removed = self
            .agent
            .delete(&url)
            .header("Authorization", signed(&self.authorization))
            .call();
        let is_removed = removed.is_ok_and(|answer| answer.status().is_success());
        let took = begun.elapsed().as_secs_f64() * 1000.0;
        match (is_same, is_removed) {
            (true, true) => Check::ok(
                "artifacts",
                format!("a small file was sent, read again and removed in {took:.1} ms"),
            ),
            (false, _) => Check::failed(
                "artifacts",
                "a small file that was sent comes back as another one",
            ),
            (true, false) => Check::warning(
                "artifacts",
                format!("a small file was sent and read again, and stays at 0/doctor-{name}"),
            ),
        }
    }

    /// Whether MLflow's clients that are started here talk to this server.
    fn check_variables(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        checks.push(match variable("MLFLOW_TRACKING_URI") {
            Some(uri) if uri.trim_end_matches('/') == self.url => {
                Check::ok("clients", "MLFLOW_TRACKING_URI names this server")
            }
            Some(uri) => {
                // It may hold a password.
                let shown = uri.rsplit('@').next().unwrap_or_default();
                Check::warning(
                    "clients",
                    format!("MLFLOW_TRACKING_URI names another place, {shown}"),
                )
                .hint(format!("export MLFLOW_TRACKING_URI={}", self.url))
            }
            None => Check::warning(
                "clients",
                "MLFLOW_TRACKING_URI is not set: clients started here write to files",
            )
            .hint(format!("export MLFLOW_TRACKING_URI={}", self.url)),
        });
        let names: &[&str] = if self.is_tls {
            &["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        } else {
            &["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
        };
        let excepted = raw_variable("NO_PROXY").or_else(|| raw_variable("no_proxy"));
        let is_excepted = excepted.is_some_and(|list| is_listed(&list, &self.host));
        if let Some(name) = names.iter().find(|name| variable(name).is_some())
            && !is_excepted
        {
            checks.push(
                Check::warning(
                    "proxy",
                    format!("clients reach it through the proxy of {name}"),
                )
                .hint(format!(
                    "if that is not meant: export NO_PROXY={}",
                    self.host
                )),
            );
        }
        checks
    }
}

/// A host in a list as `NO_PROXY` has it: names, with all below them, and `*`.
fn is_listed(list: &str, host: &str) -> bool {
    list.split(',').map(str::trim).any(|entry| {
        let entry = entry.trim_start_matches('.');
        entry == "*"
            || (!entry.is_empty() && (host == entry || host.ends_with(&format!(".{entry}"))))
    })
}

/// The host of `HOST:PORT`, in brackets where it is an address of IPv6.
fn host_of(authority: &str) -> &str {
    match authority.find(']') {
        Some(end) => &authority[..=end],
        None => authority.split(':').next().unwrap_or_default(),
    }
}

fn authorization() -> Option<String> {
    use base64::Engine as _;
    if let Some(user) = variable("MLFLOW_TRACKING_USERNAME") {
        let password = variable("MLFLOW_TRACKING_PASSWORD").unwrap_or_default();
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        return Some(format!("Basic {pair}"));
    }
    variable("MLFLOW_TRACKING_TOKEN").map(|token| format!("Bearer {token}"))
}

/// Reproof names each request; stock MLflow does not.
fn check_kind(health: &Answer) -> Check {
    let id = health.headers().get("x-request-id");
    let is_ours =
        id.is_some_and(|id| id.len() == 16 && id.as_bytes().iter().all(u8::is_ascii_hexdigit));
    if is_ours {
        Check::ok("kind", "it is Reproof")
    } else {
        Check::warning(
            "kind",
            "it is not Reproof, or something stands before it that hides it",
        )
    }
}

fn check_clock(health: &Answer) -> Check {
    let told = health
        .headers()
        .get("date")
        .and_then(|date| date.to_str().ok());
    let told = told.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    let Some(told) = told else {
        return Check::ok("clock", "it does not tell its time");
    };
    // It tells whole seconds.
    let difference_ms = SystemClock.now().as_millis() - told.timestamp().as_millisecond();
    if difference_ms.abs() > CLOCK_WARNING_MS {
        let seconds = difference_ms as f64 / 1000.0;
        return Check::warning(
            "clock",
            format!("the clock here is {seconds:+.0} s ahead of its own"),
        )
        .hint("set both clocks, best by NTP: runs begin and end by the clock of the client");
    }
    Check::ok("clock", "its clock and the one here agree")
}

fn read(answer: Answer) -> Option<String> {
    let mut body = answer.into_body();
    let reading = body.with_config().limit(LONGEST_ANSWER_BYTES);
    reading.read_to_string().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_host_and_no_password() {
        for (url, host) in [
            ("http://127.0.0.1:5000/", "127.0.0.1"),
            ("https://mlflow.example.org/team", "mlflow.example.org"),
            ("http://[::1]:5000", "[::1]"),
        ] {
            assert_eq!(
                Remote::new(url).map(|remote| remote.host).ok().as_deref(),
                Some(host),
                "{url}"
            );
        }
        for url in [
            "",
            "localhost:5000",
            "ftp://a",
            "http://",
            "http:///a",
            "http://a b",
        ] {
            assert!(Remote::new(url).is_err(), "{url}");
        }
        let refused = Remote::new("http://ann:s3cret@host").err().unwrap();
        assert!(!format!("{refused:?}").contains("s3cret"));
    }

    #[test]
    fn exceptions_of_a_proxy_hold_for_what_is_below_a_name() {
        for (list, host, is_excepted) in [
            ("localhost,example.org", "mlflow.example.org", true),
            (".example.org", "example.org", true),
            ("*", "anything", true),
            ("", "host", false),
            ("ample.org", "example.org", false),
        ] {
            assert_eq!(is_listed(list, host), is_excepted, "{list} {host}");
        }
    }
}
