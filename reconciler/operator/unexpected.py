"""What is done about errors that nobody expected: they are told in one sentence, and nothing else ends with them."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from reconciler.controller.trouble import described
from reconciler.operator.cluster import name_of
from reconciler.operator.wording import hinted

#: Tells a sentence.
Say = Callable[[str], None]

#: What kopf warns of although it is meant to be so.
_KNOWN: Final = frozenset({"OS signals are ignored: running not in the main thread."})

_ATTEMPT: Final = re.compile("^Request attempt #[0-9/]+")


@contextmanager
def survived(say: Say, body: Mapping[str, Any]) -> Iterator[None]:
    """Tell an error of the block, which is about an object of the cluster. It is tried again when the object changes,
    or with the next full read."""
    try:
        yield
    except Exception as error:
        say(f"{_name(body)} can't be followed: {sentence(error)}")


def sentence(error: Exception) -> str:
    """An error in a sentence, and what to do about it."""
    return hinted(*described(error))


def _name(body: Mapping[str, Any]) -> str:
    try:
        return f"{body.get('kind') or 'object'} {name_of(body)}"
    except Exception:  # then it is what can't be read
        return "an object of the cluster"


class Sentences(logging.Handler):
    """Tells what libraries log as warnings, without tracebacks. The same is told once a minute."""

    def __init__(self, say: Say) -> None:
        super().__init__(logging.WARNING)
        self._say = say
        self._told: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        message, now = record.getMessage(), time.monotonic()
        # kopf counts attempts, and appends the whole answer.
        text = _ATTEMPT.sub("Request", message.partition(", {'")[0].partition("\n")[0])[:500]
        if message in _KNOWN or now < self._told.get(text, now):
            return
        self._told = {one: until for one, until in self._told.items() if now < until} | {text: now + 60.0}
        self._say(f"{record.name.partition('.')[0]}: {text}")


@contextmanager
def in_sentences(say: Say, *libraries: str) -> Iterator[None]:
    """Tell the warnings of these libraries during the block."""
    handler = Sentences(say)
    loggers = [logging.getLogger(name) for name in libraries]
    for one in loggers:
        one.addHandler(handler)
    try:
        yield
    finally:
        for one in loggers:
            one.removeHandler(handler)
