//! What comes between while a folder is taken over: faults, other processes, removals.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use locations::{Entry, FolderRoot, Found, Location, LocationError, Root, Walk};
use serde_json::json;
use tokio::runtime::Handle;
use tracking::{RemovalPolicy, RemovalScope};

use crate::{Located, restarted_on, write};

/// Comes before a folder is walked.
type Hook = Arc<dyn Fn() -> Result<(), LocationError> + Send + Sync>;

/// A folder in whose walks something comes between.
struct Meddled<T> {
    inner: T,
    hook: Hook,
}

impl<T> std::fmt::Debug for Meddled<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Meddled")
    }
}

impl Root for Meddled<FolderRoot> {
    fn find(&self, uri: &str) -> Option<Arc<dyn Location>> {
        let (inner, hook) = (self.inner.find(uri)?, Arc::clone(&self.hook));
        Some(Arc::new(Meddled { inner, hook }))
    }
}

impl Location for Meddled<Arc<dyn Location>> {
    fn list(&self, folder: &str) -> Result<Option<Vec<Entry>>, LocationError> {
        self.inner.list(folder)
    }

    fn walk(&self, folder: &str, most: usize) -> Result<Option<Walk>, LocationError> {
        (self.hook)()?;
        self.inner.walk(folder, most)
    }

    fn open(&self, path: &str) -> Result<Found, LocationError> {
        self.inner.open(path)
    }

    fn write(
        &self,
        path: &str,
        content: &mut (dyn std::io::Read + Send),
    ) -> Result<(), LocationError> {
        self.inner.write(path, content)
    }

    fn is_taken_over(&self) -> bool {
        true
    }
}

impl Located {
    fn meddled(self, hook: impl Fn() -> Result<(), LocationError> + Send + Sync + 'static) -> Self {
        let root = Meddled {
            inner: FolderRoot::new(&self.root()).unwrap(),
            hook: Arc::new(hook),
        };
        let Self { app, folder, .. } = self;
        let (app, taking_over) = restarted_on(app, &folder, false, Arc::new(root));
        Self {
            app,
            folder,
            taking_over,
        }
    }
}

#[tokio::test]
async fn a_version_is_not_tied_to_a_part_of_its_files() {
    let here = Located::new().await;
    let (run, folder) = here.run("a").await;
    write(&folder, "net/MLmodel", "flavors: {}");
    here.finish(&run).await;
    here.taking_over.carry_out_all().await;
    write(&folder, "net/weights", "w1");
    let fails = Arc::new(AtomicBool::new(true));
    let failing = Arc::clone(&fails);
    let here = here.meddled(move || {
        if failing.load(Ordering::Relaxed) {
            return Err(LocationError::Io {
                action: "list",
                path: "net".to_owned(),
                source: std::io::Error::other("the disk is gone"),
            });
        }
        Ok(())
    });
    let new = json!({"name": "net"});
    here.app.post("registered-models/create", &new).await.ok();
    let source = folder.join("net").to_str().unwrap().to_owned();
    let new = json!({"name": "net", "source": source, "run_id": run});
    let files = async |version: &str| {
        here.app.post("model-versions/create", &new).await.ok();
        let found = here.app.bench.registry.get_version("net", version).await;
        found.unwrap().version.files
    };
    assert_eq!(files("1").await, None);
    // It is tried again, and a version that is made then is tied to all.
    assert_eq!(here.notes(), [format!("run-{run}.doing")]);
    fails.store(false, Ordering::Relaxed);
    here.taking_over.carry_out_all().await;
    assert_eq!(here.kept(&format!("1/{run}")).await.len(), 2);
    assert!(files("2").await.is_some());
}

#[tokio::test]
async fn what_another_process_is_about_is_left_to_it_while_it_lives() {
    let here = Located::new().await;
    let (run, folder) = here.run("a").await;
    write(&folder, "x", "1");
    let doing = here
        .folder
        .path()
        .join("notes")
        .join(format!("run-{run}.doing"));
    let others = fs::File::create(&doing).unwrap();
    others.lock().unwrap();
    here.finish(&run).await;
    here.taking_over.carry_out_all().await;
    assert!(here.kept(&format!("1/{run}")).await.is_empty());
    assert_eq!(here.notes().len(), 2);
    drop(others);
    here.taking_over.carry_out_all().await;
    assert_eq!(here.kept(&format!("1/{run}")).await.len(), 1);
    assert!(here.notes().is_empty());
}

#[tokio::test]
async fn a_note_that_another_process_removed_is_done() {
    let here = Located::new().await;
    let (run, folder) = here.run("a").await;
    write(&folder, "x", "1");
    let notes = here.folder.path().join("notes");
    let doing = notes.join(format!("run-{run}.doing"));
    let here = here.meddled(move || {
        fs::remove_file(&doing).unwrap();
        Ok(())
    });
    let owner = tracking::ArtifactOwner::Run(run.parse().unwrap());
    let limit = std::time::Duration::from_secs(60);
    let taken = here.taking_over.take_over_within(&owner, limit).await;
    assert!(taken.unwrap());
    assert_eq!(here.kept(&format!("1/{run}")).await.len(), 1);
}

#[tokio::test]
async fn files_of_a_run_that_is_removed_meanwhile_are_not_put_on_record() {
    let here = Located::new().await;
    let (run, folder) = here.run("a").await;
    write(&folder, "x", "1");
    here.finish(&run).await;
    let gone = json!({"run_id": run});
    here.app.post("runs/delete", &gone).await.ok();
    let (tracking, caller) = (
        here.app.bench.tracking.clone(),
        here.app.bench.caller.clone(),
    );
    let here = here.meddled(move || {
        Handle::current().block_on(async {
            let policy = RemovalPolicy {
                deleted_for_ms: 0,
                hold_tags: Vec::new(),
            };
            let scope = RemovalScope::default();
            let plan = tracking.plan_removal(&policy, &scope).await.unwrap();
            assert_eq!(plan.runs.len(), 1);
            let kept = tracking.remove_runs(&caller, &plan.runs, "a test");
            assert!(kept.await.unwrap().is_empty());
        });
        Ok(())
    });
    here.taking_over.carry_out_all().await;
    assert!(here.kept(&format!("1/{run}")).await.is_empty());
    assert!(here.notes().is_empty());
}
