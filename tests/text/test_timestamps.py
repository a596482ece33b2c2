"""Timestamps as text, and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.text.timestamps import read_timestamp, write_timestamp


def test_a_timestamp_is_in_utc_whatever_the_time_zone() -> None:
    moment = datetime(2026, 5, 13, 20, 4, 5, 678_000, timezone(timedelta(hours=8)))
    assert write_timestamp(moment) == "2026-05-13T12:04:05Z"
    assert write_timestamp(moment, "milliseconds") == "2026-05-13T12:04:05.678Z"


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_was_written_is_read(moment: datetime) -> None:
    assert read_timestamp(write_timestamp(moment, "microseconds")) == moment


def test_a_text_without_a_time_zone_is_utc() -> None:
    assert read_timestamp("2026-05-13T12:04:05") == datetime(2026, 5, 13, 12, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "None", "2026-13-01T00:00:00Z"])
def test_anything_else_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text is the interpreter's
        read_timestamp(text)
