"""Waits until something can be seen. The rate limiter has the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from reconciler.api.rate_limit import RateLimiter
from reconciler.api.retry import backoff


def poll(limiter: RateLimiter, seconds: float, *, base: float = 0.2, cap: float = 2.0) -> Iterator[None]:
    """Yields whenever it is time to look again: at once, then after growing pauses, and finally after ``seconds``.

    ``base`` is the first pause, ``cap`` the longest one (seconds).

    Raises:
        Interrupted: the run was asked to stop.
    """
    until = limiter.now() + seconds
    return poll_until(limiter, lambda: until, base=base, cap=cap)


def poll_until(
    limiter: RateLimiter, until: Callable[[], float], *, base: float = 0.2, cap: float = 2.0
) -> Iterator[None]:
    """Like :func:`poll`. ``until`` is called after each look, and returns the end by the limiter's clock."""
    attempt = 1
    while True:
        yield
        left = until() - limiter.now()
        if left <= 0:
            return
        limiter.sleep(min(left, backoff(attempt, base=base, cap=cap)))
        attempt += 1
