"""A plan as job annotations: workflow commands for GitHub's runner, which shows them beside the job.

The runner keeps ten annotations of each level per step and only counts the rest, so there is one annotation per kind
of message, not one per session. Source of that limit and of the syntax of commands: the runner's source
(https://github.com/actions/runner, ExecutionContext.cs and ActionCommand.cs).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reconciler.render.options import RenderOptions
from reconciler.render.tests import headline
from reconciler.render.view import Action, about_drift, count, left_alone, nothing, reason, title, totals
from reconciler.text.escape import visible, workflow_data, workflow_property

#: The runner's bound on annotations of one level.
ANNOTATIONS = 10
#: Characters of one message, and of one item in it. Nobody reads more.
MESSAGE = 4_000
ITEM = 300


def render_plan_github(document: Mapping[str, Any], options: RenderOptions) -> str:
    """``::error``, ``::warning`` and ``::notice`` lines: refusals, deletes, conflicts, drift, notes, totals."""
    return "".join(f"{line}\n" for line in _annotations(document))


def _annotations(document: Mapping[str, Any]) -> Iterator[str]:
    refusals = document["refusals"]
    alone = len(refusals) if len(refusals) <= ANNOTATIONS else ANNOTATIONS - 1
    for refusal in refusals[:alone]:
        message = f"{_cut(refusal['message'])}\nTo allow it: {_cut(refusal['allow'])}"
        yield _command("error", f"Plan refused: {refusal['guard']}", message)
    if refusals[alone:]:
        items = (f"{r['guard']}: {r['message']}" for r in refusals[alone:])
        yield _command("error", f"Plan refused by {len(refusals) - alone} more guards", _list(items))

    regressed = [one for one in document.get("tests", ()) if one["result"] == "regressed"]
    if regressed:
        items = (f"{one['key']}: {one['test']}: {headline(one)}" for one in regressed)
        yield _command("warning", f"{count(len(regressed), 'test')} regressed", _list(items))
    actions = document["actions"]
    deletes = [a for a in actions if a["action"] == "delete"]
    if deletes:
        items = (f"{_who(a)}: {reason(a)}" for a in deletes)
        yield _command("warning", f"{count(len(deletes), 'session')} to delete", _list(items))
    for cause, words in (("conflict", "changed in git and outside of it"), ("drift", "changed outside git")):
        touched = [
            (a, paths)
            for a in actions
            if (paths := [f["path"] for f in a["fields"] if f.get("cause") == cause])
        ]
        if touched:
            items = (f"{_who(a)}: {', '.join(paths)}" for a, paths in touched)
            yield _command("warning", f"{count(len(touched), 'session')} {words}", _list(items))
    whole = [a for a in actions if "outside" in a and a["action"] != "delete"]
    if whole:
        items = (f"{_who(a)}: {a['reason']}" for a in whole)
        yield _command(
            "warning", f"{count(len(whole), 'session')} changed outside git as a whole", _list(items)
        )
    # That calls are not proven is no warning about this change; the comment and the page have the note, too.
    notes = [note for note in document["notes"] if note["kind"] != "canary"]
    if notes:
        items = (f"{_note_place(n)}{n['message']}" for n in notes)
        yield _command("warning", count(len(notes), "note"), _list(items))

    catalog, environment, _ = title(document)
    summary = document["summary"]
    message = f"{totals(document)}." if actions else " ".join(nothing(document))
    left = left_alone(summary)
    if left:
        message += f"\nLeft alone: {left}."
    what = "Drift in" if about_drift(document) else "Plan for"
    yield _command("notice", f"{what} {catalog}" + (f" ({environment})" if environment else ""), message)


def _command(level: str, heading: str, message: str) -> str:
    return f"::{level} title={workflow_property(_cut(heading))}::{workflow_data(message)}"


def _who(action: Action) -> str:
    number = f" #{action['session_id']}" if action["session_id"] is not None else ""
    return f"{action['key']}{number}"


def _note_place(note: Mapping[str, Any]) -> str:
    parts = [str(note["key"])] if note.get("key") else []
    if note.get("session_id") is not None:
        parts.append(f"#{note['session_id']}")
    return f"{' '.join(parts)}: " if parts else ""


def _cut(text: str) -> str:
    """An item on one line, with its own line ends escaped."""
    shown = visible(str(text)[:ITEM])
    return shown if len(str(text)) <= ITEM else f"{shown}…"


def _list(items: Iterable[str]) -> str:
    """One item per line, as many as fit into a message, and how many do not."""
    lines: list[str] = []
    used = left = 0
    for item in items:
        line = _cut(item)
        used += len(line) + 1
        if used > MESSAGE:
            left += 1
        else:
            lines.append(line)
    if left:
        lines.append(f"… and {left:,} more")
    return "\n".join(lines)
