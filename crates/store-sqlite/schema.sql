-- The whole schema: the sum of all migrations, which a test compares.

-- The ledger's events. The leaf's bytes are what the tree holds; salt and body stay outside it.
CREATE TABLE event (
    position INTEGER PRIMARY KEY,
    writer TEXT NOT NULL,
    wseq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    leaf BLOB NOT NULL,
    salt BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX event_by_writer ON event (writer, wseq);

-- Which events speak of a subject. Those that only the body names, as in a bulk change, have is_in_leaf = 0.
CREATE TABLE event_subject (
    subject TEXT NOT NULL,
    position INTEGER NOT NULL,
    is_in_leaf INTEGER NOT NULL,
    PRIMARY KEY (subject, position)
) STRICT, WITHOUT ROWID;

-- The installation that writes here.
CREATE TABLE writer (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL
) STRICT;

-- How far events are on their way into the tree. Not a projection: the tiles and checkpoints are its evidence.
CREATE TABLE ledger_state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    sequenced INTEGER NOT NULL,
    integrated INTEGER NOT NULL,
    signed INTEGER NOT NULL
) STRICT;
INSERT INTO ledger_state (id, sequenced, integrated, signed) VALUES (1, 0, 0, 0);

-- Who may do what only one may do at a time. Not a projection: a lease is over within seconds.
CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger_identity (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    origin TEXT NOT NULL,
    verifier_key TEXT NOT NULL
) STRICT;

CREATE TABLE experiment (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    artifact_location TEXT NOT NULL,
    lifecycle TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE experiment_tag (
    experiment TEXT NOT NULL REFERENCES experiment (id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (experiment, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX experiment_tag_by_value ON experiment_tag (key, value);

-- Experiments that were removed for good: their ids are not given again.
CREATE TABLE removed_experiment (
    id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Rows of other tables name a run by its number, which is four times shorter than its id.
CREATE TABLE run (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    experiment TEXT NOT NULL REFERENCES experiment (id),
    name TEXT NOT NULL,
    user TEXT NOT NULL,
    status TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    lifecycle TEXT NOT NULL,
    artifact_uri TEXT NOT NULL,
    parent TEXT,
    replay_of TEXT,
    process_id INTEGER,
    process_start_ticks INTEGER,
    process_boot TEXT,
    is_interrupted INTEGER NOT NULL,
    recipe BLOB,
    record BLOB
) STRICT;
CREATE INDEX run_by_experiment ON run (experiment, lifecycle, started_at DESC, id);
CREATE INDEX run_by_start ON run (lifecycle, started_at DESC, id);
CREATE INDEX run_by_name ON run (name, started_at DESC);
CREATE INDEX run_open ON run (number) WHERE process_id IS NOT NULL AND status IN ('RUNNING', 'SCHEDULED');

CREATE TABLE param (
    run INTEGER NOT NULL REFERENCES run (number),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX param_by_value ON param (key, value);

CREATE TABLE tag (
    run INTEGER NOT NULL REFERENCES run (number),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX tag_by_value ON tag (key, value);

-- Metric points, stored once: the bytes that one request gave.
CREATE TABLE metric_block (
    number INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES run (number),
    digest BLOB NOT NULL,
    points INTEGER NOT NULL,
    encoded BLOB NOT NULL
) STRICT;
CREATE INDEX metric_block_by_run ON metric_block (run);

-- Which blocks hold points of a key, in the order in which they came, so that what came since is found at once.
-- Without a reference to the block: a block that is removed would be looked for in all rows.
CREATE TABLE metric_series (
    run INTEGER NOT NULL REFERENCES run (number),
    key TEXT NOT NULL,
    block INTEGER NOT NULL,
    PRIMARY KEY (run, key, block)
) STRICT, WITHOUT ROWID;

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

-- The latest point of each metric. SQLite has no NaN: such a value is 0 with is_nan = 1.
CREATE TABLE latest_metric (
    run INTEGER NOT NULL REFERENCES run (number),
    key TEXT NOT NULL,
    value REAL NOT NULL,
    is_nan INTEGER NOT NULL,
    timestamp_ms INTEGER NOT NULL,
    step INTEGER NOT NULL,
    model TEXT,
    dataset_name TEXT,
    dataset_digest TEXT,
    PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX latest_metric_by_value ON latest_metric (key, is_nan, value);

CREATE TABLE dataset_input (
    run INTEGER NOT NULL REFERENCES run (number),
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    source_type TEXT NOT NULL,
    source TEXT NOT NULL,
    schema TEXT,
    profile TEXT,
    PRIMARY KEY (run, name, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX dataset_input_by_name ON dataset_input (name, digest);
CREATE INDEX dataset_input_by_digest ON dataset_input (digest);

CREATE TABLE dataset_input_tag (
    run INTEGER NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, name, digest, key),
    FOREIGN KEY (run, name, digest) REFERENCES dataset_input (run, name, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX dataset_input_tag_by_value ON dataset_input_tag (key, value);

CREATE TABLE model_input (
    run INTEGER NOT NULL REFERENCES run (number),
    model TEXT NOT NULL,
    PRIMARY KEY (run, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE model_output (
    run INTEGER NOT NULL REFERENCES run (number),
    model TEXT NOT NULL,
    step INTEGER NOT NULL,
    PRIMARY KEY (run, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifact (
    path TEXT PRIMARY KEY,
    object BLOB NOT NULL,
    size_bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE model (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    experiment TEXT NOT NULL REFERENCES experiment (id),
    name TEXT NOT NULL,
    source_run TEXT,
    artifact_uri TEXT NOT NULL,
    status TEXT NOT NULL,
    model_type TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    is_deleted INTEGER NOT NULL
) STRICT;
CREATE INDEX model_by_experiment ON model (experiment, is_deleted, created_at DESC, id);
CREATE INDEX model_by_source ON model (source_run);

CREATE TABLE model_tag (
    model INTEGER NOT NULL REFERENCES model (number),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX model_tag_by_value ON model_tag (key, value);

CREATE TABLE model_param (
    model INTEGER NOT NULL REFERENCES model (number),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX model_param_by_value ON model_param (key, value);

CREATE TABLE replay (
    number INTEGER PRIMARY KEY,
    origin TEXT NOT NULL,
    replay TEXT NOT NULL,
    level TEXT,
    is_identical INTEGER NOT NULL,
    is_within_tolerance INTEGER NOT NULL,
    host_kind BLOB NOT NULL,
    comparison BLOB NOT NULL
) STRICT;
CREATE INDEX replay_by_origin ON replay (origin);

CREATE TABLE forgotten_object (
    object BLOB PRIMARY KEY,
    reason TEXT NOT NULL,
    forgotten_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A name under which versions of a model are kept. A prompt is one too, told by its tag.
CREATE TABLE registered_model (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX registered_model_by_update ON registered_model (updated_at, name);

CREATE TABLE registered_model_tag (
    model INTEGER NOT NULL REFERENCES registered_model (number),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX registered_model_tag_by_value ON registered_model_tag (key, value);

-- A deleted version stays, so that its number is not given again.
CREATE TABLE model_version (
    number INTEGER PRIMARY KEY,
    model INTEGER NOT NULL REFERENCES registered_model (number),
    version INTEGER NOT NULL,
    description TEXT,
    stage TEXT NOT NULL,
    source TEXT NOT NULL,
    files_uri TEXT,
    run TEXT,
    logged_model TEXT,
    run_link TEXT,
    files BLOB,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    is_deleted INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX model_version_by_model ON model_version (model, version);
CREATE INDEX model_version_by_update ON model_version (is_deleted, updated_at);
CREATE INDEX model_version_by_run ON model_version (run);
CREATE INDEX model_version_by_logged_model ON model_version (logged_model);

CREATE TABLE model_version_tag (
    model_version INTEGER NOT NULL REFERENCES model_version (number),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model_version, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX model_version_tag_by_value ON model_version_tag (key, value);

CREATE TABLE model_alias (
    model INTEGER NOT NULL REFERENCES registered_model (number),
    alias TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (model, alias)
) STRICT, WITHOUT ROWID;
-- What happened in one request to a model or an agent.
CREATE TABLE trace (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    experiment TEXT NOT NULL REFERENCES experiment (id),
    requested_at INTEGER NOT NULL,
    duration_ms INTEGER,
    state TEXT NOT NULL,
    client_request_id TEXT,
    request_preview TEXT,
    response_preview TEXT
) STRICT;
CREATE INDEX trace_by_experiment ON trace (experiment, requested_at DESC, id);
CREATE INDEX trace_by_client_request ON trace (client_request_id) WHERE client_request_id IS NOT NULL;

CREATE TABLE trace_tag (
    trace INTEGER NOT NULL REFERENCES trace (number),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (trace, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX trace_tag_by_value ON trace_tag (key, value);

CREATE TABLE trace_metadata (
    trace INTEGER NOT NULL REFERENCES trace (number),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (trace, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX trace_metadata_by_value ON trace_metadata (key, value);

-- What was said of traces, stored once. The events hold the digests, so that these can be removed for good.
CREATE TABLE trace_record (
    number INTEGER PRIMARY KEY,
    trace INTEGER NOT NULL REFERENCES trace (number),
    digest BLOB NOT NULL,
    encoded TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX trace_record_by_digest ON trace_record (trace, digest);

-- The spans of a trace as they were sent last; tokens and cost are JSON.
CREATE TABLE span (
    trace INTEGER NOT NULL REFERENCES trace (number),
    id TEXT NOT NULL,
    parent TEXT,
    name TEXT NOT NULL,
    type TEXT,
    status TEXT NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER,
    tokens TEXT,
    cost TEXT,
    record INTEGER NOT NULL REFERENCES trace_record (number),
    PRIMARY KEY (trace, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX span_by_name ON span (name, trace);
CREATE INDEX span_by_type ON span (type, trace);

-- What people and judges say of traces. A number is there where the value is one; text is the value without quotes.
CREATE TABLE assessment (
    trace INTEGER NOT NULL REFERENCES trace (number),
    id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    place INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    number REAL,
    overrides TEXT,
    is_valid INTEGER NOT NULL,
    covers_session INTEGER NOT NULL,
    record INTEGER NOT NULL REFERENCES trace_record (number),
    PRIMARY KEY (trace, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX assessment_by_value ON assessment (kind, name, text);

CREATE TABLE trace_run (
    run TEXT NOT NULL,
    trace INTEGER NOT NULL REFERENCES trace (number),
    PRIMARY KEY (run, trace)
) STRICT, WITHOUT ROWID;
CREATE INDEX trace_run_by_trace ON trace_run (trace);

CREATE TABLE trace_prompt (
    prompt TEXT NOT NULL,
    trace INTEGER NOT NULL REFERENCES trace (number),
    PRIMARY KEY (prompt, trace)
) STRICT, WITHOUT ROWID;
CREATE INDEX trace_prompt_by_trace ON trace_prompt (trace);

-- Every point of a metric that names a logged model; no dataset is two empty texts.
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
CREATE INDEX model_metric_by_run ON model_metric (run);

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

-- Addresses that are told of changes. A deleted one stays, so that what it was told can be looked up.
CREATE TABLE webhook (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    description TEXT,
    url TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE INDEX webhook_by_creation ON webhook (created_at, number) WHERE deleted_at IS NULL;

CREATE TABLE webhook_event (
    webhook INTEGER NOT NULL REFERENCES webhook (number),
    event TEXT NOT NULL,
    PRIMARY KEY (webhook, event)
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_event_by_event ON webhook_event (event);

-- What deliveries are signed with, sealed. The events hold the digests, so that these can be removed for good.
CREATE TABLE webhook_secret (
    webhook INTEGER PRIMARY KEY REFERENCES webhook (number),
    digest BLOB NOT NULL,
    sealed BLOB NOT NULL
) STRICT;

-- What webhooks are to be told: the notice at a place in the event at a position. Rows stay when they have been told.
CREATE TABLE webhook_delivery (
    number INTEGER PRIMARY KEY,
    webhook INTEGER NOT NULL REFERENCES webhook (number),
    position INTEGER NOT NULL,
    place INTEGER NOT NULL,
    event TEXT NOT NULL,
    given_up_at INTEGER,
    attempts INTEGER,
    failure TEXT
) STRICT;
CREATE INDEX webhook_delivery_by_webhook ON webhook_delivery (webhook, number);

-- How far each webhook has been told. It follows from no event, like a lease.
CREATE TABLE webhook_progress (
    webhook INTEGER PRIMARY KEY REFERENCES webhook (number),
    done INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    next_at INTEGER NOT NULL
) STRICT;

-- Who may sign on.
CREATE TABLE access_user (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    is_admin INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- What passwords are checked against. The events hold the digests, so that these can be removed for good.
CREATE TABLE access_password (
    account INTEGER PRIMARY KEY REFERENCES access_user (number),
    digest BLOB NOT NULL,
    encoded TEXT NOT NULL
) STRICT;

-- What may be brought in place of a password, as its digest.
CREATE TABLE access_token (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    account INTEGER NOT NULL REFERENCES access_user (number),
    label TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT;
CREATE INDEX access_token_by_account ON access_token (account);

-- Rights together. One with an owner holds what its owner alone may do, as MLflow has it.
CREATE TABLE access_role (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT,
    owner INTEGER UNIQUE REFERENCES access_user (number)
) STRICT;

CREATE TABLE access_member (
    number INTEGER PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES access_user (number),
    role INTEGER NOT NULL REFERENCES access_role (number),
    UNIQUE (account, role)
) STRICT;
CREATE INDEX access_member_by_role ON access_member (role);

CREATE TABLE access_right (
    number INTEGER PRIMARY KEY,
    role INTEGER NOT NULL REFERENCES access_role (number),
    kind TEXT NOT NULL,
    pattern TEXT NOT NULL,
    permission TEXT NOT NULL,
    UNIQUE (role, kind, pattern)
) STRICT;
CREATE INDEX access_right_by_pattern ON access_right (pattern, kind);

-- Known problems that traces show. Root causes and categories are lists in JSON.
CREATE TABLE issue (
    id TEXT PRIMARY KEY,
    experiment TEXT NOT NULL REFERENCES experiment (id),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    status TEXT NOT NULL,
    severity TEXT,
    root_causes TEXT NOT NULL,
    categories TEXT NOT NULL,
    source_run TEXT,
    created_by TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX issue_by_experiment ON issue (experiment, created_at);
CREATE INDEX issue_by_run ON issue (source_run) WHERE source_run IS NOT NULL;

-- What people are asked of traces. What may be answered is JSON.
CREATE TABLE label_schema (
    id TEXT PRIMARY KEY,
    experiment TEXT NOT NULL REFERENCES experiment (id),
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    instruction TEXT,
    has_comment INTEGER NOT NULL,
    input TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX label_schema_by_name ON label_schema (experiment, name);
