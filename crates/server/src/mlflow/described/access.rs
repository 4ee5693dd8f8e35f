//! Users, roles and rights: values are of any type, so that no message repeats a password.

use super::super::rights::{OfExperiment, OfRegistered, OfScorer, Old};
use super::super::{rights, roles, users};
use super::tagged;
use crate::description::{
    Call, Parameter, delete, flag, get_call, list, number, patch, post, text,
};

pub(super) fn users() -> Vec<Call> {
    let name = || text("username").needed();
    let password = || text("password").needed();
    let calls = [
        post("/users/create", "Create a user", users::create).members([name(), password()]),
        get_call("/users/get", "Get a user", users::find).query([name()]),
        get_call("/users/list", "List users", users::list),
        get_call("/users/current", "Say who asks", users::find_current),
        patch(
            "/users/update-password",
            "Set a password",
            users::set_password,
        )
        .members([name(), password(), text("current_password")]),
        patch(
            "/users/update-admin",
            "Make a user an administrator, or none",
            users::set_admin,
        )
        .members([name(), flag("is_admin").needed()]),
        delete("/users/delete", "Delete a user", users::delete)
            .query([text("username")])
            .members([text("username")])
            .noting("The user is named in the query or in the body."),
    ];
    let mut calls = tagged("Users", calls);
    let experiment = &["experiment_id"];
    calls.extend(old_rights::<OfExperiment>("/experiments", experiment));
    calls.extend(old_rights::<OfRegistered>("/registered-models", &["name"]));
    calls
}

pub(super) fn rights() -> Vec<Call> {
    let resource = || {
        let names = ["username", "resource_type", "resource_id"];
        names.map(|name| text(name).needed())
    };
    let calls = [
        get_call(
            "/users/current/permissions",
            "List one's own rights",
            rights::list_current,
        ),
        get_call(
            "/users/permissions/list",
            "List rights of a user",
            rights::list,
        )
        .query([text("username").needed()]),
        get_call(
            "/users/permissions/get",
            "Say what a user may do with something",
            rights::find,
        )
        .query(resource()),
        post(
            "/users/permissions/grant",
            "Give a user a right",
            rights::grant,
        )
        .members(resource())
        .members([text("permission").needed()]),
        post(
            "/users/permissions/revoke",
            "Take a right away",
            rights::revoke,
        )
        .members(resource()),
    ];
    let mut calls = tagged("Rights", calls);
    let scorer = &["experiment_id", "scorer_name"];
    calls.extend(old_rights::<OfScorer>("/scorers", scorer));
    calls
}

pub(super) fn roles() -> Vec<Call> {
    let role = || number("role_id").needed();
    let member = || [text("username").needed(), number("role_id").needed()];
    let right = || {
        let names = ["resource_type", "resource_pattern", "permission"];
        names.map(|name| text(name).needed())
    };
    let one_right = || number("role_permission_id").needed();
    let calls = [
        post("/roles/create", "Create a role", roles::create).members([
            text("name").needed(),
            text("workspace").needed(),
            text("description"),
        ]),
        get_call("/roles/get", "Get a role", roles::find).query([role()]),
        get_call("/roles/list", "List roles", roles::list).query([list("workspace")]),
        patch("/roles/update", "Change a role", roles::update).members([
            role(),
            text("name"),
            text("description"),
        ]),
        delete("/roles/delete", "Delete a role", roles::delete).members([role()]),
        post(
            "/roles/permissions/add",
            "Give a role a right",
            roles::add_right,
        )
        .members([role()])
        .members(right()),
        delete(
            "/roles/permissions/remove",
            "Take a right from a role",
            roles::remove_right,
        )
        .members([one_right()]),
        get_call(
            "/roles/permissions/list",
            "List rights of a role",
            roles::list_rights,
        )
        .query([role()]),
        patch(
            "/roles/permissions/update",
            "Change a right of a role",
            roles::update_right,
        )
        .members([one_right(), text("permission").needed()]),
        post("/roles/assign", "Give a user a role", roles::assign).members(member()),
        delete(
            "/roles/unassign",
            "Take a role from a user",
            roles::unassign,
        )
        .members(member()),
        get_call(
            "/roles/users/list",
            "List users with a role",
            roles::list_members,
        )
        .query([role()]),
        get_call(
            "/users/roles/list",
            "List roles of a user",
            roles::list_of_user,
        )
        .query([text("username").needed()]),
    ];
    tagged("Roles", calls)
}

/// What MLflow had before 3.13; `named` says what the right is to.
fn old_rights<K: Old>(noun: &str, named: &[&'static str]) -> Vec<Call> {
    let path = |call: &str| format!("{noun}/permissions/{call}");
    let right = || -> Vec<Parameter> {
        let names = named.iter().copied().chain(["username"]);
        names.map(|name| text(name).needed()).collect()
    };
    let permission = || [text("permission").needed()];
    let calls = [
        post(
            &path("create"),
            "Give a user a right, as before MLflow 3.13",
            rights::create_old::<K>,
        )
        .members(right())
        .members(permission()),
        get_call(
            &path("get"),
            "Get a right, as before MLflow 3.13",
            rights::find_old::<K>,
        )
        .query(right()),
        patch(
            &path("update"),
            "Change a right, as before MLflow 3.13",
            rights::update_old::<K>,
        )
        .members(right())
        .members(permission()),
        delete(
            &path("delete"),
            "Take a right away, as before MLflow 3.13",
            rights::delete_old::<K>,
        )
        .members(right()),
    ];
    tagged("Rights", calls)
}
