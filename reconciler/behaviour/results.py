"""The results of behaviour tests as values, and as the JSON in plans, reports and saved plans. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from reconciler.behaviour.compare import Change, Side

#: ``passed`` and ``failed`` are for tests without a live session to compare with.
Result: TypeAlias = Change | Literal["passed", "failed"]


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer. ``failures`` say why it does not pass, ``problem`` why there is none, or no verdict."""

    sample: int
    text: str = ""
    failures: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Tested:
    """A test that was run for a session. ``before`` is None if it was not run with a live session.

    ``more`` is how many samples would tell whether an unsure change is one.
    """

    key: str
    test: str
    result: Result
    after: Side
    answers: tuple[Answered, ...] = ()
    before: Side | None = None
    answers_before: tuple[Answered, ...] = ()
    more: int | None = None

    @property
    def name(self) -> str:
        """``KEY.TEST``, as ``--allow-regression`` takes it."""
        return f"{self.key}.{self.test}"

    @property
    def passes(self) -> bool:
        """Whether it passes with what the catalog wants."""
        return self.after.ok


def count_results(tests: Iterable[Tested]) -> dict[str, int]:
    """How many tests have each result."""
    found: dict[str, int] = {}
    for one in tests:
        found[one.result] = found.get(one.result, 0) + 1
    return found


def tests_to_document(tests: Sequence[Tested]) -> list[dict[str, Any]]:
    """The results as JSON values."""
    return [
        {
            "key": one.key,
            "test": one.test,
            "result": one.result,
            "after": _side(one.after, one.answers),
            "before": None if one.before is None else _side(one.before, one.answers_before),
            **({} if one.more is None else {"more_samples": one.more}),
        }
        for one in tests
    ]


def tests_from_document(document: Iterable[Mapping[str, Any]]) -> tuple[Tested, ...]:
    """The results in a document that fits the schema of a plan."""
    found = []
    for one in document:
        after, answers = _read(one["after"])
        before, earlier = (None, ()) if one["before"] is None else _read(one["before"])
        more = one.get("more_samples")
        found.append(Tested(one["key"], one["test"], one["result"], after, answers, before, earlier, more))
    return tuple(found)


def _side(side: Side, answers: Iterable[Answered]) -> dict[str, Any]:
    return {**asdict(side), "answers": [{**asdict(one), "failures": list(one.failures)} for one in answers]}


def _read(document: Mapping[str, Any]) -> tuple[Side, tuple[Answered, ...]]:
    side = Side(document["passed"], document["answered"], document["samples"], document["needed"])
    answers = (
        Answered(one["sample"], one["text"], tuple(one["failures"]), one["problem"])
        for one in document["answers"]
    )
    return side, tuple(answers)
