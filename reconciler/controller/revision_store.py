"""Revisions of a catalog, kept as folders: each with exactly the files that the revision has.

A catalog is loaded from such a folder and not from where people edit it, so a revision is read whole or not at all. The
last applied revision is kept as long as it may be needed to repair drift.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from reconciler.errors import ReconcilerError
from reconciler.state import open_state

FOLDER: Final = "revisions"

#: The most bytes and entries that a revision may have. A catalog is far smaller; a folder that holds other things, too,
#: is better watched from a folder further down.
MAX_BYTES: Final = 256 * 2**20
MAX_ENTRIES: Final = 100_000

_NAME: Final = re.compile("[0-9a-f]{40,64}")


class RevisionStore:
    """The revisions of one source, in ``state`` (the state folder). ``source`` is a name that fits into a path."""

    def __init__(self, state: Path, source: str) -> None:
        self._state = state
        self._folder = state / FOLDER / source

    def find(self, revision: str) -> Path | None:
        """The folder of a revision; None if it is not kept."""
        if not _NAME.fullmatch(revision):
            return None
        folder = self._folder / revision
        return folder if folder.is_dir() else None

    def keep(
        self, revision: str, files: Iterable[tuple[str, bytes]], links: Iterable[tuple[str, str]]
    ) -> Path:
        """Write a revision. ``files`` are relative paths with their bytes, ``links`` symbolic links with their targets.

        The folder appears under its name only when it is complete. Links are made last, so no file is written through
        one; reading a catalog follows none that leads out of it.

        Raises:
            ReconcilerError: it can't be written.
        """
        partial = self._folder / f".{secrets.token_hex(8)}.partial"
        try:
            open_state(self._state)
            partial.mkdir(mode=0o700, parents=True)
            for path, data in files:
                place = partial / path
                place.parent.mkdir(parents=True, exist_ok=True)
                with place.open("xb") as file:
                    file.write(data)
            for path, target in links:
                place = partial / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(target)
            folder = self._folder / revision
            if not folder.is_dir():
                partial.rename(folder)
            return folder
        except OSError as error:
            raise ReconcilerError(
                f"the revision {revision[:12]} can't be written to {self._folder}: {error.strerror}",
                "make room, or name another folder with --state-dir",
            ) from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def drop(self, revision: str) -> None:
        """Remove a revision that is not what its name says."""
        if (kept := self.find(revision)) is not None:
            shutil.rmtree(kept, ignore_errors=True)

    def retain(self, revisions: Collection[str]) -> None:
        """Remove every revision but these. What can't be removed stays; the next call tries again."""
        if not self._folder.is_dir():
            return
        for entry in os.scandir(self._folder):
            if entry.name not in revisions:
                shutil.rmtree(entry.path, ignore_errors=True)
