"""How a catalog and an account got into a situation: runs of the command, and hands behind its back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.ownership.remark import parse_remark, remark_of_another_session
from reconciler.server import Fault
from tests.identity.world import EmbeddedHands, World

#: What comes before: hands and runs, until the situation is there.
Given = Callable[[World], None]

FIRST_ID, SECOND_ID = "k3v9x2ab", "zq81m0pd"
KIND, KINDER = "Be kind.", "Be kinder."
BOB = "Be brief."

#: Moves a catalog that was given environments into one of them.
INTO_PRODUCTION = [{"from": "bookshop/*", "to": "bookshop@production/*"}]


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


def deleted_created_and_damaged(world: World) -> None:
    """Alice was deleted and created again, and the tag of the second one was truncated."""
    world.write({"alice": KIND, "bob": BOB})
    world.apply()
    world.write({"bob": BOB})
    world.apply()
    world.write({"alice": KIND, "bob": BOB})
    world.apply()
    world.hands.change(3, remark=world.remark(3)[:60])


def another_team(world: World, **head: Any) -> None:
    """Another folder's catalog of the same name has alice."""
    world.write({"alice": KIND}, folder="theirs", id=FIRST_ID)
    world.apply(folder="theirs")
    world.write({"alice": KINDER}, **head)


def another_team_and_environments(world: World) -> None:
    """This catalog was given environments, and the sessions without one are another team's."""
    world.write({"alice": KIND}, folder="theirs", id=FIRST_ID)
    world.apply(folder="theirs")
    world.write({"alice": KIND}, id=SECOND_ID, environments={"production": {}}, moved=INTO_PRODUCTION)


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


def renumbered(world: World) -> None:
    """The service gave every session another number, as after a migration."""
    two(world)
    world.apply()
    world.write({"alice": KINDER, "bob": KINDER})
    world.apply()
    for number in (1, 2):
        world.copy(number)
        world.hands.say(number + 2, "hello")
    for number in (1, 2):
        world.hands.delete(number)


def one_of_three_copied(world: World) -> None:
    sessions = {"alice": KIND, "bob": BOB, "carol": BOB}
    world.write(sessions)
    world.apply()
    world.write({**sessions, "alice": KINDER})
    world.apply()
    world.copy(1)
    world.hands.delete(1)


def copied_young(world: World) -> None:
    """A copy of a session that has had no update yet: neither tag says which session it was written on."""
    shop(world)
    world.hands.change(1, remark=unnumbered(world.remark(1)))
    world.copy(1)


def copied_young_with_a_chat(world: World) -> None:
    copied_young(world)
    world.hands.say(2, "hello")


def copied_young_and_renamed(world: World) -> None:
    copied_young(world)
    world.hands.change(2, name="Alice (copy)")
    world.hands.say(2, "hello")


def copied_young_and_dropped(world: World) -> None:
    copied_young_with_a_chat(world)
    world.write({"bob": BOB})
    world.apply("--only", "bob")


def without_journal(world: World, given: Given) -> None:
    """The situation, as a CI job finds it that starts without a journal."""
    given(world)
    (world.folder / "shop" / ".reconciler" / "journal.jsonl").unlink()


def written_to_both(world: World) -> None:
    """An update of alice reached bob, too, and the service said that all was well."""
    two(world)
    world.apply()
    world.write({"alice": KINDER, "bob": BOB})
    world.apply()
    world.hands.say(2, "hello")
    world.hands.change(2, remark=world.remark(1), prompt=KINDER)


def uncountable(world: World) -> None:
    """The service says nothing of messages."""
    copied_young(world)
    assert isinstance(world.hands, EmbeddedHands)
    world.hands.server.faults.add(Fault("status", operation="list_messages", status=403))


def keeping_nothing(world: World) -> None:
    """The service drops one key of ``data``; an apply found out."""
    world.write({"alice": {"prompt": KIND, "data": {"mood": "calm", "level": 2}}})
    world.apply()


def two(world: World) -> None:
    world.write({"alice": KIND, "bob": BOB})


def other_account(world: World) -> None:
    shop(world)
    world.hands.insert(name="Somebody", api_id=71)
    world.account = 1


def first_of_staging(world: World, **head: Any) -> None:
    """Production is live in the account, and staging is about to be applied with the same key."""
    world.write({"alice": KIND}, environments={"staging": {}, "production": {}}, **head)
    world.apply("--env", "production")


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
    without_journal(world, deleted)


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


def one_untagged(world: World) -> None:
    two(world)
    world.apply()
    world.hands.change(1, remark="")
