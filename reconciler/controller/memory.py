"""What a watcher remembers over a restart: which revision of a catalog was live as a whole.

Approvals are not kept. The state folder may lie in a checkout, and a pull request must not be able to bring an approval
along; after a restart, the pending plan is approved again.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, Final

from reconciler.disk import open_regular, write_durably
from reconciler.errors import ReconcilerError
from reconciler.state import ON_DISK, Store, open_state

FILE: Final = "watch.json"
_LONGEST: Final = 2**20


#: Catalogs of several accounts may share a state folder.
_TURN: Final = threading.Lock()


class Memory:
    """The applied revision of one watched catalog, in the state folder. ``key`` tells it from others there, and
    ``store`` is that of the folder."""

    def __init__(self, state: Path, key: str, store: Store = ON_DISK) -> None:
        self._state = state
        self._key = key
        self._store = store
        self._unsaved = False

    def applied(self) -> str | None:
        """The revision that was live as a whole, the last time that one was; None if that is not known.

        Raises:
            ReconcilerError: the file is there and can't be read, or what it holds could not be saved before, and still
                can't.
        """
        if self._unsaved:
            self._save()
        found = self._read().get(self._key)
        return found if isinstance(found, str) else None

    def remember(self, revision: str) -> None:
        """Keep the applied revision.

        Raises:
            ReconcilerError: it can't be written or saved.
        """
        path = self._state / FILE
        try:
            with _TURN:
                applied = self._read()
                if applied.get(self._key) == revision and not self._unsaved:
                    return
                open_state(self._state)
                document = {"format_version": "1.0", "applied": {**applied, self._key: revision}}
                write_durably(path, json.dumps(document, indent=1, sort_keys=True) + "\n")
                self._save()
        except OSError as error:
            raise ReconcilerError(
                f"{path} can't be written: {error.strerror}",
                "make room, or fix the folder's permissions: it holds which revision is live",
            ) from None

    def _save(self) -> None:
        self._unsaved = True
        self._store.save(self._state / FILE)
        self._unsaved = False

    def _read(self) -> dict[str, Any]:
        path = self._state / FILE
        try:
            with open_regular(path) as file:
                document = json.loads(file.read(_LONGEST))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise ReconcilerError(f"{path} can't be read: {error.strerror}") from None
        except (ValueError, RecursionError):
            return {}  # as if nothing were known: then nothing is repaired, and the status says so
        applied = document.get("applied") if isinstance(document, dict) else None
        return applied if isinstance(applied, dict) else {}
