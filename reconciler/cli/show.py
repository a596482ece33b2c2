"""``reconciler show``."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.options import no_color_option
from reconciler.cli.output import render_options, show
from reconciler.cli.planfile import read_plan


@click.command()
@click.argument("plan", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="What to print.",
)
@no_color_option
def command(plan: Path, form: str, no_color: bool) -> None:
    """Show a saved plan. PLAN is a file that `reconciler plan --out PLAN` wrote."""
    _, document = read_plan(plan)
    show(document, form, render_options(no_color=no_color))
