"""An account on which other users create, delete and update sessions while commands run."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from reconciler.server import LoggedRequest, Quirks
from tests.faults import load
from tests.faults.tally import Tally
from tests.faults.world import World, is_ours, open_world, session, tag_of
from tests.support import session_of

#: An action of a plan: its kind, its key and the session, 0 for a create.
Planned: TypeAlias = tuple[str, str, int]

#: What ends a load at the latest (seconds).
LONGEST = 3600


@dataclass
class Account:
    """A world with many sessions of others. ``touched`` holds the ids that the load generator wrote to."""

    world: World
    others: list[int]
    touched: set[int] = field(default_factory=set)
    rates: list[dict[str, float]] = field(default_factory=list)
    _before: dict[int, tuple[Any, ...]] = field(default_factory=dict)

    def disturb(self, creates: int, updates: int, deletes: int, seed: int = 0) -> set[Planned]:
        """Make live sessions of ours differ from the catalog. Returns what a plan has to do, no more and no less."""
        chance, store = random.Random(seed), self.world.store
        live = {tag.identity.key: row for row in store.sessions() if is_ours(row) and (tag := tag_of(row))}
        missing = {one.key for one in self.world.wanted} - live.keys()
        chosen = chance.sample(sorted(live), creates + updates)
        found: set[Planned] = {("create", key, 0) for key in missing}
        for key in chosen[:creates]:
            store.delete_session(live[key].session_id)
            found.add(("create", key, 0))
        for key in chosen[creates:]:
            store.update_session(live[key].session_id, prompt=f"changed by hand, {seed}")
            found.add(("update", key, live[key].session_id))
        for number in range(deletes):
            gone = session(f"gone{seed}-{number}")
            found.add(("delete", gone.key, self.world.insert(gone)))
        return found

    def remember(self) -> None:
        """Note what every session of others is."""
        self.touched.clear()
        self._before = self._rows()

    def blame_for_others(self) -> None:
        """Blame the command for each session of others that is not, byte for byte, what only their users made of it."""
        now = self._rows()
        for session_id, row in self._before.items():
            if session_id not in self.touched and now.get(session_id) != row:
                self.world.blame("wrong writes", f"#{session_id} is not ours, and is not what it was")
        self.world.acquit()

    def acquit_of_new(self) -> None:
        """A session that was not there at :meth:`remember` is the command's own: a probe's, say."""
        told = self.world.problems.pop("wrong writes", [])
        own = [re.match(r"(?:update|delete)_session of #(\d+),", text) for text in told]
        for text, named in zip(told, own, strict=True):
            if named is not None and int(named.group(1)) in self._before:
                self.world.blame("wrong writes", text)

    def _rows(self) -> dict[int, tuple[Any, ...]]:
        ours = {row.session_id for row in self.world.store.sessions() if is_ours(row)}
        return {row[0]: row for row in self.world.store.dump()["session"] if row[0] not in ours}

    @contextmanager
    def busy(
        self, create: float, delete: float, update: float, seed: int = 1, *, spare_new: bool = False
    ) -> Iterator[None]:
        """Let others write so often a second during the block. ``spare_new``: not to what they created in it."""
        listed = self.world.folder.parent / f"load-{seed}.json"
        listed.write_text(json.dumps(self.others))
        rates: tuple[str, ...] = ("--create", str(create), "--delete", str(delete), "--update", str(update))
        rates += ("--spare-new",) if spare_new else ()
        bounds = ("--seed", str(seed), "--workers", "24", "--seconds", str(LONGEST), "--most", "500000")
        command = [sys.executable, "-m", "tests.faults.load", self.world.server.url, *rates, *bounds]
        process = subprocess.Popen(
            [*command, "--sessions", str(listed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with process:
            assert process.stdin and process.stdout
            try:
                assert process.stdout.readline() == "ready\n"
                yield
                process.stdin.close()
                report = json.loads(process.stdout.readline())
            finally:
                process.kill()
        assert not report["failed"], report
        self.rates.append(report["rates"])

    def reached(self) -> str:
        """The rates that were reached, over all blocks."""
        kinds = self.rates[0] if self.rates else {}
        return ", ".join(f"{min(one[kind] for one in self.rates):g} {kind}s" for kind in kinds)


@contextmanager
def open_account(
    folder: Path, tally: Tally, *, others: int, ours: int, latency: float = 0.0, flags: tuple[str, ...] = ()
) -> Iterator[Account]:
    """An account with sessions of ours, as the catalog wants them, spread among those of others."""
    folder.mkdir(parents=True, exist_ok=True)
    with open_world(folder, tally, quirks=Quirks(), latency=latency, flags=flags) as world:
        wanted = [session(f"s{number}") for number in range(ours)]
        account = Account(world, [])
        every = max(1, others // ours)
        left = iter(wanted)
        for number in range(others):
            if number % every == every // 2 and (one := next(left, None)) is not None:
                world.insert(one)
            remark = json.dumps({"created_user": f"u{number}"})
            name = f"chat {number % load.NAMES}"
            account.others.append(world.store.insert_session(name=name, prompt="Hi.", remark=remark))
        for one in left:
            world.insert(one)
        world.want(wanted)

        def note(entry: LoggedRequest) -> None:
            number = session_of(entry) if load.HEADER in entry.headers else None
            if number is not None:
                account.touched.add(number)

        world.server.before.append(note)
        yield account
