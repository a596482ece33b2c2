"""``reconciler diff-env``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reconciler.cli.options import CatalogFlags, catalog_option, exitcode_option, variables_option
from reconciler.cli.output import output_options, put_out, read_output
from reconciler.cli.sections import SectionedCommand
from reconciler.errors import ExitCode, ReconcilerError


@click.command(cls=SectionedCommand)
@click.argument("one")
@click.argument("other")
@catalog_option
@variables_option
@exitcode_option
@output_options
def command(
    one: str,
    other: str,
    catalog: Path,
    var: tuple[tuple[str, str], ...],
    detailed_exitcode: bool,
    **flags: Any,
) -> int:
    """Compare two environments of a catalog: show, as a plan, what turns ONE into OTHER.

    This does not contact the service.
    """
    from reconciler.catalog import environments
    from reconciler.plan.document import plan_to_document
    from reconciler.plan.environment_diff import diff_environments

    output = read_output(flags)
    left, right = (CatalogFlags(name, var).load(catalog) for name in (one, other))
    if not environments(catalog):  # any name would do, and nothing would differ
        raise ReconcilerError(
            "this catalog has no environments", "declare them in catalog.yaml, below `environments:`"
        )
    plan = diff_environments(left, right)
    put_out(plan_to_document(plan), output)
    return ExitCode.CHANGES if detailed_exitcode and not plan.empty else ExitCode.OK
