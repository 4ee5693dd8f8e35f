//! Artifacts that clients write to a folder by themselves: shown, sent, taken over, and no way out of it.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

#[path = "locations/meddling.rs"]
mod meddling;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use entities::{Leaf, Permission};
use locations::{FolderRoot, Locations, Root};
use serde_json::{Value, json};
use server::{ArtifactOptions, Scope, ServerOptions};
use support::{Answer, TestApp, options};
use tempfile::TempDir;
use testkit::TestBench;
use tracking::{PASSED_OVER_TAG, TakingOver, Tracking};

/// A server that may look below the folder `arts` of a temporary folder.
struct Located {
    app: TestApp,
    folder: TempDir,
    taking_over: Arc<TakingOver>,
}

impl Located {
    async fn new() -> Self {
        Self::with(TestApp::team().await, false)
    }

    fn with(app: TestApp, signs_on: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("arts")).unwrap();
        fs::write(folder.path().join("secret"), "hunter2").unwrap();
        let (app, taking_over) = restarted(app, &folder, signs_on);
        Self {
            app,
            folder,
            taking_over,
        }
    }

    fn root(&self) -> String {
        format!("{}/arts", self.folder.path().display())
    }

    /// A run in a new experiment whose artifacts are there.
    async fn run(&self, name: &str) -> (String, PathBuf) {
        let root = self.root();
        let new = json!({"name": name, "artifact_location": format!("{root}/{name}")});
        let made = self.app.post("experiments/create", &new).await.ok();
        let run = self.app.create_run(&made).await;
        let folder = PathBuf::from(format!("{root}/{name}/{run}/artifacts"));
        fs::create_dir_all(&folder).unwrap();
        (run, folder)
    }

    async fn get(&self, run: &str, path: &str) -> Answer {
        let path = format!("/get-artifact?run_id={run}&path={path}");
        self.app.get_path(&path).await
    }

    async fn names(&self, run: &str, path: &str) -> Vec<(String, Value)> {
        let call = format!("artifacts/list?run_id={run}&path={path}");
        let listed = self.app.get(&call).await.ok();
        let files = listed["files"].as_array().cloned().unwrap_or_default();
        let told = files.into_iter();
        told.map(|file| {
            (
                file["path"].as_str().unwrap().to_owned(),
                file["file_size"].clone(),
            )
        })
        .collect()
    }

    async fn finish(&self, run: &str) {
        let body = json!({"run_id": run, "status": "FINISHED"});
        self.app.post("runs/update", &body).await.ok();
    }

    /// Names of notes that wait.
    fn notes(&self) -> Vec<String> {
        let notes = fs::read_dir(self.folder.path().join("notes")).unwrap();
        notes
            .map(|note| note.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    /// Paths on record below a folder, with what they hold.
    async fn kept(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let tracking = &self.app.bench.tracking;
        let artifacts = tracking.list_artifacts_below(folder).await.unwrap();
        let read = artifacts.into_iter().map(|artifact| {
            let content = tracking.cas().read(&artifact.object).unwrap();
            (artifact.path, content)
        });
        read.collect()
    }

    /// Kinds of the events of a run, the oldest first.
    async fn kinds(&self, run: &str) -> Vec<String> {
        let store = &self.app.bench.store;
        let events = store.list_events_of(&format!("run:{run}"), 1000).await;
        let events = events.unwrap().into_iter().rev();
        let kind = |leaf: &[u8]| Leaf::decode(leaf).unwrap().kind;
        events.map(|event| kind(&event.leaf)).collect()
    }
}

/// A server on the same store and folder, as after it was started again.
fn restarted(app: TestApp, folder: &TempDir, signs_on: bool) -> (TestApp, Arc<TakingOver>) {
    let root = FolderRoot::new(&format!("{}/arts", folder.path().display()));
    restarted_on(app, folder, signs_on, Arc::new(root.unwrap()))
}

fn restarted_on(
    app: TestApp,
    folder: &TempDir,
    signs_on: bool,
    root: Arc<dyn Root>,
) -> (TestApp, Arc<TakingOver>) {
    let TestApp {
        bench, accounts, ..
    } = app;
    let locations = Locations::new(vec![root]);
    let taking_over = TakingOver::open(
        bench.tracking.clone(),
        locations.clone(),
        &folder.path().join("notes"),
        bench.caller.clone(),
    );
    let taking_over = Arc::new(taking_over.unwrap());
    let router = server::router(ServerOptions {
        artifacts: ArtifactOptions {
            root: None,
            is_proxy_closed: false,
            locations,
            taking_over: Some(Arc::clone(&taking_over)),
        },
        accounts: accounts.clone().filter(|_| signs_on),
        ..options(&bench, Scope::Team)
    });
    let app = TestApp {
        bench,
        router,
        token: None,
        accounts,
    };
    (app, taking_over)
}

fn write(folder: &std::path::Path, path: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[tokio::test]
async fn what_clients_wrote_is_listed_and_sent_in_whole_and_in_parts() {
    let here = Located::new().await;
    let (run, folder) = here.run("a").await;
    assert!(here.names(&run, "").await.is_empty());
    write(&folder, "model/MLmodel", "flavors: {}");
    write(&folder, "plot ü.txt", "0123456789");
    write(&folder, "empty", "");
    let listed = here.names(&run, "").await;
    let expected = [
        ("empty".to_owned(), json!(0)),
        ("model".to_owned(), Value::Null),
        ("plot ü.txt".to_owned(), json!(10)),
    ];
    assert_eq!(listed, expected);
    let inner = here.names(&run, "model").await;
    assert_eq!(inner, [("model/MLmodel".to_owned(), json!(11))]);
    assert!(here.names(&run, "none").await.is_empty());
    assert!(here.names(&run, "empty").await.is_empty());
    let call = format!("artifacts/list?run_id={run}");
    let root_uri = here.app.get(&call).await.ok()["root_uri"].clone();
    assert_eq!(root_uri, folder.to_str().unwrap());

    let file = here.get(&run, "plot+%C3%BC.txt").await;
    assert_eq!(
        (file.status, &*file.body),
        (StatusCode::OK, &b"0123456789"[..])
    );
    assert_eq!(file.header("content-length"), "10");
    assert_eq!(file.header("content-type"), "text/plain");
    assert_eq!(here.get(&run, "empty").await.body, b"");
    let tag = file.header("etag").to_owned();
    let part = |name: &'static str, value: String| {
        let uri = format!("/get-artifact?run_id={run}&path=plot+%C3%BC.txt");
        let request = Request::builder().uri(uri).header(name, value);
        here.app.send(request.body(Body::empty()).unwrap())
    };
    let middle = part("range", "bytes=3-6".to_owned()).await;
    assert_eq!(middle.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(
        (&*middle.body, middle.header("content-range")),
        (&b"3456"[..], "bytes 3-6/10")
    );
    assert_eq!(part("range", "bytes=-2".to_owned()).await.body, b"89");
    let outside = part("range", "bytes=10-".to_owned()).await;
    assert_eq!(outside.status, StatusCode::RANGE_NOT_SATISFIABLE);
    let same = part("if-none-match", tag.clone()).await;
    assert_eq!(
        (same.status, same.body.len()),
        (StatusCode::NOT_MODIFIED, 0)
    );
    write(&folder, "plot ü.txt", "9876543210");
    assert_eq!(part("if-none-match", tag).await.status, StatusCode::OK);

    let missing = here.get(&run, "none").await.error();
    let said = "No such artifact: 'none'".to_owned();
    assert_eq!(missing, (404, "RESOURCE_DOES_NOT_EXIST".to_owned(), said));
    assert_eq!(here.get(&run, "model").await.error().0, 400);
}

#[tokio::test]
async fn a_large_file_is_sent_as_it_is() {
    let here = Located::new().await;
    let (run, folder) = here.run("a").await;
    let content: Vec<u8> = (0..9_000_000_u32)
        .map(|at| (at.wrapping_mul(at) % 251) as u8)
        .collect();
    write(&folder, "large.bin", &content);
    assert!(here.get(&run, "large.bin").await.body == content);
}

#[tokio::test]
async fn a_folder_of_it_comes_as_an_archive() {
    let here = Located::new().await;
    let (run, folder) = here.run("a").await;
    write(&folder, "model/MLmodel", "flavors: {}");
    write(&folder, "model/data/x.bin", vec![7; 100_000]);
    write(&folder, "other", "no");
    symlink(here.folder.path().join("secret"), folder.join("model/out")).unwrap();
    let archive = async |query: String| {
        let path = format!("/api/2.0/mlflow-artifacts/artifacts.zip?{query}");
        here.app.get_path(&path).await
    };
    let names = |answer: &Answer| {
        let archive = zip::ZipArchive::new(std::io::Cursor::new(answer.body.clone())).unwrap();
        archive
            .file_names()
            .map(|name| name.unwrap().into_owned())
            .collect::<BTreeSet<String>>()
    };
    let model = archive(format!("run_id={run}&path=model")).await;
    assert_eq!(model.status, StatusCode::OK);
    let expected = ["model/MLmodel", "model/data/x.bin"].map(str::to_owned);
    assert_eq!(names(&model), expected.into());
    assert!(!String::from_utf8_lossy(&model.body).contains("hunter2"));
    let whole = archive(format!("run_id={run}")).await;
    assert_eq!(names(&whole).len(), 3);
    let missing = archive(format!("run_id={run}&path=none")).await;
    assert_eq!(missing.error().0, 404);
    let file = archive(format!("run_id={run}&path=other")).await;
    assert_eq!(file.error().0, 400);
}

#[tokio::test]
async fn a_page_writes_a_small_file_there() {
    let here = Located::new().await;
    let (run, folder) = here.run("a").await;
    let send = async |path: &str, body: Vec<u8>| {
        let path = format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path={path}");
        here.app.request(Method::POST, &path, body).await
    };
    send("a/eval.json", b"{}".to_vec()).await.ok();
    assert_eq!(
        fs::read_to_string(folder.join("a/eval.json")).unwrap(),
        "{}"
    );
    let large = send("large", vec![0; (10 << 20) + 1]).await.error();
    assert_eq!(large.2, "Artifact size is too large. Max size is 10MB.");
    assert_eq!(send("a", b"x".to_vec()).await.error().0, 400);
    symlink(here.folder.path(), folder.join("out")).unwrap();
    assert_eq!(send("out/new", b"x".to_vec()).await.error().0, 400);
    assert!(!here.folder.path().join("new").exists());
    for path in ["../x", "..%2Fx", "%252e%252e/x", "/x", "C:/x", "a\\..\\x"] {
        let path = path.replace('\\', "%5C");
        assert_eq!(send(&path, b"x".to_vec()).await.error().2, "Invalid path");
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
}

#[tokio::test]
async fn what_the_server_wrote_there_is_taken_over_also_after_the_end() {
    let here = Located::new().await;
    let (run, _) = here.run("a").await;
    here.finish(&run).await;
    here.taking_over.carry_out_all().await;
    let call = format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=late.json");
    here.app.request(Method::POST, &call, "{}").await.ok();
    assert_eq!(here.notes(), [format!("run-{run}")]);
    here.taking_over.carry_out_all().await;
    let kept = here.kept(&format!("1/{run}/artifacts")).await;
    let expected = (format!("1/{run}/artifacts/late.json"), b"{}".to_vec());
    assert_eq!(kept, [expected]);
}

#[tokio::test]
async fn whoever_may_not_write_to_a_run_writes_nothing_into_its_folder() {
    let app = TestApp::signed_on(Permission::NoPermissions).await;
    let here = Located::with(app, true);
    let accounts = here.app.accounts.clone().unwrap();
    for name in ["ann", "bob"] {
        let new = access::NewUser {
            name: name.to_owned(),
            password: access::Password::new("a long password".to_owned()),
            is_admin: false,
        };
        let made = accounts.create_user(&here.app.bench.caller, new).await;
        made.unwrap();
    }
    let send = async |user: &str, call: &str, body: String| {
        let secret = STANDARD.encode(format!("{user}:a long password"));
        let request = Request::builder().method(Method::POST).uri(call);
        let request = request.header("content-type", "application/json");
        let request = request.header("authorization", format!("Basic {secret}"));
        here.app.send(request.body(body.into()).unwrap()).await
    };
    let make_run = async |user: &str, name: &str, location: &str| {
        let new = json!({"name": name, "artifact_location": location});
        let call = "/api/2.0/mlflow/experiments/create";
        let made = send(user, call, new.to_string()).await.ok();
        let call = "/api/2.0/mlflow/runs/create";
        let run = send(user, call, made.to_string()).await.ok();
        run["run"]["info"]["run_id"].as_str().unwrap().to_owned()
    };
    let upload =
        |run: &str| format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=a.txt");
    let root = here.root();
    let theirs = make_run("bob", "bobs", &format!("{root}/bobs")).await;
    let written = send("bob", &upload(&theirs), "x".to_owned()).await;
    assert_eq!(written.status, StatusCode::OK);
    let (first, rest) = theirs.split_at(1);
    let encoded = format!("%{:02x}{rest}", first.as_bytes()[0]);
    for (number, name) in [&theirs, &encoded].into_iter().enumerate() {
        let location = format!("{root}/bobs/{name}/artifacts/model");
        let own = make_run("ann", &format!("n{number}"), &location).await;
        let answer = send("ann", &upload(&own), "x".to_owned()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}");
    }
    let inside = format!("{root}/bobs/{theirs}/artifacts/model");
    assert!(!PathBuf::from(inside).exists());
    let own = make_run("ann", "anns", &format!("{root}/anns")).await;
    let answer = send("ann", &upload(&own), "x".to_owned()).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn no_path_and_no_link_leads_out() {
    let here = Located::new().await;
    let (run, folder) = here.run("a").await;
    let (_, others) = here.run("b").await;
    write(&others, "theirs", "theirs");
    symlink(here.folder.path().join("secret"), folder.join("absolute")).unwrap();
    symlink("../../../../secret", folder.join("relative")).unwrap();
    symlink(&others, folder.join("others")).unwrap();
    symlink("/", folder.join("system")).unwrap();
    let refused = |answer: Answer| {
        let told = answer.error();
        assert_eq!((told.0, told.1.as_str()), (400, "INVALID_PARAMETER_VALUE"));
        told.2
    };
    for path in ["absolute", "relative", "others/theirs", "system/etc/passwd"] {
        let told = refused(here.get(&run, path).await);
        let said = "Invalid path: resolved path is outside the artifact directory";
        assert_eq!(told, said, "{path}");
    }
    assert!(here.names(&run, "").await.is_empty());
    for path in [
        "../../../../secret",
        "..%2F..%2F..%2F..%2Fsecret",
        "%252e%252e/%252e%252e/secret",
        "%2Fetc%2Fpasswd",
        "/etc/passwd",
        "a/../../../../../secret",
        "..%5C..%5Csecret",
        "C:/secret",
        "C:%5Csecret",
        "file:///etc/passwd",
        "a//b",
        "./absolute",
        "%00",
    ] {
        assert_eq!(
            refused(here.get(&run, path).await),
            "Invalid path",
            "{path}"
        );
        let call = format!("artifacts/list?run_id={run}&path={path}");
        assert_eq!(refused(here.app.get(&call).await), "Invalid path", "{path}");
    }
}

#[tokio::test]
async fn what_nobody_named_is_not_looked_at_wherever_clients_say_their_artifacts_are() {
    let here = Located::new().await;
    let base = here.folder.path().display().to_string();
    for (number, location) in [
        base.clone(),
        format!("{base}/arts/../"),
        format!("{base}/arts/%2e%2e"),
        format!("file://{base}/arts/x/../../"),
        format!("{base}/artsy"),
        "/etc".to_owned(),
        "/".to_owned(),
        "file:///".to_owned(),
        "file:///proc/self/root".to_owned(),
        ".".to_owned(),
        "s3://bucket/x".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let new = json!({"name": format!("n{number}"), "artifact_location": location});
        let made = here.app.post("experiments/create", &new).await.ok();
        let run = here.app.create_run(&made).await;
        let path = format!("{base}/{run}/artifacts");
        fs::create_dir_all(&path).unwrap();
        fs::write(format!("{path}/x"), "not yours").unwrap();
        for answer in [
            here.get(&run, "x").await,
            here.app.get(&format!("artifacts/list?run_id={run}")).await,
            here.app
                .get_path(&format!(
                    "/api/2.0/mlflow-artifacts/artifacts.zip?run_id={run}"
                ))
                .await,
        ] {
            let (status, code, told) = answer.error();
            assert_eq!((status, code.as_str()), (400, "INVALID_PARAMETER_VALUE"));
            assert!(told.ends_with("are kept outside of this server"), "{told}");
        }
        let sent = format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=y");
        let sent = here.app.request(Method::POST, &sent, "x").await;
        assert_eq!(sent.error().0, 400);
        here.finish(&run).await;
    }
    assert!(here.notes().is_empty());
}

#[tokio::test]
async fn a_run_that_ends_leaves_its_files_on_record() {
    let here = Located::new().await;
    let (run, folder) = here.run("a").await;
    write(&folder, "model/MLmodel", "flavors: {}");
    write(&folder, "again", "flavors: {}");
    write(&folder, "large.bin", vec![3; 3_000_000]);
    here.finish(&run).await;
    assert_eq!(here.notes(), [format!("run-{run}")]);
    here.taking_over.carry_out_all().await;
    assert!(here.notes().is_empty());
    let root = format!("1/{run}/artifacts");
    let kept = here.kept(&root).await;
    let names: Vec<_> = kept.iter().map(|(path, _)| path.as_str()).collect();
    let expected = ["again", "large.bin", "model/MLmodel"].map(|name| format!("{root}/{name}"));
    assert_eq!(names, expected);
    assert_eq!(kept[0].1, kept[2].1);
    assert!(kept[1].1 == vec![3; 3_000_000]);
    // Once more, nothing has changed and nothing is written.
    let before = here.kinds(&run).await;
    assert_eq!(before.last().unwrap(), "artifact.taken_over");
    here.finish(&run).await;
    here.taking_over.carry_out_all().await;
    let after = here.kinds(&run).await;
    assert_eq!(after[before.len()..], ["run.finished"]);
    // What changed is another; what went stays on record as it was.
    write(&folder, "again", "changed");
    fs::remove_file(folder.join("large.bin")).unwrap();
    here.finish(&run).await;
    here.taking_over.carry_out_all().await;
    let kept = here.kept(&root).await;
    assert_eq!((kept.len(), &*kept[0].1), (3, &b"changed"[..]));
    // Clients are shown what is there; where nothing is, what was taken over.
    assert_eq!(here.get(&run, "large.bin").await.error().0, 404);
    assert_eq!(here.names(&run, "").await.len(), 2);
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(here.names(&run, "").await.len(), 3);
    assert_eq!(here.get(&run, "again").await.body, b"changed");
    assert_eq!(
        here.app.bench.store.verify_projection().await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_server_that_was_killed_takes_over_what_it_noted() {
    let here = Located::new().await;
    let (run, folder) = here.run("a").await;
    write(&folder, "x", "1");
    here.finish(&run).await;
    // Killed before it began, and killed while it was about it.
    let notes = here.folder.path().join("notes");
    for name in [format!("run-{run}"), format!("run-{run}.doing")] {
        fs::remove_dir_all(&notes).unwrap();
        write(&notes, &name, "");
        write(&folder, "x", &name);
        let (tracking, taking_over) = another_process(&here);
        taking_over.carry_out_all().await;
        assert!(fs::read_dir(&notes).unwrap().next().is_none());
        let kept = tracking
            .list_artifacts_below(&format!("1/{run}"))
            .await
            .unwrap();
        assert_eq!(kept[0].size_bytes, name.len() as u64);
    }
}

#[tokio::test]
async fn what_cannot_be_taken_over_is_named() {
    let here = Located::new().await;
    let (run, folder) = here.run("a").await;
    write(&folder, "fine", "1");
    write(&folder, "private", "2");
    symlink("/etc/hostname", folder.join("out")).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        let none = fs::Permissions::from_mode(0o0);
        fs::set_permissions(folder.join("private"), none).unwrap();
    }
    here.finish(&run).await;
    here.taking_over.carry_out_all().await;
    let found = here.app.get(&format!("runs/get?run_id={run}")).await.ok();
    let tags = found["run"]["data"]["tags"].as_array().unwrap();
    let tag = tags.iter().find(|tag| tag["key"] == PASSED_OVER_TAG);
    let told = tag.unwrap()["value"].as_str().unwrap();
    assert!(told.contains("out (no file of its own)"), "{told}");
    assert_eq!(told.contains("private"), !is_root, "{told}");
    let kept = here.kept(&format!("1/{run}")).await;
    assert!(kept.iter().any(|(path, _)| path.ends_with("/fine")));
    assert!(!kept.iter().any(|(path, _)| path.ends_with("/out")));
    // It was looked at, and is not looked at again and again.
    assert!(here.notes().is_empty());
    assert!(
        here.kinds(&run)
            .await
            .contains(&"artifact.passed_over".to_owned())
    );
}

#[tokio::test]
async fn a_version_is_tied_to_the_bytes_that_stood_there() {
    let here = Located::new().await;
    let (run, folder) = here.run("a").await;
    write(&folder, "net/MLmodel", "flavors: {}");
    write(&folder, "net/weights", "w1");
    write(&folder, "secret", "s");
    let new = json!({"name": "net"});
    here.app.post("registered-models/create", &new).await.ok();
    let source = folder.join("net").to_str().unwrap().to_owned();
    let version = json!({"name": "net", "source": source, "run_id": run});
    here.app.post("model-versions/create", &version).await.ok();
    let found = here.app.bench.registry.get_version("net", "1").await;
    let version = found.unwrap().version;
    let tree = here
        .app
        .bench
        .tracking
        .cas()
        .read_tree(&version.files.unwrap());
    let names: Vec<_> = tree
        .unwrap()
        .entries()
        .iter()
        .map(|entry| entry.size_bytes)
        .collect();
    assert_eq!(names, [11, 2]);
    let get = async |path: &str| {
        let path = format!("/model-versions/get-artifact?name=net&version=1&path={path}");
        here.app.get_path(&path).await
    };
    assert_eq!(get("weights").await.body, b"w1");
    for path in ["../secret", "..%2Fsecret", "%252e%252e/secret", "/secret"] {
        assert_eq!(get(path).await.error().2, "Invalid path", "{path}");
    }
    assert_eq!(get("secret").await.error().0, 404);
    // Another's folder is no source of this run.
    let (_, others) = here.run("b").await;
    write(&others, "theirs", "theirs");
    let source = others.to_str().unwrap();
    let stolen = json!({"name": "net", "source": source, "run_id": run});
    let refused = here.app.post("model-versions/create", &stolen).await;
    assert_eq!(refused.error().0, 400);
}

#[tokio::test]
async fn files_of_a_trace_are_read_in_its_own_folder_alone() {
    let here = Located::new().await;
    let (_, others) = here.run("b").await;
    write(&others, "traces.json", "theirs");
    let root = here.root();
    let new = json!({"name": "traced", "artifact_location": format!("{root}/traced")});
    let made = here.app.post("experiments/create", &new).await.ok();
    let trace = json!({"trace": {"trace_info": {
        "trace_id": "tr-1", "request_time": "2026-01-01T00:00:00Z", "state": "OK",
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": made},
    }}});
    let path = "/api/3.0/mlflow/traces";
    here.app
        .request(Method::POST, path, trace.to_string())
        .await
        .ok();
    let own = PathBuf::from(format!("{root}/traced/traces/tr-1/artifacts"));
    write(&own, "traces.json", "{\"spans\": []}");
    let get = async || {
        let path = "/ajax-api/2.0/mlflow/get-trace-artifact?request_id=tr-1";
        here.app.get_path(path).await
    };
    assert_eq!(get().await.body, b"{\"spans\": []}");
    // Whoever may change the trace may set the tag.
    let tag = json!({"key": "mlflow.artifactLocation", "value": others.to_str().unwrap()});
    let path = "/api/3.0/mlflow/traces/tr-1/tags";
    let set = here.app.request(Method::PATCH, path, tag.to_string()).await;
    if set.status == StatusCode::OK {
        let told = get().await.error();
        assert_eq!(told.0, 400, "{told:?}");
    }
}

#[tokio::test]
async fn whoever_may_not_read_a_run_may_not_read_what_it_wrote() {
    let app = TestApp::signed_on(Permission::NoPermissions).await;
    let bench_run = support::create_run(&app.bench, "run").await;
    let here = Located::with(app, true);
    let run = bench_run.to_string();
    let accounts = here.app.accounts.clone().unwrap();
    let new = access::NewUser {
        name: "eve".to_owned(),
        password: access::Password::new("evepassword1234".to_owned()),
        is_admin: false,
    };
    accounts
        .create_user(&here.app.bench.caller, new)
        .await
        .unwrap();
    for path in [
        format!("/get-artifact?run_id={run}&path=x"),
        format!("/api/2.0/mlflow/artifacts/list?run_id={run}"),
        format!("/api/2.0/mlflow-artifacts/artifacts.zip?run_id={run}"),
    ] {
        let eve = "Basic ZXZlOmV2ZXBhc3N3b3JkMTIzNA==";
        let request = Request::builder().uri(&path).header("authorization", eve);
        let answer = here.app.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
    }
}

/// The services and what takes over as another process has them, which remembers nothing.
fn another_process(here: &Located) -> (Tracking, TakingOver) {
    let bench: &TestBench = &here.app.bench;
    let root = here.root();
    let locations = Locations::new(vec![Arc::new(FolderRoot::new(&root).unwrap())]);
    let taking_over = TakingOver::open(
        bench.tracking.clone(),
        locations,
        &here.folder.path().join("notes"),
        bench.caller.clone(),
    );
    (bench.tracking.clone(), taking_over.unwrap())
}
