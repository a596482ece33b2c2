"""Renders the report of an apply, as text or JSON, from its public JSON form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from reconciler.render.options import RenderOptions
from reconciler.text.escape import terminal

_DID = {
    "create": "created",
    "update": "updated",
    "delete": "deleted",
    "adopt": "adopted",
    "move": "moved",
    "forget": "forgotten",
}
_LISTED = 50  # more applied actions than this are not listed
_SHOWN = 60  # characters of a value


def render_report(document: Mapping[str, Any], form: str, options: RenderOptions) -> str:
    """The report in one of its forms, ``text`` or ``json``, with a line end."""
    if form == "json":
        return json.dumps(document, indent=2) + "\n"
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Mapping[str, Any]) -> list[str]:
    results = document["results"]
    lines = [""] if results else []
    applied = [one for one in results if one["outcome"] == "applied"]
    if len(applied) <= _LISTED:
        lines += [f"  {_DID[one['action']]} {_label(one)}" for one in applied]
    for one in results:
        if one["outcome"] in ("failed", "unknown"):
            lines.append(
                f"  {one['outcome'].upper()} {one['action']} {_label(one)}: {terminal(one['message'])}"
            )
            if one["hint"]:
                lines.append(f"      {terminal(one['hint'])}")
    left = [one for one in results if one["outcome"] == "not tried"]
    lines += [f"  not tried: {one['action']} {_label(one)}" for one in left]
    for one in document["canaries"]:
        lines += _tried(one)
    lines += [_rewritten(one) for one in document["rewritten"]]
    found = "NOT VERIFIED" if document["verification"] == "failed" else "NOT AS WRITTEN"
    lines += [f"  {found} {terminal(difference)}" for difference in document["differences"]]
    summary = document["summary"]
    counts = [f"{summary['applied']} applied"]
    counts += [
        f"{summary[name]} {name.replace('_', ' ')}"
        for name in ("failed", "unknown", "not_tried")
        if summary[name]
    ]
    if summary.get("not_looked_at"):
        counts.append(f"{summary['not_looked_at']} not looked at")
    if results:
        ended = f"Stopped ({terminal(document['stopped'])})" if document["stopped"] else "Ended"
        lines += ["", f"{ended}: {', '.join(counts)}."]
        lines.append(_VERIFIED[document["verification"]])
    return lines


_VERIFIED = {
    "verified": "Verified: the live list is what was written.",
    "differs": "The live list is not what was written: see above, and plan again.",
    "failed": "Not verified: the list could not be read again. Plan again to see what is live.",
    "skipped": "Not verified: the list was not read again. Plan again to see what is live.",
}


def _rewritten(one: Mapping[str, Any]) -> str:
    """One field that the service keeps in another form than it was sent."""
    where = f"{terminal(one['key'])} (#{one['session_id']}) {terminal(one['path'])}"
    if "stored" not in one:
        return f"  not kept: {where}: sent {_value(one['sent'])}, stored nothing; the tag records this"
    if "stored_path" in one:
        return f"  stored differently: {where}: the key comes back in another Unicode normal form"
    return (
        f"  stored differently: {where}: sent {_value(one['sent'])}, stored {_value(one['stored'])}; "
        "the tag records this form"
    )


def _tried(canary: Mapping[str, Any]) -> list[str]:
    """A canary; one that did not pass with all of its details."""
    label = f"{canary['action']} {_label(canary)}"
    if canary["outcome"] == "passed":
        return [f"  tried first: {label}, and the list shows exactly that"]
    lines = [
        f"  tried first: {label}, which {'was refused' if canary['outcome'] == 'refused' else 'went wrong'}"
    ]
    lines += [f"      sent: {terminal(canary['sent'])}", f"      answered: {terminal(canary['answered'])}"]
    if canary["outcome"] == "failed":
        lines.append(f"      seen: {terminal(canary['message'])}")
    for archived in map(terminal, canary["archived"]):
        lines.append(
            f"      archived as it was: {archived}. Put it back before the next apply, once the contract is"
        )
        lines.append(f"      right: `reconciler archive restore {archived} --contract=contract.yaml`")
    return lines


def _label(result: Mapping[str, Any]) -> str:
    number = f" #{result['session_id']}" if result["session_id"] is not None else ""
    return f"{terminal(result['key'])}{number}"


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return terminal(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
