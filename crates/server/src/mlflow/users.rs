//! Calls about users.

use access::{NewUser, Password};
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header;
use entities::{Resource, ResourceKind};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::{Value, json as value};
use store::{KnownRight, KnownUser};

use super::Answer;
use super::roles::RoleView;
use crate::app::{App, By};
use crate::error::RequestError;
use crate::sign_on::Signed;
use crate::wire::{Json, Query, empty, json, missing, read_body, read_value};

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
#[derive(Serialize)]
struct UserView<'a> {
    id: i64,
    username: &'a str,
    is_admin: bool,
    experiment_permissions: Vec<Value>,
    registered_model_permissions: Vec<Value>,
    scorer_permissions: Vec<Value>,
    gateway_secret_permissions: [Value; 0],
    gateway_endpoint_permissions: [Value; 0],
    gateway_model_definition_permissions: [Value; 0],
}

impl<'a> UserView<'a> {
    fn new(user: &'a KnownUser, own: &[KnownRight]) -> Self {
        let of = |kinds: &[ResourceKind]| {
            let own = own.iter().map(|known| &known.right);
            let own = own.filter(|right| kinds.contains(&right.resource.kind));
            own.map(|right| old_view(user, &right.resource, right.permission.as_str()))
                .collect()
        };
        Self {
            id: user.number,
            username: &user.name,
            is_admin: user.is_admin,
            experiment_permissions: of(&[ResourceKind::Experiment]),
            registered_model_permissions: of(&[
                ResourceKind::RegisteredModel,
                ResourceKind::Prompt,
            ]),
            scorer_permissions: of(&[ResourceKind::Scorer]),
            gateway_secret_permissions: [],
            gateway_endpoint_permissions: [],
            gateway_model_definition_permissions: [],
        }
    }
}

/// A right as clients older than MLflow 3.13 read it.
pub(super) fn old_view(user: &KnownUser, resource: &Resource, permission: &str) -> Value {
    let id = user.number;
    match resource.kind {
        ResourceKind::Experiment => value!({
            "experiment_id": resource.pattern,
            "user_id": id,
            "permission": permission,
        }),
        ResourceKind::Scorer => {
            let (experiment, name) = resource.pattern.split_once('/').unwrap_or_default();
            let name = percent_decode_str(name).decode_utf8_lossy();
            value!({
                "experiment_id": experiment,
                "scorer_name": name,
                "user_id": id,
                "permission": permission,
            })
        }
        _ => value!({
            "name": resource.pattern,
            "workspace": access::WORKSPACE,
            "user_id": id,
            "permission": permission,
        }),
    }
}

async fn answer(app: &App, user: &KnownUser) -> Answer {
    #[derive(Serialize)]
    struct Found<'a> {
        user: UserView<'a>,
    }
    let own = app.accounts()?.list_own_rights(user).await?;
    json(&Found {
        user: UserView::new(user, &own),
    })
}

/// Its own errors are texts, as MLflow's.
pub(super) async fn create(State(app): State<App>, By(caller): By, request: Request) -> Answer {
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

pub(super) async fn find(State(app): State<App>, query: Query) -> Answer {
    let name = query.text("username").ok_or_else(|| missing("username"))?;
    answer(&app, &app.accounts()?.get_user(name).await?).await
}

pub(super) async fn find_current(Extension(signed): Extension<Signed>) -> Answer {
    let user = &signed.user;
    json(&value!({
        "user": { "id": user.number, "username": user.name, "is_admin": user.is_admin },
        "is_basic_auth": true,
    }))
}

/// All users; whoever may see all roles is told theirs, others their own.
pub(super) async fn list(State(app): State<App>, Extension(signed): Extension<Signed>) -> Answer {
    #[derive(Serialize)]
    struct View<'a> {
        id: i64,
        username: &'a str,
        is_admin: bool,
        roles: Vec<RoleView>,
    }
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
        views.push(View {
            id: user.number,
            username: &user.name,
            is_admin: user.is_admin,
            roles: roles.into_iter().map(RoleView::new).collect(),
        });
    }
    json(&value!({ "users": views }))
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
