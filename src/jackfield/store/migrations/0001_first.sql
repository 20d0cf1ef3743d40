-- The panel, its history, what was allowed, and what was spent.

CREATE TABLE slots (
    number     INTEGER PRIMARY KEY CHECK (number >= 0),
    name       TEXT NOT NULL,
    provider   TEXT,
    config     TEXT NOT NULL,
    model      TEXT,
    generation TEXT NOT NULL,
    role       TEXT NOT NULL
);

CREATE TABLE slot_events (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     REAL NOT NULL,
    kind   TEXT NOT NULL,
    before TEXT NOT NULL,
    after  TEXT NOT NULL,
    undone INTEGER NOT NULL DEFAULT 0 CHECK (undone IN (0, 1))
);

CREATE TABLE grabbed_slots (
    key  TEXT PRIMARY KEY,
    slot TEXT NOT NULL,
    at   REAL NOT NULL
);

CREATE TABLE provider_configs (
    provider TEXT PRIMARY KEY,
    config   TEXT NOT NULL
);

CREATE TABLE consents (
    provider   TEXT PRIMARY KEY,
    hosts      TEXT NOT NULL,
    granted_at REAL NOT NULL
);

CREATE TABLE ledger (
    request_id        TEXT NOT NULL,
    attempt           INTEGER NOT NULL,
    at                REAL NOT NULL,
    slot              INTEGER,
    provider          TEXT NOT NULL,
    model             TEXT NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cached_tokens     INTEGER NOT NULL,
    reasoning_tokens  INTEGER NOT NULL,
    cost_msat         INTEGER,
    latency_s         REAL NOT NULL,
    first_token_s     REAL,
    streamed          INTEGER NOT NULL,
    outcome           TEXT NOT NULL,
    status            INTEGER NOT NULL,
    PRIMARY KEY (request_id, attempt)
);

CREATE INDEX ledger_by_time ON ledger (at);
