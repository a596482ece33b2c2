"""What a journal or an archive that came with a stranger's checkout could do: hold up every apply, hide what happened,
or end a command in a traceback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.server import RunningServer, running_server
from tests import warm
from tests.support import learned_file

TIMES = [
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "2999-01-01T00:00:00Z",
    "2999-01-01",
    "2999-W01-1",
    "now",
    "",
    "\x1b[2J",
    10**30,
    -1,
    None,
    [],
    {"a": 1},
]
SCOPE = {"catalog": "shop", "environment": None}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(None) as running:
        yield running


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "catalog.yaml").write_text(
        "version: 1\ncatalog: shop\nsessions:\n  alice: {name: Alice, model: m, prompt: Hello.}\n"
    )
    learned_file(tmp_path)
    (tmp_path / ".reconciler").mkdir()
    return tmp_path


def run(shop: Path, server: RunningServer, *words: str) -> tuple[int, str]:
    more = ["--endpoint", server.url, "--contract", "learned.yaml"] if words[0] in ("apply", "plan") else []
    done = warm.run([*words, *more], cwd=shop, env={"RECONCILER_PATIENCE": "600"})
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def write(shop: Path, *entries: dict[str, Any]) -> None:
    lines = [json.dumps(entry) for entry in entries]
    (shop / ".reconciler" / "journal.jsonl").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("at", TIMES, ids=repr)
def test_a_time_of_the_future_cannot_hold_up_a_run_or_hide_what_it_does(
    at: Any, shop: Path, server: RunningServer
) -> None:
    start = {"run": "aaaaaaaa", "event": "start", **SCOPE, "endpoint": server.url, "at": at}
    intent = {"run": "aaaaaaaa", "event": "intent", "action": "create", "key": "alice", "at": at}
    write(shop, start, intent)
    code, said = run(shop, server, "plan")
    assert (code, "1 to create" in said or "No changes" in said) == (0, True)
    code, said = run(shop, server, "apply", "--auto-approve", "--settle", "0.1", "--no-lock")
    assert code == 0
    assert "waiting 0.1 s" in said or "waiting" not in said
    for words in (("history",), ("history", "--format", "json")):
        assert run(shop, server, *words)[0] == 0
    assert "alice" in run(shop, server, "history")[1]


ENTRIES: dict[str, dict[str, Any]] = {
    "a key that is a list": {"key": ["alice"]},
    "a key that is null": {"key": None},
    "a key that is a number": {"key": 5},
    "an id beyond all bounds": {"session_id": 10**30},
    "an id that is a list": {"session_id": [1]},
    "an action that is a list": {"action": ["create"]},
    "an event that is a list": {"event": ["applied"]},
    "an account that is none": {"event": "end", "account": {"api_ids": 5, "key": [], "sessions": "x"}},
    "an account of lists": {"event": "start", "account": {"api_ids": [[1]], "key": "", "sessions": [[1]]}},
    "copies that are none": {"event": "start", "copies": [[1], "x", None, 10**30]},
    "where it went": {"to": ["other", 5], "moved_to": {"catalog": []}},
}


@pytest.mark.parametrize("name", ENTRIES)
@pytest.mark.parametrize("event", ["intent", "applied"])
def test_no_entry_ends_in_a_traceback(event: str, name: str, shop: Path, server: RunningServer) -> None:
    entry = {"run": "a", "event": event, "action": "create", "key": "alice", "session_id": 1}
    scope = {**SCOPE, "endpoint": server.url}
    write(
        shop,
        {"run": "a", "event": "start", **scope},
        {**entry, **scope, **ENTRIES[name]},
        {"run": "a", "event": "end", "verification": "verified", "sessions": [[]]},
    )
    for words in (("plan",), ("history",), ("plan", "--format", "json")):
        assert run(shop, server, *words)[0] in (0, 3)


@pytest.mark.parametrize("at", TIMES, ids=repr)
def test_an_archive_of_the_future_is_neither_pruned_nor_a_traceback(
    at: Any, shop: Path, server: RunningServer
) -> None:
    folder = shop / ".reconciler" / "archive"
    folder.mkdir()
    document = {
        "archive_version": 1, "id": "a", "run": "aaaaaaaa", "run_started": at, "endpoint": server.url,
        "account": None, "before": "delete", "catalog": "shop", "environment": None, "key": "alice",
        "session_id": 1, "name": "Alice", "session": {"session_id": 1, "session_config": {}}, "messages": [],
    }  # fmt: skip
    (folder / "a.json").write_text(json.dumps(document))
    for words in (("list",), ("list", "--format", "json"), ("show", "a")):
        assert run(shop, server, "archive", *words)[0] in (0, 1)
    code, said = run(shop, server, "archive", "prune", "--keep-days", "0", "--auto-approve")
    assert code in (0, 1)
    old = at == "0001-01-01T00:00:00+23:59"
    assert (folder / "a.json").exists() is not old, said
