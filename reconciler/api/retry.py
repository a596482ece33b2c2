"""Whether a failed call is retried, and how long to wait before that."""

from __future__ import annotations

import random

from reconciler.api.errors import ApiError
from reconciler.api.rate_limit import RateLimiter


def backoff(attempt: int, base: float = 0.25, cap: float = 8.0) -> float:
    """The pause before a retry, after this attempt (from 1). It grows, and is random, so that callers spread."""
    longest = min(cap, base * 2.0 ** (attempt - 1))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - not a secret


def pause_before_retry(limiter: RateLimiter, error: ApiError, attempt: int, tries: int) -> bool:
    """Wait before a failed call is retried. Returns False at once if it should not be retried.

    ``attempt`` is the number of the failed try, from 1. If the server asked for a pause, the rate limiter keeps it, for
    every caller.

    Raises:
        Interrupted: the run was asked to stop.
    """
    if not error.passing or attempt >= tries:
        return False
    if error.retry_after is None:
        limiter.sleep(backoff(attempt))
    return True
