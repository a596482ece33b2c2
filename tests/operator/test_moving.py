"""A catalog moves from CI to the operator and back: nothing is written twice, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.operator.conftest import World, eventually
from tests.support import API_KEY, learned_file


class Pipeline:
    """The command line as CI uses it, on the files that the operator reads, with state folders of its own."""

    def __init__(self, here: World, folder: Path) -> None:
        self._folder = folder
        self.root = here.operator.catalogs / here.namespace / "shop"
        self._words = [
            f"--catalog={self.root}",
            f"--endpoint={here.server.url}",
            f"--contract={learned_file(folder)}",
        ]

    def run(self, *words: str, state: str = "ci") -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "reconciler", *words, *self._words, f"--state-dir={self._folder / state}"],
            env={**os.environ, "MINDCRAFT_API_KEY": API_KEY},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr

    def edit(self, **prompts: str) -> None:
        sessions = {key: {"name": key.title(), "prompt": prompt} for key, prompt in prompts.items()}
        (self.root / "sessions" / "all.yaml").write_text(yaml.safe_dump({"sessions": sessions}))


def test_from_ci_to_the_operator_and_back(here: World, tmp_path: Path) -> None:
    ci = Pipeline(here, tmp_path)
    assert ci.run("apply", "--auto-approve", "--write-id")[0] == 0
    numbers = {name: row.session_id for name, row in here.rows().items()}
    here.server.store.insert_message(numbers["Alice"], category="user", content="Hello")
    written = len(here.writes())

    # In Observe, the operator finds that there is nothing to do.
    here.add()
    found = here.becomes(Ready="Succeeded", Synced="InSync", Drifted="NoDrift")["status"]
    assert "plan" not in found
    assert len(here.writes()) == written

    # In Apply, it takes an edit, and deletes what is no longer in the catalog.
    here.spec(mode="Apply")
    ci.edit(alice="Be kinder.", bob="Be brief.", carol="Be new.")
    eventually(lambda: set(here.rows()) == {"Alice", "Bob", "Carol"})
    here.becomes(Synced="InSync")
    ci.edit(alice="Be kinder.", carol="Be new.")
    eventually(lambda: set(here.rows()) == {"Alice", "Carol"})
    here.becomes(Synced="InSync")

    # Plans on pull requests go on: the operator's changes are no drift to CI, with its old journal or with none.
    for state in ("ci", "empty"):
        assert ci.run("plan", state=state) == (
            0,
            f"Plan for catalog shop, at {here.server.url}\n\n"
            "No changes. The live list matches the catalog.\n",
        )
        code, said = ci.run("drift", state=state)
        assert (code, "No drift. Nothing was changed outside git." in said) == (0, True), said

    # Suspended, it leaves everything to CI again. A change by somebody else is drift to both.
    here.spec(suspend=True)
    here.becomes(Ready="Suspended")
    here.server.store.update_session(numbers["Alice"], prompt="Be rude.")
    for state in ("ci", "empty"):
        code, said = ci.run("drift", state=state)
        assert code == 2 and "rude" in said and "1 session changed" in said, said
    ci.edit(alice="Be the kindest.", bob="Be back.", carol="Be new.")
    code, said = ci.run("apply", "--auto-approve", "--on-conflict=overwrite", state="empty")
    assert code == 0, said
    assert sorted((row.name, row.prompt) for row in here.server.store.sessions()) == [
        ("Alice", "Be the kindest."),
        ("Bob", "Be back."),
        ("Carol", "Be new."),
    ]
    assert here.rows()["Alice"].session_id == numbers["Alice"]
    assert len(here.server.store.messages(numbers["Alice"])) == 1

    # And the operator goes on from there.
    here.spec(suspend=False, mode="Observe")
    here.becomes(Ready="Succeeded", Synced="InSync", Drifted="NoDrift")


def test_what_the_operator_deleted_is_not_in_an_old_journal(here: World, tmp_path: Path) -> None:
    """CI's old journal says that Bob was applied, and not that he was deleted on purpose. An empty one says nothing."""
    ci = Pipeline(here, tmp_path)
    assert ci.run("apply", "--auto-approve", "--write-id")[0] == 0
    ci.edit(alice="Be kind.")
    here.add(mode="Apply")
    eventually(lambda: set(here.rows()) == {"Alice"})
    here.becomes(Synced="InSync")
    here.cluster.call("DELETE", here.path())
    eventually(lambda: here.cluster.send("GET", here.path()).status_code == 404)
    ci.edit(alice="Be kind.", bob="Be back.")
    assert "deleted outside git" in ci.run("plan")[1]
    assert "deleted outside git" not in ci.run("plan", state="empty")[1]
