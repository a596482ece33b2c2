"""``reconciler new``."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.options import catalog_argument, variables_option


@click.command()
@click.argument("key")
@catalog_argument
@click.option(
    "--file",
    default="",
    metavar="FILE",
    help="The manifest to add it to, relative to the catalog's folder; created if missing. "
    "Default: the only one, else sessions/KEY.yaml.",
)
@click.option(
    "--name",
    default="",
    envvar="RECONCILER_NEW_NAME",
    show_envvar=True,
    help="The display name. Default: made from the key.",
)
@click.option(
    "--model",
    default="",
    envvar="RECONCILER_NEW_MODEL",
    show_envvar=True,
    help="The session's model. Default: the model in the catalog's defaults.",
)
@click.option(
    "--prompt-file",
    default="",
    metavar="FILE",
    help="The file for its prompt, relative to the catalog's folder; created if missing. Default: none, "
    "the prompt is in the manifest.",
)
@variables_option
def command(
    key: str,
    catalog: Path,
    file: str,
    name: str,
    model: str,
    prompt_file: str,
    var: tuple[tuple[str, str], ...],
) -> None:
    """Add a session to a manifest. The rest of the file stays as it is."""
    from reconciler.catalog.add_session import NewSession, add_session
    from reconciler.text.escape import terminal

    for changed in add_session(catalog, NewSession(key, file, name, model, prompt_file), dict(var)):
        click.echo(terminal(changed))
