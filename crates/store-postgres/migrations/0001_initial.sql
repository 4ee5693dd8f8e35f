-- The schema as it was first made, inside the schema that the connection looks in.
--
-- Texts are ordered by their bytes (COLLATE "C"), whatever the database's locale is. Truth is 0 or 1. An entry of an
-- index holds some 2,700 bytes at most, so that long texts are found by their first 256 characters. Rows are checked by
-- what adds them and verified against the events, so there are no foreign keys.

-- The ledger's events. The leaf's bytes are what the tree holds; salt and body stay outside it. Several writers add
-- events at once, each with a position of its own: whatever an event follows from has a smaller one.
CREATE SEQUENCE event_position;
CREATE TABLE event (
    position BIGINT PRIMARY KEY,
    writer TEXT COLLATE "C" NOT NULL,
    wseq BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    leaf BYTEA NOT NULL,
    salt BYTEA NOT NULL,
    body BYTEA NOT NULL
);
CREATE UNIQUE INDEX event_by_writer ON event (writer, wseq);

-- Which events speak of a subject. Those that only the body names, as in a bulk change, have is_in_leaf = 0.
CREATE TABLE event_subject (
    subject TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    is_in_leaf BIGINT NOT NULL,
    PRIMARY KEY (subject, position)
);

-- The places in the tree that events were given.
CREATE TABLE sequenced_event (
    place BIGINT PRIMARY KEY,
    position BIGINT NOT NULL UNIQUE
);

-- Who writes here: each process while it runs holds a lock on one of these.
CREATE TABLE writer (
    id BIGINT PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE
);

-- How far events are on their way into the tree. Not a projection: the tiles and checkpoints are its evidence.
CREATE TABLE ledger_state (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    sequenced BIGINT NOT NULL,
    last_position BIGINT NOT NULL,
    integrated BIGINT NOT NULL,
    signed BIGINT NOT NULL
);
INSERT INTO ledger_state (id, sequenced, last_position, integrated, signed) VALUES (1, 0, 0, 0, 0);

-- Who may do what only one may do at a time. Not a projection: a lease is over within seconds.
CREATE TABLE lease (
    name TEXT COLLATE "C" PRIMARY KEY,
    holder TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE ledger_identity (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    origin TEXT COLLATE "C" NOT NULL,
    verifier_key TEXT COLLATE "C" NOT NULL
);

CREATE TABLE experiment (
    id TEXT COLLATE "C" PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    artifact_location TEXT COLLATE "C" NOT NULL,
    lifecycle TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE experiment_tag (
    experiment TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (experiment, key)
);
CREATE INDEX experiment_tag_by_value ON experiment_tag (key, left(value, 256));

-- Rows of other tables name a run by its number, which is four times shorter than its id.
CREATE TABLE run (
    number BIGINT PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    experiment TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    "user" TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    lifecycle TEXT COLLATE "C" NOT NULL,
    artifact_uri TEXT COLLATE "C" NOT NULL,
    parent TEXT COLLATE "C",
    replay_of TEXT COLLATE "C",
    process_id BIGINT,
    process_start_ticks BIGINT,
    process_boot TEXT COLLATE "C",
    is_interrupted BIGINT NOT NULL,
    recipe BYTEA,
    record BYTEA
);
CREATE INDEX run_by_experiment ON run (experiment, lifecycle, started_at DESC, id);
CREATE INDEX run_by_start ON run (lifecycle, started_at DESC, id);
CREATE INDEX run_by_name ON run (left(name, 256), started_at DESC);
CREATE INDEX run_open ON run (number) WHERE process_id IS NOT NULL AND status IN ('RUNNING', 'SCHEDULED');

CREATE TABLE param (
    run BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (run, key)
);
CREATE INDEX param_by_value ON param (key, left(value, 256));

CREATE TABLE tag (
    run BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (run, key)
);
CREATE INDEX tag_by_value ON tag (key, left(value, 256));

-- Metric points, stored once: the bytes that one request gave.
CREATE TABLE metric_block (
    number BIGINT PRIMARY KEY,
    run BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    points BIGINT NOT NULL,
    encoded BYTEA NOT NULL
);

-- Which blocks hold points of a key, and of which time.
CREATE TABLE metric_series (
    run BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    earliest_ms BIGINT NOT NULL,
    block BIGINT NOT NULL,
    latest_ms BIGINT NOT NULL,
    PRIMARY KEY (run, key, earliest_ms, block)
);

-- The latest point of each metric. SQLite has no NaN: such a value is 0 with is_nan = 1.
CREATE TABLE latest_metric (
    run BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    is_nan BIGINT NOT NULL,
    timestamp_ms BIGINT NOT NULL,
    step BIGINT NOT NULL,
    model TEXT COLLATE "C",
    dataset_name TEXT COLLATE "C",
    dataset_digest TEXT COLLATE "C",
    PRIMARY KEY (run, key)
);
CREATE INDEX latest_metric_by_value ON latest_metric (key, is_nan, value);

CREATE TABLE dataset_input (
    run BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    source_type TEXT COLLATE "C" NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    schema TEXT COLLATE "C",
    profile TEXT COLLATE "C",
    PRIMARY KEY (run, name, digest)
);
CREATE INDEX dataset_input_by_name ON dataset_input (name, digest);
CREATE INDEX dataset_input_by_digest ON dataset_input (digest);

CREATE TABLE dataset_input_tag (
    run BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (run, name, digest, key)
);
CREATE INDEX dataset_input_tag_by_value ON dataset_input_tag (key, left(value, 256));

CREATE TABLE model_input (
    run BIGINT NOT NULL,
    model TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (run, model)
);

CREATE TABLE model_output (
    run BIGINT NOT NULL,
    model TEXT COLLATE "C" NOT NULL,
    step BIGINT NOT NULL,
    PRIMARY KEY (run, model)
);

CREATE TABLE artifact (
    path TEXT COLLATE "C" PRIMARY KEY,
    object BYTEA NOT NULL,
    size_bytes BIGINT NOT NULL
);

CREATE TABLE model (
    number BIGINT PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    experiment TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    source_run TEXT COLLATE "C",
    artifact_uri TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    model_type TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    is_deleted BIGINT NOT NULL
);
CREATE INDEX model_by_experiment ON model (experiment, is_deleted, created_at DESC, id);
CREATE INDEX model_by_source ON model (source_run);

CREATE TABLE model_tag (
    model BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (model, key)
);
CREATE INDEX model_tag_by_value ON model_tag (key, left(value, 256));

CREATE TABLE model_param (
    model BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (model, key)
);
CREATE INDEX model_param_by_value ON model_param (key, left(value, 256));

CREATE TABLE replay (
    number BIGINT PRIMARY KEY,
    origin TEXT COLLATE "C" NOT NULL,
    replay TEXT COLLATE "C" NOT NULL,
    level TEXT COLLATE "C",
    is_identical BIGINT NOT NULL,
    is_within_tolerance BIGINT NOT NULL,
    host_kind BYTEA NOT NULL,
    comparison BYTEA NOT NULL
);
CREATE INDEX replay_by_origin ON replay (origin);

CREATE TABLE forgotten_object (
    object BYTEA PRIMARY KEY,
    reason TEXT COLLATE "C" NOT NULL,
    forgotten_at BIGINT NOT NULL
);

-- A name under which versions of a model are kept. A prompt is one too, told by its tag.
CREATE TABLE registered_model (
    number BIGINT PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    description TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX registered_model_by_update ON registered_model (updated_at, name);

CREATE TABLE registered_model_tag (
    model BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (model, key)
);
CREATE INDEX registered_model_tag_by_value ON registered_model_tag (key, left(value, 256));

-- A deleted version stays, so that its number is not given again.
CREATE TABLE model_version (
    number BIGINT PRIMARY KEY,
    model BIGINT NOT NULL,
    version BIGINT NOT NULL,
    description TEXT COLLATE "C",
    stage TEXT COLLATE "C" NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    files_uri TEXT COLLATE "C",
    run TEXT COLLATE "C",
    logged_model TEXT COLLATE "C",
    run_link TEXT COLLATE "C",
    files BYTEA,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    is_deleted BIGINT NOT NULL
);
CREATE UNIQUE INDEX model_version_by_model ON model_version (model, version);
CREATE INDEX model_version_by_update ON model_version (is_deleted, updated_at);
CREATE INDEX model_version_by_run ON model_version (run);
CREATE INDEX model_version_by_logged_model ON model_version (logged_model);

CREATE TABLE model_version_tag (
    model_version BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (model_version, key)
);
CREATE INDEX model_version_tag_by_value ON model_version_tag (key, left(value, 256));

CREATE TABLE model_alias (
    model BIGINT NOT NULL,
    alias TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (model, alias)
);
-- What happened in one request to a model or an agent.
CREATE TABLE trace (
    number BIGINT PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    experiment TEXT COLLATE "C" NOT NULL,
    requested_at BIGINT NOT NULL,
    duration_ms BIGINT,
    state TEXT COLLATE "C" NOT NULL,
    client_request_id TEXT COLLATE "C",
    request_preview TEXT COLLATE "C",
    response_preview TEXT COLLATE "C"
);
CREATE INDEX trace_by_experiment ON trace (experiment, requested_at DESC, id);
CREATE INDEX trace_by_client_request ON trace (left(client_request_id, 256)) WHERE client_request_id IS NOT NULL;

CREATE TABLE trace_tag (
    trace BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (trace, key)
);
CREATE INDEX trace_tag_by_value ON trace_tag (key, left(value, 256));

CREATE TABLE trace_metadata (
    trace BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (trace, key)
);
CREATE INDEX trace_metadata_by_value ON trace_metadata (key, left(value, 256));

-- What was said of traces, stored once. The events hold the digests, so that these can be removed for good.
CREATE TABLE trace_record (
    number BIGINT PRIMARY KEY,
    trace BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    encoded TEXT COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX trace_record_by_digest ON trace_record (trace, digest);

-- The spans of a trace as they were sent last; tokens and cost are JSON.
CREATE TABLE span (
    trace BIGINT NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    parent TEXT COLLATE "C",
    name TEXT COLLATE "C" NOT NULL,
    type TEXT COLLATE "C",
    status TEXT COLLATE "C" NOT NULL,
    start_ns BIGINT NOT NULL,
    end_ns BIGINT,
    tokens TEXT COLLATE "C",
    cost TEXT COLLATE "C",
    record BIGINT NOT NULL,
    PRIMARY KEY (trace, id)
);
CREATE INDEX span_by_name ON span (left(name, 256), trace);
CREATE INDEX span_by_type ON span (left(type, 256), trace);

-- What people and judges say of traces. A number is there where the value is one; text is the value without quotes.
CREATE TABLE assessment (
    trace BIGINT NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    place BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    text TEXT COLLATE "C" NOT NULL,
    number DOUBLE PRECISION,
    overrides TEXT COLLATE "C",
    is_valid BIGINT NOT NULL,
    covers_session BIGINT NOT NULL,
    record BIGINT NOT NULL,
    PRIMARY KEY (trace, id)
);
CREATE INDEX assessment_by_value ON assessment (kind, left(name, 256), left(text, 256));

CREATE TABLE trace_run (
    run TEXT COLLATE "C" NOT NULL,
    trace BIGINT NOT NULL,
    PRIMARY KEY (run, trace)
);
CREATE INDEX trace_run_by_trace ON trace_run (trace);

CREATE TABLE trace_prompt (
    prompt TEXT COLLATE "C" NOT NULL,
    trace BIGINT NOT NULL,
    PRIMARY KEY (prompt, trace)
);
CREATE INDEX trace_prompt_by_trace ON trace_prompt (trace);

-- Every point of a metric that names a logged model; no dataset is two empty texts.
CREATE TABLE model_metric (
    model TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    timestamp_ms BIGINT NOT NULL,
    step BIGINT NOT NULL,
    run BIGINT NOT NULL,
    dataset_name TEXT COLLATE "C" NOT NULL,
    dataset_digest TEXT COLLATE "C" NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    is_nan BIGINT NOT NULL,
    PRIMARY KEY (model, key, timestamp_ms, step, run, dataset_name, dataset_digest)
);
CREATE INDEX model_metric_by_value ON model_metric (key, is_nan, value);
CREATE INDEX model_metric_by_dataset ON model_metric (dataset_name, dataset_digest);

-- Named lists of examples that models and agents are judged on. Schema and profile are JSON, as MLflow's clients read it.
CREATE TABLE evaluation_dataset (
    number BIGINT PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    name TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    schema TEXT COLLATE "C",
    profile TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    created_by TEXT COLLATE "C",
    updated_by TEXT COLLATE "C"
);
CREATE INDEX evaluation_dataset_by_name ON evaluation_dataset (left(name, 256));
CREATE INDEX evaluation_dataset_by_time ON evaluation_dataset (created_at DESC, number DESC);

CREATE TABLE evaluation_dataset_tag (
    dataset BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (dataset, key)
);
CREATE INDEX evaluation_dataset_tag_by_value ON evaluation_dataset_tag (key, left(value, 256));

CREATE TABLE evaluation_dataset_experiment (
    dataset BIGINT NOT NULL,
    experiment TEXT COLLATE "C" NOT NULL,
    added_at BIGINT NOT NULL,
    PRIMARY KEY (dataset, experiment)
);
CREATE INDEX evaluation_dataset_by_experiment ON evaluation_dataset_experiment (experiment);

-- The examples of a dataset: which there are. What they say follows from what was said of them, in its order.
CREATE TABLE dataset_record (
    number BIGINT PRIMARY KEY,
    dataset BIGINT NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    inputs_digest TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX dataset_record_by_id ON dataset_record (dataset, id);
CREATE UNIQUE INDEX dataset_record_by_inputs ON dataset_record (dataset, inputs_digest);
CREATE INDEX dataset_record_by_place ON dataset_record (dataset, number);

-- What was said of records, or added to the schema of a dataset, stored once. The events hold the digests, so that
-- these can be removed for good.
CREATE TABLE dataset_text (
    number BIGINT PRIMARY KEY,
    dataset BIGINT NOT NULL,
    dataset_record BIGINT,
    digest BYTEA NOT NULL,
    encoded TEXT COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX dataset_text_by_digest ON dataset_text (dataset, digest);
CREATE INDEX dataset_text_by_record ON dataset_text (dataset_record, number);

-- What judges the outputs of models and agents. The last version that was given counts on when it is deleted.
CREATE TABLE scorer (
    number BIGINT PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    experiment TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    last_version BIGINT NOT NULL
);
CREATE UNIQUE INDEX scorer_by_name ON scorer (experiment, name);

CREATE TABLE scorer_version (
    scorer BIGINT NOT NULL,
    version BIGINT NOT NULL,
    serialized TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (scorer, version)
);

-- How scorers are to be applied to traces as they come.
CREATE TABLE online_scoring (
    scorer BIGINT PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    sample_rate DOUBLE PRECISION NOT NULL,
    filter TEXT COLLATE "C"
);

-- Addresses that are told of changes. A deleted one stays, so that what it was told can be looked up.
CREATE TABLE webhook (
    number BIGINT PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C",
    url TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);
CREATE INDEX webhook_by_creation ON webhook (created_at, number) WHERE deleted_at IS NULL;

CREATE TABLE webhook_event (
    webhook BIGINT NOT NULL,
    event TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (webhook, event)
);
CREATE INDEX webhook_event_by_event ON webhook_event (event);

-- What deliveries are signed with, sealed. The events hold the digests, so that these can be removed for good.
CREATE TABLE webhook_secret (
    webhook BIGINT PRIMARY KEY,
    digest BYTEA NOT NULL,
    sealed BYTEA NOT NULL
);

-- What webhooks are to be told: the notice at a place in the event at a position. Rows stay when they have been told.
CREATE TABLE webhook_delivery (
    number BIGINT PRIMARY KEY,
    webhook BIGINT NOT NULL,
    position BIGINT NOT NULL,
    place BIGINT NOT NULL,
    event TEXT COLLATE "C" NOT NULL,
    given_up_at BIGINT,
    attempts BIGINT,
    failure TEXT COLLATE "C"
);
CREATE INDEX webhook_delivery_by_webhook ON webhook_delivery (webhook, number);

-- How far each webhook has been told. It follows from no event, like a lease.
CREATE TABLE webhook_progress (
    webhook BIGINT PRIMARY KEY,
    done BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    next_at BIGINT NOT NULL
);

-- Who may sign on.
CREATE TABLE access_user (
    number BIGINT PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    is_admin BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- What passwords are checked against. The events hold the digests, so that these can be removed for good.
CREATE TABLE access_password (
    account BIGINT PRIMARY KEY,
    digest BYTEA NOT NULL,
    encoded TEXT COLLATE "C" NOT NULL
);

-- What may be brought in place of a password, as its digest.
CREATE TABLE access_token (
    number BIGINT PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    account BIGINT NOT NULL,
    label TEXT COLLATE "C" NOT NULL,
    digest BYTEA NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);
CREATE INDEX access_token_by_account ON access_token (account);

-- Rights together. One with an owner holds what its owner alone may do, as MLflow has it.
CREATE TABLE access_role (
    number BIGINT PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    description TEXT COLLATE "C",
    owner BIGINT UNIQUE
);

CREATE TABLE access_member (
    number BIGINT PRIMARY KEY,
    account BIGINT NOT NULL,
    role BIGINT NOT NULL,
    UNIQUE (account, role)
);
CREATE INDEX access_member_by_role ON access_member (role);

CREATE TABLE access_right (
    number BIGINT PRIMARY KEY,
    role BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    pattern TEXT COLLATE "C" NOT NULL,
    permission TEXT COLLATE "C" NOT NULL,
    UNIQUE (role, kind, pattern)
);
CREATE INDEX access_right_by_pattern ON access_right (pattern, kind);

-- Whether a text fits a pattern of LIKE, which has no escapes.
CREATE FUNCTION text_matches(told TEXT, pattern TEXT, ignores_case INTEGER) RETURNS BOOLEAN
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
        SELECT CASE
            WHEN ignores_case = 1 THEN text_lower(told) LIKE text_lower(pattern) ESCAPE ''
            ELSE told LIKE pattern ESCAPE ''
        END
    $$;

-- What the record of a span says, without the words around it.
CREATE FUNCTION span_content(record TEXT) RETURNS TEXT
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
        SELECT CASE
            WHEN left(record, 27) = '{"record":"spanned","span":' AND right(record, 1) = '}'
            THEN substr(record, 28, length(record) - 28)
            ELSE record
        END
    $$;

-- An attribute of the span that a record tells: a text as it is, anything else as JSON.
CREATE FUNCTION span_attribute(record TEXT, key TEXT) RETURNS TEXT
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
        SELECT CASE
            -- PostgreSQL cannot decode a text that holds a null character.
            WHEN json_typeof(found) = 'string' AND strpos(found::TEXT, '\u0000') = 0 THEN found #>> '{}'
            ELSE found::TEXT
        END
        FROM (SELECT record::JSON #> ARRAY['span', 'attributes', key] AS found) AS attribute
    $$;
