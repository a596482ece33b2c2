"""The database: several processes, sudden death, and files that are not databases."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from reconciler.errors import ReconcilerError
from reconciler.server import running_server
from reconciler.server.store import Store

_WRITE = """
import sys
from pathlib import Path
from reconciler.server.store import Store
store = Store(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    session = store.insert_session(name=sys.argv[3] + str(number))
    store.insert_message(session, content="hello")
    print(session, flush=True)
sys.stdin.read()
"""


def write(path: Path, count: int, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _WRITE, str(path), str(count), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_what_was_written_is_there_tomorrow(tmp_path: Path) -> None:
    file = tmp_path / "local.db"
    with running_server(file) as server:
        server.store.insert_session(name="爱丽丝", parameters={"temperature": 0.1}, remark=None)
        server.store.insert_message(1, category="tip", content="你好", meta={"a": [1]})
        before = server.store.dump()
        server.store.delete_session(server.store.insert_session())
    assert file.stat().st_mode & 0o777 == 0o600
    with running_server(file) as server:
        assert server.store.dump() == before
        assert server.store.insert_session() == 3


def test_processes_and_threads_may_write_at_once(tmp_path: Path) -> None:
    file = tmp_path / "local.db"
    workers = [write(file, 100, f"{number}-") for number in range(3)]
    store = Store(file)
    with ThreadPoolExecutor(4) as pool:
        ours = list(pool.map(lambda number: store.insert_session(name=f"t-{number}"), range(100)))
    theirs: list[int] = []
    for worker in workers:
        printed, _ = worker.communicate("")
        theirs += map(int, printed.split())
    assert sorted(ours + theirs) == list(range(1, 401))
    assert [row.session_id for row in store.sessions()] == list(range(1, 401))
    store.close()


def test_a_killed_process_loses_nothing_that_it_had_written(tmp_path: Path) -> None:
    file = tmp_path / "local.db"
    worker = write(file, 1_000_000, "a")
    assert worker.stdout is not None and worker.stdin is not None
    for _ in range(50):
        last = int(worker.stdout.readline())
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    store = Store(file)
    dump = store.dump()
    store.close()
    assert len(dump["session"]) >= last
    assert len(dump["session"]) - len(dump["message"]) in (0, 1)


def test_two_servers_share_one_file(tmp_path: Path) -> None:
    file = tmp_path / "local.db"
    with running_server(file) as one, running_server(file) as other:
        new = {"session_name": "a", "model": "m"}
        first = requests.post(one.url + "/v1/session/", json=new, timeout=10).json()["data"]
        second = requests.post(other.url + "/v1/session/", json=new, timeout=10).json()["data"]
        listed = requests.get(one.url + "/v1/session/", timeout=10).json()["results"]
        assert listed == [first, second]


def test_a_listing_is_of_one_moment() -> None:
    store = Store()
    for _ in range(10):
        store.insert_session()
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            store.delete_session(store.insert_session())

    churning = threading.Thread(target=churn)
    churning.start()
    try:
        for _ in range(200):
            count, rows = store.list_sessions(size=1000)
            assert count == len(rows)
    finally:
        stop.set()
        churning.join()
        store.close()


def test_a_change_that_fails_changes_nothing() -> None:
    store = Store()
    session_id = store.insert_session(name="a")
    before = store.dump()
    with pytest.raises(TypeError):
        store.update_session(session_id, colour="red")
    with pytest.raises(KeyError):
        store.insert_message(session_id + 1)
    assert store.dump() == before
    assert store.update_session(session_id, name="b", updated_at="ignored")
    assert not store.update_session(session_id + 1, name="b")
    store.close()


def test_a_file_that_is_not_a_database(tmp_path: Path) -> None:
    file = tmp_path / "local.db"
    file.write_text("a catalog of something else " * 100)
    with pytest.raises(
        ReconcilerError, match=r"the database .*local.db can't be used: file is not a database"
    ):
        Store(file)
    with pytest.raises(ReconcilerError, match=r"the database .* can't be opened: .*Is a directory"):
        Store(tmp_path)


def test_a_database_of_a_newer_release(tmp_path: Path) -> None:
    file = tmp_path / "local.db"
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ReconcilerError, match=r"made by a newer release \(its version is 99"):
        Store(file)
