//! Signing on: passwords, tokens, and who an event is ascribed to.

use access::Password;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use entities::{Leaf, Permission};
use serde_json::json;

use crate::helpers::{PASSWORD, app_with_users, as_user, basic, create_token, create_user};
use crate::support::TestApp;

const CURRENT: &str = "/api/2.0/mlflow/users/current";

async fn status(app: &TestApp, authorization: &str) -> u16 {
    app.with(authorization, "GET", CURRENT, "")
        .await
        .status
        .as_u16()
}

#[tokio::test]
async fn only_the_very_password_is_taken() {
    let app = app_with_users(Permission::Read).await;
    assert_eq!(status(&app, &basic("ann", PASSWORD)).await, 200);
    for (user, password) in [
        ("ann", ""),
        ("ann", "a long passwor"),
        ("ann", "a long password "),
        ("Ann", PASSWORD),
        ("ann ", PASSWORD),
        ("", PASSWORD),
        ("nobody", PASSWORD),
        ("ann\0", PASSWORD),
    ] {
        let answer = app.with(&basic(user, password), "GET", CURRENT, "").await;
        assert_eq!(
            answer.status,
            StatusCode::UNAUTHORIZED,
            "{user:?} {password:?}"
        );
        assert_eq!(answer.header("www-authenticate"), "Basic realm=\"mlflow\"");
    }
}

#[tokio::test]
async fn garbage_in_the_header_is_nobody() {
    let app = app_with_users(Permission::Manage).await;
    let long = format!("Basic {}", "YTpi".repeat(10_000));
    let garbage: [&[u8]; 12] = [
        b"",
        b" ",
        b"Basic",
        b"Basic ",
        b"Basic =",
        b"Basic \xff\xfe",
        b"Basic YTpi, Basic YTpi",
        b"Bearer",
        b"Bearer rpt_",
        b"Negotiate abc",
        b"\"Basic YTpi\"",
        long.as_bytes(),
    ];
    let before = app.accounts.as_ref().unwrap().hash_count();
    for value in garbage {
        let request = Request::builder().uri(CURRENT);
        let request = request.header("authorization", value);
        let answer = app.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(
            answer.status,
            StatusCode::UNAUTHORIZED,
            "{}",
            String::from_utf8_lossy(value)
        );
    }
    // Two that are each fine are none.
    let request = Request::builder().uri(CURRENT);
    let request = request.header("authorization", as_user("ann"));
    let request = request.header("authorization", as_user("bob"));
    let answer = app.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let after = app.accounts.as_ref().unwrap().hash_count();
    assert_eq!(before, after, "garbage costs no hash");
}

#[tokio::test]
async fn names_in_any_script_sign_on() {
    let app = TestApp::signed_on(Permission::Read).await;
    for name in ["Änne", "用户", "имя", "a b", "' OR 1=1 --", "*", "%00"] {
        create_user(&app, name).await;
        let answer = app.with(&basic(name, PASSWORD), "GET", CURRENT, "").await;
        assert_eq!(answer.ok()["user"]["username"], name);
    }
    // A name that only looks the same is another.
    let decomposed = "A\u{308}nne";
    assert_eq!(status(&app, &basic(decomposed, PASSWORD)).await, 401);
}

/// By counting, since clocks tell little on a busy machine.
#[tokio::test]
async fn unknown_names_and_wrong_passwords_cost_the_same() {
    let app = app_with_users(Permission::Read).await;
    let accounts = app.accounts.clone().unwrap();
    let cost = async |user: &str, password: &str| {
        let before = accounts.hash_count();
        let status = status(&app, &basic(user, password)).await;
        (status, accounts.hash_count() - before)
    };
    assert_eq!(cost("ann", "wrong").await, (401, 1));
    assert_eq!(cost("nobody", "wrong").await, (401, 1));
    assert_eq!(cost("", "").await, (401, 1));
    // What was verified is not hashed again.
    assert_eq!(cost("ann", PASSWORD).await, (200, 0));
    create_user(&app, "new").await;
    assert_eq!(cost("new", PASSWORD).await, (200, 1));
    assert_eq!(cost("new", PASSWORD).await, (200, 0));
}

#[tokio::test]
async fn guesses_have_a_limit_that_tokens_and_known_passwords_do_not_feel() {
    let app = app_with_users(Permission::Read).await;
    let token = create_token(&app, "ann", None).await;
    let mut statuses = Vec::new();
    for guess in 0..15 {
        statuses.push(status(&app, &basic("ann", &format!("guess {guess}"))).await);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 10);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 5);
    let answer = app.with(&basic("ann", "guess"), "GET", CURRENT, "").await;
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&seconds));
    let refused = app.accounts.as_ref().unwrap().hash_count();
    assert_eq!(status(&app, &basic("ann", "guess")).await, 429);
    assert_eq!(app.accounts.as_ref().unwrap().hash_count(), refused);
    // She goes on with what was verified before, and with a token; others are not concerned.
    assert_eq!(status(&app, &as_user("ann")).await, 200);
    assert_eq!(status(&app, &format!("Bearer {token}")).await, 200);
    assert_eq!(status(&app, &as_user("bob")).await, 200);
}

#[tokio::test]
async fn a_changed_password_is_asked_for_at_once_on_every_server() {
    let app = app_with_users(Permission::Read).await;
    assert_eq!(status(&app, &as_user("ann")).await, 200);
    // Another server on the same store changes it.
    let other = app.bench.accounts_with(Permission::Read);
    let changed = Password::new("another long one".to_owned());
    other
        .set_password(&app.bench.caller, "ann", &changed)
        .await
        .unwrap();
    assert_eq!(status(&app, &as_user("ann")).await, 401);
    assert_eq!(status(&app, &basic("ann", "another long one")).await, 200);
}

#[tokio::test]
async fn a_token_stands_for_its_user_until_it_is_revoked_or_over() {
    let app = app_with_users(Permission::Read).await;
    let token = create_token(&app, "ann", None).await;
    let bearer = format!("Bearer {token}");
    let answer = app.with(&bearer, "GET", CURRENT, "").await.ok();
    assert_eq!(answer["user"]["username"], "ann");
    for wrong in [
        &token[..token.len() - 1],
        &token[1..],
        &token.to_uppercase(),
        &format!("{token}x"),
    ] {
        assert_eq!(status(&app, &format!("Bearer {wrong}")).await, 401);
    }
    // It is no password.
    assert_eq!(status(&app, &basic("ann", &token)).await, 401);
    let accounts = app.accounts.clone().unwrap();
    let tokens = accounts.list_tokens(Some("ann")).await.unwrap();
    let revoking = accounts.revoke_token(&app.bench.caller, &tokens[0].id);
    revoking.await.unwrap();
    assert_eq!(status(&app, &bearer).await, 401);

    let brief = create_token(&app, "ann", Some(1)).await;
    let bearer = format!("Bearer {brief}");
    assert_eq!(status(&app, &bearer).await, 200);
    app.bench.clock.advance_millis(24 * 60 * 60 * 1000);
    assert_eq!(status(&app, &bearer).await, 401);
}

#[tokio::test]
async fn a_deleted_user_is_nobody_and_a_new_one_of_the_name_inherits_nothing() {
    let app = app_with_users(Permission::NoPermissions).await;
    let token = create_token(&app, "ann", None).await;
    assert_eq!(status(&app, &as_user("ann")).await, 200);
    let body = json!({"username": "ann"});
    app.by("admin", "DELETE", "2.0/mlflow/users/delete", &body)
        .await
        .ok();
    assert_eq!(status(&app, &as_user("ann")).await, 401);
    assert_eq!(status(&app, &format!("Bearer {token}")).await, 401);
    create_user(&app, "ann").await;
    assert_eq!(status(&app, &format!("Bearer {token}")).await, 401);
    let read = app.get_by("ann", "2.0/mlflow/experiments/get?experiment_id=1");
    assert_eq!(read.await.status, StatusCode::FORBIDDEN);
}

/// The events of the ledger name who asked, and hold no password, hash or token.
#[tokio::test]
async fn events_tell_who_asked_and_no_secret() {
    let app = app_with_users(Permission::Read).await;
    let token = create_token(&app, "bob", None).await;
    let body =
        json!({"username": "ann", "password": "an even longer one", "current_password": PASSWORD});
    app.by("ann", "PATCH", "2.0/mlflow/users/update-password", &body)
        .await
        .ok();
    let bearer = format!("Bearer {token}");
    let body = json!({"experiment_id": "2", "key": "k", "value": "v"}).to_string();
    let path = "/api/2.0/mlflow/experiments/set-experiment-tag";
    app.with(&bearer, "POST", path, body).await.ok();

    app.bench.store.sequence().await.unwrap();
    let events = app.bench.store.list_events(0, 1000).await.unwrap();
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            let leaf = Leaf::decode(&event.leaf).unwrap();
            (leaf.kind, leaf.actor.id, leaf.actor.auth)
        })
        .collect();
    let of = |kind: &str| {
        let mut found = told.iter().filter(|(found, ..)| found == kind);
        let (_, id, auth) = found.next_back().unwrap();
        (id.as_str(), auth.as_str())
    };
    assert_eq!(of("experiment.created"), ("u:bob", "password"));
    assert_eq!(of("user.password_set"), ("u:ann", "password"));
    let (id, auth) = of("experiment.tagged");
    assert_eq!(id, "u:bob");
    assert!(auth.starts_with("token:"), "{auth}");
    for event in &events {
        for part in [&event.leaf, &event.body] {
            let text = String::from_utf8_lossy(part);
            for secret in [PASSWORD, "an even longer one", "argon2", token.as_str()] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }
    let fault = app.bench.store.verify_projection().await.unwrap();
    assert_eq!(fault, None);
}

#[tokio::test]
async fn answers_and_errors_hold_no_password() {
    let app = app_with_users(Permission::Read).await;
    for (method, call, body) in [
        (
            "POST",
            "users/create",
            json!({"username": "x", "password": "short s3cr"}),
        ),
        (
            "POST",
            "users/create",
            json!({"username": "x", "password": ["s3cr3t"]}),
        ),
        (
            "POST",
            "users/create",
            json!({"username": "ann", "password": "s3cr3t s3cr3t"}),
        ),
        (
            "PATCH",
            "users/update-password",
            json!({"username": "none", "password": "s3cr3t s3cr3t"}),
        ),
        (
            "PATCH",
            "users/update-password",
            json!({"username": "ann", "password": {"a": "s3cr3t"}}),
        ),
    ] {
        let call = format!("2.0/mlflow/{call}");
        let answer = app.by("admin", method, &call, &body).await;
        assert!(answer.status.is_client_error(), "{body}");
        let text = String::from_utf8_lossy(&answer.body);
        assert!(!text.contains("s3cr"), "{text}");
    }
}
