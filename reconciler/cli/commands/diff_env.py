"""``reconciler diff-env``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reconciler.cli.options import catalog_argument, exitcode_option, variables_option
from reconciler.cli.output import output_options, put_out, read_output
from reconciler.cli.sections import SectionedCommand
from reconciler.errors import ExitCode, ReconcilerError


@click.command(cls=SectionedCommand)
@click.argument("one")
@click.argument("other")
@catalog_argument
@variables_option
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Also show that names differ by `name_prefix` and `name_suffix`.",
)
@exitcode_option
@output_options
def command(
    one: str,
    other: str,
    catalog: Path,
    var: tuple[tuple[str, str], ...],
    everything: bool,
    detailed_exitcode: bool,
    **flags: Any,
) -> int:
    """Compare two environments of a catalog: show, as a plan, what turns ONE into OTHER.

    Names are compared without the `name_prefix` and `name_suffix` of their environments. This does not contact the
    service.
    """
    from reconciler.catalog import environments
    from reconciler.catalog.load import load
    from reconciler.plan.document import plan_to_document
    from reconciler.plan.environment_diff import diff_environments

    output = read_output(flags)
    if not environments(catalog):
        load(catalog)  # if it can't be read, this says why
        raise ReconcilerError(
            "this catalog has no environments", "declare them in catalog.yaml, below `environments:`"
        )
    left, right = (load(catalog, name, dict(var)) for name in (one, other))
    plan = diff_environments(
        left.catalog,
        right.catalog,
        affixes=None
        if everything
        else (
            (left.environment.prefix, left.environment.suffix),
            (right.environment.prefix, right.environment.suffix),
        ),
    )
    put_out(plan_to_document(plan), output, catalog)
    return ExitCode.CHANGES if detailed_exitcode and not plan.empty else ExitCode.OK
