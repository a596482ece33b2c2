"""What the service can't do, according to its contract: guards that no flag lifts.

The built-in contract has every call and no limit. A contract that ``reconciler doctor`` learned may lack the update
call, have a create that ignores some fields, or limit the length of the remark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from reconciler.contract import Contract
from reconciler.domain import LiveSession, Snapshot
from reconciler.errors import Problem, Refused
from reconciler.ownership.remark import compose_remark, remark_size
from reconciler.ownership.tag import Tag, bare, make_tag, without_base
from reconciler.plan.types import PROTECTION, Action, FieldChange, Note, Plan, Refusal
from reconciler.values import MISSING

_SHOWN = 5  # keys named in a sentence


def missing_capabilities(actions: Sequence[Action], snapshot: Snapshot) -> tuple[Refusal, ...]:
    """Why the service can't carry out these actions. Empty if it can, or if nothing is known about it."""
    contract = snapshot.contract
    if contract is None:
        return ()
    found: list[Refusal] = []
    update = contract.operations.get("update_session")
    if update is None:
        found += _without_update(actions, contract)
    elif update.ignores:
        found += _beyond_update(actions, contract, update.ignores)
    deletes = [action for action in actions if action.kind == "delete"]
    if deletes and "delete_session" not in contract.operations:
        found.append(
            Refusal(
                "no_delete",
                f"the service has no delete call, and this would delete {_keys(deletes)}",
                "leave them in the catalog, or list them under forgotten",
            )
        )
    return (*found, *_too_long(actions, snapshot, contract))


def refuse_if_unable(plan: Plan, snapshot: Snapshot) -> None:
    """Check a plan that may have been made against another contract.

    Raises:
        Refused: the service can't carry it out.
    """
    found = missing_capabilities(plan.actions, snapshot)
    if found:
        raise Refused([Problem(one.message, f"what would help: {one.allow}") for one in found])


def dropped_digests(actions: Sequence[Action], snapshot: Snapshot) -> list[Note]:
    """A note on the sessions whose tag has no room for digests."""
    limit = _limit(snapshot.contract)
    if limit is None:
        return []
    lives = {live.session_id: live for live in snapshot}
    tagging = _tagging(actions)
    # A create can't know the session's id, and the update that adds it is not made where there is none.
    whole = _whole if snapshot.contract and "update_session" in snapshot.contract.operations else _unnumbered
    count = sum(limit < _size(action, lives, whole) for action in tagging)
    if not count:
        return []
    message = (
        f"the service keeps {limit} bytes of session_remark: {_sessions(count)} will be tagged without "
        "digests, so that later plans can't tell who changed what"
    )
    nameless = sum(limit < _size(action, lives, lambda tag: without_base(whole(tag))) for action in tagging)
    if nameless:
        message += (
            f"; {nameless} of them without ids, too, so that plans can't tell a copy from its original, nor two "
            "catalogs of the same name"
        )
    return [Note("no-digests", message)]


def _without_update(actions: Sequence[Action], contract: Contract) -> list[Refusal]:
    found = []
    changed = [action for action in actions if action.kind not in ("create", "delete")]
    if changed:
        found.append(
            Refusal(
                "no_update",
                f"the service has no update call, and this would change {_keys(changed)}",
                "leave them as they are; or give them new keys, which creates new sessions without the messages",
            )
        )
    ignores = contract.operation("create_session").ignores
    creates = [action for action in actions if action.kind == "create"]
    if creates and "remark" in ignores:
        found.append(
            Refusal(
                "no_tag",
                "the service accepts no session_remark when it creates a session, and has no update call: "
                f"{_keys(creates)} could never be recognised as managed",
                "use a service that accepts one; on this one, sessions can only be read",
            )
        )
    elif creates and ignores:
        lost = [
            action for action in creates if any(_field(change.path) in ignores for change in action.fields)
        ]
        if lost:
            found.append(
                Refusal(
                    "no_update",
                    f"the service does not accept {_listed(sorted(ignores))} when it creates a session, and has no "
                    f"update call: {_keys(lost)} could not be created as declared",
                    "remove these fields from the catalog",
                )
            )
    return found


def _beyond_update(actions: Sequence[Action], contract: Contract, ignores: frozenset[str]) -> list[Refusal]:
    """Refusals for fields that an update is known to ignore, and would have to change."""
    found = []
    lost: set[str] = set()
    changed = []
    for action in actions:
        if action.kind in ("create", "delete"):
            continue
        concerned = ignores & {"remark", *(_field(change.path) for change in action.fields if _sent(change))}
        if concerned:
            lost |= concerned
            changed.append(action)
    if changed:
        found.append(
            Refusal(
                "no_update",
                f"the service's update does not accept {_listed(sorted(lost))}, and this would change it in "
                f"{_keys(changed)}",
                "leave these fields as they are live, or name them under lifecycle.ignore_changes; or give the "
                "sessions new keys, which creates new ones without the messages",
            )
        )
    never = ignores & contract.operation("create_session").ignores
    unmade = [
        action
        for action in actions
        if action.kind == "create" and never & {"remark", *(_field(change.path) for change in action.fields)}
    ]
    if unmade:
        found.append(
            Refusal(
                "no_update",
                f"the service takes {_listed(sorted(never))} neither when it creates a session nor in an update: "
                f"{_keys(unmade)} could not be created as declared",
                "remove these fields from the catalog",
            )
        )
    return found


def _sent(change: FieldChange) -> bool:
    """Whether a change is written. A released field keeps its value."""
    return change.path != PROTECTION and change.cause != "released"


def _too_long(actions: Sequence[Action], snapshot: Snapshot, contract: Contract) -> list[Refusal]:
    limit = _limit(contract)
    if limit is None:
        return []
    lives = {live.session_id: live for live in snapshot}
    sizes = [(_size(action, lives, bare), action) for action in _tagging(actions)]
    over = [(size, action) for size, action in sizes if size > limit]
    if not over:
        return []
    longest = max(size for size, _ in over)
    kept = f"keeps {limit} bytes of session_remark" if limit else "keeps no session_remark"
    return [
        Refusal(
            "remark_limit",
            f"the service {kept}, and the tag that marks a session as managed takes up to {longest} here: "
            f"{_keys([action for _, action in over])} could not be recognised as managed",
            "use shorter names for catalog, environment and keys, and fewer keys under remark"
            if limit
            else "use a service that keeps one; on this one, sessions can only be read",
        )
    ]


def _limit(contract: Contract | None) -> int | None:
    return contract.service.remark_limit if contract else None


def _tagging(actions: Iterable[Action]) -> list[Action]:
    return [action for action in actions if action.kind not in ("delete", "forget")]


def _size(action: Action, lives: Mapping[int, LiveSession], form: Callable[[Tag], Tag]) -> int:
    """The length (bytes) of the remark that the action writes, with the tag in this form."""
    live = lives.get(action.session_id) if action.session_id is not None else None
    keys = dict(live.remark.keys) if live else {}
    for change in action.fields:
        if change.path.startswith("remark.") and change.after is not MISSING:
            keys[change.path.removeprefix("remark.")] = change.after
    # All digests have the same length, whatever they are of, and so have all ids.
    tag = make_tag(
        action.identity,
        dict.fromkeys((*action.managed, *action.held)),
        protected=action.protected,
        was=action.was,
        catalog_id=action.catalog_id,
        session_id=0,
    )
    return remark_size(compose_remark(live.raw_remark if live else None, keys, form(tag)))


def _whole(tag: Tag) -> Tag:
    return tag


def _unnumbered(tag: Tag) -> Tag:
    return replace(tag, session_id=None)


def _field(path: str) -> str:
    group, _, name = path.partition(".")
    return name if group == "parameters" and path != PROTECTION else group


def _keys(actions: Sequence[Action]) -> str:
    named = [
        action.key if action.session_id is None else f"{action.key} (#{action.session_id})"
        for action in actions[:_SHOWN]
    ]
    more = len(actions) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _sessions(count: int) -> str:
    return f"{count} session" if count == 1 else f"{count} sessions"
