"""``reconciler approve``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

_DEFAULT: Final = "http://127.0.0.1:9464"


@click.command
@click.argument("digest")
@click.option(
    "--address",
    metavar="URL",
    default=_DEFAULT,
    show_default=True,
    help="Where the watcher listens: the address of its --listen.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with the token that requests must carry. Without one, the page and the API serve this machine alone.",
)
def command(digest: str, address: str, token_file: Path | None) -> None:
    """Approve a plan that `reconciler watch --mode approve` shows.

    Exactly the plan with this DIGEST is applied. If the sessions or the catalog change before that, it is another plan
    with another digest, and nothing is written.
    """
    from reconciler.controller.remote import approve_remotely

    approve_remotely(address, digest, token_file)
    click.echo(f"approved: {digest}")
