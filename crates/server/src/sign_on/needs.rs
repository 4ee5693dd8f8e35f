//! What is asked for to do something with something: the same by its id, in a search and in a listing.

use access::{Action, Need};
use entities::{ExperimentId, Resource, ResourceKind, scorer_pattern};

pub(crate) fn experiment_need(action: Action, id: &str) -> Need {
    Need::new(action, Resource::new(ResourceKind::Experiment, id))
}

/// What something in an experiment needs: to read the experiment, and the action on what is in it.
pub(crate) fn inner_needs(kind: ResourceKind, action: Action, experiment: &str) -> Vec<Need> {
    let outer = Resource::new(ResourceKind::Experiment, experiment);
    vec![
        experiment_need(Action::Read, experiment),
        Need::any(action, kind).or(action, outer),
    ]
}

/// To make something in an experiment.
pub(super) fn making_needs(kind: ResourceKind, experiment: &str) -> Vec<Need> {
    vec![
        experiment_need(Action::Update, experiment),
        Need::any(Action::Unless, kind),
    ]
}

/// What a trace needs. Answers tell what is said of a trace, so that must not be denied.
pub(crate) fn trace_needs(action: Action, experiment: &str) -> Vec<Need> {
    let mut needs = inner_needs(ResourceKind::Trace, action, experiment);
    needs.push(Need::any(Action::Unless, ResourceKind::Assessment));
    needs
}

/// What an issue needs: its experiment, and that runs are not denied, since it names the one that found it.
pub(crate) fn issue_needs(action: Action, experiment: &str) -> Vec<Need> {
    vec![
        experiment_need(action, experiment),
        Need::any(Action::Unless, ResourceKind::Run),
    ]
}

/// What a scorer needs: what was said of it, else of its experiment, which must not be denied.
pub(crate) fn scorer_needs(action: Action, experiment: &str, name: &str) -> Vec<Need> {
    let Ok(id) = experiment.parse::<ExperimentId>() else {
        return vec![experiment_need(Action::Manage, experiment)];
    };
    let scorer = Resource::new(ResourceKind::Scorer, scorer_pattern(&id, name));
    let outer = Resource::new(ResourceKind::Experiment, experiment);
    vec![
        Need::new(action, scorer).or(action, outer),
        experiment_need(Action::Unless, experiment),
        Need::any(Action::Unless, ResourceKind::ScorerVersion),
    ]
}

pub(super) const fn versions_of(kind: ResourceKind) -> ResourceKind {
    match kind {
        ResourceKind::Prompt => ResourceKind::PromptVersion,
        _ => ResourceKind::RegisteredModelVersion,
    }
}

pub(crate) const fn registered_kind(is_prompt: bool) -> ResourceKind {
    if is_prompt {
        ResourceKind::Prompt
    } else {
        ResourceKind::RegisteredModel
    }
}

/// To read a registered model or a prompt, whose answers tell of its versions.
pub(crate) fn registered_needs(kind: ResourceKind, name: &str) -> Vec<Need> {
    vec![
        Need::new(Action::Read, Resource::new(kind, name)),
        Need::any(Action::Unless, versions_of(kind)),
    ]
}

/// What is in an experiment's folder at a path below it; a deletion takes all below.
pub(super) fn kinds_at(segments: &[&str], deletes: bool) -> Vec<ResourceKind> {
    match segments {
        [] if deletes => vec![
            ResourceKind::Run,
            ResourceKind::Trace,
            ResourceKind::LoggedModel,
        ],
        [] => Vec::new(),
        ["models", ..] => vec![ResourceKind::LoggedModel],
        ["traces", ..] => vec![ResourceKind::Trace],
        _ => vec![ResourceKind::Run],
    }
}

pub(super) fn deleting_experiment(id: &str) -> Vec<Need> {
    let outer = Resource::new(ResourceKind::Experiment, id);
    let kinds = [
        ResourceKind::Run,
        ResourceKind::Trace,
        ResourceKind::LoggedModel,
        ResourceKind::Assessment,
        ResourceKind::ReviewQueue,
        ResourceKind::Scorer,
        ResourceKind::ScorerVersion,
    ];
    let inner = kinds.into_iter();
    let inner = inner.map(|kind| Need::any(Action::Delete, kind).or(Action::Delete, outer.clone()));
    [experiment_need(Action::Delete, id)]
        .into_iter()
        .chain(inner)
        .collect()
}

/// To delete traces, and with them what is said of them.
pub(super) fn deleting_traces(experiment: &str) -> Vec<Need> {
    let outer = Resource::new(ResourceKind::Experiment, experiment);
    vec![
        experiment_need(Action::Read, experiment),
        Need::any(Action::Delete, ResourceKind::Trace).or(Action::Delete, outer.clone()),
        Need::any(Action::Delete, ResourceKind::Assessment).or(Action::Update, outer),
    ]
}

pub(super) fn deleting_scorer(experiment: &str, name: &str, names_version: bool) -> Vec<Need> {
    let action = if names_version {
        Action::Read
    } else {
        Action::Delete
    };
    let mut needs = scorer_needs(action, experiment, name);
    if let Ok(id) = experiment.parse() {
        let scorer = Resource::new(ResourceKind::Scorer, scorer_pattern(&id, name));
        let outer = Resource::new(ResourceKind::Experiment, experiment);
        needs.push(
            Need::any(Action::Delete, ResourceKind::ScorerVersion)
                .or(Action::Delete, scorer)
                .or(Action::Delete, outer),
        );
    }
    needs
}
