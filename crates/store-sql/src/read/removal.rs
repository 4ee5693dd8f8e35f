//! What is deleted, and what may keep it, as callers see it.

use std::collections::{BTreeMap, BTreeSet};

use crate::params;
use crate::sql::{Connection, Row};
use async_trait::async_trait;
use entities::{ExperimentId, Leaf, ModelId, RunId, Timestamp, VersionNumber};
use store::{Bond, Deleted, DeletedExperiment, DeletedRun, RemovalStore, StoreError};

use super::{find_row, list_rows};
use crate::rows::{read_id, read_id_if_any, read_version};
use crate::{Backend, SqlStore};

statements! {
    LIST_RUNS = "SELECT number, id, experiment, name, artifact_uri FROM run
        WHERE lifecycle = 'deleted' ORDER BY started_at DESC, id";
    LIST_EXPERIMENTS = "SELECT id, name FROM experiment WHERE lifecycle = 'deleted' ORDER BY length(id), id";
    LIST_RUNS_OF_EXPERIMENT = "SELECT id FROM run WHERE experiment = ?1 ORDER BY started_at DESC, id";
    FIND_DELETION = "SELECT event.leaf
        FROM event_subject JOIN event ON event.position = event_subject.position
        WHERE event_subject.subject = ?1 AND event.kind IN ('run.deleted', 'experiment.deleted')
        ORDER BY event_subject.position DESC
        LIMIT 1";
    FIND_LAST_EVENT = "SELECT event.leaf
        FROM event_subject JOIN event ON event.position = event_subject.position
        WHERE event_subject.subject = ?1
        ORDER BY event_subject.position DESC
        LIMIT 1";
    LIST_TAGS = "SELECT key FROM tag WHERE run = ?1 ORDER BY key";
    LIST_EXPERIMENT_TAGS = "SELECT key FROM experiment_tag WHERE experiment = ?1 ORDER BY key";
    LIST_MODELS_OF_RUN = "SELECT id FROM model WHERE source_run = ?1 ORDER BY number";
    LIST_MODELS_OF_EXPERIMENT = "SELECT id FROM model WHERE experiment = ?1 ORDER BY number";
    LIST_VERSIONS = "SELECT registered_model.name, version, run, logged_model, source, files_uri
        FROM model_version JOIN registered_model ON registered_model.number = model_version.model
        WHERE is_deleted = 0
        ORDER BY registered_model.name, version";
    LIST_RELATIVES = "SELECT id, parent, replay_of FROM run WHERE parent IS NOT NULL OR replay_of IS NOT NULL";
    LIST_REPLAYS = "SELECT origin, replay FROM replay";
    LIST_TRACE_USERS = "SELECT DISTINCT trace_run.run, trace_metadata.value
        FROM trace_run JOIN trace_metadata ON trace_metadata.trace = trace_run.trace
        WHERE trace_metadata.key = 'mlflow.sourceRun' AND trace_metadata.value <> trace_run.run";
    LIST_MODEL_USERS = "SELECT run.id, model.source_run
        FROM model_input JOIN run ON run.number = model_input.run JOIN model ON model.id = model_input.model
        WHERE model.source_run IS NOT NULL
        UNION
        SELECT run.id, model.source_run
        FROM model_output JOIN run ON run.number = model_output.run JOIN model ON model.id = model_output.model
        WHERE model.source_run IS NOT NULL";
    LIST_MEASURED = "SELECT DISTINCT run.id, source.id
        FROM model_metric
        JOIN run ON run.number = model_metric.run
        JOIN model ON model.id = model_metric.model
        JOIN run AS source ON source.id = model.source_run
        WHERE run.lifecycle = 'deleted' AND model.is_deleted = 0
        ORDER BY run.id, source.id";
    LIST_MEASURED_OF_NO_RUN = "SELECT DISTINCT run.id, model.id
        FROM model_metric
        JOIN run ON run.number = model_metric.run
        JOIN model ON model.id = model_metric.model
        JOIN experiment ON experiment.id = model.experiment
        LEFT JOIN run AS source ON source.id = model.source_run
        WHERE run.lifecycle = 'deleted' AND model.is_deleted = 0
            AND source.id IS NULL AND experiment.lifecycle = 'active'
        ORDER BY run.id, model.id";
}

#[async_trait]
impl<B: Backend> RemovalStore for SqlStore<B> {
    async fn list_deleted(&self, hold_tags: &[String]) -> Result<Deleted, StoreError> {
        let hold_tags = hold_tags.to_vec();
        self.read(move |connection| {
            let ties = Ties::read(connection)?;
            let runs: Vec<(i64, DeletedRun)> =
                list_rows(connection, LIST_RUNS, params![], |row| {
                    let run = DeletedRun {
                        id: read_id(row, 1)?,
                        experiment: read_id(row, 2)?,
                        name: row.get(3)?,
                        artifact_uri: row.get(4)?,
                        deleted_at: Timestamp::from_micros(0),
                        holds: Vec::new(),
                        versions: Vec::new(),
                        bonds: Vec::new(),
                        models: Vec::new(),
                    };
                    Ok((row.get(0)?, run))
                })?;
            let mut deleted = Deleted::default();
            for (number, mut run) in runs {
                run.deleted_at = find_deletion(connection, &format!("run:{}", run.id))?;
                run.holds = list_holds(connection, LIST_TAGS, number, &hold_tags)?;
                let of_experiment = run.experiment.as_str();
                run.holds.extend(list_holds(
                    connection,
                    LIST_EXPERIMENT_TAGS,
                    of_experiment,
                    &hold_tags,
                )?);
                let models: Vec<String> =
                    list_rows(connection, LIST_MODELS_OF_RUN, [run.id.as_str()], |row| {
                        row.get(0)
                    })?;
                let names = std::iter::once(run.id.as_str());
                run.versions = ties.versions_of(names.chain(models.iter().map(String::as_str)));
                run.bonds = ties.bonds.get(&run.id).cloned().unwrap_or_default();
                run.models = ties.measured.get(&run.id).cloned().unwrap_or_default();
                deleted.runs.push(run);
            }
            let read = |row: &Row<'_>| Ok((read_id(row, 0)?, row.get(1)?));
            let experiments: Vec<(ExperimentId, String)> =
                list_rows(connection, LIST_EXPERIMENTS, params![], read)?;
            for (id, name) in experiments {
                let models: Vec<String> = list_rows(
                    connection,
                    LIST_MODELS_OF_EXPERIMENT,
                    [id.as_str()],
                    |row| row.get(0),
                )?;
                deleted.experiments.push(DeletedExperiment {
                    deleted_at: find_deletion(connection, &format!("experiment:{id}"))?,
                    holds: list_holds(connection, LIST_EXPERIMENT_TAGS, id.as_str(), &hold_tags)?,
                    versions: ties.versions_of(models.iter().map(String::as_str)),
                    runs: list_rows(connection, LIST_RUNS_OF_EXPERIMENT, [id.as_str()], |row| {
                        read_id(row, 0)
                    })?,
                    id,
                    name,
                });
            }
            Ok(deleted)
        })
        .await
    }
}

/// What was deleted by an import was deleted when it came, as far as anybody knows here.
fn find_deletion(connection: &dyn Connection, subject: &str) -> Result<Timestamp, StoreError> {
    for sql in [FIND_DELETION, FIND_LAST_EVENT] {
        let leaf: Option<Vec<u8>> = find_row(connection, sql, [subject], |row| row.get(0))?;
        if let Some(leaf) = leaf {
            return Ok(Leaf::decode(&leaf)?.ts);
        }
    }
    Err(crate::fault::damaged(format!(
        "no event tells of `{subject}`"
    )))
}

fn list_holds(
    connection: &dyn Connection,
    sql: &str,
    owner: impl crate::sql::ToValue,
    hold_tags: &[String],
) -> Result<Vec<String>, StoreError> {
    let mut keys: Vec<String> = list_rows(connection, sql, params![owner], |row| row.get(0))?;
    keys.retain(|key| hold_tags.contains(key));
    Ok(keys)
}

/// What the whole store has that may tie runs to something.
struct Ties {
    /// By ids of runs and logged models: versions that name them, be it as a part of a path.
    versions: BTreeMap<String, Vec<(String, VersionNumber)>>,
    bonds: BTreeMap<RunId, Vec<(RunId, Bond)>>,
    /// Models that runs measured and that no run made.
    measured: BTreeMap<RunId, Vec<ModelId>>,
}

/// What a version may name by these texts of it, be it as a part of a path or an address.
pub(crate) fn names_in(places: &[Option<String>; 4]) -> BTreeSet<&str> {
    let parts = places
        .iter()
        .flatten()
        .flat_map(|place| place.split(['/', ':']));
    parts.filter(|part| !part.is_empty()).collect()
}

impl Ties {
    fn read(connection: &dyn Connection) -> Result<Self, StoreError> {
        let mut ties = Self {
            versions: BTreeMap::new(),
            bonds: BTreeMap::new(),
            measured: BTreeMap::new(),
        };
        ties.read_versions(connection)?;
        ties.read_bonds(connection)?;
        Ok(ties)
    }

    fn read_versions(&mut self, connection: &dyn Connection) -> Result<(), StoreError> {
        type Version = (String, VersionNumber, [Option<String>; 4]);
        let versions: Vec<Version> = list_rows(connection, LIST_VERSIONS, params![], |row| {
            let places = [row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?];
            Ok((row.get(0)?, read_version(row, 1)?, places))
        })?;
        for (name, version, places) in versions {
            for part in names_in(&places) {
                let versions = self.versions.entry(part.to_owned()).or_default();
                versions.push((name.clone(), version));
            }
        }
        Ok(())
    }

    fn read_bonds(&mut self, connection: &dyn Connection) -> Result<(), StoreError> {
        type Relative = (RunId, Option<RunId>, Option<RunId>);
        let relatives: Vec<Relative> = list_rows(connection, LIST_RELATIVES, params![], |row| {
            Ok((
                read_id(row, 0)?,
                read_id_if_any(row, 1)?,
                read_id_if_any(row, 2)?,
            ))
        })?;
        for (run, parent, origin) in relatives {
            if let Some(parent) = parent {
                self.add_bond(parent, &run, Bond::Child);
            }
            if let Some(origin) = origin {
                self.add_bond(origin, &run, Bond::Replay);
            }
        }
        let pair = |row: &Row<'_>| Ok((read_id(row, 0)?, read_id(row, 1)?));
        let replays: Vec<(RunId, RunId)> = list_rows(connection, LIST_REPLAYS, params![], pair)?;
        for (origin, replay) in replays {
            self.add_bond(replay.clone(), &origin, Bond::Original);
            self.add_bond(origin, &replay, Bond::Replay);
        }
        let users: Vec<(RunId, RunId)> = list_rows(connection, LIST_MODEL_USERS, params![], pair)?;
        for (user, source) in users {
            self.add_bond(source, &user, Bond::ModelUser);
        }
        let measured: Vec<(RunId, RunId)> = list_rows(connection, LIST_MEASURED, params![], pair)?;
        for (run, source) in measured {
            self.add_bond(run, &source, Bond::Measured);
        }
        let of_model = |row: &Row<'_>| Ok((read_id(row, 0)?, read_id(row, 1)?));
        let measured: Vec<(RunId, ModelId)> =
            list_rows(connection, LIST_MEASURED_OF_NO_RUN, params![], of_model)?;
        for (run, model) in measured {
            self.measured.entry(run).or_default().push(model);
        }
        let texts = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let users: Vec<(String, String)> =
            list_rows(connection, LIST_TRACE_USERS, params![], texts)?;
        for (user, source) in users {
            // What a client wrote there may be no id.
            if let (Ok(user), Ok(source)) = (user.parse(), source.parse()) {
                self.add_bond(source, &user, Bond::TraceUser);
            }
        }
        Ok(())
    }

    fn add_bond(&mut self, of: RunId, run: &RunId, bond: Bond) {
        if of == *run {
            return;
        }
        let bonds = self.bonds.entry(of).or_default();
        if !bonds.contains(&(run.clone(), bond)) {
            bonds.push((run.clone(), bond));
        }
    }

    fn versions_of<'n>(
        &self,
        names: impl Iterator<Item = &'n str>,
    ) -> Vec<(String, VersionNumber)> {
        let mut versions: Vec<_> = names
            .filter_map(|name| self.versions.get(name))
            .flatten()
            .cloned()
            .collect();
        versions.sort();
        versions.dedup();
        versions
    }
}
