"""Flags that mean the same in `watch` and `operator`, which run until they are stopped."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.sections import option_in

_outside = option_in("Seen from outside")

log_format_option = click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="The form of the log on stderr: one line for each event.",
)

listen_option = _outside(
    "--listen",
    metavar="HOST:PORT",
    help="Serve a page, an API, health and metrics at this address, such as 127.0.0.1:9464.",
)

token_option = _outside(
    "--token-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with the token that requests must carry. Without one, the page and the API serve this machine alone.",
)
