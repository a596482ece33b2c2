"""The doctor's report as text, from its public document (``schemas/doctor.schema.json``) and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.text.escape import terminal
from reconciler.text.printable_json import json_text

_LONGEST = 400  # characters shown of what was seen


def render_doctor(document: Mapping[str, Any], form: str) -> str:
    """The report in one of its forms, ``text`` or ``json``, ending in a newline."""
    if form == "json":
        return json_text(document)
    return render_checks(document["checks"]) + render_end(document)


def render_checks(checks: Sequence[Mapping[str, Any]], after: str | None = None) -> str:
    """The lines of some checks, part by part. ``after`` is the part of the line above them."""
    lines: list[str] = []
    part = after
    for check in checks:
        if check["part"] != part:
            lines += [check["part"]] if part is None else ["", check["part"]]
            part = check["part"]
        lines.append(terminal(f"  {check['verdict']:<7}  {check['name']}: {_short(check['seen'])}"))
        if check["follows"]:
            lines.append(terminal(f"           → {check['follows']}"))
    return "".join(f"{line}\n" for line in lines)


def render_end(document: Mapping[str, Any]) -> str:
    """What follows the checks: leftovers, totals, and which files were written."""
    lines = [render_leftover(one) for one in document["leftovers"]]
    if lines and not document["removal_failed"]:
        them = "it" if len(lines) == 1 else "them"
        lines.append(f"`reconciler doctor --auto-approve` removes {them}, and nothing else.")
    summary = document["summary"]
    lines += ["", f"{summary['ok']} ok, {summary['differs']} differ, {summary['unknown']} unknown."]
    if document["written"]:
        untried = " and ".join(document["not_tried"])
        partial = document["learned"]["learned"].get("partial")
        what = f"What was learned without a probe, {untried} not tried," if untried else "What was learned"
        lines.append(terminal(f"{what} is in {document['written']}: commands read it with --contract."))
        if partial:
            lines.append(terminal(f"Not learned: {', '.join(partial)}."))
    if document["recorded"]:
        lines.append(terminal(f"The calls are recorded in {document['recorded']}."))
    return "".join(f"{line}\n" for line in lines)


def render_leftover(one: Mapping[str, Any]) -> str:
    """One session that an earlier probe left behind."""
    made = f", created {one['created_at']}" if one["created_at"] else ""
    return terminal(f"Left over from an earlier probe: #{one['session_id']}, {one['name']!r}{made}")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
