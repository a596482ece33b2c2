"""What somebody who can write a session's remark could do to whoever exports the account: write files elsewhere, or
YAML that means something else, or commands that somebody pastes."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from reconciler import load_catalog
from reconciler.catalog.environments import choices
from reconciler.domain import Policy
from reconciler.ownership.remark import compose_remark
from reconciler.ownership.tag import Identity, make_tag
from reconciler.plan.guards import refusals
from reconciler.plan.types import Action
from reconciler.server import RunningServer, running_server
from reconciler.text.paste import flag
from tests import warm
from tests.hostile import HOSTILE

#: Texts in place of a key, a catalog's name or an environment's.
HOSTILE_NAMES = {
    "up": "../../x",
    "absolute": "/tmp/x",
    "folder": "a/b",
    "hidden": ".ssh",
    "windows": "..\\..\\x",
    "device": "con",
    "nul": "a\0b",
    "ansi": HOSTILE["clear-screen"],
    "bidi": "a\u202eb",
    "lines": "a\nsessions: {evil: {}}\n",
    "yaml": "!!python/object/apply:os.system [id]",
    "yaml key": "? x",
    "yaml merge": "<<",
    "yaml anchor": "&a *a",
    "surrogate": "a\ud800",
    "blank": " ",
    "empty": "",
    "long": "k" * 5000,
    "flag": "--force",
    "shell": "$(id)`id`",
}


def remark(catalog: str, environment: str | None, key: str, keys: dict[str, Any] | None = None) -> str:
    """A remark with a tag whose check holds, as anybody could make one."""
    tag = make_tag(Identity(catalog, environment, key), {"name": "Alice"})
    text = compose_remark(None, keys or {}, tag)
    assert text is not None
    return text


def export(server: RunningServer, folder: Path, *words: str) -> tuple[int, str]:
    """Export into ``folder/out``. Nothing may be written beside it, and what is said has no effect."""
    before = sorted(os.listdir(folder))
    (folder / "out").mkdir()
    env = {"RECONCILER_PATIENCE": "600"}
    done = warm.run(["export", "--endpoint", server.url, *words, "out"], cwd=folder, env=env)
    said = done.stdout + done.stderr
    assert sorted(os.listdir(folder)) == sorted([*before, "out"])
    assert "Traceback" not in said
    assert not re.search("[\0-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", said)
    for path in (folder / "out").rglob("*"):
        assert path.resolve().is_relative_to((folder / "out").resolve())
        assert not path.is_symlink()
    return done.returncode, said


@pytest.mark.parametrize("name", HOSTILE_NAMES)
@pytest.mark.parametrize("part", ["key", "catalog", "environment"])
def test_a_tag_cannot_lead_an_export_out_of_its_folder(part: str, name: str, tmp_path: Path) -> None:
    text = HOSTILE_NAMES[name]
    identity = {"catalog": "shop", "environment": None, "key": "alice", part: text}
    with running_server(None) as server:
        server.store.insert_session(name="Alice", remark=remark(**identity))
        server.store.insert_session(name="Bob", prompt="Hello.")
        code, _ = export(server, tmp_path, "--prompt-files")
    assert code == {"key": 0 if name == "device" else 1, "environment": 64 if name == "device" else 0}.get(
        part, 0
    )
    if code == 0:
        names = {one.name for one in load_catalog(tmp_path / "out").sessions.values()}
        assert "Bob" in names


def test_a_suggested_flag_cannot_run_a_command() -> None:
    key = "x$(touch pwned)`id`';id"
    assert flag("env", key) == shlex.quote(f"--env={key}")
    assert choices([key, "staging"]) == f"add {shlex.quote(f'--env={key}')} or --env=staging"
    action = Action("delete", Identity("shop", None, key), 1, "Alice", "gone", (), protected=True)
    more: dict[str, Any] = {"managed": 1, "wanted": 1, "allow_empty": False, "allow_destroy": frozenset()}
    (refusal,) = refusals((action,), Policy(), **more)
    assert refusal.allow == shlex.quote(f"--allow-destroy={key}")


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_or_a_prompt_cannot_become_yaml(name: str, tmp_path: Path) -> None:
    text = HOSTILE_NAMES[name].replace("\ud800", "")  # the embedded server keeps UTF-8
    with running_server(None) as server:
        server.store.insert_session(
            name=text, prompt=f"{text}\n{text}", data={"k": text, text or "x": {text or "x": [text]}}
        )
        code, said = export(server, tmp_path)
    assert code in (0, 4)
    assert ("left out" in said) == (code == 4)
    if code == 0:
        (one,) = load_catalog(tmp_path / "out").sessions.values()
        assert one.name == text
        assert one.data["k"] == text


def test_a_key_of_a_remark_cannot_become_the_tag(tmp_path: Path) -> None:
    keys = {"sessions": {"evil": {}}, "../x": 1, "a\nb": "c", "<<": {"x": 1}, "!!binary": "x"}
    with running_server(None) as server:
        server.store.insert_session(name="Alice", prompt="Hello.", remark=json.dumps(keys))
        code, _ = export(server, tmp_path)
    assert code == 0
    (one,) = load_catalog(tmp_path / "out").sessions.values()
    assert dict(one.remark) == keys


def test_an_export_does_not_follow_a_link_that_lies_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "sessions").symlink_to("../outside")
    (tmp_path / "into" / "catalog.yaml").symlink_to("../outside/catalog.yaml")
    with running_server(None) as server:
        server.store.insert_session(name="Alice", prompt="Hello.")
        words = ["export", "--endpoint", server.url, "--force", "into"]
        done = warm.run(words, cwd=tmp_path, env={"RECONCILER_PATIENCE": "600"})
    assert os.listdir(tmp_path / "outside") == []
    assert "Traceback" not in done.stderr
