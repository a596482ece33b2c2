"""What finding the changes of a long list costs, and which stamps are closed."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from reconciler.api.changes import (
    Changes,
    Closing,
    Known,
    NotProvedError,
    Ordering,
    Slice,
    calls_of_listing,
    find_changes,
)
from tests.support import live

SECOND = 1_000_000
COUNT = 100_000
COMPLETE = calls_of_listing(COUNT, 100) + 1  # and one for the newest page at the end
FURTHER = 2  # an account list reads the latest change before a complete listing, and a page of them after it
ROW = live()


@dataclass
class Long:
    """A long list. Each session is a second older than the next one."""

    ids: list[int] = field(default_factory=lambda: list(range(1, COUNT + 1)))
    changed: list[tuple[int, int]] = field(default_factory=list)  # session and stamp, the latest first
    calls: int = 0
    most: int = 100
    meanwhile: Callable[[], None] = field(default=lambda: None)  # before each request

    def read(self, ordering: Ordering, number: int, size: int) -> Slice | None:
        self.meanwhile()
        self.calls += 1
        start, end = (number - 1) * size, number * size
        if ordering == "-updated_at":
            rows = self.changed[start:end]
            if end > len(self.changed):
                moved = {one for one, _ in self.changed}
                rows += [
                    (one, one * SECOND)
                    for one in self.ids[: -(end + len(moved) + 1) : -1]
                    if one not in moved
                ]
            ids, stamps = [one for one, _ in rows[:size]], [stamp for _, stamp in rows[:size]]
        else:
            ids = self.ids[start:end] if ordering == "session_id" else self.ids[::-1][start:end]
            stamps = []
        return Slice(len(self.ids), ids, stamps, [ROW] * len(ids)) if ids else None

    def look(self, *, closed: bool = True) -> Changes:
        """What has changed since it had all of its sessions, and nothing had changed for long."""
        top = COUNT * SECOND
        known = Known(array("q", range(1, COUNT + 1)), top, top if closed else top - 12 * SECOND, 12 * SECOND)
        return find_changes(self, known)

    def update(self, *ids: int, stamp: int = 2 * COUNT * SECOND) -> None:
        self.changed = [(one, stamp) for one in ids] + self.changed


def test_nothing_has_changed() -> None:
    found = Long().look()
    assert (found.calls, found.changed, found.gone) == (2, {}, [])


def test_nothing_has_changed_and_the_last_stamps_are_not_closed() -> None:
    found = Long().look(closed=False)
    assert (found.calls, sorted(found.changed), found.gone) == (2, list(range(COUNT - 11, COUNT + 1)), [])


def test_another_latest_change_that_is_none_contradicts_what_is_assumed() -> None:
    long = Long()
    long.changed = [(one, 5 * SECOND + 5) for one in (COUNT, COUNT - 1)]
    with pytest.raises(NotProvedError, match=r"^nothing has changed, but"):
        long.look()


def test_ten_updates() -> None:
    long = Long()
    long.update(*range(5, COUNT, COUNT // 10))
    found = long.look()
    assert found.calls == 3
    assert sorted(found.changed) == list(range(5, COUNT, COUNT // 10))


@pytest.mark.parametrize("gone", [1, 2, 31_415, 50_000, COUNT - 1, COUNT])
def test_one_delete(gone: int) -> None:
    long = Long()
    long.ids.remove(gone)
    found = long.look()
    assert found.calls <= 22
    assert found.gone == [gone]
    assert len(found.ids) == COUNT - 1


def test_so_many_deletes_that_a_complete_listing_is_cheaper() -> None:
    long = Long()
    del long.ids[700:740]
    with pytest.raises(NotProvedError, match=r"^40 sessions were deleted$"):
        long.look()  # they might have been anywhere
    assert long.calls == 2


def test_thousands_that_share_a_stamp() -> None:
    long = Long()
    long.update(*range(1, 10_001))
    with pytest.raises(NotProvedError, match=r"^too many sessions share one updated_at$"):
        long.look()
    assert long.calls + FURTHER + COMPLETE <= 1.1 * COMPLETE


def test_thousands_that_were_changed_one_after_the_other() -> None:
    long = Long()
    for one in range(1, 20_000):
        long.changed.insert(0, (one, (COUNT + one) * SECOND))
    with pytest.raises(NotProvedError, match=r"^too much has changed$"):
        long.look()
    assert long.calls + FURTHER + COMPLETE <= 1.1 * COMPLETE


@pytest.mark.parametrize("number", range(2, 9))
def test_deletions_that_shift_the_pages_of_the_changes_hide_none(number: int) -> None:
    """More than the overlap of the pages makes up for."""
    long = Long(most=20)
    for one in range(70, 0, -1):
        long.changed.insert(0, (one, (2 * COUNT - one) * SECOND))

    def meanwhile() -> None:
        if long.calls == number:
            long.calls += 1
            for one in (1, 2, 3, 4):
                long.ids.remove(one)
            del long.changed[:4]

    long.meanwhile = meanwhile
    found = long.look()
    assert set(range(5, 71)) <= set(found.changed)
    assert set(found.ids) in (set(long.ids), {*long.ids, 1, 2, 3, 4})


def test_a_page_in_another_order() -> None:
    class Disordered(Long):
        def read(self, ordering: Ordering, number: int, size: int) -> Slice | None:
            page = super().read(ordering, number, size)
            if page is None or ordering != "-updated_at":
                return page
            return Slice(page.count, page.ids, page.stamps[::-1], page.rows)

    with pytest.raises(NotProvedError, match=r"^the service does not order by updated_at$") as error:
        Disordered().look(closed=False)
    assert error.value.distrust


# Which stamps are closed


def test_a_stamp_is_closed_by_a_pass_that_begins_a_margin_after_it_was_shown() -> None:
    closing = Closing(12 * SECOND)
    closing.show(7 * SECOND, 100.0)
    assert closing.due(111.9) is None
    assert closing.due(112.0) == 7 * SECOND
    closing.passed(closing.due(112.0), None)
    assert closing.closed == 7 * SECOND


def test_a_stamp_is_closed_if_the_clock_of_the_service_is_known_to_be_a_margin_further() -> None:
    closing = Closing(12 * SECOND)
    closing.passed(None, 100 * SECOND)
    assert closing.closed == 88 * SECOND - 1


def test_what_is_closed_stays_closed() -> None:
    closing = Closing(12 * SECOND, 90 * SECOND)
    closing.passed(None, 100 * SECOND)
    assert closing.closed == 90 * SECOND
    closing.passed(None, None)
    assert closing.closed == 90 * SECOND
