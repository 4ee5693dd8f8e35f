//! Which commits must come one after the other.
//!
//! Several processes write at once. Where two commits touch the same rows, or where one reads what the other writes,
//! the later one waits until the first is durable, and gets the larger position: so applying events in the order of
//! their positions gives the rows that are there. Locks are taken all at once, in one order, so nobody waits in a ring.

use std::collections::BTreeMap;

use entities::{Artifact, Change, Commit, ExperimentId, Notice, ObjectId, RunId, TraceId};

/// Locks of one group at most: beyond, it takes the whole store for itself. PostgreSQL keeps 64 for each connection.
const LARGEST_COUNT: usize = 48;

/// What is locked, and whether others may hold it too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Locks {
    /// By the number that PostgreSQL knows the lock by; true where nobody else may hold it.
    held: BTreeMap<i64, bool>,
    is_whole: bool,
}

/// Makes the numbers of locks of one store in its database.
#[derive(Clone, Debug)]
pub(crate) struct LockNames {
    schema: String,
}

impl LockNames {
    pub(crate) fn new(schema: &str) -> Self {
        Self {
            schema: schema.to_owned(),
        }
    }

    /// Whoever writes events holds it, together with others.
    pub(crate) fn whole(&self) -> i64 {
        self.number("everything")
    }

    /// Whoever changes the schema holds it.
    pub(crate) fn migration(&self) -> i64 {
        self.number("migration")
    }

    /// The process that writes under this number holds it.
    pub(crate) fn writer(&self, number: i64) -> i64 {
        self.number(&format!("writer {number}"))
    }

    fn number(&self, name: &str) -> i64 {
        let digest = ObjectId::of(format!("reproof {} {name}", self.schema).as_bytes());
        let bytes = digest.as_bytes();
        i64::from_be_bytes(bytes[..8].try_into().expect("a digest has 32 bytes"))
    }
}

impl Locks {
    pub(crate) fn of(commit: &Commit, names: &LockNames) -> Self {
        let mut locks = Self::default();
        let Commit {
            subjects, changes, ..
        } = commit;
        // An event names the last one of each of its subjects.
        for subject in subjects {
            locks.take(names, subject);
        }
        for change in changes {
            locks.add(change, names);
        }
        // A webhook is told in the order of positions, so that none may become visible after a larger one.
        if !Notice::list(changes).is_empty() {
            locks.take(names, WEBHOOKS);
        }
        locks
    }

    /// Both together, where a group can hold them.
    pub(crate) fn join(&self, others: &Self) -> Option<Self> {
        let mut joined = self.clone();
        joined.is_whole |= others.is_whole;
        for (number, is_exclusive) in &others.held {
            *joined.held.entry(*number).or_default() |= is_exclusive;
        }
        (joined.held.len() <= LARGEST_COUNT).then_some(joined)
    }

    /// The numbers to lock, in the order in which they must be taken, and whether nobody else may hold each.
    pub(crate) fn list(&self, names: &LockNames) -> Vec<(i64, bool)> {
        let is_whole = self.is_whole || self.held.len() > LARGEST_COUNT;
        let mut list = vec![(names.whole(), is_whole)];
        if !is_whole {
            let held = self.held.iter();
            list.extend(held.map(|(number, is_exclusive)| (*number, *is_exclusive)));
        }
        list
    }

    fn take(&mut self, names: &LockNames, name: &str) {
        self.held.insert(names.number(name), true);
    }

    fn share(&mut self, names: &LockNames, name: &str) {
        self.held.entry(names.number(name)).or_default();
    }

    fn add(&mut self, change: &Change, names: &LockNames) {
        match change {
            // What keeps a run may be anywhere.
            Change::StoreInitialised { .. }
            | Change::RunsRemoved { .. }
            | Change::ExperimentRemoved { .. } => self.is_whole = true,
            Change::ExperimentCreated { experiment } => {
                self.take(names, &of_experiment(&experiment.id));
                self.take(names, EXPERIMENT_NAMES);
            }
            Change::ExperimentRenamed { experiment, .. } => {
                self.take(names, &of_experiment(experiment));
                self.take(names, EXPERIMENT_NAMES);
            }
            Change::ExperimentLifecycleSet {
                experiment, runs, ..
            } => {
                self.take(names, &of_experiment(experiment));
                for run in runs {
                    self.take(names, &of_run(run));
                }
            }
            Change::ExperimentTagsSet { experiment, .. }
            | Change::ExperimentTagDeleted { experiment, .. } => {
                self.take(names, &of_experiment(experiment));
            }
            Change::RunCreated { run } => {
                self.take(names, &of_run(&run.id));
                self.share(names, &of_experiment(&run.experiment));
            }
            Change::RunUpdated { run, .. }
            | Change::RunInterrupted { run, .. }
            | Change::RunLifecycleSet { run, .. }
            | Change::ManifestRecorded { run, .. }
            | Change::ParamsLogged { run, .. }
            | Change::TagsSet { run, .. }
            | Change::TagDeleted { run, .. }
            | Change::MetricsLogged { run, .. }
            | Change::InputsLogged { run, .. }
            | Change::OutputsLogged { run, .. } => self.take(names, &of_run(run)),
            Change::ArtifactsPut { artifacts } => {
                for Artifact { path, .. } in artifacts {
                    self.take_artifacts(names, path);
                }
            }
            Change::ArtifactDeleted { path } => self.take_artifacts(names, path),
            Change::ReplayJudged { verdict } => {
                self.take(names, &of_run(&verdict.origin));
                self.share(names, &of_run(&verdict.replay));
            }
            Change::ObjectForgotten { object, .. } => {
                self.take(names, &format!("object:{object}"));
            }
            Change::LedgerVerified { .. } | Change::LedgerAccepted { .. } => {}
            Change::ModelLogged { model } => {
                self.take(names, &format!("model:{}", model.id));
                self.share(names, &of_experiment(&model.experiment));
            }
            Change::ModelStatusSet { model, .. }
            | Change::ModelTagsSet { model, .. }
            | Change::ModelTagDeleted { model, .. }
            | Change::ModelParamsLogged { model, .. }
            | Change::ModelDeleted { model, .. } => self.take(names, &format!("model:{model}")),
            _ => self.add_other(change, names),
        }
    }

    fn add_other(&mut self, change: &Change, names: &LockNames) {
        match change {
            Change::RegisteredModelCreated { model } => {
                self.take(names, &of_registered_model(&model.name));
            }
            // The rights that its owners have go with its name.
            Change::RegisteredModelRenamed { name, new_name, .. } => {
                self.take(names, ACCESS);
                self.take(names, &of_registered_model(name));
                self.take(names, &of_registered_model(new_name));
            }
            Change::ModelVersionCreated { version } => {
                self.take(names, &of_registered_model(&version.name));
            }
            Change::RegisteredModelDeleted { name } => {
                self.take(names, ACCESS);
                self.take(names, &of_registered_model(name));
            }
            Change::RegisteredModelDescribed { name, .. }
            | Change::RegisteredModelTagsSet { name, .. }
            | Change::RegisteredModelTagDeleted { name, .. }
            | Change::AliasSet { name, .. }
            | Change::AliasDeleted { name, .. }
            | Change::ModelVersionDescribed { name, .. }
            | Change::ModelVersionStageSet { name, .. }
            | Change::ModelVersionDeleted { name, .. }
            | Change::ModelVersionTagsSet { name, .. }
            | Change::ModelVersionTagDeleted { name, .. } => {
                self.take(names, &of_registered_model(name));
            }
            Change::TraceLogged {
                trace, experiment, ..
            } => {
                self.take(names, &of_trace(trace));
                self.share(names, &of_experiment(experiment));
            }
            Change::TraceNoted { trace, .. }
            | Change::TraceTagDeleted { trace, .. }
            | Change::AssessmentDeleted { trace, .. }
            | Change::PromptsLinked { trace, .. } => self.take(names, &of_trace(trace)),
            Change::TracesLinked { traces, .. } | Change::TracesDeleted { traces } => {
                for trace in traces {
                    self.take(names, &of_trace(trace));
                }
            }
            Change::DatasetCreated {
                dataset,
                experiments,
            } => {
                self.take(names, &format!("dataset:{}", dataset.id));
                self.share_experiments(names, experiments);
            }
            Change::DatasetExperimentsAdded {
                dataset,
                experiments,
                ..
            } => {
                self.take(names, &format!("dataset:{dataset}"));
                self.share_experiments(names, experiments);
            }
            Change::DatasetTagsSet { dataset, .. }
            | Change::DatasetTagDeleted { dataset, .. }
            | Change::DatasetExperimentsRemoved { dataset, .. }
            | Change::DatasetRecordsMerged { dataset, .. }
            | Change::DatasetRecordsDeleted { dataset, .. }
            | Change::DatasetDeleted { dataset } => {
                self.take(names, &format!("dataset:{dataset}"));
            }
            Change::IssueCreated { issue } => {
                self.take(names, &format!("issue:{}", issue.id));
                self.share(names, &of_experiment(&issue.experiment));
            }
            Change::IssueUpdated { issue, .. } => self.take(names, &format!("issue:{issue}")),
            Change::LabelSchemaCreated { schema } => {
                self.take(names, LABEL_SCHEMAS);
                self.share(names, &of_experiment(&schema.experiment));
            }
            // Which experiment it is of, in which names are unique, is not told.
            Change::LabelSchemaUpdated { .. } | Change::LabelSchemaDeleted { .. } => {
                self.take(names, LABEL_SCHEMAS);
            }
            Change::ScorerRegistered { version } => {
                self.take(names, &of_scorers(&version.experiment));
                self.share(names, &of_experiment(&version.experiment));
            }
            Change::ScorerVersionDeleted { experiment, .. } => {
                self.take(names, &of_scorers(experiment));
            }
            Change::ScorerDeleted { experiment, .. } => {
                self.take(names, ACCESS);
                self.take(names, &of_scorers(experiment));
            }
            Change::OnlineScoringSet { scoring } => {
                self.take(names, &of_scorers(&scoring.experiment));
            }
            Change::WebhookCreated { webhook, .. } => {
                self.take(names, WEBHOOKS);
                self.take(names, &format!("webhook:{}", webhook.id));
            }
            Change::WebhookUpdated { webhook, .. } | Change::WebhookDeleted { webhook, .. } => {
                self.take(names, WEBHOOKS);
                self.take(names, &format!("webhook:{webhook}"));
            }
            Change::DeliveryGivenUp { webhook, .. } => {
                self.take(names, &format!("webhook:{webhook}"));
            }
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
            | Change::AccessRevoked { .. } => self.take(names, ACCESS),
            // Whatever a later version of this program adds: never wrong, only slow.
            _ => self.is_whole = true,
        }
    }

    /// What is kept of one run or model stands below a path of three parts; what reaches beyond takes everything.
    fn take_artifacts(&mut self, names: &LockNames, path: &str) {
        match path.match_indices('/').nth(2) {
            Some((end, _)) => self.take(names, &format!("artifacts:{}", &path[..end])),
            None if path.matches('/').count() == 2 => {
                self.take(names, &format!("artifacts:{path}"));
            }
            None => self.is_whole = true,
        }
    }

    fn share_experiments(&mut self, names: &LockNames, experiments: &[ExperimentId]) {
        for experiment in experiments {
            self.share(names, &of_experiment(experiment));
        }
    }
}

/// Which experiment has which name: a renaming gives one up that it does not tell.
const EXPERIMENT_NAMES: &str = "experiment names";

/// Users, roles and what they may do: rarely changed, and all of it hangs together.
const ACCESS: &str = "access";

/// What people are asked, and under which names: rarely changed.
const LABEL_SCHEMAS: &str = "label schemas";

/// Which webhooks there are, and what they want.
const WEBHOOKS: &str = "webhooks";

fn of_experiment(id: &ExperimentId) -> String {
    format!("experiment:{id}")
}

fn of_run(id: &RunId) -> String {
    format!("run:{id}")
}

fn of_registered_model(name: &str) -> String {
    format!("registered_model:{name}")
}

fn of_trace(id: &TraceId) -> String {
    format!("trace:{id}")
}

fn of_scorers(experiment: &ExperimentId) -> String {
    format!("scorers:{experiment}")
}

#[cfg(test)]
mod tests {
    use entities::{Actor, Timestamp};

    use super::*;

    fn commit(changes: Vec<Change>) -> Commit {
        Commit {
            actor: Actor {
                id: "u:ann".to_owned(),
                auth: "local".to_owned(),
            },
            at: Timestamp::from_micros(0),
            kind: "test",
            subjects: Vec::new(),
            reason: None,
            request: None,
            changes,
        }
    }

    fn deleted(path: &str) -> Change {
        Change::ArtifactDeleted {
            path: path.to_owned(),
        }
    }

    #[test]
    fn a_folder_and_what_is_below_it_are_locked_together() {
        let names = LockNames::new("reproof");
        let of = |path: &str| Locks::of(&commit(vec![deleted(path)]), &names);
        assert_eq!(of("0/run/artifacts"), of("0/run/artifacts/model/a.bin"));
        assert_ne!(of("0/run/artifacts"), of("0/other/artifacts"));
        assert!(of("0/run").is_whole);
    }

    #[test]
    fn more_than_a_group_can_hold_takes_the_whole_store() {
        let names = LockNames::new("reproof");
        let many: Vec<_> = (0..=LARGEST_COUNT)
            .map(|run| deleted(&format!("0/{run}/artifacts")))
            .collect();
        let locks = Locks::of(&commit(many), &names);
        assert_eq!(locks.list(&names), [(names.whole(), true)]);
        assert_eq!(locks.join(&Locks::default()), None);
    }

    #[test]
    fn stores_in_one_database_do_not_wait_for_each_other() {
        let (one, two) = (LockNames::new("reproof"), LockNames::new("other"));
        assert_ne!(one.whole(), two.whole());
    }
}
