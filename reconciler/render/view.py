"""What reviewers see of a plan, in which order, and how it is grouped.

All renderings for people share this, so that they agree: deletes first, then what was changed outside git, then the
rest; sessions with identical differences as one change.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from reconciler.render.prompt_diff import TextDiff, changed_part, diff
from reconciler.render.shared_changes import what_is_same

Action: TypeAlias = Mapping[str, Any]
Field: TypeAlias = Mapping[str, Any]

SYMBOLS = {
    "create": "+",
    "update": "~",
    "delete": "-",
    "adopt": "=",
    "move": ">",
    "forget": "/",
    "changed": "~",
    "deleted": "-",
    "tag-removed": "/",
    "tag-altered": "/",
    "double": "+",
}

#: The actions in the order of a summary. The first three are always shown.
TO_DO = ("create", "update", "delete", "adopt", "move", "forget")

#: In place of actions, what a document about drift says was done to sessions; and how a total says it.
DONE = {
    "changed": "changed",
    "deleted": "deleted",
    "tag-removed": "without its tag",
    "tag-altered": "with an altered tag",
    "double": "live twice",
}

#: How a total says what happened to sessions that only a note names, by the kind of note.
_NOTED = {
    "adopt-gone": DONE["deleted"],
    "unreadable-tag": DONE["tag-altered"],
    "duplicate-identity": DONE["double"],
    "undecided-duplicate": DONE["double"],
    "copy": "copied",
}

#: The kinds of notes on keys that an apply does nothing about, although what is live is not what the catalog wants.
_UNDONE = ("adopt-gone", "undecided-duplicate")

#: The actions that are shown in the style of another one.
STYLES = {
    "changed": "update",
    "deleted": "delete",
    "tag-removed": "forget",
    "tag-altered": "forget",
    "double": "create",
}

#: Who changed a field, for the causes that are shown.
CAUSES = {
    "drift": "drift: changed outside git",
    "conflict": "conflict: changed in git and outside of it",
    "unknown": "not known who changed it",
    "adopted": "taken over: becomes what git says",
    "released": "no longer managed, keeps its value",
    "renewed": "kept in another form, sent again",
}

#: A one-line string longer than this is shown as lines, not as a value.
LONG = 80
# Differences with more changed characters than this are compared by their text, not by their hunks.
_EXACT = 100_000


@dataclass(frozen=True, slots=True)
class Change:
    """One or more sessions with the same change. Updates, adoptions and drift of fields are grouped."""

    members: Sequence[Action]

    @property
    def first(self) -> Action:
        """The session that represents all of them."""
        return self.members[0]

    @property
    def action(self) -> str:
        """create, update, …, or one of :data:`DONE`."""
        return str(self.first["action"])

    @property
    def fields(self) -> list[Field]:
        """What changes: first the model, and last the texts, which take many rows."""
        return sorted(self.first["fields"], key=lambda field: (field["path"] != "model", is_text(field)))

    @property
    def style(self) -> str:
        """The action whose style it is shown in."""
        return STYLES.get(self.action, self.action)

    @property
    def causes(self) -> set[str]:
        """The causes of its fields that are shown: drift and conflict. Among drift, drift is not said again."""
        if self.action in DONE:
            return {"conflict"} & {str(f.get("cause")) for f in self.first["fields"]}
        found = {str(f["cause"]) for f in self.first["fields"] if f.get("cause") in ("drift", "conflict")}
        return found | {"drift"} if self.first.get("drift") and not found else found


def shows_reason(change: Change) -> bool:
    """Whether a change needs its reason beside it, since its fields do not say it."""
    return change.action in ("delete", "forget", "adopt") or "outside" in change.first


def reason(action: Action) -> str:
    """Why a session is changed; and of one to delete, how many messages are deleted with it."""
    why = str(action["reason"])
    if "messages" not in action:
        return why
    messages = action["messages"]
    if messages is None:
        return f"{why}; its messages were not counted"
    if not messages:
        return f"{why}; it has no messages"
    return f"{why}; its {count(messages, 'message')} {'is' if messages == 1 else 'are'} deleted too"


def shared_reason(actions: Sequence[Action]) -> str:
    """The reason of all of several actions, so that it is said once; empty if they do not share one."""
    reasons = {str(action["reason"]) for action in actions}
    return reasons.pop() if len(actions) > 1 and len(reasons) == 1 else ""


def about_drift(document: Mapping[str, Any]) -> bool:
    """Whether a document tells what was done outside git, and not what an apply would do."""
    return document.get("about") == "drift"


def last_updated(action: Action) -> str:
    """When the service says that a session was last updated; empty if it is not known."""
    return f"last updated {action['updated_at']}" if action.get("updated_at") else ""


_GROUPED = ("update", "adopt", "changed")


def shared_title(change: Change) -> str:
    """What several sessions share: ``the same change in 3 sessions``."""
    number = count(len(change.members), "session")
    if change.action == "adopt" and not change.first["fields"]:
        return f"{number} adopted as they are"
    return f"the same change in {number}"


def changes(document: Mapping[str, Any], *, grouped: bool = True) -> list[Change]:
    """The plan's actions in the order of review, identical ones together when ``grouped``."""
    groups: dict[Any, list[Action]] = {}
    for at, whole in enumerate(document["actions"]):
        action = _moved_within(document, whole)
        together = grouped and action["action"] in _GROUPED and "outside" not in action
        groups.setdefault(_signature(action) if together else at, []).append(action)
    found = [Change(sorted(members, key=_by_key)) for members in groups.values()]
    return sorted(found, key=lambda change: (_rank(change), _by_key(change.first)))


def _moved_within(document: Mapping[str, Any], action: Action) -> Action:
    """A move within the catalog and environment of the plan names the previous key alone."""
    before, environment = str(action.get("from", "")), document.get("environment")
    scope = f"{document['catalog']}@{environment}/" if environment else f"{document['catalog']}/"
    key = before.removeprefix(scope)
    if key in (before, action["key"]):  # the same key: another catalog of this name
        return action
    why = str(action["reason"])
    return {**action, "from": key, "reason": f"was {key}" if why == f"was {before}" else why}


def _rank(change: Change) -> int:
    if change.style == "delete":
        return 0
    if change.causes:
        return 1
    fields = change.first["fields"]
    # Another model changes every answer of a persona.
    if change.action == "update" and any(field["path"] == "model" for field in fields):
        return 2
    return 4 if change.action == "adopt" and not fields else 3


_DIGITS = re.compile(r"([0-9]+)")


def _by_key(action: Action) -> tuple[tuple[int, int, str], ...]:
    """Sorts keys as people do: p2 before p10."""
    parts = _DIGITS.split(str(action["key"])[:200])
    return tuple((0, int(part), part) if at % 2 else (1, 0, part) for at, part in enumerate(parts) if part)


def _signature(action: Action) -> tuple[Any, ...]:
    fields = tuple(sorted(_field_signature(f) for f in action["fields"]))
    return action["action"], bool(action.get("drift")), fields


def _field_signature(field: Field) -> tuple[str, str, str]:
    before, after = field.get("before"), field.get("after")
    if is_text(field) and isinstance(before, str) and isinstance(after, str):
        part = changed_part(before, after)
        if len(part[0]) + len(part[1]) <= _EXACT:
            what = repr([what_is_same(hunk) for hunk in diff(before, after, mark=False).hunks])
        else:
            what = repr(part)
    else:
        what = json.dumps([field.get(side, {"absent": side}) for side in ("before", "after")], sort_keys=True)
    # A digest, to avoid holding the texts of thousands of prompts twice.
    digest = hashlib.blake2b(what.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return str(field["path"]), str(field.get("cause")), digest


def is_text(field: Field) -> bool:
    """Whether a field is shown as lines: a prompt, or another multi-line or long string."""
    values = [field[side] for side in ("before", "after") if side in field]
    if not values or not all(isinstance(v, str) for v in values):
        return False
    return field["path"] == "prompt" or any("\n" in v or len(v) > LONG for v in values)


def text_diff(field: Field) -> TextDiff:
    """The difference of a field for which :func:`is_text` is true."""
    return diff(field.get("before", ""), field.get("after", ""))


def same_field(action: Action, field: Field) -> Field:
    """The field of this path in another session of the same change."""
    return next(f for f in action["fields"] if f["path"] == field["path"])


def cause_of(kind: str, field: Field) -> str:
    """Why a field changes, as a key of :data:`CAUSES`; empty if there is no reason to show. A session that is
    adopted has no tag, so nobody can know who changed it, and it does not matter."""
    cause = str(field.get("cause"))
    if cause not in CAUSES or kind == "create" or (kind in DONE and cause == "drift"):
        return ""
    return "adopted" if kind == "adopt" and cause == "unknown" else cause


def count(number: int, one: str, many: str = "") -> str:
    """``1 line``, ``1,200 lines``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def text_size(text: str) -> str:
    """The size of a text: ``41 lines, about 300 tokens``."""
    from reconciler.text.tokens import estimate_tokens

    if not text:
        return "empty"
    return f"{count(text.count(chr(10)) + 1, 'line')}, about {count(estimate_tokens(text), 'token')}"


def totals(document: Mapping[str, Any]) -> str:
    """``1 to create, 2 to update, 1 to delete``, and the other actions if there are any; of drift, ``2 sessions
    changed, 1 deleted, 1 copied``."""
    if about_drift(document):
        return _done(document)
    summary = document["summary"]
    parts = [f"{summary[what]:,} to {what}" for at, what in enumerate(TO_DO) if at < 3 or summary[what]]
    if changing := changed_by_adoption(document):
        at = next(at for at, part in enumerate(parts) if part.endswith(" to adopt"))
        parts[at] += f" ({changing:,} changed by it)"
    return ", ".join(parts)


def changed_by_adoption(document: Mapping[str, Any]) -> int:
    """How many adoptions change a field of their session."""
    return sum(action["action"] == "adopt" and bool(action["fields"]) for action in document["actions"])


def _done(document: Mapping[str, Any]) -> str:
    counts = Counter(DONE[action["action"]] for action in document["actions"])
    counts.update(_NOTED[note["kind"]] for note in document["notes"] if note.get("drift"))
    first, *rest = [what for what in (*DONE.values(), _NOTED["copy"]) if counts[what]]
    return ", ".join(
        [f"{count(counts[first], 'session')} {first}", *(f"{counts[what]:,} {what}" for what in rest)]
    )


def outside_git(document: Mapping[str, Any]) -> str:
    """How many sessions have drift or conflicts; empty if none."""
    summary = document["summary"]
    parts = []
    if summary["drift"] and not about_drift(document):
        parts.append(f"{count(summary['drift'], 'session')} changed outside git")
    if summary["conflict"]:
        parts.append(f"{count(summary['conflict'], 'session')} in conflict")
    return ", ".join(parts)


def left_alone(summary: Mapping[str, int]) -> str:
    """``12 unmanaged, 3 of other environments, 2 of other catalogs``; empty if none."""
    parts = []
    if summary["unmanaged"]:
        parts.append(f"{summary['unmanaged']:,} unmanaged")
    siblings = summary.get("other_environments", 0)
    if siblings:
        parts.append(f"{siblings:,} of other environments")
    if summary["foreign"] > siblings:
        parts.append(f"{summary['foreign'] - siblings:,} of other catalogs")
    if summary["unreadable"]:
        parts.append(f"{summary['unreadable']:,} with an unreadable tag")
    if summary.get("copies"):
        parts.append(count(summary["copies"], "copy", "copies"))
    if summary.get("not_looked_at"):
        parts.append(f"{summary['not_looked_at']:,} not looked at")
    return ", ".join(parts)


def kept_otherwise(summary: Mapping[str, int]) -> str:
    """``2 fields are kept in another form: apply --renew sends them again``; empty if none."""
    rewritten = summary.get("rewritten", 0)
    if not rewritten:
        return ""
    are, them = ("is", "it") if rewritten == 1 else ("are", "them")
    return f"{count(rewritten, 'field')} {are} kept in another form: apply --renew sends {them} again"


def title(document: Mapping[str, Any]) -> tuple[str, str, str]:
    """Catalog, environment (empty if there is none) and endpoint, unescaped."""
    return str(document["catalog"]), str(document["environment"] or ""), str(document["endpoint"])


def beginning(document: Mapping[str, Any]) -> str:
    """What the document is, as the beginning of its heading: ``Plan for catalog``, ``Drift: catalog``."""
    return "Drift: catalog" if about_drift(document) else "Plan for catalog"


def nothing(document: Mapping[str, Any]) -> tuple[str, str]:
    """The two sentences for a document without actions."""
    if about_drift(document):
        happened = document["summary"]["drift"]
        return f"Drift: {totals(document)}." if happened else "No drift.", calm(document)
    return "Nothing to apply." if _undone(document) else "No changes.", calm(document)


def _undone(document: Mapping[str, Any]) -> int:
    """How many keys an apply does nothing about, although what is live is not what the catalog wants."""
    return sum(note["kind"] in _UNDONE for note in document["notes"])


_CALM = {
    "drift": "Nothing was changed outside git.",
    "environments": "The two environments are the same.",
    "part": "There is nothing to do.",
}


def calm(document: Mapping[str, Any]) -> str:
    """The message for a plan without actions. It never claims more than the plan covers."""
    if document["refusals"]:
        return "The plan is refused."
    if about_drift(document) and document["summary"]["drift"]:
        return "The notes say what was changed outside git."
    left = 0 if about_drift(document) else _undone(document)
    if left:
        return f"{count(left, 'session')} of the catalog {'is' if left == 1 else 'are'} left undone: see the notes."
    return _CALM.get(document.get("about", ""), "The live list matches the catalog.")


def used_symbols(document: Mapping[str, Any]) -> Iterable[str]:
    """The actions that occur, in the order of the legend."""
    found = {action["action"] for action in document["actions"]}
    return [action for action in (*TO_DO, *DONE) if action in found]
