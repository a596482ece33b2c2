"""The log of ``reconciler watch``: one line for each event, on stderr. No prompt is in it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from reconciler.controller.events import Event, event_to_document
from reconciler.text.escape import terminal
from reconciler.text.timestamps import write_timestamp

LogFormat: TypeAlias = Literal["text", "json"]

#: What happens with each look. It is logged only if it is asked for.
_ROUTINE = ("looked", "listed")


def event_log(form: LogFormat, *, verbose: bool) -> Callable[[Event], None]:
    """Logs events, as text or as JSON. Looks that find nothing new are left out unless it is ``verbose``."""

    def log(event: Event) -> None:
        if event.kind in _ROUTINE and not event.message and not verbose:
            return
        line = json.dumps(event_to_document(event)) if form == "json" else _text(event)
        # One write a line, so that lines of several threads do not mix.
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    return log


def _text(event: Event) -> str:
    where = event.watched or f"account {event.account}"
    facts = "" if event.message else " ".join(f"{name}={value}" for name, value in event.facts.items())
    said = event.message or facts
    hint = f" (hint: {event.facts['hint']})" if event.facts.get("hint") and event.message else ""
    return terminal(f"{write_timestamp(event.at)} {where} {event.kind}{': ' if said else ''}{said}{hint}")


def tell(form: LogFormat, sentence: str) -> None:
    """Logs a sentence that is no event of a catalog, in the form of the log: a collector reads every line as JSON."""
    if form == "json":
        at = write_timestamp(datetime.now(UTC))
        sys.stderr.write(json.dumps({"kind": "process", "at": at, "message": sentence}) + "\n")
    else:
        sys.stderr.write(terminal(sentence) + "\n")
    sys.stderr.flush()
