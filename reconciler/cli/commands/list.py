"""``reconciler list``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import click

from reconciler.cli.connect import connection_for, need_local_data
from reconciler.cli.live import live_or_against
from reconciler.cli.options import (
    catalog_argument,
    connection_options,
    environment_option,
    state_option,
)
from reconciler.cli.output import format_option
from reconciler.cli.sections import SectionedCommand
from reconciler.domain import LiveSession, Others, Snapshot
from reconciler.errors import UsageError
from reconciler.ownership.reserved import reserved_kind
from reconciler.state import FOLDER
from reconciler.text.escape import terminal
from reconciler.text.printable_json import json_text
from reconciler.text.width import cells

#: The owner of a session: this catalog, none, another catalog, unknown because its tag can't be read, or this program
#: itself.
Owner: TypeAlias = Literal["managed", "unmanaged", "foreign", "unreadable", "reserved"]

_HEADINGS: Final = ("ID", "NAME", "OWNER", "MODEL", "UPDATED")
#: A column is at most so many terminal cells wide; a longer value pushes the rest of its row to the right.
_WIDEST: Final = 48


@dataclass(frozen=True, slots=True)
class _Scope:
    """Our catalog and its environments; without a name if there is no catalog."""

    name: str | None
    environments: frozenset[str | None]

    def owner(self, live: LiveSession) -> Owner:
        if reserved_kind(live) is not None:
            return "reserved"
        if live.remark.unreadable:
            return "unreadable"
        if live.remark.tag is None:
            return "unmanaged"
        identity = live.remark.tag.identity
        ours = identity.catalog == self.name and identity.environment in self.environments
        return "managed" if ours else "foreign"


@click.command(cls=SectionedCommand)
@catalog_argument
@environment_option
@connection_options
@click.option("--unmanaged", is_flag=True, help="List sessions that no catalog manages.")
@click.option("--foreign", is_flag=True, help="List sessions of other catalogs.")
@click.option(
    "--name",
    "pattern",
    metavar="PATTERN",
    envvar="RECONCILER_LIST_NAME",
    show_envvar=True,
    help="List sessions with this display name. `*` stands for any characters, `?` for one.",
)
@state_option
@format_option()
def command(
    catalog: Path,
    env: str | None,
    unmanaged: bool,
    foreign: bool,
    pattern: str | None,
    state_dir: Path | None,
    form: str,
    **flags: Any,
) -> None:
    """List the live sessions of the account, and who manages each. Changes nothing.

    OWNER is the key of a session that this catalog manages, CATALOG/KEY or CATALOG@ENVIRONMENT/KEY of any other
    managed one, and `-` where no catalog manages it. Without a catalog.yaml in the folder, all sessions are listed the
    same way. Of the catalog, only catalog.yaml is read. UPDATED is the service's time, which has no zone.
    """
    scope = _scope(catalog, env)
    state = state_dir or catalog / FOLDER
    need_local_data(flags["endpoint"], state, "the list")
    wanted = {name for name, given in (("unmanaged", unmanaged), ("foreign", foreign)) if given}

    def keep(live: LiveSession) -> LiveSession | Others:
        named = pattern is None or fnmatchcase(live.name, pattern)
        return live if named and (not wanted or scope.owner(live) in wanted) else "unmanaged"

    snapshot = live_or_against(None, connection_for(flags, catalog, env), state, keep)
    found = [(live, scope.owner(live)) for live in snapshot]
    if form == "json":
        click.echo(json_text(_document(snapshot, found)), nl=False)
        return
    for line in _table([(str(live.session_id), *_row(live, owner)) for live, owner in found]):
        click.echo(line)
    click.echo(f"{len(found)} of {snapshot.total} session{'' if snapshot.total == 1 else 's'}.", err=True)


def _scope(folder: Path, env: str | None) -> _Scope:
    """What counts as managed. Without --env, every environment that the catalog declares does.

    Raises:
        CatalogError: catalog.yaml exists and can't be used.
        UsageError: an environment was named, and there is no catalog.
    """
    from reconciler.catalog import catalog_name, environments

    if not (folder / "catalog.yaml").exists():
        if env is not None:
            raise UsageError(
                f"there is no catalog.yaml in {folder}", "name the catalog's folder, or drop --env"
            )
        return _Scope(None, frozenset())
    names: list[str | None] = [env] if env else [*environments(folder)] or [None]
    return _Scope(catalog_name(folder, names[0]), frozenset(names))


def _row(live: LiveSession, owner: Owner) -> tuple[str, str, str, str]:
    """Name, owner, model and time, for people."""
    tag = live.remark.tag
    if owner == "reserved":
        held = f"({reserved_kind(live)})"
    elif owner == "unreadable":
        held = "(unreadable tag)"
    elif tag is None:
        held = "-"
    else:
        several = owner == "foreign" or tag.identity.environment is not None
        held = str(tag.identity) if several else tag.identity.key
        if live.is_copy:
            held = f"{held} (copy of #{tag.session_id})"
    return live.name, held, live.model, _time(live, "updated_at") or "-"


def _time(live: LiveSession, name: str) -> str | None:
    """A time of the row as the service wrote it; None if it gave none."""
    found = live.row.get(name)
    return found if isinstance(found, str) and found else None


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    if not rows:
        return
    shown = [_HEADINGS, *(tuple(terminal(cell) for cell in row) for row in rows)]
    widths = [min(_WIDEST, max(map(cells, column))) for column in zip(*shown, strict=True)]
    for row in shown:
        padded = [cell + " " * (width - cells(cell)) for cell, width in zip(row, widths, strict=True)]
        padded[0] = " " * (widths[0] - cells(row[0])) + row[0]  # numbers line up at the right
        yield "  ".join(padded).rstrip()


def _document(snapshot: Snapshot, found: list[tuple[LiveSession, Owner]]) -> Mapping[str, Any]:
    """The list as its schema, `list`, describes it."""
    sessions = []
    for live, owner in found:
        identity = live.remark.tag.identity if live.remark.tag else None
        sessions.append(
            {
                "session_id": live.session_id,
                "name": live.name,
                "model": live.model,
                "owner": owner,
                "catalog": identity and identity.catalog,
                "environment": identity and identity.environment,
                "key": identity and identity.key,
                "created_at": _time(live, "created_at"),
                "updated_at": _time(live, "updated_at"),
            }
        )
    return {
        "format_version": "1.0",
        "endpoint": snapshot.endpoint,
        "total": snapshot.total,
        "sessions": sessions,
    }
