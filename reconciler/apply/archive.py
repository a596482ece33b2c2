"""The archive: the previous state of each updated or deleted session, as one JSON file, on disk before the write."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from reconciler.api.decode import decode_session
from reconciler.api.errors import ApiError
from reconciler.contract import SessionShape
from reconciler.disk import MAX_DOCUMENT, create_beside, open_regular, read_open, write_durably
from reconciler.domain import LiveSession
from reconciler.errors import Problem, ReconcilerError
from reconciler.ownership.account import UNKNOWN, Account, account_from_json, account_to_json
from reconciler.ownership.tag import Identity
from reconciler.state import ON_DISK
from reconciler.text.timestamps import read_timestamp
from reconciler.values import DEEPEST, parse_json

FOLDER = "archive"
ARCHIVE_VERSION = 1

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Archive:
    """A folder of archived sessions. ``run`` and ``started`` (UTC, ISO 8601) are those of the run that writes. ``save``
    is :meth:`reconciler.state.Store.save`."""

    folder: Path
    run: str
    started: str
    endpoint: str
    account: Account = UNKNOWN
    save: Callable[[Path], None] = ON_DISK.save

    def prepare(self) -> None:
        """Create the folder.

        Raises:
            ReconcilerError: it can't be created.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from None

    def make_sure(self, size: int) -> None:
        """Check that this many bytes can be written here, so that a full disk is noticed before the first write.

        Raises:
            ReconcilerError: they can't be written.
        """
        try:
            probe, descriptor = create_beside(self.folder / self.run, 0o600)
            try:
                with open(descriptor, "wb") as file:
                    for _ in range(size // _CHUNK):
                        file.write(bytes(_CHUNK))
                    file.write(bytes(size % _CHUNK))
                    file.flush()
                    os.fsync(file.fileno())
            finally:
                probe.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from None

    def put(
        self, before: str, identity: Identity, live: LiveSession, messages: list[Mapping[str, Any]] | None
    ) -> str:
        """Archive a session as it is now, before the named operation. No existing file is overwritten.

        Returns the archive id.

        Raises:
            ReconcilerError: it is not on disk, or not saved. Then the write must not happen.
        """
        moment = self.started.replace("-", "").replace(":", "")[:15]
        first = archive_id = f"{moment}-{self.run}-{live.session_id}-{before}"
        number = 1
        while (self.folder / f"{archive_id}.json").exists():
            number += 1
            archive_id = f"{first}-{number}"
        document = {
            "archive_version": ARCHIVE_VERSION,
            "id": archive_id,
            "run": self.run,
            "run_started": self.started,
            "endpoint": self.endpoint,
            "account": account_to_json(self.account),
            "before": before,
            "catalog": identity.catalog,
            "environment": identity.environment,
            "key": identity.key,
            "session_id": live.session_id,
            "name": live.name,
            "session": live.row,
            "messages": messages,
        }
        path = self.folder / f"{archive_id}.json"
        try:
            write_durably(path, json.dumps(document, indent=1) + "\n")
        except OSError as error:
            raise self._unwritable(error) from None
        except RecursionError:
            raise ReconcilerError(
                f"#{live.session_id} can't be archived: it contains values that are nested too deeply",
                "nothing is changed before its previous state is on disk",
            ) from None
        self.save(path)
        return archive_id

    def _unwritable(self, error: OSError) -> ReconcilerError:
        return ReconcilerError(
            f"the archive in {self.folder} can't be written: {error.strerror}",
            "nothing is changed before its previous state is on disk: make room, or name another --archive-dir",
        )


@dataclass(frozen=True, slots=True)
class Archived:
    """One archived session, as it is on disk. ``messages`` is None if the session was updated, not deleted.

    ``session_id``, ``name`` and ``account`` are None in archives of earlier versions: see :meth:`live`. ``run`` is the
    run that archived it, empty if the file does not say. All strings are untrusted, since somebody else may have
    written the file.
    """

    id: str
    run: str
    before: str
    run_started: str
    endpoint: str
    account: Account | None
    identity: Identity
    session_id: int | None
    name: str | None
    session: Mapping[str, Any]
    messages: Sequence[Mapping[str, Any]] | None
    path: Path

    @property
    def moment(self) -> datetime:
        """When the run that archived it began."""
        return _moment(self.run_started)

    def live(self, shape: SessionShape) -> LiveSession:
        """The session as it was.

        Raises:
            ReconcilerError: it does not have the form that the contract describes.
        """
        try:
            return decode_session(dict(self.session), shape)
        except ApiError as error:
            raise ReconcilerError(
                f"{self.path} does not fit the contract: {error.what.partition(': ')[2]}",
                "it was archived under another contract: name that one with --contract",
            ) from None


def read_archive(folder: Path) -> tuple[list[Archived], list[Problem]]:
    """The archived sessions, oldest first, and a problem for each file that can't be read.

    Raises:
        ReconcilerError: the folder exists but can't be read.
    """
    found: list[Archived] = []
    problems: list[Problem] = []
    for path in _files(folder, ".json"):
        try:
            found.append(_read(path))
        except _UNREADABLE as error:
            problems.append(Problem(_why(path, error), "the file is ignored"))
    return found, problems


def find_archived(folder: Path, archive_id: str) -> Archived:
    """One archived session, by its id or a unique prefix of it.

    Raises:
        ReconcilerError: none matches, or more than one, or the file can't be read.
    """
    found = [path for path in _files(folder, ".json") if path.stem.startswith(archive_id)]
    chosen = [path for path in found if path.stem == archive_id] or found
    if len(chosen) == 1:
        try:
            return _read(chosen[0])
        except _UNREADABLE as error:
            raise ReconcilerError(
                _why(chosen[0], error), "it was truncated or altered: look for a copy of the file"
            ) from None
    if not found:
        raise ReconcilerError(
            f"there is no {archive_id!r} in {folder}", "`reconciler archive list` shows what is archived"
        )
    raise ReconcilerError(f"{archive_id!r} matches {len(found)} archived sessions", "give more of the id")


def archived_or_none(folder: Path, archive_id: str) -> Archived | None:
    """The archived session with exactly this id; None if it is not there, or can't be read."""
    if Path(archive_id).name != archive_id:
        return None  # a stranger may have written the journal that names it
    try:
        return _read(folder / f"{archive_id}.json")
    except _UNREADABLE:
        return None


def unfinished(folder: Path, before: datetime) -> list[Path]:
    """The partial files of killed runs that were last modified before this moment.

    Raises:
        ReconcilerError: the folder exists but can't be read.
    """
    found = []
    for path in _files(folder, ".partial"):
        with suppress(OSError):  # another run has just finished it
            if path.name.startswith(".") and path.lstat().st_mtime < before.timestamp():
                found.append(path)
    return found


def _files(folder: Path, suffix: str) -> list[Path]:
    """The files of an archive with this suffix; none if nothing was archived yet."""
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(suffix))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ReconcilerError(
            f"the archive in {folder} can't be read: {error.strerror}",
            "fix the folder, or name another one with --archive-dir or --state-dir",
        ) from None


#: What reading a file that is not an archived session may raise.
_UNREADABLE: Final = (OSError, ValueError)
#: An archived session holds the live one, and some messages.
_DEEPEST: Final = DEEPEST + 5

#: The fields of an archived session.
_HOLDS: Final[Mapping[str, tuple[type, ...]]] = {
    "archive_version": (int,),
    "id": (str,),
    "before": (str,),
    "run_started": (str,),
    "endpoint": (str,),
    "catalog": (str,),
    "environment": (str, type(None)),
    "key": (str,),
    "session": (dict,),
    "messages": (list, type(None)),
}
_MAY_HOLD: Final[Mapping[str, tuple[type, ...]]] = {"session_id": (int,), "name": (str,), "run": (str,)}


def _read(path: Path) -> Archived:
    with open_regular(path) as file:
        document = parse_json(read_open(file, MAX_DOCUMENT), levels=_DEEPEST)
    if type(document) is not dict:
        raise ValueError("it is not a JSON object")
    version = document.get("archive_version", ARCHIVE_VERSION)
    if version != ARCHIVE_VERSION:
        raise ValueError(f"it is of version {version}, and this is {ARCHIVE_VERSION}")
    for name, kinds in _HOLDS.items():
        if name not in document:
            raise ValueError(f"it has no {name}")
        _check(name, document[name], kinds)
    for name, kinds in _MAY_HOLD.items():
        _check(name, document.get(name), (*kinds, type(None)))
    messages = document["messages"]
    for message in messages or ():
        _check("a message", message, (dict,))
    if document["id"] != path.stem:
        raise ValueError(f"its id is {document['id']!r}")
    _moment(document["run_started"])
    return Archived(
        id=document["id"],
        run=document.get("run") or "",
        before=document["before"],
        run_started=document["run_started"],
        endpoint=document["endpoint"],
        account=account_from_json(document.get("account")),
        identity=Identity(document["catalog"], document["environment"], document["key"]),
        session_id=document.get("session_id"),
        name=document.get("name"),
        session=document["session"],
        messages=messages,
        path=path,
    )


def _check(name: str, value: Any, kinds: tuple[type, ...]) -> None:
    if type(value) not in kinds:
        raise ValueError(f"{name} is of the wrong type")


def _moment(text: str) -> datetime:
    try:
        return read_timestamp(text)
    except ValueError:
        raise ValueError("run_started is not a time") from None


def _why(path: Path, error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else error
    return f"{path} is not an archived session: {reason}"
