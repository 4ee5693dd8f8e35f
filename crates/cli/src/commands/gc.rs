//! `reproof gc`

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use entities::ObjectId;
use executor::Manifest;
use store::{ArtifactStore as _, RunStore as _};

use crate::arguments::GcArguments;
use crate::context::Context;
use crate::error::CommandError;
use crate::faults::{executor_fault, objects_fault, store_fault};
use crate::output::{Output, size};

pub(crate) async fn run(
    arguments: &GcArguments,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let context = Context::open_to_write(output).await?;
    let working = output.work("finding what runs refer to");
    // Before the objects: what a run commits after this moment is young enough to stay.
    let grace_ms = grace_ms(&context, arguments.grace_hours).await?;
    let live = live_objects(&context).await?;
    drop(working);
    let options = cas::GcOptions {
        grace_ms,
        is_dry_run: arguments.dry_run,
    };
    let summary = context
        .bench
        .cas
        .gc(&live, &options)
        .map_err(objects_fault)?;
    if output.is_json {
        output.json(&serde_json::json!({
            "kept_objects": live.len(),
            "removed_objects": summary.removed_objects,
            "freed_bytes": summary.freed_bytes,
            "is_dry_run": arguments.dry_run,
        }));
    } else {
        let verb = if arguments.dry_run {
            "would remove"
        } else {
            "removed"
        };
        output.line(&format!(
            "{verb} {} objects, {}; {} objects are in use",
            summary.removed_objects,
            size(summary.freed_bytes),
            live.len()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// How young an unreferenced object must be to stay: as asked for, and younger than any run under way, which has
/// kept what it read and not named it yet.
async fn grace_ms(context: &Context, asked_hours: u64) -> Result<u64, CommandError> {
    let asked = asked_hours.saturating_mul(3_600_000);
    let open = context.store.list_open_runs().await.map_err(store_fault)?;
    let now = context.bench.clock.now().as_millis();
    let ages = open
        .iter()
        .map(|run| now.saturating_sub(run.started_at.as_millis()));
    let oldest = ages.max().map_or(0, |age| {
        u64::try_from(age).unwrap_or(0).saturating_add(MARGIN_MS)
    });
    Ok(asked.max(oldest))
}

/// A run's first objects may be a little older than its row, and clocks of file systems are coarse.
const MARGIN_MS: u64 = 60_000;

/// Every object that a run, an artifact or a verdict refers to, whether its bytes were ever kept or not.
async fn live_objects(context: &Context) -> Result<BTreeSet<ObjectId>, CommandError> {
    let mut live = BTreeSet::new();
    for artifact in context
        .store
        .list_artifacts_below("")
        .await
        .map_err(store_fault)?
    {
        live.insert(artifact.object);
    }
    for (run, recipe, record) in context.store.list_manifests().await.map_err(store_fault)? {
        live.extend([recipe, record]);
        let Some(run) = context.store.find_run(&run).await.map_err(store_fault)? else {
            continue;
        };
        let manifest = context.manifest(&run)?;
        executor::objects_of_manifest(&context.bench.cas, &manifest, &mut live)
            .map_err(executor_fault)?;
        for verdict in context
            .store
            .list_replays(&run.id)
            .await
            .map_err(store_fault)?
        {
            live.insert(verdict.comparison);
        }
    }
    Ok(live)
}

/// An object whose bytes should be there.
pub(crate) struct Reference {
    pub(crate) object: ObjectId,
    /// What refers to it.
    pub(crate) from: String,
}

/// Every object whose bytes should be there, each once: those that a record names as not kept are left out.
pub(crate) async fn list_references(context: &Context) -> Result<Vec<Reference>, CommandError> {
    let mut references: BTreeMap<ObjectId, String> = BTreeMap::new();
    for artifact in context
        .store
        .list_artifacts_below("")
        .await
        .map_err(store_fault)?
    {
        references
            .entry(artifact.object)
            .or_insert_with(|| format!("artifact `{}`", artifact.path));
    }
    for (id, recipe, record) in context.store.list_manifests().await.map_err(store_fault)? {
        let from = format!("run {id}");
        let Some(run) = context.store.find_run(&id).await.map_err(store_fault)? else {
            continue;
        };
        let manifest = context.manifest(&run)?;
        let mut objects = BTreeSet::new();
        executor::objects_of_manifest(&context.bench.cas, &manifest, &mut objects)
            .map_err(executor_fault)?;
        for not_kept in not_kept(&manifest) {
            objects.remove(&not_kept);
        }
        objects.extend([recipe, record]);
        let verdicts = context.store.list_replays(&id).await.map_err(store_fault)?;
        objects.extend(verdicts.iter().map(|verdict| verdict.comparison));
        for object in objects {
            references.entry(object).or_insert_with(|| from.clone());
        }
    }
    Ok(references
        .into_iter()
        .map(|(object, from)| Reference { object, from })
        .collect())
}

/// Objects of which a manifest says that only the digest is kept.
pub(crate) fn not_kept(manifest: &Manifest) -> impl Iterator<Item = ObjectId> {
    let Manifest { recipe, record } = manifest;
    [
        &recipe.code.not_kept,
        &recipe.inputs.not_kept,
        &record.outputs.not_kept,
    ]
    .into_iter()
    .flatten()
    .filter_map(|file| file.object)
}
