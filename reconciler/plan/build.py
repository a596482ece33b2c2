"""Make a plan: assign every live session to a key, compare it with what is wanted, and list what to do."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from reconciler.domain import Catalog, LiveSession, Session, Snapshot
from reconciler.ownership.remark import was_before
from reconciler.ownership.reserved import reserved_kind
from reconciler.ownership.tag import Identity
from reconciler.plan.canaries import canary_notes
from reconciler.plan.capabilities import dropped_digests, missing_capabilities
from reconciler.plan.compare import Comparison, compare, equal
from reconciler.plan.fingerprint import fingerprint, observed
from reconciler.plan.guards import refusals
from reconciler.plan.hints import hints
from reconciler.plan.types import (
    KINDS,
    Action,
    ActionKind,
    Counts,
    FieldChange,
    Note,
    Plan,
    Refusal,
    Selection,
)
from reconciler.values import MISSING


@dataclass(slots=True)
class _Places:
    """Every live session, by its relation to this catalog."""

    held: dict[str, list[LiveSession]] = field(default_factory=dict)  # by the key that it has or will have
    moved: dict[int, Identity] = field(default_factory=dict)  # by session_id: its current identity
    leaving: list[LiveSession] = field(default_factory=list)  # handed over or forgotten
    managed: int = 0
    unmanaged: list[LiveSession] = field(default_factory=list)
    foreign: int = 0
    unreadable: list[LiveSession] = field(default_factory=list)

    def leave_out(self, keys: Collection[str]) -> set[str]:
        """Forget the sessions whose keys are not among these; returns theirs."""
        leaving = {live.session_id: _key(live) for live in self.leaving}
        out = self.held.keys() | {*leaving.values()}
        self.held = {key: lives for key, lives in self.held.items() if key in keys}
        self.leaving = [live for live in self.leaving if leaving[live.session_id] in keys]
        return out.difference(keys)


@dataclass(slots=True)
class _Draft:
    """A plan before its guards: what would be done, what to know of it, and what can't be done at all."""

    actions: list[Action] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    no_op: int = 0

    def select(self, only: Selection) -> None:
        """Drop what is not about the selected sessions."""
        kinds = KINDS if only.kind is None else (only.kind,)
        self.actions = [one for one in self.actions if one.kind in kinds and one.key in only.keys]
        self.notes = [note for note in self.notes if note.key in only.keys]
        self.refusals = [one for one in self.refusals if one.key in only.keys]


def make_plan(
    catalog: Catalog,
    snapshot: Snapshot,
    *,
    allow_empty: bool = False,
    allow_destroy: Collection[str] = (),
    only: Selection | None = None,
) -> Plan:
    """Compare a catalog with a snapshot.

    ``allow_empty`` lets a catalog with no sessions delete all that it manages; ``allow_destroy`` are keys whose
    sessions may be deleted although they are protected. ``only`` restricts the plan to some keys, and to one kind of
    action if it names one; the guards then judge these actions alone. What a guard refuses is in the plan's
    ``refusals``, and all actions are still listed.
    """
    catalog = _as_kept(catalog, snapshot)
    places = _place(catalog, snapshot)
    wanted, out = catalog.sessions, set[str]()
    if only is not None and only.kind is None:
        out = places.leave_out(only.keys) | (wanted.keys() - only.keys)
        catalog = replace(catalog, sessions={key: one for key, one in wanted.items() if key in only.keys})
    draft = _compare_all(catalog, places)
    if only is not None:
        draft.select(only)
    actions = sorted(
        draft.actions, key=lambda action: (KINDS.index(action.kind), action.key, action.session_id or 0)
    )
    guarded = refusals(
        actions,
        catalog.policy,
        managed=places.managed,
        wanted=len(wanted),
        allow_empty=allow_empty,
        allow_destroy=frozenset(allow_destroy),
    )
    return Plan(
        catalog=catalog.name,
        environment=catalog.environment,
        endpoint=snapshot.endpoint,
        actions=tuple(actions),
        counts=Counts(
            no_op=draft.no_op,
            managed=places.managed,
            unmanaged=len(places.unmanaged) + snapshot.left_out.unmanaged,
            foreign=places.foreign + snapshot.left_out.foreign,
            unreadable=len(places.unreadable),
            not_looked_at=len(out),
        ),
        notes=(
            *draft.notes,
            *dropped_digests(actions, snapshot),
            *canary_notes(actions, snapshot.contract, catalog.policy.canary, snapshot.endpoint),
            *hints(actions, places.unmanaged, catalog.fragments),
        ),
        refusals=(*draft.refusals, *guarded, *missing_capabilities(actions, snapshot)),
        about=None if only is None else "part",
        lock=catalog.policy.lock,
        canary=catalog.policy.canary,
        listing=snapshot.listing,
    )


def _key(live: LiveSession) -> str:
    """The key in the tag of a managed session."""
    assert live.remark.tag is not None
    return live.remark.tag.identity.key


def _compare_all(catalog: Catalog, places: _Places) -> _Draft:
    draft = _Draft()
    for live in places.unreadable:
        message = f"the tag can't be read ({live.remark.unreadable}): left alone"
        draft.notes.append(Note("unreadable-tag", message, None, live.session_id))
    draft.refusals, unclear = _unclear(catalog, places)
    draft.actions += [_leave(catalog, live) for live in places.leaving]
    for key, lives in places.held.items():
        if key not in unclear:
            _compare_key(catalog, places, key, lives, draft)
    known = places.held.keys() | unclear
    draft.actions += [
        _create(catalog, wanted) for key, wanted in catalog.sessions.items() if key not in known
    ]
    return draft


def _compare_key(
    catalog: Catalog, places: _Places, key: str, lives: list[LiveSession], draft: _Draft
) -> None:
    """Compare the live sessions of one key with what is wanted under it; the first of them is the one that stays."""
    live = lives[0]
    wanted = catalog.sessions.get(key)
    if len(lives) > 1:
        ids = ", ".join(f"#{one.session_id}" for one in lives)
        message = f"{len(lives)} live sessions have this identity: {ids}"
        draft.notes.append(Note("duplicate-identity", message, key))
    if wanted is None:
        draft.actions += [_delete(catalog, key, one, "not in the catalog any more") for one in lives]
        return
    draft.actions += [_delete_extra(catalog, key, extra, live) for extra in lives[1:]]
    tag = live.remark.tag
    if tag and live.session_id not in places.moved and equal(wanted, live, tag):
        draft.no_op += 1
        return
    compared = compare(wanted, live, tag, catalog.policy.on_conflict)
    draft.notes += _notes(wanted, live, compared)
    action = _change(catalog, wanted, live, compared, places.moved.get(live.session_id))
    if action:
        draft.actions.append(action)
    else:
        draft.no_op += 1


def _as_kept(catalog: Catalog, snapshot: Snapshot) -> Catalog:
    """The catalog as the service can store it: if that trims prompts, the wanted prompts are trimmed, too."""
    contract = snapshot.contract
    if contract is None or contract.service.prompt_ends != "both":
        return catalog
    sessions = {
        key: replace(wanted, prompt=wanted.prompt.strip()) if wanted.prompt[:1].isspace() else wanted
        for key, wanted in catalog.sessions.items()
    }
    return replace(catalog, sessions=sessions)


def _place(catalog: Catalog, snapshot: Snapshot) -> _Places:
    places = _Places()
    name, environment = catalog.name, catalog.environment
    # An unmanaged session can only be adopted under a key that the catalog has.
    adopt = {session_id: key for key, session_id in catalog.adopt.items() if key in catalog.sessions}
    moved = {
        identity: key
        for key, identity in catalog.moved.items()
        if key in catalog.sessions or (identity.catalog == name and identity.environment == environment)
    }
    for live in snapshot:
        tag = live.remark.tag
        if tag is None:
            if reserved_kind(live) is not None:
                continue
            if live.remark.unreadable:
                places.unreadable.append(live)
            elif live.session_id in adopt:
                places.held.setdefault(adopt[live.session_id], []).append(live)
            else:
                places.unmanaged.append(live)
            continue
        identity = tag.identity
        if moved and identity in moved:
            key = moved[identity]
            places.moved[live.session_id] = identity
        elif identity.catalog == name and identity.environment == environment:
            key = identity.key
        else:
            places.foreign += 1
            continue
        places.managed += 1
        if key in catalog.forgotten or key in catalog.handed_over:
            places.leaving.append(live)
        else:
            places.held.setdefault(key, []).append(live)
    return places


def _unclear(catalog: Catalog, places: _Places) -> tuple[list[Refusal], set[str]]:
    """Refusals for keys that two sessions would have, and for adoptions that are not possible; and all these keys.

    A rule decides which of two sessions stays only if both already carry the same identity.
    """
    found = []
    unclear = set()
    for key, lives in places.held.items():
        joining = [live for live in lives if live.session_id in places.moved or live.remark.tag is None]
        if joining and len(lives) > 1:
            ids = " and ".join(f"#{live.session_id}" for live in lives)
            unclear.add(key)
            found.append(
                Refusal(
                    "identity",
                    f"{key} would be {ids} at once, after an adoption or a move",
                    f"remove the adopt or moved entry of {key} from the catalog",
                    key,
                )
            )
    there = {live.session_id for live in places.unmanaged}
    there |= {live.session_id for lives in places.held.values() for live in lives}
    leaving = {live.session_id for live in places.leaving}
    for key, session_id in catalog.adopt.items():
        if session_id in leaving:
            found.append(
                Refusal(
                    "adopt",
                    f"{key} is to adopt #{session_id}, which this plan stops managing",
                    f"remove the adopt entry of {key} from the catalog until this plan is applied",
                    key,
                )
            )
            unclear.add(key)
        elif session_id not in there and key not in places.held:
            found.append(
                Refusal(
                    "adopt",
                    f"{key} is to adopt #{session_id}, which is not live, or is managed by another catalog",
                    f"remove the adopt entry of {key} from the catalog, or correct the number",
                    key,
                )
            )
            unclear.add(key)
    return found, unclear


def _leave(catalog: Catalog, live: LiveSession) -> Action:
    """The action that stops managing a session, or hands it over."""
    tag = live.remark.tag
    assert tag is not None
    seen = observed(live)
    to = catalog.handed_over.get(tag.identity.key)
    return Action(
        kind="forget" if to is None else "move",
        identity=to or tag.identity,
        session_id=live.session_id,
        name=live.name,
        reason="listed under forgotten: it stays live, unmanaged" if to is None else f"handed over to {to}",
        protected=tag.protected,
        was=tag.was,
        moved_from=None if to is None else tag.identity,
        fingerprint=fingerprint(seen),
        against=seen,
    )


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


def _delete_extra(catalog: Catalog, key: str, extra: LiveSession, keeper: LiveSession) -> Action:
    reason = f"a second session with this identity; #{keeper.session_id} stays"
    return replace(_delete(catalog, key, extra, reason), keeper=keeper.session_id)


def _notes(wanted: Session, live: LiveSession, compared: Comparison) -> list[Note]:
    """What a reviewer should know about one session's comparison."""
    notes = [
        Note(
            "kept-live",
            f"{change.path} was changed in git and outside of it; the live value is kept by policy",
            wanted.key,
            live.session_id,
        )
        for change in compared.kept
    ]
    tag = live.remark.tag
    if tag is not None and tag.base_text is None and compared.changes:
        message = "its tag holds no digests, so it is unknown who changed what"
        notes.append(Note("two-way", message, wanted.key, live.session_id))
    return notes


def _change(
    catalog: Catalog,
    wanted: Session,
    live: LiveSession,
    compared: Comparison,
    moved_from: Identity | None,
) -> Action | None:
    """The action that changes a live session to the wanted one, or None if nothing has to be written."""
    tag = live.remark.tag
    kind: ActionKind
    if tag is None:
        kind, reason = "adopt", "adopted: it becomes managed, with its messages"
    elif moved_from is not None:
        kind, reason = "move", f"was {moved_from}"
    elif compared.changes:
        kind, reason = "update", _because(compared.changes)
    else:
        return None
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
        was=was_before(live.raw_remark, live.remark, rewriting=_rewrites_remark(compared)),
        moved_from=moved_from,
        fingerprint=fingerprint(seen := observed(live)),
        against=seen,
    )


def _rewrites_remark(compared: Comparison) -> bool:
    return any(
        change.path.startswith("remark.") and change.cause != "released" for change in compared.changes
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
