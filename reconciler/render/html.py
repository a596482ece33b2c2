"""A plan as one self-contained HTML page, for reviewers who open it as a job artifact.

The page loads nothing: its styles and script are inline, and its Content-Security-Policy allows only these two, by
hash. The template renders the list of changes, with escaping. The details of each change are data in a block that is
not executed; the script turns them into elements, as text, when the reader opens the change. The size of a page is
bounded, so that thousands of long prompts still open in a browser.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate, takewhile
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reconciler.render.changed_lines import elide
from reconciler.render.character_changes import remarks
from reconciler.render.in_short import in_short, what_changes
from reconciler.render.language import language
from reconciler.render.options import RenderOptions
from reconciler.render.prompt_diff import Hunk, Line, Segment
from reconciler.render.shared_changes import shared
from reconciler.render.tests_page import page_tests
from reconciler.render.view import (
    CAUSES,
    DONE,
    STYLES,
    SYMBOLS,
    TO_DO,
    Change,
    Field,
    about_drift,
    cause_of,
    changed_by_adoption,
    changes,
    count,
    is_text,
    kept_otherwise,
    last_updated,
    left_alone,
    nothing,
    reason,
    same_field,
    shared_title,
    shows_reason,
    text_diff,
    text_size,
    title,
)
from reconciler.text.characters import text_remarks
from reconciler.text.escape import quoted, visible

#: How many characters the details of all changes may take on a page. Each change gets an equal share, but never less
#: than …
PAGE = 20_000_000
#: … this many, as long as there are any left. After that, only the sizes of texts are shown.
SHARE = 4_000

#: How many rows a page lists.
ROWS = 10_000

# Bounds on texts in the list itself, in characters.
_NAME, _NAMES, _VALUE = 120, 300, 20_000
# What a line takes besides its text.
_LINE = 12
# Fields that are filters of their own.
_FILTERS = 16

_PAGE = Path(__file__).parent / "page"
_SIGNS = {**SYMBOLS, "delete": "−", "deleted": "−"}
_LABELS = {
    "create": "create",
    "update": "update",
    "delete": "delete",
    "drift": "with drift",
    "conflict": "in conflict",
}
_SECTIONS = {
    "update": "Updates",
    "adopt": "Adoptions",
    "move": "Moves",
    "forget": "Forgets",
    "create": "Creates",
    "deleted": "Deleted",
    "changed": "Changed",
    "tag-removed": "Tag removed",
    "tag-altered": "Tag altered",
    "double": "Live twice",
}


def render_plan_html(document: Mapping[str, Any], options: RenderOptions) -> str:
    """The page. It is the same for every ``detail``, which readers choose in the browser."""
    style, script = _asset("plan.css"), _asset("plan.js")
    every = changes(document)
    listed = _most_important(every)
    share = max(SHARE, PAGE // max(1, len(listed)))
    catalog, environment, endpoint = title(document)
    summary = document["summary"]
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        _environment()
        .get_template("plan.html.jinja")
        .render(
            policy=policy,
            style=Markup(style),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704 - our own file
            version=visible(str(document["reconciler_version"])),
            catalog=visible(catalog),
            environment=visible(environment),
            endpoint=visible(endpoint),
            lang=language(catalog),
            origin=_origin(document, options),
            what="Drift" if about_drift(document) else "Plan",
            calm=nothing(document),
            tiles=_done_tiles(document) if about_drift(document) else _tiles(document),
            no_op=count(summary["no_op"], "session") if summary["no_op"] else "",
            fields=_field_filters(listed),
            left_alone=left_alone(summary),
            rewritten=kept_otherwise(summary),
            refusals=[_visible(r) for r in document["refusals"]],
            notes=[
                {**_visible(n), "key": visible(str(n.get("key") or "")), "number": _number(n)}
                for n in document["notes"]
            ],
            tests=page_tests(document.get("tests", ())),
            rows=listed,
            unlisted=_unlisted(every, listed),
            sections=_sections(listed, apart=not about_drift(document)),
            data={"changes": [*_within(PAGE, listed, share)], "causes": CAUSES},
        )
        + "\n"
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # All texts are visible ones by then: there is no lone surrogate left, and letters may stay letters.
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    return environment


@cache
def _asset(name: str) -> str:
    return (_PAGE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """How a policy allows one inline style or script (https://www.w3.org/TR/CSP3/#match-element-to-source-list)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _visible(item: Mapping[str, Any]) -> dict[str, str]:
    return {name: visible(str(value)) for name, value in item.items()}


def _cut(text: str, limit: int) -> str:
    shown = visible(text[: limit + 1])
    return shown if len(shown) <= limit else f"{shown[:limit]}…"


def _number(item: Mapping[str, Any]) -> str:
    return f"#{item['session_id']}" if item.get("session_id") is not None else ""


def _origin(document: Mapping[str, Any], options: RenderOptions) -> dict[str, str]:
    """Where the page comes from: what is given, else what a saved plan says itself."""
    made_by = document.get("made_by", {})
    commit = str(made_by.get("commit", ""))
    # As `git describe` says it.
    commit = options.commit or (f"{commit}-dirty" if commit and made_by.get("dirty") else commit)
    time = options.time or str(document.get("created", ""))
    job = options.job or str(made_by.get("job", ""))
    date = re.fullmatch(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)[0-9:.]*Z", time)
    return {
        "commit": visible(commit),
        "commit_short": _cut(re.sub(r"^([0-9a-f]{12})[0-9a-f]{0,52}(-dirty)?$", r"\1\2", commit), _NAME),
        "time": f"{date[1]} {date[2]} UTC" if date else _cut(time, _NAME),
        "time_exact": time if date else "",
        "job": _cut(job, _NAME),
        # Nothing else becomes a link, such as javascript: would.
        "job_link": job if re.fullmatch(r"https?://[\w.:/@%+~=&?#-]+", job) else "",
    }


# --- the list ------------------------------------------------------------------------------------------------


def _tiles(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The totals, which also act as filters. The first three are always shown."""
    summary = document["summary"]
    shown = [what for at, what in enumerate((*TO_DO, "drift", "conflict")) if at < 3 or summary[what]]
    changing = changed_by_adoption(document)
    labels = _LABELS | ({"adopt": f"adopt ({changing:,} changed by it)"} if changing else {})
    return [_tile(what, summary[what], labels.get(what, what)) for what in shown]


def _done_tiles(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The totals of drift, which also act as filters."""
    counts = Counter(action["action"] for action in document["actions"])
    tiles = [_tile(what, counts[what], words) for what, words in DONE.items() if counts[what]]
    conflicts = document["summary"]["conflict"]
    return [*tiles, *([_tile("conflict", conflicts, _LABELS["conflict"])] if conflicts else [])]


def _tile(kind: str, number: int, label: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "style": STYLES.get(kind, kind),
        "count": number,
        "number": f"{number:,}",
        "symbol": _SIGNS.get(kind, "!"),
        "label": label,
    }


def _field_filters(listed: Sequence[Change]) -> dict[str, Any]:
    """The changed fields, each with the number of its sessions, which also act as filters; the most frequent first."""
    counts: Counter[str] = Counter()
    for change in listed:
        if _edits(change):
            counts.update({str(f["path"]): len(change.members) for f in change.first["fields"]})
    shown = [
        {"path": visible(path), "label": _cut(path, _NAME), "number": f"{number:,}"}
        for path, number in counts.most_common(_FILTERS)
    ]
    more = len(counts) - len(shown)
    return {
        "shown": shown if len(counts) > 1 else [],
        "more": f"and {count(more, 'more field')}" if more else "",
    }


def _edits(change: Change) -> bool:
    """Whether its fields are those that change, and not all that a session has."""
    return change.style not in ("create", "delete") and bool(change.first["fields"])


def _most_important(every: Sequence[Change]) -> Sequence[Change]:
    """What a page lists: all, or the first :data:`ROWS` with creates last, since they take nothing away."""
    if len(every) <= ROWS:
        return every
    creates = [change for change in every if change.action == "create"]
    others = [change for change in every if change.action != "create"]
    return [*others, *creates][:ROWS]


def _unlisted(every: Sequence[Change], listed: Sequence[Change]) -> str:
    left = Counter(change.action for change in every)
    left.subtract(Counter(change.action for change in listed))
    kinds = [f"{number:,} {action}" for action, number in left.items() if number]
    return (
        f"Too many for this page, and not listed: {', '.join(kinds)}. The plan as JSON has all."
        if kinds
        else ""
    )


def _sections(listed: Sequence[Change], *, apart: bool) -> list[dict[str, Any]]:
    """The changes below their headings; with ``apart``, what was changed outside git has a heading of its own."""
    rows = list(enumerate(listed))
    outside = {index for index, change in rows if apart and change.causes and change.action != "delete"}
    found = [("Deletes", [r for r in rows if r[1].action == "delete"])]
    found.append(("Changed outside git", [r for r in rows if r[0] in outside]))
    for action, heading in _SECTIONS.items():
        found.append((heading, [r for r in rows if r[1].action == action and r[0] not in outside]))
    anchors: set[str] = set()
    return [
        {
            "heading": heading,
            "count": f"{sum(len(change.members) for _, change in members):,}",
            "rows": [_row(index, change, anchors) for index, change in members],
        }
        for heading, members in found
        if members
    ]


def _row(index: int, change: Change, anchors: set[str]) -> dict[str, Any]:
    """One row. ``anchors`` are the keys that have one so far: a key that occurs twice leads to its first row."""
    action = change.first
    members = len(change.members)
    key = visible(str(action["key"]))
    anchor = "" if members > 1 or key in anchors else key
    anchors.add(key)
    names = ", ".join(str(m["key"])[:_NAME] for m in change.members[:8]) if members > 1 else ""
    return {
        "index": index,
        "action": change.action,
        "style": change.style,
        "title": shared_title(change)[:1].upper() + shared_title(change)[1:],
        "updated": _cut(last_updated(action), _NAME) if members == 1 else "",
        "kinds": " ".join([change.action, *sorted(change.causes)]),
        "symbol": _SIGNS[change.action],
        "members": members,
        "names": _cut(names, _NAMES) + (", …" if members > 8 else ""),
        "key": _cut(str(action["key"]), _NAME),
        "anchor": anchor,
        "edits": _edits(change),
        "name": _cut(str(action["name"]), _NAME),
        "lang": language(str(action["name"])),
        "number": _number(action),
        "causes": sorted(change.causes),
        "what": _cut(_what(change), _NAMES),
    }


def _what(change: Change) -> str:
    action = change.first
    if change.action == "move":
        return " · ".join([f"moved from {action.get('from', '')}", *in_short(change)])
    if shows_reason(change) and not (change.action == "adopt" and action["fields"]):
        return reason(action)
    if change.action == "create":
        return next((text_size(str(f["after"])) for f in action["fields"] if f["path"] == "prompt"), "")
    return " · ".join(in_short(change))


# --- what is in a change -------------------------------------------------------------------------------------


def _within(page: int, listed: Sequence[Change], share: int) -> Iterator[dict[str, Any]]:
    """The changes for the script; those beyond the budget of the page without their texts."""
    page += page // 2  # for what is around the texts, so that all changes get their shares
    for change in listed:
        data = _data(change, min(share, page))
        yield data
        page = max(0, page - len(json.dumps(data, ensure_ascii=False)))


def _data(change: Change, share: int) -> dict[str, Any]:
    """One change for the script. The keys of the object are abbreviated, as in the script."""
    action = change.first
    fields = [f for f in change.fields if not (change.action == "create" and f["path"] == "name")]
    data: dict[str, Any] = {"f": [_field(change, field, share) for field in fields]}
    if change.action == "move" or shows_reason(change):
        data["r"] = visible(reason(action))
    if change.action == "move":
        moved = f"moved from {visible(str(action.get('from', '')))}"
        data["r"] = moved if action["reason"] == f"was {action.get('from')}" else f"{moved}; {data['r']}"
    if len(change.members) > 1:
        data["m"] = [
            [visible(str(m["key"])), _cut(f"{_number(m)} {last_updated(m)}".strip(), _NAME)]
            for m in change.members
        ]
    else:
        data["k"] = visible(str(action["key"]))
    return data


def _field(change: Change, field: Field, share: int) -> dict[str, Any]:
    data: dict[str, Any] = {"p": visible(str(field["path"]))}
    cause = cause_of(change.action, field)
    if cause:
        data["c"] = cause
    if cause == "released":
        return data
    if is_text(field):
        if lang := language(str(field["after" if "after" in field else "before"])):
            data["l"] = lang
        both = "before" in field and "after" in field
        return data | (_text_change(change, field, share) if both else _whole_text(field, share))
    if field.get("detail"):
        return data | {"d": [{"p": visible(str(d["path"])), **_values(d, share)} for d in field["detail"]]}
    return data | _values(field, share)


def _values(field: Field, share: int) -> dict[str, str]:
    longest = min(_VALUE, max(_NAMES, share))
    return {side[0]: _cut(quoted(field[side]), longest) for side in ("before", "after") if side in field}


def _text_change(change: Change, field: Field, share: int) -> dict[str, Any]:
    difference = text_diff(field)
    if len(change.members) > 1:
        difference = shared([text_diff(same_field(m, field)) for m in change.members])
    size, said = what_changes(change, field, difference), remarks(difference)
    return _texts(
        difference.hunks, share, size=size, said=said, headers=[hunk.header for hunk in difference.hunks]
    )


def _whole_text(field: Field, share: int) -> dict[str, Any]:
    new = "after" in field
    text = str(field["after"] if new else field["before"])
    lines = text.split("\n") if text else []
    # What is beyond the share need not be looked at: a page may be made of gigabytes.
    kept = list(
        takewhile(lambda at: at < share, accumulate((len(line) + _LINE for line in lines), initial=0))
    )
    rows = tuple(Line("+" if new else "-", (Segment(line),)) for line in lines[: len(kept)])
    hunk = Hunk(0 if new else 1, 0, 1 if new else 0, len(rows), rows)
    data = _texts([hunk], share, size=text_size(text), said=text_remarks(text), headers=[""])
    if len(rows) < len(lines):
        data["more"] = _more(len(lines) - len(rows))
    return data | {"whole": True}


def _more(lines: int) -> str:
    return f"… {count(lines, 'more line')}, too long for this page"


def _texts(
    hunks: Iterable[Hunk], share: int, *, size: str, said: Sequence[str], headers: Sequence[str]
) -> dict[str, Any]:
    """Hunks for the script, within the change's share of the page."""
    found: list[dict[str, Any]] = []
    left_out = 0
    for hunk, header in zip(hunks, headers, strict=True):
        lines: list[list[Any]] = []
        for line in hunk.lines:
            if share <= 0:
                left_out += 1
                continue
            shown = elide(
                line, equal=min(2_000, max(200, share // 8)), changed=share, longest=max(4_000, share)
            )
            share -= sum(len(s.text) for s in shown.segments) + _LINE
            lines.append([line.op, [_segment(s, shown) for s in shown.segments]])
        if lines:
            found.append({"h": header, "b": hunk.before_start, "a": hunk.after_start, "l": lines})
    data: dict[str, Any] = {"s": size, "h": found}
    if said:
        data["n"] = list(said)
    if left_out:
        data["more"] = _more(left_out)
    return data


def _segment(segment: Segment, line: Line) -> str | list[Any]:
    """Equal text as a string, marked text as ``[text]``, omitted text as ``["", number of characters]``.

    In place of the number, a string has a range of numbers. A third item says that the dots in a marked text stand for
    spaces.
    """
    if segment.skipped:
        few = segment.fewest
        return ["", segment.skipped if few is None else f"{few:,} to {segment.skipped:,}"]
    text = visible(segment.text)
    if line.op == "=" or len(line.segments) == 1 or not segment.changed:
        return text
    if " " in text and "·" not in text and (line.spaces or text.isspace()):
        return [text.replace(" ", "·"), 0, 1]
    return [text]
