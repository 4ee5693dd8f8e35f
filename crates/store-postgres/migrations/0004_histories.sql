-- Which blocks hold points of a key, in the order in which they came, so that what came since is found at once.
ALTER TABLE metric_series DROP CONSTRAINT metric_series_pkey;
ALTER TABLE metric_series DROP COLUMN earliest_ms;
ALTER TABLE metric_series DROP COLUMN latest_ms;
ALTER TABLE metric_series ADD PRIMARY KEY (run, key, block);

-- Copies of long histories, in order; made when they are read.
CREATE TABLE metric_history (
    number BIGINT PRIMARY KEY,
    run BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    through_block BIGINT NOT NULL,
    points BIGINT NOT NULL,
    is_in_time_order BIGINT NOT NULL,
    UNIQUE (run, key)
);

-- A hundred points by step, time and value; the number is that of the history times 2^24, and the chunk's place.
CREATE TABLE metric_chunk (
    number BIGINT PRIMARY KEY,
    first_step BIGINT NOT NULL,
    first_timestamp_ms BIGINT NOT NULL,
    encoded BYTEA NOT NULL
);
-- They do not compress: numbers of measurements differ in all their bits.
ALTER TABLE metric_chunk ALTER COLUMN encoded SET STORAGE EXTERNAL;
