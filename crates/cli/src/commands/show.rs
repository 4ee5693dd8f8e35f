//! `reproof show`

mod files;
mod page;
mod sections;
mod surroundings;

use std::process::ExitCode;

use entities::{Artifact, ReplayVerdict, Run, RunDetail};
use provenance::{Evidence, FileSet, RunFacts, evidence_level};
use serde_json::{Value, json};

use crate::arguments::ShowArguments;
use crate::commands::references::is_forgotten;
use crate::commands::runs::run_json;
use crate::context::Context;
use crate::error::CommandError;
use crate::faults::{executor_fault, store_fault};
use crate::output::Output;

pub(crate) async fn run(
    arguments: &ShowArguments,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let context = Context::open(output).await?;
    let run = context.resolve_run(&arguments.run).await?;
    let known = Known::gather(&context, &run).await?;
    if output.is_json {
        output.json(&known.as_json());
    } else {
        output.line(&sections::in_words(&known, arguments.full));
    }
    Ok(ExitCode::SUCCESS)
}

/// Traces that are listed; a service may have millions.
const LARGEST_TRACE_LIST: usize = 1000;

/// Everything that is known of a run.
struct Known {
    facts: RunFacts,
    experiment: String,
    evidence: Evidence,
    replays: Vec<ReplayVerdict>,
    artifacts: Vec<Artifact>,
    models: Vec<entities::LoggedModelDetail>,
    /// Those that were made in it or linked to it, oldest first; not all where there are very many.
    traces: Vec<entities::TraceDetail>,
    /// What of its content is not there any more, though it was kept: `reproof forget`, or damage.
    gone: Vec<Gone>,
}

impl Known {
    async fn gather(context: &Context, run: &Run) -> Result<Self, CommandError> {
        let facts = executor::run_facts(&context.bench, run)
            .await
            .map_err(executor_fault)?;
        let replays = context
            .store
            .list_replays(&run.id)
            .await
            .map_err(store_fault)?;
        let gaps = facts
            .record
            .as_ref()
            .map(|record| record.gaps.clone())
            .unwrap_or_default();
        let evidence = evidence_level(&facts.detail, facts.recipe.is_some(), &gaps, &replays);
        let experiment = context
            .store
            .find_experiment(&run.experiment)
            .await
            .map_err(store_fault)?;
        let artifacts = context
            .store
            .list_artifacts_below(&run.artifact_folder())
            .await
            .map_err(store_fault)?;
        let mut models = Vec::new();
        for model in context
            .store
            .list_models_of(&run.id)
            .await
            .map_err(store_fault)?
        {
            models.extend(
                context
                    .store
                    .find_model(&model)
                    .await
                    .map_err(store_fault)?,
            );
        }
        let mut traces = Vec::new();
        for trace in context
            .store
            .list_traces_of_run(&run.id, LARGEST_TRACE_LIST)
            .await
            .map_err(store_fault)?
        {
            traces.extend(
                context
                    .store
                    .find_trace(&trace)
                    .await
                    .map_err(store_fault)?,
            );
        }
        let experiment =
            experiment.map_or_else(|| run.experiment.to_string(), |experiment| experiment.name);
        let gone = find_gone(context, &facts).await?;
        Ok(Self {
            facts,
            experiment,
            evidence,
            replays,
            artifacts,
            models,
            traces,
            gone,
        })
    }

    fn detail(&self) -> &RunDetail {
        &self.facts.detail
    }

    fn as_json(&self) -> Value {
        let Self {
            facts,
            experiment,
            evidence,
            replays,
            artifacts,
            models,
            traces,
            gone,
        } = self;
        let models: Vec<_> = models.iter().map(|detail| &detail.model).collect();
        let traces: Vec<_> = traces.iter().map(|detail| &detail.trace).collect();
        json!({
            "run": run_json(&facts.detail),
            "experiment": experiment,
            "evidence": evidence,
            "replays": replays,
            "recipe": facts.recipe,
            "record": facts.record,
            "code": facts.code,
            "inputs": file_set_json(&facts.inputs),
            "outputs": file_set_json(&facts.outputs),
            "gone": gone,
            "artifacts": artifacts,
            "models": models,
            "traces": traces,
            "datasets": facts.detail.datasets,
        })
    }
}

fn file_set_json(files: &FileSet) -> Value {
    let FileSet { project, outside } = files;
    json!({ "project": project, "outside": outside })
}

/// A file of a run whose bytes should be there and are not.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
struct Gone {
    path: String,
    /// Whether an event says that it was removed on purpose.
    is_forgotten: bool,
}

async fn find_gone(context: &Context, facts: &RunFacts) -> Result<Vec<Gone>, CommandError> {
    let (Some(recipe), Some(record)) = (&facts.recipe, &facts.record) else {
        return Ok(Vec::new());
    };
    let not_kept = crate::commands::outcome::not_kept(recipe, record);
    let never_kept: Vec<_> = not_kept.iter().filter_map(|file| file.object).collect();
    let mut gone = Vec::new();
    for (path, fact) in list_paths(facts) {
        let is_there = || {
            context
                .bench
                .cas
                .contains(&fact.object)
                .map_err(crate::faults::objects_fault)
        };
        if !never_kept.contains(&fact.object) && !is_there()? {
            let is_forgotten = is_forgotten(context, &fact.object).await?;
            gone.push(Gone { path, is_forgotten });
        }
    }
    gone.sort();
    gone.dedup();
    Ok(gone)
}

/// Every file of a run, by the path as people write it.
fn list_paths(facts: &RunFacts) -> impl Iterator<Item = (String, &provenance::FileFact)> {
    use provenance::Place::{Outside, Project};
    let maps = [
        (Project, &facts.code),
        (Project, &facts.inputs.project),
        (Outside, &facts.inputs.outside),
        (Project, &facts.outputs.project),
        (Outside, &facts.outputs.outside),
    ];
    maps.into_iter().flat_map(|(place, files)| {
        files
            .iter()
            .map(move |(path, fact)| (place.whole(path).as_str().to_owned(), fact))
    })
}
