"""The check that a command runs against the expected account."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import click

from reconciler.cli.approve import approve
from reconciler.domain import Snapshot
from reconciler.errors import Refused
from reconciler.ownership.account import Account, other_account

other_account_option = click.option(
    "--other-account",
    is_flag=True,
    help="Allow another account than the one that the plan or the archive is from, or that was applied to last.",
)


@dataclass(frozen=True, slots=True)
class Expected:
    """An account that is expected, and why: ``made`` begins a sentence like ``the plan was made``."""

    account: Account
    made: str
    hint: str


def check_account(expected: Expected, snapshot: Snapshot, *, allowed: bool, ask: str = "") -> None:
    """Check that the listed account is the expected one. ``ask`` is the question for the user.

    Raises:
        Refused: it is another account, and neither the flag nor the user allows that.
    """
    live = {one.session_id for one in snapshot}
    sentence = other_account(expected.made, expected.account, snapshot.account, live)
    if not sentence:
        if expected.account.compared(snapshot.account, live) == "unknown":
            click.echo(
                f"{expected.made} for an account that can't be compared with this one: no list has an account number, "
                "and the marks of the keys come from different state folders",
                err=True,
            )
        return
    if allowed:
        click.echo(f"{sentence} (--other-account)", err=True)
    elif ask and sys.stdin.isatty():
        click.echo(sentence, err=True)
        approve(ask)
    else:
        raise Refused(sentence, expected.hint)
