"""The problems found while one catalog is read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NoReturn

from reconciler.errors import Problem
from reconciler.strict_yaml.places import Source

#: Reading stops after this many problems.
MAX_PROBLEMS: Final = 1000


class StoppedError(Exception):
    """Reading on would be pointless or unsafe. The last problem noted says why."""


class Problems:
    """Collects problems, and stops the reading when there are :data:`MAX_PROBLEMS` of them."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self._seen: set[Problem] = set()
        self._number = 0  # of problems noted, repeated ones included
        #: Sessions declared a second time: key and problem, by the file of the first declaration.
        self._duplicates: dict[str, list[tuple[str, Problem]]] = defaultdict(list)

    def __bool__(self) -> bool:
        return bool(self.found or self._duplicates)

    def note(self, problem: Problem) -> None:
        """Add a problem, once: all sessions of a matrix may have the same one.

        Raises:
            StoppedError: this was one too many.
        """
        self._number += 1
        if problem not in self._seen:
            self._seen.add(problem)
            self.found.append(problem)
        self._check_number()

    def note_duplicate(self, key: str, problem: Problem, first: str) -> None:
        """Add a session that is declared twice. ``first`` is the file of its first declaration, whose line is looked
        up by :meth:`locate_duplicates`.

        Raises:
            StoppedError: this was one too many.
        """
        self._duplicates[first].append((key, problem))
        self._check_number()

    def stop(self, problem: Problem) -> NoReturn:
        """Add a problem after which nothing more is read.

        Raises:
            StoppedError: always.
        """
        self.found.append(problem)
        raise StoppedError

    def locate_duplicates(self, read: Callable[[str], Source | None]) -> None:
        """Add the first line to each duplicate session's problem. Each file is read only once.

        Args:
            read: reads a file again; ``None`` if it was changed or removed in the meantime.
        """
        for first, duplicates in self._duplicates.items():
            source = read(first)
            for key, problem in duplicates:
                line = f":{source.at_key(('sessions', key), '').line}" if source else ""
                self.found.append(
                    replace(
                        problem,
                        message=f"{problem.message}, first in {first}{line}",
                        hint="rename or remove one of the two",
                    )
                )
        self._duplicates.clear()

    def _check_number(self) -> None:
        if self._number + sum(map(len, self._duplicates.values())) >= MAX_PROBLEMS:
            self.stop(Problem(f"there are {MAX_PROBLEMS:,} or more problems; the rest was not checked"))
