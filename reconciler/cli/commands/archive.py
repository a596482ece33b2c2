"""``reconciler archive``: list, show and restore what was deleted or overwritten."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reconciler.apply import archive as archives
from reconciler.apply.journal import new_run
from reconciler.cli.account import key_mark, other_account_option
from reconciler.cli.connect import Connection, connect, connection_for
from reconciler.cli.options import (
    CatalogFlags,
    approve_option,
    archive_option,
    catalog_argument,
    connection_options,
    split,
    state_option,
)
from reconciler.cli.output import format_option
from reconciler.cli.progress import progress
from reconciler.cli.run_plan import hold_lock, lock_holder, lock_options, settle_option, wait_for_the_list
from reconciler.cli.sections import SectionedCommand
from reconciler.cli.suggestions import completed
from reconciler.cli.who import who
from reconciler.contract import load_contract
from reconciler.domain import Catalog
from reconciler.errors import CatalogError, ExitCode, Problem, ReconcilerError
from reconciler.ownership.account import Account
from reconciler.ownership.tag import Identity
from reconciler.state import FOLDER, make_salt, open_state
from reconciler.text.escape import terminal
from reconciler.text.paste import command as paste

if TYPE_CHECKING:
    from reconciler.apply.restore import Restored

F = TypeVar("F", bound=Callable[..., Any])


@click.group()
def command() -> None:
    """List and restore what was deleted or overwritten.

    A session is archived before it is deleted, with all its messages, and before it is updated.
    """


def _folder_options(function: F) -> F:
    return state_option(archive_option(function))


def _folder(catalog: Path, state_dir: Path | None, archive_dir: Path | None) -> Path:
    if archive_dir is not None and not archive_dir.exists():
        raise ReconcilerError(f"there is no folder {archive_dir}", "--archive-dir names it")
    return archive_dir or (state_dir or catalog / FOLDER) / archives.FOLDER


def _archive_id(function: F) -> F:
    return click.argument("archive_id", metavar="ID")(function)


@command.command("list")
@catalog_argument
@_folder_options
@format_option()
def list_(catalog: Path, state_dir: Path | None, archive_dir: Path | None, form: str) -> None:
    """List archived sessions, oldest first."""
    from reconciler.cli.problems import print_problems

    found, problems = archives.read_archive(_folder(catalog, state_dir, archive_dir))
    named = [(one, *_named(one, problems)) for one in found]
    if form == "json":
        rows = [
            {
                "id": one.id,
                "before": one.before,
                "run_started": one.run_started,
                "endpoint": one.endpoint,
                "key": one.identity.key,
                "session_id": session_id,
                "name": name,
                "messages": None if one.messages is None else len(one.messages),
            }
            for one, session_id, name in named
        ]
        click.echo(json.dumps(rows, indent=2))
    else:
        for one, _, name in named:
            messages = "" if one.messages is None else f", {len(one.messages)} messages"
            line = f"{one.id}  before {one.before}: {one.identity.key}, {name or 'name unknown'}{messages}"
            click.echo(terminal(line))
        if not found:
            click.echo("The archive is empty.")
    print_problems(problems)


def _named(one: archives.Archived, problems: list[Problem]) -> tuple[int | None, str | None]:
    """The session's id and name; from the session itself in an archive that an earlier version wrote."""
    if one.session_id is not None and one.name is not None:
        return one.session_id, one.name
    try:
        live = one.live(load_contract().session)
    except ReconcilerError as error:
        problems += error.problems
        return None, None
    return live.session_id, live.name


@command.command()
@_archive_id
@catalog_argument
@_folder_options
def show(archive_id: str, catalog: Path, state_dir: Path | None, archive_dir: Path | None) -> None:
    """Print one archived session as JSON, with its messages. ID may be abbreviated to its first characters."""
    found = archives.find_archived(_folder(catalog, state_dir, archive_dir), archive_id)
    try:
        click.echo(json.dumps(json.loads(found.path.read_bytes()), indent=2))
    except RecursionError:
        raise ReconcilerError(f"{found.path} can't be shown: its values are nested too deeply") from None


@command.command(cls=SectionedCommand)
@_archive_id
@catalog_argument
@connection_options
@_folder_options
@approve_option
@settle_option
@lock_options
@other_account_option
@format_option()
def restore(
    archive_id: str,
    catalog: Path,
    state_dir: Path | None,
    archive_dir: Path | None,
    auto_approve: bool,
    settle: float | None,
    lock: bool | None,
    lock_timeout: float,
    other_account: bool,
    form: str,
    **flags: Any,
) -> None:
    """Restore an archived session. ID may be abbreviated to its first characters.

    A deleted session is created again under a new id, with its remark and with its messages in order. An updated
    session gets its earlier values back. If a restore is interrupted, run it again with the same state folder: it
    resumes where it stopped.
    """
    from reconciler.apply.restore import RestoreOptions
    from reconciler.apply.restore import restore as bring_back
    from reconciler.cli.approve import approve

    folder = _folder(catalog, state_dir, archive_dir)
    found = archives.find_archived(folder, archive_id)
    what = "restore" if found.messages is None else f"create again, with {len(found.messages)} messages,"
    click.echo(
        terminal(f"This will {what} {found.identity.key} as it was before the {found.before}."),
        err=form == "json",
    )
    if found.account is None:
        click.echo("It does not say which account it is from: an earlier version archived it.", err=True)
    if not auto_approve:
        approve("Restore it?")
    identity, by, run = found.identity, who(catalog), new_run()
    loaded = _catalog_of(catalog, identity, locking=lock is not None)
    state = open_state(state_dir or catalog / FOLDER)
    make_salt(state)
    with connect(_connection(flags, catalog, loaded, identity), state) as client:
        lag = client.contract.settle if settle is None else settle
        with hold_lock(
            client,
            identity.catalog,
            identity.environment,
            holder=lock_holder(by, run),
            timeout=lock_timeout,
            settle=lag,
            wanted=lock if lock is not None else loaded is not None and loaded.policy.lock,
        ) as holding:
            wait_for_the_list(client, state, identity.catalog, identity.environment, lag)
            with progress("restoring") as step:
                options = RestoreOptions(state, folder, lag, by, run, holding, on_message=step)
                account = Account(key=key_mark(client, state))
                options = replace(options, account=account, other_account=other_account)
                done = bring_back(found, client, options)
    _say_restored(found, done, form)
    if found.messages is not None and loaded:
        _say_if_unwanted(identity, loaded)


def _say_restored(found: archives.Archived, done: Restored, form: str) -> None:
    if form == "json":
        row = {"id": found.id, "key": found.identity.key, **asdict(done)}
        click.echo(json.dumps({"format_version": "1.0", **row}, indent=2))
    elif found.messages is None:
        click.echo(f"Restored: #{done.session_id} has its earlier values.")
    else:
        verb = "Created again" if done.made else "Completed"
        click.echo(f"{verb}: #{done.session_id}, {done.messages} messages added.")


def _say_if_unwanted(identity: Identity, catalog: Catalog) -> None:
    """Warn if the next apply would delete the session again."""
    if identity.key in catalog.sessions.keys() | catalog.forgotten:
        return
    key = terminal(identity.key)
    forget = terminal(completed(paste("forget", identity.key, environment=identity.environment)))
    click.echo(
        f"{key} is not in the catalog, so the next apply would delete it: put it back there, or run {forget}",
        err=True,
    )


def _connection(
    flags: Mapping[str, Any], folder: Path, loaded: Catalog | None, identity: Identity
) -> Connection:
    """The connection flags, with what catalog.yaml says of the service if it is that of the session's catalog. A
    restore has to work without the rest of the catalog, or with another one.

    Raises:
        Refused: the catalog expects another address.
    """
    from reconciler.catalog import catalog_name

    try:
        ours = loaded is not None or catalog_name(folder, identity.environment) == identity.catalog
    except CatalogError:
        ours = False
    return connection_for(flags, folder, identity.environment) if ours else split(flags, Connection)


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


@command.command()
@catalog_argument
@_folder_options
@click.option(
    "--keep-days",
    type=click.IntRange(0, 100_000),
    required=True,
    help="Keep what is younger than this many days.",
)
@approve_option
@format_option()
def prune(
    catalog: Path,
    state_dir: Path | None,
    archive_dir: Path | None,
    keep_days: int,
    auto_approve: bool,
    form: str,
) -> int:
    """Delete old archived sessions from this machine, for good.

    Half-written files that a killed run left behind are deleted, too. Exits with 4 when only some files could be
    deleted.
    """
    from reconciler.cli.approve import approve
    from reconciler.cli.problems import print_problems

    folder, now = _folder(catalog, state_dir, archive_dir), datetime.now(UTC)
    found, problems = archives.read_archive(folder)
    old = [one.path for one in found if one.moment < now - timedelta(days=keep_days)]
    # A run may still be writing a file that is younger than an hour.
    left = archives.unfinished(folder, now - max(timedelta(days=keep_days), timedelta(hours=1)))
    files = f" and {_count(left)}" if left else ""
    if (old or left) and not auto_approve:
        approve(f"Delete {len(old)} of {len(found)} archived sessions{files} for good?")
    failed = {path: problem for path in (*old, *left) if (problem := _delete(path))}
    gone, cleared = ([path for path in paths if path not in failed] for paths in (old, left))
    kept = len(found) - len(gone)
    if form == "json":
        counts = {"deleted": len(gone), "kept": kept, "unfinished_deleted": len(cleared)}
        click.echo(json.dumps({"format_version": "1.0", **counts}, indent=2))
    else:
        files = f" {_count(cleared)} deleted." if left else ""
        click.echo(f"{len(gone)} deleted, {kept} kept.{files}")
    print_problems([*problems, *failed.values()])
    if not failed:
        return ExitCode.OK
    return ExitCode.PARTIAL if gone or cleared else ExitCode.ERROR


def _count(files: Sequence[Path]) -> str:
    return "1 unfinished file" if len(files) == 1 else f"{len(files)} unfinished files"


def _delete(path: Path) -> Problem | None:
    """Delete a file. Returns what went wrong, if anything did."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        return Problem(f"{path} can't be deleted: {error.strerror}", "check the folder's permissions")
    return None
