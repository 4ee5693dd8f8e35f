//! Users, rights and roles.

use super::*;

pub(super) async fn walk(walk: &mut Walk, experiment: &str) {
    users(walk).await;
    rights(walk, experiment).await;
    roles(walk).await;
    let gone = json!({ "username": "ben" });
    walk.ask("DELETE", &format!("{V2}/users/delete"), gone)
        .await;
}

async fn users(walk: &mut Walk) {
    let all = format!("{V2}/users");
    let made = json!({ "username": "ben", "password": "a-long-password" });
    walk.post(&format!("{all}/create"), made.clone()).await;
    walk.ask("PATCH", &format!("{all}/update-password"), made)
        .await;
    let admin = json!({ "username": "ben", "is_admin": false });
    walk.ask("PATCH", &format!("{all}/update-admin"), admin)
        .await;
    walk.get(&format!("{all}/current")).await;
}

async fn rights(walk: &mut Walk, experiment: &str) {
    let right = json!({
        "username": "ben", "resource_type": "experiment", "resource_id": "0", "permission": "READ",
    });
    let query = "username=ben&resource_type=experiment&resource_id=0";
    walk.post(&format!("{V3}/users/permissions/grant"), right.clone())
        .await;
    walk.get(&format!("{V3}/users/permissions/get?{query}"))
        .await;
    walk.get(&format!("{V3}/users/permissions/list?username=ben"))
        .await;
    walk.get(&format!("{V3}/users/current/permissions")).await;
    walk.post(&format!("{V3}/users/permissions/revoke"), right)
        .await;
    for (noun, named) in [
        (
            format!("{V2}/experiments"),
            json!({ "experiment_id": experiment }),
        ),
        (format!("{V2}/registered-models"), json!({ "name": "reg" })),
        (
            format!("{V3}/scorers"),
            json!({ "experiment_id": experiment, "scorer_name": "a/b" }),
        ),
    ] {
        let all = format!("{noun}/permissions");
        let mut body = named.clone();
        body["username"] = json!("ben");
        body["permission"] = json!("EDIT");
        walk.post(&format!("{all}/create"), body.clone()).await;
        let query = body.as_object().unwrap().iter();
        let query =
            query.map(|(name, value)| format!("{name}={}", text(value).replace('/', "%2F")));
        let query = query.collect::<Vec<_>>().join("&");
        // Here is what the user of a list of rights has.
        walk.get(&format!("{V2}/users/get?username=ben")).await;
        walk.get(&format!("{all}/get?{query}")).await;
        walk.ask("PATCH", &format!("{all}/update"), body.clone())
            .await;
        walk.ask("DELETE", &format!("{all}/delete"), body).await;
    }
}

async fn roles(walk: &mut Walk) {
    let all = format!("{V3}/roles");
    let made = json!({ "name": "r", "workspace": "default", "description": "d" });
    let made = walk.post(&format!("{all}/create"), made).await;
    let role = &made["role"]["id"];
    let right = json!({
        "role_id": role, "resource_type": "registered_model", "resource_pattern": "*",
        "permission": "USE",
    });
    let right = walk.post(&format!("{all}/permissions/add"), right).await;
    let number = &right["role_permission"]["id"];
    let changed = json!({ "role_permission_id": number, "permission": "MANAGE" });
    walk.ask("PATCH", &format!("{all}/permissions/update"), changed)
        .await;
    let member = json!({ "username": "ben", "role_id": role });
    walk.post(&format!("{all}/assign"), member.clone()).await;
    walk.ask(
        "PATCH",
        &format!("{all}/update"),
        json!({ "role_id": role, "name": "s" }),
    )
    .await;
    for path in [
        format!("{all}/get?role_id={role}"),
        format!("{all}/list"),
        format!("{all}/permissions/list?role_id={role}"),
        format!("{all}/users/list?role_id={role}"),
        format!("{V3}/users/roles/list?username=ben"),
        format!("{V3}/users/permissions/list?username=ben"),
        format!("{V2}/users/list"),
    ] {
        walk.get(&path).await;
    }
    let gone = json!({ "role_permission_id": number });
    walk.ask("DELETE", &format!("{all}/permissions/remove"), gone)
        .await;
    walk.ask("DELETE", &format!("{all}/unassign"), member).await;
    walk.ask(
        "DELETE",
        &format!("{all}/delete"),
        json!({ "role_id": role }),
    )
    .await;
}
