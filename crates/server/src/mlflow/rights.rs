//! Calls about the rights of users, as clients of MLflow 3.13 and later make them, and as older ones do.

use access::{AccessError, parse_kind, parse_permission};
use axum::Extension;
use axum::extract::State;
use entities::{Permission, Resource, ResourceKind};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use store::KnownUser;

use super::users::{
    ExperimentRightView, Members, OldView, RegisteredModelRightView, ScorerRightView, text_of,
};
use crate::app::{App, By};
use crate::error::RequestError;
use crate::sign_on::{Signed, old_registered, old_scorer};
use crate::wire::{Answer, Json, Query, Word, empty, json, missing};

fn resource_of(members: &Map<String, Value>) -> Result<Resource, RequestError> {
    let kind = text_of(members, "resource_type")?;
    let pattern = text_of(members, "resource_id")?;
    Ok(Resource::new(parse_kind(&kind)?, pattern))
}

pub(super) async fn grant(
    State(app): State<App>,
    By(caller): By,
    Json(members): Members,
) -> Answer {
    let user = text_of(&members, "username")?;
    for field in ["resource_type", "resource_id", "permission"] {
        text_of(&members, field)?;
    }
    let accounts = app.accounts()?;
    accounts.get_user(&user).await?;
    let resource = resource_of(&members)?;
    let permission = parse_permission(&text_of(&members, "permission")?)?;
    let granting = accounts.grant_to_user(&caller, &user, resource, permission);
    granting.await?;
    Ok(empty())
}

pub(super) async fn revoke(
    State(app): State<App>,
    By(caller): By,
    Json(members): Members,
) -> Answer {
    let user = text_of(&members, "username")?;
    let resource = resource_of(&members)?;
    let accounts = app.accounts()?;
    accounts.revoke_from_user(&caller, &user, resource).await?;
    Ok(empty())
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Allowed {
    allowed: bool,
    permission: Word<Permission>,
}

pub(super) async fn find(State(app): State<App>, query: Query) -> Answer<Allowed> {
    let text = |name: &str| query.text(name).ok_or_else(|| missing(name));
    let (user, kind) = (text("username")?, text("resource_type")?);
    let pattern = text("resource_id")?;
    let accounts = app.accounts()?;
    // That is told before whether there is such a user, as by MLflow.
    if kind == ResourceKind::Workspace.as_str() {
        return Err(AccessError::WorkspaceOfUser.into());
    }
    accounts.get_user(user).await?;
    let resource = Resource::new(parse_kind(kind)?, pattern);
    let permission = accounts.find_permission(user, &resource).await?;
    let is_allowed = matches!(
        permission,
        Permission::Use | Permission::Edit | Permission::Manage
    );
    json(&Allowed {
        allowed: is_allowed,
        permission: Word(permission),
    })
}

pub(super) async fn list_current(
    State(app): State<App>,
    Extension(signed): Extension<Signed>,
) -> Answer<Items<'static>> {
    answer_list(&app, &signed.user).await
}

pub(super) async fn list(State(app): State<App>, query: Query) -> Answer<Items<'static>> {
    let name = query.text("username").ok_or_else(|| missing("username"))?;
    let user = app.accounts()?.get_user(name).await?;
    answer_list(&app, &user).await
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Items<'a> {
    is_admin: bool,
    permissions: Vec<UserRightView<'a>>,
}

/// A right of a user, and the role that it comes from.
#[derive(Serialize, JsonSchema)]
struct UserRightView<'a> {
    role_id: i64,
    role_name: &'a str,
    workspace: &'static str,
    resource_type: Word<ResourceKind>,
    resource_pattern: &'a str,
    permission: Word<Permission>,
}

async fn answer_list(app: &App, user: &KnownUser) -> Answer<Items<'static>> {
    let roles = app.accounts()?.list_roles_of_user(user).await?;
    let rights = roles.iter().flat_map(|role| {
        role.rights.iter().map(|known| UserRightView {
            role_id: role.number,
            role_name: &role.name,
            workspace: access::WORKSPACE,
            resource_type: Word(known.right.resource.kind),
            resource_pattern: &known.right.resource.pattern,
            permission: Word(known.right.permission),
        })
    });
    json(&Items {
        is_admin: user.is_admin,
        permissions: rights.collect(),
    })
}

/// What clients older than MLflow 3.13 speak of, and what their answers call a right to it.
pub(super) trait Old: Send + Sync + 'static {
    /// What tells a right to it.
    type Found: JsonSchema;

    fn answer(user: &KnownUser, resource: &Resource, permission: Permission)
    -> Answer<Self::Found>;

    /// What members of a request, or of a query, speak of.
    fn resource(
        app: &App,
        text: impl Fn(&str) -> Result<String, RequestError> + Send,
    ) -> impl Future<Output = Result<Resource, RequestError>> + Send;
}

/// An experiment.
pub(super) struct OfExperiment;

/// A registered model, or a prompt.
pub(super) struct OfRegistered;

/// A scorer.
pub(super) struct OfScorer;

#[derive(Serialize, JsonSchema)]
pub(super) struct FoundOfExperiment<'a> {
    experiment_permission: ExperimentRightView<'a>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct FoundOfRegistered<'a> {
    registered_model_permission: RegisteredModelRightView<'a>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct FoundOfScorer<'a> {
    scorer_permission: ScorerRightView<'a>,
}

impl Old for OfExperiment {
    type Found = FoundOfExperiment<'static>;

    fn answer(
        user: &KnownUser,
        resource: &Resource,
        permission: Permission,
    ) -> Answer<Self::Found> {
        json(&FoundOfExperiment {
            experiment_permission: OldView::new(user, resource, permission),
        })
    }

    async fn resource(
        _: &App,
        text: impl Fn(&str) -> Result<String, RequestError> + Send,
    ) -> Result<Resource, RequestError> {
        let experiment = text("experiment_id")?;
        Ok(Resource::new(ResourceKind::Experiment, experiment))
    }
}

impl Old for OfRegistered {
    type Found = FoundOfRegistered<'static>;

    fn answer(
        user: &KnownUser,
        resource: &Resource,
        permission: Permission,
    ) -> Answer<Self::Found> {
        json(&FoundOfRegistered {
            registered_model_permission: OldView::new(user, resource, permission),
        })
    }

    async fn resource(
        app: &App,
        text: impl Fn(&str) -> Result<String, RequestError> + Send,
    ) -> Result<Resource, RequestError> {
        old_registered(app, &text("name")?).await
    }
}

impl Old for OfScorer {
    type Found = FoundOfScorer<'static>;

    fn answer(
        user: &KnownUser,
        resource: &Resource,
        permission: Permission,
    ) -> Answer<Self::Found> {
        json(&FoundOfScorer {
            scorer_permission: OldView::new(user, resource, permission),
        })
    }

    async fn resource(
        _: &App,
        text: impl Fn(&str) -> Result<String, RequestError> + Send,
    ) -> Result<Resource, RequestError> {
        old_scorer(&text("experiment_id")?, &text("scorer_name")?)
    }
}

pub(super) async fn create_old<K: Old>(
    State(app): State<App>,
    By(caller): By,
    Json(members): Members,
) -> Answer<K::Found> {
    let resource = K::resource(&app, |name| text_of(&members, name)).await?;
    let name = text_of(&members, "username")?;
    let permission = parse_permission(&text_of(&members, "permission")?)?;
    let accounts = app.accounts()?;
    let granting = accounts.grant_anything_to_user(&caller, &name, resource.clone(), permission);
    granting.await?;
    let user = accounts.get_user(&name).await?;
    K::answer(&user, &resource, permission)
}

pub(super) async fn find_old<K: Old>(State(app): State<App>, query: Query) -> Answer<K::Found> {
    let text = |name: &str| {
        let text = query.text(name).map(str::to_owned);
        text.ok_or_else(|| missing(name))
    };
    let resource = K::resource(&app, text).await?;
    let accounts = app.accounts()?;
    let user = accounts.get_user(&text("username")?).await?;
    let permission = accounts.get_of_user(&user, &resource).await?;
    K::answer(&user, &resource, permission)
}

pub(super) async fn update_old<K: Old>(
    State(app): State<App>,
    By(caller): By,
    Json(members): Members,
) -> Answer {
    let resource = K::resource(&app, |name| text_of(&members, name)).await?;
    let name = text_of(&members, "username")?;
    let permission = parse_permission(&text_of(&members, "permission")?)?;
    let accounts = app.accounts()?;
    let setting = accounts.set_of_user(&caller, &name, resource, permission);
    setting.await?;
    Ok(empty())
}

pub(super) async fn delete_old<K: Old>(
    State(app): State<App>,
    By(caller): By,
    Json(members): Members,
) -> Answer {
    let resource = K::resource(&app, |name| text_of(&members, name)).await?;
    let name = text_of(&members, "username")?;
    let accounts = app.accounts()?;
    accounts.revoke_from_user(&caller, &name, resource).await?;
    Ok(empty())
}
