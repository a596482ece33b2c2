"""Ask a person for approval. Silence is never a yes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from reconciler.errors import Refused


def approve(question: str) -> None:
    """Ask, and accept only ``yes``.

    Raises:
        Refused: the answer was something else, or there is no terminal to ask on.
    """
    if not sys.stdin.isatty():
        raise Refused(
            "this needs approval, and there is no terminal to ask on: nothing was written",
            "run it in a terminal, or review it and add --auto-approve",
        )
    # click's prompt treats the end of the input (Ctrl-D) as Ctrl-C. Here it is an answer that is not a yes.
    click.echo(f"{question} Only 'yes' is accepted: ", nl=False, err=True)
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        click.echo(err=True)
    if answer.strip() != "yes":
        raise Refused("not approved: nothing was written")


def choose(question: str, answers: Sequence[str]) -> str:
    """Ask which of these answers is meant, until it is one of them.

    Raises:
        Refused: the input ended.
    """
    while True:
        click.echo(f"{question} ({', '.join(answers)}): ", nl=False, err=True)
        answer = sys.stdin.readline()
        if answer.strip() in answers:
            return answer.strip()
        if not answer.endswith("\n"):
            click.echo(err=True)
            raise Refused("nothing was chosen")
