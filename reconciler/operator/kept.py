"""Whose sessions a resource keeps: a catalog, in an environment of an account."""

from __future__ import annotations

from typing import Final

from reconciler.operator.resource import Resource

#: What says in a status whose sessions a resource keeps.
PLACE: Final = ("catalog", "environment", "account")


def place(resource: Resource, catalog: str) -> dict[str, str]:
    """What a resource keeps, as far as it is known: the catalog, its environment, and the Secret of the account."""
    if not catalog:
        return {}
    account = {"account": str(resource.spec["accountRef"]["name"])}
    environment = {"environment": resource.environment} if resource.environment else {}
    return {"catalog": catalog, **account, **environment}


def place_before(resource: Resource) -> dict[str, str]:
    """What a resource kept, as its status says."""
    return {name: str(resource.status[name]) for name in PLACE if name in resource.status}


def moved(resource: Resource, catalog: str) -> str:
    """What a removal waits for if the spec or the source names other sessions than those that the resource kept when it
    was deleted; empty if it names the same."""
    if "catalog" not in resource.status:
        return ""
    now = place(resource, catalog)
    before = place_before(resource)
    other = next((name for name in PLACE if before.get(name) != now.get(name)), None)
    if other is None:
        return ""
    kept = f"the {other} {before[other]}" if other in before else f"no {other}"
    return f"{kept} again, whose sessions it kept: it now names {now.get(other, 'none')}"
