"""Events: what happened to a watched catalog. Metrics, logs and webhooks are made of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from reconciler.text.timestamps import write_timestamp

#: - ``looked``: a look ended; its ``facts`` are ``outcome`` (a lasting state) and ``seconds``.
#: - ``listed``: the account's sessions were listed; ``how`` is ``same``, ``delta`` or ``full``.
#: - ``mismatch``: a full listing found changes that the cheap looks had missed.
#: - ``drift_found``, ``plan_pending``, ``applied``, ``refused``, ``failing``, ``recovered``: announced once each, when
#:   they begin. ``applied`` has ``run``, ``exit_code`` and ``actions`` (kind and outcome to count).
#: - ``interrupted``: an earlier run has no end on record. Its facts are those of ``applied``.
#: - ``revision``: a new revision was loaded; ``revision`` names it.
#: - ``standby``, ``leading``: another watcher holds the lock of the catalog, or no longer does.
Kind: TypeAlias = Literal[
    "looked",
    "listed",
    "mismatch",
    "drift_found",
    "plan_pending",
    "applied",
    "interrupted",
    "refused",
    "failing",
    "recovered",
    "revision",
    "standby",
    "leading",
]

#: The events that webhooks announce.
ANNOUNCED: frozenset[Kind] = frozenset(
    {"drift_found", "plan_pending", "applied", "interrupted", "refused", "failing", "recovered"}
)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at a time (UTC).

    ``watched`` is the name of the watched catalog, empty if the event concerns an account. ``account`` is its mark:
    eight hexadecimal digits. ``message`` is one sentence without any text of a prompt; it may contain names from a
    catalog, so whoever prints it escapes it. ``facts`` depend on the kind.
    """

    kind: Kind
    at: datetime
    account: str
    watched: str = ""
    catalog: str = ""
    environment: str | None = None
    message: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def event_to_document(event: Event) -> dict[str, Any]:
    """The event as JSON values. Its time is an RFC 3339 text in UTC."""
    return {
        "kind": event.kind,
        "at": write_timestamp(event.at),
        "account": event.account,
        "watched": event.watched,
        "catalog": event.catalog,
        "environment": event.environment,
        "message": event.message,
        "facts": json.loads(json.dumps(dict(event.facts), default=str)),
    }


#: Called with each event, from any thread. It must neither raise nor block for long.
OnEvent: TypeAlias = Callable[[Event], None]
