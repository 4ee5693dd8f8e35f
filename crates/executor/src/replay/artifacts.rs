//! What clients logged as artifacts, as outputs that are compared.

use entities::{Artifact, EntryKind, RecordedPath, Run, RunId};
use provenance::{FileFact, FileMap};
use tracking::TrackingError;

use crate::{ExecutorError, Workbench};

/// Folder of a run's artifacts in which files stand that it wrote and that somebody registered as a model later.
pub const REGISTERED_OUTPUTS: &str = "outputs";

/// Whether an artifact is a file that the run wrote and did not log: it is compared as that.
fn is_registered_output(inside: &str, artifact: &Artifact, outputs: &FileMap) -> bool {
    let written = inside
        .strip_prefix(REGISTERED_OUTPUTS)
        .and_then(|written| written.strip_prefix('/'));
    let Some(written) = written else { return false };
    // A file that was registered by itself stands in a folder of its name.
    let of_itself = written.rsplit_once('/').map(|(folder, _)| folder);
    [Some(written), of_itself]
        .into_iter()
        .flatten()
        .any(|path| {
            let output = outputs.get(&RecordedPath::new(path));
            output.is_some_and(|output| output.object == artifact.object)
        })
}

/// Adds the artifacts of a run, of the runs that its command made, and of their models.
///
/// Ids differ between a run and its replay, so runs and models are numbered in the order of their creation.
pub(super) async fn add(
    bench: &Workbench,
    run: &Run,
    descendants: &[(String, RunId)],
    outputs: &mut FileMap,
) -> Result<(), ExecutorError> {
    add_run(bench, run, "artifacts", outputs).await?;
    for (place, child) in descendants {
        let child = bench.tracking.get_run(child).await?.run;
        let label = format!("artifacts of {}", place.trim_end_matches(": "));
        add_run(bench, &child, &label, outputs).await?;
    }
    Ok(())
}

async fn add_run(
    bench: &Workbench,
    run: &Run,
    label: &str,
    outputs: &mut FileMap,
) -> Result<(), ExecutorError> {
    add_folder(bench, &run.artifact_folder(), label, outputs).await?;
    for (number, model) in bench
        .tracking
        .list_models_of(&run.id)
        .await?
        .iter()
        .enumerate()
    {
        let model = bench.tracking.get_model(model).await?.model;
        let label = format!("{label}: model {}", number + 1);
        add_folder(bench, &model.artifact_folder(), &label, outputs).await?;
    }
    Ok(())
}

async fn add_folder(
    bench: &Workbench,
    folder: &str,
    label: &str,
    outputs: &mut FileMap,
) -> Result<(), ExecutorError> {
    let artifacts = bench
        .tracking
        .store()
        .list_artifacts_below(folder)
        .await
        .map_err(TrackingError::from)?;
    for artifact in artifacts {
        let name = artifact.path.strip_prefix(folder).unwrap_or(&artifact.path);
        let name = name.trim_start_matches('/');
        if is_registered_output(name, &artifact, outputs) {
            continue;
        }
        let path = RecordedPath::new(format!("{label}: {name}"));
        let fact = FileFact {
            object: artifact.object,
            size_bytes: artifact.size_bytes,
            kind: EntryKind::File,
        };
        outputs.insert(path, fact);
    }
    Ok(())
}
