//! What files of DVC declare: stages with their params, metrics, plots and outputs.
//!
//! *Source*: the schemas in `dvc/schema.py`, and `dvc/repo/params/show.py`, of DVC 3.67.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::cache::Listed;
use super::values::{parse_yaml, read_yaml};

/// The file of params that need not be declared, and that params without a file are in.
pub(super) const PARAMS: &str = "params.yaml";

/// What the files of one commit declare; all paths begin at the top of the project.
#[derive(Debug, Default)]
pub(super) struct Declared {
    /// Files of params, and which of their values are meant.
    pub(super) params: BTreeMap<String, Keys>,
    /// Values that stand in declarations themselves.
    pub(super) inline: Vec<(String, Value)>,
    /// Values of params as stages had them, by their files.
    pub(super) locked: BTreeMap<String, Map<String, Value>>,
    /// Files and folders of metrics.
    pub(super) metrics: BTreeSet<String>,
    /// Files and folders of plots.
    pub(super) plots: BTreeSet<String>,
    /// Outputs of stages, and what is tracked without any.
    pub(super) outs: Vec<Out>,
    /// What cannot be read, each as a sentence.
    pub(super) faults: Vec<String>,
    out_paths: BTreeSet<String>,
    stages: Vec<Stage>,
}

/// Which values of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// All.
    All,
    /// Those of these names, and those inside of them.
    Named(BTreeSet<String>),
}

/// An output of a stage, or something that is tracked without one.
#[derive(Clone, Debug)]
pub(super) struct Out {
    pub(super) path: String,
    pub(super) kept: Kept,
    /// The file `NAME.dvc` that tracks it.
    pub(super) tracked_by: Option<String>,
}

/// Where DVC has the content of an output.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    /// In its cache, under this name: that of a folder ends with `.dir`.
    Cache(String),
    /// In its cache, file by file.
    Each(Vec<Listed>),
    /// Nowhere: who wants it kept commits it.
    Git,
    /// Elsewhere.
    Elsewhere,
}

/// A stage of a `dvc.yaml`.
#[derive(Debug)]
struct Stage {
    /// The folder of the file.
    folder: String,
    name: String,
    /// The folder that its paths begin at.
    base: String,
    /// Metrics and plots whose names a template makes.
    metrics: Vec<Pattern>,
    plots: Vec<Pattern>,
    /// Outputs that DVC does not keep.
    uncached: Vec<Pattern>,
}

/// What a name may become whose template is not carried out: these pieces, with anything between them.
#[derive(Debug)]
struct Pattern(Vec<String>);

/// A file `NAME.dvc`, or what a `dvc.lock` has of a stage.
#[derive(Deserialize)]
struct Tracked {
    #[serde(default)]
    outs: Vec<LockedOut>,
    #[serde(default)]
    wdir: Option<String>,
    #[serde(default)]
    params: Option<BTreeMap<String, Locked>>,
}

#[derive(Deserialize)]
struct LockedOut {
    path: String,
    #[serde(default)]
    md5: Option<String>,
    #[serde(default)]
    files: Option<Vec<Listed>>,
    #[serde(default)]
    cache: Option<bool>,
}

/// Values of a file, or none where there was no such file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Locked {
    Values(Map<String, Value>),
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    stages: BTreeMap<String, Tracked>,
}

impl Declared {
    /// Takes what a file declares. A `dvc.lock` is to come after the `dvc.yaml` beside it.
    pub(super) fn take(&mut self, path: &str, text: &str) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let taken = match name {
            "dvc.yaml" => self.take_stages(path, folder, text),
            "dvc.lock" => self.take_lock(folder, text),
            _ => self.take_tracked(path, folder, text),
        };
        if let Err(why) = taken {
            self.faults.push(format!("`{path}`: {why}"));
        }
    }

    /// Whether a path is one of metrics.
    pub(super) fn is_metric(&self, path: &str) -> bool {
        is_among(&self.metrics, path)
    }

    /// Whether a path is one of plots.
    pub(super) fn is_plot(&self, path: &str) -> bool {
        is_among(&self.plots, path)
    }

    /// Whether a path is one of outputs.
    pub(super) fn is_out(&self, path: &str) -> bool {
        is_among(&self.out_paths, path)
    }

    fn take_stages(&mut self, path: &str, folder: &str, text: &str) -> Result<(), String> {
        let mut whole = match read_yaml(text)? {
            Value::Object(whole) => whole,
            // A file without anything in it.
            Value::Null => return Ok(()),
            _ => return Err("it is no map".to_owned()),
        };
        for name in strings(whole.get("params")) {
            self.take_params(folder, name, Keys::All);
        }
        self.take_vars(path, folder, whole.get("vars"));
        for (kind, list) in [
            ("metrics", whole.get("metrics")),
            ("plots", whole.get("plots")),
        ] {
            for name in names_in(list) {
                self.take_values(folder, &name, kind);
            }
        }
        let Some(Value::Object(stages)) = whole.remove("stages") else {
            return Ok(());
        };
        for (name, stage) in stages {
            if let Value::Object(stage) = stage {
                self.take_stage(path, folder, name, stage);
            }
        }
        Ok(())
    }

    fn take_stage(
        &mut self,
        path: &str,
        folder: &str,
        name: String,
        mut stage: Map<String, Value>,
    ) {
        // A stage that stands for several has what each of them has.
        if let Some(Value::Object(each)) = stage.remove("do") {
            stage = each;
        }
        let wdir = stage.get("wdir").and_then(Value::as_str).unwrap_or("");
        if wdir.contains("${") {
            self.faults.push(format!(
                "stage `{name}` of `{path}`: what its folder `{wdir}` is, only DVC knows"
            ));
            return;
        }
        let Some(base) = joined(folder, wdir) else {
            self.faults.push(format!(
                "stage `{name}` of `{path}`: its folder `{wdir}` leads out of the project"
            ));
            return;
        };
        self.take_vars(path, &base, stage.get("vars"));
        for item in stage
            .get("params")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            match item {
                Value::String(key) => self.take_params(&base, PARAMS, named([key.as_str()])),
                Value::Object(files) => {
                    for (file, keys) in files {
                        let keys = strings(Some(keys));
                        let keys = if keys.is_empty() {
                            Keys::All
                        } else {
                            named(keys)
                        };
                        self.take_params(&base, file, keys);
                    }
                }
                _ => {}
            }
        }
        let mut patterns = [Vec::new(), Vec::new()];
        for (kind, patterns) in ["metrics", "plots"].iter().zip(&mut patterns) {
            for name in names_in(stage.get(*kind)) {
                if name.contains("${") {
                    patterns.push(Pattern::of(&name));
                } else {
                    self.take_values(&base, &name, kind);
                }
            }
        }
        let [metrics, plots] = patterns;
        let lists = ["outs", "metrics", "plots"].iter();
        let uncached = lists.flat_map(|kind| uncached_in(stage.get(*kind)));
        let uncached = uncached.map(|name| Pattern::of(&name)).collect();
        self.stages.push(Stage {
            folder: folder.to_owned(),
            name,
            base,
            metrics,
            plots,
            uncached,
        });
    }

    fn take_params(&mut self, base: &str, file: &str, keys: Keys) {
        // What a template makes of it stands in the lock alone.
        if file.contains("${") {
            return;
        }
        let Some(path) = joined(base, file) else {
            self.faults.push(format!(
                "params `{file}`: the path leads out of the project"
            ));
            return;
        };
        let keys = match (self.params.remove(&path), keys) {
            (Some(Keys::Named(mut known)), Keys::Named(keys)) => {
                known.extend(keys);
                Keys::Named(known)
            }
            (None, keys) => keys,
            _ => Keys::All,
        };
        self.params.insert(path, keys);
    }

    /// Files that templates take values from, and values that stand there.
    fn take_vars(&mut self, path: &str, base: &str, vars: Option<&Value>) {
        for item in vars.and_then(Value::as_array).into_iter().flatten() {
            match item {
                Value::String(file) => match file.split_once(':') {
                    Some((file, keys)) => self.take_params(base, file, named(keys.split(','))),
                    None => self.take_params(base, file, Keys::All),
                },
                Value::Object(_) => self.inline.push((path.to_owned(), item.clone())),
                _ => {}
            }
        }
    }

    fn take_values(&mut self, base: &str, name: &str, kind: &str) {
        match joined(base, name) {
            Some(path) if kind == "metrics" => drop(self.metrics.insert(path)),
            Some(path) => drop(self.plots.insert(path)),
            None => self.faults.push(format!(
                "{kind} `{name}`: the path leads out of the project"
            )),
        }
    }

    fn take_lock(&mut self, folder: &str, text: &str) -> Result<(), String> {
        let lock: Lock = parse_yaml(text)?;
        for (name, found) in lock.stages {
            // A stage that stands for several is `NAME@KEY` in the lock.
            let plain = name.split('@').next().unwrap_or(&name);
            let is_it = |stage: &&Stage| stage.folder == folder && stage.name == plain;
            // Stages that are no more stay in the lock for ever.
            let Some(stage) = self.stages.iter().find(is_it) else {
                continue;
            };
            let base = stage.base.clone();
            let mut outs = found.outs;
            for out in &mut outs {
                let is_of =
                    |patterns: &[Pattern]| patterns.iter().any(|one| one.matches(&out.path));
                if is_of(&stage.uncached) {
                    out.cache = Some(false);
                }
                let Some(path) = joined(&base, &out.path) else {
                    continue;
                };
                if is_of(&stage.metrics) {
                    self.metrics.insert(path);
                } else if is_of(&stage.plots) {
                    self.plots.insert(path);
                }
            }
            self.take_outs(&base, outs, None);
            self.take_locked(&base, found.params.unwrap_or_default());
        }
        Ok(())
    }

    /// Takes the values of params that a stage had when it ran.
    fn take_locked(&mut self, base: &str, params: BTreeMap<String, Locked>) {
        for (file, values) in params {
            if let (Some(path), Locked::Values(values)) = (joined(base, &file), values) {
                let keys = named(values.keys().map(String::as_str));
                self.take_params(base, &file, keys);
                self.locked.entry(path).or_default().extend(values);
            }
        }
    }

    fn take_tracked(&mut self, path: &str, folder: &str, text: &str) -> Result<(), String> {
        let found: Tracked = parse_yaml(text)?;
        let wdir = found.wdir.unwrap_or_default();
        let base = joined(folder, &wdir)
            .ok_or_else(|| format!("its folder `{wdir}` leads out of the project"))?;
        self.take_outs(&base, found.outs, Some(path));
        Ok(())
    }

    fn take_outs(&mut self, base: &str, outs: Vec<LockedOut>, tracked_by: Option<&str>) {
        for LockedOut {
            path,
            md5,
            files,
            cache,
        } in outs
        {
            let kept = match (md5, files) {
                _ if cache == Some(false) => Kept::Git,
                (Some(md5), _) if is_md5(&md5) => Kept::Cache(md5),
                (Some(md5), _) => {
                    self.faults
                        .push(format!("output `{path}`: `{md5}` is no MD5"));
                    continue;
                }
                (None, Some(files)) => Kept::Each(files),
                (None, None) => Kept::Elsewhere,
            };
            match joined(base, &path).filter(|path| !path.is_empty()) {
                Some(path) => {
                    self.out_paths.insert(path.clone());
                    self.outs.push(Out {
                        path,
                        kept,
                        tracked_by: tracked_by.map(str::to_owned),
                    });
                }
                None => self.faults.push(format!(
                    "output `{path}`: the path leads out of the project"
                )),
            }
        }
    }
}

impl Keys {
    /// Whether a value of a name is meant.
    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(keys) => keys.iter().any(|key| {
                // A name may be a pattern, which is for DVC to read.
                let is_pattern = key.contains(['*', '?', '[']);
                let rest = name.strip_prefix(key.as_str());
                is_pattern || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            }),
        }
    }
}

impl Pattern {
    fn of(template: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("${") {
            pieces.push(before.to_owned());
            rest = after.split_once('}').map_or("", |(_, rest)| rest);
        }
        pieces.push(rest.to_owned());
        Self(pieces)
    }

    fn matches(&self, path: &str) -> bool {
        let [first, middle @ .., last] = self.0.as_slice() else {
            return self.0 == [path];
        };
        let Some(rest) = path.strip_prefix(first.as_str()) else {
            return false;
        };
        let Some(mut rest) = rest.strip_suffix(last.as_str()) else {
            return false;
        };
        middle.iter().all(|piece| {
            let found = rest.split_once(piece.as_str());
            rest = found.map_or(rest, |(_, after)| after);
            found.is_some()
        })
    }
}

/// Whether a text is the name of something in the cache.
pub(super) fn is_md5(text: &str) -> bool {
    let digits = digits_of(text);
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    digits.len() == 32 && digits.bytes().all(is_digit)
}

/// Whether a name in the cache is that of a folder, which is a list.
pub(super) fn is_folder(md5: &str) -> bool {
    digits_of(md5) != md5
}

/// The MD5 in a name of the cache.
pub(super) fn digits_of(md5: &str) -> &str {
    md5.strip_suffix(".dir").unwrap_or(md5)
}

/// A path below a folder, both with slashes; none where it leads out of where the folder begins.
pub(super) fn joined(base: &str, path: &str) -> Option<String> {
    // An address, a drive of Windows, or what no path has.
    let is_elsewhere = path.contains("://") || path.as_bytes().get(1) == Some(&b':');
    if path.starts_with('/') || is_elsewhere || path.contains(['\\', '\0']) {
        return None;
    }
    let mut names: Vec<&str> = Vec::new();
    for name in base.split('/').chain(path.split('/')) {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()?),
            name => names.push(name),
        }
    }
    Some(names.join("/"))
}

/// Whether a path is one of these, or below one of them.
fn is_among(paths: &BTreeSet<String>, path: &str) -> bool {
    let mut above = Some(path);
    while let Some(folder) = above {
        if paths.contains(folder) {
            return true;
        }
        above = folder.rsplit_once('/').map(|(above, _)| above);
    }
    false
}

fn named<'k>(keys: impl IntoIterator<Item = &'k str>) -> Keys {
    let keys = keys.into_iter().map(|key| key.trim().to_owned());
    Keys::Named(keys.collect())
}

/// The texts of a list, or one alone.
fn strings(list: Option<&Value>) -> Vec<&str> {
    match list {
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(text)) => vec![text],
        _ => Vec::new(),
    }
}

/// Files that a list of metrics or plots names: each alone, or with what is said of it. What is said of a plot may name
/// others, and then its own name is none of a file.
fn names_in(list: Option<&Value>) -> Vec<String> {
    let one: &[Value] = list.map_or(&[], std::slice::from_ref);
    let items = list.and_then(Value::as_array).map_or(one, Vec::as_slice);
    let mut names = Vec::new();
    for item in items {
        match item {
            Value::String(name) => names.push(name.clone()),
            Value::Object(members) => {
                for (name, said) in members {
                    let axes = ["x", "y"]
                        .iter()
                        .filter_map(|axis| said.get(axis)?.as_object());
                    let files: Vec<_> = axes.flat_map(Map::keys).cloned().collect();
                    if files.is_empty() {
                        names.push(name.clone());
                    }
                    names.extend(files);
                }
            }
            _ => {}
        }
    }
    names
}

/// Outputs of a list of which is said that they are not to be cached.
fn uncached_in(list: Option<&Value>) -> Vec<String> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    let members = items.filter_map(Value::as_object).flatten();
    let uncached = members.filter(|(_, said)| said.get("cache") == Some(&Value::Bool(false)));
    uncached.map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests;
