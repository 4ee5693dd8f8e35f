//! Cases of figures over traces; what comes out of the same data in MLflow is compared in the server.

use entities::{
    Aggregation, CostKind, Figure, FigureField, FigurePoint, FigureQuery, Grouping, SearchKind,
    TokenKind, parse_filter,
};

use super::traces::with_traces;
use super::{initialisation, zero};
use crate::Store;

fn query(figure: Figure, aggregations: &[Aggregation], groupings: &[Grouping]) -> FigureQuery {
    FigureQuery {
        experiments: vec![zero()],
        figure,
        aggregations: aggregations.to_vec(),
        groupings: groupings.to_vec(),
        traces: Vec::new(),
        rows: Vec::new(),
        from_ms: None,
        until_ms: None,
        bucket_seconds: None,
        limit: 100,
    }
}

/// Groups with their values, as texts.
async fn measured(store: &dyn Store, query: &FigureQuery) -> Vec<String> {
    let points = store.measure_traces(query).await.unwrap();
    let shown = points.into_iter().map(|point| {
        let FigurePoint {
            bucket_ms,
            group,
            values,
        } = point;
        let bucket = bucket_ms
            .map(|bucket| format!("{bucket} "))
            .unwrap_or_default();
        let values: Vec<_> = values
            .iter()
            .map(|value| value.map_or("none".to_owned(), |value| value.to_string()))
            .collect();
        format!("{bucket}{}: {}", group.join(","), values.join(" "))
    });
    shown.collect()
}

/// Counts, sums and percentiles are the same on every database.
pub async fn figures_are_taken_over_what_fits(store: &dyn Store) {
    use Aggregation::{Count, Largest, Least, Mean, Percentile, Sum};
    store.commit(initialisation()).await.unwrap();
    with_traces(store).await;
    let ask = async |query: FigureQuery| measured(store, &query).await;

    let count = |figure, groupings: &[Grouping]| query(figure, &[Count], groupings);
    assert_eq!(ask(count(Figure::TraceCount, &[])).await, [": 3"]);
    assert_eq!(
        ask(count(Figure::TraceCount, &[Grouping::TraceStatus])).await,
        ["ERROR: 1", "OK: 2"]
    );
    let by_both = [Grouping::TraceStatus, Grouping::TraceName];
    // What has no name is in no group of names.
    assert_eq!(
        ask(count(Figure::TraceCount, &by_both)).await,
        ["OK,chat: 1"]
    );
    assert_eq!(ask(count(Figure::SessionCount, &[])).await, [": 1"]);
    let all = [Mean, Least, Largest, Percentile(50.0), Percentile(25.0)];
    assert_eq!(
        ask(query(Figure::TraceLatency, &all, &[])).await,
        [": 85 70 100 85 77.5"]
    );
    let tokens = Figure::Tokens(TokenKind::Total);
    assert_eq!(ask(query(tokens, &[Sum, Mean], &[])).await, [": 7 7"]);
    let none = Figure::Tokens(TokenKind::CacheRead);
    assert_eq!(
        ask(query(none, &[Sum, Percentile(5.0)], &[])).await,
        [": none none"]
    );

    let by_type = [Grouping::SpanType];
    assert_eq!(ask(count(Figure::SpanCount, &by_type)).await, ["LLM: 1"]);
    let by_name = [Grouping::SpanName, Grouping::SpanStatus];
    assert_eq!(
        ask(query(Figure::SpanLatency, &[Largest], &by_name)).await,
        ["step a,OK: 100", "step b,OK: 40"]
    );
    let by_model = [Grouping::SpanModelName];
    assert_eq!(ask(count(Figure::SpanCount, &by_model)).await, [""; 0]);
    let cost = Figure::Cost(CostKind::Input);
    assert_eq!(ask(query(cost, &[Sum], &[])).await, [": 0.5"]);
    assert_eq!(
        ask(query(Figure::Cost(CostKind::Total), &[Sum], &[])).await,
        [": none"]
    );

    let by_value = [Grouping::AssessmentName, Grouping::AssessmentValue];
    assert_eq!(
        ask(count(Figure::AssessmentCount, &by_value)).await,
        [
            "answer,\"yes\": 1",
            "issue-9,{\"issue_name\": \"wrong language\"}: 1",
            "quality,4.5: 1"
        ]
    );
    assert_eq!(
        ask(query(Figure::AssessmentValue, &[Mean], &[])).await,
        [": 2.75"]
    );

    figures_of_some(store).await;
}

/// What a figure is restricted to.
async fn figures_of_some(store: &dyn Store) {
    let ask = async |query: FigureQuery| measured(store, &query).await;
    let count = |figure| query(figure, &[Aggregation::Count], &[]);
    for (filter, expected) in [
        ("tags.team = 'blue'", ": 1"),
        ("metadata.kind = 'a'", ": 1"),
        ("status = 'ERROR'", ": 1"),
        ("run_id = 'run1'", ": 2"),
        ("tags.team = '''; DROP TABLE trace; --'", ": 0"),
    ] {
        let mut query = count(Figure::TraceCount);
        query.traces = parse_filter(filter, SearchKind::Traces).unwrap();
        assert_eq!(ask(query).await, [expected], "{filter}");
    }
    for (figure, field, value, expected) in [
        (Figure::SpanCount, FigureField::SpanName, "step a", ": 1"),
        (Figure::SpanCount, FigureField::SpanType, "LLM", ": 1"),
        (Figure::SpanCount, FigureField::SpanStatus, "ERROR", ": 0"),
        (
            Figure::AssessmentCount,
            FigureField::AssessmentName,
            "quality",
            ": 1",
        ),
        (
            Figure::AssessmentCount,
            FigureField::AssessmentType,
            "issue",
            ": 1",
        ),
    ] {
        let mut query = count(figure);
        query.rows = vec![(field, value.to_owned())];
        assert_eq!(ask(query).await, [expected], "{field:?}");
    }
    let mut timed = count(Figure::TraceCount);
    (timed.from_ms, timed.until_ms) = (Some(100), Some(300));
    assert_eq!(ask(timed.clone()).await, [": 2"]);
    timed.until_ms = Some(299);
    assert_eq!(ask(timed.clone()).await, [": 1"]);
    (timed.from_ms, timed.until_ms) = (Some(i64::MIN), Some(i64::MAX));
    timed.bucket_seconds = Some(1);
    assert_eq!(ask(timed.clone()).await, ["0 : 3"]);
    timed.limit = 0;
    assert_eq!(ask(timed).await, [""; 0]);
    // Costs are told by when the span began.
    let mut cost = query(Figure::Cost(CostKind::Input), &[Aggregation::Sum], &[]);
    cost.from_ms = Some(110);
    assert_eq!(ask(cost.clone()).await, [": 0.5"]);
    cost.from_ms = Some(111);
    assert_eq!(ask(cost).await, [": none"]);
    let mut nowhere = count(Figure::TraceCount);
    nowhere.experiments = Vec::new();
    assert_eq!(ask(nowhere).await, [": 0"]);
}
