"""How to restore an archived session, and what a restore did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.apply.journal import new_run
from reconciler.ownership.account import UNKNOWN, Account
from reconciler.ownership.tag import Identity


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: the session that it created, filled or changed back, and how many messages it added.

    ``already`` says that there was nothing left to do.
    """

    session_id: int
    made: bool
    messages: int
    already: bool = False


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """How to restore.

    ``state`` is the folder of the journal. ``archive`` is the folder for what the restore overwrites. ``settle`` is how
    long (seconds) a list may lag behind a write. ``who`` goes into the journal as it is, and ``run`` names the run in
    it. ``holding`` is asked before each write whether the run still holds its lock. ``on_message`` is called with the
    number of messages added so far, and of all. ``account`` is the mark of the account as far as the key tells;
    ``other_account`` allows another one than that of the archived session. ``replace`` allows the messages of a deleted
    session to go into its successor, if that has none. ``moved`` has the present identities of sessions that were
    archived under another one, and ``catalog_id`` is the id in their tags.
    """

    state: Path
    archive: Path
    settle: float = 10.0
    who: Mapping[str, str | bool] = field(default_factory=dict)
    run: str = field(default_factory=new_run)
    holding: Callable[[], bool] = lambda: True
    on_message: Callable[[int, int], None] = lambda done, total: None
    account: Account = UNKNOWN
    other_account: bool = False
    replace: bool = False
    moved: Mapping[Identity, Identity] = field(default_factory=dict)
    catalog_id: str | None = None
