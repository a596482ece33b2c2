"""``reconciler schema``."""

from __future__ import annotations

import click


@click.command()
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """Print the JSON Schema of a file format. Without NAME, list the names.

    Editors use it through a first line such as `# yaml-language-server: $schema=manifest.schema.json`.
    """
    from reconciler.schemas import schema_names, schema_text

    click.echo(schema_text(name) if name else "\n".join(schema_names()), nl=not name)
