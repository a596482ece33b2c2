"""``reconciler validate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reconciler.cli.options import CatalogFlags, catalog_argument, catalog_options, split
from reconciler.cli.output import format_option
from reconciler.errors import CatalogError, Problem


@click.command()
@catalog_argument
@catalog_options
@format_option()
def command(catalog: Path, form: str, **flags: Any) -> None:
    """Check a catalog without contacting the service.

    Prints every error with its file, line and column, and exits with 1; or prints the number of sessions. Without
    --env, every environment that the catalog declares is checked.
    """
    import json

    from reconciler.catalog import environments

    which = split(flags, CatalogFlags)
    names: list[str | None] = [which.env] if which.env else [*environments(catalog)] or [None]
    problems: dict[Problem, None] = {}  # an error in several environments is printed once
    found = []
    for name in names:
        try:
            loaded = CatalogFlags(name, which.var).load(catalog)
        except CatalogError as error:
            problems |= dict.fromkeys(error.problems)
        else:
            found.append((loaded.name, name, len(loaded.sessions)))
    if problems:
        raise CatalogError(problems)
    if form == "json":
        rows = [{"catalog": one, "environment": name, "sessions": count} for one, name, count in found]
        click.echo(json.dumps({"format_version": "1.0", "valid": rows}, indent=2))
        return
    for one, name, count in found:
        scope = f"{one}@{name}" if name else one
        click.echo(f"{scope}: {count} session{'' if count == 1 else 's'}, all valid.")
