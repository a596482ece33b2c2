"""Failures that are tried again: how often in a row, since when, and when next."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from reconciler.api.errors import ApiError
from reconciler.controller.backoff import Backoff
from reconciler.controller.clock import Clock
from reconciler.controller.status import Failure
from reconciler.errors import ReconcilerError

#: No key, a wrong one, or no points: only a person can change that, and each attempt is a call.
_REFUSED: Final = frozenset({401, 402, 403, 406})
_SLOWLY: Final = Backoff(first=60.0, most=900.0)
#: The service is down, throttles, or can't be reached: it should be noticed soon when that is over.
_SERVICE: Final = Backoff(first=5.0, most=120.0)
_THROTTLED: Final = Backoff(first=15.0, most=300.0)
#: Everything else: a catalog that can't be read, a git remote that is gone, a disk that is full.
_OTHER: Final = Backoff(first=5.0, most=300.0)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Attempts that failed in a row. ``at`` is when the next one is due, by the monotonic clock (seconds)."""

    message: str
    hint: str
    since: datetime
    failures: int
    at: float
    next_attempt: datetime
    refused_key: bool = False

    def failure(self) -> Failure:
        """The trouble as the status shows it."""
        return Failure(self.message, self.hint, self.since, self.failures, self.next_attempt)


def of_account(error: BaseException) -> bool:
    """Whether an error concerns the whole account: its key, its pace, or the way to the service."""
    if not isinstance(error, ApiError):
        return False
    status = error.status
    return status in _REFUSED or status == 0 or status == 429 or status >= 500


def after(error: Exception, before: Trouble | None, clock: Clock, spread: float) -> Trouble:
    """The trouble after one more failure. ``spread`` is from -1 to 1, at random."""
    failures = 1 + (before.failures if before else 0)
    status = error.status if isinstance(error, ApiError) else -1
    asked = (error.retry_after or 0.0) if isinstance(error, ApiError) else 0.0
    least = asked
    if status in _REFUSED:
        backoff, least = _SLOWLY, max(asked, _SLOWLY.first)  # never more than one call a minute
    elif status == 429:
        backoff = _THROTTLED
    else:
        backoff = _SERVICE if of_account(error) else _OTHER
    wait = backoff.wait(failures, at_least=least, spread=spread)
    now = clock.now()
    message, hint = described(error)
    return Trouble(
        message,
        hint,
        before.since if before else now,
        failures,
        clock.monotonic() + wait,
        now + timedelta(seconds=wait),
        refused_key=status in _REFUSED,
    )


def described(error: Exception) -> tuple[str, str]:
    """An error in one sentence, and what to do about it. An error that nobody expected is told by its place only: its
    text might be anything."""
    if not isinstance(error, ReconcilerError):
        last = traceback.extract_tb(error.__traceback__)[-1:]
        place = f" in {last[0].name}, line {last[0].lineno}" if last else ""
        return f"unexpected error: {type(error).__name__}{place}", "this is a bug: please report it"
    first, *others = error.problems
    text = f"{first.place}: {first.message}" if first.place else first.message
    more = f" (and {len(others)} more)" if others else ""
    return text + more, first.hint or next((one.hint for one in others if one.hint), "")
