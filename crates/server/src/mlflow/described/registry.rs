//! Registered models, their versions, and webhooks.

use super::super::{model_versions, registered_models, webhooks};
use super::tagged;
use crate::description::{Call, Parameter, delete, get_call, list, patch, post, text, whole};

fn searched() -> [Parameter; 4] {
    [
        text("filter"),
        list("order_by"),
        whole("max_results"),
        text("page_token"),
    ]
}

fn version() -> [Parameter; 2] {
    [text("name").needed(), text("version").needed()]
}

pub(super) fn models() -> Vec<Call> {
    let mut calls = registered();
    calls.extend(versions());
    calls
}

fn registered() -> Vec<Call> {
    let latest = "/registered-models/get-latest-versions";
    let alias = "/registered-models/alias";
    let calls = [
        post(
            "/registered-models/create",
            "Register a model",
            registered_models::create,
        ),
        get_call(
            "/registered-models/get",
            "Get a registered model",
            registered_models::find,
        )
        .query([text("name").needed()]),
        patch(
            "/registered-models/update",
            "Describe a registered model",
            registered_models::update,
        ),
        post(
            "/registered-models/rename",
            "Rename a registered model",
            registered_models::rename,
        ),
        delete(
            "/registered-models/delete",
            "Delete a registered model",
            registered_models::delete,
        ),
        get_call(
            "/registered-models/search",
            "Search registered models",
            registered_models::search,
        )
        .query(searched()),
        post(
            latest,
            "Get the latest version of each stage",
            registered_models::latest_versions,
        ),
        get_call(
            latest,
            "Get the latest version of each stage",
            registered_models::latest_versions_by_query,
        )
        .query([text("name").needed(), list("stages")]),
        post(
            "/registered-models/set-tag",
            "Set a tag of a registered model",
            registered_models::set_tag,
        ),
        delete(
            "/registered-models/delete-tag",
            "Delete a tag of a registered model",
            registered_models::delete_tag,
        ),
        post(
            alias,
            "Point an alias to a version",
            registered_models::set_alias,
        )
        .requiring(&["version"]),
        get_call(
            alias,
            "Get the version that an alias points to",
            registered_models::find_by_alias,
        )
        .query([text("name").needed(), text("alias").needed()]),
        delete(alias, "Delete an alias", registered_models::delete_alias),
    ];
    tagged("Registered models", calls)
}

fn versions() -> Vec<Call> {
    let calls = [
        post(
            "/model-versions/create",
            "Create a version of a model",
            model_versions::create,
        ),
        get_call(
            "/model-versions/get",
            "Get a version of a model",
            model_versions::find,
        )
        .query(version()),
        patch(
            "/model-versions/update",
            "Describe a version of a model",
            model_versions::update,
        ),
        delete(
            "/model-versions/delete",
            "Delete a version of a model",
            model_versions::delete,
        ),
        get_call(
            "/model-versions/search",
            "Search versions of models",
            model_versions::search,
        )
        .query(searched()),
        get_call(
            "/model-versions/get-download-uri",
            "Say where the files of a version are",
            model_versions::find_download_uri,
        )
        .query(version()),
        post(
            "/model-versions/transition-stage",
            "Move a version to a stage",
            model_versions::transition,
        ),
        post(
            "/model-versions/set-tag",
            "Set a tag of a version",
            model_versions::set_tag,
        ),
        delete(
            "/model-versions/delete-tag",
            "Delete a tag of a version",
            model_versions::delete_tag,
        ),
    ];
    tagged("Model versions", calls)
}

pub(super) fn webhooks() -> Vec<Call> {
    let (all, one) = ("/webhooks", "/webhooks/{webhook}");
    let calls = [
        post(all, "Create a webhook", webhooks::create).requiring(&["name", "url", "events"]),
        get_call(all, "List webhooks", webhooks::list)
            .query([whole("max_results"), text("page_token")]),
        get_call(one, "Get a webhook", webhooks::find),
        patch(one, "Change a webhook", webhooks::update),
        delete(one, "Delete a webhook", webhooks::delete),
        post(
            "/webhooks/{webhook}/test",
            "Try a webhook out",
            webhooks::try_out,
        ),
    ];
    tagged("Webhooks", calls)
}
