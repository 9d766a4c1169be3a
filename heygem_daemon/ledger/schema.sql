-- The ledger, version 1.
--
-- Columns hold what is searched and guarded; `document` holds the whole record as JSON, so that a new field with a default
-- needs no migration. Everything is ASCII-safe: names that are not valid UTF-8 are escaped inside the documents.

CREATE TABLE jobs (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of arrival; stays when a job is replaced
    id          TEXT NOT NULL UNIQUE CHECK (length(id) > 0),
    name        TEXT NOT NULL,
    output      TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN (
                    'settling', 'queued', 'running', 'waiting', 'interrupted',
                    'succeeded', 'partial', 'failed', 'rejected', 'cancelled')),
    finished_at REAL,
    document    TEXT NOT NULL CHECK (json_valid(document))
) STRICT;

CREATE INDEX open_jobs ON jobs (number) WHERE state NOT IN ('succeeded', 'partial', 'failed', 'rejected', 'cancelled');
CREATE INDEX finished_jobs ON jobs (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE items (
    job      TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    position INTEGER NOT NULL CHECK (position >= 0),
    key      TEXT NOT NULL,
    state    TEXT NOT NULL CHECK (state IN ('queued', 'running', 'waiting', 'interrupted', 'succeeded', 'failed', 'cancelled')),
    attempt  INTEGER NOT NULL CHECK (attempt >= 0),
    document TEXT NOT NULL CHECK (json_valid(document)),
    PRIMARY KEY (job, position)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX one_item_per_key ON items (job, key);

CREATE TABLE requests (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    verb   TEXT NOT NULL CHECK (length(verb) > 0),
    target TEXT NOT NULL,
    made   TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
) STRICT;
