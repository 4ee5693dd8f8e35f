//! Which call asks for what: one line a call. A call that is not here is for administrators.

use access::Action;
use axum::http::Method;
use entities::ResourceKind;

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// To have signed on.
    SignedOn,
    /// To be an administrator.
    Admin,
    /// To be an administrator, or one who manages everything.
    Manager,
    /// To be the user that is named.
    Oneself,
    /// To be the user that is named, or to manage everything.
    OneselfOrManager,
    /// To have a role, or to manage everything.
    HasRole,
    /// To manage what is named.
    ManagerOfResource,
    /// To manage what a client older than MLflow 3.13 names.
    ManagerOf(ResourceKind),
    /// That no experiment is denied.
    CreateExperiment,
    /// The experiment that is named.
    Experiment(Action),
    /// Likewise, by its name.
    ExperimentByName,
    /// Likewise, with all that is in it.
    DeleteExperiment,
    /// All experiments that are named.
    Experiments(Action),
    /// The run that is named.
    Run(Action),
    /// To write a file of the run that the query names; the body is the file.
    RunFile,
    /// To make a run in the experiment that is named.
    CreateRun,
    /// To change the run and the logged models that are named.
    RunWithModels,
    /// All runs that are named.
    Runs,
    /// The logged model that is named.
    Model(Action),
    /// To make a logged model in the experiment that is named.
    CreateModel,
    /// That no run is denied, where a filter names runs; what is found is looked at afterwards.
    Search,
    /// That no registered model of that name is denied.
    CreateRegistered,
    /// The registered model or prompt that is named.
    Registered(Action),
    /// Likewise, to change its tags; what makes it a prompt must be managed.
    TagRegistered,
    /// Likewise, with its versions.
    DeleteRegistered,
    /// Likewise, and to read its versions.
    Alias(Action),
    /// Versions of what is named.
    Version(Action),
    /// To make one.
    CreateVersion,
    /// The trace that is named.
    Trace(Action),
    /// All traces that are named.
    Traces,
    /// Files of the trace that is named.
    TraceFiles,
    /// To make a trace, as clients of MLflow 2 do.
    BeginTrace,
    /// To make a trace.
    StartTrace,
    /// Traces of the experiments that are named as places.
    SearchTraces,
    /// Traces of the experiments that are named.
    TracesOfExperiments,
    /// To delete traces of the experiment that is named.
    DeleteTraces,
    /// To change a run, and to read traces.
    LinkTraces,
    /// To say something of the trace that is named.
    CreateAssessment,
    /// What is said of the trace that is named.
    Assessment(Action),
    /// To take spans.
    ExportSpans,
    /// All experiments of the evaluation dataset that is named.
    Dataset(Action),
    /// Likewise, and those that are named.
    AddDataset,
    /// The issue that is named.
    Issue(Action),
    /// To make an issue in the experiment that is named.
    CreateIssue,
    /// Issues of the experiment that is named.
    SearchIssues,
    /// The label schema that is named.
    LabelSchema(Action),
    /// The scorer that is named.
    Scorer,
    /// To make a version of it.
    RegisterScorer,
    /// To delete it, or a version.
    DeleteScorer,
    /// The experiment of scorers; without one, what is found is looked at afterwards.
    ListScorers,
    /// The experiments of the scorers that are named.
    OnlineScorings,
    /// All below the run, the logged model or the path that is named.
    Archive,
    /// The artifacts at a path.
    Artifact(Action),
    /// The artifacts below a path; what is found at the root is looked at afterwards.
    ListArtifacts,
}

impl Rule {
    /// Whether the body of a request says what it is about. Others are not read before their handler does.
    pub(super) const fn needs_body(self) -> bool {
        !matches!(
            self,
            Self::SignedOn
                | Self::Admin
                | Self::RunFile
                | Self::Artifact(_)
                | Self::ListArtifacts
                | Self::ExportSpans
        )
    }
}

/// The rule of a call; none of one that is not known.
pub(super) fn rule_of(method: &Method, path: &str) -> Option<Rule> {
    // What is read is read by either.
    let method = match method.as_str() {
        "HEAD" => "GET",
        other => other,
    };
    let Some((version, call)) = split(path) else {
        return rule_of_root(method, path);
    };
    rule_of_both(method, call).or_else(|| match version {
        Version::Two => rule_of_v2(method, call),
        Version::Three => rule_of_v3(method, call),
        Version::Artifacts => rule_of_artifacts(method, call),
    })
}

enum Version {
    Two,
    Three,
    Artifacts,
}

/// The part of a path that names the call.
fn split(path: &str) -> Option<(Version, &str)> {
    let rest = path
        .strip_prefix("/ajax-api")
        .or_else(|| path.strip_prefix("/api"))?;
    let parts = [
        ("/2.0/mlflow-artifacts", Version::Artifacts),
        ("/2.0/mlflow/", Version::Two),
        // Its path lacks a slash in MLflow.
        ("/2.0mlflow/", Version::Two),
        ("/3.0/mlflow/", Version::Three),
    ];
    parts
        .into_iter()
        .find_map(|(prefix, version)| Some((version, rest.strip_prefix(prefix)?)))
}

fn rule_of_root(method: &str, path: &str) -> Option<Rule> {
    Some(match (method, path) {
        ("GET", "/" | "/version" | "/metrics" | "/openapi.json") => Rule::SignedOn,
        ("GET", "/signup") => Rule::Manager,
        ("GET", "/get-artifact") => Rule::Run(Action::Read),
        ("GET", "/model-versions/get-artifact") => Rule::Version(Action::Read),
        ("POST", "/v1/traces") => Rule::ExportSpans,
        _ => return None,
    })
}

fn rule_of_artifacts(method: &str, call: &str) -> Option<Rule> {
    Some(match (method, call) {
        ("GET", "/artifacts" | "/artifacts/") => Rule::ListArtifacts,
        ("GET", "/artifacts.zip") => Rule::Archive,
        ("GET", "/artifacts/{*path}" | "/presigned/{*path}") => Rule::Artifact(Action::Read),
        ("PUT", "/artifacts/{*path}") => Rule::Artifact(Action::Update),
        ("DELETE", "/artifacts/{*path}") => Rule::Artifact(Action::Manage),
        ("POST", "/mpu/create/{*path}" | "/mpu/complete/{*path}" | "/mpu/abort/{*path}") => {
            Rule::Artifact(Action::Update)
        }
        _ => return None,
    })
}

/// Calls of both versions.
fn rule_of_both(method: &str, call: &str) -> Option<Rule> {
    Some(match (method, call) {
        ("POST", "traces/delete-traces") => Rule::DeleteTraces,
        ("POST", "traces/link-to-run") => Rule::LinkTraces,
        ("POST", "traces/link-prompts") | ("PATCH" | "DELETE", "traces/{trace}/tags") => {
            Rule::Trace(Action::Update)
        }
        ("GET", "get-trace-artifact") => Rule::TraceFiles,
        _ => return None,
    })
}

fn rule_of_v2(method: &str, call: &str) -> Option<Rule> {
    let noun = call.split('/').next().unwrap_or_default();
    match noun {
        "experiments" => rule_of_experiments(method, call),
        "runs" | "metrics" | "artifacts" => rule_of_runs(method, call),
        "logged-models" => rule_of_models(method, call),
        "registered-models" | "model-versions" => rule_of_registry(method, call),
        "webhooks" => rule_of_webhooks(method, call),
        "traces" => rule_of_old_traces(method, call),
        "users" => rule_of_users(method, call),
        "upload-artifact" => Some(Rule::RunFile),
        _ => None,
    }
}

fn rule_of_experiments(method: &str, call: &str) -> Option<Rule> {
    Some(match (method, call) {
        ("POST", "experiments/create") => Rule::CreateExperiment,
        ("GET", "experiments/get") => Rule::Experiment(Action::Read),
        ("GET", "experiments/get-by-name") => Rule::ExperimentByName,
        (
            "POST",
            "experiments/update"
            | "experiments/set-experiment-tag"
            | "experiments/delete-experiment-tag",
        ) => Rule::Experiment(Action::Update),
        ("POST", "experiments/delete" | "experiments/restore") => Rule::DeleteExperiment,
        // What is found is looked at afterwards.
        ("GET" | "POST", "experiments/search") => Rule::SignedOn,
        ("POST", "experiments/search-datasets") => Rule::Experiments(Action::Read),
        ("POST", "experiments/permissions/create")
        | ("GET", "experiments/permissions/get")
        | ("PATCH", "experiments/permissions/update")
        | ("DELETE", "experiments/permissions/delete") => Rule::ManagerOf(ResourceKind::Experiment),
        _ => return None,
    })
}

fn rule_of_runs(method: &str, call: &str) -> Option<Rule> {
    Some(match (method, call) {
        ("POST", "runs/create") => Rule::CreateRun,
        ("GET", "runs/get" | "metrics/get-history" | "artifacts/list")
        | ("POST", "artifacts/presigned-download-url") => Rule::Run(Action::Read),
        ("POST", "runs/delete" | "runs/restore") => Rule::Run(Action::Delete),
        (
            "POST",
            "artifacts/presigned-upload-url"
            | "runs/update"
            | "runs/log-parameter"
            | "runs/set-tag"
            | "runs/delete-tag"
            | "runs/log-model",
        ) => Rule::Run(Action::Update),
        ("POST", "runs/log-metric" | "runs/log-batch" | "runs/log-inputs" | "runs/outputs") => {
            Rule::RunWithModels
        }
        // Which experiments are searched is looked at by the handler.
        ("POST", "runs/search") => Rule::SignedOn,
        ("GET", "metrics/get-history-bulk" | "metrics/get-history-bulk-interval") => Rule::Runs,
        _ => return None,
    })
}

fn rule_of_models(method: &str, call: &str) -> Option<Rule> {
    Some(match (method, call) {
        ("POST", "logged-models") => Rule::CreateModel,
        ("POST", "logged-models/search") => Rule::Search,
        (
            "GET",
            "logged-models/{model}"
            | "logged-models/{model}/artifacts/directories"
            | "logged-models/{model}/artifacts/files",
        ) => Rule::Model(Action::Read),
        ("PATCH", "logged-models/{model}" | "logged-models/{model}/tags")
        | ("POST", "logged-models/{model}/params") => Rule::Model(Action::Update),
        ("DELETE", "logged-models/{model}" | "logged-models/{model}/tags/{key}") => {
            Rule::Model(Action::Delete)
        }
        _ => return None,
    })
}

fn rule_of_registry(method: &str, call: &str) -> Option<Rule> {
    Some(match (method, call) {
        ("POST", "registered-models/create") => Rule::CreateRegistered,
        ("GET", "registered-models/get") => Rule::Registered(Action::Read),
        ("PATCH", "registered-models/update") | ("POST", "registered-models/rename") => {
            Rule::Registered(Action::Update)
        }
        ("DELETE", "registered-models/delete") => Rule::DeleteRegistered,
        ("GET", "registered-models/search" | "model-versions/search") => Rule::Search,
        ("GET" | "POST", "registered-models/get-latest-versions")
        | ("GET", "registered-models/alias") => Rule::Version(Action::Read),
        ("POST", "registered-models/set-tag") | ("DELETE", "registered-models/delete-tag") => {
            Rule::TagRegistered
        }
        ("POST", "registered-models/alias") => Rule::Alias(Action::Update),
        ("DELETE", "registered-models/alias") => Rule::Alias(Action::Delete),
        ("POST", "model-versions/create") => Rule::CreateVersion,
        ("GET", "model-versions/get" | "model-versions/get-download-uri") => {
            Rule::Version(Action::Read)
        }
        ("PATCH", "model-versions/update")
        | ("POST", "model-versions/transition-stage" | "model-versions/set-tag") => {
            Rule::Version(Action::Update)
        }
        ("DELETE", "model-versions/delete" | "model-versions/delete-tag") => {
            Rule::Version(Action::Delete)
        }
        ("POST", "registered-models/permissions/create")
        | ("GET", "registered-models/permissions/get")
        | ("PATCH", "registered-models/permissions/update")
        | ("DELETE", "registered-models/permissions/delete") => {
            Rule::ManagerOf(ResourceKind::RegisteredModel)
        }
        _ => return None,
    })
}

fn rule_of_webhooks(method: &str, call: &str) -> Option<Rule> {
    Some(match (method, call) {
        ("GET" | "POST", "webhooks")
        | ("GET" | "PATCH" | "DELETE", "webhooks/{webhook}")
        | ("POST", "webhooks/{webhook}/test") => Rule::Admin,
        _ => return None,
    })
}

fn rule_of_old_traces(method: &str, call: &str) -> Option<Rule> {
    Some(match (method, call) {
        ("POST", "traces") => Rule::BeginTrace,
        ("GET", "traces") => Rule::TracesOfExperiments,
        ("PATCH", "traces/{trace}") => Rule::Trace(Action::Update),
        ("GET", "traces/{trace}/info") => Rule::Trace(Action::Read),
        _ => return None,
    })
}

fn rule_of_users(method: &str, call: &str) -> Option<Rule> {
    Some(match (method, call) {
        ("POST", "users/create" | "users/create-ui") => Rule::Manager,
        ("GET", "users/get") | ("PATCH", "users/update-password") => Rule::Oneself,
        ("GET", "users/list" | "users/current") => Rule::SignedOn,
        ("PATCH", "users/update-admin") | ("DELETE", "users/delete") => Rule::Admin,
        _ => return None,
    })
}

fn rule_of_v3(method: &str, call: &str) -> Option<Rule> {
    let noun = call.split('/').next().unwrap_or_default();
    match noun {
        "traces" => rule_of_traces(method, call),
        "datasets" => rule_of_datasets(method, call),
        "scorers" => rule_of_scorers(method, call),
        "issues" => rule_of_issues(method, call),
        "label-schemas" => rule_of_label_schemas(method, call),
        "users" => rule_of_rights(method, call),
        // What is answered is the same for everybody.
        "workspaces" | "ui-telemetry" => Some(Rule::SignedOn),
        "roles" => rule_of_roles(method, call),
        _ => None,
    }
}

fn rule_of_traces(method: &str, call: &str) -> Option<Rule> {
    Some(match (method, call) {
        ("POST", "traces") => Rule::StartTrace,
        ("POST", "traces/search") => Rule::SearchTraces,
        ("GET", "traces/get" | "traces/{trace}") => Rule::Trace(Action::Read),
        ("GET", "traces/batchGet") | ("POST", "traces/batchGetInfos") => Rule::Traces,
        ("POST", "traces/calculate-filter-correlation" | "traces/metrics") => {
            Rule::TracesOfExperiments
        }
        ("POST", "traces/{trace}/assessments") => Rule::CreateAssessment,
        ("GET", "traces/{trace}/assessments/{assessment}") => Rule::Assessment(Action::Read),
        ("PATCH", "traces/{trace}/assessments/{assessment}") => Rule::Assessment(Action::Update),
        ("DELETE", "traces/{trace}/assessments/{assessment}") => Rule::Assessment(Action::Delete),
        _ => return None,
    })
}

fn rule_of_datasets(method: &str, call: &str) -> Option<Rule> {
    Some(match (method, call) {
        ("POST", "datasets/create") => Rule::Experiments(Action::Update),
        ("GET" | "POST", "datasets/search") => Rule::Experiments(Action::Read),
        (
            "GET",
            "datasets/{dataset}"
            | "datasets/{dataset}/experiment-ids"
            | "datasets/{dataset}/records",
        ) => Rule::Dataset(Action::Read),
        ("DELETE", "datasets/{dataset}") => Rule::Dataset(Action::Delete),
        ("POST", "datasets/{dataset}/add-experiments") => Rule::AddDataset,
        ("POST", "datasets/{dataset}/remove-experiments" | "datasets/{dataset}/records")
        | ("PATCH", "datasets/{dataset}/tags")
        | ("DELETE", "datasets/{dataset}/tags/{key}" | "datasets/{dataset}/records") => {
            Rule::Dataset(Action::Update)
        }
        _ => return None,
    })
}

fn rule_of_scorers(method: &str, call: &str) -> Option<Rule> {
    Some(match (method, call) {
        ("POST", "scorers/register") | ("PUT", "scorers/online-config") => Rule::RegisterScorer,
        ("GET", "scorers/list") => Rule::ListScorers,
        ("GET", "scorers/versions" | "scorers/get") => Rule::Scorer,
        ("DELETE", "scorers/delete") => Rule::DeleteScorer,
        ("GET", "scorers/online-configs") => Rule::OnlineScorings,
        ("POST", "scorers/permissions/create")
        | ("GET", "scorers/permissions/get")
        | ("PATCH", "scorers/permissions/update")
        | ("DELETE", "scorers/permissions/delete") => Rule::ManagerOf(ResourceKind::Scorer),
        _ => return None,
    })
}

fn rule_of_issues(method: &str, call: &str) -> Option<Rule> {
    Some(match (method, call) {
        ("POST", "issues") => Rule::CreateIssue,
        ("POST", "issues/search") => Rule::SearchIssues,
        ("GET", "issues/{issue}") => Rule::Issue(Action::Read),
        ("PATCH", "issues/{issue}") => Rule::Issue(Action::Update),
        _ => return None,
    })
}

fn rule_of_label_schemas(method: &str, call: &str) -> Option<Rule> {
    Some(match (method, call) {
        ("POST", "label-schemas/create") => Rule::Experiment(Action::Manage),
        ("GET", "label-schemas/get-by-name" | "label-schemas/list") => {
            Rule::Experiment(Action::Read)
        }
        ("GET", "label-schemas/get") => Rule::LabelSchema(Action::Read),
        ("PATCH", "label-schemas/update") | ("DELETE", "label-schemas/delete") => {
            Rule::LabelSchema(Action::Manage)
        }
        _ => return None,
    })
}

fn rule_of_rights(method: &str, call: &str) -> Option<Rule> {
    Some(match (method, call) {
        ("GET", "users/current/permissions") => Rule::SignedOn,
        ("GET", "users/permissions/list" | "users/permissions/get" | "users/roles/list") => {
            Rule::OneselfOrManager
        }
        ("POST", "users/permissions/grant" | "users/permissions/revoke") => Rule::ManagerOfResource,
        _ => return None,
    })
}

fn rule_of_roles(method: &str, call: &str) -> Option<Rule> {
    Some(match (method, call) {
        ("GET", "roles/get" | "roles/list" | "roles/permissions/list") => Rule::HasRole,
        ("GET", "roles/users/list")
        | ("POST", "roles/create" | "roles/permissions/add" | "roles/assign")
        | ("PATCH", "roles/update" | "roles/permissions/update")
        | ("DELETE", "roles/delete" | "roles/permissions/remove" | "roles/unassign") => {
            Rule::Manager
        }
        _ => return None,
    })
}

/// What anybody may ask for: that the server is there, and how clients are to speak to it.
pub(super) fn is_open(path: &str) -> bool {
    matches!(
        path,
        "/health" | "/api/3.0/mlflow/server-info" | "/ajax-api/3.0/mlflow/server-info"
    )
}
