//! `reproof migrate mlflow --reverse`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use migrate::{ReverseOptions, ReverseReport, Source, write_back};
use serde_json::json;
use store_postgres::PostgresAddress;

use super::{SHOWN, Steps, target, tell_rest, webhook_key};
use crate::context::Context;
use crate::error::CommandError;
use crate::faults::migrate_fault;
use crate::output::{Output, in_shell_words, safe, size};

pub(super) async fn run(
    uri: &str,
    artifacts: Option<PathBuf>,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let database = database_of(uri)?;
    let artifacts = artifacts.unwrap_or_else(|| database.with_file_name("mlartifacts"));
    let options = ReverseOptions {
        database: database.clone(),
        artifacts: artifacts.clone(),
        webhook_key: webhook_key()?,
    };
    let context = Context::open(output).await?;
    let steps = Steps::new(output);
    let written = write_back(&target(&context)?, options, &|at| steps.tell(at)).await;
    drop(steps);
    let report = written.map_err(migrate_fault)?;
    if output.is_json {
        output.json(&report_json(&database, &artifacts, &report));
    } else {
        tell(&database, &artifacts, &report, output);
    }
    let is_whole = report.differences.is_empty() && report.not_held.is_empty();
    Ok(ExitCode::from(u8::from(!is_whole)))
}

/// The file that is to be written.
fn database_of(uri: &str) -> Result<PathBuf, CommandError> {
    let refuse = |why: &str| {
        CommandError::usage("E0034", format!("`{uri}` cannot be written: {why}"))
            .hint("name a file of SQLite, such as sqlite:///mlflow.db")
    };
    if PostgresAddress::is_meant(uri) {
        // It may hold a password.
        return Err(CommandError::usage(
            "E0034",
            "MLflow's database is written as a file of SQLite, and not into a server",
        )
        .hint("name a file, such as sqlite:///mlflow.db"));
    }
    let path = Source::path(uri).ok_or_else(|| refuse("that is no path"))?;
    match path.file_name() {
        Some(_) if !path.is_dir() => Ok(path),
        _ => Err(refuse("that is a folder")),
    }
}

fn tell(database: &Path, artifacts: &Path, report: &ReverseReport, output: &Output) {
    let shown = |path: &Path| safe(&path.display().to_string());
    output.line(&format!(
        "wrote {} and {}",
        shown(database),
        shown(artifacts)
    ));
    for (noun, count) in report.counts.iter().filter(|(_, count)| **count > 0) {
        let bytes = if *noun == "files" {
            format!(", {}", size(report.bytes))
        } else {
            String::new()
        };
        output.line(&format!("  {noun:19} {count}{bytes}"));
    }
    for (noun, count) in &report.left_behind {
        output.line(&format!("{count} {noun} stay here and are not written"));
    }
    let listings = [
        (
            "longer than MLflow takes, and written whole",
            &report.beyond_limits,
        ),
        ("MLflow has no place for this", &report.not_held),
    ];
    for (words, sentences) in listings {
        for sentence in sentences.iter().take(SHOWN) {
            output.warn(&format!("{words}: {}", safe(sentence)));
        }
        tell_rest(words, sentences.len(), output);
    }
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
        "compared {} rows and files with this store again: {verdict}",
        report.compared
    ));
    let words = [
        "mlflow".to_owned(),
        "server".to_owned(),
        "--backend-store-uri".to_owned(),
        format!("sqlite:///{}", database.display()),
        "--artifacts-destination".to_owned(),
        artifacts.display().to_string(),
    ];
    output.line(&format!("serve it with: {}", safe(&in_shell_words(&words))));
}

fn report_json(database: &Path, artifacts: &Path, report: &ReverseReport) -> serde_json::Value {
    let ReverseReport {
        counts,
        bytes,
        beyond_limits,
        not_held,
        left_behind,
        compared,
        differences,
    } = report;
    let counts: serde_json::Map<_, _> = counts
        .iter()
        .map(|(noun, count)| (noun.replace(' ', "_"), json!(count)))
        .collect();
    json!({
        "database": database.display().to_string(),
        "artifacts": artifacts.display().to_string(),
        "counts": counts,
        "bytes": bytes,
        "beyond_limits": beyond_limits,
        "not_held": not_held,
        "left_behind": left_behind,
        "compared": compared,
        "differences": differences,
    })
}
