"""Whatever happens to a catalog and its sessions, in any order: in the end, what is live is what the mode promises."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.controller.controller import Controller
from reconciler.controller.sources import FolderSource
from tests.controller.world import World, shop, world


class Trouble:
    """Does something to a world, at random."""

    def __init__(self, here: World, seed: int) -> None:
        self.here = here
        self.dice = random.Random(seed)
        self.wanted = {f"key{number}": "Be kind." for number in range(4)}
        self.revisions: dict[str | None, dict[str, str]] = {}  # what each one wants, by display name
        self.save()

    def save(self) -> None:
        root = self.here.write(**self.wanted)
        revision = FolderSource(root, root / ".reconciler").newest()
        self.revisions[revision] = {key.title(): prompt for key, prompt in self.wanted.items()}

    def step(self, controller: Controller) -> None:
        actions: list[Callable[[], None]] = [
            self.edit,
            self.add,
            self.drop,
            self.drift,
            self.delete,
            lambda: self.break_revision(controller),
            lambda: self.interrupt(controller),
        ]
        self.dice.choice(actions)()
        self.here.turn(controller, self.dice.choice([0, 3, 40, 310]))

    def edit(self) -> None:
        self.wanted[self.dice.choice(sorted(self.wanted))] = f"Be {self.dice.random()}."
        self.save()

    def add(self) -> None:
        self.wanted[f"key{self.dice.randrange(20)}"] = f"Be {self.dice.random()}."
        self.save()

    def drop(self) -> None:
        if len(self.wanted) > 2:
            del self.wanted[self.dice.choice(sorted(self.wanted))]
            self.save()

    def drift(self) -> None:
        if names := sorted(self.here.rows()):
            self.here.drift(self.dice.choice(names), prompt=f"Be rude {self.dice.random()}.")

    def delete(self) -> None:
        if names := sorted(self.here.rows()):
            self.here.server.store.delete_session(self.here.rows()[self.dice.choice(names)].session_id)

    def break_revision(self, controller: Controller) -> None:
        self.here.write("shop", "sessions: {alice: {nmae: Alice}}")
        self.here.turn(controller, self.dice.choice([3, 310]))
        self.save()

    def interrupt(self, controller: Controller) -> None:
        with self.here.server.refuse():
            self.here.turn(controller, self.dice.choice([0, 310]))


SEEDS = [pytest.param(seed, marks=() if seed < 2 else pytest.mark.full) for seed in range(40)]


@pytest.mark.parametrize("seed", SEEDS)
def test_apply_ends_in_sync(tmp_path: Path, seed: int) -> None:
    with world(tmp_path) as here:
        trouble = Trouble(here, seed)
        for _ in range(2):  # the second one goes on where the first one ended
            with here.controller(here.watched(mode="apply")) as controller:
                for _ in range(12):
                    trouble.step(controller)
                here.turn(controller, 1000)
                assert shop(controller).state == "InSync", shop(controller)
                live = {row.name: row.prompt for row in here.server.store.sessions()}
                assert live == {key.title(): prompt for key, prompt in trouble.wanted.items()}
                assert len(here.server.store.sessions()) == len(trouble.wanted)


@pytest.mark.parametrize("seed", SEEDS)
def test_repair_writes_nothing_that_was_not_applied(tmp_path: Path, seed: int) -> None:
    with world(tmp_path) as here:
        trouble = Trouble(here, seed)
        with here.controller(here.watched(mode="apply")) as controller:
            here.turn(controller)
        with here.controller(here.watched(mode="repair")) as controller:
            for _ in range(12):
                trouble.step(controller)
            here.turn(controller, 1000)
            # A newer revision counts as applied if somebody happened to do by hand all that it wants.
            applied = trouble.revisions[shop(controller).revision.applied]
            assert {row.name: row.prompt for row in here.server.store.sessions()} == applied
