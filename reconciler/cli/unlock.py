"""``reconciler unlock``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reconciler.cli.approve import approve
from reconciler.cli.connect import Connection, connect
from reconciler.cli.options import (
    CatalogFlags,
    catalog_argument,
    catalog_options,
    connection_options,
    split,
    state_option,
)
from reconciler.render.escape import terminal
from reconciler.state import FOLDER


@click.command()
@catalog_argument
@catalog_options
@connection_options
@state_option
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
def command(catalog: Path, state_dir: Path | None, auto_approve: bool, **flags: Any) -> None:
    """Break the lock of a catalog whose run is dead.

    A run that lives and loses its lock stops writing within a call.
    """
    from reconciler.api.lock import remove, tickets

    loaded = split(flags, CatalogFlags).load(catalog)
    with connect(split(flags, Connection), state_dir or catalog / FOLDER) as client:
        found = tickets(client, loaded.name, loaded.environment)
        for ticket in found:
            state = "expired" if ticket.expired else f"good until {ticket.expires:%Y-%m-%d %H:%M:%S} UTC"
            click.echo(f"#{ticket.session_id}  {terminal(ticket.holder)}, {state}")
        if not found:
            click.echo("There is no lock.")
            return
        if not auto_approve:
            approve("Break it?")
        for ticket in found:
            remove(client, ticket)
    click.echo(f"{len(found)} removed.")
