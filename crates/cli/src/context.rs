//! The composition root: opens the store, the objects, the key and everything that stands on them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use access::{Accounts, AccountsParts, HashingCost};
use cas::{Cas, CasOptions};
use datasets::Datasets;
use entities::{
    Caller, Change, Clock, Commit, Experiment, ObjectId, Permission, Random as _, Run, RunId,
    SearchQuery,
};
use executor::{CaptureSettings, Manifest, ProjectPaths, Workbench};
use ledger::{DirectoryTiles, SigningKey, TreeHead, VerifierKey};
use registry::Registry;
use store::{LedgerProgress, PageRequest, Store, StoreError, View};
use traces::Traces;
use tracking::{
    Departure, LedgerPublisher, Remembered, SalvagedRun, SignedMemory as _, Tracking, TrackingError,
};
use webhooks::{Webhooks, WebhooksParts};

use crate::database::{Database, NewStore, make_store, open_database};
use crate::destinations::with_destinations;
use crate::endpoints::LoopbackEndpoints;
use crate::error::CommandError;
use crate::faults::{executor_fault, objects_fault, store_fault, tracking_fault};
use crate::keys::read_key;
use crate::meanwhile::Meanwhile;
use crate::output::{Output, safe};
use crate::project::Project;
use crate::sealing::{SealingFile, webhook_network};
use crate::settings::{Orphans, Settings};
use crate::signed::{SignedFiles, signed_directory};
use crate::system::{SystemClock, SystemRandom, user_name, variable};

/// What several servers share, so that each takes the forms of the others: MLflow's servers have it there, too.
const FORM_SECRET: &str = "MLFLOW_FLASK_SERVER_SECRET_KEY";

/// Everything that a command works with.
pub(crate) struct Context {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) registry: Registry,
    pub(crate) traces: Traces,
    pub(crate) datasets: Datasets,
    pub(crate) bench: Workbench,
    pub(crate) settings: Settings,
    /// The public key of the ledger, as text.
    pub(crate) verifier_key: String,
    /// None where this user does not have it, and where nothing may be written.
    signing_key: Option<SigningKey>,
    /// What was signed last; none where there is no folder to remember it in.
    memory: Option<Arc<SignedFiles>>,
    project: Project,
    is_writable: bool,
    /// Whether it was said that something could not be recorded.
    has_warned: AtomicBool,
}

impl Context {
    /// Opens the store of the working directory, which must be there; it may be one that can only be read.
    pub(crate) async fn open(output: &Output) -> Result<Self, CommandError> {
        let context = Self::open_unchanged(output).await?;
        context.mark_interrupted(output).await?;
        Ok(context)
    }

    /// As `open`, and leaves the record as it is found.
    pub(crate) async fn open_unchanged(output: &Output) -> Result<Self, CommandError> {
        let project = Project::get(&working_directory()?)?;
        Self::compose(project, output).await
    }

    /// Opens the store of a project and leaves the record as it is found.
    pub(crate) async fn open_at(project: Project, output: &Output) -> Result<Self, CommandError> {
        Self::compose(project, output).await
    }

    /// Opens the store of the working directory, which must be there, to change something.
    pub(crate) async fn open_to_write(output: &Output) -> Result<Self, CommandError> {
        let project = Project::get(&working_directory()?)?;
        project.check_writable()?;
        Self::compose_and_mark(project, output).await
    }

    /// Opens the store of the working directory to change something; where there is none, makes one at the root of
    /// the git checkout, or here without git, and says so.
    pub(crate) async fn open_or_create(output: &Output) -> Result<Self, CommandError> {
        Self::open_or_create_found(NewStore::default(), output).await
    }

    /// As `open_or_create`; a new one is made as `new` says, and one that is there must be kept where it says.
    pub(crate) async fn open_or_create_found(
        new: NewStore<'_>,
        output: &Output,
    ) -> Result<Self, CommandError> {
        let here = working_directory()?;
        Project::refuse_remains(&here)?;
        if let Some(project) = Project::find(&here) {
            return Self::open_there(project, new, output).await;
        }
        let root = here
            .ancestors()
            .find(|directory| directory.join(".git").exists())
            .unwrap_or(&here)
            .to_owned();
        Self::lay_out(&root, new, output).await
    }

    /// As `open_or_create_found`, in this folder and none above it.
    pub(crate) async fn open_or_create_in(
        root: &Path,
        new: NewStore<'_>,
        output: &Output,
    ) -> Result<Self, CommandError> {
        match Project::find(root).filter(|project| project.root == root) {
            Some(project) => Self::open_there(project, new, output).await,
            None => Self::lay_out(root, new, output).await,
        }
    }

    async fn open_there(
        project: Project,
        new: NewStore<'_>,
        output: &Output,
    ) -> Result<Self, CommandError> {
        project.check_writable()?;
        if new.postgres.is_some() {
            // Its making may have been cut short.
            make_store(&project, new).await?;
        }
        Self::compose_and_mark(project, output).await
    }

    async fn lay_out(
        root: &Path,
        new: NewStore<'_>,
        output: &Output,
    ) -> Result<Self, CommandError> {
        let project = Project::lay_out(root)?;
        let is_ours = make_store(&project, new).await?;
        if is_ours {
            output.say(&format!(
                "reproof: made the store {}, and reproof.toml beside it, which belongs into git",
                project.store_directory().display()
            ));
        }
        Self::compose_and_mark(project, output).await
    }

    /// Makes the store of a project whose folders are there, or opens it.
    pub(crate) async fn create(
        project: Project,
        new: NewStore<'_>,
        output: &Output,
    ) -> Result<Self, CommandError> {
        make_store(&project, new).await?;
        Self::compose_and_mark(project, output).await
    }

    async fn compose_and_mark(project: Project, output: &Output) -> Result<Self, CommandError> {
        let context = Self::compose(project, output).await?;
        context.mark_interrupted(output).await?;
        Ok(context)
    }

    async fn compose(project: Project, output: &Output) -> Result<Self, CommandError> {
        // Settings first: they are what a user can mend, and nothing else has to be looked at for it.
        let settings = Settings::load(&project.root, &project.store_directory())?;
        let is_writable = project.is_writable();
        let Database {
            store,
            verifier_key,
        } = open_database(&project, is_writable).await?;
        let cas = open_objects(&project, is_writable, &verifier_key)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let signing_key = if is_writable {
            read_key(&verifier_key)?
        } else {
            None
        };
        if is_writable && signing_key.is_none() {
            output.warn("the key that signs this store's ledger is not here, so new events stay unsigned (E0021)");
        }
        let memory = SignedFiles::of(
            &parse_verifier_key(&verifier_key)?,
            &project.store_directory(),
        );
        let tracking = Tracking::new(
            store.clone(),
            cas.clone(),
            Arc::clone(&clock),
            Arc::new(SystemRandom),
        );
        let registry = Registry::new(store.clone(), cas.clone(), Arc::clone(&clock));
        let traces = Traces::new(store.clone(), Arc::clone(&clock), Arc::new(SystemRandom));
        let datasets = Datasets::new(store.clone(), Arc::clone(&clock), Arc::new(SystemRandom));
        let endpoints = LoopbackEndpoints {
            tracking: tracking.clone(),
            registry: registry.clone(),
            traces: traces.clone(),
            datasets: datasets.clone(),
            random: Arc::new(SystemRandom),
            user: user_name(),
        };
        let bench = Workbench {
            tracking,
            cas,
            clock,
            random: Arc::new(SystemRandom),
            endpoints: Some(Arc::new(endpoints)),
            project: ProjectPaths {
                root: project.root.clone(),
                store_directory: project.store_directory(),
                cache_directory: project.cache(),
                temporary_directory: project.temporary(),
                signed_directory: signed_directory(),
            },
            settings: capture_settings(&settings, signing_key.as_ref()),
            caller: Caller::local(&user_name()),
            user: user_name(),
            environment: std::env::vars_os().collect(),
        };
        Ok(Self {
            store,
            registry,
            traces,
            datasets,
            bench,
            settings,
            verifier_key,
            signing_key,
            memory: memory.map(Arc::new),
            project,
            is_writable,
            has_warned: AtomicBool::new(false),
        })
    }

    /// Marks runs that a killed process left open, and removes what it left in the temporary folder.
    pub(crate) async fn mark_interrupted(&self, output: &Output) -> Result<(), CommandError> {
        let temporary = &self.bench.project.temporary_directory;
        let marked = self
            .bench
            .tracking
            .mark_interrupted(
                &self.bench.caller,
                &|run, process| executor::is_run_alive(temporary, run, process),
                &|run| self.salvage(run, output),
            )
            .await;
        let interrupted = match marked {
            Ok(interrupted) => interrupted,
            // Such a store can be looked at; a newer program will mark them.
            Err(TrackingError::Store(StoreError::Newer { .. })) => return Ok(()),
            Err(TrackingError::Store(StoreError::ReadOnly)) => {
                self.warn_unrecorded(
                    "a run was left open by a process that is gone, which could not be recorded: the store can only be read",
                    output,
                );
                return Ok(());
            }
            Err(error) => return Err(tracking_fault(error)),
        };
        for run in &interrupted {
            output.say(&format!(
                "reproof: run {} was left open by a process that is gone; it is marked interrupted",
                executor::short_id(run)
            ));
        }
        if !interrupted.is_empty() {
            self.publish_or_warn(output).await;
        }
        if !self.is_writable {
            return Ok(());
        }
        // After the marking, which asks the locks of what is removed here.
        let open = self.store.list_open_runs().await.map_err(store_fault)?;
        let has_open_runs = open.iter().any(|run| run.process.is_some());
        executor::sweep_temporary(temporary, has_open_runs);
        Ok(())
    }

    /// Keeps what a killed process left of a run.
    fn salvage(&self, run: &RunId, output: &Output) -> Option<SalvagedRun> {
        if !self.is_writable {
            return None;
        }
        let temporary = &self.bench.project.temporary_directory;
        executor::salvage(&self.bench.cas, temporary, run).unwrap_or_else(|error| {
            output.warn(&format!(
                "what run {} was started with is lost: {error}",
                executor::short_id(run)
            ));
            None
        })
    }

    /// Warns that something could not be recorded, once in a command.
    pub(crate) fn warn_unrecorded(&self, text: &str, output: &Output) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            output.warn(text);
        }
    }

    /// Puts every committed event into the tree and signs it.
    pub(crate) async fn publish(&self) -> Result<(), CommandError> {
        let Some(publisher) = self.publisher() else {
            return Ok(());
        };
        publisher
            .publish(self.bench.clock.now())
            .await
            .map_err(tracking_fault)?;
        Ok(())
    }

    /// Publishes after work that is done and recorded: that it could not be signed yet is worth a warning, no more.
    pub(crate) async fn publish_or_warn(&self, output: &Output) {
        if let Err(error) = self.publish().await {
            output.warn(&format!(
                "the ledger could not be signed: {} ({})",
                error.message(),
                error.code()
            ));
        }
    }

    /// Publishes now and then while a long command is under way, where there is a key, and keeps histories in order.
    pub(crate) fn work_meanwhile(&self) -> Meanwhile {
        Meanwhile::start(
            Arc::clone(&self.store),
            self.publisher(),
            Arc::clone(&self.bench.clock),
        )
    }

    /// The services over webhooks, as a server has them.
    pub(crate) fn webhooks(&self) -> Result<Webhooks, CommandError> {
        let keys = SealingFile::of(&parse_verifier_key(&self.verifier_key)?);
        Ok(Webhooks::new(WebhooksParts {
            store: self.store.clone(),
            clock: Arc::clone(&self.bench.clock),
            random: Arc::clone(&self.bench.random),
            keys: Arc::new(keys),
            network: webhook_network(),
        }))
    }

    /// The services over users and rights, as a server has them.
    pub(crate) fn accounts(&self, default_permission: Permission) -> Accounts {
        Accounts::new(AccountsParts {
            store: self.store.clone(),
            clock: Arc::clone(&self.bench.clock),
            random: Arc::clone(&self.bench.random),
            default_permission,
            cost: HashingCost::default(),
            form_secret: variable(FORM_SECRET).filter(|secret| !secret.is_empty()),
        })
    }

    /// Those that commands need, which ask for no rights.
    pub(crate) fn own_accounts(&self) -> Accounts {
        self.accounts(Permission::NoPermissions)
    }

    fn publisher(&self) -> Option<LedgerPublisher> {
        let key = self.signing_key.as_ref()?;
        let memory = self.memory.clone()?;
        let tiles = DirectoryTiles::new(self.project.ledger());
        Some(LedgerPublisher::new(
            self.store.clone(),
            tiles,
            key.clone(),
            memory,
            &SystemRandom,
        ))
    }

    /// Whether this user can sign the ledger.
    pub(crate) const fn has_key(&self) -> bool {
        self.signing_key.is_some()
    }

    pub(crate) fn project(&self) -> &Project {
        &self.project
    }

    /// A value as it may be written down under a name: what is logged cannot be forgotten.
    pub(crate) fn mask(&self, key: &str, value: &str) -> String {
        executor::mask(&self.bench.settings, key, value)
    }

    /// What this user signed last for this store, if anything.
    pub(crate) fn remembered(&self) -> Result<Option<Remembered>, CommandError> {
        let Some(memory) = &self.memory else {
            return Ok(None);
        };
        memory
            .last()
            .map_err(|source| tracking_fault(TrackingError::Memory { source }))
    }

    /// How the ledger departs from what this user signed before, if it does.
    pub(crate) fn find_departure(&self) -> Result<Option<Departure>, CommandError> {
        let Some(memory) = &self.memory else {
            return Ok(None);
        };
        let tiles = DirectoryTiles::new(self.project.ledger());
        let key = parse_verifier_key(&self.verifier_key)?;
        tracking::find_departure(&tiles, &key, memory.as_ref()).map_err(tracking_fault)
    }

    /// Makes sure that `accept` can do what it is for.
    pub(crate) fn check_can_accept(&self) -> Result<(), CommandError> {
        let (Some(_), Some(memory)) = (&self.signing_key, &self.memory) else {
            return Err(CommandError::system(
                "E0021",
                "the key that signs this store's ledger is not here",
            ));
        };
        memory
            .check_writable()
            .map_err(|source| tracking_fault(TrackingError::Memory { source }))
    }

    /// Takes what is signed in the store as what this user signed last. Needs the key.
    pub(crate) fn accept(&self, departure: &Departure) -> Result<(), CommandError> {
        let (Some(key), Some(memory)) = (&self.signing_key, &self.memory) else {
            return Err(CommandError::system(
                "E0021",
                "the key that signs this store's ledger is not here",
            ));
        };
        departure
            .accept(key, memory.as_ref())
            .map_err(tracking_fault)
    }

    /// The first fault of tiles, checkpoint and their agreement with the database, if any.
    pub(crate) async fn find_tile_fault(
        &self,
        progress: LedgerProgress,
        remembered: Option<TreeHead>,
    ) -> Result<Option<String>, CommandError> {
        let tiles = DirectoryTiles::new(self.project.ledger());
        let key = parse_verifier_key(&self.verifier_key)?;
        tracking::verify_tiles(&tiles, &[key], self.store.as_ref(), progress, remembered)
            .await
            .map_err(tracking_fault)
    }

    /// Finds a run by id, the beginning of one, name, or `latest`.
    pub(crate) async fn resolve_run(&self, reference: &str) -> Result<Run, CommandError> {
        self.bench
            .tracking
            .resolve_run(reference)
            .await
            .map_err(tracking_fault)
    }

    pub(crate) async fn experiment(&self, name: &str) -> Result<Experiment, CommandError> {
        let found = self.store.find_experiment_by_name(name).await;
        if let Some(experiment) = found.map_err(store_fault)? {
            return Ok(experiment);
        }
        let names = self.experiment_names().await?;
        Err(
            CommandError::usage("E0022", format!("no experiment is named `{name}`"))
                .hint(format!("there are: {}", names.join(", "))),
        )
    }

    /// Names of the experiments, at most some.
    async fn experiment_names(&self) -> Result<Vec<String>, CommandError> {
        const SHOWN_MAX: usize = 10;
        let page = self
            .store
            .search_experiments(
                &SearchQuery::default(),
                View::Active,
                &PageRequest::first(SHOWN_MAX),
            )
            .await
            .map_err(store_fault)?;
        let mut names: Vec<_> = page
            .items
            .iter()
            .map(|experiment| format!("`{}`", safe(&experiment.name)))
            .collect();
        if page.next.is_some() {
            names.push("…".to_owned());
        }
        Ok(names)
    }

    /// The subject that a text on the command line means: a run, or what stands after the noun.
    pub(crate) async fn subject(&self, text: &str) -> Result<String, CommandError> {
        if text.contains(':') || text == "ledger" || text == "store" {
            return Ok(text.to_owned());
        }
        Ok(format!("run:{}", self.resolve_run(text).await?.id))
    }

    pub(crate) fn manifest(&self, run: &Run) -> Result<Manifest, CommandError> {
        executor::read_manifest(&self.bench.cas, run).map_err(executor_fault)
    }

    /// A commit of this user, now, about the whole store.
    pub(crate) fn new_commit(&self, kind: &'static str, subject: String, change: Change) -> Commit {
        Commit {
            actor: self.bench.caller.actor.clone(),
            at: self.bench.clock.now(),
            kind,
            subjects: vec![subject],
            reason: None,
            request: None,
            changes: vec![change],
        }
    }
}

pub(crate) fn parse_verifier_key(text: &str) -> Result<VerifierKey, CommandError> {
    text.parse()
        .map_err(|error| CommandError::caused("E0011", &error))
}

/// Opens the objects of a store; where it may only be read, nothing is made.
fn open_objects(
    project: &Project,
    is_writable: bool,
    verifier_key: &str,
) -> Result<Cas, CommandError> {
    let (objects, temporary) = (project.objects(), project.temporary());
    let options = CasOptions::default();
    let opened = if is_writable {
        project.make_folders()?;
        Cas::open(&objects, &temporary, options)
    } else {
        Cas::open_read_only(&objects, &temporary, options)
    };
    with_destinations(opened.map_err(objects_fault)?, project, verifier_key)
}

fn capture_settings(settings: &Settings, key: Option<&SigningKey>) -> CaptureSettings {
    let Settings {
        capture,
        redaction,
        replay,
        retention: _,
    } = settings;
    CaptureSettings {
        size_limit_bytes: capture.size_limit.0,
        code_file_limit_bytes: capture.code_file_limit.0,
        metrics_files: capture.metrics.clone(),
        ends_orphans: capture.orphans == Orphans::End,
        sample_interval_ms: capture.sample_interval_ms,
        allowed_variables: redaction.allow_variables.clone(),
        secret_files: [redaction.secret_files.clone(), crate::keys::key_patterns()].concat(),
        variable_key: variable_key(key),
        method: capture::trace::MethodChoice::Auto,
        timings: replay.timings.clone(),
    }
}

/// Key of the digests of variables: nobody who has the store alone can try values against the digests.
fn variable_key(key: Option<&SigningKey>) -> [u8; 32] {
    if let Some(key) = key {
        return *ObjectId::of(format!("reproof variable digests v1\n{}", key.encode()).as_bytes())
            .as_bytes();
    }
    // Without the key no digest can be compared with earlier ones; a guessable key would be worse.
    let mut drawn = [0; 32];
    SystemRandom.fill(&mut drawn);
    drawn
}

pub(crate) fn working_directory() -> Result<PathBuf, CommandError> {
    std::env::current_dir()
        .and_then(|directory| directory.canonicalize())
        .map_err(|error| {
            CommandError::system(
                "E0018",
                format!("cannot tell the working directory: {error}"),
            )
        })
}
