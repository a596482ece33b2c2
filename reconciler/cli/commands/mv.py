"""``reconciler mv``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from reconciler.cli.keys import did_you_mean, live_keys
from reconciler.cli.options import (
    CatalogFlags,
    PolicyFlags,
    canary_option,
    catalog_argument,
    catalog_options,
    change_limits,
    conflict_option,
    connection_options,
    split,
    state_option,
)
from reconciler.cli.run_plan import run_part, writing_options
from reconciler.cli.sections import SectionedCommand
from reconciler.domain import Catalog, Snapshot
from reconciler.errors import ExitCode, ReconcilerError, Refused, UsageError
from reconciler.ownership.key import EVERY_KEY, KEY_RULE, parse_identity
from reconciler.ownership.tag import Identity
from reconciler.plan.keep import keep_for_catalog
from reconciler.plan.types import Plan, Selection
from reconciler.state import FOLDER
from reconciler.text.escape import terminal
from reconciler.text.paste import command as paste

#: How many keys a message names.
_NAMED = 5


@click.command(cls=SectionedCommand)
@click.argument("old")
@click.argument("new")
@catalog_argument
@catalog_options
@connection_options
@change_limits
@canary_option
@conflict_option
@state_option
@writing_options
def command(old: str, new: str, catalog: Path, state_dir: Path | None, **flags: Any) -> int:
    """Change a live session's key. It keeps its id and its messages.

    OLD and NEW are keys of this catalog. To move a session to or from another catalog or environment, write that side
    as CATALOG/KEY or CATALOG@ENVIRONMENT/KEY. With * as the key on both sides, all sessions move and keep their keys:
    reconciler mv 'old/*' '*' after a catalog was renamed. To have it reviewed in git, write
    `moved: [{from: OLD, to: NEW}]` in the catalog instead. The guards of `policy` apply.
    """
    loaded = split(flags, CatalogFlags).load(catalog)
    source, target = _identity(old, loaded), _identity(new, loaded)
    if source == target:
        raise UsageError(f"{old} and {new} are the same")
    if not _ours(source, loaded) and not _ours(target, loaded):
        raise UsageError(
            f"neither {source} nor {target} belongs to this catalog",
            "run it in the catalog that gives the session away, or in the one that receives it",
        )
    every = EVERY_KEY in (source.key, target.key)
    if every and source.key != target.key:
        raise UsageError(
            f"one of {old} and {new} ends in *, and the other does not", "write * on both sides, or keys"
        )
    moving = _moving_all(loaded, source, target) if every else _moving(loaded, source, target)
    policy = split(flags, PolicyFlags)

    def plan(snapshot: Snapshot) -> Plan:
        keys = live_keys(snapshot, source.catalog, source.environment) if every else {target.key}
        part = policy.plan(moving, snapshot, Selection("move", frozenset(keys)), state=state)
        if not part.actions and not part.refusals:
            raise _not_live(source, loaded, snapshot)
        if every:
            _say_what_stays(part, source, keys)
        return part

    state = state_dir or catalog / FOLDER
    keep = keep_for_catalog(moving)
    code = run_part(loaded, plan, keep, flags, root=catalog, state=state)
    if code == ExitCode.OK and _ours(source, loaded):
        if source.key in loaded.sessions:
            click.echo(
                f"Still in the catalog: {source.key}. Rename it there too, before the next apply.", err=True
            )
        elif every and loaded.sessions:
            click.echo(
                f"Still in the catalog: {_sessions(len(loaded.sessions))}. The next apply creates them again: rename "
                "the catalog, or remove them.",
                err=True,
            )
    return code


def _say_what_stays(part: Plan, source: Identity, keys: set[str]) -> None:
    """Name the live sessions that do not move, because the catalog lacks their key."""
    left = sorted(keys - {action.key for action in part.actions})
    if left and not part.refusals:
        named = ", ".join(left[:_NAMED]) + (f" and {len(left) - _NAMED} more" if len(left) > _NAMED else "")
        scope = str(source).removesuffix(f"/{EVERY_KEY}")
        click.echo(f"not in the catalog, so not moved from {terminal(scope)}: {terminal(named)}", err=True)


def _sessions(count: int) -> str:
    return f"{count} session{'' if count == 1 else 's'}"


def _identity(text: str, catalog: Catalog) -> Identity:
    identity = parse_identity(text, catalog.name, catalog.environment)
    if identity is None:
        raise UsageError(
            f"{text!r} is not a valid key",
            "write KEY, CATALOG/KEY or CATALOG@ENVIRONMENT/KEY; in each, " + KEY_RULE,
        )
    return identity


def _not_live(source: Identity, catalog: Catalog, snapshot: Snapshot) -> ReconcilerError:
    """The error for a session that is not live: a refusal if the catalog has it, otherwise a usage error."""
    live = live_keys(snapshot, source.catalog, source.environment)
    if source.key == EVERY_KEY:
        scope = str(source).removesuffix(f"/{EVERY_KEY}")
        if live:
            return Refused(
                f"no live session of {scope} has a key of this catalog", "add the keys to a manifest first"
            )
        return UsageError(f"no session of {scope} is live", "check the name, and --endpoint")
    hint = f"{paste('list', environment=catalog.environment)} shows what is live"
    if source.key in live or (_ours(source, catalog) and source.key in catalog.sessions):
        return Refused(f"no live session is {source}", hint)
    return UsageError(f"no live session is {source}", did_you_mean(source.key, live, hint))


def _ours(identity: Identity, catalog: Catalog) -> bool:
    return identity == catalog.identity(identity.key)


def _moving_all(catalog: Catalog, source: Identity, target: Identity) -> Catalog:
    """The catalog with a move of every session in it."""
    if not _ours(target, catalog):
        return dataclasses.replace(catalog, sessions={}, moved={}, handed_over={EVERY_KEY: target})
    moved = {dataclasses.replace(source, key=key): key for key in catalog.sessions}
    return dataclasses.replace(catalog, moved=moved)


def _moving(catalog: Catalog, source: Identity, target: Identity) -> Catalog:
    """The catalog with this one move in it."""
    sessions = dict(catalog.sessions)
    earlier = sessions.pop(source.key, None) if _ours(source, catalog) else None
    if not _ours(target, catalog):
        return dataclasses.replace(catalog, sessions=sessions, handed_over={source.key: target})
    wanted = sessions.get(target.key) or (earlier and dataclasses.replace(earlier, key=target.key))
    if wanted is None:
        raise UsageError(
            f"the catalog has neither {source.key} nor {target.key}", "add the new key to a manifest first"
        )
    sessions[target.key] = wanted
    return dataclasses.replace(catalog, sessions=sessions, moved={source: target.key})
