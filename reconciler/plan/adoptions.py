"""Check the ``adopt`` lines of a catalog: the session can be adopted, is ours already, is another's, or is gone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from reconciler.domain import Catalog, LiveSession, Snapshot
from reconciler.ownership.reserved import reserved_kind
from reconciler.plan.types import GONE, Note, Refusal
from reconciler.text.paste import command

#: How many keys a note names.
_NAMED: Final = 5


@dataclass(slots=True)
class Adoptions:
    """Refusals and notes on the ``adopt`` lines. A plan leaves the ``unclear`` keys alone."""

    refusals: list[Refusal] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    unclear: set[str] = field(default_factory=set)


def done_adoptions(catalog: Catalog, held: Mapping[str, Sequence[LiveSession]]) -> list[str]:
    """The keys whose ``adopt`` line is done, sorted: they have a managed session.

    ``held`` are the live sessions by key.
    """
    return sorted(
        key
        for key, session_id in catalog.adopt.items()
        if (lives := held.get(key))
        and all(live.remark.tag is not None and not live.is_copy for live in lives)
        and not any(
            live.session_id == session_id for other, others in held.items() if other != key for live in others
        )
    )


def gone_adoptions(
    catalog: Catalog, held: Mapping[str, Sequence[LiveSession]], live: Collection[int]
) -> list[Note]:
    """A note on each ``adopt`` line whose session is not ``live``, if its key has no other session."""
    return [
        Note(
            GONE,
            f"is to adopt #{session_id}, which is not live, so nothing is done about {key}: remove its adopt line to "
            "create it, or correct the number",
            key,
            session_id,
        )
        for key, session_id in catalog.adopt.items()
        if session_id not in live and key not in held
    ]


def check_adoptions(
    catalog: Catalog, snapshot: Snapshot, held: Mapping[str, Sequence[LiveSession]], leaving: Collection[int]
) -> Adoptions:
    """Report for each ``adopt`` line what prevents it, or that it is done.

    ``held`` are the live sessions by the key that they have or will have, ``leaving`` the ids of those that the plan
    stops managing.
    """
    if not catalog.adopt:
        return Adoptions()
    lives = {live.session_id: live for live in snapshot}
    found = Adoptions(notes=gone_adoptions(catalog, held, lives.keys()))
    keys = {live.session_id: key for key, those in held.items() for live in those}
    for key, session_id in catalog.adopt.items():
        live = lives.get(session_id)
        if session_id in leaving:
            message = f"{key} is to adopt #{session_id}, which this plan stops managing"
            remedy = f"remove the adopt entry of {key} from the catalog until this plan is applied"
        elif key in held:
            continue  # it is live, or becomes so, or two sessions would have the key
        elif live is None:
            found.unclear.add(key)
            continue
        elif session_id in keys:
            message = f"{key} is to adopt #{session_id}, which is {keys[session_id]} of this catalog already"
            remedy = f"write moved: [{{from: {keys[session_id]}, to: {key}}}] instead of the adopt entry"
        else:
            whose = _whose(live)
            if not whose:
                continue
            message = f"{key} is to adopt #{session_id}, {whose}"
            remedy = f"remove the adopt entry of {key} from the catalog, or correct the number"
        found.refusals.append(Refusal("adopt", message, remedy, key))
        found.unclear.add(key)
    done = done_adoptions(catalog, held)
    if done:
        named = ", ".join(f"`adopt: {catalog.adopt[key]}` of {key}" for key in done[:_NAMED])
        more = f" and {len(done) - _NAMED} more" if len(done) > _NAMED else ""
        verb = "is" if len(done) == 1 else "are"
        tidy = command("adopt", "--tidy", environment=catalog.environment)
        found.notes.append(Note("adopted", f"{named}{more} {verb} done: remove with {tidy}"))
    return found


def _whose(live: LiveSession) -> str:
    tag = live.remark.tag
    if tag is not None:
        return f"which belongs to {tag.identity}"
    if live.remark.unreadable:
        return f"whose tag can't be read ({live.remark.unreadable})"
    kind = reserved_kind(live)
    return f"which is a {kind} of reconciler's" if kind else ""
