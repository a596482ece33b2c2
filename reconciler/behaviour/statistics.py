"""Whether a difference between two counts of passed answers is beyond chance. Pure arithmetic, with exact fractions.

The test is Fisher's exact test, one-sided, with the mid-p value: given how many of all answers passed, how likely is it
that more of them came from the better side than did, or (counted by half) as many, if both sides are in truth alike?
Without the half, the test errs far less often than its level says, and misses real differences for it. With it, of
comparisons of sides that are alike, between 1.5 % and 5 % are called different, for 3 to 50 samples a side
(``tests/behaviour/test_compare.py`` adds them up).
"""

from __future__ import annotations

from fractions import Fraction
from math import comb
from typing import Final

#: A difference that chance makes less often than this counts. So at most one comparison in twenty of two sides that are
#: alike is called different.
LEVEL: Final = Fraction(5, 100)

#: The most samples that are suggested.
MOST: Final = 200


def chance(better: int, of_better: int, worse: int, of_worse: int) -> Fraction:
    """The mid-p value: how likely it is that more than ``better`` of ``of_better`` answers pass on one side, plus half
    of how likely just as many are, if the two sides are alike. ``worse`` of ``of_worse`` passed on the other side.
    """
    passed, total = better + worse, of_better + of_worse
    most = min(passed, of_better)
    ways = sum(comb(of_better, one) * comb(of_worse, passed - one) for one in range(better + 1, most + 1))
    half = Fraction(comb(of_better, better) * comb(of_worse, worse), 2)
    return (ways + half) / comb(total, passed)


def is_beyond_chance(better: int, of_better: int, worse: int, of_worse: int) -> bool:
    """Whether one side passes more often than the other, by more than chance explains (:data:`LEVEL`)."""
    return chance(better, of_better, worse, of_worse) <= LEVEL


def samples_to_tell(better: int, of_better: int, worse: int, of_worse: int) -> int | None:
    """How many samples a side would make a difference of this size count, if it stays that large; None if there is no
    difference, or it takes more than :data:`MOST`."""
    if better * of_worse <= worse * of_better:
        return None
    for samples in range(max(of_better, of_worse) + 1, MOST + 1):
        high, low = better * samples // of_better, -(-worse * samples // of_worse)
        if high > low and is_beyond_chance(high, samples, low, samples):
            return samples
    return None
