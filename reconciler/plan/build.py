"""Making a plan: give every live session its place, compare those that are wanted, and list what to do."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from reconciler.model import Catalog, LiveSession, Session, Snapshot
from reconciler.plan.compare import compare, equal
from reconciler.plan.fingerprint import fingerprint, observed
from reconciler.plan.guards import refusals
from reconciler.plan.model import KINDS, MISSING, Action, ActionKind, Counts, FieldChange, Note, Plan
from reconciler.remark import was_before_us
from reconciler.tag import Identity, Tag


@dataclass(slots=True)
class _Places:
    """Every live session, by what it is to this catalog."""

    held: dict[str, list[LiveSession]] = field(default_factory=dict)  # by the key that it has or is to have
    moved: dict[int, Identity] = field(default_factory=dict)  # by session_id: the identity it has so far
    adopted: set[int] = field(default_factory=set)
    managed: int = 0
    unmanaged: list[LiveSession] = field(default_factory=list)
    foreign: int = 0
    unreadable: list[LiveSession] = field(default_factory=list)


def make_plan(
    catalog: Catalog,
    snapshot: Snapshot,
    *,
    allow_empty: bool = False,
    allow_destroy: Collection[str] = (),
) -> Plan:
    """Compare a catalog with a snapshot.

    ``allow_empty`` lets a catalog with no sessions delete all that it manages; ``allow_destroy`` are keys whose
    sessions may be deleted although they are protected. What a guard says no to is in the plan's ``refusals``,
    with all actions still listed.
    """
    places = _place(catalog, snapshot)
    notes: list[Note] = [
        Note(
            "unreadable-tag",
            f"the tag can't be read ({live.remark.unreadable}): left alone",
            None,
            live.session_id,
        )
        for live in places.unreadable
    ]
    actions: list[Action] = []
    kept: list[FieldChange] = []
    no_op = 0
    for key, lives in places.held.items():
        live = lives[0]
        if len(lives) > 1:
            reason = f"a second session with this identity; #{live.session_id} stays"
            actions += [_delete(catalog, key, extra, reason) for extra in lives[1:]]
            ids = ", ".join(f"#{one.session_id}" for one in lives)
            notes.append(
                Note("duplicate-identity", f"{len(lives)} live sessions have this identity: {ids}", key)
            )
        wanted = catalog.sessions.get(key)
        if wanted is None:
            actions.append(_leave(catalog, key, live))
            continue
        tag = live.remark.tag
        if tag and live.session_id not in places.moved and equal(wanted, live, tag):
            no_op += 1
            continue
        action = _change(catalog, wanted, live, places, notes, kept)
        if action:
            actions.append(action)
        else:
            no_op += 1
    actions += [
        _create(catalog, wanted) for key, wanted in catalog.sessions.items() if key not in places.held
    ]
    actions.sort(key=lambda action: (KINDS.index(action.kind), action.key, action.session_id or 0))
    counts = Counts(
        no_op=no_op,
        managed=places.managed,
        unmanaged=len(places.unmanaged),
        foreign=places.foreign,
        unreadable=len(places.unreadable),
        kept_conflicts=len(kept),
    )
    return Plan(
        catalog=catalog.name,
        environment=catalog.environment,
        endpoint=snapshot.endpoint,
        actions=tuple(actions),
        counts=counts,
        notes=tuple(notes),
        refusals=refusals(
            actions,
            catalog.policy,
            managed=places.managed,
            wanted=len(catalog.sessions),
            allow_empty=allow_empty,
            allow_destroy=frozenset(allow_destroy),
        ),
    )


def _place(catalog: Catalog, snapshot: Snapshot) -> _Places:
    places = _Places()
    adopt = {session_id: key for key, session_id in catalog.adopt.items()}
    moved = {identity: key for key, identity in catalog.moved.items()}
    name, environment = catalog.name, catalog.environment
    for live in snapshot:
        tag = live.remark.tag
        if tag is None:
            key = adopt.get(live.session_id)
            if live.remark.lock is not None:
                continue
            if live.remark.unreadable:
                places.unreadable.append(live)
            elif key is not None:
                places.adopted.add(live.session_id)
                places.held.setdefault(key, []).append(live)
            else:
                places.unmanaged.append(live)
            continue
        identity = tag.identity
        key = moved.get(identity) if moved else None
        if key is not None:
            places.moved[live.session_id] = identity
        elif identity.catalog == name and identity.environment == environment:
            key = identity.key
        else:
            places.foreign += 1
            continue
        places.managed += 1
        places.held.setdefault(key, []).append(live)
    return places


def _create(catalog: Catalog, wanted: Session) -> Action:
    fields = wanted.fields()
    return Action(
        kind="create",
        identity=catalog.identity(wanted.key),
        session_id=None,
        name=wanted.name,
        reason="in the catalog, not live",
        fields=tuple(FieldChange(path, MISSING, value) for path, value in fields.items()),
        managed=tuple(fields),
        protected=wanted.lifecycle.prevent_destroy,
    )


def _delete(catalog: Catalog, key: str, live: LiveSession, reason: str) -> Action:
    tag = live.remark.tag
    return Action(
        kind="delete",
        identity=catalog.identity(key),
        session_id=live.session_id,
        name=live.name,
        reason=reason,
        fields=tuple(FieldChange(path, value, MISSING) for path, value in live.fields().items()),
        protected=bool(tag and tag.protected),
        fingerprint=fingerprint(seen := observed(live)),
        against=seen,
    )


def _leave(catalog: Catalog, key: str, live: LiveSession) -> Action:
    """What happens to a live session whose key is not in the catalog."""
    return _delete(catalog, key, live, "not in the catalog any more")


def _change(
    catalog: Catalog,
    wanted: Session,
    live: LiveSession,
    places: _Places,
    notes: list[Note],
    kept: list[FieldChange],
) -> Action | None:
    """The action that makes a live session the wanted one, or None where nothing has to be written."""
    tag: Tag | None = live.remark.tag
    compared = compare(wanted, live, tag, catalog.policy.on_conflict)
    kept += compared.kept
    notes += [
        Note(
            "kept-live",
            f"{change.path} was changed in git and outside of it; the live value is kept by policy",
            wanted.key,
            live.session_id,
        )
        for change in compared.kept
    ]
    moved_from = places.moved.get(live.session_id)
    kind: ActionKind
    if tag is None:
        kind, reason = "adopt", "adopted by name in the catalog"
    elif moved_from is not None:
        kind, reason = "move", f"was {moved_from}"
    elif compared.changes:
        kind, reason = "update", _because(compared.changes)
    else:
        return None
    if tag is not None and tag.base_text is None and compared.changes:
        notes.append(
            Note(
                "two-way",
                "its tag holds no digests, so who changed what is not known",
                wanted.key,
                live.session_id,
            )
        )
    return Action(
        kind=kind,
        identity=catalog.identity(wanted.key),
        session_id=live.session_id,
        name=wanted.name,
        reason=reason,
        fields=compared.changes,
        managed=compared.managed,
        held=compared.held,
        protected=wanted.lifecycle.prevent_destroy,
        was=tag.was if tag else was_before_us(live.raw_remark),
        moved_from=moved_from,
        fingerprint=fingerprint(seen := observed(live)),
        against=seen,
    )


_REASONS = {
    "conflict": "changed in git and outside of it",
    "drift": "changed outside git",
    "git": "changed in git",
    "unknown": "differs from the catalog",
    "released": "fields no longer managed",
}


def _because(changes: tuple[FieldChange, ...]) -> str:
    causes = {change.cause for change in changes}
    return "; ".join(reason for cause, reason in _REASONS.items() if cause in causes)
