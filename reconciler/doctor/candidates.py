"""The calls that a probe may try, from one data file (``contract/candidates.yaml``), the safest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any, Final, TypeAlias, cast

from reconciler.contract import SESSION_NAMES, Contract, Encoding, Operation

#: One line of the data file: method, path and encoding, and ``by``, which lists what its body names the session by.
_Facts: TypeAlias = Mapping[str, Any]

#: How a call is known that is better than a guess.
PROVEN: Final = ("documented", "seen", "learned")

#: The encodings that put the fields of a write into its body.
_IN_BODY: Final = ("json", "form", "multipart")


def candidates(contract: Contract, name: str, *, encoding: Encoding | None = None) -> list[Operation]:
    """The calls to try for an operation, the most trusted and the safest first.

    ``encoding`` is one that the service is known to read. Among calls that name the session in their body, those with
    that encoding come first. Paths first end like the list's path, with a slash or without; then the other way.

    Raises:
        ValueError: a call of the data file could reach another session than the one that is meant.
    """
    found: list[Operation] = []
    styles = _path_styles(contract)
    for style in styles[:1] if name == "create_session" else styles:  # a create goes to the list's own path
        styled = [_candidate(contract, name, facts, style) for facts in _lines(name)]
        if encoding is not None:
            styled.sort(key=lambda one: names_in_path(one) == () and one.encoding != encoding)
        found += styled
    for operation in found:
        if not is_safe(operation):
            raise ValueError(f"{operation.method} {operation.path} could hit another session")
    stated = contract.operations.get(name)
    if stated is not None and is_safe(stated):
        same = [one for one in found if _call(one) == _call(stated)]
        if stated.known in PROVEN or not same:
            found = [replace(stated, ignores=frozenset()), *(one for one in found if one not in same)]
    return found


def is_safe(operation: Operation) -> bool:
    """Whether a call can reach no session but the one it is given, whose id and token are both known.

    A create reaches no session. A name in the query does not count: a server that ignores it would take the call to
    mean every session.
    """
    if operation.name == "create_session":
        return operation.method == "POST" or operation.known in PROVEN
    if operation.name == "get_session":
        return operation.method == "GET"
    return says_which(operation)


def says_which(operation: Operation) -> bool:
    """Whether a call says in its path or its body which session it means."""
    in_body = has_body(operation) and any(name in operation.fields for name in SESSION_NAMES)
    return bool(names_in_path(operation)) or in_body


def has_body(operation: Operation) -> bool:
    """Whether a call carries its fields in a body."""
    return operation.encoding in _IN_BODY


def as_learned(operation: Operation) -> Operation:
    """The call as it goes into a contract once it is known to work."""
    return replace(operation, known="learned")


def names_in_path(operation: Operation) -> tuple[str, ...]:
    """What the path of a call names a session by."""
    return tuple(name for name in SESSION_NAMES if f"{{{name}}}" in operation.path)


def _path_styles(contract: Contract) -> list[Callable[[str], str]]:
    """How to turn the data file's paths into real ones: ending like the list's path, then the other way."""
    listing = contract.operation("list_sessions").path
    sessions = listing.rstrip("/")

    def with_slash(path: str) -> str:
        return path.replace("{sessions}", sessions)

    def without_slash(path: str) -> str:
        return with_slash(path).rstrip("/")

    return [with_slash, without_slash] if listing.endswith("/") else [without_slash, with_slash]


def _lines(name: str) -> Iterator[_Facts]:
    """The lines of the data file for an operation, one for each encoding."""
    for facts in _file()[name]:
        encodings = facts["encoding"]
        for encoding in [encodings] if isinstance(encodings, str) else encodings:
            yield {**facts, "encoding": encoding}


def _candidate(contract: Contract, name: str, facts: _Facts, style: Callable[[str], str]) -> Operation:
    return Operation(
        name=name,
        method=facts["method"],
        path=style(facts["path"]),
        encoding=cast("Encoding", facts["encoding"]),
        known="assumed",
        fields=_fields(contract, name, facts.get("by", [])),
    )


def _fields(contract: Contract, name: str, named_by: list[str]) -> Mapping[str, str]:
    """What the call carries: what names the session, and for an update what the contract has or a create carries."""
    create = contract.operation("create_session").fields
    if name == "create_session":
        return create
    stated = contract.operations.get(name)
    own = stated.fields if stated else {}
    names = {one: own.get(one) or getattr(contract.session, one)[-1] for one in named_by}
    if name != "update_session":
        return names
    values = {ours: wire for ours, wire in {**create, **own}.items() if ours not in SESSION_NAMES}
    return {**names, **values}


def _call(operation: Operation) -> tuple[Any, ...]:
    """What distinguishes two calls."""
    return operation.method, operation.path, operation.encoding, set(operation.named_by)


@cache
def _file() -> Mapping[str, Sequence[_Facts]]:
    import yaml

    text = (files("reconciler") / "contract" / "candidates.yaml").read_bytes()
    document: Mapping[str, Sequence[_Facts]] = yaml.load(text, Loader=yaml.CSafeLoader)
    return document
