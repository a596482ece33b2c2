"""The contract in use, the address, its certificate and clock, and the key."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from reconciler.api.client import Client, Reply
from reconciler.api.lock import SKEW
from reconciler.doctor import account, listing, messages
from reconciler.doctor.context import Look, answer, count_of
from reconciler.doctor.learned import Lessons, contract_to_document, not_tried
from reconciler.doctor.listing import envelope, fields
from reconciler.doctor.report import Check
from reconciler.domain import Snapshot
from reconciler.text.hosts import is_loopback


def contract(look: Look) -> None:
    """Where the contract comes from, and whether it was learned from this address."""
    stated, here = look.contract, look.client.endpoint.name
    learned = stated.learned
    if learned is None:
        seen = f"{stated.name}, not learned from a service"
        look.say("contract", "ok", seen, "part of it is assumed: see docs/contract.md")
    elif learned.endpoint != here:
        seen = f"{stated.name}, learned from {learned.endpoint} at {learned.at}"
        look.say(
            "contract", "differs", seen, "this is another address: learn it anew, or leave --contract out"
        )
    else:
        seen = f"{stated.name}, learned from this address at {learned.at}"
        left = not_tried(contract_to_document(stated))
        alone = ", by looking alone" if left else ""
        follows = f"{' and '.join(left)} are still assumed: --probe tries them" if left else ""
        look.say("contract", "ok", seen + alone, follows)


def connection(look: Look) -> Reply | None:
    """Ask for the first page. Gives the answer, or None where nothing more can be found out."""
    asked = time.time()
    reply = look.list()
    answered = time.time()
    endpoint = look.client.endpoint
    if reply.response is None:
        assert reply.error is not None
        problem = reply.error.problems[0]
        look.say("address", "differs", f"{endpoint.name}: {problem.message}", problem.hint)
        return None
    look.say("address", "ok", f"{endpoint.name} answers")
    _tls(look)
    _clock(look, reply, asked, answered)
    _key(look, reply)
    return reply if reply.error is None else None


def _tls(look: Look) -> None:
    address = urlsplit(look.client.endpoint.url)
    if address.scheme == "https":
        look.say("TLS", "ok", "the certificate is verified")
    elif is_loopback(address.hostname or ""):
        look.say("TLS", "ok", "none, and none is needed on this machine")


def _clock(look: Look, reply: Reply, asked: float, answered: float) -> None:
    assert reply.response is not None
    try:
        theirs = parsedate_to_datetime(reply.response.headers["Date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        look.say("clock", "unknown", "the server does not tell its time")
        return
    # The header has whole seconds, and was written somewhere between question and answer.
    apart = max(0.0, asked - theirs - 1, theirs - answered)
    if apart <= SKEW:
        look.say("clock", "ok", "the same as ours" if apart < 1 else f"{apart:.0f} s from ours")
    else:
        follows = f"locks need clocks that agree within {SKEW:.0f} s: set this machine's"
        look.say("clock", "differs", f"{apart:.0f} s from ours", follows)


def _key(look: Look, reply: Reply) -> None:
    endpoint, error = look.client.endpoint, reply.error
    if error is not None and error.status in (401, 403):
        none = "" if endpoint.api_key else "none was given: "
        look.say("key", "differs", answer(reply), none + error.problems[0].hint)
    elif error is not None:
        look.say("key", "unknown", "the list does not come")
        follows = error.problems[0].hint or "nothing works without the list"
        look.say("list", "differs", answer(reply), follows)
    elif endpoint.api_key:
        look.say("key", "ok", f"accepted; it came from {endpoint.key_source}")
    else:
        look.say("key", "ok", "none was given, and none is asked for")


CONNECTION = "Connection"
LIST = "The list of sessions"
ACCOUNT = "What is on the account"


@dataclass(frozen=True, slots=True)
class Survey:
    """What looking gave. ``snapshot`` is None where the list could not be had whole; ``checks`` say why."""

    checks: Sequence[Check]
    snapshot: Snapshot | None = None


def survey(client: Client, lessons: Lessons) -> Survey:
    """Look at a service and an account.

    Raises:
        Refused: the contract reads the list by another method than GET.
    """
    look = Look(client, lessons)
    look.part = CONNECTION
    contract(look)
    reply = connection(look)
    if reply is None:
        return Survey(look.checks)
    look.part = LIST
    rows = envelope(look, reply)
    if rows is None:
        return Survey(look.checks)
    count = count_of(reply) or 0
    fields(look, rows)
    listing.page_size(look, len(rows), count)
    listing.name_filter(look, rows)
    listing.ordering(look, count)
    listing.no_such_page(look, count)
    listing.no_such_ordering(look)
    look.part = ACCOUNT
    messages.listed(look, rows)
    account.models(look, rows)
    return Survey(look.checks, account.all_sessions(look))
