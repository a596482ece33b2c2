"""Progress of long work, on stderr: a bar on a terminal; elsewhere a line, once, about what takes long."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

#: Work that takes less time than this (seconds) shows no progress.
PATIENCE = 0.4

#: Without an answer for this time (seconds), a run says what it waits for; RECONCILER_PATIENCE sets another one.
SILENCE = 0.6

Step = Callable[[int, int], None]


@contextmanager
def progress(what: str) -> Iterator[Step]:
    """Yields a function that takes the number of steps done and their total."""
    if not sys.stderr.isatty():
        yield _Once(what).step
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


@contextmanager
def waiting(what: str) -> Iterator[Callable[[], None]]:
    """Say what is waited for if it takes long. Yields a function to call once it has come."""
    timer = threading.Timer(_silence(), lambda: click.echo(f"waiting for {what} …", err=True))
    timer.daemon = True
    timer.start()
    try:
        yield timer.cancel
    finally:
        timer.cancel()


def _silence() -> float:
    try:
        seconds = float(os.environ.get("RECONCILER_PATIENCE", ""))
    except ValueError:
        return SILENCE
    return SILENCE if math.isnan(seconds) else min(max(seconds, 0.0), 86400.0)


class _Once:
    """Says how far long work has come, one time."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._due = time.monotonic() + _silence()
        self._lock = threading.Lock()
        self._said = False

    def step(self, done: int, total: int) -> None:
        with self._lock:
            if self._said or done >= total or time.monotonic() < self._due:
                return
            self._said = True
        click.echo(f"{self._what}: {done:,} of {total:,} so far …", err=True)


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
