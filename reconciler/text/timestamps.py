"""Points in time as text: UTC, ISO 8601, with a ``Z``."""

from __future__ import annotations

from datetime import UTC, datetime


def write_timestamp(moment: datetime, timespec: str = "seconds") -> str:
    """A point in time as text, as exact as ``timespec`` says (that of :meth:`datetime.datetime.isoformat`)."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def read_timestamp(text: str) -> datetime:
    """The point in time that a text names. One without a time zone is taken as UTC.

    Raises:
        ValueError: the text is not an ISO 8601 date and time.
    """
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
