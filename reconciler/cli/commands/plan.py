"""``reconciler plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reconciler.cli.connect import Connection, connect
from reconciler.cli.live import listing, with_messages
from reconciler.cli.options import (
    CatalogFlags,
    OutPath,
    PolicyFlags,
    catalog_argument,
    catalog_options,
    connection_options,
    exitcode_option,
    policy_options,
    split,
    state_option,
)
from reconciler.cli.output import output_options, put_out, read_output
from reconciler.cli.sections import SectionedCommand
from reconciler.errors import ExitCode, UsageError
from reconciler.state import FOLDER


@click.command(cls=SectionedCommand)
@catalog_argument
@catalog_options
@connection_options
@click.option(
    "--against",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Compare with a snapshot file (see reconciler snapshot) instead of the live list. Needs no key.",
)
@policy_options
@state_option
@click.option(
    "--out",
    type=OutPath(),
    help="Save the plan to this file, to apply exactly that later. It holds prompts; only you can read it. "
    "The file may be a pipe or a device, such as /dev/stdout.",
)
@exitcode_option
@output_options
def command(
    catalog: Path,
    against: Path | None,
    out: Path | None,
    detailed_exitcode: bool,
    state_dir: Path | None,
    **flags: Any,
) -> int:
    """Show what an apply would change. Writes nothing to the service.

    A plan that a guard refuses is still shown in full, and the exit code is 3.
    """
    if against and out:
        raise UsageError("a plan made with --against can't be saved with --out", "plan against the live list")
    output = read_output(flags)
    with listing(split(flags, Connection), state_dir or catalog / FOLDER, against=against) as live:
        from reconciler.plan.document import plan_to_document
        from reconciler.plan.keep import keep_for_catalog

        loaded = split(flags, CatalogFlags).load(catalog)
        snapshot = live(keep_for_catalog(loaded))
    state = state_dir or catalog / FOLDER
    if against is None:
        snapshot = with_messages(
            snapshot, loaded.name, loaded.environment, lambda: connect(split(flags, Connection), state)
        )
    plan = split(flags, PolicyFlags).plan(loaded, snapshot, state=state)
    if out is not None:
        from reconciler.cli.planfile import write_plan

        write_plan(out, plan, catalog)
    put_out(plan_to_document(plan), output)
    if plan.refusals:
        return ExitCode.REFUSED
    return ExitCode.CHANGES if detailed_exitcode and (not plan.empty or plan.undecided) else ExitCode.OK
