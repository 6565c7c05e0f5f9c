"""An index as older versions of vofs have left it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

# The first format, word for word as it was released to ourselves.
FORMAT_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE file (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    backing_end INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    stored_generation INTEGER NOT NULL,
    whole INTEGER NOT NULL,
    base_length INTEGER,
    base_md5 TEXT,
    base_date_ms INTEGER,
    base_md5_proves INTEGER,
    mtime_ns INTEGER NOT NULL,
    mode INTEGER,
    put_generation INTEGER,
    put_size INTEGER,
    put_md5 TEXT,
    state TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0,
    present_bytes INTEGER NOT NULL DEFAULT 0,
    used_at INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX file_by_use ON file (used_at);
CREATE TABLE span (number INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,
    dirty INTEGER NOT NULL);
CREATE INDEX span_of ON span (number);
CREATE TABLE intent (id INTEGER PRIMARY KEY AUTOINCREMENT, op TEXT NOT NULL, detail TEXT NOT NULL);
CREATE TABLE tombstone (path TEXT PRIMARY KEY, length INTEGER NOT NULL, md5 TEXT,
    date_ms INTEGER, md5_proves INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('identity', 'host|ivo://service|account');
INSERT INTO file VALUES (7, '/clean', 3, 3, 2, 2, 1, 3, 'abc', 5, 1, 9, NULL, NULL, NULL, NULL,
    '', '', 0, 3, 1);
INSERT INTO file VALUES (9, '/dirty', 30, 20, 4, 2, 0, 20, 'def', 6, 1, 10, 420, 3, 25, 'ff',
    'conflict', 'E: text', 2, 8, 2);
INSERT INTO span VALUES (9, 2, 10, 1);
INSERT INTO intent VALUES (1, 'mkdir', '{"op": "mkdir", "source": "/d", "destination": "",
    "step": "", "job_url": "", "aside": "", "source_token": null, "destination_token": null,
    "properties": {}, "number": 0}');
INSERT INTO tombstone VALUES ('/gone', 4, 'aa', NULL, 1);
INSERT INTO tombstone VALUES ('/torn', 5, NULL, NULL, 0);
PRAGMA user_version=1;
"""


def old_index(path: Path) -> None:
    """Make one of the first format."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript(FORMAT_1)
    connection.close()
