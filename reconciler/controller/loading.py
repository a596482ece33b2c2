"""Loads the revisions of a watched catalog: each as a whole or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reconciler.catalog import load_catalog, service_facts
from reconciler.controller.settings import WatchedCatalog
from reconciler.domain import Catalog, ServiceFacts


@dataclass(frozen=True, slots=True)
class Revision:
    """A valid revision: the catalog, and what it says of its service."""

    name: str
    catalog: Catalog
    service: ServiceFacts


@dataclass(frozen=True, slots=True)
class Found:
    """What a source had. ``newest`` is None if that could not be found out, ``loaded`` if there is nothing new or the
    newest revision is invalid. ``error`` says why."""

    newest: str | None
    loaded: Revision | None = None
    error: Exception | None = None


def load_revision(settings: WatchedCatalog, revision: str) -> Revision:
    """A revision that the source has.

    Raises:
        CatalogError: it is invalid.
        ReconcilerError: the source fails.
    """
    folder: Path = settings.source.folder(revision)
    catalog = load_catalog(folder, settings.environment, settings.variables)
    return Revision(revision, catalog, service_facts(folder, settings.environment)[0])


def find(settings: WatchedCatalog, known: str | None) -> Found:
    """The newest revision, loaded unless it is the ``known`` one."""
    newest: str | None = None
    try:
        settings.store.fetch()  # without a revision, nothing is compared, so that nothing else of the state is read
        newest = settings.source.newest()
        if newest == known:
            return Found(newest)
        return Found(newest, load_revision(settings, newest))
    except Exception as error:  # whatever it is, the status tells
        return Found(newest, error=error)


class Loader:
    """Looks for revisions, in a thread of its own if the source may take long. One search at a time."""

    def __init__(self, settings: WatchedCatalog, done: Callable[[], None], *, beside: bool) -> None:
        self._settings = settings
        self._done = done
        self._beside = beside
        self._lock = threading.Lock()
        self._running = False
        self._found: Found | None = None

    @property
    def running(self) -> bool:
        """Whether a search has not ended yet, or its result was not taken."""
        return self._running or self._found is not None

    def begin(self, known: str | None) -> None:
        """Look for the newest revision; :meth:`take` has what was found. ``known`` is not loaded again."""
        self._running = True
        if self._beside:
            # A daemon: a fetch that hangs does not keep the process from ending.
            threading.Thread(target=self._run, args=(known,), name="load", daemon=True).start()
        else:
            self._run(known)

    def take(self) -> Found | None:
        """What was found since the last call."""
        with self._lock:
            found, self._found = self._found, None
            return found

    def _run(self, known: str | None) -> None:
        found = find(self._settings, known)
        with self._lock:
            self._found, self._running = found, False
        self._done()
