//! Changes of state: what the body of an event says, and all that a store can be told to do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    AccessToken, Artifact, DatasetId, DatasetInput, DatasetRecordId, EvaluationDataset, Experiment,
    ExperimentId, Holder, Issue, IssueId, IssueUpdate, LabelSchema, LabelSchemaId,
    LabelSchemaUpdate, Lifecycle, LoggedModel, MergedRecord, Metric, ModelId, ModelOutput,
    ModelStatus, ModelVersion, ObjectId, OnlineScoring, PasswordHash, Permission, RegisteredModel,
    ReplayVerdict, Resource, Run, RunId, RunStatus, ScorerVersion, SealedRecord, SealedSecret,
    SecretUpdate, Stage, Timestamp, TokenId, TraceId, VersionNumber, Webhook, WebhookId,
    WebhookUpdate,
};

/// One change of state.
///
/// The database is a projection of these: `audit verify` applies them all again, in the ledger's order, to an
/// empty database and compares the rows.
/// So a change holds everything that its rows hold, and applying it reads nothing but rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// The store was made; the first change of every ledger.
    StoreInitialised {
        /// Name of the ledger, which is the origin line of its checkpoints.
        origin: String,
        /// The public key, in the text form of signed notes.
        verifier_key: String,
    },
    /// An experiment was created; fails if its id or name is taken.
    ExperimentCreated {
        /// All of it.
        experiment: Experiment,
    },
    /// An experiment was renamed; fails if the name is taken or the experiment is deleted.
    ExperimentRenamed {
        /// Which.
        experiment: ExperimentId,
        /// The new name.
        name: String,
        /// When.
        at: Timestamp,
    },
    /// An experiment was deleted or restored, with the runs named.
    ExperimentLifecycleSet {
        /// Which.
        experiment: ExperimentId,
        /// The new state.
        lifecycle: Lifecycle,
        /// Runs that change with it.
        runs: Vec<RunId>,
        /// When.
        at: Timestamp,
    },
    /// Tags of an experiment were set.
    ExperimentTagsSet {
        /// Which.
        experiment: ExperimentId,
        /// The tags; others stay.
        tags: BTreeMap<String, String>,
        /// When.
        at: Timestamp,
    },
    /// A tag of an experiment was deleted; fails if there is none.
    ExperimentTagDeleted {
        /// Which.
        experiment: ExperimentId,
        /// The tag.
        key: String,
        /// When.
        at: Timestamp,
    },
    /// A run was created; fails if its id is taken or its experiment is not active.
    RunCreated {
        /// All of it.
        run: Run,
    },
    /// A run's status, end or name was changed; what is none stays.
    RunUpdated {
        /// Which.
        run: RunId,
        /// The new status.
        status: Option<RunStatus>,
        /// When it ended.
        ended_at: Option<Timestamp>,
        /// The new name.
        name: Option<String>,
    },
    /// A run was found open without its process.
    RunInterrupted {
        /// Which.
        run: RunId,
        /// When it was found.
        at: Timestamp,
    },
    /// A run was deleted or restored.
    RunLifecycleSet {
        /// Which.
        run: RunId,
        /// The new state.
        lifecycle: Lifecycle,
    },
    /// Deleted runs were removed for good, with all that was logged to them, the models that they made, and the
    /// artifacts of both; fails if one is not there, not deleted, or held.
    RunsRemoved {
        /// Which.
        runs: Vec<RunId>,
    },
    /// A deleted experiment was removed for good, with its models, traces, scorers, issues and label schemas; fails if it has runs. Its name is
    /// free again, its id is not given again.
    ExperimentRemoved {
        /// Which.
        experiment: ExperimentId,
    },
    /// A run's manifest was recorded.
    ManifestRecorded {
        /// Which.
        run: RunId,
        /// The recipe, which is the fingerprint.
        recipe: ObjectId,
        /// The record.
        record: ObjectId,
    },
    /// Params were logged; fails if one is there with another value, the same value again does nothing.
    ParamsLogged {
        /// To which run.
        run: RunId,
        /// The params.
        params: BTreeMap<String, String>,
    },
    /// Tags were set; others stay.
    TagsSet {
        /// Of which run.
        run: RunId,
        /// The tags.
        tags: BTreeMap<String, String>,
    },
    /// A tag was deleted; fails if there is none.
    TagDeleted {
        /// Of which run.
        run: RunId,
        /// The tag.
        key: String,
    },
    /// Metric points were logged.
    MetricsLogged {
        /// To which run.
        run: RunId,
        /// Digest of the encoded `MetricBlock`.
        block: ObjectId,
        /// How many points it holds.
        points: u64,
        /// Its bytes. They are kept beside the event, not in its body.
        #[serde(skip)]
        encoded: Vec<u8>,
    },
    /// Datasets and models were declared as inputs.
    InputsLogged {
        /// Of which run.
        run: RunId,
        /// The datasets.
        datasets: Vec<DatasetInput>,
        /// The models.
        models: Vec<ModelId>,
    },
    /// Models were declared as outputs.
    OutputsLogged {
        /// Of which run.
        run: RunId,
        /// The models.
        models: Vec<ModelOutput>,
    },
    /// Artifacts were put; one that was there under the same path is replaced.
    ArtifactsPut {
        /// The artifacts.
        artifacts: Vec<Artifact>,
    },
    /// An artifact, or a folder with all below it, was deleted.
    ArtifactDeleted {
        /// The path.
        path: String,
    },
    /// A logged model was created; fails if its id is taken.
    ModelLogged {
        /// All of it.
        model: LoggedModel,
    },
    /// A logged model's status was changed.
    ModelStatusSet {
        /// Which.
        model: ModelId,
        /// The new status.
        status: ModelStatus,
        /// When.
        at: Timestamp,
    },
    /// Tags of a logged model were set; others stay.
    ModelTagsSet {
        /// Which.
        model: ModelId,
        /// The tags.
        tags: BTreeMap<String, String>,
        /// When.
        at: Timestamp,
    },
    /// A tag of a logged model was deleted; fails if there is none.
    ModelTagDeleted {
        /// Which.
        model: ModelId,
        /// The tag.
        key: String,
        /// When.
        at: Timestamp,
    },
    /// Params of a logged model were logged.
    ModelParamsLogged {
        /// Which.
        model: ModelId,
        /// The params.
        params: BTreeMap<String, String>,
        /// When.
        at: Timestamp,
    },
    /// A logged model was deleted.
    ModelDeleted {
        /// Which.
        model: ModelId,
        /// When.
        at: Timestamp,
    },
    /// A model was registered under a name; fails if the name is taken.
    RegisteredModelCreated {
        /// All of it.
        model: RegisteredModel,
    },
    /// A registered model was renamed, with all its versions; fails if the name is taken.
    RegisteredModelRenamed {
        /// Which.
        name: String,
        /// The new name.
        new_name: String,
        /// When.
        at: Timestamp,
    },
    /// A registered model was described.
    RegisteredModelDescribed {
        /// Which.
        name: String,
        /// The description.
        description: Option<String>,
        /// When.
        at: Timestamp,
    },
    /// A registered model was deleted with all its versions; its name is free again.
    RegisteredModelDeleted {
        /// Which.
        name: String,
    },
    /// Tags of a registered model were set; others stay.
    RegisteredModelTagsSet {
        /// Which.
        name: String,
        /// The tags.
        tags: BTreeMap<String, String>,
    },
    /// A tag of a registered model was deleted; without one, nothing happens.
    RegisteredModelTagDeleted {
        /// Which.
        name: String,
        /// The tag.
        key: String,
    },
    /// An alias was made to point at a version.
    AliasSet {
        /// Of which registered model.
        name: String,
        /// The alias.
        alias: String,
        /// The version, which must be there.
        version: VersionNumber,
    },
    /// An alias was deleted; without one, nothing happens.
    AliasDeleted {
        /// Of which registered model.
        name: String,
        /// The alias.
        alias: String,
    },
    /// A version was registered; fails if its number is not the next one of its model.
    ModelVersionCreated {
        /// All of it.
        version: ModelVersion,
    },
    /// A version was described.
    ModelVersionDescribed {
        /// Of which registered model.
        name: String,
        /// Which version.
        version: VersionNumber,
        /// The description.
        description: Option<String>,
        /// When.
        at: Timestamp,
    },
    /// A version was moved to a stage, and others out of it.
    ModelVersionStageSet {
        /// Of which registered model.
        name: String,
        /// Which version.
        version: VersionNumber,
        /// The stage.
        stage: Stage,
        /// Versions that were archived with it.
        archived: Vec<VersionNumber>,
        /// When.
        at: Timestamp,
    },
    /// A version was deleted, with the aliases that point at it; its number is not given again.
    ModelVersionDeleted {
        /// Of which registered model.
        name: String,
        /// Which version.
        version: VersionNumber,
        /// When.
        at: Timestamp,
    },
    /// Tags of a version were set; others stay.
    ModelVersionTagsSet {
        /// Of which registered model.
        name: String,
        /// Which version.
        version: VersionNumber,
        /// The tags.
        tags: BTreeMap<String, String>,
    },
    /// A tag of a version was deleted; without one, nothing happens.
    ModelVersionTagDeleted {
        /// Of which registered model.
        name: String,
        /// Which version.
        version: VersionNumber,
        /// The tag.
        key: String,
    },
    /// Something was said of a trace, which is made by the first record; only those may come that make one.
    TraceLogged {
        /// Which.
        trace: TraceId,
        /// The experiment that it belongs to, where these make it.
        experiment: ExperimentId,
        /// URI below which its files are kept.
        artifact_uri: String,
        /// What was said, in its order.
        records: Vec<SealedRecord>,
    },
    /// Something was said of a trace that is there; fails if it is not.
    TraceNoted {
        /// Which.
        trace: TraceId,
        /// What was said, in its order.
        records: Vec<SealedRecord>,
    },
    /// A tag of a trace was deleted; fails if there is none.
    TraceTagDeleted {
        /// Of which trace.
        trace: TraceId,
        /// The tag.
        key: String,
    },
    /// An assessment was deleted, which makes the one that it replaced valid again; without one, nothing happens.
    AssessmentDeleted {
        /// Of which trace.
        trace: TraceId,
        /// Its id.
        assessment: String,
    },
    /// Traces were linked to a run; a second time does nothing.
    TracesLinked {
        /// Which.
        traces: Vec<TraceId>,
        /// The run.
        run: RunId,
    },
    /// Versions of prompts were linked to a trace; a second time does nothing.
    PromptsLinked {
        /// The trace.
        trace: TraceId,
        /// Names and versions.
        prompts: Vec<(String, String)>,
    },
    /// Traces were removed for good, with all that was said of them.
    TracesDeleted {
        /// Which.
        traces: Vec<TraceId>,
    },
    /// An evaluation dataset was created; fails if its id is taken or an experiment is not there.
    DatasetCreated {
        /// All of it.
        dataset: EvaluationDataset,
        /// The experiments that it belongs to.
        experiments: Vec<ExperimentId>,
    },
    /// Tags of an evaluation dataset were set; others stay.
    DatasetTagsSet {
        /// Which.
        dataset: DatasetId,
        /// The tags.
        tags: BTreeMap<String, String>,
    },
    /// A tag of an evaluation dataset was deleted; without one, nothing happens.
    DatasetTagDeleted {
        /// Of which dataset.
        dataset: DatasetId,
        /// The tag.
        key: String,
    },
    /// An evaluation dataset was added to experiments, which must be there; a second time does nothing.
    DatasetExperimentsAdded {
        /// Which.
        dataset: DatasetId,
        /// The experiments.
        experiments: Vec<ExperimentId>,
        /// When.
        at: Timestamp,
    },
    /// An evaluation dataset was taken out of experiments.
    DatasetExperimentsRemoved {
        /// Which.
        dataset: DatasetId,
        /// The experiments.
        experiments: Vec<ExperimentId>,
        /// When.
        at: Timestamp,
    },
    /// Records were merged into an evaluation dataset; fails if one has the inputs of another that is there.
    DatasetRecordsMerged {
        /// Which.
        dataset: DatasetId,
        /// What was said of each, in its order.
        records: Vec<MergedRecord>,
        /// The `SchemaAddition`, where there is something to add.
        schema: Option<SealedRecord>,
        /// Who said so.
        by: Option<String>,
        /// When.
        at: Timestamp,
    },
    /// Records of an evaluation dataset were removed for good, with all that was said of them.
    DatasetRecordsDeleted {
        /// Of which dataset.
        dataset: DatasetId,
        /// Which; those that are not there are passed over.
        records: Vec<DatasetRecordId>,
    },
    /// An evaluation dataset was removed for good, with its records and all that was said of them.
    DatasetDeleted {
        /// Which.
        dataset: DatasetId,
    },
    /// An issue was made; fails if its id is taken or its experiment is not active.
    IssueCreated {
        /// All of it.
        issue: Issue,
    },
    /// An issue was changed; fails if there is none.
    IssueUpdated {
        /// Which.
        issue: IssueId,
        /// What is changed.
        update: IssueUpdate,
        /// When.
        at: Timestamp,
    },
    /// A label schema was made; fails if its id or name is taken or its experiment is not active.
    LabelSchemaCreated {
        /// All of it.
        schema: LabelSchema,
    },
    /// A label schema was changed; fails if there is none, or its new name is taken.
    LabelSchemaUpdated {
        /// Which.
        schema: LabelSchemaId,
        /// What is changed.
        update: LabelSchemaUpdate,
        /// When.
        at: Timestamp,
    },
    /// A label schema was deleted; fails if there is none.
    LabelSchemaDeleted {
        /// Which.
        schema: LabelSchemaId,
    },
    /// A version of a scorer was registered; fails if its number is not the next one.
    ScorerRegistered {
        /// All of it.
        version: ScorerVersion,
    },
    /// A version of a scorer was deleted; its number is not given again.
    ScorerVersionDeleted {
        /// Of which experiment.
        experiment: ExperimentId,
        /// Name of the scorer.
        name: String,
        /// Which version.
        version: VersionNumber,
    },
    /// A scorer was deleted with all its versions; its name is free again.
    ScorerDeleted {
        /// Of which experiment.
        experiment: ExperimentId,
        /// Its name.
        name: String,
    },
    /// It was said how a scorer is to be applied to traces as they come.
    OnlineScoringSet {
        /// All of it; what was said before is replaced.
        scoring: OnlineScoring,
    },
    /// A webhook was made; fails if its id is taken.
    WebhookCreated {
        /// All of it.
        webhook: Webhook,
        /// What deliveries to it are signed with.
        secret: Option<SealedSecret>,
    },
    /// A webhook was changed; fails if it is not there.
    WebhookUpdated {
        /// Which.
        webhook: WebhookId,
        /// What changes of it.
        update: WebhookUpdate,
        /// When.
        at: Timestamp,
    },
    /// A webhook was deleted: its secret is gone for good, and what it was to be told is not told any more.
    WebhookDeleted {
        /// Which.
        webhook: WebhookId,
        /// When.
        at: Timestamp,
    },
    /// A delivery to a webhook was given up; a second time changes nothing.
    DeliveryGivenUp {
        /// To which webhook.
        webhook: WebhookId,
        /// The number of the delivery.
        delivery: u64,
        /// How often it was tried.
        attempts: u32,
        /// What came of the last attempt.
        why: String,
        /// When.
        at: Timestamp,
    },
    /// A user was made; fails if the name is taken.
    UserCreated {
        /// The name.
        name: String,
        /// Whether they may do everything.
        is_admin: bool,
        /// What the password is checked against.
        password: PasswordHash,
        /// When.
        at: Timestamp,
    },
    /// A user was given another password; fails if there is no such user.
    UserPasswordSet {
        /// The hash in whose place alone it comes: it is one of the same password. None where the password is another.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replaces: Option<ObjectId>,
        /// Who.
        name: String,
        /// What the password is checked against from now on.
        password: PasswordHash,
        /// When.
        at: Timestamp,
    },
    /// It was said whether a user may do everything; fails if there is no such user.
    UserAdminSet {
        /// Who.
        name: String,
        /// Whether they may.
        is_admin: bool,
        /// When.
        at: Timestamp,
    },
    /// A user was deleted, with tokens and rights; the name is free again.
    UserDeleted {
        /// Who.
        name: String,
    },
    /// A token was made for a user.
    TokenCreated {
        /// All of it, but the token itself.
        token: AccessToken,
    },
    /// A token was revoked; fails if it is not there.
    TokenRevoked {
        /// Which.
        token: TokenId,
    },
    /// A role was made; fails if the name is taken.
    RoleCreated {
        /// The name.
        name: String,
        /// What somebody says of it.
        description: Option<String>,
    },
    /// A role was changed; what is none stays. Fails if it is not there or the new name is taken.
    RoleUpdated {
        /// Which.
        name: String,
        /// The new name.
        new_name: Option<String>,
        /// The new description.
        description: Option<String>,
    },
    /// A role was deleted, with its rights.
    RoleDeleted {
        /// Which.
        name: String,
    },
    /// A user was given a role; fails if they have it.
    RoleAssigned {
        /// Which.
        role: String,
        /// Who.
        user: String,
    },
    /// A role was taken from a user; fails if they have it not.
    RoleUnassigned {
        /// Which.
        role: String,
        /// From whom.
        user: String,
    },
    /// A right was given; fails if the holder has one to the same resource.
    AccessGranted {
        /// To whom.
        holder: Holder,
        /// To what.
        resource: Resource,
        /// How much.
        permission: Permission,
    },
    /// A right was given, in place of one to the same resource where there was one.
    AccessSet {
        /// To whom.
        holder: Holder,
        /// To what.
        resource: Resource,
        /// How much.
        permission: Permission,
    },
    /// A right was taken; fails if it is not there.
    AccessRevoked {
        /// From whom.
        holder: Holder,
        /// To what.
        resource: Resource,
    },
    /// A replay was judged.
    ReplayJudged {
        /// The verdict.
        verdict: ReplayVerdict,
    },
    /// An object was removed for good.
    ObjectForgotten {
        /// Which.
        object: ObjectId,
        /// Why.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// The ledger was verified.
    LedgerVerified {
        /// How many events it held.
        size: u64,
        /// The first fault, where there was one.
        fault: Option<String>,
    },
    /// Its signer took a ledger as right that does not contain what was signed before, such as a copy that was put back.
    LedgerAccepted {
        /// How many events were signed before.
        signed_size: u64,
        /// The root of their tree, in Base64.
        signed_root: String,
        /// How many of the events that are there now were signed.
        found_size: u64,
        /// The root of their tree, in Base64.
        found_root: String,
    },
}

impl Change {
    /// Whether something is to be gone for good with it, of which the event holds a digest alone.
    pub const fn erases(&self) -> bool {
        match self {
            Self::RunsRemoved { .. }
            | Self::ExperimentRemoved { .. }
            | Self::TracesDeleted { .. }
            | Self::DatasetRecordsDeleted { .. }
            | Self::DatasetDeleted { .. }
            | Self::WebhookDeleted { .. }
            | Self::UserPasswordSet { .. }
            | Self::UserDeleted { .. } => true,
            Self::WebhookUpdated { update, .. } => !matches!(update.secret, SecretUpdate::Kept),
            _ => false,
        }
    }

    /// Logs points to a run.
    pub fn metrics(run: RunId, points: Vec<Metric>) -> Self {
        let count = points.len() as u64;
        let encoded = crate::MetricBlock { points }.encode();
        let block = crate::MetricBlock::digest(&encoded);
        Self::MetricsLogged {
            run,
            block,
            points: count,
            encoded,
        }
    }
}
