"""Progress of long work, on stderr, and only where that is a terminal."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Work that takes less time than this (seconds) shows no progress.
PATIENCE = 0.4

Step = Callable[[int, int], None]


@contextmanager
def progress(what: str) -> Iterator[Step]:
    """Yields a function that takes the number of steps done and their total."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    bar = _Bar(what)
    try:
        yield bar.step
    finally:
        bar.close()


@contextmanager
def telling() -> Iterator[Callable[[str], None]]:
    """Yields a function to call with a short fixed description of the current step."""
    if not sys.stderr.isatty():
        yield lambda step: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield lambda step: status.update(step)


class _Bar:
    def __init__(self, what: str) -> None:
        self._what = what
        self._begun = time.monotonic()
        self._lock = threading.Lock()
        self._progress: object | None = None

    def step(self, done: int, total: int) -> None:
        from rich.console import Console
        from rich.progress import Progress

        with self._lock:
            if self._progress is None:
                if time.monotonic() - self._begun < PATIENCE:
                    return
                self._progress = Progress(console=Console(stderr=True), transient=True)
                self._task = self._progress.add_task(self._what, total=total)
                self._progress.start()
            assert isinstance(self._progress, Progress)
            self._progress.update(self._task, completed=done, total=total)

    def close(self) -> None:
        from rich.progress import Progress

        if isinstance(self._progress, Progress):
            self._progress.stop()
