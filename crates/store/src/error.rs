//! What can go wrong in a store.

use entities::{
    DatasetId, DatasetRecordId, ExperimentId, IssueId, LabelSchemaId, Lifecycle, ModelId, Resource,
    RunId, TokenId, TraceId, VersionNumber, WebhookId,
};

/// What can go wrong in a store. The first group is a refusal: nothing was changed, and the caller can act on it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such experiment.
    #[error("no experiment with id `{id}`")]
    NoExperiment {
        /// What was asked for.
        id: ExperimentId,
    },
    /// No such run.
    #[error("no run with id `{id}`")]
    NoRun {
        /// What was asked for.
        id: RunId,
    },
    /// No such logged model.
    #[error("no logged model with id `{id}`")]
    NoModel {
        /// What was asked for.
        id: ModelId,
    },
    /// No such registered model.
    #[error("no registered model named `{name}`")]
    NoRegisteredModel {
        /// What was asked for.
        name: String,
    },
    /// No such version.
    #[error("no version {version} of registered model `{name}`")]
    NoModelVersion {
        /// Name of the registered model.
        name: String,
        /// What was asked for.
        version: VersionNumber,
    },
    /// No such trace.
    #[error("no trace with id `{id}`")]
    NoTrace {
        /// What was asked for.
        id: TraceId,
    },
    /// No such assessment.
    #[error("no assessment with id `{id}` of trace `{trace}`")]
    NoAssessment {
        /// Of which trace.
        trace: TraceId,
        /// What was asked for.
        id: String,
    },
    /// No such evaluation dataset.
    #[error("no evaluation dataset with id `{id}`")]
    NoDataset {
        /// What was asked for.
        id: DatasetId,
    },
    /// No such scorer, or no such version of it.
    #[error("no scorer `{name}` in experiment `{experiment}`")]
    NoScorer {
        /// Of which experiment.
        experiment: ExperimentId,
        /// What was asked for.
        name: String,
    },
    /// No such issue.
    #[error("no issue with id `{id}`")]
    NoIssue {
        /// What was asked for.
        id: IssueId,
    },
    /// No such label schema.
    #[error("no label schema with id `{id}`")]
    NoLabelSchema {
        /// What was asked for.
        id: LabelSchemaId,
    },
    /// No such webhook, or a deleted one.
    #[error("no webhook with id `{id}`")]
    NoWebhook {
        /// What was asked for.
        id: WebhookId,
    },
    /// No such user.
    #[error("no user named `{name}`")]
    NoUser {
        /// What was asked for.
        name: String,
    },
    /// The name of a user is taken.
    #[error("a user named `{name}` exists already")]
    UserNameTaken {
        /// The name.
        name: String,
    },
    /// The password is another one than that of which a hash was to be renewed.
    #[error("the password of user `{name}` was changed meanwhile")]
    PasswordReplaced {
        /// The name.
        name: String,
    },
    /// No such token.
    #[error("no token with id `{id}`")]
    NoToken {
        /// What was asked for.
        id: TokenId,
    },
    /// No such role.
    #[error("no role named `{name}`")]
    NoRole {
        /// What was asked for.
        name: String,
    },
    /// The name of a role is taken.
    #[error("a role named `{name}` exists already")]
    RoleNameTaken {
        /// The name.
        name: String,
    },
    /// The user has the role not.
    #[error("user `{user}` has no role `{role}`")]
    NoRoleMember {
        /// Who.
        user: String,
        /// Which.
        role: String,
    },
    /// The user has the role already.
    #[error("user `{user}` has role `{role}` already")]
    RoleMemberExists {
        /// Who.
        user: String,
        /// Which.
        role: String,
    },
    /// No such right.
    #[error("no right to {} `{}`", resource.kind.as_str(), resource.pattern)]
    NoRight {
        /// To what.
        resource: Resource,
    },
    /// There is a right to the same resource.
    #[error("a right to {} `{}` exists already", resource.kind.as_str(), resource.pattern)]
    RightExists {
        /// To what.
        resource: Resource,
    },
    /// No such tag.
    #[error("no tag `{key}` on {subject}")]
    NoTag {
        /// The tag.
        key: String,
        /// What was to have it, such as `run <id>`.
        subject: String,
    },
    /// No such artifact.
    #[error("no artifact at `{path}`")]
    NoArtifact {
        /// The path below `mlflow-artifacts:/`.
        path: String,
    },
    /// The id is taken.
    #[error("{subject} exists already")]
    Exists {
        /// What exists, such as `run <id>`.
        subject: String,
    },
    /// The name is taken.
    #[error("an experiment named `{name}` exists already")]
    ExperimentNameTaken {
        /// The name.
        name: String,
        /// Whether the one that has it is deleted.
        lifecycle: Lifecycle,
    },
    /// The name of a registered model is taken.
    #[error("a registered model named `{name}` exists already")]
    RegisteredModelNameTaken {
        /// The name.
        name: String,
    },
    /// The number of a version is not the next one: somebody else was faster.
    #[error("the next version of registered model `{name}` is {next}, not {given}")]
    NotNextVersion {
        /// Name of the registered model.
        name: String,
        /// The next number.
        next: VersionNumber,
        /// The number that was given.
        given: VersionNumber,
    },
    /// A record has the inputs of another one: somebody else was faster.
    #[error("record `{record}` of dataset `{dataset}` has the inputs of another")]
    DatasetRecordTaken {
        /// Of which dataset.
        dataset: DatasetId,
        /// Which.
        record: DatasetRecordId,
    },
    /// The number of a scorer's version is not the next one: somebody else was faster.
    #[error("{given} is not the next version of scorer `{name}`")]
    NotNextScorerVersion {
        /// Name of the scorer.
        name: String,
        /// The number that was given.
        given: VersionNumber,
    },
    /// The name of a label schema is taken.
    #[error("a label schema named `{name}` exists already in experiment `{experiment}`")]
    LabelSchemaNameTaken {
        /// Of which experiment.
        experiment: ExperimentId,
        /// The name.
        name: String,
    },
    /// The experiment is deleted.
    #[error("experiment `{id}` is deleted")]
    ExperimentDeleted {
        /// Which.
        id: ExperimentId,
    },
    /// The run is deleted.
    #[error("run `{id}` is deleted")]
    RunDeleted {
        /// Which.
        id: RunId,
    },
    /// It may not be removed for good.
    #[error("{subject} is kept: {reason}")]
    Kept {
        /// What, such as `run <id>`.
        subject: String,
        /// What keeps it.
        reason: &'static str,
    },
    /// Params never change.
    #[error("{} of run `{run}` would change", params_in_words(.conflicts))]
    ParamConflict {
        /// Which run.
        run: RunId,
        /// Key, value that is there, value that was given.
        conflicts: Vec<(String, String, String)>,
    },
    /// A page token that this store did not write.
    #[error("`{token}` is not a page token of this query")]
    PageToken {
        /// What was given.
        token: String,
    },
    /// A query that cannot be answered.
    #[error("{message}")]
    Query {
        /// What is wrong with it.
        message: String,
    },

    /// The database was made by a newer version.
    #[error("the store has schema version {found}, this program knows {known}")]
    Newer {
        /// The version of the database.
        found: u32,
        /// The latest that is known here.
        known: u32,
    },
    /// The database is open for reading only.
    #[error("the store is open for reading only")]
    ReadOnly,
    /// What was written last stands in a log that cannot be read where nothing may be written.
    #[error(
        "what was written to the store last stands in `{path}`, which cannot be read without writing"
    )]
    LogUnreadable {
        /// The log.
        path: String,
    },
    /// A row or block does not hold what it should.
    #[error("the store is damaged: {message}")]
    Damaged {
        /// What is wrong, and where.
        message: String,
    },
    /// An event cannot be written.
    #[error(transparent)]
    Leaf(#[from] entities::LeafError),
    /// Somebody else holds the database for too long.
    #[error("the store is locked by another process")]
    Busy,
    /// The server that keeps the database does not answer, or lets nobody in.
    #[error("the database server cannot be reached")]
    Unreachable {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The disk is full.
    #[error("no space is left for the store")]
    DiskFull,
    /// The database failed.
    #[error("the database failed while {action}")]
    Database {
        /// What was being done.
        action: &'static str,
        /// What the database said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

fn params_in_words(conflicts: &[(String, String, String)]) -> String {
    let words: Vec<_> = conflicts
        .iter()
        .map(|(key, is, given)| format!("param `{key}` from `{is}` to `{given}`"))
        .collect();
    words.join(", ")
}
