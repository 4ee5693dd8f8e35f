//! `reproof gc --deleted-runs`: removes deleted runs and experiments for good.

use std::collections::BTreeSet;

use entities::{ExperimentId, HOLD_TAG, RunId};
use serde_json::{Value, json};
use store::{Bond, DeletedExperiment, DeletedRun};
use tracking::{
    Keeper, KeptExperiment, KeptRun, RemovalPlan, RemovalPolicy, RemovalScope, parse_experiment_id,
    parse_run_id,
};

use crate::arguments::RemovalArguments;
use crate::context::Context;
use crate::error::CommandError;
use crate::faults::tracking_fault;
use crate::output::{Output, local_time, safe};
use crate::settings::Wait;

/// Lines of a list for people at most, of things that go; all that stays is listed.
const SHOWN_MAX: usize = 50;

/// What was removed, or would be.
pub(super) struct Removed {
    plan: RemovalPlan,
    /// Where artifacts are that are not kept here.
    elsewhere: BTreeSet<String>,
    is_dry_run: bool,
}

/// Removes what the settings allow, or lists it.
///
/// *Errors*: E0031 where something that was named stays; then nothing is removed. E0022 without `--yes`.
pub(super) async fn run(
    arguments: &RemovalArguments,
    is_dry_run: bool,
    context: &Context,
    output: &Output,
) -> Result<Removed, CommandError> {
    let policy = policy(context);
    let scope = read_scope(arguments)?;
    let tracking = &context.bench.tracking;
    let plan = tracking
        .plan_removal(&policy, &scope)
        .await
        .map_err(tracking_fault)?;
    let mut removed = Removed {
        elsewhere: list_elsewhere(&plan.runs),
        plan,
        is_dry_run,
    };
    if is_dry_run {
        return Ok(removed);
    }
    if !scope.is_everything() && removed.keeps_any() {
        removed.list(output);
        return Err(refuse_named(&removed.plan));
    }
    if removed.plan.runs.is_empty() && removed.plan.experiments.is_empty() {
        return Ok(removed);
    }
    if !arguments.yes {
        removed.is_dry_run = true;
        removed.list(output);
        return Err(CommandError::usage(
            "E0022",
            format!("removing {} cannot be undone", removed.count()),
        )
        .hint("add `--yes` to do it")
        .hint("`--dry-run` only lists"));
    }
    let reason = match &arguments.reason {
        Some(reason) => reason.clone(),
        None => default_reason(&policy, &scope),
    };
    let working = output.work(&format!("removing {}", removed.count()));
    remove(context, &mut removed.plan, &reason).await?;
    drop(working);
    context.publish_or_warn(output).await;
    Ok(removed)
}

fn policy(context: &Context) -> RemovalPolicy {
    let retention = &context.settings.retention;
    let mut hold_tags = vec![HOLD_TAG.to_owned()];
    hold_tags.extend(retention.hold_tags.iter().cloned());
    RemovalPolicy {
        deleted_for_ms: retention.deleted_for.milliseconds,
        hold_tags,
    }
}

fn read_scope(arguments: &RemovalArguments) -> Result<RemovalScope, CommandError> {
    let runs: Result<Vec<RunId>, _> = arguments
        .run_ids
        .iter()
        .map(|id| parse_run_id(id.trim()))
        .collect();
    let experiments: Result<Vec<ExperimentId>, _> = arguments
        .experiment_ids
        .iter()
        .map(|id| parse_experiment_id(id.trim()))
        .collect();
    Ok(RemovalScope {
        runs: runs.map_err(tracking_fault)?,
        experiments: experiments.map_err(tracking_fault)?,
        older_than_ms: arguments.older_than.map(|wait| wait.milliseconds),
    })
}

fn default_reason(policy: &RemovalPolicy, scope: &RemovalScope) -> String {
    let milliseconds = policy.deleted_for_ms.max(scope.older_than_ms.unwrap_or(0));
    format!("deleted for {} or longer", Wait { milliseconds })
}

/// Runs first, then the experiments that have none any more; what is refused moves to what stays.
async fn remove(
    context: &Context,
    plan: &mut RemovalPlan,
    reason: &str,
) -> Result<(), CommandError> {
    let (tracking, caller) = (&context.bench.tracking, &context.bench.caller);
    let refused = tracking
        .remove_runs(caller, &plan.runs, reason)
        .await
        .map_err(tracking_fault)?;
    plan.runs
        .retain(|run| !refused.iter().any(|refused| refused.id == run.id));
    plan.kept_runs.extend(refused);
    let mut gone = Vec::new();
    for experiment in std::mem::take(&mut plan.experiments) {
        let refused = tracking
            .remove_experiment(caller, &experiment.id, reason)
            .await
            .map_err(tracking_fault)?;
        match refused {
            Some(kept) => plan.kept_experiments.push(kept),
            None => gone.push(experiment),
        }
    }
    plan.experiments = gone;
    Ok(())
}

fn list_elsewhere(runs: &[DeletedRun]) -> BTreeSet<String> {
    let uris = runs.iter().map(|run| &run.artifact_uri);
    uris.filter(|uri| !uri.starts_with("mlflow-artifacts:/"))
        .cloned()
        .collect()
}

fn refuse_named(plan: &RemovalPlan) -> CommandError {
    let run = plan.kept_runs.first();
    let run = run.map(|KeptRun { id, keepers }| (format!("run {id}"), keepers));
    let experiment = plan.kept_experiments.first();
    let experiment =
        experiment.map(|KeptExperiment { id, keepers }| (format!("experiment {id}"), keepers));
    let (subject, keepers) = run
        .or(experiment)
        .unwrap_or_else(|| unreachable!("something is kept"));
    let message = format!(
        "{subject} stays: {}; nothing was removed",
        in_words(keepers)
    );
    let error = CommandError::usage("E0031", message);
    if keepers
        .iter()
        .any(|keeper| matches!(keeper, Keeper::NotDeleted))
    {
        return error.hint("delete it first: `mlflow runs delete --run-id ID`, `mlflow experiments delete --experiment-id ID`");
    }
    error.hint("leave it out, or see `[retention]` in `reproof.toml`")
}

impl Removed {
    fn keeps_any(&self) -> bool {
        !self.plan.kept_runs.is_empty() || !self.plan.kept_experiments.is_empty()
    }

    fn count(&self) -> String {
        let RemovalPlan {
            runs, experiments, ..
        } = &self.plan;
        format!("{} runs and {} experiments", runs.len(), experiments.len())
    }

    /// For people: what goes, what stays and why.
    pub(super) fn list(&self, output: &Output) {
        let RemovalPlan {
            runs,
            experiments,
            kept_runs,
            kept_experiments,
        } = &self.plan;
        let verb = if self.is_dry_run {
            "would remove"
        } else {
            "removed"
        };
        for run in runs.iter().take(SHOWN_MAX) {
            output.say(&format!(
                "{verb} run {} `{}`, deleted {}",
                run.id,
                safe(&run.name),
                local_time(run.deleted_at)
            ));
        }
        if runs.len() > SHOWN_MAX {
            output.say(&format!("{verb} {} more runs", runs.len() - SHOWN_MAX));
        }
        for DeletedExperiment {
            id,
            name,
            deleted_at,
            ..
        } in experiments
        {
            let (name, deleted) = (safe(name), local_time(*deleted_at));
            output.say(&format!(
                "{verb} experiment {id} `{name}`, deleted {deleted}"
            ));
        }
        for KeptRun { id, keepers } in kept_runs {
            output.say(&format!("run {id} stays: {}", in_words(keepers)));
        }
        for KeptExperiment { id, keepers } in kept_experiments {
            output.say(&format!("experiment {id} stays: {}", in_words(keepers)));
        }
        for uri in &self.elsewhere {
            output.say(&format!(
                "files at {} were written there by clients, and stay there",
                safe(uri)
            ));
        }
    }

    /// For people: in one line.
    pub(super) fn sum_up(&self, output: &Output) {
        let RemovalPlan {
            kept_runs,
            kept_experiments,
            ..
        } = &self.plan;
        let verb = if self.is_dry_run {
            "would remove"
        } else {
            "removed"
        };
        output.line(&format!(
            "{verb} {}; {} runs and {} experiments that are deleted stay",
            self.count(),
            kept_runs.len(),
            kept_experiments.len()
        ));
    }

    pub(super) fn as_json(&self) -> Value {
        let RemovalPlan {
            runs,
            experiments,
            kept_runs,
            kept_experiments,
        } = &self.plan;
        let run = |run: &DeletedRun| {
            json!({
                "run_id": run.id,
                "run_name": run.name,
                "experiment_id": run.experiment,
                "deleted_at": run.deleted_at,
            })
        };
        let experiment = |experiment: &DeletedExperiment| {
            json!({
                "experiment_id": experiment.id,
                "name": experiment.name,
                "deleted_at": experiment.deleted_at,
            })
        };
        let reasons = |keepers: &[Keeper]| keepers.iter().map(keeper_in_words).collect::<Vec<_>>();
        let kept = kept_runs
            .iter()
            .map(|kept| json!({ "run_id": kept.id, "reasons": reasons(&kept.keepers) }));
        let kept_experiments = kept_experiments
            .iter()
            .map(|kept| json!({ "experiment_id": kept.id, "reasons": reasons(&kept.keepers) }));
        json!({
            "removed_runs": runs.iter().map(run).collect::<Vec<_>>(),
            "removed_experiments": experiments.iter().map(experiment).collect::<Vec<_>>(),
            "kept_runs": kept.collect::<Vec<_>>(),
            "kept_experiments": kept_experiments.collect::<Vec<_>>(),
            "artifacts_elsewhere": self.elsewhere,
        })
    }
}

fn in_words(keepers: &[Keeper]) -> String {
    let words: Vec<_> = keepers.iter().map(keeper_in_words).collect();
    words.join("; ")
}

fn keeper_in_words(keeper: &Keeper) -> String {
    match keeper {
        Keeper::NotDeleted => "it is not deleted".to_owned(),
        Keeper::Policy { from } => format!("it may go from {} on", local_time(*from)),
        Keeper::Tag { key } => format!("the tag `{}` holds it", safe(key)),
        Keeper::Version { name, version } => {
            format!(
                "version {version} of model `{}` was made from it",
                safe(name)
            )
        }
        Keeper::Run { run, bond } => {
            let what = match bond {
                Bond::Child => "was started inside it",
                Bond::Replay => "replays it",
                Bond::Original => "has it as a replay, which is evidence",
                Bond::ModelUser => "uses a model that it made",
                Bond::TraceUser => "uses traces that it made",
                Bond::Measured => "made a model that it measured",
            };
            format!("run {run}, which stays, {what}")
        }
        Keeper::Model { model } => format!("it measured the logged model {model}, which stays"),
        Keeper::Runs { count: 1 } => "one of its runs stays".to_owned(),
        Keeper::Runs { count } => format!("{count} of its runs stay"),
        Keeper::Default => "clients use the default experiment without asking".to_owned(),
        Keeper::Refused { reason } => reason.clone(),
    }
}
