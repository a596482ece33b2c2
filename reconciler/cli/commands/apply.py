"""``reconciler apply``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from reconciler.api.endpoint import LOCAL, endpoint_name
from reconciler.apply import journal as journals
from reconciler.apply.journal import read_journal
from reconciler.apply.journal_facts import journal_facts
from reconciler.apply.stale import refuse_if_applied, refuse_if_stale
from reconciler.cli.connect import Connection, connection_for, need_local_data
from reconciler.cli.options import (
    CatalogFlags,
    PolicyFlags,
    catalog_flag,
    catalog_options,
    chosen_folder,
    connection_options,
    policy_options,
    split,
    state_option,
)
from reconciler.cli.run_plan import Job, Writing, run_plan, writing_options
from reconciler.cli.sections import SectionedCommand, option_in
from reconciler.cli.testing import Where, gate_options, tested_plan
from reconciler.contract import ContractFile
from reconciler.domain import Catalog, Policy, ServiceFacts, Snapshot
from reconciler.errors import Refused, UsageError
from reconciler.plan.keep import keep_for_catalog, keep_for_plan
from reconciler.plan.types import Plan
from reconciler.state import FOLDER
from reconciler.text.escape import terminal
from reconciler.text.paste import flag


@click.command(cls=SectionedCommand)
@click.argument(
    "what", metavar="[CATALOG|PLAN]", type=click.Path(path_type=Path, exists=True), required=False
)
@catalog_flag
@catalog_options
@connection_options
@policy_options
@gate_options
@state_option
@option_in("Identity")(
    "--write-id",
    is_flag=True,
    help="Give the catalog an id, in catalog.yaml, if it has none. "
    "It distinguishes the catalog from others of the same name.",
)
@writing_options
def command(what: Path | None, state_dir: Path | None, write_id: bool, **flags: Any) -> int:
    """Make the live sessions match the catalog, or apply a saved PLAN exactly.

    This makes a plan, shows it, asks for approval, writes, and reads the list again to verify the result. What is
    deleted or overwritten is archived first. In CI, add --auto-approve; without it and without a terminal to ask on,
    nothing is written and the exit code is 3.

    A saved plan is applied without the catalog and without asking, since it was reviewed. If a session that it
    touches has changed since, the whole plan is refused. --catalog then only says where the state folder is.
    """
    plan = what if what is not None and what.is_file() else None
    root = chosen_folder(None if plan else what) or Path()
    state = state_dir or root / FOLDER
    which = split(flags, CatalogFlags)
    if plan is not None:
        job, contract = _saved(plan, state, flags)
        connection = _with_contract(split(flags, Connection), contract)
    else:
        connection = connection_for(flags, root, which.env)
        tested = partial(tested_plan, flags=flags, where=Where(connection, state))
        job = _catalog(root, state, which, split(flags, PolicyFlags), tested, write_id=write_id)
    return run_plan(job, split(flags, Writing), connection, root=root, state=state)


def _with_contract(connection: Connection, contract: ContractFile | None) -> Connection:
    """The connection with the contract that a saved plan was made with, unless --contract names another one."""
    if contract is None:
        return connection
    saved = f"{contract.file}, as it was when the plan was made"
    used = saved if connection.contract is None else f"{connection.contract} (--contract), not {saved}"
    click.echo(terminal(f"contract: {used}"), err=True)
    return dataclasses.replace(connection, service=ServiceFacts(contract=contract))


def _catalog(
    folder: Path,
    state: Path,
    which: CatalogFlags,
    policy: PolicyFlags,
    tested: Callable[[Plan, Catalog, Snapshot], tuple[Plan, int]],
    *,
    write_id: bool,
) -> Job:
    catalog = which.load(folder)
    if write_id and catalog.id is None:
        from reconciler.catalog.write_id import write_catalog_id

        click.echo(
            f"wrote `id: {write_catalog_id(folder)}` to catalog.yaml: commit it, so that other machines use it, too",
            err=True,
        )
        catalog = which.load(folder)
    facts = journal_facts(catalog, state)

    def plan(snapshot: Snapshot) -> Plan:
        found = facts.added(
            catalog,
            policy.plan(catalog, snapshot, state=state),
            snapshot,
            allow_recreate=policy.allow_recreate,
            shared_account=policy.shared_account,
        )
        found, interrupted = tested(found, catalog, snapshot)
        if interrupted:
            raise KeyboardInterrupt
        return found

    return Job(
        catalog.name,
        catalog.environment,
        catalog.policy,
        plan,
        keep=keep_for_catalog(catalog, ids=facts.ids()),
        former=catalog.moved_every,
    )


def _saved(path: Path, state: Path, flags: dict[str, Any]) -> tuple[Job, ContractFile | None]:
    """The job of a saved plan, if that is for this endpoint, and the contract that it was made with, if it says so."""
    from reconciler.cli.planfile import read_plan, saved_contract

    # A variable is set for all commands, so it may have no effect here.
    source = click.get_current_context().get_parameter_source
    given = [
        name
        for group in (PolicyFlags, CatalogFlags)
        for name in group.__dataclass_fields__
        if source(name) is ParameterSource.COMMANDLINE
    ]
    if source("write_id") is ParameterSource.COMMANDLINE:
        given.append("write_id")
    if given:
        raise UsageError(
            f"--{given[0].replace('_', '-')} has no effect on a saved plan",
            "the plan already contains it: make the plan again with the flag",
        )
    plan, document = read_plan(path)
    endpoint = endpoint_name(flags["endpoint"])
    if plan.endpoint != endpoint:
        where = " --state-dir=CATALOG/.reconciler" if plan.endpoint == LOCAL else ""
        raise Refused(
            f"the plan was made against {plan.endpoint}, and this is {endpoint}",
            f"apply it with {flag('endpoint', plan.endpoint)}{where}, or make a plan against {endpoint}",
        )
    need_local_data(flags["endpoint"], state, "the plan")
    refuse_if_applied(str(document["digest"]), read_journal(state / journals.FILE))

    def still_true(snapshot: Snapshot) -> Plan:
        refuse_if_stale(plan, snapshot)
        return plan

    made_by = document["made_by"]
    made_from = {name: made_by[name] for name in ("commit", "dirty") if name in made_by}
    policy = Policy(lock=plan.lock)
    job = Job(
        plan.catalog,
        plan.environment,
        policy,
        still_true,
        reviewed=True,
        made_from={**made_from, "plan": document["digest"]},
        keep=keep_for_plan(plan),
        account=plan.account,
    )
    return job, saved_contract(document)
