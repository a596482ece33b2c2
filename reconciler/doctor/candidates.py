"""The calls that a probe may try, from one data file (``contract/candidates.yaml``), in the order of safety."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any, cast

from reconciler.contract import Contract, Encoding, Operation

#: How a call is known that is better than a guess.
PROVEN = ("documented", "seen", "learned")


def candidates(contract: Contract, name: str, *, encoding: Encoding | None = None) -> list[Operation]:
    """The calls to try for an operation, the most trusted and safest first.

    ``encoding`` is one that the service was found to read: of calls that name the session in their body, those that
    use it come first. Paths end as that of the list does, with a slash or without; the other way comes after all those.

    Raises:
        ValueError: a call of the data file could hit another session than the one that is meant.
    """
    found: list[Operation] = []
    styles = _styles(contract)
    for paths in styles[:1] if name == "create_session" else styles:  # a create goes to the list's own path
        styled = [_candidate(contract, name, facts, paths) for facts in _file()[name]]
        if encoding is not None:
            styled.sort(key=lambda one: "{session_id}" not in one.path and one.encoding != encoding)
        found += styled
    for operation in found:
        if not safe(operation):
            raise ValueError(f"{operation.method} {operation.path} could hit another session")
    own = contract.operations.get(name)
    if own is not None and safe(own):
        same = [one for one in found if _call(one) == _call(own)]
        if own.known in PROVEN or not same:
            found = [replace(own, ignores=frozenset()), *(one for one in found if one not in same)]
    return found


def _styles(contract: Contract) -> list[Callable[[str], str]]:
    """How paths are made of the data file's: ended as the list's is, with a slash or without, then the other way."""
    listing = contract.operation("list_sessions").path
    sessions = listing.rstrip("/")

    def slashed(path: str) -> str:
        return path.replace("{sessions}", sessions)

    def bare(path: str) -> str:
        return slashed(path).rstrip("/")

    return [slashed, bare] if listing.endswith("/") else [bare, slashed]


def _candidate(
    contract: Contract, name: str, facts: Mapping[str, str], path: Callable[[str], str]
) -> Operation:
    operation = Operation(
        name=name,
        method=facts["method"],
        path=path(facts["path"]),
        encoding=cast("Encoding", facts["encoding"]),
        known="assumed",
        fields=_fields(contract, name),
    )
    return _without_id(operation) if "{session_id}" in operation.path else operation


def safe(operation: Operation) -> bool:
    """Whether a call can mean no other session than the one it is given: a create means none at all."""
    if operation.name == "create_session":
        return operation.method == "POST" or operation.known in PROVEN
    in_body = "session_id" in operation.fields and operation.encoding != "none"
    return "{session_id}" in operation.path or in_body


def learned(operation: Operation) -> Operation:
    """The call as it is written down once it is known to work."""
    return replace(operation, known="learned")


def _fields(contract: Contract, name: str) -> Mapping[str, str]:
    """What the call can carry: as the contract has it, or else what a create carries, and the id."""
    own = contract.operations.get(name)
    number = own.fields.get("session_id") if own else None
    number = number or contract.session.session_id[-1]
    if name == "delete_session":
        return {"session_id": number}
    create = contract.operation("create_session").fields
    if name == "create_session":
        return create
    return {"session_id": number, **create, **(own.fields if own else {})}


def _without_id(operation: Operation) -> Operation:
    fields = {ours: wire for ours, wire in operation.fields.items() if ours != "session_id"}
    return replace(operation, fields=fields)


def _call(operation: Operation) -> tuple[str, str, str]:
    return operation.method, operation.path, operation.encoding


@cache
def _file() -> Mapping[str, list[dict[str, Any]]]:
    import yaml

    text = (files("reconciler") / "contract" / "candidates.yaml").read_bytes()
    document: Mapping[str, list[dict[str, Any]]] = yaml.load(text, Loader=yaml.CSafeLoader)
    return document
