"""``reconciler adopt``."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from reconciler.cli.connect import Connection, connection_for
from reconciler.cli.keys import did_you_mean
from reconciler.cli.options import (
    CatalogFlags,
    PolicyFlags,
    canary_option,
    catalog_flag,
    catalog_options,
    change_limits,
    connection_options,
    last_is_folder,
    split,
    state_option,
)
from reconciler.cli.problems import print_problems
from reconciler.cli.run_plan import run_part, writing_options
from reconciler.cli.sections import SectionedCommand
from reconciler.domain import Catalog, Snapshot
from reconciler.errors import ExitCode, Problem, Refused, UsageError
from reconciler.ownership.reserved import reserved_kind
from reconciler.plan.keep import keep_for_catalog
from reconciler.plan.types import Plan, Selection
from reconciler.state import FOLDER
from reconciler.text.paste import command as paste


@click.command(cls=SectionedCommand)
@click.argument("words", metavar="[KEY=SESSION_ID]... [CATALOG]", nargs=-1)
@click.option(
    "--match",
    type=click.Choice(["name"]),
    help="Adopt every unmanaged session that has the name of a key's session, white space at the ends aside.",
)
@click.option(
    "--all-or-nothing",
    is_flag=True,
    help="With --match: adopt nothing where a name is ambiguous, instead of those sessions whose names are not.",
)
@click.option(
    "--tidy",
    is_flag=True,
    help="Remove the adopt lines that are done from the catalog's files. Writes nothing to the service.",
)
@catalog_flag
@catalog_options
@connection_options
@change_limits
@canary_option
@state_option
@writing_options
def command(
    words: tuple[str, ...],
    match: str | None,
    all_or_nothing: bool,
    tidy: bool,
    state_dir: Path | None,
    **flags: Any,
) -> int:
    """Start managing live sessions, with their messages.

    A session keeps its id and its messages, and is changed to match KEY in the catalog; the plan shows which fields
    change. Its remark is remembered, and `reconciler forget` restores it. To have the adoption reviewed in git, write
    `adopt: SESSION_ID` in the session's manifest instead. The guards of `policy` apply.
    """
    pairs, catalog = last_is_folder(words, lambda word: "=" in word)
    if tidy:
        if pairs or match:
            raise UsageError("--tidy adopts nothing", "give it alone")
        return _tidy(
            catalog,
            split(flags, CatalogFlags),
            connection_for(flags, catalog, flags["env"]),
            state_dir or catalog / FOLDER,
        )
    if all_or_nothing and not match and _typed("all_or_nothing"):
        raise UsageError(
            "--all-or-nothing has no effect without --match", "leave it out: pairs are never in doubt"
        )
    if bool(pairs) == bool(match):
        raise UsageError("no sessions to adopt were named: give KEY=SESSION_ID, or --match=name")
    loaded = split(flags, CatalogFlags).load(catalog)
    wanted = _pairs(pairs, loaded)
    policy = split(flags, PolicyFlags)

    unclear: list[Problem] = []

    def plan(snapshot: Snapshot) -> Plan:
        adopt = wanted
        if match:
            adopt, unclear[:] = _by_name(loaded, snapshot)
            _tell_unclear(adopt, unclear, all_or_nothing=all_or_nothing)
        adopting = dataclasses.replace(loaded, adopt=adopt)
        part = policy.plan(adopting, snapshot, Selection("adopt", frozenset(adopt)), state=state)
        if not match:
            _insist(loaded, part, wanted, snapshot)
        return part

    state = state_dir or catalog / FOLDER
    keep = keep_for_catalog(dataclasses.replace(loaded, adopt=wanted), whole_names=bool(match))
    code = run_part(loaded, plan, keep, flags, root=catalog, state=state)
    return ExitCode.PARTIAL if unclear and code == ExitCode.OK else code


def _typed(flag: str) -> bool:
    return click.get_current_context().get_parameter_source(flag) is ParameterSource.COMMANDLINE


def _tell_unclear(adopt: dict[str, int], unclear: list[Problem], *, all_or_nothing: bool) -> None:
    """Say which names are ambiguous.

    Raises:
        Refused: nothing is adopted for it.
    """
    if unclear and (all_or_nothing or not adopt):
        raise Refused([*unclear, Problem("nothing was adopted")])
    print_problems(unclear)


def _tidy(folder: Path, which: CatalogFlags, connection: Connection, state: Path) -> int:
    """Remove the adopt lines that are done, and name those whose session is gone."""
    from reconciler.apply.journal_facts import journal_facts
    from reconciler.catalog.load import load
    from reconciler.catalog.tidy import remove_adopt_lines
    from reconciler.cli.live import live_or_against
    from reconciler.plan.adoptions import done_adoptions, gone_adoptions
    from reconciler.plan.placing import place

    loaded = load(folder, which.env, dict(which.var))
    catalog = loaded.catalog
    snapshot = live_or_against(None, connection, state, keep_for_catalog(catalog))
    places = place(catalog, snapshot, journal_facts(catalog, state).written(snapshot.endpoint))
    for note in gone_adoptions(catalog, places.held, places.live):
        click.echo(f"left in place: {note.key} {note.message}", err=True)
    done = done_adoptions(catalog, places.held)
    if not done:
        click.echo("No adopt line is done.")
        return ExitCode.OK
    for file in remove_adopt_lines(folder, loaded, done):
        click.echo(f"changed {file}")
    return ExitCode.OK


def _pairs(pairs: tuple[str, ...], catalog: Catalog) -> dict[str, int]:
    wanted: dict[str, int] = {}
    for pair in pairs:
        key, equals, number = pair.partition("=")
        number = number.removeprefix("#")
        if not equals or not number.isdecimal():
            raise UsageError(f"{pair!r} is not of the form KEY=SESSION_ID", "for example: alice=17")
        if key not in catalog.sessions:
            first = "add it to a manifest first: the adopted session is changed to match it"
            raise UsageError(f"the catalog has no session {key}", did_you_mean(key, catalog.sessions, first))
        if key in wanted or int(number) in wanted.values():
            raise UsageError(f"{pair}: this key or session is named twice")
        wanted[key] = int(number)
    return wanted


def _by_name(catalog: Catalog, snapshot: Snapshot) -> tuple[dict[str, int], list[Problem]]:
    """Which key adopts which session, by name, without white space at its ends; and the ambiguous names."""
    ours = {
        tag.identity.key
        for live in snapshot
        if (tag := live.own_tag) and tag.identity == catalog.identity(tag.identity.key)
    }
    keys: dict[str, list[str]] = defaultdict(list)
    for key, session in catalog.sessions.items():
        if key not in ours:
            keys[session.name.strip()].append(key)
    ids: dict[str, list[int]] = defaultdict(list)
    for live in snapshot:
        if live.remark.tag is None and not live.remark.unreadable and reserved_kind(live) is None:
            ids[live.name.strip()].append(live.session_id)
    adopt: dict[str, int] = {}
    problems = []
    for name, wanted in keys.items():
        found = ids.get(name, [])
        if len(found) == 1 and len(wanted) == 1:
            adopt[wanted[0]] = found[0]
        elif found:
            who = ", ".join(wanted)
            which = ", ".join(f"#{one}" for one in found)
            first = paste("adopt", f"{wanted[0]}={found[0]}", environment=catalog.environment)
            problems.append(
                Problem(
                    f"not adopted, since the name {name!r} is ambiguous: keys {who}; sessions {which}",
                    f"name the pair that you mean: {first}",
                )
            )
    return adopt, problems


def _insist(catalog: Catalog, plan: Plan, wanted: dict[str, int], snapshot: Snapshot) -> None:
    """Refuse where a session that was named is not in the plan, and say why."""
    missing = wanted.keys() - {action.key for action in plan.actions}
    if missing and not plan.refusals:
        key = min(missing)
        if all(live.session_id != wanted[key] for live in snapshot):
            raise Refused(
                f"{key} can't adopt #{wanted[key]}: there is no such session",
                "check the number, and --endpoint",
            )
        raise Refused(
            f"{key} can't adopt #{wanted[key]}: {key} is already live, or #{wanted[key]} is already managed",
            f"{paste('list', environment=catalog.environment)} shows what is live",
        )
