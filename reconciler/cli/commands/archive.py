"""``reconciler archive``: list, show and restore what was deleted or overwritten."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from click.core import ParameterSource

from reconciler.apply import archive as archives
from reconciler.cli.account import other_account_option
from reconciler.cli.buckets import bucket_options, chosen_bucket
from reconciler.cli.options import (
    approve_option,
    archive_option,
    catalog_argument,
    chosen_folder,
    connection_options,
    split,
    state_option,
)
from reconciler.cli.output import format_option
from reconciler.cli.run_plan import lock_options, settle_option
from reconciler.cli.sections import SectionedCommand
from reconciler.contract import load_contract
from reconciler.disk import MAX_DOCUMENT, open_regular, read_open
from reconciler.errors import ExitCode, Problem, ReconcilerError, UsageError
from reconciler.state import FOLDER
from reconciler.text.escape import terminal
from reconciler.values import DEEPEST, parse_json

#: The names of a resource and of its namespace, as Kubernetes allows them.
_RESOURCE: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}/[a-z0-9][a-z0-9.-]{0,252}")

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
    from reconciler.cli.restoring import count

    found, problems = archives.read_archive(_folder(catalog, state_dir, archive_dir))
    named = [(one, *_named(one, problems)) for one in found]
    if form == "json":
        rows = [
            {
                "id": one.id,
                "run": one.run,
                "before": one.before,
                "run_started": one.run_started,
                "endpoint": one.endpoint,
                "catalog": one.identity.catalog,
                "environment": one.identity.environment,
                "key": one.identity.key,
                "session_id": session_id,
                "name": name,
                "messages": None if one.messages is None else len(one.messages),
            }
            for one, session_id, name in named
        ]
        click.echo(json.dumps(rows, indent=2))
    else:
        several = len({(one.identity.catalog, one.identity.environment) for one in found}) > 1
        for one, _, name in named:
            key = str(one.identity) if several else one.identity.key
            messages = "" if one.messages is None else f", {count(len(one.messages))}"
            line = f"{one.id}  before {one.before}: {key}, {name or 'name unknown'}{messages}"
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
        with open_regular(found.path) as file:
            data = read_open(file, MAX_DOCUMENT)
        click.echo(json.dumps(parse_json(data, levels=DEEPEST + 10), indent=2))
    except OSError as error:
        raise ReconcilerError(f"{found.path} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise ReconcilerError(f"{found.path} can't be shown: {error}") from None


@command.command()
@click.argument("resource", metavar="NAMESPACE/NAME")
@bucket_options
@state_option
def fetch(
    resource: str, archive_s3: str | None, archive_s3_endpoint: str | None, state_dir: Path | None
) -> None:
    """Fetch what the operator keeps in S3 of a PersonaCatalog: its archived sessions and its journal.

    They go into the state folder (default: ./.reconciler), from which `archive list`, `archive restore` and `history`
    read them. What is there already is not fetched again. Nothing is written to S3.
    """
    from reconciler.s3.fetching import fetch_all

    bucket = chosen_bucket(archive_s3, archive_s3_endpoint)
    if bucket is None:
        raise UsageError("no bucket is named", "add --archive-s3=s3://BUCKET/PREFIX, as the operator has it")
    if not _RESOURCE.fullmatch(resource):
        raise UsageError(
            f"{resource!r} is not NAMESPACE/NAME", "name a PersonaCatalog, like bookshop/bookshop"
        )
    folder = state_dir or Path(FOLDER)
    fetched, there = fetch_all(bucket, resource, folder)
    click.echo(terminal(f"{fetched} of {there} archived sessions fetched, and the journal: {folder}"))


@command.command(cls=SectionedCommand)
@click.argument("archive_id", metavar="[ID]", required=False)
@catalog_argument
@click.option("--run", "run", metavar="RUN", help="Restore all that this run deleted or overwrote.")
@click.option(
    "--replace",
    is_flag=True,
    help="Put the messages of a deleted session into the one that has its key by now, if that has none.",
)
@connection_options
@_folder_options
@approve_option
@settle_option
@lock_options
@other_account_option
@format_option()
def restore(
    archive_id: str | None,
    catalog: Path,
    run: str | None,
    state_dir: Path | None,
    archive_dir: Path | None,
    **flags: Any,
) -> int:
    """Restore an archived session, or all of a run. ID and RUN may be abbreviated to their first characters.

    A deleted session is created again under a new id, with its remark and with its messages in order. An updated
    session gets its earlier values back. If a restore is interrupted, run it again with the same state folder: it
    resumes where it stopped. It exits with 4 if it did a part of its work.

    `reconciler archive list` shows the IDs, `reconciler history` the runs. With --run, the argument is CATALOG.
    """
    from reconciler.cli.restoring import Restoring, restore_one, restore_run

    if run is not None:
        catalog = _only_catalog(archive_id, catalog)
    elif archive_id is None:
        raise UsageError(
            "what to restore is missing: an ID, or --run=RUN",
            "`reconciler archive list` shows the IDs, `reconciler history` the runs",
        )
    folder = _folder(catalog, state_dir, archive_dir)
    where = {"root": catalog, "state": state_dir or catalog / FOLDER, "archive": folder, "flags": flags}
    how = split({**flags, **where}, Restoring)
    if archive_id is not None and run is None:
        restore_one(archives.find_archived(folder, archive_id), how)
        return ExitCode.OK
    assert run is not None
    from reconciler.apply.restore_run import of_run
    from reconciler.cli.problems import print_problems

    found, problems = archives.read_archive(folder)
    print_problems(problems)
    return restore_run(of_run(found, run), how)


def _only_catalog(word: str | None, catalog: Path) -> Path:
    """The catalog's folder where --run stands in the place of an id.

    Raises:
        UsageError: there is an id, too.
    """
    if word is None:
        return catalog
    given = click.get_current_context().get_parameter_source("catalog") is ParameterSource.COMMANDLINE
    if given or not Path(word).is_dir():
        raise UsageError(
            "give an ID or --run=RUN, not both", "with --run, the only argument is the catalog's folder"
        )
    return chosen_folder(Path(word)) or catalog


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
    """Delete old archived sessions from this machine permanently.

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
        approve(f"Delete {len(old)} of {len(found)} archived sessions{files} permanently?")
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
