"""The times of a session: their zone, how exact they are, and what moves ``updated_at``."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from reconciler.api.decode import read_stamp
from reconciler.api.list_page import read_page
from reconciler.doctor.context import ProbeContext
from reconciler.domain import LiveSession

#: How long (seconds) a time of whole seconds needs to change, with something to spare.
TICK: Final = 1.05

#: How far (seconds) a time may be from a whole quarter of an hour to tell the zone: zones differ by quarters.
_NEAR: Final = 120

_QUARTER: Final = 900

#: Writes that are listed this long (seconds) after their time, one later than another, are listed at once.
_SOON: Final = 2.0

_FULL: Final = "a list that is kept for long is read as a whole each time"


def zone(context: ProbeContext, live: LiveSession) -> None:
    """The time zone of sessions' times, from a session that was created a moment ago."""
    text = str(live.row.get("created_at") or "")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        context.report(
            "times", "unknown", f"created_at is not a date and time: {text!r}" if text else "there are none"
        )
        return
    exact = "to fractions of a second" if moment.microsecond else "to the second"
    if moment.tzinfo is not None:
        context.report("times", "ok", f"say their zone, {exact}")
        return
    apart = (moment.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
    quarters = round(apart / _QUARTER)
    if abs(apart - quarters * _QUARTER) > _NEAR:
        follows = "is the clock of this machine right?"
        context.report("times", "unknown", f"{abs(apart):.0f} s from ours: in no zone that there is", follows)
        return
    name = timezone(timedelta(seconds=quarters * _QUARTER)).tzname(None).removeprefix("UTC") or "+00:00"
    verdict = context.learned.learn_service(time_zone=name)
    context.report("times", verdict, f"are in the zone {name}, without saying so, {exact}")


def note_times(context: ProbeContext) -> None:
    """Keep ``updated_at`` as it is after the last update, until the clock of the service has moved on."""
    limiter = context.client.limiter
    live = context.session.require_listed()
    context.times.append(str(live.row.get("updated_at") or ""))
    if context.times[-1]:
        context.progress("whether updated_at moves")
        limiter.sleep(TICK)


def moved_times(context: ProbeContext) -> None:
    """What moves ``updated_at``: an update, a new message, or neither."""
    created, before = context.times
    if not before:
        context.report("updated_at", "unknown", "the list does not show it")
        return
    messages = str(context.session.require_listed().row.get("updated_at"))
    updated = messages
    if context.update is not None:
        updated = str(context.apply_update({})[1].row.get("updated_at"))
    if messages != before:
        fact, seen = "messages", "moves with an update and with a new message"
    elif updated not in (created, before):
        fact, seen = "updates", "moves with an update, not with a new message"
    elif context.update is None:
        context.report("updated_at", "unknown", "does not move with a new message; there is no update to try")
        return
    else:
        fact, seen = "never", "does not move"
    context.report("updated_at", context.learned.learn_service(updated_at=fact), seen)
    if fact != "never":
        _exactness(context, before)
        _order(context)


def _exactness(context: ProbeContext, before: str) -> None:
    """How exact ``updated_at`` is, and how much later than it says a change may be listed."""
    unit = _unit([before, str(context.session.require_listed().row.get("updated_at"))])
    late = [shown - stamp / 1e6 for shown, stamp in context.stamps]
    if unit is None or not late:
        context.report("exactness of updated_at", "unknown", f"is not a date and time: {before!r}", _FULL)
        return
    spread = max(late) - min(late) - unit
    lag = 0 if spread < _SOON else math.ceil(spread)  # less is how long the calls take
    verdict = context.learned.learn_service(updated_at_seconds=unit)
    context.learned.learn_service(updated_at_lag=lag)  # another lag, like another delay, is no other service
    seen = f"to {unit} s" if unit else "to fractions of a second"
    context.report(
        "exactness of updated_at",
        verdict,
        seen + (f"; listed up to {lag} s later than it says" if lag else ""),
    )


def _unit(texts: list[str]) -> int | None:
    """The unit, in seconds, of two different times; 0 for fractions of a second; None if they are no times."""
    try:
        times = [datetime.fromisoformat(text) for text in texts]
    except ValueError:
        return None
    if any(time.microsecond for time in times):
        return 0
    if any(time.second for time in times):
        return 1
    return 60 if any(time.hour or time.minute for time in times) else 86_400


def _order(context: ProbeContext) -> None:
    """Whether the list can be ordered by ``updated_at``. If not, no ordering gives both of what is asked for here."""
    client = context.client
    size = context.learned.operation("list_sessions").page_size
    pages = []
    for ordering in ("updated_at", "-updated_at"):
        page = read_page(client, {"ordering": ordering, "page": 1, "size": size})
        lives = page[1] if page else []
        pages.append([read_stamp(live.row, client.contract.session) for live in lives])
    rising, falling = ([one for one in stamps if one is not None] for stamps in pages)
    if len({*rising, *falling}) < 2:
        seen = "there are no two sessions that were changed at different times"
        context.report("ordering by updated_at", "unknown", seen, _FULL)
        return
    honoured = rising == sorted(rising) and falling == sorted(falling, reverse=True)
    verdict = context.learned.learn_service(updated_at_order="honoured" if honoured else "ignored")
    if honoured:
        context.report("ordering by updated_at", verdict, "ascending and descending")
    else:
        seen = "the list is not in the requested order"
        context.report("ordering by updated_at", verdict, seen, _FULL)
