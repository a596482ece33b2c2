"""Run the service for a test, and read its database without its API.

A :class:`Service` reads its database file for the truth that a test compares with, and writes to it what other people
did. Nothing in here imports the framework.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import pytest

from tests import warm
from tests.services.drf.variant import PREFIX

ROOT = Path(__file__).parents[3]
KEYS = ("sk-drf-first", "sk-drf-second")
FIRST_ACCOUNT = 70

#: What runs, and what of the framework can be imported before the settings are known.
FORKER = (
    "tests.services.drf.__main__",
    *(
        "django.core.wsgi",
        "django.db.backends.sqlite3.base",
        "django.db.backends.sqlite3.schema",
        "django.urls",
    ),
    *(
        "django.db.models",
        "django.forms",
        "django.middleware.common",
        "django.template",
        "django.views.generic",
    ),
    *("django.utils.translation.trans_real", "django_filters.rest_framework", "rest_framework.serializers"),
    "waitress",
)

_MISSING = [
    name for name in ("django", "rest_framework", "django_filters", "waitress") if find_spec(name) is None
]

#: Marks tests that run the service: without its packages they are skipped, but fail in CI.
needs_drf = pytest.mark.skipif(
    bool(_MISSING) and not os.environ.get("CI"), reason=f"not installed: {', '.join(_MISSING)}"
)

_DATES = "2024-09-12 15:13:22"
_SESSION: Mapping[str, Any] = {
    "session_name": "somebody's",
    "session_remark": "",
    "config_data": {},
    "model": "deepseek-chat",
    "prompt": "Be kind.",
    "temperature": 0.7,
    "max_tokens": 4000,
    "history_length": 4,
    "device_id": None,
    "api_id": FIRST_ACCOUNT,
    "created_at": _DATES,
    "updated_at": _DATES,
}
_MESSAGE: Mapping[str, Any] = {"message_category": "user", "meta_data": {}, "created_at": _DATES}
_JSON = ("config_data", "meta_data")


@dataclass(frozen=True)
class Service:
    """A running service. ``keys`` are those of its accounts, whose ``api_id`` are 70, 71, and so on."""

    url: str
    keys: tuple[str, ...]
    folder: Path

    @property
    def key(self) -> str:
        """The key of the first account."""
        return self.keys[0]

    def sessions(self, api_id: int | None = None) -> list[dict[str, Any]]:
        """The stored sessions, of all accounts or of one, ordered by id. Columns by their names in the database."""
        every = self._rows("SELECT * FROM drf_session ORDER BY session_id")
        return [row for row in every if api_id in (None, row["api_id"])]

    def messages(self, session_id: int | None = None) -> list[dict[str, Any]]:
        """The stored messages, of all sessions or of one, ordered by id."""
        every = self._rows("SELECT * FROM drf_message ORDER BY message_id")
        return [row for row in every if session_id in (None, row["session_id"])]

    def picture(self, session_ids: Iterable[int]) -> list[tuple[Any, ...]]:
        """These sessions and their messages byte for byte as stored, to compare with a later picture."""
        stored: list[tuple[Any, ...]] = []
        with self._database() as database:
            for session_id in session_ids:
                for table in ("drf_session", "drf_message"):
                    # The table's name is one of the two above.
                    sql = f"SELECT * FROM {table} WHERE session_id = ? ORDER BY 1"
                    stored += [(table, *row) for row in database.execute(sql, (session_id,))]
        return stored

    def put_session(self, **fields: Any) -> int:
        """Add a session behind the API's back, as other people do. Its id."""
        (session_id,) = self._insert(
            "drf_session", [{**_SESSION, "session_token": uuid.uuid4().hex, **fields}]
        )
        return session_id

    def put_messages(self, session_id: int, contents: Iterable[str], **fields: Any) -> list[int]:
        """Add messages to a session. Their ids."""
        of_session = {**_MESSAGE, "session_id": session_id, **fields}
        return self._insert("drf_message", [{**of_session, "message_content": text} for text in contents])

    def change_session(self, session_id: int, **fields: Any) -> None:
        """Change stored fields of a session, by their names in the database."""
        sets = ", ".join(f"{name} = ?" for name in fields)
        with self._database() as database:
            database.execute(
                f"UPDATE drf_session SET {sets} WHERE session_id = ?", (*_stored(fields), session_id)
            )

    def remove_session(self, session_id: int) -> None:
        """Remove a session and its messages."""
        with self._database() as database:
            for table in ("drf_message", "drf_session"):
                database.execute(f"DELETE FROM {table} WHERE session_id = ?", (session_id,))

    def empty(self) -> None:
        """Remove all sessions, messages and lines of the access log, and start ids at 1 again.

        Points that were spent and calls that count for the throttle stay.
        """
        with self._database() as database:
            database.executescript(
                "DELETE FROM drf_message; DELETE FROM drf_session;"
                "DELETE FROM sqlite_sequence WHERE name IN ('drf_session', 'drf_message');"
            )
        (self.folder / "access.log").write_bytes(b"")

    def requests(self) -> list[dict[str, Any]]:
        """The requests so far, as ``method``, ``path``, ``query``, ``content_type``, ``status``."""
        log = self.folder / "access.log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return [json.loads(line) for line in lines]

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.folder / "service.db", timeout=20)) as database, database:
            yield database

    def _rows(self, sql: str) -> list[dict[str, Any]]:
        with self._database() as database:
            database.row_factory = sqlite3.Row
            return [_shown(dict(row)) for row in database.execute(sql)]

    def _insert(self, table: str, rows: Iterable[Mapping[str, Any]]) -> list[int]:
        ids = []
        with self._database() as database:
            for row in rows:
                marks = ", ".join("?" * len(row))
                sql = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})"
                cursor = database.execute(sql, _stored(row))
                assert cursor.lastrowid is not None
                ids.append(cursor.lastrowid)
        return ids


def _stored(fields: Mapping[str, Any]) -> list[Any]:
    return [
        json.dumps(value) if name in _JSON else value.replace("-", "") if name == "session_token" else value
        for name, value in fields.items()
    ]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    for name in _JSON:
        if row.get(name) is not None:
            row[name] = json.loads(row[name])
    if "session_token" in row:
        row["session_token"] = str(uuid.UUID(row["session_token"]))
    return row


@contextmanager
def _process(words: list[str], environ: Mapping[str, str], errors: IO[bytes]) -> Iterator[str]:
    """The service in a process of its own; gives its address, or an empty text."""
    (to_read, to_end), (first_line, to_print) = os.pipe(), os.pipe()
    with os.fdopen(to_end, "wb") as stdin, os.fdopen(first_line) as stdout:
        streams = {"stdin": to_read, "stdout": to_print, "stderr": errors.fileno()}
        process: warm.Forked | subprocess.Popen[bytes]
        if warm.can_fork(environ):
            process = warm.start(words, cwd=ROOT, env=environ, forker=FORKER, **streams)
        else:
            command = [sys.executable, "-m", "tests.services.drf", *words]
            process = subprocess.Popen(command, cwd=ROOT, env=environ, **streams)
        os.close(to_read)
        os.close(to_print)
        try:
            yield stdout.readline().strip()
        finally:
            stdin.close()
            try:
                process.wait(10)
            except (TimeoutError, subprocess.TimeoutExpired):
                process.kill()


@contextmanager
def running_drf(*, keys: tuple[str, ...] = KEYS, **variant: str) -> Iterator[Service]:
    """Run the service until the block ends, with these variables: ``paths="token"`` sets ``DRF_PATHS``.

    Raises:
        RuntimeError: it did not start, or a traceback is in its log at the end: a bug in the service itself.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environ |= {PREFIX + name.upper(): value for name, value in variant.items()}
    environ["DRF_API_KEYS"] = ",".join(keys)
    with tempfile.TemporaryDirectory(prefix="drf-") as name:
        folder = Path(name)
        words = ["--watch-stdin", "--database", str(folder / "service.db")]
        words += ["--access-log", str(folder / "access.log")]
        log = folder / "stderr.log"
        with log.open("wb") as errors, _process(words, environ, errors) as url:
            if url:
                yield Service(url, keys, folder)
        said = log.read_text(encoding="utf-8", errors="replace")
        if not url or "Traceback" in said:
            raise RuntimeError("the service " + ("failed:\n" if url else "did not start:\n") + said)
