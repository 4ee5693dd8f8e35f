//! How much one request may bring: MLflow's numbers, counted in characters as MLflow counts them.
//!
//! *Source*: `mlflow/utils/validation.py`.

/// Points in one batch.
pub const LARGEST_BATCH_METRICS: usize = 1000;

/// Params in one batch.
pub const LARGEST_BATCH_PARAMS: usize = 100;

/// Tags in one batch.
pub const LARGEST_BATCH_TAGS: usize = 100;

/// Points, params and tags in one batch.
pub const LARGEST_BATCH: usize = 1000;

/// Characters in the key of a metric, param or tag.
pub const LONGEST_KEY: usize = 250;

/// Characters in the value of a param or of a run's tag.
///
/// MLflow cuts params at 6000 and tags at 8000 characters without a word.
/// A record must not: values are kept whole, and one beyond this length (far above anything but a mistake) is refused.
pub const LONGEST_VALUE: usize = 1 << 20;

/// Characters in the name of an experiment.
pub const LONGEST_EXPERIMENT_NAME: usize = 500;

/// Characters in the value of an experiment's tag.
pub const LONGEST_EXPERIMENT_TAG_VALUE: usize = 20_000;

/// Characters in an artifact location.
pub const LONGEST_ARTIFACT_LOCATION: usize = 2048;

/// Datasets in one request.
pub const LARGEST_BATCH_DATASETS: usize = 1000;

/// Characters in the name of a dataset.
pub const LONGEST_DATASET_NAME: usize = 500;

/// Characters in the digest of a dataset.
pub const LONGEST_DATASET_DIGEST: usize = 36;

/// Characters in the source of a dataset.
pub const LONGEST_DATASET_SOURCE: usize = 65_535;

/// Characters in the schema of a dataset.
pub const LONGEST_DATASET_SCHEMA: usize = 1_048_575;

/// Characters in the profile of a dataset.
pub const LONGEST_DATASET_PROFILE: usize = 16_777_215;

/// Characters in the key of a dataset's tag.
pub const LONGEST_INPUT_TAG_KEY: usize = 255;

/// Characters in the value of a dataset's tag.
pub const LONGEST_INPUT_TAG_VALUE: usize = 500;

/// Results in one page of a search.
pub const LARGEST_PAGE: usize = 50_000;
