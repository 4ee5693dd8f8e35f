//! Calls about roles.

use access::{WORKSPACE, parse_kind, parse_permission};
use axum::Extension;
use axum::extract::State;
use entities::{Permission, Resource, ResourceKind};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use store::{KnownRight, KnownRole, RoleMember};

use super::users::{Members, text_of};
use crate::app::{App, By};
use crate::error::RequestError;
use crate::sign_on::{Signed, read_number};
use crate::wire::{Answer, Json, Query, Word, empty, json, missing};

/// A right of a role.
#[derive(Serialize, JsonSchema)]
pub(super) struct RoleRightView {
    id: i64,
    role_id: i64,
    resource_type: Word<ResourceKind>,
    resource_pattern: String,
    permission: Word<Permission>,
}

impl RoleRightView {
    fn new(known: KnownRight) -> Self {
        let KnownRight {
            number,
            role,
            right,
        } = known;
        Self {
            id: number,
            role_id: role,
            resource_type: Word(right.resource.kind),
            resource_pattern: right.resource.pattern,
            permission: Word(right.permission),
        }
    }
}

/// A role with its rights.
#[derive(Serialize, JsonSchema)]
pub(super) struct RoleView {
    id: i64,
    name: String,
    workspace: &'static str,
    description: Option<String>,
    permissions: Vec<RoleRightView>,
}

impl RoleView {
    pub(super) fn new(role: KnownRole) -> Self {
        let KnownRole {
            number,
            name,
            description,
            owner: _,
            rights,
        } = role;
        Self {
            id: number,
            name,
            workspace: WORKSPACE,
            description,
            permissions: rights.into_iter().map(RoleRightView::new).collect(),
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Found {
    role: RoleView,
}

fn answer(role: KnownRole) -> Answer<Found> {
    json(&Found {
        role: RoleView::new(role),
    })
}

#[derive(Serialize, JsonSchema)]
pub(super) struct FoundRight {
    role_permission: RoleRightView,
}

fn answer_right(right: KnownRight) -> Answer<FoundRight> {
    json(&FoundRight {
        role_permission: RoleRightView::new(right),
    })
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Items {
    roles: Vec<RoleView>,
}

fn answer_list(roles: Vec<KnownRole>) -> Answer<Items> {
    json(&Items {
        roles: roles.into_iter().map(RoleView::new).collect(),
    })
}

/// That a user has a role.
#[derive(Serialize, JsonSchema)]
struct RoleAssignmentView {
    id: i64,
    user_id: i64,
    role_id: i64,
}

impl RoleAssignmentView {
    fn new(member: RoleMember) -> Self {
        let RoleMember { number, user, role } = member;
        Self {
            id: number,
            user_id: user,
            role_id: role,
        }
    }
}

/// A number of a body, which may be a text, too.
fn number_of(members: &Map<String, Value>, name: &str) -> Result<i64, RequestError> {
    match members.get(name) {
        None | Some(Value::Null) => Err(missing(name)),
        Some(Value::String(text)) => read_number(name, text),
        Some(Value::Number(number)) => read_number(name, &number.to_string()),
        Some(other) => Err(RequestError::NotANumber {
            field: name.to_owned(),
            value: other.to_string(),
        }),
    }
}

fn number_of_query(query: &Query, name: &str) -> Result<i64, RequestError> {
    let text = query.text(name).ok_or_else(|| missing(name))?;
    read_number(name, text)
}

fn description_of(members: &Map<String, Value>) -> Result<Option<String>, RequestError> {
    match members.get("description") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(RequestError::RoleDescription),
    }
}

pub(super) async fn create(
    State(app): State<App>,
    By(caller): By,
    Json(members): Members,
) -> Answer<Found> {
    let name = text_of(&members, "name")?;
    let workspace = text_of(&members, "workspace")?;
    if !name.trim().is_empty() && workspace.trim().is_empty() {
        let said = "Workspace cannot be empty.";
        return Err(RequestError::BlankWorkspace { said });
    }
    let description = description_of(&members)?;
    let accounts = app.accounts()?;
    answer(
        accounts
            .create_role(&caller, &workspace, &name, description)
            .await?,
    )
}

pub(super) async fn find(State(app): State<App>, query: Query) -> Answer<Found> {
    let number = number_of_query(&query, "role_id")?;
    answer(app.accounts()?.get_role(number).await?)
}

pub(super) async fn list(
    State(app): State<App>,
    Extension(signed): Extension<Signed>,
    query: Query,
) -> Answer<Items> {
    let workspaces: Vec<_> = query.list("workspace").collect();
    if workspaces.iter().any(|name| name.trim().is_empty()) {
        let said = "Parameter 'workspace' must be a non-empty string when provided.";
        return Err(RequestError::BlankWorkspace { said });
    }
    let is_ours = workspaces.is_empty() || workspaces.contains(&WORKSPACE);
    let accounts = app.accounts()?;
    let roles = match (is_ours, signed.rights.is_unlimited()) {
        (false, _) => Vec::new(),
        (true, true) => accounts.list_roles().await?,
        (true, false) => accounts.list_roles_of_user(&signed.user).await?,
    };
    answer_list(roles)
}

pub(super) async fn update(
    State(app): State<App>,
    By(caller): By,
    Json(members): Members,
) -> Answer<Found> {
    let number = number_of(&members, "role_id")?;
    let name = match members.get("name") {
        None | Some(Value::Null) => None,
        Some(_) => Some(text_of(&members, "name")?),
    };
    let description = description_of(&members)?;
    if name.is_none() && description.is_none() {
        return Err(RequestError::NoRoleChange);
    }
    let accounts = app.accounts()?;
    answer(
        accounts
            .update_role(&caller, number, name, description)
            .await?,
    )
}

pub(super) async fn delete(
    State(app): State<App>,
    By(caller): By,
    Json(members): Members,
) -> Answer {
    let number = number_of(&members, "role_id")?;
    app.accounts()?.delete_role(&caller, number).await?;
    Ok(empty())
}

pub(super) async fn add_right(
    State(app): State<App>,
    By(caller): By,
    Json(members): Members,
) -> Answer<FoundRight> {
    let number = number_of(&members, "role_id")?;
    let kind = text_of(&members, "resource_type")?;
    let pattern = text_of(&members, "resource_pattern")?;
    let permission = parse_permission(&text_of(&members, "permission")?)?;
    let resource = Resource::new(parse_kind(&kind)?, pattern);
    let accounts = app.accounts()?;
    answer_right(
        accounts
            .grant_to_role(&caller, number, resource, permission)
            .await?,
    )
}

pub(super) async fn remove_right(
    State(app): State<App>,
    By(caller): By,
    Json(members): Members,
) -> Answer {
    let number = number_of(&members, "role_permission_id")?;
    app.accounts()?.remove_right(&caller, number).await?;
    Ok(empty())
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Rights {
    role_permissions: Vec<RoleRightView>,
}

pub(super) async fn list_rights(State(app): State<App>, query: Query) -> Answer<Rights> {
    let number = number_of_query(&query, "role_id")?;
    let role = app.accounts()?.get_role(number).await?;
    json(&Rights {
        role_permissions: role.rights.into_iter().map(RoleRightView::new).collect(),
    })
}

pub(super) async fn update_right(
    State(app): State<App>,
    By(caller): By,
    Json(members): Members,
) -> Answer<FoundRight> {
    let number = number_of(&members, "role_permission_id")?;
    let permission = text_of(&members, "permission")?;
    let accounts = app.accounts()?;
    accounts.get_right(number).await?;
    let permission = parse_permission(&permission)?;
    answer_right(accounts.update_right(&caller, number, permission).await?)
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Assigned {
    assignment: RoleAssignmentView,
}

pub(super) async fn assign(
    State(app): State<App>,
    By(caller): By,
    Json(members): Members,
) -> Answer<Assigned> {
    let user = text_of(&members, "username")?;
    let number = number_of(&members, "role_id")?;
    let member = app.accounts()?.assign_role(&caller, &user, number).await?;
    json(&Assigned {
        assignment: RoleAssignmentView::new(member),
    })
}

pub(super) async fn unassign(
    State(app): State<App>,
    By(caller): By,
    Json(members): Members,
) -> Answer {
    let user = text_of(&members, "username")?;
    let number = number_of(&members, "role_id")?;
    let accounts = app.accounts()?;
    accounts.unassign_role(&caller, &user, number).await?;
    Ok(empty())
}

pub(super) async fn list_of_user(State(app): State<App>, query: Query) -> Answer<Items> {
    let name = query.text("username").ok_or_else(|| missing("username"))?;
    let accounts = app.accounts()?;
    let user = accounts.get_user(name).await?;
    let roles = accounts.list_roles_of_user(&user).await?;
    answer_list(roles)
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Assignments {
    assignments: Vec<RoleAssignmentView>,
}

pub(super) async fn list_members(State(app): State<App>, query: Query) -> Answer<Assignments> {
    let number = number_of_query(&query, "role_id")?;
    let members = app.accounts()?.list_members(number).await?;
    json(&Assignments {
        assignments: members.into_iter().map(RoleAssignmentView::new).collect(),
    })
}
