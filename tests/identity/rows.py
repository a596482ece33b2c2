"""Whose a session is, situation by situation: what a plan says of each, and what an apply leaves.

The test runs the commands over these rows, and the table in ``docs/ownership.md`` is made from them
(:func:`as_markdown`), so that neither says anything that the other does not.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reconciler.ownership.remark import parse_remark, remark_of_another_session
from tests.identity.world import World

#: What comes before: hands and runs, until the situation is there.
Given = Callable[[World], None]

FIRST_ID, SECOND_ID = "k3v9x2ab", "zq81m0pd"
KIND, KINDER = "Be kind.", "Be kinder."
BOB = "Be brief."


@dataclass(frozen=True)
class Row:
    """One situation.

    ``says`` is everything that ``plan`` says in it. ``codes`` are the exit codes of ``plan``, ``drift`` and ``apply``,
    which run in this order; ``live`` is what is live after the apply. ``flags`` go to plan and apply.
    """

    about: str
    what: str
    given: Given
    says: tuple[str, ...]
    codes: tuple[int, ...]
    live: str
    flags: tuple[str, ...] = ()
    #: The command where it is another one than plan, drift and apply; ``says`` is what it prints to stderr then.
    command: str = ""
    #: Whether it is run on the second service by default, too.
    sample: bool = False


def shop(world: World, **head: Any) -> None:
    """The catalog ``bookshop`` with alice, applied."""
    world.write({"alice": KIND}, **head)
    world.apply()


def named(world: World) -> None:
    """The same, and alice had an update since: her tag says which session it was written on."""
    shop(world)
    world.write({"alice": KINDER})
    world.apply()


def damaged(how: Callable[[str], str]) -> Given:
    """Alice's remark was changed like this."""

    def given(world: World) -> None:
        shop(world)
        world.hands.change(1, remark=how(world.remark(1)))

    return given


def healed(world: World) -> None:
    """Alice was taken to be gone, and was made again; now the first one's tag is whole again, and so are its chats."""
    shop(world)
    whole = world.remark(1)
    world.hands.say(1, "hello")
    world.hide(1)
    world.apply()
    world.unhide(1)
    assert world.remark(1) == whole


def another_team(world: World, **head: Any) -> None:
    """Another folder's catalog of the same name has alice."""
    world.write({"alice": KIND}, folder="theirs", id=FIRST_ID)
    world.apply(folder="theirs")
    world.write({"alice": KINDER}, **head)


def another_team_without_id(world: World) -> None:
    world.write({"alice": KIND, "carol": BOB}, folder="theirs")
    world.apply(folder="theirs")
    world.write({"alice": KINDER})


def copied(world: World) -> None:
    named(world)
    world.copy(1)


def copied_and_gone(world: World) -> None:
    copied(world)
    world.hands.delete(1)


def copied_young(world: World) -> None:
    """A copy of a session that has had no update yet: neither tag says which session it was written on."""
    shop(world)
    world.hands.change(1, remark=unnumbered(world.remark(1)))
    world.copy(1)


def copied_young_with_a_chat(world: World) -> None:
    copied_young(world)
    world.hands.say(2, "hello")


def other_account(world: World) -> None:
    shop(world)
    world.hands.insert(name="Somebody", api_id=71)
    world.account = 1


def plan_for_another_account(world: World) -> None:
    shop(world)
    world.write({"alice": KINDER})
    assert world.run("plan", "shop", "--out", "plan.json")[0] == 0
    world.hands.insert(name="Somebody", api_id=71)
    world.account = 1


def archive_of_another_account(world: World) -> None:
    shop(world)
    world.hands.say(1, "hello")
    world.write({})
    world.apply("--allow-empty")
    world.hands.insert(name="Somebody", api_id=71)
    world.account = 1


def deleted(world: World) -> None:
    shop(world)
    world.hands.delete(1)


def deleted_unknown(world: World) -> None:
    deleted(world)
    (world.folder / "shop" / ".reconciler" / "journal.jsonl").unlink()


def renamed(world: World, **head: Any) -> None:
    """The catalog was called ``old`` when it was applied."""
    world.write({"alice": KIND, "bob": BOB}, catalog="old")
    world.apply()
    world.write({"alice": KIND, "bob": BOB}, **head)


def with_environments(world: World, **head: Any) -> None:
    """The catalog had no environments when it was applied."""
    world.write({"alice": KIND, "bob": BOB})
    world.apply()
    world.write({"alice": KIND, "bob": BOB}, environments={"staging": {}, "production": {}}, **head)


def adopting(world: World, number: int, **head: Any) -> None:
    world.write({"alice": {"prompt": KIND, "adopt": number}, "bob": BOB}, **head)


def adopted(world: World) -> None:
    world.hands.insert(name="Alice", prompt=KIND)
    adopting(world, 1)
    world.apply()


def adopting_a_strangers(world: World) -> None:
    world.write({"ann": KIND}, folder="theirs", catalog="toyshop")
    world.apply(folder="theirs")
    adopting(world, 1)


def two_runs(world: World) -> None:
    """The list of the second run did not show yet what the first one had created. No delete is allowed."""
    shop(world, policy={"max_deletes": 0})
    world.hide(1)
    world.apply()
    world.unhide(1)


def two_runs_and_a_chat(world: World) -> None:
    two_runs(world)
    for number in (1, 2):
        world.hands.say(number, "hello")


def unnumbered(remark: str) -> str:
    """The remark of a session that was created by a service without updates: its tag names no session."""
    found = parse_remark(remark)
    return remark_of_another_session(remark, found) or ""


def later(what: str, given: Given, **more: Any) -> Row:
    return Row(
        what=what, given=given, **{"about": ABOUT[-1], "says": (), "codes": (0, 0, 0), "live": "", **more}
    )


ABOUT = ["x"]
ROWS = [
    later("its tag was cut off after 60 characters", damaged(lambda remark: remark[:60]), sample=True),
    later("its tag was cut off within its first word", damaged(lambda remark: remark[:8])),
    later("its tag was escaped for HTML", damaged(lambda remark: html.escape(remark))),
    later(
        "adopt",
        damaged(lambda remark: remark[:60]),
        command="adopt alice=1 --catalog shop --auto-approve --settle 0",
    ),
    later("healed", healed),
    later("other id", lambda w: another_team(w, id=SECOND_ID), sample=True),
    later("no id here", another_team),
    later("no id there", another_team_without_id),
    later(
        "moved id",
        lambda w: another_team(w, id=SECOND_ID, moved=[{"from": f"id:{FIRST_ID}", "to": f"id:{SECOND_ID}"}]),
    ),
    later("copy", copied, sample=True),
    later("copy and gone", copied_and_gone),
    later("young copy", copied_young),
    later("young copy with chat", copied_young_with_a_chat, sample=True),
    later("other account", other_account, sample=True),
    later("plan for other account", plan_for_another_account, command="apply plan.json"),
    later(
        "archive of other account",
        archive_of_another_account,
        command="archive restore ARCHIVE shop --auto-approve",
    ),
    later("deleted", deleted, sample=True),
    later("deleted, no journal", deleted_unknown),
    later(
        "tag removed",
        damaged(lambda remark: ""),
    ),
    later("tag altered", damaged(lambda remark: remark.replace("bookshop", "toyshop"))),
    later(
        "tag of another catalog", damaged(lambda remark: '{"reconciler":{"catalog":"toyshop","key":"alice"}}')
    ),
    later("renamed", renamed, sample=True),
    later("renamed, declared", lambda w: renamed(w, moved=[{"from": "old/*", "to": "*"}])),
    later("environments", with_environments, flags=("--env", "production")),
    later(
        "environments, declared",
        lambda w: with_environments(w, moved=[{"from": "bookshop/*", "to": "bookshop@production/*"}]),
        flags=("--env", "production"),
    ),
    later(
        "environments, other",
        lambda w: with_environments(w, moved=[{"from": "bookshop/*", "to": "bookshop@production/*"}]),
        flags=("--env", "staging"),
    ),
    later("adopted", adopted),
    later("adopt gone", lambda w: adopting(w, 99)),
    later("adopt stranger", adopting_a_strangers, sample=True),
    later(
        "adopt in env",
        lambda w: adopting(w, 7, environments={"staging": {}}),
        command="plan shop --env staging",
    ),
    later("two runs", two_runs, sample=True),
    later("two runs and chat", two_runs_and_a_chat),
]
