//! Writing what a source holds into a store.

mod evaluations;
mod traces;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use cas::Cas;
use entities::{
    Artifact, Caller, Change, Clock, Commit, Experiment, ExperimentId, Leaf, Lifecycle,
    ModelVersion, Random, Stage, Timestamp, VersionNumber,
};
use futures_util::future::try_join_all;
use registry::{Registry, model_subject, version_subject};
use store::{Store, StoreError};
use webhooks::Webhooks;

use crate::artifacts::{StoredBefore, store_files};
use crate::compare::{Side, compare};
use crate::locations::{Locations, Served};
use crate::places::Places;
use crate::source::{Outline, SourceModel, SourceRegistered, SourceRun};
use crate::{FernetKey, MigrateError, Progress, Report, Source};

/// Runs that are committed at once, so that they share transactions.
const RUNS_AT_ONCE: usize = 64;

/// Points of metrics that are held at once, and that go into one block.
const POINTS_AT_ONCE: usize = 100_000;

/// How many numbers of versions may be missing in a row.
const LARGEST_GAP: u32 = 10_000;

/// How far back it is looked for who changed an experiment last.
const EVENTS_MAX: usize = 1000;

/// Where to write.
#[derive(Clone)]
pub struct Target {
    /// The metadata.
    pub store: Arc<dyn Store>,
    /// The objects.
    pub cas: Cas,
    /// The services over registered models.
    pub registry: Registry,
    /// The services over webhooks, which seal their secrets.
    pub webhooks: Webhooks,
    /// Draws salts.
    pub random: Arc<dyn Random>,
    /// Tells when.
    pub clock: Arc<dyn Clock>,
    /// On whose behalf.
    pub caller: Caller,
}

/// What is known of a source beside where it is.
#[derive(Debug, Default)]
pub struct SourceOptions {
    /// The folder in which an MLflow server kept what it served as `mlflow-artifacts:/`; `mlartifacts` beside the source
    /// if not given.
    pub artifacts: Option<PathBuf>,
    /// The key that opens secrets of webhooks.
    pub webhook_key: Option<FernetKey>,
}

/// What MLflow has on record, with its artifacts, looked through and ready to be written into a store.
pub struct Migration<'s> {
    source: &'s Source,
    outline: Outline,
    places: Places,
}

impl<'s> Migration<'s> {
    /// Looks the source through and finds a place for everything; nothing is written.
    ///
    /// *Errors*: `NeedsArtifacts` and `NoFolder`; those of the source.
    ///
    /// *Cost*: memory for all but the runs' params, tags and points, and what traces say.
    pub fn plan(source: &'s Source, options: SourceOptions) -> Result<Self, MigrateError> {
        let SourceOptions {
            artifacts,
            webhook_key,
        } = options;
        let locations = locate(source, artifacts)?;
        let outline = source.outline(webhook_key.as_ref())?;
        let places = Places::new(&outline, locations)?;
        Ok(Self {
            source,
            outline,
            places,
        })
    }

    /// Writes everything into a store and compares all of it with the source again.
    ///
    /// What is there already is left as it is: a migration that was cut short goes on where it was.
    ///
    /// *Errors*: `Taken` if an experiment's id or name is that of another; those of the source, the store and the
    /// objects. What was written until then stays.
    ///
    /// *Cost*: memory for some hundred thousand points or some dozen MiB of spans, and all of a run's or a trace's; every
    /// file is read twice.
    pub async fn carry_out(
        &self,
        target: &Target,
        on_progress: &dyn Fn(Progress),
    ) -> Result<Report, MigrateError> {
        let Self {
            source,
            outline,
            places,
        } = self;
        let report = Report {
            unreadable: outline.unreadable.clone(),
            left_behind: outline.left_behind.clone(),
            elsewhere: places.elsewhere(outline),
            ..Report::default()
        };
        let mut import = Import {
            source,
            target,
            places,
            on_progress,
            reopened: BTreeMap::new(),
            restored: BTreeSet::new(),
            stored: StoredBefore::new(),
            report,
        };
        let missing_traces = import.find_missing_traces(&outline.traces).await?;
        import.import_experiments(outline, &missing_traces).await?;
        import.import_models(&outline.models).await?;
        import.import_runs(outline).await?;
        import.import_registered(&outline.registered).await?;
        import
            .import_traces(&outline.traces, &missing_traces)
            .await?;
        import.import_datasets(&outline.datasets).await?;
        import.import_scorers(&outline.scorers).await?;
        import.import_webhooks(outline).await?;
        import.close_experiments(&outline.experiments).await?;
        let mut report = import.report;
        let side = Side::TakenOver;
        compare(
            source,
            outline,
            places,
            target,
            side,
            on_progress,
            &mut report,
        )
        .await?;
        Ok(report)
    }
}

fn locate(source: &Source, artifacts: Option<PathBuf>) -> Result<Locations, MigrateError> {
    let folder = source.folder();
    let served = match artifacts {
        Some(path) if path.is_dir() => Some(Served::Folder(path)),
        Some(path) => {
            return Err(MigrateError::NoFolder {
                path: path.display().to_string(),
            });
        }
        None => match source.client() {
            Some(client) => Some(Served::Server(Arc::clone(client))),
            None => Some(folder.join("mlartifacts"))
                .filter(|path| path.is_dir())
                .map(Served::Folder),
        },
    };
    Ok(Locations {
        folder,
        served,
        is_unmoved: false,
    })
}

struct Import<'a> {
    source: &'a Source,
    target: &'a Target,
    places: &'a Places,
    on_progress: &'a dyn Fn(Progress),
    /// Experiments that were deleted here and are open while what belongs to them comes, each with its last change.
    reopened: BTreeMap<ExperimentId, Timestamp>,
    /// Experiments that are deleted in the source, and that somebody restored here.
    restored: BTreeSet<ExperimentId>,
    stored: StoredBefore,
    report: Report,
}

impl Import<'_> {
    /// Creates experiments that are not there, and opens those again that were deleted before all that belongs to them had come.
    async fn import_experiments(
        &mut self,
        outline: &Outline,
        missing_traces: &[usize],
    ) -> Result<(), MigrateError> {
        let mut waiting = BTreeSet::new();
        for place in missing_traces.iter().map(|index| &outline.traces[*index]) {
            if !waiting.contains(&place.experiment) && self.waits_for(place).await? {
                waiting.insert(&place.experiment);
            }
        }
        for run in &outline.runs {
            if self.store().find_run(&run.id).await?.is_none() {
                waiting.insert(&run.experiment);
            }
        }
        for SourceModel { model, .. } in &outline.models {
            // A deleted one is never found, and tried again.
            if self.store().find_model(&model.id).await?.is_none() {
                waiting.insert(&model.experiment);
            }
        }
        for scorer in &outline.scorers {
            if self.waits_for_scorer(scorer).await? {
                waiting.insert(&scorer.experiment);
            }
        }
        for experiment in &outline.experiments {
            let Experiment { id, name, .. } = experiment;
            let there = self.store().find_experiment(id).await?;
            let namesake = self.store().find_experiment_by_name(name).await?;
            let other = [&there, &namesake]
                .into_iter()
                .flatten()
                .find(|found| found.id != *id || found.name != *name);
            if let Some(found) = other {
                return Err(MigrateError::Taken {
                    what: format!("experiment {id} `{name}`"),
                    found: format!("experiment {} `{}`", found.id, found.name),
                });
            }
            let subjects = vec![format!("experiment:{id}")];
            let Some(there) = there else {
                let location = &experiment.artifact_location;
                let experiment = Experiment {
                    artifact_location: self.places.of_experiment(id, location),
                    lifecycle: Lifecycle::Active,
                    ..experiment.clone()
                };
                let change = Change::ExperimentCreated { experiment };
                self.commit("experiment.imported", subjects, vec![change])
                    .await?;
                self.report.experiments.new += 1;
                continue;
            };
            self.report.experiments.there += 1;
            if there.lifecycle == Lifecycle::Deleted && waiting.contains(id) {
                self.set_lifecycle(id.clone(), Lifecycle::Active, there.updated_at)
                    .await?;
                self.reopened.insert(id.clone(), there.updated_at);
            }
            if there.lifecycle == Lifecycle::Active
                && experiment.lifecycle == Lifecycle::Deleted
                && self.was_restored(id).await?
            {
                self.restored.insert(id.clone());
            }
            let mut missing = experiment.tags.clone();
            missing.retain(|key, _| !there.tags.contains_key(key));
            let is_open = there.lifecycle == Lifecycle::Active || waiting.contains(id);
            if !missing.is_empty() && is_open {
                let change = Change::ExperimentTagsSet {
                    experiment: id.clone(),
                    tags: missing,
                    at: experiment.updated_at,
                };
                self.commit("experiment.imported", subjects, vec![change])
                    .await?;
            }
        }
        Ok(())
    }

    /// Deletes experiments that were open for what belongs to them, now that all of it is there: those that are deleted
    /// in the source, and those that were deleted here.
    async fn close_experiments(&self, experiments: &[Experiment]) -> Result<(), MigrateError> {
        for experiment in experiments {
            let id = &experiment.id;
            let at = match self.reopened.get(id) {
                Some(at) => *at,
                None if experiment.lifecycle == Lifecycle::Active => continue,
                None => experiment.updated_at,
            };
            let there = self.store().find_experiment(id).await?;
            let is_open = there.is_some_and(|there| there.lifecycle == Lifecycle::Active);
            if is_open && !self.restored.contains(id) {
                self.set_lifecycle(id.clone(), Lifecycle::Deleted, at)
                    .await?;
            }
        }
        Ok(())
    }

    /// Whether somebody restored an experiment since anything of it was imported.
    async fn was_restored(&self, id: &ExperimentId) -> Result<bool, MigrateError> {
        let subject = format!("experiment:{id}");
        for event in self.store().list_events_of(&subject, EVENTS_MAX).await? {
            let kind = Leaf::decode(&event.leaf).map_err(StoreError::from)?.kind;
            if kind == "experiment.restored" {
                return Ok(true);
            }
            if kind.ends_with(".imported") {
                break;
            }
        }
        Ok(false)
    }

    async fn set_lifecycle(
        &self,
        experiment: ExperimentId,
        lifecycle: Lifecycle,
        at: Timestamp,
    ) -> Result<(), MigrateError> {
        let subjects = vec![format!("experiment:{experiment}")];
        let change = Change::ExperimentLifecycleSet {
            experiment,
            lifecycle,
            runs: Vec::new(),
            at,
        };
        self.commit("experiment.imported", subjects, vec![change])
            .await
    }

    async fn import_models(&mut self, models: &[SourceModel]) -> Result<(), MigrateError> {
        for (index, source) in models.iter().enumerate() {
            let SourceModel {
                model, is_deleted, ..
            } = source;
            self.tell("logged models", index, models.len());
            if self.store().find_model(&model.id).await?.is_some() {
                self.report.models.there += 1;
                continue;
            }
            let files = self.places.files_of_model(&model.id)?;
            let batch = self.target.cas.batch();
            let artifacts = store_files(&batch, &files.files, &mut self.stored)?;
            batch.commit()?;
            let id = model.id.clone();
            let mut model = model.clone();
            model.artifact_uri = self.places.of_model(&id, &model.artifact_uri);
            let mut subjects = vec![format!("model:{id}")];
            subjects.extend(model.source_run.iter().map(|run| format!("run:{run}")));
            let deleted = is_deleted.then(|| Change::ModelDeleted {
                model: id.clone(),
                at: model.updated_at,
            });
            let mut changes = vec![Change::ModelLogged { model }];
            changes.extend(put(artifacts.clone()));
            changes.extend(deleted);
            match self.commit("model.imported", subjects, changes).await {
                Ok(()) => {
                    self.count_files(&artifacts);
                    if *is_deleted {
                        // The others are looked at again when they are compared.
                        self.report.note_files(files.not_taken, files.missing);
                    }
                    self.report.models.new += 1;
                }
                // A deleted one is not found.
                Err(MigrateError::Store(StoreError::Exists { .. })) => {
                    self.report.models.there += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Imports the runs that are not there, each in one commit, many commits at a time.
    async fn import_runs(&mut self, outline: &Outline) -> Result<(), MigrateError> {
        let total = outline.runs.len();
        let mut commits = Vec::new();
        let mut batch = self.target.cas.batch();
        let mut points = 0;
        for (index, place) in outline.runs.iter().enumerate() {
            if self.store().find_run(&place.id).await?.is_some() {
                self.report.runs.there += 1;
            } else {
                let run = self.source.run(&place.id)?;
                points += run.points.len();
                let files = self.source.files_of_run(&place.id, self.places)?;
                let artifacts = store_files(&batch, &files.files, &mut self.stored)?;
                self.report.runs.new += 1;
                self.report.points += run.points.len() as u64;
                self.count_files(&artifacts);
                commits.push(self.commit_of(run, artifacts));
            }
            let is_last = index + 1 == total;
            if is_last || commits.len() == RUNS_AT_ONCE || points >= POINTS_AT_ONCE {
                // The bytes first, then the rows that name them.
                let full = std::mem::replace(&mut batch, self.target.cas.batch());
                full.commit()?;
                let committing = commits.drain(..).map(|commit| self.store().commit(commit));
                try_join_all(committing).await?;
                points = 0;
                self.tell("runs", index + 1, total);
            }
        }
        Ok(())
    }

    fn commit_of(&self, source: SourceRun, artifacts: Vec<Artifact>) -> Commit {
        let SourceRun {
            mut run,
            params,
            tags,
            points,
            datasets,
            model_inputs,
            model_outputs,
        } = source;
        let id = run.id.clone();
        let subjects = vec![
            format!("run:{id}"),
            format!("experiment:{}", run.experiment),
        ];
        run.artifact_uri = self.places.of_run(&id, &run.artifact_uri);
        let lifecycle = std::mem::replace(&mut run.lifecycle, Lifecycle::Active);
        let mut changes = vec![Change::RunCreated { run }];
        if !params.is_empty() {
            changes.push(Change::ParamsLogged {
                run: id.clone(),
                params,
            });
        }
        if !tags.is_empty() {
            changes.push(Change::TagsSet {
                run: id.clone(),
                tags,
            });
        }
        let blocks = points.chunks(POINTS_AT_ONCE);
        changes.extend(blocks.map(|points| Change::metrics(id.clone(), points.to_vec())));
        if !datasets.is_empty() || !model_inputs.is_empty() {
            changes.push(Change::InputsLogged {
                run: id.clone(),
                datasets,
                models: model_inputs,
            });
        }
        if !model_outputs.is_empty() {
            changes.push(Change::OutputsLogged {
                run: id.clone(),
                models: model_outputs,
            });
        }
        changes.extend(put(artifacts));
        if lifecycle == Lifecycle::Deleted {
            changes.push(Change::RunLifecycleSet { run: id, lifecycle });
        }
        self.new_commit("run.imported", subjects, changes)
    }

    async fn import_registered(&mut self, models: &[SourceRegistered]) -> Result<(), MigrateError> {
        for (index, registered) in models.iter().enumerate() {
            self.tell("registered models", index, models.len());
            self.import_registered_model(registered).await?;
        }
        Ok(())
    }

    async fn import_registered_model(
        &mut self,
        registered: &SourceRegistered,
    ) -> Result<(), MigrateError> {
        let SourceRegistered {
            model,
            versions,
            aliases,
        } = registered;
        let name = &model.name;
        let there = self.store().find_registered_model(name).await?;
        if there.is_some() {
            self.report.registered_models.there += 1;
        } else {
            let change = Change::RegisteredModelCreated {
                model: model.clone(),
            };
            self.commit(
                "registered_model.imported",
                vec![model_subject(name)],
                vec![change],
            )
            .await?;
            self.report.registered_models.new += 1;
        }
        let mut has_changed = there.is_none();
        let mut next = self.store().next_version(name).await?;
        for version in versions {
            let number = version.version.version;
            let Some(first) = next.filter(|next| number >= *next) else {
                self.report.versions.there += 1;
                continue;
            };
            let mut changes = fill_gap(&version.version, first)?;
            let mut moved = self.places.of_version(&version.version);
            if !version.is_deleted {
                moved.files = self.target.registry.keep_files(&moved).await?;
            }
            let mut subjects = vec![version_subject(name, number), model_subject(name)];
            subjects.extend(moved.run.iter().map(|run| format!("run:{run}")));
            subjects.extend(moved.logged_model.iter().map(|id| format!("model:{id}")));
            let at = moved.updated_at;
            changes.push(Change::ModelVersionCreated { version: moved });
            if version.is_deleted {
                changes.push(Change::ModelVersionDeleted {
                    name: name.clone(),
                    version: number,
                    at,
                });
            }
            self.commit("model_version.imported", subjects, changes)
                .await?;
            self.report.versions.new += 1;
            has_changed = true;
            next = number.next();
        }
        let known = there.map(|there| there.aliases).unwrap_or_default();
        let mut changes: Vec<_> = aliases
            .iter()
            .filter(|(alias, _)| !known.contains_key(*alias))
            .map(|(alias, version)| Change::AliasSet {
                name: name.clone(),
                alias: alias.clone(),
                version: *version,
            })
            .collect();
        if has_changed {
            // Versions have touched it.
            changes.push(Change::RegisteredModelDescribed {
                name: name.clone(),
                description: model.description.clone(),
                at: model.updated_at,
            });
        }
        if !changes.is_empty() {
            let subjects = vec![model_subject(name)];
            self.commit("registered_model.imported", subjects, changes)
                .await?;
        }
        Ok(())
    }

    fn count_files(&mut self, artifacts: &[Artifact]) {
        self.report.files += artifacts.len() as u64;
        self.report.bytes += artifacts.iter().map(|file| file.size_bytes).sum::<u64>();
    }

    fn tell(&self, what: &'static str, done: usize, total: usize) {
        (self.on_progress)(Progress {
            what,
            done: done as u64,
            total: total as u64,
        });
    }

    fn store(&self) -> &dyn Store {
        self.target.store.as_ref()
    }

    async fn commit(
        &self,
        kind: &'static str,
        subjects: Vec<String>,
        changes: Vec<Change>,
    ) -> Result<(), MigrateError> {
        let commit = self.new_commit(kind, subjects, changes);
        self.store().commit(commit).await?;
        Ok(())
    }

    fn new_commit(
        &self,
        kind: &'static str,
        subjects: Vec<String>,
        changes: Vec<Change>,
    ) -> Commit {
        Commit {
            actor: self.target.caller.actor.clone(),
            at: self.target.clock.now(),
            kind,
            subjects,
            reason: Some(self.source.reason().to_owned()),
            request: self.target.caller.request.clone(),
            changes,
        }
    }
}

fn put(artifacts: Vec<Artifact>) -> Option<Change> {
    (!artifacts.is_empty()).then_some(Change::ArtifactsPut { artifacts })
}

/// Numbers that the source does not have any more stand for deleted versions, so that they are not given again.
fn fill_gap(version: &ModelVersion, first: VersionNumber) -> Result<Vec<Change>, MigrateError> {
    let ModelVersion { name, .. } = version;
    let missing = version.version.get() - first.get();
    if missing > LARGEST_GAP {
        return Err(MigrateError::Row {
            what: format!("version {} of registered model `{name}`", version.version),
            why: format!("the {missing} versions before it are missing"),
        });
    }
    let at = version.created_at;
    let numbers = std::iter::successors(Some(first), |number| number.next());
    let changes = numbers.take(missing as usize).flat_map(|number| {
        let placeholder = ModelVersion {
            name: name.clone(),
            version: number,
            description: None,
            stage: Stage::None,
            source: String::new(),
            files_uri: None,
            run: None,
            logged_model: None,
            run_link: None,
            files: None,
            created_at: at,
            updated_at: at,
            tags: BTreeMap::new(),
        };
        let deleted = Change::ModelVersionDeleted {
            name: name.clone(),
            version: number,
            at,
        };
        [
            Change::ModelVersionCreated {
                version: placeholder,
            },
            deleted,
        ]
    });
    Ok(changes.collect())
}
