//! What searches and listings show.

use axum::http::StatusCode;
use entities::{Permission, ResourceKind};
use serde_json::{Value, json};

use crate::helpers::{app_with_users, create_user, grant};
use crate::support::TestApp;

fn names(answer: &Value, list: &str, field: &str) -> Vec<String> {
    let items = answer[list].as_array().cloned().unwrap_or_default();
    let names = items
        .iter()
        .map(|item| item[field].as_str().unwrap().to_owned());
    names.collect()
}

#[tokio::test]
async fn searches_show_what_may_be_read_and_fill_their_pages() {
    let app = app_with_users(Permission::NoPermissions).await;
    for number in 0..30 {
        let user = if number % 3 == 0 { "ann" } else { "bob" };
        let body = json!({ "name": format!("e{number:02}") });
        app.by(user, "POST", "2.0/mlflow/experiments/create", &body)
            .await
            .ok();
        let body = json!({ "name": format!("m{number:02}") });
        app.by(user, "POST", "2.0/mlflow/registered-models/create", &body)
            .await
            .ok();
    }
    let (mut seen, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let body = json!({"max_results": 4, "order_by": ["name ASC"], "page_token": token});
        let answer = app.by("ann", "POST", "2.0/mlflow/experiments/search", &body);
        let answer = answer.await.ok();
        let found = names(&answer, "experiments", "name");
        pages += 1;
        seen.extend(found.clone());
        match answer["next_page_token"].as_str() {
            None => break,
            Some(next) => {
                assert_eq!(found.len(), 4);
                next.clone_into(&mut token);
            }
        }
    }
    let expected = (0..30).step_by(3).map(|number| format!("e{number:02}"));
    let expected: Vec<_> = expected.chain(["of ann".to_owned()]).collect();
    assert_eq!(seen, expected);
    assert!(pages <= 4, "{pages} pages");

    let answer = app.get_by("ann", "2.0/mlflow/registered-models/search?max_results=7");
    let answer = answer.await.ok();
    let found = names(&answer, "registered_models", "name");
    let expected = (0..30).step_by(3).map(|number| format!("m{number:02}"));
    let expected: Vec<_> = expected.take(7).collect();
    assert_eq!(found, expected);
    let all = app.get_by(
        "admin",
        "2.0/mlflow/registered-models/search?max_results=100",
    );
    let all = names(&all.await.ok(), "registered_models", "name");
    assert_eq!(all.len(), 30);
}

#[tokio::test]
async fn runs_are_searched_where_they_may_be_read() {
    let app = app_with_users(Permission::NoPermissions).await;
    let own = app.run_by("ann", "1").await;
    app.run_by("bob", "2").await;
    for filter in [
        "",
        "attributes.run_id != ''",
        "tags.mlflow.runName LIKE '%'",
    ] {
        let body = json!({"experiment_ids": ["1", "2", "0"], "filter": filter});
        let answer = app.by("ann", "POST", "2.0/mlflow/runs/search", &body).await;
        let runs = answer.ok()["runs"].as_array().cloned().unwrap();
        assert_eq!(runs.len(), 1, "{filter}");
        assert_eq!(runs[0]["info"]["run_id"], own.as_str());
    }
    let body = json!({"experiment_ids": ["2"]});
    let answer = app.by("ann", "POST", "2.0/mlflow/runs/search", &body).await;
    assert_eq!(answer.ok(), json!({}));
    let body = json!({"experiment_ids": ["2"]});
    let answer = app.by("ann", "POST", "2.0/mlflow/logged-models/search", &body);
    assert_eq!(answer.await.ok(), json!({}));
    let body = json!({"locations": [{"mlflow_experiment": {"experiment_id": "2"}}]});
    let answer = app.by("ann", "POST", "3.0/mlflow/traces/search", &body);
    assert_eq!(answer.await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn prompts_and_models_are_told_apart() {
    let app = app_with_users(Permission::Read).await;
    let tags = json!([{"key": "mlflow.prompt.is_prompt", "value": "true"}]);
    let body = json!({"name": "ask", "tags": tags});
    app.by("ann", "POST", "2.0/mlflow/registered-models/create", &body)
        .await
        .ok();
    let body = json!({"name": "net"});
    app.by("ann", "POST", "2.0/mlflow/registered-models/create", &body)
        .await
        .ok();
    create_user(&app, "eve").await;
    grant(&app, "eve", ResourceKind::Prompt, "*", Permission::Deny).await;
    let get = async |name: &str| {
        let call = format!("2.0/mlflow/registered-models/get?name={name}");
        app.get_by("eve", &call).await.status.as_u16()
    };
    assert_eq!((get("ask").await, get("net").await), (403, 200));
    let call =
        "2.0/mlflow/registered-models/search?filter=tags.%60mlflow.prompt.is_prompt%60%3D'true'";
    assert_eq!(app.get_by("eve", call).await.ok(), json!({}));
    let found = app.get_by("ann", call).await.ok();
    assert_eq!(names(&found, "registered_models", "name"), ["ask"]);
    // A right to a registered model of that name is none to the prompt.
    grant(
        &app,
        "bob",
        ResourceKind::RegisteredModel,
        "ask",
        Permission::Manage,
    )
    .await;
    let body = json!({"name": "ask", "description": "x"});
    let answer = app.by("bob", "PATCH", "2.0/mlflow/registered-models/update", &body);
    assert_eq!(answer.await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn versions_follow_their_registered_model() {
    let app = app_with_users(Permission::NoPermissions).await;
    for (user, name) in [("ann", "a"), ("bob", "b")] {
        let body = json!({ "name": name });
        app.by(user, "POST", "2.0/mlflow/registered-models/create", &body)
            .await
            .ok();
        for _ in 0..3 {
            let body = json!({"name": name, "source": "s3://bucket/model"});
            let created = app.by(user, "POST", "2.0/mlflow/model-versions/create", &body);
            created.await.ok();
        }
        let body = json!({"name": name, "alias": "best", "version": "1"});
        app.by(user, "POST", "2.0/mlflow/registered-models/alias", &body)
            .await
            .ok();
    }
    let call = "2.0/mlflow/model-versions/search?max_results=2";
    let answer = app.get_by("ann", call).await.ok();
    assert_eq!(names(&answer, "model_versions", "name"), ["a", "a"]);
    for call in [
        "model-versions/get?name=b&version=1",
        "model-versions/get-download-uri?name=b&version=1",
        "registered-models/alias?name=b&alias=best",
        "registered-models/get?name=b",
        "registered-models/get-latest-versions?name=b",
        // Both names count.
        "model-versions/get?name=a&name=b&version=1",
    ] {
        let answer = app.get_by("ann", &format!("2.0/mlflow/{call}")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{call}");
    }
    // What is made from another's version needs it to be read.
    for source in [
        "models:/b/1",
        "models:/b@best",
        "models:/%62/1",
        "MODELS:/b/1",
    ] {
        let body = json!({"name": "a", "source": source});
        let created = app.by("ann", "POST", "2.0/mlflow/model-versions/create", &body);
        assert_eq!(created.await.status, StatusCode::FORBIDDEN, "{source}");
    }
    let body = json!({"name": "a", "source": "models:/a/1"});
    app.by("ann", "POST", "2.0/mlflow/model-versions/create", &body)
        .await
        .ok();
}

#[tokio::test]
async fn the_root_of_all_artifacts_shows_what_may_be_read() {
    let app: TestApp = app_with_users(Permission::NoPermissions).await;
    for (user, experiment) in [("ann", "1"), ("bob", "2")] {
        let run = app.run_by(user, experiment).await;
        let path = format!("2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/a.txt");
        let put = app.by(user, "PUT", &path, &json!("content")).await;
        assert_eq!(put.status, StatusCode::OK);
    }
    let root = "2.0/mlflow-artifacts/artifacts";
    let listed = app.get_by("ann", root).await.ok();
    assert_eq!(names(&listed, "files", "path"), ["1"]);
    let listed = app.get_by("admin", root).await.ok();
    assert_eq!(names(&listed, "files", "path"), ["1", "2"]);
    let answer = app.get_by("ann", &format!("{root}?path=2")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let answer = app.get_by("ann", &format!("{root}?path=1&path=2")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}
