//! Traces, and what is kept for evaluations.

use super::super::{
    assessments, datasets, figures, issues, label_schemas, scorers, traces, traces_v2,
};
use super::tagged;
use crate::description::{Call, delete, flag, get_call, list, patch, post, put, text, whole};

/// Those of both versions of the API.
pub(super) fn of_both() -> Vec<Call> {
    let tags = "/traces/{trace}/tags";
    let calls = [
        post("/traces/delete-traces", "Delete traces", traces::delete),
        post(
            "/traces/link-to-run",
            "Say that traces belong to a run",
            traces::link_to_run,
        ),
        post(
            "/traces/link-prompts",
            "Say which prompts a trace used",
            traces::link_prompts,
        ),
        patch(tags, "Set a tag of a trace", traces::set_tag),
        delete(tags, "Delete a tag of a trace", traces::delete_tag),
    ];
    tagged("Traces", calls)
}

/// What clients of MLflow 2 ask.
pub(super) fn old() -> Vec<Call> {
    let searched = [
        list("experiment_ids").needed(),
        text("filter"),
        list("order_by"),
        whole("max_results"),
        text("page_token"),
    ];
    let calls = [
        post(
            "/traces",
            "Begin a trace, as clients of MLflow 2 do",
            traces_v2::start,
        ),
        get_call(
            "/traces",
            "Search traces, as clients of MLflow 2 do",
            traces_v2::search,
        )
        .query(searched),
        patch(
            "/traces/{trace}",
            "End a trace, as clients of MLflow 2 do",
            traces_v2::end,
        ),
        get_call(
            "/traces/{trace}/info",
            "Get a trace, as clients of MLflow 2 do",
            traces_v2::find,
        ),
    ];
    tagged("Traces", calls)
}

pub(super) fn new() -> Vec<Call> {
    let assessment = "/traces/{trace}/assessments/{assessment}";
    let calls = [
        post("/traces", "Create a trace", traces::start),
        post("/traces/search", "Search traces", traces::search),
        get_call(
            "/traces/get",
            "Get a trace with its spans",
            traces::find_whole,
        )
        .query([text("trace_id").needed(), flag("allow_partial")]),
        get_call(
            "/traces/batchGet",
            "Get several traces with their spans",
            traces::find_wholes,
        )
        .query([list("trace_ids").needed(), list("experiment_ids")]),
        post(
            "/traces/batchGetInfos",
            "Get several traces without their spans",
            traces::find_infos,
        ),
        post(
            "/traces/calculate-filter-correlation",
            "Say how two filters go together",
            traces::correlate,
        ),
        post("/traces/metrics", "Measure traces", figures::measure),
        get_call(
            "/traces/{trace}",
            "Get a trace without its spans",
            traces::find_info,
        ),
        post(
            "/traces/{trace}/assessments",
            "Assess a trace",
            assessments::create,
        ),
        get_call(assessment, "Get an assessment", assessments::find),
        patch(assessment, "Change an assessment", assessments::update),
        delete(assessment, "Delete an assessment", assessments::delete),
    ];
    tagged("Traces", calls)
}

pub(super) fn datasets() -> Vec<Call> {
    let (one, records) = ("/datasets/{dataset}", "/datasets/{dataset}/records");
    let searched = [
        list("experiment_ids"),
        text("filter_string"),
        whole("max_results"),
        list("order_by"),
        text("page_token"),
    ];
    let calls = [
        post(
            "/datasets/create",
            "Create an evaluation dataset",
            datasets::create,
        ),
        post(
            "/datasets/search",
            "Search evaluation datasets",
            datasets::search,
        ),
        get_call(
            "/datasets/search",
            "Search evaluation datasets",
            datasets::search_by_query,
        )
        .query(searched),
        get_call(one, "Get an evaluation dataset", datasets::find),
        delete(one, "Delete an evaluation dataset", datasets::delete),
        get_call(
            "/datasets/{dataset}/experiment-ids",
            "List experiments of a dataset",
            datasets::list_experiments,
        ),
        post(
            "/datasets/{dataset}/add-experiments",
            "Add a dataset to experiments",
            datasets::add_to_experiments,
        ),
        post(
            "/datasets/{dataset}/remove-experiments",
            "Take a dataset out of experiments",
            datasets::remove_from_experiments,
        ),
        patch(
            "/datasets/{dataset}/tags",
            "Set tags of a dataset",
            datasets::set_tags,
        )
        .noting("`tags` is a JSON object, written as a text."),
        delete(
            "/datasets/{dataset}/tags/{key}",
            "Delete a tag of a dataset",
            datasets::delete_tag,
        ),
        get_call(records, "List records of a dataset", datasets::list_records)
            .query([whole("max_results"), text("page_token")]),
        post(
            records,
            "Merge records into a dataset",
            datasets::merge_records,
        )
        .noting("`records` is a JSON list, written as a text."),
        delete(
            records,
            "Delete records of a dataset",
            datasets::delete_records,
        ),
    ];
    tagged("Evaluation datasets", calls)
}

pub(super) fn scorers() -> Vec<Call> {
    let scorer = || [text("experiment_id").needed(), text("name").needed()];
    let calls = [
        post("/scorers/register", "Register a scorer", scorers::register),
        get_call("/scorers/list", "List scorers", scorers::list)
            .query([text("experiment_id"), list("experiment_ids")])
            .noting("Experiments are named by one of the two."),
        get_call(
            "/scorers/versions",
            "List versions of a scorer",
            scorers::list_versions,
        )
        .query(scorer()),
        get_call("/scorers/get", "Get a scorer", scorers::find)
            .query(scorer())
            .query([whole("version")]),
        delete(
            "/scorers/delete",
            "Delete a scorer, or one version",
            scorers::delete,
        ),
        put(
            "/scorers/online-config",
            "Say which part of all traces a scorer is to score",
            scorers::set_online,
        )
        .noting("Nothing here carries scorers out: only a rate of 0 is taken."),
        get_call(
            "/scorers/online-configs",
            "Say which part of all traces scorers score",
            scorers::list_online,
        )
        .query([list("scorer_ids").needed()]),
    ];
    tagged("Scorers", calls)
}

pub(super) fn issues() -> Vec<Call> {
    let one = "/issues/{issue}";
    let calls = [
        post("/issues", "Create an issue", issues::create),
        post("/issues/search", "Search issues", issues::search),
        get_call(one, "Get an issue", issues::find),
        patch(one, "Change an issue", issues::update),
    ];
    tagged("Issues", calls)
}

pub(super) fn label_schemas() -> Vec<Call> {
    let named = [text("experiment_id").needed(), text("name").needed()];
    let listed = [
        text("experiment_id").needed(),
        whole("max_results"),
        text("page_token"),
    ];
    let calls = [
        post(
            "/label-schemas/create",
            "Create a label schema",
            label_schemas::create,
        ),
        get_call(
            "/label-schemas/get",
            "Get a label schema",
            label_schemas::find,
        )
        .query([text("schema_id").needed()]),
        get_call(
            "/label-schemas/get-by-name",
            "Get a label schema by its name",
            label_schemas::find_by_name,
        )
        .query(named),
        get_call(
            "/label-schemas/list",
            "List label schemas",
            label_schemas::list,
        )
        .query(listed),
        patch(
            "/label-schemas/update",
            "Change a label schema",
            label_schemas::update,
        ),
        delete(
            "/label-schemas/delete",
            "Delete a label schema",
            label_schemas::delete,
        ),
    ];
    tagged("Label schemas", calls)
}
