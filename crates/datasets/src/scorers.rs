//! Scorers and their versions.

use entities::{
    Caller, Change, ExperimentId, OnlineScoring, ResourceKind, ScorerId, ScorerVersion, SearchKind,
    VersionNumber, draw_hex, parse_filter, python, scorer_pattern,
};

use crate::datasets::{ATTEMPTS, Writing, experiment_subject, is_race};
use crate::serialized::check_serialized;
use crate::validation::{LONGEST_VALUE, check_length, check_name};
use crate::{Datasets, DatasetsError};

impl Datasets {
    /// Registers the next version of a scorer; the first makes it.
    pub async fn register_scorer(
        &self,
        caller: &Caller,
        experiment: &ExperimentId,
        name: &str,
        serialized: &str,
    ) -> Result<ScorerVersion, DatasetsError> {
        check_length("serialized_scorer", LONGEST_VALUE, serialized)?;
        check_serialized(serialized)?;
        if name.trim().is_empty() {
            return Err(DatasetsError::BlankScorerName);
        }
        check_name(name)?;
        self.get_active_experiment(experiment).await?;
        for _ in 0..ATTEMPTS {
            let version = self.next_version(experiment, name, serialized).await?;
            let writing = about_scorer(caller, "scorer.registered", &version.scorer, experiment);
            let change = Change::ScorerRegistered {
                version: version.clone(),
            };
            // Who adds a version to another's scorer does not come to own it.
            let owning = (version.version == VersionNumber::FIRST)
                .then(|| caller.owning(ResourceKind::Scorer, scorer_pattern(experiment, name)));
            let changes = [change].into_iter().chain(owning.flatten()).collect();
            match self.commit_all(writing, changes).await {
                Err(error) if is_race(&error) => {}
                done => return done.map(|()| version),
            }
        }
        Err(DatasetsError::Crowded {
            subject: format!("scorer '{name}'"),
        })
    }

    async fn next_version(
        &self,
        experiment: &ExperimentId,
        name: &str,
        serialized: &str,
    ) -> Result<ScorerVersion, DatasetsError> {
        let known = self.store().find_scorer(experiment, name).await?;
        let last = known.as_ref().map(|known| known.last_version);
        let next = last.map_or(Some(VersionNumber::FIRST), VersionNumber::next);
        Ok(ScorerVersion {
            scorer: known.map_or_else(|| ScorerId::random(self.random()), |known| known.id),
            experiment: experiment.clone(),
            name: name.to_owned(),
            version: next.ok_or_else(|| DatasetsError::Crowded {
                subject: format!("scorer '{name}'"),
            })?,
            serialized: serialized.to_owned(),
            created_at: self.now(),
        })
    }

    /// The latest versions of the scorers of one experiment.
    pub async fn list_scorers(
        &self,
        experiment: &ExperimentId,
    ) -> Result<Vec<ScorerVersion>, DatasetsError> {
        self.get_active_experiment(experiment).await?;
        let experiments = std::slice::from_ref(experiment);
        Ok(self.store().list_scorers(experiments).await?)
    }

    /// The latest versions of the scorers of those experiments that are active; of all of them without any named.
    pub async fn list_scorers_of(
        &self,
        experiments: Option<&[ExperimentId]>,
    ) -> Result<Vec<ScorerVersion>, DatasetsError> {
        let mut active = self.store().list_experiments_with_scorers().await?;
        if let Some(experiments) = experiments {
            active.retain(|experiment| experiments.contains(experiment));
        }
        Ok(self.store().list_scorers(&active).await?)
    }

    /// All versions of a scorer, the first first.
    pub async fn list_scorer_versions(
        &self,
        experiment: &ExperimentId,
        name: &str,
    ) -> Result<Vec<ScorerVersion>, DatasetsError> {
        self.get_active_experiment(experiment).await?;
        let versions = self.store().list_scorer_versions(experiment, name).await?;
        if versions.is_empty() {
            return Err(no_scorer(experiment, name));
        }
        Ok(versions)
    }

    /// A version of a scorer: the latest where none is named.
    pub async fn get_scorer(
        &self,
        experiment: &ExperimentId,
        name: &str,
        version: Option<i64>,
    ) -> Result<ScorerVersion, DatasetsError> {
        let mut versions = self.list_scorer_versions(experiment, name).await?;
        let found = match version {
            None => versions.pop(),
            Some(wanted) => versions
                .into_iter()
                .find(|found| i64::from(found.version.get()) == wanted),
        };
        found.ok_or_else(|| no_version(experiment, name, version))
    }

    /// Deletes a version of a scorer, or all of it where none is named.
    pub async fn delete_scorer(
        &self,
        caller: &Caller,
        experiment: &ExperimentId,
        name: &str,
        version: Option<i64>,
    ) -> Result<(), DatasetsError> {
        let found = self.get_scorer(experiment, name, version).await?;
        let writing = about_scorer(caller, "scorer.deleted", &found.scorer, experiment);
        let (experiment, name) = (found.experiment, found.name);
        let change = match version {
            Some(_) => Change::ScorerVersionDeleted {
                experiment,
                name,
                version: found.version,
            },
            None => Change::ScorerDeleted { experiment, name },
        };
        self.commit(writing, change).await
    }

    /// Says how a scorer is to be applied to traces as they come.
    ///
    /// Only a rate of 0 is taken: a server applies scorers through its gateway, which there is none of here.
    pub async fn set_online_scoring(
        &self,
        caller: &Caller,
        experiment: &ExperimentId,
        name: &str,
        sample_rate: f64,
        filter: Option<String>,
    ) -> Result<OnlineScoring, DatasetsError> {
        if !(0.0..=1.0).contains(&sample_rate) {
            return Err(DatasetsError::SampleRate {
                given: python::float(sample_rate),
            });
        }
        parse_filter(filter.as_deref().unwrap_or_default(), SearchKind::Traces)?;
        self.get_active_experiment(experiment).await?;
        let known = self.store().find_scorer(experiment, name).await?;
        let known = known.ok_or_else(|| no_scorer(experiment, name))?;
        if sample_rate > 0.0 {
            return Err(DatasetsError::NoGatewayModel {
                name: name.to_owned(),
            });
        }
        let scoring = OnlineScoring {
            id: draw_hex(self.random()),
            scorer: known.id,
            experiment: experiment.clone(),
            sample_rate,
            filter,
        };
        let writing = about_scorer(caller, "scorer.scheduled", &scoring.scorer, experiment);
        let change = Change::OnlineScoringSet {
            scoring: scoring.clone(),
        };
        self.commit(writing, change).await?;
        Ok(scoring)
    }

    /// How scorers are to be applied, for those of which it was said.
    pub async fn list_online_scorings(
        &self,
        scorers: &[ScorerId],
    ) -> Result<Vec<OnlineScoring>, DatasetsError> {
        Ok(self.store().list_online_scorings(scorers).await?)
    }
}

fn about_scorer<'a>(
    caller: &'a Caller,
    kind: &'static str,
    scorer: &ScorerId,
    experiment: &ExperimentId,
) -> Writing<'a> {
    Writing {
        caller,
        kind,
        subjects: vec![format!("scorer:{scorer}"), experiment_subject(experiment)],
    }
}

fn no_scorer(experiment: &ExperimentId, name: &str) -> DatasetsError {
    no_version(experiment, name, None)
}

fn no_version(experiment: &ExperimentId, name: &str, version: Option<i64>) -> DatasetsError {
    let (experiment, name) = (experiment.clone(), name.to_owned());
    match version {
        Some(version) => DatasetsError::NoScorerVersion {
            experiment,
            name,
            version,
        },
        None => DatasetsError::NoScorer { experiment, name },
    }
}
