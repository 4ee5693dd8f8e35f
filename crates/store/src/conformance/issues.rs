//! Cases of issues and label schemas.

use entities::{
    Change, CountedIssue, Issue, IssueSeverity, IssueStatus, IssueUpdate, LabelInput, LabelKind,
    LabelSchema, LabelSchemaUpdate, Lifecycle, SearchKind, SearchQuery, parse_filter,
};

use super::traces::with_traces;
use super::{all, at, experiment, initialisation, make, refuse, zero};
use crate::{PageRequest, Store, StoreError};

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// An issue of experiment 0.
pub(super) fn issue(text: &str, created_ms: i64) -> Issue {
    Issue {
        id: id(text),
        experiment: zero(),
        name: format!("name of {text}"),
        description: "what it is".to_owned(),
        status: IssueStatus::Pending,
        severity: None,
        root_causes: Vec::new(),
        categories: Vec::new(),
        source_run: None,
        created_by: None,
        created_at: at(created_ms),
        updated_at: at(created_ms),
    }
}

/// A question of experiment 0.
pub(super) fn label_schema(text: &str, name: &str) -> LabelSchema {
    LabelSchema {
        id: id(text),
        experiment: zero(),
        name: name.to_owned(),
        kind: LabelKind::Feedback,
        instruction: Some("Look twice.".to_owned()),
        has_comment: true,
        input: LabelInput::Numeric {
            least: Some(-0.5),
            largest: None,
        },
        created_at: at(10),
        updated_at: at(10),
    }
}

async fn create(store: &dyn Store, issue: Issue) {
    let subject = format!("issue:{}", issue.id);
    make(
        store,
        "issue.created",
        &subject,
        Change::IssueCreated { issue },
    )
    .await;
}

async fn found(
    store: &dyn Store,
    filter: &str,
    counts: bool,
    page: &PageRequest,
) -> (Vec<(String, Option<u64>)>, Option<String>) {
    let query = SearchQuery {
        conditions: parse_filter(filter, SearchKind::Issues).unwrap(),
        order_by: Vec::new(),
    };
    let experiment = zero();
    let searching = store.search_issues(Some(&experiment), &query, counts, page);
    let page = searching.await.unwrap();
    let items = page.items.into_iter();
    let items = items.map(|CountedIssue { issue, traces }| (issue.id.as_str().to_owned(), traces));
    (items.collect(), page.next)
}

/// Issues are made and changed; what is not said stays.
pub async fn issues_are_made_and_changed(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    let mut full = issue("iss-1", 10);
    full.severity = Some(IssueSeverity::High);
    full.root_causes = vec!["a \"b\"".to_owned(), "ü".to_owned()];
    full.categories = vec!["safety".to_owned()];
    full.source_run = Some(id("run1"));
    full.created_by = Some("ann".to_owned());
    create(store, full.clone()).await;
    assert_eq!(
        store.find_issue(&full.id).await.unwrap(),
        Some(full.clone())
    );
    assert_eq!(store.find_issue(&id("iss-2")).await.unwrap(), None);
    let again = Change::IssueCreated {
        issue: full.clone(),
    };
    let error = refuse(store, again).await;
    assert!(matches!(error, StoreError::Exists { .. }), "{error}");
    let update = |update: IssueUpdate, issue: &str| Change::IssueUpdated {
        issue: id(issue),
        update,
        at: at(20),
    };
    let change = IssueUpdate {
        status: Some(IssueStatus::Resolved),
        name: Some("new".to_owned()),
        ..IssueUpdate::default()
    };
    make(
        store,
        "issue.updated",
        "issue:iss-1",
        update(change, "iss-1"),
    )
    .await;
    full.status = IssueStatus::Resolved;
    "new".clone_into(&mut full.name);
    full.updated_at = at(20);
    assert_eq!(store.find_issue(&full.id).await.unwrap(), Some(full));
    let error = refuse(store, update(IssueUpdate::default(), "iss-9")).await;
    assert!(matches!(error, StoreError::NoIssue { .. }), "{error}");
    let mut nowhere = issue("iss-3", 10);
    nowhere.experiment = id("77");
    let error = refuse(store, Change::IssueCreated { issue: nowhere }).await;
    assert!(matches!(error, StoreError::NoExperiment { .. }), "{error}");
}

/// The worst come first, and of these what most traces show.
pub async fn issues_are_searched_by_what_became_of_them(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    // One of its traces shows `issue-9`.
    with_traces(store).await;
    for (text, created_ms, severity, status, run) in [
        ("issue-1", 10, None, IssueStatus::Pending, None),
        ("issue-9", 10, None, IssueStatus::Pending, Some("run1")),
        (
            "issue-2",
            30,
            Some(IssueSeverity::Low),
            IssueStatus::Resolved,
            Some("run2"),
        ),
        (
            "issue-3",
            20,
            Some(IssueSeverity::High),
            IssueStatus::Rejected,
            None,
        ),
        (
            "issue-4",
            20,
            Some(IssueSeverity::NotAnIssue),
            IssueStatus::Pending,
            None,
        ),
    ] {
        let mut issue = issue(text, created_ms);
        issue.severity = severity;
        issue.status = status;
        issue.source_run = run.map(id);
        create(store, issue).await;
    }
    let other = experiment("5", "other");
    make(
        store,
        "experiment.created",
        "experiment:5",
        Change::ExperimentCreated { experiment: other },
    )
    .await;
    let mut elsewhere = issue("issue-5", 40);
    elsewhere.experiment = id("5");
    create(store, elsewhere).await;
    let names = async |filter: &str| {
        let (items, next) = found(store, filter, false, &all()).await;
        assert_eq!(next, None);
        let names = items.into_iter().map(|(name, traces)| {
            assert_eq!(traces, None);
            name
        });
        names.collect::<Vec<_>>()
    };
    assert_eq!(
        names("").await,
        ["issue-3", "issue-2", "issue-4", "issue-9", "issue-1"]
    );
    assert_eq!(names("status = 'resolved'").await, ["issue-2"]);
    assert_eq!(names("status != 'pending'").await, ["issue-3", "issue-2"]);
    // What has no run has no other either.
    assert_eq!(names("source_run_id != 'run1'").await, ["issue-2"]);
    assert_eq!(
        names("source_run_id = 'run1' AND status = 'pending'").await,
        ["issue-9"]
    );
    assert_eq!(names("status = '''; DROP TABLE issue; --'").await, [""; 0]);
    let (counted, _) = found(store, "severity IS NULL", true, &all()).await;
    assert_eq!(
        counted,
        [
            ("issue-9".to_owned(), Some(1)),
            ("issue-1".to_owned(), Some(0))
        ]
    );
    let (first, next) = found(store, "", false, &PageRequest::first(3)).await;
    assert_eq!(first.len(), 3);
    let mut page = PageRequest::first(3);
    page.token = next;
    let (rest, next) = found(store, "", false, &page).await;
    assert_eq!((rest.len(), next), (2, None));
    let query = SearchQuery {
        conditions: parse_filter("status = 'pending'", SearchKind::Issues).unwrap(),
        order_by: Vec::new(),
    };
    let foreign = store
        .search_issues(Some(&zero()), &query, false, &page)
        .await;
    assert!(matches!(foreign, Err(StoreError::PageToken { .. })));
    let query = SearchQuery::default();
    let everywhere = store
        .search_issues(None, &query, false, &all())
        .await
        .unwrap();
    assert_eq!(everywhere.items.len(), 6);
}

/// A name stands once in an experiment.
pub async fn label_schemas_are_made_changed_and_deleted(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    let mut first = label_schema("ls-1", "Is it right?");
    let mut second = label_schema("ls-2", "Why?");
    second.input = LabelInput::Text { longest: None };
    second.kind = LabelKind::Expectation;
    second.created_at = at(20);
    for schema in [&first, &second] {
        let change = Change::LabelSchemaCreated {
            schema: schema.clone(),
        };
        make(
            store,
            "label_schema.created",
            &format!("label-schema:{}", schema.id),
            change,
        )
        .await;
    }
    assert_eq!(
        store.list_label_schemas(&zero()).await.unwrap(),
        [second.clone(), first.clone()]
    );
    let named = store
        .find_label_schema_by_name(&zero(), "Why?")
        .await
        .unwrap();
    assert_eq!(named.as_ref(), Some(&second));
    assert_eq!(
        store
            .find_label_schema_by_name(&id("5"), "Why?")
            .await
            .unwrap(),
        None
    );
    let taken = Change::LabelSchemaCreated {
        schema: label_schema("ls-3", "Why?"),
    };
    let error = refuse(store, taken).await;
    assert!(
        matches!(error, StoreError::LabelSchemaNameTaken { .. }),
        "{error}"
    );
    let update = |schema: &str, update: LabelSchemaUpdate| Change::LabelSchemaUpdated {
        schema: id(schema),
        update,
        at: at(30),
    };
    let renamed = |name: &str| LabelSchemaUpdate {
        name: Some(name.to_owned()),
        ..LabelSchemaUpdate::default()
    };
    let error = refuse(store, update("ls-1", renamed("Why?"))).await;
    assert!(
        matches!(error, StoreError::LabelSchemaNameTaken { .. }),
        "{error}"
    );
    let error = refuse(store, update("ls-9", renamed("x"))).await;
    assert!(matches!(error, StoreError::NoLabelSchema { .. }), "{error}");
    first.input = LabelInput::Categorical {
        options: vec!["a".to_owned(), "b".to_owned()],
        is_multiple: true,
    };
    first.has_comment = false;
    first.instruction = Some(String::new());
    first.updated_at = at(30);
    let change = LabelSchemaUpdate {
        name: Some(first.name.clone()),
        instruction: first.instruction.clone(),
        has_comment: Some(false),
        input: Some(first.input.clone()),
    };
    make(
        store,
        "label_schema.updated",
        "label-schema:ls-1",
        update("ls-1", change),
    )
    .await;
    assert_eq!(
        store.find_label_schema(&first.id).await.unwrap(),
        Some(first)
    );
    let delete = || Change::LabelSchemaDeleted { schema: id("ls-2") };
    make(store, "label_schema.deleted", "label-schema:ls-2", delete()).await;
    assert_eq!(store.find_label_schema(&id("ls-2")).await.unwrap(), None);
    let error = refuse(store, delete()).await;
    assert!(matches!(error, StoreError::NoLabelSchema { .. }), "{error}");
}

/// What is removed for good is in no issue, and an issue whose run was removed stays without it.
pub async fn issues_go_with_their_experiment_and_forget_their_run(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    let made = Change::ExperimentCreated {
        experiment: experiment("5", "other"),
    };
    make(store, "experiment.created", "experiment:5", made).await;
    let run = Change::RunCreated {
        run: super::run("a", 10),
    };
    make(store, "run.created", "run:a", run).await;
    let mut stays = issue("iss-1", 10);
    stays.source_run = Some(id("a"));
    create(store, stays.clone()).await;
    let mut goes = issue("iss-2", 10);
    goes.experiment = id("5");
    create(store, goes.clone()).await;
    let mut asked = label_schema("ls-1", "Why?");
    asked.experiment = id("5");
    let change = Change::LabelSchemaCreated {
        schema: asked.clone(),
    };
    make(store, "label_schema.created", "label-schema:ls-1", change).await;
    let deleted = Change::RunLifecycleSet {
        run: id("a"),
        lifecycle: Lifecycle::Deleted,
    };
    make(store, "run.deleted", "run:a", deleted).await;
    let removed = Change::RunsRemoved {
        runs: vec![id("a")],
    };
    make(store, "run.removed", "run:a", removed).await;
    stays.source_run = None;
    assert_eq!(store.find_issue(&stays.id).await.unwrap(), Some(stays));
    let deleted = Change::ExperimentLifecycleSet {
        experiment: id("5"),
        lifecycle: Lifecycle::Deleted,
        runs: Vec::new(),
        at: at(20),
    };
    make(store, "experiment.deleted", "experiment:5", deleted).await;
    let removed = Change::ExperimentRemoved {
        experiment: id("5"),
    };
    make(store, "experiment.removed", "experiment:5", removed).await;
    assert_eq!(store.find_issue(&goes.id).await.unwrap(), None);
    assert_eq!(store.find_label_schema(&asked.id).await.unwrap(), None);
}
