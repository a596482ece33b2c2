"""Answers kept, by the digest of what they depend on: what did not change is not asked again.

Answers are kept in the state folder, one file each, by service and digest. A recording is a file with one answer a
line, to run without a key.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from reconciler.api.chat import Said
from reconciler.disk import MAX_DOCUMENT, open_regular, read_named, read_open, write_durably
from reconciler.errors import Problem, ReconcilerError
from reconciler.state import open_state

FOLDER: Final = "answers"

_DIGEST: Final = re.compile("[0-9a-f]{40}")
#: The largest file with one answer, in bytes.
_LARGEST: Final = 10 * 2**20


class Answers:
    """Answers by digest: those of a recording, then those in the state folder. All methods are thread-safe.

    Without a ``state`` folder, new answers are kept in memory only. Those in the folder are of one ``service``: what an
    embedded server says is no answer of another one. If ``fresh``, they are replaced without being read. ``used`` are
    all that were asked for.
    """

    def __init__(
        self,
        state: Path | None = None,
        recorded: dict[str, Said] | None = None,
        service: str = "",
        *,
        fresh: bool = False,
    ) -> None:
        self._folder = None if state is None else state / FOLDER
        self._state = state
        self._service = service
        self._fresh = fresh
        self._known = dict(recorded or {})
        self._lock = threading.Lock()
        self.used: dict[str, Said] = {}

    def find(self, digest: str) -> Said | None:
        """The answer to a question; None if it is not there."""
        with self._lock:
            found = self._known.get(digest)
        if found is None and self._folder is not None and not self._fresh:
            found = self._read(digest)
        if found is not None:
            with self._lock:
                self._known[digest] = self.used[digest] = found
        return found

    def keep(self, digest: str, said: Said) -> None:
        """Keep an answer.

        Raises:
            ReconcilerError: it can't be written.
        """
        with self._lock:
            self._known[digest] = self.used[digest] = said
        if self._folder is None or self._state is None:
            return
        path = self._path(digest)
        try:
            open_state(self._state)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_durably(path, json.dumps(_to_json(digest, said), ensure_ascii=False))
        except OSError as error:
            raise ReconcilerError(
                f"the answer can't be kept in {self._folder}: {error.strerror}",
                "make room, or name another --state-dir",
            ) from None

    def _read(self, digest: str) -> Said | None:
        try:
            with open_regular(self._path(digest)) as file:
                found = _from_json(json.loads(read_open(file, _LARGEST)))
        except (OSError, ValueError, RecursionError):
            return None  # it is asked again
        return found[1] if found is not None and found[0] == digest else None

    def _path(self, digest: str) -> Path:
        assert self._folder is not None
        name = hashlib.sha256(f"{self._service}\n{digest}".encode()).hexdigest()[:40]
        return self._folder / name[:2] / f"{name}.json"


def read_recording(path: Path) -> dict[str, Said]:
    """The answers in a recording.

    Raises:
        ReconcilerError: it can't be read, or holds something else.
    """
    try:
        text = read_named(path, MAX_DOCUMENT).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ReconcilerError(f"the recording {path} can't be read: {reason}") from None
    found: dict[str, Said] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            one = _from_json(json.loads(line))
        except (ValueError, RecursionError):
            one = None
        if one is None:
            hint = "make it anew with `reconciler test --record`"
            raise ReconcilerError(Problem("this line is not a recorded answer", hint, str(path), number, 1))
        found[one[0]] = one[1]
    return found


def recording(answers: Iterable[tuple[str, Said]]) -> str:
    """A recording of answers by digest, sorted, so that two recordings can be compared."""
    return "".join(
        json.dumps(_to_json(*one), ensure_ascii=False) + "\n"
        for one in sorted(answers, key=lambda one: one[0])
    )


def _to_json(digest: str, said: Said) -> dict[str, str]:
    return {"question": digest, "answer": said.text, "finish": said.finish}


def _from_json(value: Any) -> tuple[str, Said] | None:
    if not isinstance(value, dict):
        return None
    digest, text, finish = (value.get(name) for name in ("question", "answer", "finish"))
    if not (
        isinstance(digest, str)
        and _DIGEST.fullmatch(digest)
        and isinstance(text, str)
        and isinstance(finish, str)
    ):
        return None
    return digest, Said(text, finish)
