//! Evaluation datasets and scorers over HTTP, beyond what the measured pairs of MLflow hold: hostile requests, what is
//! left of what is deleted, and the endpoint of a captured run.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use axum::http::Method;
use serde_json::{Value, json};
use support::{Answer, TestApp};
use testkit::TestBench;

async fn call(app: &TestApp, method: Method, path: &str, body: &Value) -> Answer {
    let path = format!("/api/3.0/mlflow/{path}");
    app.request(method, &path, body.to_string()).await
}

async fn get(app: &TestApp, path: &str) -> Answer {
    app.get_path(&format!("/api/3.0/mlflow/{path}")).await
}

async fn create(app: &TestApp, name: &str) -> String {
    let body = json!({"name": name, "experiment_ids": ["0"]});
    let created = call(app, Method::POST, "datasets/create", &body).await.ok();
    let id = created["dataset"]["dataset_id"].as_str();
    id.unwrap().to_owned()
}

async fn merge(app: &TestApp, id: &str, records: &Value) -> Answer {
    let path = format!("datasets/{id}/records");
    let body = json!({"records": records.to_string()});
    call(app, Method::POST, &path, &body).await
}

async fn records(app: &TestApp, id: &str) -> Vec<Value> {
    let found = get(app, &format!("datasets/{id}/records")).await.ok();
    serde_json::from_str(found["records"].as_str().unwrap()).unwrap()
}

async fn register(app: &TestApp, name: &str) -> Answer {
    let body =
        json!({"experiment_id": "0", "name": name, "serialized_scorer": "{\"name\": \"s\"}"});
    call(app, Method::POST, "scorers/register", &body).await
}

fn denied(answer: &Answer) {
    let (status, code, message) = answer.error();
    assert_eq!(
        (status, code.as_str()),
        (403, "PERMISSION_DENIED"),
        "{message}"
    );
}

#[tokio::test]
async fn values_of_other_types_are_refused_and_never_a_fault_of_the_server() {
    let app = TestApp::team().await;
    let id = create(&app, "qa").await;
    let records = format!("datasets/{id}/records");
    let tags = format!("datasets/{id}/tags");
    let add = format!("datasets/{id}/add-experiments");
    let remove = format!("datasets/{id}/remove-experiments");
    let (post, patch, put) = (Method::POST, Method::PATCH, Method::PUT);
    let fields = [
        (&post, "datasets/create", "name"),
        (&post, "datasets/create", "tags"),
        (&post, "datasets/create", "experiment_ids"),
        (&post, "datasets/search", "experiment_ids"),
        (&post, "datasets/search", "filter_string"),
        (&post, "datasets/search", "order_by"),
        (&post, "datasets/search", "max_results"),
        (&post, "datasets/search", "page_token"),
        (&post, records.as_str(), "records"),
        (&Method::DELETE, records.as_str(), "dataset_record_ids"),
        (&patch, tags.as_str(), "tags"),
        (&post, add.as_str(), "experiment_ids"),
        (&post, remove.as_str(), "experiment_ids"),
        (&post, "scorers/register", "experiment_id"),
        (&post, "scorers/register", "name"),
        (&post, "scorers/register", "serialized_scorer"),
        (&Method::DELETE, "scorers/delete", "version"),
        (&put, "scorers/online-config", "sample_rate"),
        (&put, "scorers/online-config", "filter_string"),
    ];
    for (method, path, field) in fields {
        for value in [json!({"a": [1]}), json!([[1]]), json!(true), json!([null])] {
            let mut body = json!({
                "name": "n", "experiment_id": "0", "serialized_scorer": "{}", "sample_rate": 0,
            });
            body[field] = value;
            let answer = call(&app, method.clone(), path, &body).await;
            let (status, code, _) = answer.error();
            assert_eq!(
                (status, code.as_str()),
                (400, "INVALID_PARAMETER_VALUE"),
                "{method} {path} {body}"
            );
        }
    }
}

#[tokio::test]
async fn records_that_are_none_are_refused_whole_and_say_which() {
    let app = TestApp::team().await;
    let id = create(&app, "qa").await;
    let deep = format!(
        "[{{\"inputs\": {{\"a\": {}1{}}}}}]",
        "[".repeat(5000),
        "]".repeat(5000)
    );
    for (records, word) in [
        ("nope", "no JSON"),
        ("{}", "array"),
        ("\"\"", "array"),
        ("[[]]", "record 0"),
        ("[{}, 5]", "record 1"),
        ("[{}, {\"inputs\": []}]", "records[1].inputs"),
        ("[{\"inputs\": null}]", "records[0].inputs"),
        ("[{\"expectations\": \"x\"}]", "records[0].expectations"),
        ("[{\"tags\": []}]", "records[0].tags"),
        ("[{\"source\": \"x\"}]", "records[0].source"),
        ("[{\"source\": {\"source_type\": 5}}]", "source_type"),
        ("[{\"source\": {\"source_type\": \"MOON\"}}]", "MOON"),
        (
            "[{\"source\": {\"source_type\": \"CODE\", \"x\": 1}}]",
            "records[0].source",
        ),
        (
            "[{\"source\": {\"source_type\": \"CODE\", \"source_data\": 5}}]",
            "source_data",
        ),
        ("[{\"inputs\": {\"a\": 1e999}}]", "no JSON"),
        ("[{\"inputs\": {\"a\": \"\\u0000NaN\"}}]", "null character"),
        (deep.as_str(), "no JSON"),
    ] {
        let path = format!("datasets/{id}/records");
        let body = json!({"records": records});
        let answer = call(&app, Method::POST, &path, &body).await;
        let (status, _, message) = answer.error();
        assert_eq!(status, 400, "{message}");
        assert!(message.contains(word), "{message} lacks {word}");
    }
    let many = Value::Array(vec![json!({}); 100_001]);
    let (status, _, message) = merge(&app, &id, &many).await.error();
    assert_eq!(status, 400);
    assert!(message.contains("100000"), "{message}");
    assert!(records(&app, &id).await.is_empty());
    let found = get(&app, &format!("datasets/{id}")).await.ok();
    assert_eq!(found["dataset"].get("profile"), None);
}

#[tokio::test]
async fn ids_that_are_none_name_nothing_wherever_they_lead() {
    let app = TestApp::team().await;
    for id in [
        "d-1%2F2",
        "..",
        "%2e%2e%2f",
        "%00",
        "d-1'--",
        "x%20y",
        "%f0%9f%92%a9",
    ] {
        let found = get(&app, &format!("datasets/{id}")).await;
        assert_eq!(found.status, 404, "{id}");
        let path = format!("datasets/{id}/tags");
        let set = call(&app, Method::PATCH, &path, &json!({"tags": "{}"})).await;
        assert_eq!(set.status, 404, "{id}");
        assert_eq!(merge(&app, id, &json!([{}])).await.status, 404, "{id}");
    }
    let id = create(&app, "qa").await;
    let hostile = json!([
        "../..",
        "dr-1'; DROP TABLE dataset_record; --",
        "",
        "dr-\u{0}"
    ]);
    let path = format!("datasets/{id}/records");
    let body = json!({"dataset_record_ids": hostile});
    let deleted = call(&app, Method::DELETE, &path, &body).await.ok();
    assert_eq!(deleted["deleted_count"], 0);
    // A key may hold what a path cannot.
    let tags = json!({"tags": "{\"a/b\": \"1\", \"'; --\": \"2\", \"\": \"3\"}"});
    call(&app, Method::PATCH, &format!("datasets/{id}/tags"), &tags)
        .await
        .ok();
    for key in ["a%2Fb", "'%3B%20--"] {
        let path = format!("datasets/{id}/tags/{key}");
        call(&app, Method::DELETE, &path, &json!({})).await.ok();
    }
    let found = get(&app, &format!("datasets/{id}")).await.ok();
    assert_eq!(found["dataset"]["tags"], "{\"\": \"3\"}");
    assert_eq!(app.bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test]
async fn hostile_texts_are_told_as_they_came_and_filters_hold_no_sql() {
    let app = TestApp::team().await;
    let hostile = "</script>'; DROP TABLE evaluation_dataset; --\u{0}\u{202e}\"";
    let id = create(&app, hostile).await;
    let said = json!([{"inputs": {hostile: hostile}, "outputs": hostile,
        "expectations": {hostile: [hostile]}, "tags": {"mlflow.user": hostile},
        "source": {"source_type": "document", "source_data": {"source_id": hostile}}}]);
    merge(&app, &id, &said).await.ok();
    let found = records(&app, &id).await;
    assert_eq!(found[0]["inputs"], json!({hostile: hostile}));
    assert_eq!(found[0]["source_id"], hostile);
    assert_eq!(found[0]["created_by"], hostile);
    for (filter, is_found) in [
        ("name = ''' OR 1=1 --'", Some(false)),
        ("name = 'x' OR 1=1", None),
        ("name = 'x'; DROP TABLE evaluation_dataset", None),
        ("tags.`a' OR 1=1 --` = 'x'", Some(false)),
        ("name LIKE '%DROP TABLE%'", Some(true)),
        ("number = 1", None),
        ("digest = 'x'", None),
    ] {
        let body = json!({"filter_string": filter});
        let answer = call(&app, Method::POST, "datasets/search", &body).await;
        match is_found {
            None => assert_eq!(answer.error().0, 400, "{filter}"),
            Some(is_found) => {
                let found = answer.ok();
                assert_eq!(found.get("datasets").is_some(), is_found, "{filter}");
            }
        }
    }
    for order in ["name; DROP TABLE x", "created_time DESC, 1", "number"] {
        let body = json!({"order_by": [order]});
        let answer = call(&app, Method::POST, "datasets/search", &body).await;
        assert_eq!(answer.error().0, 400, "{order}");
    }
    let name = "'; DROP TABLE scorer; --";
    register(&app, name).await.ok();
    let listed = get(&app, "scorers/list?experiment_id=0").await.ok();
    assert_eq!(listed["scorers"][0]["scorer_name"], name);
    assert_eq!(app.bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test]
async fn what_is_too_long_is_refused() {
    let app = TestApp::team().await;
    let id = create(&app, "qa").await;
    let long = |length: usize| "ü".repeat(length);
    let tags = |key: String, value: String| json!({"tags": json!({key: value}).to_string()});
    let path = format!("datasets/{id}/tags");
    for (body, is_taken) in [
        (tags(long(250), long(1 << 20)), true),
        (tags(long(251), String::new()), false),
        (tags(String::new(), long((1 << 20) + 1)), false),
    ] {
        let answer = call(&app, Method::PATCH, &path, &body).await;
        assert_eq!(answer.status == 200, is_taken);
    }
    let body = json!({"name": long(1001)});
    let answer = call(&app, Method::POST, "datasets/create", &body).await;
    assert_eq!(answer.error().0, 400);
    assert_eq!(register(&app, &long(1001)).await.error().0, 400);
    let body = json!({"experiment_id": "0", "name": "n", "serialized_scorer": format!("{{\"a\": \"{}\"}}", long(1 << 20))});
    let answer = call(&app, Method::POST, "scorers/register", &body).await;
    assert_eq!(answer.error().0, 400);
    let body = format!("{{\"records\": \"{}\"}}", "x".repeat(65 << 20));
    let path = format!("/api/3.0/mlflow/datasets/{id}/records");
    let answer = app.request(Method::POST, &path, body).await;
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn nothing_is_left_of_what_a_deleted_record_said() {
    let app = TestApp::team().await;
    let id = create(&app, "qa").await;
    let said = json!([
        {"inputs": {"person": "Ada Lovelace"}, "expectations": {"born": "1815"}},
        {"inputs": {"person": "Grace Hopper"}},
    ]);
    merge(&app, &id, &said).await.ok();
    let again = json!([{"inputs": {"person": "Ada Lovelace"}, "outputs": "a countess"}]);
    merge(&app, &id, &again).await.ok();
    let record = records(&app, &id).await[0]["dataset_record_id"].clone();
    let path = format!("datasets/{id}/records");
    let body = json!({"dataset_record_ids": [record, record, "dr-none"]});
    let deleted = call(&app, Method::DELETE, &path, &body).await.ok();
    assert_eq!(deleted["deleted_count"], 1);
    assert_eq!(app.bench.store.verify_projection().await.unwrap(), None);
    assert!(holds(&app, "Grace Hopper"));
    for gone in ["Ada Lovelace", "a countess", "1815"] {
        assert!(!holds(&app, gone), "{gone} is still there");
    }
    // The names of fields stay with the dataset, and go with it.
    assert!(holds(&app, "\"person\""));
    let path = format!("datasets/{id}");
    call(&app, Method::DELETE, &path, &json!({})).await.ok();
    assert!(!holds(&app, "Grace Hopper") && !holds(&app, "\"person\""));
    assert_eq!(app.bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test]
async fn what_somebody_still_reads_is_gone_once_they_have() {
    let app = TestApp::team().await;
    let id = create(&app, "qa").await;
    let said = json!([{"inputs": {"name": "Ada Lovelace"}}]);
    merge(&app, &id, &said).await.ok();
    let reader = rusqlite::Connection::open(app.bench.database()).unwrap();
    let begin = "BEGIN; SELECT COUNT(*) FROM dataset_text;";
    reader.execute_batch(begin).unwrap();
    let path = format!("datasets/{id}");
    call(&app, Method::DELETE, &path, &json!({})).await.ok();
    assert!(holds(&app, "Ada Lovelace"));
    reader.execute_batch("COMMIT").unwrap();
    create(&app, "another").await;
    assert!(!holds(&app, "Ada Lovelace"));
}

/// Whether a text stands in the database or in its log.
fn holds(app: &TestApp, text: &str) -> bool {
    let path = app.bench.database();
    let log = path.with_file_name(format!(
        "{}-wal",
        path.file_name().unwrap().to_str().unwrap()
    ));
    [path, log].into_iter().any(|path| {
        let bytes = std::fs::read(path).unwrap();
        bytes
            .windows(text.len())
            .any(|found| found == text.as_bytes())
    })
}

#[tokio::test]
async fn records_merged_at_once_are_one_where_their_inputs_are() {
    let app = TestApp::team().await;
    let id = create(&app, "qa").await;
    let one = json!([{"inputs": {"q": 1}, "expectations": {"a": 1}}, {"inputs": {"q": 2}}]);
    let other = json!([{"inputs": {"q": 2}}, {"inputs": {"q": 1}, "expectations": {"b": 2}}]);
    let answers = tokio::join!(
        merge(&app, &id, &one),
        merge(&app, &id, &other),
        merge(&app, &id, &one),
        merge(&app, &id, &other),
    );
    for answer in [answers.0, answers.1, answers.2, answers.3] {
        answer.ok();
    }
    let found = records(&app, &id).await;
    assert_eq!(found.len(), 2);
    let of_one = found.iter().find(|record| record["inputs"]["q"] == 1);
    assert_eq!(of_one.unwrap()["expectations"], json!({"a": 1, "b": 2}));
    let versions = tokio::join!(
        register(&app, "s"),
        register(&app, "s"),
        register(&app, "s")
    );
    let mut numbers: Vec<_> = [versions.0, versions.1, versions.2]
        .iter()
        .map(|answer| answer.ok()["version"].as_u64())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [Some(1), Some(2), Some(3)]);
    assert_eq!(app.bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test]
async fn a_captured_run_changes_what_it_made_and_secrets_have_no_value() {
    let (app, _) = TestApp::run(Vec::new(), Vec::new()).await;
    let id = create(&app, "mine").await;
    let tags = json!({"tags": "{\"password\": \"hunter2\", \"team\": \"blue\"}"});
    let path = format!("datasets/{id}/tags");
    call(&app, Method::PATCH, &path, &tags).await.ok();
    let found = get(&app, &format!("datasets/{id}")).await.ok();
    let told = found["dataset"]["tags"].as_str().unwrap();
    assert_eq!(told, "{\"password\": \"***\", \"team\": \"blue\"}");
    let secret = json!({"password": "hunter2", "deep": [{"db_password": ["hunter2"]}]});
    let said = json!([{
        "inputs": {"q": 1, "given": secret}, "outputs": secret, "expectations": secret, "tags": secret,
        "source": {"source_type": "CODE", "source_data": secret},
    }]);
    merge(&app, &id, &said).await.ok();
    let found = records(&app, &id).await;
    let told = Value::from(found.clone()).to_string();
    assert!(!told.contains("hunter2"), "{told}");
    assert_eq!(told.matches("***").count(), 10, "{told}");
    // With another password it is the same record.
    let changed = said.to_string().replace("hunter2", "hunter3");
    let merged = merge(&app, &id, &serde_json::from_str(&changed).unwrap()).await;
    assert_eq!(merged.ok()["updated_count"], 1);
    let body = json!({"experiment_ids": ["0"]});
    for path in ["add-experiments", "remove-experiments"] {
        let path = format!("datasets/{id}/{path}");
        call(&app, Method::POST, &path, &body).await.ok();
    }
    let ids = json!({"dataset_record_ids": [found[0]["dataset_record_id"]]});
    let path = format!("datasets/{id}/records");
    call(&app, Method::DELETE, &path, &ids).await.ok();
    register(&app, "judge").await.ok();
    register(&app, "judge").await.ok();
    let online = json!({"experiment_id": "0", "name": "judge", "sample_rate": 0});
    call(&app, Method::PUT, "scorers/online-config", &online)
        .await
        .ok();
    for version in [json!(2), Value::Null] {
        let body = json!({"experiment_id": "0", "name": "judge", "version": version});
        call(&app, Method::DELETE, "scorers/delete", &body)
            .await
            .ok();
    }
    let path = format!("datasets/{id}");
    call(&app, Method::DELETE, &path, &json!({})).await.ok();
    assert_eq!(app.bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test]
async fn what_others_made_can_be_read_in_a_captured_run_and_not_changed() {
    let bench = TestBench::new().await;
    let team = TestApp {
        router: server::router(support::options(&bench, server::Scope::Team)),
        bench,
        token: None,
        accounts: None,
    };
    let id = create(&team, "theirs").await;
    merge(&team, &id, &json!([{"inputs": {"q": 1}}])).await.ok();
    register(&team, "judge").await.ok();
    let (app, _) = TestApp::run_on(team.bench, Vec::new(), Vec::new()).await;
    let found = records(&app, &id).await;
    assert_eq!(found.len(), 1);
    let found_all = call(&app, Method::POST, "datasets/search", &json!({})).await;
    assert_eq!(found_all.ok()["datasets"][0]["dataset_id"], id);
    denied(&merge(&app, &id, &json!([{}])).await);
    let ids = json!({"dataset_record_ids": [found[0]["dataset_record_id"]]});
    let path = format!("datasets/{id}/records");
    denied(&call(&app, Method::DELETE, &path, &ids).await);
    let tags = json!({"tags": "{\"a\": \"b\"}"});
    let path = format!("datasets/{id}/tags");
    denied(&call(&app, Method::PATCH, &path, &tags).await);
    denied(&call(&app, Method::DELETE, &format!("{path}/a"), &json!({})).await);
    let experiments = json!({"experiment_ids": ["0"]});
    for path in ["add-experiments", "remove-experiments"] {
        let path = format!("datasets/{id}/{path}");
        denied(&call(&app, Method::POST, &path, &experiments).await);
    }
    denied(&call(&app, Method::DELETE, &format!("datasets/{id}"), &json!({})).await);
    get(&app, "scorers/get?experiment_id=0&name=judge")
        .await
        .ok();
    let online = json!({"experiment_id": "0", "name": "judge", "sample_rate": 0});
    denied(&call(&app, Method::PUT, "scorers/online-config", &online).await);
    // It may register a version of it, and delete that.
    register(&app, "judge").await.ok();
    for version in [json!(1), Value::Null] {
        let body = json!({"experiment_id": "0", "name": "judge", "version": version});
        denied(&call(&app, Method::DELETE, "scorers/delete", &body).await);
    }
    let body = json!({"experiment_id": "0", "name": "judge", "version": 2});
    call(&app, Method::DELETE, "scorers/delete", &body)
        .await
        .ok();
    // Nor may it delete what others added to a scorer that it made.
    register(&app, "mixed").await.ok();
    let datasets = &app.bench.datasets;
    let (experiment, theirs) = (testkit::parsed("0"), "{\"name\": \"theirs\"}");
    let registering = datasets.register_scorer(&app.bench.caller, &experiment, "mixed", theirs);
    registering.await.unwrap();
    let whole = json!({"experiment_id": "0", "name": "mixed"});
    denied(&call(&app, Method::DELETE, "scorers/delete", &whole).await);
    let found = get(&app, "scorers/versions?experiment_id=0&name=mixed").await;
    assert_eq!(found.ok()["scorers"].as_array().unwrap().len(), 2);
}
