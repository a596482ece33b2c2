"""The doctor's report as text, from its public form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.doctor.learned import not_tried
from reconciler.text.escape import terminal
from reconciler.text.printable_json import json_text

_LONGEST = 400  # characters of what was seen


def render_doctor(document: Mapping[str, Any], form: str) -> str:
    """The report in one of its forms, ``text`` or ``json``, with a line end."""
    if form == "json":
        return json_text(document)
    return render_checks(document["checks"]) + render_end(document)


def render_checks(checks: Sequence[Mapping[str, Any]], after: str | None = None) -> str:
    """The lines of some checks, part by part; ``after`` is the part that the line above them belongs to."""
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
    """What stands below the checks: what is left over, the sums, and what was written where."""
    lines = [render_leftover(one) for one in document["leftovers"]]
    if lines:
        them = "it" if len(lines) == 1 else "them"
        lines.append(f"reconciler doctor --auto-approve removes {them}, and nothing else.")
    summary = document["summary"]
    lines += ["", f"{summary['ok']} ok, {summary['differs']} differ, {summary['unknown']} unknown."]
    if document["written"]:
        left = " and ".join(not_tried(document["learned"]))
        what = f"What looking can tell, {left} not tried," if left else "What was learned"
        lines.append(terminal(f"{what} is in {document['written']}: commands take it with --contract."))
    if document["recorded"]:
        lines.append(terminal(f"The calls are recorded in {document['recorded']}."))
    return "".join(f"{line}\n" for line in lines)


def render_leftover(one: Mapping[str, Any]) -> str:
    """One session that a killed probe left."""
    made = f", made {one['created_at']}" if one["created_at"] else ""
    return terminal(f"Left over from a killed probe: #{one['session_id']}, {one['name']!r}{made}")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
