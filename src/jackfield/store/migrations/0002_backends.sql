-- Which backends were known, and what was last seen of each.

CREATE TABLE backends (
    id            TEXT PRIMARY KEY,
    type          TEXT NOT NULL,
    name          TEXT NOT NULL,
    origin        TEXT NOT NULL CHECK (origin IN ('slot', 'registered')),
    provider      TEXT NOT NULL,
    model         TEXT,
    endpoint      TEXT,
    config        TEXT NOT NULL,
    weight        REAL NOT NULL,
    status        TEXT NOT NULL,
    registered_at REAL NOT NULL,
    last_seen_at  REAL
);
