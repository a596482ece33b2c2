"""A plan points out probable mistakes, and never fails because of that."""

from __future__ import annotations

from reconciler.domain import Session
from reconciler.plan import hints as module
from reconciler.plan import make_plan
from reconciler.plan.types import Note
from tests.support import catalog, snapshot, wanted, written

PROSE = "You are a bookseller of many years, and you know each book in the shop by its smell. " * 8


def renames(there: list[Session], now: list[Session]) -> list[Note]:
    lives = (written(session, number) for number, session in enumerate(there, start=1))
    plan = make_plan(catalog(*now), snapshot(*lives))
    return [note for note in plan.notes if note.kind == "maybe-renamed"]


def test_a_key_that_goes_and_one_that_comes_with_the_same_prompt() -> None:
    assert renames([wanted("old", prompt="A")], [wanted("new", prompt="A")]) == [
        Note(
            "maybe-renamed",
            "looks like old, which would be deleted with its messages. If this is a rename, add: "
            "moved: [{from: old, to: new}]",
            "new",
        )
    ]


def test_nearly_the_same_is_near_enough_and_another_prompt_is_not() -> None:
    (note,) = renames([wanted("old", prompt=PROSE)], [wanted("new", prompt=PROSE.replace("shop", "store"))])
    assert note.key == "new"
    assert renames([wanted("old", prompt=PROSE)], [wanted("new", prompt="Be kind. " * 60)]) == []


def test_two_empty_prompts_have_nothing_in_common() -> None:
    assert renames([wanted("old", prompt="")], [wanted("new", prompt="")]) == []


def test_prompts_are_looked_at_as_far_as_it_is_worth() -> None:
    """Texts that take long to compare: so much is spent on them, and no more."""
    effort = module._Effort(work=2_000_000)
    letters = ("ab" * 500, "ba" * 500)
    assert [effort.alike(*letters) for _ in range(8)] == [True] * 4 + [False] * 4
