"""The archive: what a session was before it was written to or deleted, one JSON file each, on disk before the write."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.api.rows import live_session
from reconciler.contract import SessionShape
from reconciler.errors import Problem, ReconcilerError
from reconciler.model import LiveSession
from reconciler.state import write_durably
from reconciler.tag import Identity

FOLDER = "archive"
ARCHIVE_VERSION = 1

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Archive:
    """A folder of archived sessions. ``run`` and ``started`` (UTC, ISO 8601) are those of the run that writes."""

    folder: Path
    run: str
    started: str
    endpoint: str

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            ReconcilerError: it can't be made.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from None

    def make_sure(self, size: int) -> None:
        """See that so many bytes could be written here. What a disk has no room for is better known before.

        Raises:
            ReconcilerError: they can't.
        """
        probe = self.folder / f".{self.run}.partial"
        try:
            try:
                with probe.open("wb") as file:
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
        """Keep a session as it is now, before the named operation. Nothing that is there is overwritten.

        Returns the archive id.

        Raises:
            ReconcilerError: it is not on disk. The write must not happen then.
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
            "before": before,
            "catalog": identity.catalog,
            "environment": identity.environment,
            "key": identity.key,
            "session": live.row,
            "messages": messages,
        }
        try:
            write_durably(self.folder / f"{archive_id}.json", json.dumps(document, indent=1) + "\n")
        except OSError as error:
            raise self._unwritable(error) from None
        return archive_id

    def _unwritable(self, error: OSError) -> ReconcilerError:
        return ReconcilerError(
            f"the archive in {self.folder} can't be written: {error.strerror}",
            "nothing is changed before its former state is on disk: make room, or name another --archive-dir",
        )


@dataclass(frozen=True, slots=True)
class Archived:
    """One archived session, as it lies on disk. ``messages`` is None where only the session was written to."""

    id: str
    before: str
    run_started: str
    endpoint: str
    identity: Identity
    session: Mapping[str, Any]
    messages: Sequence[Mapping[str, Any]] | None
    path: Path

    def live(self, shape: SessionShape) -> LiveSession:
        """The session as it was."""
        return live_session(dict(self.session), shape)


def read_archive(folder: Path) -> tuple[list[Archived], list[Problem]]:
    """All that is in an archive, oldest first, and what in it can't be read."""
    found: list[Archived] = []
    problems: list[Problem] = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(_read(path))
        except (OSError, ValueError, KeyError, TypeError) as error:
            problems.append(Problem(f"{path} is no archived session: {error}", "it is passed over"))
    return found, problems


def find_archived(folder: Path, archive_id: str) -> Archived:
    """One archived session by its id, or by the beginning of it that no other shares.

    Raises:
        ReconcilerError: there is none, or more than one.
    """
    found = [one for one in read_archive(folder)[0] if one.id.startswith(archive_id)]
    exact = [one for one in found if one.id == archive_id]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if not found:
        raise ReconcilerError(
            f"there is no {archive_id!r} in {folder}", "reconciler archive list shows what there is"
        )
    raise ReconcilerError(f"{archive_id!r} fits {len(found)} archived sessions", "give more of the id")


def _read(path: Path) -> Archived:
    document = json.loads(path.read_bytes())
    if document["archive_version"] != ARCHIVE_VERSION:
        raise ValueError(f"it is of version {document['archive_version']}, and this is {ARCHIVE_VERSION}")
    return Archived(
        id=document["id"],
        before=document["before"],
        run_started=document["run_started"],
        endpoint=document["endpoint"],
        identity=Identity(document["catalog"], document["environment"], document["key"]),
        session=document["session"],
        messages=document["messages"],
        path=path,
    )
