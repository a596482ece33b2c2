"""What a plan needs beside the list: the mark of the account's key, and how many messages some sessions have."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.api.client import Client
from reconciler.domain import Snapshot, Written
from reconciler.ownership.account import mark_key
from reconciler.state import read_salt

if TYPE_CHECKING:
    from reconciler.plan.types import Plan


def key_mark(client: Client, state: Path) -> str:
    """The mark of the client's key, with the salt in the state folder; empty if there is none yet."""
    key = client.endpoint.api_key
    return mark_key(key, read_salt(state) if key else None)


def with_key(snapshot: Snapshot, key: str) -> Snapshot:
    """The snapshot with the mark of the key that it was listed with."""
    return replace(snapshot, account=replace(snapshot.account, key=key))


def with_messages(
    snapshot: Snapshot,
    catalog: str,
    environment: str | None,
    written: Written,
    client: Callable[[], AbstractContextManager[Client]],
) -> Snapshot:
    """The snapshot, with the number of messages of each session whose identity is live more than once, except copies.
    Without such sessions, no call is sent. ``written`` is what the journal says."""
    from reconciler.plan.duplicates import to_count
    from reconciler.plan.placing import doubles

    lives, beyond = to_count(doubles(snapshot, catalog, environment, written))
    if not lives:
        return snapshot
    from reconciler.api.messages import count_messages

    with client() as asked:
        counts = count_messages(asked, lives)
    return replace(snapshot, messages=counts, uncounted=beyond)


def with_message_counts(
    plan: Plan, snapshot: Snapshot, client: Callable[[], AbstractContextManager[Client]]
) -> Plan:
    """The plan, with how many messages each delete takes away. Those that the snapshot counted already are not asked
    again, and count towards the limit."""
    from reconciler.api.messages import count_messages
    from reconciler.plan.chats import uncounted, with_counts
    from reconciler.plan.duplicates import MOST_COUNTED

    numbers = frozenset(uncounted(plan))
    lives = [live for live in snapshot if live.session_id in numbers]
    if not lives:
        return plan
    with client() as asked:
        return with_counts(
            plan, count_messages(asked, lives[: max(0, MOST_COUNTED - len(snapshot.messages))])
        )
