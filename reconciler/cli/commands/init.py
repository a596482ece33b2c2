"""``reconciler init``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from reconciler.cli.options import new_catalog_argument
from reconciler.scaffold import CI, EXAMPLES, slug, start
from reconciler.text.paste import command as paste

_MODEL: Final = "deepseek-chat"


@click.command()
@new_catalog_argument
@click.option(
    "--name",
    envvar="RECONCILER_INIT_NAME",
    show_envvar=True,
    help="The catalog's name; it can't be changed later. Default: made from the folder's.",
)
@click.option(
    "--model",
    envvar="RECONCILER_INIT_MODEL",
    show_envvar=True,
    help=f"The model of all sessions that set none. Default: {_MODEL}.",
)
@click.option(
    "--ci",
    type=click.Choice([*CI, "none"]),
    help="Also create the files that plan and apply in CI. Default: none.",
)
@click.option(
    "--example", type=click.Choice(EXAMPLES), help="Start from an example instead of a single session."
)
def command(folder: Path, name: str | None, model: str | None, ci: str | None, example: str | None) -> None:
    """Create a catalog that validates and plans. Overwrites nothing.

    On a terminal it asks for the values that no flag gives; elsewhere it uses the defaults.
    """
    from reconciler.text.escape import terminal

    asks = sys.stdin.isatty() and sys.stderr.isatty()
    default = slug(folder.resolve().name)
    if name is None:
        name = click.prompt("Name of the catalog", default, err=True) if asks else default
    if model is None and not example:
        model = click.prompt("Model", _MODEL, err=True) if asks else _MODEL
    if ci is None:
        choice = click.Choice([*CI, "none"])
        ci = click.prompt("Files for CI", "none", type=choice, err=True) if asks else "none"
    made = start(folder, name, model or _MODEL, ci="" if ci == "none" else ci, example=example or "")
    for file in made.files:
        click.echo(f"  {terminal(file)}")
    for remark in made.remarks:
        click.echo(terminal(remark))
    where = () if str(folder) == "." else (str(folder),)
    plan = terminal(paste("plan", *where, "--endpoint=local"))
    click.echo(f"Created the catalog {made.name}. Next: {plan}")
