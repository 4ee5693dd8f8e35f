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
