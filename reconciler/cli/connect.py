"""From the connection flags to a client, the embedded server started where it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reconciler.api.client import Client
from reconciler.api.endpoint import LOCAL, Endpoint, api_key, endpoint_name, is_loopback
from reconciler.api.pace import Pace
from reconciler.contract import load_contract


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


@contextmanager
def connect(flags: Connection, root: Path, *, pace: Pace | None = None) -> Iterator[Client]:
    """A client for the chosen service, for as long as the block lasts. ``root`` is the catalog's folder.

    Raises:
        ReconcilerError: address, key or contract are not usable.
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
            pace=pace,
        )

    if name == LOCAL:
        from reconciler.apply.state import open_state
        from reconciler.server.run import running_server

        database = open_state(root) / "local.db"
        with (
            running_server(database, contract=contract, keep_log=False) as server,
            client(Endpoint(LOCAL, server.url)) as opened,
        ):
            yield opened
        return
    from urllib.parse import urlsplit

    if is_loopback(urlsplit(name).hostname or "") and flags.api_key_file is None:
        import os

        key, source = os.environ.get("MINDCRAFT_API_KEY", "").strip(), "MINDCRAFT_API_KEY"
    else:
        key, source = api_key(flags.api_key_file)
    with client(Endpoint(name, name, key, source)) as opened:
        yield opened
