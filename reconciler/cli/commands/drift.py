"""``reconciler drift``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reconciler.cli.connect import Connection, connect
from reconciler.cli.keys import did_you_mean
from reconciler.cli.live import live_or_against, with_messages
from reconciler.cli.options import (
    CatalogFlags,
    catalog_argument,
    catalog_options,
    connection_options,
    split,
    state_option,
)
from reconciler.cli.output import output_options, put_out, read_output
from reconciler.cli.sections import SectionedCommand
from reconciler.domain import Catalog
from reconciler.errors import ExitCode, Refused, UsageError
from reconciler.plan.drift import drifted
from reconciler.plan.types import Plan
from reconciler.state import FOLDER


@click.command(cls=SectionedCommand)
@catalog_argument
@catalog_options
@connection_options
@state_option
@click.option(
    "--accept",
    metavar="KEY[.FIELD]",
    multiple=True,
    help="Write the live value into the manifest, for one field or for all drifted fields of a session: "
    "alice.prompt, alice.parameters.temperature, alice. Repeatable.",
)
@output_options
def command(catalog: Path, state_dir: Path | None, accept: tuple[str, ...], **flags: Any) -> int:
    """Show what was changed outside git, and nothing else. Exits with 2 when there is drift.

    `reconciler apply` restores git's values. --accept keeps the live values instead: it changes those lines of the
    manifest that hold them, so that a good change made in a console can become a pull request.
    """
    from reconciler.cli.journal_facts import journal_facts
    from reconciler.plan import make_plan
    from reconciler.plan.document import plan_to_document
    from reconciler.plan.keep import keep_for_catalog

    output = read_output(flags)
    loaded = split(flags, CatalogFlags).load(catalog)
    state = state_dir or catalog / FOLDER
    facts = journal_facts(loaded, catalog, state)
    keep = keep_for_catalog(loaded, ids=facts.ids())
    snapshot = live_or_against(None, split(flags, Connection), state, keep)
    snapshot = with_messages(
        snapshot, loaded.name, loaded.environment, lambda: connect(split(flags, Connection), state)
    )
    plan = drifted(facts.added(make_plan(loaded, snapshot), snapshot))
    if accept:
        return _accept(catalog, loaded, plan, accept, split(flags, CatalogFlags))
    put_out(plan_to_document(plan), output)
    drift = plan.actions or plan.undecided or any(note.drift for note in plan.notes)
    return ExitCode.CHANGES if drift else ExitCode.OK


def _accept(folder: Path, catalog: Catalog, plan: Plan, accept: tuple[str, ...], which: CatalogFlags) -> int:
    from reconciler.catalog.accept import Accepted, accept_values

    accepted: dict[tuple[str, str], Accepted] = {}
    for asked in accept:
        found = [
            Accepted(action.key, change.path, change.before)
            for action in plan.actions
            for change in action.fields
            if asked in (action.key, f"{action.key}.{change.path}")
        ]
        if not found:
            gone = next((action for action in plan.actions if action.key == asked and action.outside), None)
            if gone is not None:
                raise Refused(
                    f"{asked}: there is no live value to accept: {gone.reason}",
                    "reconciler plan shows what an apply would do about it; to accept it, change the catalog",
                )
            if not any(asked == key or asked.startswith(f"{key}.") for key in catalog.sessions):
                hint = did_you_mean(asked.partition(".")[0], catalog.sessions, "give KEY, or KEY.FIELD")
                raise UsageError(f"the catalog has no session for {asked!r}", hint)
            what = asked if asked in catalog.sessions else f"{asked}, or there is no such session or field"
            raise Refused(
                f"nothing was changed outside git in {what}", "reconciler drift shows what was changed"
            )
        accepted |= {(one.key, one.path): one for one in found}
    for file in accept_values(folder, accepted.values(), environment=which.env, variables=dict(which.var)):
        click.echo(f"changed {file}")
    return ExitCode.OK
