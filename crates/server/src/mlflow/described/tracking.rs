//! Experiments, runs and logged models.

use super::super::{experiments, histories, logging, models, runs, traces};
use super::tagged;
use crate::artifacts;
use crate::description::{Call, delete, get_call, list, patch, post, text, whole};

pub(super) fn experiments() -> Vec<Call> {
    let searched = [
        whole("max_results").needed(),
        text("page_token"),
        text("filter"),
        list("order_by"),
        text("view_type"),
    ];
    let calls = [
        post(
            "/experiments/create",
            "Create an experiment",
            experiments::create,
        ),
        get_call("/experiments/get", "Get an experiment", experiments::find)
            .query([text("experiment_id").needed()]),
        get_call(
            "/experiments/get-by-name",
            "Get an experiment by its name",
            experiments::find_by_name,
        )
        .query([text("experiment_name").needed()]),
        post(
            "/experiments/update",
            "Rename an experiment",
            experiments::rename,
        ),
        post(
            "/experiments/delete",
            "Delete an experiment",
            experiments::delete,
        ),
        post(
            "/experiments/restore",
            "Restore a deleted experiment",
            experiments::restore,
        ),
        post(
            "/experiments/set-experiment-tag",
            "Set a tag of an experiment",
            experiments::set_tag,
        ),
        post(
            "/experiments/delete-experiment-tag",
            "Delete a tag of an experiment",
            experiments::delete_tag,
        ),
        post(
            "/experiments/search-datasets",
            "List what runs of some experiments read",
            experiments::search_datasets,
        ),
        post(
            "/experiments/search",
            "Search experiments",
            experiments::search,
        ),
        get_call(
            "/experiments/search",
            "Search experiments",
            experiments::search_by_query,
        )
        .query(searched),
    ];
    tagged("Experiments", calls)
}

pub(super) fn runs() -> Vec<Call> {
    let run = || [text("run_id"), text("run_uuid")];
    let of_runs = [
        list("run_id").needed(),
        text("metric_key").needed(),
        whole("max_results"),
    ];
    let sampled = [
        list("run_ids").needed(),
        text("metric_key").needed(),
        whole("start_step"),
        whole("end_step"),
        whole("max_results"),
    ];
    let calls = [
        post("/runs/create", "Create a run", runs::create),
        get_call("/runs/get", "Get a run", runs::find)
            .query(run())
            .noting(EITHER_NAME),
        post(
            "/runs/update",
            "Change the name, the status or the end of a run",
            runs::update,
        )
        .noting(EITHER_NAME),
        post("/runs/delete", "Delete a run", runs::delete),
        post("/runs/restore", "Restore a deleted run", runs::restore),
        post("/runs/search", "Search runs", runs::search),
        post(
            "/runs/log-metric",
            "Log one value of a metric",
            logging::log_metric,
        )
        .noting(EITHER_NAME),
        post("/runs/log-parameter", "Log a parameter", logging::log_param).noting(EITHER_NAME),
        post("/runs/set-tag", "Set a tag of a run", logging::set_tag).noting(EITHER_NAME),
        post(
            "/runs/delete-tag",
            "Delete a tag of a run",
            logging::delete_tag,
        )
        .noting(EITHER_NAME),
        post(
            "/runs/log-batch",
            "Log metrics, parameters and tags at once",
            logging::log_batch,
        ),
        post(
            "/runs/log-inputs",
            "Log datasets and models that a run read",
            logging::log_inputs,
        ),
        post(
            "/runs/outputs",
            "Log models that a run made",
            logging::log_outputs,
        ),
        post(
            "/runs/log-model",
            "Log a model in the form of MLflow 2",
            logging::log_model,
        ),
        get_call(
            "/metrics/get-history",
            "Get all values of a metric",
            histories::whole,
        )
        .query(run())
        .query([
            text("metric_key").needed(),
            text("page_token"),
            whole("max_results"),
        ])
        .noting(EITHER_NAME),
        get_call(
            "/metrics/get-history-bulk",
            "Get values of a metric of several runs",
            histories::of_runs,
        )
        .query(of_runs),
        get_call(
            "/metrics/get-history-bulk-interval",
            "Get an even sample of a metric of several runs",
            histories::samples,
        )
        .query(sampled)
        .noting("`start_step` and `end_step` go together."),
        get_call(
            "/artifacts/list",
            "List files of a run",
            artifacts::list_of_run,
        )
        .query(run())
        .query([text("path")])
        .noting(EITHER_NAME),
    ];
    let mut calls = tagged("Runs", calls);
    calls.extend(artifacts::described_urls());
    calls
}

const EITHER_NAME: &str = "The run is named by `run_id`, or by `run_uuid`.";

pub(super) fn models() -> Vec<Call> {
    let one = "/logged-models/{model}";
    let file = [text("artifact_file_path").needed()];
    let calls = [
        post("/logged-models", "Create a logged model", models::create),
        post(
            "/logged-models/search",
            "Search logged models",
            models::search,
        ),
        get_call(one, "Get a logged model", models::find),
        patch(
            one,
            "Say that a logged model is ready, or failed",
            models::finalize,
        ),
        delete(one, "Delete a logged model", models::delete),
        post(
            "/logged-models/{model}/params",
            "Log parameters of a logged model",
            models::log_params,
        ),
        patch(
            "/logged-models/{model}/tags",
            "Set tags of a logged model",
            models::set_tags,
        ),
        delete(
            "/logged-models/{model}/tags/{key}",
            "Delete a tag of a logged model",
            models::delete_tag,
        ),
        get_call(
            "/logged-models/{model}/artifacts/directories",
            "List files of a logged model",
            artifacts::list_of_model,
        )
        .query([text("artifact_directory_path")]),
        get_call(
            "/logged-models/{model}/artifacts/files",
            "Get a file of a logged model",
            artifacts::get_of_model,
        )
        .query(file),
    ];
    tagged("Logged models", calls)
}

/// Those whose paths are of another form.
pub(super) fn at_other_places() -> Vec<Call> {
    let of_run = [text("path").needed(), text("run_id"), text("run_uuid")];
    let of_version = [
        text("path").needed(),
        text("name").needed(),
        text("version").needed(),
    ];
    let of_trace = || [text("request_id").needed(), text("path")];
    let slashless = "/api/2.0mlflow/experiments/search-datasets";
    let calls = [
        get_call(
            "/get-artifact",
            "Get a file of a run",
            artifacts::get_of_run,
        )
        .query(of_run)
        .noting(EITHER_NAME),
        get_call(
            "/model-versions/get-artifact",
            "Get a file of a version of a model",
            artifacts::get_of_version,
        )
        .query(of_version),
        get_call(
            "/ajax-api/2.0/mlflow/get-trace-artifact",
            "Get the spans of a trace as a file",
            traces::get_artifact,
        )
        .query(of_trace()),
        get_call(
            "/ajax-api/3.0/mlflow/get-trace-artifact",
            "Get the spans of a trace as a file",
            traces::get_artifact,
        )
        .query(of_trace()),
    ];
    let mut calls = tagged("Artifacts", calls);
    let upload = "/ajax-api/2.0/mlflow/upload-artifact";
    calls.push(
        post(
            slashless,
            "List what runs of some experiments read, by a path without its slash",
            experiments::search_datasets,
        )
        .tagged("Experiments"),
    );
    calls.push(
        post(
            upload,
            "Send a small file of a run",
            artifacts::upload_of_run,
        )
        .query([text("run_uuid").needed(), text("path").needed()])
        .takes(&["*/*"])
        .tagged("Artifacts"),
    );
    calls
}
