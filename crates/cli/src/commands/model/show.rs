//! `reproof model show`: a registered model, or a version and what it was made from.

use std::process::ExitCode;

use entities::{ModelVersionDetail, Recipe, RecordedPath, RegisteredModelDetail, Run};
use provenance::Evidence;
use registry::FilesState;
use serde_json::{Value, json};

use super::{find_version, name_of};
use crate::context::Context;
use crate::error::CommandError;
use crate::faults::{executor_fault, registry_fault, store_fault};
use crate::output::{Output, local_time, safe, size, table, table_text};

/// Inputs beyond this are counted, not listed.
const LISTED_INPUTS: usize = 10;

pub(super) async fn run(reference: &str, output: &Output) -> Result<ExitCode, CommandError> {
    let context = Context::open(output).await?;
    if reference.contains(['/', '@']) {
        let detail = find_version(&context, reference).await?;
        show_version(&context, &detail, output).await?;
    } else {
        show_model(&context, reference, output).await?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn model_json(detail: &RegisteredModelDetail) -> Value {
    let RegisteredModelDetail {
        model,
        aliases,
        latest,
    } = detail;
    json!({ "model": model, "aliases": aliases, "latest": latest })
}

async fn show_model(context: &Context, name: &str, output: &Output) -> Result<(), CommandError> {
    let registry = &context.registry;
    let detail = registry.get_model(name).await.map_err(registry_fault)?;
    let mut versions = registry.list_versions(name).await.map_err(registry_fault)?;
    versions.reverse();
    if output.is_json {
        let versions: Vec<_> = versions.iter().map(version_json).collect();
        let mut shown = model_json(&detail);
        shown["versions"] = versions.into();
        output.json(&shown);
        return Ok(());
    }
    output.line(&safe(&detail.model.name));
    if let Some(text) = detail
        .model
        .description
        .as_deref()
        .filter(|text| !text.is_empty())
    {
        output.line(&format!("  {}", safe(text)));
    }
    for (key, value) in &detail.model.tags {
        output.line(&format!("  {}={}", safe(key), safe(value)));
    }
    let mut table = table(&["version", "aliases", "stage", "registered", "run", "source"]);
    for found in &versions {
        let version = &found.version;
        let run = version.run.as_ref().map(executor::short_id);
        let aliases: Vec<_> = found.aliases.iter().map(|alias| safe(alias)).collect();
        table.add_row([
            version.version.to_string(),
            aliases.join(", "),
            version.stage.as_str().to_owned(),
            local_time(version.created_at),
            run.unwrap_or("–").to_owned(),
            safe(&version.source),
        ]);
    }
    output.line(&table_text(&table));
    Ok(())
}

pub(super) fn version_json(detail: &ModelVersionDetail) -> Value {
    json!({ "version": detail.version, "aliases": detail.aliases })
}

async fn show_version(
    context: &Context,
    detail: &ModelVersionDetail,
    output: &Output,
) -> Result<(), CommandError> {
    let made = Made::find(context, detail).await?;
    if output.is_json {
        let mut shown = version_json(detail);
        shown["files"] = made.files_json();
        shown["run"] = match &made.run {
            Some((run, evidence, recipe)) => json!({
                "run_id": run.id,
                "fingerprint": run.recipe,
                "evidence": evidence,
                "recipe": recipe,
            }),
            None => Value::Null,
        };
        output.json(&shown);
        return Ok(());
    }
    let version = &detail.version;
    output.line(&safe(&name_of(detail)));
    let mut facts = table(&[]);
    let mut fact = |name: &str, text: String| {
        if !text.is_empty() {
            facts.add_row([format!("  {name}"), text]);
        }
    };
    let aliases: Vec<_> = detail.aliases.iter().map(|alias| safe(alias)).collect();
    fact("aliases", aliases.join(", "));
    fact("stage", version.stage.as_str().to_owned());
    fact("registered", local_time(version.created_at));
    fact(
        "description",
        version.description.as_deref().map(safe).unwrap_or_default(),
    );
    let tags = version.tags.iter();
    let tags: Vec<_> = tags
        .map(|(key, value)| format!("{}={}", safe(key), safe(value)))
        .collect();
    fact("tags", tags.join("\n"));
    fact("source", safe(&version.source));
    fact("files", made.files_in_words());
    let logged = version.logged_model.as_ref().map(ToString::to_string);
    fact("logged model", logged.unwrap_or_default());
    for (name, text) in made.lineage(context)? {
        fact(name, text);
    }
    output.line(&table_text(&facts));
    Ok(())
}

/// What a version was made from, as far as it is on record.
pub(super) struct Made {
    pub(super) state: FilesState,
    /// How many files, and their size.
    files: Option<(usize, u64)>,
    /// The run, how much is known of it, and its recipe.
    pub(super) run: Option<(Run, Evidence, Option<Recipe>)>,
    /// The run that it names, where that is not in this store.
    unknown_run: Option<String>,
}

impl Made {
    pub(super) async fn find(
        context: &Context,
        detail: &ModelVersionDetail,
    ) -> Result<Self, CommandError> {
        let version = &detail.version;
        let state = context
            .registry
            .compare_files(version)
            .await
            .map_err(registry_fault)?;
        let files = match &version.files {
            Some(files) => {
                let list = executor::flatten_tree(&context.bench.cas, files);
                let list = list.map_err(executor_fault)?;
                Some((list.len(), list.values().map(|fact| fact.size_bytes).sum()))
            }
            None => None,
        };
        let mut made = Self {
            state,
            files,
            run: None,
            unknown_run: None,
        };
        let Some(id) = &version.run else {
            return Ok(made);
        };
        let Some(run) = context.store.find_run(id).await.map_err(store_fault)? else {
            made.unknown_run = Some(id.to_string());
            return Ok(made);
        };
        let facts = executor::run_facts(&context.bench, &run)
            .await
            .map_err(executor_fault)?;
        let replays = context.store.list_replays(id).await.map_err(store_fault)?;
        let gaps = facts.record.map(|record| record.gaps).unwrap_or_default();
        let has_manifest = facts.recipe.is_some();
        let evidence = provenance::evidence_level(&facts.detail, has_manifest, &gaps, &replays);
        made.run = Some((facts.detail.run, evidence, facts.recipe));
        Ok(made)
    }

    fn files_json(&self) -> Value {
        let state = match self.state {
            FilesState::Unchanged => "unchanged",
            FilesState::Changed => "changed",
            FilesState::Unknown => "unknown",
        };
        let (count, bytes) = self.files.unzip();
        json!({ "state": state, "count": count, "size_bytes": bytes })
    }

    fn files_in_words(&self) -> String {
        let Some((count, bytes)) = self.files else {
            return "not on record: they are kept elsewhere, or there are none".to_owned();
        };
        let state = match self.state {
            FilesState::Unchanged => "as they were registered",
            _ => "as they were registered; under the source stand others now, or none",
        };
        format!("{count}, {}, {state}", size(bytes))
    }

    /// From the version back to its data, in words.
    fn lineage(&self, context: &Context) -> Result<Vec<(&'static str, String)>, CommandError> {
        if let Some(run) = &self.unknown_run {
            return Ok(vec![("run", format!("{} is not in this store", safe(run)))]);
        }
        let Some((run, evidence, recipe)) = &self.run else {
            return Ok(vec![("run", "none is named".to_owned())]);
        };
        let mut lines = vec![(
            "run",
            format!("{} {}", executor::short_id(&run.id), safe(&run.name)),
        )];
        let Some(recipe) = recipe else {
            let text = "only logged: code, data and environment are not known".to_owned();
            lines.push(("evidence", text));
            return Ok(lines);
        };
        let words: Vec<_> = recipe.command.iter().map(RecordedPath::as_str).collect();
        lines.push(("command", safe(&crate::output::in_shell_words(words))));
        lines.push(("code", code_in_words(recipe)));
        let inputs = executor::list_files(&context.bench.cas, &recipe.inputs);
        let inputs = inputs.map_err(executor_fault)?;
        let mut data: Vec<_> = inputs
            .iter()
            .take(LISTED_INPUTS)
            .map(|(path, fact)| {
                format!(
                    "{} {} b3:{}",
                    safe(path.as_str()),
                    size(fact.size_bytes),
                    fact.object.short()
                )
            })
            .collect();
        if inputs.len() > LISTED_INPUTS {
            data.push(format!("and {} more files", inputs.len() - LISTED_INPUTS));
        }
        lines.push(("data", data.join("\n")));
        let replays = match (evidence.replays, evidence.successful_replays) {
            (0, _) => "captured, not replayed yet".to_owned(),
            (count, good) => {
                format!("captured, replayed {count} times, {good} with the same results")
            }
        };
        lines.push(("evidence", replays));
        Ok(lines)
    }
}

fn code_in_words(recipe: &Recipe) -> String {
    let files = format!("{} files", recipe.code.files.0);
    let Some(git) = &recipe.code.git else {
        return format!("{files}, not in git");
    };
    let commit = git
        .commit
        .as_deref()
        .map(|commit| commit.get(..12).unwrap_or(commit));
    let branch = git
        .branch
        .as_deref()
        .map(|branch| format!(" on {}", safe(branch)));
    let dirty = if git.is_dirty { ", changed since" } else { "" };
    match commit {
        Some(commit) => format!(
            "{files}, commit {}{}{dirty}",
            safe(commit),
            branch.unwrap_or_default()
        ),
        None => format!("{files}, no commit yet"),
    }
}
