"""Whose sessions a resource keeps: a catalog, in an environment of an account at an address."""

from __future__ import annotations

import hashlib
from typing import Final

from reconciler.operator.resource import Resource

#: What says in a status whose sessions a resource keeps.
PLACE: Final = ("catalog", "environment", "account", "endpointDigest")


def place(resource: Resource, catalog: str, address: str) -> dict[str, str]:
    """Whose sessions a resource keeps: those of a catalog, in an environment, in the account of a Secret with this
    address, which is digested: not all who may read the one may read the other."""
    found = {
        "catalog": catalog,
        "environment": resource.environment or "",
        "account": str(resource.spec["accountRef"]["name"]),
        "endpointDigest": hashlib.sha256(address.encode()).hexdigest()[:16] if address else "",
    }
    return {name: value for name, value in found.items() if value}


def place_before(resource: Resource) -> dict[str, str]:
    """Whose sessions a resource keeps, according to its status."""
    return {name: str(resource.status[name]) for name in PLACE if name in resource.status}


def place_after(resource: Resource, catalog: str, address: str, *, compares: bool) -> dict[str, str]:
    """Whose sessions a resource keeps after a look: if that did not get as far as the sessions, those that it kept
    before, but for the catalog, which is that of the spec as it is now."""
    if compares:
        return place(resource, catalog, address)
    before = place_before(resource)
    if catalog:
        return {**before, "catalog": catalog}
    if resource.status.get("observedGeneration") != resource.generation:
        before.pop("catalog", None)
    return before


def moved(resource: Resource, catalog: str, address: str) -> str:
    """What a removal waits for if the spec or the source names other sessions than those that the resource kept when it
    was deleted; empty if it names the same."""
    now, before = place(resource, catalog, address), place_before(resource)
    # A resource definition that was not upgraded keeps the catalog alone. No environment is none, or not known.
    known = {*before, *(["environment"] if "account" in before else [])}
    other = next((name for name in PLACE if name in known and before.get(name) != now.get(name)), None)
    if other is None:
        return ""
    if other == "endpointDigest":
        return f"the address again that its Secret {resource.account} had, whose sessions it kept"
    kept = f"the {other} {before[other]}" if other in before else f"no {other}"
    return f"{kept} again, whose sessions it kept: it now names {now.get(other, 'none')}"
