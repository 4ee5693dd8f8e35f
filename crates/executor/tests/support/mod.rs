//! A project with a store of its own in a temporary folder.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use cas::{Cas, CasOptions};
use entities::{Caller, Clock, FileTrees, Timestamp};
use executor::{CaptureSettings, Outcome, ProjectPaths, RunRequest, Workbench, list_files, run};
use ledger::SigningKey;
use store_sqlite::Sqlite;
use tempfile::TempDir;
use testkit::SeededRandom;
use tracking::{Tracking, first_commit};

pub(crate) struct TestProject {
    pub(crate) bench: Workbench,
    _folder: TempDir,
}

/// The real clock: file times are compared with it.
struct RealClock;

impl Clock for RealClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the times of real files are compared with it"
    )]
    fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap())
    }
}

impl TestProject {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let root = folder.path().canonicalize().unwrap().join("project");
        let store_directory = root.join(".reproof");
        for name in ["cache", "tmp", "objects"] {
            std::fs::create_dir_all(store_directory.join(name)).unwrap();
        }
        let random = Arc::new(SeededRandom::new(7));
        let caller = Caller::local("ann");
        let key = SigningKey::generate("reproof.local/test", random.as_ref()).unwrap();
        let first = first_commit(&caller, &key.verifier(), None, RealClock.now());
        let database = store_directory.join("reproof.db");
        let store = tokio::task::block_in_place(|| {
            let made = Sqlite::initialise(&database, Arc::clone(&random) as _, first);
            tokio::runtime::Handle::current().block_on(made).unwrap()
        });
        let cas = Cas::open(
            &store_directory.join("objects"),
            &store_directory.join("tmp"),
            CasOptions::default(),
        )
        .unwrap();
        let clock: Arc<dyn Clock> = Arc::new(RealClock);
        let tracking = Tracking::new(
            Arc::new(store),
            cas.clone(),
            Arc::clone(&clock),
            Arc::clone(&random) as _,
        );
        let bench = Workbench {
            tracking,
            cas,
            clock,
            random,
            endpoints: None,
            project: ProjectPaths {
                root,
                cache_directory: store_directory.join("cache"),
                temporary_directory: store_directory.join("tmp"),
                signed_directory: None,
                store_directory,
            },
            settings: settings(),
            caller,
            user: "ann".to_owned(),
            environment: std::env::vars_os()
                .filter(|(name, _)| name == "PATH" || name == "HOME")
                .collect(),
        };
        Self {
            bench,
            _folder: folder,
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.bench.project.root
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn request(&self, command: &[&str]) -> RunRequest {
        RunRequest {
            command: command.iter().map(OsString::from).collect(),
            working_directory: self.root().to_owned(),
            ..RunRequest::default()
        }
    }

    pub(crate) async fn shell(&self, script: &str) -> Outcome {
        run(&self.bench, self.request(&["sh", "-c", script]))
            .await
            .unwrap()
    }
}

fn settings() -> CaptureSettings {
    CaptureSettings {
        size_limit_bytes: 1 << 30,
        code_file_limit_bytes: 5 << 20,
        metrics_files: vec!["metrics*.json".to_owned()],
        ends_orphans: false,
        sample_interval_ms: 0,
        allowed_variables: Vec::new(),
        secret_files: Vec::new(),
        variable_key: [9; 32],
        method: capture::trace::MethodChoice::Auto,
        timings: Vec::new(),
    }
}

/// Files of a pair of trees with their content, by path.
pub(crate) fn files_of(project: &TestProject, trees: &FileTrees) -> BTreeMap<String, Vec<u8>> {
    list_files(&project.bench.cas, trees)
        .unwrap()
        .into_iter()
        .map(|(path, fact)| {
            (
                path.as_str().to_owned(),
                project.bench.cas.read(&fact.object).unwrap_or_default(),
            )
        })
        .collect()
}
