"""What changes, in a few words: for headings of folded sessions, lists of one line a session, and totals.

The texts are raw; renderers escape them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.render.prompt_diff import TextDiff
from reconciler.render.view import Change, Field, count, is_text, same_field, text_diff, text_size
from reconciler.text.escape import quoted
from reconciler.text.truncate import truncate

#: Characters of a value, and fields of a session.
VALUE, FIELDS = 40, 6


def in_short(change: Change) -> list[str]:
    """The changed fields of a session, or of several with the same change, as few words each.

    ``model: "a" → "b"``, ``prompt −1 +1 lines``, ``remark.note removed``; and ``2 more fields``.
    """
    if change.style == "delete":
        prompts = [
            str(f["before"]) for f in change.first["fields"] if f["path"] == "prompt" and "before" in f
        ]
        return [f"prompt: {text_size(prompt)}" for prompt in prompts]
    if change.action == "create":
        return []
    fields = sorted(change.first["fields"], key=_importance)
    shown = fields if len(fields) <= FIELDS + 1 else fields[:FIELDS]
    more = len(fields) - len(shown)
    return [*map(_field, shown), *([count(more, "more field")] if more else [])]


def _importance(field: Field) -> int:
    # What says most about how a persona behaves comes first, whatever follows it.
    return {"model": 0, "prompt": 1}.get(str(field["path"]), 2)


def _field(field: Field) -> str:
    path = str(field["path"])
    if "before" not in field and "after" not in field:
        return path
    if is_text(field) and "before" in field and "after" in field:
        difference = text_diff(field)
        lines = [f"{sign}{n:,}" for sign, n in (("−", difference.removed), ("+", difference.added)) if n]
        return f"{path} {' '.join(lines)} line{'' if max(difference.removed, difference.added) == 1 else 's'}"
    if field.get("detail"):
        return f"{path}: {', '.join(str(inner['path']) for inner in field['detail'][:3])}"
    if "after" not in field:
        return path if field.get("cause") == "released" else f"{path} removed"
    after = truncate(quoted(field["after"]), VALUE)
    if "before" not in field:
        return f"{path}: added {after}"
    return f"{path}: {truncate(quoted(field['before']), VALUE)} → {after}"


def totals_by_field(document: Mapping[str, Any]) -> str:
    """How many updates change which field: ``780 updates: prompt 780, model 3``. Empty for a few updates."""
    updates = [action for action in document["actions"] if action["action"] in ("update", "changed")]
    if len(updates) <= FIELDS:
        return ""
    counts = Counter(str(field["path"]) for action in updates for field in action["fields"])
    most = counts.most_common(8)
    shown = ", ".join(f"{truncate(path, VALUE)} {number:,}" for path, number in most)
    more = f", {count(len(counts) - len(most), 'more field')}" if len(counts) > len(most) else ""
    noun = "updates" if updates[0]["action"] == "update" else "changed sessions"
    return f"{len(updates):,} {noun}: {shown}{more}"


def what_changes(change: Change, field: Field, difference: TextDiff) -> str:
    """The size of a text's difference, for all sessions that share it."""
    return size_of(difference, [text_diff(same_field(member, field)).tokens for member in change.members])


def size_of(difference: TextDiff, tokens: Sequence[tuple[int, int]]) -> str:
    """The size of a difference: ``1 line removed, 2 added, about +12 tokens (now about 312 to 340)``.

    ``tokens`` are the approximate numbers on both sides, for each session that has this difference.
    """
    if difference.removed and difference.added:
        lines = f"{count(difference.removed, 'line')} removed, {difference.added:,} added"
    elif difference.removed:
        lines = f"{count(difference.removed, 'line')} removed"
    else:
        lines = f"{count(difference.added, 'line')} added"
    more = [after - before for before, after in tokens]
    noun = "token" if {*more} in ({1}, {-1}) else "tokens"
    change = f"about {_range(more, '{:+,}')} {noun}" if any(more) else "about as many tokens"
    return f"{lines}, {change} (now about {_range([after for _, after in tokens], '{:,}')})"


def _range(numbers: Sequence[int], form: str) -> str:
    low, high = (form.format(number) if number else "0" for number in (min(numbers), max(numbers)))
    return low if low == high else f"{low} to {high}"
