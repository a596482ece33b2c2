"""A stale plan is refused, and the message says what changed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from reconciler.api.listing import list_sessions
from reconciler.apply import apply_plan
from reconciler.apply.stale import refuse_if_stale
from reconciler.domain import LiveSession
from reconciler.errors import ExitCode, Problem, Refused
from reconciler.ownership.tag import Identity
from reconciler.plan import Plan, make_plan
from reconciler.server import running_server
from tests.support import calling, catalog, live, options, reconcile, snapshot, wanted, written

WAS = wanted("alice", prompt="A", parameters={"temperature": 0.2}, data={"a": 1})
NOW = dataclasses.replace(WAS, prompt="B")
HINT = "nothing was written: plan again and review what changed"
STALE = Problem("the plan is stale: sessions have changed since it was made", HINT)


def against(*there: LiveSession, now: Any = (NOW,)) -> Plan:
    return make_plan(catalog(*now), snapshot(*there), allow_empty=True)


def moved(plan: Plan, *there: LiveSession) -> list[Problem]:
    """What is said when these are live instead."""
    with pytest.raises(Refused) as caught:
        refuse_if_stale(plan, snapshot(*there))
    assert caught.value.exit_code == ExitCode.REFUSED
    *problems, last = caught.value.problems
    assert last == STALE
    return problems


def test_a_plan_is_true_while_what_it_touches_is_the_same() -> None:
    plan = against(written(WAS, 1))
    refuse_if_stale(plan, snapshot(written(WAS, 1)))
    refuse_if_stale(plan, snapshot(written(WAS, 1), live(2), written(wanted("bob"), 3)))


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (written(WAS, 1, prompt="C"), 'alice (#1): prompt was "A" when planned, found "C"'),
        (written(WAS, 1, name="Al"), 'alice (#1): name was "Alice" when planned, found "Al"'),
        (
            written(WAS, 1, temperature=1),
            "alice (#1): parameters.temperature was 0.2 when planned, found 1",
        ),
        (written(WAS, 1, data={}), "alice (#1): data.a was 1 when planned, found nothing"),
        (
            written(WAS, 1, data={"a": 1, "b": None}),
            "alice (#1): data.b was nothing when planned, found null",
        ),
        (
            written(WAS, 1, voice="low"),
            'alice (#1): session_config.voice was nothing when planned, found "low"',
        ),
        (
            written(WAS, 1, prompt="x" * 100),
            f'alice (#1): prompt was "A" when planned, found "{"x" * 79}… (102 characters)',
        ),
    ],
)
def test_a_field_that_moved_is_named(there: LiveSession, said: str) -> None:
    """Also one that the plan does not change: whoever reviewed it has not seen it."""
    assert moved(against(written(WAS, 1)), there) == [Problem(said)]


def test_a_remark_that_moved_is_named_whole_where_nothing_else_tells() -> None:
    before = written(WAS, 1)
    (problem,) = moved(against(before), written(WAS, 1, remark=f"{before.raw_remark} "))
    assert problem.message.startswith("alice (#1): session_remark was ")
    (problem,) = moved(against(before), written(WAS, 1, remark='{"note":1,' + str(before.raw_remark)[1:]))
    assert problem.message == "alice (#1): remark.note was nothing when planned, found 1"


def test_what_only_looks_different_did_not_move() -> None:
    plan = against(written(WAS, 1))
    same = written(WAS, 1, prompt="A\r\n ", temperature="0.20", data={"a": 1.0})
    refuse_if_stale(plan, snapshot(same))


def test_counters_and_times_may_move() -> None:
    before = written(WAS, 1)
    after = dataclasses.replace(before, row={**before.row, "api_use_count": 7, "updated_at": "later"})
    refuse_if_stale(against(before), snapshot(after))


def test_a_session_that_is_gone_or_already_there() -> None:
    plan = against(written(WAS, 1), now=(NOW, wanted("bob")))
    assert moved(plan, written(wanted("bob"), 5)) == [
        Problem("alice (#1): planned to update, found gone"),
        Problem("bob: planned to be created, found live as #5"),
    ]
    assert moved(against(written(WAS, 1), now=()), live(9)) == [
        Problem("alice (#1): planned to delete, found gone")
    ]


def test_a_stale_plan_writes_nothing(tmp_path: Path) -> None:
    with running_server(None) as server, calling(server.url) as client:
        reconcile(client, catalog(WAS), tmp_path)
        there = list_sessions(client)
        plan = make_plan(catalog(NOW, wanted("bob")), there)
        server.store.update_session(1, prompt="changed in a console")
        rows, calls = server.store.dump(), len(server.log)
        with pytest.raises(Refused) as caught:
            apply_plan(plan, client, options(tmp_path), snapshot=there)
        assert caught.value.problems == (
            Problem('alice (#1): prompt was "A" when planned, found "changed in a console"'),
            STALE,
        )
        assert server.store.dump() == rows
        assert [one.operation for one in server.log[calls:]] == ["list_sessions"]


def test_an_identity_that_somebody_has_by_now_is_given_to_nobody_else() -> None:
    free = live(7)
    adopting = make_plan(catalog(NOW, adopt={"alice": 7}), snapshot(free))
    said = "alice (#7): planned to adopt, found bookshop/alice live as #9"
    assert moved(adopting, free, written(WAS, 9)) == [Problem(said)]
    old = written(wanted("al"), 1)
    moving = make_plan(catalog(NOW, moved={Identity("bookshop", None, "al"): "alice"}), snapshot(old))
    said = "alice (#1): planned to move, found bookshop/alice live as #9"
    assert moved(moving, old, written(WAS, 9)) == [Problem(said)]


def test_sessions_that_pass_an_identity_on_are_in_nobodys_way() -> None:
    """The one has what the other is to have, and gives it away by the same plan."""
    first, second = written(wanted("a"), 1), written(wanted("b"), 2)
    now = catalog(
        wanted("b"),
        wanted("c"),
        moved={Identity("bookshop", None, "a"): "b", Identity("bookshop", None, "b"): "c"},
    )
    plan = make_plan(now, snapshot(first, second))
    assert [(action.kind, action.key) for action in plan.actions] == [("move", "b"), ("move", "c")]
    refuse_if_stale(plan, snapshot(first, second))


def test_an_extra_session_is_not_deleted_where_the_one_that_was_to_stay_is_gone() -> None:
    first, second = written(WAS, 1), written(WAS, 3)
    there = dataclasses.replace(snapshot(first, second), messages={1: 0, 3: 0})
    plan = make_plan(catalog(WAS), there)
    assert [(action.kind, action.session_id, action.keeper) for action in plan.actions] == [("delete", 3, 1)]
    refuse_if_stale(plan, snapshot(first, second))
    gone = Problem("alice (#3): planned to delete while #1 stays, found that one gone")
    assert moved(plan, second) == [gone]
    assert moved(plan, live(1), second) == [gone]
