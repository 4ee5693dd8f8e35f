-- Which blocks hold points of a key, in the order in which they came, so that what came since is found at once.
-- Without a reference to the block: a block that is removed would be looked for in all rows.
CREATE TEMP TABLE moved AS SELECT run, key, block FROM metric_series;
DROP TABLE metric_series;
CREATE TABLE metric_series (
    run INTEGER NOT NULL REFERENCES run (number),
    key TEXT NOT NULL,
    block INTEGER NOT NULL,
    PRIMARY KEY (run, key, block)
) STRICT, WITHOUT ROWID;
INSERT INTO metric_series (run, key, block) SELECT run, key, block FROM moved ORDER BY run, key, block;
DROP TABLE moved;

-- Copies of long histories, in order; made when they are read.
CREATE TABLE metric_history (
    number INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES run (number),
    key TEXT NOT NULL,
    through_block INTEGER NOT NULL,
    points INTEGER NOT NULL,
    is_in_time_order INTEGER NOT NULL,
    UNIQUE (run, key)
) STRICT;

-- A hundred points by step, time and value; the number is that of the history times 2^24, and the chunk's place.
CREATE TABLE metric_chunk (
    number INTEGER PRIMARY KEY,
    first_step INTEGER NOT NULL,
    first_timestamp_ms INTEGER NOT NULL,
    encoded BLOB NOT NULL
) STRICT;
