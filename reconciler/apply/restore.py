"""Bringing an archived session back.

A deleted session is made again, with its remark and its messages in order; the server gives it a new id. An updated
one is put back to what it was. A restore that was cut short can be run again: it goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.api.client import Client
from reconciler.api.errors import ApiError
from reconciler.api.listing import list_sessions
from reconciler.api.messages import list_messages
from reconciler.api.pace import pause_before
from reconciler.apply.archive import Archive, Archived
from reconciler.apply.payload import making_payload, restore_payload
from reconciler.errors import ReconcilerError, Refused
from reconciler.model import LiveSession, Snapshot
from reconciler.own import own_kind


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: the session that it made or put back, and how many messages it added."""

    session_id: int
    made: bool
    messages: int


def restore(
    archived: Archived,
    client: Client,
    archive: Archive,
    *,
    settle: float,
    on_message: Callable[[int, int], None] = lambda done, total: None,
) -> Restored:
    """Bring one archived session back. ``archive`` keeps what is live in its place, ``settle`` is in seconds.

    Raises:
        Refused: it is of another endpoint, or its identity is live in another session.
        ReconcilerError: a call failed; running it again goes on from there.
    """
    if archived.endpoint != client.endpoint.name:
        raise Refused(
            f"{archived.id} is from {archived.endpoint}, and this is {client.endpoint.name}",
            f"restore it with --endpoint {archived.endpoint}",
        )
    former = archived.live(client.contract.session)
    lives = list_sessions(client)
    if archived.messages is None:
        found = [one for one in lives if one.session_id == former.session_id]
        return _put_back(archived, former, found, client, archive)
    live = _made_before(archived, former, lives)
    made = live is None
    if live is None:
        live = _make(archived, former, client, settle)
    return Restored(live.session_id, made, _add_messages(archived, live, client, on_message))


def _put_back(
    archived: Archived, former: LiveSession, found: Sequence[LiveSession], client: Client, archive: Archive
) -> Restored:
    if not found:
        raise Refused(
            f"#{former.session_id} is gone, so there is nothing to put back",
            "if its deletion was archived, restore that: reconciler archive list",
        )
    operation = client.contract.operation("update_session")
    archive.prepare()
    archive.put("restore", archived.identity, found[0], None)
    payload = restore_payload(former, operation, now=found[0])
    _insist(client, "update_session", payload, f"#{former.session_id}")
    return Restored(former.session_id, False, 0)


def _made_before(archived: Archived, former: LiveSession, lives: Snapshot) -> LiveSession | None:
    """The session that an earlier try made, if any; another one of the same identity is in the way."""
    for live in lives:
        if live.session_id == former.session_id:
            raise Refused(f"#{former.session_id} is live: it was not deleted, so there is nothing to restore")
    for live in lives:
        if live.name == former.name and live.prompt == former.prompt and live.raw_remark == former.raw_remark:
            return live
    for live in lives:
        tag = live.remark.tag
        if tag is not None and tag.identity == archived.identity:
            raise Refused(
                f"{archived.identity} is live as #{live.session_id}, so restoring it would make a second one",
                "take that one out of the catalog and apply first, or restore into another account",
            )
    return None


def _make(archived: Archived, former: LiveSession, client: Client, settle: float) -> LiveSession:
    create = client.contract.operation("create_session")
    payload = restore_payload(former, create)
    label = archived.identity.key

    def restored(live: LiveSession) -> bool:
        return live.raw_remark == former.raw_remark and live.session_id > former.session_id

    if create.ignores.isdisjoint(payload):
        return _create(client, payload, former.name, restored, label, settle)
    # What a create leaves out, an update sets. A restore that is cut short between the two goes on from there.
    first = making_payload(payload, archived.identity)
    name = first["name"]

    def begun(live: LiveSession) -> bool:
        return live.name == name and own_kind(live) == "half-made"

    half = next((live for live in list_sessions(client, name=name) if begun(live)), None)
    if half is None:
        half = _create(client, first, name, begun, label, settle)
    _insist(client, "update_session", {"session_id": half.session_id, **payload}, label)
    found = _appears(client, former.name, restored, settle)
    if found is None:
        raise ReconcilerError(
            f"{label} was made as #{half.session_id}, and does not show in the list as it was",
            "run the restore again, which goes on",
        )
    return found


def _create(
    client: Client,
    payload: Mapping[str, Any],
    name: str,
    fits: Callable[[LiveSession], bool],
    label: str,
    settle: float,
) -> LiveSession:
    """Send a create once, and find what it made, also where its answer is lost."""
    lost: ApiError | None = None
    try:
        client.write("create_session", payload, session=label)
    except ApiError as error:
        if error.outcome == "not done":
            raise
        lost = error
    found = _appears(client, name, fits, settle)
    if found is None:
        raise lost or ReconcilerError(
            f"{label} was made, and does not show in the list yet", "run the restore again, which goes on"
        )
    return found


def _appears(
    client: Client, name: str, fits: Callable[[LiveSession], bool], settle: float
) -> LiveSession | None:
    """The session of this name that fits, as soon as the list shows it."""
    for attempt in range(1, 8):
        for live in list_sessions(client, name=name):
            if fits(live):
                return live
        client.pace.sleep(min(settle, pause_before(attempt, base=0.2, cap=2.0)))
    return None


def _add_messages(
    archived: Archived, live: LiveSession, client: Client, on_message: Callable[[int, int], None]
) -> int:
    wanted = [_content(message, client) for message in archived.messages or ()]
    label = f"{archived.identity.key} (#{live.session_id})"
    there = [_content(message, client) for message in list_messages(client, live, label)]
    if there != wanted[: len(there)]:
        raise Refused(
            f"{label} has other messages than the archive", "it was chatted in since: nothing was added"
        )
    for number in range(len(there), len(wanted)):
        fields = {"session_id": live.session_id, "session_token": live.session_token, **wanted[number]}
        try:
            client.write("create_message", fields, session=label)
        except ApiError as error:
            # An answer that never came: the list tells whether the message did.
            if error.outcome == "not done" or len(list_messages(client, live, label)) != number + 1:
                raise
        on_message(number + 1, len(wanted))
    return len(wanted) - len(there)


def _content(message: Mapping[str, Any], client: Client) -> dict[str, Any]:
    """What of a listed message can be sent again, under our names."""
    names = client.contract.operation("create_message").fields
    return {
        ours: message[theirs]
        for ours, theirs in names.items()
        if ours not in ("session_id", "session_token") and message.get(theirs) is not None
    }


def _insist(client: Client, operation: str, payload: Mapping[str, Any], label: str) -> None:
    """Send an update until it is answered: doing it twice does no harm."""
    attempt = 1
    while True:
        try:
            client.write(operation, payload, session=label)
        except ApiError as error:
            if not error.passing or attempt >= client.tries:
                raise
            client.pace.sleep(error.retry_after or pause_before(attempt))
        else:
            return
        attempt += 1
