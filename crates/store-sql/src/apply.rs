//! Turns a change into rows. The writer and the verification both use it, so a row has one cause.

mod access;
mod artifact;
mod dataset;
mod experiment;
mod issue;
mod label_schema;
mod metric;
mod model;
mod registry;
mod removal;
mod run;
mod scorer;
mod trace;
mod webhook;

use std::collections::BTreeMap;

use crate::params;
use crate::sql::{self, Connection, Row, ToValue, Values};
use entities::{Change, ObjectId};
use store::StoreError;

use crate::fault::{damaged, database_fault};
use crate::known::Known;
use crate::numbers::Numbers;
use crate::several::{self, AddRows};

/// Applies changes to a database.
pub struct Applier<'c> {
    connection: &'c dyn Connection,
    numbers: &'c Numbers,
    /// Whether the bytes of metric blocks are kept: the verification compares digests only.
    keeps_blocks: bool,
    known: &'c Known,
}

statements! {
    ADD_IDENTITY = "INSERT INTO ledger_identity (id, origin, verifier_key) VALUES (1, ?1, ?2)
        ON CONFLICT DO NOTHING";
    FORGET_OBJECT = "INSERT INTO forgotten_object (object, reason, forgotten_at) VALUES (?1, ?2, ?3)
        ON CONFLICT (object) DO UPDATE SET reason = excluded.reason, forgotten_at = excluded.forgotten_at";
}

impl<'c> Applier<'c> {
    /// Applies what one event tells, whose rows get these numbers.
    pub const fn new(
        connection: &'c dyn Connection,
        numbers: &'c Numbers,
        known: &'c Known,
    ) -> Self {
        Self {
            connection,
            numbers,
            keeps_blocks: true,
            known,
        }
    }

    pub(crate) const fn without_blocks(
        connection: &'c dyn Connection,
        numbers: &'c Numbers,
        known: &'c Known,
    ) -> Self {
        Self {
            connection,
            numbers,
            keeps_blocks: false,
            known,
        }
    }

    /// Makes one change, or refuses it; after a refusal the caller rolls back.
    pub fn apply(&self, change: &Change) -> Result<(), StoreError> {
        self.apply_any(change)?;
        // Only after it: to make it, rows are looked up as they were before it.
        if may_change_lifecycles(change) {
            self.known.forget_rows();
        }
        Ok(())
    }

    fn apply_any(&self, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::StoreInitialised {
                origin,
                verifier_key,
            } => self.initialise(origin, verifier_key),
            Change::ExperimentCreated { experiment } => self.create_experiment(experiment),
            Change::ExperimentRenamed {
                experiment,
                name,
                at,
            } => self.rename_experiment(experiment, name, *at),
            Change::ExperimentLifecycleSet {
                experiment,
                lifecycle,
                runs,
                at,
            } => self.set_experiment_lifecycle(experiment, *lifecycle, runs, *at),
            Change::ExperimentTagsSet {
                experiment,
                tags,
                at,
            } => self.set_experiment_tags(experiment, tags, *at),
            Change::ExperimentTagDeleted {
                experiment,
                key,
                at,
            } => self.delete_experiment_tag(experiment, key, *at),
            Change::RunCreated { run } => self.create_run(run),
            Change::RunUpdated {
                run,
                status,
                ended_at,
                name,
            } => self.update_run(run, *status, *ended_at, name.as_deref()),
            Change::RunInterrupted { run, at } => self.interrupt_run(run, *at),
            Change::RunLifecycleSet { run, lifecycle } => self.set_run_lifecycle(run, *lifecycle),
            Change::RunsRemoved { runs } => self.remove_runs(runs),
            Change::ExperimentRemoved { experiment } => self.remove_experiment(experiment),
            Change::ManifestRecorded {
                run,
                recipe,
                record,
            } => self.record_manifest(run, recipe, record),
            Change::ParamsLogged { run, params } => self.log_params(run, params),
            Change::TagsSet { run, tags } => self.set_tags(run, tags),
            Change::TagDeleted { run, key } => self.delete_tag(run, key),
            Change::MetricsLogged {
                run,
                block,
                points,
                encoded,
            } => self.log_metrics(run, block, *points, encoded),
            Change::InputsLogged {
                run,
                datasets,
                models,
            } => self.log_inputs(run, datasets, models),
            Change::OutputsLogged { run, models } => self.log_outputs(run, models),
            Change::ArtifactsPut { artifacts } => self.put_artifacts(artifacts),
            Change::ArtifactDeleted { path } => self.delete_artifact(path),
            Change::ReplayJudged { verdict } => self.judge_replay(verdict),
            Change::ObjectForgotten { object, reason, at } => {
                self.forget_object(object, reason, at.as_micros())
            }
            // What was verified or accepted is told by the event alone.
            Change::LedgerVerified { .. } | Change::LedgerAccepted { .. } => Ok(()),
            Change::ModelLogged { .. }
            | Change::ModelStatusSet { .. }
            | Change::ModelTagsSet { .. }
            | Change::ModelTagDeleted { .. }
            | Change::ModelParamsLogged { .. }
            | Change::ModelDeleted { .. } => self.apply_to_model(change),
            Change::RegisteredModelCreated { .. }
            | Change::RegisteredModelRenamed { .. }
            | Change::RegisteredModelDescribed { .. }
            | Change::RegisteredModelDeleted { .. }
            | Change::RegisteredModelTagsSet { .. }
            | Change::RegisteredModelTagDeleted { .. }
            | Change::AliasSet { .. }
            | Change::AliasDeleted { .. }
            | Change::ModelVersionCreated { .. }
            | Change::ModelVersionDescribed { .. }
            | Change::ModelVersionStageSet { .. }
            | Change::ModelVersionDeleted { .. }
            | Change::ModelVersionTagsSet { .. }
            | Change::ModelVersionTagDeleted { .. } => self.apply_to_registry(change),
            Change::TraceLogged { .. }
            | Change::TraceNoted { .. }
            | Change::TraceTagDeleted { .. }
            | Change::AssessmentDeleted { .. }
            | Change::TracesLinked { .. }
            | Change::PromptsLinked { .. }
            | Change::TracesDeleted { .. } => self.apply_to_trace(change),
            Change::DatasetCreated { .. }
            | Change::DatasetTagsSet { .. }
            | Change::DatasetTagDeleted { .. }
            | Change::DatasetExperimentsAdded { .. }
            | Change::DatasetExperimentsRemoved { .. }
            | Change::DatasetRecordsMerged { .. }
            | Change::DatasetRecordsDeleted { .. }
            | Change::DatasetDeleted { .. } => self.apply_to_dataset(change),
            Change::IssueCreated { issue } => self.create_issue(issue),
            Change::IssueUpdated { issue, update, at } => self.update_issue(issue, update, *at),
            Change::LabelSchemaCreated { schema } => self.create_label_schema(schema),
            Change::LabelSchemaUpdated { schema, update, at } => {
                self.update_label_schema(schema, update, *at)
            }
            Change::LabelSchemaDeleted { schema } => self.delete_label_schema(schema),
            Change::ScorerRegistered { version } => self.register_scorer(version),
            Change::ScorerVersionDeleted {
                experiment,
                name,
                version,
            } => self.delete_scorer_version(experiment, name, *version),
            Change::ScorerDeleted { experiment, name } => self.delete_scorer(experiment, name),
            Change::OnlineScoringSet { scoring } => self.set_online_scoring(scoring),
            Change::WebhookCreated { .. }
            | Change::WebhookUpdated { .. }
            | Change::WebhookDeleted { .. }
            | Change::DeliveryGivenUp { .. } => self.apply_to_webhook(change),
            Change::UserCreated { .. }
            | Change::UserPasswordSet { .. }
            | Change::UserAdminSet { .. }
            | Change::UserDeleted { .. }
            | Change::TokenCreated { .. }
            | Change::TokenRevoked { .. }
            | Change::RoleCreated { .. }
            | Change::RoleUpdated { .. }
            | Change::RoleDeleted { .. }
            | Change::RoleAssigned { .. }
            | Change::RoleUnassigned { .. }
            | Change::AccessGranted { .. }
            | Change::AccessSet { .. }
            | Change::AccessRevoked { .. } => self.apply_to_access(change),
        }
    }

    fn apply_to_model(&self, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::ModelLogged { model } => self.log_model(model),
            Change::ModelStatusSet { model, status, at } => {
                self.set_model_status(model, *status, *at)
            }
            Change::ModelTagsSet { model, tags, at } => self.set_model_tags(model, tags, *at),
            Change::ModelTagDeleted { model, key, at } => self.delete_model_tag(model, key, *at),
            Change::ModelParamsLogged { model, params, at } => {
                self.log_model_params(model, params, *at)
            }
            Change::ModelDeleted { model, at } => self.delete_model(model, *at),
            _ => unreachable!("`apply` hands over changes of models only"),
        }
    }

    fn initialise(&self, origin: &str, verifier_key: &str) -> Result<(), StoreError> {
        match self.execute(ADD_IDENTITY, params![origin, verifier_key])? {
            0 => Err(StoreError::Exists {
                subject: "the store".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn forget_object(&self, object: &ObjectId, reason: &str, at: i64) -> Result<(), StoreError> {
        self.send(FORGET_OBJECT, params![object.as_bytes(), reason, at])
    }

    /// Runs a statement that changes rows; tells how many.
    fn execute(&self, sql: &str, values: impl Values) -> Result<usize, StoreError> {
        self.connection
            .change(sql, values)
            .map_err(database_fault("writing a change"))
    }

    /// As `execute`, where nobody asks how many.
    fn send(&self, sql: &str, values: impl Values) -> Result<(), StoreError> {
        self.connection
            .send_change(sql, values)
            .map_err(database_fault("writing a change"))
    }

    /// As `add_rows`, where nobody asks how many.
    fn send_rows<const COLUMNS: usize>(
        &self,
        statement: &'static AddRows,
        rows: &[[&dyn ToValue; COLUMNS]],
    ) -> Result<(), StoreError> {
        self.connection
            .send_rows(statement, rows.as_flattened())
            .map_err(database_fault("writing a change"))
    }

    /// Adds rows; tells how many that added or changed.
    fn add_rows<const COLUMNS: usize>(
        &self,
        statement: &AddRows,
        rows: &[[&dyn ToValue; COLUMNS]],
    ) -> Result<usize, StoreError> {
        several::add_rows(self.connection, statement, rows)
            .map_err(database_fault("writing a change"))
    }

    /// Runs a statement that adds a numbered row, whose number is its last value; tells the number, or that there is
    /// such a row already.
    fn insert(&self, sql: &str, values: &[&dyn ToValue]) -> Result<Option<i64>, StoreError> {
        let number = self.numbers.next()?;
        let mut numbered = values.to_vec();
        numbered.push(&number);
        self.connection
            .find(sql, numbered.as_slice(), |row| row.get(0))
            .map_err(database_fault("writing a change"))
    }

    /// As `insert`, of what was seen not to be there. Where the number is known before, nothing is waited for.
    fn insert_new(&self, sql: &str, values: &[&dyn ToValue]) -> Result<i64, StoreError> {
        if self.numbers.position().is_some() {
            debug_assert!(!sql.contains("ON CONFLICT"), "it may add nothing: {sql}");
            let number = self.numbers.next()?;
            let mut numbered = values.to_vec();
            numbered.push(&number);
            self.send(sql, numbered.as_slice())?;
            return number.ok_or_else(|| damaged("an event at a position has no numbers"));
        }
        self.insert(sql, values)?
            .ok_or_else(|| damaged("a row that was just added has no number"))
    }

    /// As `insert_new`, by a statement that rows of other commits may share. Where that adds nothing on a conflict, the
    /// caller must know that there is none.
    fn add_new(
        &self,
        statement: &'static AddRows,
        values: &[&dyn ToValue],
    ) -> Result<i64, StoreError> {
        if self.numbers.position().is_none() {
            return self
                .insert(statement.of_one(), values)?
                .ok_or_else(|| damaged("a row that was just added has no number"));
        }
        let number = self.numbers.next()?;
        let mut numbered = values.to_vec();
        numbered.push(&number);
        self.connection
            .send_rows(statement, &numbered)
            .map_err(database_fault("writing a change"))?;
        number.ok_or_else(|| damaged("an event at a position has no numbers"))
    }

    fn list<T, C: FromIterator<T>>(
        &self,
        sql: &str,
        values: impl Values,
        read: impl FnMut(&Row<'_>) -> sql::Result<T>,
    ) -> Result<C, StoreError> {
        self.connection
            .list(sql, values, read)
            .map_err(database_fault("reading rows that a change is about"))
    }

    fn find<T>(
        &self,
        sql: &str,
        values: impl Values,
        read: impl FnOnce(&Row<'_>) -> sql::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        self.connection
            .find(sql, values, read)
            .map_err(database_fault("reading rows that a change is about"))
    }
}

/// Texts by key, as rows of what has them.
fn rows_of_pairs<'p>(
    owner: &'p i64,
    pairs: &'p BTreeMap<String, String>,
) -> Vec<[&'p dyn ToValue; 3]> {
    pairs
        .iter()
        .map(|(key, value)| [owner as _, key as _, value as _])
        .collect()
}

/// Whether runs or experiments may be deleted after a change, or not be deleted any more, or not be there.
const fn may_change_lifecycles(change: &Change) -> bool {
    matches!(
        change,
        Change::ExperimentLifecycleSet { .. }
            | Change::RunLifecycleSet { .. }
            | Change::RunsRemoved { .. }
            | Change::ExperimentRemoved { .. }
    )
}

fn model_subject(id: &entities::ModelId) -> String {
    format!("logged model `{id}`")
}

/// Every statement of this module that adds rows, by its name.
pub(crate) fn all_row_statements() -> Vec<(&'static str, &'static AddRows)> {
    [metric::ALL_ROWS, run::ALL_ROWS, trace::ALL_ROWS].concat()
}

/// Every statement of this module, by its name.
pub(crate) fn all_statements() -> Vec<(&'static str, &'static str)> {
    [
        ALL,
        access::ALL,
        artifact::ALL,
        dataset::ALL,
        experiment::ALL,
        issue::ALL,
        label_schema::ALL,
        metric::ALL,
        model::ALL,
        registry::ALL,
        removal::ALL,
        run::ALL,
        scorer::ALL,
        trace::ALL,
        webhook::ALL,
    ]
    .concat()
}
