//! `reproof log`

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use entities::{Clock as _, Metric};
use serde_json::{Value, json};

use crate::arguments::LogCommand;
use crate::context::Context;
use crate::error::CommandError;
use crate::faults::tracking_fault;
use crate::output::Output;
use crate::system::{SystemClock, variable};

pub(crate) async fn run(command: LogCommand, output: &Output) -> Result<ExitCode, CommandError> {
    let target = match &command {
        LogCommand::Metric { target, .. }
        | LogCommand::Param { target, .. }
        | LogCommand::Tag { target, .. }
        | LogCommand::Artifact { target, .. } => target.run.clone(),
    };
    if let Some(reference) = target {
        into_store(&reference, command, output).await?;
    } else {
        let endpoint = Endpoint::of_this_run()?;
        tokio::task::spawn_blocking(move || endpoint.log(&command))
            .await
            .map_err(|error| CommandError::system("E0023", error))??;
    }
    if output.is_json {
        output.json(&json!({ "is_logged": true }));
    }
    Ok(ExitCode::SUCCESS)
}

/// Logs to a run of the store in this directory.
async fn into_store(
    reference: &str,
    command: LogCommand,
    output: &Output,
) -> Result<(), CommandError> {
    let context = Context::open_to_write(output).await?;
    let run = context.resolve_run(reference).await?;
    let tracking = &context.bench.tracking;
    let caller = &context.bench.caller;
    match command {
        LogCommand::Metric {
            key, value, step, ..
        } => {
            let now_ms = context.bench.clock.now().as_millis();
            tracking
                .log_metric(caller, &run.id, Metric::new(key, value, now_ms, step))
                .await
                .map_err(tracking_fault)?;
        }
        LogCommand::Param { key, value, .. } => {
            tracking
                .log_param(caller, &run.id, &key, &context.mask(&key, &value))
                .await
                .map_err(tracking_fault)?;
        }
        LogCommand::Tag { key, value, .. } => {
            tracking
                .set_tag(caller, &run.id, &key, &context.mask(&key, &value))
                .await
                .map_err(tracking_fault)?;
        }
        LogCommand::Artifact {
            path,
            artifact_path,
            ..
        } => {
            let prefix = run
                .artifact_uri
                .strip_prefix("mlflow-artifacts:/")
                .ok_or_else(|| {
                    CommandError::usage(
                        "E0022",
                        format!("the artifacts of this run are kept at {}", run.artifact_uri),
                    )
                })?;
            for (file, name) in files_below(&path, artifact_path.as_deref())? {
                let mut content =
                    std::fs::File::open(&file).map_err(|error| cannot_read(&file, &error))?;
                let name = format!("{prefix}/{name}");
                tracking
                    .put_artifact(caller, &name, &mut content)
                    .await
                    .map_err(tracking_fault)?;
            }
        }
    }
    context.publish_or_warn(output).await;
    Ok(())
}

/// The endpoint of the run that this process is part of.
struct Endpoint {
    uri: String,
    token: String,
    run: String,
}

impl Endpoint {
    fn of_this_run() -> Result<Self, CommandError> {
        let get = |name| variable(name);
        match (
            get("REPROOF_ENDPOINT"),
            get("REPROOF_TOKEN"),
            get("REPROOF_RUN"),
        ) {
            (Some(uri), Some(token), Some(run)) => Ok(Self { uri, token, run }),
            _ => Err(
                CommandError::usage("E0015", "this command is not part of a captured run")
                    .hint("call it from a command that `reproof run` started")
                    .hint("`--run RUN` names a run of the store in this directory"),
            ),
        }
    }

    fn log(&self, command: &LogCommand) -> Result<(), CommandError> {
        match command {
            LogCommand::Metric {
                key, value, step, ..
            } => {
                let value = crate::commands::outcome::number_json(*value);
                let now_ms = SystemClock.now().as_millis();
                let body = json!({ "run_id": self.run, "key": key, "value": value, "step": step, "timestamp": now_ms });
                self.post("runs/log-metric", &body)
            }
            LogCommand::Param { key, value, .. } => self.post(
                "runs/log-parameter",
                &json!({ "run_id": self.run, "key": key, "value": value }),
            ),
            LogCommand::Tag { key, value, .. } => self.post(
                "runs/set-tag",
                &json!({ "run_id": self.run, "key": key, "value": value }),
            ),
            LogCommand::Artifact {
                path,
                artifact_path,
                ..
            } => self.put_artifacts(path, artifact_path.as_deref()),
        }
    }

    fn put_artifacts(&self, path: &Path, artifact_path: Option<&str>) -> Result<(), CommandError> {
        let url = format!("{}/api/2.0/mlflow/runs/get?run_id={}", self.uri, self.run);
        let answer: Value = Self::agent()
            .get(&url)
            .header("Authorization", &self.authorization())
            .call()
            .map_err(|error| self.unreachable(&error))?
            .body_mut()
            .read_to_string()
            .map_err(|error| self.unreachable(&error))
            .and_then(|text| {
                serde_json::from_str(&text).map_err(|error| CommandError::system("E0018", error))
            })?;
        let uri = answer["run"]["info"]["artifact_uri"]
            .as_str()
            .unwrap_or_default();
        let prefix = uri
            .strip_prefix("mlflow-artifacts:/")
            .unwrap_or(uri)
            .to_owned();
        for (file, name) in files_below(path, artifact_path)? {
            let content = std::fs::File::open(&file).map_err(|error| cannot_read(&file, &error))?;
            let name = percent_encode(&format!("{prefix}/{name}"));
            let url = format!("{}/api/2.0/mlflow-artifacts/artifacts/{name}", self.uri);
            let answer = Self::agent()
                .put(&url)
                .header("Authorization", &self.authorization())
                .send(&content)
                .map_err(|error| self.unreachable(&error))?;
            Self::check(answer)?;
        }
        Ok(())
    }

    fn post(&self, call: &str, body: &Value) -> Result<(), CommandError> {
        let answer = Self::agent()
            .post(&format!("{}/api/2.0/mlflow/{call}", self.uri))
            .header("Authorization", &self.authorization())
            .header("Content-Type", "application/json")
            .send(body.to_string())
            .map_err(|error| self.unreachable(&error))?;
        Self::check(answer)
    }

    fn agent() -> ureq::Agent {
        ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .into()
    }

    fn authorization(&self) -> String {
        format!("Bearer {}", self.token)
    }

    fn check(mut answer: ureq::http::Response<ureq::Body>) -> Result<(), CommandError> {
        if answer.status().is_success() {
            return Ok(());
        }
        let text = answer.body_mut().read_to_string().unwrap_or_default();
        let words = serde_json::from_str::<Value>(&text)
            .ok()
            .and_then(|value| value["message"].as_str().map(str::to_owned))
            .unwrap_or(text);
        Err(CommandError::usage("E0019", words))
    }

    fn unreachable(&self, error: &ureq::Error) -> CommandError {
        CommandError::system(
            "E0018",
            format!("cannot reach the run's endpoint {}: {error}", self.uri),
        )
        .hint("has the `reproof run` that started this command ended?")
    }
}

/// The files of a path, each with the artifact path that it gets.
fn files_below(
    path: &Path,
    artifact_path: Option<&str>,
) -> Result<Vec<(PathBuf, String)>, CommandError> {
    let name = match artifact_path {
        Some(name) => name.trim_matches('/').to_owned(),
        None => path
            .canonicalize()
            .map_err(|error| cannot_read(path, &error))?
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .ok_or_else(|| {
                CommandError::usage("E0022", format!("{} has no name", path.display()))
            })?,
    };
    let mut files = Vec::new();
    let mut waiting = vec![(path.to_owned(), name)];
    while let Some((path, name)) = waiting.pop() {
        let metadata = std::fs::metadata(&path).map_err(|error| cannot_read(&path, &error))?;
        if metadata.is_file() {
            files.push((path, name));
            continue;
        }
        for entry in std::fs::read_dir(&path).map_err(|error| cannot_read(&path, &error))? {
            let entry = entry.map_err(|error| cannot_read(&path, &error))?;
            let child = entry.file_name();
            let child = child.to_str().ok_or_else(|| {
                CommandError::usage(
                    "E0022",
                    format!("the name of {} is not UTF-8", entry.path().display()),
                )
            })?;
            waiting.push((entry.path(), format!("{name}/{child}")));
        }
    }
    files.sort();
    Ok(files)
}

fn cannot_read(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::usage("E0018", format!("cannot read {}: {error}", path.display()))
}

/// Encodes a path for a URL, its slashes kept.
fn percent_encode(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_survives_a_url() {
        assert_eq!(percent_encode("a b/ü%.csv"), "a%20b/%C3%BC%25.csv");
    }

    #[test]
    fn a_folder_is_logged_with_all_below_it() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("m/deep")).unwrap();
        std::fs::write(directory.path().join("m/a.txt"), "a").unwrap();
        std::fs::write(directory.path().join("m/deep/b.txt"), "b").unwrap();
        let names: Vec<_> = files_below(&directory.path().join("m"), Some("model"))
            .unwrap()
            .into_iter()
            .map(|(_, name)| name)
            .collect();
        assert_eq!(names, ["model/a.txt", "model/deep/b.txt"]);
    }
}
