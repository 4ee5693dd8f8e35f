//! Everything that is known of a run, as its holder reads it from the metadata store and the objects.

use entities::{Metric, Record, RunDetail};

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
}

/// A run with all points of its metrics, for a comparison that leaves nothing out.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayFacts {
    /// The run.
    pub run: RunFacts,
    /// All points of all metrics, in any order.
    pub points: Vec<Metric>,
}
