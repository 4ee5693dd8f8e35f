-- Runs can be removed for good, so what names a run must be found by it.
CREATE INDEX metric_block_by_run ON metric_block (run);
CREATE INDEX model_metric_by_run ON model_metric (run);

-- Experiments that were removed for good: their ids are not given again.
CREATE TABLE removed_experiment (
    id TEXT COLLATE "C" PRIMARY KEY
);
