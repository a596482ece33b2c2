"""Notes on what is probably a mistake: creating a session that exists, or deleting and creating a renamed one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from reconciler.domain import Catalog, Fragment, LiveSession
from reconciler.plan.advice import adopt_line
from reconciler.plan.types import Action, Note

#: The share that the prompts of a renamed session have in common.
_NEARLY: Final = 0.9

#: Prompts are compared this far (characters), and this many pairs at most. Finding out what two texts have in common
#: takes time that grows with how many of their characters are the same: so many such pairs (some four million a
#: second, a quarter of a million for two pages of prose) are looked at in a plan, since this is only a hint.
#: How many sessions of the same name a note lists by id.
_NAMED: Final = 5

_COMPARED: Final = 2_000
_PAIRS: Final = 400
_WORK: Final = 8_000_000


def hints(catalog: Catalog, actions: Sequence[Action], unmanaged: Sequence[LiveSession]) -> list[Note]:
    """Notes on creates with the name of an unmanaged session, on keys that look renamed, and on fragments whose change
    explains the changes of prompts."""
    notes = _shared_changes(actions, catalog.fragments) if catalog.fragments else []
    creates = [action for action in actions if action.kind == "create"]
    if creates:
        deletes = [action for action in actions if action.kind == "delete"]
        notes += [*_twins(catalog, creates, unmanaged), *_renames(creates, deletes)]
    return notes


def _shared_changes(actions: Sequence[Action], fragments: Mapping[str, Fragment]) -> list[Note]:
    """Fragments that changed. Their previous texts are unknown: the wanted prompts hold them, the live ones do not."""
    changed = {
        action.key: change
        for action in actions
        for change in action.fields
        if change.path == "prompt" and isinstance(change.before, str) and isinstance(change.after, str)
    }
    notes = []
    for name, fragment in sorted(fragments.items()):
        keys = [
            key
            for key in fragment.keys & changed.keys()
            if fragment.text in changed[key].after and fragment.text not in changed[key].before
        ]
        if keys:
            count = f"{len(keys)} prompt{'' if len(keys) == 1 else 's'}"
            verb = "changes" if len(keys) == 1 else "change"
            notes.append(Note("fragment-changed", f"{count} {verb} because fragment {name} changed"))
    return notes


def _twins(catalog: Catalog, creates: Sequence[Action], unmanaged: Sequence[LiveSession]) -> list[Note]:
    by_name: dict[str, list[int]] = {}
    for live in unmanaged:
        by_name.setdefault(live.name.strip(), []).append(live.session_id)
    return [
        Note(
            "same-name",
            f"has the same name as {_numbers(ids)}, which is unmanaged: "
            "to adopt that session instead of creating one, "
            f"{adopt_line(catalog, action.key, ids[0])}",
            action.key,
        )
        for action in creates
        if (ids := by_name.get(action.name.strip()))
    ]


def _numbers(ids: Sequence[int]) -> str:
    named = ", ".join(f"#{one}" for one in ids[:_NAMED])
    return named if len(ids) <= _NAMED else f"{named} or one of {len(ids) - _NAMED} more"


def _renames(creates: Sequence[Action], deletes: Sequence[Action]) -> list[Note]:
    by_prompt = {_prompt(action): action for action in deletes}
    effort = _Effort()
    notes = []
    for create in creates:
        prompt = _prompt(create)
        found = by_prompt.get(prompt) if prompt else None
        if found is None:
            near = deletes[: max(0, effort.pairs)]
            found = next((one for one in near if effort.alike(prompt, _prompt(one))), None)
        if found is not None:
            notes.append(
                Note(
                    "maybe-renamed",
                    f"looks like {found.key}, which would be deleted with its messages. If this is a rename, add: "
                    f"moved: [{{from: {found.key}, to: {create.key}}}]",
                    create.key,
                )
            )
    return notes


def _prompt(action: Action) -> str:
    for change in action.fields:
        if change.path == "prompt":
            return str(change.after if action.kind == "create" else change.before)
    return ""


@dataclass(slots=True)
class _Effort:
    """The budget that is left for comparing prompts."""

    pairs: int = _PAIRS
    work: int = _WORK

    def alike(self, left: str, right: str) -> bool:
        """Whether two prompts are nearly the same. False when the budget is spent."""
        self.pairs -= 1
        left, right = left[:_COMPARED], right[:_COMPARED]
        if not left or not right:
            return False
        matcher = SequenceMatcher(None, left, right, autojunk=False)
        if matcher.real_quick_ratio() < _NEARLY or matcher.quick_ratio() < _NEARLY:
            return False
        self.work -= sum(count * right.count(char) for char, count in Counter(left).items())
        return self.work >= 0 and matcher.ratio() >= _NEARLY
