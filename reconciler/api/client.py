"""Sends one call, and determines from the response whether it succeeded.

Reads are retried while the error may be temporary. Writes are sent once: the service has no idempotency keys, so
:func:`reconciler.api.send.send_until_certain` decides what to do when no response comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import requests
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from reconciler.api.answers import read_answer
from reconciler.api.endpoint import Endpoint
from reconciler.api.errors import ApiError, Outcome
from reconciler.api.rate_limit import RateLimiter
from reconciler.api.retry import pause_before_retry
from reconciler.api.transport import Transport
from reconciler.bounded_http import SlowAnswerError, UnacceptableAnswerError
from reconciler.contract import Contract, Operation
from reconciler.tls import cause, what_is_wrong


@dataclass(frozen=True, slots=True)
class Reply:
    """The outcome of one call: the body of a successful answer, or an error.

    ``response`` is None if no response came. It holds the request, and with it the key.
    """

    body: Any
    response: requests.Response | None = field(default=None, repr=False)
    error: ApiError | None = None


#: Called after each call, in the thread of the call.
Observer: TypeAlias = Callable[[Operation, Mapping[str, Any], Reply], None]


class Client:
    """Calls the service. Safe to use from many threads; close it, or use it in a ``with``.

    ``connect_timeout`` and ``read_timeout`` are in seconds: until a connection stands, and for each silence of the
    server. A call that takes twice its ``read_timeout`` is given up. ``tries`` is how often a read is sent at most.
    ``transport`` shares the connections of another client, which closes them. Use :meth:`observe` to see each call.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        contract: Contract,
        *,
        connections: int = 8,
        connect_timeout: float = 10.0,
        read_timeout: float = 60.0,
        tries: int = 6,
        limiter: RateLimiter | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.contract = contract
        self.connections = connections
        self.tries = tries
        self.limiter = limiter or RateLimiter()
        self._shared = transport is not None
        self._transport = transport or Transport(endpoint, connections, connect_timeout, read_timeout)
        self.observer: Observer | None = None
        self._permit: Callable[[], None] | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def observe(self, observer: Observer) -> None:
        """Let an observer see each call, beside those that see it already."""
        before = self.observer

        def both(operation: Operation, fields: Mapping[str, Any], reply: Reply) -> None:
            if before is not None:
                before(operation, fields, reply)
            observer(operation, fields, reply)

        self.observer = both

    def close(self) -> None:
        """Close all connections, unless they belong to another client."""
        if not self._shared:
            self._transport.close()

    def with_contract(self, contract: Contract) -> Client:
        """A client over the same connections that speaks by another contract."""
        return self._like(contract, self.limiter)

    def uncancellable(self) -> Client:
        """A client over the same connections whose calls continue after the run was asked to stop."""
        return self.paced_by(self.limiter.uncancellable())

    def paced_by(self, limiter: RateLimiter) -> Client:
        """A client over the same connections with another pace, and another request to stop."""
        return self._like(self.contract, limiter)

    def asking(self, permit: Callable[[], None]) -> Client:
        """A client over the same connections, as are those made from it, that calls ``permit`` before each write: right
        before its first byte, when the connection stands. If it raises, nothing is sent."""
        client = self.paced_by(self.limiter)
        client._permit = permit
        return client

    def _like(self, contract: Contract, limiter: RateLimiter) -> Client:
        client = Client(
            self.endpoint,
            contract,
            connections=self.connections,
            tries=self.tries,
            limiter=limiter,
            transport=self._transport,
        )
        client.observer, client._permit = self.observer, self._permit
        return client

    def read(self, name: str, fields: Mapping[str, Any], *, session: str = "") -> Any:
        """Send a call that changes nothing, with retries while the error may be temporary. Returns the response's body.

        Raises:
            ApiError: it failed permanently, or too often.
        """
        operation = self.contract.operation(name)
        attempt = 1
        while True:
            try:
                return self._send(operation, fields, session)
            except ApiError as error:
                if not pause_before_retry(self.limiter, error, attempt, self.tries):
                    raise
            attempt += 1

    def write(
        self,
        name: str,
        fields: Mapping[str, Any],
        *,
        session: str = "",
        check: Callable[[], None] = lambda: None,
    ) -> Any:
        """Send a call that changes something, once. Returns the response's body; None if it has none.

        ``check`` is called right before the call is sent, which may be minutes after this method was called. If it
        raises, nothing is sent.

        Raises:
            ApiError: it failed. Its ``outcome`` says whether the work may have been done nevertheless.
        """
        return self._send(self.contract.operation(name), fields, session, check, self._permit)

    def call(
        self,
        operation: Operation,
        fields: Mapping[str, Any],
        *,
        session: str = "",
        check: Callable[[], None] = lambda: None,
        permit: Callable[[], None] | None = None,
    ) -> Reply:
        """Send any call once, and return its outcome. ``check`` is as in :meth:`write`, ``permit`` as in
        :meth:`asking`."""
        started = self.limiter.wait()
        check()
        response: requests.Response | None = None
        try:
            response = self._answer(operation, fields, session, permit)
            reply = Reply(read_answer(operation, response, self.endpoint, session), response)
        except ApiError as error:
            if error.throttled:
                # Too long a pause is not waited for.
                self.limiter.throttled(started, error.retry_after if error.passing else None)
            reply = Reply(None, response, error)
        else:
            self.limiter.succeeded()
        if self.observer is not None:
            self.observer(operation, fields, reply)
        return reply

    def _send(
        self,
        operation: Operation,
        fields: Mapping[str, Any],
        session: str,
        check: Callable[[], None] = lambda: None,
        permit: Callable[[], None] | None = None,
    ) -> Any:
        reply = self.call(operation, fields, session=session, check=check, permit=permit)
        if reply.error is not None:
            raise reply.error
        return reply.body

    def _answer(
        self,
        operation: Operation,
        fields: Mapping[str, Any],
        session: str,
        permit: Callable[[], None] | None,
    ) -> requests.Response:
        try:
            return self._transport.send(operation, fields, permit)
        except ValueError:
            # The address or the key is not possible in HTTP. The text of the error may contain the key.
            raise ApiError(
                operation.name,
                f"no request can be sent to {self.endpoint.name}",
                session=session,
                hint=f"check the address, and the key from {self.endpoint.key_source}"
                if self.endpoint.api_key
                else "check the address",
            ) from None
        except UnacceptableAnswerError as error:
            raise ApiError(
                operation.name,
                f"HTTP {error.status} with {error.what}",
                session=session,
                hint=f"is {self.endpoint.name} the address of the session API?",
                http_status=error.status,
                passing=error.passing,
            ) from None
        except (requests.RequestException, HTTPError, SlowAnswerError) as error:
            raise self._unsent(operation, session, error) from None

    def _unsent(self, operation: Operation, session: str, error: Exception) -> ApiError:
        """The error for a call that got no response."""
        where = self.endpoint.name
        outcome: Outcome = "unknown"
        if isinstance(error, requests.exceptions.SSLError | SSLError):
            what, hint, unsent = what_is_wrong(error)
            return ApiError(
                operation.name,
                f"no secure connection to {where}: {what}",
                session=session,
                hint=hint,
                outcome="not done" if unsent else "unknown",
            )
        if isinstance(error, requests.ConnectTimeout) or cause(
            error, NewConnectionError, ConnectTimeoutError
        ):
            what, outcome = f"no connection to {where}", "not done"
        elif isinstance(error, SlowAnswerError):
            what = f"no complete answer from {where} within {error.limit:g} s"
        elif isinstance(error, requests.Timeout | ReadTimeoutError):
            what = f"no answer from {where} within {self._transport.read_timeout:g} s"
        else:
            what = f"the connection to {where} was cut"
        return ApiError(
            operation.name,
            what,
            session=session,
            hint="check the address and the network, then run the command again",
            outcome=outcome,
            passing=True,
        )
