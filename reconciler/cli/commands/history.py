"""``reconciler history``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from reconciler.apply import journal as journals
from reconciler.cli.options import catalog_argument, state_option
from reconciler.cli.output import format_option
from reconciler.ownership.account import account_from_json
from reconciler.state import FOLDER
from reconciler.text.escape import terminal

#: The events of the journal that do not say how a write ended.
_NO_RESULT = ("start", "intent", "listed", "canary", "end")


@click.command()
@catalog_argument
@state_option
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many runs to show.")
@format_option()
def command(catalog: Path, state_dir: Path | None, limit: int, form: str) -> None:
    """Show the runs that applied or restored something from this machine, newest first, from the journal."""
    entries = journals.read_journal((state_dir or catalog / FOLDER) / journals.FILE)
    runs: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        runs.setdefault(str(entry.get("run")), []).append(entry)
    newest = list(runs.values())[::-1][:limit]
    if form == "json":
        click.echo(json.dumps(newest, indent=2))
        return
    for run in newest:
        click.echo("\n".join(_lines(run)))
    if not newest:
        click.echo("Nothing was applied from this machine yet.")


def _lines(run: list[dict[str, Any]]) -> list[str]:
    starts = [entry for entry in run if entry.get("event") == "start"]
    ends = [entry for entry in run if entry.get("event") == "end"]
    start = starts[0] if starts else run[0]
    # A run that restores several sessions begins and ends with each.
    end = ends[-1] if len(ends) >= len(starts) and ends else None
    environment = f"@{start['environment']}" if start.get("environment") else ""
    who = start.get("job") or start.get("user") or "unknown"
    commit = f", commit {str(start['commit'])[:12]}" if start.get("commit") else ""
    if start.get("dirty") is True:
        commit += f" with uncommitted changes{'' if commit else ' in git'}"
    where = f"{start.get('catalog')}{environment} to {start.get('endpoint')}"
    account = account_from_json((end or {}).get("account")) or account_from_json(start.get("account"))
    if account is not None and account.numbers:
        where += f", {account}"
    restored = {str(entry.get("restores")) for entry in starts if entry.get("restores")}
    if restored:
        where += f", restoring {restored.pop() if len(restored) == 1 else f'{len(restored)} sessions'}"
    watcher = f", a watcher in the mode {start['mode']}" if start.get("mode") else ""
    lines = [terminal(f"{start.get('at')}  run {start.get('run')}  {where}, by {who}{watcher}{commit}")]
    ended = {_one(entry): entry for entry in run if entry.get("event") not in _NO_RESULT}
    for entry in run:
        if entry.get("event") == "canary":
            label = f"{entry.get('key')} #{entry.get('session_id')}"
            lines.append(terminal(f"    tried first, {entry.get('tried')} {label}: {entry.get('outcome')}"))
        if entry.get("event") != "intent":
            continue
        result = ended.get(_one(entry))
        outcome = result.get("event") if result else "UNKNOWN: no answer on record"
        number = entry.get("session_id") or (result or {}).get("session_id")
        label = f"{entry.get('key')} #{number}" if number else f"{entry.get('key')}"
        lines.append(terminal(f"    {entry.get('action')} {label}: {outcome}"))
    if end is None:
        lines.append("    (killed, or still running: no end on record)")
    else:
        said = {str(entry.get("verification")) for entry in ends}
        lines.append(terminal(f"    {said.pop() if len(said) == 1 else 'failed in part'}"))
    return lines


def _one(entry: Mapping[str, Any]) -> tuple[str, ...]:
    number = entry.get("session_id") if entry.get("action") != "create" else None
    return str(entry.get("action")), str(entry.get("key")), str(number)
