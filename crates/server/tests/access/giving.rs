//! Giving rights, and taking more than one has.

use axum::http::StatusCode;
use entities::{Permission, ResourceKind};
use serde_json::json;

use crate::helpers::{app_with_users, grant, refused};
use crate::support::TestApp;

/// Nobody makes themselves more than they are.
#[tokio::test]
async fn nobody_raises_themselves() {
    let app = app_with_users(Permission::NoPermissions).await;
    let any = json!({"username": "ann", "resource_type": "experiment", "resource_id": "*", "permission": "MANAGE"});
    let one = json!({"username": "ann", "resource_type": "experiment", "resource_id": "2", "permission": "READ"});
    let odd = json!({"username": "ann", "resource_type": "experiment", "resource_id": "1", "resourceId": "2", "permission": "READ"});
    for body in [any, one, odd] {
        refused(&app, "POST", "3.0/mlflow/users/permissions/grant", &body).await;
    }
    let old = json!({"experiment_id": "2", "username": "ann", "permission": "MANAGE"});
    refused(
        &app,
        "POST",
        "2.0/mlflow/experiments/permissions/create",
        &old,
    )
    .await;
    let old = json!({"experiment_id": "1", "experimentId": "2", "username": "ann", "permission": "MANAGE"});
    refused(
        &app,
        "POST",
        "2.0/mlflow/experiments/permissions/create",
        &old,
    )
    .await;
    for (method, call, body) in [
        (
            "PATCH",
            "2.0/mlflow/users/update-admin",
            json!({"username": "ann", "is_admin": true}),
        ),
        (
            "PATCH",
            "2.0/mlflow/users/update-password",
            json!({"username": "admin", "password": "a new password"}),
        ),
        (
            "PATCH",
            "2.0/mlflow/users/update-password?username=ann",
            json!({"username": "admin", "password": "a new password"}),
        ),
        (
            "DELETE",
            "2.0/mlflow/users/delete",
            json!({"username": "bob"}),
        ),
        (
            "POST",
            "2.0/mlflow/users/create",
            json!({"username": "x", "password": "a new password"}),
        ),
        (
            "POST",
            "3.0/mlflow/roles/create",
            json!({"workspace": "default", "name": "x"}),
        ),
        (
            "POST",
            "3.0/mlflow/roles/assign",
            json!({"username": "ann", "role_id": 1}),
        ),
        (
            "POST",
            "3.0/mlflow/roles/permissions/add",
            json!({"role_id": 1, "resource_type": "workspace", "resource_pattern": "*", "permission": "MANAGE"}),
        ),
        ("GET", "2.0/mlflow/users/get?username=bob", json!(null)),
        (
            "GET",
            "2.0/mlflow/users/get?username=ann&username=bob",
            json!(null),
        ),
        (
            "GET",
            "3.0/mlflow/users/permissions/list?username=bob",
            json!(null),
        ),
        ("GET", "2.0/mlflow/webhooks", json!(null)),
    ] {
        refused(&app, method, call, &body).await;
    }
    // Not even by the roles that stand for the rights of one user.
    let body = json!({"username": "ann", "role_id": 2});
    let answer = app
        .by("admin", "POST", "3.0/mlflow/roles/assign", &body)
        .await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    // A password with a right current one is changed for oneself alone.
    let body = json!({"username": "ann", "is_admin": true});
    let answer = app
        .by("admin", "PATCH", "2.0/mlflow/users/update-admin", &body)
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    let body = json!({"username": "admin", "is_admin": false});
    let answer = app
        .by("ann", "PATCH", "2.0/mlflow/users/update-admin", &body)
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    let body = json!({"username": "ann", "is_admin": false});
    let answer = app
        .by("ann", "PATCH", "2.0/mlflow/users/update-admin", &body)
        .await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "she is the last");
}

/// What is a prompt is judged by what was said of prompts: who may only change a model does not make it one.
#[tokio::test]
async fn a_model_is_made_a_prompt_by_who_manages_it() {
    let app = app_with_users(Permission::Read).await;
    let body = json!({"name": "net"});
    app.by("bob", "POST", "2.0/mlflow/registered-models/create", &body)
        .await
        .ok();
    grant(
        &app,
        "ann",
        ResourceKind::RegisteredModel,
        "net",
        Permission::Edit,
    )
    .await;
    let tag = json!({"name": "net", "key": "mlflow.prompt.is_prompt", "value": "true"});
    refused(&app, "POST", "2.0/mlflow/registered-models/set-tag", &tag).await;
    refused(
        &app,
        "DELETE",
        "2.0/mlflow/registered-models/delete-tag",
        &tag,
    )
    .await;
    let other = json!({"name": "net", "key": "k", "value": "true"});
    app.by(
        "ann",
        "POST",
        "2.0/mlflow/registered-models/set-tag",
        &other,
    )
    .await
    .ok();
}

/// Who adds a version to another's scorer does not come to own it.
#[tokio::test]
async fn a_version_of_a_scorer_makes_no_owner() {
    let app = app_with_users(Permission::Edit).await;
    let body = json!({"experiment_id": "2", "name": "judge", "serialized_scorer": "{}"});
    for user in ["bob", "ann"] {
        app.by(user, "POST", "3.0/mlflow/scorers/register", &body)
            .await
            .ok();
    }
    let rights = app
        .get_by("ann", "3.0/mlflow/users/current/permissions")
        .await
        .ok();
    assert_eq!(rights["permissions"].as_array().unwrap().len(), 1);
    let body = json!({"experiment_id": "2", "name": "judge"});
    refused(&app, "DELETE", "3.0/mlflow/scorers/delete", &body).await;
}

/// A right to what is called `*` would be a right to all of its kind.
#[tokio::test]
async fn nothing_that_is_called_as_everything_gives_everything() {
    let app = app_with_users(Permission::Read).await;
    for (user, name) in [("ann", "own"), ("bob", "net")] {
        let body = json!({ "name": name });
        app.by(user, "POST", "2.0/mlflow/registered-models/create", &body)
            .await
            .ok();
    }
    let prompt = json!([{"key": "mlflow.prompt.is_prompt", "value": "true"}]);
    for body in [json!({"name": "*"}), json!({"name": "*", "tags": prompt})] {
        refused(&app, "POST", "2.0/mlflow/registered-models/create", &body).await;
    }
    for body in [
        json!({"name": "own", "new_name": "*"}),
        json!({"name": "own", "newName": "*"}),
    ] {
        refused(&app, "POST", "2.0/mlflow/registered-models/rename", &body).await;
    }
    let body = json!({"name": "*"});
    app.by(
        "admin",
        "POST",
        "2.0/mlflow/registered-models/create",
        &body,
    )
    .await
    .ok();
    let rights = app.get_by("admin", "3.0/mlflow/users/current/permissions");
    assert_eq!(rights.await.ok()["permissions"], json!([]));
    let body = json!({"name": "net"});
    refused(&app, "DELETE", "2.0/mlflow/registered-models/delete", &body).await;
    // Nor does a right to all of a kind let somebody say what others may do with all of them.
    grant(
        &app,
        "ann",
        ResourceKind::Experiment,
        "*",
        Permission::Manage,
    )
    .await;
    let body = json!({"experiment_id": "*", "username": "bob", "permission": "MANAGE"});
    refused(
        &app,
        "POST",
        "2.0/mlflow/experiments/permissions/create",
        &body,
    )
    .await;
    let body = json!({"username": "bob", "resource_type": "experiment", "resource_id": "*", "permission": "MANAGE"});
    refused(&app, "POST", "3.0/mlflow/users/permissions/grant", &body).await;
}

#[tokio::test]
async fn clients_older_than_mlflow_3_13_give_rights() {
    let app = app_with_users(Permission::Read).await;
    let model = json!({"name": "net"});
    app.by("ann", "POST", "2.0/mlflow/registered-models/create", &model)
        .await
        .ok();
    let scorer = json!({"experiment_id": "1", "name": "a/b", "serialized_scorer": "{}"});
    app.by("ann", "POST", "3.0/mlflow/scorers/register", &scorer)
        .await
        .ok();
    for (noun, word, about) in [
        (
            "2.0/mlflow/experiments",
            "experiment_permission",
            json!({"experiment_id": "1"}),
        ),
        (
            "2.0/mlflow/registered-models",
            "registered_model_permission",
            json!({"name": "net"}),
        ),
        (
            "3.0/mlflow/scorers",
            "scorer_permission",
            json!({"experiment_id": "1", "scorer_name": "a/b"}),
        ),
    ] {
        let with = |permission: Option<&str>| {
            let mut body = about.clone();
            body["username"] = json!("bob");
            if let Some(permission) = permission {
                body["permission"] = json!(permission);
            }
            body
        };
        let query: Vec<_> = about
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap().replace('/', "%2F")))
            .collect();
        let get = format!("{noun}/permissions/get?username=bob&{}", query.join("&"));
        let create = format!("{noun}/permissions/create");
        let made = app
            .by("ann", "POST", &create, &with(Some("NO_PERMISSIONS")))
            .await
            .ok();
        assert_eq!(made[word]["permission"], "NO_PERMISSIONS");
        assert_eq!(made[word]["user_id"], 3);
        let again = app.by("ann", "POST", &create, &with(Some("READ"))).await;
        assert_eq!(again.error().1, "RESOURCE_ALREADY_EXISTS");
        refused_to_bob(&app, &get).await;
        let update = format!("{noun}/permissions/update");
        app.by("ann", "PATCH", &update, &with(Some("EDIT")))
            .await
            .ok();
        let mut found = app.get_by("ann", &get).await.ok();
        let found = found[word].take();
        assert_eq!(found["permission"], "EDIT");
        for (key, value) in about.as_object().unwrap() {
            assert_eq!(found[key], *value);
        }
        let user = app
            .get_by("bob", "2.0/mlflow/users/get?username=bob")
            .await
            .ok();
        let listed = user["user"][format!("{word}s")].as_array().unwrap();
        assert!(listed.contains(&found), "{user}");
        let delete = format!("{noun}/permissions/delete");
        app.by("ann", "DELETE", &delete, &with(None)).await.ok();
        let gone = app.get_by("ann", &get).await;
        assert_eq!(gone.status, StatusCode::NOT_FOUND);
    }
    // `NO_PERMISSIONS` takes what is given by default.
    let body = json!({"experiment_id": "1", "username": "bob", "permission": "NO_PERMISSIONS"});
    app.by(
        "ann",
        "POST",
        "2.0/mlflow/experiments/permissions/create",
        &body,
    )
    .await
    .ok();
    refused_to_bob(&app, "2.0/mlflow/experiments/get?experiment_id=1").await;
}

async fn refused_to_bob(app: &TestApp, call: &str) {
    let answer = app.get_by("bob", call).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{call}");
}
