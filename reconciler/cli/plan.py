"""``reconciler plan``."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.connect import Connection, connect
from reconciler.cli.options import (
    catalog_argument,
    connection_options,
    no_color_option,
    policy_options,
    with_policy,
)
from reconciler.cli.output import render_options, show
from reconciler.cli.progress import progress
from reconciler.errors import ExitCode
from reconciler.model import Limit


@click.command()
@catalog_argument
@connection_options
@policy_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="What to print.",
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@no_color_option
def command(
    catalog: Path,
    form: str,
    detailed_exitcode: bool,
    no_color: bool,
    max_deletes: Limit | None,
    allow_empty: bool,
    **connection: object,
) -> int:
    """Show what an apply would change. Writes nothing anywhere.

    A plan that a guard refuses is shown whole all the same; the exit code is 3 then.
    """
    from reconciler.api.listing import list_sessions
    from reconciler.catalog import load_catalog
    from reconciler.plan import make_plan
    from reconciler.plan.document import plan_to_document

    loaded = with_policy(load_catalog(catalog), max_deletes=max_deletes)
    with connect(Connection(**connection), catalog) as client, progress("listing") as step:  # type: ignore[arg-type]
        snapshot = list_sessions(client, on_rows=step)
    plan = make_plan(loaded, snapshot, allow_empty=allow_empty)
    show(plan_to_document(plan), form, render_options(no_color=no_color))
    if plan.refusals:
        return ExitCode.REFUSED
    return ExitCode.CHANGES if detailed_exitcode and not plan.empty else ExitCode.OK
