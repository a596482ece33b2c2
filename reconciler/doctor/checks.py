"""What can be learned by looking: nothing here sends anything but GET.

In the order of what the rest stands on: the address and the key, one page of the list field by field, how the list
can be asked, and what is on the account.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.api.client import Client
from reconciler.doctor import account, asking, connection
from reconciler.doctor.fields import envelope, fields
from reconciler.doctor.lessons import Lessons
from reconciler.doctor.look import Look, count_of
from reconciler.doctor.report import Check
from reconciler.domain import Snapshot

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
    connection.contract(look)
    reply = connection.connection(look)
    if reply is None:
        return Survey(look.checks)
    look.part = LIST
    rows = envelope(look, reply)
    if rows is None:
        return Survey(look.checks)
    count = count_of(reply) or 0
    fields(look, rows)
    asking.page_size(look, len(rows), count)
    asking.name_filter(look, rows)
    asking.ordering(look, count)
    asking.no_such_page(look, count)
    asking.no_such_ordering(look)
    look.part = ACCOUNT
    account.messages(look, rows)
    account.models(look, rows)
    return Survey(look.checks, account.all_sessions(look))
