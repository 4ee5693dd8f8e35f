//! Asks an MLflow server.

use std::io::Read;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::MigrateError;

/// How long an answer may be that is not a file: a page of points or of runs has some MiB.
const LONGEST_ANSWER_BYTES: u64 = 256 << 20;

/// How long it may take until an answer begins: a search of many runs takes MLflow minutes.
const ANSWER_TIME: Duration = Duration::from_secs(600);

const CONNECTING_TIME: Duration = Duration::from_secs(20);

/// What is written as it is in paths, between slashes.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// Where a server is, and how it is asked.
#[derive(Clone)]
pub struct ServerAccess {
    /// Its address, without user and password.
    pub url: String,
    /// The value of the header `Authorization`; none where nobody is asked.
    pub authorization: Option<String>,
}

/// What asks servers: it trusts the certificates that this machine trusts, follows nobody elsewhere and takes no proxy.
///
/// A status that is an error is an answer.
pub fn web_agent(answer_time: Duration) -> ureq::Agent {
    let certificates = rustls_native_certs::load_native_certs().certs;
    let certificates: Vec<_> = certificates
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&certificates))
        .build();
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        // What another server is told would be told it in the name of whoever calls.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .timeout_connect(Some(CONNECTING_TIME))
        .timeout_recv_response(Some(answer_time))
        .user_agent(concat!("reproof/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
        .build()
        .into()
}

/// A server that is asked.
pub(crate) struct MlflowClient {
    agent: ureq::Agent,
    access: ServerAccess,
}

impl std::fmt::Debug for MlflowClient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "MlflowClient({})", self.access.url)
    }
}

impl MlflowClient {
    pub(crate) fn new(access: ServerAccess) -> Self {
        let agent = web_agent(ANSWER_TIME);
        let access = ServerAccess {
            url: access.url.trim_end_matches('/').to_owned(),
            ..access
        };
        Self { agent, access }
    }

    pub(crate) fn url(&self) -> &str {
        &self.access.url
    }

    /// What is at a path; none where the server has no such thing.
    pub(crate) fn find<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Option<T>, MigrateError> {
        let mut request = self.agent.get(format!("{}/{path}", self.access.url));
        for (name, value) in query {
            request = request.query(*name, *value);
        }
        if let Some(authorization) = &self.access.authorization {
            request = request.header("Authorization", authorization);
        }
        let answer = request.call().map_err(|error| self.fault(path, &error))?;
        if answer.status().as_u16() == 404 {
            return Ok(None);
        }
        self.read(path, answer).map(Some)
    }

    /// What is at a path and must be there.
    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, MigrateError> {
        let found = self.find(path, query)?;
        found.ok_or_else(|| self.fault(path, &"it has no such thing"))
    }

    /// The answer to a question that has a body.
    pub(crate) fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<Option<T>, MigrateError> {
        let mut request = self
            .agent
            .post(format!("{}/{path}", self.access.url))
            .header("Content-Type", "application/json");
        if let Some(authorization) = &self.access.authorization {
            request = request.header("Authorization", authorization);
        }
        let answer = request
            .send(body.to_string())
            .map_err(|error| self.fault(path, &error))?;
        if answer.status().as_u16() == 404 {
            return Ok(None);
        }
        self.read(path, answer).map(Some)
    }

    /// The bytes of a file that the server keeps.
    pub(crate) fn download(&self, file: &str) -> Result<Box<dyn Read>, MigrateError> {
        let path = format!(
            "api/2.0/mlflow-artifacts/artifacts/{}",
            utf8_percent_encode(file, PLAIN)
        );
        let mut request = self.agent.get(format!("{}/{path}", self.access.url));
        if let Some(authorization) = &self.access.authorization {
            request = request.header("Authorization", authorization);
        }
        let answer = request.call().map_err(|error| self.fault(&path, &error))?;
        if !answer.status().is_success() {
            return Err(self.refused(&path, answer));
        }
        Ok(Box::new(answer.into_body().into_reader()))
    }

    fn read<T: DeserializeOwned>(
        &self,
        path: &str,
        answer: ureq::http::Response<ureq::Body>,
    ) -> Result<T, MigrateError> {
        if !answer.status().is_success() {
            return Err(self.refused(path, answer));
        }
        let mut body = answer.into_body();
        let text = body
            .with_config()
            .limit(LONGEST_ANSWER_BYTES)
            .read_to_string()
            .map_err(|error| self.fault(path, &error))?;
        serde_json::from_str(&text)
            .map_err(|error| self.fault(path, &format!("its answer cannot be read: {error}")))
    }

    /// A refusal, with the begin of what the server says of it.
    fn refused(&self, path: &str, answer: ureq::http::Response<ureq::Body>) -> MigrateError {
        let status = answer.status();
        let mut said = String::new();
        // What cannot be read is not told.
        let _ = answer
            .into_body()
            .into_reader()
            .take(300)
            .read_to_string(&mut said);
        self.fault(path, &format!("it answers {status}: {}", said.trim()))
    }

    fn fault(&self, path: &str, why: &dyn std::fmt::Display) -> MigrateError {
        MigrateError::Server {
            url: self.access.url.clone(),
            call: path.to_owned(),
            why: why.to_string(),
        }
    }
}
