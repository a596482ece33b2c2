"""``reconciler diff-env``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from reconciler.cli.options import CatalogFlags, catalog_options, split
from reconciler.cli.output import Output, output_options, put_out
from reconciler.errors import ExitCode, ReconcilerError, UsageError


@click.command()
@click.argument("one")
@click.argument("other")
@click.option(
    "--catalog",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=".",
    show_default=True,
    help="The catalog's folder.",
)
@catalog_options
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when they differ.")
@output_options
def command(one: str, other: str, catalog: Path, detailed_exitcode: bool, **flags: Any) -> int:
    """Compare what two environments of a catalog would be: what turns ONE into OTHER, as a plan shows it.

    Speaks to nobody.
    """
    from reconciler.catalog import environments
    from reconciler.plan.document import plan_to_document
    from reconciler.plan.environment_diff import diff_environments

    which = split(flags, CatalogFlags)
    if which.env:
        raise UsageError("--env says nothing here", "name the two environments")
    left, right = (dataclasses.replace(which, env=name).load(catalog) for name in (one, other))
    if not environments(catalog):  # any name would do, and nothing would differ
        raise ReconcilerError(
            "this catalog has no environments", "declare them in catalog.yaml, below `environments:`"
        )
    plan = diff_environments(left, right)
    put_out(plan_to_document(plan), split(flags, Output))
    return ExitCode.CHANGES if detailed_exitcode and not plan.empty else ExitCode.OK
