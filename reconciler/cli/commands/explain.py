"""``reconciler explain``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from reconciler.cli.options import CatalogFlags, catalog_argument, catalog_options, split
from reconciler.cli.output import format_option
from reconciler.text.escape import terminal

_SHOWN = 48  # characters of a value


@click.command()
@click.argument("key")
@catalog_argument
@catalog_options
@format_option()
def command(key: str, catalog: Path, form: str, **flags: Any) -> None:
    """Show a session as resolved, and the file and line that each of its fields comes from."""
    from reconciler.catalog.explain import explain

    which = split(flags, CatalogFlags)
    session, origins = explain(catalog, key, which.env, dict(which.var))
    if form == "json":
        rows = [
            {"path": one.path, "value": one.value, "layer": one.layer, "file": one.file, "line": one.line}
            for one in origins
        ]
        click.echo(json.dumps({"format_version": "1.0", "key": session.key, "fields": rows}, indent=2))
        return
    rows_ = [(one.path, _short(one.value), f"{one.file}:{one.line}", one.layer) for one in origins]
    paths, places = max(len(row[0]) for row in rows_), max(len(row[2]) for row in rows_)
    click.echo(f"{session.key}  {terminal(session.name)}")
    for path, value, place, layer in rows_:
        click.echo(f"  {terminal(path):<{paths}}  {terminal(place):<{places}}  {terminal(layer)}: {value}")
    click.echo("")
    click.echo("\n".join(f"  | {terminal(line)}" for line in session.prompt.split("\n")))


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return terminal(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
