//! Texts that PostgreSQL has trouble with, and searches in its words.

use std::collections::BTreeSet;

use entities::{Artifact, Change, Comparison, Condition, Field, ObjectId, SearchQuery};
use store::conformance::{commit, experiment, initialisation, run};
use store::{
    ArtifactStore as _, ExperimentStore as _, LedgerStore as _, PageRequest, RunStore as _,
    Store as _, StoreError, View,
};
use store_postgres::PostgresStore;

use testkit::TestSchema;

#[tokio::test]
async fn null_characters_are_kept() {
    let Some(schema) = TestSchema::make() else {
        return;
    };
    let store = schema.open(1).await;
    store.commit(initialisation()).await.unwrap();
    let texts = ["a\0b", "ab", "\u{1}", "\u{1}\u{1}", "\0"];
    let created = Change::RunCreated { run: run("a", 1) };
    let params = texts
        .iter()
        .map(|text| (format!("key {text}"), (*text).to_owned()));
    let logged = Change::ParamsLogged {
        run: "a".parse().unwrap(),
        params: params.collect(),
    };
    store
        .commit(commit("test", "run:a", vec![created, logged]))
        .await
        .unwrap();
    let detail = store
        .find_run_detail(&"a".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    for text in texts {
        assert_eq!(detail.params[&format!("key {text}")], text);
        let condition = Condition {
            field: Field::Param(format!("key {text}")),
            comparison: Comparison::Text(entities::Operator::Equal, text.to_owned()),
        };
        let query = SearchQuery {
            conditions: vec![condition],
            order_by: Vec::new(),
        };
        let page = PageRequest::first(5);
        let found = store
            .search_runs(&[], &query, View::All, &page)
            .await
            .unwrap();
        assert_eq!(found.items.len(), 1, "{text:?}");
    }
    assert_eq!(store.verify_projection().await.unwrap(), None);
}

#[tokio::test]
async fn a_path_that_no_index_can_hold_is_refused_and_a_long_value_is_kept() {
    let Some(schema) = TestSchema::make() else {
        return;
    };
    let store = schema.open(1).await;
    store.commit(initialisation()).await.unwrap();
    // Not compressible, and within what the store itself allows.
    let noise: String = (0..240_u32)
        .map(|number| {
            ObjectId::of(&number.to_be_bytes())
                .to_string()
                .replace(':', "")
        })
        .collect();
    let put = |path: String| Change::ArtifactsPut {
        artifacts: vec![Artifact {
            path,
            object: ObjectId::of(b""),
            size_bytes: 0,
        }],
    };
    let long = commit(
        "test",
        "run:a",
        vec![put(format!("0/a/artifacts/{}", &noise[..4000]))],
    );
    let error = store.commit(long).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Query { message } if message.contains("longer")),
        "{error}"
    );
    let fine = commit(
        "test",
        "run:a",
        vec![put(format!("0/a/artifacts/{}", &noise[..2000]))],
    );
    store.commit(fine).await.unwrap();
    assert_eq!(
        store.list_artifacts("0/a/artifacts").await.unwrap().len(),
        1
    );
    let created = Change::RunCreated { run: run("a", 1) };
    let tags = Change::TagsSet {
        run: "a".parse().unwrap(),
        tags: [("long".to_owned(), noise.clone())].into(),
    };
    store
        .commit(commit("test", "run:a", vec![created, tags]))
        .await
        .unwrap();
    let detail = store
        .find_run_detail(&"a".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(detail.tags["long"], noise);
}

async fn find(
    store: &PostgresStore,
    comparison: Comparison,
) -> Result<BTreeSet<String>, StoreError> {
    let query = SearchQuery {
        conditions: vec![Condition {
            field: Field::Attribute("name".to_owned()),
            comparison,
        }],
        order_by: Vec::new(),
    };
    let page = PageRequest::first(100);
    let found = store.search_experiments(&query, View::All, &page).await?;
    Ok(found.items.into_iter().map(|found| found.name).collect())
}

/// The oracle is the crate whose expressions they are.
#[tokio::test]
async fn expressions_and_patterns_find_what_they_find_elsewhere() {
    let Some(schema) = TestSchema::make() else {
        return;
    };
    let store = schema.open(1).await;
    store.commit(initialisation()).await.unwrap();
    let names = [
        "Default",
        "abc",
        "ABC",
        "a.c",
        "a\\b",
        "line\nbreak",
        "Ärger",
        "ärger",
        "Straße",
        "k\u{212a}",
        "x-y_z",
        "[a]",
        "100%",
        "a b",
        "été",
        "café",
        "тест",
        "1234",
        "a{2}",
        "$",
        "^",
        "aab",
        "***:x",
    ];
    for (number, name) in names.iter().enumerate().skip(1) {
        let change = Change::ExperimentCreated {
            experiment: experiment(&number.to_string(), name),
        };
        store
            .commit(commit(
                "test",
                &format!("experiment:{number}"),
                vec![change],
            ))
            .await
            .unwrap();
    }
    for pattern in [
        "a",
        "^a",
        "c$",
        "^abc$",
        "(?i)^abc$",
        "a.c",
        r"a\.c",
        r"a\\b",
        "^.*$",
        "(?s)^.*$",
        "(?m)^break",
        "(?m)line$",
        r"\d",
        r"^\d{4}$",
        r"\w+",
        r"^\w+$",
        r"\bb",
        r"\Bb",
        r"caf\b",
        r"é\b",
        r"\bт",
        "[^a-z]",
        "ä|é",
        "(?i)ärger",
        r"\p{Cyrillic}",
        r"\[a\]",
        "a{2}",
        "a{2,}b?",
        "",
        "(?:)",
        "%",
        r"\$",
        r"\^",
        "k(?i)k",
        "^(Def|a)",
        "[[:alpha:]]{6,}",
        r"\*\*\*:",
        r"\x41",
        "(?x) a b c",
        "a(?P<name>b)c",
        "(a|b|)c",
        "[a&&b]",
        r"[\s\S]b",
    ] {
        let expression = regex::Regex::new(pattern).unwrap();
        let expected: BTreeSet<String> = names
            .iter()
            .filter(|name| expression.is_match(name))
            .map(|name| (*name).to_owned())
            .collect();
        let comparison = Comparison::Matches {
            pattern: pattern.to_owned(),
        };
        assert_eq!(
            find(&store, comparison).await.unwrap(),
            expected,
            "{pattern}"
        );
    }
    for (pattern, ignores_case, expected) in [
        (
            "a%",
            false,
            vec!["abc", "a.c", "a\\b", "a b", "a{2}", "aab"],
        ),
        ("ÄRGER", true, vec!["Ärger", "ärger"]),
        ("ä%", false, vec!["ärger"]),
        ("a\\b", false, vec!["a\\b"]),
        ("100%", false, vec!["100%"]),
        (
            "___",
            false,
            vec!["abc", "ABC", "a.c", "a\\b", "[a]", "a b", "été", "aab"],
        ),
    ] {
        let comparison = Comparison::Like {
            pattern: pattern.to_owned(),
            ignores_case,
        };
        let expected: BTreeSet<String> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(
            find(&store, comparison).await.unwrap(),
            expected,
            "{pattern}"
        );
    }
    let error = find(
        &store,
        Comparison::Matches {
            pattern: "a{999}".to_owned(),
        },
    );
    assert!(matches!(error.await, Err(StoreError::Query { .. })));
}
