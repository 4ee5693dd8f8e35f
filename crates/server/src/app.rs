//! What every handler is given.

use std::convert::Infallible;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use access::Accounts;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use datasets::Datasets;
use entities::{Actor, Caller, Random};
use locations::Locations;
use registry::Registry;
use traces::Traces;
use tracking::{ArtifactOwner, TakingOver, Tracking, TrackingError};
use webhooks::Webhooks;

use crate::error::RequestError;
use crate::figures::Figures;
use crate::scope::Access;
use crate::sign_on::{Signed, actor_of};
use crate::{
    AllowedHosts, AllowedOrigins, ArtifactOptions, Framing, OperationOptions, ProcessReader,
    RemoteParent, Scope, ServerOptions, WebOptions,
};

/// What every handler is given: a cheap clone.
pub(crate) type App = Arc<Server>;

/// How long a client waits for files that are to be taken over: it asks again after two minutes.
const TAKING_OVER_TIME: Duration = Duration::from_secs(60);

/// The parts of a running server.
pub(crate) struct Server {
    pub(crate) tracking: Tracking,
    pub(crate) registry: Registry,
    pub(crate) traces: Traces,
    pub(crate) datasets: Datasets,
    webhooks: Option<Webhooks>,
    pub(crate) accounts: Option<Accounts>,
    pub(crate) access: Access,
    pub(crate) hosts: AllowedHosts,
    pub(crate) origins: AllowedOrigins,
    pub(crate) framing: Framing,
    /// What stands before every path.
    pub(crate) prefix: String,
    /// What clients write the artifacts of new experiments below; the proxy if not given.
    pub(crate) artifact_root: Option<String>,
    /// Where clients write by themselves and the server may look.
    pub(crate) locations: Locations,
    taking_over: Option<Arc<TakingOver>>,
    pub(crate) figures: Figures,
    /// How long a request may stand still.
    pub(crate) idle_limit: Option<Duration>,
    /// Tells what the process uses.
    pub(crate) process: Option<ProcessReader>,
    /// Makes a request a part of the trace that its headers name.
    pub(crate) remote_parent: Option<RemoteParent>,
    pub(crate) random: Arc<dyn Random>,
    /// Who owns the process.
    pub(crate) user: String,
    /// Whom events are ascribed to.
    actor: Actor,
}

impl Server {
    pub(crate) fn new(options: ServerOptions) -> Self {
        let ServerOptions {
            tracking,
            registry,
            traces,
            datasets,
            webhooks,
            accounts,
            random,
            web,
            artifacts,
            operation,
            scope,
            user,
        } = options;
        let WebOptions {
            hosts,
            origins,
            framing,
            prefix,
        } = web;
        let ArtifactOptions {
            root,
            is_proxy_closed: _,
            locations,
            taking_over,
        } = artifacts;
        let OperationOptions {
            exposes_figures: _,
            idle_limit,
            process,
            remote_parent,
        } = operation;
        // Nobody proves who they are to a server without sign-on; a run's token was given to its command alone.
        let auth = match &scope {
            Scope::Team => "none",
            Scope::Run(_) => "run-token",
        };
        Self {
            actor: Actor {
                id: format!("u:{user}"),
                auth: auth.to_owned(),
            },
            access: Access::new(scope),
            tracking,
            registry,
            traces,
            hosts,
            origins,
            framing,
            prefix,
            artifact_root: root,
            locations,
            taking_over,
            figures: Figures::new(),
            idle_limit,
            process,
            remote_parent,
            datasets,
            webhooks,
            accounts,
            random,
            user,
        }
    }

    /// Notes that what clients wrote is to be taken over, durably, where they write by themselves to a folder.
    pub(crate) async fn note_artifacts(&self, owner: &ArtifactOwner) -> Result<(), RequestError> {
        match &self.taking_over {
            Some(taking_over) if taking_over.is_meant(owner).await? => Ok(taking_over.note(owner)?),
            _ => Ok(()),
        }
    }

    /// Takes over now what clients wrote; false where that takes long or the folder cannot be read. Then it goes on, or is
    /// tried again, after this has returned.
    pub(crate) async fn take_over_artifacts(
        &self,
        owner: &ArtifactOwner,
    ) -> Result<bool, RequestError> {
        let Some(taking_over) = &self.taking_over else {
            return Ok(true);
        };
        if !taking_over.is_meant(owner).await? {
            return Ok(true);
        }
        let taken = taking_over.take_over_within(owner, TAKING_OVER_TIME).await;
        let why = match taken {
            Ok(true) => return Ok(true),
            Ok(false) => "it takes long".to_owned(),
            Err(TrackingError::Location(error)) => match error.source() {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            },
            Err(error) => return Err(error.into()),
        };
        tracing::warn!(
            ?owner,
            %why,
            "a version is registered before its files are taken over, and is not tied to them"
        );
        Ok(false)
    }

    /// The services over users and rights.
    pub(crate) fn accounts(&self) -> Result<&Accounts, RequestError> {
        self.accounts.as_ref().ok_or(RequestError::NotAllowed)
    }

    /// The services over webhooks. The command of a captured run is given none: whom a team tells what is no part of a
    /// run, and addresses may hold secrets of their receivers.
    pub(crate) fn webhooks(&self) -> Result<&Webhooks, RequestError> {
        match (self.access.captured(), &self.webhooks) {
            (None, Some(webhooks)) => Ok(webhooks),
            _ => Err(RequestError::WebhooksOfATeam),
        }
    }
}

/// The id of a request: what an event of the ledger and a line of the log name it by.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) String);

impl RequestId {
    pub(crate) fn draw(random: &dyn Random) -> Self {
        let mut bytes = [0; 8];
        random.fill(&mut bytes);
        Self(hex::encode(bytes))
    }
}

/// On whose behalf a request writes.
pub(crate) struct By(pub(crate) Caller);

impl FromRequestParts<App> for By {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let request = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
        let signed = parts.extensions.get::<Signed>();
        Ok(Self(Caller {
            actor: signed.map_or_else(|| app.actor.clone(), |signed| actor_of(signed)),
            request,
            user: signed.map(|signed| signed.user.name.clone()),
        }))
    }
}
