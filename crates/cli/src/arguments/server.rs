//! `reproof server`, with the options of `mlflow server`.

use std::path::PathBuf;

use clap::{ArgAction, Args};
use server::Framing;

/// What is listened on if nothing is said.
pub(crate) const HOST: &str = "127.0.0.1";

const PORT: u16 = 5000;

/// Seconds that clients of MLflow wait for an answer before they ask again (`MLFLOW_HTTP_REQUEST_TIMEOUT`).
const REQUEST_TIMEOUT: u64 = 120;

/// A day: whoever wants more wants no limit.
const LONGEST_REQUEST_TIMEOUT: u64 = 86_400;

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct ServerArguments {
    /// Address or name to listen on
    #[arg(
        short = 'h',
        long,
        env = "MLFLOW_HOST",
        hide_env_values = true,
        default_value = HOST
    )]
    pub(crate) host: String,
    /// Port to listen on; 0 takes a free one
    #[arg(
        short,
        long,
        env = "MLFLOW_PORT",
        hide_env_values = true,
        default_value_t = PORT,
        value_parser = parse_port
    )]
    pub(crate) port: u16,
    /// Directory whose store is served, and made if there is none; found upward from here if not given
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// As MLflow names it: postgresql://USER@HOST/DATABASE, which keeps the record; or, instead of --root, the folder of
    /// a store or of a database
    #[arg(
        long,
        value_name = "URI",
        env = "MLFLOW_BACKEND_STORE_URI",
        hide_env_values = true
    )]
    pub(crate) backend_store_uri: Option<String>,
    /// Where clients write the artifacts of new experiments by themselves: a folder, whose files are shown and taken over
    /// into the store when a run ends, or an object store; into the store, through the server, if not given
    #[arg(
        long,
        value_name = "URI",
        env = "MLFLOW_DEFAULT_ARTIFACT_ROOT",
        hide_env_values = true
    )]
    pub(crate) default_artifact_root: Option<String>,
    /// Where artifacts that go through the server are kept: s3://BUCKET/PREFIX, gs://… or wasbs://…, with credentials from
    /// the environment; in the store if not given
    #[arg(
        long,
        value_name = "URI",
        env = "MLFLOW_ARTIFACTS_DESTINATION",
        hide_env_values = true
    )]
    pub(crate) artifacts_destination: Option<String>,
    /// Further folders or places in object stores in which clients write artifacts by themselves, and which the server may read and write for
    /// them: those of experiments that were created with such a location
    #[arg(
        long,
        value_name = "URI",
        env = "REPROOF_SERVE_ARTIFACTS_FROM",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub(crate) serve_artifacts_from: Vec<String>,
    /// Let clients read and write artifacts through the server (the default)
    #[arg(
        long,
        env = "MLFLOW_SERVE_ARTIFACTS",
        hide_env_values = true,
        value_parser = parse_on,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "true|false",
        overrides_with = "no_serve_artifacts"
    )]
    pub(crate) serve_artifacts: Option<bool>,
    /// Do not; without a default artifact root, clients then write to ./mlruns
    #[arg(long, overrides_with = "serve_artifacts")]
    pub(crate) no_serve_artifacts: bool,
    /// Host names that requests may ask for, besides this machine's loopback names; private addresses if not given
    #[arg(
        long,
        value_name = "HOST",
        env = "MLFLOW_SERVER_ALLOWED_HOSTS",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub(crate) allowed_hosts: Vec<String>,
    /// Web pages that may ask, such as `https://app.example.org`, besides those of this machine
    #[arg(
        long,
        value_name = "ORIGIN",
        env = "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub(crate) cors_allowed_origins: Vec<String>,
    /// Which pages may show the server's inside them: its own, none or all
    #[arg(
        long,
        value_name = "SAMEORIGIN|DENY|NONE",
        env = "MLFLOW_SERVER_X_FRAME_OPTIONS",
        hide_env_values = true,
        default_value = "SAMEORIGIN",
        value_parser = parse_framing
    )]
    pub(crate) x_frame_options: Framing,
    /// Answer by any name and to any page: dangerous
    #[arg(
        long,
        env = "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE",
        hide_env_values = true,
        value_parser = parse_off
    )]
    pub(crate) disable_security_middleware: bool,
    /// What stands before every path, such as /mlflow
    #[arg(long, value_name = "PREFIX", env = "MLFLOW_STATIC_PREFIX", hide_env_values = true, value_parser = parse_prefix)]
    pub(crate) static_prefix: Option<String>,
    /// Tell Prometheus at /metrics what the server does; the folder that MLflow wants for it is not needed
    #[arg(
        long,
        env = "MLFLOW_EXPOSE_PROMETHEUS",
        hide_env_values = true,
        num_args = 0..=1,
        default_missing_value = ".",
        value_name = "DIR"
    )]
    pub(crate) expose_prometheus: Option<String>,
    /// Give up on a request that stands still for so long: no more of it comes, no answer is found, or none is taken;
    /// 0 waits for ever
    #[arg(
        long,
        env = "REPROOF_REQUEST_TIMEOUT",
        hide_env_values = true,
        value_name = "SECONDS",
        default_value_t = REQUEST_TIMEOUT,
        value_parser = parse_request_timeout
    )]
    pub(crate) request_timeout: u64,
    /// `basic-auth` asks for names and passwords; without it whoever reaches the server may do everything
    #[arg(long, value_name = "NAME")]
    pub(crate) app_name: Option<String>,
    #[command(flatten)]
    pub(crate) without_meaning: WithoutMeaning,
    #[command(flatten)]
    pub(crate) unsupported: Unsupported,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// Options of `mlflow server` about what there is nothing of here.
#[derive(Debug, Args)]
pub(crate) struct WithoutMeaning {
    #[arg(
        long,
        hide = true,
        env = "MLFLOW_REGISTRY_STORE_URI",
        hide_env_values = true
    )]
    pub(crate) registry_store_uri: Option<String>,
    #[arg(
        short,
        long,
        hide = true,
        env = "MLFLOW_WORKERS",
        hide_env_values = true
    )]
    pub(crate) workers: Option<String>,
    #[arg(
        long,
        hide = true,
        env = "MLFLOW_GUNICORN_OPTS",
        hide_env_values = true,
        allow_hyphen_values = true
    )]
    pub(crate) gunicorn_opts: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub(crate) waitress_opts: Option<String>,
    #[arg(
        long,
        hide = true,
        env = "MLFLOW_UVICORN_OPTS",
        hide_env_values = true,
        allow_hyphen_values = true
    )]
    pub(crate) uvicorn_opts: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) dev: bool,
    #[arg(long, hide = true)]
    pub(crate) secrets_cache_ttl: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) secrets_cache_max_size: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) disable_workspaces: bool,
}

/// Options of `mlflow server` without which its users would not get what they rely on.
#[derive(Debug, Args)]
pub(crate) struct Unsupported {
    #[arg(
        long,
        hide = true,
        env = "MLFLOW_READ_REPLICA_BACKEND_STORE_URI",
        hide_env_values = true
    )]
    pub(crate) read_replica_backend_store_uri: Option<String>,
    #[arg(long, hide = true, env = "MLFLOW_ARTIFACTS_ONLY", hide_env_values = true, value_parser = parse_off)]
    pub(crate) artifacts_only: bool,
    #[arg(
        long,
        hide = true,
        env = "MLFLOW_TRACE_ARCHIVAL_CONFIG",
        hide_env_values = true
    )]
    pub(crate) trace_archival_config: Option<String>,
    #[arg(long, hide = true, env = "MLFLOW_ENABLE_WORKSPACES", hide_env_values = true, value_parser = parse_off)]
    pub(crate) enable_workspaces: bool,
    #[arg(
        long,
        hide = true,
        env = "MLFLOW_WORKSPACE_STORE_URI",
        hide_env_values = true
    )]
    pub(crate) workspace_store_uri: Option<String>,
}

// An empty variable is none, as for MLflow: each of these takes an empty text for what holds without it.

fn parse_port(text: &str) -> Result<u16, String> {
    match text {
        "" => Ok(PORT),
        _ => text
            .parse()
            .map_err(|_| "it is a whole number up to 65535".to_owned()),
    }
}

fn parse_request_timeout(text: &str) -> Result<u64, String> {
    match text {
        "" => Ok(REQUEST_TIMEOUT),
        _ => text
            .parse()
            .ok()
            .filter(|seconds| *seconds <= LONGEST_REQUEST_TIMEOUT)
            .ok_or_else(|| {
                format!("it is a whole number of seconds up to {LONGEST_REQUEST_TIMEOUT}")
            }),
    }
}

fn parse_on(text: &str) -> Result<bool, String> {
    parse_switch(text, true)
}

fn parse_off(text: &str) -> Result<bool, String> {
    parse_switch(text, false)
}

fn parse_switch(text: &str, without: bool) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "" => Ok(without),
        "1" | "true" | "t" | "yes" | "y" | "on" => Ok(true),
        "0" | "false" | "f" | "no" | "n" | "off" => Ok(false),
        _ => Err("it is `true` or `false`".to_owned()),
    }
}

fn parse_framing(text: &str) -> Result<Framing, String> {
    match text.to_ascii_uppercase().as_str() {
        "" | "SAMEORIGIN" => Ok(Framing::SameOrigin),
        "DENY" => Ok(Framing::Deny),
        "NONE" => Ok(Framing::Any),
        _ => Err("it is `SAMEORIGIN`, `DENY` or `NONE`".to_owned()),
    }
}

/// A prefix of paths, as MLflow takes them: it begins with a slash and does not end with one.
fn parse_prefix(text: &str) -> Result<String, String> {
    let is_plain = |letter: u8| letter.is_ascii_alphanumeric() || b"/-._~".contains(&letter);
    if text.is_empty() {
        return Ok(String::new());
    }
    if !text.starts_with('/') || text.ends_with('/') || text.contains("//") {
        return Err("it begins with a slash, and no other follows it or ends it".to_owned());
    }
    if !text.bytes().all(is_plain) {
        return Err("it holds letters, digits, `-`, `.`, `_`, `~` and slashes alone".to_owned());
    }
    Ok(text.to_owned())
}
