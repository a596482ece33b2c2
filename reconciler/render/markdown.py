"""A plan as a comment on a pull request: Markdown of a limited size.

Untrusted text is put into code spans and fenced blocks, where no forge interprets it, or into escaped HTML where the
heading of a fold has to be HTML; see :mod:`reconciler.text.escape`.

What does not fit is omitted in this order:

1. the prompts of deletes, then the details of changes: those of drift and conflicts are the last to go, and one that
   is too long for what room is left goes before a shorter one after it;
2. the lines of changes, from the last one on: of these only the keys are listed, as far as they fit;
3. notes, when they take more than a tenth of the room;
4. the names and reasons of deletes, then their lines: what stays is a list of their keys, and where that does not fit
   either, the first of them and how many more there are.

Totals, and whether the plan is refused, are always shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from reconciler.render.in_short import totals_by_field
from reconciler.render.keylist import key_list
from reconciler.render.markdown_changes import MarkdownChanges
from reconciler.render.markdown_pieces import (
    MAX_MESSAGE,
    MAX_NAME,
    as_block,
    block_size,
    code,
    cut,
    delete_line,
    fenced,
    prose,
    runs_of_lines,
    short_delete_line,
    short_key,
)
from reconciler.render.options import RenderOptions
from reconciler.render.tests import summary, tests_as_blocks
from reconciler.render.view import (
    DONE,
    TO_DO,
    Change,
    about_drift,
    beginning,
    changes,
    count,
    kept_otherwise,
    left_alone,
    nothing,
    outside_git,
    shared_reason,
    title,
    totals,
)
from reconciler.text.escape import markdown_code, markdown_text

#: The smallest allowed ``max_bytes``.
MIN_BYTES = 4_000

# Up to this many changes are unfolded.
_OPEN = 5
# After this many consecutive changes whose details did not fit, the rest is not tried.
_MISSES = 20

_WHOLE = "the output of `reconciler plan --full`"
_SECTIONS = (
    ("update", "Updates"),
    ("adopt", "Adoptions"),
    ("move", "Moves"),
    ("forget", "Forgets"),
    ("create", "Creates"),
    ("deleted", "Deleted"),
    ("changed", "Changed"),
    ("tag-removed", "Tag removed"),
    ("tag-altered", "Tag altered"),
    ("double", "Live twice"),
)


def marker(catalog: str, environment: str | None, what: str = "plan") -> str:
    """The comment's first line, by which CI finds its earlier comment for this catalog and environment. ``what`` is
    plan or drift."""
    parts = [f"catalog={_identity(catalog)}"]
    if environment:
        parts.append(f"environment={_identity(environment)}")
    return f"<!-- reconciler {what} {' '.join(parts)} -->"


def _identity(name: str) -> str:
    # Percent-encoding leaves no `>` that could end the comment; `--` must not occur in one either.
    encoded = quote(name, safe="", errors="surrogatepass").replace("--", "%2D%2D")
    if len(encoded) <= 200:
        return encoded
    return encoded[:100] + hashlib.blake2b(encoded.encode(), digest_size=16).hexdigest()


def render_plan_markdown(document: Mapping[str, Any], options: RenderOptions) -> str:
    """The plan in at most ``options.max_bytes`` bytes of UTF-8.

    Raises:
        ValueError: ``max_bytes`` is less than :data:`MIN_BYTES`.
    """
    if options.max_bytes < MIN_BYTES:
        raise ValueError(f"max_bytes must be at least {MIN_BYTES}, and is {options.max_bytes}")
    return _Comment(document, options).text()


class _Comment:
    def __init__(self, document: Mapping[str, Any], options: RenderOptions) -> None:
        self.document, self.options = document, options
        self.left_out: list[str] = []
        # Bytes that are left. Some are reserved for the note on what was omitted.
        self.whole = markdown_text(cut(options.whole or _WHOLE, MAX_NAME * 2))
        self.room = options.max_bytes - 600 - block_size(self.whole)
        self.changes = MarkdownChanges(options.detail)

    def text(self) -> str:
        head = self._head()
        self._take(head)
        refusals = self._refusals()
        deletes = self._deletes()
        tests = self._tests()
        notes = self._notes()
        rest = self._changes()
        prompts = self._delete_prompts()
        blocks = [head, *self._shortened(), *refusals, *deletes, *tests, *prompts, *rest, *notes]
        return "\n\n".join(blocks) + "\n"

    def _take(self, block: str) -> None:
        self.room -= block_size(block)

    def _fits(self, block: str, room: int | None = None) -> bool:
        return block_size(block) <= (self.room if room is None else room)

    # --- always ----------------------------------------------------------------------------------------

    def _head(self) -> str:
        document, summary = self.document, self.document["summary"]
        catalog, environment, endpoint = title(document)
        where = f", environment {code(environment)}" if environment else ""
        lines = [
            marker(catalog, environment, "drift" if about_drift(document) else "plan"),
            f"### {beginning(document)} {code(catalog)}{where}",
            "",
        ]
        if document["actions"]:
            lines.append(f"**{totals(document)}.**")
        else:
            first, second = nothing(document)
            lines.append(f"**{first}** {second}")
        outside = outside_git(document)
        if outside:
            lines[-1] += f" {outside[0].upper()}{outside[1:]}."
        alone = left_alone(summary)
        if alone:
            lines[-1] += f" Left alone: {alone}."
        rewritten = kept_otherwise(summary)
        if rewritten and self.options.detail == "full":
            lines[-1] += f" {rewritten}."
        drift = about_drift(document) and document["actions"]
        compared = "From git to what is live at" if drift else "Compared with"
        lines[-1] += f" {compared} {code(endpoint)}."
        if by_field := totals_by_field(document):
            lines += ["", f"{markdown_text(by_field)}."]
        return as_block(lines)

    def _shortened(self) -> list[str]:
        if not self.left_out:
            return []
        return [
            as_block(
                [
                    "> [!NOTE]",
                    f"> Shortened to fit {self.options.max_bytes:,} bytes. "
                    f"Left out: {'; '.join(self.left_out)}. The whole plan is in {self.whole}.",
                ]
            )
        ]

    def _refusals(self) -> list[str]:
        refusals = self.document["refusals"]
        if not refusals:
            return []
        lines = ["> [!CAUTION]", "> **Refused: apply will not carry out this plan.**", ">"]
        room = self.room // 3
        for at, refusal in enumerate(refusals):
            message = markdown_text(cut(refusal["message"], MAX_MESSAGE))
            allow = markdown_code(cut(refusal["allow"], MAX_MESSAGE))
            line = f"> - {code(refusal['guard'])}: {message}. To allow it: {allow}"
            if not self._fits(as_block([*lines, line]), room):
                self.left_out.append(count(len(refusals) - at, "refusal"))
                break
            lines.append(line)
        block = as_block(lines)
        self._take(block)
        return [block]

    # --- tests ------------------------------------------------------------------------------------------

    def _tests(self) -> list[str]:
        """The results of behaviour tests, in a third of what is left."""
        tests = self.document.get("tests")
        if not tests:
            return []
        heading = as_block([f"#### Behaviour tests: {summary(tests)}"])
        blocks = [heading, *tests_as_blocks(tests, self.room // 3 - block_size(heading) - 200)]
        for block in blocks:
            self._take(block)
        return blocks

    # --- deletes ---------------------------------------------------------------------------------------

    def _deletes(self) -> list[str]:
        deletes = [change.first for change in changes(self.document) if change.action == "delete"]
        if not deletes:
            return []
        heading = f"#### Deletes ({len(deletes):,})"
        shared = shared_reason(deletes)
        whole = f"{heading}: {prose(shared)}" if shared else heading
        for style in (delete_line, short_delete_line):
            block = as_block([whole, "", *(style(action, shared) for action in deletes)])
            if self._fits(block, self.room * 6 // 10):
                if style is short_delete_line:
                    self.left_out.append("names and reasons of deletes")
                self._take(block)
                return [block]
        # A quarter of the room is enough for everything else, since deletes have priority.
        keys = [short_key(str(a["key"])) for a in deletes]
        room = self.room - 200
        text, missing = key_list(keys, room * 3 // 4)
        if missing:
            text, missing = key_list(keys, room - 300)
        self.left_out.append("names and reasons of deletes")
        lines = [heading, "", *fenced(text.split("\n"))]
        if missing:
            self.left_out.append(f"**{count(missing, 'delete')}**")
        block = as_block(lines)
        self._take(block)
        return [block]

    def _delete_prompts(self) -> list[str]:
        """The prompts of the sessions to delete, each in a fold, as many as fit."""
        if self.options.detail == "concise":
            return []
        blocks: list[str] = []
        deletes = [change for change in changes(self.document) if change.action == "delete"]
        without = 0
        for change in deletes:
            block = self.changes.detail(change, unfolded=False) if without < _MISSES else ""
            if block is None:
                continue
            if block and self._fits(block):
                self._take(block)
                blocks.append(block)
            else:
                without += 1
        if without:
            self.left_out.append(f"prompts of {count(without, 'delete')}")
        return blocks

    # --- the rest --------------------------------------------------------------------------------------

    def _changes(self) -> list[str]:
        sections = self._sections()
        listed = [change for _, members in sections for change in members]
        if not listed:
            return []
        lines = {id(c): self.changes.line(c) for c in listed}
        self.room -= sum(len(heading) + 16 for heading, _ in sections)
        needed = sum(block_size(line) for line in lines.values())
        shown = listed
        tail: list[str] = []
        if needed > self.room:
            shown = self._as_many_lines_as_fit(listed, lines)
            tail = self._keys_only(listed[len(shown) :])
        else:
            self.room -= needed
        details = {} if self.options.detail == "concise" else self._details(shown, lines)
        blocks: list[str] = []
        visible_ones = set(map(id, shown))
        for heading, members in sections:
            here = [c for c in members if id(c) in visible_ones]
            if here:
                sessions = sum(len(c.members) for c in members)
                blocks.append(f"#### {heading} ({sessions:,})")
                blocks += runs_of_lines([(details.get(id(c)), lines[id(c)]) for c in here])
        return blocks + tail

    def _sections(self) -> list[tuple[str, list[Change]]]:
        listed = [c for c in changes(self.document) if c.action != "delete"]
        apart = [] if about_drift(self.document) else [c for c in listed if c.causes]
        found = [("Changed outside git", apart)]
        found += [
            (name, [c for c in listed if c.action == what and c not in apart]) for what, name in _SECTIONS
        ]
        return [(heading, members) for heading, members in found if members]

    def _as_many_lines_as_fit(self, listed: Sequence[Change], lines: Mapping[int, str]) -> list[Change]:
        """The first changes whose lines fit into half of the room."""
        shown: list[Change] = []
        half = self.room // 2
        for change in listed:
            size = block_size(lines[id(change)])
            if size > half:
                break
            half -= size
            self.room -= size
            shown.append(change)
        return shown

    def _keys_only(self, rest: Sequence[Change]) -> list[str]:
        blocks: list[str] = []
        names = 0
        missing: list[str] = []
        for what in (*TO_DO, *DONE):
            keys = [short_key(str(m["key"])) for c in rest if c.action == what for m in c.members]
            if not keys:
                continue
            left = 0
            room = self.room - 200
            if room > 200:
                text, left = key_list(keys, room)
                title = f"Also {'' if what in DONE else 'to '}{DONE.get(what, what)}"
                block = as_block([f"#### {title} ({len(keys):,})", "", *fenced(text.split("\n"))])
                if left < len(keys):
                    blocks.append(block)
                    self._take(block)
            else:
                left = len(keys)
            names += len(keys) - left
            if left:
                missing.append(f"{left:,} {'' if what in DONE else 'to '}{DONE.get(what, what)}")
        if names:
            self.left_out.append(f"all but the keys of {count(names, 'session')}")
        if missing:
            self.left_out.append(f"sessions altogether: {', '.join(missing)}")
        return blocks

    def _details(self, shown: Sequence[Change], lines: Mapping[int, str]) -> dict[int, str]:
        """The details of as many changes as fit, in the order of review."""
        found: dict[int, str] = {}
        without = misses = 0
        for change in shown:
            line = block_size(lines[id(change)])
            # Even a small detail takes about this much.
            if self.room + line < 250 or misses == _MISSES:
                without += 1
                continue
            block = self.changes.detail(change, len(shown) <= _OPEN)
            if block is None:
                continue
            if not self._fits(block, self.room + line):
                without += 1
                misses += 1
                continue
            misses = 0
            self.room += line
            self._take(block)
            found[id(change)] = block
        if without:
            self.left_out.append(f"details of {count(without, 'change')}")
        return found

    # --- notes -----------------------------------------------------------------------------------------

    def _notes(self) -> list[str]:
        notes = self.document["notes"]
        if not notes:
            return []
        head, foot = [f"<details open><summary>Notes ({len(notes):,})</summary>", ""], ["", "</details>"]
        lines: list[str] = []
        used, room = block_size(as_block([*head, *foot])), self.room // 10
        for at, note in enumerate(notes):
            who = code(str(note["key"])) if note.get("key") else ""
            number = f"`#{note['session_id']}`" if note.get("session_id") is not None else ""
            place = "".join(f" {part}" for part in (who, number) if part)
            line = as_block([f"- {code(str(note['kind']))}{place}: {prose(str(note['message']))}"])
            used += block_size(line)
            if used > room:
                self.left_out.append(count(len(notes) - at, "note"))
                break
            lines.append(line)
        if not lines:
            return []
        block = as_block([*head, *lines, *foot])
        self._take(block)
        return [block]
