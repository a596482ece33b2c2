"""``reconciler export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.connect import Connection
from reconciler.cli.live import live_or_against
from reconciler.cli.options import connection_options, environment_option, split, state_option
from reconciler.cli.sections import SectionedCommand
from reconciler.errors import ExitCode
from reconciler.state import FOLDER

if TYPE_CHECKING:
    from reconciler.export import Layout, Only, Selection


@click.command(cls=SectionedCommand)
@click.argument(
    "folder", metavar="[DIR]", type=click.Path(path_type=Path, file_okay=False), default=".", required=False
)
@connection_options
@state_option
@click.option(
    "--only",
    type=click.Choice(["managed", "unmanaged", "all"]),
    default="all",
    show_default=True,
    help="The sessions of the catalog, those of none, or both. Those of other catalogs are never exported.",
)
@click.option(
    "--catalog",
    metavar="NAME",
    envvar="RECONCILER_EXPORT_CATALOG",
    show_envvar=True,
    help="The catalog's name. Default: that of the only one that is live, else the folder's.",
)
@environment_option
@click.option(
    "--layout",
    type=click.Choice(["per-session", "one"]),
    default="per-session",
    show_default=True,
    help="A manifest for each session, or one for all.",
)
@click.option("--prompt-files", is_flag=True, help="Put each prompt into a file of its own.")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def command(
    folder: Path,
    state_dir: Path | None,
    only: Only,
    catalog: str | None,
    env: str | None,
    layout: Layout,
    prompt_files: bool,
    force: bool,
    **flags: Any,
) -> int:
    """Write the live sessions as a catalog into the folder DIR.

    Sessions that nobody manages get keys made from their names, and an `adopt` line: a plan of the exported catalog
    shows that they are taken over, and nothing else. Those that are managed keep their keys and need
    nothing. Writes nothing to the service. Exits with 4 when something can't be written to a catalog and is left out.
    """
    from reconciler.export import check_folder, compose_catalog, select_sessions, write_catalog
    from reconciler.render.problems import format_problem

    check_folder(folder, force=force)
    snapshot = live_or_against(None, split(flags, Connection), state_dir or folder / FOLDER)
    selection = select_sessions(
        snapshot, only=only, catalog=catalog, environment=env, folder=folder.resolve().name
    )
    for note in (*selection.left_out, *selection.notes):
        click.echo(format_problem(note), err=True)
    if selection.sessions:
        files = compose_catalog(selection, layout=layout, prompt_files=prompt_files)
        write_catalog(folder, selection, files, force=force)
    click.echo(_summary(selection, folder))
    return ExitCode.PARTIAL if selection.left_out else ExitCode.OK


def _summary(selection: Selection, folder: Path) -> str:
    from reconciler.text.escape import terminal

    count = len(selection.sessions)
    if not count:
        return "There is nothing to export."
    adopted = sum(one.adopt for one in selection.sessions)
    text = f"{selection.catalog}: {count} session{'' if count == 1 else 's'} exported to {folder}"
    if adopted:
        text += f", {adopted} of them to be adopted"
    return terminal(f"{text}.")
