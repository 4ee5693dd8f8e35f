//! A whole store with its services in a temporary folder.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use access::{Accounts, AccountsParts, HashingCost};
use cas::{Cas, CasOptions};
use datasets::Datasets;
use entities::{Caller, Clock as _, Permission, Random, Run};
use ledger::{Checkpoint, DirectoryTiles, SigningKey, TreeHead, VerifierKey};
use registry::Registry;
use store::Store;
use store_sqlite::{OpenOptions, Sqlite, SqliteStore};
use tempfile::TempDir;
use traces::Traces;
use tracking::{LedgerPublisher, NewRun, Remembered, SignedMemory, Tracking, first_commit};

use webhooks::{Network, SystemResolver, Webhooks, WebhooksParts};

use crate::{HeldKeys, MockClock, NamedHosts, SeededRandom, TestSchema, parsed};

/// The name of the ledger of a bench.
pub const ORIGIN: &str = "reproof.local/test";

/// A store, its objects and its services, with a clock that ticks a millisecond at each look.
///
/// The folder goes when this is dropped.
pub struct TestBench {
    /// The services.
    pub tracking: Tracking,
    /// The services over registered models.
    pub registry: Registry,
    /// The services over traces.
    pub traces: Traces,
    /// The services over evaluation datasets and scorers.
    pub datasets: Datasets,
    /// The services over webhooks, which may be on public addresses.
    pub webhooks: Webhooks,
    /// The services over users and rights, with `READ` as default and hashes that cost as little as they can.
    pub accounts: Accounts,
    /// The key that seals the secrets of webhooks.
    pub sealing_keys: Arc<HeldKeys>,
    /// The database below them.
    pub store: Arc<dyn Store>,
    /// Their clock.
    pub clock: Arc<MockClock>,
    /// Their generator.
    pub random: Arc<SeededRandom>,
    /// Somebody to act for.
    pub caller: Caller,
    /// The key of the ledger.
    pub key: SigningKey,
    /// What was signed with it last.
    pub memory: Arc<VolatileMemory>,
    directory: TempDir,
    /// Where the database is not a file of the folder.
    _schema: Option<TestSchema>,
}

/// A run of experiment `0` that Ann starts, to be created.
pub fn new_run() -> NewRun {
    NewRun {
        id: None,
        experiment: parsed("0"),
        name: None,
        user: "ann".to_owned(),
        started_at: None,
        tags: BTreeMap::new(),
        parent: None,
        replay_of: None,
        process: None,
    }
}

impl TestBench {
    /// Makes a store with its first commit, whose database is a file.
    ///
    /// *Panics* if the system does not let it.
    pub async fn new() -> Self {
        Self::make(None).await
    }

    /// As `new`, with a database of PostgreSQL; none where there is no server to test on, which is said.
    ///
    /// *Panics* if the system does not let it.
    pub async fn on_postgres() -> Option<Self> {
        Some(Self::make(Some(TestSchema::make()?)).await)
    }

    async fn make(schema: Option<TestSchema>) -> Self {
        let directory = TempDir::new().expect("a temporary folder can be made");
        let random = Arc::new(SeededRandom::new(1));
        let clock = Arc::new(MockClock::ticking(1000));
        let caller = Caller::local("ann");
        let key = SigningKey::generate(ORIGIN, random.as_ref()).expect("the name is valid");
        let first = first_commit(&caller, &key.verifier(), None, clock.now());
        let store: Arc<dyn Store> = if let Some(schema) = &schema {
            let store = schema.open(2).await;
            let made = store.commit(first).await;
            made.expect("a store can be made in an empty schema");
            Arc::new(store)
        } else {
            let path = directory.path().join("reproof.db");
            let random = Arc::clone(&random) as Arc<dyn Random>;
            let made = Sqlite::initialise(&path, random, first).await;
            Arc::new(made.expect("a store can be made in an empty folder"))
        };
        let cas = Cas::open(
            &directory.path().join("objects"),
            &directory.path().join("tmp"),
            CasOptions::default(),
        )
        .expect("objects can be kept in an empty folder");
        let registry = Registry::new(Arc::clone(&store), cas.clone(), Arc::clone(&clock) as _);
        let traces = Traces::new(
            Arc::clone(&store),
            Arc::clone(&clock) as _,
            Arc::clone(&random) as _,
        );
        let datasets = Datasets::new(
            Arc::clone(&store),
            Arc::clone(&clock) as _,
            Arc::clone(&random) as _,
        );
        let sealing_keys = Arc::new(HeldKeys::default());
        let webhooks = Webhooks::new(WebhooksParts {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock) as _,
            random: Arc::clone(&random) as _,
            keys: Arc::clone(&sealing_keys) as _,
            network: Network {
                resolver: Arc::new(NamedHosts::new(Arc::new(SystemResolver))),
                ..Network::default()
            },
        });
        let accounts = Accounts::new(AccountsParts {
            store: Arc::clone(&store) as _,
            clock: Arc::clone(&clock) as _,
            random: Arc::clone(&random) as _,
            default_permission: Permission::Read,
            cost: HashingCost::LEAST,
            form_secret: None,
        });
        let tracking = Tracking::new(
            Arc::clone(&store),
            cas,
            Arc::clone(&clock) as _,
            Arc::clone(&random) as _,
        );
        Self {
            tracking,
            registry,
            traces,
            datasets,
            webhooks,
            accounts,
            sealing_keys,
            store,
            clock,
            random,
            caller,
            memory: Arc::new(VolatileMemory::new(key.verifier())),
            key,
            directory,
            _schema: schema,
        }
    }

    /// Creates a run.
    ///
    /// *Panics* if the store does not let it.
    pub async fn run(&self) -> Run {
        let created = self.tracking.create_run(&self.caller, new_run()).await;
        created.expect("the default experiment takes runs").run
    }

    /// The services over users and rights of the same store, with another default.
    pub fn accounts_with(&self, default_permission: Permission) -> Accounts {
        Accounts::new(AccountsParts {
            store: Arc::clone(&self.store) as _,
            clock: Arc::clone(&self.clock) as _,
            random: Arc::clone(&self.random) as _,
            default_permission,
            cost: HashingCost::LEAST,
            form_secret: None,
        })
    }

    /// The services over webhooks of the same store, which may be elsewhere than on public addresses.
    pub fn webhooks_on(&self, network: Network) -> Webhooks {
        Webhooks::new(WebhooksParts {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock) as _,
            random: Arc::clone(&self.random) as _,
            keys: Arc::clone(&self.sealing_keys) as _,
            network,
        })
    }

    /// The file of the database.
    pub fn database(&self) -> PathBuf {
        self.directory.path().join("reproof.db")
    }

    /// The folder of the ledger.
    pub fn ledger(&self) -> PathBuf {
        self.directory.path().join("ledger")
    }

    /// The ledger's files.
    pub fn tiles(&self) -> DirectoryTiles {
        DirectoryTiles::new(self.ledger())
    }

    /// What verifies the ledger.
    pub fn verifier(&self) -> VerifierKey {
        self.key.verifier()
    }

    /// A publisher of this store's ledger.
    pub fn publisher(&self) -> LedgerPublisher {
        LedgerPublisher::new(
            Arc::clone(&self.store),
            self.tiles(),
            self.key.clone(),
            Arc::clone(&self.memory) as _,
            self.random.as_ref(),
        )
    }

    /// A second opening of the same database, as another process has it.
    ///
    /// *Panics* if it cannot be opened.
    pub fn reopen(&self) -> SqliteStore {
        let options = OpenOptions {
            random: Arc::clone(&self.random) as _,
            create: false,
        };
        Sqlite::open(&self.database(), options).expect("a store can be opened twice")
    }
}

/// Remembers what was signed as long as it lives.
pub struct VolatileMemory {
    key: VerifierKey,
    last: Mutex<Option<TreeHead>>,
}

impl VolatileMemory {
    /// Remembers nothing yet.
    pub fn new(key: VerifierKey) -> Self {
        Self {
            key,
            last: Mutex::new(None),
        }
    }
}

impl SignedMemory for VolatileMemory {
    fn last(&self) -> std::io::Result<Option<Remembered>> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(last.map(|head| Remembered {
            head,
            is_elsewhere: false,
        }))
    }

    fn remember(&self, checkpoint: &[u8]) -> std::io::Result<()> {
        let checkpoint = Checkpoint::open(checkpoint, std::slice::from_ref(&self.key));
        let head = checkpoint.map_err(std::io::Error::other)?.head;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
        Ok(())
    }
}
