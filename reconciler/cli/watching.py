"""From the flags of ``reconciler watch`` to the accounts and catalogs that it watches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from reconciler.address import check_address, same_address
from reconciler.api.endpoint import LOCAL, api_key, endpoint_name
from reconciler.cli.connect import Connection
from reconciler.controller.git_source import GitPlace, GitSource
from reconciler.controller.settings import WatchedAccount, WatchedCatalog
from reconciler.controller.sources import FolderSource
from reconciler.errors import ReconcilerError, Refused
from reconciler.state import FOLDER, open_state
from reconciler.text.hosts import is_loopback
from reconciler.watch_file import DEFAULT_ACCOUNT, AccountEntry, CatalogEntry, read_watch_file


@dataclass(frozen=True, slots=True)
class Watch:
    """What to watch, and the folder for what concerns all of it."""

    accounts: tuple[WatchedAccount, ...]
    catalogs: tuple[WatchedCatalog, ...]
    state: Path


#: Makes what is watched of a name, a folder or a git ref, and a state folder.
MakeEntry: TypeAlias = Callable[[str, Path | None, GitPlace | None, Path], CatalogEntry]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the flags say of every catalog that they name."""

    entry: MakeEntry
    state: Path | None
    full_interval: float


def parse_git(text: str) -> GitPlace:
    """A git ref in the form ``URL[#REF[:PATH]]``.

    Raises:
        ReconcilerError: a part of it can't be used.
    """
    url, _, rest = text.partition("#")
    ref, _, path = rest.partition(":")
    return GitPlace(url, ref or "HEAD", path or ".")


def from_flags(
    folders: Sequence[Path],
    gits: Sequence[GitPlace],
    chosen: Chosen,
    connection: Connection,
    environment: str | None,
) -> Watch:
    """Watch these folders and git refs, all with one account."""
    if not folders and not gits:
        folders = [Path()]
    entries: list[CatalogEntry] = []
    for folder in folders:
        name = _named(folder.resolve().name or "catalog", environment, entries, str(folder))
        entries.append(chosen.entry(name, folder, None, chosen.state or folder / FOLDER))
    for place in gits:
        name = _named(str(place), environment, entries, str(place))
        entries.append(chosen.entry(name, None, place, chosen.state or Path(FOLDER)))
    account = AccountEntry(DEFAULT_ACCOUNT, full_interval=chosen.full_interval)
    return Watch((_account(account, connection, ()),), tuple(map(_watched, entries)), entries[0].state)


def from_file(path: Path, connection: Connection, allowed: Sequence[str], state: Path | None) -> Watch:
    """Watch what a watch.yaml names. ``allowed`` are addresses that the keys may be sent to.

    Raises:
        ReconcilerError: the file can't be used.
        Refused: it names an address that nobody allowed.
    """
    found = read_watch_file(path, FOLDER)
    return Watch(
        tuple(_account(one, connection, allowed) for one in found.accounts),
        tuple(map(_watched, found.catalogs)),
        state or path.parent / FOLDER,
    )


def _named(name: str, environment: str | None, others: Sequence[CatalogEntry], longer: str) -> str:
    """A name for a catalog that no other has."""
    taken = {one.name for one in others}
    whole = f"{name}@{environment}" if environment else name
    return whole if whole not in taken else f"{longer}@{environment}" if environment else longer


def _watched(entry: CatalogEntry) -> WatchedCatalog:
    assert entry.folder is not None or entry.git is not None
    source = (
        FolderSource(entry.folder, entry.state, entry.name)
        if entry.folder is not None
        else GitSource(entry.git, entry.state, entry.name)  # type: ignore[arg-type]
    )
    return WatchedCatalog(
        entry.name,
        source,
        entry.account,
        entry.state,
        entry.environment,
        entry.variables,
        entry.mode,
        entry.interval,
        entry.window,
        entry.limits,
        entry.suspended,
        entry.lock,
        entry.settle,
        entry.folder,
    )


def _account(entry: AccountEntry, connection: Connection, allowed: Sequence[str]) -> WatchedAccount:
    own = endpoint_name(connection.endpoint)
    address = own if entry.endpoint is None else _address(entry, own, allowed)
    contract = connection.read_contract() if connection.contract is not None else None
    if entry.contract is not None:
        from reconciler.contract import load_contract

        contract = load_contract(entry.contract)
    key, source = _key(entry, connection, address)
    return WatchedAccount(
        entry.name,
        address,
        key,
        source,
        contract=contract,
        full_interval=entry.full_interval,
        parallelism=connection.parallelism,
        connect_timeout=connection.connect_timeout,
        read_timeout=connection.read_timeout,
        retries=connection.retries,
    )


def _address(entry: AccountEntry, own: str, allowed: Sequence[str]) -> str:
    """The address of an account, if whoever runs the command has chosen it, too: a key is sent there.

    Raises:
        Refused: nobody did.
    """
    assert entry.endpoint is not None
    if entry.endpoint == LOCAL:  # no key goes there
        return LOCAL
    address = check_address(entry.endpoint)
    for one in (own, *map(check_address, allowed)):
        if one != LOCAL and same_address(one, address):
            return address
    raise Refused(
        f"the account {entry.name} is at {address}, and a key is only sent to an address that is chosen on the command "
        "line or in the environment",
        f"if that is right, add --allow-endpoint={address}",
    )


def _key(entry: AccountEntry, connection: Connection, address: str) -> tuple[Callable[[], str], str]:
    """What returns the key of an account, and where it comes from."""
    if address == LOCAL:
        return (lambda: ""), ""
    needed = not is_loopback(urlsplit(address).hostname or "")
    variable = entry.key_variable
    if variable is not None:

        def read() -> str:
            try:
                return api_key(None, {"MINDCRAFT_API_KEY": os.environ.get(variable, "")}, needed=needed)[0]
            except ReconcilerError as error:
                message = error.problems[0].message.replace("MINDCRAFT_API_KEY", variable)
                raise ReconcilerError(
                    message, f"set {variable}, which the account {entry.name} names"
                ) from None

        return read, variable
    file = entry.key_file or connection.api_key_file
    source = "MINDCRAFT_API_KEY" if file is None else str(file)
    return (lambda: api_key(file, needed=needed)[0]), source


@contextmanager
def served(watch: Watch) -> Iterator[Watch]:
    """The same, with the embedded server running for the accounts at `local`."""
    if all(one.endpoint != LOCAL for one in watch.accounts):
        yield watch
        return
    from dataclasses import replace

    from reconciler.server.run import running_server

    database = open_state(watch.catalogs[0].state) / "local.db"
    with running_server(database, contract=watch.accounts[0].contract, keep_log=False) as server:
        accounts = tuple(
            replace(one, url=server.url) if one.endpoint == LOCAL else one for one in watch.accounts
        )
        yield replace(watch, accounts=accounts)
