"""The SQLite file behind the store: its tables, and what is looked at before a file is trusted.

A checkout may hold a ``local.db`` of a stranger's. SQLite runs what a file's schema says (triggers, views and
expressions), and deletes the file that a journal beside it names as its super-journal, wherever that is. So a file is
only used if its schema is this program's, and if its journal names none.
"""

from __future__ import annotations

import os
import re
import sqlite3
from functools import cache
from pathlib import Path
from typing import Final

from reconciler.disk import open_regular
from reconciler.errors import ReconcilerError
from reconciler.server.tables import INDEXES, SCHEMA

#: The longest value that is read or written, in bytes.
LONGEST: Final = 64 * 2**20

#: The end of a journal that names a super-journal (https://www.sqlite.org/fileformat2.html#the_rollback_journal). Only
#: a transaction over several files has one.
_NAMES_ANOTHER: Final = bytes.fromhex("d9d505f920a163d7")
_STRANGE: Final = "use another file; if this one came with a checkout, somebody may have prepared it"


def check_journal(path: Path) -> None:
    """See that no journal beside a database makes SQLite delete another file.

    Raises:
        ReconcilerError: there is such a journal, or something that is no file.
    """
    journal = path.with_name(f"{path.name}-journal")
    try:
        with open_regular(journal) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - len(_NAMES_ANOTHER)))
            end = file.read(len(_NAMES_ANOTHER))
    except FileNotFoundError:
        return
    except OSError as error:
        raise ReconcilerError(f"{journal} can't be read: {error.strerror}", f"remove {journal}") from None
    if end == _NAMES_ANOTHER:
        raise ReconcilerError(
            f"{journal} was not made by this program: it names another file, which SQLite would delete",
            f"remove {journal}; if it came with a checkout, somebody prepared it",
        )


def distrust(connection: sqlite3.Connection) -> None:
    """Let SQLite expect nothing good of a file."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")


def check_schema(connection: sqlite3.Connection, path: Path | None, *, complete: bool = True) -> None:
    """See that a database has the tables of this program, and nothing else that SQLite would run. With
    ``complete``, that it lacks none.

    Raises:
        ReconcilerError: it has not.
    """
    found = _schema(connection)
    strange = sorted(f"{kind} `{name}`" for kind, name, _, _ in found - _ours())
    if strange:
        raise ReconcilerError(
            f"the database {path} was not made by this program: it has the {strange[0]}", _STRANGE
        )
    lacking = sorted(f"{kind} `{name}`" for kind, name, _, _ in _ours() - found)
    if lacking and complete:
        raise ReconcilerError(
            f"the database {path} was not made by this program: it lacks the {lacking[0]}", _STRANGE
        )


@cache
def _ours() -> frozenset[tuple[str, ...]]:
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(SCHEMA + ";\n".join(INDEXES))
        return _schema(connection)
    finally:
        connection.close()


def _schema(connection: sqlite3.Connection) -> frozenset[tuple[str, ...]]:
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    return frozenset(tuple(map(_plain, row)) for row in rows)


def _plain(sql: object) -> str:
    """SQL without comments and in one line: earlier releases had other comments, and no quotes around one."""
    return " ".join(re.sub(r"--[^\n]*", "", str(sql)).split())
