//! Changes of scorers.

use crate::params;
use crate::sql::Row;
use entities::{ExperimentId, OnlineScoring, ScorerVersion, VersionNumber};
use store::StoreError;

use super::Applier;

statements! {
    FIND = "SELECT number, id, last_version FROM scorer WHERE experiment = ?1 AND name = ?2";
    FIND_BY_ID = "SELECT number FROM scorer WHERE id = ?1";
    ADD = "INSERT INTO scorer (id, experiment, name, last_version, number) VALUES (?1, ?2, ?3, ?4, ?5)
        RETURNING number";
    SET_LAST = "UPDATE scorer SET last_version = ?2 WHERE number = ?1";
    ADD_VERSION = "INSERT INTO scorer_version (scorer, version, serialized, created_at) VALUES (?1, ?2, ?3, ?4)";
    DELETE_VERSION = "DELETE FROM scorer_version WHERE scorer = ?1 AND version = ?2";
    DELETE_VERSIONS = "DELETE FROM scorer_version WHERE scorer = ?1";
    DELETE_SCORING = "DELETE FROM online_scoring WHERE scorer = ?1";
    DELETE = "DELETE FROM scorer WHERE number = ?1";
    SET_SCORING = "INSERT INTO online_scoring (scorer, id, sample_rate, filter) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (scorer) DO UPDATE
        SET id = excluded.id, sample_rate = excluded.sample_rate, filter = excluded.filter";
}

impl Applier<'_> {
    pub(super) fn register_scorer(&self, version: &ScorerVersion) -> Result<(), StoreError> {
        let ScorerVersion {
            scorer,
            experiment,
            name,
            version,
            serialized,
            created_at,
        } = version;
        self.check_experiment_is_active(experiment)?;
        let known = self.find_scorer(experiment, name)?;
        let last = known.as_ref().map_or(0, |(_, _, last)| *last);
        let is_same = known
            .as_ref()
            .is_none_or(|(_, id, _)| id == scorer.as_str());
        if i64::from(version.get()) != last + 1 || !is_same {
            return Err(StoreError::NotNextScorerVersion {
                name: name.clone(),
                given: *version,
            });
        }
        let number = if let Some((number, ..)) = known {
            self.send(SET_LAST, params![number, version.get()])?;
            number
        } else {
            let row = params![scorer.as_str(), experiment.as_str(), name, version.get()];
            self.insert_new(ADD, row)?
        };
        let row = params![number, version.get(), serialized, created_at.as_micros()];
        self.send(ADD_VERSION, row)
    }

    pub(super) fn delete_scorer_version(
        &self,
        experiment: &ExperimentId,
        name: &str,
        version: VersionNumber,
    ) -> Result<(), StoreError> {
        let scorer = self.get_scorer(experiment, name)?;
        if self.execute(DELETE_VERSION, params![scorer, version.get()])? == 0 {
            return Err(no_scorer(experiment, name));
        }
        Ok(())
    }

    pub(super) fn delete_scorer(
        &self,
        experiment: &ExperimentId,
        name: &str,
    ) -> Result<(), StoreError> {
        let scorer = self.get_scorer(experiment, name)?;
        for sql in [DELETE_VERSIONS, DELETE_SCORING, DELETE] {
            self.send(sql, [scorer])?;
        }
        self.forget_rights_to_scorer(experiment, name)
    }

    pub(super) fn set_online_scoring(&self, scoring: &OnlineScoring) -> Result<(), StoreError> {
        let OnlineScoring {
            id,
            scorer,
            experiment,
            sample_rate,
            filter,
        } = scoring;
        let number: i64 = self
            .find(FIND_BY_ID, [scorer.as_str()], |row| row.get(0))?
            .ok_or_else(|| no_scorer(experiment, scorer.as_str()))?;
        self.send(SET_SCORING, params![number, id, sample_rate, filter])
    }

    fn get_scorer(&self, experiment: &ExperimentId, name: &str) -> Result<i64, StoreError> {
        self.find_scorer(experiment, name)?
            .map(|(number, ..)| number)
            .ok_or_else(|| no_scorer(experiment, name))
    }

    /// Its row, its id and the last version that was given.
    fn find_scorer(
        &self,
        experiment: &ExperimentId,
        name: &str,
    ) -> Result<Option<(i64, String, i64)>, StoreError> {
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        self.find(FIND, params![experiment.as_str(), name], read)
    }
}

fn no_scorer(experiment: &ExperimentId, name: &str) -> StoreError {
    StoreError::NoScorer {
        experiment: experiment.clone(),
        name: name.to_owned(),
    }
}
