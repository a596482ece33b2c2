"""Standard output and standard error where nobody reads them any more, or where there never were any.

What a command has done does not depend on who looks: ``apply … | head -1`` ends with the code that it came to.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TextIO


class _Forgiving:
    """A text stream that takes what is written to it although its reader is gone."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.unread = False

    def write(self, text: str) -> int:
        try:
            return self.stream.write(text)
        except BrokenPipeError:
            self._give_up()
            return len(text)

    def flush(self) -> None:
        try:
            self.stream.flush()
        except BrokenPipeError:
            self._give_up()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _give_up(self) -> None:
        """Let all else that is written vanish, and with it what waits in the stream's buffers."""
        self.unread = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.stream.fileno())
        os.close(nowhere)


@contextmanager
def forgiving_streams() -> Iterator[None]:
    """For as long as the block lasts, neither a reader that goes away nor a stream that was closed is an error."""
    if sys.stdin is None:
        sys.stdin = _nothing(0, "r")
    given = {name: getattr(sys, name) or _nothing(number, "w") for number, name in _STREAMS}
    ours = {name: _Forgiving(stream) for name, stream in given.items()}
    for name, one in ours.items():
        setattr(sys, name, one)
    try:
        yield
    finally:
        for name, one in ours.items():
            if getattr(sys, name) is one:  # else somebody took it away, so that it is not flushed again
                one.flush()
                setattr(sys, name, given[name])


_STREAMS = ((1, "stdout"), (2, "stderr"))


def stdout_is_read() -> bool:
    """Whether what was printed so far has found a reader, as far as can be known."""
    return not getattr(sys.stdout, "unread", False)


def _nothing(number: int, mode: Literal["r", "w"]) -> TextIO:
    """A stream in place of one that was closed. It takes the descriptor too, which the next file would get else."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    if descriptor != number:
        os.dup2(descriptor, number)
        os.close(descriptor)
    return open(number, mode, encoding="utf-8")
