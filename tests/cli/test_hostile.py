"""Text that others wrote reaches a terminal only as text."""

from __future__ import annotations

import json
import re

import pytest

from reconciler.cli import run
from reconciler.ownership.remark import compose_remark
from reconciler.server import Fault, RunningServer, running_server
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


@pytest.fixture(scope="module")
def hostile_plan(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A saved plan with hostile text on both sides of each change, and how it is shown without colour."""
    shell = Shell(tmp_path_factory.mktemp("hostile"))
    with running_server(None) as server:
        shell.environ = {"MINDCRAFT_ENDPOINT": server.url, "MINDCRAFT_API_KEY": "x"}
        texts = [
            t.encode("utf-8", "replace").decode().replace("\0", "") for t in HOSTILE.values() if len(t) < 400
        ]
        shell.write(
            {
                f"k{number}": {"name": f"A{text}".strip(), "prompt": f"Be kind. {text}.", "data": {"x": text}}
                for number, text in enumerate(texts)
                if text.replace("\n", "").isprintable()  # others are refused in a catalog
            },
            policy={"max_deletes": 1000},
        )
        for number, text in enumerate(texts):
            session = wanted(f"k{number}")
            server.store.insert_session(
                name=text, prompt=text, data={"x": text}, remark=compose_remark(None, {}, tag_of(session))
            )
        done = shell.run("plan", "shop", "--out", "plan.json")
        assert done.returncode == 0, done.stderr
    file = str(shell.folder / "plan.json")
    return file, shell.run("show", file).stdout


@pytest.mark.parametrize("variable", ["GITHUB_ACTIONS", "GITLAB_CI", "FORGEJO_ACTIONS", "GITEA_ACTIONS"])
def test_a_log_with_colours_has_only_ours(hostile_plan: tuple[str, str], shell: Shell, variable: str) -> None:
    """Text is escaped as strictly as on a terminal: no sequence of a text is left, and none of a runner's commands."""

    file, plain = hostile_plan
    assert not ACTIVE.search(plain)
    assert shell.run("show", file, "--no-color", **{variable: "true"}).stdout == plain
    assert shell.run("show", file, **{variable: "true", "NO_COLOR": "1"}).stdout == plain
    coloured = shell.run("show", file, **{variable: "true"}).stdout
    assert "\x1b[" in coloured
    bare = re.sub("\x1b\\[[0-9;]*m", "", coloured)
    assert not ACTIVE.search(bare)
    for sequence in ("\x1b[31mred", "\x1b[8m"):
        assert sequence not in coloured
        assert "\\x1b" + sequence[1:] in bare
    for text in (plain, bare):
        assert not re.search(r"^\s*(::|##\[|##vso|section_(start|end):)", text, re.MULTILINE)


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
