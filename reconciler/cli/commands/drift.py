"""``reconciler drift``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.accept import EVERYTHING, Asked, accept_drift
from reconciler.cli.connect import connect, connection_for
from reconciler.cli.live import live_or_against
from reconciler.cli.options import (
    CatalogFlags,
    approve_option,
    catalog_argument,
    catalog_options,
    connection_options,
    split,
    state_option,
)
from reconciler.cli.output import output_options, put_out, read_output
from reconciler.cli.sections import SectionedCommand
from reconciler.errors import ExitCode, UsageError
from reconciler.plan.drift import drift_to_document, drifted
from reconciler.state import FOLDER

if TYPE_CHECKING:
    from reconciler.catalog.accept_places import Into


@click.command(cls=SectionedCommand)
@catalog_argument
@catalog_options
@connection_options
@state_option
@click.option(
    "--accept",
    metavar="[KEY[.FIELD]]",
    is_flag=False,
    flag_value=EVERYTHING,
    multiple=True,
    help="Write the live values into the catalog: of one field or of all drifted fields of a session "
    "(alice.prompt, alice.parameters.temperature, alice; repeatable), or of everything, after asking, if nothing is "
    "named.",
)
@click.option(
    "--into",
    type=click.Choice(["environment", "file"]),
    help="With --accept in a catalog with environments: write into the patch of this environment, or into the "
    "manifests, for all environments. Default: asks on a terminal, else environment.",
)
@approve_option
@output_options
def command(
    catalog: Path,
    state_dir: Path | None,
    accept: tuple[str, ...],
    into: Into | None,
    auto_approve: bool,
    **flags: Any,
) -> int:
    """Show what was changed outside git, from git to live. Exits with 2 when there is drift.

    `reconciler apply` restores git's values. --accept keeps the live values instead: it changes those lines of the
    catalog that hold them, so that a good change made in a console can become a pull request.
    """
    from reconciler.apply.beside import with_messages
    from reconciler.apply.journal_facts import journal_facts
    from reconciler.plan import make_plan
    from reconciler.plan.keep import keep_for_catalog

    if not accept and (into or auto_approve):
        raise UsageError("--into and --auto-approve are for --accept", "add --accept")
    output = read_output(flags)
    if accept and (output.form not in ("text", "json") or output.out_file):
        raise UsageError(
            "--accept writes into the catalog, and shows no drift",
            "leave out --out-file, and use --format text or json",
        )
    loaded = split(flags, CatalogFlags).load(catalog)
    state = state_dir or catalog / FOLDER
    facts = journal_facts(loaded, state)
    keep = keep_for_catalog(loaded, ids=facts.ids())
    connection = connection_for(flags, catalog, loaded.environment)
    snapshot = live_or_against(None, connection, state, keep)
    written = facts.written(snapshot.endpoint)
    snapshot = with_messages(
        snapshot, loaded.name, loaded.environment, written, lambda: connect(connection, state)
    )
    plan = drifted(facts.added(loaded, make_plan(loaded, snapshot, written=written), snapshot))
    if accept:
        return accept_drift(
            Asked(accept, into, auto_approve, output.form),
            catalog,
            split(flags, CatalogFlags),
            loaded,
            plan,
        )
    put_out(drift_to_document(plan, snapshot), output, catalog)
    drift = plan.actions or any(note.drift for note in plan.notes)
    return ExitCode.CHANGES if drift else ExitCode.OK
