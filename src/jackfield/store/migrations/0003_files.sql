-- Files that clients left here, and the batches that are made of them.

CREATE TABLE files (
    id         TEXT PRIMARY KEY,
    key_name   TEXT NOT NULL,
    filename   TEXT NOT NULL,
    purpose    TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);

CREATE TABLE batches (
    id            TEXT PRIMARY KEY,
    key_name      TEXT NOT NULL,
    input_file_id TEXT NOT NULL,
    status        TEXT NOT NULL,
    is_open       INTEGER NOT NULL CHECK (is_open IN (0, 1)),
    record        TEXT NOT NULL
);

CREATE INDEX batches_open ON batches (is_open, input_file_id);
