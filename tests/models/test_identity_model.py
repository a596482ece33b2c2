"""Whose a session is, after any history: two teams, two accounts, hands in a console, kills, and lost folders.

Hypothesis draws the history. Each command is judged by :mod:`tests.models.world`; at any moment a quiet apply has to
bring about what its catalog says, and if it is refused, what the refusal advises has to lead there.
"""

from __future__ import annotations

import html
import os
import re
import shlex
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from reconciler.api.rate_limit import RateLimiter
from reconciler.ownership.remark import parse_remark
from reconciler.server import Fault, SessionRow, running_server
from tests.faults.conftest import Clock
from tests.models.advice import declare_move, environment_in, heed_other_id, heed_the_gone
from tests.models.teams import Team
from tests.models.world import (
    KEYS,
    Damaged,
    Done,
    Kill,
    World,
    copies,
    has_beginning,
    is_own,
    live_keys,
    place_of_tag,
    tag_of,
)
from tests.support import learned_file

KEY = st.sampled_from(["alice", "bob", "carol"])
PROMPT = st.sampled_from(["Be kind.", "Be brief.", "Be bold."])
CATALOG = st.sampled_from(["bookshop", "library"])
ACCOUNT = st.sampled_from(sorted(KEYS))
ENVIRONMENTS = ("staging", "production")
#: Which of some things: more than there are of them.
WHICH = st.integers(0, 11)
#: At which request, counted from the start of the run, and whether before its work is done or after it.
KILL = st.tuples(st.integers(1, 9), st.sampled_from(["before", "after"]))

#: How often a refused apply is tried again, each time after all that it advised was done.
TRIES = 8


class Identities(RuleBasedStateMachine):
    """The history.

    ``saved`` are saved plans, each with the catalog and the environment that it was made from. ``last`` is the account
    that a catalog was applied to last, by state folder, name and environment; ``written`` are the sessions that its
    runs made or changed, each with the key that it got, and ``copied`` what they left alone as copies. ``unsure`` are
    the keys of a catalog whose create was killed: until the next write to one, its journal does not know which session
    is a copy. ``swapped`` are sessions that a hand gave the remark of another one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.server = self.stack.enter_context(running_server(None, require_key=list(KEYS.values())))
        self.world = World(self.server, self.folder)
        self.saved: list[tuple[Path, Team, str | None]] = []
        self.last: dict[tuple[Path, str, str | None], int] = {}
        self.written: dict[tuple[Path, str, str | None], dict[int, str]] = defaultdict(dict)
        self.copied: dict[tuple[Path, str, str | None], set[int]] = defaultdict(set)
        self.unsure: dict[tuple[Path, str, str | None], set[str]] = defaultdict(set)
        self.swapped: set[int] = set()
        self.texts = 0

    def teardown(self) -> None:
        with self.stack:
            if sys.exc_info()[0] is None and hasattr(self, "teams"):
                for which in range(2):
                    self.apply(which, bold=False)

    @initialize(
        same_name=st.booleans(),
        ids=st.sampled_from([("aaaa0000", "bbbb1111"), ("aaaa0000", None), (None, None)]),
        learned=st.booleans(),
        applied=st.sampled_from(["not yet", "once", "twice"]),
    )
    def two_teams(
        self, same_name: bool, ids: tuple[str | None, str | None], learned: bool, applied: str
    ) -> None:
        names = ("bookshop", "bookshop" if same_name else "library")
        self.teams = [
            Team(self.folder / f"team{number}", name, 70, id=one)
            for number, (name, one) in enumerate(zip(names, ids, strict=True))
        ]
        for team in self.teams:
            team.want("alice", prompt="Be kind.")
            team.want("bob", prompt="Be brief.")
        if learned:
            self.world.contract = learned_file(self.folder)
        if applied != "not yet":
            self.apply(0, bold=False)
        if applied == "twice":
            self.teams[0].want("alice", prompt="Be kinder.")
            self.teams[0].want("bob", prompt="Be briefer.")
            self.apply(0, bold=False)

    # Choosing

    def team(self, which: int) -> Team:
        return self.teams[which % 2]

    def row(self, which: int) -> SessionRow:
        rows = list(self.world.rows().values())
        assume(rows)
        return rows[which % len(rows)]

    @staticmethod
    def environment(team: Team, which: int) -> str | None:
        return team.environments[which % len(team.environments)] if team.environments else None

    # Hands in a console, and end users

    @rule(
        account=ACCOUNT,
        name=st.sampled_from(["Alice", "Zoe"]),
        remark=st.sampled_from(["", "notes", '{"by":"lery"}']),
    )
    def create_by_hand(self, account: int, name: str, remark: str) -> None:
        self.server.store.insert_session(name=name, prompt="By hand.", remark=remark, api_id=account)

    @rule(which=WHICH, spoken=st.booleans())
    def copy(self, which: int, spoken: bool) -> None:
        columns = asdict(self.row(which))
        for column in ("session_id", "session_token"):
            del columns[column]
        number = self.server.store.insert_session(**columns)
        if spoken:
            self.speak(number, columns["api_id"])

    @rule(which=WHICH)
    def delete(self, which: int) -> None:
        number = self.row(which).session_id
        self.server.store.delete_session(number)
        self.world.damaged.pop(number, None)
        archived = {
            message["message_content"]
            for folder in self.folder.glob("*.archive")
            for one in self.world.archives(folder)
            for message in one["messages"] or ()
        }
        live = {one.content for messages in self.world.messages().values() for one in messages}
        self.world.said = {text: who for text, who in self.world.said.items() if text in live | archived}

    @rule(which=WHICH, prompt=PROMPT)
    def edit(self, which: int, prompt: str) -> None:
        self.server.store.update_session(self.row(which).session_id, prompt=prompt)

    @rule(which=WHICH, at=st.integers(10, 150))
    def cut_tag(self, which: int, at: int) -> None:
        self.cut(which, at)

    def cut(self, which: int, at: int) -> None:
        row = self.row(which)
        self.damage(row, (row.remark or "")[:at])

    @rule(which=WHICH)
    def escape(self, which: int) -> None:
        row = self.row(which)
        self.damage(row, html.escape(row.remark or ""))

    @rule(which=WHICH, at=st.integers(20, 90), bold=st.booleans())
    def cut_and_apply(self, which: int, at: int, bold: bool) -> None:
        self.cut(which, at)
        self.apply(which, bold=bold)

    def damage(self, row: SessionRow, remark: str) -> None:
        tag = tag_of(row)
        self.server.store.update_session(row.session_id, remark=remark)
        if tag and parse_remark(remark).tag is None and has_beginning(remark):
            self.world.damaged[row.session_id] = Damaged(tag, row.remark or "")
        elif not has_beginning(remark):
            self.world.damaged.pop(row.session_id, None)

    @precondition(lambda self: self.world.damaged)
    @rule(which=WHICH)
    def mend(self, which: int) -> None:
        """Make a damaged tag whole again."""
        numbers = sorted(self.world.damaged)
        number = numbers[which % len(numbers)]
        self.server.store.update_session(number, remark=self.world.damaged.pop(number).remark)

    @rule(one=WHICH, other=WHICH)
    def swap(self, one: int, other: int) -> None:
        first, second = self.row(one), self.row(other)
        for row, remark in ((first, second.remark), (second, first.remark)):
            self.server.store.update_session(row.session_id, remark=remark)
            self.world.damaged.pop(row.session_id, None)
            self.swapped.add(row.session_id)

    @rule(which=WHICH)
    def untag(self, which: int) -> None:
        number = self.row(which).session_id
        self.server.store.update_session(number, remark="")
        self.world.damaged.pop(number, None)

    @rule(which=WHICH)
    def say(self, which: int) -> None:
        row = self.row(which)
        self.speak(row.session_id, row.api_id)

    def speak(self, number: int, account: int) -> None:
        self.texts += 1
        text = f"message {self.texts}, in account {account}"
        self.server.store.insert_message(number, content=text)
        self.world.said[text] = (account, number)

    # Edits of a catalog

    @rule(which=WHICH, key=KEY, prompt=PROMPT)
    def want(self, which: int, key: str, prompt: str) -> None:
        self.team(which).want(key, prompt=prompt)

    @rule(which=WHICH, key=KEY)
    def drop(self, which: int, key: str) -> None:
        assume(key in self.team(which).sessions)
        self.team(which).drop(key)

    @rule(which=WHICH, old=KEY, new=KEY, how=st.sampled_from(["declared", "command", "silently"]))
    def rename_key(self, which: int, old: str, new: str, how: str) -> None:
        team = self.team(which)
        assume(old in team.sessions and new not in team.sessions)
        team.rename_key(old, new, declared=how == "declared")
        if how == "command":
            self.command(team, "mv", old, new, environment=self.environment(team, which))

    @rule(
        which=WHICH,
        name=CATALOG,
        environments=st.sampled_from([(), ENVIRONMENTS]),
        how=st.sampled_from(["declared", "command", "silently"]),
    )
    def rename(self, which: int, name: str, environments: tuple[str, ...], how: str) -> None:
        """Give a catalog another name, environments, or none any more."""
        team = self.team(which)
        source = self.scope(team, self.environment(team, which))
        assume((name, environments) != (team.name, team.environments))
        team.rename(name, environments)
        environment = self.environment(team, which)
        moves = (f"{source}/*", f"{self.scope(team, environment)}/*")
        if how == "silently" or moves[0] == moves[1]:
            return
        if how == "declared":
            team.move(*moves)
            return
        moving = deepcopy(team)
        moving.move(*moves)
        done = self.world.run(
            team, "mv", *moves, environment=environment, touches=is_own(moving, environment)
        )
        self.remember(team, done, (team.name, environment))

    @staticmethod
    def scope(team: Team, environment: str | None) -> str:
        return team.name if environment is None else f"{team.name}@{environment}"

    @rule(which=WHICH, declared=st.booleans())
    def change_id(self, which: int, declared: bool) -> None:
        team = self.team(which)
        if team.id and declared:
            team.former_ids.add(team.id)
        elif not declared:
            team.former_ids.clear()
        team.id = f"{'cd'[which % 2] * 4}{2222 + len(team.former_ids)}"
        team.former_ids.discard(team.id)

    @rule(which=WHICH, key=KEY, number=st.integers(1, 12))
    def declare_adoption(self, which: int, key: str, number: int) -> None:
        team = self.team(which)
        environment = self.environment(team, which)
        assume(key in team.sessions and (environment, key) not in team.adopt)
        assume(number not in team.adopt.values())
        team.adopt[environment, key] = number

    @rule(which=WHICH, key=KEY, declared=st.booleans())
    def forget(self, which: int, key: str, declared: bool) -> None:
        team = self.team(which)
        assume(key in team.sessions)
        if declared:
            team.forget(key)
        else:
            self.command(team, "forget", key, environment=self.environment(team, which))

    @rule(which=WHICH, key=KEY, received=st.booleans())
    def hand_over(self, which: int, key: str, received: bool) -> None:
        """Let one team give a session to the other."""
        giver, taker = self.team(which), self.team(which + 1)
        assume(key in giver.sessions and giver.name != taker.name)
        environment, there = self.environment(giver, which), self.environment(taker, which)
        session = giver.drop(key)
        giver.move(f"{self.scope(giver, environment)}/{key}", f"{self.scope(taker, there)}/{key}")
        taker.want(key, **session)
        if received:
            taker.move(f"{self.scope(giver, environment)}/{key}", f"{self.scope(taker, there)}/{key}")

    @rule(which=WHICH, account=ACCOUNT)
    def use_key_of(self, which: int, account: int) -> None:
        self.team(which).account = account

    @rule(which=WHICH)
    def lose_state(self, which: int) -> None:
        self.team(which).states += 1

    # Commands

    def found_copies(self, team: Team, environment: str | None) -> set[int]:
        """What the catalog's journal knows to be copies now."""
        scope = (team.state, team.name, environment)
        found = copies(self.world.rows(team.account), team, environment, self.written[scope])
        return {number for number, key in found.items() if key not in self.unsure[scope]}

    def command(self, team: Team, *words: str, environment: str | None, **more: Any) -> Done:
        """A command that may change what is the team's, in the account that the team applied to last."""
        copied = self.found_copies(team, environment)
        done = self.world.run(
            team, *words, environment=environment, touches=is_own(team, environment), **more
        )
        note(str(done))
        assert done.code != 1, done
        scope = (team.state, team.name, environment)
        self.swapped -= done.changed.keys()
        if done.writes and words[0] == "apply":
            self.copied[scope] |= copied
        for number in (copied | self.copied[scope]) & done.changed.keys():
            tag = tag_of(done.changed[number])
            if tag and place_of_tag(tag)[:2] == scope[1:] and tag.session_id is None:
                assert number in team.adopts(environment), f"#{number} is a copy\n{done}"
        self.remember(team, done, scope[1:])
        if done.writes:
            last = self.last.setdefault(scope, team.account)
            assert last == team.account or words[0] != "apply" or "--other-account" in words, done
            self.last[scope] = team.account
        return done

    def remember(self, team: Team, done: Done, place: tuple[str, str | None] | None = None) -> None:
        """Take down what a run wrote, as its journal does. ``place`` is the catalog and environment that it is about;
        None stands for that of the session which it restores."""
        killed = done.log[-1] if done.code < 0 and done.log else None
        lost = killed and killed.operation == "create_session" and killed.body
        tag = parse_remark(lost["session_remark"]).tag if lost else None
        rows = self.world.rows()
        for number, row in {**done.made, **done.changed}.items():
            for one in filter(None, (row, rows.get(number))):
                found = tag_of(one)
                if found is None or found == tag or place not in (None, place_of_tag(found)[:2]):
                    continue
                scope = (team.state, *place_of_tag(found)[:2])
                self.unsure[scope].discard(found.identity.key)
                if number in rows and tag_of(rows[number]) == found:
                    self.written[scope][number] = found.identity.key
        if tag is not None:
            self.unsure[team.state, *place_of_tag(tag)[:2]].add(tag.identity.key)

    @rule(which=WHICH, key=KEY, number=st.integers(1, 12))
    def adopt(self, which: int, key: str, number: int) -> None:
        team = self.team(which)
        environment = self.environment(team, which)
        assume(key in team.sessions)
        asking = deepcopy(team)
        asking.adopt = {(environment, key): number}
        done = self.world.run(
            team, "adopt", f"{key}={number}", environment=environment, touches=is_own(asking, environment)
        )
        self.remember(team, done, (team.name, environment))

    @rule(
        which=WHICH,
        operation=st.sampled_from(["create_session", "update_session", "delete_session"]),
        worked=st.booleans(),
    )
    def apply_with_a_lost_answer(self, which: int, operation: str, worked: bool) -> None:
        self.server.faults.add(Fault("cut", operation=operation, when="first", worked=worked))
        team = self.team(which)
        self.command(team, "apply", environment=self.environment(team, which))
        self.server.faults.clear()

    @rule(which=WHICH, kill=KILL)
    def apply_and_kill(self, which: int, kill: Kill) -> None:
        team = self.team(which)
        self.command(team, "apply", environment=self.environment(team, which), kill=kill)

    @rule(which=WHICH, key=KEY, prompt=PROMPT, kill=KILL)
    def want_and_kill(self, which: int, key: str, prompt: str, kill: Kill) -> None:
        self.team(which).want(key, prompt=prompt)
        self.apply_and_kill(which, kill)

    @rule(which=WHICH, key=KEY, kill=KILL)
    def drop_and_kill(self, which: int, key: str, kill: Kill) -> None:
        assume(key in self.team(which).sessions)
        self.team(which).drop(key)
        self.apply_and_kill(which, kill)

    @rule(which=WHICH, account=ACCOUNT, kill=st.none() | KILL)
    def restore(self, which: int, account: int, kill: Kill | None) -> None:
        """Restore something from a team's archive, with the key of either account."""
        team = deepcopy(self.team(which))
        team.account = account
        archived = self.world.archives(team.archive)
        assume(archived)
        one = archived[which % len(archived)]
        (owner,) = one["account"]["api_ids"]

        def touches(row: SessionRow) -> bool:
            return row.api_id == owner and (
                row.session_id == one["session_id"] or row.name.startswith("reconciler")
            )

        done = self.world.run(team, "archive", "restore", one["id"], touches=touches, kill=kill)
        self.remember(team, done)
        assert owner == account or not done.writes, done

    @rule(which=WHICH)
    def save_a_plan(self, which: int) -> None:
        team = self.team(which)
        environment = self.environment(team, which)
        path = self.folder / f"plan{len(self.saved)}.json"
        done = self.world.run(team, "plan", "--out", str(path), environment=environment)
        if path.exists() and done.code == 0:
            self.saved.append((path, deepcopy(team), environment))

    @precondition(lambda self: self.saved)
    @rule(which=WHICH, account=ACCOUNT)
    def apply_a_saved_plan(self, which: int, account: int) -> None:
        path, team, environment = self.saved.pop(which % len(self.saved))
        planned, team.account = team.account, account
        done = self.world.run(team, "apply", str(path), touches=is_own(team, environment))
        self.remember(team, done, (team.name, environment))
        assert planned == account or not done.writes, done

    def apply(self, which: int, *, bold: bool) -> None:
        """Apply in peace. What a refusal advises is done until there is none."""
        team = self.team(which)
        environment = self.environment(team, which)
        flags: set[str] = set()
        for _ in range(TRIES):
            done = self.command(team, "apply", "--format", "json", *sorted(flags), environment=environment)
            if done.code == 3:
                flags |= self.heed(team, environment, done, bold=bold)
            elif done.code == 4:
                heed_the_gone(team, environment, done)
            else:
                break
        assert done.code == 0, done
        self.converged(team, environment, done)

    @rule(which=WHICH, bold=st.booleans())
    def apply_in_peace(self, which: int, bold: bool) -> None:
        self.apply(which, bold=bold)

    @rule(which=WHICH, key=KEY, prompt=PROMPT, bold=st.booleans())
    def want_and_apply(self, which: int, key: str, prompt: str, bold: bool) -> None:
        self.team(which).want(key, prompt=prompt)
        self.apply(which, bold=bold)

    @rule(which=WHICH, key=KEY, bold=st.booleans())
    def drop_and_apply(self, which: int, key: str, bold: bool) -> None:
        assume(key in self.team(which).sessions)
        self.team(which).drop(key)
        self.apply(which, bold=bold)

    def heed(self, team: Team, environment: str | None, done: Done, *, bold: bool) -> set[str]:
        """Do what a refusal advises; returns the flags that it advises."""
        flags: set[str] = set()
        refusals = done.document().get("refusals")
        if refusals is None:
            assert "add --other-account" in done.err, done
            return {"--other-account"}
        for one in refusals:
            guard, allow, key = one["guard"], one["allow"], one.get("key")
            if guard == "unreadable_tag":
                self.heed_unreadable(team, done, allow, bold=bold)
            elif guard == "catalog_id":
                heed_other_id(team, allow, bold=bold)
                if not bold:
                    return flags  # the other refusals were about the catalog of the former name
            elif guard == "allow_recreate" and not bold:
                self.heed_second_ones(team, one["message"])
            elif guard in ("adopt", "identity"):
                team.adopt.pop((environment, key), None)
                team.moves = [move for move in team.moves if move[1].rpartition("/")[2] not in (key, "*")]
                if guard == "identity":  # two sessions are live under the old name, so neither can be moved
                    flags.add("--allow-recreate")
            else:
                assert allow.startswith("--"), done
                flags.add(allow.replace(" ", "="))
        return flags

    def heed_second_ones(self, team: Team, message: str) -> None:
        """Declare the move, or adopt what is live already."""
        found = re.search(r"`reconciler (adopt [^`]*)`(?: and \d+ more)?$", message)
        if not found:
            declare_move(team, message)
            return
        self.take_over(team, shlex.split(found[1]))

    def take_over(self, team: Team, words: list[str]) -> None:
        """Run the ``adopt`` that a refusal advises. Who applies to another account on purpose says so here, too."""
        environment = environment_in(shlex.join(words))
        asking = deepcopy(team)
        pairs = [word.split("=") for word in words if not word.startswith("--") and "=" in word]
        asking.adopt = {(environment, key): int(number) for key, number in pairs}
        done = self.world.run(team, *words, touches=is_own(asking, environment))
        note(str(done))
        self.remember(team, done, (team.name, environment))
        if done.code == 3 and "add --other-account" in done.err:
            self.take_over(team, [*words, "--other-account"])

    def heed_unreadable(self, team: Team, done: Done, allow: str, *, bold: bool) -> None:
        found = re.match(
            r"take it over: `reconciler (adopt \S+=(\d+)[^`]*)`; or, to create \S+ beside it, (?:remove|make)",
            allow,
        )
        assert found, done
        number = int(found[2])
        if bold:
            self.server.store.update_session(number, remark="")
        else:
            self.take_over(team, shlex.split(found[1]))
        self.world.damaged.pop(number, None)

    def converged(self, team: Team, environment: str | None, done: Done) -> None:
        """The catalog is live, each key once, and nothing is left to do."""
        rows = self.world.rows(team.account)
        scope = (team.state, team.name, environment)
        again = self.world.run(team, "plan", "--format", "json", environment=environment)
        told = {note.get("session_id") for note in again.document()["notes"] if note["kind"] == "copy"}
        left = self.found_copies(team, environment) | self.copied[scope] | (told & self.swapped)
        for number in left & rows.keys():
            if number not in done.changed and (tag := tag_of(rows[number])) and tag.session_id is None:
                del rows[number]
        assert live_keys(rows, team, environment) == Counter(team.sessions.keys()), done
        for row in rows.values():
            tag = tag_of(row)
            if tag is None or (tag.identity.catalog, tag.identity.environment) != (team.name, environment):
                continue
            wanted = team.sessions[tag.identity.key]
            assert (row.name, row.prompt) == (wanted["name"], wanted["prompt"]), done
            if row.session_id in done.changed:
                assert (tag.session_id, tag.catalog_id) == (row.session_id, team.id), (row, done)
        assert again.code == 0 and again.document()["actions"] == [], again


@pytest.fixture(autouse=True, scope="module")
def haste() -> Iterator[None]:
    """Nobody waits, neither for the disk nor for the clock."""
    clock = Clock()

    def sleep(limiter: RateLimiter, seconds: float) -> None:
        clock.skip(seconds)
        limiter.stop.sleep(0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(RateLimiter, "now", lambda _: clock.now())
        patch.setattr(RateLimiter, "sleep", sleep)
        yield


def check(examples: int, steps: int, *, long: bool) -> None:
    """Play so many histories. A short run plays the same ones on every machine. A long one plays others each time, and
    spends minutes on shortening one."""
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Identities,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=not long,
            phases=list(Phase) if long else [Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_nobody_loses_a_session_or_a_message() -> None:
    check(8, 30, long=False)


@pytest.mark.full
def test_nobody_does_in_a_long_run() -> None:
    check(600, 50, long=True)
