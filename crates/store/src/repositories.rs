//! One trait a noun.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use async_trait::async_trait;
use entities::{
    AccessToken, Artifact, ArtifactEntry, Assessment, Change, Commit, CountedIssue, DatasetId,
    DatasetRecord, DatasetRecordId, DeliveryId, EvaluationDataset, Experiment, ExperimentId,
    FigurePoint, FigureQuery, Issue, IssueId, LabelSchema, LabelSchemaId, Lifecycle,
    LoggedModelDetail, Metric, ModelId, ModelVersionDetail, ObjectId, OnlineScoring, PasswordHash,
    Permission, RegisteredModelDetail, ReplayVerdict, Resource, Run, RunDetail, RunId, ScorerId,
    ScorerVersion, SearchQuery, Span, Timestamp, TraceDetail, TraceId, VersionNumber, Webhook,
    WebhookEvent, WebhookId,
};

use crate::{LedgerStore, Page, PageRequest, Receipt, StoreError};

/// Which of the active and the deleted are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// Those that are not deleted.
    #[default]
    Active,
    /// Those that are.
    Deleted,
    /// Both.
    All,
}

impl View {
    /// Whether something of this lifecycle is wanted.
    pub const fn shows(self, lifecycle: Lifecycle) -> bool {
        matches!(
            (self, lifecycle),
            (Self::All, _)
                | (Self::Active, Lifecycle::Active)
                | (Self::Deleted, Lifecycle::Deleted)
        )
    }
}

/// The metadata database.
#[async_trait]
pub trait Store:
    ExperimentStore
    + RunStore
    + RemovalStore
    + ArtifactStore
    + ModelStore
    + RegistryStore
    + TraceStore
    + DatasetStore
    + ScorerStore
    + IssueStore
    + LabelSchemaStore
    + WebhookStore
    + AccessStore
    + LedgerStore
{
    /// Makes all changes of a commit and its event, in one transaction, or none.
    ///
    /// Commits of several callers may share one transaction of the database: a refused one does not touch the others.
    /// When it returns, the commit is durable.
    async fn commit(&self, commit: Commit) -> Result<Receipt, StoreError>;
}

/// Experiments.
#[async_trait]
pub trait ExperimentStore: Send + Sync {
    /// Looks one up, deleted or not.
    async fn find_experiment(&self, id: &ExperimentId) -> Result<Option<Experiment>, StoreError>;

    /// Looks one up by name, deleted or not.
    async fn find_experiment_by_name(&self, name: &str) -> Result<Option<Experiment>, StoreError>;

    /// Searches. Without an order: last updated first.
    async fn search_experiments(
        &self,
        query: &SearchQuery,
        view: View,
        page: &PageRequest,
    ) -> Result<Page<Experiment>, StoreError>;

    /// An id that no experiment has, for a new one. Two callers may get the same: then one commit is refused.
    async fn free_experiment_id(&self) -> Result<ExperimentId, StoreError>;

    /// Ids of the runs of an experiment that have this lifecycle.
    async fn list_run_ids(
        &self,
        id: &ExperimentId,
        lifecycle: Lifecycle,
    ) -> Result<Vec<RunId>, StoreError>;
}

/// A dataset as runs of an experiment declared it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DatasetSummary {
    /// The experiment.
    pub experiment: ExperimentId,
    /// Its name.
    pub name: String,
    /// Its digest.
    pub digest: String,
    /// What it was used for, such as `training`.
    pub context: Option<String>,
}

/// Runs, with their params, tags and metrics.
#[async_trait]
pub trait RunStore: Send + Sync {
    /// Looks one up, deleted or not, without its details.
    async fn find_run(&self, id: &RunId) -> Result<Option<Run>, StoreError>;

    /// Looks one up with its details.
    async fn find_run_detail(&self, id: &RunId) -> Result<Option<RunDetail>, StoreError>;

    /// Searches. Without an order: last started first. No experiments: all of them.
    async fn search_runs(
        &self,
        experiments: &[ExperimentId],
        query: &SearchQuery,
        view: View,
        page: &PageRequest,
    ) -> Result<Page<RunDetail>, StoreError>;

    /// Runs whose id begins so, at most `limit`.
    async fn list_runs_by_prefix(&self, prefix: &str, limit: usize)
    -> Result<Vec<Run>, StoreError>;

    /// Active runs of that name, last started first, at most `limit`.
    async fn list_runs_by_name(&self, name: &str, limit: usize) -> Result<Vec<Run>, StoreError>;

    /// Runs that were started by a process and have not ended.
    async fn list_open_runs(&self) -> Result<Vec<Run>, StoreError>;

    /// All points of a metric, by time, step, value, each once; the token continues.
    async fn list_metric_points(
        &self,
        run: &RunId,
        key: &str,
        page: &PageRequest,
    ) -> Result<Page<Metric>, StoreError>;

    /// An even sample of the points of a metric whose steps are among these, by step, time and value: the first of each
    /// of `limit` even parts, and the last of all in place of the last part's first; all where there are no more.
    async fn sample_metric_points(
        &self,
        run: &RunId,
        key: &str,
        steps: RangeInclusive<i64>,
        limit: usize,
    ) -> Result<Vec<Metric>, StoreError>;

    /// Waits until a history has become long since it was last put in order, and puts it in order, so that whoever reads
    /// it next does not have to. Only what was logged through this very store is known to it, and a history that cannot
    /// be put in order now is left to its readers.
    ///
    /// *Cancellation*: at any point; what was begun is done as a whole or not at all.
    async fn order_next_history(&self) -> Result<(), StoreError>;

    /// The datasets that runs of experiments declared, with their contexts, each once; at most `limit`.
    async fn list_datasets(
        &self,
        experiments: &[ExperimentId],
        limit: usize,
    ) -> Result<Vec<DatasetSummary>, StoreError>;

    /// Replays of a run, oldest first.
    async fn list_replays(&self, origin: &RunId) -> Result<Vec<ReplayVerdict>, StoreError>;

    /// Every run's recipe and record, for collecting garbage: `(run, recipe, record)`.
    async fn list_manifests(&self) -> Result<Vec<(RunId, ObjectId, ObjectId)>, StoreError>;
}

/// What a run that follows from another is to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bond {
    /// It was started inside the other.
    Child,
    /// It replays the other.
    Replay,
    /// The other replays it, and is evidence of it.
    Original,
    /// It used a model that the other made, or made it further.
    ModelUser,
    /// Traces that the other made belong to it too.
    TraceUser,
    /// It made a logged model that the other measured.
    Measured,
}

/// A deleted run, and what may keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedRun {
    /// Its id.
    pub id: RunId,
    /// The experiment that it belongs to.
    pub experiment: ExperimentId,
    /// Its name.
    pub name: String,
    /// URI below which its artifacts are kept.
    pub artifact_uri: String,
    /// When it was deleted last.
    pub deleted_at: Timestamp,
    /// Those of the tags asked for that it or its experiment has.
    pub holds: Vec<String>,
    /// Versions of registered models that it made.
    pub versions: Vec<(String, VersionNumber)>,
    /// Runs that need it.
    pub bonds: Vec<(RunId, Bond)>,
    /// Logged models that it measured, that no run made, and whose experiment is not deleted.
    pub models: Vec<ModelId>,
}

/// A deleted experiment, and what may keep it beside its runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedExperiment {
    /// Its id.
    pub id: ExperimentId,
    /// Its name.
    pub name: String,
    /// When it was deleted last.
    pub deleted_at: Timestamp,
    /// Those of the tags asked for that it has.
    pub holds: Vec<String>,
    /// Versions of registered models that are models of it.
    pub versions: Vec<(String, VersionNumber)>,
    /// Its runs, all of which are deleted but those that are about to be.
    pub runs: Vec<RunId>,
}

/// What is deleted and can be restored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Runs, the last started first.
    pub runs: Vec<DeletedRun>,
    /// Experiments, by their ids.
    pub experiments: Vec<DeletedExperiment>,
}

/// What may be removed for good.
#[async_trait]
pub trait RemovalStore: Send + Sync {
    /// All that is deleted, as it was at one moment, with what may keep it; tags with these keys hold.
    async fn list_deleted(&self, hold_tags: &[String]) -> Result<Deleted, StoreError>;
}

/// Artifacts.
#[async_trait]
pub trait ArtifactStore: Send + Sync {
    /// Looks one up.
    async fn find_artifact(&self, path: &str) -> Result<Option<Artifact>, StoreError>;

    /// Files and folders right below a folder, by name; empty for a folder that is not there.
    async fn list_artifacts(&self, folder: &str) -> Result<Vec<ArtifactEntry>, StoreError>;

    /// Every artifact below a folder, or all for an empty folder.
    async fn list_artifacts_below(&self, folder: &str) -> Result<Vec<Artifact>, StoreError>;
}

/// Logged models.
#[async_trait]
pub trait ModelStore: Send + Sync {
    /// Looks one up; a deleted one is not found.
    async fn find_model(&self, id: &ModelId) -> Result<Option<LoggedModelDetail>, StoreError>;

    /// Searches. Without an order: last created first. No experiments: all of them.
    async fn search_models(
        &self,
        experiments: &[ExperimentId],
        query: &SearchQuery,
        page: &PageRequest,
    ) -> Result<Page<LoggedModelDetail>, StoreError>;

    /// Models that name a run as their source, in the order of their creation.
    async fn list_models_of(&self, run: &RunId) -> Result<Vec<ModelId>, StoreError>;
}

/// Whether a search of the registry finds prompts, which are kept there too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompts {
    /// Only what is not a prompt.
    LeftOut,
    /// Prompts like the rest.
    Included,
}

/// The files of a version as they were when it was registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionFiles {
    /// Name of the registered model.
    pub name: String,
    /// The version.
    pub version: VersionNumber,
    /// The tree.
    pub files: ObjectId,
}

/// Registered models, their versions and aliases.
#[async_trait]
pub trait RegistryStore: Send + Sync {
    /// Looks a registered model up.
    async fn find_registered_model(
        &self,
        name: &str,
    ) -> Result<Option<RegisteredModelDetail>, StoreError>;

    /// Searches registered models. Ties, and without an order all, by name.
    async fn search_registered_models(
        &self,
        query: &SearchQuery,
        prompts: Prompts,
        page: &PageRequest,
    ) -> Result<Page<RegisteredModelDetail>, StoreError>;

    /// Looks a version up; a deleted one is not found.
    async fn find_model_version(
        &self,
        name: &str,
        version: VersionNumber,
    ) -> Result<Option<ModelVersionDetail>, StoreError>;

    /// The version that an alias points at.
    async fn find_alias(
        &self,
        name: &str,
        alias: &str,
    ) -> Result<Option<VersionNumber>, StoreError>;

    /// Searches versions. Ties by name, then the highest number first.
    async fn search_model_versions(
        &self,
        query: &SearchQuery,
        prompts: Prompts,
        page: &PageRequest,
    ) -> Result<Page<ModelVersionDetail>, StoreError>;

    /// The number of the next version of a registered model; none where there is no such model.
    async fn next_version(&self, name: &str) -> Result<Option<VersionNumber>, StoreError>;

    /// The files of every version that has some on record, for collecting garbage.
    async fn list_version_files(&self) -> Result<Vec<VersionFiles>, StoreError>;
}

/// Traces, their spans and assessments.
#[async_trait]
pub trait TraceStore: Send + Sync {
    /// Looks one up.
    async fn find_trace(&self, id: &TraceId) -> Result<Option<TraceDetail>, StoreError>;

    /// Its spans, the roots first, then by their begin; of those that began at once, the longest first.
    async fn list_spans(&self, id: &TraceId) -> Result<Vec<Span>, StoreError>;

    /// An assessment of a trace.
    async fn find_assessment(
        &self,
        trace: &TraceId,
        id: &str,
    ) -> Result<Option<Assessment>, StoreError>;

    /// Searches. Without an order: last requested first. No experiments: all of them.
    async fn search_traces(
        &self,
        experiments: &[ExperimentId],
        query: &SearchQuery,
        page: &PageRequest,
    ) -> Result<Page<TraceDetail>, StoreError>;

    /// How many traces fit all of the queries.
    ///
    /// Conditions on spans must hold of one span within a query, and may hold of different ones in two.
    async fn count_traces(
        &self,
        experiments: &[ExperimentId],
        queries: &[&SearchQuery],
    ) -> Result<u64, StoreError>;

    /// A figure over traces, in groups, in the order of time and groups.
    async fn measure_traces(&self, query: &FigureQuery) -> Result<Vec<FigurePoint>, StoreError>;

    /// Ids of the traces of an experiment that were requested until then, oldest first, at most `limit`.
    async fn list_traces_until(
        &self,
        experiment: &ExperimentId,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<TraceId>, StoreError>;

    /// Traces that were made in a run or linked to it, oldest first, at most `limit`.
    async fn list_traces_of_run(
        &self,
        run: &RunId,
        limit: usize,
    ) -> Result<Vec<TraceId>, StoreError>;
}

/// Evaluation datasets and their records.
#[async_trait]
pub trait DatasetStore: Send + Sync {
    /// Looks one up.
    async fn find_dataset(&self, id: &DatasetId) -> Result<Option<EvaluationDataset>, StoreError>;

    /// Searches. Without an order: last created first. No experiments: all of them, and those of none.
    async fn search_datasets(
        &self,
        experiments: &[ExperimentId],
        query: &SearchQuery,
        page: &PageRequest,
    ) -> Result<Page<EvaluationDataset>, StoreError>;

    /// The experiments that a dataset belongs to, in the order in which it was added to them.
    async fn list_experiments_of_dataset(
        &self,
        id: &DatasetId,
    ) -> Result<Vec<ExperimentId>, StoreError>;

    /// The records that have these inputs, which are named by `inputs_digest`.
    async fn find_records_by_inputs(
        &self,
        dataset: &DatasetId,
        inputs: &[String],
    ) -> Result<BTreeMap<String, DatasetRecordId>, StoreError>;

    /// Those of the records that are there.
    async fn list_records_there(
        &self,
        dataset: &DatasetId,
        ids: &[DatasetRecordId],
    ) -> Result<Vec<DatasetRecordId>, StoreError>;

    /// Records in the order in which they were made. A page of long records holds fewer than asked for.
    async fn list_records(
        &self,
        dataset: &DatasetId,
        page: &PageRequest,
    ) -> Result<Page<DatasetRecord>, StoreError>;
}

/// Issues.
#[async_trait]
pub trait IssueStore: Send + Sync {
    /// Looks one up.
    async fn find_issue(&self, id: &IssueId) -> Result<Option<Issue>, StoreError>;

    /// Searches: the worst first, then those that most traces show where these are counted, then the newest. No
    /// experiment: all of them.
    async fn search_issues(
        &self,
        experiment: Option<&ExperimentId>,
        query: &SearchQuery,
        counts_traces: bool,
        page: &PageRequest,
    ) -> Result<Page<CountedIssue>, StoreError>;
}

/// Label schemas.
#[async_trait]
pub trait LabelSchemaStore: Send + Sync {
    /// Looks one up.
    async fn find_label_schema(
        &self,
        id: &LabelSchemaId,
    ) -> Result<Option<LabelSchema>, StoreError>;

    /// Looks one up by its name, which is unique within the experiment.
    async fn find_label_schema_by_name(
        &self,
        experiment: &ExperimentId,
        name: &str,
    ) -> Result<Option<LabelSchema>, StoreError>;

    /// All of an experiment, the newest first.
    async fn list_label_schemas(
        &self,
        experiment: &ExperimentId,
    ) -> Result<Vec<LabelSchema>, StoreError>;
}

/// A scorer without its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownScorer {
    /// Its id.
    pub id: ScorerId,
    /// The last version that was given, deleted or not.
    pub last_version: VersionNumber,
}

/// Scorers and their versions.
#[async_trait]
pub trait ScorerStore: Send + Sync {
    /// Looks one up, which may have no version left.
    async fn find_scorer(
        &self,
        experiment: &ExperimentId,
        name: &str,
    ) -> Result<Option<KnownScorer>, StoreError>;

    /// The latest versions of all scorers of these experiments, by experiment and name.
    async fn list_scorers(
        &self,
        experiments: &[ExperimentId],
    ) -> Result<Vec<ScorerVersion>, StoreError>;

    /// The active experiments that have scorers, by their ids.
    async fn list_experiments_with_scorers(&self) -> Result<Vec<ExperimentId>, StoreError>;

    /// All versions of a scorer, the first first; none where there is no such scorer.
    async fn list_scorer_versions(
        &self,
        experiment: &ExperimentId,
        name: &str,
    ) -> Result<Vec<ScorerVersion>, StoreError>;

    /// How these scorers are to be applied to traces as they come, where it was said.
    async fn list_online_scorings(
        &self,
        scorers: &[ScorerId],
    ) -> Result<Vec<OnlineScoring>, StoreError>;
}

/// A delivery that is due: something that a webhook is to be told, and has not been.
#[derive(Clone, Debug, PartialEq)]
pub struct DueDelivery {
    /// Its id, which all attempts share.
    pub id: DeliveryId,
    /// Its number: a webhook is told in this order.
    pub number: u64,
    /// The webhook as it is now.
    pub webhook: Webhook,
    /// What the notice is called.
    pub event: WebhookEvent,
    /// When it happened.
    pub happened_at: Timestamp,
    /// The changes of the event that it follows from.
    pub changes: Vec<Change>,
    /// Which of their notices it is; see `Notice::list`.
    pub place: usize,
    /// How often it was tried.
    pub attempts: u32,
    /// Whether the ledger says already that it was given up.
    pub is_given_up: bool,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// It is not tried again: the webhook was told, or it was given up.
    Done,
    /// It is tried again.
    Again {
        /// How often it was tried.
        attempts: u32,
        /// When it is tried next.
        next_at: Timestamp,
    },
}

/// Webhooks, and what they are to be told.
///
/// What is to be told is noted by `Store::commit`, in the transaction of the change: one delivery for each notice and
/// each webhook that is active and wants it. Events of an import tell nothing.
#[async_trait]
pub trait WebhookStore: Send + Sync {
    /// Looks one up; a deleted one is not found.
    async fn find_webhook(&self, id: &WebhookId) -> Result<Option<Webhook>, StoreError>;

    /// Lists them, the newest first, without the deleted ones.
    async fn list_webhooks(&self, page: &PageRequest) -> Result<Page<Webhook>, StoreError>;

    /// The sealed secret of a webhook; none where it has none.
    async fn find_webhook_secret(&self, id: &WebhookId) -> Result<Option<Vec<u8>>, StoreError>;

    /// Active webhooks that have something due, those that wait longest first.
    async fn list_due_webhooks(&self, now: Timestamp) -> Result<Vec<WebhookId>, StoreError>;

    /// The next delivery of a webhook; none where nothing is due now.
    async fn find_due_delivery(
        &self,
        webhook: &WebhookId,
        now: Timestamp,
    ) -> Result<Option<DueDelivery>, StoreError>;

    /// Notes what came of an attempt. One that is done stays done, whatever is noted later.
    ///
    /// Only the holder of the webhook's lease may call it.
    async fn note_delivery(
        &self,
        webhook: &WebhookId,
        delivery: u64,
        outcome: DeliveryOutcome,
    ) -> Result<(), StoreError>;
}

/// A user, with what their password is checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownUser {
    /// The number by which MLflow's clients know them.
    pub number: i64,
    /// The name.
    pub name: String,
    /// Whether they may do everything.
    pub is_admin: bool,
    /// What the password is checked against.
    pub password: PasswordHash,
    /// When they were made.
    pub created_at: Timestamp,
}

/// A right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// To what.
    pub resource: Resource,
    /// How much.
    pub permission: Permission,
}

/// A right as a role has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRight {
    /// The number by which MLflow's clients know it.
    pub number: i64,
    /// The number of the role.
    pub role: i64,
    /// What it says.
    pub right: Right,
}

/// A role, or what stands for one in MLflow's answers: the rights of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRole {
    /// The number by which MLflow's clients know it.
    pub number: i64,
    /// The name.
    pub name: String,
    /// What somebody says of it.
    pub description: Option<String>,
    /// The number of the user whose own rights these are; none for a role.
    pub owner: Option<i64>,
    /// The rights, first those that were given first.
    pub rights: Vec<KnownRight>,
}

/// That a user has a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleMember {
    /// The number by which MLflow's clients know it.
    pub number: i64,
    /// The number of the user.
    pub user: i64,
    /// The number of the role.
    pub role: i64,
}

/// Users, tokens, roles and rights.
#[async_trait]
pub trait AccessStore: Send + Sync {
    /// Looks a user up by name.
    async fn find_user(&self, name: &str) -> Result<Option<KnownUser>, StoreError>;

    /// All users, first those that were made first.
    async fn list_users(&self) -> Result<Vec<KnownUser>, StoreError>;

    /// Looks a token up by its digest, with whom it stands for.
    async fn find_token(
        &self,
        digest: &ObjectId,
    ) -> Result<Option<(AccessToken, KnownUser)>, StoreError>;

    /// All tokens, first those that were made first.
    async fn list_tokens(&self) -> Result<Vec<AccessToken>, StoreError>;

    /// All rights of a user: their own, and those of their roles.
    async fn list_rights(&self, user: i64) -> Result<Vec<Right>, StoreError>;

    /// Looks a role up by its number.
    async fn find_role(&self, number: i64) -> Result<Option<KnownRole>, StoreError>;

    /// All roles, first those that were made first.
    async fn list_roles(&self) -> Result<Vec<KnownRole>, StoreError>;

    /// The roles of a user, in the order in which they were given.
    async fn list_roles_of_user(&self, user: i64) -> Result<Vec<KnownRole>, StoreError>;

    /// Who has a role, in the order in which it was given.
    async fn list_members(&self, role: i64) -> Result<Vec<RoleMember>, StoreError>;

    /// Looks a right up by its number.
    async fn find_right(&self, number: i64) -> Result<Option<KnownRight>, StoreError>;
}
