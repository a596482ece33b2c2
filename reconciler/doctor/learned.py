"""A contract as a file: in the order and the style of the one that ships, with a comment at each fact of behaviour."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reconciler import __version__
from reconciler.contract import Contract, Learned, Operation, Service, SessionShape
from reconciler.doctor.report import Verdict
from reconciler.schemas import load_schema

#: The calls in the order in which a contract lists them.
ORDER = (
    "list_sessions",
    "create_session",
    "update_session",
    "delete_session",
    "list_messages",
    "create_message",
    "clear_messages",
    "list_models",
)

#: Texts that need no quotes: words, and paths that begin with a slash.
_PLAIN = re.compile(r"/?[A-Za-z_][A-Za-z0-9_./-]*|/")
_SPECIAL = re.compile(r'[^ -~]|["\\]')
#: Words that YAML 1.1 takes for something else.
_WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))

_HEADER = """\
# How the session API at this address is spoken to. `reconciler doctor` learned it; commands take it with --contract.
# The address itself is never taken from here. What the fields mean stands in docs/contract.md.
"""


def learned_contract(contract: Contract, *, at: str, endpoint: str) -> Contract:
    """The contract with when (UTC, ISO 8601) and against which address it was learned."""
    return dataclasses.replace(
        contract, learned=Learned(at=at, endpoint=endpoint, by=f"reconciler {__version__}")
    )


def not_tried(document: Mapping[str, Any]) -> list[str]:
    """The calls of a contract's public form that only a probe can tell of, and that no probe has tried."""
    operations = document["operations"]
    return [
        name
        for name in ("update_session", "delete_session")
        if name in operations and operations[name]["known"] == "assumed"
    ]


def contract_to_document(contract: Contract) -> dict[str, Any]:
    """The contract in its public form (``schemas/contract.schema.json``)."""
    document: dict[str, Any] = {"contract": 1, "name": contract.name}
    if contract.learned:
        document["learned"] = dataclasses.asdict(contract.learned)
    document["operations"] = {
        name: _operation(contract.operations[name]) for name in ORDER if name in contract.operations
    }
    document["session"] = _shape(contract.session)
    service = {
        name: value for name, value in dataclasses.asdict(contract.service).items() if value is not None
    }
    if service:
        document["service"] = service
    return document


def contract_to_yaml(contract: Contract) -> str:
    """The contract as a file."""
    document = contract_to_document(contract)
    lines = [_HEADER, "contract: 1", f"name: {_flow(document['name'])}"]
    if "learned" in document:
        lines += ["", "learned:"] + [
            f"  {name}: {_flow(value)}" for name, value in document["learned"].items()
        ]
        left = not_tried(document)
        if left:
            lines.append(f"  # by looking alone: {' and '.join(left)} were not tried")
    lines += ["", "operations:"]
    for name, facts in document["operations"].items():
        lines.append(f"  {name}:")
        lines += [f"    {fact}: {_flow(value)}" for fact, value in facts.items() if fact != "fields"]
        lines.append(f"    fields:{'' if facts['fields'] else ' {}'}")
        lines += [f"      {_flow(ours)}: {_flow(wire)}" for ours, wire in facts["fields"].items()]
    gone = [name for name in ORDER if name not in document["operations"]]
    if gone:
        lines.append(f"  # not there: {', '.join(gone)}")
    lines += ["", "# Where the fields stand in a listed session. A dot goes one level down.", "session:"]
    for name, path in document["session"].items():
        if name == "parameters":
            lines.append(f"  parameters:{'' if path else ' {}'}")
            lines += [f"    {_flow(ours)}: {_flow(at)}" for ours, at in path.items()]
        else:
            lines.append(f"  {name}: {_flow(path)}")
    if "service" in document:
        lines += ["", "# How the service behaves. What is left out is not known.", "service:"]
        for name, value in document["service"].items():
            lines += [f"  # {_meaning(name)}", f"  {name}: {_flow(value)}"]
    return "\n".join(lines) + "\n"


def _operation(operation: Operation) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "known": operation.known,
        "method": operation.method,
        "path": operation.path,
        "encoding": operation.encoding,
    }
    if operation.name in ("list_sessions", "list_messages"):
        facts["page_size"] = operation.page_size
    if operation.name == "update_session":
        facts["left_out"] = operation.left_out
    if operation.ignores:
        facts["ignores"] = sorted(operation.ignores)
    if operation.answer != "document":
        facts["answer"] = operation.answer
    facts["fields"] = dict(operation.fields)
    return facts


def _shape(shape: SessionShape) -> dict[str, Any]:
    document: dict[str, Any] = {
        field.name: ".".join(getattr(shape, field.name))
        for field in dataclasses.fields(shape)
        if field.name != "parameters"
    }
    document["parameters"] = {name: ".".join(path) for name, path in shape.parameters.items()}
    return document


def _flow(value: Any) -> str:
    """A value on one line of YAML, which YAML 1.1 and 1.2 read in the same way. Plain words stay plain."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(name)}: {_flow(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    # Not as JSON: there, what lies beyond the basic plane is two escapes, which YAML does not put together.
    return '"' + _SPECIAL.sub(lambda found: f"\\U{ord(found[0]):08x}", value) + '"'


def _meaning(name: str) -> str:
    facts = load_schema("contract")["properties"]["service"]["properties"][name]
    described = facts.get("description") or ""
    return described.rstrip(".") if described else name


class Lessons:
    """``stated`` is the contract in use, ``contract`` the one that comes out.

    ``afresh`` says that how the service behaves is learned from nothing, as by a probe: what can't be learned this
    time is not known, whatever another service, or this one on another day, was like.
    """

    def __init__(self, stated: Contract, *, afresh: bool = False) -> None:
        self.stated = stated
        self.contract = replace(stated, service=Service()) if afresh else stated

    def behaves(self, **facts: Any) -> Verdict:
        """Note how the service behaves, by the names of :class:`reconciler.contract.Service`.

        Differs where the contract in use says otherwise. A fact of None was looked for and is not there.
        """
        before = self.stated.service
        self.contract = replace(self.contract, service=replace(self.contract.service, **facts))
        differs = any(
            getattr(before, name) is not None and getattr(before, name) != value
            for name, value in facts.items()
        )
        return "differs" if differs else "ok"

    def call(self, name: str, operation: Operation | None) -> Verdict:
        """Note how a call is made, or that there is none."""
        operations = dict(self.contract.operations)
        operations.pop(name, None)
        if operation is not None:
            operations[name] = operation
        self.contract = replace(self.contract, operations=operations)
        return "ok" if _wire(self.stated.operations.get(name)) == _wire(operation) else "differs"

    def operation(self, name: str) -> Operation:
        """A call as far as it is known by now."""
        return self.contract.operation(name)


def _wire(operation: Operation | None) -> tuple[Any, ...] | None:
    """How a call is made and answered. What becomes of its fields is learned, and judged, later than that."""
    if operation is None:
        return None
    return (
        operation.method,
        operation.path,
        operation.encoding,
        dict(operation.fields),
        operation.answer,
    )
