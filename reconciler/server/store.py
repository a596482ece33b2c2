"""Sessions and messages in one SQLite file.

The rows hold the fields under this program's own names; how a row looks on the wire is the contract's
affair (:mod:`reconciler.server.service`). One :class:`Store` is shared by the threads of a process, any number of
processes may have the same file open, and a process killed in the middle of a write leaves the state before it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from reconciler.errors import ReconcilerError
from reconciler.server.database import check_journal, check_schema, distrust
from reconciler.server.rows import MESSAGE, SESSION, MessageRow, SessionRow, message_row, session_row
from reconciler.server.tables import INDEXES, SCHEMA, VERSION
from reconciler.values import JSON

#: The default parameters of a session: the values of the API's documented example.
DEFAULT_PARAMETERS: Mapping[str, JSON] = {"max_tokens": 4000, "temperature": 0.2, "history_length": 4}

#: The ``api_id`` of the first account.
FIRST_ACCOUNT = 70

#: The fields by which sessions can be sorted, ascending or, with a leading ``-``, descending.
ORDERINGS = ("session_id", "api_use_count", "created_at", "updated_at")

#: How long a write waits for another process, in seconds.
PATIENCE = 30.0


class MessagePage(NamedTuple):
    """One page of a list of messages. ``total`` counts the whole list, ``left`` the messages before the cursor."""

    total: int
    left: int
    rows: list[MessageRow]


class Store:
    """The rows. All methods are thread-safe.

    Args:
        path: the database file, made (mode 0600) where it is missing; ``None`` keeps the rows in memory.

    Raises:
        ReconcilerError: the file can't be opened, is no database, or was made by a newer release.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._lock = threading.RLock()
        try:
            if path is not None:
                check_journal(path)
                # SQLite gives its -wal and -shm files the mode of the database, so this protects them as well.
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600))
            self._connection = sqlite3.connect(
                path if path is not None else ":memory:",
                timeout=PATIENCE,
                isolation_level=None,
                check_same_thread=False,
            )
        except OSError as error:
            raise ReconcilerError(f"the database {path} can't be opened: {error.strerror}") from None
        except sqlite3.Error as error:
            raise ReconcilerError(f"the database {path} can't be opened: {error}") from None
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._connection.close()
            raise ReconcilerError(f"the database {path} can't be used: {error}") from None
        except ReconcilerError:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file. Everything written is in it."""
        with self._lock:
            self._connection.close()

    # Sessions

    def insert_session(
        self,
        *,
        name: str = "test",
        model: str = "deepseek-chat",
        prompt: str = "",
        parameters: Mapping[str, JSON] | None = None,
        data: JSON = None,
        extra: Mapping[str, JSON] | None = None,
        remark: str | None = "",
        api_id: int = FIRST_ACCOUNT,
        device_id: str | None = None,
        api_use_count: int = 0,
        created_at: str | None = None,
        updated_at: str | None = None,
    ) -> int:
        """Add a session and return its id. No defaults are added to ``parameters``.

        ``None`` stands for the default parameters, for empty ``data`` and ``extra``, and for the present time.
        """
        present = now()
        values = (
            str(uuid.uuid4()),
            api_id,
            device_id,
            name,
            model,
            prompt,
            _dump(DEFAULT_PARAMETERS if parameters is None else parameters),
            _dump({} if data is None else data),
            _dump(extra or {}),
            remark,
            api_use_count,
            created_at or present,
            updated_at or created_at or present,
        )
        with self._lock:
            cursor = self._connection.execute(
                f"INSERT INTO session ({SESSION.removeprefix('session_id, ')}) VALUES (?{', ?' * 12})",  # noqa: S608
                values,
            )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def put_back(self, row: SessionRow) -> None:
        """Add a session that was deleted as it was, without its messages."""
        values = dataclasses.asdict(row)
        for column in ("parameters", "data", "extra"):
            values[column] = _dump(values[column])
        with self._lock:
            self._connection.execute(
                f"INSERT OR IGNORE INTO session ({SESSION}) VALUES (?{', ?' * 13})",  # noqa: S608
                [values[column] for column in SESSION.split(", ")],
            )

    def session(self, session_id: int) -> SessionRow | None:
        """The session of this id."""
        return self._one("session_id = ?", session_id)

    def session_by_token(self, token: str) -> SessionRow | None:
        """The session of this token."""
        return self._one("session_token = ?", token)

    def sessions(self) -> list[SessionRow]:
        """All sessions, by id."""
        with self._lock:
            rows = self._connection.execute(f"SELECT {SESSION} FROM session ORDER BY session_id").fetchall()  # noqa: S608
        return [session_row(row) for row in rows]

    def list_sessions(
        self,
        *,
        page: int = 1,
        size: int = 20,
        ordering: str = "session_id",
        name: str | None = None,
        partial: bool = False,
        hidden: Iterable[int] = (),
        api_id: int | None = None,
    ) -> tuple[int, list[SessionRow]]:
        """How many sessions match, and one page of them, from one state of the database.

        Args:
            page: counts from 1.
            ordering: one of :data:`ORDERINGS`, downwards with a leading ``-``; ties go by id.
            name: sessions of exactly this name, or with ``partial`` those whose name contains it.
            hidden: ids to leave out.
            api_id: sessions of this account only; ``None`` for those of every account.
        """
        wanted: list[str] = []
        values: list[str | int] = []
        if name is not None:
            wanted.append("instr(name, ?) > 0" if partial else "name = ?")
            values.append(name)
        if api_id is not None:
            # With the plus sign, the index of names is used if there is a name.
            wanted.append("api_id = ?" if name is None or partial else "+api_id = ?")
            values.append(api_id)
        concealed = list(hidden)
        if concealed:
            wanted.append("session_id NOT IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(concealed))
        where = f"WHERE {' AND '.join(wanted)}" if wanted else ""
        column = ordering.removeprefix("-")
        if column not in ORDERINGS:
            raise ValueError(f"no such ordering: {ordering}")
        way = "DESC" if ordering.startswith("-") else "ASC"
        with self._lock, self._transaction("BEGIN"):
            (count,) = self._connection.execute(
                f"SELECT count(*) FROM session {where}",  # noqa: S608 - only our own names
                values,
            ).fetchone()
            rows = self._connection.execute(
                f"SELECT {SESSION} FROM session {where} "  # noqa: S608
                f"ORDER BY {column} {way}, session_id {way} LIMIT ? OFFSET ?",
                (*values, size, (page - 1) * size),
            ).fetchall()
        return count, [session_row(row) for row in rows]

    def neighbour(self, session_id: int, *, api_id: int | None = None) -> SessionRow | None:
        """The next session by id, or the previous one if there is none; ``None`` for the only session."""
        account = "" if api_id is None else "AND api_id = ?"
        with self._lock:
            row = self._connection.execute(
                f"SELECT {SESSION} FROM session WHERE session_id <> ? {account} "  # noqa: S608
                "ORDER BY session_id < ?, abs(session_id - ?) LIMIT 1",
                (session_id, *(() if api_id is None else (api_id,)), session_id, session_id),
            ).fetchone()
        return None if row is None else session_row(row)

    def touch_session(self, session_id: int) -> None:
        """Set ``updated_at`` of a session to the present time."""
        with self._lock:
            self._connection.execute(
                "UPDATE session SET updated_at = ? WHERE session_id = ?", (now(), session_id)
            )

    def change_session(
        self, session_id: int, change: Callable[[SessionRow], SessionRow], *, touch: float | None = 0.0
    ) -> SessionRow | None:
        """Read a session, change it and write it back in one transaction; return the changed session.

        ``None`` where there is no such session. ``updated_at`` becomes the time ``touch`` seconds ago, or stays as it
        is.
        """
        with self._lock, self._transaction("BEGIN IMMEDIATE"):
            row = self.session(session_id)
            if row is None:
                return None
            row = replace(change(row), updated_at=row.updated_at if touch is None else now(touch))
            self._connection.execute(
                "UPDATE session SET device_id = ?, name = ?, model = ?, prompt = ?, parameters = ?, data = ?, "
                "extra = ?, remark = ?, api_use_count = ?, updated_at = ? WHERE session_id = ?",
                (
                    row.device_id,
                    row.name,
                    row.model,
                    row.prompt,
                    _dump(row.parameters),
                    _dump(row.data),
                    _dump(row.extra),
                    row.remark,
                    row.api_use_count,
                    row.updated_at,
                    session_id,
                ),
            )
        return row

    def update_session(self, session_id: int, **changes: Any) -> bool:
        """Set columns of a session by name; return whether the session exists."""
        return self.change_session(session_id, lambda row: replace(row, **changes)) is not None

    def delete_session(self, session_id: int) -> bool:
        """Remove a session and its messages; return whether the session existed."""
        with self._lock:
            return (
                self._connection.execute("DELETE FROM session WHERE session_id = ?", (session_id,)).rowcount
                > 0
            )

    # Messages

    def insert_message(
        self, session_id: int, *, category: str = "user", content: str = "", meta: JSON = None
    ) -> int:
        """Add a message to a session and return its id.

        Raises:
            KeyError: there is no such session.
        """
        try:
            with self._lock:
                cursor = self._connection.execute(
                    "INSERT INTO message (session_id, category, content, meta, created_at) VALUES (?, ?, ?, ?, ?)",
                    (session_id, category, content, _dump({} if meta is None else meta), now()),
                )
        except sqlite3.IntegrityError:
            raise KeyError(session_id) from None
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def messages(self, session_id: int) -> list[MessageRow]:
        """All messages of a session, oldest first."""
        return self.list_messages(session_id, page=1, size=-1).rows

    def list_messages(
        self,
        session_id: int | None = None,
        *,
        page: int = 1,
        size: int = 20,
        newest_first: bool = False,
        before: int | None = None,
        api_id: int | None = None,
    ) -> MessagePage:
        """One page of messages, from one state of the database.

        Args:
            session_id: messages of this session only; ``None`` for those of every session.
            page: counts from 1, among the messages before the cursor.
            size: -1 for all rows.
            before: the cursor: messages with a lower id only.
            api_id: messages of this account only; ``None`` for those of every account.
        """
        wanted, values = ["true"], []
        for column, value in (("session_id", session_id), ("api_id", api_id)):
            if value is not None:
                wanted.append(f"{column} = ?")
                values.append(value)
        source = f"FROM message JOIN session USING (session_id) WHERE {' AND '.join(wanted)}"
        below = 2**63 - 1 if before is None else min(max(before, 0), 2**63 - 1)
        with self._lock, self._transaction("BEGIN"):
            # Only literals and our own names.
            total, left = self._connection.execute(
                f"SELECT count(*), count(*) FILTER (WHERE message_id < ?) {source}",
                (below, *values),
            ).fetchone()
            rows = self._connection.execute(
                f"SELECT {MESSAGE} {source} AND message_id < ? "
                f"ORDER BY message_id {'DESC' if newest_first else 'ASC'} LIMIT ? OFFSET ?",
                (*values, below, size, max(0, (page - 1) * size)),
            ).fetchall()
        return MessagePage(total, left, [message_row(row) for row in rows])

    def clear_messages(self, session_id: int) -> int:
        """Remove the messages of a session; return how many there were."""
        with self._lock:
            return self._connection.execute(
                "DELETE FROM message WHERE session_id = ?", (session_id,)
            ).rowcount

    def count_messages(self, session_ids: Iterable[int]) -> dict[int, int]:
        """How many messages each of these sessions has."""
        wanted = list(session_ids)
        with self._lock:
            rows = self._connection.execute(
                "SELECT session_id, count(*) FROM message "
                "WHERE session_id IN (SELECT value FROM json_each(?)) GROUP BY session_id",
                (json.dumps(wanted),),
            ).fetchall()
        return dict.fromkeys(wanted, 0) | dict(rows)

    def models(self) -> list[str]:
        """The models that sessions use, sorted."""
        with self._lock:
            rows = self._connection.execute("SELECT DISTINCT model FROM session ORDER BY model").fetchall()
        return [model for (model,) in rows]

    # The whole

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every column of every row as it is in the file, by table: equal dumps are equal to the byte."""
        with self._lock, self._transaction("BEGIN"):
            return {
                "session": self._connection.execute("SELECT * FROM session ORDER BY session_id").fetchall(),
                "message": self._connection.execute("SELECT * FROM message ORDER BY message_id").fetchall(),
            }

    def _one(self, where: str, value: int | str) -> SessionRow | None:
        try:
            with self._lock:
                row = self._connection.execute(
                    f"SELECT {SESSION} FROM session WHERE {where}",  # noqa: S608
                    (value,),
                ).fetchone()
        except OverflowError:  # an id beyond 64 bits, which no row can have
            return None
        return None if row is None else session_row(row)

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self._connection.execute(begin)
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _prepare(self) -> None:
        distrust(self._connection)
        if self.path is not None:
            self._write_ahead()
        self._connection.execute("PRAGMA synchronous = NORMAL")  # with WAL, a killed process loses nothing
        self._connection.execute("PRAGMA foreign_keys = ON")
        if self._version() == VERSION:
            check_schema(self._connection, self.path, complete=False)
            if self._is_indexed():
                return
        self._create()
        check_schema(self._connection, self.path)

    def _create(self) -> None:
        with self._transaction("BEGIN IMMEDIATE"):
            version = self._version()
            if version > VERSION:
                raise ReconcilerError(
                    f"the database {self.path} was made by a newer release (its version is {version}, "
                    f"the newest known here is {VERSION})",
                    "use that release, or another file",
                )
            if version == 0:  # checked again: another process may have been faster
                for statement in SCHEMA.split(";\n"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {VERSION}")
            for index in INDEXES:
                self._connection.execute(index)

    def _version(self) -> int:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        return int(version)

    def _is_indexed(self) -> bool:
        (count,) = self._connection.execute(
            "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        ).fetchone()
        return int(count) == SCHEMA.count("CREATE INDEX") + len(INDEXES)

    def _write_ahead(self) -> None:
        # Switching to WAL locks the whole file, and SQLite does not wait for that lock as it does for others.
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)


def _dump(value: JSON) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def now(less: float = 0.0) -> str:
    """The time so many seconds ago (UTC), as the database has it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() - less))
