"""Standard output and standard error whose reader has exited, or which were closed from the start.

A command's result does not depend on its readers: ``apply … | head -1`` keeps its exit code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TextIO


class _Forgiving:
    """A text stream that accepts writes after its reader has exited."""

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
        """Discard all further writes, and what is still in the stream's buffers."""
        self.unread = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.stream.fileno())
        os.close(nowhere)


@contextmanager
def forgiving_streams() -> Iterator[None]:
    """Inside the block, neither a reader that exits nor a closed stream is an error."""
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
            if getattr(sys, name) is one:  # otherwise it was replaced so that it is not flushed again
                one.flush()
                setattr(sys, name, given[name])


_STREAMS = ((1, "stdout"), (2, "stderr"))


def stdout_is_read() -> bool:
    """Whether stdout still has a reader, as far as can be known."""
    return not getattr(sys.stdout, "unread", False)


def _nothing(number: int, mode: Literal["r", "w"]) -> TextIO:
    """A stream in place of a closed one. It takes the descriptor, too, which the next file would get otherwise."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    if descriptor != number:
        os.dup2(descriptor, number)
        os.close(descriptor)
    return open(number, mode, encoding="utf-8")
