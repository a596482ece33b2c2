"""What a run waits for before it writes: the catalog's lock, and a list that lags behind an earlier run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.api.client import Client
from reconciler.apply import journal as journals
from reconciler.apply.journal import Entry, last_unseen_create, read_journal

if TYPE_CHECKING:
    from reconciler.api.lock import Ticket


def wait_for_the_list(
    client: Client,
    state: Path,
    catalog: str,
    environment: str | None,
    settle: float,
    on_wait: Callable[[float], None],
) -> list[dict[str, Any]]:
    """Wait until the list shows what a recent run created and did not see listed, or it would be created twice.

    ``settle`` is how long (seconds) a list may lag. Runs on other machines are unknown here. ``on_wait`` is told how
    long the wait is (seconds). Returns the entries of the journal.

    Raises:
        ReconcilerError: the journal exists and can't be read.
    """
    scope = {"catalog": catalog, "environment": environment, "endpoint": client.endpoint.name}
    entries = read_journal(state / journals.FILE)
    left = lag_left(entries, scope, settle)
    if left > 0:
        on_wait(left)
        client.limiter.sleep(left)
    return entries


def lag_left(entries: Iterable[Entry], scope: Mapping[str, Any], settle: float) -> float:
    """How long (seconds) it takes until the list shows what a run of this ``scope`` created and did not see listed.

    ``scope`` holds the catalog, environment and endpoint; ``settle`` is how long (seconds) a list may lag.
    """
    unseen = last_unseen_create(entries, scope)
    left = 0.0 if unseen is None else settle - (datetime.now(UTC) - unseen).total_seconds()
    return min(max(left, 0.0), settle)


def lock_holder(by: Mapping[str, str | bool], run: str) -> str:
    """Who holds a lock, for those who wait for it: the CI job or the user, and the run."""
    return f"{by.get('job') or by['user']}, run {run}"


@contextmanager
def hold_lock(
    client: Client,
    catalog: str,
    environment: str | None,
    *,
    holder: str,
    timeout: float,
    settle: float,
    wanted: bool,
    on_wait: Callable[[Ticket], None],
    dead: Callable[[str], bool] = lambda holder: False,
    renew: float | None = None,
) -> Iterator[Callable[[], bool]]:
    """Hold the catalog's lock for the block, if it is ``wanted``. Yields a function that says whether it is still held.

    ``timeout`` is how long (seconds) to wait for another holder, ``settle`` how long a list may lag. ``on_wait`` is
    called once for each holder that is waited for, and ``dead`` says whether a holder is known to write no more.
    ``renew`` is how often (seconds) the lock is renewed; None: as often as it is by default.

    Raises:
        ReconcilerError: the lock can't be taken.
    """
    if not wanted:
        yield lambda: True
        return
    from reconciler.api.lock import RENEW, locked

    with locked(
        client,
        catalog,
        environment,
        holder=holder,
        timeout=timeout,
        settle=settle,
        on_wait=on_wait,
        dead=dead,
        renew=RENEW if renew is None else renew,
    ) as holding:
        yield holding
