"""``reconciler forget``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from reconciler.cli.connect import Connection
from reconciler.cli.keys import did_you_mean, live_keys
from reconciler.cli.options import CatalogFlags, catalog_options, connection_options, split, state_option
from reconciler.cli.perform import Job, Writing, perform, writing_options
from reconciler.domain import Snapshot
from reconciler.errors import ExitCode, Problem, Refused, UsageError
from reconciler.plan.build import make_plan
from reconciler.plan.keep import keep_for_catalog
from reconciler.plan.narrow import narrow
from reconciler.plan.types import Plan
from reconciler.state import FOLDER

_SHOWS = "reconciler plan shows what is live"


@click.command()
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@click.option(
    "--catalog",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=".",
    show_default=True,
    help="The catalog's folder.",
)
@catalog_options
@connection_options
@state_option
@writing_options
def command(keys: tuple[str, ...], catalog: Path, state_dir: Path | None, **flags: Any) -> int:
    """Let sessions go without deleting them.

    Our tag goes, the remark becomes what it was before us, and the session stays as it is, with its messages. The
    same can be said in the catalog, for review: `forgotten: [KEY]`.
    """
    loaded = split(flags, CatalogFlags).load(catalog)
    left = {key: session for key, session in loaded.sessions.items() if key not in keys}
    without = dataclasses.replace(loaded, sessions=left, forgotten=loaded.forgotten.union(keys))

    def plan(snapshot: Snapshot) -> Plan:
        live = live_keys(snapshot, loaded.name, loaded.environment)
        unknown = sorted(set(keys) - live - loaded.sessions.keys())
        if unknown:
            raise UsageError(
                [
                    Problem(f"neither the list nor the catalog has {key}", did_you_mean(key, live, _SHOWS))
                    for key in unknown
                ]
            )
        part = narrow(make_plan(without, snapshot), "forget", keys)
        missing = sorted(set(keys) - {action.key for action in part.actions})
        if missing:
            raise Refused(f"no live session is ours under {', '.join(missing)}", _SHOWS)
        return part

    keep = keep_for_catalog(without)
    job = Job(loaded.name, loaded.environment, loaded.policy, plan, keep=keep)
    code = perform(
        job,
        split(flags, Writing),
        split(flags, Connection),
        root=catalog,
        state=state_dir or catalog / FOLDER,
    )
    still = sorted(loaded.sessions.keys() & set(keys))
    if code == ExitCode.OK and still:
        click.echo(
            f"Still in the catalog: {', '.join(still)}. Take it out, or the next apply creates it anew.",
            err=True,
        )
    return code
