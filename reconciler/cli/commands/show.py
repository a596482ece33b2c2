"""``reconciler show``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reconciler.cli.output import output_options, put_out, read_output
from reconciler.cli.planfile import read_plan
from reconciler.cli.sections import SectionedCommand


@click.command(cls=SectionedCommand)
@click.argument("plan", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@output_options
def command(plan: Path, **flags: Any) -> None:
    """Show a saved plan. PLAN is a file that `reconciler plan --out PLAN` wrote."""
    output = read_output(flags)
    _, document = read_plan(plan)
    put_out(document, output)
