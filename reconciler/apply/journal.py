"""The journal: an append-only file of JSON lines, with the intent before each write and the result after it.

Many workers write to it, and an fsync takes longer than writing a line. Workers that arrive during an fsync share the
next one, so a pool of sixteen waits for two of them instead of sixteen.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

from reconciler.disk import open_regular
from reconciler.domain import Written
from reconciler.errors import ReconcilerError
from reconciler.ownership.account import Account, account_from_json, make_account
from reconciler.ownership.tag import Identity
from reconciler.plan.outside import LastWrite
from reconciler.state import ON_DISK
from reconciler.text.timestamps import read_timestamp, write_timestamp
from reconciler.values import DEEPEST, parse_json

FILE = "journal.jsonl"

#: The longest line that is read (bytes). Lines of this program have a few hundred.
_LONGEST = 2**20

#: What says how a write went. If it is lost, the intent counts as a write whose outcome is unknown.
_OUTCOMES: Final = frozenset({"applied", "failed", "unknown", "not tried"})

#: A line of the journal.
Entry: TypeAlias = Mapping[str, Any]


def new_run() -> str:
    """A name for a run: eight hexadecimal digits, at random."""
    return secrets.token_hex(4)


class Journal:
    """Appends to one file. Use it as a context manager; safe to use from many threads.

    ``save`` is :meth:`reconciler.state.Store.save`. It is called before anything that relies on an entry is done:
    outcomes are saved with whatever comes next.
    """

    def __init__(self, path: Path, save: Callable[[Path], None] = ON_DISK.save) -> None:
        self.path = path
        self._save = save
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            _end_torn_line(path, self._file)
        except OSError as error:
            raise self._unwritable(error) from None
        self._condition = threading.Condition()
        self._waiting: list[bytes] = []
        self._written = 0  # lines passed in
        self._synced = 0  # lines on disk
        self._syncing = False
        self._relied_on = False  # whether a waiting line has to be saved
        self._broken: OSError | ReconcilerError | None = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def record(self, run: str, event: str, facts: Mapping[str, Any]) -> None:
        """Append an event of a run, with the time.

        Raises:
            ReconcilerError: as for :meth:`append`.
        """
        at = write_timestamp(datetime.now(UTC), "milliseconds")
        self.append({"run": run, "at": at, "event": event, **facts})

    def append(self, entry: Entry) -> None:
        """Write one entry. When this returns, it is on disk, and saved unless it is an outcome.

        Raises:
            ReconcilerError: it is not. Then nothing may be written to the service.
        """
        line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        with self._condition:
            self._waiting.append(line)
            self._relied_on |= entry.get("event") not in _OUTCOMES
            self._written += 1
            mine = self._written
            while self._synced < mine and not self._broken:
                if self._syncing:
                    self._condition.wait()
                else:
                    self._sync()
            if self._broken:
                raise self._unwritable(self._broken)

    def _sync(self) -> None:
        """Write and sync the waiting lines, while others queue up. The lock is held on entry and on return."""
        lines, self._waiting = self._waiting, []
        upto, relied_on = self._written, self._relied_on
        self._syncing, self._relied_on = True, False
        self._condition.release()
        broken: OSError | ReconcilerError | None = None
        try:
            _write_all(self._file, b"".join(lines))
            os.fsync(self._file)
            if relied_on:
                self._save(self.path)
        except (OSError, ReconcilerError) as error:
            broken = error
        finally:
            self._condition.acquire()
            self._syncing = False
            self._broken = broken
            if not broken:
                self._synced = upto
            self._condition.notify_all()

    def _unwritable(self, error: OSError | ReconcilerError) -> ReconcilerError:
        if isinstance(error, ReconcilerError):
            return ReconcilerError(error.problems)
        return ReconcilerError(
            f"the journal {self.path} can't be written: {error.strerror}",
            "nothing is written to the service without a record of it: make room, or fix the folder's permissions",
        )


def _end_torn_line(path: Path, descriptor: int) -> None:
    """End a line that a killed run left unfinished, so that the next one is not appended to it."""
    if os.fstat(descriptor).st_size == 0:
        return
    with open_regular(path) as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            _write_all(descriptor, b"\n")


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _of_runs(entries: Iterable[Entry], chosen: Callable[[Entry], bool]) -> Iterator[Entry]:
    """The entries of each run whose start is ``chosen``, without that start."""
    runs: set[Any] = set()
    for entry in entries:
        if entry.get("event") == "start" and chosen(entry):
            runs.add(entry.get("run"))
        elif entry.get("run") in runs:
            yield entry


def _in_scope(scope: Mapping[str, Any]) -> Callable[[Entry], bool]:
    """Whether a run's start names the catalog, environment and endpoint of ``scope``."""
    return lambda start: all(start.get(name) == value for name, value in scope.items())


def last_unseen_create(entries: Iterable[Entry], scope: Mapping[str, Any]) -> datetime | None:
    """The time of the last create that the list may not show yet, so that a second run could repeat it.

    A create without a result counts from its intent: its run was killed, or is still at work. One that was applied, or
    whose outcome is unknown, counts from its result. It no longer counts once its run has verified its writes.
    ``scope`` holds the catalog, environment and endpoint that the start of the run must have.
    """
    unseen: dict[tuple[Any, Any], tuple[Any, Any]] = {}  # by run and key: the event, and when
    for entry in _of_runs(entries, _in_scope(scope)):
        run, event = entry.get("run"), entry.get("event")
        if event == "end" and entry.get("verification") == "verified":
            unseen = {
                one: (what, at) for one, (what, at) in unseen.items() if one[0] != run or what != "applied"
            }
        elif entry.get("action") == "create" and event in ("intent", "applied", "unknown"):
            unseen[run, entry.get("key")] = event, entry.get("at")
        elif entry.get("action") == "create":
            unseen.pop((run, entry.get("key")), None)
    moments = []
    for _, at in unseen.values():
        with suppress(TypeError, ValueError):
            moments.append(read_timestamp(at))
    return max(moments, default=None)


def written(entries: Iterable[Entry], scope: Mapping[str, Any]) -> Written:
    """The sessions that the runs of a catalog created, and those that they wrote. ``scope`` is as above."""
    made: set[int] = set()
    wrote: set[int] = set()
    keys: dict[int, str] = {}
    unsettled: set[tuple[Any, str]] = set()  # by run
    before: dict[Any, frozenset[tuple[Any, str]]] = {}  # by run: what was unsettled when it began
    copies: set[int] = set()
    in_scope = _in_scope(scope)

    def chosen(start: Entry) -> bool:
        if not in_scope(start):
            return False
        before[start.get("run")] = frozenset(unsettled)
        found = start.get("copies")
        copies.update(one for one in (found if type(found) is list else ()) if type(one) is int)
        return True

    for entry in _of_runs(entries, chosen):
        event, action, number = entry.get("event"), entry.get("action"), entry.get("session_id")
        key = str(entry.get("key"))
        one = entry.get("run"), key
        if action == "create" and event in ("intent", "unknown"):
            unsettled.add(one)
        elif action == "create" and event == "failed":
            unsettled.discard(one)
        elif event == "applied" and type(number) is int:
            wrote.add(number)
            copies.discard(number)
            # A run that began later saw what an earlier create had made, if anything, before it wrote to the key.
            unsettled -= {open_one for open_one in before.get(entry.get("run"), ()) if open_one[1] == key}
            if action == "create":
                made.add(number)
                unsettled.discard(one)
            if action in ("delete", "forget") or _elsewhere(entry, scope):
                keys.pop(number, None)
            else:
                keys[number] = key
    open_keys = frozenset(key for _, key in unsettled)
    return Written(frozenset(made), frozenset(wrote), keys, open_keys, frozenset(copies))


def _elsewhere(entry: Entry, scope: Mapping[str, Any]) -> bool:
    """Whether a session was handed over to another catalog or environment."""
    here = Identity(scope["catalog"], scope["environment"], str(entry.get("key")))
    return entry.get("identity") not in (None, str(here))


def failed_canaries(entries: Iterable[Entry], endpoint: str) -> frozenset[int]:
    """The ids of the sessions that a failed canary wrote or touched, and that no run has written since."""
    found: set[int] = set()
    for entry in _of_runs(entries, _in_scope({"endpoint": endpoint})):
        event, number = entry.get("event"), entry.get("session_id")
        if event == "canary" and entry.get("outcome") == "failed":
            touched = entry.get("touched")
            found |= {
                one for one in (number, *(touched if type(touched) is list else ())) if type(one) is int
            }
        elif event == "applied" and type(number) is int:
            found.discard(number)
    return frozenset(found)


def written_sessions(
    entries: Iterable[Entry], scope: Mapping[str, Any], account: Account, live: Collection[int]
) -> dict[str, LastWrite]:
    """What was applied from here, by key, and was not forgotten or deleted from here since.

    ``scope`` is as in :func:`last_unseen_create`. ``account`` and ``live`` describe the current list: runs against
    another account do not count. A create counts once the list showed it: a server may say yes and create nothing.
    """
    by_key: dict[str, LastWrite] = {}
    by_id: dict[int, str] = {}
    made: dict[Any, list[Entry]] = {}  # by run: what it created and has not verified yet
    in_scope = _in_scope(scope)

    def chosen(start: Entry) -> bool:
        if not in_scope(start):
            return False
        to = account_from_json(start.get("account"))
        return to is None or to.compared(account, live) in ("same", "unknown")

    def note(entry: Entry) -> None:
        action, key, number = entry.get("action"), entry["key"], entry.get("session_id")
        number = number if type(number) is int else None
        if number is not None:
            by_key.pop(by_id.pop(number, ""), None)
        if action not in ("delete", "forget") and not _elsewhere(entry, scope):
            by_key[key] = LastWrite(number, str(entry.get("at"))[:10])
            if number is not None:
                by_id[number] = key

    for entry in _of_runs(entries, chosen):
        run, event = entry.get("run"), entry.get("event")
        if event == "end" and entry.get("verification") == "verified":
            for one in made.pop(run, ()):
                note(one)
        elif event == "applied" and type(entry.get("key")) is str:
            if entry.get("action") == "create":
                made.setdefault(run, []).append(entry)
            else:
                note(entry)
    return by_key


@dataclass(frozen=True, slots=True)
class Deletion:
    """A delete that was begun: in which run, on which day (``2026-11-26``), and under which id it is archived."""

    run: str
    day: str
    archive_id: str


def deletions(
    entries: Iterable[Entry], scope: Mapping[str, Any], account: Account, live: Collection[int]
) -> dict[str, list[Deletion]]:
    """The deletes that were begun from here, by key, the newest first.

    ``scope`` is as in :func:`last_unseen_create`. Runs to another account than this one, with these ``live`` sessions,
    do not count.
    """

    def chosen(start: Entry) -> bool:
        to = account_from_json(start.get("account"))
        return _in_scope(scope)(start) and (to is None or to.compared(account, live) != "other")

    found: dict[str, list[Deletion]] = {}
    for entry in _of_runs(entries, chosen):
        key, archive_id = entry.get("key"), entry.get("archive")
        if entry.get("event") != "intent" or entry.get("action") != "delete":
            continue
        if type(key) is str and type(archive_id) is str:
            one = Deletion(str(entry.get("run")), str(entry.get("at"))[:10], archive_id)
            found.setdefault(key, []).insert(0, one)
    return found


def last_account(
    entries: Iterable[Entry], scope: Mapping[str, Any], former: Identity | None = None
) -> Account | None:
    """The account of the last apply from here that names its account, with the sessions that it left live.

    ``scope`` is as in :func:`last_unseen_create`. ``former`` is the catalog and environment under whose name all of its
    sessions were applied before, if any.
    """
    scopes = [scope]
    if former is not None:
        scopes.append({**scope, "catalog": former.catalog, "environment": former.environment})

    def in_scope(start: Entry) -> bool:
        return any(_in_scope(one)(start) for one in scopes)

    run: Any = None
    found: Account | None = None
    sessions: set[int] = set()
    for entry in entries:
        number = entry.get("session_id")
        if entry.get("event") == "start":
            to = account_from_json(entry.get("account"))
            if to is None or "restores" in entry:
                continue
            if in_scope(entry):
                run, found, sessions = entry.get("run"), to, set(to.sessions)
        elif run != entry.get("run") or found is None:
            continue
        elif entry.get("event") == "end":
            found = account_from_json(entry.get("account")) or found
        elif entry.get("event") == "applied" and type(number) is int:
            (sessions.discard if entry.get("action") == "delete" else sessions.add)(number)
    return None if found is None else make_account(found.numbers, sessions, found.key)


def read_journal(path: Path) -> list[dict[str, Any]]:
    """All entries, oldest first. A torn line (its run was killed) is skipped; a missing file has no entries.

    Raises:
        ReconcilerError: the file exists and can't be read, or is not a regular file.
    """
    entries = []
    try:
        with open_regular(path) as file:
            while line := file.readline(_LONGEST):
                with suppress(ValueError):
                    entry = parse_json(line, levels=DEEPEST)
                    # Somebody else may have written the file. Our entries name their run.
                    if isinstance(entry, dict) and isinstance(entry.get("run", ""), str):
                        entries.append(entry)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ReconcilerError(f"the journal {path} can't be read: {error.strerror}") from None
    return entries
