"""``reconciler test``."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler import __version__
from reconciler.catalog.documents import CATALOG_FILE
from reconciler.cli.connect import Connection, connect, connection_for
from reconciler.cli.keys import did_you_mean
from reconciler.cli.live import live_or_against
from reconciler.cli.options import (
    CatalogFlags,
    catalog_flag,
    catalog_options,
    connection_options,
    last_is_folder,
    split,
    state_option,
)
from reconciler.cli.output import detail_options, format_option, no_color_option, render_options
from reconciler.cli.sections import SectionedCommand
from reconciler.cli.testing import Where, record_option, run_tests, tests_options
from reconciler.domain import Catalog
from reconciler.errors import ExitCode, UsageError
from reconciler.ownership.key import is_key
from reconciler.state import FOLDER

if TYPE_CHECKING:
    from reconciler.behaviour.results import Tested
    from reconciler.trials.questions import Trial


@click.command(cls=SectionedCommand)
@click.argument("words", metavar="[KEY]... [CATALOG]", nargs=-1)
@catalog_flag
@catalog_options
@connection_options
@state_option
@click.option(
    "--changed/--all",
    default=None,
    help="Test what the plan changes, each session with its live prompt and with the new one; or every session with "
    "what the catalog wants. Default: --changed in CI, else --all.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Compare with a snapshot file (`reconciler snapshot FILE` makes one) instead of the live list. Needs no key.",
)
@tests_options
@record_option
@format_option("text", "json", "junit", "markdown")
@detail_options
@no_color_option
def command(
    words: tuple[str, ...],
    state_dir: Path | None,
    changed: bool | None,
    against: Path | None,
    form: str,
    detail: Any,
    no_color: bool,
    **flags: Any,
) -> int:
    """Ask the personas what their tests say, and check the answers.

    Tests stand in the catalog, below `tests:` of a session or a template, or in tests/*.yaml. Without KEYs, all
    sessions are tested. An answer is kept in the state folder, and is asked for again when the model, the prompt, the
    parameters or the question change.

    Exits with 5 if a test fails, and with 1 if one could not be run.
    """
    keys, folder = last_is_folder(
        words, lambda word: is_key(word) and not (Path(word) / CATALOG_FILE).exists()
    )
    catalog = split(flags, CatalogFlags).load(folder)
    state = state_dir or folder / FOLDER
    connection = connection_for(flags, folder, catalog.environment)
    chosen = _chosen(catalog, keys)
    if changed is None:
        changed = bool(os.environ.get("CI")) or against is not None
    if against is not None and not changed:
        raise UsageError("--against is for --changed", "leave out --all, or --against")
    trials = _trials(catalog, chosen, connection, state, against) if changed else _all(catalog, chosen)
    results, interrupted = run_tests(trials, flags, Where(connection, state))
    code = interrupted or _exit_code(results)
    _show(catalog, results, form, detail, no_color=no_color, code=code)
    if not results:
        click.echo(_nothing(catalog, changed=changed), err=True)
    return code


def _chosen(catalog: Catalog, keys: Sequence[str]) -> frozenset[str] | None:
    """The keys to test; None for all.

    Raises:
        UsageError: the catalog has no such session, or it has no tests.
    """
    for key in keys:
        if key not in catalog.sessions:
            raise UsageError(
                f"the catalog has no session `{key}`",
                did_you_mean(key, catalog.sessions, "`reconciler list` shows the keys"),
            )
        if key not in catalog.tests:
            raise UsageError(f"the session `{key}` has no tests", "write some below its `tests:`")
    return frozenset(keys) or None


def _all(catalog: Catalog, keys: Collection[str] | None) -> list[Trial]:
    from reconciler.trials.select import all_trials

    return all_trials(catalog, keys)


def _trials(
    catalog: Catalog, keys: Collection[str] | None, connection: Connection, state: Path, against: Path | None
) -> list[Trial]:
    """The tests of what the plan changes."""
    from reconciler.apply.beside import with_messages
    from reconciler.apply.journal_facts import journal_facts
    from reconciler.plan import make_plan
    from reconciler.plan.keep import keep_for_catalog
    from reconciler.trials.select import changed_trials

    facts = journal_facts(catalog, state)
    snapshot = live_or_against(against, connection, state, keep_for_catalog(catalog, ids=facts.ids()))
    written = facts.written(snapshot.endpoint)
    if against is None:
        snapshot = with_messages(
            snapshot, catalog.name, catalog.environment, written, lambda: connect(connection, state)
        )
    return changed_trials(catalog, make_plan(catalog, snapshot, written=written), snapshot, keys)


def _exit_code(results: Sequence[Tested]) -> int:
    if any(not one.after.complete or one.result == "not run" for one in results):
        return ExitCode.ERROR
    return ExitCode.OK if all(one.passes for one in results) else ExitCode.TESTS_FAILED


def _nothing(catalog: Catalog, *, changed: bool) -> str:
    if not catalog.tests:
        return "the catalog has no tests: write some below `tests:` of a session"
    return (
        "the plan changes no answer of a session that has tests; --all tests every one"
        if changed
        else "no tests"
    )


def _show(
    catalog: Catalog, results: Sequence[Tested], form: str, detail: Any, *, no_color: bool, code: int
) -> None:
    from reconciler.behaviour.results import tests_to_document
    from reconciler.render.tests import render_tests_junit, render_tests_markdown, render_tests_text
    from reconciler.text.printable_json import json_text

    document = {
        "format_version": "1.0",
        "reconciler_version": __version__,
        "catalog": catalog.name,
        "environment": catalog.environment,
        "exit_code": int(code),
        "tests": tests_to_document(results),
    }
    if form == "json":
        click.echo(json_text(document), nl=False)
        return
    options = replace(render_options(no_color=no_color), detail=detail)
    render = {"text": render_tests_text, "markdown": render_tests_markdown, "junit": render_tests_junit}[form]
    click.echo(render(document, options), nl=False, color=options.color)
