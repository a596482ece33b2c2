"""From the connection flags to a client. Starts the embedded server if that is the endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from reconciler.api.cancellation import Cancellation
from reconciler.api.client import Client
from reconciler.api.endpoint import LOCAL, Endpoint, api_key, endpoint_name
from reconciler.api.rate_limit import RateLimiter
from reconciler.contract import load_contract
from reconciler.errors import ReconcilerError
from reconciler.text.hosts import is_loopback


@dataclass(frozen=True, slots=True)
class Connection:
    """The connection flags."""

    endpoint: str | None
    api_key_file: Path | None
    contract: Path | None
    parallelism: int
    connect_timeout: float
    read_timeout: float
    retries: int


def need_local_data(endpoint: str | None, state: Path, what: str) -> None:
    """Check that the embedded server, if it is the endpoint, has data. ``what`` needs some.

    Raises:
        ReconcilerError: it has none. ``what`` begins the sentence.
    """
    if endpoint_name(endpoint) == LOCAL and not (state / "local.db").exists():
        raise ReconcilerError(
            f"{what} is for the embedded server, and {state} does not hold its data",
            "name the folder that does: --endpoint local --state-dir CATALOG/.reconciler",
        )


@contextmanager
def connect(flags: Connection, state: Path, *, stop: Cancellation | None = None) -> Iterator[Client]:
    """A client for the chosen service, for as long as the block lasts.

    ``state`` is the folder with the embedded server's data. ``stop`` interrupts the client's waits.

    Raises:
        ReconcilerError: the address, the key or the contract can't be used.
    """
    name = endpoint_name(flags.endpoint)
    contract = load_contract(flags.contract)

    def client(endpoint: Endpoint) -> Client:
        return Client(
            endpoint,
            contract,
            connections=flags.parallelism,
            connect_timeout=flags.connect_timeout,
            read_timeout=flags.read_timeout,
            tries=flags.retries + 1,
            limiter=RateLimiter(stop),
        )

    if name == LOCAL:
        from reconciler.server.run import running_server
        from reconciler.state import open_state

        database = open_state(state) / "local.db"
        if database.is_symlink():
            raise ReconcilerError(
                f"{database} is a symbolic link", "remove it: the server's data must be in the folder itself"
            )
        with (
            running_server(database, contract=contract, keep_log=False) as server,
            client(Endpoint(LOCAL, server.url)) as opened,
        ):
            yield opened
        return
    key, source = api_key(flags.api_key_file, needed=not is_loopback(urlsplit(name).hostname or ""))
    with client(Endpoint(name, name, key, source)) as opened:
        yield opened
