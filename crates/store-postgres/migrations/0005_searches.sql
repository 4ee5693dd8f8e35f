-- With the run in it, the index alone tells which runs have a metric above a value.
DROP INDEX latest_metric_by_value;
CREATE INDEX latest_metric_by_value ON latest_metric (key, is_nan, value) INCLUDE (run);
