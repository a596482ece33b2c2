"""Windows of time for writes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controller.backoff import Backoff
from reconciler.controller.window import parse_window
from reconciler.errors import UsageError


def _utc(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)  # the 2nd is a Monday


@pytest.mark.parametrize(
    ("text", "moment", "opened"),
    [
        ("Mon-Fri 09:00-17:00 Asia/Shanghai", _utc(2, 1), True),
        ("Mon-Fri 09:00-17:00 Asia/Shanghai", _utc(2, 0, 59), False),
        ("Mon-Fri 09:00-17:00 Asia/Shanghai", _utc(2, 9), False),
        ("Mon-Fri 09:00-17:00 Asia/Shanghai", _utc(7, 3), False),
        ("09:00-17:00", _utc(7, 9), True),
        ("00:00-24:00", _utc(7, 23, 59), True),
        ("Sat,Sun 00:00-24:00", _utc(7, 12), True),
        ("sat,sun 00:00-24:00", _utc(9, 0), False),
        ("Fri-Mon 10:00-11:00", _utc(8, 10), True),
        ("Fri-Mon 10:00-11:00", _utc(3, 10), False),
        ("Mon 22:00-02:00", _utc(3, 1, 59), True),
        ("Mon 22:00-02:00", _utc(3, 2), False),
        ("Mon 22:00-02:00", _utc(2, 1), False),
    ],
)
def test_when_a_window_is_open(text: str, moment: datetime, opened: bool) -> None:
    assert parse_window(text).open_at(moment) is opened


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nine to five", "'nine to five' is not a window of time"),
        ("25:00-26:00", "'25:00-26:00' names a time that no day has"),
        (
            "Mon-Fry 09:00-17:00",
            "'Mon-Fry 09:00-17:00' names a day that is none of Mon, Tue, Wed, Thu, Fri, Sat, Sun",
        ),
        ("09:00-17:00 Mars/Olympus", "there is no time zone 'Mars/Olympus' on this machine"),
    ],
)
def test_what_is_no_window_is_told(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_window(text)
    assert "Mon-Fri 09:00-17:00 Asia/Shanghai" in caught.value.problems[0].hint


def test_the_hour_that_a_clock_skips_is_no_hole() -> None:
    """Clocks in Berlin go from 02:00 to 03:00 on the 29th."""
    window = parse_window("Sun 01:00-04:00 Europe/Berlin")
    assert [window.open_at(_utc(29, hour)) for hour in (0, 1, 2)] == [True, True, False]


@given(
    st.sampled_from(
        ["Mon-Fri 09:00-17:00 Asia/Shanghai", "Mon 22:00-02:00", "Sat,Sun 00:00-24:00", "03:00-03:30"]
    ),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
)
def test_a_window_is_open_when_it_says_that_it_will_be(text: str, moment: datetime) -> None:
    window = parse_window(text)
    begin = window.next_open(moment)
    assert begin >= moment
    assert window.open_at(begin)
    assert begin == moment or not window.open_at(begin - timedelta(microseconds=1))


def test_waits_grow_to_a_limit() -> None:
    backoff = Backoff(first=5, most=60)
    assert [backoff.wait(number) for number in (1, 2, 3, 4, 5, 10_000)] == [5, 10, 20, 40, 60, 60]
    assert backoff.wait(1, at_least=30) == 30
    assert backoff.wait(1, spread=1) == 5.5
