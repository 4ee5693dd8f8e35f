//! Scorers, as callers see them.

use crate::params;
use crate::sql::{self, Row};
use async_trait::async_trait;
use entities::{ExperimentId, OnlineScoring, ScorerId, ScorerVersion, VersionNumber};
use store::{KnownScorer, ScorerStore, StoreError};

use super::{find_row, list_rows};
use crate::rows::{read_id, read_time, read_version};
use crate::{Backend, SqlStore};

statements! {
    FIND = "SELECT id, last_version FROM scorer WHERE experiment = ?1 AND name = ?2";
    LIST_LATEST = "SELECT id, experiment, name, version, serialized, created_at
        FROM scorer JOIN scorer_version ON scorer_version.scorer = scorer.number
        WHERE version = (SELECT MAX(version) FROM scorer_version WHERE scorer_version.scorer = scorer.number)
            AND experiment = ?1
        ORDER BY name";
    LIST_VERSIONS = "SELECT id, experiment, name, version, serialized, created_at
        FROM scorer JOIN scorer_version ON scorer_version.scorer = scorer.number
        WHERE experiment = ?1 AND name = ?2
        ORDER BY version";
    LIST_ACTIVE = "SELECT experiment
        FROM scorer JOIN experiment ON experiment.id = scorer.experiment
        WHERE lifecycle = 'active'
        GROUP BY experiment
        ORDER BY length(experiment), experiment";
    FIND_SCORING = "SELECT online_scoring.id, scorer.id, experiment, sample_rate, filter
        FROM online_scoring JOIN scorer ON scorer.number = online_scoring.scorer
        WHERE scorer.id = ?1";
}

#[async_trait]
impl<B: Backend> ScorerStore for SqlStore<B> {
    async fn find_scorer(
        &self,
        experiment: &ExperimentId,
        name: &str,
    ) -> Result<Option<KnownScorer>, StoreError> {
        let (experiment, name) = (experiment.clone(), name.to_owned());
        self.read(move |connection| {
            find_row(
                connection,
                FIND,
                params![experiment.as_str(), name],
                |row| {
                    Ok(KnownScorer {
                        id: read_id(row, 0)?,
                        last_version: read_version(row, 1)?,
                    })
                },
            )
        })
        .await
    }

    async fn list_scorers(
        &self,
        experiments: &[ExperimentId],
    ) -> Result<Vec<ScorerVersion>, StoreError> {
        let experiments = experiments.to_vec();
        self.read(move |connection| {
            let mut found = Vec::new();
            for experiment in experiments {
                let key = [experiment.as_str()];
                let of_one: Vec<_> = list_rows(connection, LIST_LATEST, key, read_scorer_version)?;
                found.extend(of_one);
            }
            Ok(found)
        })
        .await
    }

    async fn list_experiments_with_scorers(&self) -> Result<Vec<ExperimentId>, StoreError> {
        self.read(|connection| list_rows(connection, LIST_ACTIVE, params![], |row| read_id(row, 0)))
            .await
    }

    async fn list_scorer_versions(
        &self,
        experiment: &ExperimentId,
        name: &str,
    ) -> Result<Vec<ScorerVersion>, StoreError> {
        let (experiment, name) = (experiment.clone(), name.to_owned());
        self.read(move |connection| {
            let key = params![experiment.as_str(), name];
            list_rows(connection, LIST_VERSIONS, key, read_scorer_version)
        })
        .await
    }

    async fn list_online_scorings(
        &self,
        scorers: &[ScorerId],
    ) -> Result<Vec<OnlineScoring>, StoreError> {
        let scorers = scorers.to_vec();
        self.read(move |connection| {
            let mut found = Vec::with_capacity(scorers.len());
            for scorer in scorers {
                let scoring = find_row(connection, FIND_SCORING, [scorer.as_str()], |row| {
                    Ok(OnlineScoring {
                        id: row.get(0)?,
                        scorer: read_id(row, 1)?,
                        experiment: read_id(row, 2)?,
                        sample_rate: row.get(3)?,
                        filter: row.get(4)?,
                    })
                })?;
                found.extend(scoring);
            }
            Ok(found)
        })
        .await
    }
}

fn read_scorer_version(row: &Row<'_>) -> sql::Result<ScorerVersion> {
    let version: VersionNumber = read_version(row, 3)?;
    Ok(ScorerVersion {
        scorer: read_id(row, 0)?,
        experiment: read_id(row, 1)?,
        name: row.get(2)?,
        version,
        serialized: row.get(4)?,
        created_at: read_time(row, 5)?,
    })
}
