"""The times of a session: their zone, how exact they are, and what moves ``updated_at``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from reconciler.doctor.context import ProbeContext
from reconciler.domain import LiveSession

#: How long (seconds) a time of whole seconds needs to change, with something to spare.
TICK: Final = 1.05

#: How far (seconds) a time may be from a whole quarter of an hour to tell the zone: zones differ by quarters.
_NEAR: Final = 120

_QUARTER: Final = 900


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
