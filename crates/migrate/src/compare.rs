//! Reading both sides again and comparing them.

mod evaluations;
mod held;
mod traces;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use entities::{
    Artifact, Experiment, LoggedModel, Metric, ModelVersion, ObjectId, RegisteredModel, RunDetail,
    RunId,
};
use store::{PageRequest, Store};

use self::held::Held;
use crate::artifacts::{FileOrigin, SourceFiles, is_same};
use crate::places::Places;
use crate::source::{Outline, SourceRegistered, SourceRun};
use crate::{MigrateError, Progress, Report, Source, Target};

/// Points of a metric that are read at once.
const POINTS_AT_ONCE: usize = 50_000;

/// Which of both sides was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The store.
    TakenOver,
    /// The database of MLflow.
    WrittenBack,
}

/// Reads both sides again and notes what differs.
///
/// Deleted logged models and versions cannot be read here, and are not compared.
pub(crate) async fn compare(
    source: &Source,
    outline: &Outline,
    places: &Places,
    target: &Target,
    side: Side,
    on_progress: &dyn Fn(Progress),
    report: &mut Report,
) -> Result<(), MigrateError> {
    let mut comparison = Comparison {
        source,
        places,
        target,
        side,
        report,
        same: BTreeSet::new(),
    };
    for experiment in &outline.experiments {
        comparison.compare_experiment(experiment).await?;
    }
    for found in outline.models.iter().filter(|found| !found.is_deleted) {
        comparison.compare_model(&found.model).await?;
    }
    for (index, run) in outline.runs.iter().enumerate() {
        comparison.compare_run(&run.id).await?;
        on_progress(Progress {
            what: "runs compared",
            done: index as u64 + 1,
            total: outline.runs.len() as u64,
        });
    }
    for registered in &outline.registered {
        comparison.compare_registered(registered).await?;
    }
    comparison
        .compare_traces(&outline.traces, on_progress)
        .await?;
    for dataset in &outline.datasets {
        comparison.compare_dataset(dataset).await?;
    }
    for scorer in &outline.scorers {
        comparison.compare_scorer(scorer).await?;
    }
    for webhook in &outline.webhooks {
        comparison.compare_webhook(webhook).await?;
    }
    Ok(())
}

struct Comparison<'a> {
    source: &'a Source,
    places: &'a Places,
    target: &'a Target,
    side: Side,
    report: &'a mut Report,
    /// Contents that are the same: what names one at the source, and the object here.
    same: BTreeSet<(String, ObjectId)>,
}

impl Comparison<'_> {
    async fn compare_experiment(&mut self, experiment: &Experiment) -> Result<(), MigrateError> {
        let id = &experiment.id;
        let what = format!("experiment {id}");
        let Some(there) = self.store().find_experiment(id).await? else {
            self.note_missing(&what);
            return Ok(());
        };
        let there = self.held(there);
        // Every store makes this one itself, at a time of its own.
        let is_own = id.as_str() == "0" && self.side == Side::TakenOver;
        self.check(&what, "name", experiment.name == there.name);
        self.check(&what, "lifecycle", experiment.lifecycle == there.lifecycle);
        self.check(&what, "tags", experiment.tags == there.tags);
        let is_same_time = is_own
            || (experiment.created_at, experiment.updated_at)
                == (there.created_at, there.updated_at);
        self.check(&what, "times", is_same_time);
        let location = self.places.of_experiment(id, &experiment.artifact_location);
        let is_same_place = is_own || location == there.artifact_location;
        self.check(&what, "artifact location", is_same_place);
        Ok(())
    }

    async fn compare_model(&mut self, model: &LoggedModel) -> Result<(), MigrateError> {
        let what = format!("logged model {}", model.id);
        let Some(there) = self.store().find_model(&model.id).await? else {
            self.note_missing(&what);
            return Ok(());
        };
        let expected = LoggedModel {
            artifact_uri: self.places.of_model(&model.id, &model.artifact_uri),
            ..model.clone()
        };
        self.check(&what, "row", expected == self.held(there.model));
        let files = self.places.files_of_model(&model.id)?;
        self.compare_files(&what, files).await
    }

    async fn compare_run(&mut self, id: &RunId) -> Result<(), MigrateError> {
        let what = format!("run {id}");
        let Some(there) = self.store().find_run_detail(id).await? else {
            self.note_missing(&what);
            return Ok(());
        };
        let there = RunDetail {
            run: self.held(there.run),
            ..there
        };
        let mut expected = self.source.run(id)?;
        expected.run = self.held(expected.run);
        expected.run.artifact_uri = self.places.of_run(id, &expected.run.artifact_uri);
        self.compare_detail(&what, &expected, &there);
        let found = self.points_of(id, &expected.points).await?;
        let points = distinct(expected.points);
        let is_same = found.len() == points.len()
            && found
                .iter()
                .zip(&points)
                .all(|(found, point)| order(found, point) == Ordering::Equal);
        self.check(&what, "points of metrics", is_same);
        let files = self.source.files_of_run(id, self.places)?;
        self.compare_files(&what, files).await
    }

    fn compare_detail(&mut self, what: &str, expected: &SourceRun, there: &RunDetail) {
        self.check(what, "row", expected.run == there.run);
        self.check(what, "params", expected.params == there.params);
        self.check(what, "tags", expected.tags == there.tags);
        let datasets = sorted(&expected.datasets) == sorted(&there.datasets);
        self.check(what, "datasets", datasets);
        let inputs = sorted(&expected.model_inputs) == sorted(&there.model_inputs);
        self.check(what, "input models", inputs);
        let outputs = sorted(&expected.model_outputs) == sorted(&there.model_outputs);
        self.check(what, "output models", outputs);
    }

    /// All points that the store has of the metrics that these points are of.
    async fn points_of(&self, id: &RunId, points: &[Metric]) -> Result<Vec<Metric>, MigrateError> {
        let keys: BTreeSet<&str> = points.iter().map(|point| point.key.as_str()).collect();
        let mut found = Vec::with_capacity(points.len());
        for key in keys {
            let mut page = PageRequest::first(POINTS_AT_ONCE);
            loop {
                let part = self.store().list_metric_points(id, key, &page).await?;
                found.extend(part.items);
                match part.next {
                    Some(next) => page.token = Some(next),
                    None => break,
                }
            }
        }
        Ok(distinct(found))
    }

    async fn compare_files(&mut self, what: &str, files: SourceFiles) -> Result<(), MigrateError> {
        self.report.note_files(files.not_taken, files.missing);
        for file in files.files {
            let is_same = match self.store().find_artifact(&file.path).await? {
                Some(artifact) => self.is_same(&artifact, &file.from)?,
                None => false,
            };
            let name = file.from.to_string();
            self.check(what, &format!("file `{name}`"), is_same);
        }
        Ok(())
    }

    /// Whether an artifact has the bytes of a file. What was compared before is not read again.
    fn is_same(&mut self, artifact: &Artifact, from: &FileOrigin) -> Result<bool, MigrateError> {
        let pair = from.lasting_name().map(|name| (name, artifact.object));
        if pair.as_ref().is_some_and(|pair| self.same.contains(pair)) {
            return Ok(true);
        }
        let is_same = is_same(&self.target.cas, artifact, from)?;
        if is_same {
            self.same.extend(pair);
        }
        Ok(is_same)
    }

    async fn compare_registered(
        &mut self,
        registered: &SourceRegistered,
    ) -> Result<(), MigrateError> {
        let SourceRegistered {
            model,
            versions,
            aliases,
        } = registered;
        let what = format!("registered model `{}`", model.name);
        let Some(there) = self.store().find_registered_model(&model.name).await? else {
            self.note_missing(&what);
            return Ok(());
        };
        let model_there = self.held(there.model);
        let without_tags = |model: &RegisteredModel| RegisteredModel {
            tags: BTreeMap::new(),
            ..model.clone()
        };
        let is_same = without_tags(model) == without_tags(&model_there);
        self.check(&what, "row", is_same);
        self.check(&what, "tags", model.tags == model_there.tags);
        self.check(&what, "aliases", *aliases == there.aliases);
        for version in versions.iter().filter(|version| !version.is_deleted) {
            let number = version.version.version;
            let what = format!("version {number} of {what}");
            let found = self.store().find_model_version(&model.name, number).await?;
            let Some(found) = found else {
                self.note_missing(&what);
                continue;
            };
            let expected = ModelVersion {
                files: found.version.files,
                ..self.places.of_version(&version.version)
            };
            self.check(&what, "row", expected == self.held(found.version));
        }
        Ok(())
    }

    /// What is here, as far as the database of MLflow holds it where that was written.
    fn held<T: Held>(&self, mut there: T) -> T {
        if self.side == Side::WrittenBack {
            there.cut();
        }
        there
    }

    /// Notes what was compared, and whether it differs.
    fn check(&mut self, what: &str, part: &str, is_same: bool) {
        self.report.compared += 1;
        if !is_same {
            let verb = if part.ends_with('s') {
                "differ"
            } else {
                "differs"
            };
            let difference = format!("{what}: its {part} {verb}");
            self.report.differences.push(difference);
        }
    }

    fn note_missing(&mut self, what: &str) {
        self.report.compared += 1;
        self.report.differences.push(format!("{what} is not here"));
    }

    fn store(&self) -> &dyn Store {
        self.target.store.as_ref()
    }
}

fn sorted<T: Ord + Clone>(items: &[T]) -> Vec<T> {
    let mut items = items.to_vec();
    items.sort();
    items
}

/// Points by key, time, step and value, each once: for which model one was logged does not make it another.
fn distinct(mut points: Vec<Metric>) -> Vec<Metric> {
    for point in &mut points {
        (point.model, point.dataset) = (None, None);
        if point.value.is_nan() {
            point.value = f64::NAN;
        }
    }
    points.sort_by(order);
    points.dedup_by(|one, other| order(one, other) == Ordering::Equal);
    points
}

fn order(one: &Metric, other: &Metric) -> Ordering {
    (one.key.as_str(), one.timestamp_ms, one.step)
        .cmp(&(other.key.as_str(), other.timestamp_ms, other.step))
        .then_with(|| one.value.total_cmp(&other.value))
}
