"""What ``reconciler archive restore`` does: ask, lock, restore, report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.apply.archive import Archived
from reconciler.apply.beside import key_mark
from reconciler.apply.journal import new_run
from reconciler.apply.waiting import hold_lock, lock_holder, wait_for_the_list
from reconciler.apply.who import who
from reconciler.cli.approve import approve
from reconciler.cli.connect import Connection, connect, connection_for
from reconciler.cli.options import CatalogFlags, split
from reconciler.cli.progress import progress
from reconciler.cli.run_plan import say_holder, say_lag
from reconciler.cli.suggestions import completed
from reconciler.domain import Catalog
from reconciler.errors import CatalogError, ExitCode, ReconcilerError
from reconciler.ownership.account import Account
from reconciler.ownership.tag import Identity
from reconciler.state import make_salt, open_state
from reconciler.text.escape import terminal
from reconciler.text.paste import command as paste

if TYPE_CHECKING:
    from reconciler.apply.restore import Restored
    from reconciler.apply.restore_run import RestoreResult


@dataclass(frozen=True, slots=True)
class Restoring:
    """How to restore, as the flags say.

    ``root`` is the catalog's folder, ``archive`` that of the archive. ``flags`` are those of the connection.
    """

    root: Path
    state: Path
    archive: Path
    auto_approve: bool
    settle: float | None
    lock: bool | None
    lock_timeout: float
    other_account: bool
    replace: bool
    form: str
    flags: Mapping[str, Any]


def restore_one(found: Archived, how: Restoring) -> None:
    """Restore one archived session.

    Raises:
        ReconcilerError: it was not restored, or in part.
    """
    catalog = _ask([found], how)
    [result] = _restore([found], how, catalog, lambda result: None)
    if result.error is not None:
        raise result.error
    assert result.restored is not None
    if how.form == "json":
        click.echo(json.dumps({"format_version": "1.0", **_row(found, result.restored)}, indent=2))
    else:
        click.echo(_done(found, result.restored))
    _say_if_unwanted([found], catalog)


def restore_run(found: Sequence[Archived], how: Restoring) -> int:
    """Restore all that a run deleted or overwrote. Returns the exit code."""
    from reconciler.apply.restore_run import exit_code
    from reconciler.cli.problems import print_problems

    def tell(result: RestoreResult) -> None:
        if how.form != "json":
            key = result.archived.identity.key
            if result.restored is not None:
                click.echo(terminal(f"{key}  {_done(result.archived, result.restored)}"))
            else:
                click.echo(terminal(f"{key}  {'Not restored.' if result.error else 'Not tried.'}"))
        if result.error is not None:
            print_problems(result.error.problems)

    catalog = _ask(found, how)
    results = _restore(found, how, catalog, tell)
    code = exit_code(results)
    if how.form == "json":
        rows = [_result_row(result) for result in results]
        document = {"format_version": "1.0", "run": found[0].run, "results": rows}
        click.echo(json.dumps(document, indent=2))
    _say_if_unwanted([one.archived for one in results if one.restored], catalog)
    if code != ExitCode.OK:
        click.echo("run the same command again to resume: what is restored already stays as it is", err=True)
    return code


def _ask(found: Sequence[Archived], how: Restoring) -> Catalog | None:
    """Say what will be done, and ask. Returns the catalog, if it is there."""
    for one in found:
        what = "restore" if one.messages is None else f"create again, with {count(len(one.messages))},"
        if one.messages is not None and how.replace:
            what = f"restore {count(len(one.messages))} of"
        line = f"This will {what} {one.identity.key} as it was before the {one.before}."
        click.echo(terminal(line), err=how.form == "json")
    if any(one.account is None for one in found):
        click.echo("It does not say which account it is from: an earlier version archived it.", err=True)
    if not how.auto_approve:
        approve("Restore it?" if len(found) == 1 else f"Restore these {len(found)} sessions?")
    return _catalog_of(how.root, found[0].identity, locking=how.lock is not None)


def _restore(
    found: Sequence[Archived],
    how: Restoring,
    catalog: Catalog | None,
    on_result: Callable[[RestoreResult], None],
) -> list[RestoreResult]:
    from reconciler.apply.restore import RestoreOptions
    from reconciler.apply.restore_run import restore_all

    identity, by, run = found[0].identity, who(how.root), new_run()
    state = open_state(how.state)
    make_salt(state)
    with connect(_connection(how, catalog, identity), state) as client:
        lag = client.contract.settle if how.settle is None else how.settle
        with hold_lock(
            client,
            identity.catalog,
            identity.environment,
            holder=lock_holder(by, run),
            timeout=how.lock_timeout,
            settle=lag,
            wanted=how.lock if how.lock is not None else catalog is not None and catalog.policy.lock,
            on_wait=say_holder,
        ) as holding:
            wait_for_the_list(client, state, identity.catalog, identity.environment, lag, say_lag)
            with progress("restoring") as step:
                options = RestoreOptions(
                    state,
                    how.archive,
                    lag,
                    by,
                    run,
                    holding,
                    on_message=step,
                    account=Account(key=key_mark(client, state)),
                    other_account=how.other_account,
                    replace=how.replace,
                )
                return restore_all(found, client, options, on_result)


def _done(found: Archived, done: Restored) -> str:
    if done.already:
        what = " has its earlier values" if found.messages is None else ""
        return f"Already restored{':' if what else ' as'} #{done.session_id}{what}."
    if found.messages is None:
        return f"Restored: #{done.session_id} has its earlier values."
    verb = "Created again" if done.made else "Completed"
    return f"{verb}: #{done.session_id}, {count(done.messages)} added."


def count(messages: int) -> str:
    """``1 message``, ``12 messages``."""
    return "1 message" if messages == 1 else f"{messages} messages"


def _row(found: Archived, done: Restored) -> dict[str, Any]:
    return {"id": found.id, "key": found.identity.key, **asdict(done)}


def _result_row(result: RestoreResult) -> dict[str, Any]:
    found = result.archived
    if result.restored is not None:
        return {**_row(found, result.restored), "outcome": "restored"}
    if result.error is None:
        return {"id": found.id, "key": found.identity.key, "outcome": "not tried"}
    message = "; ".join(problem.message for problem in result.error.problems)
    return {"id": found.id, "key": found.identity.key, "outcome": "failed", "message": message}


def _say_if_unwanted(restored: Sequence[Archived], catalog: Catalog | None) -> None:
    """Warn of each session that the next apply would delete again."""
    if catalog is None:
        return
    for one in restored:
        identity = one.identity
        if one.messages is None or identity.key in catalog.sessions.keys() | catalog.forgotten:
            continue
        key = terminal(identity.key)
        forget = terminal(completed(paste("forget", identity.key, environment=identity.environment)))
        click.echo(
            f"{key} is not in the catalog, so the next apply would delete it: put it back there, "
            f"or run {forget}",
            err=True,
        )


def _connection(how: Restoring, catalog: Catalog | None, identity: Identity) -> Connection:
    """The connection flags, with what catalog.yaml says of the service if it is that of the session's catalog. A
    restore has to work without the rest of the catalog, or with another one.

    Raises:
        Refused: the catalog expects another address.
    """
    from reconciler.catalog import catalog_name

    try:
        ours = catalog is not None or catalog_name(how.root, identity.environment) == identity.catalog
    except CatalogError:
        ours = False
    return connection_for(how.flags, how.root, identity.environment) if ours else split(how.flags, Connection)


def _catalog_of(folder: Path, identity: Identity, *, locking: bool) -> Catalog | None:
    """The catalog that owns the session, if it is there and loads; a restore has to work without it.

    ``locking`` says that a flag decides whether to lock, so that the catalog's policy does not matter.
    """
    try:
        loaded = CatalogFlags(identity.environment, ()).load(folder)
    except ReconcilerError:
        if not locking and (folder / "catalog.yaml").exists():
            click.echo(
                "the catalog does not load, so its lock policy is unknown: no lock is taken (--lock takes one)",
                err=True,
            )
        return None
    return loaded if loaded.name == identity.catalog else None
