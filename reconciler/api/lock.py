"""A lock that needs nothing but the session API: applies of one catalog exclude each other.

A lock is a session of its own, tagged as one. Whoever wants to write makes a ticket, and the server's growing
``session_id`` decides: the lowest ticket that has not expired holds the lock. A ticket carries its holder and an
expiry, renewed while the run lives; one that expired is removed by whoever waits behind it.

What it guarantees: with clocks that agree to within :data:`SKEW` and a list that shows a session as soon as it was
made, at most one run writes at a time. What it does not: where lists lag, two runs may each miss the other's ticket; a
run that is stopped by the system for longer than its expiry may have one write under way when it is overtaken. Both
end as two applies without a lock would: the next apply converges, with nothing twice and nothing lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler.api.client import Client
from reconciler.api.errors import ApiError
from reconciler.api.listing import list_sessions
from reconciler.api.pace import pause_before
from reconciler.contract import Contract
from reconciler.errors import ReconcilerError, Refused
from reconciler.model import LiveSession
from reconciler.remark import compose_lock, remark_size

#: How long a ticket is good for (seconds) without being renewed; it is renewed three times in that time.
TTL = 60.0

#: How far two clocks may be apart (seconds).
SKEW = 30.0

#: How often to look whether a ticket's turn has come (seconds).
_LOOK = 2.0


@dataclass(frozen=True, slots=True)
class Ticket:
    """A lock session: ``holder`` says who made it, ``expires`` until when it is good."""

    session_id: int
    holder: str
    expires: datetime

    @property
    def expired(self) -> bool:
        """Whether its holder must be dead."""
        return datetime.now(UTC) > self.expires + timedelta(seconds=SKEW)


def tickets(client: Client, catalog: str, environment: str | None) -> list[Ticket]:
    """The tickets of a catalog and environment, the holder's first."""
    found = []
    for live in list_sessions(client, name=_name(catalog, environment)):
        lock = live.remark.lock
        if lock is not None and lock.get("catalog") == catalog and lock.get("environment") == environment:
            found.append(_ticket(live, lock))
    return found


def remove(client: Client, ticket: Ticket) -> None:
    """Take a ticket away.

    Raises:
        ApiError: it could not be removed.
    """
    try:
        client.write(
            "delete_session", {"session_id": ticket.session_id}, session=f"lock #{ticket.session_id}"
        )
    except ApiError as error:
        if error.status != 404:
            raise


@contextmanager
def locked(
    client: Client,
    catalog: str,
    environment: str | None,
    *,
    holder: str,
    timeout: float,
    on_wait: Callable[[Ticket], None],
    ttl: float = TTL,
) -> Iterator[Callable[[], bool]]:
    """Hold the lock for the block; gives a function that says whether it is still held.

    ``timeout`` is how long (seconds) to wait for another holder; ``on_wait`` is told who that is, once each.

    Raises:
        Refused: somebody else held it for longer than that, or the service is known not to be able to hold one.
        ReconcilerError: the ticket could not be made.
    """
    _refuse_if_unable(client.contract, catalog, environment, holder)
    calls = client.unstoppable()  # a run that is asked to stop still gives its lock back
    mine = _draw(calls, catalog, environment, holder, ttl)
    lock = _Held(calls, mine, catalog, environment, holder, ttl)
    lock.start()
    try:
        _wait_for_turn(client, mine, catalog, environment, timeout, on_wait, lock)
        yield lock.held
    finally:
        lock.stop()
        _drop(calls, catalog, environment, holder)


def _wait_for_turn(
    client: Client,
    mine: Ticket,
    catalog: str,
    environment: str | None,
    timeout: float,
    on_wait: Callable[[Ticket], None],
    lock: _Held,
) -> None:
    until = time.monotonic() + timeout
    told: set[int] = set()
    attempt = 1
    while True:
        queue = tickets(client, catalog, environment)
        for ticket in queue:
            if ticket.session_id < mine.session_id and ticket.expired:
                remove(client, ticket)
        ahead = [one for one in queue if one.session_id < mine.session_id and not one.expired]
        seen = any(one.session_id == mine.session_id for one in queue)
        if seen and not ahead:
            return
        if not lock.held():
            raise Refused("the lock was broken by hand while this run waited for it", "run the command again")
        if ahead and ahead[0].session_id not in told:
            told.add(ahead[0].session_id)
            on_wait(ahead[0])
        left = until - time.monotonic()
        if left <= 0:
            if not ahead:
                raise ReconcilerError(
                    "the lock was made, and does not show in the list", "run the command again"
                )
            raise Refused(
                f"locked by {ahead[0].holder} (#{ahead[0].session_id}, good until {_text(ahead[0].expires)})",
                "wait with --lock-timeout SECONDS, or, if that run is dead, break it with: reconciler unlock",
            )
        client.pace.sleep(min(left, _LOOK, pause_before(attempt)))
        attempt += 1


def _refuse_if_unable(contract: Contract, catalog: str, environment: str | None, holder: str) -> None:
    create = contract.operation("create_session")
    size = remark_size(_remark(catalog, environment, holder, datetime.now(UTC)))
    missing = [name for name in ("update_session", "delete_session") if name not in contract.operations]
    if missing:
        reason = f"has no call for {missing[0]}"
    elif "remark" in create.ignores:
        reason = "takes no session_remark when it makes a session"
    elif create.remark_limit is not None and size > create.remark_limit:
        reason = f"keeps {create.remark_limit} bytes of session_remark, and a lock needs {size}"
    else:
        return
    raise Refused(
        f"no lock can be made: the service {reason}",
        "apply with --no-lock, and let something else keep two applies apart, such as a concurrency group in CI",
    )


def _draw(client: Client, catalog: str, environment: str | None, holder: str, ttl: float) -> Ticket:
    """Make a ticket. One whose answer is lost is found by its holder, which is different for each run."""
    expires = datetime.now(UTC) + timedelta(seconds=ttl)
    fields = {
        "name": _name(catalog, environment),
        "model": "deepseek-chat",
        "prompt": "This is a lock of reconciler, not a persona. It goes away by itself.",
        "remark": _remark(catalog, environment, holder, expires),
    }
    attempt = 1
    while True:
        try:
            client.write("create_session", fields, session="the lock")
        except ApiError as error:
            if error.outcome == "not done" and not (error.passing and attempt < client.tries):
                raise
            client.pace.sleep(error.retry_after or pause_before(attempt))
        for _ in range(client.tries):
            mine = [one for one in tickets(client, catalog, environment) if one.holder == holder]
            if mine:
                return mine[0]
            client.pace.sleep(pause_before(1))
        attempt += 1
        if attempt > client.tries:
            raise ReconcilerError(
                "the lock could not be made, or does not show in the list", "run the command again"
            )


def _drop(client: Client, catalog: str, environment: str | None, holder: str) -> None:
    """Give every ticket of this run back: there are two where an answer was lost."""
    try:
        for ticket in tickets(client, catalog, environment):
            if ticket.holder == holder:
                remove(client, ticket)
    except ReconcilerError:
        return  # it expires by itself


class _Held:
    """Renews a ticket in a thread of its own for as long as the run lives."""

    def __init__(
        self, client: Client, mine: Ticket, catalog: str, environment: str | None, holder: str, ttl: float
    ) -> None:
        self._client, self._mine, self._ttl = client, mine, ttl
        self._scope = (catalog, environment, holder)
        self._ended = threading.Event()
        self._good_until = time.monotonic() + ttl
        self._thread = threading.Thread(target=self._renew, name="lock", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def held(self) -> bool:
        """Whether the ticket is good, by this machine's own clock."""
        return time.monotonic() < self._good_until

    def _renew(self) -> None:
        while not self._ended.wait(self._ttl / 3):
            started = time.monotonic()
            expires = datetime.now(UTC) + timedelta(seconds=self._ttl)
            fields = {"session_id": self._mine.session_id, "remark": _remark(*self._scope, expires)}
            try:
                self._client.write("update_session", fields, session="the lock")
                self._good_until = started + self._ttl
            except ApiError as error:
                if error.status == 404:  # broken by hand, or taken for dead
                    self._good_until = started
                    return
            except Exception:  # noqa: S112 - the next turn tries again; if none works, the ticket runs out
                continue


def _name(catalog: str, environment: str | None) -> str:
    return f"reconciler lock: {catalog}" + (f"@{environment}" if environment else "")


def _remark(catalog: str, environment: str | None, holder: str, expires: datetime) -> str:
    return compose_lock(
        {"catalog": catalog, "environment": environment, "holder": holder, "expires": _text(expires)}
    )


def _ticket(live: LiveSession, lock: Mapping[str, Any]) -> Ticket:
    try:
        expires = datetime.fromisoformat(str(lock.get("expires")))
        expires = expires if expires.tzinfo else expires.replace(tzinfo=UTC)
    except ValueError:
        expires = datetime.fromtimestamp(0, UTC)  # a ticket that nobody can read is nobody's
    return Ticket(live.session_id, str(lock.get("holder")), expires)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
