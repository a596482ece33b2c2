"""A write is sent until its outcome is certain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.api.client import Client
from reconciler.api.endpoint import Endpoint
from reconciler.api.errors import ApiError
from reconciler.api.send import Found, Sent, send_until_certain
from tests.support import CONTRACT, Still

REFUSED = ApiError("create_session", "HTTP 422", outcome="not done", http_status=422)
LIMITED = ApiError("create_session", "HTTP 429", outcome="not done", http_status=429, passing=True)
UNAVAILABLE = ApiError("create_session", "HTTP 503", http_status=503, passing=True)
FAILED = ApiError("create_session", "HTTP 500", http_status=500, passing=True)
CUT = ApiError("create_session", "the connection was cut", passing=True)


def client() -> Client:
    return Client(Endpoint("local", "http://127.0.0.1:1"), CONTRACT, tries=3, limiter=Still())


def sending(*answers: ApiError | str) -> tuple[Callable[[], Any], list[ApiError | str]]:
    """A call with these answers, the last one again and again, and the list of those that were given."""
    given: list[ApiError | str] = []

    def send() -> str:
        answer = answers[min(len(given), len(answers) - 1)]
        given.append(answer)
        if isinstance(answer, ApiError):
            raise answer
        return answer

    return send, given


def never(error: ApiError) -> Found:
    raise AssertionError(f"nobody had to look: {error}")


def test_what_is_answered_is_done() -> None:
    send, given = sending("made")
    assert send_until_certain(client(), send, never, repeatable=False) == Sent("done", "made")
    assert len(given) == 1


@pytest.mark.parametrize(("error", "times"), [(REFUSED, 1), (LIMITED, 6)])
def test_what_was_not_done_needs_no_look(error: ApiError, times: int) -> None:
    """A server that asks for pauses is given twice as many tries."""
    send, given = sending(error)
    assert send_until_certain(client(), send, never, repeatable=False) == Sent("not done", error=error)
    assert len(given) == times


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("error", [UNAVAILABLE, FAILED, CUT], ids=lambda error: error.what)
def test_what_was_done_is_found_and_not_sent_again(error: ApiError, repeatable: bool) -> None:
    send, given = sending(error)
    sent = send_until_certain(client(), send, lambda _: Found("done", 7), repeatable=repeatable)
    assert sent == Sent("done", session_id=7)
    assert len(given) == 1


@pytest.mark.parametrize(
    ("error", "repeatable", "again"),
    [(CUT, True, True), (CUT, False, False), (FAILED, False, False), (UNAVAILABLE, False, True)],
)
def test_what_is_not_found_is_sent_again_where_that_does_no_harm(
    error: ApiError, repeatable: bool, again: bool
) -> None:
    """A create that may still turn into a session is not sent again, unless a 503 says that nothing was done."""
    send, given = sending(error, "made")
    sent = send_until_certain(client(), send, lambda _: Found("not done"), repeatable=repeatable)
    assert sent == (Sent("done", "made") if again else Sent("unknown", error=error))
    assert len(given) == 1 + again


def test_what_nobody_can_tell_is_not_sent_again() -> None:
    send, given = sending(UNAVAILABLE)
    sent = send_until_certain(client(), send, lambda _: Found("unknown"), repeatable=True)
    assert sent == Sent("unknown", error=UNAVAILABLE)
    assert len(given) == 1


def test_without_a_look_it_is_sent_again_and_stays_unknown() -> None:
    send, given = sending(CUT)
    assert send_until_certain(client(), send, None, repeatable=True) == Sent("unknown", error=CUT)
    assert len(given) == 3


def test_what_was_looked_for_after_the_last_try_was_not_done() -> None:
    send, given = sending(CUT)
    sent = send_until_certain(client(), send, lambda _: Found("not done"), repeatable=True)
    assert sent == Sent("not done", error=CUT)
    assert len(given) == 3
