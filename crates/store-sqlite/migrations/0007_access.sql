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
