-- Every point of a metric that names a logged model; no dataset is two empty texts. Filled from the blocks.
DROP TABLE model_metric;
CREATE TABLE model_metric (
    model TEXT NOT NULL,
    key TEXT NOT NULL,
    timestamp_ms INTEGER NOT NULL,
    step INTEGER NOT NULL,
    run INTEGER NOT NULL REFERENCES run (number),
    dataset_name TEXT NOT NULL,
    dataset_digest TEXT NOT NULL,
    value REAL NOT NULL,
    is_nan INTEGER NOT NULL,
    PRIMARY KEY (model, key, timestamp_ms, step, run, dataset_name, dataset_digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX model_metric_by_value ON model_metric (key, is_nan, value);
CREATE INDEX model_metric_by_dataset ON model_metric (dataset_name, dataset_digest);
