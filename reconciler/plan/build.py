"""Make a plan: assign every live session to a key, compare it with what is wanted, and list what to do."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from reconciler.domain import Catalog, LiveSession, Session, Snapshot, Written
from reconciler.ownership.remark import was_before
from reconciler.plan.adoptions import check_adoptions
from reconciler.plan.canaries import canary_notes
from reconciler.plan.capabilities import dropped_digests, missing_capabilities
from reconciler.plan.compare import Comparison, compare, equal
from reconciler.plan.duplicates import resolve
from reconciler.plan.fingerprint import fingerprint, observed
from reconciler.plan.guards import refusals
from reconciler.plan.hints import hints
from reconciler.plan.moves import move_notes
from reconciler.plan.placing import (
    Places,
    another_catalog,
    copy_notes,
    orphan_refusals,
    place,
    taken,
    unclear,
)
from reconciler.plan.renamed import find_renamed, recreate_refusals, rename_notes
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
from reconciler.plan.unreadable import standing_in_the_way
from reconciler.text.paste import command
from reconciler.values import MISSING

#: How many sessions a note names.
_NAMED = 5


@dataclass(slots=True)
class _Draft:
    """A plan before its guards: actions, notes, and what can't be done."""

    actions: list[Action] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    no_op: int = 0
    rewritten: int = 0

    def select(self, only: Selection) -> None:
        """Drop what does not concern the selected sessions."""
        kinds = KINDS if only.kind is None else (only.kind,)
        self.actions = [one for one in self.actions if one.kind in kinds and one.key in only.keys]
        # The copies of a session that gets another key still have the old one.
        former = {one.moved_from.key for one in self.actions if one.moved_from is not None}
        self.notes = [
            note
            for note in self.notes
            if note.key in only.keys or (note.kind == "copy" and note.key in former)
        ]
        self.refusals = [one for one in self.refusals if one.key in only.keys]


def make_plan(
    catalog: Catalog,
    snapshot: Snapshot,
    *,
    allow_empty: bool = False,
    allow_recreate: bool = False,
    allow_destroy: Collection[str] = (),
    only: Selection | None = None,
    renew: bool = False,
    written: Written | None = None,
) -> Plan:
    """Compare a catalog with a snapshot.

    ``allow_empty`` lets a catalog with no sessions delete all that it manages; ``allow_recreate`` lets it create what
    is live under the name of another catalog or environment; ``allow_destroy`` are keys whose sessions may be deleted
    although they are protected. ``only`` restricts the plan to some keys, and to one kind of action if it names one;
    the guards then judge these actions alone. With ``renew``, fields that the service keeps in another form are sent
    again. What a guard refuses is in the plan's ``refusals``, and all actions are still listed. ``written`` is what
    the journal says about this catalog; None if it was not read.
    """
    catalog = _as_kept(catalog, snapshot)
    places = place(catalog, snapshot, written)
    draft, left_out = _compare_part(catalog, places, snapshot, only, renew=renew)
    draft.refusals += another_catalog(catalog, places, only)
    if written is not None:
        _heed_journal(catalog, draft, snapshot, written)
    actions = sorted(draft.actions, key=_in_order)
    guarded = refusals(
        actions,
        catalog.policy,
        managed=places.managed,
        wanted=len(catalog.sessions),
        allow_empty=allow_empty,
        allow_destroy=frozenset(allow_destroy),
    )
    renamed = find_renamed(catalog, actions, snapshot)
    if not allow_recreate:
        guarded += recreate_refusals(renamed, len(catalog.sessions))
        creates = {action.key for action in actions if action.kind == "create"}
        guarded += tuple(orphan_refusals(catalog, places, creates))
    return Plan(
        catalog=catalog.name,
        environment=catalog.environment,
        endpoint=snapshot.endpoint,
        actions=tuple(actions),
        counts=replace(_counts(draft, places, snapshot), not_looked_at=left_out),
        notes=(
            *draft.notes,
            *dropped_digests(actions, snapshot),
            *canary_notes(actions, snapshot.contract, catalog.policy.canary, snapshot.endpoint),
            *rename_notes(renamed),
            *hints(catalog, actions, places.unmanaged),
        ),
        refusals=(*draft.refusals, *guarded, *missing_capabilities(actions, snapshot)),
        about=None if only is None else "part",
        lock=catalog.policy.lock,
        canary=catalog.policy.canary,
        listing=snapshot.listing,
        account=snapshot.account,
    )


def _in_order(action: Action) -> tuple[int, str, int]:
    return KINDS.index(action.kind), action.key, action.session_id or 0


def _compare_part(
    catalog: Catalog, places: Places, snapshot: Snapshot, only: Selection | None, *, renew: bool
) -> tuple[_Draft, int]:
    """The draft for the selection, and how many sessions of the catalog were not looked at."""
    if only is None:
        return _compare_all(catalog, places, snapshot, renew=renew), 0
    left_out: set[str] = set()
    if only.kind is None:
        left_out = places.leave_out(only.keys) | (catalog.sessions.keys() - only.keys)
        wanted = {key: one for key, one in catalog.sessions.items() if key in only.keys}
        catalog = replace(catalog, sessions=wanted)
    draft = _compare_all(catalog, places, snapshot, renew=renew)
    draft.select(only)
    return draft, len(left_out)


def _counts(draft: _Draft, places: Places, snapshot: Snapshot) -> Counts:
    return Counts(
        no_op=draft.no_op,
        managed=places.managed,
        unmanaged=len(places.unmanaged) + snapshot.left_out.unmanaged,
        foreign=places.foreign + places.siblings + snapshot.left_out.foreign,
        other_environments=places.siblings,
        unreadable=len(places.unreadable),
        copies=len(places.copies),
        rewritten=draft.rewritten,
    )


def _compare_all(catalog: Catalog, places: Places, snapshot: Snapshot, *, renew: bool) -> _Draft:
    draft = _Draft()
    for live in places.unreadable:
        message = f"the tag can't be read ({live.remark.unreadable}): left alone"
        draft.notes.append(Note("unreadable-tag", message, None, live.session_id))
    draft.notes += [*copy_notes(catalog, places), *move_notes(catalog, snapshot, places)]
    draft.refusals, doubtful = unclear(catalog, places)
    draft.refusals += taken(catalog, places, snapshot)
    adoptions = check_adoptions(catalog, snapshot, places.held, {live.session_id for live in places.leaving})
    draft.refusals += adoptions.refusals
    draft.notes += adoptions.notes
    doubtful |= adoptions.unclear
    draft.actions += [_leave(catalog, live) for live in places.leaving]
    for key, lives in places.held.items():
        if key in doubtful:
            continue
        if len(lives) > 1 and key in catalog.sessions:
            lives = _resolve(catalog, key, lives, snapshot, draft)
        _compare_key(catalog, places, key, lives, draft, renew=renew)
    known = places.held.keys() | doubtful
    creates = [_create(catalog, wanted) for key, wanted in catalog.sessions.items() if key not in known]
    draft.actions += creates
    draft.refusals += standing_in_the_way(catalog, creates, places.unreadable, places.unmanaged)
    return draft


def _resolve(
    catalog: Catalog, key: str, lives: list[LiveSession], snapshot: Snapshot, draft: _Draft
) -> list[LiveSession]:
    """Choose the session that stays from those of one key. None while that is unknown."""
    resolved = resolve(key, lives, snapshot.messages, snapshot.uncounted)
    draft.notes.append(resolved.note)
    keeper = resolved.keeper
    if keeper is None:
        return []
    draft.actions += [
        _delete_extra(catalog, key, extra, keeper, snapshot.messages[extra.session_id])
        for extra in lives
        if extra is not keeper
    ]
    return [keeper]


def _compare_key(
    catalog: Catalog, places: Places, key: str, lives: list[LiveSession], draft: _Draft, *, renew: bool
) -> None:
    """Compare the live session of one key, if any, with what is wanted under it; where nothing is, all that have the
    key are deleted."""
    wanted = catalog.sessions.get(key)
    if wanted is None:
        if len(lives) > 1:
            ids = ", ".join(f"#{one.session_id}" for one in lives)
            message = f"{len(lives)} live sessions have this identity: {ids}"
            draft.notes.append(Note("duplicate-identity", message, key))
        draft.actions += [_delete(catalog, key, one, "not in the catalog any more") for one in lives]
        return
    if not lives:
        return
    [live] = lives
    tag = live.remark.tag
    settled = live.session_id not in places.moved and live.session_id not in places.adopted
    if tag and settled and equal(wanted, live, tag):
        draft.no_op += 1
        return
    compared = compare(wanted, live, tag, catalog.policy.on_conflict, renew=renew)
    draft.rewritten += len(compared.rewritten)
    draft.notes += _notes(wanted, live, compared)
    action = _change(catalog, wanted, live, compared, places)
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


def _leave(catalog: Catalog, live: LiveSession) -> Action:
    """The action that stops managing a session, or hands it over."""
    tag = live.remark.tag
    assert tag is not None
    seen = observed(live)
    to = catalog.receiver(tag.identity.key)
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
        catalog_id=catalog.id if to is not None and to.catalog == catalog.name else None,
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
        catalog_id=catalog.id,
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


def _delete_extra(
    catalog: Catalog, key: str, extra: LiveSession, keeper: LiveSession, messages: int
) -> Action:
    reason = f"a second session with this identity; #{keeper.session_id} stays"
    return replace(
        _delete(catalog, key, extra, reason),
        keeper=keeper.session_id,
        messages=messages,
        catalog_id=catalog.id,
    )


def _heed_journal(catalog: Catalog, draft: _Draft, snapshot: Snapshot, written: Written) -> None:
    draft.actions = [_own_double(action, written) for action in draft.actions]
    draft.notes += _not_in_journal(catalog, draft.actions, snapshot, written)


def _own_double(action: Action, written: Written) -> Action:
    """The action; where it deletes a double without messages that this catalog's own runs made, it says so."""
    if action.keeper is None or action.messages or action.session_id not in written.made:
        return action
    reason = f"an empty double that this catalog's own run made; #{action.keeper} stays"
    return replace(action, own_double=True, reason=reason)


def _not_in_journal(
    catalog: Catalog, actions: Iterable[Action], snapshot: Snapshot, written: Written
) -> list[Note]:
    """A note on sessions that would be overwritten or deleted although nothing but the catalog's name says that they
    are its own: no id in the tag, and no line in this machine's journal."""
    strange = {
        action.session_id: action
        for action in actions
        if action.kind in ("update", "delete") and action.session_id not in written.wrote
    }
    tags = (
        {live.session_id: live.remark.tag for live in snapshot if live.session_id in strange}
        if strange
        else {}
    )
    found = [
        f"{action.key} #{session_id}"
        for session_id, action in strange.items()
        if session_id is not None and (tag := tags.get(session_id)) is not None and tag.catalog_id is None
    ]
    if not found:
        return []
    named = ", ".join(found[:_NAMED]) + (f", and {len(found) - _NAMED} more" if len(found) > _NAMED else "")
    whose, they = ("it is", "it") if len(found) == 1 else ("they are", "they")
    if catalog.id is None:
        advice = (
            "find that out before you apply. Ids tell the two apart from then on "
            f"({command('apply', '--write-id', environment=catalog.environment)})"
        )
    else:
        advice = "find that out before you apply, since a tag from before the id does not say it"
    message = (
        f"this machine's journal never wrote {named}, and nothing but the name {catalog.name} says whose {whose}. "
        f"If another catalog has that name, {they} may belong to that one: {advice}"
    )
    return [Note("not-in-journal", message)]


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
    places: Places,
) -> Action | None:
    """The action that changes a live session to the wanted one, or None if nothing has to be written."""
    tag = live.remark.tag
    moved_from = places.moved.get(live.session_id)
    kind: ActionKind
    if live.session_id in places.adopted:
        kind, reason = "adopt", "adopted: it becomes managed, with its messages"
    elif tag is not None and moved_from == catalog.identity(wanted.key):
        kind, reason = "move", f"has the catalog's former id, {tag.catalog_id}"
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
        catalog_id=catalog.id,
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
    "renewed": "fields kept in another form are sent again",
}


def _because(changes: tuple[FieldChange, ...]) -> str:
    causes = {change.cause for change in changes}
    return "; ".join(reason for cause, reason in _REASONS.items() if cause in causes)
