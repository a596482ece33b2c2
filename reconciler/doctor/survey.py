"""What can be learned without writing: nothing here sends anything but GET.

The checks build on each other: first the address and the key, then one page of the list field by field and the
queries that the list supports, and last what is on the account.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from reconciler.api.client import Client, Reply
from reconciler.api.errors import ApiError
from reconciler.api.lock import SKEW
from reconciler.doctor.account import all_sessions, models, traffic
from reconciler.doctor.context import SurveyContext, count_of, describe_answer
from reconciler.doctor.learned import LearnedFacts, not_tried
from reconciler.doctor.listing import (
    envelope,
    fields,
    invalid_ordering,
    name_filter,
    ordering,
    page_past_the_end,
    page_size,
)
from reconciler.doctor.messages import survey_messages
from reconciler.doctor.report import Check
from reconciler.domain import Snapshot
from reconciler.text.hosts import is_loopback

CONNECTION: Final = "Connection"
LIST: Final = "The list of sessions"
ACCOUNT: Final = "What is on the account"


@dataclass(frozen=True, slots=True)
class Survey:
    """The result of a survey. ``snapshot`` is None if the list could not be read as a whole; ``checks`` say why."""

    checks: Sequence[Check]
    snapshot: Snapshot | None = None


def survey(client: Client, learned: LearnedFacts, *, probe: bool = False) -> Survey:
    """Look at a service and an account. ``probe`` says that a probe is to follow.

    Raises:
        Refused: the contract reads the list by another method than GET.
    """
    context = SurveyContext(client, learned)
    context.part = CONNECTION
    _contract_in_use(context)
    if not probe:
        _assumed_calls(context)
    try:
        return _look(context)
    except ApiError as error:
        if not error.out_of_points:
            raise
        context.report("points", "differs", error.problems[0].message, error.problems[0].hint)
        return Survey(context.checks)


def _look(context: SurveyContext) -> Survey:
    reply = _connect(context)
    if reply is None:
        return Survey(context.checks)
    context.part = LIST
    rows = envelope(context, reply)
    if rows is None:
        return Survey(context.checks)
    count = count_of(reply) or 0
    fields(context, rows)
    page_size(context, len(rows), count)
    name_filter(context, rows)
    ordering(context, count)
    page_past_the_end(context, count)
    invalid_ordering(context)
    context.part = ACCOUNT
    survey_messages(context, rows)
    models(context, rows)
    snapshot = all_sessions(context)
    if snapshot is not None:
        traffic(context, rows, snapshot)
    return Survey(context.checks, snapshot)


def _contract_in_use(context: SurveyContext) -> None:
    """Where the contract comes from, and whether it was learned from this address."""
    contract, here = context.contract, context.client.endpoint.name
    learned = contract.learned
    if learned is None:
        seen = f"{contract.name}, not learned from a service"
        context.report("contract", "ok", seen)
    elif learned.endpoint != here:
        seen = f"{contract.name}, learned from {learned.endpoint} at {learned.at}"
        context.report(
            "contract", "differs", seen, "this is another address: learn it again, or omit --contract"
        )
    else:
        seen = f"{contract.name}, learned from this address at {learned.at}"
        if learned.partial:
            follows = f"not learned: {', '.join(learned.partial)}; run the probe again"
            context.report("contract", "unknown", seen + ", in part", follows)
        else:
            context.report("contract", "ok", seen + (", without a probe" if not_tried(contract) else ""))


def _assumed_calls(context: SurveyContext) -> None:
    """The calls that no one has tried: a survey can't, since they write."""
    untried = not_tried(context.contract)
    if untried:
        context.report(
            "writes",
            "unknown",
            f"{' and '.join(untried)} are only assumed: no GET can tell whether they work",
            "`reconciler doctor --probe --write=contract.yaml` finds out, on a session of its own",
        )


def _connect(context: SurveyContext) -> Reply | None:
    """Request the first page. Returns the response, or None if nothing more can be found out."""
    asked = time.time()
    reply = context.list()
    answered = time.time()
    endpoint = context.client.endpoint
    if reply.response is None:
        assert reply.error is not None
        problem = reply.error.problems[0]
        context.report("address", "differs", f"{endpoint.name}: {problem.message}", problem.hint)
        return None
    context.report("address", "ok", f"{endpoint.name} answers")
    _tls(context)
    _clock(context, reply, asked, answered)
    _key(context, reply)
    return reply if reply.error is None else None


def _tls(context: SurveyContext) -> None:
    address = urlsplit(context.client.endpoint.url)
    if address.scheme == "https":
        context.report("TLS", "ok", "the certificate is verified")
    elif is_loopback(address.hostname or ""):
        context.report("TLS", "ok", "not used, and not needed on this machine")


def _clock(context: SurveyContext, reply: Reply, asked: float, answered: float) -> None:
    assert reply.response is not None
    try:
        theirs = parsedate_to_datetime(reply.response.headers["Date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        context.report("clock", "unknown", "the server does not send its time")
        return
    # The header has whole seconds, and was written some time between request and answer.
    apart = max(0.0, asked - theirs - 1, theirs - answered)
    if apart <= SKEW:
        context.report("clock", "ok", "the same as ours" if apart < 1 else f"{apart:.0f} s from ours")
    else:
        follows = f"locks need clocks that agree within {SKEW:.0f} s: set the clock of this machine"
        context.report("clock", "differs", f"{apart:.0f} s from ours", follows)


def _key(context: SurveyContext, reply: Reply) -> None:
    endpoint, error = context.client.endpoint, reply.error
    if error is not None and error.status in (401, 403):
        none = "" if endpoint.api_key else "none was given: "
        context.report("key", "differs", describe_answer(reply), none + error.problems[0].hint)
    elif error is not None:
        context.report("key", "unknown", "the list could not be read")
        follows = error.problems[0].hint or "nothing works without the list"
        context.report("list", "differs", describe_answer(reply), follows)
    elif endpoint.api_key:
        context.report("key", "ok", f"accepted; it came from {endpoint.key_source}")
    else:
        context.report("key", "ok", "none was given, and none is required")
