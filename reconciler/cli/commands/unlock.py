"""``reconciler unlock``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reconciler.cli.approve import approve
from reconciler.cli.connect import connect, connection_for
from reconciler.cli.options import (
    approve_option,
    catalog_argument,
    connection_options,
    environment_option,
    state_option,
)
from reconciler.cli.sections import SectionedCommand
from reconciler.state import FOLDER
from reconciler.text.escape import terminal


@click.command(cls=SectionedCommand)
@catalog_argument
@environment_option
@connection_options
@state_option
@approve_option
def command(catalog: Path, state_dir: Path | None, env: str | None, auto_approve: bool, **flags: Any) -> None:
    """Break the lock of a catalog whose run is dead.

    Make sure first that the run is dead, since another run may take the lock at once. A run that is alive notices the
    loss when it next renews its lock: within 2 seconds, or, where the service does not answer, within 60 seconds of
    the last renewal. It then starts no more writes and finishes those in flight. Only catalog.yaml is read.
    """
    from reconciler.api.lock import remove, tickets
    from reconciler.catalog import catalog_name

    name = catalog_name(catalog, env)
    with connect(connection_for(flags, catalog, env), state_dir or catalog / FOLDER) as client:
        found = tickets(client, name, env)
        for ticket in found:
            state = "expired" if ticket.expired else f"valid until {ticket.expires:%Y-%m-%d %H:%M:%S} UTC"
            click.echo(f"#{ticket.session_id}  {terminal(ticket.holder)}, {state}")
        if not found:
            click.echo("There is no lock.")
            return
        if not auto_approve:
            approve("Break it?")
        for ticket in found:
            remove(client, ticket)
    click.echo(f"{len(found)} removed.")
