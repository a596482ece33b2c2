"""Two resources for one catalog, and an operator that starts and does not know yet that they are in conflict."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from tests.git_server import GitServer, commit, serving
from tests.operator.conftest import World, eventually, follow, next_second


class SlowGit(GitServer):
    """Answers nothing before it is opened."""

    opened: threading.Event

    def do_GET(self) -> None:
        self.opened.wait(60)
        super().do_GET()

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_after_a_restart_the_younger_resource_waits_for_the_older_one(
    alone: World, tmp_path: Path, known: bool
) -> None:
    """The source of the older one is slow, and the younger one is in another Secret's loop. ``known`` says whether its
    status still tells its catalog."""
    root, opened = tmp_path / "repositories", threading.Event()
    root.mkdir()
    opened.set()
    handler = type("Handler", (SlowGit,), {"root": root, "credentials": [], "seen": [], "opened": opened})
    with serving(handler) as url:
        try:
            in_conflict(alone, tmp_path, url, root)
            if not known:
                patch = [{"op": "remove", "path": "/status"}]
                alone.cluster.call("PATCH", f"{alone.path()}/status", patch, "application/json-patch+json")
            opened.clear()
            count = len(alone.writes())
            second = follow(alone, tmp_path / "second")  # its disk is empty
            eventually(lambda: "copy plan_pending" in second.log.read_text(), second.log.read_text)
            other = f"{alone.namespace}/shop, an older resource for the same catalog, to be deleted"
            assert (
                other if known else "older resources of the account to be loaded"
            ) in second.log.read_text()
            opened.set()
            alone.becomes(Ready="Succeeded", Synced="InSync")
            alone.becomes("copy", Ready="Conflict")
            assert len(alone.writes()) == count
            assert second.end() == 0
        finally:
            opened.set()


def in_conflict(alone: World, root: Path, url: str, repositories: Path) -> None:
    """An older resource from git and a younger one for the same catalog, after an operator has seen both."""
    alone.secret()
    alone.secret("same")  # another Secret for the same account
    alone.write(alice="Be kind.")
    shutil.copytree(alone.operator.catalogs / alone.namespace / "shop", repositories / "personas")
    commit(repositories / "personas")
    alone.add(mode="Apply", source={"git": {"url": f"{url}/personas/.git", "ref": "main"}})
    first = follow(alone, root / "first")
    alone.becomes(Synced="InSync")
    next_second()
    alone.write("copy", "shop", alice="Be rude.")
    alone.add("copy", mode="Apply", accountRef={"name": "same"})
    alone.becomes("copy", Ready="Conflict")
    assert first.end() == 0
