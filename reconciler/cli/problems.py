"""Problems on stderr, one after the other."""

from __future__ import annotations

from collections.abc import Iterable

import click

from reconciler.errors import Problem


def print_problems(problems: Iterable[Problem]) -> None:
    """Print what is wrong, where, and what to do now, with completed commands."""
    from reconciler.cli.suggestions import completed_problems
    from reconciler.render.problems import format_problem

    for problem in completed_problems(problems):
        click.echo(format_problem(problem), err=True)
