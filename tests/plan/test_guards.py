"""What a plan may do only with an explicit flag, and that flag."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.domain import Lifecycle, Limit, Policy, Session
from reconciler.plan import Plan, make_plan
from reconciler.plan.types import Refusal, Selection
from tests.support import catalog, identity, live, snapshot, wanted, written


def sessions(count: int, prompt: str = "Be kind.", **fields: Any) -> list[Session]:
    return [wanted(f"k{number:03}", prompt=prompt, **fields) for number in range(count)]


def plan_of(there: list[Session], now: list[Session], policy: Policy | None = None, **flags: Any) -> Plan:
    """The plan for these sessions, those having been written before."""
    lives = (written(session, number) for number, session in enumerate(there, start=1))
    return make_plan(catalog(*now, policy=policy or Policy()), snapshot(*lives), **flags)


def test_an_empty_catalog_does_not_delete_all_that_it_manages() -> None:
    plan = plan_of(sessions(3), [])
    assert plan.refusals == (
        Refusal(
            "allow_empty",
            "the catalog is empty, and all of its live sessions (3) would be deleted",
            "--allow-empty",
        ),
    )
    assert plan.count("delete") == 3
    assert plan_of(sessions(3), [], allow_empty=True).refusals == ()


def test_an_empty_catalog_that_manages_nothing_is_allowed() -> None:
    plan = make_plan(catalog(), snapshot(live(1), live(2)))
    assert plan.refusals == ()
    assert plan.empty


def test_more_than_ten_deletes_are_refused_unless_the_policy_says_otherwise() -> None:
    assert plan_of(sessions(20), sessions(10)).refusals == ()
    assert plan_of(sessions(21), sessions(10)).refusals == (
        Refusal("max_deletes", "it would delete 11 sessions, and the policy allows 10", "--max-deletes=11"),
    )
    assert plan_of(sessions(21), sessions(10), Policy(max_deletes=None)).refusals == ()


def test_one_delete_too_many_is_one_session() -> None:
    plan = plan_of(sessions(2), sessions(1), Policy(max_deletes=Limit(count=0)))
    assert plan.refusals == (
        Refusal("max_deletes", "it would delete 1 session, and the policy allows 0", "--max-deletes=1"),
    )


def test_a_percentage_is_one_of_the_managed_sessions() -> None:
    policy = Policy(max_deletes=Limit(percent=5))
    assert plan_of(sessions(40), sessions(38), policy).refusals == ()
    assert plan_of(sessions(39), sessions(37), policy).refusals == (
        Refusal(
            "max_deletes",
            "it would delete 2 sessions, and the policy allows 5% of 39 managed",
            "--max-deletes=2",
        ),
    )


@given(st.integers(0, 10_000), st.integers(0, 100_000))
def test_a_percentage_is_taken_as_it_is_written(managed: int, thousandths: int) -> None:
    percent = thousandths / 1000
    assert Limit(percent=percent).of(managed) == int(managed * Fraction(thousandths, 100_000))


def test_updates_and_changes_have_limits_of_their_own() -> None:
    policy = Policy(max_deletes=None, max_updates=Limit(count=1), max_changes=Limit(percent=50))
    plan = plan_of(sessions(4), [*sessions(3, "Be bold."), wanted("new")], policy)
    assert (plan.count("delete"), plan.count("update"), plan.count("create")) == (1, 3, 1)
    assert plan.refusals == (
        Refusal("max_updates", "it would update 3 sessions, and the policy allows 1", "--max-updates=3"),
        Refusal(
            "max_changes",
            "it would change 5 sessions, and the policy allows 50% of 4 managed",
            "--max-changes=5",
        ),
    )


def test_what_is_protected_is_deleted_only_when_it_is_named() -> None:
    there = sessions(2, lifecycle=Lifecycle(prevent_destroy=True))
    plan = plan_of(there, [wanted("other")])
    assert plan.refusals == (
        Refusal(
            "prevent_destroy",
            "k000 (#1) is protected by lifecycle.prevent_destroy",
            "--allow-destroy=k000",
            "k000",
        ),
        Refusal(
            "prevent_destroy",
            "k001 (#2) is protected by lifecycle.prevent_destroy",
            "--allow-destroy=k001",
            "k001",
        ),
    )
    assert len(plan_of(there, [wanted("other")], allow_destroy=["k000"]).refusals) == 1
    assert plan_of(there, [wanted("other")], allow_destroy=["k000", "k001"]).refusals == ()


def test_protection_outlives_its_block_until_it_is_lifted() -> None:
    """The tag remembers it: a session whose whole manifest is gone is still protected."""
    protected = wanted("k", lifecycle=Lifecycle(prevent_destroy=True))
    assert plan_of([protected], [wanted("other")]).refusals != ()
    (update,) = plan_of([protected], [wanted("k")]).actions
    assert (update.kind, update.protected) == ("update", False)


def test_a_refused_plan_still_lists_all_that_it_would_do() -> None:
    plan = plan_of(sessions(30), [], Policy(max_changes=Limit(count=1)))
    assert len(plan.actions) == 30
    assert [one.guard for one in plan.refusals] == ["allow_empty", "max_deletes", "max_changes"]


# A part of a plan

ONCE_OURS = [wanted(f"k{number}", name=f"S{number}") for number in range(3)]
BY_HAND = [live(number, name=f"S{number - 1}", prompt="By hand.") for number in (1, 2, 3)]


def adopting(policy: Policy, keys: set[str], **flags: Any) -> Plan:
    """Three sessions that somebody made are to be adopted; the plan is about these of them."""
    wish = catalog(*ONCE_OURS, adopt={"k0": 1, "k1": 2, "k2": 3}, policy=policy)
    return make_plan(wish, snapshot(*BY_HAND), only=Selection("adopt", frozenset(keys)), **flags)


@pytest.mark.parametrize("guard", ["max_updates", "max_changes"])
def test_the_guards_judge_a_part_of_a_plan_as_they_judge_the_whole(guard: str) -> None:
    policy = Policy(**{guard: Limit(count=2)})  # type: ignore[arg-type]
    plan = adopting(policy, {"k0", "k1", "k2"})
    whole = make_plan(
        catalog(*ONCE_OURS, adopt={"k0": 1, "k1": 2, "k2": 3}, policy=policy), snapshot(*BY_HAND)
    )
    assert plan.refusals == whole.refusals != ()
    assert plan.actions == whole.actions


def test_what_is_not_in_the_part_does_not_count() -> None:
    plan = adopting(Policy(max_updates=Limit(count=2), max_changes=Limit(count=2)), {"k0", "k2"})
    assert [action.key for action in plan.actions] == ["k0", "k2"]
    assert plan.refusals == ()
    assert plan.about == "part"


def test_a_refusal_of_another_key_is_not_in_the_part() -> None:
    """``k1`` can't adopt what is another catalog's, which is nothing to a command about ``k0``."""
    wish = catalog(*ONCE_OURS, adopt={"k0": 1, "k1": 99})
    theirs = live(99, remark='{"reconciler":{"catalog":"toyshop","key":"zoe"}}')
    found = {
        keys: make_plan(wish, snapshot(*BY_HAND, theirs), only=Selection("adopt", frozenset(keys))).refusals
        for keys in (("k0",), ("k1",), ("k0", "k1"))
    }
    assert found[("k0",)] == ()
    assert [one.key for one in found[("k1",)]] == ["k1"]
    assert found[("k0", "k1")] == found[("k1",)]


def test_a_move_that_would_overwrite_a_conflict_is_refused() -> None:
    there = written(wanted("old", prompt="Be kind."), prompt="By hand.")
    wish = catalog(
        wanted("new", prompt="Be bold."), moved={identity("old"): "new"}, policy=Policy(on_conflict="fail")
    )
    plan = make_plan(wish, snapshot(there), only=Selection("move", frozenset({"new"})))
    assert plan.refusals == (
        Refusal(
            "on_conflict",
            "new (#1): prompt was changed in git and outside of it",
            "--on-conflict=overwrite",
            "new",
        ),
    )


@pytest.mark.parametrize(
    ("limit", "text"), [(Limit(count=10), "10"), (Limit(percent=5.0), "5%"), (Limit(percent=0.5), "0.5%")]
)
def test_a_limit_as_people_read_it(limit: Limit, text: str) -> None:
    assert str(limit) == text
