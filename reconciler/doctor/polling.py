"""Waiting: for a list to show something, and for trouble to pass. All loops of the doctor that pause are here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from reconciler.api.client import Client, Reply
from reconciler.api.errors import ApiError
from reconciler.api.rate_limit import backoff
from reconciler.contract import Operation

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Polled(Generic[T]):
    """The last value that was seen, after how long (seconds), and how many times it was read."""

    value: T
    seconds: float
    attempts: int


def poll(client: Client, read: Callable[[], T], done: Callable[[T], bool], *, timeout: float) -> Polled[T]:
    """Read a value until it is as wanted, or until the time (seconds) is up. It is read at least once."""
    started = time.monotonic()
    attempts = 0
    while True:
        attempts += 1
        value = read()
        waited = time.monotonic() - started
        if done(value) or waited >= timeout:
            return Polled(value, waited, attempts)
        client.limiter.sleep(min(timeout - waited, backoff(attempts, base=0.05, cap=1.0)))


def call_with_retries(
    client: Client,
    operation: Operation,
    fields: Mapping[str, Any],
    *,
    retry: Callable[[ApiError], bool],
    session: str = "",
) -> Reply:
    """Send a call, and send it again while ``retry`` says so of the error, up to the client's number of tries."""
    attempt = 1
    while True:
        reply = client.call(operation, fields, session=session)
        if reply.error is None or attempt >= client.tries or not retry(reply.error):
            return reply
        client.limiter.sleep(reply.error.retry_after or backoff(attempt))
        attempt += 1
