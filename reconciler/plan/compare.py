"""Compare one session field by field, three ways: wanted, live, and as last written (*base*).

==================  ====================  ===================  ==========================================
wanted and live     live and base         wanted and base      outcome
==================  ====================  ===================  ==========================================
same                any                   any                  nothing
differ              same                  differ               changed in git: update
differ              differ                same                 drift, changed outside git: update back
differ              differ                differ               conflict: as ``policy.on_conflict`` says
differ              field not in base                          changed in git: it is managed from now on
not wanted          in base                                    released: the value stays, the tag drops it
not wanted          not in base                                nothing: it belongs to others
differ              same, stored          same                 nothing: the service keeps it in another form
==================  ====================  ===================  ==========================================

A key of ``data`` or ``remark`` that comes back in another Unicode normal form is the same key.

If the tag holds no digests, there is no base, and the cause of a difference is unknown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from reconciler.domain import LiveSession, OnConflict, Session
from reconciler.ownership.tag import Base, Tag, field_code
from reconciler.plan.types import PROTECTION, Cause, Detail, FieldChange
from reconciler.values import DIGEST_LENGTH, MISSING, key_as_kept, same

#: Nested values longer than this (in characters of JSON) are shown in full instead of explained, since finding out
#: where they differ takes superlinear time.
EXPLAINED: Final = 20_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result for one session. ``kept`` are conflicts in which the live value stays, ``rewritten`` the fields that
    the service keeps in another form than they were sent, or not at all."""

    changes: tuple[FieldChange, ...]
    managed: tuple[str, ...]
    held: tuple[str, ...]
    kept: tuple[FieldChange, ...] = ()
    rewritten: tuple[str, ...] = ()


def equal(wanted: Session, live: LiveSession, tag: Tag) -> bool:
    """A quick check for the session that needs no change.

    True only if a full comparison would find no change. False means that a full comparison is needed.
    """
    if (
        wanted.prompt != live.prompt
        or wanted.name != live.name
        or wanted.model != live.model
        or wanted.lifecycle.prevent_destroy is not tag.protected
    ):
        return False
    for group, found in (
        (wanted.parameters, live.parameters),
        (wanted.data, live.data),
        (wanted.remark, live.remark.keys),
    ):
        for key, value in group.items():
            if key not in found or not same(value, found[key]):
                return False
    if tag.base_text is None:
        return True
    if wanted.data or wanted.remark or "." in tag.base_text or "~" in tag.base_text:
        base = tag.base
        return base is None or not _released(base, wanted.fields(), live.fields())
    return _vouches_only_for(tag.base_text[:: DIGEST_LENGTH + 1], tuple(wanted.parameters))


@lru_cache(maxsize=1024)
def _vouches_only_for(codes: str, parameters: tuple[str, ...]) -> bool:
    """Whether a tag with these field codes has nothing to release."""
    wanted = {"n", "m", "p", *(field_code(f"parameters.{name}") for name in parameters)}
    return wanted.issuperset(codes)


def compare(
    wanted: Session, live: LiveSession, tag: Tag | None, on_conflict: OnConflict, *, renew: bool = False
) -> Comparison:
    """The full comparison of one wanted session with the live one.

    ``tag`` is None for an unmanaged session. With ``renew``, what the service keeps in another form is sent again.
    """
    base = tag.base if tag else None
    found = live.fields()
    changes: list[FieldChange] = []
    kept: list[FieldChange] = []
    managed: list[str] = []
    held: list[str] = []
    rewritten: list[str] = []
    fields = wanted.fields()
    for path, after in fields.items():
        if wanted.lifecycle.ignores(path):
            held.append(path)
            continue
        before = found.get(path, MISSING)
        if before is not MISSING and same(after, before):
            managed.append(path)
            continue
        if before is MISSING and (other := key_as_kept(path, found, fields)):
            before = found[other]
        known = same(after, before) or (base is not None and base.known_rewrite(path, after, before))
        if known and not renew:
            held.append(path)  # the digests stay: of what was sent, and of what the server stored
            rewritten.append(path)
            continue
        cause = "renewed" if known else _cause(path, after, before, base)
        change = FieldChange(path, before, after, cause, explain(before, after))
        if cause == "conflict" and on_conflict == "keep-live":
            kept.append(change)
            held.append(path)
        else:
            changes.append(change)
            managed.append(path)
    if base:
        changes += _released(base, fields, found)
    if tag is not None and wanted.lifecycle.prevent_destroy is not tag.protected:
        changes.append(FieldChange(PROTECTION, tag.protected, wanted.lifecycle.prevent_destroy, "git"))
    return Comparison(tuple(changes), tuple(managed), tuple(held), tuple(kept), tuple(rewritten))


def _cause(path: str, after: Any, before: Any, base: Base | None) -> Cause:
    if base is None:
        return "unknown"
    if not base.knows(path):
        return "git"
    if base.left(path, before):
        return "git"
    return "drift" if base.wrote(path, after) else "conflict"


def _released(base: Base, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[FieldChange]:
    codes = {field_code(path) for path in wanted}
    if base.written.keys() <= codes:
        return []
    return [
        FieldChange(path, value, value, "released")
        for path, value in found.items()
        if path not in wanted and base.knows(path)
    ]


def explain(before: Any, after: Any) -> tuple[Detail, ...]:
    """Where two nested values differ. Empty for plain values, which need no explanation."""
    if not (isinstance(before, list | dict) and type(before) is type(after)):
        return ()
    if len(json.dumps(before)) + len(json.dumps(after)) > EXPLAINED:
        return ()
    from deepdiff import DeepDiff

    # The tree view has every leaf that was added, removed or changed, with its path and both values. Without the
    # threshold, two mappings with few keys in common would be one change.
    tree = DeepDiff(before, after, view="tree", threshold_to_diff_deeper=0)
    details = []
    for group in tree.values():
        for level in group:
            left = MISSING if type(level.t1).__name__ == "NotPresent" else level.t1
            right = MISSING if type(level.t2).__name__ == "NotPresent" else level.t2
            if left is not MISSING and right is not MISSING and same(left, right):
                continue
            details.append(Detail(_steps(level.path(output_format="list")), left, right))
    return tuple(sorted(details, key=lambda detail: detail.path))


def _steps(path: list[Any]) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else (f".{step}" if text else str(step))
    return text
