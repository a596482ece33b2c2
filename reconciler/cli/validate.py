"""``reconciler validate``."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.options import catalog_argument


@click.command()
@catalog_argument
def command(catalog: Path) -> None:
    """Check a catalog without speaking to anybody.

    Prints all that is wrong with file, line and column, and exits with 1; or says how many sessions it found.
    """
    from reconciler.catalog import load_catalog

    loaded = load_catalog(catalog)
    count = len(loaded.sessions)
    click.echo(f"{loaded.name}: {count} session{'' if count == 1 else 's'}, all valid.")
