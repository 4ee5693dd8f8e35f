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
