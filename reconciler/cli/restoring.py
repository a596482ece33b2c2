"""What ``reconciler archive restore`` does: ask, lock, restore, report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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
    from reconciler.apply.restore_options import Restored
    from reconciler.apply.restore_run import RestoreResult


@dataclass(frozen=True, slots=True)
class Restoring:
    """How to restore, as the flags say.

    ``root`` is the catalog's folder, ``archive`` that of the archive. ``flags`` are those of the connection. ``moved``
    has the present identities of sessions that were archived under another one.
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
    moved: Mapping[Identity, Identity] | None = None

    def identity(self, one: Archived) -> Identity:
        """The identity under which a session is restored."""
        return (self.moved or {}).get(one.identity, one.identity)


def restore_one(found: Archived, how: Restoring) -> None:
    """Restore one archived session.

    Raises:
        ReconcilerError: it was not restored, or in part.
    """
    how = replace(how, moved=_moved(how.root, [found]))
    catalog = _ask([found], how)
    [result] = _restore([found], how, catalog, lambda result: None)
    if result.error is not None:
        raise result.error
    assert result.restored is not None
    if how.form == "json":
        row = _row(found, how.identity(found), result.restored)
        click.echo(json.dumps({"format_version": "1.0", **row}, indent=2))
    else:
        click.echo(_done(found, result.restored))
    _say_if_unwanted([found], how, catalog)


def restore_run(found: Sequence[Archived], how: Restoring) -> int:
    """Restore all that a run deleted or overwrote. Returns the exit code."""
    from reconciler.apply.restore_run import exit_code
    from reconciler.cli.problems import print_problems

    def tell(result: RestoreResult) -> None:
        if how.form != "json":
            key = how.identity(result.archived).key
            if result.restored is not None:
                click.echo(terminal(f"{key}  {_done(result.archived, result.restored)}"))
            else:
                click.echo(terminal(f"{key}  {'Not restored.' if result.error else 'Not tried.'}"))
        if result.error is not None:
            print_problems(result.error.problems)

    how = replace(how, moved=_moved(how.root, found))
    catalog = _ask(found, how)
    results = _restore(found, how, catalog, tell)
    code = exit_code(results)
    if how.form == "json":
        rows = [_result_row(result, how.identity(result.archived)) for result in results]
        document = {"format_version": "1.0", "run": found[0].run, "results": rows}
        click.echo(json.dumps(document, indent=2))
    _say_if_unwanted([one.archived for one in results if one.restored], how, catalog)
    if code != ExitCode.OK:
        click.echo("run the same command again to resume: what is restored already stays as it is", err=True)
    return code


def _ask(found: Sequence[Archived], how: Restoring) -> Catalog | None:
    """Say what will be done, and ask. Returns the catalog, if it is there."""
    for one in found:
        what = "restore" if one.messages is None else f"create again, with {count(len(one.messages))},"
        if one.messages is not None and how.replace:
            what = f"restore {count(len(one.messages))} of"
        to = how.identity(one)
        key = to.key if to == one.identity else f"{to}, archived as {one.identity},"
        line = f"This will {what} {key} as it was before the {one.before}."
        click.echo(terminal(line), err=how.form == "json")
    if any(one.account is None for one in found):
        click.echo("It does not say which account it is from: an earlier version archived it.", err=True)
    if not how.auto_approve:
        approve("Restore it?" if len(found) == 1 else f"Restore these {len(found)} sessions?")
    return _catalog_of(how.root, how.identity(found[0]), locking=how.lock is not None)


def _moved(folder: Path, found: Sequence[Archived]) -> dict[Identity, Identity]:
    """The identities that ``moved`` in the folder's catalog gives to archived sessions. A restore has to work without
    the catalog."""
    from reconciler.catalog import environments

    moved: dict[Identity, Identity] = {}
    names: list[str | None] = [*environments(folder)] or [None]
    for environment in names:
        try:
            catalog = CatalogFlags(environment, ()).load(folder)
        except ReconcilerError:
            continue
        for one in found:
            to = catalog.successor(one.identity)
            if to is not None:
                moved.setdefault(one.identity, to)
    return moved


def _restore(
    found: Sequence[Archived],
    how: Restoring,
    catalog: Catalog | None,
    on_result: Callable[[RestoreResult], None],
) -> list[RestoreResult]:
    from reconciler.apply.restore_options import RestoreOptions
    from reconciler.apply.restore_run import restore_all

    identity, by, run = how.identity(found[0]), who(how.root), new_run()
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
                    moved=how.moved or {},
                    catalog_id=None if catalog is None else catalog.id,
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


def _row(found: Archived, identity: Identity, done: Restored) -> dict[str, Any]:
    return {"id": found.id, "key": identity.key, **asdict(done)}


def _result_row(result: RestoreResult, identity: Identity) -> dict[str, Any]:
    found = result.archived
    if result.restored is not None:
        return {**_row(found, identity, result.restored), "outcome": "restored"}
    if result.error is None:
        return {"id": found.id, "key": identity.key, "outcome": "not tried"}
    message = "; ".join(problem.message for problem in result.error.problems)
    return {"id": found.id, "key": identity.key, "outcome": "failed", "message": message}


def _say_if_unwanted(restored: Sequence[Archived], how: Restoring, catalog: Catalog | None) -> None:
    """Warn of each session that the next apply would delete again."""
    if catalog is None:
        return
    for one in restored:
        identity = how.identity(one)
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
