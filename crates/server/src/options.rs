//! What a server is made of.

use std::sync::Arc;
use std::time::Duration;

use access::Accounts;
use axum::http::{HeaderMap, HeaderValue};
use datasets::Datasets;
use entities::{ModelId, Random, RunId};
use locations::Locations;
use registry::Registry;
use traces::Traces;
use tracking::{TakingOver, Tracking};
use webhooks::Webhooks;

use crate::{AllowedHosts, AllowedOrigins};

/// What a server is made of.
pub struct ServerOptions {
    /// The services that it speaks for.
    pub tracking: Tracking,
    /// Those over registered models.
    pub registry: Registry,
    /// Those over traces.
    pub traces: Traces,
    /// Those over evaluation datasets and scorers.
    pub datasets: Datasets,
    /// Those over webhooks; none where nobody may ask for them.
    pub webhooks: Option<Webhooks>,
    /// Those over users and rights; none where nobody has to sign on.
    pub accounts: Option<Accounts>,
    /// Draws the ids of requests.
    pub random: Arc<dyn Random>,
    /// By which names it may be called, and more of what is asked of the web.
    pub web: WebOptions,
    /// Where artifacts are.
    pub artifacts: ArtifactOptions,
    /// What those who run it may ask of it.
    pub operation: OperationOptions,
    /// For whom it answers.
    pub scope: Scope,
    /// Who owns the process: the principal of what is written.
    pub user: String,
}

/// What a server asks of the web around it. By default only this machine may call, and only by the server's own pages.
#[derive(Clone, Debug, Default)]
pub struct WebOptions {
    /// By which names it may be called.
    pub hosts: AllowedHosts,
    /// Which pages may ask beside its own.
    pub origins: AllowedOrigins,
    /// Which pages may show its pages inside them.
    pub framing: Framing,
    /// What stands before every path, such as `/mlflow`; nothing by default.
    pub prefix: String,
}

/// Which pages may show the server's pages inside them (`X-Frame-Options`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// Those of the server itself.
    #[default]
    SameOrigin,
    /// None.
    Deny,
    /// All: nothing is said.
    Any,
}

impl Framing {
    pub(crate) fn header(self) -> Option<HeaderValue> {
        match self {
            Self::SameOrigin => Some(HeaderValue::from_static("SAMEORIGIN")),
            Self::Deny => Some(HeaderValue::from_static("DENY")),
            Self::Any => None,
        }
    }
}

/// Where a server's artifacts are. By default in the store, through the proxy.
#[derive(Clone, Debug, Default)]
pub struct ArtifactOptions {
    /// The URI that clients write the artifacts of new experiments below by themselves; the proxy's if not given.
    pub root: Option<String>,
    /// Whether the proxy is closed.
    pub is_proxy_closed: bool,
    /// Where clients write by themselves and the server may look.
    pub locations: Locations,
    /// Takes over what clients wrote there.
    pub taking_over: Option<Arc<TakingOver>>,
}

/// What those who run a server may ask of it. By default nothing.
#[derive(Clone, Default)]
pub struct OperationOptions {
    /// Whether Prometheus may ask for its figures. The endpoint of a captured run tells them nobody.
    pub exposes_figures: bool,
    /// How long a request may stand still: its head, its body, the answer and what is sent of it. For ever if not given.
    pub idle_limit: Option<Duration>,
    /// Tells what the process uses; without it those figures are 0.
    pub process: Option<ProcessReader>,
    /// Makes the span of a request a part of the trace that its headers name; without it each begins one.
    pub remote_parent: Option<RemoteParent>,
}

/// Gives the span of a request the parent that its headers name, before it is entered.
pub type RemoteParent = fn(&tracing::Span, &HeaderMap);

/// Tells what the process uses.
pub type ProcessReader = Arc<dyn Fn() -> ProcessFigures + Send + Sync>;

/// What a process uses at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessFigures {
    /// Memory that it has.
    pub resident_bytes: u64,
    /// Addresses that it has.
    pub virtual_bytes: u64,
    /// Files and connections that it has open.
    pub open_descriptors: u64,
    /// Time that it spent on processors since it began, in seconds.
    pub cpu_seconds: f64,
    /// When it began, in seconds since 1970.
    pub started_at_seconds: f64,
}

/// For whom a server answers.
pub enum Scope {
    /// Everybody who can reach it, about everything in the store.
    Team,
    /// The command of one captured run, which may write to that run alone.
    Run(RunScope),
}

/// The captured run that an endpoint is for.
pub struct RunScope {
    /// The run, which exists already: the first `runs/create` is given it.
    pub run: RunId,
    /// What a request must bring as `Authorization: Bearer …`.
    pub token: String,
    /// For a replay: the ids that clients of the origin saw, in the order in which they were created: the first is the
    /// origin's own, the rest are the runs right inside it. Without the rest, and for runs inside those, the store is
    /// asked which there are.
    pub presented_runs: Vec<RunId>,
    /// For a replay: the origin's logged models in that order, for when the store does not know them any more.
    pub presented_models: Vec<ModelId>,
    /// Gives a value as it may be written down under a name, where not all may be.
    pub mask: Option<Mask>,
}

/// Gives the value of a param or tag, by its name, as it may be written down.
pub type Mask = Arc<dyn Fn(&str, &str) -> String + Send + Sync>;
