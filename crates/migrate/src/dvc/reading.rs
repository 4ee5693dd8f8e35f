//! What one experiment says, by the files of its commit and of the cache.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use capture::CaptureError;
use capture::code::{CommittedFile, History};
use entities::{DatasetInput, Metric};
use serde_json::Value;

use super::cache::Cache;
use super::declared::{Declared, Kept, Keys, Out, PARAMS};
use super::found::{Found, State};
use super::numbers::{Number, Said, history_in, points_of};
use super::values::{flat, is_python, number_of, read_history, read_values, text_of};
use crate::keys::{LONGEST_TEXT, key_of};

/// Longest file of values or declarations that is read.
const LONGEST_FILE_BYTES: u64 = 16 << 20;

/// Texts in histories have no place as points.
const TEXTS: &str = "values in histories that are no numbers";

/// What one experiment says.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) params: BTreeMap<String, String>,
    /// Metrics that are texts.
    pub(super) tags: BTreeMap<String, String>,
    pub(super) points: Vec<Metric>,
    pub(super) datasets: Vec<DatasetInput>,
    /// By their paths in the project.
    pub(super) files: BTreeMap<String, Wanted>,
    /// What cannot be read, each as a sentence.
    pub(super) faults: Vec<String>,
    /// What has no place here, and how many there are.
    pub(super) others: BTreeMap<&'static str, u64>,
}

/// A file that is to come over.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    /// It was committed.
    Committed(CommittedFile),
    /// It has that MD5 in the cache.
    Cached(String),
    /// It cannot come.
    Lost(&'static str),
}

/// What an experiment is read from.
pub(super) struct View<'v> {
    pub(super) history: &'v History,
    pub(super) cache: &'v Cache,
    pub(super) found: &'v Found,
    /// The files of its commit, by their paths in the project.
    pub(super) committed: &'v BTreeMap<String, CommittedFile>,
    /// The ids of the same files of the commit that it began at.
    pub(super) before: &'v BTreeMap<String, String>,
}

/// Reads an experiment. The contents of what is to come over are not read.
///
/// *Errors*: what git says of a content that is damaged.
pub(super) fn read(view: &View<'_>) -> Result<Reading, CaptureError> {
    let mut reading = Reading::default();
    let declared = view.declared(&mut reading)?;
    let mut cached = BTreeMap::new();
    if view.found.state == State::Done {
        view.take_outs(&declared, &mut cached, &mut reading);
    }
    view.read_ahead(&declared)?;
    view.read_params(&declared, &cached, &mut reading)?;
    if view.found.state == State::Done {
        view.read_metrics(&declared, &cached, &mut reading)?;
    }
    view.collect_files(&declared, cached, &mut reading);
    Ok(reading)
}

impl View<'_> {
    /// Stages before locks, which need them.
    fn declared(&self, reading: &mut Reading) -> Result<Declared, CaptureError> {
        let files = self.committed.values().filter(|file| !file.is_link);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for file in files {
            match file.path.rsplit('/').next() {
                Some("dvc.yaml") => first.push(file),
                Some("dvc.lock") => second.push(file),
                Some(name) if name.strip_suffix(".dvc").is_some() => second.push(file),
                _ => {}
            }
        }
        first.extend(second);
        self.history.read_ahead(&first)?;
        let mut declared = Declared::default();
        for file in first {
            if let Some(text) = self.text_of(file, reading)? {
                declared.take(&file.path, &text);
            }
        }
        if self.committed.contains_key(PARAMS) {
            declared.params.insert(PARAMS.to_owned(), Keys::All);
        }
        reading.faults.append(&mut declared.faults);
        Ok(declared)
    }

    /// Takes outputs that are in the cache: those of stages, and of what is tracked without one what the experiment made
    /// or changed. The rest of that is what it began with: data, which is an input.
    fn take_outs(
        &self,
        declared: &Declared,
        cached: &mut BTreeMap<String, String>,
        reading: &mut Reading,
    ) {
        for out in &declared.outs {
            if self.is_as_before(out) {
                reading.datasets.extend(dataset_of(out));
                continue;
            }
            // What the cache does not keep was committed.
            if has_below(self.committed, &out.path) {
                continue;
            }
            if let Kept::Git = out.kept {
                reading.count("outputs that DVC does not cache, and that were not committed,");
                continue;
            }
            for (path, found) in self.cache.expand(out) {
                match found {
                    Ok(md5) => drop(cached.insert(path, md5)),
                    Err(why) => drop(reading.files.insert(path, Wanted::Lost(why))),
                }
            }
        }
    }

    fn is_as_before(&self, out: &Out) -> bool {
        out.tracked_by.as_ref().is_some_and(|file| {
            let now = self.committed.get(file).map(|file| &file.object);
            now.is_some() && now == self.before.get(file)
        })
    }

    /// Reads with one process what is about to be read.
    fn read_ahead(&self, declared: &Declared) -> Result<(), CaptureError> {
        let is_wanted = |file: &&CommittedFile| self.is_of_interest(&file.path, declared);
        let files = self.committed.values().filter(is_wanted);
        self.history.read_ahead(&files.collect::<Vec<_>>())
    }

    /// Params by their names; those that several files have, with the file before.
    fn read_params(
        &self,
        declared: &Declared,
        cached: &BTreeMap<String, String>,
        reading: &mut Reading,
    ) -> Result<(), CaptureError> {
        let mut found: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut take = |path: &str, name: String, value: Value| {
            let files = found.entry(name).or_default();
            files.insert(path.to_owned(), text_of(value));
        };
        for (path, keys) in &declared.params {
            let values = if is_python(path) {
                self.locked_values_of(path, declared, reading)
            } else {
                self.values_of(path, cached, reading)?
            };
            let values = values.map(flat).into_iter().flatten();
            for (name, value) in values.filter(|(name, _)| keys.has(name)) {
                take(path, name, value);
            }
        }
        for (path, values) in &declared.inline {
            for (name, value) in flat(values.clone()) {
                take(path, name, value);
            }
        }
        for (name, files) in found {
            let is_alone = files.len() == 1;
            for (path, value) in files {
                let told = if is_alone {
                    name.clone()
                } else {
                    format!("{path}:{name}")
                };
                let key = key_of(&told);
                match reading.params.entry(key) {
                    Entry::Vacant(place) => drop(place.insert(value)),
                    Entry::Occupied(place) => reading.faults.push(format!(
                        "param `{told}`: another is called `{}` here too",
                        place.key()
                    )),
                }
            }
        }
        Ok(())
    }

    /// Histories, and what files of metrics say beside them, as points of the last step.
    fn read_metrics(
        &self,
        declared: &Declared,
        cached: &BTreeMap<String, String>,
        reading: &mut Reading,
    ) -> Result<(), CaptureError> {
        let mut numbers = self.read_histories(cached, reading)?;
        let folders: BTreeSet<String> = numbers.iter().map(|one| one.place.clone()).collect();
        let last = |one: &Number| match &one.said {
            Said::History { points, .. } => points.iter().map(|point| point.step).max(),
            Said::Once(_) => None,
        };
        let last_step = numbers.iter().filter_map(last).max().unwrap_or(0);
        let paths: BTreeSet<&String> = self.committed.keys().chain(cached.keys()).collect();
        for path in paths {
            if !declared.is_metric(path) {
                continue;
            }
            let Some(values) = self.values_of(path, cached, reading)? else {
                continue;
            };
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            for (name, value) in flat(values) {
                match (number_of(&value), value) {
                    (Some(number), _) => {
                        let is_namesake = |one: &&Number| one.place == folder && one.name == name;
                        let (place, name) = match numbers.iter().find(is_namesake) {
                            Some(namesake) if namesake.ends_with(number) => continue,
                            // Whoever logs may say something else at the end than the last of a history.
                            Some(_) => (path.as_str(), format!("{path}:{name}")),
                            None if folders.contains(folder) => (folder, name),
                            None => (path.as_str(), name),
                        };
                        numbers.push(Number {
                            place: place.to_owned(),
                            name,
                            said: Said::Once(number),
                        });
                    }
                    (None, Value::String(text)) if text.chars().count() <= LONGEST_TEXT => {
                        let key = format!("dvc.metric/{}", key_of(&name));
                        reading.tags.insert(key, text);
                    }
                    _ => reading.count("values of metrics that are no numbers"),
                }
            }
        }
        let at_ms = self.found.time().as_millis();
        reading.points = points_of(numbers, last_step, at_ms);
        Ok(())
    }

    fn read_histories(
        &self,
        cached: &BTreeMap<String, String>,
        reading: &mut Reading,
    ) -> Result<Vec<Number>, CaptureError> {
        let mut numbers = Vec::new();
        let paths: BTreeSet<&String> = self.committed.keys().chain(cached.keys()).collect();
        for path in paths {
            let Some((folder, key)) = history_in(path) else {
                continue;
            };
            let told = self.text(path, cached, reading)?;
            let Some(told) = told.as_deref().and_then(read_history) else {
                continue;
            };
            if let Some(line) = told.odd_line {
                let fault = format!("`{path}`: line {line} is no point");
                reading.faults.push(fault);
            }
            *reading.others.entry(TEXTS).or_default() += told.others;
            numbers.push(Number {
                place: folder.to_owned(),
                name: key.replace('/', "."),
                said: Said::History {
                    key: key.to_owned(),
                    points: told.points,
                },
            });
        }
        reading.others.retain(|_, count| *count > 0);
        Ok(numbers)
    }

    /// What a file in Python says stands in the lock of the stages that ran.
    fn locked_values_of(
        &self,
        path: &str,
        declared: &Declared,
        reading: &mut Reading,
    ) -> Option<Value> {
        let locked = declared.locked.get(path);
        let locked = locked.filter(|_| self.found.state == State::Done);
        if locked.is_none() && self.committed.contains_key(path) {
            let fault = format!("`{path}`: it is in Python, and no `dvc.lock` has its values");
            reading.faults.push(fault);
        }
        locked.cloned().map(Value::Object)
    }

    fn values_of(
        &self,
        path: &str,
        cached: &BTreeMap<String, String>,
        reading: &mut Reading,
    ) -> Result<Option<Value>, CaptureError> {
        let Some(text) = self.text(path, cached, reading)? else {
            return Ok(None);
        };
        match read_values(path, &text) {
            Ok(values) => Ok(Some(values)),
            Err(why) => {
                reading.faults.push(format!("`{path}`: {why}"));
                Ok(None)
            }
        }
    }

    /// The text of a file; none where there is none, or it cannot be read.
    fn text(
        &self,
        path: &str,
        cached: &BTreeMap<String, String>,
        reading: &mut Reading,
    ) -> Result<Option<String>, CaptureError> {
        if let Some(file) = self.committed.get(path) {
            return self.text_of(file, reading);
        }
        let Some(md5) = cached.get(path) else {
            return Ok(None);
        };
        let Ok(file) = self.cache.find(md5) else {
            // It is named where files are told.
            return Ok(None);
        };
        match file.read(LONGEST_FILE_BYTES) {
            Ok(Some(bytes)) => return Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Ok(None) => reading.faults.push(too_long(path)),
            Err(error) => reading.faults.push(format!("`{path}`: {error}")),
        }
        Ok(None)
    }

    fn text_of(
        &self,
        file: &CommittedFile,
        reading: &mut Reading,
    ) -> Result<Option<String>, CaptureError> {
        let path = &file.path;
        let fault = if file.is_link {
            format!("`{path}`: it is a link, which may lead anywhere")
        } else if file
            .size_bytes
            .is_some_and(|size| size > LONGEST_FILE_BYTES)
        {
            too_long(path)
        } else {
            let bytes = self.history.read(&file.object)?;
            return Ok(Some(String::from_utf8_lossy(&bytes).into_owned()));
        };
        reading.faults.push(fault);
        Ok(None)
    }

    /// Outputs, and what was committed of values, plots and declarations. Code is named by its tree.
    fn collect_files(
        &self,
        declared: &Declared,
        cached: BTreeMap<String, String>,
        reading: &mut Reading,
    ) {
        for (path, file) in self.committed {
            if self.is_of_interest(path, declared) {
                let wanted = Wanted::Committed(file.clone());
                reading.files.insert(path.clone(), wanted);
            }
        }
        for (path, md5) in cached {
            reading.files.insert(path, Wanted::Cached(md5));
        }
    }

    /// Whether a file that was committed belongs to the experiment beside its code.
    fn is_of_interest(&self, path: &str, declared: &Declared) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        if declared.params.contains_key(path) || name == "dvc.yaml" {
            return true;
        }
        // What else one that never ran has is of the commit that it began at.
        if self.found.state != State::Done {
            return false;
        }
        name == "dvc.lock"
            || declared.is_metric(path)
            || declared.is_plot(path)
            || history_in(path).is_some()
            || declared.is_out(path)
    }
}

impl Reading {
    fn count(&mut self, noun: &'static str) {
        *self.others.entry(noun).or_default() += 1;
    }
}

/// Data that an experiment began with.
fn dataset_of(out: &Out) -> Option<DatasetInput> {
    let Kept::Cache(md5) = &out.kept else {
        return None;
    };
    Some(DatasetInput {
        name: out.path.clone(),
        digest: md5.clone(),
        source_type: "dvc".to_owned(),
        source: out.tracked_by.clone().unwrap_or_default(),
        schema: None,
        profile: None,
        tags: BTreeMap::new(),
    })
}

/// Whether a file was committed under a path, or below it.
fn has_below(committed: &BTreeMap<String, CommittedFile>, path: &str) -> bool {
    let below = format!("{path}/");
    let mut from = committed.range(below.clone()..);
    committed.contains_key(path)
        || from
            .next()
            .is_some_and(|(found, _)| found.starts_with(&below))
}

fn too_long(path: &str) -> String {
    format!("`{path}` has more than 16 MiB, and is not read")
}
