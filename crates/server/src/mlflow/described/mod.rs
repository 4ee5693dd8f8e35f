//! What the document of the API says of each call.

mod access;
mod registry;
mod traces;
mod tracking;

use super::info;
use crate::description::{Call, delete, get_call, patch, post};

/// All calls, by their whole paths.
pub(crate) fn described() -> Vec<Call> {
    let mut calls = server_calls();
    let v2 = [
        tracking::experiments(),
        tracking::runs(),
        tracking::models(),
        registry::models(),
        registry::webhooks(),
        traces::of_both(),
        traces::old(),
        access::users(),
    ];
    let v3 = [
        traces::of_both(),
        traces::new(),
        traces::datasets(),
        traces::scorers(),
        traces::issues(),
        traces::label_schemas(),
        access::rights(),
        access::roles(),
        workspaces(),
    ];
    calls.extend(below("/api/2.0/mlflow", v2));
    calls.extend(below("/api/3.0/mlflow", v3));
    calls.extend(tracking::at_other_places());
    calls
}

fn below(prefix: &str, groups: impl IntoIterator<Item = Vec<Call>>) -> Vec<Call> {
    let calls = groups.into_iter().flatten();
    calls.map(|call| call.below(prefix)).collect()
}

fn tagged(tag: &'static str, calls: impl IntoIterator<Item = Call>) -> Vec<Call> {
    calls.into_iter().map(|call| call.tagged(tag)).collect()
}

fn server_calls() -> Vec<Call> {
    let page = "/ajax-api/3.0/mlflow/ui-telemetry";
    let calls = [
        get_call("/health", "Say that the server answers", info::tell_health),
        get_call(
            "/version",
            "Give the version of MLflow that is spoken",
            info::tell_version,
        ),
        get_call(
            "/api/3.0/mlflow/server-info",
            "Say what the server can do",
            info::tell_abilities,
        ),
        get_call(
            page,
            "Say that nothing is told to MLflow's makers",
            info::tell_page_telemetry,
        ),
        post(
            page,
            "Take what was clicked, and forget it",
            info::take_page_telemetry,
        ),
    ];
    tagged("Server", calls)
}

/// There are none, which each of them says.
fn workspaces() -> Vec<Call> {
    let (all, one) = ("/workspaces", "/workspaces/{workspace}");
    let said = "Say that there are no workspaces";
    let calls = [
        get_call(all, said, info::refuse_workspaces),
        post(all, said, info::refuse_workspaces),
        get_call(one, said, info::refuse_workspaces),
        patch(one, said, info::refuse_workspaces),
        delete(one, said, info::refuse_workspaces),
    ];
    tagged("Workspaces", calls.map(|call| call.declined(503)))
}
