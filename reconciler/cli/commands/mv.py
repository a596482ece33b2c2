"""``reconciler mv``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from reconciler.cli.connect import Connection
from reconciler.cli.keys import did_you_mean, live_keys
from reconciler.cli.options import (
    CatalogFlags,
    PolicyFlags,
    catalog_option,
    catalog_options,
    change_limits,
    conflict_option,
    connection_options,
    split,
    state_option,
)
from reconciler.cli.run_plan import Job, Writing, run_plan, writing_options
from reconciler.cli.sections import SectionedCommand
from reconciler.domain import Catalog, Snapshot
from reconciler.errors import ExitCode, ReconcilerError, Refused, UsageError
from reconciler.ownership.key import KEY_RULE, parse_identity
from reconciler.ownership.tag import Identity
from reconciler.plan.keep import keep_for_catalog
from reconciler.plan.types import Plan, Selection
from reconciler.state import FOLDER


@click.command(cls=SectionedCommand)
@click.argument("old")
@click.argument("new")
@catalog_option
@catalog_options
@connection_options
@change_limits
@conflict_option
@state_option
@writing_options
def command(old: str, new: str, catalog: Path, state_dir: Path | None, **flags: Any) -> int:
    """Change a live session's key. It keeps its id and its messages.

    OLD and NEW are keys of this catalog. To move a session to or from another catalog or environment, write that side
    as CATALOG/KEY or CATALOG@ENVIRONMENT/KEY. To have it reviewed in git, write `moved: [{from: OLD, to: NEW}]` in
    the catalog instead. The guards of `policy` apply.
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
    moving = _moving(loaded, source, target)
    policy = split(flags, PolicyFlags)

    def plan(snapshot: Snapshot) -> Plan:
        part = policy.plan(moving, snapshot, Selection("move", frozenset({target.key})), state=state)
        if not part.actions and not part.refusals:
            raise _not_live(source, loaded, snapshot)
        return part

    state = state_dir or catalog / FOLDER
    keep = keep_for_catalog(moving)
    job = Job(loaded.name, loaded.environment, loaded.policy, plan, keep=keep)
    code = run_plan(
        job,
        split(flags, Writing),
        split(flags, Connection),
        root=catalog,
        state=state,
    )
    if code == ExitCode.OK and _ours(source, loaded) and source.key in loaded.sessions:
        click.echo(
            f"Still in the catalog: {source.key}. Rename it there too, before the next apply.", err=True
        )
    return code


def _identity(text: str, catalog: Catalog) -> Identity:
    identity = parse_identity(text, catalog.name, catalog.environment)
    if identity is None:
        raise UsageError(
            f"{text!r} is not a valid key",
            "write KEY, CATALOG/KEY or CATALOG@ENVIRONMENT/KEY; in each, " + KEY_RULE,
        )
    return identity


def _not_live(source: Identity, catalog: Catalog, snapshot: Snapshot) -> ReconcilerError:
    """The error for a session that is not live: a refusal where the catalog has it, else a usage error."""
    live = live_keys(snapshot, source.catalog, source.environment)
    hint = "reconciler plan shows what is live"
    if source.key in live or (_ours(source, catalog) and source.key in catalog.sessions):
        return Refused(f"no live session is {source}", hint)
    return UsageError(f"no live session is {source}", did_you_mean(source.key, live, hint))


def _ours(identity: Identity, catalog: Catalog) -> bool:
    return identity == catalog.identity(identity.key)


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
    return dataclasses.replace(catalog, sessions=sessions, moved={target.key: source})
