//! Where everything of a source goes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use entities::{ExperimentId, ModelId, ModelVersion, RunId, TRACE_ARTIFACTS_TAG, Trace, TraceId};

use crate::artifacts::{SourceFiles, list_event_files, list_files, list_served};
use crate::locations::{Destination, Locations, Origin, ROOT, Served};
use crate::source::{Outline, SourceModel, SourceTrace};
use crate::{MigrateError, NotTaken};

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
            let mut place = places.find(&run.artifact_uri, folder, own, HasFiles::Maybe)?;
            if let (true, Destination::Here { from, .. }, Some(folder)) =
                (run.has_event_files, &mut place, folder)
            {
                // Folders in it are runs of their own.
                *from = Some(Origin::EventFiles(folder.clone()));
            }
            places.runs.insert(run.id.clone(), place);
        }
        for SourceModel { model, folder, .. } in &outline.models {
            let own = format!("{ROOT}{}/models/{}/artifacts", model.experiment, model.id);
            let folder = folder.as_ref();
            let place = places.find(&model.artifact_uri, folder, own, HasFiles::Maybe)?;
            places.models.insert(model.id.clone(), place);
        }
        for uri in outline
            .traces
            .iter()
            .filter_map(|trace| trace.spans_at.as_ref())
        {
            let place = places.locations.destination(uri, String::new);
            if let Destination::Here { from: None, .. } = place {
                return Err(MigrateError::NeedsArtifacts { uri: uri.clone() });
            }
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
                if let Origin::Folder(from) = from {
                    self.folders.insert(from.clone(), uri.clone());
                }
                if let Some(folder) = folder {
                    self.folders.insert(folder.clone(), uri.clone());
                    *from = Origin::Folder(folder.clone());
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
        self.files_of(self.runs.get(id))
    }

    /// The path below which the files of a run are kept; empty where they stay where they are.
    pub(crate) fn root_of_run(&self, id: &RunId) -> &str {
        match self.runs.get(id) {
            Some(Destination::Here { uri, .. }) => uri.strip_prefix(ROOT).unwrap_or(uri),
            _ => "",
        }
    }

    /// The files of a logged model.
    pub(crate) fn files_of_model(&self, id: &ModelId) -> Result<SourceFiles, MigrateError> {
        self.files_of(self.models.get(id))
    }

    /// A trace, its files below the location that they get.
    pub(crate) fn of_trace(&self, found: &SourceTrace) -> Trace {
        let mut trace = found.trace.clone();
        let place = self.place_of_trace(found);
        let location = trace.tags.entry(TRACE_ARTIFACTS_TAG.to_owned());
        let location = location.or_default();
        *location = place.uri(location).to_owned();
        trace
    }

    /// The files of a trace. That it has none is told only where its spans must be among them.
    ///
    /// Its location is a tag, which every client of the source could set to any folder: only one that MLflow gives to the
    /// files of that trace is read.
    pub(crate) fn files_of_trace(&self, found: &SourceTrace) -> Result<SourceFiles, MigrateError> {
        let place = self.place_of_trace(found);
        let mut files = self.files_of(Some(&place))?;
        if !found.spans.is_empty() || found.archived_spans > 0 {
            files.missing = None;
        }
        if let (Destination::Here { from: None, .. }, Some(uri)) = (&place, location_of(found))
            && !is_of_trace(uri, &found.trace.id)
        {
            files.not_taken.push(NotTaken {
                path: uri.into(),
                why: "the files of a trace are in `traces/ID/artifacts` of its experiment, and this is another folder",
            });
        }
        Ok(files)
    }

    fn files_of(&self, place: Option<&Destination>) -> Result<SourceFiles, MigrateError> {
        let Some(Destination::Here {
            from: Some(from),
            uri,
        }) = place
        else {
            return Ok(SourceFiles::default());
        };
        let root = uri.strip_prefix(ROOT).unwrap_or(uri);
        match (from, &self.locations.served) {
            (Origin::Folder(folder), _) => list_files(folder, root),
            (Origin::EventFiles(folder), _) => list_event_files(folder, root),
            (Origin::Served(path), Some(Served::Server(client))) => list_served(client, path, root),
            (Origin::Served(_), _) => Ok(SourceFiles::default()),
        }
    }

    fn place_of_trace(&self, found: &SourceTrace) -> Destination {
        let Trace { id, experiment, .. } = &found.trace;
        let own = format!("{ROOT}{experiment}/traces/{id}/artifacts");
        let uri = location_of(found);
        let place = uri.map(|uri| self.locations.destination(uri, || own.clone()));
        match (place, uri) {
            (Some(Destination::Elsewhere), _) => Destination::Elsewhere,
            (Some(Destination::Here { from, uri: new }), Some(uri)) if is_of_trace(uri, id) => {
                Destination::Here {
                    from: found.folder.clone().map(Origin::Folder).or(from),
                    uri: new,
                }
            }
            _ => Destination::Here {
                from: found.folder.clone().map(Origin::Folder),
                uri: own,
            },
        }
    }

    /// A version, its source and files below the locations that they get.
    pub(crate) fn of_version(&self, version: &ModelVersion) -> ModelVersion {
        ModelVersion {
            source: self.moved(&version.source),
            files_uri: version.files_uri.as_deref().map(|uri| self.moved(uri)),
            ..version.clone()
        }
    }

    /// How many runs, logged models and traces whose spans are files keep them in an object store, by scheme.
    pub(crate) fn elsewhere(&self, outline: &Outline) -> BTreeMap<String, u64> {
        let runs = outline.runs.iter();
        let runs = runs.map(|run| (self.runs.get(&run.id), &run.artifact_uri));
        let models = outline.models.iter().map(|found| &found.model);
        let models = models.map(|model| (self.models.get(&model.id), &model.artifact_uri));
        let mut found = BTreeMap::new();
        let mut count = |uri: &String| {
            let scheme = uri
                .split_once(':')
                .map_or(uri.as_str(), |(scheme, _)| scheme);
            *found.entry(scheme.to_owned()).or_default() += 1;
        };
        for (place, uri) in runs.chain(models) {
            if place == Some(&Destination::Elsewhere) {
                count(uri);
            }
        }
        for uri in outline
            .traces
            .iter()
            .filter_map(|trace| trace.spans_at.as_ref())
        {
            if self.locations.destination(uri, String::new) == Destination::Elsewhere {
                count(uri);
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

/// Where a trace says that its files are.
fn location_of(found: &SourceTrace) -> Option<&String> {
    found.trace.tags.get(TRACE_ARTIFACTS_TAG)
}

/// Whether a location is one that MLflow gives to the files of a trace.
fn is_of_trace(uri: &str, id: &TraceId) -> bool {
    let own = format!("/traces/{id}/artifacts");
    uri.trim_end_matches('/').ends_with(&own) && !uri.split('/').any(|name| name == "..")
}
