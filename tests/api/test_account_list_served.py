"""A list that is kept, on the embedded server with and without what looks can't see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.api.client import Client
from reconciler.api.endpoint import Endpoint
from reconciler.apply.run import ApplyOptions, apply_plan
from reconciler.plan import make_plan
from reconciler.plan.keep import keep_for_catalog
from reconciler.server import RunningServer, running_server
from reconciler.server.quirks import parse_quirks
from tests.api.kept import OLD, Kept, contract
from tests.support import catalog, wanted


@contextmanager
def embedded(*quirks: str) -> Iterator[tuple[Kept, RunningServer]]:
    """The embedded server with three hundred sessions that are old."""
    with running_server(None, quirks=parse_quirks(quirks)) as server:
        for number in range(300):
            server.store.insert_session(name=f"session {number}", created_at=OLD)
        server.store.delete_session(50)
        with Client(Endpoint("local", server.url), contract(20)) as client:
            yield Kept(client), server


def test_each_kind_of_change_is_seen_and_costs_little() -> None:
    with embedded() as (kept, _):
        kept.close_stamps()
        assert kept.look() == 2
        kept.client.write("update_session", {"session_id": 5, "prompt": "x"})
        assert kept.look() == 3
        kept.client.write("update_session", {"session_id": 5, "prompt": "y"})  # within the same second
        assert kept.look() == 2
        kept.client.write("create_session", {"name": "new", "model": "m"})
        assert kept.look() == 2
        kept.client.write("delete_session", {"session_id": 33})
        assert kept.look() <= 10
        kept.ahead += 300
        assert kept.look() == 2
        assert kept.look() == 2
        assert kept.list.looks["full"] == 2  # all shared one stamp at first, which the second look closed


def prompt(kept: Kept) -> None:
    kept.client.write("update_session", {"session_id": 5, "prompt": "x"})


def prompts(kept: Kept) -> None:
    prompt(kept)
    kept.client.write("update_session", {"session_id": 6, "prompt": "x"})


@pytest.mark.parametrize(
    ("quirk", "change"),
    [
        ("updated-at=never", prompt),
        ("unstamped=prompt", prompt),
        ("second-clock=86400", prompts),
    ],
)
def test_what_a_look_cannot_see_is_found_by_the_next_complete_listing(
    quirk: str, change: Callable[[Kept], None]
) -> None:
    with embedded(quirk) as (kept, server):
        server.store.insert_session(name="today")  # what is stamped by the clock of yesterday is older
        kept.close_stamps()
        change(kept)
        assert not kept.is_right()
        assert (kept.list.mismatches, kept.list.deltas) == (0, "on")
        kept.ahead += 3600
        assert kept.is_right()
        assert (kept.list.mismatches, kept.list.deltas) == (1, "off")


def test_a_deleted_session_that_comes_back_is_found_at_once() -> None:
    """More are listed than are known, so the whole list is read, and shows that a look was wrong."""
    with embedded("deletes-undone=30") as (kept, server):
        kept.close_stamps()
        kept.client.write("delete_session", {"session_id": 5})
        for _ in range(4):
            assert kept.is_right() or server.store.session(5) is not None
        assert kept.is_right()
        assert (kept.list.mismatches, kept.list.deltas) == (1, "off")


def test_an_order_that_is_not_honoured_is_found_at_the_first_look() -> None:
    with embedded("change-order-ignored") as (kept, server):
        server.store.change_session(5, lambda row: row)
        for _ in range(3):
            kept.look()
        assert kept.list.deltas == "off"
        assert set(kept.list.looks) == {"full"}


def test_an_apply_looks_with_the_list_that_is_kept(tmp_path: Path) -> None:
    with embedded() as (kept, _):
        kept.close_stamps()
        shop = catalog(wanted("alice"), wanted("bert", name="Bert"))
        keep = keep_for_catalog(shop)
        snapshot = kept.list.sessions(keep=keep)
        before = Counter(kept.list.looks)
        plan = make_plan(shop, snapshot)
        report = apply_plan(plan, kept.client, ApplyOptions(tmp_path), snapshot=snapshot, lister=kept.list)
        assert (report.verification, report.count("applied")) == ("verified", 2)
        assert make_plan(shop, kept.list.sessions(keep=keep)).empty
        assert kept.list.looks["full"] == before["full"]


def test_an_apply_that_deletes_reads_the_whole_list(tmp_path: Path) -> None:
    with embedded() as (kept, _):
        shop = catalog(wanted("alice"), wanted("bert", name="Bert"))
        apply_plan(make_plan(shop, kept.list.sessions()), kept.client, ApplyOptions(tmp_path))
        kept.close_stamps()
        less = catalog(wanted("alice"))
        snapshot = kept.list.sessions(keep=keep_for_catalog(less))
        before = Counter(kept.list.looks)
        plan = make_plan(less, snapshot)
        assert plan.count("delete") == 1
        report = apply_plan(plan, kept.client, ApplyOptions(tmp_path), snapshot=snapshot, lister=kept.list)
        assert report.verification == "verified"
        assert kept.list.looks["full"] == before["full"] + 1
