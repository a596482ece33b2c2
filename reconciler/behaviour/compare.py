"""The outcome of a test before and after a change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from reconciler.behaviour.statistics import is_beyond_chance, samples_to_tell

#: ``unsure``: the counts differ, and chance explains that. ``not run``: an answer is missing on one side.
Change: TypeAlias = Literal["regressed", "improved", "same", "unsure", "not run"]


@dataclass(frozen=True, slots=True)
class Side:
    """How many answers passed of those that came, how many were wanted, and how many have to pass."""

    passed: int
    answered: int
    samples: int
    needed: int

    @property
    def complete(self) -> bool:
        """Whether all answers came."""
        return self.answered == self.samples

    @property
    def ok(self) -> bool:
        """Whether the test passes."""
        return self.complete and self.passed >= self.needed


@dataclass(frozen=True, slots=True)
class Comparison:
    """``more`` is how many samples would tell, if the change is unsure and so many would."""

    change: Change
    more: int | None = None


def compare(before: Side, after: Side) -> Comparison:
    """Compare a test with the live prompt and with the planned one.

    With one sample a side there is nothing to count: pass and fail are compared as they are. With more, a difference
    counts if it is beyond chance. It is no regression if the test still passes, and no improvement if it did before.
    """
    if not (before.complete and after.complete):
        return Comparison("not run")
    if before.samples == after.samples == 1:
        if before.ok == after.ok:
            return Comparison("same")
        return Comparison("regressed" if before.ok else "improved")
    counts = before.passed, before.answered, after.passed, after.answered
    reverse = after.passed, after.answered, before.passed, before.answered
    if not after.ok and is_beyond_chance(*counts):
        return Comparison("regressed")
    if not before.ok and is_beyond_chance(*reverse):
        return Comparison("improved")
    if before.ok == after.ok:
        return Comparison("same")
    return Comparison("unsure", samples_to_tell(*(counts if before.ok else reverse)))
