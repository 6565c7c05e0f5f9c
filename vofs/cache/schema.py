"""The tables of the index, their format, and how an older format becomes this one.

A format that was ever written is migrated step by step, in one transaction with its new number, so
a kill in the middle leaves the older format as it was.  A newer one is never touched.
"""

from __future__ import annotations

import sqlite3

FORMAT = 4

SCHEMA = """
-- identity of this cache, boot_id and clean-stop mark, and how many power losses it has seen (R5)
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- one row for each cached file; number names the data file and is never used again
CREATE TABLE file (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL UNIQUE,              -- decoded node path
    size INTEGER NOT NULL,
    backing_end INTEGER NOT NULL,           -- nothing at or beyond it is ever fetched
    generation INTEGER NOT NULL,            -- counts changes
    stored_generation INTEGER NOT NULL,     -- the one that the service has; equal = clean
    whole INTEGER NOT NULL,                 -- 1: all of the data file is present, its size decides
    base_length INTEGER,                    -- the version on the service; NULL: it never had it
    base_md5 TEXT,
    base_date_ms INTEGER,
    base_md5_proves INTEGER,
    mtime_ns INTEGER NOT NULL,
    mode INTEGER,                           -- permission bits asked for at creation
    put_generation INTEGER,                 -- R2: a PUT of this generation began
    put_size INTEGER,
    put_md5 TEXT,                           -- of its body, before the last of it leaves
    state TEXT NOT NULL DEFAULT '',         -- '', 'failed' or 'conflict'
    error TEXT NOT NULL DEFAULT '',         -- the last error of an upload
    attempts INTEGER NOT NULL DEFAULT 0,
    put_detail TEXT NOT NULL DEFAULT '',    -- JSON: what else is known of that PUT
    durable_generation INTEGER NOT NULL DEFAULT -1, -- fsync(2) brought this one to the disk (R5)
    losses INTEGER NOT NULL DEFAULT 0,      -- power losses up to which its bytes can be trusted
    present_bytes INTEGER NOT NULL DEFAULT 0, -- what its data file takes, as of the last save
    used_at INTEGER NOT NULL DEFAULT 0       -- the order of use, see space.py
);
-- clean rows from the longest unused on, with what their data files take
CREATE INDEX file_by_use ON file (used_at, present_bytes)
    WHERE generation = stored_generation;
-- what a mount loads before it answers, however large the cache (R8)
CREATE INDEX file_unsent ON file (number) WHERE generation != stored_generation;
-- spans of files that are not whole: appended by each write, rewritten when the file is saved
CREATE TABLE span (number INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,
    dirty INTEGER NOT NULL);
CREATE INDEX span_of ON span (number);
-- R8: a synchronous change that began and is not known to have ended
CREATE TABLE intent (id INTEGER PRIMARY KEY AUTOINCREMENT, op TEXT NOT NULL, detail TEXT NOT NULL);
-- R9: a node that was unlinked while open and is still to be deleted
CREATE TABLE tombstone (path TEXT PRIMARY KEY, length INTEGER NOT NULL, md5 TEXT,
    date_ms INTEGER, md5_proves INTEGER NOT NULL,
    torn_size INTEGER, whole TEXT NOT NULL DEFAULT '[]') WITHOUT ROWID;
-- R1: a PUT to this path broke on a service that truncates, and may still spoil the next one
CREATE TABLE broken_put (path TEXT PRIMARY KEY, at_ns INTEGER NOT NULL) WITHOUT ROWID;
-- R13: what we stored lately, and what it replaced: JSON, kept until that can be no lag any more
CREATE TABLE own_version (path TEXT PRIMARY KEY, until_ns INTEGER NOT NULL,
    detail TEXT NOT NULL) WITHOUT ROWID;
-- unsent data that cannot be read: set aside, with the row it had; its data file stays
CREATE TABLE damaged (number INTEGER PRIMARY KEY, path TEXT NOT NULL, size INTEGER NOT NULL,
    reason TEXT NOT NULL, spans TEXT NOT NULL);
-- data files to be removed: their rows are gone, and nothing unsent is in them
CREATE TABLE leftover (number INTEGER PRIMARY KEY, bytes INTEGER NOT NULL);
CREATE TRIGGER file_gone AFTER DELETE ON file
    WHEN OLD.number NOT IN (SELECT number FROM damaged)
    BEGIN INSERT OR REPLACE INTO leftover VALUES (OLD.number, OLD.present_bytes); END;
CREATE TRIGGER file_back AFTER INSERT ON file
    BEGIN DELETE FROM leftover WHERE number = NEW.number; END;
"""

MIGRATIONS = {
    # The first format kept no boot_id: whether the power was lost cannot be told.  Clean copies
    # are checked before they are served; unsent ones are believed, as that format did.
    1: """
ALTER TABLE file ADD COLUMN put_detail TEXT NOT NULL DEFAULT '';
ALTER TABLE file ADD COLUMN durable_generation INTEGER NOT NULL DEFAULT -1;
ALTER TABLE file ADD COLUMN losses INTEGER NOT NULL DEFAULT 0;
CREATE INDEX file_unsent ON file (number) WHERE generation != stored_generation;
CREATE TABLE broken_put (path TEXT PRIMARY KEY, at_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE own_version (path TEXT PRIMARY KEY, until_ns INTEGER NOT NULL,
    detail TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE damaged (number INTEGER PRIMARY KEY, path TEXT NOT NULL, size INTEGER NOT NULL,
    reason TEXT NOT NULL, spans TEXT NOT NULL);
DROP INDEX file_by_use;
CREATE INDEX file_by_use ON file (used_at, present_bytes)
    WHERE generation = stored_generation;
CREATE TABLE leftover (number INTEGER PRIMARY KEY, bytes INTEGER NOT NULL);
CREATE TRIGGER file_gone AFTER DELETE ON file
    WHEN OLD.number NOT IN (SELECT number FROM damaged)
    BEGIN INSERT OR REPLACE INTO leftover VALUES (OLD.number, OLD.present_bytes); END;
CREATE TRIGGER file_back AFTER INSERT ON file
    BEGIN DELETE FROM leftover WHERE number = NEW.number; END;
INSERT INTO meta VALUES ('losses', '1');
UPDATE file SET losses = 1 WHERE generation != stored_generation;
""",
    # The second format put the size of a PUT that broke in place of the version.
    2: """
ALTER TABLE tombstone ADD COLUMN torn_size INTEGER;
UPDATE tombstone SET torn_size = length
    WHERE md5 IS NULL AND date_ms IS NULL AND NOT md5_proves;
""",
    3: "ALTER TABLE tombstone ADD COLUMN whole TEXT NOT NULL DEFAULT '[]';\n",
}


def statements(script: str) -> list[str]:
    """The statements of a script, to be run within one transaction."""
    return [statement for statement in script.split(";\n") if statement.strip()]


def create(connection: sqlite3.Connection, identity: str) -> None:
    """Make all tables of an empty index, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in statements(SCHEMA):
        connection.execute(statement)
    connection.executemany(
        "INSERT INTO meta VALUES (?, ?)", [("identity", identity), ("losses", "0")]
    )
    connection.execute(f"PRAGMA user_version={FORMAT}")
    connection.execute("COMMIT")


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring an index of an older format to this one, in one transaction.

    Args:
        connection: the index.
        version: its format, one of `MIGRATIONS`.
    """
    connection.execute("BEGIN IMMEDIATE")
    for step in range(version, FORMAT):
        for statement in statements(MIGRATIONS[step]):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version={FORMAT}")
    connection.execute("COMMIT")
