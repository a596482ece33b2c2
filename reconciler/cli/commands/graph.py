"""``reconciler graph``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from reconciler.catalog.graph import Graph
from reconciler.cli.options import CatalogFlags, catalog_argument, catalog_options, split
from reconciler.cli.output import format_option

_SHOWN = 8  # keys in a line of text


@click.command()
@catalog_argument
@catalog_options
@format_option("text", "json", "mermaid", "dot")
def command(catalog: Path, form: str, **flags: Any) -> None:
    """Show which sessions use which fragments and templates."""
    from reconciler.catalog.graph import graph

    which = split(flags, CatalogFlags)
    found = graph(catalog, which.env, dict(which.var))
    if form == "json":
        import json

        document = {"format_version": "1.0", "fragments": found.fragments, "templates": found.templates}
        click.echo(json.dumps(document, indent=2))
        return
    lines = {"text": _text, "mermaid": _mermaid, "dot": _dot}[form](found)
    click.echo("\n".join(lines))


def _text(found: Graph) -> Iterator[str]:
    if not found.fragments and not found.templates:
        yield "There are no fragments and no templates."
    for kind, nodes in (("fragment", found.fragments), ("template", found.templates)):
        for name, keys in nodes.items():
            more = f", and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
            count = f"{len(keys)} session{'' if len(keys) == 1 else 's'}"
            yield f"{kind} {name}: {count}" + (f": {', '.join(keys[:_SHOWN])}{more}" if keys else "")


# Names and keys hold only letters, digits, dots, dashes and underscores, so that none needs escaping in quotes.


def _mermaid(found: Graph) -> Iterator[str]:
    yield "graph LR"
    for kind, nodes in (("fragment", found.fragments), ("template", found.templates)):
        for name, keys in nodes.items():
            yield f'  {kind}:{name}["{kind} {name}"]'
            yield from (f'  {kind}:{name} --> session:{key}["{key}"]' for key in keys)


def _dot(found: Graph) -> Iterator[str]:
    yield "digraph catalog {"
    yield "  rankdir=LR;"
    for kind, nodes in (("fragment", found.fragments), ("template", found.templates)):
        for name, keys in nodes.items():
            yield f'  "{kind} {name}" [shape=box];'
            yield from (f'  "{kind} {name}" -> "{key}";' for key in keys)
    yield "}"
