//! Who asks, and whether they may.
//!
//! A request is judged before its handler sees it, by the rule of its call and by all that it names. What a search finds
//! is looked at by its handler, with a `Viewer`.

mod asked;
mod credentials;
mod judge;
mod needs;
mod rules;
mod viewer;

use std::sync::Arc;

use access::{AccessError, Accounts, Credentials, Means, SignOnError, SignedOn, parse_kind};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use entities::{
    ANY_RESOURCE, Actor, Permission, Resource, ResourceKind, is_prompt, scorer_pattern,
};
use tracking::TrackingError;

use crate::app::App;
use crate::artifacts;
use crate::error::RequestError;
use asked::Asked;
use judge::Judge;
use needs::{experiment_need, registered_kind};
use rules::{Rule, is_open, rule_of};
pub(crate) use viewer::{Filling, Viewer};

/// Somebody who signed on, as handlers are given them.
pub(crate) type Signed = Arc<SignedOn>;

/// Refuses who does not tell who they are, and what they may not do.
pub(crate) async fn sign_on(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(accounts) = &app.accounts else {
        return next.run(request).await;
    };
    if is_open(call_of(&app, request.uri().path())) {
        return next.run(request).await;
    }
    let credentials = credentials::credentials_of(request.headers());
    let signed = match identify(accounts, credentials).await {
        Ok(signed) => Arc::new(signed),
        Err(error) => return error.into_response(),
    };
    match judge(&app, accounts, &signed, request).await {
        Ok(mut request) => {
            request.extensions_mut().insert(signed);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

/// A path without what stands before every path.
fn call_of<'p>(app: &App, path: &'p str) -> &'p str {
    match path.strip_prefix(app.prefix.as_str()) {
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    }
}

async fn identify(
    accounts: &Accounts,
    credentials: Option<Credentials>,
) -> Result<SignedOn, RequestError> {
    let credentials = credentials.ok_or(RequestError::NotSignedOn)?;
    let signed = accounts.sign_on(&credentials).await;
    signed.map_err(|error| match error {
        SignOnError::Unknown => RequestError::NotSignedOn,
        SignOnError::TooManyGuesses { seconds } => RequestError::TooManyGuesses { seconds },
        SignOnError::Failed(error) => error.into(),
    })
}

/// Whom events are ascribed to.
pub(crate) fn actor_of(signed: &SignedOn) -> Actor {
    let auth = match &signed.means {
        Means::Password => "password".to_owned(),
        Means::Token(token) => format!("token:{token}"),
    };
    Actor {
        id: format!("u:{}", signed.user.name),
        auth,
    }
}

/// Gives a request back where it may be carried out.
async fn judge(
    app: &App,
    accounts: &Accounts,
    signed: &SignedOn,
    mut request: Request,
) -> Result<Request, RequestError> {
    if signed.user.is_admin {
        return Ok(request);
    }
    // What is no call is told to be none.
    let Some(matched) = request.extensions().get::<MatchedPath>().cloned() else {
        return Ok(request);
    };
    let rule = rule_of(request.method(), call_of(app, matched.as_str()));
    let rule = rule.ok_or(RequestError::NotAllowed)?;
    let asked = if rule.needs_body() {
        let (asked, given_back) = Asked::read(request).await?;
        request = given_back;
        asked
    } else {
        Asked::read_head(&mut request).await
    };
    let judge = Judge { app, asked: &asked };
    let is_allowed = match rule {
        Rule::SignedOn => true,
        Rule::Admin => false,
        Rule::Manager
        | Rule::Oneself
        | Rule::OneselfOrManager
        | Rule::HasRole
        | Rule::ManagerOfResource
        | Rule::ManagerOf(_) => may_about_users(app, accounts, signed, rule, &asked).await?,
        // Who manages everything may do all else, but what is not there is told to be so by the handlers.
        _ if signed.rights.is_unlimited() => true,
        Rule::Artifact(action) => {
            let prefix = matched.as_str().trim_end_matches("{*path}");
            let path = artifacts::path_of(request.uri(), prefix)?;
            signed
                .rights
                .allow_all(&judge.artifact(&path, action).await?)
        }
        Rule::ListArtifacts => {
            let folders = asked.all("path");
            let mut is_allowed = true;
            for folder in &folders {
                artifacts::check_path(folder.trim_end_matches('/'))?;
                let needs = judge.artifact(folder, access::Action::Read).await?;
                is_allowed &= signed.rights.allow_all(&needs);
            }
            is_allowed
        }
        Rule::ExportSpans => may_export_spans(signed, &request),
        rule => signed.rights.allow_all(&judge.needs(rule).await?),
    };
    if is_allowed {
        Ok(request)
    } else {
        Err(RequestError::NotAllowed)
    }
}

/// Which traces spans are of is looked at by the handler.
fn may_export_spans(signed: &SignedOn, request: &Request) -> bool {
    let named = request.headers().get_all("x-mlflow-experiment-id");
    let mut named = named.iter().filter_map(|value| value.to_str().ok());
    let is_allowed = |id: &str| {
        let needs = [
            experiment_need(access::Action::Update, id),
            access::Need::any(access::Action::Unless, ResourceKind::Trace),
        ];
        signed.rights.allow_all(&needs)
    };
    // What is no experiment is refused by the handler.
    named.all(is_allowed)
}

/// Rules about users, roles and rights themselves.
async fn may_about_users(
    app: &App,
    accounts: &Accounts,
    signed: &SignedOn,
    rule: Rule,
    asked: &Asked,
) -> Result<bool, RequestError> {
    let manages = signed.rights.is_unlimited();
    match rule {
        Rule::Manager => Ok(manages),
        Rule::Oneself | Rule::OneselfOrManager => {
            let names = asked.all("username");
            if names.is_empty() {
                return Err(crate::wire::missing("username"));
            }
            let is_oneself = names.iter().all(|name| *name == signed.user.name);
            Ok(is_oneself || (manages && rule == Rule::OneselfOrManager))
        }
        Rule::HasRole => has_role(accounts, signed, asked).await,
        Rule::ManagerOfResource => {
            let resource = resource_of(asked)?;
            // What is about all of a kind is about no one of them.
            let is_any = resource.pattern == ANY_RESOURCE;
            let may = signed.rights.to(&resource) == Permission::Manage;
            Ok(if is_any { manages } else { may })
        }
        Rule::ManagerOf(kind) => {
            let resource = resource_of_old(app, asked, kind).await?;
            let is_any = resource.pattern == ANY_RESOURCE;
            let may = signed.rights.to(&resource) == Permission::Manage;
            Ok(if is_any { manages } else { may })
        }
        _ => Ok(false),
    }
}

/// Who has a role may look at it. A listing shows those that somebody has.
///
/// MLflow shows all roles to whoever has one, and with them what everybody may do.
async fn has_role(
    accounts: &Accounts,
    signed: &SignedOn,
    asked: &Asked,
) -> Result<bool, RequestError> {
    if signed.rights.is_unlimited() {
        return Ok(true);
    }
    let own = accounts.list_roles_of_user(&signed.user).await?;
    let ids = asked.all("role_id");
    if ids.is_empty() {
        // It must be of the workspace that there is.
        let workspaces = asked.all("workspace");
        let is_ours = |name: &String| name == access::WORKSPACE;
        return Ok(!workspaces.is_empty() && workspaces.iter().all(is_ours));
    }
    for id in ids {
        let number = read_number("role_id", &id)?;
        if !own.iter().any(|role| role.number == number) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads the number of a role or a right.
pub(crate) fn read_number(field: &str, text: &str) -> Result<i64, RequestError> {
    text.trim().parse().map_err(|_| RequestError::NotANumber {
        field: field.to_owned(),
        value: entities::python::repr(text),
    })
}

/// What a right of a user is to be about.
fn resource_of(asked: &Asked) -> Result<Resource, RequestError> {
    let kind = asked.first("resource_type")?;
    let pattern = asked.first("resource_id")?;
    if asked.all("resource_type").len() > 1 || asked.all("resource_id").len() > 1 {
        return Err(RequestError::NotAllowed);
    }
    let kind = parse_kind(&kind)?;
    match kind {
        ResourceKind::Workspace => Err(AccessError::WorkspaceOfUser.into()),
        kind if pattern != ANY_RESOURCE && !kind.has_single_rights() => {
            Err(AccessError::KindOfUser { kind }.into())
        }
        kind => Ok(Resource::new(kind, pattern)),
    }
}

/// What a client older than MLflow 3.13 names.
async fn resource_of_old(
    app: &App,
    asked: &Asked,
    kind: ResourceKind,
) -> Result<Resource, RequestError> {
    let named = match kind {
        ResourceKind::Experiment => ["experiment_id", ""],
        ResourceKind::RegisteredModel => ["name", ""],
        _ => ["experiment_id", "scorer_name"],
    };
    let several = named.iter().any(|name| asked.all(name).len() > 1);
    if several {
        return Err(RequestError::NotAllowed);
    }
    let first = asked.first(named[0])?;
    match kind {
        ResourceKind::Experiment => Ok(Resource::new(kind, first)),
        ResourceKind::RegisteredModel => old_registered(app, &first).await,
        _ => old_scorer(&first, &asked.first(named[1])?),
    }
}

/// What a client that knows no prompts calls a registered model may be one.
pub(crate) async fn old_registered(app: &App, name: &str) -> Result<Resource, RequestError> {
    let found = app.tracking.store().find_registered_model(name).await;
    let found = found.map_err(TrackingError::from)?;
    let is_prompt = found.is_some_and(|detail| is_prompt(&detail.model.tags));
    Ok(Resource::new(registered_kind(is_prompt), name))
}

pub(crate) fn old_scorer(experiment: &str, name: &str) -> Result<Resource, RequestError> {
    let experiment = tracking::parse_experiment_id(experiment)?;
    Ok(Resource::new(
        ResourceKind::Scorer,
        scorer_pattern(&experiment, name),
    ))
}
