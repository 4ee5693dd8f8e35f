//! Where everything of a source goes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use entities::{ExperimentId, ModelId, ModelVersion, RunId};

use crate::MigrateError;
use crate::artifacts::{SourceFiles, list_files};
use crate::locations::{Destination, Locations, ROOT};
use crate::source::{Outline, SourceModel};

/// Where everything of a source goes.
pub(crate) struct Places {
    locations: Locations,
    experiments: BTreeMap<ExperimentId, Destination>,
    runs: BTreeMap<RunId, Destination>,
    models: BTreeMap<ModelId, Destination>,
    /// Folders of the source and the locations that they get.
    folders: BTreeMap<PathBuf, String>,
}

impl Places {
    /// Finds a place for everything; those of an outline are still the source's.
    ///
    /// *Errors*: `NeedsArtifacts` if files are somewhere that is not known.
    pub(crate) fn new(outline: &Outline, locations: Locations) -> Result<Self, MigrateError> {
        let mut places = Self {
            locations,
            experiments: BTreeMap::new(),
            runs: BTreeMap::new(),
            models: BTreeMap::new(),
            folders: BTreeMap::new(),
        };
        for experiment in &outline.experiments {
            let id = &experiment.id;
            let own = format!("{ROOT}{id}");
            let place = places.find(&experiment.artifact_location, None, own, HasFiles::No)?;
            places.experiments.insert(id.clone(), place);
        }
        for run in &outline.runs {
            let own = format!("{ROOT}{}/{}/artifacts", run.experiment, run.id);
            let folder = run.folder.as_ref();
            let place = places.find(&run.artifact_uri, folder, own, HasFiles::Maybe)?;
            places.runs.insert(run.id.clone(), place);
        }
        for SourceModel { model, folder, .. } in &outline.models {
            let own = format!("{ROOT}{}/models/{}/artifacts", model.experiment, model.id);
            let folder = folder.as_ref();
            let place = places.find(&model.artifact_uri, folder, own, HasFiles::Maybe)?;
            places.models.insert(model.id.clone(), place);
        }
        Ok(places)
    }

    fn find(
        &mut self,
        uri: &str,
        folder: Option<&PathBuf>,
        own: String,
        has_files: HasFiles,
    ) -> Result<Destination, MigrateError> {
        let mut place = self.locations.destination(uri, || own);
        match &mut place {
            Destination::Here { from: None, .. } if has_files == HasFiles::Maybe => {
                return Err(MigrateError::NeedsArtifacts {
                    uri: uri.to_owned(),
                });
            }
            Destination::Here {
                from: Some(from),
                uri,
            } => {
                self.folders.insert(from.clone(), uri.clone());
                if let Some(folder) = folder {
                    self.folders.insert(folder.clone(), uri.clone());
                    from.clone_from(folder);
                }
            }
            _ => {}
        }
        Ok(place)
    }

    /// The location that an experiment gets.
    pub(crate) fn of_experiment(&self, id: &ExperimentId, uri: &str) -> String {
        self.experiments
            .get(id)
            .map_or(uri, |place| place.uri(uri))
            .to_owned()
    }

    /// The location that a run gets.
    pub(crate) fn of_run(&self, id: &RunId, uri: &str) -> String {
        self.runs
            .get(id)
            .map_or(uri, |place| place.uri(uri))
            .to_owned()
    }

    /// The location that a logged model gets.
    pub(crate) fn of_model(&self, id: &ModelId, uri: &str) -> String {
        self.models
            .get(id)
            .map_or(uri, |place| place.uri(uri))
            .to_owned()
    }

    /// The files of a run.
    pub(crate) fn files_of_run(&self, id: &RunId) -> Result<SourceFiles, MigrateError> {
        files_of(self.runs.get(id))
    }

    /// The files of a logged model.
    pub(crate) fn files_of_model(&self, id: &ModelId) -> Result<SourceFiles, MigrateError> {
        files_of(self.models.get(id))
    }

    /// A version, its source and files below the locations that they get.
    pub(crate) fn of_version(&self, version: &ModelVersion) -> ModelVersion {
        ModelVersion {
            source: self.moved(&version.source),
            files_uri: version.files_uri.as_deref().map(|uri| self.moved(uri)),
            ..version.clone()
        }
    }

    /// How many runs and logged models keep their files in an object store, by scheme.
    pub(crate) fn elsewhere(&self, outline: &Outline) -> BTreeMap<String, u64> {
        let runs = outline.runs.iter();
        let runs = runs.map(|run| (self.runs.get(&run.id), &run.artifact_uri));
        let models = outline.models.iter().map(|found| &found.model);
        let models = models.map(|model| (self.models.get(&model.id), &model.artifact_uri));
        let mut found = BTreeMap::new();
        for (place, uri) in runs.chain(models) {
            if place == Some(&Destination::Elsewhere) {
                let scheme = uri
                    .split_once(':')
                    .map_or(uri.as_str(), |(scheme, _)| scheme);
                *found.entry(scheme.to_owned()).or_default() += 1;
            }
        }
        found
    }

    /// A URI of a file or folder as it is once its folder has moved.
    fn moved(&self, uri: &str) -> String {
        if uri.starts_with("mlflow-artifacts:") {
            let place = self.locations.destination(uri, String::new);
            return place.uri(uri).to_owned();
        }
        let Some(path) = self.locations.local_folder(uri) else {
            return uri.to_owned();
        };
        let known = path.ancestors().find_map(|folder| {
            let moved = self.folders.get(folder)?;
            Some((moved, path.strip_prefix(folder).ok()?.to_str()?))
        });
        match known {
            Some((moved, "")) => moved.clone(),
            Some((moved, inside)) => format!("{moved}/{inside}"),
            None => uri.to_owned(),
        }
    }
}

/// Whether there may be files right at a location.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HasFiles {
    No,
    Maybe,
}

fn files_of(place: Option<&Destination>) -> Result<SourceFiles, MigrateError> {
    match place {
        Some(Destination::Here {
            from: Some(from),
            uri,
        }) => list_files(from, uri.strip_prefix(ROOT).unwrap_or(uri)),
        _ => Ok(SourceFiles::default()),
    }
}
