//! What clients logged as artifacts, as outputs that are compared.

use entities::{EntryKind, RecordedPath, Run, RunId};
use provenance::{FileFact, FileMap};
use tracking::TrackingError;

use crate::{ExecutorError, Workbench};

/// Root of all artifacts that are kept here.
const ROOT: &str = "mlflow-artifacts:/";

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
    add_folder(bench, &run.artifact_uri, label, outputs).await?;
    for (number, model) in bench
        .tracking
        .list_models_of(&run.id)
        .await?
        .iter()
        .enumerate()
    {
        let model = bench.tracking.get_model(model).await?.model;
        let label = format!("{label}: model {}", number + 1);
        add_folder(bench, &model.artifact_uri, &label, outputs).await?;
    }
    Ok(())
}

async fn add_folder(
    bench: &Workbench,
    uri: &str,
    label: &str,
    outputs: &mut FileMap,
) -> Result<(), ExecutorError> {
    // Artifacts that are kept elsewhere are not ours to read.
    let Some(folder) = uri.strip_prefix(ROOT) else {
        return Ok(());
    };
    let artifacts = bench
        .tracking
        .store()
        .list_artifacts_below(folder)
        .await
        .map_err(TrackingError::from)?;
    for artifact in artifacts {
        let name = artifact.path.strip_prefix(folder).unwrap_or(&artifact.path);
        let path = RecordedPath::new(format!("{label}: {}", name.trim_start_matches('/')));
        let fact = FileFact {
            object: artifact.object,
            size_bytes: artifact.size_bytes,
            kind: EntryKind::File,
        };
        outputs.insert(path, fact);
    }
    Ok(())
}
