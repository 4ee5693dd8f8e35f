-- Runs can be removed for good, so what names a run must be found by it.

-- Which blocks hold points of a key, and of which time. Without a reference to the block: a block that is removed would
-- be looked for in all rows.
CREATE TABLE metric_series_of_keys (
    run INTEGER NOT NULL REFERENCES run (number),
    key TEXT NOT NULL,
    earliest_ms INTEGER NOT NULL,
    block INTEGER NOT NULL,
    latest_ms INTEGER NOT NULL,
    PRIMARY KEY (run, key, earliest_ms, block)
) STRICT, WITHOUT ROWID;
INSERT INTO metric_series_of_keys (run, key, earliest_ms, block, latest_ms)
SELECT run, key, earliest_ms, block, latest_ms FROM metric_series;
DROP TABLE metric_series;
ALTER TABLE metric_series_of_keys RENAME TO metric_series;

CREATE INDEX metric_block_by_run ON metric_block (run);
CREATE INDEX model_metric_by_run ON model_metric (run);

-- Experiments that were removed for good: their ids are not given again.
CREATE TABLE removed_experiment (
    id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
