//! Ways around the rules.

use axum::http::StatusCode;
use entities::{Permission, ResourceKind};
use serde_json::{Value, json};

use crate::helpers::{app_with_users, as_user, create_user, grant, refused};
use crate::support::TestApp;

/// Ann has all rights in experiment 1 and none in 2, where Bob's run is.
async fn two_experiments() -> (TestApp, String, String) {
    let app = app_with_users(Permission::NoPermissions).await;
    let own = app.run_by("ann", "1").await;
    let foreign = app.run_by("bob", "2").await;
    (app, own, foreign)
}

#[tokio::test]
async fn another_spelling_hides_no_run() {
    let (app, own, foreign) = two_experiments().await;
    for body in [
        json!({"run_id": foreign}),
        json!({"runId": foreign}),
        json!({"run_uuid": foreign}),
        json!({"runUuid": foreign}),
        json!({"run_id": own, "run_uuid": foreign}),
        json!({"run_uuid": own, "run_id": foreign}),
        json!({"run_id": "", "run_uuid": foreign}),
        json!({"runId": own, "run_uuid": foreign}),
    ] {
        let mut body = body;
        for (key, value) in [
            ("key", json!("k")),
            ("value", json!(1)),
            ("timestamp", json!(1)),
        ] {
            body[key] = value;
        }
        refused(&app, "POST", "2.0/mlflow/runs/log-metric", &body).await;
        refused(&app, "POST", "2.0/mlflow/runs/update", &body).await;
        refused(&app, "POST", "2.0/mlflow/runs/delete", &body).await;
    }
    // A body that is a text with the body in it, keys that come twice, and numbers that are no JSON.
    let texts = [
        serde_json::to_string(&json!({"run_id": foreign}).to_string()).unwrap(),
        format!(
            r#"{{"run_id": "{own}", "run_id": "{foreign}", "key": "k", "value": NaN, "timestamp": 1}}"#
        ),
        format!(r#"  {{"run_id": "{foreign}", "key": "k", "value": Infinity, "timestamp": 1}}"#),
    ];
    for text in texts {
        let path = "/api/2.0/mlflow/runs/log-metric";
        let answer = app.with(&as_user("ann"), "POST", path, text.clone()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{text}");
    }
    for call in [
        format!("runs/get?run_id={foreign}"),
        format!("runs/get?run_uuid={foreign}"),
        format!("runs/get?run_id={own}&run_id={foreign}"),
        format!("runs/get?run_id={own}&run_uuid={foreign}"),
        format!("runs/get?run%5Fid={foreign}"),
        format!("artifacts/list?run_id={foreign}"),
        format!("metrics/get-history?run_id={foreign}&metric_key=a"),
        format!("metrics/get-history-bulk?run_id={own}&run_id={foreign}&metric_key=a"),
        format!("metrics/get-history-bulk-interval?run_ids={own}&run_ids={foreign}&metric_key=a"),
    ] {
        refused(&app, "GET", &format!("2.0/mlflow/{call}"), &Value::Null).await;
    }
    let call = format!("2.0/mlflow/runs/get?run_id={foreign}");
    let run = app.get_by("bob", &call).await.ok();
    assert!(run["run"]["data"].get("metrics").is_none(), "{run}");
}

/// A decoder of structs passes over what it does not know, also what no other reader of JSON takes.
#[tokio::test]
async fn what_is_passed_over_hides_nothing() {
    let (app, own, foreign) = two_experiments().await;
    grant(
        &app,
        "ann",
        ResourceKind::Experiment,
        "0",
        Permission::Manage,
    )
    .await;
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let hiding = ["1e999", deep.as_str(), "\"\\ud800\"", "-1e999"];
    for hidden in hiding {
        for (call, body) in [
            (
                "2.0/mlflow/runs/create",
                r#""experiment_id": "2""#.to_owned(),
            ),
            (
                "2.0/mlflow/runs/update",
                format!(r#""run_id": "{foreign}""#),
            ),
            (
                "2.0/mlflow/runs/log-batch",
                format!(
                    r#""run_id": "{own}", "metrics": [{{"key": "k", "value": 1, "timestamp": 1, "model_id": "m-x"}}]"#
                ),
            ),
            (
                "2.0/mlflow/logged-models",
                r#""experiment_id": "2", "name": "n""#.to_owned(),
            ),
            (
                "2.0/mlflow/registered-models/create",
                r#""name": "*""#.to_owned(),
            ),
        ] {
            let body = format!(r#"{{{body}, "zzz": {hidden}}}"#);
            let path = format!("/api/{call}");
            let answer = app.with(&as_user("ann"), "POST", &path, body.clone()).await;
            let is_refused =
                [StatusCode::FORBIDDEN, StatusCode::BAD_REQUEST].contains(&answer.status);
            assert!(is_refused, "{call} {body}: {}", answer.status);
        }
    }
    let body = json!({"experiment_ids": ["2"]});
    let found = app
        .by("bob", "POST", "2.0/mlflow/runs/search", &body)
        .await
        .ok();
    assert_eq!(found["runs"].as_array().unwrap().len(), 1);
}

/// A decoder takes a list for a struct, field by field.
#[tokio::test]
async fn a_list_in_place_of_an_object_hides_no_experiment() {
    let (app, ..) = two_experiments().await;
    for (call, body) in [
        (
            "traces/search",
            json!({"locations": [{"mlflow_experiment": {"experiment_id": "1"}}, [["2"]]]}),
        ),
        (
            "traces/search",
            json!({"locations": [{"mlflow_experiment": {"experiment_id": "1"}}, {"mlflow_experiment": ["2"]}]}),
        ),
        (
            "traces",
            json!({"trace": [{"trace_id": "tr-1", "trace_location": {"mlflow_experiment": {"experiment_id": "2"}}, "request_time": "2025-01-01T00:00:00Z"}]}),
        ),
        (
            "traces",
            json!({"trace": {"trace_info": ["tr-1", "c", [["2"]], "", "", "2025-01-01T00:00:00Z"]}}),
        ),
    ] {
        let call = format!("3.0/mlflow/{call}");
        let answer = app.by("ann", "POST", &call, &body).await;
        assert!(answer.status.is_client_error(), "{body}");
        let is_refused = [StatusCode::FORBIDDEN, StatusCode::BAD_REQUEST].contains(&answer.status);
        assert!(is_refused, "{body}: {}", answer.status);
    }
    let body = json!({"locations": [{"mlflow_experiment": {"experiment_id": "1"}}, {"mlflowExperiment": {"experimentId": "2"}}]});
    refused(&app, "POST", "3.0/mlflow/traces/search", &body).await;
}

#[tokio::test]
async fn paths_of_artifacts_lead_nowhere_else() {
    let (app, own, foreign) = two_experiments().await;
    let proxy = "2.0/mlflow-artifacts/artifacts";
    let file = format!("{proxy}/2/{foreign}/artifacts/a.txt");
    app.by("bob", "PUT", &file, &json!("secret")).await.ok();
    for path in [
        format!("2/{foreign}/artifacts/a.txt"),
        format!("%32/{foreign}/artifacts/a.txt"),
        format!("2%2F{foreign}%2Fartifacts%2Fa.txt"),
        format!("2/{foreign}/artifacts/none.txt"),
        format!("1/../2/{foreign}/artifacts/a.txt"),
        format!("1%2F..%2F2/{foreign}/artifacts/a.txt"),
        format!("1/%2e%2e/2/{foreign}/artifacts/a.txt"),
        format!("./2/{foreign}/artifacts/a.txt"),
        format!("/2/{foreign}/artifacts/a.txt"),
        format!("1/{foreign}/artifacts/a.txt"),
        format!("x/{foreign}/a.txt"),
        "2".to_owned(),
    ] {
        for method in ["GET", "PUT", "DELETE"] {
            let answer = app
                .by("ann", method, &format!("{proxy}/{path}"), &json!("x"))
                .await;
            let is_refused =
                [StatusCode::FORBIDDEN, StatusCode::BAD_REQUEST].contains(&answer.status);
            assert!(is_refused, "{method} {path}: {}", answer.status);
        }
    }
    let kept = app.get_by("bob", &file).await;
    assert_eq!(kept.body, b"\"secret\"");
    // The other ways to the same bytes.
    for path in [
        format!("/get-artifact?run_id={foreign}&path=a.txt"),
        format!("/get-artifact?run_uuid={foreign}&path=a.txt"),
        format!("/get-artifact?run_id={own}&run_uuid={foreign}&path=a.txt"),
        format!("/api/2.0/mlflow/artifacts/list?run_id={foreign}"),
        format!("/api/2.0/mlflow-artifacts/artifacts.zip?run_id={foreign}"),
        format!("/api/2.0/mlflow-artifacts/artifacts.zip?run_id={own}&run_id={foreign}"),
        format!("/api/2.0/mlflow-artifacts/artifacts.zip?path=2/{foreign}/artifacts"),
        format!("/api/2.0/mlflow-artifacts/artifacts.zip?path=2%2F{foreign}%2Fartifacts"),
        "/api/2.0/mlflow-artifacts/artifacts.zip?path=2".to_owned(),
        format!("/api/2.0/mlflow-artifacts/artifacts.zip?path=1&path=2/{foreign}"),
    ] {
        let answer = app.with(&as_user("ann"), "GET", &path, "").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
    }
    let escaping = format!("/get-artifact?run_id={own}&path=../../../2/{foreign}/artifacts/a.txt");
    let answer = app.with(&as_user("ann"), "GET", &escaping, "").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    for query in [
        format!("run_uuid={foreign}"),
        format!("run_uuid={foreign}&run_uuid={own}"),
        format!("run_uuid={own}&run_id={foreign}"),
    ] {
        let path = format!("/ajax-api/2.0/mlflow/upload-artifact?{query}&path=a.txt");
        let answer = app.with(&as_user("ann"), "POST", &path, "x").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{query}");
    }
    let path = format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={own}&path=b.txt");
    let answer = app.with(&as_user("ann"), "POST", &path, "no JSON").await;
    assert_eq!(answer.status, StatusCode::OK);
}

/// Where the files of a trace are is a tag, and where those of an experiment are is chosen by who makes it.
#[tokio::test]
async fn a_place_that_somebody_chose_gives_nobody_elses_files() {
    let (app, _, foreign) = two_experiments().await;
    let folder = format!("2/{foreign}/artifacts");
    let file = format!("2.0/mlflow-artifacts/artifacts/{folder}/attachments/a.txt");
    app.by("bob", "PUT", &file, &json!("secret")).await.ok();
    let info = json!({"trace": {"trace_info": {
        "trace_id": "tr-1",
        "trace_location": {"mlflow_experiment": {"experiment_id": "1"}},
        "request_time": "2025-01-01T00:00:00Z",
        "tags": {"mlflow.artifactLocation": format!("mlflow-artifacts:/{folder}")},
    }}});
    app.by("ann", "POST", "3.0/mlflow/traces", &info).await.ok();
    let call = "/ajax-api/3.0/mlflow/get-trace-artifact?request_id=tr-1&path=a.txt";
    let answer = app.with(&as_user("ann"), "GET", call, "").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let answer = app.with(&as_user("admin"), "GET", call, "").await;
    assert_eq!(answer.status, StatusCode::OK);

    let body =
        json!({"name": "inside", "artifact_location": format!("mlflow-artifacts:/{folder}")});
    let made = app
        .by("ann", "POST", "2.0/mlflow/experiments/create", &body)
        .await;
    let made = made.ok()["experiment_id"].as_str().unwrap().to_owned();
    let run = app.run_by("ann", &made).await;
    let path = format!("/get-artifact?run_id={run}&path=attachments/a.txt");
    let answer = app.with(&as_user("ann"), "GET", &path, "").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let inside = format!("2.0/mlflow-artifacts/artifacts/{folder}/{run}/artifacts/a.txt");
    refused(&app, "PUT", &inside, &json!("x")).await;
    let call =
        |run: &str| format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=a.txt");
    let answer = app.with(&as_user("ann"), "POST", &call(&run), "x").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let listed = app.bench.tracking.list_artifacts_below(&folder).await;
    assert_eq!(listed.unwrap().len(), 1);
    // Neither in the experiment of another by its number.
    let body = json!({"name": "beside", "artifact_location": "mlflow-artifacts:/2"});
    let made = app
        .by("ann", "POST", "2.0/mlflow/experiments/create", &body)
        .await;
    let made = made.ok()["experiment_id"].as_str().unwrap().to_owned();
    let run = app.run_by("ann", &made).await;
    let answer = app.with(&as_user("ann"), "POST", &call(&run), "x").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    // A place that is nobody else's is one's own.
    let body = json!({"name": "own", "artifact_location": "mlflow-artifacts:/place"});
    let made = app
        .by("ann", "POST", "2.0/mlflow/experiments/create", &body)
        .await;
    let made = made.ok()["experiment_id"].as_str().unwrap().to_owned();
    let run = app.run_by("ann", &made).await;
    let answer = app.with(&as_user("ann"), "POST", &call(&run), "x").await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn traces_of_others_are_neither_read_nor_added_to() {
    let (app, own, _) = two_experiments().await;
    let info = |experiment: &str, id: &str| {
        json!({"trace": {"trace_info": {
            "trace_id": id,
            "trace_location": {"mlflow_experiment": {"experiment_id": experiment}},
            "request_time": "2025-01-01T00:00:00Z",
        }}})
    };
    app.by("bob", "POST", "3.0/mlflow/traces", &info("2", "tr-b"))
        .await
        .ok();
    // Under another experiment it would be added to where it is.
    refused(&app, "POST", "3.0/mlflow/traces", &info("1", "tr-b")).await;
    refused(&app, "POST", "3.0/mlflow/traces", &info("2", "tr-c")).await;
    for (method, call, body) in [
        ("GET", "3.0/mlflow/traces/tr-b", json!(null)),
        ("GET", "3.0/mlflow/traces/tr%2Db", json!(null)),
        ("GET", "3.0/mlflow/traces/get?trace_id=tr-b", json!(null)),
        (
            "GET",
            "3.0/mlflow/traces/batchGet?trace_ids=tr-b",
            json!(null),
        ),
        (
            "POST",
            "3.0/mlflow/traces/batchGetInfos",
            json!({"traceIds": ["tr-b"]}),
        ),
        ("GET", "2.0/mlflow/traces/tr-b/info", json!(null)),
        (
            "PATCH",
            "3.0/mlflow/traces/tr-b/tags",
            json!({"key": "k", "value": "v"}),
        ),
        (
            "PATCH",
            "2.0/mlflow/traces/tr-b",
            json!({"timestamp_ms": 1}),
        ),
        (
            "POST",
            "3.0/mlflow/traces/link-to-run",
            json!({"trace_ids": ["tr-b"], "run_id": own}),
        ),
        (
            "POST",
            "3.0/mlflow/traces/link-prompts",
            json!({"trace_id": "tr-b", "prompt_versions": [{"name": "n", "version": "1"}]}),
        ),
        (
            "POST",
            "3.0/mlflow/traces/delete-traces",
            json!({"experiment_id": "2", "request_ids": ["tr-b"]}),
        ),
        (
            "POST",
            "3.0/mlflow/traces/delete-traces",
            json!({"experiment_id": "1", "request_ids": ["tr-b"]}),
        ),
        (
            "POST",
            "3.0/mlflow/traces/tr-b/assessments",
            json!({"assessment": {"assessment_name": "a", "feedback": {"value": 1}}}),
        ),
        (
            "GET",
            "2.0/mlflow/traces?experiment_ids=1&experiment_ids=2",
            json!(null),
        ),
        (
            "POST",
            "3.0/mlflow/traces/calculate-filter-correlation",
            json!({"experimentIds": ["2"], "filter_string1": "a", "filterString2": "b"}),
        ),
        (
            "POST",
            "3.0/mlflow/traces/metrics",
            json!({"experiment_ids": ["1"], "experimentIds": ["1", "2"], "view_type": "TRACES",
                "metric_name": "trace_count", "aggregations": [{"aggregation_type": "COUNT"}]}),
        ),
    ] {
        refused(&app, method, call, &body).await;
    }
    let spans = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
        "traceId": "0123456789abcdef0123456789abcdef", "spanId": "0123456789abcdef", "name": "s",
        "startTimeUnixNano": "1", "endTimeUnixNano": "2"}]}]}]});
    let export = async |user: &str, experiment: &str| {
        let request = axum::http::Request::builder()
            .method("POST")
            .uri("/v1/traces");
        let request = request.header("content-type", "application/json");
        let request = request.header("authorization", as_user(user));
        let request = request.header("x-mlflow-experiment-id", experiment);
        let request = request.body(axum::body::Body::from(spans.to_string()));
        app.send(request.unwrap()).await.status.as_u16()
    };
    assert_eq!(export("bob", "2").await, 200);
    assert_eq!(export("ann", "2").await, 403);
    // The same spans, said to be of her own experiment, are of Bob's trace.
    assert_eq!(export("ann", "1").await, 403);
}

#[tokio::test]
async fn issues_and_questions_of_others_stay_theirs() {
    let (app, own, foreign) = two_experiments().await;
    let issue = json!({"experiment_id": "2", "name": "n", "description": "secret", "source_run_id": foreign});
    let made = app
        .by("bob", "POST", "3.0/mlflow/issues", &issue)
        .await
        .ok();
    let made = made["issue"]["issue_id"].as_str().unwrap().to_owned();
    let input = json!({"text": {}});
    let schema = json!({"experiment_id": "2", "name": "Why?", "type": "FEEDBACK", "input": input});
    let create = "3.0/mlflow/label-schemas/create";
    let asked = app.by("bob", "POST", create, &schema).await.ok();
    let asked = asked["label_schema"]["schema_id"]
        .as_str()
        .unwrap()
        .to_owned();
    for (method, call, body) in [
        ("GET", format!("3.0/mlflow/issues/{made}"), json!(null)),
        ("GET", "3.0/mlflow/issues/iss-none".to_owned(), json!(null)),
        (
            "PATCH",
            format!("3.0/mlflow/issues/{made}"),
            json!({"issue_id": made, "name": "x"}),
        ),
        ("POST", "3.0/mlflow/issues".to_owned(), issue.clone()),
        (
            "POST",
            "3.0/mlflow/issues/search".to_owned(),
            json!({"experimentId": "2"}),
        ),
        (
            "POST",
            "3.0/mlflow/issues/search".to_owned(),
            json!({"experiment_id": "1", "experimentId": "2"}),
        ),
        // Her own issue would tell of his run.
        (
            "POST",
            "3.0/mlflow/issues".to_owned(),
            json!({"experiment_id": "1", "name": "n", "description": "d", "sourceRunId": foreign}),
        ),
        ("POST", create.to_owned(), schema.clone()),
        (
            "GET",
            format!("3.0/mlflow/label-schemas/get?schema_id={asked}"),
            json!(null),
        ),
        (
            "GET",
            format!("3.0/mlflow/label-schemas/get?schema_id=ls-{:0>32}", 2),
            json!(null),
        ),
        (
            "GET",
            "3.0/mlflow/label-schemas/get-by-name?experiment_id=2&name=Why%3F".to_owned(),
            json!(null),
        ),
        (
            "GET",
            "3.0/mlflow/label-schemas/list?experiment_id=2".to_owned(),
            json!(null),
        ),
        (
            "PATCH",
            "3.0/mlflow/label-schemas/update".to_owned(),
            json!({"schemaId": asked}),
        ),
        (
            "DELETE",
            "3.0/mlflow/label-schemas/delete".to_owned(),
            json!({"schema_id": asked}),
        ),
    ] {
        refused(&app, method, &call, &body).await;
    }
    let mine = json!({"experiment_id": "1", "name": "n", "description": "d", "source_run_id": own});
    app.by("ann", "POST", "3.0/mlflow/issues", &mine).await.ok();
    // Without an experiment, those of everybody would be searched.
    let all = json!({});
    let everywhere = app.by("ann", "POST", "3.0/mlflow/issues/search", &all);
    assert_eq!(everywhere.await.status, StatusCode::BAD_REQUEST);
    let search = json!({"experiment_id": "1", "include_trace_count": true});
    let found = app
        .by("ann", "POST", "3.0/mlflow/issues/search", &search)
        .await
        .ok();
    assert_eq!(found["issues"][0]["trace_count"], 0);
    // Who may read an experiment may not ask people something else there.
    grant(&app, "ann", ResourceKind::Experiment, "2", Permission::Edit).await;
    app.get_by(
        "ann",
        &format!("3.0/mlflow/label-schemas/get?schema_id={asked}"),
    )
    .await
    .ok();
    let change = json!({"schema_id": asked, "name": "x"});
    refused(&app, "PATCH", "3.0/mlflow/label-schemas/update", &change).await;
}

#[tokio::test]
async fn models_datasets_and_scorers_of_others_stay_theirs() {
    let (app, own, _) = two_experiments().await;
    let body = json!({"experiment_id": "2", "name": "net"});
    let model = app
        .by("bob", "POST", "2.0/mlflow/logged-models", &body)
        .await
        .ok();
    let model = model["model"]["info"]["model_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let body = json!({"name": "d", "experiment_ids": ["2"]});
    let dataset = app
        .by("bob", "POST", "3.0/mlflow/datasets/create", &body)
        .await
        .ok();
    let dataset = dataset["dataset"]["dataset_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let body = json!({"experiment_id": "2", "name": "judge", "serialized_scorer": "{}"});
    let registered = app
        .by("bob", "POST", "3.0/mlflow/scorers/register", &body)
        .await;
    let has_scorer = registered.status == StatusCode::OK;
    assert!(has_scorer, "{}", String::from_utf8_lossy(&registered.body));
    let point = json!({"key": "k", "value": 1, "timestamp": 1, "model_id": model});
    for (method, call, body) in [
        (
            "GET",
            format!("2.0/mlflow/logged-models/{model}"),
            json!(null),
        ),
        (
            "PATCH",
            format!("2.0/mlflow/logged-models/{model}/tags"),
            json!({"tags": []}),
        ),
        (
            "POST",
            "2.0/mlflow/runs/log-batch".to_owned(),
            json!({"run_id": own, "metrics": [point]}),
        ),
        (
            "POST",
            "2.0/mlflow/runs/log-inputs".to_owned(),
            json!({"run_id": own, "models": [{"modelId": model}]}),
        ),
        (
            "POST",
            "2.0/mlflow/runs/outputs".to_owned(),
            json!({"run_id": own, "models": [{"model_id": model}]}),
        ),
        (
            "POST",
            "2.0/mlflow/logged-models".to_owned(),
            json!({"experiment_id": "2", "name": "x"}),
        ),
        ("GET", format!("3.0/mlflow/datasets/{dataset}"), json!(null)),
        (
            "GET",
            format!("3.0/mlflow/datasets/{dataset}/records"),
            json!(null),
        ),
        (
            "POST",
            format!("3.0/mlflow/datasets/{dataset}/add-experiments"),
            json!({"experiment_ids": ["1"]}),
        ),
        (
            "POST",
            "3.0/mlflow/datasets/create".to_owned(),
            json!({"name": "e", "experiment_ids": ["1", "2"]}),
        ),
        (
            "POST",
            "3.0/mlflow/datasets/search".to_owned(),
            json!({"experiment_ids": ["1", "2"]}),
        ),
        (
            "GET",
            "3.0/mlflow/scorers/get?experiment_id=2&name=judge".to_owned(),
            json!(null),
        ),
        (
            "GET",
            "3.0/mlflow/scorers/versions?experiment_id=2&name=judge".to_owned(),
            json!(null),
        ),
        (
            "DELETE",
            "3.0/mlflow/scorers/delete".to_owned(),
            json!({"experiment_id": "2", "name": "judge"}),
        ),
        (
            "POST",
            "2.0/mlflow/experiments/search-datasets".to_owned(),
            json!({"experimentIds": ["2"]}),
        ),
    ] {
        refused(&app, method, &call, &body).await;
    }
    let listed = app.get_by("ann", "3.0/mlflow/scorers/list").await.ok();
    assert_eq!(listed, json!({}));
    let listed = app.get_by("bob", "3.0/mlflow/scorers/list").await.ok();
    assert_eq!(listed["scorers"].as_array().unwrap().len(), 1);
    // A denied experiment denies its scorers, whatever was said of one.
    create_user(&app, "eve").await;
    grant(
        &app,
        "eve",
        ResourceKind::Scorer,
        "2/judge",
        Permission::Manage,
    )
    .await;
    let get = async || {
        let call = "3.0/mlflow/scorers/get?experiment_id=2&name=judge";
        app.get_by("eve", call).await.status.as_u16()
    };
    assert_eq!(get().await, 200);
    grant(&app, "eve", ResourceKind::Experiment, "2", Permission::Deny).await;
    assert_eq!(get().await, 403);
}

#[tokio::test]
async fn a_denial_of_runs_denies_them_everywhere() {
    let app = app_with_users(Permission::Read).await;
    let run = app.run_by("bob", "2").await;
    grant(&app, "ann", ResourceKind::Run, "*", Permission::Deny).await;
    let file = format!("2.0/mlflow-artifacts/artifacts/2/{run}/artifacts/a.txt");
    app.by("bob", "PUT", &file, &json!("x")).await.ok();
    for call in [
        format!("2.0/mlflow/runs/get?run_id={run}"),
        file,
        "2.0/mlflow-artifacts/artifacts?path=2/x".to_owned(),
        "2.0/mlflow/model-versions/search?filter=run_id%3D'x'".to_owned(),
    ] {
        refused(&app, "GET", &call, &Value::Null).await;
    }
    let own = json!({"experiment_id": "1"});
    refused(&app, "POST", "2.0/mlflow/runs/create", &own).await;
    let body = json!({"experiment_ids": ["1", "2"]});
    let found = app.by("ann", "POST", "2.0/mlflow/runs/search", &body).await;
    assert_eq!(found.ok(), json!({}));
    let read = app.get_by("ann", "2.0/mlflow/experiments/get?experiment_id=2");
    assert_eq!(read.await.status, StatusCode::OK);
}
