"""What to watch: accounts and catalogs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from reconciler.contract import Contract
from reconciler.controller.sources import Source
from reconciler.controller.status import Mode
from reconciler.controller.window import Window
from reconciler.domain import Catalog, Limit, OnConflict
from reconciler.state import ON_DISK, Store
from reconciler.values import JSON

#: How often a catalog is looked at (seconds), and how often an account is listed page by page.
INTERVAL: Final = 300.0
FULL_INTERVAL: Final = 3600.0


@dataclass(frozen=True, slots=True)
class WatchedAccount:
    """An account of the service: one client, one pace and one list for all of its catalogs.

    ``name`` is what catalogs call it, and ``endpoint`` the address as plans name it; ``url`` is where the calls go if
    that is another one. ``key`` returns the API key. It is asked again before each attempt after a failure, so that a
    key can be replaced. It raises ReconcilerError if there is none. ``key_source`` says where it comes from. Without a
    ``contract``, that of the catalogs is used, else the built-in one. Times are in seconds.
    """

    name: str
    endpoint: str
    key: Callable[[], str] = lambda: ""
    key_source: str = ""
    url: str = ""
    contract: Contract | None = None
    full_interval: float = FULL_INTERVAL
    parallelism: int = 8
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    retries: int = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits that replace those of a catalog's policy; None leaves the catalog's. There is none that allows more than
    a guard would: what a guard refuses stays pending."""

    max_deletes: Limit | None = None
    max_updates: Limit | None = None
    max_changes: Limit | None = None
    on_conflict: OnConflict | None = None
    canary: int | None = None

    def limited(self, catalog: Catalog) -> Catalog:
        """The catalog under these limits."""
        given = {
            name: value for name in self.__dataclass_fields__ if (value := getattr(self, name)) is not None
        }
        return replace(catalog, policy=replace(catalog.policy, **given)) if given else catalog


@dataclass(frozen=True, slots=True)
class WatchedCatalog:
    """A catalog to watch, in one environment.

    ``name`` is unique in the controller, and ``account`` the name of a :class:`WatchedAccount`. ``state`` is the state
    folder: journal, archive and revisions. ``interval`` and ``settle`` are in seconds; the account is looked at at the
    shortest interval of its catalogs. Outside of the ``window``, nothing is written. Writes hold the catalog's lock
    unless ``lock`` is false. ``root`` is a folder in git that says for the journal which commit was applied.
    With ``removal``, what is written is the removal of all of its sessions; it says for the journal who asked for that.
    If its source is gone, the removal follows the applied revision, but only one of the catalog that is ``kept``.
    The state folder outlives the machine in the ``store``.
    """

    name: str
    source: Source
    account: str
    state: Path
    environment: str | None = None
    variables: Mapping[str, JSON] = field(default_factory=dict)
    mode: Mode = "observe"
    interval: float = INTERVAL
    window: Window | None = None
    limits: Limits = Limits()
    suspended: bool = False
    lock: bool = True
    settle: float | None = None
    root: Path | None = None
    removal: str = ""
    kept: str = ""
    store: Store = ON_DISK
