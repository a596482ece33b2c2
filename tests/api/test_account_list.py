"""A list that is kept equals the list that there is, whatever is done in between, and costs next to nothing."""

from __future__ import annotations

import dataclasses
import gc
import random
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from reconciler.api.account_list import AccountList
from reconciler.api.client import Reply
from reconciler.api.errors import ApiError
from reconciler.api.listing import list_sessions
from reconciler.domain import Keep, Snapshot
from reconciler.ownership.remark import compose_remark
from reconciler.ownership.tag import make_tag
from reconciler.plan import make_plan
from reconciler.plan.keep import keep_for_catalog, keep_for_plan
from tests.api.account_model import Account, Live, listed
from tests.support import catalog, identity, wanted


def act(account: Account, chance: random.Random) -> None:
    """Something that others do."""
    kind = chance.choices(["create", "update", "delete", "burst", "tick", "pause"], [4, 6, 2, 0.3, 6, 1])[0]
    if kind == "create" or not account.lives:
        account.create()
    elif kind == "update":
        account.update(account.some())
    elif kind == "delete":
        account.delete(account.some())
    elif kind == "burst":
        for _ in range(chance.randrange(30)):
            account.update(account.some())
    else:
        account.clock += chance.random() * (2 if kind == "tick" else 30)


@pytest.mark.parametrize("lag", [0.0, 2.5])
def test_it_equals_the_truth_at_every_look(lag: float, steps: int, seed: int) -> None:
    """One step after the other: what others did before a look is in it, also within the same second."""
    chance = random.Random(seed)
    account = Account(random.Random(seed + 1), lag)
    account.fill(300)
    kept = account.kept(20)
    for _ in range(steps):
        act(account, chance)
        if chance.random() < 0.4:
            assert listed(kept.sessions()) == account.versions()
    assert (kept.mismatches, kept.deltas) == (0, "on")
    assert kept.looks["full"] < 0.4 * sum(kept.looks.values())


@pytest.mark.parametrize("lag", [0.0, 2.5])
def test_it_equals_the_truth_after_a_pause_while_others_write_between_any_two_requests(
    lag: float, steps: int, seed: int
) -> None:
    """During a look, each session that stays is listed as it was at some moment of it."""
    chance = random.Random(seed)
    account = Account(random.Random(seed + 1), lag)
    account.fill(300)
    kept = account.kept(20)
    kept.sessions()
    there: set[int] = set()
    busy = True

    def meanwhile() -> None:
        if busy:
            for _ in range(chance.choice([0, 0, 1, 3])):
                act(account, chance)
        there.intersection_update(account.lives)

    account.meanwhile = meanwhile
    for _ in range(steps // 10):
        busy, there = True, set(account.lives)
        before = account.versions()
        found = listed(kept.sessions())
        assert there <= set(found)
        for session_id, version in found.items():
            assert before.get(session_id, 1) <= version
        busy = False
        if chance.random() < 0.3:
            account.clock += 20.0
            assert listed(kept.sessions()) == account.versions()
    assert (kept.mismatches, kept.deltas) == (0, "on")
    assert kept.looks["delta"] > 0


def test_nothing_changed_takes_two_calls_and_gives_the_same_snapshot() -> None:
    account = Account()
    account.fill(1000)
    kept = account.kept(100)
    first = kept.sessions()
    account.clock += 300
    kept.sessions()  # closes the last stamps
    for _ in range(3):
        account.clock += 300
        account.calls = 0
        assert kept.sessions() is first
        assert account.calls == 2
    assert kept.looks == Counter(full=1, same=4)


def quiet(count: int, page: int = 100) -> tuple[Account, AccountList]:
    """An account of so many sessions, and its list, of which every stamp is closed."""
    account = Account()
    account.fill(count)
    kept = account.kept(page)
    kept.sessions()
    account.clock += 300
    kept.sessions()
    account.clock += 300
    account.calls = 0
    return account, kept


def look(account: Account, kept: AccountList) -> int:
    """Look, and see that nothing was missed. Returns how many calls it took."""
    account.calls = 0
    assert listed(kept.sessions()) == account.versions()
    return account.calls


def test_ten_updates_take_three_calls() -> None:
    account, kept = quiet(5000, 25)
    for session_id in range(500, 510):
        account.update(session_id)
    assert look(account, kept) == 3
    account.clock += 300
    assert look(account, kept) == 2  # closes their stamps
    assert look(account, kept) == 2


def test_a_deleted_session_takes_a_call_for_each_halving() -> None:
    account, kept = quiet(5000, 25)
    for session_id in (1, 777, 5000):
        account.delete(session_id)
        assert look(account, kept) <= 2 + 9 + 2
    assert kept.looks["full"] == 1


def delete(account: Account, kept: AccountList, session_id: int) -> None:
    """This program deletes a session."""
    account.delete(session_id)
    kept.called(kept._client.contract.operation("delete_session"), {"session_id": session_id}, Reply({}))


@pytest.mark.parametrize("lag", [0.0, 2.5])
def test_it_equals_the_truth_if_this_program_deletes_too(lag: float, steps: int, seed: int) -> None:
    chance = random.Random(seed)
    account = Account(random.Random(seed + 1), lag)
    account.fill(300)
    kept = account.kept(20)
    for _ in range(steps):
        if chance.random() < 0.2 and account.lives:
            delete(account, kept, chance.choice([account.some(), max(account.lives)]))
        else:
            act(account, chance)
        if chance.random() < 0.4:
            assert listed(kept.sessions()) == account.versions()
    assert (kept.mismatches, kept.deltas) == (0, "on")


@pytest.mark.parametrize("session_id", [400, 1000])
def test_what_this_program_deletes_is_not_searched(session_id: int) -> None:
    account, kept = quiet(1000)
    delete(account, kept, session_id)
    look(account, kept)
    assert account.calls == 2
    account.calls = 0
    look(account, kept)
    assert account.calls == 2


def test_a_delete_that_had_no_effect_is_found_and_no_reason_for_distrust() -> None:
    account, kept = quiet(1000)
    kept.called(kept._client.contract.operation("delete_session"), {"session_id": 400}, Reply({}))
    look(account, kept)
    assert (kept.mismatches, kept.deltas) == (0, "on")


def test_a_delete_that_failed_changes_nothing() -> None:
    account, kept = quiet(1000)
    refused = Reply(None, error=ApiError("delete_session", "no"))
    kept.called(kept._client.contract.operation("delete_session"), {"session_id": 400}, refused)
    look(account, kept)
    assert account.calls == 2


def test_two_changes_within_one_second_are_both_seen() -> None:
    account, kept = quiet(1000)
    account.update(5)
    assert look(account, kept) == 3
    account.update(5)
    account.update(6)  # the newest stamp is what it was, and so are the count and the newest id
    assert look(account, kept) == 2


def test_a_delete_and_a_create_between_two_looks_are_both_seen() -> None:
    account, kept = quiet(1000)
    account.delete(500)
    account.create()
    look(account, kept)
    assert kept.looks["delta"] == 1


def test_thousands_that_share_a_stamp_cost_little_more_than_a_complete_listing() -> None:
    account, kept = quiet(5000, 25)
    for session_id in range(1, 501):
        account.update(session_id)
    complete = 202
    assert look(account, kept) <= 1.1 * complete
    account.clock += 300
    assert look(account, kept) <= 1.1 * complete  # closes the stamp
    account.clock += 300
    assert look(account, kept) == 2


def test_hundreds_of_changes_on_a_busy_account_are_read_page_by_page() -> None:
    """A new session and an update each second, and a look every minute."""
    account, kept = quiet(5000, 50)
    for _ in range(5):
        for _ in range(60):
            account.clock += 1.0
            account.create()
            account.update(account.some())
        assert look(account, kept) <= 12
    assert kept.looks["full"] == 1


def test_one_more_change_within_a_second_that_thousands_share_is_seen() -> None:
    account, kept = quiet(1000, 20)
    for session_id in range(1, 501):
        account.update(session_id)
    look(account, kept)
    for session_id in range(1, 20):
        account.update(session_id)
        look(account, kept)


def test_many_deletions_are_found_by_a_complete_listing() -> None:
    account, kept = quiet(5000, 25)
    for session_id in range(1, 40):
        account.delete(session_id * 100)
    assert look(account, kept) <= 1.1 * 202
    assert kept.looks["full"] == 2


def test_a_short_list_is_read_in_one_call_that_assumes_nothing() -> None:
    account = Account()
    account.fill(20)
    kept = account.kept(100)
    kept.sessions()
    first = kept.sessions()
    account.calls = 0
    assert kept.sessions() is first
    assert account.calls == 1


# While others write


def recent_changes(count: int) -> tuple[Account, AccountList]:
    """A list with pages of 20, and then so many updates, one a second: the last one of session 1."""
    account, kept = quiet(1000, 20)
    for session_id in range(count, 0, -1):
        account.clock += 1.0
        account.update(session_id)
    return account, kept


def at_call(account: Account, number: int, act: Callable[[], None]) -> None:
    """Do something right before so many requests were sent from now on."""
    account.calls = 0

    def meanwhile() -> None:
        if account.calls == number:
            account.meanwhile = lambda: None
            act()

    account.meanwhile = meanwhile


@pytest.mark.parametrize("number", range(12))
def test_a_session_that_moves_to_the_top_while_the_changes_are_read_is_seen(number: int) -> None:
    account, kept = recent_changes(70)
    at_call(account, number, lambda: account.update(70))
    assert listed(kept.sessions())[70] in (2, 3)
    assert kept.looks["full"] == 1


@pytest.mark.parametrize("number", range(12))
def test_a_session_that_moves_up_a_little_while_the_changes_are_read_is_seen(number: int) -> None:
    """Its stamp is that of a moment ago, when the change began: it is not on the first page."""
    account, kept = quiet(1000, 20)
    for session_id in range(60, 0, -1):
        account.clock += 0.2
        account.update(session_id)

    def act() -> None:
        account.update(60)
        account.lives[60].stamp -= 7.0

    at_call(account, number, act)
    assert listed(kept.sessions())[60] in (2, 3)


@pytest.mark.parametrize("number", range(12))
def test_sessions_that_are_deleted_while_the_changes_are_read_hide_none(number: int) -> None:
    account, kept = recent_changes(70)

    def act() -> None:
        for session_id in range(1, 9):
            account.delete(session_id)

    at_call(account, number, act)
    found = listed(kept.sessions())
    assert {found[session_id] for session_id in range(9, 71)} == {2}


@pytest.mark.parametrize("number", range(12))
def test_a_session_that_was_deleted_before_is_found_while_others_are_deleted(number: int) -> None:
    account, kept = quiet(2000, 20)
    account.delete(1500)
    at_call(account, number, lambda: account.delete(300))
    assert 1500 not in listed(kept.sessions())


@pytest.mark.parametrize("number", range(12))
def test_sessions_that_are_created_while_deleted_ones_are_searched_are_no_hindrance(number: int) -> None:
    account, kept = quiet(2000, 20)
    account.delete(1500)
    at_call(account, number, lambda: [account.create() for _ in range(3)] and None)
    assert 1500 not in listed(kept.sessions())
    assert kept.looks["full"] == 1


# What a look can't see


def touched_without_a_stamp(account: Account) -> None:
    account.moves_stamp = False
    account.update(5)


def touched_by_a_clock_set_back(account: Account) -> None:
    account.clock -= 1500
    account.update(5)
    account.clock += 1500


def deleted_and_undone(account: Account) -> None:
    """While another one is deleted: else their number would show it."""
    account.lives[7] = Live(1, 0.0)
    account.delete(8)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (touched_without_a_stamp, "#5 has changed, and its updated_at does not say so"),
        (touched_by_a_clock_set_back, "#5 has changed, and its updated_at does not say so"),
        (deleted_and_undone, "#7 is listed, and its updated_at says that it was there before"),
    ],
)
def test_what_a_look_cannot_see_is_found_by_the_next_complete_listing(
    change: Callable[[Account], None], why: str
) -> None:
    account = Account()
    account.fill(1000)
    account.delete(7)
    kept = account.kept(100, full_interval=3600)
    kept.sessions()
    account.clock += 300
    kept.sessions()
    account.clock += 300
    change(account)
    assert listed(kept.sessions()) != account.versions()
    assert kept.mismatches == 0
    account.clock += 3600
    assert listed(kept.sessions()) == account.versions()
    assert (kept.mismatches, kept.deltas) == (1, "off")
    assert kept.why == (
        f"a look missed a change: {why}; `reconciler doctor --probe --write=contract.yaml` learns it"
    )
    account.clock += 1
    look(account, kept)
    assert kept.looks == Counter(full=3, same=2)


@pytest.mark.parametrize("updated", [False, True])
def test_a_new_session_with_an_old_stamp_is_found_at_once(updated: bool) -> None:
    """Also if another one was deleted, so that their number is what it was, and a third one was changed."""
    account, kept = quiet(1000)
    if updated:
        account.update(9)
    made = account.create()
    account.lives[made].stamp = 0.0
    account.delete(5)
    look(account, kept)
    assert (kept.mismatches, kept.deltas) == (1, "off")


def test_a_service_that_does_not_order_by_the_latest_change_is_found_out_at_the_first_look() -> None:
    account = Account(order=lambda ordering: "-session_id" if ordering == "-updated_at" else ordering)
    account.fill(1000)
    account.update(5)
    kept = account.kept(100)
    for _ in range(4):
        account.clock += 1
        look(account, kept)
    assert kept.deltas == "off"
    assert kept.why.startswith("the service does not order by updated_at; ")
    assert set(kept.looks) == {"full"}


@pytest.mark.parametrize(("instead", "at_once"), [("session_id", True), ("-session_id", False)])
def test_a_service_that_no_longer_orders_by_the_latest_change_is_found_out(
    instead: str, at_once: bool
) -> None:
    """At once, if another session is on top; by a complete listing, if the newest one was changed last before."""
    account, kept = quiet(1000)
    account.order = lambda ordering: instead if ordering == "-updated_at" else ordering
    account.update(5)
    assert (listed(kept.sessions()) == account.versions()) is at_once
    for _ in range(3):
        account.clock += 1
        assert listed(kept.sessions(full=True)) == account.versions()
    assert (kept.mismatches, kept.deltas) == (1, "off")


@pytest.mark.parametrize(
    "facts",
    [
        {"updated_at": None},
        {"updated_at": "never"},
        {"updated_at_seconds": None},
        {"updated_at_lag": None},
        {"updated_at_order": None},
        {"updated_at_order": "ignored"},
        {"ordering": "ignored"},
    ],
)
def test_what_was_not_learned_is_not_relied_on(facts: dict[str, Any]) -> None:
    account = Account()
    account.fill(200)
    kept = account.kept(20, **facts)
    for _ in range(3):
        look(account, kept)
    assert kept.deltas == "not learned"
    assert kept.looks == Counter(full=3)


def test_rows_without_a_stamp_are_not_relied_on() -> None:
    account = Account()
    account.fill(200)
    plain = account.read

    def read(name: str, query: Mapping[str, Any]) -> Any:
        answer = plain(name, query)
        for row in answer["results"]:
            row["updated_at"] = None
        return answer

    account.read = read  # type: ignore[method-assign]
    kept = account.kept(20)
    look(account, kept)
    assert kept.deltas == "off"
    assert kept.why.startswith("the list does not show when a session was changed; ")


# For several catalogs


IDENTITIES = [
    identity(key, name, environment)
    for name, environment in [("bookshop", None), ("bookshop", "staging"), ("library", None), ("other", None)]
    for key in ("alice", "bert", "carl")
]
KEYS = ("alice", "bert", "carl", "dora")
PROMPTS = [f"You are a patient bookseller, and you know every shelf of room {number}." for number in range(9)]
REMARKS = [
    "",
    "by hand",
    '{"reconciler":{"catalog":5}}',
    '{"reconciler":{"catalog":"bookshop","ke',
    *(compose_remark(None, {}, make_tag(one, {})) for one in IDENTITIES),
]


def keeps() -> list[Keep]:
    """What plans of three catalogs keep. Some of their sessions have the name or the key of others."""
    shop = catalog(wanted("alice", name="v1"), wanted("dora", name="v2"))
    staging = dataclasses.replace(shop, environment="staging")
    library = dataclasses.replace(catalog(wanted("carl", name="v2")), name="library", adopt={"carl": 17})
    return [keep_for_catalog(one) for one in (shop, staging, library)]


def anew(kept: AccountList, keep: Keep) -> Snapshot:
    """What a listing of its own would give."""
    return dataclasses.replace(list_sessions(kept._client, keep=keep), listing=None)


def test_each_of_several_catalogs_gets_what_a_listing_of_its_own_would_give(steps: int, seed: int) -> None:
    chance = random.Random(seed)
    account = Account(random.Random(seed + 1))
    account.fill(120)
    kept = account.kept(50)
    for keep in keeps():
        kept.expect(keep)
    for _ in range(steps // 4):
        account.clock += chance.choice([0, 1, 30])
        for _ in range(chance.randrange(3)):
            act(account, chance)
            if account.lives:
                changed = account.some()
                account.lives[changed].remark = chance.choice(REMARKS)
                account.update(changed)
        for keep in keeps():
            assert dataclasses.replace(kept.sessions(keep=keep), listing=None) == anew(kept, keep)
    assert kept.looks["delta"] > kept.looks["full"]


def test_each_revision_of_a_catalog_gets_what_a_listing_of_its_own_would_give(steps: int, seed: int) -> None:
    """Revisions have other names, prompts and ids: what was kept for the ones before may lack what they want."""
    chance = random.Random(seed)
    own = REMARKS[4:7]
    of_others = REMARKS[10:]
    for number in range(max(32, steps // 10)):
        account = Account(random.Random(chance.random()))
        account.fill(60)
        few = [chance.choice(of_others), ""][number % 2]
        remarks = [*REMARKS, *own * 3] if number % 4 == 0 else [few, *own * 20]
        for one in account.lives.values():
            one.remark, one.prompt = chance.choice(remarks), chance.choice(PROMPTS)
            one.version = chance.randrange(9)
        kept = account.kept(25)
        for _ in range(6):
            sessions = [
                wanted(key, name=f"v{chance.randrange(9)}", prompt=chance.choice(PROMPTS))
                for key in chance.sample(KEYS, 2)
            ]
            ids = chance.sample(range(1, 61), chance.choice([0, 0, 2]))
            keep = keep_for_catalog(catalog(*sessions), ids=ids)
            assert dataclasses.replace(kept.sessions(keep=keep), listing=None) == anew(kept, keep)


def test_another_revision_takes_no_listing_if_nothing_that_it_wants_was_left_out() -> None:
    account = Account()
    account.fill(300)
    for session_id, remark in enumerate(REMARKS[4:7] * 50, 101):
        account.lives[session_id].remark = remark  # the other half has no tag, and other names
    kept = account.kept(100)
    for number in range(5):
        sessions = [wanted("alice", name="Alice", prompt=f"Be kind, {number}."), wanted("bert", name="Bert")]
        keep = keep_for_catalog(catalog(*sessions[: 2 - number % 2]))
        assert len(kept.sessions(keep=keep)) == 150
    assert kept.looks["full"] == 1


def test_a_hundred_catalogs_cost_one_listing() -> None:
    account = Account()
    account.fill(1000)
    kept = account.kept(100)
    catalogs = [dataclasses.replace(catalog(wanted()), name=f"shop-{number}") for number in range(100)]
    for one in catalogs:
        kept.expect(keep_for_catalog(one))
    for one in catalogs:
        kept.sessions(keep=keep_for_catalog(one), recent=60)
    assert kept.looks == Counter(full=1)
    account.clock += 300
    account.calls = 0
    for one in catalogs:
        kept.sessions(keep=keep_for_catalog(one), recent=60)
    assert account.calls == 2


def test_applying_a_plan_needs_no_listing_beyond_that_of_its_catalog() -> None:
    account = Account()
    account.fill(1000)
    for session_id, remark in enumerate(REMARKS, 101):
        account.lives[session_id].remark = remark
    kept = account.kept(100)
    wanted_now = catalog(wanted("alice"), wanted("dora"))
    keep = keep_for_catalog(wanted_now)
    plan = make_plan(wanted_now, kept.sessions(keep=keep))
    assert not plan.empty
    made = account.create()
    account.lives[made].remark = compose_remark(None, {}, make_tag(identity("dora"), {}))
    found = kept.sessions(keep=keep_for_plan(plan, ids=[made]))
    assert found.sessions == anew(kept, keep_for_plan(plan, ids=[made])).sessions
    assert made in {live.session_id for live in found}
    kept.sessions(keep=keep_for_catalog(wanted_now, ids=[made]))
    assert kept.looks["full"] == 1


def test_what_a_plan_wants_and_nobody_kept_takes_a_complete_listing() -> None:
    account = Account()
    account.fill(1000)
    kept = account.kept(100)
    keep = keep_for_catalog(catalog(wanted()))
    kept.sessions(keep=keep)
    assert not len(kept.sessions(keep=keep))
    further = keep_for_catalog(catalog(wanted()), ids=[17])  # it was only counted
    assert [live.session_id for live in kept.sessions(keep=further)] == [17]
    assert kept.looks["full"] == 2


def test_many_threads_share_one_list() -> None:
    account, kept = quiet(1000)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: kept.sessions(recent=60), range(100)))
    assert len({id(one) for one in found}) == 1
    assert account.calls == 2


@pytest.mark.parametrize("full", [False, True])
def test_a_failed_look_leaves_the_list_as_it_was(full: bool) -> None:
    """Whichever of its calls fails."""
    account, kept = quiet(1000)
    before = kept.sessions()
    account.update(5)
    left = 0

    def fail() -> None:
        nonlocal left
        if not left:
            raise ApiError("list_sessions", "no connection")
        left -= 1

    failed = 0
    account.meanwhile = fail
    for calls in range(40):
        left = calls
        try:
            kept.sessions(full=full)
            break
        except ApiError:
            failed += 1
            assert kept.sessions(recent=1e9) is before
    assert failed == (14 if full else 3)
    account.meanwhile = lambda: None
    look(account, kept)


def test_the_garbage_collector_stays_on() -> None:
    account, kept = quiet(1000)
    on = []
    account.meanwhile = lambda: on.append(gc.isenabled())
    kept.sessions()
    kept.sessions(full=True)
    kept.named("v1")
    assert len(on) > 12
    assert all(on)
