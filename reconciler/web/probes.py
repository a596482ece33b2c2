"""What ``/healthz`` and ``/readyz`` say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from reconciler.controller.states import LASTING
from reconciler.controller.status import Status, WatchedStatus

#: How late a look may be before the process counts as stuck: as much as the longest wait after a failure.
OVERDUE: Final = timedelta(minutes=15)


def on_time(status: Status, now: datetime) -> bool:
    """Whether no look is long overdue although nothing is under way for its account."""
    busy = {one.account for one in status.catalogs if one.state not in LASTING}
    return not any(
        one.next_look is not None and now - one.next_look > OVERDUE
        for one in status.catalogs
        if one.account not in busy and one.state != "Suspended"
    )


def all_attempted(status: Status) -> bool:
    """Whether each catalog was looked at, successfully or not."""
    return all(map(_attempted, status.catalogs))


def _attempted(one: WatchedStatus) -> bool:
    tried = one.last_look is not None or one.failure is not None
    return tried or one.standby or one.state == "Suspended"


@dataclass(frozen=True, slots=True)
class Probes:
    """``ready`` says whether the process does what it was started for, ``works`` whether nothing is stuck: a process
    that does not work is restarted."""

    ready: Callable[[Status], bool] = all_attempted
    works: Callable[[Status, datetime], bool] = on_time


#: The probes of ``reconciler watch``.
WATCHER: Final = Probes()
