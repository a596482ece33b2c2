"""``reconciler snapshot``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from reconciler.cli.connect import connection_for, need_local_data
from reconciler.cli.live import live_or_against
from reconciler.cli.options import (
    OutPath,
    catalog_argument,
    connection_options,
    environment_option,
    state_option,
)
from reconciler.cli.sections import SectionedCommand
from reconciler.state import FOLDER, make_salt
from reconciler.text.timestamps import write_timestamp


@click.command(cls=SectionedCommand)
@click.argument("file", type=OutPath())
@catalog_argument
@environment_option
@connection_options
@state_option
def command(file: Path, catalog: Path, env: str | None, state_dir: Path | None, **flags: Any) -> None:
    """Save the live list to FILE, to plan against it without a key: `reconciler plan --against FILE`.

    The file holds every session of the account with its prompt and remark; only you can read it.
    """
    from reconciler.api.snapshot_file import write_snapshot

    state = state_dir or catalog / FOLDER
    need_local_data(flags["endpoint"], state, "the snapshot")
    make_salt(state)
    snapshot = live_or_against(None, connection_for(flags, catalog, env), state)
    taken = write_timestamp(datetime.now(UTC))
    write_snapshot(file, snapshot, taken=taken)
    count = len(snapshot)
    click.echo(f"{count} session{'' if count == 1 else 's'} written to {file}.", err=True)
