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
