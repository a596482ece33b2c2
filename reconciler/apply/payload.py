"""The payload of a write: the fields of one call, from an action and the live session. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reconciler.api.addressing import address
from reconciler.api.transport import query_of
from reconciler.contract import SAFE_QUERY, Operation
from reconciler.domain import LiveSession
from reconciler.ownership.remark import (
    compose_remark,
    fitting_remark,
    parse_remark,
    release_remark,
    remark_of_another_session,
    remark_size,
    remark_with,
)
from reconciler.ownership.reserved import HALF_MADE_PROMPT, half_made_name
from reconciler.ownership.tag import Identity, Tag, make_tag
from reconciler.plan.types import PROTECTION, Action
from reconciler.values import key_as_kept, same


def create_payload(action: Action, operation: Operation, *, made: int | None = None) -> dict[str, Any]:
    """All fields of the session to create, including those that the call does not store.

    ``made`` is its id if the call completes an existing session.
    """
    values = {change.path: change.after for change in action.fields}
    tag = make_tag(
        action.identity,
        values,
        protected=action.protected,
        was=action.was,
        catalog_id=action.catalog_id,
        session_id=made,
    )
    remark = fitting_remark(None, _group(values, "remark"), tag, operation.remark_limit)
    return {**_top_level(values), "remark": remark}


def not_carried(operation: Operation, payload: Mapping[str, Any]) -> frozenset[str]:
    """The fields, by our names, that a create can't carry, since it ignores them or its query would be too long.

    An update has to set them.
    """
    missing = operation.ignores & payload.keys()
    if operation.encoding == "query":
        limit = operation.longest_query or SAFE_QUERY
        for name in ("prompt", "data"):
            given = {field: value for field, value in payload.items() if field not in missing}
            if len(query_of(operation, given)) > limit:
                missing |= {name} & payload.keys()
    return missing


def first_payload(action: Action, operation: Operation, missing: frozenset[str]) -> dict[str, Any]:
    """The fields of a create without the ``missing`` ones. The tag has digests of the sent fields only.

    A missing prompt is replaced by a short one, since a service may require it.
    """
    values = {change.path: change.after for change in action.fields if call_field(change.path) not in missing}
    tag = make_tag(
        action.identity, values, protected=action.protected, was=action.was, catalog_id=action.catalog_id
    )
    remark = fitting_remark(None, _group(values, "remark"), tag, operation.remark_limit)
    held = {"prompt": HALF_MADE_PROMPT} if "prompt" in missing else {}
    return {**_top_level(values), **held, "remark": remark}


def making_payload(payload: Mapping[str, Any], identity: Identity) -> dict[str, Any]:
    """The first create if a create does not store the remark: a session whose name says what it is."""
    return {"name": half_made_name(identity), "model": payload["model"], "prompt": HALF_MADE_PROMPT}


def update_payload(action: Action, live: LiveSession, operation: Operation) -> dict[str, Any]:
    """The fields of the update: those that differ, and the remark with the new tag.

    ``data`` is always sent whole, including other people's keys. If an update resets the fields that it leaves out,
    all fields are sent.
    """
    values = {
        change.path: change.after
        for change in action.fields
        if change.path != PROTECTION and change.cause != "released"
    }
    remark = fitting_remark(
        live.raw_remark,
        _merged(live.remark.keys, _group(values, "remark")),
        _tag_after(action, live, values),
        operation.remark_limit,
    )
    return _changed(live, values, remark, operation)


def _changed(
    live: LiveSession, values: Mapping[str, Any], remark: str | None, operation: Operation
) -> dict[str, Any]:
    if operation.wants_all_fields:
        values = {**_as_it_is(live), **values}
    payload: dict[str, Any] = {**address(operation, live), **_top_level(values), "remark": remark}
    if "data" in payload or operation.wants_all_fields:
        payload["data"] = _merged(live.data, payload.get("data", {}))
    return payload


def _merged(live: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The live keys with these in their place, those included that the service keeps in another normal form."""
    forms = {key_as_kept(key, live, values) for key in values.keys() - live.keys()}
    return {**{key: value for key, value in live.items() if key not in forms}, **values}


def release_payload(live: LiveSession, operation: Operation) -> dict[str, Any]:
    """The fields of the update that removes our tag from a session."""
    base = live.remark.tag.base if live.remark.tag else None
    ours = frozenset(key for key in live.remark.keys if base and base.knows(f"remark.{key}"))
    remark = release_remark(live.raw_remark, live.remark, ours)
    return _changed(live, {}, remark, operation)


def rewritten_payload(
    action: Action,
    live: LiveSession,
    sent: Mapping[str, Any],
    stored: Mapping[str, Any],
    operation: Operation,
) -> dict[str, Any] | None:
    """The fields of an update that sends these fields (by path) again, with a tag that knows their stored form.

    ``stored`` has the stored form of the fields that the service changed. None if the remark has no room for the tag.
    """
    tag = make_tag(
        action.identity,
        sent,
        stored=stored,
        keep=[path for path in (*action.managed, *action.held) if path not in sent],
        base=live.remark.tag.base if live.remark.tag else None,
        protected=bool(live.remark.tag and live.remark.tag.protected),
        was=action.was,
        catalog_id=action.catalog_id,
        session_id=live.session_id,
    )
    remark = compose_remark(live.raw_remark, _merged(live.remark.keys, _group(sent, "remark")), tag)
    if operation.remark_limit is not None and remark_size(remark) > operation.remark_limit:
        return None
    return _changed(live, sent, remark, operation)


def _tag_after(action: Action, live: LiveSession, changed: Mapping[str, Any]) -> Tag:
    if action.kind == "move" and not action.managed and live.remark.tag:
        # Handed over as it is. The id of another catalog is not known; that one writes it with its next update.
        return replace(live.remark.tag, identity=action.identity, catalog_id=action.catalog_id)
    found = live.fields()
    return make_tag(
        action.identity,
        {path: changed.get(path, found.get(path)) for path in action.managed},
        keep=action.held,
        base=live.remark.tag.base if live.remark.tag else None,
        protected=action.protected,
        was=action.was,
        catalog_id=action.catalog_id,
        session_id=live.session_id,
    )


def _as_it_is(live: LiveSession) -> dict[str, Any]:
    """All fields of a live session except its remark. The prompt is not normalised."""
    values = {path: value for path, value in live.fields().items() if not path.startswith("remark.")}
    raw = live.config.get("prompt")
    return {**values, "prompt": raw if isinstance(raw, str) else live.prompt}


def call_field(path: str) -> str:
    """The field of a call, by our name, that contains a field of a session: ``data`` for ``data.a``."""
    group, _, name = path.partition(".")
    return name if group == "parameters" else group


def _top_level(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a call from fields by path: parameters at the top level, ``data`` as one value."""
    flat: dict[str, Any] = {}
    for path, value in values.items():
        if "." not in path or path.startswith("parameters."):
            flat[call_field(path)] = value
    data = _group(values, "data")
    if data:
        flat["data"] = data
    return flat


def _group(values: Mapping[str, Any], group: str) -> dict[str, Any]:
    start = group + "."
    return {path[len(start) :]: value for path, value in values.items() if path.startswith(start)}


def restore_payload(
    original: LiveSession, operation: Operation, now: LiveSession | None = None
) -> dict[str, Any]:
    """The fields of the call that restores a session. ``now`` is the live session if it still exists.

    Other people's keys in the live session stay as they are now.
    """
    values = _as_it_is(original)
    remark = remark_of_another_session(original.raw_remark, original.remark)
    if now is not None:
        theirs = _theirs(original, now)
        values |= {path: value for path, value in theirs.items() if not path.startswith("remark.")}
        keys = _group(theirs, "remark")
        remark = remark_with(original.raw_remark, original.remark, keys, operation.remark_limit)
    payload = {**_top_level(values), "data": _group(values, "data"), "remark": remark}
    return payload if now is None else {**address(operation, now), **payload}


def under_identity(
    session: LiveSession, identity: Identity, catalog_id: str | None, operation: Operation
) -> LiveSession:
    """An archived session as that of the identity that ``moved`` has given it since. ``catalog_id`` is the catalog's.

    Raises:
        ReconcilerError: with its tag, the remark is longer than the service keeps.
    """
    tag = session.remark.tag
    if tag is None or tag.identity == identity:
        return session
    tag = replace(tag, identity=identity, catalog_id=None if tag.catalog_id is None else catalog_id)
    raw = fitting_remark(session.raw_remark, session.remark.keys, tag, operation.remark_limit)
    return replace(session, remark=replace(session.remark, tag=tag), raw_remark=raw)


def is_restored(now: LiveSession, payload: Mapping[str, Any], operation: Operation) -> bool:
    """Whether a live session is already what the update ``payload`` would make it."""
    found = restore_payload(now, operation, now=now)
    fields = (name for name in payload if name != "remark")
    return same_remark(now, payload["remark"]) and all(
        name in found and same(found[name], payload[name]) for name in fields
    )


def same_remark(live: LiveSession, sent: str | None) -> bool:
    """Whether a remark was stored. A service may format JSON differently, and turn null into an empty string."""
    return (live.raw_remark or "") == (sent or "") or (
        live.remark.tag is not None and live.remark == parse_remark(sent)
    )


def _theirs(original: LiveSession, now: LiveSession) -> dict[str, Any]:
    """The keys of a live session that others wrote, by path.

    If no tag says which keys we wrote, those count that were added since the session was archived.
    """
    bases = [one.remark.tag.base for one in (original, now) if one.remark.tag]
    told = [base for base in bases if base is not None]
    was = original.fields()
    return {
        path: value
        for path, value in now.fields().items()
        if "." in path and not any(base.knows(path) for base in told) and (told or path not in was)
    }
