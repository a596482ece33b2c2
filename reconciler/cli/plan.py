"""``reconciler plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reconciler.cli.connect import Connection, connect
from reconciler.cli.options import (
    PolicyFlags,
    catalog_argument,
    connection_options,
    no_color_option,
    policy_options,
    split,
    state_option,
)
from reconciler.cli.output import render_options, show
from reconciler.cli.progress import progress
from reconciler.errors import ExitCode
from reconciler.state import FOLDER


@click.command()
@catalog_argument
@connection_options
@policy_options
@state_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="What to print.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Save the plan to this file, to apply exactly it later. It holds prompts; only you may read it.",
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@no_color_option
def command(
    catalog: Path,
    form: str,
    out: Path | None,
    detailed_exitcode: bool,
    no_color: bool,
    state_dir: Path | None,
    **flags: Any,
) -> int:
    """Show what an apply would change. Writes nothing to the service.

    A plan that a guard refuses is shown whole all the same; the exit code is 3 then.
    """
    from reconciler.api.listing import list_sessions
    from reconciler.catalog import load_catalog
    from reconciler.plan.document import plan_to_document

    loaded = load_catalog(catalog)
    with (
        connect(split(flags, Connection), state_dir or catalog / FOLDER) as client,
        progress("listing") as step,
    ):
        snapshot = list_sessions(client, on_rows=step)
    plan = split(flags, PolicyFlags).plan(loaded, snapshot)
    if out is not None:
        from reconciler.cli.planfile import write_plan

        write_plan(out, plan, catalog)
    show(plan_to_document(plan), form, render_options(no_color=no_color))
    if plan.refusals:
        return ExitCode.REFUSED
    return ExitCode.CHANGES if detailed_exitcode and not plan.empty else ExitCode.OK
