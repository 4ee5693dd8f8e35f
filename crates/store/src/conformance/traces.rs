//! Cases of traces.

use entities::{
    Assessment, AssessmentSource, AssessmentValue, Change, SealedRecord, SearchKind, SearchQuery,
    Span, SpanEvent, SpanLink, SpanStatus, TRACE_NAME_TAG, TRACE_RUN_KEY, TRACE_SESSION_KEY,
    TRACE_TOKENS_KEY, TRACE_TOLD_KEY, Trace, TraceId, TraceRecord, TraceState,
};
use serde_json::{Value, json};

use super::{all, at, commit, experiment, id, initialisation, make, map, refuse, zero};
use crate::{PageRequest, Store, StoreError};

/// Spans of a trace, by its digit: the letter of each, and the tokens that it counts. The first begins the trace.
pub fn spans_logged(digit: char, spans: &[(char, u64)]) -> Change {
    let record = |&(letter, tokens): &(char, u64)| {
        let counts =
            json!({"input_tokens": tokens, "output_tokens": 1, "total_tokens": tokens + 1});
        let parent = Some('a').filter(|_| letter != 'a');
        let attributes = json!({"mlflow.chat.tokenUsage": counts});
        spanned(span(letter, parent, (100, 110 + tokens), &attributes))
    };
    let records: Vec<_> = spans.iter().map(record).collect();
    logged(trace_id(digit), &records)
}

/// The id of a trace by its last digit.
pub fn trace_id(digit: char) -> TraceId {
    format!("tr-{}", digit.to_string().repeat(32))
        .parse()
        .unwrap()
}

/// A span of one letter, from a begin to an end in milliseconds.
fn span(
    letter: char,
    parent: Option<char>,
    (start_ms, end_ms): (u64, u64),
    attributes: &Value,
) -> Span {
    let id = |letter: char| letter.to_string().repeat(16).parse().unwrap();
    Span {
        id: id(letter),
        parent: parent.map(id),
        name: format!("step {letter}"),
        start_ns: start_ms * 1_000_000,
        end_ns: Some(end_ms * 1_000_000),
        status: SpanStatus::Ok,
        status_message: None,
        attributes: attributes.as_object().unwrap().clone(),
        events: Vec::new(),
        links: Vec::new(),
    }
}

fn told(digit: char, requested_ms: i64, metadata: &[(&str, &str)]) -> Trace {
    let mut metadata = map(metadata);
    metadata.insert(TRACE_TOLD_KEY.to_owned(), "true".to_owned());
    Trace {
        id: trace_id(digit),
        experiment: zero(),
        requested_at: at(requested_ms),
        duration_ms: Some(70),
        state: TraceState::Ok,
        client_request_id: Some(format!("request {digit}")),
        request_preview: Some("what".to_owned()),
        response_preview: Some("this".to_owned()),
        tags: map(&[(TRACE_NAME_TAG, "chat"), ("team", "blue")]),
        metadata,
    }
}

fn assessment(id: &str, name: &str, value: AssessmentValue) -> Assessment {
    Assessment {
        id: id.to_owned(),
        name: name.to_owned(),
        value,
        source: AssessmentSource {
            kind: "HUMAN".to_owned(),
            id: Some("ann".to_owned()),
        },
        rationale: Some("because".to_owned()),
        metadata: map(&[("m", "1")]),
        span: None,
        created_at: at(90),
        updated_at: at(90),
        overrides: None,
        is_valid: true,
    }
}

fn feedback(id: &str, name: &str, value: Value) -> Assessment {
    assessment(id, name, AssessmentValue::Feedback { value, error: None })
}

fn seal(records: &[TraceRecord]) -> Vec<SealedRecord> {
    records.iter().map(SealedRecord::seal).collect()
}

fn logged(trace: TraceId, records: &[TraceRecord]) -> Change {
    Change::TraceLogged {
        artifact_uri: format!("mlflow-artifacts:/0/traces/{trace}/artifacts"),
        trace,
        experiment: zero(),
        records: seal(records),
    }
}

fn noted(digit: char, records: &[TraceRecord]) -> Change {
    Change::TraceNoted {
        trace: trace_id(digit),
        records: seal(records),
    }
}

async fn log(store: &dyn Store, digit: char, records: Vec<TraceRecord>) {
    let trace = trace_id(digit);
    let subject = format!("trace:{trace}");
    make(store, "trace.logged", &subject, logged(trace, &records)).await;
}

async fn note(store: &dyn Store, change: Change) {
    make(store, "trace.noted", "trace:t", change).await;
}

fn spanned(span: Span) -> TraceRecord {
    TraceRecord::Spanned { span }
}

fn assessed(assessment: Assessment) -> TraceRecord {
    TraceRecord::Assessed { assessment }
}

/// Traces of every kind, with all that can be said of them: `1` was told whole, `2` came as spans, `3` is bare.
pub(super) async fn with_traces(store: &dyn Store) {
    let mut inner = span(
        'b',
        Some('a'),
        (110, 150),
        &json!({
            "mlflow.spanType": "LLM", "model": "gpt",
            "mlflow.chat.tokenUsage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
            "mlflow.llm.cost": {"input_cost": 0.5},
        }),
    );
    inner.events = vec![SpanEvent {
        name: "note".to_owned(),
        time_ns: 120,
        attributes: json!({"e": 1}).as_object().unwrap().clone(),
    }];
    inner.links = vec![SpanLink {
        trace: trace_id('1'),
        span: "c".repeat(16).parse().unwrap(),
        attributes: json!({}).as_object().unwrap().clone(),
    }];
    let root = span(
        'a',
        None,
        (100, 200),
        &json!({"mlflow.spanInputs": {"q": "größe"}, "n": 30}),
    );
    log(store, '2', vec![spanned(inner), spanned(root)]).await;
    let metadata = [
        (TRACE_RUN_KEY, "run1"),
        (TRACE_SESSION_KEY, "s"),
        ("kind", "a"),
    ];
    log(
        store,
        '1',
        vec![
            TraceRecord::Started {
                trace: told('1', 300, &metadata),
            },
            assessed(feedback("a-1", "quality", json!(4.5))),
        ],
    )
    .await;
    let mut bare = told('3', 400, &[(TRACE_SESSION_KEY, "s")]);
    bare.tags = map(&[]);
    bare.state = TraceState::Error;
    bare.client_request_id = None;
    bare.duration_ms = None;
    log(store, '3', vec![TraceRecord::Started { trace: bare }]).await;
    let mut expectation = assessment(
        "a-2",
        "answer",
        AssessmentValue::Expectation {
            value: json!("yes"),
        },
    );
    expectation.metadata = map(&[(TRACE_SESSION_KEY, "s")]);
    note(store, noted('1', &[assessed(expectation)])).await;
    let issue = AssessmentValue::Issue {
        issue: "wrong language".to_owned(),
    };
    note(
        store,
        noted('2', &[assessed(assessment("a-3", "issue-9", issue))]),
    )
    .await;
    note(
        store,
        Change::TracesLinked {
            traces: vec![trace_id('2')],
            run: id("run1"),
        },
    )
    .await;
    note(
        store,
        Change::PromptsLinked {
            trace: trace_id('2'),
            prompts: vec![("greeting".to_owned(), "3".to_owned())],
        },
    )
    .await;
}

/// Spans and a whole may come in any order, and again.
pub async fn traces_grow_with_what_is_said_of_them(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    with_traces(store).await;
    let found = store.find_trace(&trace_id('2')).await.unwrap().unwrap();
    assert_eq!(found.trace.requested_at, at(100));
    assert_eq!(found.trace.duration_ms, Some(100));
    assert_eq!(found.trace.state, TraceState::Ok);
    assert_eq!(
        found.trace.request_preview.as_deref(),
        Some("{\"q\": \"größe\"}")
    );
    let tokens = "{\"input_tokens\": 3, \"output_tokens\": 4, \"total_tokens\": 7}";
    assert_eq!(found.trace.metadata[TRACE_TOKENS_KEY], tokens);
    let artifacts = &found.trace.tags["mlflow.artifactLocation"];
    assert!(artifacts.ends_with("/artifacts"), "{artifacts}");
    let spans = store.list_spans(&trace_id('2')).await.unwrap();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["step a", "step b"]);
    assert_eq!(spans[1].events.len(), 1);
    assert_eq!(spans[1].links[0].trace, trace_id('1'));
    // One that is sent again replaces what it was, in another batch; so the sums stay right.
    let again = span(
        'b',
        Some('a'),
        (110, 500),
        &json!({"mlflow.chat.tokenUsage": {"input_tokens": 1}}),
    );
    log(store, '2', vec![spanned(again.clone())]).await;
    log(store, '2', vec![spanned(again)]).await;
    let found = store.find_trace(&trace_id('2')).await.unwrap().unwrap();
    assert_eq!(found.trace.duration_ms, Some(400));
    assert!(found.trace.metadata[TRACE_TOKENS_KEY].starts_with("{\"input_tokens\": 1,"));
    assert_eq!(store.list_spans(&trace_id('2')).await.unwrap().len(), 2);
    // A whole that comes after the spans says what it says, and spans add to it no more.
    let whole = told('2', 50, &[(TRACE_TOKENS_KEY, "told")]);
    log(store, '2', vec![TraceRecord::Started { trace: whole }]).await;
    let late = span(
        'd',
        None,
        (1, 900),
        &json!({"mlflow.chat.tokenUsage": {"input_tokens": 9}}),
    );
    log(store, '2', vec![spanned(late)]).await;
    let found = store.find_trace(&trace_id('2')).await.unwrap().unwrap();
    assert_eq!(found.trace.requested_at, at(50));
    assert_eq!(found.trace.metadata[TRACE_TOKENS_KEY], "told");
    assert_eq!(found.trace.request_preview.as_deref(), Some("what"));
    assert_eq!(found.assessments.len(), 1);
    let ended = TraceRecord::Ended {
        state: TraceState::Error,
        duration_ms: 8,
    };
    let described = TraceRecord::Described {
        metadata: map(&[("kind", "b")]),
    };
    note(store, noted('1', &[ended, described])).await;
    let found = store.find_trace(&trace_id('1')).await.unwrap().unwrap();
    assert_eq!(
        (found.trace.state, found.trace.duration_ms),
        (TraceState::Error, Some(8))
    );
    assert_eq!(found.trace.metadata["kind"], "b");
    let of_run = store.list_traces_of_run(&id("run1"), 9).await.unwrap();
    assert_eq!(of_run, [trace_id('2'), trace_id('1')]);
}

/// Tags come and go; what is not there is told.
pub async fn what_is_missing_of_a_trace_is_told(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    with_traces(store).await;
    let tags = map(&[("team", "red"), ("x", "1")]);
    note(store, noted('1', &[TraceRecord::Tagged { tags }])).await;
    let delete = |digit, key: &str| Change::TraceTagDeleted {
        trace: trace_id(digit),
        key: key.to_owned(),
    };
    note(store, delete('1', "x")).await;
    let found = store.find_trace(&trace_id('1')).await.unwrap().unwrap();
    assert_eq!(found.trace.tags["team"], "red");
    assert!(!found.trace.tags.contains_key("x"));
    assert!(matches!(
        refuse(store, delete('1', "x")).await,
        StoreError::NoTag { .. }
    ));
    assert!(matches!(
        refuse(store, delete('9', "x")).await,
        StoreError::NoTrace { .. }
    ));
    let tags = map(&[]);
    let refused = refuse(store, noted('9', &[TraceRecord::Tagged { tags }])).await;
    assert!(matches!(refused, StoreError::NoTrace { .. }), "{refused}");
    let mut elsewhere = logged(trace_id('9'), &[]);
    if let Change::TraceLogged { experiment, .. } = &mut elsewhere {
        *experiment = "77".parse().unwrap();
    }
    let refused = refuse(store, elsewhere).await;
    assert!(
        matches!(refused, StoreError::NoExperiment { .. }),
        "{refused}"
    );
    assert!(store.find_trace(&trace_id('9')).await.unwrap().is_none());
    assert!(store.list_spans(&trace_id('9')).await.unwrap().is_empty());
}

/// One assessment may replace another, until it is deleted.
pub async fn assessments_replace_each_other(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    with_traces(store).await;
    let trace = trace_id('1');
    let mut better = feedback("a-9", "quality", json!("good"));
    better.overrides = Some("a-1".to_owned());
    note(store, noted('1', &[assessed(better.clone())])).await;
    let find = async |id: &str| store.find_assessment(&trace, id).await.unwrap();
    assert!(!find("a-1").await.unwrap().is_valid);
    assert_eq!(find("a-9").await.unwrap(), better);
    let mut revised = feedback("a-1", "quality", json!(5));
    revised.is_valid = false;
    note(store, noted('1', &[assessed(revised)])).await;
    let shown = find("a-1").await.unwrap();
    assert_eq!(shown.value.value(), json!(5));
    assert!(!shown.is_valid);
    let detail = store.find_trace(&trace).await.unwrap().unwrap();
    let ids: Vec<_> = detail
        .assessments
        .iter()
        .map(|one| one.id.as_str())
        .collect();
    assert_eq!(ids, ["a-1", "a-2", "a-9"]);
    let delete = |id: &str| Change::AssessmentDeleted {
        trace: trace.clone(),
        assessment: id.to_owned(),
    };
    note(store, delete("a-9")).await;
    note(store, delete("a-9")).await;
    assert!(find("a-9").await.is_none());
    assert!(find("a-1").await.unwrap().is_valid);
    let mut lost = feedback("a-8", "quality", json!(1));
    lost.overrides = Some("a-none".to_owned());
    let refused = refuse(store, noted('1', &[assessed(lost)])).await;
    assert!(
        matches!(refused, StoreError::NoAssessment { .. }),
        "{refused}"
    );
    assert!(find("a-8").await.is_none());
}

/// Every field of the grammar.
pub async fn traces_are_searched_by_all_that_they_have(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    with_traces(store).await;
    let cases: &[(&str, &str)] = &[
        ("", "312"),
        ("status = 'ERROR'", "3"),
        ("status IN ('OK', 'ERROR')", "312"),
        ("status LIKE 'O%'", "12"),
        ("name = 'chat'", "1"),
        ("name ILIKE 'CH%'", "1"),
        ("tags.team = 'blue'", "1"),
        ("tags.team IS NULL", "32"),
        ("tags.team RLIKE '^bl.e$'", "1"),
        ("metadata.kind = 'a'", "1"),
        ("metadata.`mlflow.trace.session` = 's'", "31"),
        ("run_id = 'run1'", "12"),
        ("run_id IS NULL", "3"),
        ("timestamp > 100", "31"),
        ("timestamp_ms <= 300", "12"),
        ("execution_time >= 71", "2"),
        ("end_time > 399", "3"),
        ("client_request_id LIKE 'request%'", "1"),
        ("client_request_id IS NULL", "32"),
        ("request_id = 'tr-11111111111111111111111111111111'", "1"),
        ("prompt = 'greeting/3'", "2"),
        ("prompt = 'greeting/4'", ""),
        ("span.name = 'step b'", "2"),
        ("span.type = 'LLM'", "2"),
        ("span.type IN ('LLM', 'TOOL')", "2"),
        ("span.status != 'OK'", ""),
        ("span.name = 'step a' AND span.type = 'LLM'", ""),
        ("span.name = 'step b' AND span.type = 'LLM'", "2"),
        ("span.attributes.n = '30'", "2"),
        ("span.attributes.n LIKE '3%'", "2"),
        ("span.attributes.model RLIKE 'g.t'", "2"),
        (
            "span.attributes.model = 'gpt' AND span.attributes.n = '30'",
            "",
        ),
        ("span.content LIKE '%größe%'", "2"),
        ("text ILIKE '%GRÖSSE%'", ""),
        ("text ILIKE '%GRÖßE%'", "2"),
        ("feedback.quality = '4.5'", "1"),
        ("feedback.quality > 4", "1"),
        ("feedback.quality > 4.5", ""),
        ("feedback.quality IS NOT NULL", "1"),
        ("feedback.quality IS NULL", "32"),
        // It covers the session, which the third is part of too.
        ("expectation.answer = 'yes'", "31"),
        ("expectation.answer LIKE 'y%' AND status = 'ERROR'", "3"),
        ("issue.id = 'issue-9'", "2"),
    ];
    for (filter, expected) in cases {
        assert_eq!(find(store, filter, &[]).await, *expected, "{filter}");
        let query = query(filter, &[]);
        let counted = store.count_traces(&[zero()], &[&query]).await.unwrap();
        assert_eq!(counted, expected.len() as u64, "{filter}");
    }
    let (first, second) = (
        query("span.name = 'step a'", &[]),
        query("span.type = 'LLM'", &[]),
    );
    let both = store.count_traces(&[zero()], &[&first, &second]).await;
    assert_eq!(both.unwrap(), 1);
    for (order, expected) in [
        ("timestamp", "213"),
        ("execution_time DESC", "213"),
        ("name", "132"),
        ("metadata.kind DESC", "132"),
        ("run_id", "132"),
        ("status", "312"),
        ("experiment_id", "312"),
    ] {
        assert_eq!(find(store, "", &[order]).await, expected, "{order}");
    }
    let page = PageRequest::first(2);
    let first = store
        .search_traces(&[], &query("", &[]), &page)
        .await
        .unwrap();
    assert_eq!(first.items.len(), 2);
    let rest = PageRequest {
        limit: 2,
        token: first.next,
    };
    let second = store
        .search_traces(&[], &query("", &[]), &rest)
        .await
        .unwrap();
    assert_eq!(second.items[0].trace.id, trace_id('2'));
    let elsewhere = ["77".parse().unwrap()];
    let none = store
        .search_traces(&elsewhere, &query("", &[]), &page)
        .await
        .unwrap();
    assert!(none.items.is_empty());
    for filter in ["tags.team RLIKE '('", "prompt = 'greeting'"] {
        let refused = store.search_traces(&[], &query(filter, &[]), &page).await;
        assert!(matches!(refused, Err(StoreError::Query { .. })), "{filter}");
    }
}

fn query(filter: &str, order: &[&str]) -> SearchQuery {
    SearchQuery {
        conditions: entities::parse_filter(filter, SearchKind::Traces).unwrap(),
        order_by: entities::parse_order_by(order, SearchKind::Traces).unwrap(),
    }
}

/// The last digits of those that fit.
async fn find(store: &dyn Store, filter: &str, order: &[&str]) -> String {
    let query = query(filter, order);
    let found = store
        .search_traces(&[zero()], &query, &all())
        .await
        .unwrap();
    let ids = found.items.iter().map(|detail| detail.trace.id.as_str());
    ids.filter_map(|id| id.chars().last()).collect()
}

/// What a deleted trace said is gone; that it was there is not. Its id may be used again.
pub async fn deleted_traces_leave_nothing_but_their_events(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    with_traces(store).await;
    let until = store.list_traces_until(&zero(), at(300), 9).await.unwrap();
    assert_eq!(until, [trace_id('2'), trace_id('1')]);
    assert_eq!(
        store
            .list_traces_until(&zero(), at(300), 1)
            .await
            .unwrap()
            .len(),
        1
    );
    let twice = Change::TracesDeleted {
        traces: vec![trace_id('3'), trace_id('3')],
    };
    assert!(matches!(
        refuse(store, twice).await,
        StoreError::NoTrace { .. }
    ));
    let delete = Change::TracesDeleted { traces: until };
    make(store, "traces.deleted", "experiment:0", delete.clone()).await;
    assert_eq!(find(store, "", &[]).await, "3");
    assert!(store.list_spans(&trace_id('2')).await.unwrap().is_empty());
    assert_eq!(find(store, "issue.id = 'issue-9'", &[]).await, "");
    assert!(
        store
            .list_traces_of_run(&id("run1"), 9)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(matches!(
        refuse(store, delete).await,
        StoreError::NoTrace { .. }
    ));
    // All that follows from what is gone still can be told from what was never said.
    assert_eq!(store.verify_projection().await.unwrap(), None);
    with_traces(store).await;
    assert_eq!(find(store, "", &[]).await, "312");
    let other = experiment("5", "other");
    let made = Change::ExperimentCreated { experiment: other };
    store
        .commit(commit("experiment.created", "experiment:5", vec![made]))
        .await
        .unwrap();
}
