"""Polling until a time limit, and the pauses before a retry. The clock is injected."""

from __future__ import annotations

import pytest

from reconciler.api.errors import ApiError
from reconciler.api.polling import poll, poll_until
from reconciler.api.retry import pause_before_retry
from tests.support import Still


def test_one_looks_at_once_then_after_growing_pauses_and_once_at_the_end() -> None:
    limiter = Still()
    looked = [limiter.now() for _ in poll(limiter, 30)]
    assert looked[0] == 0.0
    assert looked[-1] == pytest.approx(30)
    for pause, longest in zip(limiter.slept, (0.2, 0.4, 0.8, 1.6, 2.0, 2.0), strict=False):
        assert longest / 2 <= pause <= longest


def test_no_patience_is_one_look() -> None:
    limiter = Still()
    assert len(list(poll(limiter, 0))) == 1
    assert limiter.slept == []


def test_a_look_takes_from_the_patience() -> None:
    limiter = Still()
    looks = 0
    for _ in poll(limiter, 5):
        looks += 1
        limiter.sleep(4)  # the look itself
    assert looks == 2  # the second one ends after 8 seconds


def test_the_end_may_move_with_what_was_seen() -> None:
    limiter = Still()
    end = [1.0]
    for _ in poll_until(limiter, lambda: end[0]):
        if limiter.now() >= 1:
            end[0] = 3.0
    assert limiter.now() == pytest.approx(3)


def failed(*, passing: bool = True, retry_after: float | None = None) -> ApiError:
    return ApiError("create_session", "HTTP 503", http_status=503, passing=passing, retry_after=retry_after)


def test_what_may_pass_is_tried_again_after_a_pause() -> None:
    limiter = Still()
    assert pause_before_retry(limiter, failed(), attempt=1, tries=3)
    assert pause_before_retry(limiter, failed(), attempt=2, tries=3)
    assert not pause_before_retry(limiter, failed(), attempt=3, tries=3)
    assert len(limiter.slept) == 2


def test_what_does_not_pass_is_not_tried_again() -> None:
    limiter = Still()
    assert not pause_before_retry(limiter, failed(passing=False), attempt=1, tries=3)
    assert limiter.slept == []


def test_a_pause_that_the_server_asks_for_is_left_to_the_rate_limiter() -> None:
    limiter = Still()
    assert pause_before_retry(limiter, failed(retry_after=7.0), attempt=1, tries=3)
    assert limiter.slept == []
