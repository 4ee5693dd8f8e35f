//! What every store must do: cases that each backend runs against an empty store of its own.
//!
//! A backend's test file says `store::conformance_tests!(make_store);`, where `make_store` is an async function that
//! gives an empty store and whatever must live as long as it, or says why there is none.
#![expect(
    clippy::unwrap_used,
    reason = "a case fails by panicking, as a test does"
)]

use std::collections::BTreeMap;

use entities::{
    Actor, Change, Commit, Experiment, ExperimentId, Leaf, Lifecycle, Metric, Run, RunId,
    RunStatus, SearchKind, SearchQuery, Timestamp,
};

use crate::{PageRequest, Store, StoreError, View};

mod access;
mod artifacts;
mod datasets;
mod events;
mod experiments;
mod figures;
mod issues;
mod metrics;
mod registry;
mod removal;
mod runs;
mod searches;
mod traces;
mod webhooks;
mod whole;

pub use access::*;
pub use artifacts::*;
pub use datasets::*;
pub use events::*;
pub use experiments::*;
pub use figures::*;
pub use issues::*;
pub use metrics::*;
pub use registry::*;
pub use removal::*;
pub use runs::*;
pub use searches::*;
pub use traces::*;
pub use webhooks::*;
pub use whole::*;

/// Makes one test of each case.
#[macro_export]
macro_rules! conformance_tests {
    ($make:path) => {
        $crate::conformance_tests! { $make;
            the_first_commit_makes_the_default_experiment
            experiments_are_created_renamed_tagged_and_deleted
            a_refused_commit_leaves_nothing_behind
            a_run_is_created_updated_and_deleted
            params_never_change
            tags_are_set_and_deleted
            latest_is_by_step_then_time_then_value
            a_history_is_in_order_and_holds_each_point_once
            a_history_comes_in_pages
            a_very_long_history_is_worked_in_in_parts
            a_history_is_put_in_order_before_anybody_reads_it
            a_history_without_steps_is_put_in_order
            a_long_history_is_sampled_and_paged_as_a_short_one
            a_long_history_is_read_by_several_at_once
            inputs_outputs_and_replays_are_kept
            artifacts_are_put_listed_replaced_and_deleted
            logged_models_live_and_die
            registered_models_have_versions_and_aliases
            versions_are_numbered_without_a_gap
            the_registry_is_searched_with_and_without_prompts
            traces_grow_with_what_is_said_of_them
            what_is_missing_of_a_trace_is_told
            assessments_replace_each_other
            traces_are_searched_by_all_that_they_have
            figures_are_taken_over_what_fits
            deleted_traces_leave_nothing_but_their_events
            issues_are_made_and_changed
            issues_are_searched_by_what_became_of_them
            label_schemas_are_made_changed_and_deleted
            issues_go_with_their_experiment_and_forget_their_run
            records_of_a_dataset_are_merged
            records_of_a_dataset_come_in_pages
            deleted_records_leave_nothing_but_their_events
            datasets_are_tagged_and_belong_to_experiments
            datasets_are_searched_by_all_that_they_have
            scorers_have_versions
            webhooks_are_made_changed_and_deleted
            webhooks_are_listed_in_pages
            what_changes_is_due_to_the_webhooks_that_want_it
            a_delivery_is_due_until_it_is_done
            users_are_made_changed_and_deleted
            tokens_are_made_found_and_revoked
            rights_come_from_users_and_roles
            roles_are_made_changed_and_deleted
            rights_to_a_name_go_with_what_has_it
            removed_runs_leave_nothing_but_their_events
            removed_runs_take_what_was_taken_over_along
            what_keeps_a_deleted_run_is_told
            what_tells_of_what_others_made_stays
            a_removed_experiment_frees_its_name
            filters_find_what_fits
            values_are_found_whatever_their_length
            what_is_missing_comes_last_in_both_directions
            a_page_token_belongs_to_its_search
            pages_of_many_runs_are_those_of_one_sort
            views_show_active_deleted_or_both
            events_are_numbered_chained_and_sequenced
            progress_never_overtakes_itself
            a_lease_is_held_by_one
            a_clean_store_verifies
            no_text_is_taken_for_sql
        }
    };
    ($make:path; $($case:ident)+) => {
        $(
            #[tokio::test]
            async fn $case() {
                // What is not there to test on, `$make` has named.
                let Some((store, _alive)) = $make().await else { return };
                $crate::conformance::$case(&store).await;
                assert_eq!($crate::LedgerStore::verify_projection(&store).await.unwrap(), None);
            }
        )+
    };
}

/// A commit of one change.
pub fn commit(kind: &'static str, subject: &str, changes: Vec<Change>) -> Commit {
    Commit {
        actor: Actor {
            id: "u:ann".to_owned(),
            auth: "local".to_owned(),
        },
        at: at(1_000),
        kind,
        subjects: vec![subject.to_owned()],
        reason: None,
        request: None,
        changes,
    }
}

/// The first commit of every store.
pub fn initialisation() -> Commit {
    let identity = Change::StoreInitialised {
        origin: "reproof.local/test".to_owned(),
        verifier_key: "reproof.local/test+00000000+AA".to_owned(),
    };
    let experiment = Change::ExperimentCreated {
        experiment: experiment("0", "Default"),
    };
    commit("store.initialised", "store", vec![identity, experiment])
}

/// An experiment without tags.
pub fn experiment(id: &str, name: &str) -> Experiment {
    Experiment {
        id: id.parse().unwrap(),
        name: name.to_owned(),
        artifact_location: format!("mlflow-artifacts:/{id}"),
        lifecycle: Lifecycle::Active,
        created_at: at(1),
        updated_at: at(1),
        tags: BTreeMap::new(),
    }
}

/// A run of experiment `0` that was started at a time in milliseconds.
pub fn run(id: &str, started_ms: i64) -> Run {
    Run {
        id: id.parse().unwrap(),
        experiment: zero(),
        name: format!("name of {id}"),
        user: "ann".to_owned(),
        status: RunStatus::Running,
        started_at: at(started_ms),
        ended_at: None,
        lifecycle: Lifecycle::Active,
        artifact_uri: format!("mlflow-artifacts:/0/{id}/artifacts"),
        parent: None,
        replay_of: None,
        process: None,
        is_interrupted: false,
        recipe: None,
        record: None,
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn zero() -> ExperimentId {
    "0".parse().unwrap()
}

fn id(text: &str) -> RunId {
    text.parse().unwrap()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    owned.collect()
}

fn all() -> PageRequest {
    PageRequest::first(1000)
}

async fn make(store: &dyn Store, kind: &'static str, subject: &str, change: Change) -> Leaf {
    let commit = commit(kind, subject, vec![change]);
    store.commit(commit).await.unwrap().leaf
}

async fn refuse(store: &dyn Store, change: Change) -> StoreError {
    let commit = commit("test.refused", "test", vec![change]);
    store.commit(commit).await.unwrap_err()
}

/// A store with the default experiment and some runs, started one millisecond after the other.
async fn with_runs(store: &dyn Store, ids: &[&str]) {
    store.commit(initialisation()).await.unwrap();
    for (started_ms, id) in (100..).zip(ids) {
        let run = run(id, started_ms);
        make(
            store,
            "run.created",
            &format!("run:{id}"),
            Change::RunCreated { run },
        )
        .await;
    }
}

async fn log(store: &dyn Store, run: &str, points: Vec<Metric>) {
    let change = Change::metrics(id(run), points);
    make(store, "metrics.logged", &format!("run:{run}"), change).await;
}

async fn find(store: &dyn Store, filter: &str, order: &[&str]) -> Vec<String> {
    let query = SearchQuery {
        conditions: entities::parse_filter(filter, SearchKind::Runs).unwrap(),
        order_by: entities::parse_order_by(order, SearchKind::Runs).unwrap(),
    };
    let found = store.search_runs(&[], &query, View::Active, &all()).await;
    let items = found.unwrap().items;
    items
        .into_iter()
        .map(|detail| detail.run.id.to_string())
        .collect()
}
