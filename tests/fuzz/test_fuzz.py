"""A part of what ``make fuzz`` runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.mutate import change, mutated
from tests.fuzz.run import Outcome, fault

_INPUTS = 500


@pytest.mark.parametrize("first", range(0, 2000, _INPUTS))
def test_no_mutated_file_ends_in_a_traceback_or_takes_too_much(first: int) -> None:
    words = ["-m", "tests.fuzz", "--seed", str(first), "--inputs", str(_INPUTS)]
    done = subprocess.run(
        [sys.executable, *words], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{_INPUTS} inputs from seed {first}: 0 findings" in done.stdout


@pytest.mark.parametrize("seed", range(50))
def test_a_seed_always_makes_the_same_file(seed: int) -> None:
    data = b"slug,title\nopen,When?\nwhere,Where?\n"
    first, second = (mutated(Random(seed), "a.csv", data, [b"other"]) for _ in range(2))
    assert first == second
    changed = [change(Random(seed), {"a": [1, {"b": "c"}], "d": None}) for _ in range(2)]
    assert repr(changed[0]) == repr(changed[1])


@pytest.mark.parametrize(
    ("outcome", "wrong"),
    [
        (Outcome(0, "fine\n", ""), ""),
        (Outcome(1, "", "a.yaml:1:2: wrong\n"), ""),
        (Outcome(-1, "", "", "Traceback …\nKeyError: 'text'\n"), "Traceback …\nKeyError: 'text'\n"),
        (Outcome(7, "", "hm\n"), "exits with 7, which is not documented"),
        (Outcome(1, "", ""), "exits with 1 and says nothing"),
        (Outcome(0, "a\x1b[31m", ""), "shows U+001B: 'a\\x1b[31m'"),
        (Outcome(0, "[NaN]", ""), "is not JSON: NaN is no JSON: [NaN]"),
        (Outcome(0, "<built-in method items of dict object at 0x7f00>", ""), "shows Python or a bug: "),
        (Outcome(1, "", "Exception in thread\nTraceback (most recent call last)"), "shows Python or a bug: "),
    ],
)
def test_what_counts_as_a_bad_end(outcome: Outcome, wrong: str) -> None:
    found = (
        fault(("show", "--format", "json"), outcome) if outcome.out.startswith("[") else fault((), outcome)
    )
    assert found.startswith(wrong) if wrong else not found
