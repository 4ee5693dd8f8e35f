//! The calls of MLflow's REST API, one file a noun.

mod assessments;
mod datasets;
mod described;
mod experiments;
mod figures;
mod histories;
mod info;
mod issues;
mod label_schemas;
mod logging;
mod model_versions;
mod models;
mod registered_models;
mod rights;
mod roles;
mod runs;
mod scorers;
mod signup;
mod traces;
mod traces_v2;
mod users;
mod webhooks;

use axum::Router;
use axum::routing::{delete, get, patch, post, put};

use crate::app::App;
use crate::artifacts;
pub(crate) use described::described;
pub(crate) use info::{MLFLOW_VERSION, at_root, server_calls};
use rights::{OfExperiment, OfRegistered, OfScorer, Old};

/// The calls below `/api/2.0/mlflow`, which are the same below `/ajax-api/2.0/mlflow`.
pub(crate) fn calls() -> Router<App> {
    Router::new()
        .merge(experiment_calls())
        .merge(run_calls())
        .merge(model_calls())
        .merge(registry_calls())
        .merge(webhook_calls())
        .merge(trace_calls_v2())
        .merge(old_trace_calls())
}

/// The calls below `/api/3.0/mlflow`, which are the same below `/ajax-api/3.0/mlflow`.
pub(crate) fn calls_v3() -> Router<App> {
    trace_calls_v2()
        .merge(trace_calls())
        .merge(dataset_calls())
        .merge(scorer_calls())
        .merge(issue_calls())
        .merge(label_schema_calls())
        .merge(workspace_calls())
}

/// A call whose path lacks a slash in MLflow, and which its page makes with it.
pub(crate) fn slashless_calls() -> Router<App> {
    let search = post(experiments::search_datasets);
    Router::new()
        .route("/api/2.0mlflow/experiments/search-datasets", search.clone())
        .route("/ajax-api/2.0mlflow/experiments/search-datasets", search)
}

/// Calls that only pages make, below `/ajax-api/2.0/mlflow`.
pub(crate) fn page_calls() -> Router<App> {
    Router::new()
        .route("/get-trace-artifact", get(traces::get_artifact))
        .route("/upload-artifact", post(artifacts::upload_of_run))
}

/// Those below `/ajax-api/3.0/mlflow`.
pub(crate) fn page_calls_v3() -> Router<App> {
    Router::new()
        .route("/get-trace-artifact", get(traces::get_artifact))
        .route(
            "/ui-telemetry",
            get(info::tell_page_telemetry).post(info::take_page_telemetry),
        )
}

fn experiment_calls() -> Router<App> {
    Router::new()
        .route("/experiments/create", post(experiments::create))
        .route("/experiments/get", get(experiments::find))
        .route("/experiments/get-by-name", get(experiments::find_by_name))
        .route("/experiments/update", post(experiments::rename))
        .route("/experiments/delete", post(experiments::delete))
        .route("/experiments/restore", post(experiments::restore))
        .route(
            "/experiments/set-experiment-tag",
            post(experiments::set_tag),
        )
        .route(
            "/experiments/delete-experiment-tag",
            post(experiments::delete_tag),
        )
        .route(
            "/experiments/search-datasets",
            post(experiments::search_datasets),
        )
        .route(
            "/experiments/search",
            post(experiments::search).get(experiments::search_by_query),
        )
}

fn run_calls() -> Router<App> {
    Router::new()
        .route("/runs/create", post(runs::create))
        .route("/runs/get", get(runs::find))
        .route("/runs/update", post(runs::update))
        .route("/runs/delete", post(runs::delete))
        .route("/runs/restore", post(runs::restore))
        .route("/runs/search", post(runs::search))
        .route("/runs/log-metric", post(logging::log_metric))
        .route("/runs/log-parameter", post(logging::log_param))
        .route("/runs/set-tag", post(logging::set_tag))
        .route("/runs/delete-tag", post(logging::delete_tag))
        .route("/runs/log-batch", post(logging::log_batch))
        .route("/runs/log-inputs", post(logging::log_inputs))
        .route("/runs/outputs", post(logging::log_outputs))
        .route("/runs/log-model", post(logging::log_model))
        .route("/metrics/get-history", get(histories::whole))
        .route("/metrics/get-history-bulk", get(histories::of_runs))
        .route(
            "/metrics/get-history-bulk-interval",
            get(histories::samples),
        )
        .route("/artifacts/list", get(artifacts::list_of_run))
        .merge(artifacts::url_calls())
}

fn model_calls() -> Router<App> {
    Router::new()
        .route("/logged-models", post(models::create))
        .route("/logged-models/search", post(models::search))
        .route(
            "/logged-models/{model}",
            get(models::find)
                .patch(models::finalize)
                .delete(models::delete),
        )
        .route("/logged-models/{model}/params", post(models::log_params))
        .route("/logged-models/{model}/tags", patch(models::set_tags))
        .route(
            "/logged-models/{model}/tags/{key}",
            delete(models::delete_tag),
        )
        .route(
            "/logged-models/{model}/artifacts/directories",
            get(artifacts::list_of_model),
        )
        .route(
            "/logged-models/{model}/artifacts/files",
            get(artifacts::get_of_model),
        )
}

fn registry_calls() -> Router<App> {
    Router::new()
        .route("/registered-models/create", post(registered_models::create))
        .route("/registered-models/get", get(registered_models::find))
        .route(
            "/registered-models/update",
            patch(registered_models::update),
        )
        .route("/registered-models/rename", post(registered_models::rename))
        .route(
            "/registered-models/delete",
            delete(registered_models::delete),
        )
        .route("/registered-models/search", get(registered_models::search))
        .route(
            "/registered-models/get-latest-versions",
            post(registered_models::latest_versions)
                .get(registered_models::latest_versions_by_query),
        )
        .route(
            "/registered-models/set-tag",
            post(registered_models::set_tag),
        )
        .route(
            "/registered-models/delete-tag",
            delete(registered_models::delete_tag),
        )
        .route(
            "/registered-models/alias",
            post(registered_models::set_alias)
                .get(registered_models::find_by_alias)
                .delete(registered_models::delete_alias),
        )
        .route("/model-versions/create", post(model_versions::create))
        .route("/model-versions/get", get(model_versions::find))
        .route("/model-versions/update", patch(model_versions::update))
        .route("/model-versions/delete", delete(model_versions::delete))
        .route("/model-versions/search", get(model_versions::search))
        .route(
            "/model-versions/get-download-uri",
            get(model_versions::find_download_uri),
        )
        .route(
            "/model-versions/transition-stage",
            post(model_versions::transition),
        )
        .route("/model-versions/set-tag", post(model_versions::set_tag))
        .route(
            "/model-versions/delete-tag",
            delete(model_versions::delete_tag),
        )
}

fn webhook_calls() -> Router<App> {
    Router::new()
        .route("/webhooks", post(webhooks::create).get(webhooks::list))
        .route(
            "/webhooks/{webhook}",
            get(webhooks::find)
                .patch(webhooks::update)
                .delete(webhooks::delete),
        )
        .route("/webhooks/{webhook}/test", post(webhooks::try_out))
}

/// The calls about users, where there are some, below `/api/2.0/mlflow`.
pub(crate) fn access_calls() -> Router<App> {
    Router::new()
        .route("/users/create", post(users::create))
        .route("/users/get", get(users::find))
        .route("/users/list", get(users::list))
        .route("/users/current", get(users::find_current))
        .route("/users/update-password", patch(users::set_password))
        .route("/users/update-admin", patch(users::set_admin))
        .route("/users/delete", delete(users::delete))
        .merge(old_right_calls::<OfExperiment>("/experiments"))
        .merge(old_right_calls::<OfRegistered>("/registered-models"))
}

/// The page on which somebody makes users, and what its form is sent to.
pub(crate) fn signup_calls() -> Router<App> {
    Router::new()
        .route("/signup", get(signup::page))
        .route(signup::FORM, post(signup::create))
}

/// Those about roles and rights, below `/api/3.0/mlflow`.
pub(crate) fn access_calls_v3() -> Router<App> {
    Router::new()
        .route("/users/current/permissions", get(rights::list_current))
        .route("/users/permissions/list", get(rights::list))
        .route("/users/permissions/get", get(rights::find))
        .route("/users/permissions/grant", post(rights::grant))
        .route("/users/permissions/revoke", post(rights::revoke))
        .route("/users/roles/list", get(roles::list_of_user))
        .route("/roles/create", post(roles::create))
        .route("/roles/get", get(roles::find))
        .route("/roles/list", get(roles::list))
        .route("/roles/update", patch(roles::update))
        .route("/roles/delete", delete(roles::delete))
        .route("/roles/permissions/add", post(roles::add_right))
        .route("/roles/permissions/remove", delete(roles::remove_right))
        .route("/roles/permissions/list", get(roles::list_rights))
        .route("/roles/permissions/update", patch(roles::update_right))
        .route("/roles/assign", post(roles::assign))
        .route("/roles/unassign", delete(roles::unassign))
        .route("/roles/users/list", get(roles::list_members))
        .merge(old_right_calls::<OfScorer>("/scorers"))
}

/// What MLflow had before 3.13.
fn old_right_calls<K: Old>(noun: &str) -> Router<App> {
    let path = |call: &str| format!("{noun}/permissions/{call}");
    Router::new()
        .route(&path("create"), post(rights::create_old::<K>))
        .route(&path("get"), get(rights::find_old::<K>))
        .route(&path("update"), patch(rights::update_old::<K>))
        .route(&path("delete"), delete(rights::delete_old::<K>))
}

/// Calls of both versions.
fn trace_calls_v2() -> Router<App> {
    Router::new()
        .route("/traces/delete-traces", post(traces::delete))
        .route("/traces/link-to-run", post(traces::link_to_run))
        .route("/traces/link-prompts", post(traces::link_prompts))
        .route(
            "/traces/{trace}/tags",
            patch(traces::set_tag).delete(traces::delete_tag),
        )
}

fn old_trace_calls() -> Router<App> {
    Router::new()
        .route("/traces", post(traces_v2::start).get(traces_v2::search))
        .route("/traces/{trace}", patch(traces_v2::end))
        .route("/traces/{trace}/info", get(traces_v2::find))
}

fn trace_calls() -> Router<App> {
    Router::new()
        .route("/traces", post(traces::start))
        .route("/traces/search", post(traces::search))
        .route("/traces/get", get(traces::find_whole))
        .route("/traces/batchGet", get(traces::find_wholes))
        .route("/traces/batchGetInfos", post(traces::find_infos))
        .route(
            "/traces/calculate-filter-correlation",
            post(traces::correlate),
        )
        .route("/traces/metrics", post(figures::measure))
        .route("/traces/{trace}", get(traces::find_info))
        .route("/traces/{trace}/assessments", post(assessments::create))
        .route(
            "/traces/{trace}/assessments/{assessment}",
            get(assessments::find)
                .patch(assessments::update)
                .delete(assessments::delete),
        )
}

fn dataset_calls() -> Router<App> {
    Router::new()
        .route("/datasets/create", post(datasets::create))
        .route(
            "/datasets/search",
            post(datasets::search).get(datasets::search_by_query),
        )
        .route(
            "/datasets/{dataset}",
            get(datasets::find).delete(datasets::delete),
        )
        .route(
            "/datasets/{dataset}/experiment-ids",
            get(datasets::list_experiments),
        )
        .route(
            "/datasets/{dataset}/add-experiments",
            post(datasets::add_to_experiments),
        )
        .route(
            "/datasets/{dataset}/remove-experiments",
            post(datasets::remove_from_experiments),
        )
        .route("/datasets/{dataset}/tags", patch(datasets::set_tags))
        .route(
            "/datasets/{dataset}/tags/{key}",
            delete(datasets::delete_tag),
        )
        .route(
            "/datasets/{dataset}/records",
            get(datasets::list_records)
                .post(datasets::merge_records)
                .delete(datasets::delete_records),
        )
}

fn scorer_calls() -> Router<App> {
    Router::new()
        .route("/scorers/register", post(scorers::register))
        .route("/scorers/list", get(scorers::list))
        .route("/scorers/versions", get(scorers::list_versions))
        .route("/scorers/get", get(scorers::find))
        .route("/scorers/delete", delete(scorers::delete))
        .route("/scorers/online-config", put(scorers::set_online))
        .route("/scorers/online-configs", get(scorers::list_online))
}

fn issue_calls() -> Router<App> {
    Router::new()
        .route("/issues", post(issues::create))
        .route("/issues/search", post(issues::search))
        .route("/issues/{issue}", get(issues::find).patch(issues::update))
}

fn label_schema_calls() -> Router<App> {
    Router::new()
        .route("/label-schemas/create", post(label_schemas::create))
        .route("/label-schemas/get", get(label_schemas::find))
        .route(
            "/label-schemas/get-by-name",
            get(label_schemas::find_by_name),
        )
        .route("/label-schemas/list", get(label_schemas::list))
        .route("/label-schemas/update", patch(label_schemas::update))
        .route("/label-schemas/delete", delete(label_schemas::delete))
}

/// There are no workspaces, as on a server of MLflow's that was not started with them.
fn workspace_calls() -> Router<App> {
    let refuse = info::refuse_workspaces;
    Router::new()
        .route("/workspaces", get(refuse).post(refuse))
        .route(
            "/workspaces/{workspace}",
            get(refuse).patch(refuse).delete(refuse),
        )
}
