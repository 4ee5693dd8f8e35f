//! What W&B keeps on a machine: a folder for each run, with a file of records and a folder of files.

mod messages;
mod records;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use entities::{Experiment, Lifecycle, Metric, ObjectId, Run, RunId, RunStatus, Timestamp};
use prost::Message as _;
use serde_json::Value;
use walkdir::WalkDir;

use self::messages::{Changed, Exit, History, Item, Moment, Record, RunSaid, Said};
use self::records::Records;
use crate::MigrateError;
use crate::keys::{LONGEST_TEXT, key_of, time_of};
use crate::source::{Outline, RunPlace, SourceRun};

/// How deep below a folder files of records are looked for: that of the project, `wandb`, a run's.
const DEEPEST: usize = 4;

const MEDIA: &str = "media, tables and histograms in histories";

/// Folders of runs.
pub(crate) struct WandbFolder {
    root: PathBuf,
    runs: BTreeMap<RunId, Kept>,
    /// By the names of projects.
    experiments: BTreeMap<String, Experiment>,
    /// Files that are none of W&B's, each as a sentence.
    faults: Vec<String>,
}

/// A run on the disk.
struct Kept {
    records: PathBuf,
    folder: PathBuf,
    project: String,
}

/// What a file of records says.
#[derive(Default)]
struct Reading {
    run: RunSaid,
    user: String,
    config: BTreeMap<String, Value>,
    summary: BTreeMap<String, Value>,
    points: Vec<Metric>,
    logged: BTreeSet<String>,
    last: Option<(f64, i64)>,
    exit: Option<Exit>,
    /// What has no place here, and how many there are.
    others: BTreeMap<&'static str, u64>,
    fault: Option<String>,
}

impl WandbFolder {
    /// Looks for files of records in a folder and below. Links are not followed.
    pub(crate) fn open(root: &Path) -> Result<Self, MigrateError> {
        let mut found = Self {
            root: root.to_owned(),
            runs: BTreeMap::new(),
            experiments: BTreeMap::new(),
            faults: Vec::new(),
        };
        for entry in WalkDir::new(root)
            .max_depth(DEEPEST)
            .follow_root_links(true)
            .sort_by_file_name()
        {
            let entry = entry.map_err(|error| MigrateError::File {
                path: error.path().unwrap_or(root).display().to_string(),
                source: error.into(),
            })?;
            let path = entry.path();
            let is_of_run = path.extension().is_some_and(|end| end == "wandb");
            if !entry.file_type().is_file() || !is_of_run {
                continue;
            }
            let reading = read(path, Until::Run)?;
            if reading.run.id.is_empty() {
                let why = reading
                    .fault
                    .unwrap_or_else(|| format!("`{}`: it names no run", path.display()));
                found.faults.push(why);
                continue;
            }
            let project = match reading.run.project.as_str() {
                "" => "uncategorized".to_owned(),
                project => project.to_owned(),
            };
            found.runs.insert(
                id_of(&reading.run),
                Kept {
                    records: path.to_owned(),
                    folder: path.parent().unwrap_or(root).to_owned(),
                    project,
                },
            );
        }
        if found.runs.is_empty() && found.faults.is_empty() {
            return Err(MigrateError::NoWandbFiles {
                path: root.display().to_string(),
            });
        }
        Ok(found)
    }

    /// The names of the projects.
    pub(crate) fn projects(&self) -> Vec<String> {
        let projects: BTreeSet<_> = self.runs.values().map(|kept| &kept.project).collect();
        projects.into_iter().cloned().collect()
    }

    /// Says which experiment the runs of each project belong to.
    pub(crate) fn put_into(&mut self, experiments: BTreeMap<String, Experiment>) {
        self.experiments = experiments;
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.root.clone()
    }

    /// Reads all but the runs; every file is read once to see what of it has no place.
    pub(crate) fn outline(&self) -> Result<Outline, MigrateError> {
        let mut outline = Outline {
            unreadable: self.faults.clone(),
            ..Outline::default()
        };
        let experiments = self.experiments.values().map(|one| (&one.id, one));
        let experiments: BTreeMap<_, _> = experiments.collect();
        outline.experiments = experiments.into_values().cloned().collect();
        let mut runs = Vec::new();
        for (id, kept) in &self.runs {
            let reading = read(&kept.records, Until::End)?;
            let place = RunPlace {
                id: id.clone(),
                experiment: self.experiment_of(kept)?.id.clone(),
                artifact_uri: String::new(),
                folder: Some(kept.folder.join("files")),
                has_event_files: false,
            };
            runs.push((moment(reading.run.started_at.as_ref()), place));
            outline.unreadable.extend(reading.fault);
            for (noun, count) in reading.others {
                *outline.left_behind.entry(noun.to_owned()).or_default() += count;
            }
        }
        runs.sort_by(|(one, a), (other, b)| (one, &a.id).cmp(&(other, &b.id)));
        outline.runs = runs.into_iter().map(|(_, place)| place).collect();
        Ok(outline)
    }

    /// Reads a run with everything that belongs to it.
    pub(crate) fn run(&self, id: &RunId) -> Result<SourceRun, MigrateError> {
        let kept = self.runs.get(id).ok_or_else(|| MigrateError::Row {
            what: format!("run `{id}`"),
            why: "it was there a moment ago".to_owned(),
        })?;
        let experiment = self.experiment_of(kept)?;
        let mut reading = read(&kept.records, Until::End)?;
        let started_at = moment(reading.run.started_at.as_ref());
        let (tags, points) = reading.rest(started_at);
        let RunSaid {
            id: named, name, ..
        } = reading.run;
        let name = if name.is_empty() { named } else { name };
        let last = reading.last.map_or(started_at, |(at, _)| time_of(Some(at)));
        Ok(SourceRun {
            run: Run {
                id: id.clone(),
                experiment: experiment.id.clone(),
                name: name.clone(),
                user: reading.user,
                status: match &reading.exit {
                    Some(Exit { code: 0 }) => RunStatus::Finished,
                    Some(_) => RunStatus::Failed,
                    // It never said that it ended.
                    None => RunStatus::Running,
                },
                started_at,
                ended_at: reading.exit.map(|_| last.max(started_at)),
                lifecycle: Lifecycle::Active,
                artifact_uri: String::new(),
                parent: None,
                replay_of: None,
                process: None,
                is_interrupted: false,
                recipe: None,
                record: None,
            },
            params: params_of(reading.config),
            tags: tags
                .into_iter()
                .chain([("mlflow.runName".to_owned(), name)])
                .collect(),
            points,
            datasets: Vec::new(),
            model_inputs: Vec::new(),
            model_outputs: Vec::new(),
        })
    }

    fn experiment_of(&self, kept: &Kept) -> Result<&Experiment, MigrateError> {
        let found = self.experiments.get(&kept.project);
        found.ok_or_else(|| MigrateError::Row {
            what: format!("project `{}`", kept.project),
            why: "no experiment was named for it".to_owned(),
        })
    }
}

/// The id of a run: of W&B's, which is unique in a project, and of when it began.
fn id_of(run: &RunSaid) -> RunId {
    let began = run.started_at.clone().unwrap_or_default();
    let named = format!(
        "reproof wandb run v1\n{}\n{}\n{}.{}",
        run.project, run.id, began.seconds, began.nanos
    );
    let digest = ObjectId::of(named.as_bytes());
    let id = hex::encode(&digest.as_bytes()[..16]);
    id.parse().expect("hex digits are an id")
}

fn moment(moment: Option<&Moment>) -> Timestamp {
    let Moment { seconds, nanos } = moment.cloned().unwrap_or_default();
    time_of(Some(seconds as f64 + f64::from(nanos / 1_000_000) / 1000.0))
}

/// How far a file is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// To what names the run.
    Run,
    End,
}

fn read(path: &Path, until: Until) -> Result<Reading, MigrateError> {
    let file = File::open(path).map_err(|source| MigrateError::File {
        path: path.display().to_string(),
        source,
    })?;
    let mut reading = Reading::default();
    let told = |why: &dyn std::fmt::Display| Some(format!("`{}`: {why}", path.display()));
    let mut records = match Records::new(BufReader::with_capacity(256 << 10, file)) {
        Ok(records) => records,
        Err(fault) => {
            reading.fault = told(&fault);
            return Ok(reading);
        }
    };
    while until == Until::End || reading.run.id.is_empty() {
        match records.next() {
            Ok(Some(record)) => match Record::decode(record.as_slice()) {
                Ok(record) => reading.take(record),
                Err(_) => reading.count("records that cannot be read"),
            },
            Ok(None) => break,
            Err(fault) => {
                reading.fault = told(&fault);
                break;
            }
        }
    }
    Ok(reading)
}

impl Reading {
    fn take(&mut self, record: Record) {
        match record.said {
            Some(Said::Run(run)) => {
                let mut run = *run;
                if let Some(changed) = run.config.take() {
                    change(&mut self.config, changed);
                }
                if let Some(changed) = run.summary.take() {
                    change(&mut self.summary, changed);
                }
                self.run = run;
            }
            Some(Said::Config(changed)) => change(&mut self.config, changed),
            Some(Said::Summary(changed)) => change(&mut self.summary, changed),
            Some(Said::History(history)) => self.take_history(history),
            Some(Said::Exit(exit)) => self.exit = Some(exit),
            Some(Said::Environment(environment)) if !environment.user.is_empty() => {
                self.user = environment.user;
            }
            Some(Said::Output(_) | Said::RawOutput(_)) => self.count("pieces of printed output"),
            Some(Said::Stats(_)) => self.count("measurements of the machine"),
            Some(Said::Artifact(_)) => self.count("W&B artifacts"),
            Some(Said::Alert(_)) => self.count("alerts"),
            Some(Said::Environment(_)) | None => {}
        }
    }

    fn take_history(&mut self, history: History) {
        let History { items, step } = history;
        let find = |name: &str| {
            let item = items.iter().find(|item| item.name() == name)?;
            number_of(&value_of(&item.value_json))
        };
        let step = match (step, find("_step")) {
            (Some(step), _) => step.number,
            (None, step) => step.map_or(0, |step| step as i64),
        };
        let at = find("_timestamp").filter(|at| at.is_finite() && *at >= 0.0);
        if let Some(at) = at {
            self.last = Some((at, step));
        }
        let at = time_of(at.or(self.last.map(|(at, _)| at)));
        // What is no plain value tells its type; its parts may stand one by one.
        let media: BTreeSet<String> = items
            .iter()
            .filter_map(|item| Some(item.name().strip_suffix("._type")?.to_owned()))
            .collect();
        for _ in &media {
            self.count(MEDIA);
        }
        for item in &items {
            let name = item.name();
            let is_own = matches!(name.as_str(), "_step" | "_timestamp" | "_runtime");
            let is_of_media = media.iter().any(|media| {
                name.strip_prefix(media.as_str())
                    .is_some_and(|rest| rest.starts_with('.'))
            });
            if !is_own && !is_of_media {
                self.take_value(&name, &value_of(&item.value_json), step, at);
            }
        }
    }

    fn take_value(&mut self, name: &str, value: &Value, step: i64, at: Timestamp) {
        match (number_of(value), value) {
            (Some(number), _) => {
                let key = key_of(name);
                self.logged.insert(name.to_owned());
                self.points
                    .push(Metric::new(key, number, at.as_millis(), step));
            }
            (None, Value::Object(members)) if !members.contains_key("_type") => {
                for (key, inner) in members {
                    self.take_value(&format!("{name}.{key}"), inner, step, at);
                }
            }
            (None, Value::Object(_)) => self.count(MEDIA),
            (None, _) => self.count("values in histories that are no numbers"),
        }
    }

    /// Tags, and all points: also of what only the summary says, as if it were logged last.
    fn rest(&mut self, started_at: Timestamp) -> (BTreeMap<String, String>, Vec<Metric>) {
        let (at, step) = self.last.unwrap_or_default();
        let at = if at > 0.0 {
            time_of(Some(at))
        } else {
            started_at
        };
        let mut points = std::mem::take(&mut self.points);
        let mut tags = BTreeMap::new();
        let summary = flat(std::mem::take(&mut self.summary));
        let media: Vec<String> = summary
            .keys()
            .filter_map(|name| Some(format!("{}.", name.strip_suffix("._type")?)))
            .collect();
        for (name, value) in summary {
            let is_of_media = media.iter().any(|media| name.starts_with(media.as_str()));
            if name.starts_with('_') || self.logged.contains(&name) || is_of_media {
                continue;
            }
            match (number_of(&value), value) {
                (Some(number), _) => {
                    points.push(Metric::new(key_of(&name), number, at.as_millis(), step));
                }
                (None, Value::String(text)) if text.chars().count() <= LONGEST_TEXT => {
                    tags.insert(format!("wandb.summary/{}", key_of(&name)), text);
                }
                _ => {}
            }
        }
        let run = &self.run;
        for (key, value) in [
            ("mlflow.note.content", &run.notes),
            ("wandb.run_id", &run.id),
            ("wandb.group", &run.group),
            ("wandb.job_type", &run.job_type),
            ("wandb.sweep", &run.sweep),
        ] {
            if !value.is_empty() {
                tags.insert(key.to_owned(), value.clone());
            }
        }
        let named = run.tags.iter();
        tags.extend(named.map(|tag| (format!("wandb.tag/{}", key_of(tag)), "true".to_owned())));
        (tags, points)
    }

    fn count(&mut self, noun: &'static str) {
        *self.others.entry(noun).or_default() += 1;
    }
}

fn change(values: &mut BTreeMap<String, Value>, changed: Changed) {
    let Changed { updated, removed } = changed;
    for item in &updated {
        values.insert(item.name(), value_of(&item.value_json));
    }
    for item in removed.iter().map(Item::name) {
        values.remove(&item);
    }
}

/// A value as JSON; a text that is none, as itself: `NaN` is not in JSON.
fn value_of(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|_| Value::from(json))
}

fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// Values by their whole names: those inside of others, with dots between.
fn flat(values: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let mut flat = BTreeMap::new();
    let mut waiting: Vec<_> = values.into_iter().collect();
    while let Some((name, value)) = waiting.pop() {
        match value {
            Value::Object(members) if !members.is_empty() => {
                let members = members.into_iter();
                waiting.extend(members.map(|(key, inner)| (format!("{name}.{key}"), inner)));
            }
            value => drop(flat.insert(name, value)),
        }
    }
    flat
}

/// The config without what W&B itself keeps there.
fn params_of(config: BTreeMap<String, Value>) -> BTreeMap<String, String> {
    let mut config = config;
    config.retain(|name, _| name != "_wandb" && !name.starts_with("_wandb."));
    let values = flat(config).into_iter();
    values
        .map(|(name, value)| {
            let text = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            (key_of(&name), text)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn item(key: &str, json: &str) -> Item {
        Item {
            key: key.to_owned(),
            nested_key: Vec::new(),
            value_json: json.to_owned(),
        }
    }

    #[test]
    fn values_are_points_wherever_they_are_nested_and_the_rest_is_counted() {
        let mut reading = Reading::default();
        let items = vec![
            item("a", "{\"b\": 1, \"c\": {\"d\": 2}}"),
            item("nan", "NaN"),
            item("media", "{\"_type\": \"image-file\"}"),
            item("parts._type", "\"html-file\""),
            item("parts.size", "7"),
            item("text", "\"x\""),
            item("../up", "3"),
            item("_timestamp", "1.5"),
        ];
        let step = Some(messages::Step { number: 4 });
        reading.take_history(History { items, step });
        let keys: Vec<_> = reading
            .points
            .iter()
            .map(|point| point.key.as_str())
            .collect();
        assert_eq!(keys, ["a.b", "a.c.d", "nan", "up"]);
        assert!(
            reading
                .points
                .iter()
                .all(|point| (point.timestamp_ms, point.step) == (1500, 4))
        );
        let others: Vec<_> = reading.others.values().collect();
        assert_eq!(others, [&2, &1]);
    }

    #[test]
    fn a_value_that_is_nested_without_end_is_a_text() {
        let deep = "[".repeat(100_000);
        assert_eq!(value_of(&deep), Value::from(deep.as_str()));
    }

    proptest! {
        #[test]
        fn no_record_makes_it_fail(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut reading = Reading::default();
            if let Ok(record) = Record::decode(bytes.as_slice()) {
                reading.take(record);
                reading.rest(Timestamp::from_millis(0));
            }
        }
    }
}
