//! Everything that is known of a run, as its holder reads it from the metadata store and the objects.

use std::collections::BTreeMap;

use entities::{Metric, ObjectId, Record, RecordedPath, RunDetail};

use crate::{FileMap, FileSet};

/// A run with its manifest and its files.
#[derive(Clone, Debug, PartialEq)]
pub struct RunFacts {
    /// The run with params, tags and latest metrics.
    pub detail: RunDetail,
    /// Its recipe; none for a run that was only logged.
    pub recipe: Option<entities::Recipe>,
    /// Its record; none for a run that was only logged.
    pub record: Option<Record>,
    /// Files of the code tree, by their path in the project.
    pub code: FileMap,
    /// Files that it read.
    pub inputs: FileSet,
    /// Files that it wrote.
    pub outputs: FileSet,
    /// What it read of interpreter, packages and system, as far as the content is known.
    pub environment_files: BTreeMap<RecordedPath, ObjectId>,
}

/// A run with all points of its metrics, for a comparison that leaves nothing out.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayFacts {
    /// The run.
    pub run: RunFacts,
    /// All points of all metrics, in any order.
    pub points: Vec<PlacedMetric>,
}

/// A point of a metric, and which of the runs that the command made it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedMetric {
    /// Empty for the run itself, else what is written before the key, such as `child 1: `.
    pub place: String,
    /// The point.
    pub metric: Metric,
}

impl From<Metric> for PlacedMetric {
    fn from(metric: Metric) -> Self {
        Self {
            place: String::new(),
            metric,
        }
    }
}
