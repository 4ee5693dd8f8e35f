//! What the options of `mlflow server` mean here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use buckets::{Address, Bucket, BucketRoot};
use entities::Timestamp;
use locations::{FolderRoot, Locations, Root};
use migrate::{MigrateError, Source};
use server::{
    AllowedHosts, AllowedOrigins, ArtifactOptions, Framing, OperationOptions, WebOptions,
};
use store_postgres::PostgresAddress;

use crate::arguments::{ServerArguments, Unsupported};
use crate::context::working_directory;
use crate::database::parse_address;
use crate::destinations::{distant_fault, environment, parse_destination};
use crate::error::CommandError;
use crate::faults::migrate_fault;
use crate::output::{Output, safe, without_password};
use crate::own_process::read_own_figures;
use crate::project::{Project, cannot_write};

/// What is served.
pub(super) struct Place {
    /// The folder of the store; none where it is found from the working directory.
    pub(super) root: Option<PathBuf>,
    /// The address of the PostgreSQL database that keeps its record.
    pub(super) postgres: Option<String>,
}

/// Which store is served.
///
/// *Errors*: E0026 where the URI is that of MLflow's own record, or of another database server than PostgreSQL.
pub(super) fn place(arguments: &ServerArguments, output: &Output) -> Result<Place, CommandError> {
    let uri = given(arguments.backend_store_uri.as_ref());
    if let Some(uri) = uri.filter(|uri| PostgresAddress::is_meant(uri)) {
        if let Some(project) = find_taken_over_database(arguments.root.as_deref(), uri)? {
            tell_taken_over(&without_password(uri), output);
            return Ok(Place {
                root: Some(project.root),
                postgres: None,
            });
        }
        return Ok(Place {
            root: arguments.root.clone(),
            postgres: Some(uri.clone()),
        });
    }
    Ok(Place {
        root: root(arguments, output)?,
        postgres: None,
    })
}

/// The folder whose store is served; none where it is found from the working directory.
fn root(arguments: &ServerArguments, output: &Output) -> Result<Option<PathBuf>, CommandError> {
    let Some(uri) = given(arguments.backend_store_uri.as_ref()) else {
        return Ok(arguments.root.clone());
    };
    if let Some(root) = &arguments.root {
        output.say("`--root` decides what is served; `--backend-store-uri` is not looked at");
        return Ok(Some(root.clone()));
    }
    let shown = without_password(uri);
    let path = Source::path(without_query(uri)).filter(|path| path != Path::new(":memory:"));
    let Some(path) = path else {
        return Err(refusal(format!(
            "`--backend-store-uri {shown}` cannot be served: the record is kept in a store of Reproof's own"
        ))
        .hint("`--root DIR` in its place names the folder of a store, which is made if it is not there")
        .hint("`--backend-store-uri postgresql://USER@HOST/DATABASE` keeps its record in PostgreSQL"));
    };
    let is_folder = path.is_dir() || !is_database(uri, &path);
    let is_mlruns = path.file_name().is_some_and(|name| name == "mlruns");
    let root = if is_folder && !is_mlruns {
        path.clone()
    } else {
        match path.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        }
    };
    if path.exists() {
        let taken_over = find_taken_over(uri, &path)?;
        if let Some(project) = taken_over {
            tell_taken_over(&safe(uri), output);
            return Ok(Some(project.root));
        }
    }
    std::fs::create_dir_all(&root).map_err(|error| cannot_write(&root, &error))?;
    Ok(Some(root))
}

fn tell_taken_over(shown: &str, output: &Output) {
    output.say(&format!(
        "what MLflow recorded in {shown} was taken over into this store; what it recorded later is not here"
    ));
}

/// The store of a folder, or else of the working directory, if it took over what MLflow recorded in a database.
fn find_taken_over_database(
    root: Option<&Path>,
    uri: &str,
) -> Result<Option<Project>, CommandError> {
    let source = parse_address(uri)?.identity();
    let project = match root {
        Some(root) => Project::find(root).filter(|project| is_same_folder(&project.root, root)),
        None => Project::find(&working_directory()?),
    };
    Ok(project.filter(|project| project.has_migrated(&source)))
}

fn is_same_folder(one: &Path, other: &Path) -> bool {
    let canonical = |path: &Path| path.canonicalize().ok();
    canonical(one).is_some() && canonical(one) == canonical(other)
}

/// The store that took over what MLflow recorded there; none where nothing was recorded.
///
/// *Errors*: E0026 where none took it over, for it is not written to here, and where it is something else.
fn find_taken_over(uri: &str, path: &Path) -> Result<Option<Project>, CommandError> {
    let uri = without_query(uri);
    let shown = safe(uri);
    match Source::open(uri) {
        Ok(_) => {}
        Err(MigrateError::NotMlruns { .. }) => return Ok(None),
        Err(MigrateError::NotMlflow { .. }) => {
            return Err(refusal(format!(
                "`{}` is a database, but not one that MLflow made",
                safe(&path.display().to_string())
            ))
            .hint("`--root DIR` in place of `--backend-store-uri` names the folder of a store of Reproof's own"));
        }
        Err(error) => return Err(migrate_fault(error)),
    }
    let source = path.canonicalize().map_err(|error| {
        CommandError::system("E0018", format!("cannot tell where {shown} is: {error}"))
    })?;
    // `migrate` writes into the store of the directory that it is called in.
    let here = working_directory()?;
    let mut stores = source
        .parent()
        .into_iter()
        .chain([here.as_path()])
        .filter_map(Project::find);
    let taken_over = stores.find(|project| project.has_migrated(&source.display().to_string()));
    taken_over.map(Some).ok_or_else(|| {
        refusal(format!(
            "`{shown}` holds what MLflow recorded, which only MLflow writes to"
        ))
        .hint(format!(
            "`reproof migrate mlflow {shown}` takes it all over into a store, which is served in its place from then on"
        ))
    })
}

/// Says that what MLflow recorded here is not served, where a new store is about to be made beside it.
pub(super) fn warn_of_mlflow(output: &Output) -> Result<(), CommandError> {
    if Project::find(&working_directory()?).is_some() {
        return Ok(());
    }
    for (path, uri) in [("mlflow.db", "sqlite:///mlflow.db"), ("mlruns", "mlruns")] {
        if Path::new(path).exists() && Source::open(uri).is_ok() {
            output.warn(&format!(
                "{path} here holds what MLflow recorded, which is not in the new store: `reproof migrate mlflow {uri}` takes it over"
            ));
        }
    }
    Ok(())
}

/// Who may ask and how.
pub(super) fn web(arguments: &ServerArguments, output: &Output) -> WebOptions {
    let prefix = arguments.static_prefix.clone().unwrap_or_default();
    if arguments.disable_security_middleware {
        output
            .warn("any web page that a user of this machine opens can read and change everything");
        return WebOptions {
            hosts: AllowedHosts::new(vec!["*".to_owned()]),
            origins: AllowedOrigins::new(vec!["*".to_owned()]),
            framing: Framing::Any,
            prefix,
        };
    }
    let is_open = |list: &[String]| list.iter().any(|allowed| allowed.trim() == "*");
    if is_open(&arguments.allowed_hosts) {
        output.warn("`--allowed-hosts *` lets any web page that makes its name lead here act as the server's own");
    }
    if is_open(&arguments.cors_allowed_origins) {
        output.warn("`--cors-allowed-origins *` lets any web page read and change everything");
    }
    let has_hosts = arguments
        .allowed_hosts
        .iter()
        .any(|host| !host.trim().is_empty());
    WebOptions {
        hosts: if has_hosts {
            AllowedHosts::new(arguments.allowed_hosts.clone())
        } else {
            AllowedHosts::private_network()
        },
        origins: AllowedOrigins::new(arguments.cors_allowed_origins.clone()),
        framing: arguments.x_frame_options,
        prefix,
    }
}

/// Where artifacts are. Relative paths start from the working directory.
pub(super) fn artifacts(
    arguments: &ServerArguments,
    output: &Output,
) -> Result<ArtifactOptions, CommandError> {
    let is_proxy_closed = arguments.no_serve_artifacts || arguments.serve_artifacts == Some(false);
    let root = match given(arguments.default_artifact_root.as_ref()) {
        Some(root) => Some(whole_root(root)?),
        // What MLflow takes.
        None if is_proxy_closed => Some(whole_root("./mlruns")?),
        None => None,
    };
    let root = root.filter(|root| root != "mlflow-artifacts:");
    if let Some(root) = &root {
        if root.starts_with("mlflow-artifacts:") && is_proxy_closed {
            return Err(refusal(format!(
                "new experiments cannot keep artifacts at `{}` where the server does not serve them",
                safe(root)
            ))
            .hint("`--default-artifact-root` names another place, or leave `--no-serve-artifacts` out"));
        }
        if !root.starts_with("mlflow-artifacts:") {
            tell_root(root, is_proxy_closed, output);
        }
    }
    Ok(ArtifactOptions {
        locations: locations(root.as_deref(), &arguments.serve_artifacts_from)?,
        root,
        is_proxy_closed,
        taking_over: None,
    })
}

/// Where in an object store new artifacts are kept, if anywhere.
pub(super) fn destination(arguments: &ServerArguments) -> Result<Option<Address>, CommandError> {
    let given = given(arguments.artifacts_destination.as_ref());
    let meant = given.filter(|uri| Address::is_meant(uri));
    meant
        .map(|uri| parse_destination("--artifacts-destination", uri))
        .transpose()
}

/// A place in an object store that clients write to by themselves.
fn bucket_root(option: &str, uri: &str) -> Result<Arc<dyn Root>, CommandError> {
    let address = parse_destination(option, uri)?;
    let bucket = Bucket::new(address, &environment()).map_err(distant_fault)?;
    Ok(Arc::new(BucketRoot::new(bucket)))
}

/// Says what happens with what clients write by themselves.
fn tell_root(root: &str, is_proxy_closed: bool, output: &Output) {
    let option = if is_proxy_closed {
        "--no-serve-artifacts"
    } else {
        "--default-artifact-root"
    };
    let shown = safe(&without_password(root));
    let told = if FolderRoot::new(root).is_some() {
        format!(
            "clients write the artifacts of new experiments to {shown} by themselves; they are taken over when a run ends, and without `{option}` as they come"
        )
    } else {
        format!(
            "clients write the artifacts of new experiments to {shown} by themselves, so their bytes are not on record; with `--artifacts-destination {shown}` in place of `{option}` they are"
        )
    };
    output.say(&told);
}

/// Where the server may look for what clients wrote: below the default root and below what else is named.
///
/// *Errors*: E0022 for a place that cannot be one.
fn locations(root: Option<&str>, others: &[String]) -> Result<Locations, CommandError> {
    let mut roots: Vec<Arc<dyn Root>> = Vec::new();
    // Where clients can write and the server cannot look, it shows nothing.
    if let Some(root) = root.filter(|root| Address::is_meant(root)) {
        roots.push(bucket_root("--default-artifact-root", root)?);
    }
    let default = root.and_then(FolderRoot::new);
    roots.extend(default.map(|root| Arc::new(root) as _));
    for other in others.iter().filter(|other| !other.is_empty()) {
        if Address::is_meant(other) {
            roots.push(bucket_root("--serve-artifacts-from", other)?);
            continue;
        }
        let found = FolderRoot::new(&whole_root(other)?);
        let found = found.ok_or_else(|| {
            CommandError::usage(
                "E0022",
                format!(
                    "`--serve-artifacts-from {}` is no folder of this machine and no place in an object store",
                    safe(&without_password(other))
                ),
            )
            .hint("name a folder below `/`, such as `/data/mlartifacts`, in which clients write artifacts")
        })?;
        roots.push(Arc::new(found));
    }
    Ok(Locations::new(roots))
}

/// What those who run the server asked of it.
pub(super) fn operation(arguments: &ServerArguments, started_at: Timestamp) -> OperationOptions {
    OperationOptions {
        exposes_figures: given(arguments.expose_prometheus.as_ref()).is_some(),
        idle_limit: (arguments.request_timeout > 0)
            .then(|| Duration::from_secs(arguments.request_timeout)),
        process: Some(Arc::new(move || read_own_figures(started_at))),
        remote_parent: Some(telemetry::set_remote_parent),
    }
}

/// A root of artifacts as every client can use it, without a slash at its end.
fn whole_root(root: &str) -> Result<String, CommandError> {
    if root.starts_with("runs:") || root.starts_with("models:") {
        return Err(CommandError::usage(
            "E0022",
            format!(
                "`--default-artifact-root {}` cannot hold artifacts",
                safe(root)
            ),
        ));
    }
    let trimmed = root.trim_end_matches('/');
    let is_path = !root.starts_with("file:") && Source::path(root).is_some();
    if !is_path {
        return Ok(trimmed.to_owned());
    }
    let absolute = std::path::absolute(Path::new(root)).map_err(|error| {
        CommandError::system(
            "E0018",
            format!("cannot tell where {} is: {error}", safe(root)),
        )
    })?;
    let absolute: PathBuf = absolute.components().collect();
    absolute.to_str().map(str::to_owned).ok_or_else(|| {
        CommandError::usage("E0022", format!("the path of `{}` is not text", safe(root)))
    })
}

/// Refuses options without which users would not get what they rely on, and says which have no effect.
pub(super) fn check_others(
    arguments: &ServerArguments,
    output: &Output,
) -> Result<(), CommandError> {
    let Unsupported {
        read_replica_backend_store_uri,
        artifacts_only,
        trace_archival_config,
        enable_workspaces,
        workspace_store_uri: _,
    } = &arguments.unsupported;
    let refused = [
        (
            given(read_replica_backend_store_uri.as_ref()).is_some(),
            "--read-replica-backend-store-uri",
            "there is one store, which answers all",
        ),
        (
            *artifacts_only,
            "--artifacts-only",
            "the server keeps artifacts beside the record of them",
        ),
        (
            given(trace_archival_config.as_ref()).is_some(),
            "--trace-archival-config",
            "traces stay in the store",
        ),
        (
            *enable_workspaces,
            "--enable-workspaces",
            "a store is one workspace: start a server for each, with `--root DIR`",
        ),
    ];
    if let Some((_, option, why)) = refused.iter().find(|(is_given, ..)| *is_given) {
        return Err(refusal(format!("`{option}` is not supported: {why}")));
    }
    let others = &arguments.without_meaning;
    if let Some(uri) = given(others.registry_store_uri.as_ref())
        && arguments.backend_store_uri.as_ref() != Some(uri)
    {
        return Err(refusal(
            "`--registry-store-uri` names another place than `--backend-store-uri`, but models are kept beside the runs",
        )
        .hint("leave `--registry-store-uri` out"));
    }
    if let Some(destination) = given(arguments.artifacts_destination.as_ref())
        && !Address::is_meant(destination)
    {
        let shown = safe(&without_password(destination));
        if Source::path(destination).is_none() {
            return Err(refusal(format!(
                "`--artifacts-destination {shown}` is not supported: artifacts are kept in the store, or in an object store of S3, Google or Azure"
            ))
            .hint(format!("clients can write there by themselves: `--no-serve-artifacts --default-artifact-root {shown}`")));
        }
        output.say(&format!(
            "artifacts are kept in the store, not in {shown} (`--artifacts-destination`)"
        ));
    }
    let ignored: Vec<_> = [
        (given(others.workers.as_ref()).is_some(), "--workers"),
        (
            given(others.gunicorn_opts.as_ref()).is_some(),
            "--gunicorn-opts",
        ),
        (others.waitress_opts.is_some(), "--waitress-opts"),
        (
            given(others.uvicorn_opts.as_ref()).is_some(),
            "--uvicorn-opts",
        ),
        (others.dev, "--dev"),
        (others.secrets_cache_ttl.is_some(), "--secrets-cache-ttl"),
        (
            others.secrets_cache_max_size.is_some(),
            "--secrets-cache-max-size",
        ),
    ]
    .into_iter()
    .filter(|(is_given, _)| *is_given)
    .map(|(_, option)| option)
    .collect();
    if !ignored.is_empty() {
        output.say(&format!(
            "one process answers all, so there is nothing for {} to do",
            ignored.join(", ")
        ));
    }
    Ok(())
}

/// An option that was given; an empty variable is none.
pub(super) fn given(option: Option<&String>) -> Option<&String> {
    option.filter(|text| !text.is_empty())
}

pub(super) fn refusal(message: impl std::fmt::Display) -> CommandError {
    CommandError::usage("E0026", message)
}

/// Whether a URI is of a file, by its scheme or because one is there.
fn is_database(uri: &str, path: &Path) -> bool {
    uri.starts_with("sqlite:") || path.is_file()
}

/// A URI of SQLite may end with settings of its driver.
fn without_query(uri: &str) -> &str {
    match uri.split_once('?') {
        Some((before, _)) if uri.starts_with("sqlite:") => before,
        _ => uri,
    }
}
