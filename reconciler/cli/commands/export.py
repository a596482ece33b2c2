"""``reconciler export``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from reconciler.api.endpoint import KEY_VARIABLE, LOCAL, endpoint_name
from reconciler.cli.approve import choose
from reconciler.cli.connect import Connection, connection_for
from reconciler.cli.live import live_or_against
from reconciler.cli.options import (
    CatalogFlags,
    catalog_options,
    connection_options,
    new_catalog_argument,
    state_option,
)
from reconciler.cli.sections import SectionedCommand
from reconciler.domain import Catalog
from reconciler.errors import ExitCode, ReconcilerError, UsageError
from reconciler.ownership.catalog_id import new_catalog_id
from reconciler.state import FOLDER

if TYPE_CHECKING:
    from reconciler.export import Layout, Only, Selection

#: The end of a chat call's path, which promptfoo appends itself.
_CHAT: Final = "/chat/completions"


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
@catalog_options
@click.option(
    "--layout",
    type=click.Choice(["per-session", "one"]),
    default="per-session",
    show_default=True,
    help="Write one manifest per session, or one for all.",
)
@click.option("--prompt-files", is_flag=True, help="Write each prompt to its own file.")
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@click.option(
    "--promptfoo",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the prompts and behaviour tests of the catalog in the folder CATALOG to the folder DIR, as a "
    "configuration for promptfoo. Reads no live sessions, and needs no key.",
)
def command(
    folder: Path,
    state_dir: Path | None,
    only: Only,
    name: str | None,
    env: str | None,
    var: tuple[tuple[str, str], ...],
    layout: Layout,
    prompt_files: bool,
    force: bool,
    promptfoo: Path | None,
    **flags: Any,
) -> int:
    """Write the live sessions as a catalog into the folder CATALOG. Writes nothing to the service.

    Unmanaged sessions get keys made from their names, and an `adopt` line, so that a plan of the exported catalog
    shows their adoption and no other change. Managed sessions keep their keys. Exits with 4 when some sessions can't
    be represented in a catalog and are left out.

    With --promptfoo, it goes the other way round: CATALOG is a catalog that exists, and its tests are written to DIR.
    """
    if promptfoo is not None:
        _check_flags(_ONLY_LIVE, "--promptfoo exports a catalog, not live sessions")
        return _export_promptfoo(CatalogFlags(env, var).load(folder), folder, promptfoo, flags, force=force)
    _check_flags({"var": "--var"}, "live sessions have no variables")
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


#: The flags that are about live sessions only.
_ONLY_LIVE: Final = {
    "only": "--only",
    "name": "--catalog-name",
    "layout": "--layout",
    "prompt_files": "--prompt-files",
}


def _check_flags(names: Mapping[str, str], why: str) -> None:
    """Check that none of these flags is typed, since they would have no effect.

    Raises:
        UsageError: one is.
    """
    context = click.get_current_context()
    for name, flag in names.items():
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise UsageError(f"{flag} has no effect here: {why}", f"leave out {flag}")


def _export_promptfoo(
    catalog: Catalog, folder: Path, target: Path, flags: Mapping[str, Any], *, force: bool
) -> int:
    from reconciler.catalog.replace import replaced
    from reconciler.export import check_folder
    from reconciler.promptfoo import CONFIG, compose_promptfoo
    from reconciler.text.escape import terminal

    if not catalog.tests:
        raise ReconcilerError("the catalog has no tests", "write some below `tests:` of a session")
    connection = connection_for(flags, folder, catalog.environment, talks=False)
    composed = compose_promptfoo(catalog, address=_chat_address(connection), key_variable=KEY_VARIABLE)
    check_folder(target, list(composed.files), force=force)
    with replaced(target, {name: text.encode() for name, text in composed.files.items()}):
        pass
    for note in composed.notes:
        click.echo(terminal(note), err=True)
    tests = f"{composed.tests} test{'' if composed.tests == 1 else 's'}"
    sessions = f"{composed.sessions} session{'' if composed.sessions == 1 else 's'}"
    click.echo(
        terminal(f"{catalog.name}: {tests} of {sessions} exported: promptfoo eval -c {target / CONFIG}")
    )
    return ExitCode.PARTIAL if composed.left_out else ExitCode.OK


def _chat_address(connection: Connection) -> str:
    """The address of the chat API, as promptfoo wants it.

    Raises:
        UsageError: the embedded server is named, which runs only as long as a command.
        ReconcilerError: the contract describes no chat call, or one at another path.
    """
    address = endpoint_name(connection.endpoint)
    if address == LOCAL:
        hint = "start `reconciler server`, and give its address as --endpoint"
        raise UsageError("--endpoint=local runs only as long as a command, and promptfoo runs later", hint)
    contract = connection.read_contract()
    path = contract.operations["chat"].path if "chat" in contract.operations else ""
    if not path.endswith(_CHAT):
        raise ReconcilerError(
            f"the contract {contract.name!r} has no chat call that promptfoo can make",
            f"describe `chat` in the contract file, with a path that ends with {_CHAT}",
        )
    return address + path.removesuffix(_CHAT)


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
