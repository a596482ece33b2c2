"""From the connection flags to a client. Starts the embedded server if that is the endpoint."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from reconciler.address import same_address
from reconciler.api.cancellation import Cancellation
from reconciler.api.client import Client
from reconciler.api.endpoint import LOCAL, Endpoint, api_key, endpoint_name
from reconciler.api.rate_limit import RateLimiter
from reconciler.cli.options import split
from reconciler.cli.progress import waiting
from reconciler.contract import Contract, ContractFile, load_contract, read_contract
from reconciler.domain import ServiceFacts
from reconciler.errors import Problem, ReconcilerError, Refused, UsageError
from reconciler.text.escape import terminal
from reconciler.text.hosts import is_loopback

_NOTHING: Final = ServiceFacts()


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
    service: ServiceFacts = _NOTHING

    def contract_file(self) -> ContractFile | None:
        """The contract of the flag, else of the catalog; None for the built-in one.

        Raises:
            ReconcilerError: the flag's can't be used.
        """
        return self.service.contract if self.contract is None else read_contract(self.contract)

    def read_contract(self) -> Contract:
        """The contract of the flag, else of the catalog, else the built-in one.

        Raises:
            ReconcilerError: the flag's can't be used.
        """
        file = self.contract_file()
        return load_contract() if file is None else file.contract


def connection_for(
    flags: Mapping[str, Any], folder: Path, env: str | None, *, talks: bool = True, unwritten: str = ""
) -> Connection:
    """The connection flags, and what the catalog in a folder, if there is one, says of its service.

    Without an environment, in a catalog that has several, it is what those say that expect this address. A command
    that does not talk to the service checks no address here. A contract that the command is about to write is
    ``unwritten``.

    Raises:
        CatalogError: catalog.yaml or the contract that it names can't be used.
        Refused: the catalog expects another address.
        UsageError: an environment has to be chosen, since they name different contracts.
    """
    connection = split(flags, Connection)
    if not _says_something(folder / _CATALOG_FILE):
        return connection
    from reconciler.catalog import service_facts
    from reconciler.catalog.environments import choices

    said = service_facts(folder, env, unwritten)
    address = endpoint_name(connection.endpoint)
    fitting = [one for one in said if not talks or not _refused(one, address)]
    if not fitting:
        *others, last = dict.fromkeys(_refused(one, address) for one in said)
        raise Refused([*map(Problem, others), Problem(last, _OTHER_ADDRESS)])
    if connection.contract is None and len({one.contract and one.contract.file for one in fitting}) > 1:
        raise UsageError(
            "the environments of this catalog name different contracts, and none was chosen",
            choices(str(one.environment) for one in fitting),
        )
    chosen = fitting[0]
    if chosen.contract is not None:
        named = f"{chosen.contract.file}, which {_CATALOG_FILE} names"
        used = named if connection.contract is None else f"{connection.contract} (--contract), not {named}"
        click.echo(terminal(f"contract: {used}"), err=True)
    return replace(connection, service=chosen)


def _says_something(file: Path) -> bool:
    """Whether a catalog.yaml may say something of its service. Most do not, and need not be parsed for it before the
    listing begins. A backslash may hide the name of a field in quotes."""
    try:
        data = file.read_bytes() if file.stat().st_size <= _LARGEST and file.is_file() else b"\\"
    except FileNotFoundError:
        return False
    except OSError:
        return True  # reading the catalog says why
    return re.search(rb"contract|expect_endpoint|\\", data) is not None


def check_address(service: ServiceFacts, address: str) -> None:
    """See that an address is the one that the catalog expects.

    Raises:
        Refused: it is another one.
    """
    refused = _refused(service, address)
    if refused:
        raise Refused(refused, _OTHER_ADDRESS)


_CATALOG_FILE: Final = "catalog.yaml"
#: A larger file is not read here.
_LARGEST: Final = 10 * 2**20

_OTHER_ADDRESS: Final = (
    "set the address with --endpoint or MINDCRAFT_ENDPOINT (and the key that belongs to it), choose another "
    "environment, or correct expect_endpoint in catalog.yaml"
)


def _refused(service: ServiceFacts, address: str) -> str:
    """Why the catalog does not accept an address; empty if it does. The embedded server has no account to protect."""
    if service.expected is None or address == LOCAL or same_address(service.expected, address):
        return ""
    whose = f"environment {service.environment}" if service.environment else "this catalog"
    return f"{whose} expects {service.expected}, and this is {address}: nothing was sent."


def need_local_data(endpoint: str | None, state: Path, what: str) -> None:
    """Check that the embedded server, if it is the endpoint, has data. ``what`` needs some.

    Raises:
        ReconcilerError: it has none. ``what`` begins the sentence.
    """
    if endpoint_name(endpoint) == LOCAL and not (state / "local.db").exists():
        raise ReconcilerError(
            f"{what} is for the embedded server, and {state} does not hold its data",
            "name the folder that does: --endpoint=local --state-dir=CATALOG/.reconciler",
        )


@contextmanager
def connect(flags: Connection, state: Path, *, stop: Cancellation | None = None) -> Iterator[Client]:
    """A client for the chosen service, for as long as the block lasts.

    ``state`` is the folder with the embedded server's data. ``stop`` interrupts the client's waits.

    Raises:
        ReconcilerError: the address, the key or the contract can't be used.
    """
    name = endpoint_name(flags.endpoint)
    contract = flags.read_contract()

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
    with client(Endpoint(name, name, key, source)) as opened, waiting(f"an answer from {name}") as answered:
        opened.observe(lambda operation, fields, reply: None if reply.response is None else answered())
        yield opened
