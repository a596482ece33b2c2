"""--listen and --token-file, which mean the same in `watch` and `operator`."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.sections import option_in

_outside = option_in("Seen from outside")

listen_option = _outside(
    "--listen",
    metavar="HOST:PORT",
    help="Serve a page, an API, health and metrics at this address, such as 127.0.0.1:9464.",
)

token_option = _outside(
    "--token-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with the token that requests need. The page and the API have one if others can reach the address.",
)
