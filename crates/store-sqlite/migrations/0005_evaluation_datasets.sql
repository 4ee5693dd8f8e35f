-- Named lists of examples that models and agents are judged on. Schema and profile are JSON, as MLflow's clients read it.
CREATE TABLE evaluation_dataset (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    schema TEXT,
    profile TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    created_by TEXT,
    updated_by TEXT
) STRICT;
CREATE INDEX evaluation_dataset_by_name ON evaluation_dataset (name);
CREATE INDEX evaluation_dataset_by_time ON evaluation_dataset (created_at DESC, number DESC);

CREATE TABLE evaluation_dataset_tag (
    dataset INTEGER NOT NULL REFERENCES evaluation_dataset (number),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (dataset, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX evaluation_dataset_tag_by_value ON evaluation_dataset_tag (key, value);

CREATE TABLE evaluation_dataset_experiment (
    dataset INTEGER NOT NULL REFERENCES evaluation_dataset (number),
    experiment TEXT NOT NULL REFERENCES experiment (id),
    added_at INTEGER NOT NULL,
    PRIMARY KEY (dataset, experiment)
) STRICT, WITHOUT ROWID;
CREATE INDEX evaluation_dataset_by_experiment ON evaluation_dataset_experiment (experiment);

-- The examples of a dataset: which there are. What they say follows from what was said of them, in its order.
CREATE TABLE dataset_record (
    number INTEGER PRIMARY KEY,
    dataset INTEGER NOT NULL REFERENCES evaluation_dataset (number),
    id TEXT NOT NULL,
    inputs_digest TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX dataset_record_by_id ON dataset_record (dataset, id);
CREATE UNIQUE INDEX dataset_record_by_inputs ON dataset_record (dataset, inputs_digest);
CREATE INDEX dataset_record_by_place ON dataset_record (dataset, number);

-- What was said of records, or added to the schema of a dataset, stored once. The events hold the digests, so that
-- these can be removed for good.
CREATE TABLE dataset_text (
    number INTEGER PRIMARY KEY,
    dataset INTEGER NOT NULL REFERENCES evaluation_dataset (number),
    dataset_record INTEGER REFERENCES dataset_record (number),
    digest BLOB NOT NULL,
    encoded TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX dataset_text_by_digest ON dataset_text (dataset, digest);
CREATE INDEX dataset_text_by_record ON dataset_text (dataset_record, number);

-- What judges the outputs of models and agents. The last version that was given counts on when it is deleted.
CREATE TABLE scorer (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    experiment TEXT NOT NULL REFERENCES experiment (id),
    name TEXT NOT NULL,
    last_version INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX scorer_by_name ON scorer (experiment, name);

CREATE TABLE scorer_version (
    scorer INTEGER NOT NULL REFERENCES scorer (number),
    version INTEGER NOT NULL,
    serialized TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (scorer, version)
) STRICT, WITHOUT ROWID;

-- How scorers are to be applied to traces as they come.
CREATE TABLE online_scoring (
    scorer INTEGER PRIMARY KEY REFERENCES scorer (number),
    id TEXT NOT NULL UNIQUE,
    sample_rate REAL NOT NULL,
    filter TEXT
) STRICT;
