"""``reconciler export``."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.approve import choose
from reconciler.cli.connect import connection_for
from reconciler.cli.live import live_or_against
from reconciler.cli.options import connection_options, environment_option, new_catalog_argument, state_option
from reconciler.cli.sections import SectionedCommand
from reconciler.errors import ExitCode, UsageError
from reconciler.ownership.catalog_id import new_catalog_id
from reconciler.state import FOLDER

if TYPE_CHECKING:
    from reconciler.export import Layout, Only, Selection


@click.command(cls=SectionedCommand)
@new_catalog_argument
@connection_options
@state_option
@click.option(
    "--only",
    type=click.Choice(["managed", "unmanaged", "all"]),
    default="all",
    show_default=True,
    envvar="RECONCILER_EXPORT_ONLY",
    show_envvar=True,
    help="Export managed sessions, unmanaged ones, or both. Sessions of other catalogs are never exported.",
)
@click.option(
    "--catalog-name",
    "name",
    metavar="NAME",
    help="The catalog's name. Default: the name of the only live catalog, else the folder's.",
)
@environment_option
@click.option(
    "--layout",
    type=click.Choice(["per-session", "one"]),
    default="per-session",
    show_default=True,
    help="Write one manifest per session, or one for all.",
)
@click.option("--prompt-files", is_flag=True, help="Write each prompt to its own file.")
@click.option("--force", is_flag=True, help="Overwrite existing files.")
def command(
    folder: Path,
    state_dir: Path | None,
    only: Only,
    name: str | None,
    env: str | None,
    layout: Layout,
    prompt_files: bool,
    force: bool,
    **flags: Any,
) -> int:
    """Write the live sessions as a catalog into the folder CATALOG. Writes nothing to the service.

    Unmanaged sessions get keys made from their names, and an `adopt` line, so that a plan of the exported catalog
    shows their adoption and no other change. Managed sessions keep their keys. Exits with 4 when some sessions can't
    be represented in a catalog and are left out.
    """
    from reconciler.export import (
        check_folder,
        compose_catalog,
        live_environments,
        select_sessions,
        write_catalog,
    )
    from reconciler.render.problems import format_problem

    check_folder(folder, force=force)
    snapshot = live_or_against(None, connection_for(flags, folder, env), state_dir or folder / FOLDER)
    if env is None and (live := live_environments(snapshot, only, name)):
        env = _choose(live)
    selection = select_sessions(
        snapshot, only=only, catalog=name, environment=env, folder=folder.resolve().name
    )
    for note in (*selection.left_out, *selection.notes):
        click.echo(format_problem(note), err=True)
    if selection.sessions:
        if selection.catalog_id is None:
            selection = replace(selection, catalog_id=new_catalog_id())
        files = compose_catalog(selection, layout=layout, prompt_files=prompt_files)
        write_catalog(folder, selection, files, force=force)
    click.echo(_summary(selection, folder))
    return ExitCode.PARTIAL if selection.left_out else ExitCode.OK


def _choose(names: list[str]) -> str:
    """Ask which environment is meant.

    Raises:
        UsageError: there is nobody to ask.
    """
    from reconciler.catalog.environments import choices

    if not sys.stdin.isatty():
        one = len(names) == 1
        which = f"the environment {names[0]}" if one else f"the environments {', '.join(names)}"
        raise UsageError(f"the sessions are live in {which}, and none was chosen", choices(names))
    return choose("Export which environment?", names)


def _summary(selection: Selection, folder: Path) -> str:
    from reconciler.text.escape import terminal

    count = len(selection.sessions)
    if not count:
        return "There is nothing to export."
    adopted = sum(one.adopt for one in selection.sessions)
    text = f"{selection.catalog}: {count} session{'' if count == 1 else 's'} exported to {folder}"
    if adopted:
        text += f", {adopted} of them to adopt"
    return terminal(f"{text}.")
