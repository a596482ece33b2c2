"""Waiting: for something to show, and before a call is sent again. The rate limiter has the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from reconciler.api.errors import ApiError
from reconciler.api.rate_limit import RateLimiter, backoff


def poll(limiter: RateLimiter, seconds: float, *, base: float = 0.2, cap: float = 2.0) -> Iterator[None]:
    """Turns to look for something: at once, then after growing pauses, and for the last time after ``seconds``.

    ``base`` is the first pause, ``cap`` the longest one (seconds).

    Raises:
        Interrupted: the run was asked to stop.
    """
    until = limiter.now() + seconds
    return poll_until(limiter, lambda: until, base=base, cap=cap)


def poll_until(
    limiter: RateLimiter, until: Callable[[], float], *, base: float = 0.2, cap: float = 2.0
) -> Iterator[None]:
    """Turns as in :func:`poll`. ``until`` says after each of them when the last one is, by the limiter's clock."""
    attempt = 1
    while True:
        yield
        left = until() - limiter.now()
        if left <= 0:
            return
        limiter.sleep(min(left, backoff(attempt, base=base, cap=cap)))
        attempt += 1


def pause_before_retry(limiter: RateLimiter, error: ApiError, attempt: int, tries: int) -> bool:
    """Wait before a failed call is sent again. False, without a wait, where it should not be.

    ``attempt`` says which try failed, from 1 on. A pause that the server asked for is kept by the rate limiter, which
    holds back every caller.

    Raises:
        Interrupted: the run was asked to stop.
    """
    if not error.passing or attempt >= tries:
        return False
    if error.retry_after is None:
        limiter.sleep(backoff(attempt))
    return True
