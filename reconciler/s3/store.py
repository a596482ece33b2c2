"""The state folder of a resource, kept in a bucket as well: what has to outlive a pod that has no volume."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from reconciler.apply import archive as archives
from reconciler.apply import journal as journals
from reconciler.disk import open_regular
from reconciler.errors import Problem, ReconcilerError
from reconciler.s3.bucket import Bucket
from reconciler.s3.fetching import (
    ARCHIVE,
    FILES,
    STATE,
    mark_saved,
    merge_journal,
    newest_term,
    restore_small_files,
    saved_journal,
    small_files,
)
from reconciler.state import make_salt, open_state

#: A part of the journal that is longer than this (bytes) is not made any longer: it is sent whole with each entry.
_PART: Final = 2**18

#: How late an error is that others would wait for, too, and how long they do not (seconds).
_LATE: Final = 3.0
_PAUSE: Final = 20.0


class Outage:
    """Lets the fetches of all stores fail at once for a while, after one of them has waited in vain: hundreds of them
    would wait one after another, and keep the process from ending."""

    def __init__(self) -> None:
        self._until = 0.0  # by the monotonic clock
        self._problems: tuple[Problem, ...] = ()

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note an error in the block if it came late.

        Raises:
            ReconcilerError: another block has just waited in vain.
        """
        began = time.monotonic()
        if began < self._until:
            raise ReconcilerError(self._problems)
        try:
            yield
        except ReconcilerError as error:
            ended = time.monotonic()
            if ended - began > _LATE:
                self._until, self._problems = ended + _PAUSE, error.problems
            raise


class S3Store:
    """The store of one state folder: see :class:`reconciler.state.Store`. ``held`` says whether this process may write.

    The bucket has an archived session before the session is changed, and each intent before the write. So a process
    with an empty disk knows what one would know whose disk survived a power failure.
    """

    def __init__(
        self,
        bucket: Bucket,
        name: str,
        folder: Path,
        held: Callable[[], bool],
        outage: Outage | None = None,
    ) -> None:
        self._bucket, self._name, self._folder, self._held = bucket, name, folder, held
        self._outage = outage or Outage()
        self._tag = secrets.token_hex(4)
        self._term = 0  # the number of this process
        self._current = False  # whether the folder was looked for since :meth:`doubt`
        self._part = 1
        self._begun = 0  # where the part begins in the journal (bytes)
        self._lock = threading.Lock()

    def doubt(self) -> None:
        """Another process may have had the folder: look again with the next :meth:`fetch`."""
        self._current = False

    def fetch(self) -> None:
        with self._lock:
            if self._current:
                return
            with self._outage.noted():
                names = self._bucket.list(f"{STATE}/{self._name}")
                newest = newest_term(names)
                if not self._term or newest != self._term:
                    try:
                        self._take_over(names, newest)
                    except OSError as error:
                        raise self._unusable(error) from None
            self._current = True

    def save(self, path: Path) -> None:
        if path.parent.name == archives.FOLDER:
            self._save_archived(path)
            return
        with self._lock:
            if not self._term:
                raise ReconcilerError(f"{path} can't be saved: what earlier processes left is not known yet")
            try:
                if path.name == journals.FILE:
                    self._save_journal(path)
                else:
                    self._save_small_files(self._term, new=False)
            except OSError as error:
                raise self._unusable(error) from None

    def _take_over(self, names: Mapping[str, datetime], newest: int) -> None:
        """Bring what others left into the folder, then claim it by a number of our own."""
        open_state(self._folder)
        if newest:
            files = small_files(self._bucket, self._name, newest)
            restore_small_files(self._folder, files, names[f"{newest:08}.json"])
        make_salt(self._folder)
        only_here = merge_journal(self._folder, saved_journal(self._bucket, self._name, names))
        if not self._held():
            raise ReconcilerError("the lease was lost: another process has the folder now")
        term = newest + 1
        if not self._save_small_files(term, new=True):
            raise ReconcilerError(
                f"another process has just taken over {self._bucket.name(self._key(''))}",
                "nothing is wrong: it is looked at again",
            )
        if only_here:
            self._bucket.put(self._key(f"{term:08}-{self._tag}-0000.jsonl"), only_here, new=True)
        path = self._folder / journals.FILE
        self._begun = path.stat().st_size if path.exists() else 0
        self._term, self._part = term, 1

    def _save_small_files(self, term: int, *, new: bool) -> bool:
        files = {}
        for name in FILES:
            if (self._folder / name).exists():
                with open_regular(self._folder / name) as file:
                    files[name] = file.read().decode("utf-8", "replace")
        document = {"format_version": "1.0", "files": files}
        saved = self._bucket.put(self._key(f"{term:08}.json"), json.dumps(document).encode(), new=new)
        for name in files if saved else ():
            mark_saved(self._folder / name)
        return saved

    def _save_journal(self, path: Path) -> None:
        with open_regular(path) as file:
            file.seek(self._begun)
            data = file.read()
        self._bucket.put(self._key(f"{self._term:08}-{self._tag}-{self._part:04}.jsonl"), data, new=False)
        if len(data) > _PART:
            self._begun += len(data)
            self._part += 1

    def _save_archived(self, path: Path) -> None:
        key = f"{ARCHIVE}/{self._name}/{path.name}"
        try:
            with open_regular(path) as file:
                data = file.read()
        except OSError as error:
            raise self._unusable(error) from None
        # It may be there if the answer to an earlier try was lost.
        if not self._bucket.put(key, data, new=True) and self._bucket.get(key) != data:
            raise ReconcilerError(
                f"{self._bucket.name(key)} holds something else",
                "look at what else writes to the bucket; nothing is overwritten",
            )

    def _key(self, name: str) -> str:
        return f"{STATE}/{self._name}/{name}"

    def _unusable(self, error: OSError) -> ReconcilerError:
        return ReconcilerError(
            f"the folder {self._folder} can't be used: {error.strerror}",
            "make room or correct its permissions: journal and archive are on disk before they are in S3",
        )


@dataclass(slots=True)
class S3Stores:
    """The stores of a process, by the name of the resource. One that is no longer in use is forgotten; the next one
    takes over what it left."""

    bucket: Bucket
    held: Callable[[], bool]
    _outage: Outage = field(default_factory=Outage)
    _stores: WeakValueDictionary[str, S3Store] = field(default_factory=WeakValueDictionary)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, name: str, folder: Path) -> S3Store:
        """The store of a resource that begins to be watched."""
        with self._lock:
            store = self._stores.get(name)
            if store is None:
                store = self._stores[name] = S3Store(self.bucket, name, folder, self.held, self._outage)
        store.doubt()
        return store
