"""``reconciler forget``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from reconciler.cli.keys import did_you_mean, live_keys
from reconciler.cli.options import (
    CatalogFlags,
    PolicyFlags,
    canary_option,
    catalog_option,
    catalog_options,
    change_limits,
    connection_options,
    split,
    state_option,
)
from reconciler.cli.run_plan import run_part, writing_options
from reconciler.cli.sections import SectionedCommand
from reconciler.domain import Snapshot
from reconciler.errors import ExitCode, Problem, Refused, UsageError
from reconciler.plan.keep import keep_for_catalog
from reconciler.plan.types import Plan, Selection
from reconciler.state import FOLDER

_SHOWS = "reconciler plan shows what is live"


@click.command(cls=SectionedCommand)
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@catalog_option
@catalog_options
@connection_options
@change_limits
@canary_option
@state_option
@writing_options
def command(keys: tuple[str, ...], catalog: Path, state_dir: Path | None, **flags: Any) -> int:
    """Stop managing sessions without deleting them.

    The tag is removed, the remark becomes what it was before the adoption, and the session stays as it is, with its
    messages. To have it reviewed in git, write `forgotten: [KEY]` in the catalog instead. The guards of `policy` apply.
    """
    loaded = split(flags, CatalogFlags).load(catalog)
    left = {key: session for key, session in loaded.sessions.items() if key not in keys}
    without = dataclasses.replace(loaded, sessions=left, forgotten=loaded.forgotten.union(keys))

    policy = split(flags, PolicyFlags)

    def plan(snapshot: Snapshot) -> Plan:
        live = live_keys(snapshot, loaded.name, loaded.environment)
        unknown = sorted(set(keys) - live - loaded.sessions.keys())
        if unknown:
            raise UsageError(
                [
                    Problem(
                        f"neither the live list nor the catalog has {key}", did_you_mean(key, live, _SHOWS)
                    )
                    for key in unknown
                ]
            )
        part = policy.plan(without, snapshot, Selection("forget", frozenset(keys)), state=state)
        missing = sorted(set(keys) - {action.key for action in part.actions})
        if missing and not part.refusals:
            raise Refused(f"no managed session is live as {', '.join(missing)}", _SHOWS)
        return part

    state = state_dir or catalog / FOLDER
    keep = keep_for_catalog(without)
    code = run_part(loaded, plan, keep, flags, root=catalog, state=state)
    still = sorted(loaded.sessions.keys() & set(keys))
    if code == ExitCode.OK and still:
        click.echo(
            f"Still in the catalog: {', '.join(still)}. Remove it there, or the next apply creates it again.",
            err=True,
        )
    return code
