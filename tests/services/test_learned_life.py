"""The life of a catalog with what the doctor learned, on services that differ from the shipped contract.

Twenty sessions are created, edited, changed outside git, accepted, deleted with 250 messages, restored, adopted,
renamed and released, with the lock held. Sessions and messages of others stay byte for byte the same throughout.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.cli.conftest import Shell
from tests.services.drf.running import Service, needs_drf, running_drf
from tests.services.drf.variants import VARIANTS

pytestmark = needs_drf

#: Services on which something cannot be done at all, so that no life is whole.
NO_LIFE: Final = frozenset({"out-of-points", "throttled", "pages-ignored"})

#: The variants of the default run, each far from the shipped contract in another way.
USUAL: Final = frozenset({"verbs-token-body", "query-create", "pages-page-count"})


def variants() -> Iterator[Any]:
    for name in VARIANTS:
        if name not in NO_LIFE:
            yield pytest.param(name, marks=() if name in USUAL else (pytest.mark.full,))


def personas() -> dict[str, Any]:
    """Twenty sessions with something in every field."""
    return {
        f"p{number:02}": {
            "name": f"人物 {number}",
            "prompt": f"You are number {number}.\n你是第{number}个。" + " Be kind." * number * 20,
            "parameters": {"temperature": 0.3, "max_tokens": 1000 + number},
            "data": {"shelf": number, "tags": ["a", number]},
            "remark": {"team": "books"},
        }
        for number in range(1, 21)
    }


def write(root: Path, sessions: Mapping[str, Any]) -> None:
    (root / "sessions" / "first.yaml").write_text(
        yaml.safe_dump({"sessions": dict(sessions)}, allow_unicode=True), encoding="utf-8"
    )


def did(shell: Shell, *words: str, code: int = 0) -> str:
    done = shell.run(*words)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", list(variants()))
def test_the_life_of_a_catalog_with_what_was_learned(name: str, tmp_path: Path) -> None:
    with running_drf(**VARIANTS[name]) as service:
        theirs = [service.put_session(), service.put_session(api_id=71)]
        for one in theirs:
            service.put_messages(one, ["hello", "good-bye"])
        before = service.picture(theirs)
        shell = Shell(
            tmp_path,
            {"MINDCRAFT_ENDPOINT": service.url, "MINDCRAFT_API_KEY": service.key, "RECONCILER_SETTLE": "0.2"},
        )
        did(shell, "doctor", "--probe", "--write", "contract.yaml", "--auto-approve")
        shell.environ["RECONCILER_CONTRACT"] = str(shell.folder / "contract.yaml")
        live(shell, service)
        assert service.picture(theirs) == before
        assert not [row for row in service.sessions() if row["session_name"].startswith("reconciler ")]


def live(shell: Shell, service: Service) -> None:
    did(shell, "init", "shop")
    wanted = personas()
    write(shell.root, wanted)
    assert "20 applied" in did(shell, "apply", "shop", "--auto-approve", "--lock")
    did(shell, "plan", "shop", "--detailed-exitcode")

    wanted["p01"]["prompt"] = "You are somebody else now.\nBe brief."
    wanted["p02"]["data"]["shelf"] = 99
    write(shell.root, wanted)
    assert "2 applied" in did(shell, "apply", "shop", "--auto-approve", "--lock")
    did(shell, "plan", "shop", "--detailed-exitcode")

    # Somebody changes a name outside git, and it is accepted.
    numbers = {row["session_name"]: row["session_id"] for row in service.sessions(70)}
    service.change_session(numbers["人物 3"], session_name="人物 three")
    assert "人物 three" in did(shell, "drift", "shop", code=2)
    did(shell, "drift", "shop", "--accept", "p03")
    did(shell, "plan", "shop", "--detailed-exitcode")
    wanted = yaml.safe_load((shell.root / "sessions" / "first.yaml").read_text(encoding="utf-8"))["sessions"]
    assert wanted["p03"]["name"] == "人物 three"

    # One is deleted with all that was said in it, and comes back.
    said = [f"第{number} message" for number in range(250)]
    service.put_messages(numbers["人物 4"], said)
    fourth = wanted.pop("p04")
    write(shell.root, wanted)
    assert "1 applied" in did(shell, "apply", "shop", "--auto-approve", "--lock")
    assert not service.messages(numbers["人物 4"])
    (deleted,) = [
        one
        for one in json.loads(did(shell, "archive", "list", "shop", "--format", "json"))
        if one["before"] == "delete"
    ]
    (archive,) = (shell.root / ".reconciler" / "archive").glob(f"{deleted['id']}.json")
    kept = json.loads(archive.read_text(encoding="utf-8"))["messages"]
    assert [one["message_content"] for one in kept] == said
    did(shell, "archive", "restore", deleted["id"], "shop", "--auto-approve")
    (again,) = [row["session_id"] for row in service.sessions(70) if row["session_name"] == "人物 4"]
    assert [one["message_content"] for one in service.messages(again)] == said
    wanted["p04"] = fourth
    write(shell.root, wanted)
    did(shell, "plan", "shop", "--detailed-exitcode")

    # A key is renamed, one is released, and adopted again.
    did(shell, "mv", "p05", "p55", "--catalog", "shop", "--auto-approve")
    wanted["p55"] = wanted.pop("p05")
    did(shell, "forget", "p06", "--catalog", "shop", "--auto-approve")
    write(shell.root, wanted)
    did(shell, "adopt", f"p06={numbers['人物 6']}", "--catalog", "shop", "--auto-approve")
    did(shell, "plan", "shop", "--detailed-exitcode")
    assert len(service.sessions(70)) == 21
