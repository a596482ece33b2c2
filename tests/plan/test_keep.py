"""What a listing keeps is enough: the plan is the same as for the whole list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.apply.stale import refuse_if_stale
from reconciler.domain import LeftOut, LiveSession, Snapshot
from reconciler.errors import Refused
from reconciler.ownership.remark import compose_lock
from reconciler.ownership.reserved import half_made_name, probe_name, probe_remark
from reconciler.ownership.tag import Identity
from reconciler.plan import make_plan
from reconciler.plan.keep import keep_for_catalog, keep_for_plan
from reconciler.plan.types import Plan
from tests.support import catalog, identity, live, snapshot, wanted, written

PROBE = "0123456789ab"
OTHERS = Identity("toyshop", None, "alice")

#: One live session of each kind, given its id.
KINDS = {
    "ours": lambda number: written(wanted("alice"), number),
    "ours, changed": lambda number: written(wanted("ben"), number, prompt="Be brief."),
    "ours, not wanted": lambda number: written(wanted("carl"), number),
    "ours, to be forgotten": lambda number: written(wanted("dora"), number),
    "ours, to be handed over": lambda number: written(wanted("emil"), number),
    "to be moved here": lambda number: tagged(number, OTHERS),
    "another of that catalog": lambda number: tagged(number, Identity("toyshop", None, "zoe")),
    "one that has what is handed over": lambda number: tagged(number, Identity("library", None, "emil")),
    "foreign": lambda number: tagged(number, Identity("garden", "staging", "zelda")),
    "foreign, of a wanted key": lambda number: tagged(number, Identity("garden", "staging", "hans")),
    "foreign, of a wanted prompt": lambda number: tagged(
        number, Identity("garden", None, "zelda"), prompt=wanted("alice").prompt
    ),
    "of another environment": lambda number: tagged(number, Identity("bookshop", "staging", "zelda")),
    "of another environment, of a wanted key": lambda number: tagged(
        number, Identity("bookshop", "staging", "hans")
    ),
    "unmanaged": lambda number: live(number, name="a chat", remark="prose"),
    "unmanaged, of a wanted name": lambda number: live(number, name="Frida", remark='{"a": 1}'),
    "named like a half-made one": lambda number: live(number, name=half_made_name(identity("gus"))),
    "unreadable": lambda number: live(number, remark='{"reconciler": {"catalog": "bookshop"'),
    "lock": lambda number: live(number, remark=compose_lock({"catalog": "bookshop"})),
    "probe": lambda number: live(number, name=probe_name(PROBE), prompt="", remark=probe_remark(PROBE)),
    "half made": lambda number: live(number, name=half_made_name(identity("frida")), prompt=""),
}


def tagged(number: int, of: Identity, *, prompt: str = "a long one" * 99) -> LiveSession:
    remark = f'{{"reconciler":{{"catalog":"{of.catalog}","key":"{of.key}"}}}}'
    if of.environment:
        remark = remark.replace('"key"', f'"environment":"{of.environment}","key"')
    return live(number, remark=remark, name=f"of {of}", prompt=prompt)


CATALOG = catalog(
    wanted("alice"),
    wanted("ben"),
    wanted("frida", name="Frida"),
    wanted("gus", name=half_made_name(identity("gus"))),
    wanted("hans"),
    wanted("ida", name="Ida"),
    adopt={"hans": 3, "ida": 4},
    moved={OTHERS: "frida"},
    forgotten=frozenset({"dora"}),
    handed_over={"emil": Identity("library", None, "emil")},
)

SNAPSHOTS = st.lists(st.sampled_from(sorted(KINDS)), max_size=12).map(
    lambda kinds: snapshot(*(KINDS[kind](number) for number, kind in enumerate(kinds, 1)))
)


@given(SNAPSHOTS)
def test_a_plan_of_what_is_kept_is_the_plan_of_the_whole_list(there: Snapshot) -> None:
    kept = there.reduced(keep_for_catalog(CATALOG))
    assert kept.total == there.total
    assert make_plan(CATALOG, kept) == make_plan(CATALOG, there)
    assert kept.reduced(keep_for_catalog(CATALOG)) == kept


@given(SNAPSHOTS, SNAPSHOTS)
def test_a_saved_plan_is_as_stale_as_by_the_whole_list(then: Snapshot, now: Snapshot) -> None:
    plan = make_plan(CATALOG, then)
    assert stale(plan, now.reduced(keep_for_plan(plan))) == stale(plan, now)


def stale(plan: Plan, now: Snapshot) -> str:
    try:
        refuse_if_stale(plan, now)
    except Refused as error:
        return str(error)
    return ""


def test_sessions_of_others_are_counted_and_dropped() -> None:
    there = snapshot(*(make(number) for number, make in enumerate(KINDS.values(), 11)))
    kept = there.reduced(keep_for_catalog(CATALOG))
    assert kept.left_out == LeftOut(unmanaged=1, foreign=1)
    slim = [list(KINDS)[one.session_id - 11] for one in kept if not one.row]
    assert slim == [
        "another of that catalog",
        "foreign, of a wanted key",
        "foreign, of a wanted prompt",
        "of another environment",
        "of another environment, of a wanted key",
        "unmanaged, of a wanted name",
    ]
