//! What TensorBoard shows: folders with event files, each a run.

mod messages;
mod records;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use entities::{Experiment, Lifecycle, Metric, ObjectId, Run, RunId, RunStatus, Timestamp, python};
use prost::Message as _;
use walkdir::WalkDir;

use self::messages::{Content, Event, GivenValue, Hyperparameters, SummaryValue};
use self::records::Records;
use crate::MigrateError;
use crate::artifacts::is_event_file;
use crate::keys::{LONGEST_TEXT, key_of, time_of};
use crate::source::{Outline, RunPlace, SourceRun};

/// Folders of event files, each of which is a run.
pub(crate) struct TensorBoardFolder {
    root: PathBuf,
    /// Folders with event files, by the names of their runs.
    folders: BTreeMap<String, PathBuf>,
    ids: BTreeMap<RunId, String>,
    experiment: Experiment,
}

/// What event files of one folder say.
#[derive(Default)]
struct Reading {
    first: Option<f64>,
    last: Option<f64>,
    points: Vec<Metric>,
    params: BTreeMap<String, String>,
    /// Texts, by their tags, with the step that they are of.
    texts: BTreeMap<String, (i64, String)>,
    status: Option<RunStatus>,
    /// Which plugin a tag belongs to: only its first value need say so.
    plugins: BTreeMap<String, String>,
    /// What has no place here, and how many there are.
    others: BTreeMap<&'static str, u64>,
    faults: Vec<String>,
}

impl TensorBoardFolder {
    /// Looks for event files in a folder and below. Links are not followed.
    ///
    /// The experiment is one that is there, or is to be made: then with no time of its own.
    pub(crate) fn open(root: &Path) -> Result<Self, MigrateError> {
        let mut folders = BTreeMap::new();
        for entry in WalkDir::new(root)
            .follow_root_links(true)
            .sort_by_file_name()
        {
            let entry = entry.map_err(|error| MigrateError::File {
                path: error.path().unwrap_or(root).display().to_string(),
                source: error.into(),
            })?;
            let folder = entry.path().parent().unwrap_or(root);
            if !entry.file_type().is_file() || !is_event_file(entry.path()) {
                continue;
            }
            let inside = folder.strip_prefix(root).unwrap_or(folder);
            let name = match inside.to_string_lossy() {
                name if name.is_empty() => ".".to_owned(),
                name => name.into_owned(),
            };
            folders.insert(name, folder.to_owned());
        }
        if folders.is_empty() {
            return Err(MigrateError::NoEventFiles {
                path: root.display().to_string(),
            });
        }
        let mut ids = BTreeMap::new();
        for (name, folder) in &folders {
            ids.insert(id_of(name, folder)?, name.clone());
        }
        let time = Timestamp::from_millis(0);
        Ok(Self {
            root: root.to_owned(),
            folders,
            ids,
            experiment: Experiment {
                id: "0".parse().expect("it is an id"),
                name: String::new(),
                artifact_location: String::new(),
                lifecycle: Lifecycle::Active,
                created_at: time,
                updated_at: time,
                tags: BTreeMap::new(),
            },
        })
    }

    /// Says which experiment the runs belong to: one that is there as it is, or a new one.
    pub(crate) fn put_into(&mut self, experiment: Experiment) {
        self.experiment = experiment;
    }

    /// What the folder is called.
    pub(crate) fn project(&self) -> String {
        let whole = self.root.canonicalize();
        let whole = whole.as_deref().unwrap_or(&self.root);
        let name = whole.file_name().map(|name| name.to_string_lossy());
        name.map_or_else(|| "tensorboard".to_owned(), Cow::into_owned)
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.root.clone()
    }

    /// Reads all but the runs; every file is read once to see what of it has no place.
    pub(crate) fn outline(&self) -> Result<Outline, MigrateError> {
        let mut outline = Outline {
            experiments: vec![self.experiment.clone()],
            ..Outline::default()
        };
        let mut runs = Vec::new();
        for (id, name) in &self.ids {
            let folder = &self.folders[name];
            let reading = read_folder(folder)?;
            let place = RunPlace {
                id: id.clone(),
                experiment: self.experiment.id.clone(),
                artifact_uri: String::new(),
                folder: Some(folder.clone()),
                has_event_files: true,
            };
            runs.push((time_of(reading.first), place));
            outline.unreadable.extend(reading.faults);
            for (noun, count) in reading.others {
                let noun = format!("{noun} in event files, which are kept as artifacts,");
                *outline.left_behind.entry(noun).or_default() += count;
            }
        }
        runs.sort_by(|(one, a), (other, b)| (one, &a.id).cmp(&(other, &b.id)));
        outline.runs = runs.into_iter().map(|(_, place)| place).collect();
        Ok(outline)
    }

    /// Reads a run with everything that belongs to it.
    pub(crate) fn run(&self, id: &RunId) -> Result<SourceRun, MigrateError> {
        let name = self.ids.get(id).ok_or_else(|| MigrateError::Row {
            what: format!("run `{id}`"),
            why: "it was there a moment ago".to_owned(),
        })?;
        let reading = read_folder(&self.folders[name])?;
        let named = match (name.as_str(), self.root.file_name()) {
            (".", Some(root)) => root.to_string_lossy().into_owned(),
            _ => name.clone(),
        };
        let texts = reading.texts.into_iter();
        let mut tags: BTreeMap<_, _> = texts
            .map(|(tag, (_, text))| (format!("tensorboard.text/{tag}"), text))
            .collect();
        tags.insert("mlflow.runName".to_owned(), named.clone());
        Ok(SourceRun {
            run: Run {
                id: id.clone(),
                experiment: self.experiment.id.clone(),
                name: named,
                user: String::new(),
                status: reading.status.unwrap_or(RunStatus::Finished),
                started_at: time_of(reading.first),
                ended_at: Some(time_of(reading.last))
                    .filter(|_| reading.status != Some(RunStatus::Running)),
                lifecycle: Lifecycle::Active,
                artifact_uri: String::new(),
                parent: None,
                replay_of: None,
                process: None,
                is_interrupted: false,
                recipe: None,
                record: None,
            },
            params: reading.params,
            tags,
            points: reading.points,
            datasets: Vec::new(),
            model_inputs: Vec::new(),
            model_outputs: Vec::new(),
        })
    }
}

/// The id of a folder's run: of its name, and of when its first event was written, so that it is the same whenever it is
/// taken over, and wherever it was moved as a whole.
fn id_of(name: &str, folder: &Path) -> Result<RunId, MigrateError> {
    let mut first = None;
    if let Some(path) = event_files(folder)?.first() {
        let mut records = open(path)?;
        let event = records.next().ok().flatten();
        first = event.and_then(|event| Event::decode(event.as_slice()).ok());
    }
    let time = first.map_or(0, |event| event.wall_time.to_bits());
    let named = format!("reproof tensorboard run v1\n{time}\n{name}");
    let digest = ObjectId::of(named.as_bytes());
    let id = hex::encode(&digest.as_bytes()[..16]);
    Ok(id.parse().expect("hex digits are an id"))
}

/// The event files right in a folder, in the order of their names, which begin with when they were made.
fn event_files(folder: &Path) -> Result<Vec<PathBuf>, MigrateError> {
    let fault = |source| MigrateError::File {
        path: folder.display().to_string(),
        source,
    };
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        if entry.file_type().map_err(fault)?.is_file() && is_event_file(&entry.path()) {
            files.insert(entry.path());
        }
    }
    Ok(files.into_iter().collect())
}

fn open(path: &Path) -> Result<Records<BufReader<File>>, MigrateError> {
    let file = File::open(path).map_err(|source| MigrateError::File {
        path: path.display().to_string(),
        source,
    })?;
    Ok(Records::new(BufReader::with_capacity(256 << 10, file)))
}

fn read_folder(folder: &Path) -> Result<Reading, MigrateError> {
    let mut reading = Reading::default();
    for path in event_files(folder)? {
        let mut records = open(&path)?;
        let told = |why: &dyn std::fmt::Display| format!("`{}`: {why}", path.display());
        loop {
            match records.next() {
                Ok(Some(record)) => match Event::decode(record.as_slice()) {
                    Ok(event) => reading.take(event),
                    Err(error) => reading
                        .faults
                        .push(told(&format!("a record is no event: {error}"))),
                },
                Ok(None) => break,
                Err(fault) => {
                    reading.faults.push(told(&fault));
                    break;
                }
            }
        }
    }
    Ok(reading)
}

impl Reading {
    fn take(&mut self, event: Event) {
        let Event {
            wall_time,
            step,
            summary,
        } = event;
        if !wall_time.is_finite() || wall_time < 0.0 {
            self.count("events without a time");
            return;
        }
        self.first = Some(self.first.map_or(wall_time, |first| first.min(wall_time)));
        self.last = Some(self.last.map_or(wall_time, |last| last.max(wall_time)));
        let at = time_of(Some(wall_time));
        for value in summary.into_iter().flat_map(|summary| summary.values) {
            self.take_value(value, step, at);
        }
    }

    fn take_value(&mut self, value: SummaryValue, step: i64, at: Timestamp) {
        let SummaryValue {
            tag,
            metadata,
            content,
        } = value;
        let told = metadata.and_then(|metadata| metadata.plugin);
        if let Some(told) = &told
            && !told.name.is_empty()
        {
            self.plugins.entry(tag.clone()).or_insert(told.name.clone());
        }
        let plugin = self.plugins.get(&tag).cloned().unwrap_or_default();
        if plugin == "hparams" {
            return match told.map(|told| Hyperparameters::decode(told.content.as_slice())) {
                Some(Ok(said)) => self.take_hyperparameters(said),
                _ => self.count("hyperparameters that cannot be read"),
            };
        }
        let number = match &content {
            Some(Content::Number(number)) => Some(f64::from(*number)),
            Some(Content::Tensor(tensor)) if plugin == "scalars" => tensor.number(),
            _ => None,
        };
        match (number, content) {
            (Some(number), _) => {
                let key = key_of(&tag);
                self.points
                    .push(Metric::new(key, number, at.as_millis(), step));
            }
            (None, Some(Content::Tensor(tensor))) if plugin == "text" => {
                let texts = tensor
                    .texts
                    .iter()
                    .map(|text| String::from_utf8_lossy(text));
                let text = texts.collect::<Vec<_>>().join("\n");
                if text.chars().count() > LONGEST_TEXT {
                    return self.count("long texts");
                }
                let known = self.texts.get(&tag).map_or(i64::MIN, |(known, _)| *known);
                if step >= known {
                    self.texts.insert(key_of(&tag), (step, text));
                }
            }
            (None, Some(Content::Image(_))) => self.count("images"),
            (None, Some(Content::Audio(_))) => self.count("sounds"),
            (None, Some(Content::Histogram(_) | Content::OldHistogram(_))) => {
                self.count("histograms");
            }
            (None, Some(Content::Tensor(_))) => self.count(match plugin.as_str() {
                "images" => "images",
                "audio" => "sounds",
                "histograms" => "histograms",
                _ => "other tensors",
            }),
            // The number of its type that protobuf does not write is nothing.
            (None, Some(Content::Number(_)) | None) => self.count("empty values"),
        }
    }

    fn take_hyperparameters(&mut self, said: Hyperparameters) {
        for (name, given) in said.start.into_iter().flat_map(|start| start.values) {
            let text = match given.value {
                Some(GivenValue::Number(number)) => written(number),
                Some(GivenValue::Text(text)) => text,
                Some(GivenValue::Truth(truth)) => (if truth { "True" } else { "False" }).to_owned(),
                None => continue,
            };
            self.params.insert(key_of(&name), text);
        }
        match said.end.map(|end| end.status) {
            Some(1) => self.status = Some(RunStatus::Finished),
            Some(2) => self.status = Some(RunStatus::Failed),
            Some(3) => self.status = Some(RunStatus::Running),
            _ => {}
        }
    }

    fn count(&mut self, noun: &'static str) {
        *self.others.entry(noun).or_default() += 1;
    }
}

/// A number as who set it most likely wrote it: hyperparameters are floating-point numbers there.
fn written(number: f64) -> String {
    let is_whole = number.fract() == 0.0 && number.abs() < 1e15;
    if is_whole {
        format!("{}", number as i64)
    } else {
        python::float(number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::records::write_record;
    use super::*;

    fn read(events: &[Event]) -> Reading {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = Vec::new();
        for event in events {
            write_record(&event.encode_to_vec(), &mut bytes);
        }
        std::fs::write(folder.path().join("events.out.tfevents.1.host"), bytes).unwrap();
        read_folder(folder.path()).unwrap()
    }

    fn event(tag: &str, content: Content) -> Event {
        Event {
            wall_time: 1.5,
            step: 7,
            summary: Some(messages::Summary {
                values: vec![SummaryValue {
                    tag: tag.to_owned(),
                    metadata: None,
                    content: Some(content),
                }],
            }),
        }
    }

    #[test]
    fn what_has_no_number_is_counted_and_times_that_are_none_too() {
        let mut without_time = event("m", Content::Number(1.0));
        without_time.wall_time = f64::NAN;
        let tensor = messages::Tensor {
            kind: 1,
            content: vec![0; 3],
            ..messages::Tensor::default()
        };
        let reading = read(&[
            event("m", Content::Number(0.5)),
            event("i", Content::Image(vec![1])),
            event("t", Content::Tensor(tensor)),
            without_time,
        ]);
        assert_eq!(reading.points, [Metric::new("m", 0.5, 1500, 7)]);
        let others: Vec<_> = reading.others.into_iter().collect();
        assert_eq!(
            others,
            [
                ("events without a time", 1),
                ("images", 1),
                ("other tensors", 1)
            ]
        );
    }

    proptest! {
        #[test]
        fn no_record_makes_it_fail(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut reading = Reading::default();
            if let Ok(event) = Event::decode(bytes.as_slice()) {
                reading.take(event);
            }
            let _ = Hyperparameters::decode(bytes.as_slice());
        }
    }
}
