"""Adopt, change, forget, move, hand over: over real HTTP, without losing a chat history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.api.client import Client
from reconciler.api.endpoint import Endpoint
from reconciler.api.listing import list_sessions
from reconciler.apply import apply_plan
from reconciler.apply.run import ApplyOptions
from reconciler.contract import load_contract
from reconciler.domain import Catalog, Session
from reconciler.ownership.tag import Identity
from reconciler.plan import Plan, make_plan
from reconciler.server import RunningServer, running_server

ALICE = Session(
    "alice", "Alice", "deepseek-chat", "You are Alice.", {"temperature": 0.3}, {}, {"created_user": "lery"}
)

REMARKS = {
    "empty": "",
    "null": None,
    "prose": "written by hand: 请勿删除\n",
    "object": '{"created_user": "bob", "created_user_id": 7}',
    "object with nothing of ours": '{"team":"sales"}',
    "object in a style of its own": '{ "team" : "sales",\n "n": 1.0 }',
    "object with a key twice": '{"a":1,"a":2}',
    "list": "[1, 2, 3]",
    "broken": '{"created_user": "lery", ',
    "number": "42",
    "huge number": "9" * 5000,
}


class Desk:
    """One server, one state folder, and the three steps of every command."""

    def __init__(self, server: RunningServer, client: Client, state: Path) -> None:
        self.server, self.client, self.state = server, client, state

    def plan(self, catalog: Catalog) -> Plan:
        return make_plan(catalog, list_sessions(self.client))

    def apply(self, catalog: Catalog) -> Plan:
        plan = self.plan(catalog)
        assert not plan.refusals
        report = apply_plan(plan, self.client, ApplyOptions(state=self.state, settle=0))
        assert report.exit_code == 0, report
        return plan

    def remark(self, session_id: int) -> Any:
        found = self.server.store.session(session_id)
        assert found is not None
        return found.remark

    def writes(self) -> list[str]:
        return [entry.operation for entry in self.server.log if entry.method != "GET"]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with running_server(None) as server, Client(Endpoint("test", server.url), load_contract()) as client:
        yield Desk(server, client, tmp_path)


def catalog(*sessions: Session, name: str = "shop", environment: str | None = None, **more: Any) -> Catalog:
    return Catalog(name, environment, {session.key: session for session in sessions}, **more)


def by_hand(desk: Desk, remark: str | None = "", name: str = "Old Alice") -> int:
    """A session that somebody made in a console, with three messages."""
    number = desk.server.store.insert_session(
        name=name, model="gpt-4o", prompt="Be Alice.", parameters={"temperature": 1.0}, remark=remark
    )
    for text in ("hello", "你好", "bye"):
        desk.server.store.insert_message(number, category="user", content=text, meta={})
    return number


@pytest.mark.parametrize("remark", REMARKS.values(), ids=REMARKS.keys())
def test_adopt_change_forget_gives_the_remark_back(desk: Desk, remark: str | None) -> None:
    number = by_hand(desk, remark)
    adopted = desk.apply(catalog(ALICE, adopt={"alice": number}))
    assert [(a.kind, a.session_id) for a in adopted.actions] == [("adopt", number)]
    assert desk.plan(catalog(ALICE, adopt={"alice": number})).empty
    desk.apply(catalog(replace(ALICE, prompt="You are Alice II.", remark={"created_user": "ann", "more": 1})))
    desk.apply(catalog(forgotten=frozenset({"alice"})))
    assert desk.remark(number) == remark
    assert len(desk.server.store.messages(number)) == 3
    assert desk.plan(catalog(forgotten=frozenset({"alice"}))).empty


def test_keys_that_others_added_to_the_remark_meanwhile_survive_a_release(desk: Desk) -> None:
    number = by_hand(desk, '{"created_user":"bob"}')
    desk.apply(catalog(ALICE, adopt={"alice": number}))
    document = json.loads(desk.remark(number))
    document["rating"] = 5
    desk.server.store.update_session(number, remark=json.dumps(document))
    desk.apply(catalog(forgotten=frozenset({"alice"})))
    assert json.loads(desk.remark(number)) == {"created_user": "bob", "rating": 5}


def test_forgetting_what_we_created_leaves_its_fields_and_its_own_keys(desk: Desk) -> None:
    desk.apply(catalog(ALICE))
    desk.apply(catalog(forgotten=frozenset({"alice"})))
    assert json.loads(desk.remark(1)) == {"created_user": "lery"}
    assert desk.plan(catalog(forgotten=frozenset({"alice"}))).counts.unmanaged == 1


def test_a_move_keeps_the_session_and_its_messages(desk: Desk) -> None:
    desk.apply(catalog(ALICE))
    for number in range(50):
        desk.server.store.insert_message(1, category="user", content=str(number), meta={})
    before = len(desk.writes())
    bob = replace(ALICE, key="bob")
    plan = desk.apply(catalog(bob, moved={Identity("shop", None, "alice"): "bob"}))
    assert [(a.kind, a.key, a.session_id) for a in plan.actions] == [("move", "bob", 1)]
    assert desk.writes()[before:] == ["update_session"]
    assert len(desk.server.store.messages(1)) == 50
    assert desk.plan(catalog(bob)).empty
    assert desk.plan(catalog(bob, moved={Identity("shop", None, "alice"): "bob"})).empty


def test_a_hand_over_shows_in_both_plans_and_either_side_may_do_it(desk: Desk) -> None:
    desk.apply(catalog(ALICE))
    there = Identity("other", "staging", "carol")
    carol = replace(ALICE, key="carol")
    giving = catalog(handed_over={"alice": there})
    taking = catalog(
        carol, name="other", environment="staging", moved={Identity("shop", None, "alice"): "carol"}
    )
    assert [(a.kind, a.reason) for a in desk.plan(giving).actions] == [
        ("move", "handed over to other@staging/carol")
    ]
    assert [(a.kind, a.reason) for a in desk.plan(taking).actions] == [("move", "was shop/alice")]
    desk.apply(giving)
    assert desk.plan(taking).empty
    assert desk.plan(giving).empty
    assert desk.plan(catalog()).counts.foreign == 1
    assert desk.writes() == ["create_session", "update_session"]


def test_taking_over_without_the_giver_works_too(desk: Desk) -> None:
    desk.apply(catalog(ALICE))
    carol = replace(ALICE, key="carol")
    taking = catalog(carol, name="other", moved={Identity("shop", None, "alice"): "carol"})
    desk.apply(taking)
    assert desk.plan(taking).empty
    assert desk.writes() == ["create_session", "update_session"]


def test_a_session_is_not_handed_over_to_a_catalog_that_has_its_key(desk: Desk) -> None:
    desk.apply(catalog(ALICE))
    desk.apply(catalog(replace(ALICE, name="Alison", prompt="You are Alison."), name="other"))
    plan = desk.plan(catalog(handed_over={"alice": Identity("other", None, "alice")}))
    assert [(one.guard, one.message, one.allow, one.key) for one in plan.refusals] == [
        (
            "identity",
            "other/alice would be #1 and #2 at once, after a move",
            "delete the one that is not wanted, or remove the moved entry to other/alice",
            "alice",
        )
    ]


def test_two_sessions_that_would_share_a_key_are_refused_and_untouched(desk: Desk) -> None:
    number = by_hand(desk)
    desk.apply(catalog(ALICE))
    plan = desk.plan(catalog(ALICE, adopt={"alice": number}))
    assert [one.message for one in plan.refusals] == [
        "alice would be #1 and #2 at once, after an adoption or a move"
    ]
    assert plan.empty


def test_adopting_what_is_owned_is_refused_and_not_created(desk: Desk) -> None:
    desk.apply(catalog(ALICE, name="other"))
    plan = desk.plan(catalog(ALICE, adopt={"alice": 1}))
    assert plan.empty
    assert [one.message for one in plan.refusals] == ["alice is to adopt #1, which belongs to other/alice"]


def test_adopting_what_is_gone_concerns_that_key_alone(desk: Desk) -> None:
    plan = desk.plan(catalog(ALICE, replace(ALICE, key="ben"), adopt={"alice": 99}))
    assert [(one.kind, one.key) for one in plan.actions] == [("create", "ben")]
    assert plan.refusals == ()
    assert [(one.key, one.session_id) for one in plan.notes if one.kind == "adopt-gone"] == [("alice", 99)]


def test_a_create_with_an_unmanaged_twin_is_pointed_out(desk: Desk) -> None:
    number = by_hand(desk, name="Alice")
    canary, note = desk.plan(catalog(ALICE)).notes
    assert canary.kind == "canary"
    assert (note.kind, note.key) == ("same-name", "alice")
    assert note.message == (
        f"has the same name as #{number}, which is unmanaged: "
        f'to adopt that session instead of creating one, add "adopt: {number}" to its manifest'
    )


def test_a_key_that_looks_renamed_is_pointed_out(desk: Desk) -> None:
    desk.apply(catalog(ALICE))
    plan = desk.plan(catalog(replace(ALICE, key="alicia", prompt="You are Alice!")))
    assert [(note.kind, note.message) for note in plan.notes if note.kind != "canary"] == [
        (
            "maybe-renamed",
            "looks like alice, which would be deleted with its messages. If this is a rename, add: "
            "moved: [{from: alice, to: alicia}]",
        )
    ]
