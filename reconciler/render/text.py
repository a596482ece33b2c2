"""A plan for a terminal or a log.

Every line goes through :meth:`Page.put`, which escapes it, wraps it, and keeps it from being a workflow command.
Lines of prompts follow a ``|``, so that no prompt can look like part of the plan. Without colour, the text is the
same, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.render.changed_lines import elide, joined, left_out, marked, unbroken
from reconciler.render.character_changes import remarks
from reconciler.render.in_short import in_short, totals_by_field, what_changes
from reconciler.render.options import RenderOptions
from reconciler.render.prompt_diff import Line, Segment, TextDiff
from reconciler.render.shared_changes import shared
from reconciler.render.terminal_page import Page, Span
from reconciler.render.tests import put_tests, summary
from reconciler.render.view import (
    CAUSES,
    STYLES,
    SYMBOLS,
    Action,
    Change,
    Field,
    about_drift,
    beginning,
    cause_of,
    changes,
    count,
    is_text,
    kept_otherwise,
    last_updated,
    left_alone,
    nothing,
    outside_git,
    reason,
    same_field,
    shared_reason,
    shared_title,
    shows_reason,
    text_diff,
    text_size,
    title,
    totals,
    used_symbols,
)
from reconciler.text.characters import text_remarks
from reconciler.text.escape import quoted, visible

#: In normal detail: lines of a new text, lines of one difference, characters of a value, notes of a kind, and rows of
#: session names under a shared change.
FIRST_LINES = 3
DIFF_LINES = 40
VALUE_CELLS = 300
NOTES = 5
NAME_ROWS = 3
#: A plan of more sessions begins with its totals.
LONG_PLAN = 5
# A repeated hunk of at least this many lines is referred to, not shown again.
_REPEATED = 4


def render_plan_text(document: Mapping[str, Any], options: RenderOptions) -> str:
    """The plan as text, ending in a line end. With colour on, the same text with ANSI styles by rich."""
    page = Page(options)
    plan = _Plan(document, options, page)
    plan.write()
    return page.text()


class _Plan:
    def __init__(self, document: Mapping[str, Any], options: RenderOptions, page: Page) -> None:
        self.document, self.page = document, page
        self.detail = options.detail
        self.full = options.detail == "full"
        self.shown: dict[Any, str] = {}  # the hunks already shown, and under which key
        self.shared = shared_reason([a for a in document["actions"] if a["action"] == "delete"])
        self.said = False  # whether it was said

    def write(self) -> None:
        page, document = self.page, self.document
        catalog, environment, endpoint = title(document)
        where: list[Span] = [", environment ", (environment, "strong")] if environment else []
        direction = " (git → live)" if about_drift(document) else ""
        compared = ", compared with " if document.get("about") == "environments" else ", at "
        page.put(0, f"{beginning(document)} ", (catalog, "strong"), *where, compared, endpoint, direction)
        self._summary()
        if document["actions"]:
            page.blank()
            self._legend(used_symbols(document))
        if self.detail == "concise":
            page.blank()
            self._concise()
        else:
            for change in changes(document):
                page.blank()
                self._change(change)
        self._notes()
        self._tests()
        self._refusals()
        self._totals()

    def _summary(self) -> None:
        """What a reader of a long plan has to know first: the rest may be many screens below."""
        page, document = self.page, self.document
        refusals = document["refusals"]
        if len(document["actions"]) > LONG_PLAN:
            page.blank()
            page.put(0, (f"{totals(document)}.", "strong"))
            if by_field := totals_by_field(document):
                page.put(0, f"{by_field}.")
            self._keys_of_deletes()
        for refusal in refusals[:3] if document["actions"] else ():
            allow = (("; to allow it: ", "dim"), str(refusal["allow"]))
            page.put(
                0, (f"Refused [{refusal['guard']}]: ", "refused"), str(refusal["message"]), *allow, hang=4
            )
        if len(refusals) > 3 and document["actions"]:
            page.put(0, (f"Refused for {count(len(refusals) - 3, 'more reason')}, at the end.", "refused"))

    def _keys_of_deletes(self) -> None:
        """What can't be undone is on the first screen, however long the deleted prompts are."""
        keys = [visible(str(a["key"])) for a in self.document["actions"] if a["action"] == "delete"]
        if len(keys) > 1:
            shown = self._first_names(keys)
            more = f", … ({len(keys) - shown:,} more)" if shown < len(keys) else ""
            self.page.put(
                0, (f"{len(keys):,} deletes: ", "delete"), f"{', '.join(keys[:shown])}{more}.", hang=4
            )

    def _legend(self, used: Iterable[str]) -> None:
        row: list[Span] = []
        room = self.page.width
        for action in used:
            entry = f"{SYMBOLS[action]} {action}"
            if row and room < len(entry) + 3:
                self.page.put(2, *row)
                row, room = [], self.page.width
            row += ["   " if row else "", (entry, STYLES.get(action, action))]
            room -= len(entry) + 3
        self.page.put(2, *row)

    # --- sessions --------------------------------------------------------------------------------------

    def _concise(self) -> None:
        listed = changes(self.document, grouped=False)
        keys = min(24, max((self.page.cells(visible(str(c.first["key"]))) for c in listed), default=0))
        for change in listed:
            action = change.first
            what = [reason(action)] if shows_reason(change) else []
            if change.action == "move":
                what = [f"from {action.get('from', '')}"]
            elif change.action in ("update", "changed"):
                what = in_short(change)
            elif change.action == "adopt" and action["fields"]:
                what[-1] += "; changed by it:"
                what = [" ".join([*what, ", ".join(str(f["path"]) for f in action["fields"])])]
            key = visible(str(action["key"]))
            pad = " " * max(0, keys - self.page.cells(key))
            spans = self._header(change, key + pad)
            if what:
                spans += ["  ", (", ".join(what), "dim")]
            self.page.put(2, *spans, *_causes(change), hang=keys + 4)

    def _change(self, change: Change) -> None:
        page, action = self.page, change.first
        many = len(change.members)
        if many == 1:
            page.put(2, *self._header(change, str(action["key"])), *_causes(change))
        else:
            lines = self._shared_lines(change)
            title = shared_title(change)
            if lines:
                title = title.replace("the same change", f"the same {lines}-line change", 1)
            sign = (f"{SYMBOLS[change.action]} ", change.style)
            page.put(2, sign, (f"{title}:", "strong"), *_causes(change))
            self._members(change.members)
        if change.action == "move" and action.get("from"):
            page.put(6, "moved from ", (str(action["from"]), "strong"))
        if shows_reason(change) or self.full:
            self._reason(action)
        self._fields(change)
        self._unchanged(change)

    def _reason(self, action: Action) -> None:
        why = reason(action)
        if action["action"] == "delete" and self.shared:
            if self.said:  # said once for all deletes, but for their messages
                why = why.removeprefix(self.shared).removeprefix("; ")
            else:
                why = why.replace(self.shared, f"{self.shared} (all deletes)", 1)
            self.said = True
        if why:
            self.page.put(6, ("reason: ", "dim"), why, hang=8)

    def _header(self, change: Change, key: str) -> list[Span]:
        session = change.first
        sign = (f"{SYMBOLS[change.action]} ", change.style)
        spans: list[Span] = [sign, (key, "strong"), "  ", quoted(session["name"])]
        if session["session_id"] is not None:
            spans.append((f"  #{session['session_id']}", "dim"))
        if updated := last_updated(session):
            spans.append((f"  {updated}", "dim"))
        return spans

    def _shared_lines(self, change: Change) -> int:
        fields = change.first["fields"]
        if len(fields) != 1 or not is_text(fields[0]):
            return 0
        difference = text_diff(fields[0])
        return max(difference.removed, difference.added)

    def _members(self, members: Sequence[Action]) -> None:
        """The sessions that share a change: all of them, or as many as fit into a few rows."""
        names = [visible(_who(member)) for member in members]
        shown = len(names) if self.full else self._first_names(names)
        text = ", ".join(names[:shown])
        if shown < len(names):
            text += f", … ({len(names) - shown:,} more; --full lists them)"
        self.page.put(6, text, hang=0)

    def _first_names(self, names: Sequence[str]) -> int:
        """How many names fit into a few rows; at least one."""
        room = (self.page.width - 6) * NAME_ROWS - 40
        used = 0
        for at, name in enumerate(names):
            used += self.page.cells(name) + 2
            if used > room and at:
                return at
        return len(names)

    def _unchanged(self, change: Change) -> None:
        numbers = {m.get("unchanged", 0) for m in change.members} if len(change.members) == 1 else set()
        if change.action in ("update", "adopt", "move") and len(numbers) == 1 and numbers != {0}:
            self.page.put(6, (f"({count(numbers.pop(), 'unchanged field')} hidden)", "dim"))

    # --- fields ----------------------------------------------------------------------------------------

    def _fields(self, change: Change) -> None:
        fields = [f for f in change.fields if not (change.action == "create" and f["path"] == "name")]
        if change.action == "delete" and not self.full:
            fields = [f for f in fields if f["path"] == "prompt"]
        paths = [visible(str(f["path"])) for f in fields]
        column = min(max(map(self.page.cells, paths), default=0), self.page.width // 3)
        for at, (field, path) in enumerate(zip(fields, paths, strict=True)):
            sign = "" if change.action == "create" else _sign(field)
            pad = " " * max(0, column - self.page.cells(path))
            lead: list[Span] = [(f"{sign} ", _SIGN_STYLES[sign])] if sign else []
            lead += [path + pad, "   "]
            cause = cause_of(change.action, field)
            mark: list[Span] = []
            if cause:
                style = cause if cause in ("drift", "conflict") else "dim"
                mark = ["  ", (f"[{CAUSES[cause]}]", style)]
            self._field(change, at, field, lead, mark)

    def _field(self, change: Change, at: int, field: Field, lead: list[Span], mark: list[Span]) -> None:
        page = self.page
        if cause_is_release(field):
            page.put(6, *lead, *mark[1:], hang=4)
        elif is_text(field):
            if "before" in field and "after" in field:
                difference = text_diff(field)
                if len(change.members) > 1:
                    difference = shared([text_diff(same_field(m, field)) for m in change.members])
                page.put(6, *lead, what_changes(change, field, difference), *mark, hang=4)
                self._difference(difference, str(change.first["key"]))
            else:
                text = str(field["after"] if "after" in field else field["before"])
                page.put(6, *lead, text_size(text), *mark, hang=4)
                self._whole_text(text, "+" if "after" in field else "-", change.action)
        elif field.get("detail"):
            page.put(6, *lead, *mark, hang=4)
            for inner in field["detail"]:
                sign = _sign(inner)
                spans: list[Span] = [(f"{sign} ", _SIGN_STYLES[sign]), f"{visible(str(inner['path']))}   "]
                page.put(10, *spans, *self._values(inner), hang=4)
        else:
            page.put(6, *lead, *self._values(field), *mark, hang=4)

    def _values(self, field: Field) -> list[Span]:
        spans: list[Span] = []
        if "before" in field:
            spans.append(self._value(field["before"]))
        if "before" in field and "after" in field:
            spans.append(" → ")
        if "after" in field:
            spans.append(self._value(field["after"]))
        return spans

    def _value(self, value: Any) -> str:
        shown = quoted(value)
        if self.full or len(shown) <= VALUE_CELLS:
            return shown
        return f"{shown[:VALUE_CELLS]}… ({len(shown) - VALUE_CELLS:,} more characters)"

    # --- texts -----------------------------------------------------------------------------------------

    def _difference(self, difference: TextDiff, key: str) -> None:
        for remark in remarks(difference):
            self.page.put(8, (remark, "warning"), gutter="| ", hang=2)
        left = -1 if self.full else DIFF_LINES
        more = 0
        for hunk in difference.hunks:
            change = hunk.change
            if not self.full and len(change) >= _REPEATED:
                known = self.shown.setdefault(change, key)
                if known != key:
                    text = f"{hunk.header} the same {len(change)} lines as in "
                    self.page.put(8, (text, "hunk"), (known, "strong"), gutter="| ")
                    continue
            lines = list(joined(hunk.lines, self._fits))
            if left:
                self.page.put(8, (hunk.header, "hunk"), gutter="| ")
            for line in lines if left < 0 else lines[:left]:
                self._line(line)
            if left >= 0:
                more += max(0, len(lines) - left)
                left = max(0, left - len(lines))
        if more:
            self._more(more, "more line", "more lines")

    def _fits(self, line: Line) -> bool:
        """Whether a changed line fits into one row, with marks."""
        return self.page.cells(visible("".join(s.text for s in marked(line)))) <= self.page.width - 12

    def _whole_text(self, text: str, op: str, action: str) -> None:
        for remark in text_remarks(text):
            self.page.put(8, (remark, "warning"), gutter="| ", hang=2)
        if action not in ("create", "update", "delete") and not self.full:
            return
        lines = text.split("\n") if text else []
        shown = len(lines) if self.full or len(lines) <= FIRST_LINES + 1 else FIRST_LINES
        for line in lines[:shown]:
            self._line(Line("+" if op == "+" else "-", (Segment(line),)))
        if shown < len(lines):
            self._more(len(lines) - shown, "more line", "more lines")

    def _more(self, number: int, one: str, many: str) -> None:
        self.page.put(8, (f"(… {count(number, one, many)})", "dim"), gutter="| ")

    def _line(self, line: Line) -> None:
        if not self.full:
            line = elide(line)
        op = " " if line.op == "=" else line.op
        equal = "" if line.op in "=~" else line.op
        spans: list[Span] = [(op + " ", _SIGN_STYLES["~"] if op == "~" else equal)]
        for segment in marked(line):
            if segment.skipped:
                spans.append((left_out(segment), "left out"))
            elif segment.changed and len(line.segments) > 1:
                spans.append((segment.text, segment.op * 2))
            else:
                spans.append((segment.text, equal))
        whole = _unbroken([span if isinstance(span, tuple) else (span, "") for span in spans])
        self.page.put(8, *spans, gutter="| ", hang=4, mark="↳", whole=whole)

    # --- below -----------------------------------------------------------------------------------------

    def _notes(self) -> None:
        page = self.page
        kinds: dict[str, list[Mapping[str, Any]]] = {}
        for note in self.document["notes"]:
            kinds.setdefault(str(note["kind"]), []).append(note)
        if not kinds:
            return
        page.blank()
        page.put(0, ("Notes:", "strong"))
        for kind, notes in kinds.items():
            shown = notes if self.full else notes[:NOTES]
            for note in shown:
                who = " ".join(
                    [
                        *([str(note["key"])] if note.get("key") else []),
                        *([f"#{note['session_id']}"] if note.get("session_id") is not None else []),
                    ]
                )
                where: list[Span] = [(f" {who}", "strong")] if who else []
                page.put(2, (f"[{kind}]", "warning"), *where, f" {note['message']}", hang=4)
            if len(shown) < len(notes):
                left = len(notes) - len(shown)
                page.put(2, (f"[{kind}]", "warning"), (f" (… {count(left, 'more note')}; --full)", "dim"))

    def _refusals(self) -> None:
        page, refusals = self.page, self.document["refusals"]
        if not refusals:
            return
        page.blank()
        page.put(0, ("Refused: apply will not carry out this plan.", "refused"))
        for refusal in refusals:
            page.put(2, (f"[{refusal['guard']}]", "refused"), f" {refusal['message']}", hang=4)
            page.put(6, ("to allow it: ", "dim"), (str(refusal["allow"]), "strong"), hang=2)

    def _tests(self) -> None:
        tests = self.document.get("tests")
        if tests:
            self.page.blank()
            self.page.put(0, (f"Behaviour tests: {summary(tests)}.", "strong"))
            put_tests(self.page, tests, full=self.full, concise=self.detail == "concise")

    def _totals(self) -> None:
        page, summary = self.page, self.document["summary"]
        page.blank()
        if self.document["actions"]:
            what = "Drift" if about_drift(self.document) else "Plan"
            page.put(0, (f"{what}: {totals(self.document)}.", "strong"))
        else:
            first, second = nothing(self.document)
            page.put(0, (first, "strong"), f" {second}")
        outside = outside_git(self.document)
        if outside:
            page.put(0, (f"Attention: {outside}.", "drift"))
        rewritten = kept_otherwise(summary)
        if rewritten and self.full:
            page.put(0, (f"{rewritten}.", "dim"))
        alone = left_alone(summary)
        if alone:
            page.put(0, (f"Left alone: {alone}.", "dim"))


def _unbroken(spans: Iterable[tuple[str, str]]) -> list[tuple[int, int]]:
    """The stretches of a line that are not wrapped: marked changes, and what says how much is left out."""
    found, at = [], 0
    for text, style in spans:
        text = visible(text)
        if style == "left out":
            found.append((at, at + len(text)))
        elif style in ("--", "++"):
            found += unbroken(text, at)
        at += len(text)
    return found


def _who(session: Action) -> str:
    """One of several sessions with the same change: ``alice #1 (last updated …)``."""
    parts = [str(session["key"])]
    if session["session_id"] is not None:
        parts.append(f"#{session['session_id']}")
    if updated := last_updated(session):
        parts.append(f"({updated})")
    return " ".join(parts)


_SIGN_STYLES = {"+": "create", "-": "delete", "~": "update"}


def _sign(field: Field) -> str:
    if "before" not in field:
        return "+"
    if "after" not in field and field.get("cause") != "released":
        return "-"
    return "~"


def cause_is_release(field: Field) -> bool:
    """Whether a field is only released, so that there is no value to show."""
    return bool(field.get("cause") == "released")


def _causes(change: Change) -> Iterable[Span]:
    for cause in ("conflict", "drift"):
        if cause in change.causes:
            yield "  "
            yield f"[{cause}]", cause
