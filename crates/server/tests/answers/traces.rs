//! Traces, and what is kept for evaluations.

use super::*;

const TRACE: &str = "tr-0af7651916cd43dd8448eb211c80319c";

pub(super) async fn walk(walk: &mut Walk, experiment: &str, run: &str) {
    send_spans(walk, experiment, run).await;
    new(walk, experiment, run).await;
    assessments(walk).await;
    read(walk, experiment).await;
    old(walk, experiment).await;
    for version in [V2, V3] {
        let deleted = json!({ "experiment_id": experiment, "max_timestamp_millis": 1 });
        walk.post(&format!("{version}/traces/delete-traces"), deleted)
            .await;
    }
    datasets(walk, experiment).await;
    scorers(walk, experiment).await;
    issues(walk, experiment, run).await;
    label_schemas(walk, experiment).await;
}

/// With a value of each kind.
async fn send_spans(walk: &mut Walk, experiment: &str, run: &str) {
    let values = json!([
        { "key": "none", "value": {} },
        { "key": "truth", "value": { "boolValue": true } },
        { "key": "whole", "value": { "intValue": "9007199254740993" } },
        { "key": "real", "value": { "doubleValue": 0.5 } },
        { "key": "text", "value": { "stringValue": "t" } },
        { "key": "list", "value": { "arrayValue": { "values": [{ "intValue": "1" }, {}] } } },
        { "key": "empty", "value": { "arrayValue": {} } },
        { "key": "members", "value": { "kvlistValue": { "values": [
            { "key": "inner", "value": { "kvlistValue": {} } },
        ] } } },
    ]);
    let span = |id: &str, parent: Value, code: u32| {
        json!({
            "traceId": TRACE.trim_start_matches("tr-"), "spanId": id, "parentSpanId": parent,
            "name": "step", "startTimeUnixNano": "1760000000000000000",
            "endTimeUnixNano": "1760000001000000000", "attributes": values,
            "events": [{ "timeUnixNano": "1760000000500000000", "name": "e", "attributes": values }],
            "links": [{ "traceId": "0af7651916cd43dd8448eb211c80319d", "spanId": "b7ad6b7169203332",
                "attributes": values }],
            "status": { "code": code, "message": "m" },
        })
    };
    let root = span("b7ad6b7169203331", json!(""), 1);
    let inner = span("b7ad6b7169203332", json!("b7ad6b7169203331"), 2);
    let bare = span("b7ad6b7169203333", json!("b7ad6b7169203331"), 0);
    let spans = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [root, inner, bare] }] }] });
    let headers = [
        ("x-mlflow-experiment-id", experiment),
        ("x-mlflow-run-id", run),
    ];
    walk.send_with("POST", "/v1/traces", &headers, spans.to_string())
        .await;
}

async fn new(walk: &mut Walk, experiment: &str, run: &str) {
    let place = json!({ "type": "MLFLOW_EXPERIMENT",
        "mlflow_experiment": { "experiment_id": experiment } });
    let info = json!({
        "trace_id": TRACE, "trace_location": place, "request_time": "2025-10-09T08:53:20.5Z",
        "execution_duration": "1.5s", "state": "ERROR", "client_request_id": "c",
        "request_preview": "q", "response_preview": "a",
        "trace_metadata": { "mlflow.trace.session": "s" }, "tags": { "mlflow.traceName": "n" },
    });
    let started = json!({ "trace": { "trace_info": info } });
    walk.post(&format!("{V3}/traces"), started).await;
    for version in [V2, V3] {
        let tags = format!("{version}/traces/{TRACE}/tags");
        walk.ask("PATCH", &tags, json!({ "key": "t", "value": "v" }))
            .await;
        walk.ask("DELETE", &tags, json!({ "key": "t" })).await;
        let linked = json!({ "trace_ids": [TRACE], "run_id": run });
        walk.post(&format!("{version}/traces/link-to-run"), linked)
            .await;
        let prompts = json!([{ "name": "p", "version": "1" }]);
        let linked = json!({ "trace_id": TRACE, "prompt_versions": prompts });
        walk.post(&format!("{version}/traces/link-prompts"), linked)
            .await;
    }
    let searched = json!({ "locations": [place], "max_results": 1 });
    walk.post(&format!("{V3}/traces/search"), searched).await;
}

async fn assessments(walk: &mut Walk) {
    let all = format!("{V3}/traces/{TRACE}/assessments");
    let source = json!({ "source_type": "HUMAN", "source_id": "ann" });
    let error = json!({ "error_code": "E", "error_message": "m", "stack_trace": "s" });
    let mut ids = Vec::new();
    for (kind, value) in [
        ("feedback", json!({ "value": { "a": [1, null] } })),
        ("feedback", json!({ "value": null, "error": error })),
        ("expectation", json!({ "value": 1 })),
        (
            "expectation",
            json!({ "serialized_value": { "serialization_format": "JSON_FORMAT", "value": "[1]" } }),
        ),
        ("issue", json!({ "issue_name": "slow" })),
    ] {
        let assessment = json!({
            "assessment_name": "n", "source": source, "span_id": "b7ad6b7169203331",
            "rationale": "r", "metadata": { "k": "v" }, kind: value,
        });
        let made = walk.post(&all, json!({ "assessment": assessment })).await;
        ids.push(text(&made["assessment"]["assessment_id"]));
    }
    let one = format!("{all}/{}", ids[0]);
    walk.get(&one).await;
    let changed =
        json!({ "assessment": { "feedback": { "value": true } }, "update_mask": "feedback" });
    walk.ask("PATCH", &one, changed).await;
    walk.ask("DELETE", &one, json!({})).await;
}

async fn read(walk: &mut Walk, experiment: &str) {
    walk.get(&format!("{V3}/traces/{TRACE}")).await;
    let whole = walk.get(&format!("{V3}/traces/get?trace_id={TRACE}")).await;
    assert_eq!(whole["trace"]["spans"].as_array().unwrap().len(), 3);
    walk.get(&format!("{V3}/traces/batchGet?trace_ids={TRACE}"))
        .await;
    let infos = json!({ "trace_ids": [TRACE] });
    walk.post(&format!("{V3}/traces/batchGetInfos"), infos)
        .await;
    for first in ["status = 'ERROR'", "status = 'OK'"] {
        let asked = json!({
            "experiment_ids": [experiment], "filter_string1": first,
            "filter_string2": "status = 'ERROR'",
        });
        walk.post(&format!("{V3}/traces/calculate-filter-correlation"), asked)
            .await;
    }
    for (name, kind) in [("trace_count", "COUNT"), ("latency", "AVG")] {
        let asked = json!({
            "experiment_ids": [experiment], "view_type": "TRACES", "metric_name": name,
            "aggregations": [{ "aggregation_type": kind }], "time_interval_seconds": 60,
            "dimensions": ["trace_name"], "start_time_ms": 0, "end_time_ms": 1_800_000_000_000_i64,
        });
        let figures = walk.post(&format!("{V3}/traces/metrics"), asked).await;
        assert!(figures["data_points"].is_array(), "{figures}");
    }
    for version in ["2.0", "3.0"] {
        let path = format!("/ajax-api/{version}/mlflow/get-trace-artifact?request_id={TRACE}");
        walk.send("GET", &path, "").await;
    }
}

async fn old(walk: &mut Walk, experiment: &str) {
    let all = format!("{V2}/traces");
    let pairs = json!([{ "key": "a", "value": "b" }]);
    let started = json!({
        "experiment_id": experiment, "timestamp_ms": 5, "request_metadata": pairs, "tags": pairs,
    });
    let made = walk.post(&all, started).await;
    let one = format!("{all}/{}", text(&made["trace_info"]["request_id"]));
    walk.ask("PATCH", &one, json!({ "timestamp_ms": 9 })).await;
    let found = walk.get(&format!("{one}/info")).await;
    assert_eq!(found["trace_info"]["status"], "TRACE_STATUS_UNSPECIFIED");
    walk.get(&format!("{all}?experiment_ids={experiment}"))
        .await;
}

async fn datasets(walk: &mut Walk, experiment: &str) {
    let all = format!("{V3}/datasets");
    let made = json!({ "name": "d", "experiment_ids": [experiment], "tags": "{\"a\": \"b\"}" });
    let made = walk.post(&format!("{all}/create"), made).await;
    let one = format!("{all}/{}", text(&made["dataset"]["dataset_id"]));
    let records = json!([{ "inputs": { "q": 1 } }, { "inputs": { "q": 2 } }]).to_string();
    walk.post(&format!("{one}/records"), json!({ "records": records }))
        .await;
    let found = walk.get(&format!("{one}/records?max_results=1")).await;
    let found: Value = serde_json::from_str(found["records"].as_str().unwrap()).unwrap();
    let ids = json!({ "dataset_record_ids": [found[0]["dataset_record_id"]] });
    walk.ask("DELETE", &format!("{one}/records"), ids).await;
    walk.ask(
        "PATCH",
        &format!("{one}/tags"),
        json!({ "tags": "{\"k\": \"v\"}" }),
    )
    .await;
    walk.ask("DELETE", &format!("{one}/tags/k"), json!({}))
        .await;
    let experiments = json!({ "experiment_ids": ["0"] });
    for call in ["add-experiments", "remove-experiments"] {
        walk.post(&format!("{one}/{call}"), experiments.clone())
            .await;
    }
    walk.get(&format!("{one}/experiment-ids")).await;
    walk.get(&one).await;
    walk.post(&format!("{all}/search"), json!({ "max_results": 1 }))
        .await;
    walk.get(&format!("{all}/search?max_results=1")).await;
    walk.ask("DELETE", &one, json!({})).await;
}

async fn scorers(walk: &mut Walk, experiment: &str) {
    let all = format!("{V3}/scorers");
    let scorer = json!({ "name": "s", "instructions_judge_pydantic_data": {} }).to_string();
    let made = json!({ "experiment_id": experiment, "name": "s", "serialized_scorer": scorer });
    let made = walk.post(&format!("{all}/register"), made).await;
    let online = json!({
        "experiment_id": experiment, "name": "s", "sample_rate": 0, "filter_string": "status = 'OK'",
    });
    walk.ask("PUT", &format!("{all}/online-config"), online)
        .await;
    let id = text(&made["scorer_id"]);
    for path in [
        format!("{all}/online-configs?scorer_ids={id}"),
        format!("{all}/list?experiment_id={experiment}"),
        format!("{all}/versions?experiment_id={experiment}&name=s"),
        format!("{all}/get?experiment_id={experiment}&name=s"),
    ] {
        walk.get(&path).await;
    }
    let gone = json!({ "experiment_id": experiment, "name": "s" });
    walk.ask("DELETE", &format!("{all}/delete"), gone).await;
}

async fn issues(walk: &mut Walk, experiment: &str, run: &str) {
    let all = format!("{V3}/issues");
    let made = json!({
        "experiment_id": experiment, "name": "slow", "description": "It takes long.",
        "severity": "high", "root_causes": ["r"], "categories": ["c"], "source_run_id": run,
        "created_by": "ann",
    });
    let made = walk.post(&all, made).await;
    let one = format!("{all}/{}", text(&made["issue"]["issue_id"]));
    walk.get(&one).await;
    walk.ask("PATCH", &one, json!({ "status": "resolved" }))
        .await;
    let asked = json!({ "experiment_id": experiment, "include_trace_count": true });
    let found = walk.post(&format!("{all}/search"), asked).await;
    assert!(found["issues"][0]["trace_count"].is_u64());
}

/// One of each kind of answer.
async fn label_schemas(walk: &mut Walk, experiment: &str) {
    let all = format!("{V3}/label-schemas");
    let mut id = String::new();
    for (name, input) in [
        (
            "pass",
            json!({ "pass_fail": { "positive_label": "Yes", "negative_label": "No" } }),
        ),
        (
            "choice",
            json!({ "categorical": { "options": ["a", "b"], "multi_select": true } }),
        ),
        (
            "number",
            json!({ "numeric": { "min_value": 0, "max_value": 1.5 } }),
        ),
        ("free", json!({ "text": { "max_length": 9 } })),
    ] {
        let made = json!({
            "experiment_id": experiment, "name": name, "type": "EXPECTATION", "input": input,
            "instruction": "i", "enable_comment": true,
        });
        let made = walk.post(&format!("{all}/create"), made).await;
        id = text(&made["label_schema"]["schema_id"]);
    }
    for path in [
        format!("{all}/get?schema_id={id}"),
        format!("{all}/get-by-name?experiment_id={experiment}&name=choice"),
        format!("{all}/list?experiment_id={experiment}&max_results=3"),
    ] {
        walk.get(&path).await;
    }
    let changed = json!({ "schema_id": id, "instruction": "x" });
    walk.ask("PATCH", &format!("{all}/update"), changed).await;
    walk.ask(
        "DELETE",
        &format!("{all}/delete"),
        json!({ "schema_id": id }),
    )
    .await;
}
