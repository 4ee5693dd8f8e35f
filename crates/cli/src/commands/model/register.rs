//! `reproof model register`: what a run made, as a version.

use std::process::ExitCode;

use entities::{Artifact, Run, proxied_path};
use executor::REGISTERED_OUTPUTS;
use registry::{NewModelVersion, NewRegisteredModel, RegistryError};

use super::name_of;
use super::show::version_json;
use crate::context::Context;
use crate::error::CommandError;
use crate::faults::{executor_fault, registry_fault, store_fault, tracking_fault};
use crate::output::{Output, safe};

pub(super) struct Request {
    pub(super) name: String,
    pub(super) run: String,
    pub(super) path: Option<String>,
    pub(super) description: Option<String>,
    pub(super) tags: Vec<(String, String)>,
}

pub(super) async fn run(request: Request, output: &Output) -> Result<ExitCode, CommandError> {
    let Request {
        name,
        run,
        path,
        description,
        tags,
    } = request;
    let context = Context::open_to_write(output).await?;
    let run = context.resolve_run(&run).await?;
    let caller = &context.bench.caller;
    let (source, logged_model) = match &path {
        Some(path) => (find_files(&context, &run, path).await?, None),
        None => find_logged_model(&context, &run).await?,
    };
    let is_new = match context.registry.get_model(&name).await {
        Ok(_) => false,
        Err(RegistryError::NoModel { .. }) => true,
        Err(error) => return Err(registry_fault(error)),
    };
    if is_new {
        let model = NewRegisteredModel {
            name: name.clone(),
            ..NewRegisteredModel::default()
        };
        let creating = context.registry.create_model(caller, model);
        creating.await.map_err(registry_fault)?;
    }
    let version = NewModelVersion {
        name,
        source,
        run: Some(run.id.to_string()),
        logged_model,
        run_link: None,
        description,
        tags: tags.into_iter().collect(),
        lacks_files: false,
    };
    let registered = context
        .registry
        .create_version(caller, version)
        .await
        .map_err(registry_fault)?;
    context.publish_or_warn(output).await;
    if output.is_json {
        output.json(&version_json(&registered));
    } else {
        output.line(&format!(
            "registered {}{} from run {}",
            safe(&name_of(&registered)),
            if is_new { ", a new name," } else { "" },
            executor::short_id(&run.id)
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// The one logged model of a run.
async fn find_logged_model(
    context: &Context,
    run: &Run,
) -> Result<(String, Option<String>), CommandError> {
    let models = context.store.list_models_of(&run.id).await;
    let models = models.map_err(store_fault)?;
    match models.as_slice() {
        [one] => Ok((format!("models:/{one}"), Some(one.to_string()))),
        [] => Err(CommandError::usage(
            "E0022",
            format!("run {} logged no model", executor::short_id(&run.id)),
        )
        .hint("`--path PATH` names a file or folder that the run wrote, or an artifact of it")
        .hint("`reproof show RUN` lists them")),
        many => {
            let folders: Vec<_> = many.iter().map(ToString::to_string).collect();
            Err(CommandError::usage(
                "E0022",
                format!(
                    "run {} logged {} models: {}",
                    executor::short_id(&run.id),
                    many.len(),
                    folders.join(", ")
                ),
            )
            .hint("`--path MODEL_ID` names one of them"))
        }
    }
}

/// Where the files are that a path of a run names: a logged model, an artifact, or files that the run wrote, which
/// become artifacts of it.
async fn find_files(context: &Context, run: &Run, path: &str) -> Result<String, CommandError> {
    let path = path.trim_end_matches('/');
    let models = context.store.list_models_of(&run.id).await;
    if models
        .map_err(store_fault)?
        .iter()
        .any(|id| id.as_str() == path)
    {
        return Ok(format!("models:/{path}"));
    }
    let uri = format!("{}/{path}", run.artifact_uri);
    // On record as they were logged, or as they were taken over.
    let folder = format!("{}/{path}", run.artifact_folder());
    let below = context.store.list_artifacts_below(&folder).await;
    let is_file = context.store.find_artifact(&folder).await;
    if !below.map_err(store_fault)?.is_empty() {
        return Ok(uri);
    }
    if is_file.map_err(store_fault)?.is_some() {
        return Err(CommandError::usage(
            "E0022",
            format!(
                "`{}` is one file; name the folder that it stands in",
                safe(path)
            ),
        ));
    }
    let artifacts = outputs_as_artifacts(context, run, path)?;
    if artifacts.is_empty() {
        return Err(CommandError::usage(
            "E0022",
            format!(
                "run {} has no `{}`",
                executor::short_id(&run.id),
                safe(path)
            ),
        )
        .hint("`reproof show RUN --full` lists what it wrote and logged"));
    }
    let caller = &context.bench.caller;
    let putting = context.bench.tracking.put_artifacts(caller, artifacts);
    putting.await.map_err(tracking_fault)?;
    Ok(format!("{}/{REGISTERED_OUTPUTS}/{path}", run.artifact_uri))
}

/// Files that a run wrote under a path, as artifacts in a folder of that name: a version is a folder of files.
fn outputs_as_artifacts(
    context: &Context,
    run: &Run,
    path: &str,
) -> Result<Vec<Artifact>, CommandError> {
    // Clients would look for them where nobody writes them.
    let Some(root) = proxied_path(&run.artifact_uri) else {
        return Ok(Vec::new());
    };
    if run.recipe.is_none() {
        return Ok(Vec::new());
    }
    let manifest = context.manifest(run)?;
    let files = executor::list_files(&context.bench.cas, &manifest.record.outputs);
    let files = files.map_err(executor_fault)?;
    let artifacts = files.iter().filter_map(|(written, fact)| {
        let inside = written.as_str().strip_prefix(path)?;
        let name = match inside.strip_prefix('/') {
            Some(inside) => inside.to_owned(),
            None if inside.is_empty() => written.as_str().rsplit('/').next()?.to_owned(),
            None => return None,
        };
        Some(Artifact {
            path: format!("{root}/{REGISTERED_OUTPUTS}/{path}/{name}"),
            object: fact.object,
            size_bytes: fact.size_bytes,
        })
    });
    let kept = |artifact: &Artifact| {
        context
            .bench
            .cas
            .contains(&artifact.object)
            .unwrap_or(false)
    };
    Ok(artifacts.filter(kept).collect())
}
