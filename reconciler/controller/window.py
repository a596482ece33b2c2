"""Windows of time in which changes may be written: ``Mon-Fri 09:00-17:00 Asia/Shanghai``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from reconciler.errors import UsageError

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_EXAMPLE: Final = (
    "write it as `Mon-Fri 09:00-17:00 Asia/Shanghai`; days and zone may be left out (every day, UTC)"
)
_FORM: Final = re.compile(
    r"(?:(?P<days>[A-Za-z,-]+) +)?(?P<start>\d\d:\d\d)-(?P<end>\d\d:\d\d)(?: +(?P<zone>[A-Za-z0-9/_+-]+))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Window:
    """A span of the day on some days of the week (0 is Monday), on the clocks of a time zone.

    A span whose end is not after its start goes on until that time of the next day. ``text`` is how it was written.
    """

    text: str
    days: frozenset[int]
    start: time
    end: time
    zone: ZoneInfo

    def open_at(self, moment: datetime) -> bool:
        """Whether changes may be written at a moment (with a time zone)."""
        return any(start <= moment < end for start, end in self._spans(moment))

    def next_open(self, moment: datetime) -> datetime:
        """The first moment from this one on at which the window is open, in UTC."""
        if self.open_at(moment):
            return moment.astimezone(UTC)
        return min(start for start, _ in self._spans(moment) if start > moment)

    def _spans(self, moment: datetime) -> list[tuple[datetime, datetime]]:
        """The spans from the day before a moment to a week after it, in UTC."""
        today = moment.astimezone(self.zone).date()
        days = (today + timedelta(days=number) for number in range(-1, 9))
        return [self._span(day) for day in days if day.weekday() in self.days]

    def _span(self, day: date) -> tuple[datetime, datetime]:
        last = day if self.end > self.start else day + timedelta(days=1)
        start, end = (
            datetime.combine(when, clock, self.zone).astimezone(UTC)
            for when, clock in ((day, self.start), (last, self.end))
        )
        return start, end


def parse_window(text: str) -> Window:
    """Read a window.

    Raises:
        UsageError: the text is none.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not a window of time", _EXAMPLE)
    try:
        start, end = time.fromisoformat(match["start"]), _end(match["end"])
    except ValueError:
        raise UsageError(f"{text!r} names a time that no day has", _EXAMPLE) from None
    days = _days(match["days"] or "Mon-Sun", text)
    zone = match["zone"] or "UTC"
    try:
        known = ZoneInfo(zone)
    except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError with no file
        raise UsageError(f"{zone!r} is not a time zone", _EXAMPLE) from None
    except KeyError:
        raise UsageError(f"there is no time zone {zone!r} on this machine", _EXAMPLE) from None
    return Window(text, days, start, end, known)


def _end(text: str) -> time:
    return time(0) if text == "24:00" else time.fromisoformat(text)


def _days(text: str, whole: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        try:
            start = _DAYS.index(first.title())
            end = _DAYS.index(last.title()) if dash else start
        except ValueError:
            raise UsageError(f"{whole!r} names a day that is none of {', '.join(_DAYS)}", _EXAMPLE) from None
        found |= {(start + number) % 7 for number in range((end - start) % 7 + 1)}
    return frozenset(found)
