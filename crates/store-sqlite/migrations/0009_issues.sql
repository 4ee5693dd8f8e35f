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
