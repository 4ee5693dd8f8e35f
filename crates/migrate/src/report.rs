//! What a migration did, and what it found.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// How many of something the source has, and how many of them came over now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Written now.
    pub new: u64,
    /// In the store before.
    pub there: u64,
}

/// A file that stays where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotTaken {
    /// Where it is.
    pub path: PathBuf,
    /// Why.
    pub why: &'static str,
}

/// What a migration did, and what it found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Experiments.
    pub experiments: Count,
    /// Runs.
    pub runs: Count,
    /// Logged models.
    pub models: Count,
    /// Registered models.
    pub registered_models: Count,
    /// Their versions, deleted ones included.
    pub versions: Count,
    /// Traces.
    pub traces: Count,
    /// Evaluation datasets.
    pub datasets: Count,
    /// Versions of scorers.
    pub scorers: Count,
    /// Webhooks that were not deleted.
    pub webhooks: Count,
    /// Records of evaluation datasets that were written now.
    pub records: u64,
    /// Spans of traces that were written now.
    pub spans: u64,
    /// Assessments of traces that were written now.
    pub assessments: u64,
    /// Points of metrics that were written now.
    pub points: u64,
    /// Files that were stored now.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that are not taken, of all runs, logged models and traces.
    pub not_taken: Vec<NotTaken>,
    /// Traces and others, or what belongs to one, that cannot be read, each as a sentence.
    pub unreadable: Vec<String>,
    /// Runs, logged models and traces whose folder is not there: they had no files, or it was moved.
    pub without_folder: u64,
    /// One of those folders.
    pub missing_folder: Option<PathBuf>,
    /// Runs, logged models and traces whose files stay in an object store, by the scheme of its URI.
    pub elsewhere: BTreeMap<String, u64>,
    /// Things for which there is no place here, and how many there are.
    pub left_behind: BTreeMap<String, u64>,
    /// What is not the same here as in the source, each as a sentence.
    pub differences: Vec<String>,
    /// Rows and files that were compared with the source.
    pub compared: u64,
}

impl Report {
    /// Notes what was found of the files of a run, a logged model or a trace beside those that are taken.
    pub(crate) fn note_files(&mut self, not_taken: Vec<NotTaken>, missing: Option<PathBuf>) {
        self.not_taken.extend(not_taken);
        if missing.is_some() {
            self.without_folder += 1;
            self.missing_folder = self.missing_folder.take().or(missing);
        }
    }
}

/// How far a migration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, as a noun such as `runs`.
    pub what: &'static str,
    /// How many are done.
    pub done: u64,
    /// How many there are.
    pub total: u64,
}
