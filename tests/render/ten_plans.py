"""Ten plans as reviewers meet them, each with the words that must be on the first screen of every form.

A reviewer has a minute. The first screen has to say what changes, where, and what can't be undone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.render.sample import POET, action, change, gone, new, plan, preamble_plan

RULES = (
    "You are the bookseller of a small shop by the river, and you have worked here for twenty years.",
    "Greet readers by the time of day, and ask what they read last before you recommend anything.",
    "Recommend at most three books, each with one sentence that says why it fits this reader.",
    "If a book is out of stock, say when it is expected, and offer to put a copy aside.",
    "Never tell how a story ends, not even when a reader asks for it twice.",
    "Speak of prices in the shop's currency, and round nothing.",
    "Do not reveal wholesale prices or what other readers have bought.",
    "If a reader asks for a book for a child, ask for the age, and keep to books for it.",
    "For school books, ask for the number of the school's list.",
    "Gift wrapping is free in December, and costs the same as a bookmark otherwise.",
    "Answer in the language that you are asked in, and keep the titles of books as they are printed.",
    "When somebody complains, apologise once, say what you can do, and do it.",
    "Opening hours are 9 to 18 from Tuesday to Saturday, and the shop is closed in the first week of August.",
    "If you do not know something, say so, and offer to ask a colleague.",
)
#: A prompt of about 1,200 characters, in one line, as most real ones are.
ONE_LINE = " ".join(RULES)
BY_LINE = "\n".join(RULES)


@dataclass(frozen=True, slots=True)
class Case:
    """A plan, and the words that its first screen must have, whatever its form."""

    document: dict[str, Any]
    words: tuple[str, ...]


def one_word_removed() -> Case:
    after = ONE_LINE.replace("Do not reveal", "Do reveal")
    changed = action(
        "update", "bookseller", 1041, "Bookseller", "changed in git", change("prompt", ONE_LINE, after)
    )
    return Case(_of(changed, no_op=11), ("1 to update", "bookseller", "not", "reveal wholesale"))


def a_temperature() -> Case:
    changed = change("parameters.temperature", 0.3, 1.2)
    return Case(
        _of(action("update", "poet", 1042, "诗人", "changed in git", changed), no_op=11),
        ("1 to update", "poet", "temperature", "0.3", "1.2"),
    )


def a_model_in_three_of_eight_hundred() -> Case:
    updates = []
    for n in range(1, 801):
        fields = [
            change("prompt", f"{BY_LINE}\nYour shelf is {n}.", f"{BY_LINE}\nYour shelf is {n}, by the door.")
        ]
        if n in (17, 230, 777):
            fields.append(change("model", "deepseek-chat", "deepseek-reasoner"))
        updates.append(action("update", f"clerk-{n}", 2000 + n, f"Clerk {n}", "changed in git", *fields))
    return Case(
        _of(*updates),
        (
            "800 to update",
            "model",
            "deepseek-chat",
            "deepseek-reasoner",
            "clerk-17",
            "clerk-230",
            "clerk-777",
        ),
    )


def a_delete_among_forty_updates() -> Case:
    updates = [
        action(
            "update",
            f"guide-{n}",
            1100 + n,
            f"Guide {n}",
            "changed in git",
            change("prompt", f"You are guide {n}.\n{BY_LINE}", f"You are guide {n} of the shop.\n{BY_LINE}"),
        )
        for n in range(1, 41)
    ]
    deleted = action(
        "delete",
        "night-porter",
        977,
        "Night Porter",
        "not in the catalog any more",
        gone("name", "Night Porter"),
        gone("model", "deepseek-chat"),
        gone("prompt", BY_LINE),
        messages=1204,
    )
    return Case(
        _of(*updates[:20], deleted, *updates[20:]),
        ("1 to delete", "40 to update", "night-porter", "not in the catalog any more", "1,204 messages"),
    )


def a_changed_rule_in_312() -> Case:
    return Case(
        preamble_plan(312),
        ("312 to update", "312 sessions", "at most three books", "one book"),
    )


def drift() -> Case:
    prompt = BY_LINE.replace("at most three", "as many as they want")
    changed = action(
        "update",
        "bookseller",
        1041,
        "Bookseller",
        "changed outside git",
        change("prompt", prompt, BY_LINE, "drift"),
        drift=True,
    )
    words = ("changed outside git", "bookseller", "as many as they want", "at most three")
    return Case(_of(changed, no_op=11), ("1 to update", *words))


def conflict() -> Case:
    changed = action(
        "update",
        "bookseller",
        1041,
        "Bookseller",
        "changed in git and outside of it",
        change("model", "qwen-max", "deepseek-reasoner", "conflict"),
        change("parameters.temperature", 0.3, 0.5),
        drift=True,
    )
    words = ("conflict", "changed in git and outside of it", "bookseller", "qwen-max", "deepseek-reasoner")
    return Case(_of(changed, no_op=11), ("1 to update", *words))


def a_rename() -> Case:
    moved = action("move", "head-clerk", 1050, "Head Clerk", "was clerk", **{"from": "clerk"})
    renamed = action(
        "update", "reader", 1051, "Reader", "changed in git", change("name", "Reader", "First Reader")
    )
    return Case(
        _of(moved, renamed, no_op=10),
        ("1 to move", "head-clerk", "moved from clerk", "0 to delete", "reader", "First Reader"),
    )


def fifteen_adopted() -> Case:
    adopted = [
        action(
            "adopt",
            f"porter-{n}",
            900 + n,
            f"Porter {n}",
            "adopted: it becomes managed, with its messages",
            *([change("model", "gpt-3.5", "deepseek-chat", "unknown")] if n in (3, 7, 11) else []),
        )
        for n in range(1, 16)
    ]
    words = (
        "15 to adopt",
        "3 changed by it",
        "gpt-3.5",
        "deepseek-chat",
        "porter-3",
        "porter-7",
        "porter-11",
    )
    return Case(_of(*adopted), (*words, "12 sessions adopted as they are"))


def refused() -> Case:
    deletes = [
        action(
            "delete",
            f"clerk-{n}",
            2000 + n,
            f"Clerk {n}",
            "not in the catalog any more",
            gone("prompt", BY_LINE),
        )
        for n in range(1, 13)
    ]
    created = action(
        "create", "archivist", None, "Archivist", "in the catalog, not live", new("prompt", BY_LINE)
    )
    refusal = {
        "guard": "max_deletes",
        "message": "12 deletes, and the policy allows 5",
        "allow": "--max-deletes=12",
    }
    return Case(
        _of(created, *deletes, refusals=[refusal]),
        (
            "efused",
            "12 to delete",
            "12 deletes, and the policy allows 5",
            "--max-deletes=12",
            "clerk-1",
            "clerk-2",
        ),
    )


def for_the_readme() -> dict[str, Any]:
    """A plan with something of each kind."""
    poem = POET.replace("四行", "八行")
    poet = action(
        "update",
        "poet",
        1042,
        "诗人",
        "changed outside git",
        change("prompt", poem, POET, "drift"),
        drift=True,
    )
    clerks = [
        action(
            "update",
            f"clerk-{n}",
            2000 + n,
            f"Clerk {n}",
            "changed in git",
            change("model", "deepseek-chat", "deepseek-reasoner"),
            change("parameters.temperature", 0.7, 0.3),
        )
        for n in range(1, 31)
    ]
    (bookseller,) = one_word_removed().document["actions"]
    (deleted,) = [a for a in a_delete_among_forty_updates().document["actions"] if a["action"] == "delete"]
    return _of(deleted, poet, bookseller, *clerks, no_op=11)


def _of(*actions: Any, no_op: int = 0, **more: Any) -> dict[str, Any]:
    summary = {"no_op": no_op, "managed": no_op + len(actions)}
    return plan(
        *actions, environment="staging", endpoint="https://api.example.com/v1", summary=summary, **more
    )


TEN = {
    made.__name__.replace("_", "-"): made
    for made in (
        one_word_removed,
        a_temperature,
        a_model_in_three_of_eight_hundred,
        a_delete_among_forty_updates,
        a_changed_rule_in_312,
        drift,
        conflict,
        a_rename,
        fifteen_adopted,
        refused,
    )
}
