"""One change of a plan in Markdown: as a line of a list, and as a fold with its details."""

from __future__ import annotations

import sys
from typing import Any, Literal

from reconciler.render.changed_lines import joined
from reconciler.render.character_changes import remarks
from reconciler.render.in_short import in_short, what_changes
from reconciler.render.markdown_pieces import (
    MAX_NAME,
    as_block,
    before_and_after,
    code,
    cut,
    diff_rows,
    fenced,
    fits,
    html_code,
    indented,
    prose,
    session_label,
    updated_at,
)
from reconciler.render.options import Detail
from reconciler.render.prompt_diff import Line, Segment, TextDiff
from reconciler.render.shared_changes import shared
from reconciler.render.view import (
    CAUSES,
    SYMBOLS,
    Change,
    Field,
    cause_of,
    count,
    is_text,
    same_field,
    shared_title,
    shows_reason,
    text_diff,
    text_size,
)
from reconciler.text.characters import text_remarks
from reconciler.text.escape import html_text, quoted

# Rows of one difference and of one new text, and how many sessions a shared change names.
_DIFF_LINES, _FIRST_LINES, _MEMBERS = 60, 10, 12


class MarkdownChanges:
    """Renders changes. A hunk that a change before showed already is referred to."""

    def __init__(self, detail: Detail) -> None:
        self.level = detail
        self.hunks: dict[Any, str] = {}

    def line(self, change: Change) -> str:
        """The change as a list item."""
        action = change.first
        what = " · ".join(map(code, in_short(change))) if change.action != "delete" else ""
        if change.action == "move":
            what = f"moved from {code(str(action.get('from', '')))}" + (f"; {what}" if what else "")
        elif shows_reason(change) and change.action != "delete":
            what = prose(str(action["reason"])) + (f"; {what}" if what else "")
        marks = "".join(f" **({cause})**" for cause in sorted(change.causes))
        if len(change.members) > 1:
            members = _names(change, _MEMBERS)
            return as_block(
                [f"- `{SYMBOLS[change.action]}` {shared_title(change)} ({members}): {what}{marks}"]
            )
        return as_block(
            [f"- `{SYMBOLS[change.action]}` {session_label(action)}{': ' if what else ''}{what}{marks}"]
        )

    def detail(self, change: Change, unfolded: bool) -> str | None:
        body = self._fields(change)
        if not body:
            return None
        many = len(change.members)
        action = change.first
        if many > 1:
            label = f"{html_text(SYMBOLS[change.action])} <b>{shared_title(change)}</b>"
        else:
            number = (
                f" {html_code('#' + str(action['session_id']))}" if action["session_id"] is not None else ""
            )
            name = html_code(quoted(action["name"]))
            key = html_code(str(action["key"]))
            label = f"{html_text(SYMBOLS[change.action])} <b>{key}</b> {name}{number}"
        label += "".join(f" <b>({cause})</b>" for cause in sorted(change.causes))
        label += "".join(f" · {html_code(what)}" for what in in_short(change))
        head = [f"<details{' open' if unfolded else ''}><summary>{label}</summary>", ""]
        if many > 1:
            head += [f"Sessions: {_names(change, _MEMBERS * 4)}.", ""]
        if updated := updated_at(change.members[:_MEMBERS]):
            head += [f"{updated}.", ""]
        if change.action == "move" or (shows_reason(change) and change.action != "delete"):
            moved = f"Moved from {code(str(action.get('from', '')))}. " if change.action == "move" else ""
            head += [f"{moved}Reason: {prose(str(action['reason']))}.", ""]
        lines = [*head, *body, "</details>"]
        return as_block(line for at, line in enumerate(lines) if line or lines[at - 1])

    def _fields(self, change: Change) -> list[str]:
        lines: list[str] = []
        for field in change.fields:
            if change.action == "create" and field["path"] == "name":
                continue
            if change.action == "delete" and field["path"] != "prompt" and self.level != "full":
                continue
            label = f"- {code(str(field['path']))}: "
            cause = cause_of(change.action, field)
            mark = f" *({CAUSES[cause]})*" if cause else ""
            if cause == "released":
                lines.append(f"{label.rstrip(': ')}{mark}")
            elif is_text(field):
                lines += self._text_field(change, field, label, mark)
            elif field.get("detail"):
                lines.append(f"{label.rstrip(': ')}{mark}")
                lines += [f"  - {code(str(d['path']))}: {before_and_after(d)}" for d in field["detail"][:40]]
                if len(field["detail"]) > 40:
                    lines.append(f"  - and {len(field['detail']) - 40:,} more")
            else:
                lines.append(f"{label}{before_and_after(field, new=change.action == 'create')}{mark}")
        return [*lines, ""] if lines else []

    def _text_field(self, change: Change, field: Field, label: str, mark: str) -> list[str]:
        if "before" in field and "after" in field:
            difference = text_diff(field)
            if len(change.members) > 1:
                difference = shared([text_diff(same_field(m, field)) for m in change.members])
            said = [f"  - {remark}" for remark in remarks(difference)]
            rows = self._difference(difference, str(change.first["key"]))
            return [
                f"{label}{what_changes(change, field, difference)}{mark}",
                *said,
                "",
                *indented(fenced(rows, "diff")),
                "",
            ]
        text = str(field.get("after", field.get("before")))
        said = [f"  - {remark}" for remark in text_remarks(text)]
        lines = text.split("\n")
        limit = len(lines) if self.level == "full" else _FIRST_LINES
        sign: Literal["+", "-"] = "+" if "after" in field else "-"
        rows = [row for line in lines[:limit] for row in diff_rows(Line(sign, (Segment(line),)))]
        if len(lines) > limit:
            rows.append(f"@@ {count(len(lines) - limit, 'more line')} @@")
        block = ["", *indented(fenced(rows, "diff")), ""] if text else []
        return [f"{label}{text_size(text)}{mark}", *said, *block]

    def _difference(self, difference: TextDiff, key: str) -> list[str]:
        left = sys.maxsize if self.level == "full" else _DIFF_LINES
        rows: list[str] = []
        more = 0
        for hunk in difference.hunks:
            change = hunk.change
            known = self.hunks.setdefault(change, key) if len(change) > 3 else key
            if known != key:
                if left:
                    rows.append(f"{hunk.header} the same {len(change)} lines as in {cut(known, MAX_NAME)}")
                continue
            lines = list(joined(hunk.lines, fits))
            if left:
                rows.append(hunk.header)
            for line in lines[:left]:
                rows += diff_rows(line)
            more += max(0, len(lines) - left)
            left = max(0, left - len(lines))
        if more:
            rows.append(f"@@ {count(more, 'more line')} @@")
        return rows


def _names(change: Change, most: int) -> str:
    """The keys of the sessions that share a change, the first ones, and how many more there are."""
    more = len(change.members) - most
    names = ", ".join(code(str(member["key"])) for member in change.members[:most])
    return f"{names} and {more:,} more" if more > 0 else names
