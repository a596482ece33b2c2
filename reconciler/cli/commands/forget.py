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
    catalog_flag,
    catalog_options,
    change_limits,
    connection_options,
    last_is_folder,
    split,
    state_option,
)
from reconciler.cli.run_plan import run_part, writing_options
from reconciler.cli.sections import SectionedCommand
from reconciler.domain import Snapshot
from reconciler.errors import ExitCode, Problem, Refused, UsageError
from reconciler.ownership.key import is_key
from reconciler.plan.keep import keep_for_catalog
from reconciler.plan.types import Plan, Selection
from reconciler.state import FOLDER
from reconciler.text.paste import command as paste


@click.command(cls=SectionedCommand)
@click.argument("words", metavar="KEY... [CATALOG]", nargs=-1, required=True)
@catalog_flag
@catalog_options
@connection_options
@change_limits
@canary_option
@state_option
@writing_options
def command(words: tuple[str, ...], state_dir: Path | None, **flags: Any) -> int:
    """Stop managing sessions without deleting them.

    The tag is removed, the remark becomes what it was before the adoption, and the session stays as it is, with its
    messages. To have it reviewed in git, write `forgotten: [KEY]` in the catalog instead. The guards of `policy` apply.

    A word that may be a key is one: write the folder as ./CATALOG, or with --catalog.
    """
    keys, catalog = last_is_folder(words, is_key)
    if not keys:
        raise UsageError("no session to forget was named", "give at least one KEY before the folder")
    loaded = split(flags, CatalogFlags).load(catalog)
    left = {key: session for key, session in loaded.sessions.items() if key not in keys}
    without = dataclasses.replace(loaded, sessions=left, forgotten=loaded.forgotten.union(keys))

    policy = split(flags, PolicyFlags)
    shows = f"{paste('list', environment=loaded.environment)} shows what is live"

    def plan(snapshot: Snapshot) -> Plan:
        live = live_keys(snapshot, loaded.name, loaded.environment)
        unknown = sorted(set(keys) - live - loaded.sessions.keys())
        if unknown:
            raise UsageError(
                [
                    Problem(
                        f"neither the live list nor the catalog has {key}", did_you_mean(key, live, shows)
                    )
                    for key in unknown
                ]
            )
        part = policy.plan(without, snapshot, Selection("forget", frozenset(keys)), state=state)
        missing = sorted(set(keys) - {action.key for action in part.actions})
        if missing and not part.refusals:
            raise Refused(f"no managed session is live as {', '.join(missing)}", shows)
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
