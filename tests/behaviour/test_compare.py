"""When a difference between two counts of answers counts."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.behaviour.compare import Comparison, Side, compare
from reconciler.behaviour.statistics import LEVEL, chance, is_beyond_chance, samples_to_tell


def _compared(before: int, after: int, samples: int, needed: int | None = None) -> Comparison:
    needed = samples if needed is None else needed
    return compare(Side(before, samples, samples, needed), Side(after, samples, samples, needed))


@pytest.mark.parametrize(
    ("before", "after", "samples", "needed", "expected"),
    [
        (1, 1, 1, 1, Comparison("same")),
        (1, 0, 1, 1, Comparison("regressed")),
        (0, 1, 1, 1, Comparison("improved")),
        (3, 2, 3, 3, Comparison("unsure", 12)),
        (3, 0, 3, 3, Comparison("regressed")),
        (0, 3, 3, 3, Comparison("improved")),
        (2, 3, 3, 3, Comparison("unsure", 12)),
        (3, 2, 3, 2, Comparison("same")),
        (18, 8, 20, 20, Comparison("regressed")),
        (8, 18, 20, 20, Comparison("improved")),
        (20, 10, 20, 5, Comparison("same")),
        (0, 0, 3, 3, Comparison("same")),
    ],
)
def test_a_change(before: int, after: int, samples: int, needed: int, expected: Comparison) -> None:
    assert _compared(before, after, samples, needed) == expected


def test_a_missing_answer_is_no_change() -> None:
    assert compare(Side(2, 2, 3, 3), Side(0, 3, 3, 3)) == Comparison("not run")


def test_the_chance_is_that_of_the_lady_who_tastes_tea() -> None:
    """Fisher's own example: of eight cups, four and four; three guessed right on one side, one on the other."""
    assert chance(3, 4, 1, 4) == Fraction(9, 70)
    assert chance(4, 4, 0, 4) == Fraction(1, 140)


@given(st.integers(0, 12), st.integers(1, 12), st.integers(0, 12), st.integers(1, 12))
def test_of_two_sides_one_is_better(better: int, of_better: int, worse: int, of_worse: int) -> None:
    better, worse = min(better, of_better), min(worse, of_worse)
    one = chance(better, of_better, worse, of_worse)
    assert 0 < one < 1 or better + worse in (0, of_better + of_worse)
    assert one + chance(worse, of_worse, better, of_better) == 1


def _called(samples: int, before: float, after: float) -> float:
    """How often a difference is called, added up over all counts that may come out."""

    def often(passed: int, rate: float) -> float:
        return comb(samples, passed) * rate**passed * (1 - rate) ** (samples - passed)

    return sum(
        often(one, before) * often(other, after)
        for one in range(samples + 1)
        for other in range(samples + 1)
        if is_beyond_chance(one, samples, other, samples)
    )


@pytest.mark.parametrize("samples", [1, 2, 3, 4, 5, 8, 10, 20, 30, 50])
def test_two_sides_that_are_alike_are_seldom_called_different(samples: int) -> None:
    assert max(_called(samples, rate / 20, rate / 20) for rate in range(1, 20)) <= LEVEL


def test_a_large_difference_is_nearly_always_called() -> None:
    assert _called(20, 0.9, 0.4) >= 0.96


@given(st.integers(1, 30), st.data())
def test_so_many_samples_do_tell(samples: int, data: st.DataObject) -> None:
    better, worse = data.draw(st.integers(0, samples)), data.draw(st.integers(0, samples))
    more = samples_to_tell(better, samples, worse, samples)
    if more is not None:
        assert more > samples
        assert better > worse
