//! Calls about users.

use std::borrow::Cow;

use access::{NewUser, Password};
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header;
use entities::{Permission, Resource, ResourceKind};
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use store::{KnownRight, KnownUser};

use super::roles::RoleView;
use crate::app::{App, By};
use crate::error::RequestError;
use crate::sign_on::Signed;
use crate::wire::{Answer, Json, Query, Word, empty, json, missing, read_body, read_value};

/// The members of a body. Values are of any type, so that no message repeats a password.
pub(super) type Members = Json<serde_json::Map<String, Value>>;

/// A text that must be there, and may be empty.
pub(super) fn text_of(
    members: &serde_json::Map<String, Value>,
    name: &str,
) -> Result<String, RequestError> {
    match members.get(name) {
        None | Some(Value::Null) => Err(missing(name)),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(RequestError::WrongType {
            field: name.to_owned(),
            value: "(not shown)".to_owned(),
            kind: "other than str",
        }),
    }
}

/// A user, with what clients older than MLflow 3.13 read of them, too.
#[derive(Serialize, JsonSchema)]
struct UserView<'a> {
    id: i64,
    username: &'a str,
    is_admin: bool,
    experiment_permissions: Vec<ExperimentRightView<'a>>,
    registered_model_permissions: Vec<RegisteredModelRightView<'a>>,
    scorer_permissions: Vec<ScorerRightView<'a>>,
    gateway_secret_permissions: [Value; 0],
    gateway_endpoint_permissions: [Value; 0],
    gateway_model_definition_permissions: [Value; 0],
}

/// A right to an experiment, as clients older than MLflow 3.13 read it.
#[derive(Serialize, JsonSchema)]
pub(super) struct ExperimentRightView<'a> {
    experiment_id: &'a str,
    user_id: i64,
    permission: Word<Permission>,
}

/// A right to a registered model or a prompt, as clients older than MLflow 3.13 read it.
#[derive(Serialize, JsonSchema)]
pub(super) struct RegisteredModelRightView<'a> {
    name: &'a str,
    workspace: &'static str,
    user_id: i64,
    permission: Word<Permission>,
}

/// A right to a scorer, as clients older than MLflow 3.13 read it.
#[derive(Serialize, JsonSchema)]
pub(super) struct ScorerRightView<'a> {
    experiment_id: &'a str,
    scorer_name: Cow<'a, str>,
    user_id: i64,
    permission: Word<Permission>,
}

/// A right in the form of clients older than MLflow 3.13.
pub(super) trait OldView<'a> {
    fn new(user: &KnownUser, resource: &'a Resource, permission: Permission) -> Self;
}

impl<'a> OldView<'a> for ExperimentRightView<'a> {
    fn new(user: &KnownUser, resource: &'a Resource, permission: Permission) -> Self {
        Self {
            experiment_id: &resource.pattern,
            user_id: user.number,
            permission: Word(permission),
        }
    }
}

impl<'a> OldView<'a> for RegisteredModelRightView<'a> {
    fn new(user: &KnownUser, resource: &'a Resource, permission: Permission) -> Self {
        Self {
            name: &resource.pattern,
            workspace: access::WORKSPACE,
            user_id: user.number,
            permission: Word(permission),
        }
    }
}

impl<'a> OldView<'a> for ScorerRightView<'a> {
    fn new(user: &KnownUser, resource: &'a Resource, permission: Permission) -> Self {
        let (experiment, name) = resource.pattern.split_once('/').unwrap_or_default();
        Self {
            experiment_id: experiment,
            scorer_name: percent_decode_str(name).decode_utf8_lossy(),
            user_id: user.number,
            permission: Word(permission),
        }
    }
}

impl<'a> UserView<'a> {
    fn new(user: &'a KnownUser, own: &'a [KnownRight]) -> Self {
        Self {
            id: user.number,
            username: &user.name,
            is_admin: user.is_admin,
            experiment_permissions: old_views(user, own, &[ResourceKind::Experiment]),
            registered_model_permissions: old_views(
                user,
                own,
                &[ResourceKind::RegisteredModel, ResourceKind::Prompt],
            ),
            scorer_permissions: old_views(user, own, &[ResourceKind::Scorer]),
            gateway_secret_permissions: [],
            gateway_endpoint_permissions: [],
            gateway_model_definition_permissions: [],
        }
    }
}

/// Those rights of a user that are to something of these kinds.
fn old_views<'a, V: OldView<'a>>(
    user: &KnownUser,
    own: &'a [KnownRight],
    kinds: &[ResourceKind],
) -> Vec<V> {
    let own = own.iter().map(|known| &known.right);
    let own = own.filter(|right| kinds.contains(&right.resource.kind));
    own.map(|right| V::new(user, &right.resource, right.permission))
        .collect()
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Found<'a> {
    user: UserView<'a>,
}

async fn answer(app: &App, user: &KnownUser) -> Answer<Found<'static>> {
    let own = app.accounts()?.list_own_rights(user).await?;
    json(&Found {
        user: UserView::new(user, &own),
    })
}

/// Its own errors are texts, as MLflow's.
pub(super) async fn create(
    State(app): State<App>,
    By(caller): By,
    request: Request,
) -> Answer<Found<'static>> {
    let media = request.headers().get(header::CONTENT_TYPE);
    let media = media
        .and_then(|media| media.to_str().ok())
        .unwrap_or_default();
    let essence = media.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(RequestError::NoJsonOfUser);
    }
    let body = read_body(request.into_body()).await?;
    let Value::Object(members) = read_value(&body) else {
        return Err(missing("username"));
    };
    let name = text_of(&members, "username")?;
    let password = text_of(&members, "password")?;
    if name.is_empty() || password.is_empty() {
        return Err(RequestError::EmptyUser);
    }
    let new = NewUser {
        name,
        password: Password::new(password),
        is_admin: false,
    };
    answer(&app, &app.accounts()?.create_user(&caller, new).await?).await
}

pub(super) async fn find(State(app): State<App>, query: Query) -> Answer<Found<'static>> {
    let name = query.text("username").ok_or_else(|| missing("username"))?;
    answer(&app, &app.accounts()?.get_user(name).await?).await
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Current<'a> {
    user: CurrentUserView<'a>,
    is_basic_auth: bool,
}

/// Who asks.
#[derive(Serialize, JsonSchema)]
struct CurrentUserView<'a> {
    id: i64,
    username: &'a str,
    is_admin: bool,
}

pub(super) async fn find_current(Extension(signed): Extension<Signed>) -> Answer<Current<'static>> {
    let user = &signed.user;
    json(&Current {
        user: CurrentUserView {
            id: user.number,
            username: &user.name,
            is_admin: user.is_admin,
        },
        is_basic_auth: true,
    })
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Items<'a> {
    users: Vec<ListedUserView<'a>>,
}

/// A user in a list, with the roles that whoever asks may see.
#[derive(Serialize, JsonSchema)]
struct ListedUserView<'a> {
    id: i64,
    username: &'a str,
    is_admin: bool,
    roles: Vec<RoleView>,
}

/// All users; whoever may see all roles is told theirs, others their own.
pub(super) async fn list(
    State(app): State<App>,
    Extension(signed): Extension<Signed>,
) -> Answer<Items<'static>> {
    let accounts = app.accounts()?;
    let users = accounts.list_users().await?;
    let mut views = Vec::with_capacity(users.len());
    for user in &users {
        let is_shown = signed.rights.is_unlimited() || user.number == signed.user.number;
        let roles = if is_shown {
            accounts.list_roles_of_user(user).await?
        } else {
            Vec::new()
        };
        views.push(ListedUserView {
            id: user.number,
            username: &user.name,
            is_admin: user.is_admin,
            roles: roles.into_iter().map(RoleView::new).collect(),
        });
    }
    json(&Items { users: views })
}

pub(super) async fn set_password(
    State(app): State<App>,
    By(caller): By,
    Extension(signed): Extension<Signed>,
    Json(members): Members,
) -> Answer {
    let name = text_of(&members, "username")?;
    let password = Password::new(text_of(&members, "password")?);
    let accounts = app.accounts()?;
    if name == signed.user.name {
        let current = match members.get("current_password") {
            None | Some(Value::Null) => None,
            Some(_) => Some(Password::new(text_of(&members, "current_password")?)),
        };
        let changing = accounts.change_password(&caller, &name, current.as_ref(), &password);
        changing.await?;
    } else {
        accounts.set_password(&caller, &name, &password).await?;
    }
    Ok(empty())
}

pub(super) async fn set_admin(
    State(app): State<App>,
    By(caller): By,
    Json(members): Members,
) -> Answer {
    let name = text_of(&members, "username")?;
    let is_admin = match members.get("is_admin") {
        None | Some(Value::Null) => return Err(missing("is_admin")),
        Some(Value::Bool(is_admin)) => *is_admin,
        Some(other) => {
            return Err(RequestError::WrongType {
                field: "is_admin".to_owned(),
                value: other.to_string(),
                kind: entities::python::type_of(other),
            });
        }
    };
    app.accounts()?.set_admin(&caller, &name, is_admin).await?;
    Ok(empty())
}

pub(super) async fn delete(
    State(app): State<App>,
    By(caller): By,
    query: Query,
    Json(members): Members,
) -> Answer {
    let name = match query.text("username") {
        Some(name) if !members.contains_key("username") => name.to_owned(),
        _ => text_of(&members, "username")?,
    };
    app.accounts()?.delete_user(&caller, &name).await?;
    Ok(empty())
}
