"""The first apply of an environment to an account that another environment of the catalog uses.

The API key decides the account, and nothing in a catalog names a key. So an environment that has no session yet may be
about to be created with the key of another one's account. Who lets environments share an account says so.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from reconciler.domain import Catalog, Snapshot
from reconciler.ownership.account import NO_KEY
from reconciler.ownership.key import EVERY_KEY
from reconciler.plan.placing import is_sibling
from reconciler.plan.types import Plan, Refusal

#: How many sessions a message names.
_NAMED: Final = 3


def refuse_shared_account(plan: Plan, catalog: Catalog, snapshot: Snapshot, applied: Collection[str]) -> Plan:
    """The plan, refused if it would begin the environment in an account that another environment uses.

    The snapshot has to hold the sessions of the other environments. ``applied`` are the environments that were last
    applied to this account, as the journal says, this one included. A server that asks for no key has no accounts.
    """
    begins = any(action.kind in ("create", "adopt") for action in plan.actions)
    here = catalog.environment
    if here is None or not begins or plan.counts.managed or here in applied or snapshot.account.key == NO_KEY:
        return plan
    used = _live(catalog, snapshot)
    for name in sorted(catalog.environments & set(applied)):
        used.setdefault(name, f"the last apply of {catalog.name}@{name} from here was to it")
    if not used:
        return plan
    names = " and ".join(used)
    refusal = Refusal(
        "shared_account",
        f"{here} has no session in this account, and {names} {'uses' if len(used) == 1 else 'use'} it "
        f"({'; '.join(used.values())}), so this may not be the API key of {here}. "
        "If the environments are to share the account, add to catalog.yaml: policy: {shared_account: true}",
        "--shared-account",
    )
    return replace(plan, refusals=(*plan.refusals, refusal))


def _live(catalog: Catalog, snapshot: Snapshot) -> dict[str, str]:
    """The environments with sessions in the list, each with the sessions."""
    found: dict[str, list[int]] = {}
    for live in snapshot:
        tag = live.own_tag
        if tag is None or not is_sibling(catalog, tag):
            continue
        identity = tag.identity
        if identity.environment in catalog.environments:
            found.setdefault(str(identity.environment), []).append(live.session_id)
        elif catalog.moved_elsewhere & {identity, replace(identity, key=EVERY_KEY)}:
            found.setdefault("another environment", []).append(live.session_id)
    return {
        name: ", ".join(f"#{one}" for one in ids[:_NAMED])
        + (f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else "")
        for name, ids in sorted(found.items())
    }
