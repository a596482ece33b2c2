"""``reconciler plan``."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.connect import Connection, connect, connection_for
from reconciler.cli.live import listing
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
from reconciler.cli.suggestions import completed
from reconciler.cli.testing import Where, gate_options, tested_plan
from reconciler.errors import ExitCode, ReconcilerError, UsageError
from reconciler.state import FOLDER, make_salt
from reconciler.text.paste import command as paste

if TYPE_CHECKING:
    from reconciler.api.client import Client
    from reconciler.catalog.loaded import Loaded


@click.command(cls=SectionedCommand)
@catalog_argument
@catalog_options
@connection_options
@click.option(
    "--against",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Compare with a snapshot file (`reconciler snapshot FILE` makes one) instead of the live list. Needs no key.",
)
@policy_options
@gate_options
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
    state = state_dir or catalog / FOLDER
    if out is not None:
        make_salt(state)  # so that the plan says for which account it is
    which = split(flags, CatalogFlags)
    connection = _connection(catalog, which, flags, against=against)
    with listing(connection, state, against=against) as live:
        from reconciler.apply.beside import with_message_counts, with_messages
        from reconciler.apply.journal_facts import journal_facts
        from reconciler.plan.document import plan_to_document
        from reconciler.plan.keep import keep_for_catalog

        origins = which.load_with_origins(catalog)
        loaded = origins.catalog
        _tell_mistakes(origins, which)
        facts = journal_facts(loaded, state)
        snapshot = live(keep_for_catalog(loaded, ids=facts.ids()))

    def client() -> AbstractContextManager[Client]:
        return connect(connection, state)

    if against is None:
        written = facts.written(snapshot.endpoint)
        snapshot = with_messages(snapshot, loaded.name, loaded.environment, written, client)
    policy = split(flags, PolicyFlags)
    plan = policy.plan(loaded, snapshot, state=state)
    plan = facts.added(
        loaded,
        plan,
        snapshot,
        allow_recreate=policy.allow_recreate,
        shared_account=policy.shared_account,
    )
    if against is None:
        plan = with_message_counts(plan, snapshot, client)
    plan, interrupted = tested_plan(plan, loaded, snapshot, flags, Where(connection, state))
    if out is not None:
        from reconciler.cli.planfile import write_plan

        write_plan(out, plan, catalog, connection.contract_file())
    put_out(plan_to_document(plan), output, catalog)
    if interrupted:
        return interrupted
    if plan.refusals:
        return ExitCode.REFUSED
    return ExitCode.CHANGES if detailed_exitcode and (not plan.empty or plan.undone) else ExitCode.OK


def _connection(
    folder: Path, which: CatalogFlags, flags: dict[str, Any], *, against: Path | None
) -> Connection:
    """How to reach the service.

    Raises:
        ReconcilerError: that can't be said, or the address is not the catalog's. What is wrong with the catalog comes
            first.
    """
    try:
        return connection_for(flags, folder, which.env, talks=against is None)
    except ReconcilerError:
        which.load(folder)
        raise


def _tell_mistakes(loaded: Loaded, which: CatalogFlags) -> None:
    """Say on stderr how many warnings `validate` has, and how to read them."""
    from reconciler.lint import count_mistakes

    count = count_mistakes(loaded, dict(which.var))
    if count:
        validate = completed(paste("validate", environment=which.env))
        click.echo(f"{count} warning{'' if count == 1 else 's'} about the catalog: {validate}", err=True)
