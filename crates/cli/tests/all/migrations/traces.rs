//! Traces, taken over.

use rusqlite::OpenFlags;
use serde_json::{Value, json};

use super::*;

/// What MLflow 2.14 made for traces, with one in the deleted experiment, whose spans are a file.
const OLD_TABLES: &str = "
    CREATE TABLE trace_info (request_id TEXT PRIMARY KEY, experiment_id INTEGER, timestamp_ms BIGINT,
        execution_time_ms BIGINT, status TEXT);
    CREATE TABLE trace_tags (key TEXT, value TEXT, request_id TEXT);
    CREATE TABLE trace_request_metadata (key TEXT, value TEXT, request_id TEXT);
    INSERT INTO trace_info VALUES ('0123456789abcdef0123456789abcdef', 1, 5000, NULL, 'TRACE_STATUS_UNSPECIFIED');
    INSERT INTO trace_tags VALUES ('mlflow.traceName', 'ask', '0123456789abcdef0123456789abcdef');
    INSERT INTO trace_tags VALUES ('mlflow.artifactLocation',
        'mlruns/1/traces/0123456789abcdef0123456789abcdef/artifacts', '0123456789abcdef0123456789abcdef');
    INSERT INTO trace_tags VALUES ('empty', NULL, '0123456789abcdef0123456789abcdef');
    INSERT INTO trace_request_metadata VALUES ('mlflow.traceInputs', '{}', '0123456789abcdef0123456789abcdef');";

/// What MLflow 3.17 makes, without what it demands of rows.
const TABLES_OF_TODAY: &str = "
    CREATE TABLE trace_info (request_id, experiment_id, timestamp_ms, execution_time_ms, status, client_request_id,
        request_preview, response_preview, trace_name, session_id, input_tokens, output_tokens, total_tokens,
        cache_read_input_tokens, cache_creation_input_tokens, cache_creation_input_tokens_above_1hr, input_cost,
        output_cost, total_cost);
    CREATE TABLE trace_tags (key, value, request_id);
    CREATE TABLE trace_request_metadata (key, value, request_id);
    CREATE TABLE spans (trace_id, experiment_id, span_id, start_time_unix_nano, content);
    CREATE TABLE assessments (assessment_id, trace_id, name, assessment_type, value, error, created_timestamp,
        last_updated_timestamp, source_type, source_id, run_id, span_id, rationale, overrides, valid,
        assessment_metadata);
    CREATE TABLE entity_associations (source_type, source_id, destination_type, destination_id);
    CREATE INDEX tags_of ON trace_tags (request_id);
    CREATE INDEX metadata_of ON trace_request_metadata (request_id);
    CREATE INDEX spans_of ON spans (trace_id);
    CREATE INDEX assessments_of ON assessments (trace_id);
    CREATE INDEX associations_of ON entity_associations (source_type, source_id);";

fn trace_id(number: u32) -> String {
    format!("tr-{number:032x}")
}

/// A span as MLflow writes it, with its id in hex; the first of a trace is the root.
fn content(number: u64) -> Value {
    json!({
        "trace_id": "tr-1", "span_id": format!("{number:016x}"), "name": format!("span {number}"),
        "parent_span_id": if number == 1 { "" } else { "0000000000000001" },
        "start_time_unix_nano": 1_000_000 * number, "end_time_unix_nano": 9_000_000,
        "status": {"code": "STATUS_CODE_OK", "message": ""},
        "attributes": {"mlflow.spanInputs": "{\"q\": 1}", "session.id": "\"s\""},
    })
}

fn add_span(database: &Connection, trace: &str, number: u64, content: &str) {
    let sql = "INSERT INTO spans VALUES (?1, 0, ?2, ?3, ?4)";
    let row = (trace, format!("span {number}"), number as i64, content);
    database.execute(sql, row).unwrap();
}

/// Adds a trace with two spans.
fn add_trace(database: &Connection, number: u32, experiment: u32) -> String {
    let id = trace_id(number);
    let sql = "INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, execution_time_ms, status)
        VALUES (?1, ?2, ?3, 7, 'OK')";
    database
        .execute(sql, (&id, experiment, i64::from(number)))
        .unwrap();
    for span in 1..=2 {
        add_span(database, &id, span, &content(span).to_string());
    }
    id
}

fn add_assessment(
    database: &Connection,
    trace: &str,
    id: &str,
    overrides: Option<&str>,
    valid: bool,
) {
    let sql = "INSERT INTO assessments (assessment_id, trace_id, name, assessment_type, value, created_timestamp,
            last_updated_timestamp, source_type, overrides, valid)
        VALUES (?1, ?2, 'quality', 'feedback', '0.5', 1000, 1000, 'HUMAN', ?3, ?4)";
    database
        .execute(sql, (id, trace, overrides, valid))
        .unwrap();
}

/// A project with a database of today that has one trace, with an assessment.
fn with_traces() -> (Project, Connection) {
    let (project, database) = with_database();
    database.execute_batch(TABLES_OF_TODAY).unwrap();
    let id = add_trace(&database, 1, 0);
    add_assessment(&database, &id, "a-1", None, true);
    (project, database)
}

fn get(server: &Server, path: &str) -> Value {
    let answer = server.agent.get(format!("{}/{path}", server.url)).call();
    let text = answer.unwrap().body_mut().read_to_string().unwrap();
    serde_json::from_str(&text).unwrap()
}

fn get_trace(server: &Server, id: &str) -> Value {
    get(server, &format!("api/3.0/mlflow/traces/get?trace_id={id}"))["trace"].take()
}

fn get_info(server: &Server, id: &str) -> Value {
    get(server, &format!("api/3.0/mlflow/traces/{id}"))["trace"]["trace_info"].take()
}

#[test]
fn traces_of_an_older_release_come_over_with_what_were_rows_then() {
    let (project, database) = with_database();
    database.execute_batch(OLD_TABLES).unwrap();
    let id = "0123456789abcdef0123456789abcdef";
    project.write(&format!("mlruns/1/traces/{id}/artifacts/traces.json"), "{}");
    let report = project.json(&["migrate", "mlflow", "mlflow.db"]);
    assert_eq!(
        report["counts"]["traces"],
        json!({ "new": 1, "there": 0 }),
        "{report}"
    );
    assert_eq!(
        (&report["spans"], &report["differences"]),
        (&json!(0), &json!([])),
        "{report}"
    );
    let server = Server::start(&project);
    let info = get_info(&server, id);
    let file = format!("api/2.0/mlflow-artifacts/artifacts/1/traces/{id}/artifacts/traces.json");
    let file = get(&server, &file);
    server.end();
    assert_eq!(
        info["trace_location"]["mlflow_experiment"]["experiment_id"], "1",
        "{info}"
    );
    assert_eq!(info["request_time"], "1970-01-01T00:00:05Z", "{info}");
    assert_eq!(info["state"], "STATE_UNSPECIFIED", "{info}");
    assert_eq!(info["execution_duration"], Value::Null, "{info}");
    assert_eq!(info["trace_metadata"], json!({"mlflow.traceInputs": "{}"}));
    let location = format!("mlflow-artifacts:/1/traces/{id}/artifacts");
    let tags = json!({"mlflow.traceName": "ask", "mlflow.artifactLocation": location, "empty": ""});
    assert_eq!(info["tags"], tags);
    assert_eq!(file, json!({}));
    let events = project
        .reproof(&["audit", "log", &format!("trace:{id}")])
        .out();
    assert!(events.contains("trace.imported"), "{events}");
    project.assert_sound();
}

#[test]
fn what_are_columns_today_comes_over_as_tags_and_metadata() {
    let (project, database) = with_traces();
    database
        .execute_batch(
            "UPDATE trace_info SET trace_name = 'ask', session_id = 'chat', input_tokens = 3, total_tokens = 7,
                 input_cost = 0.1, total_cost = 2, request_preview = 'what', execution_time_ms = 90;",
        )
        .unwrap();
    let report = project.json(&["migrate", "mlflow", "mlflow.db"]);
    assert_eq!(report["differences"], json!([]), "{report}");
    assert_eq!(
        (&report["spans"], &report["assessments"]),
        (&json!(2), &json!(1)),
        "{report}"
    );
    let server = Server::start(&project);
    let trace = get_trace(&server, &trace_id(1));
    server.end();
    let info = &trace["trace_info"];
    let metadata = json!({
        "mlflow.trace.session": "chat", "mlflow.trace.tokenUsage": r#"{"input_tokens": 3, "total_tokens": 7}"#,
        "mlflow.trace.cost": r#"{"input_cost": 0.1, "total_cost": 2.0}"#,
    });
    assert_eq!(info["trace_metadata"], metadata);
    assert_eq!(info["tags"]["mlflow.traceName"], "ask", "{info}");
    assert_eq!(
        info["tags"]["mlflow.trace.spansLocation"], "TRACKING_STORE",
        "{info}"
    );
    assert_eq!(info["request_preview"], "what", "{info}");
    // What MLflow had on record stands, not what follows from the spans.
    assert_eq!(info["execution_duration"], "0.090s", "{info}");
    assert_eq!(trace["spans"].as_array().unwrap().len(), 2, "{trace}");
    project.assert_sound();
}

#[test]
fn what_is_malformed_in_traces_is_named_and_the_rest_comes_over() {
    let (project, database) = with_traces();
    let good = trace_id(1);
    let twice = content(2).to_string();
    for (number, content) in [
        (3, "{"),
        (4, "[]"),
        (5, "null"),
        (6, r#"{"span_id": 5}"#),
        (7, &twice),
    ] {
        add_span(&database, &good, number, content);
    }
    let deep = format!("{}{}", "[".repeat(9000), "]".repeat(9000));
    let rows = format!(
        "INSERT INTO spans VALUES ('{good}', 0, 'null', 8, NULL);
         INSERT INTO spans VALUES ('{good}', 0, 'blob', 9, X'FF00');
         INSERT INTO spans VALUES (NULL, NULL, NULL, NULL, NULL);
         INSERT INTO trace_tags VALUES (NULL, 'x', '{good}');
         INSERT INTO trace_tags VALUES ('fine', 'x', '{good}');
         INSERT INTO trace_request_metadata VALUES ('blob', X'00', '{good}');
         INSERT INTO entity_associations VALUES ('trace', '{good}', 'run', '../x');
         INSERT INTO entity_associations VALUES ('trace', '{good}', 'run', NULL);
         INSERT INTO entity_associations VALUES ('trace', '{good}', 'prompt_version', 'no version');
         INSERT INTO entity_associations VALUES ('trace', '{good}', 'prompt_version', 'a/b/1');
         INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, status) VALUES
             (NULL, 0, 1, 'OK'), ('../etc', 0, 1, 'OK'), (X'00', 0, 1, 'OK'), ('tr-a', NULL, 1, 'OK'), ('tr-b', 'x', 1, 'OK'),
             ('tr-c', 99, 1, 'OK'), ('tr-d', 0, NULL, 'OK'), ('tr-e', 0, 'x', 'OK'), ('tr-f', 0, 9223372036854775807, 'OK'),
             ('tr-g', 0, 1, NULL), ('tr-h', 0, 1, 'FINE'), ('tr-i', 1, 1, 5);
         INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, execution_time_ms, status) VALUES
             ('tr-j', 0, 1, 9223372036854775807, 'OK');
         INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, status, session_id, input_cost, request_preview) VALUES
             ('tr-k', 0, 1, 'OK', X'00', NULL, NULL), ('tr-l', 0, 1, 'OK', NULL, 'dear', NULL), ('tr-m', 0, 1, 'OK', NULL, NULL, 1.5);
         INSERT INTO assessments VALUES
             (NULL, '{good}', 'n', 'feedback', '1', NULL, 1, 1, 'HUMAN', NULL, NULL, NULL, NULL, NULL, 1, NULL),
             ('b-1', '{good}', NULL, 'feedback', '1', NULL, 1, 1, 'HUMAN', NULL, NULL, NULL, NULL, NULL, 1, NULL),
             ('b-2', '{good}', 'n', 'other', '1', NULL, 1, 1, 'HUMAN', NULL, NULL, NULL, NULL, NULL, 1, NULL),
             ('b-3', '{good}', 'n', 'feedback', '{{', NULL, 1, 1, 'HUMAN', NULL, NULL, NULL, NULL, NULL, 1, NULL),
             ('b-4', '{good}', 'n', 'feedback', '1', '[]', 1, 1, 'HUMAN', NULL, NULL, NULL, NULL, NULL, 1, NULL),
             ('b-5', '{good}', 'n', 'feedback', '1', NULL, NULL, 1, 'HUMAN', NULL, NULL, NULL, NULL, NULL, 1, NULL),
             ('b-6', '{good}', 'n', 'feedback', '1', NULL, 1, 9223372036854775807, 'HUMAN', NULL, NULL, NULL, NULL, NULL, 1, NULL),
             ('b-7', '{good}', 'n', 'feedback', '1', NULL, 1, 1, 'ROBOT', NULL, NULL, NULL, NULL, NULL, 1, NULL),
             ('b-8', '{good}', 'n', 'issue', '\"slow\"', NULL, 1, 1, 'HUMAN', NULL, NULL, NULL, NULL, NULL, 1, NULL),
             ('b-9', '{good}', 'n', 'feedback', '1', NULL, 1, 1, 'HUMAN', NULL, NULL, NULL, NULL, NULL, 'x', NULL),
             ('c-1', '{good}', 'n', 'feedback', '1', NULL, 1, 1, 'HUMAN', NULL, NULL, NULL, NULL, NULL, 1, '[]'),
             ('c-2', '{good}', 'n', 'feedback', '{deep}', NULL, 1, 1, 'HUMAN', NULL, NULL, NULL, NULL, NULL, 1, NULL),
             ('c-3', '{good}', 'n', 'expectation', 'NaN', NULL, 1, 1, 'AI_JUDGE', NULL, NULL, NULL, NULL, NULL, NULL, '{{\"n\": 1}}');"
    );
    database.execute_batch(&rows).unwrap();
    let answer = migrate(&project, &["mlflow.db", "--json"]);
    answer.assert_code(1);
    let report = told(&answer);
    let unreadable: Vec<_> = report["unreadable"]
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect();
    for named in [
        "a trace: its `request_id` is missing",
        "trace `../etc`: that is no id of a trace",
        "a trace: its `request_id` is no text",
        "trace `tr-a`: its `experiment_id` is missing",
        "trace `tr-b`: its experiment `x` is none",
        "trace tr-c: its experiment 99 is not there",
        "trace tr-d: its `timestamp_ms` is missing",
        "trace tr-e: its `timestamp_ms` is no whole number",
        "trace tr-f: its `timestamp_ms` is no time",
        "trace tr-g: its `status` is missing",
        "trace tr-h: its status `FINE` is none",
        "trace tr-i: its status `5` is none",
        "trace tr-j: its `execution_time_ms` is no duration",
        "trace tr-k: its `session_id` is no text",
        "trace tr-l: its `input_cost` is no number",
        "trace tr-m: its `request_preview` is no text",
        &format!("a row in `trace_tags` of trace {good}: its `key` is missing"),
        &format!("a row in `trace_request_metadata` of trace {good}: its `value` is no text"),
        &format!("span `span 6` of trace {good}: its `span_id` is no text"),
        &format!("span `span 4` of trace {good}: it is no JSON object"),
        &format!("span `span 5` of trace {good}: it is no JSON object"),
        &format!("span `span 7` of trace {good}: its id is there twice"),
        &format!("span `null` of trace {good}: its `content` is missing"),
        &format!("span `blob` of trace {good}: its `content` is no text"),
        &format!("a link of trace {good}: `../x` is not a valid run id"),
        &format!("a link of trace {good}: its `destination_id` is missing"),
        &format!("a link of trace {good}: `no version` is no version of a prompt"),
        &format!("assessment `` of trace {good}: its `assessment_id` is missing"),
        &format!("assessment `b-1` of trace {good}: its `name` is missing"),
        &format!(
            "assessment `b-2` of trace {good}: an assessment of the kind `other` is not known"
        ),
        &format!("assessment `b-4` of trace {good}: its error is no object"),
        &format!("assessment `b-5` of trace {good}: its `created_timestamp` is missing"),
        &format!("assessment `b-6` of trace {good}: its `last_updated_timestamp` is no time"),
        &format!("assessment `b-7` of trace {good}: its source `ROBOT` is none"),
        &format!("assessment `b-8` of trace {good}: it names no issue"),
        &format!("assessment `b-9` of trace {good}: its `valid` is no whole number"),
        &format!("assessment `c-1` of trace {good}: its metadata are no object"),
    ] {
        assert!(unreadable.contains(&named), "{named}\n{unreadable:#?}");
    }
    // And three that are no JSON, whose reason the decoder tells.
    assert_eq!(unreadable.len(), 37 + 3, "{unreadable:#?}");
    assert_eq!(
        report["counts"]["traces"],
        json!({ "new": 1, "there": 0 }),
        "{report}"
    );
    assert_eq!(
        (&report["spans"], &report["assessments"]),
        (&json!(2), &json!(2)),
        "{report}"
    );
    assert_eq!(report["differences"], json!([]), "{report}");
    project.assert_sound();
    // A trace that cannot be read opens no deleted experiment.
    let count = || {
        project
            .reproof(&["audit", "log", "experiment:1"])
            .out()
            .lines()
            .count()
    };
    let before = count();
    let again = told(&migrate(&project, &["mlflow.db", "--json"]));
    assert_eq!(again["unreadable"], report["unreadable"]);
    assert_eq!(
        again["counts"]["traces"],
        json!({ "new": 0, "there": 1 }),
        "{again}"
    );
    assert_eq!(count(), before);
    project.assert_sound();
    let shown = migrate(&project, &["mlflow.db"]);
    shown
        .assert_code(1)
        .assert_err_has("cannot be taken over: trace `../etc`");
    assert!(
        shown.out().contains("20 more cannot be taken over"),
        "{}",
        shown.out()
    );
    // What was mended comes.
    database
        .execute_batch("UPDATE trace_info SET status = 'OK' WHERE request_id = 'tr-h'")
        .unwrap();
    let mended = told(&migrate(&project, &["mlflow.db", "--json"]));
    assert_eq!(
        mended["counts"]["traces"],
        json!({ "new": 1, "there": 1 }),
        "{mended}"
    );
}

#[test]
fn assessments_are_as_valid_as_they_were_whatever_they_replace() {
    let (project, database) = with_traces();
    let id = trace_id(1);
    for (name, overrides, valid) in [
        // All in one millisecond, so that their times tell no order.
        ("z-replaced", None, false),
        ("y-replaced", Some("z-replaced"), false),
        ("x-last", Some("y-replaced"), true),
        ("b-alone", Some("gone"), true),
        ("c-invalid", None, false),
        ("d-still-valid", None, true),
        ("e-replaces", Some("d-still-valid"), true),
        ("f-ring", Some("g-ring"), true),
        ("g-ring", Some("f-ring"), false),
        ("h-itself", Some("h-itself"), true),
    ] {
        add_assessment(&database, &id, name, overrides, valid);
    }
    let report = project.json(&["migrate", "mlflow", "mlflow.db"]);
    assert_eq!(report["differences"], json!([]), "{report}");
    assert_eq!(report["assessments"], 11, "{report}");
    let server = Server::start(&project);
    let info = get_info(&server, &id);
    server.end();
    let invalid: Vec<_> = info["assessments"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|found| found["valid"] == false)
        .map(|found| found["assessment_id"].as_str().unwrap())
        .collect();
    let mut invalid = invalid;
    invalid.sort_unstable();
    assert_eq!(
        invalid,
        ["c-invalid", "g-ring", "y-replaced", "z-replaced"],
        "{info}"
    );
    project.assert_sound();
}

#[test]
fn what_changed_since_in_traces_is_named_and_nothing_is_overwritten_or_brought_back() {
    let (project, database) = with_traces();
    let [tagged, spanned, removed] = [2, 3, 4].map(|number| add_trace(&database, number, 0));
    let linked = format!(
        "INSERT INTO entity_associations VALUES ('trace', '{tagged}', 'run', '{}')",
        run_id(1)
    );
    database.execute_batch(&linked).unwrap();
    migrate(&project, &["mlflow.db"]).assert_code(0);
    let changes = format!(
        "INSERT INTO trace_tags VALUES ('new', '1', '{tagged}');
         UPDATE trace_info SET execution_time_ms = 8 WHERE request_id = '{tagged}';
         DELETE FROM spans WHERE trace_id = '{spanned}' AND span_id = 'span 2';
         INSERT INTO entity_associations VALUES ('trace', '{spanned}', 'run', '{run}');
         INSERT INTO entity_associations VALUES ('trace', '{spanned}', 'prompt_version', 'greeting/1');
         UPDATE assessments SET value = '1';",
        run = run_id(1),
    );
    database.execute_batch(&changes).unwrap();
    // One that is new, and belongs to a deleted experiment.
    add_trace(&database, 5, 1);
    let server = Server::start(&project);
    let deletion = json!({"experiment_id": "0", "request_ids": [removed]}).to_string();
    assert_eq!(
        server.post("traces/delete-traces", &deletion)["traces_deleted"],
        1
    );
    server.end();
    let answer = migrate(&project, &["mlflow.db", "--json"]);
    answer.assert_code(1);
    let report = told(&answer);
    let differences = json!([
        format!("trace {}: its assessments differ", trace_id(1)),
        format!("trace {tagged}: its row differs"),
        format!("trace {tagged}: its tags differ"),
        format!("trace {spanned}: its spans differ"),
        format!("trace {removed} is not here"),
        format!("run {}: its linked traces differ", run_id(1)),
        "prompt `greeting/1`: its linked traces differ",
    ]);
    assert_eq!(report["differences"], differences, "{report}");
    assert_eq!(
        report["counts"]["traces"],
        json!({ "new": 1, "there": 4 }),
        "{report}"
    );
    let server = Server::start(&project);
    assert_eq!(get_info(&server, &tagged)["execution_duration"], "0.007s");
    assert_eq!(
        get_trace(&server, &spanned)["spans"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(get_info(&server, &removed), Value::Null);
    assert_eq!(get_info(&server, &trace_id(5))["state"], "OK");
    let experiment = server.post(
        "experiments/search",
        r#"{"view_type": "DELETED_ONLY", "max_results": 9}"#,
    );
    server.end();
    assert_eq!(
        experiment["experiments"][0]["experiment_id"], "1",
        "{experiment}"
    );
    project.assert_sound();
}

#[test]
fn a_migration_that_is_killed_amid_traces_leaves_whole_ones_and_the_next_one_brings_the_rest() {
    const TRACES: u64 = 1000;
    let (project, database) = with_traces();
    database.execute_batch("BEGIN").unwrap();
    for number in 2..=TRACES as u32 {
        let id = add_trace(&database, number, number % 2);
        add_assessment(&database, &id, "a", None, true);
    }
    database.execute_batch("COMMIT").unwrap();
    let mut killed = project.start(&["migrate", "mlflow", "mlflow.db"]);
    let there = || {
        let store = Connection::open_with_flags(
            project.store().join("reproof.db"),
            OpenFlags::SQLITE_OPEN_READ_ONLY,
        )
        .ok()?;
        let count = store.query_row("SELECT COUNT(*) FROM trace", [], |row| row.get::<_, i64>(0));
        count.ok()
    };
    while there().unwrap_or(0) == 0 && killed.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    project.assert_sound();
    let report = project.json(&["migrate", "mlflow", "mlflow.db"]);
    let count = |of: &str| report["counts"]["traces"][of].as_u64().unwrap();
    assert_eq!(count("new") + count("there"), TRACES, "{report}");
    assert!(count("new") > 0 && count("there") > 0, "{report}");
    assert_eq!(report["spans"], 2 * count("new"), "{report}");
    assert_eq!(report["assessments"], count("new"), "{report}");
    assert_eq!(report["differences"], json!([]), "{report}");
    project.assert_sound();
}

#[test]
fn files_of_traces_come_from_where_mlflow_keeps_them_only() {
    let (project, database) = with_traces();
    let [inside, outside, other] = [2, 3, 4].map(|number| add_trace(&database, number, 0));
    project.write("secret/key.txt", "outside");
    project.write(
        &format!("mlruns/0/traces/{inside}/artifacts/attachments/a.txt"),
        "kept",
    );
    project.write(
        &format!("mlruns/0/traces/{other}/artifacts/b.txt"),
        "not this one's",
    );
    let secret = project.path("secret").display().to_string();
    for (id, location) in [
        (&inside, format!("mlruns/0/traces/{inside}/artifacts")),
        (&outside, secret.clone()),
        (&other, format!("mlruns/0/traces/x/../{other}/artifacts")),
    ] {
        let sql = "INSERT INTO trace_tags VALUES ('mlflow.artifactLocation', ?1, ?2)";
        database.execute(sql, (location, id)).unwrap();
    }
    let answer = migrate(&project, &["mlflow.db", "--json"]);
    answer.assert_code(1);
    let report = told(&answer);
    assert_eq!(report["not_taken"].as_array().unwrap().len(), 2, "{report}");
    assert_eq!(report["not_taken"][0]["path"], secret, "{report}");
    // Those of two runs, and one of a trace.
    assert_eq!(report["files"], 3, "{report}");
    assert_eq!(report["differences"], json!([]), "{report}");
    let server = Server::start(&project);
    for id in [&inside, &outside] {
        let location = get_info(&server, id)["tags"]["mlflow.artifactLocation"].take();
        assert_eq!(
            location,
            format!("mlflow-artifacts:/0/traces/{id}/artifacts")
        );
    }
    server.end();
    project.assert_sound();
}

#[test]
fn files_that_a_server_kept_are_asked_for_only_where_spans_are_among_them() {
    let (project, database) = with_traces();
    let id = trace_id(1);
    let location = format!("mlflow-artifacts:/0/traces/{id}/artifacts");
    let sql = "INSERT INTO trace_tags VALUES ('mlflow.artifactLocation', ?1, ?2)";
    database.execute(sql, (&location, &id)).unwrap();
    let report = project.json(&["migrate", "mlflow", "mlflow.db"]);
    assert_eq!(report["differences"], json!([]), "{report}");
    database.execute("DELETE FROM spans", []).unwrap();
    migrate(&project, &["mlflow.db"])
        .assert_code(2)
        .assert_err_has("--artifacts DIR");
}

#[test]
fn spans_in_the_archive_stay_there_and_are_counted() {
    let (project, database) = with_traces();
    let id = add_trace(&database, 2, 0);
    database
        .execute("UPDATE spans SET content = '' WHERE trace_id = ?1", [&id])
        .unwrap();
    let sql = "INSERT INTO trace_tags VALUES ('mlflow.trace.spansLocation', 'ARCHIVE_REPO', ?1)";
    database.execute(sql, [&id]).unwrap();
    let answer = migrate(&project, &["mlflow.db"]);
    answer
        .assert_code(0)
        .assert_err_has("2 spans in MLflow's archive stay behind");
    let server = Server::start(&project);
    let info = get_info(&server, &id);
    server.end();
    assert_eq!(
        info["tags"]["mlflow.trace.spansLocation"], "ARCHIVE_REPO",
        "{info}"
    );
    project.assert_sound();
}

/// The folder with one trace, whose name and answer are such that YAML could take them for numbers.
fn with_trace_in_folder() -> Project {
    let project = with_folder();
    let info = "client_request_id: 1e5\nexecution_duration_ms: 73\nrequest_preview: 0o17\nrequest_time: '2026-11-27T17:02:57.919Z'\n\
        state: OK\ntrace_id: tr-1\ntrace_location:\n  mlflow_experiment:\n    experiment_id: '7'\n  type: MLFLOW_EXPERIMENT\n";
    project.write("mlruns/7/traces/tr-1/trace_info.yaml", info);
    project.write(
        "mlruns/7/traces/tr-1/tags/mlflow.artifactLocation",
        "file:///moved/mlruns/7/traces/tr-1/artifacts",
    );
    project.write("mlruns/7/traces/tr-1/tags/a/b", "1\n2");
    project.write("mlruns/7/traces/tr-1/request_metadata/m", "v");
    project.write("mlruns/7/traces/tr-1/artifacts/traces.json", "{}");
    project.write(
        "mlruns/7/traces/tr-1/assessments/a-1.yaml",
        assessment("value: 1e5"),
    );
    project
}

fn assessment(value: &str) -> String {
    format!(
        "assessment_id: a-1\nassessment_name: n\ncreate_time: '2026-11-27T17:02:57Z'\nfeedback:\n  {value}\n\
         last_update_time: '2026-11-27T17:02:58.5Z'\nmetadata:\n  k: 'True'\nsource:\n  source_id: ann\n  source_type: HUMAN\n\
         trace_id: tr-1\nvalid: false\n"
    )
}

#[test]
fn traces_in_a_folder_come_over_with_their_files_and_texts_stay_texts() {
    let project = with_trace_in_folder();
    // As MLflow 2 wrote it.
    let old = "execution_time_ms: 5\nexperiment_id: '7'\nrequest_id: tr-2\nstatus: ERROR\ntimestamp_ms: 1000\n";
    project.write("mlruns/7/traces/tr-2/trace_info.yaml", old);
    let report = project.json(&["migrate", "mlflow", "mlruns"]);
    assert_eq!(
        report["counts"]["traces"],
        json!({ "new": 2, "there": 0 }),
        "{report}"
    );
    assert_eq!(report["differences"], json!([]), "{report}");
    let server = Server::start(&project);
    let (info, old) = (get_info(&server, "tr-1"), get_info(&server, "tr-2"));
    let file = get(
        &server,
        "api/2.0/mlflow-artifacts/artifacts/7/traces/tr-1/artifacts/traces.json",
    );
    server.end();
    assert_eq!(info["client_request_id"], "1e5", "{info}");
    assert_eq!(info["request_preview"], "0o17", "{info}");
    assert_eq!(info["execution_duration"], "0.073s", "{info}");
    assert_eq!(info["tags"]["a/b"], "1\n2", "{info}");
    assert_eq!(info["trace_metadata"], json!({"m": "v"}));
    assert_eq!(
        info["tags"]["mlflow.artifactLocation"],
        "mlflow-artifacts:/7/traces/tr-1/artifacts"
    );
    let found = &info["assessments"][0];
    assert_eq!(found["feedback"]["value"], "1e5", "{found}");
    assert_eq!(
        (&found["valid"], &found["metadata"]),
        (&json!(false), &json!({"k": "True"})),
        "{found}"
    );
    assert_eq!(
        (&old["state"], &old["request_time"]),
        (&json!("ERROR"), &json!("1970-01-01T00:00:01Z")),
        "{old}"
    );
    assert_eq!(file, json!({}));
    project.assert_sound();
}

#[test]
fn what_is_malformed_in_traces_of_a_folder_is_named_and_the_rest_comes_over() {
    let deep = format!("value: {}{}", "[".repeat(3000), "]".repeat(3000));
    let inside = |path: &str| format!("mlruns/7/traces/tr-1/{path}");
    for (path, text, words, is_taken) in [
        (inside("trace_info.yaml"), "[", "trace tr-1: ", false),
        (
            inside("trace_info.yaml"),
            "state: OK",
            "trace tr-1: it has no time",
            false,
        ),
        (
            inside("trace_info.yaml"),
            "request_time: noon\nstate: OK",
            "trace tr-1: `noon` is no time",
            false,
        ),
        (
            inside("trace_info.yaml"),
            "timestamp_ms: x\nstate: OK",
            "trace tr-1: ",
            false,
        ),
        (
            inside("trace_info.yaml"),
            "timestamp_ms: 5",
            "trace tr-1: it has no state",
            false,
        ),
        (
            inside("trace_info.yaml"),
            "timestamp_ms: 5\nstate: FINE",
            "trace tr-1: its status `FINE` is none",
            false,
        ),
        (
            inside("trace_info.yaml"),
            "timestamp_ms: 5\nstate: OK\nexecution_duration: long",
            "its duration is none",
            false,
        ),
        (inside("tags/latin"), "\u{FFFF}", "trace tr-1: ", false),
        (
            "mlruns/7/traces/x..y/trace_info.yaml".to_owned(),
            "",
            "its name is no id of a trace",
            true,
        ),
        (
            inside("assessments/b.yaml"),
            "[",
            "an assessment of trace tr-1: ",
            true,
        ),
        (inside("assessments/b.txt"), "", "is no assessment", true),
        (
            inside("assessments/b.yaml"),
            &assessment("value: 1"),
            "it is there twice",
            true,
        ),
        (
            inside("assessments/b.yaml"),
            &assessment("value: 1").replace("feedback", "other"),
            "it says nothing",
            true,
        ),
        (
            inside("assessments/b.yaml"),
            &assessment("value: 1").replace("HUMAN", "ROBOT"),
            "`ROBOT` is none",
            true,
        ),
        (
            inside("assessments/b.yaml"),
            &assessment("error: 5"),
            "its error is no object",
            true,
        ),
        (
            inside("assessments/b.yaml"),
            &assessment("value: 1").replace("2026-", "26-"),
            "is no time",
            true,
        ),
        (
            inside("assessments/b.yaml"),
            &assessment(&deep),
            "an assessment of trace tr-1: ",
            true,
        ),
    ] {
        let project = with_trace_in_folder();
        // A letter of Latin-1 is no UTF-8.
        let bytes = if text == "\u{FFFF}" {
            b"\xE9".to_vec()
        } else {
            text.as_bytes().to_vec()
        };
        project.write(&path, bytes);
        let answer = migrate(&project, &["mlruns", "--json"]);
        answer.assert_code(1);
        let report = told(&answer);
        let unreadable = report["unreadable"].as_array().unwrap();
        assert_eq!(unreadable.len(), 1, "{path} {text}: {report}");
        assert!(
            unreadable[0].as_str().unwrap().contains(words),
            "{path} {text}: {report}"
        );
        assert_eq!(
            report["counts"]["traces"]["new"],
            u64::from(is_taken),
            "{path} {text}: {report}"
        );
        assert_eq!(
            report["counts"]["runs"]["new"], 1,
            "{path} {text}: {report}"
        );
        assert_eq!(report["differences"], json!([]), "{path} {text}: {report}");
    }
}
