//! The page on which users are made, and what its form is sent to.

use axum::http::{Request, StatusCode};
use entities::Permission;

use crate::helpers::{app_with_users, as_user, basic, grant_everything};
use crate::support::{Answer, TestApp};

const FORM: &str = "/api/2.0/mlflow/users/create-ui";
const MEDIA: &str = "application/x-www-form-urlencoded";

async fn page(app: &TestApp, user: &str) -> Answer {
    app.with(&as_user(user), "GET", "/signup", "").await
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

/// The token that stands in a page.
fn token_in(page: &str) -> String {
    let from = page.split("name=\"csrf_token\" value=\"").nth(1).unwrap();
    from.split('"').next().unwrap().to_owned()
}

async fn token_of(app: &TestApp, user: &str) -> String {
    token_in(&text(&page(app, user).await))
}

async fn send(
    app: &TestApp,
    user: &str,
    media: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut request = Request::builder()
        .method("POST")
        .uri(FORM)
        .header("content-type", media)
        .header("authorization", as_user(user));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.send(request.body(body.to_owned().into()).unwrap())
        .await
}

async fn names(app: &TestApp) -> Vec<String> {
    let users = app.accounts.as_ref().unwrap().list_users().await.unwrap();
    users.into_iter().map(|user| user.name).collect()
}

#[tokio::test]
async fn an_administrator_makes_a_user_by_the_page() {
    let app = app_with_users(Permission::Read).await;
    let answer = page(&app, "admin").await;
    assert_eq!(answer.status, StatusCode::OK);
    let shown = text(&answer);
    assert!(
        shown.contains(&format!("<form action=\"{FORM}\" method=\"post\">")),
        "{shown}"
    );
    assert!(!shown.contains("<script"), "{shown}");
    let header = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("x-content-type-options"), "nosniff");
    let policy = header("content-security-policy");
    for part in [
        "default-src 'none'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let nonce = policy
        .split("'nonce-")
        .nth(1)
        .unwrap()
        .split('\'')
        .next()
        .unwrap();
    assert!(
        shown.contains(&format!("<style nonce=\"{nonce}\">")),
        "{shown}"
    );
    assert!(
        !text(&page(&app, "admin").await).contains(nonce),
        "a nonce is for one answer"
    );

    let token = token_in(&shown);
    let body = format!("csrf_token={token}&username=eve+%C3%A9&password=a+password+of+eve");
    let made = send(
        &app,
        "admin",
        MEDIA,
        &[("origin", "http://127.0.0.1:5000")],
        &body,
    )
    .await;
    assert_eq!(made.status, StatusCode::OK, "{}", text(&made));
    assert!(
        text(&made).contains("Successfully signed up user: eve é"),
        "{}",
        text(&made)
    );
    let signed = app
        .with(
            &basic("eve é", "a password of eve"),
            "GET",
            "/api/2.0/mlflow/users/current",
            "",
        )
        .await;
    assert_eq!(signed.status, StatusCode::OK);
    let again = send(&app, "admin", MEDIA, &[], &body).await;
    assert_eq!(again.status, StatusCode::OK);
    assert!(
        text(&again).contains("Username has already been taken: eve é"),
        "{}",
        text(&again)
    );
    // The token may come in a header, too.
    let body = "username=max&password=a+password+of+max";
    let made = send(&app, "admin", MEDIA, &[("x-csrftoken", &token)], body).await;
    assert_eq!(made.status, StatusCode::OK, "{}", text(&made));
    assert_eq!(names(&app).await, ["admin", "ann", "bob", "eve é", "max"]);
}

#[tokio::test]
async fn who_may_not_make_users_gets_neither_page_nor_user() {
    let app = app_with_users(Permission::Manage).await;
    assert_eq!(page(&app, "ann").await.status, StatusCode::FORBIDDEN);
    let nobody = app.with("", "GET", "/signup", "").await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    assert!(nobody.headers.contains_key("www-authenticate"));
    let token = token_of(&app, "admin").await;
    let body = format!("csrf_token={token}&username=eve&password=a+password+of+eve");
    let refused = send(&app, "ann", MEDIA, &[], &body).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(names(&app).await.len(), 3);
    // Who manages everything may, as in MLflow.
    grant_everything(&app, "ann").await;
    assert_eq!(page(&app, "ann").await.status, StatusCode::OK);
    let body = format!(
        "csrf_token={}&username=eve&password=a+password+of+eve",
        token_of(&app, "ann").await
    );
    assert_eq!(
        send(&app, "ann", MEDIA, &[], &body).await.status,
        StatusCode::OK
    );
    assert_eq!(names(&app).await.len(), 4);
}

#[tokio::test]
async fn a_form_of_a_foreign_page_makes_nobody() {
    let app = app_with_users(Permission::Read).await;
    grant_everything(&app, "ann").await;
    let of_ann = token_of(&app, "ann").await;
    let own = token_of(&app, "admin").await;
    let fields = "username=eve&password=a+password+of+eve";
    for (token, said) in [
        ("", "The CSRF token is missing."),
        ("x", "The CSRF token is invalid."),
        (of_ann.as_str(), "The CSRF token is invalid."),
        (&own[1..], "The CSRF token is invalid."),
    ] {
        let body = format!("csrf_token={token}&{fields}");
        let refused = send(&app, "admin", MEDIA, &[], &body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{token}");
        assert!(text(&refused).contains(said), "{token}: {}", text(&refused));
    }
    let refused = send(&app, "admin", MEDIA, &[], fields).await;
    assert!(text(&refused).contains("The CSRF token is missing."));
    // A page of another origin is refused whatever it brings.
    let body = format!("csrf_token={own}&{fields}");
    for origin in ["https://evil.example", "null"] {
        let refused = send(&app, "admin", MEDIA, &[("origin", origin)], &body).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{origin}");
    }
    // What a page can send without asking, and is no such form.
    for media in [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/json",
    ] {
        let refused = send(&app, "admin", media, &[("x-csrf-token", &own)], &body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{media}");
        assert_eq!(
            text(&refused),
            format!("Invalid content type. Must be {MEDIA}")
        );
        let refused = send(&app, "admin", media, &[], &body).await;
        assert!(
            text(&refused).contains("The CSRF token is missing."),
            "{media}"
        );
    }
    assert_eq!(names(&app).await.len(), 3);
}

#[tokio::test]
async fn names_are_shown_as_texts_and_bad_ones_refused() {
    let app = app_with_users(Permission::Read).await;
    let token = token_of(&app, "admin").await;
    let fill = |name: &str, password: &str| {
        let encoded =
            percent_encoding::percent_encode(name.as_bytes(), percent_encoding::NON_ALPHANUMERIC);
        format!("csrf_token={token}&username={encoded}&password={password}")
    };
    let name = "<script>alert(\"x\")</script>'&";
    for said in [
        "Successfully signed up user",
        "Username has already been taken",
    ] {
        let answer = send(&app, "admin", MEDIA, &[], &fill(name, "a+password+of+eve")).await;
        let shown = text(&answer);
        assert!(shown.contains(said), "{shown}");
        assert!(!shown.contains("<script"), "{shown}");
        assert!(
            shown.contains("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&#39;&amp;"),
            "{shown}"
        );
    }
    for (name, password) in [
        ("", "a+password+of+eve"),
        ("eve", ""),
        ("eve", "short"),
        ("a:b", "a+password+of+eve"),
    ] {
        let answer = send(&app, "admin", MEDIA, &[], &fill(name, password)).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{name} {password}: {}",
            text(&answer)
        );
    }
    assert_eq!(names(&app).await.len(), 4);
}

#[tokio::test]
async fn without_users_there_is_no_page() {
    let app = TestApp::team().await;
    for (method, path) in [("GET", "/signup"), ("POST", FORM)] {
        let answer = app.with("", method, path, "").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
    }
}
