"""What a ``local.db`` that came with a stranger's checkout could do to whoever runs the embedded server on it: delete
or overwrite files, change what is written, never end, or end in a traceback."""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.errors import ReconcilerError
from reconciler.server import Store
from reconciler.server.database import LONGEST
from tests import warm

_MAGIC = bytes.fromhex("d9d505f920a163d7")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with a session, as this program makes it, in the state folder of a catalog."""
    path = tmp_path / "shop" / ".reconciler" / "local.db"
    path.parent.mkdir(parents=True)
    (tmp_path / "shop" / "catalog.yaml").write_text("version: 1\ncatalog: shop\nsessions: {}\n")
    store = Store(path)
    store.insert_message(store.insert_session(name="Alice"), content="Hello.")
    store.close()
    return path


def _run(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
        for statement in statements:
            connection.execute(statement)
    finally:
        connection.close()


SCHEMAS = {
    "a trigger that deletes": (
        ("CREATE TRIGGER t AFTER INSERT ON session BEGIN DELETE FROM session; END",),
        "it has the trigger `t`",
    ),
    "a view that never ends": (
        (
            "ALTER TABLE session RENAME TO real",
            "CREATE VIEW session AS WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) "
            "SELECT real.* FROM r, real",
        ),
        "it has the ",
    ),
    "an index over an expression": (
        ("CREATE INDEX i ON session (length(hex(zeroblob(1000000))))",),
        "it has the index `i`",
    ),
    "a partial index": (("CREATE INDEX i ON session (name) WHERE model = 'x'",), "it has the index `i`"),
    "a column that is computed": (
        ("ALTER TABLE session ADD COLUMN big TEXT AS (hex(zeroblob(1000000))) VIRTUAL",),
        "it has the table `session`",
    ),
    "a default that is an expression": (
        ("ALTER TABLE session ADD COLUMN more TEXT DEFAULT 'x'",),
        "it has the table `session`",
    ),
    "a virtual table": (("CREATE VIRTUAL TABLE v USING fts5(a)",), "it has the "),
    "a comment that hides a rule": (
        (
            "DROP INDEX message_by_session",
            "CREATE INDEX message_by_session ON message (session_id) WHERE content != '--\n'",
        ),
        "it has the index `message_by_session`",
    ),
    "no messages": (("DROP TABLE message",), "it lacks the "),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_cannot_run_anything(name: str, database: Path) -> None:
    statements, why = SCHEMAS[name]
    _run(database, *statements)
    with pytest.raises(ReconcilerError) as caught:
        Store(database)
    (problem,) = caught.value.problems
    assert problem.message.startswith(f"the database {database} was not made by this program: {why}")
    assert problem.hint.startswith("use another file")


def test_the_command_says_so_too(database: Path) -> None:
    _run(database, "CREATE TRIGGER t AFTER INSERT ON session BEGIN DELETE FROM session; END")
    for words in (["list", "--endpoint", "local"], ["server", "--port", "0"]):
        done = warm.run(words, cwd=database.parents[1], env={"RECONCILER_PATIENCE": "600"})
        assert done.returncode == 1
        assert "was not made by this program: it has the trigger `t`" in done.stderr


def test_a_database_whose_schema_has_other_comments_is_one_of_ours(database: Path) -> None:
    _run(
        database,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = replace(sql, '-- growing, and never given out twice', '-- grows')",
    )
    Store(database).close()


def _prepared_journal(database: Path, victim: Path) -> None:
    """A journal of a write that was cut off, which says that the victim is its super-journal."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("BEGIN IMMEDIATE")
    for _ in range(200):
        connection.execute("UPDATE session SET name = name || hex(zeroblob(2000))")
    journal_path = database.with_name("local.db-journal")
    journal, content = journal_path.read_bytes(), database.read_bytes()
    connection.execute("ROLLBACK")
    connection.close()
    page = struct.unpack(">H", content[16:18])[0]
    pages = (len(journal) - 512) // (page + 8)
    name = os.fsencode(victim)
    check = sum(byte if byte < 128 else byte - 256 for byte in name) & 0xFFFFFFFF
    ending = struct.pack(">I", 0x40000000 // page + 1) + name + struct.pack(">II", len(name), check) + _MAGIC
    head = journal[:8] + struct.pack(">I", pages) + journal[12:512]
    journal_path.write_bytes(head + journal[512 : 512 + pages * (page + 8)] + ending)
    database.write_bytes(content)


def test_a_journal_beside_the_database_cannot_delete_another_file(database: Path, tmp_path: Path) -> None:
    victim = tmp_path / "notes.txt"
    victim.write_text("precious\n" * 10)
    _prepared_journal(database, victim)
    with pytest.raises(ReconcilerError, match="it names another file, which SQLite would delete"):
        Store(database)
    assert victim.exists()
    # Without the check, the file is gone: SQLite works as the test thinks.
    connection = sqlite3.connect(database)
    connection.execute("SELECT count(*) FROM session").fetchone()
    connection.close()
    assert not victim.exists()


@pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-journal"])
def test_a_link_beside_the_database_cannot_overwrite_another_file(
    ending: str, database: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "notes.txt"
    victim.write_text("precious\n" * 1000)
    path = database.with_name(f"local.db{ending}")
    path.unlink(missing_ok=True)
    path.symlink_to(victim)
    with pytest.raises(ReconcilerError):
        Store(database).insert_session(name="Bob")
    for words in (["list", "--endpoint", "local"], ["server", "--port", "0"]):
        done = warm.run(words, cwd=database.parents[1], env={"RECONCILER_PATIENCE": "600"})
        assert (done.returncode, "Traceback" in done.stderr) == (1, False), done
    assert victim.read_text() == "precious\n" * 1000


@pytest.mark.parametrize("ending", ["", "-journal"])
@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
def test_what_is_no_file_cannot_make_the_server_wait(
    make: Callable[[Path], object], ending: str, database: Path
) -> None:
    path = database.with_name(f"local.db{ending}")
    path.unlink(missing_ok=True)
    make(path)
    with pytest.raises(ReconcilerError):
        Store(database)


VALUES = {
    "parameters that are a number": "parameters = '5'",
    "parameters that are a list": "parameters = '[]'",
    "data that are no JSON": "data = 'nope'",
    "data of NaN": "data = '{\"x\": NaN}'",
    "data that are nested too deeply": "data = replace(hex(zeroblob(50000)), '00', '[')",
    "a prompt of bytes": "prompt = x'ff00'",
    "a prompt that is not UTF-8": "prompt = CAST(x'ff' AS TEXT)",
    "a time of bytes": "created_at = x'00'",
    "an account that is a text": "api_id = 'abc'",
    "a remark that is a number": "remark = x'00'",
    "a count beyond all bounds": "api_use_count = 1e300",
}


@pytest.mark.parametrize("name", VALUES)
def test_no_value_ends_in_a_traceback(name: str, database: Path) -> None:
    _run(database, f"UPDATE session SET {VALUES[name]}")
    words = ["list", "--endpoint", "local", "--retries", "0"]
    done = warm.run(words, cwd=database.parents[1], env={"RECONCILER_PATIENCE": "600"})
    assert done.returncode == 1
    assert done.stderr.startswith("listing sessions: HTTP 500: 数据库错误：")
    assert "Traceback" not in done.stderr


def test_a_value_cannot_fill_the_memory(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert LONGEST == 64 * 2**20
    monkeypatch.setattr("reconciler.server.database.LONGEST", 2**20)
    _run(database, f"UPDATE session SET prompt = hex(zeroblob({2**20}))")
    store = Store(database)
    with pytest.raises(sqlite3.DataError, match="too big"):
        store.sessions()
    store.close()
