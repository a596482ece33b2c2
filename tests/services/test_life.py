"""The life of a catalog with the shipped contract, on services that may not fit it.

Nothing was learned about the service. Either everything works, or the first write that the service does not take in the
way that the contract assumes is refused, or stopped at the canary, with a sentence that leads on. Nothing is lost or
doubled, at most one session is touched, and sessions and messages of others stay byte for byte the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.cli.conftest import Shell
from tests.services.drf.running import Service, needs_drf, running_drf
from tests.services.drf.variants import VARIANTS

pytestmark = needs_drf

KEYS = ("alice", "bob", "carol", "dora")
DOCTOR = "reconciler doctor --probe --write=contract.yaml"

#: Where the life ends on the variants that the contract does not fit, with which exit code and sentence.
ENDS: Final[Mapping[str, tuple[str, int, str]]] = {
    **dict.fromkeys(
        ("query-create", "json-only"), ("create", 1, "Stopped (the first create was refused): 0 app")
    ),
    "data-field": ("create", 4, "did not keep data\n"),
    "out-of-points": (
        "create",
        1,
        "Stopped (the account is out of points): 0 applied, 1 failed, 3 not tried.",
    ),
    **dict.fromkeys(
        (
            "rest-token",
            "http-delete-token",
            "verbs-token-body",
            "verbs-id-body",
            "verbs-both-ids",
            "verbs-either-id",
            "no-id-in-answer",
            "refusing-updates",
        ),
        ("edit", 1, "Stopped (the first update was refused): 0 applied, "),
    ),
    "reset-updates": (
        "edit",
        4,
        "changed in data, history_length, max_tokens, name and temperature, which the call did not carry\n",
    ),
    **dict.fromkeys(
        ("rest-delete-word", "http-delete"),
        ("delete", 1, "Stopped (the first delete was refused): 0 applied, 1 failed, 1 not tried."),
    ),
    "filter-ignored": ("delete", 1, "the service ignores which session is asked for"),
}

#: The variants of the default run: each way to end, and some on which everything works.
USUAL = frozenset(
    {
        "rest-id", "rest-token", "verbs-both-ids", "http-delete", "query-create", "json-only", "data-field",
        "out-of-points", "reset-updates", "refusing-updates", "filter-ignored", "remark-255-cut", "http200-errors",
    }
)  # fmt: skip


def variants() -> Iterator[Any]:
    for name in VARIANTS:
        yield pytest.param(name, marks=() if name in USUAL else (pytest.mark.full,))


def wanted(**changes: Any) -> dict[str, Any]:
    """Four sessions with something in every field."""
    return {
        key: {
            "name": key.title(),
            "prompt": f"You are {key}.\nBe kind.",
            "parameters": {"temperature": 0.3},
            "data": {"shelf": number},
            "remark": {"team": "books"},
            **changes,
        }
        for number, key in enumerate(KEYS, 1)
    }


@dataclass
class Life:
    """A catalog, and the service that it is applied to. ``end`` says where and how its life is to end."""

    end: tuple[str, int, str]
    shell: Shell
    service: Service

    def apply(self, sessions: Mapping[str, Any]) -> tuple[int, str]:
        manifest = self.shell.root / "sessions" / "first.yaml"
        manifest.write_text(yaml.safe_dump({"sessions": dict(sessions)}), encoding="utf-8")
        done = self.shell.run("apply", "shop", "--auto-approve")
        return done.returncode, done.stdout + done.stderr

    def ours(self) -> dict[int, str]:
        """Our sessions as stored, by id."""
        rows = [row for row in self.service.sessions(70) if row["session_name"] != "somebody's"]
        return {row["session_id"]: json.dumps(row, sort_keys=True, default=str) for row in rows}

    def quiet(self) -> None:
        """A plan after an apply has nothing to do."""
        done = self.shell.run("plan", "shop", "--detailed-exitcode")
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", list(variants()))
def test_the_life_of_a_catalog_with_the_shipped_contract(name: str, tmp_path: Path) -> None:
    with running_drf(**VARIANTS[name]) as service:
        theirs = [service.put_session(), service.put_session(api_id=71)]
        for one in theirs:
            service.put_messages(one, ["hello", "good-bye"])
        before = service.picture(theirs)
        environ = {
            "MINDCRAFT_ENDPOINT": service.url,
            "MINDCRAFT_API_KEY": service.key,
            "RECONCILER_SETTLE": "0.2",
        }
        end = ENDS.get(name, ("restored", 0, ""))
        assert live(Life(end, Shell(tmp_path, environ), service)) == end[0]
        assert service.picture(theirs) == before


def live(life: Life) -> str:
    """Live until something does not work; where it ended."""
    assert life.shell.run("init", "shop").returncode == 0
    edited = wanted(prompt="You are somebody else now.\nBe brief.")
    for step, sessions in (
        ("create", wanted()),
        ("edit", edited),
        ("delete", {key: edited[key] for key in KEYS[2:]}),
    ):
        before = life.ours()
        if step == "delete":
            said = {number: [f"{number}, {n}" for n in range(3)] for number in before}
            for number, texts in said.items():
                life.service.put_messages(number, texts)
        code, text = life.apply(sessions)
        if code:
            ended_well(life, before, step, code, text)
            return step
        life.quiet()
    assert len(life.ours()) == 2
    restored(life, said)
    return "restored"


def ended_well(life: Life, before: Mapping[int, str], step: str, code: int, text: str) -> None:
    """The run ended at the first write that did not work, said so, and did no more than that."""
    assert (step, code) == life.end[:2] and life.end[2] in text, text
    after = life.ours()
    touched = [number for number in before.keys() | after.keys() if before.get(number) != after.get(number)]
    assert len(touched) <= 1, text
    assert not before.keys() - after.keys(), text
    if "out of points" not in text and "the service ignores" not in text:
        assert DOCTOR in text, text
    archived = {
        json.loads(one.read_text())["session_id"]
        for one in (life.shell.root / ".reconciler").glob("archive/*.json")
    }
    assert {number for number in touched if number in before} <= archived


def restored(life: Life, said: Mapping[int, list[str]]) -> None:
    """What was deleted comes back, with its messages in order."""
    listed = life.shell.run("archive", "list", "shop", "--format", "json")
    deleted = [one for one in json.loads(listed.stdout) if one["before"] == "delete"]
    assert len(deleted) == 2
    kept = life.ours()
    done = life.shell.run("archive", "restore", deleted[0]["id"], "shop", "--auto-approve")
    assert done.returncode == 0, done.stdout + done.stderr
    (number,) = life.ours().keys() - kept.keys()
    contents = [one["message_content"] for one in life.service.messages(number)]
    assert contents == said[deleted[0]["session_id"]]
    assert {one: row for one, row in life.ours().items() if one != number} == kept
