"""A lock that needs nothing but the session API: applies of one catalog exclude each other.

A run that wants to write creates a ticket, which is a session tagged as a lock. The server's growing ``session_id``
decides: the lowest ticket that has not expired holds the lock. A ticket names its holder and an expiry time, which is
renewed while the run lives. A run that waits removes the expired tickets before its own.

The guarantee: if clocks agree to within :data:`SKEW` and the list shows a session as soon as it was created, at most
one run writes at a time. There are three limits:

- Where lists lag, two runs may each miss the other's ticket.
- A run that the system suspends for longer than its expiry may have one write under way when it is overtaken.
- A run whose lock is broken by hand goes on until its next renewal, at most :data:`RENEW` seconds later by default.

Whoever knows that a holder is dead need not wait for its ticket to expire (``dead``).

All three end as two applies without a lock would: the next apply converges, with nothing doubled and nothing lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from reconciler.api.addressing import Address, Addressable, address
from reconciler.api.cancellation import Interrupted
from reconciler.api.client import Client
from reconciler.api.decode import answered
from reconciler.api.errors import ApiError
from reconciler.api.listing import list_sessions
from reconciler.api.polling import poll_until
from reconciler.api.send import Found, send_until_certain
from reconciler.contract import Contract
from reconciler.domain import LiveSession
from reconciler.errors import ReconcilerError, Refused
from reconciler.ownership.remark import compose_lock, remark_size
from reconciler.text.paste import command
from reconciler.text.timestamps import read_timestamp, write_timestamp

#: How long a ticket is valid (seconds) without being renewed.
TTL = 60.0

#: How far apart two clocks may be (seconds).
SKEW = 30.0

#: How often a ticket is renewed (seconds), or three times in its life, whichever is sooner. Far more often than is
#: needed to keep it: a renewal is a single call, and it tells the run when its ticket is gone.
RENEW: Final = 2.0

#: How long a run that ends waits for a renewal under way (seconds). A later one finds no ticket.
_LEAVE = 2.0

_AGAIN = "run the command again"


#: The other fields of a ticket, for services whose updates have to carry all fields.
_REST: Final[Mapping[str, Any]] = {"temperature": 0.2, "max_tokens": 4000, "history_length": 4, "data": {}}


class LockHeldError(Refused):
    """Another run holds the lock."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A lock session: ``holder`` says who created it, ``expires`` until when it is valid."""

    session_id: int
    holder: str
    expires: datetime
    session_token: str | None = None

    @property
    def expired(self) -> bool:
        """Whether it was not renewed in time, so its run must be dead."""
        return datetime.now(UTC) > self.expires + timedelta(seconds=SKEW)


def tickets(client: Client, catalog: str, environment: str | None) -> list[Ticket]:
    """The tickets of a catalog and environment, the holder of the lock first."""
    return tickets_among(list_sessions(client, name=_name(catalog, environment)), catalog, environment)


def tickets_among(lives: Iterable[LiveSession], catalog: str, environment: str | None) -> list[Ticket]:
    """The tickets of a catalog and environment among these sessions, in their order."""
    found = []
    for live in lives:
        lock = live.remark.lock
        if lock is not None and lock.get("catalog") == catalog and lock.get("environment") == environment:
            found.append(_ticket(live, lock))
    return found


def remove(client: Client, ticket: Addressable) -> None:
    """Delete a ticket, with retries. Doing it twice does no harm.

    Raises:
        ApiError: it could not be removed.
        ReconcilerError: the service's delete can't name it.
    """
    fields = address(client.contract.operation("delete_session"), ticket)
    label = f"lock #{ticket.session_id}"
    sent = send_until_certain(
        client, lambda: client.write("delete_session", fields, session=label), None, repeatable=True
    )
    if sent.error is not None and sent.error.status != 404:
        raise sent.error


@contextmanager
def locked(
    client: Client,
    catalog: str,
    environment: str | None,
    *,
    holder: str,
    timeout: float,
    settle: float,
    on_wait: Callable[[Ticket], None],
    ttl: float = TTL,
    renew: float = RENEW,
    dead: Callable[[str], bool] = lambda holder: False,
) -> Iterator[Callable[[], bool]]:
    """Hold the lock during the block. Yields a function that says whether it is still held.

    ``timeout`` is how long (seconds) to wait for another holder, ``settle`` how long the list may lag behind the
    creation of a ticket. ``on_wait`` is called once for each holder that is waited for. ``dead`` says whether a holder
    is known to write no more; its ticket is removed. ``renew`` is how often (seconds) the ticket is renewed.

    Raises:
        LockHeldError: somebody else held it for longer than that.
        Refused: the service can't keep a lock.
        ReconcilerError: the ticket could not be created, or is not listed.
    """
    desk = _Desk(catalog, environment, holder, ttl, settle)
    _refuse_if_unable(client.contract, desk)
    try:
        mine = desk.draw(client)
        lock = _Held(client.uncancellable(), desk, mine, min(renew, ttl / 3))
        lock.start()
        try:
            _wait_for_turn(client, desk, mine, timeout, on_wait, lock, dead)
            yield lock.held
        finally:
            lock.stop()
            if lock.gone:
                desk.drawn.pop(mine, None)
    finally:
        desk.give_back(client.uncancellable())  # a run that is asked to stop still does that


class _Desk:
    """The tickets of one run: one, or several if responses were lost. All of them are given back.

    ``holder`` is different for each run. ``ttl`` and ``settle`` are in seconds.
    """

    def __init__(self, catalog: str, environment: str | None, holder: str, ttl: float, settle: float) -> None:
        self.catalog, self.environment, self.holder = catalog, environment, holder
        self.ttl, self.settle = ttl, settle
        self.drawn: dict[int, Addressable] = {}  # the tickets that are known, by session_id
        self._unseen = 0  # how many were requested with an outcome that is not known yet
        self._until = 0.0  # when the list must show them, if they were created (by the limiter's clock)

    def draw(self, client: Client) -> int:
        """Create a ticket, and return its session_id.

        Raises:
            ReconcilerError: it could not be created, or whether it was is unknown.
        """

        def look(error: ApiError) -> Found:
            if error.says_not_done:
                return Found("not done")
            number = self._look(client)
            return Found("not done") if number is None else Found("done", number)

        sent = send_until_certain(client, lambda: self._create(client), look, repeatable=True)
        if sent.error is not None:
            if sent.error.says_not_done:
                raise sent.error
            raise ReconcilerError(
                "the lock could not be created: no answer came, and it is not listed", _AGAIN
            )
        number: int | None = (
            sent.session_id or sent.body or self._look(client)
        )  # not every response tells the id
        if number is None:
            raise self.not_listed()
        return number

    def queue(self, client: Client) -> list[Ticket]:
        """All listed tickets, the holder of the lock first."""
        found = tickets(client, self.catalog, self.environment)
        ours = {one.session_id: one for one in found if one.holder == self.holder}
        self._unseen = max(0, self._unseen - len(ours.keys() - self.drawn.keys()))
        self.drawn |= ours
        return found

    def give_back(self, client: Client) -> None:
        """Remove every ticket of this run. What can't be removed expires by itself."""
        self._remove_drawn(client)
        with suppress(ReconcilerError):
            for _ in poll_until(client.limiter, lambda: self._until):
                if not self._unseen:
                    return
                self.queue(client)
                self._remove_drawn(client)

    def fields(self) -> dict[str, Any]:
        """The fields of a ticket that is valid from now on."""
        return {
            "name": _name(self.catalog, self.environment),
            "model": "deepseek-chat",
            "prompt": "This is a lock of reconciler, not a persona. It goes away by itself.",
            "remark": compose_lock(
                {
                    "catalog": self.catalog,
                    "environment": self.environment,
                    "holder": self.holder,
                    "expires": write_timestamp(datetime.now(UTC) + timedelta(seconds=self.ttl)),
                }
            ),
        }

    def not_listed(self) -> ReconcilerError:
        """The error for a ticket that was created but is not listed in time."""
        return ReconcilerError(
            f"the lock was created, but is not listed after {self.settle:g} s",
            "if the list lags longer than that, pass --settle=SECONDS",
        )

    def _create(self, client: Client) -> int | None:
        """Request a ticket. Returns its number if the response has it."""
        # Counted before it is sent: whatever interrupts the call, the ticket is looked for at the end.
        self._unseen += 1
        self._until = client.limiter.now() + self.settle
        try:
            body = client.write("create_session", self.fields(), session="the lock")
        except Interrupted:  # while it waited to be sent
            self._unseen -= 1
            raise
        except ApiError as error:
            if error.says_not_done:
                self._unseen -= 1
            raise
        number, _ = answered(body, client.contract.operation("create_session"), client.contract.session)
        if number is not None:
            self.drawn[number] = Address(number)
            self._unseen -= 1
        return number

    def _look(self, client: Client) -> int | None:
        """Look for a ticket whose number is in no response, for as long as the list may lag."""
        for _ in poll_until(client.limiter, lambda: self._until):
            self.queue(client)
            if self.drawn:
                return min(self.drawn)
        return None

    def _remove_drawn(self, client: Client) -> None:
        while self.drawn:
            _, ticket = self.drawn.popitem()
            with suppress(ReconcilerError):
                remove(client, ticket)


def _wait_for_turn(
    client: Client,
    desk: _Desk,
    mine: int,
    timeout: float,
    on_wait: Callable[[Ticket], None],
    lock: _Held,
    dead: Callable[[str], bool],
) -> None:
    began = client.limiter.now()
    patience = desk.settle
    told: set[int] = set()

    def until() -> float:
        return began + patience

    for _ in poll_until(client.limiter, until):
        queue = desk.queue(client)
        others = [one for one in queue if one.session_id < mine and one.holder != desk.holder]
        over = {one.session_id for one in others if one.expired or dead(one.holder)}
        for ticket in others:
            if ticket.session_id in over:
                remove(client, ticket)
        ahead = [one for one in others if one.session_id not in over]
        if not ahead and any(one.session_id == mine for one in queue):
            return
        if not lock.held():
            raise lock.lost()
        if ahead and ahead[0].session_id not in told:
            told.add(ahead[0].session_id)
            on_wait(ahead[0])
        patience = timeout if ahead else desk.settle
    raise _held_by(ahead[0], desk.environment) if ahead else desk.not_listed()


def _held_by(ticket: Ticket, environment: str | None) -> LockHeldError:
    unlock = command("unlock", environment=environment)
    return LockHeldError(
        f"locked by {ticket.holder} (#{ticket.session_id}, valid until {write_timestamp(ticket.expires)})",
        f"wait with --lock-timeout=SECONDS, or, if that run is dead, break it with: {unlock}",
    )


def _refuse_if_unable(contract: Contract, desk: _Desk) -> None:
    create = contract.operation("create_session")
    size = remark_size(desk.fields()["remark"])
    missing = [name for name in ("update_session", "delete_session") if name not in contract.operations]
    if missing:
        reason = f"has no call for {missing[0]}"
    elif "remark" in create.ignores:
        reason = "does not store session_remark on create"
    elif create.remark_limit is not None and size > create.remark_limit:
        reason = f"keeps {create.remark_limit} bytes of session_remark, and a lock needs {size}"
    else:
        return
    raise Refused(
        f"the lock can't be created: the service {reason}",
        "apply with --no-lock, and prevent concurrent applies in another way, such as a concurrency group in CI",
    )


class _Held:
    """Renews a ticket in a separate thread while the run lives.

    Only this thread uses ``client``: its waits end when the run does. ``gone`` says that the ticket was deleted.
    """

    def __init__(self, client: Client, desk: _Desk, mine: int, renew: float) -> None:
        self.gone = False
        self._client, self._desk, self._mine = client, desk, mine
        self._good_until = _in(desk.ttl)
        self._renew_every = renew
        self._thread = threading.Thread(target=self._renew, name="lock", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._client.limiter.stop.set("the run ends")
        self._thread.join(_LEAVE)

    def held(self) -> bool:
        """Whether the ticket is valid by both clocks of this machine, and was there at its last renewal."""
        return not self.gone and all(
            now < until for now, until in zip(_clocks(), self._good_until, strict=True)
        )

    def lost(self) -> ReconcilerError:
        """The error for a run that lost its ticket while it waited."""
        if self.gone:
            return Refused("the lock was broken by hand while this run waited for it", _AGAIN)
        return ReconcilerError("the lock could not be renewed while this run waited for it", _AGAIN)

    def _renew(self) -> None:
        with suppress(Interrupted):
            while not self.gone:
                self._client.limiter.stop.sleep(self._renew_every)
                self._renew_once()

    def _renew_once(self) -> None:
        until = _in(self._desk.ttl)
        try:
            self._client.write("update_session", self._payload(), session="the lock")
        except ApiError as error:
            self.gone = self._is_gone(error)
        except Exception:  # noqa: S110 - the next renewal tries again; if none works, the ticket expires
            pass
        else:
            self._good_until = until

    def _payload(self) -> dict[str, Any]:
        update = self._client.contract.operation("update_session")
        fields = self._desk.fields()
        fields = {**_REST, **fields} if update.wants_all_fields else {"remark": fields["remark"]}
        ticket = self._desk.drawn.get(self._mine) or Address(self._mine)
        return {**address(update, ticket), **fields}

    def _is_gone(self, error: ApiError) -> bool:
        """Whether a failed renewal means that the ticket is gone: not every service answers 404."""
        if error.status == 404:
            return True
        if error.outcome == "unknown" or error.passing:
            return False
        try:
            listed = tickets(self._client, self._desk.catalog, self._desk.environment)
        except ReconcilerError:
            return False
        return all(one.session_id != self._mine for one in listed)


def _clocks() -> tuple[float, float]:
    """The monotonic clock, which is never set, and the wall clock, which runs on while the machine is suspended."""
    return time.monotonic(), time.time()


def _in(seconds: float) -> tuple[float, float]:
    monotonic, wall = _clocks()
    return monotonic + seconds, wall + seconds


def _name(catalog: str, environment: str | None) -> str:
    return f"reconciler lock: {catalog}" + (f"@{environment}" if environment else "")


def _ticket(live: LiveSession, lock: Mapping[str, Any]) -> Ticket:
    try:
        expires = read_timestamp(str(lock.get("expires")))
    except ValueError:
        expires = datetime.fromtimestamp(0, UTC)  # an unreadable ticket counts as expired
    return Ticket(live.session_id, str(lock.get("holder")), expires, live.session_token)
