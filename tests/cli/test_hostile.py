"""Text that others wrote reaches a terminal only as text."""

from __future__ import annotations

import json
import re

import pytest

from reconciler.cli import run
from reconciler.ownership.remark import compose_remark
from reconciler.server import Fault, RunningServer
from tests.cli.conftest import Shell
from tests.hostile import HOSTILE
from tests.support import tag_of, wanted

#: What a terminal would act on, line ends aside.
ACTIVE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def test_names_prompts_and_remarks_of_live_sessions(shop: Shell, server: RunningServer) -> None:
    for number, text in enumerate(HOSTILE.values()):
        session = wanted(f"k{number}")
        remark = compose_remark(None, {"note": text}, tag_of(session))
        safe = text.encode("utf-8", "replace").decode()
        server.store.insert_session(name=safe, prompt=safe, remark=remark, data={"x": safe})
    shop.write({"k0": {"name": "Alice", "prompt": "Be kind."}}, policy={"max_deletes": 1000})
    for words in (("plan",), ("apply", "--auto-approve")):
        done = shop.run(words[0], "shop", *words[1:])
        assert done.returncode == 0
        assert not ACTIVE.search(done.stdout + done.stderr)
    document = json.loads(shop.run("plan", "shop", "--format", "json").stdout)
    assert document["actions"] == []


def test_what_a_server_says(
    shop: Shell,
    server: RunningServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In this process, since there are many."""
    for name, value in shop.environ.items():
        monkeypatch.setenv(name, value)
    for text in HOSTILE.values():
        safe = text.encode("utf-8", "replace").decode()
        server.faults.clear()
        server.faults.add(Fault("status", operation="list_sessions", status=400, message=safe))
        assert run(["plan", str(shop.root)]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("listing sessions: HTTP 400")
        assert not ACTIVE.search(err)
        assert err.count("\n") == 1


def test_what_a_server_says_of_a_write(shop: Shell, server: RunningServer) -> None:
    text = "\x1b[2J\x1b]0;title\x07\r\n::error::x\u202e"
    server.faults.add(Fault("status", operation="create_session", status=400, message=text))
    done = shop.run("apply", "shop", "--auto-approve")
    assert done.returncode == 1
    assert not ACTIVE.search(done.stdout + done.stderr)
    assert "\n::error::" not in done.stdout + done.stderr


@pytest.mark.parametrize("depth", [5, 300, 900, 100_000])
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_journal_that_no_run_wrote(shell: Shell, depth: int, form: str) -> None:
    deep = "[" * depth + "]" * depth
    entry = '"run":"a","at":"2026-01-01T00:00:00Z"'
    folder = shell.root / ".reconciler"
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_text(
        f'{{{entry},"event":"start","user":{deep}}}\n{{{entry},"event":"intent","action":{deep},"key":{deep}}}\n'
        '{"run":"b","event":"start","user":"lery"}\n'
    )
    done = shell.run("history", "shop", "--format", form)
    assert done.returncode == 0
    assert "lery" in done.stdout
