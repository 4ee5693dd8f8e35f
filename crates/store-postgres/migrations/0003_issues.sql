-- Known problems that traces show. Root causes and categories are lists in JSON.
CREATE TABLE issue (
    id TEXT COLLATE "C" PRIMARY KEY,
    experiment TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    severity TEXT COLLATE "C",
    root_causes TEXT COLLATE "C" NOT NULL,
    categories TEXT COLLATE "C" NOT NULL,
    source_run TEXT COLLATE "C",
    created_by TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX issue_by_experiment ON issue (experiment, created_at);
CREATE INDEX issue_by_run ON issue (source_run) WHERE source_run IS NOT NULL;

-- What people are asked of traces. What may be answered is JSON.
CREATE TABLE label_schema (
    id TEXT COLLATE "C" PRIMARY KEY,
    experiment TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    type TEXT COLLATE "C" NOT NULL,
    instruction TEXT COLLATE "C",
    has_comment BIGINT NOT NULL,
    input TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX label_schema_by_name ON label_schema (experiment, name);
