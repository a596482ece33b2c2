"""Saved plans: the public JSON, and for each action what is needed to apply it without the catalog.

A saved plan is bound to its catalog, environment, endpoint and account, and carries a digest of its content, so
that what is applied is what was reviewed. The digest is not a signature: whoever can replace the file can replace
the digest. A saved plan holds prompts in clear text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from reconciler.behaviour.results import tests_from_document
from reconciler.domain import Listing
from reconciler.errors import Problem, Refused
from reconciler.ownership.account import Account, account_from_json, account_to_json
from reconciler.ownership.catalog_id import is_catalog_id
from reconciler.ownership.tag import CREATED, Identity
from reconciler.plan.document import FORMAT_VERSION, plan_to_document
from reconciler.plan.types import KINDS, PROTECTION, Action, Counts, Detail, FieldChange, Note, Plan, Refusal
from reconciler.schemas import check_document
from reconciler.text.truncate import truncate
from reconciler.values import DEEPEST, MISSING, parse_json

#: A plan holds live values below some levels of its own.
_DEEPEST = DEEPEST + 10

_AGAIN = "make the plan again with the version that applies it, and review it"


def plan_to_saved(
    plan: Plan, *, created: str, run: Mapping[str, str | bool], contract: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The plan as it is saved. ``created`` is a time (UTC, ISO 8601); ``run`` says who made it and where. ``contract``
    is the ``file`` and the ``content`` of the one in use, None for the built-in one."""
    document = plan_to_document(plan)
    for public, action in zip(document["actions"], plan.actions, strict=True):
        public |= _execution(action)
    document["created"] = created
    document["made_by"] = dict(run)
    document["lock"] = plan.lock
    document["account"] = account_to_json(plan.account)
    if plan.canary is not None:
        document["canary"] = plan.canary
    if contract is not None:
        document["contract"] = dict(contract)
    document["digest"] = _digest(document)
    return document


def plan_digest(plan: Plan) -> str:
    """A digest of what an apply of this plan would do, and to which sessions as they are now.

    It is the same for the same changes, whenever and by whomever the plan is made. What others do beside it does not
    count: how many sessions and messages there are, and how the list was read.
    """
    actions = []
    for public, action in zip(plan_to_document(plan)["actions"], plan.actions, strict=True):
        public.pop("messages", None)
        actions.append(public | _execution(action))
    return _digest(
        {
            "catalog": plan.catalog,
            "environment": plan.environment,
            "endpoint": plan.endpoint,
            "actions": actions,
            "lock": plan.lock,
            "canary": plan.canary,
        }
    )


def saved_to_plan(text: bytes, source: str) -> tuple[Plan, dict[str, Any]]:
    """Read a saved plan. Returns the plan and its public JSON.

    Raises:
        Refused: it is incomplete, was altered, or has an unknown version.
    """
    try:
        document = parse_json(text, levels=_DEEPEST)
    except ValueError:
        raise Refused(f"{source} is not a plan, or was truncated: it is not valid JSON", _AGAIN) from None
    version = document.get("format_version") if isinstance(document, dict) else None
    if not isinstance(version, str):
        raise Refused(
            f"{source} is not a plan: it has no format_version", "`reconciler plan --out=FILE` makes one"
        )
    if not _known(version):
        raise Refused(
            f"{source} is a plan of format {truncate(version)}, and this version reads formats up to {FORMAT_VERSION}",
            "it was made by a newer version: apply it with that, or make the plan again",
        )
    problems = check_document(document, "plan")
    if problems:
        raise Refused([Problem(f"{source} is not a complete plan", _AGAIN), *problems])
    if "digest" not in document:
        raise Refused(
            f"{source} is a plan's public JSON, which lacks what an apply needs",
            "`reconciler plan --out=FILE` makes a plan that can be applied",
        )
    if document["digest"] != _digest(document):
        raise Refused(f"{source} was altered after it was saved: its digest does not match", _AGAIN)
    plan = _plan(document)
    scope = (plan.catalog, plan.environment)
    for action in plan.actions:
        if not _complete(action):
            key = action.identity.key
            raise Refused(
                f"{source} is not a complete plan: the {action.kind} of {key} lacks something", _AGAIN
            )
        # A session that is handed over to another catalog belonged to this one before.
        sides = [one for one in (action.identity, action.moved_from) if one is not None]
        if scope not in [(one.catalog, one.environment) for one in sides]:
            where = f"{plan.catalog}@{plan.environment}" if plan.environment else plan.catalog
            raise Refused(f"{source} is for {where}, and holds an action for {action.identity}", _AGAIN)
    return plan, document


def _complete(action: Action) -> bool:
    """Whether an action holds what its write needs. No plan of this program lacks it."""
    if action.kind not in KINDS or (action.session_id is None) != (action.kind == "create"):
        return False
    if action.kind in ("delete", "forget"):
        return True
    if action.catalog_id is not None and not is_catalog_id(action.catalog_id):
        return False
    written = {one.path for one in action.fields if one.after is not MISSING}
    unwritten = {one.path for one in action.fields if one.after is MISSING and one.cause != "released"}
    return unwritten <= {PROTECTION} and (action.kind != "create" or written >= {"name", "model", "prompt"})


def _known(version: str) -> bool:
    major, _, minor = version.partition(".")
    known_major, _, known_minor = FORMAT_VERSION.partition(".")
    known = [str(number) for number in range(int(known_minor) + 1)]
    return major == known_major and minor in known


def _digest(document: Mapping[str, Any]) -> str:
    content = {name: value for name, value in document.items() if name != "digest"}
    return sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _execution(action: Action) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "identity": _identity(action.identity),
        "managed": list(action.managed),
        "held": list(action.held),
        "protected": action.protected,
    }
    if action.was is not CREATED:
        facts["was"] = action.was
    if action.moved_from is not None:
        facts["moved_from"] = _identity(action.moved_from)
    if action.session_id is not None:
        facts["fingerprint"] = action.fingerprint
        facts["against"] = dict(action.against)
    if action.keeper is not None:
        facts["keeper"] = action.keeper
    if action.catalog_id is not None:
        facts["catalog_id"] = action.catalog_id
    return facts


def _identity(identity: Identity) -> dict[str, Any]:
    return {"catalog": identity.catalog, "environment": identity.environment, "key": identity.key}


def _plan(document: Mapping[str, Any]) -> Plan:
    summary, listing = document["summary"], document.get("listing")
    return Plan(
        catalog=document["catalog"],
        environment=document["environment"],
        endpoint=document["endpoint"],
        actions=tuple(_action(action) for action in document["actions"]),
        counts=Counts(
            no_op=summary["no_op"],
            managed=summary["managed"],
            unmanaged=summary["unmanaged"],
            foreign=summary["foreign"],
            other_environments=summary.get("other_environments", 0),
            unreadable=summary["unreadable"],
            not_looked_at=summary.get("not_looked_at", 0),
            copies=summary.get("copies", 0),
            rewritten=summary.get("rewritten", 0),
        ),
        notes=tuple(
            Note(
                note["kind"],
                note["message"],
                note.get("key"),
                note.get("session_id"),
                note.get("drift", False),
            )
            for note in document["notes"]
        ),
        refusals=tuple(
            Refusal(one["guard"], one["message"], one["allow"], one.get("key"))
            for one in document["refusals"]
        ),
        about=document.get("about"),
        lock=document.get("lock", False),
        canary=document.get("canary"),
        listing=Listing(listing["calls"], listing["passes"], listing["way"]) if listing else None,
        account=account_from_json(document.get("account")) or Account(),
        tests=tests_from_document(document["tests"]) if "tests" in document else None,
    )


def _action(document: Mapping[str, Any]) -> Action:
    moved_from = document.get("moved_from")
    return Action(
        kind=document["action"],
        identity=Identity(**document["identity"]),
        session_id=document["session_id"],
        name=document["name"],
        reason=document["reason"],
        fields=tuple(_field(one) for one in document["fields"]),
        managed=tuple(document["managed"]),
        held=tuple(document["held"]),
        protected=document["protected"],
        was=document.get("was", CREATED),
        moved_from=Identity(**moved_from) if moved_from else None,
        fingerprint=document.get("fingerprint", ""),
        against=document.get("against", {}),
        keeper=document.get("keeper"),
        outside=document.get("outside"),
        messages=document.get("messages"),
        own_double=document.get("own_double", False),
        catalog_id=document.get("catalog_id"),
    )


def _field(document: Mapping[str, Any]) -> FieldChange:
    return FieldChange(
        path=document["path"],
        before=document.get("before", MISSING),
        after=document.get("after", MISSING),
        cause=document.get("cause"),
        detail=tuple(
            Detail(one["path"], one.get("before", MISSING), one.get("after", MISSING))
            for one in document.get("detail", ())
        ),
    )
