//! Calls about the rights of users, as clients of MLflow 3.13 and later make them, and as older ones do.

use access::{AccessError, parse_kind, parse_permission};
use axum::Extension;
use axum::extract::State;
use entities::{Permission, Resource};
use serde_json::{Map, Value, json as value};
use store::KnownUser;

use super::Answer;
use super::users::{Members, old_view, text_of};
use crate::app::{App, By};
use crate::error::RequestError;
use crate::sign_on::{Signed, old_registered, old_scorer};
use crate::wire::{Json, Query, empty, json, missing};

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

pub(super) async fn find(State(app): State<App>, query: Query) -> Answer {
    let text = |name: &str| query.text(name).ok_or_else(|| missing(name));
    let (user, kind) = (text("username")?, text("resource_type")?);
    let pattern = text("resource_id")?;
    let accounts = app.accounts()?;
    // That is told before whether there is such a user, as by MLflow.
    if kind == entities::ResourceKind::Workspace.as_str() {
        return Err(AccessError::WorkspaceOfUser.into());
    }
    accounts.get_user(user).await?;
    let resource = Resource::new(parse_kind(kind)?, pattern);
    let permission = accounts.find_permission(user, &resource).await?;
    let is_allowed = matches!(
        permission,
        Permission::Use | Permission::Edit | Permission::Manage
    );
    json(&value!({ "allowed": is_allowed, "permission": permission.as_str() }))
}

pub(super) async fn list_current(
    State(app): State<App>,
    Extension(signed): Extension<Signed>,
) -> Answer {
    answer_list(&app, &signed.user).await
}

pub(super) async fn list(State(app): State<App>, query: Query) -> Answer {
    let name = query.text("username").ok_or_else(|| missing("username"))?;
    let user = app.accounts()?.get_user(name).await?;
    answer_list(&app, &user).await
}

async fn answer_list(app: &App, user: &KnownUser) -> Answer {
    let roles = app.accounts()?.list_roles_of_user(user).await?;
    let rows = roles.iter().flat_map(|role| {
        role.rights.iter().map(|known| {
            value!({
                "role_id": role.number,
                "role_name": role.name,
                "workspace": access::WORKSPACE,
                "resource_type": known.right.resource.kind.as_str(),
                "resource_pattern": known.right.resource.pattern,
                "permission": known.right.permission.as_str(),
            })
        })
    });
    let rows: Vec<_> = rows.collect();
    json(&value!({ "is_admin": user.is_admin, "permissions": rows }))
}

/// What clients older than MLflow 3.13 speak of, and what their answers call a right to it.
#[derive(Clone, Copy)]
pub(super) enum Old {
    Experiment,
    Registered,
    Scorer,
}

impl Old {
    const fn word(self) -> &'static str {
        match self {
            Self::Experiment => "experiment_permission",
            Self::Registered => "registered_model_permission",
            Self::Scorer => "scorer_permission",
        }
    }

    async fn resource(
        self,
        app: &App,
        text: impl Fn(&str) -> Result<String, RequestError>,
    ) -> Result<Resource, RequestError> {
        match self {
            Self::Experiment => Ok(Resource::new(
                entities::ResourceKind::Experiment,
                text("experiment_id")?,
            )),
            Self::Registered => old_registered(app, &text("name")?).await,
            Self::Scorer => old_scorer(&text("experiment_id")?, &text("scorer_name")?),
        }
    }

    fn answer(self, user: &KnownUser, resource: &Resource, permission: Permission) -> Answer {
        let view = old_view(user, resource, permission.as_str());
        json(&value!({ self.word(): view }))
    }

    pub(super) async fn create(
        self,
        State(app): State<App>,
        By(caller): By,
        Json(members): Members,
    ) -> Answer {
        let resource = self.resource(&app, |name| text_of(&members, name)).await?;
        let name = text_of(&members, "username")?;
        let permission = parse_permission(&text_of(&members, "permission")?)?;
        let accounts = app.accounts()?;
        let granting =
            accounts.grant_anything_to_user(&caller, &name, resource.clone(), permission);
        granting.await?;
        self.answer(&accounts.get_user(&name).await?, &resource, permission)
    }

    pub(super) async fn find(self, State(app): State<App>, query: Query) -> Answer {
        let text = |name: &str| {
            let text = query.text(name).map(str::to_owned);
            text.ok_or_else(|| missing(name))
        };
        let resource = self.resource(&app, text).await?;
        let accounts = app.accounts()?;
        let user = accounts.get_user(&text("username")?).await?;
        let permission = accounts.get_of_user(&user, &resource).await?;
        self.answer(&user, &resource, permission)
    }

    pub(super) async fn update(
        self,
        State(app): State<App>,
        By(caller): By,
        Json(members): Members,
    ) -> Answer {
        let resource = self.resource(&app, |name| text_of(&members, name)).await?;
        let name = text_of(&members, "username")?;
        let permission = parse_permission(&text_of(&members, "permission")?)?;
        let accounts = app.accounts()?;
        let setting = accounts.set_of_user(&caller, &name, resource, permission);
        setting.await?;
        Ok(empty())
    }

    pub(super) async fn delete(
        self,
        State(app): State<App>,
        By(caller): By,
        Json(members): Members,
    ) -> Answer {
        let resource = self.resource(&app, |name| text_of(&members, name)).await?;
        let name = text_of(&members, "username")?;
        let accounts = app.accounts()?;
        accounts.revoke_from_user(&caller, &name, resource).await?;
        Ok(empty())
    }
}
