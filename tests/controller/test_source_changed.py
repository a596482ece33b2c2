"""A source that says by itself that it changed, and one that has no catalog any more."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from reconciler.controller.sources import FolderSource, NoCatalogError
from reconciler.controller.status import Mode
from reconciler.errors import ReconcilerError
from tests.controller.world import World, shop


class Pushing:
    """A folder that is read at each interval, or when somebody says that it changed. It fails with ``error`` if that is
    set. ``reads`` counts."""

    def __init__(self, here: World) -> None:
        self._folder = FolderSource(here.folder / "shop", here.folder / "shop" / ".reconciler", "pushing")
        self.error: ReconcilerError | None = None
        self.reads = 0

    def describe(self) -> str:
        return "pushing"

    def newest(self) -> str:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return self._folder.newest()

    def folder(self, revision: str) -> Path:
        return self._folder.folder(revision)

    def retain(self, revisions: Collection[str]) -> None:
        self._folder.retain(revisions)


def test_a_change_is_written_when_it_is_told(here: World) -> None:
    source = Pushing(here)
    with here.controller(here.watched(mode="apply", source=source, interval=3600)) as controller:
        here.turn(controller)
        here.write(alice="Be kinder.", bob="Be brief.")
        here.turn(controller, 60)
        assert here.prompt("Alice") == "Be kind."
        controller.source_changed("shop")
        here.turn(controller)
        assert here.prompt("Alice") == "Be kinder."


def test_one_that_is_as_it_was_costs_no_call(here: World) -> None:
    source = Pushing(here)
    with here.controller(here.watched(mode="apply", source=source, interval=3600)) as controller:
        here.turn(controller)
        calls, reads = here.calls(), source.reads
        controller.source_changed("shop")
        controller.source_changed("of somebody else")
        here.turn(controller)
        assert (here.calls(), source.reads) == (calls, reads + 1)


def test_failures_are_not_waited_out_when_a_change_is_told(here: World) -> None:
    source = Pushing(here)
    source.error = ReconcilerError("there is no network")
    with here.controller(here.watched(mode="apply", source=source)) as controller:
        here.turn(controller, 1000)
        assert shop(controller).state == "Failing"
        source.error = None
        controller.source_changed("shop")
        here.turn(controller)
        assert shop(controller).state == "InSync"
        assert set(here.rows()) == {"Alice", "Bob"}


@pytest.mark.parametrize("mode", ["apply", "repair"])
def test_without_a_catalog_nothing_is_written(here: World, mode: Mode) -> None:
    """Neither what is pending nor what drifted: nobody says any more that it is wanted."""
    source = Pushing(here)
    with here.controller(here.watched(mode="apply", source=source)) as controller:
        here.turn(controller)
    with here.controller(here.watched(mode=mode, source=source)) as controller:
        here.turn(controller)
        source.error = NoCatalogError("it was deleted", "put it back")
        controller.source_changed("shop")
        here.turn(controller)
        writes = len(here.writes())
        here.drift("Bob", prompt="Be rude.")
        here.turn(controller, 700)
        source.error = ReconcilerError(
            "there is no network"
        )  # which does not say that there is a catalog again
        here.turn(controller, 700)
        assert len(here.writes()) == writes
        assert shop(controller).state == "Failing"
        plan = shop(controller).plan
        assert plan is not None and plan.waits_for == "its source, which has no whole catalog"
        source.error = None
        here.turn(controller, 700)
        assert here.prompt("Bob") == "Be brief."


def test_a_source_that_only_fails_has_the_catalog_that_it_had(here: World) -> None:
    source = Pushing(here)
    with here.controller(here.watched(mode="apply", source=source)) as controller:
        here.turn(controller)
        source.error = ReconcilerError("there is no network")
        here.drift("Bob", prompt="Be rude.")
        here.turn(controller, 700)
        assert here.prompt("Bob") == "Be brief."
