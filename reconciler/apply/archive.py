"""The archive: what a session was before it was written to or deleted, one JSON file each, on disk before the write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.errors import ReconcilerError
from reconciler.model import LiveSession
from reconciler.state import write_durably
from reconciler.tag import Identity

FOLDER = "archive"
ARCHIVE_VERSION = 1


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

    def put(
        self, before: str, identity: Identity, live: LiveSession, messages: list[Mapping[str, Any]] | None
    ) -> str:
        """Keep a session as it is now, before the named operation (once for each in a run).

        Returns the archive id.

        Raises:
            ReconcilerError: it is not on disk. The write must not happen then.
        """
        moment = self.started.replace("-", "").replace(":", "")[:15]
        archive_id = f"{moment}-{self.run}-{live.session_id}-{before}"
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
