"""Asking a person, and never taking silence for a yes."""

from __future__ import annotations

import sys

import click

from reconciler.errors import Refused


def approve(question: str) -> None:
    """Ask; only ``yes`` is one.

    Raises:
        Refused: the answer is another, or nobody is there to give one.
    """
    if not sys.stdin.isatty():
        raise Refused(
            "nobody is there to approve this: nothing was written",
            "review it, and say --auto-approve, or call it from a terminal",
        )
    # Not by click's prompt, to which the end of the input (Ctrl-D) is the same as Ctrl-C: here it is no yes.
    click.echo(f"{question} Only 'yes' is taken for one: ", nl=False, err=True)
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        click.echo(err=True)
    if answer.strip() != "yes":
        raise Refused("not approved: nothing was written")
