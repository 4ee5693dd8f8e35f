//! What is logged to runs, on a real store.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

use entities::{DatasetInput, ErrorClass, Metric, ModelOutput};
use store::PageRequest;
use testkit::{TestBench, map, parsed, run_id, series};
use tracking::LogBatch;

async fn committed(bench: &TestBench) -> u64 {
    bench.store.ledger_progress().await.unwrap().committed
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = pairs
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()));
    owned.collect()
}

#[tokio::test]
async fn the_latest_point_is_by_step_then_time_then_value_and_repeats_count_once() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let run = bench.run().await;
    let points = [
        Metric::new("m", 5.0, 50, 1),
        Metric::new("m", 1.0, 10, 2),
        Metric::new("m", 2.0, 20, 2),
        Metric::new("m", 3.0, 20, 2),
        Metric::new("m", 9.0, 90, 0),
    ];
    for point in points.iter().chain(&points) {
        tracking
            .log_metric(caller, &run.id, point.clone())
            .await
            .unwrap();
    }
    let batch = LogBatch {
        metrics: points.to_vec(),
        ..LogBatch::default()
    };
    tracking.log_batch(caller, &run.id, batch).await.unwrap();
    let detail = tracking.get_run(&run.id).await.unwrap();
    assert_eq!(detail.metrics, [points[3].clone()]);
    let page = PageRequest::first(10);
    let history = tracking
        .list_metric_points(&run.id, "m", &page)
        .await
        .unwrap();
    let values: Vec<_> = history.items.iter().map(|point| point.value).collect();
    assert_eq!(values, [1.0, 2.0, 3.0, 5.0, 9.0]);
    let none = tracking
        .list_metric_points(&run.id, "zzz", &page)
        .await
        .unwrap();
    assert!(none.items.is_empty());
    let error = tracking
        .list_metric_points(&run.id, "m", &PageRequest::first(0))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Invalid value 0 for parameter 'max_results' supplied: It must be a positive integer."
    );
    assert!(
        tracking
            .list_metric_points(&run_id(9), "m", &page)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn numbers_that_are_none_and_infinite_ones_stay_what_they_are() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let run = bench.run().await;
    for (key, value) in [
        ("nan", f64::NAN),
        ("up", f64::INFINITY),
        ("down", f64::NEG_INFINITY),
    ] {
        tracking
            .log_metric(caller, &run.id, Metric::new(key, value, 1, 0))
            .await
            .unwrap();
    }
    let all = tracking.all_metric_points(&run.id).await.unwrap();
    let value = |key: &str| all.iter().find(|point| point.key == key).unwrap().value;
    assert!(value("nan").is_nan());
    assert!(value("up").is_infinite() && value("up") > 0.0);
    assert!(value("down").is_infinite() && value("down") < 0.0);
    assert_eq!(bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test]
async fn params_never_change_whichever_way_they_come() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let run = bench.run().await;
    tracking.log_param(caller, &run.id, "p", "1").await.unwrap();
    tracking.log_param(caller, &run.id, "p", "1").await.unwrap();
    let error = tracking
        .log_param(caller, &run.id, "p", "2")
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "Changing param values is not allowed. Param with key='p' was already logged with value='1' for run ID='{}'. Attempted logging new value '2'.",
            run.id
        )
    );
    let batch = LogBatch {
        metrics: series("m", &[1.0]),
        params: pairs(&[("q", "1"), ("p", "3")]),
        tags: pairs(&[("t", "1")]),
    };
    let before = committed(&bench).await;
    let error = tracking
        .log_batch(caller, &run.id, batch)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "Changing param values is not allowed. Params were already logged='[{{'key': 'p', 'old_value': '1', 'new_value': '3'}}]' for run ID='{}'.",
            run.id
        )
    );
    assert_eq!(error.class(), ErrorClass::Invalid);
    let detail = tracking.get_run(&run.id).await.unwrap();
    assert_eq!(detail.params, map(&[("p", "1")]));
    assert!(
        detail.metrics.is_empty() && !detail.tags.contains_key("t"),
        "a batch is whole or nothing"
    );
    assert_eq!(committed(&bench).await, before);
}

#[tokio::test]
async fn a_batch_is_one_event() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let caller = caller.clone().with_request("r-1");
    let run = bench.run().await;
    let before = committed(&bench).await;
    let batch = LogBatch {
        metrics: series("m", &[1.0, 2.0, 3.0]),
        params: pairs(&[("p", "1"), ("q", "2")]),
        tags: pairs(&[("t", "1"), ("t", "2")]),
    };
    tracking.log_batch(&caller, &run.id, batch).await.unwrap();
    assert_eq!(committed(&bench).await, before + 1);
    let detail = tracking.get_run(&run.id).await.unwrap();
    assert_eq!(detail.params, map(&[("p", "1"), ("q", "2")]));
    assert_eq!(
        detail.tags["t"], "2",
        "of two tags with one key the later counts"
    );
    assert_eq!(detail.metrics[0].value.to_bits(), 3.0_f64.to_bits());
    let event = bench
        .store
        .list_events_of(&format!("run:{}", run.id), 1)
        .await
        .unwrap()
        .remove(0);
    let leaf = entities::Leaf::decode(&event.leaf).unwrap();
    assert_eq!(
        (leaf.kind.as_str(), leaf.req.as_deref()),
        ("run.logged", Some("r-1"))
    );
    assert_eq!(leaf.actor.id, "u:ann");
}

#[tokio::test]
async fn tags_are_set_and_deleted() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let run = bench.run().await;
    tracking
        .set_tag(caller, &run.id, "t", &"x".repeat(9000))
        .await
        .unwrap();
    assert_eq!(
        tracking.get_run(&run.id).await.unwrap().tags["t"].len(),
        9000,
        "never cut"
    );
    tracking.delete_tag(caller, &run.id, "t").await.unwrap();
    let error = tracking.delete_tag(caller, &run.id, "t").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("No tag with name: t in run with id {}", run.id)
    );
    assert_eq!(error.class(), ErrorClass::NotFound);
    let error = tracking
        .set_tag(caller, &run_id(9), "t", "1")
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("Run with id={} not found", run_id(9))
    );
    let error = tracking
        .set_tag(caller, &run.id, "a&b", "1")
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("Invalid value \"a&b\" for parameter 'key' supplied: Names may only")
    );
}

#[tokio::test]
async fn inputs_and_outputs_are_kept() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let run = bench.run().await;
    let dataset = |source: &str| DatasetInput {
        name: "iris".to_owned(),
        digest: "abc".to_owned(),
        source_type: "local".to_owned(),
        source: source.to_owned(),
        schema: None,
        profile: None,
        tags: map(&[("mlflow.data.context", "training")]),
    };
    let datasets = vec![dataset("first"), dataset("second")];
    let models = vec![parsed("m-1")];
    tracking
        .log_inputs(caller, &run.id, datasets, models)
        .await
        .unwrap();
    let outputs = vec![ModelOutput {
        model: parsed("m-2"),
        step: 3,
    }];
    tracking
        .log_outputs(caller, &run.id, outputs.clone())
        .await
        .unwrap();
    let detail = tracking.get_run(&run.id).await.unwrap();
    assert_eq!(detail.datasets, [dataset("first")]);
    assert_eq!(detail.model_inputs, [parsed("m-1")]);
    assert_eq!(detail.model_outputs, outputs);
    let long = DatasetInput {
        digest: "d".repeat(37),
        ..dataset("x")
    };
    let error = tracking
        .log_inputs(caller, &run.id, vec![long], Vec::new())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "'digest' exceeds the maximum length of 36 characters"
    );
}

#[tokio::test]
async fn every_point_of_every_metric_is_given() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let run = bench.run().await;
    let mut expected = series("a", &[1.0, 2.0]);
    expected.extend(series("b", &[3.0]));
    for point in &expected {
        tracking
            .log_metric(caller, &run.id, point.clone())
            .await
            .unwrap();
    }
    assert_eq!(tracking.all_metric_points(&run.id).await.unwrap(), expected);
    assert!(tracking.all_metric_points(&run_id(9)).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_that_log_to_one_run_at_once_lose_nothing() {
    let bench = TestBench::new().await;
    let run = bench.run().await;
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..16_i32 {
        let (tracking, caller, id) = (bench.tracking.clone(), bench.caller.clone(), run.id.clone());
        tasks.spawn(async move {
            for step in 0..10 {
                let point = Metric::new("m", f64::from(worker), 1, i64::from(worker * 10 + step));
                tracking.log_metric(&caller, &id, point).await.unwrap();
            }
            // All want the same param with values of their own: one gets it.
            tracking
                .log_param(&caller, &id, "p", &worker.to_string())
                .await
                .is_ok()
        });
    }
    let winners = tasks
        .join_all()
        .await
        .into_iter()
        .filter(|won| *won)
        .count();
    assert_eq!(winners, 1);
    let points = bench.tracking.all_metric_points(&run.id).await.unwrap();
    assert_eq!(points.len(), 160);
    assert_eq!(committed(&bench).await, 1 + 1 + 160 + 1);
    assert_eq!(bench.store.verify_projection().await.unwrap(), None);
}
