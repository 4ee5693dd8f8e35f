//! Every form of the grammar, and what is said of the others.

use super::*;

fn runs(text: &str) -> Vec<Condition> {
    parse_filter(text, SearchKind::Runs).unwrap()
}

fn message(text: &str) -> String {
    parse_filter(text, SearchKind::Runs)
        .unwrap_err()
        .to_string()
}

fn one(field: Field, comparison: Comparison) -> Vec<Condition> {
    vec![Condition { field, comparison }]
}

fn text_is(text: &str) -> Comparison {
    Comparison::Text(Operator::Equal, text.to_owned())
}

#[test]
fn every_form_of_a_name_is_read() {
    let loss = |text| {
        let below = Comparison::Number(Operator::Less, 0.5);
        assert_eq!(runs(text), one(Field::Metric("my loss".to_owned()), below));
    };
    loss("metrics.\"my loss\" < 0.5");
    loss("metric.`my loss`<.5");
    loss("  `metrics.my loss`  <  5e-1 ");
    let dotted = one(Field::Param("a.b-c/d".to_owned()), text_is("x"));
    assert_eq!(runs("params.a.b-c/d = 'x'"), dotted);
    assert_eq!(runs("parameter.a.b-c/d=\"x\""), dotted);
    let name = one(Field::Attribute("run_name".to_owned()), text_is("x"));
    for text in [
        "run_name = 'x'",
        "attributes.run_name = 'x'",
        "attr.`Run Name` = 'x'",
        "\"run name\" = 'x'",
        "run.run_name = 'x'",
    ] {
        assert_eq!(runs(text), name, "{text}");
    }
}

#[test]
fn every_comparison_is_read() {
    let tag = |comparison| one(Field::Tag("t".to_owned()), comparison);
    let like = |pattern: &str, ignores_case| Comparison::Like {
        pattern: pattern.to_owned(),
        ignores_case,
    };
    assert_eq!(runs("tags.t like 'a%'"), tag(like("a%", false)));
    assert_eq!(runs("tags.t ILIKE 'a%'"), tag(like("a%", true)));
    assert_eq!(
        runs("tags.t IS NULL"),
        tag(Comparison::Null { is_negated: false })
    );
    assert_eq!(
        runs("tags.t is not null"),
        tag(Comparison::Null { is_negated: true })
    );
    assert_eq!(runs("tags.t = 'it''s'"), tag(text_is("it's")));
    let list = Comparison::In {
        values: vec!["a".to_owned(), "b".to_owned()],
        is_negated: true,
    };
    assert_eq!(
        runs("run_id NOT IN ('a',\"b\")"),
        one(Field::Attribute("run_id".to_owned()), list)
    );
    let both = runs("metrics.a >= -1 and dataset.name != 'd' AND end_time IS NULL");
    assert_eq!(both.len(), 3);
    assert_eq!(
        both[0].comparison,
        Comparison::Number(Operator::GreaterOrEqual, -1.0)
    );
    assert!(runs(" \n ").is_empty());
}

#[test]
fn messages_say_what_where_and_what_to_write() {
    let cases = [
        (
            "metrics.a = 'x'",
            "`metrics.a` compares with a number, not `'x'`; write `metrics.a = 0.5` (at character 13",
        ),
        ("metrics.a = '3'", "write `metrics.a = 3`"),
        (
            "params.p = 3",
            "compares with a text in quotes, not `3`; write `'3'` (at character 12",
        ),
        (
            "params.p > '3'",
            "`params.p` cannot be compared by >; write `params.p` and one of =, !=",
        ),
        ("params.p IN ('a')", "cannot be compared by a list"),
        ("metrics.a LIKE 'x'", "cannot be compared by LIKE"),
        ("metric.a = 1 OR metric.b = 2", "there is no OR, only AND"),
        (
            "metrics.a == 1",
            "`==` is not a comparison; write `=` (at character 11",
        ),
        ("statsu = 'FINISHED'", "did you mean `status`?"),
        ("metrcs.a > 1", "did you mean `metrics`?"),
        ("name LIKE 'a%'", "did you mean `run_name`?"),
        ("user = 'ann'", "did you mean `user_id`?"),
        ("loss > 1", "`metrics.loss`"),
        ("dataset.nme = 'x'", "did you mean `dataset.name`?"),
        (
            "params.p = 'x",
            "the quote ' is not closed (at character 12",
        ),
        (
            "params.p =",
            "expected a text in quotes, found the end (at character 11",
        ),
        (
            "params.p",
            "expected a comparison, such as `params.p = 'text'`, found the end",
        ),
        ("metrics. > 1", "a key is missing after `metrics.`"),
        ("metrics.a > 1 metrics.b > 1", "expected AND"),
        ("metrics.a > 1 AND", "expected a condition"),
        ("metrics.a > nan", "compares with a number"),
        ("run_id IN ()", "compares with a text in quotes, not `)`"),
        ("run_id IN 'a'", "expected a list, found `'a'`"),
        ("(metrics.a > 1)", "expected a field"),
        ("metrics.a > 1; DROP TABLE run", "`;` has no meaning here"),
    ];
    for (text, expected) in cases {
        let message = message(text);
        assert!(message.contains(expected), "{text}: {message}");
    }
}

#[test]
fn each_kind_has_its_own_fields() {
    assert!(parse_filter("name LIKE 'x%'", SearchKind::Experiments).is_ok());
    assert!(parse_filter("metrics.a > 1", SearchKind::Experiments).is_err());
    assert!(parse_filter("metrics.a > 1", SearchKind::Models).is_ok());
    assert!(parse_filter("dataset.name = 'x'", SearchKind::Models).is_err());
    let aliased = parse_filter("creation_time > 5", SearchKind::Models).unwrap();
    assert_eq!(
        aliased[0].field,
        Field::Attribute("creation_timestamp".to_owned())
    );
    assert!(
        parse_filter(
            "name LIKE 'x%' AND tags.t = '1'",
            SearchKind::RegisteredModels
        )
        .is_ok()
    );
    assert!(parse_filter("metrics.a > 1", SearchKind::RegisteredModels).is_err());
    assert!(
        parse_filter(
            "version_number >= 2 AND run_id IN ('a')",
            SearchKind::ModelVersions
        )
        .is_ok()
    );
    assert!(parse_filter("version_number = '2'", SearchKind::ModelVersions).is_err());
    assert!(parse_order_by(&["timestamp DESC"], SearchKind::RegisteredModels).is_ok());
}

#[test]
fn traces_are_searched_by_what_only_they_have() {
    let traces = |text: &str| parse_filter(text, SearchKind::Traces).unwrap();
    let fields = |text: &str| traces(text).remove(0).field;
    assert_eq!(
        fields("name = 'x'"),
        Field::Tag("mlflow.traceName".to_owned())
    );
    assert_eq!(
        fields("trace.timestamp > 1"),
        Field::Attribute("timestamp_ms".to_owned())
    );
    assert_eq!(
        fields("metadata.`mlflow.trace.session` = 's'"),
        Field::Metadata("mlflow.trace.session".to_owned())
    );
    assert_eq!(
        fields("span.attributes.gen_ai.request.model LIKE '%gpt%'"),
        Field::SpanAttribute("gen_ai.request.model".to_owned())
    );
    assert_eq!(
        fields("trace.text ILIKE '%a%'"),
        Field::Span("content".to_owned())
    );
    assert_eq!(fields("prompt = 'p/3'"), Field::Prompt);
    assert_eq!(
        traces("feedback.quality > 4")[0].comparison,
        Comparison::Number(Operator::Greater, 4.0)
    );
    assert_eq!(
        traces("feedback.quality = 'yes'")[0].comparison,
        text_is("yes")
    );
    assert_eq!(
        traces("tags.t RLIKE '^a'")[0].comparison,
        Comparison::Matches {
            pattern: "^a".to_owned()
        }
    );
    for (text, expected) in [
        (
            "feedback.quality > '4'",
            "compares with a number, not `'4'`",
        ),
        ("span.content = 'x'", "cannot be compared by ="),
        ("span.nme = 'x'", "did you mean `span.name`?"),
        (
            "span.attributes. = 'x'",
            "a key is missing after `span.attributes.`",
        ),
        ("prompt != 'p/3'", "cannot be compared by !="),
        ("metrics.a > 1", "traces cannot be searched by `metrics`"),
        ("timestamp = 'x'", "compares with a number"),
        ("tags.t IN ('a')", "cannot be compared by a list"),
    ] {
        let said = parse_filter(text, SearchKind::Traces).unwrap_err();
        assert!(said.to_string().contains(expected), "{text}: {said}");
    }
    assert!(parse_filter("tags.t RLIKE 'a'", SearchKind::Runs).is_err());
    assert!(parse_order_by(&["span.name"], SearchKind::Traces).is_err());
    assert!(parse_order_by(&["metadata.kind DESC"], SearchKind::Traces).is_ok());
}

#[test]
fn orders_are_read() {
    let order = |clause| parse_order_by(&[clause], SearchKind::Runs);
    let by = |field, is_ascending| {
        Ok(vec![OrderBy {
            field,
            is_ascending,
        }])
    };
    let loss = Field::Metric("loss".to_owned());
    assert_eq!(order("metrics.loss"), by(loss.clone(), true));
    assert_eq!(order("metrics.`loss` desc"), by(loss, false));
    let start = Field::Attribute("start_time".to_owned());
    assert_eq!(order("Created DESC"), by(start, false));
    assert!(order("dataset.name").is_err());
    assert!(order("").is_err());
    let error = order("metrics.loss DOWN").unwrap_err();
    assert_eq!(error.position, 13);
    assert!(error.message.contains("expected ASC or DESC"));
    assert!(order("metrics.loss DESC, metrics.acc").is_err());
}

#[test]
fn no_text_makes_the_parser_panic() {
    let pieces = [
        "metrics", ".", "\"", "'", "`", "a", " ", "=", "IN", "(", ")", ",", "ä", "IS", "NOT", "1",
    ];
    let mut number = 1_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..8 {
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            text += pieces[(number >> 33) as usize % pieces.len()];
        }
        if let Err(error) = parse_filter(&text, SearchKind::Runs) {
            assert!(error.position <= text.chars().count(), "{text}: {error}");
        }
    }
}
