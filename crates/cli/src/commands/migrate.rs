//! `reproof migrate`

mod reverse;
mod users;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use entities::{Experiment, Lifecycle};
use migrate::{
    Count, FernetKey, Migration, Progress, Report, ServerAccess, Source, SourceOptions, Target,
    UsersReport,
};
use percent_encoding::percent_decode_str;
use serde_json::json;
use store_postgres::{PostgresAddress, PostgresSnapshot};

use crate::arguments::MigrateCommand;
use crate::context::{Context, working_directory};
use crate::database::parse_address;
use crate::error::CommandError;
use crate::faults::{migrate_fault, store_fault};
use crate::output::{Output, Working, safe, size};
use crate::system::variable;

/// Where MLflow's server has the key too.
const WEBHOOK_KEY: &str = "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY";

/// How many differences, and files that were not taken, are shown; all of them are in the JSON.
const SHOWN: usize = 20;

pub(crate) async fn run(
    command: MigrateCommand,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    match command {
        MigrateCommand::Mlflow {
            reverse: Some(uri),
            artifacts,
            ..
        } => reverse::run(&uri, artifacts, output).await,
        MigrateCommand::Mlflow {
            source: Some(source),
            artifacts,
            auth_db,
            ..
        } => from_mlflow(&source, artifacts, auth_db.as_deref(), output).await,
        MigrateCommand::Mlflow { auth_db, .. } => {
            users_alone(&auth_db.unwrap_or_default(), output).await
        }
        MigrateCommand::Tensorboard {
            directory,
            experiment,
        } => {
            let source = Source::of_tensorboard(&directory).map_err(migrate_fault)?;
            from_folder(&directory, source, experiment, output).await
        }
        MigrateCommand::DvcExp {
            directory,
            cache,
            experiment,
        } => {
            let source = Source::of_dvc(&directory, cache.as_deref()).map_err(migrate_fault)?;
            from_folder(&directory, source, experiment, output).await
        }
        MigrateCommand::Wandb {
            directory,
            experiment,
        } => {
            let source = Source::of_wandb(&directory).map_err(migrate_fault)?;
            from_folder(&directory, source, experiment, output).await
        }
    }
}

async fn from_mlflow(
    source: &str,
    artifacts: Option<PathBuf>,
    auth_db: Option<&str>,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    // First what may be wrong about the source, so that no store is made for nothing.
    let Opened {
        source: opened,
        shown,
        note,
    } = open_mlflow(source)?;
    let options = SourceOptions {
        artifacts,
        webhook_key: webhook_key()?,
    };
    let users = auth_db.map(users::open).transpose()?;
    let migration = Migration::plan(&opened, options).map_err(migrate_fault)?;
    let context = Context::open_or_create(output).await?;
    let mut report = carry_out(&migration, &context, output).await?;
    let taken = match &users {
        Some(users) => {
            // They may stand in the same database.
            report.left_behind.remove("users");
            Some(users::take_over(users, &context, output).await?)
        }
        None => None,
    };
    if let Some(note) = note {
        context.project().note_migrated(&note)?;
    }
    Ok(end(&shown, &context, &report, taken.as_ref(), output))
}

/// Takes over users, and nothing else.
async fn users_alone(uri: &str, output: &Output) -> Result<ExitCode, CommandError> {
    let source = users::open(uri)?;
    let context = Context::open_or_create(output).await?;
    let report = users::take_over(&source, &context, output).await?;
    if output.is_json {
        output.json(&json!({ "access": users::report_json(&report) }));
    } else {
        let root = context.bench.project.root.display();
        output.line(&format!("migrated users into {root}"));
        users::tell(&report, output);
    }
    Ok(ExitCode::from(u8::from(!users::is_whole(&report))))
}

/// Takes over a folder of a tool that has no experiments of its own. They are known when the store is open: so the folder
/// is looked through before.
async fn from_folder(
    directory: &Path,
    mut source: Source,
    experiment: Option<String>,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    if experiment
        .as_ref()
        .is_some_and(|name| name.trim().is_empty())
    {
        return Err(CommandError::usage("E0022", "an experiment needs a name"));
    }
    let context = Context::open_or_create(output).await?;
    let mut experiments: BTreeMap<String, Experiment> = BTreeMap::new();
    for project in source.projects() {
        let name = experiment.as_ref().unwrap_or(&project);
        let known = experiments.values().find(|known| known.name == *name);
        let chosen = match known {
            Some(known) => known.clone(),
            None => find_or_draft_experiment(name, &experiments, &context).await?,
        };
        experiments.insert(project, chosen);
    }
    source.put_into(experiments);
    let options = SourceOptions::default();
    let migration = Migration::plan(&source, options).map_err(migrate_fault)?;
    let report = carry_out(&migration, &context, output).await?;
    let shown = directory.display().to_string();
    Ok(end(&shown, &context, &report, None, output))
}

/// The experiment of a name as it is, or one that is not there yet, with an id that none of these has.
async fn find_or_draft_experiment(
    name: &str,
    drafted: &BTreeMap<String, Experiment>,
    context: &Context,
) -> Result<Experiment, CommandError> {
    let there = context.store.find_experiment_by_name(name).await;
    if let Some(there) = there.map_err(store_fault)? {
        return Ok(there);
    }
    let mut id = context
        .store
        .free_experiment_id()
        .await
        .map_err(store_fault)?;
    while drafted.values().any(|other| other.id == id) {
        let next = id.as_str().parse::<u64>().unwrap_or_default() + 1;
        id = next.to_string().parse().expect("a number is an id");
    }
    let now = context.bench.clock.now();
    Ok(Experiment {
        id,
        name: name.to_owned(),
        artifact_location: String::new(),
        lifecycle: Lifecycle::Active,
        created_at: now,
        updated_at: now,
        tags: BTreeMap::new(),
    })
}

/// Writes what a source holds into the store, and publishes meanwhile.
async fn carry_out(
    migration: &Migration<'_>,
    context: &Context,
    output: &Output,
) -> Result<Report, CommandError> {
    let target = target(context)?;
    let steps = Steps::new(output);
    let meanwhile = context.work_meanwhile();
    let migrated = migration.carry_out(&target, &|at| steps.tell(at)).await;
    drop(steps);
    meanwhile.stop().await;
    context.publish_or_warn(output).await;
    migrated.map_err(migrate_fault)
}

fn target(context: &Context) -> Result<Target, CommandError> {
    Ok(Target {
        store: Arc::clone(&context.store) as _,
        cas: context.bench.cas.clone(),
        registry: context.registry.clone(),
        webhooks: context.webhooks()?,
        random: Arc::clone(&context.bench.random),
        clock: Arc::clone(&context.bench.clock),
        caller: context.bench.caller.clone(),
    })
}

/// Tells what was done, and how it went.
fn end(
    shown: &str,
    context: &Context,
    report: &Report,
    users: Option<&UsersReport>,
    output: &Output,
) -> ExitCode {
    if output.is_json {
        let mut told = report_json(shown, &context.bench.project.root, report);
        if let Some(users) = users {
            told["access"] = users::report_json(users);
        }
        output.json(&told);
    } else {
        tell(shown, &context.bench.project.root, report, output);
        if let Some(users) = users {
            users::tell(users, output);
        }
    }
    let is_whole = report.differences.is_empty()
        && report.not_taken.is_empty()
        && report.unreadable.is_empty()
        && users.is_none_or(users::is_whole);
    if is_whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}

/// A source that can be read.
struct Opened {
    source: Source,
    /// As it was given, but without a password.
    shown: String,
    /// What is noted of it, so that a server that is started with its address finds what was taken over.
    note: Option<String>,
}

fn open_mlflow(source: &str) -> Result<Opened, CommandError> {
    if PostgresAddress::is_meant(source) {
        let address = parse_address(source)?;
        let snapshot = PostgresSnapshot::open(&address).map_err(store_fault)?;
        let name = address.identity();
        let source = Source::of_postgres(Box::new(snapshot), name, working_directory()?);
        return Ok(Opened {
            source: source.map_err(migrate_fault)?,
            shown: address.identity(),
            note: Some(address.identity()),
        });
    }
    if let Some(access) = server_access(source) {
        return Ok(Opened {
            shown: access.url.clone(),
            source: Source::of_server(access, working_directory()?),
            note: None,
        });
    }
    let path = Source::path(source).map(std::path::absolute);
    Ok(Opened {
        source: Source::open(source).map_err(migrate_fault)?,
        shown: source.to_owned(),
        note: path.and_then(Result::ok).map(|path| {
            let path = path.canonicalize().unwrap_or(path);
            path.display().to_string()
        }),
    })
}

/// A server's address, and how it is asked: by what MLflow's clients take from the environment, or by what stands in the
/// address.
fn server_access(source: &str) -> Option<ServerAccess> {
    let (scheme, rest) = source.split_once("://")?;
    if !["http", "https"].contains(&scheme) {
        return None;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (place, path) = rest.split_at(end);
    let (named, host) = match place.rsplit_once('@') {
        Some((named, host)) => (Some(named), host),
        None => (None, place),
    };
    let basic = |text: String| format!("Basic {}", STANDARD.encode(text));
    let by_name = || {
        let user = variable("MLFLOW_TRACKING_USERNAME")?;
        let password = variable("MLFLOW_TRACKING_PASSWORD").unwrap_or_default();
        Some(basic(format!("{user}:{password}")))
    };
    let by_token = || Some(format!("Bearer {}", variable("MLFLOW_TRACKING_TOKEN")?));
    let in_address = named.map(|named| {
        let plain = percent_decode_str(named).decode_utf8_lossy();
        basic(plain.into_owned())
    });
    let path = path.split(['?', '#']).next().unwrap_or_default();
    Some(ServerAccess {
        url: format!("{scheme}://{host}{path}"),
        authorization: in_address.or_else(by_name).or_else(by_token),
    })
}

/// The key with which MLflow's server sealed secrets of webhooks.
fn webhook_key() -> Result<Option<FernetKey>, CommandError> {
    let Some(text) = variable(WEBHOOK_KEY).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    FernetKey::parse(&text).map(Some).ok_or_else(|| {
        CommandError::usage("E0022", format!("{WEBHOOK_KEY} holds no key of MLflow's"))
            .hint("it is the same as for MLflow's server: 32 bytes in URL-safe base64")
    })
}

/// Says each kind of thing that is worked on once.
struct Steps<'o> {
    output: &'o Output,
    current: RefCell<Option<(&'static str, Working)>>,
}

impl<'o> Steps<'o> {
    fn new(output: &'o Output) -> Self {
        Self {
            output,
            current: RefCell::new(None),
        }
    }

    fn tell(&self, at: Progress) {
        let mut current = self.current.borrow_mut();
        if current.as_ref().is_none_or(|(what, _)| *what != at.what) {
            let noun = at.what;
            // The one before says that it is done.
            *current = None;
            *current = Some((noun, self.output.work(&format!("{} {noun}", at.total))));
        }
    }
}

fn tell(source: &str, root: &Path, report: &Report, output: &Output) {
    output.line(&format!(
        "migrated {} into {}",
        safe(source),
        root.display()
    ));
    for (noun, count) in counts(report) {
        if count != Count::default() {
            let there = match count.there {
                0 => String::new(),
                there => format!(", {there} were here before"),
            };
            output.line(&format!("  {noun:19} {}{there}", count.new));
        }
    }
    if report.traces != Count::default() {
        output.line(&format!("  {:19} {}", "spans", report.spans));
        output.line(&format!("  {:19} {}", "assessments", report.assessments));
    }
    if report.datasets != Count::default() {
        output.line(&format!("  {:19} {}", "dataset records", report.records));
    }
    output.line(&format!("  {:19} {}", "metric points", report.points));
    output.line(&format!(
        "  {:19} {}, {}",
        "files",
        report.files,
        size(report.bytes)
    ));
    if let Some(folder) = &report.missing_folder {
        output.line(&format!(
            "{} runs, models and traces have no folder of artifacts, such as {}: they had no files, or it was moved",
            report.without_folder,
            safe(&folder.display().to_string())
        ));
    }
    for (scheme, count) in &report.elsewhere {
        output.line(&format!(
            "files of {count} runs, models and traces stay where they are, at {}:",
            safe(scheme)
        ));
    }
    for (noun, count) in &report.left_behind {
        output.warn(&format!(
            "{count} {noun} stay behind: they are not taken over"
        ));
    }
    for sentence in report.unreadable.iter().take(SHOWN) {
        output.warn(&format!("cannot be taken over: {}", safe(sentence)));
    }
    tell_rest("cannot be taken over", report.unreadable.len(), output);
    for file in report.not_taken.iter().take(SHOWN) {
        output.warn(&format!(
            "{} was not taken: {}",
            safe(&file.path.display().to_string()),
            file.why
        ));
    }
    tell_rest("files were not taken", report.not_taken.len(), output);
    for difference in report.differences.iter().take(SHOWN) {
        output.line(&format!("differs: {}", safe(difference)));
    }
    tell_rest("differences", report.differences.len(), output);
    let verdict = if report.differences.is_empty() {
        "all are the same"
    } else {
        "not all are the same"
    };
    output.line(&format!(
        "compared {} rows and files with the source again: {verdict}",
        report.compared
    ));
}

fn tell_rest(noun: &str, count: usize, output: &Output) {
    if count > SHOWN {
        output.line(&format!(
            "{} more {noun}; `--json` lists all",
            count - SHOWN
        ));
    }
}

fn counts(report: &Report) -> [(&'static str, Count); 9] {
    [
        ("experiments", report.experiments),
        ("runs", report.runs),
        ("logged models", report.models),
        ("registered models", report.registered_models),
        ("versions", report.versions),
        ("traces", report.traces),
        ("evaluation datasets", report.datasets),
        ("scorer versions", report.scorers),
        ("webhooks", report.webhooks),
    ]
}

fn report_json(source: &str, root: &Path, report: &Report) -> serde_json::Value {
    let counts: serde_json::Map<_, _> = counts(report)
        .into_iter()
        .map(|(noun, count)| {
            let value = json!({ "new": count.new, "there": count.there });
            (noun.replace(' ', "_"), value)
        })
        .collect();
    let not_taken: Vec<_> = report
        .not_taken
        .iter()
        .map(|file| json!({ "path": file.path.display().to_string(), "why": file.why }))
        .collect();
    json!({
        "source": source,
        "root": root,
        "counts": counts,
        "spans": report.spans,
        "assessments": report.assessments,
        "dataset_records": report.records,
        "metric_points": report.points,
        "files": report.files,
        "bytes": report.bytes,
        "without_folder": report.without_folder,
        "missing_folder": report.missing_folder.as_ref().map(|path| path.display().to_string()),
        "elsewhere": report.elsewhere,
        "left_behind": report.left_behind,
        "unreadable": report.unreadable,
        "not_taken": not_taken,
        "compared": report.compared,
        "differences": report.differences,
    })
}
