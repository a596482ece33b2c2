"""The tables of the embedded server's database."""

from __future__ import annotations

from typing import Final

#: The version of the tables, kept in the database.
VERSION: Final = 1

SCHEMA: Final = """
CREATE TABLE session (
  session_id    INTEGER PRIMARY KEY AUTOINCREMENT,  -- growing, and never given out twice
  session_token TEXT NOT NULL UNIQUE,
  api_id        INTEGER NOT NULL,
  device_id     TEXT,
  name          TEXT NOT NULL,
  model         TEXT NOT NULL,
  prompt        TEXT NOT NULL,
  parameters    TEXT NOT NULL,                      -- JSON, as are data and extra
  data          TEXT NOT NULL,
  extra         TEXT NOT NULL,
  remark        TEXT,
  api_use_count INTEGER NOT NULL,
  created_at    TEXT NOT NULL,
  updated_at    TEXT NOT NULL
);
CREATE INDEX session_by_name ON session (name);
CREATE TABLE message (
  message_id INTEGER PRIMARY KEY AUTOINCREMENT,
  session_id INTEGER NOT NULL REFERENCES session ON DELETE CASCADE,
  category   TEXT NOT NULL,
  content    TEXT NOT NULL,
  meta       TEXT NOT NULL,                         -- JSON
  created_at TEXT NOT NULL
);
CREATE INDEX message_by_session ON message (session_id);
"""

#: What may be missing in a database of an earlier release: a long list is sorted and counted with these.
INDEXES: Final = (
    "CREATE INDEX IF NOT EXISTS session_by_account ON session (api_id)",
    "CREATE INDEX IF NOT EXISTS session_by_change ON session (updated_at)",
    "CREATE INDEX IF NOT EXISTS session_by_account_and_change ON session (api_id, updated_at)",
)
