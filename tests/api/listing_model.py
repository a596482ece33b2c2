"""A model of the service's list that others write to between any two requests, for the tests of the listing."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from reconciler.api.listing import Ordering, Page, Wanted
from reconciler.domain import LiveSession
from reconciler.ownership.remark import Remark

#: ``create``; ``update``; ``begin`` (an id is given out, its session becomes visible later) and ``end`` (it does);
#: a number: delete the session at this position, modulo how many there are; ``("join", number)``: one with the id of no
#: session, lower than that of the newest, is renamed into the filter.
Move = str | int | tuple[str, int]


@dataclass
class Model:
    """The list: ids in order, and what is done to it before each request."""

    ids: list[int]
    size: int
    moves: Iterator[Iterable[Move]] = field(default_factory=lambda: iter(()))
    #: Decides which of the requests in flight is answered next; 0: the one that was sent first.
    seed: int = 0
    ahead: int = 4
    #: Whether pages have the number of rows that is asked for.
    sized: bool = True
    filtered: bool = True
    #: How the rows of a page are altered, for servers that do what they must not.
    distort: Callable[[Model, Ordering, int, list[int]], list[int]] = field(
        default=lambda model, ordering, number, ids: ids
    )
    requests: int = 0
    most: int = 0  # sessions at one time
    throughout: set[int] = field(default_factory=set)  # there at each request so far
    ever: set[int] = field(default_factory=set)  # there at some request
    version: int = 0
    _newest: int = 0
    _late: list[tuple[int, int]] = field(default_factory=list)  # ids to come, and how many came since

    def __post_init__(self) -> None:
        self._newest = max(self.ids, default=0)

    def one(self, ordering: Ordering, number: int) -> Page | None:
        return self._page(ordering, number, self.size)

    def several(self, wanted: Sequence[Wanted], most: int) -> Generator[Page | None]:
        """A page is in flight until it was taken. Which of those in flight is read next is a matter of chance."""
        chance = random.Random(self.seed)
        answers: dict[int, Page | None] = {}
        for place in range(len(wanted)):
            while place not in answers:
                flying = [one for one in range(place, min(place + most, len(wanted))) if one not in answers]
                one = chance.choice(flying) if self.seed else flying[0]
                number, size = wanted[one]
                answers[one] = self._page("session_id", number, (self.sized and size) or self.size)
            yield answers.pop(place)

    def _page(self, ordering: Ordering, number: int, size: int) -> Page | None:
        self._write()
        ids = self.ids if ordering == "session_id" else self.ids[::-1]
        start = (number - 1) * size
        if number > 1 and start >= len(ids):
            return None
        ids = self.distort(self, ordering, number, ids[start : start + size])
        return Page(len(self.ids), list(ids), [_session(one, self.version) for one in ids])

    def _write(self) -> None:
        for move in next(self.moves, ()):
            self._do(move)
        here = set(self.ids)
        self.throughout = self.throughout & here if self.requests else here
        self.ever |= here
        self.most = max(self.most, len(here))
        self.requests += 1

    def _do(self, move: Move) -> None:
        if isinstance(move, int):
            if self.ids:
                del self.ids[move % len(self.ids)]
        elif move == "update":
            self.version += 1
        elif isinstance(move, tuple):
            free = sorted(set(range(1, self._newest)) - set(self.ids))
            if free:
                self.ids = sorted([*self.ids, free[move[1] % len(free)]])
        elif move == "end":
            self._end()
        else:
            self._newest += 1
            if move == "begin":
                self._late.append((self._newest, 0))
                return
            self.ids.append(self._newest)
            self._late = [(one, since + 1) for one, since in self._late]
            # What is committed late comes before a page of newer ones does: that much is relied on.
            while self._late and self._late[0][1] >= self.size - 1:
                self._end()

    def _end(self) -> None:
        if self._late:
            self.ids = sorted([*self.ids, self._late.pop(0)[0]])


def _session(session_id: int, version: int) -> LiveSession:
    return LiveSession(session_id, f"v{version}", "", "", {}, {}, None, Remark(), {}, {})
