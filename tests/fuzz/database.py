"""How a database is spoilt at its values: what SQLite accepts, and this program did not write."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from pathlib import Path
from random import Random

from tests.fuzz.mutate import KEYS, VALUES, change

_COLUMNS = (
    "session_token", "api_id", "device_id", "name", "model", "prompt", "parameters", "data", "extra", "remark",
    "api_use_count", "created_at", "updated_at",
)  # fmt: skip


def changed_database(random: Random, data: bytes) -> bytes:
    """The database with one to three cells changed. Where it can't be changed, as it is."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "local.db"
        path.write_bytes(data)
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = DELETE")
            for _ in range(random.randint(1, 3)):
                column, where = random.choice(_COLUMNS), "WHERE session_id = ?"
                number = random.randint(1, 6)
                found = connection.execute(f"SELECT {column} FROM session {where}", (number,)).fetchone()
                value = _cell(random, found[0] if found else None)
                connection.execute(f"UPDATE OR IGNORE session SET {column} = ? {where}", (value, number))
        except sqlite3.Error:
            pass
        finally:
            connection.close()
        return path.read_bytes()


def _cell(random: Random, cell: object) -> object:
    if isinstance(cell, str) and cell.startswith("{") and random.random() < 0.6:
        return json.dumps(change(random, json.loads(cell)))
    value = random.choice((*VALUES, *KEYS, b"\xff\x00", b"{}"))
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict | list):
        return json.dumps(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)[:4000]
    return value
