"""What was learned: the contract in use, corrected fact by fact, and the contract file that comes out.

The file has the order and style of the one that ships, with a comment on each fact about the service.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from reconciler import __version__
from reconciler.contract import Contract, Learned, MessageShape, Operation, Service, SessionShape
from reconciler.doctor.report import Verdict
from reconciler.schemas import load_schema

#: The version of the file's format.
FORMAT_VERSION: Final = 2

#: The calls, in the order in which a contract lists them.
ORDER: Final = (
    "list_sessions",
    "create_session",
    "update_session",
    "delete_session",
    "get_session",
    "list_messages",
    "create_message",
    "clear_messages",
    "list_models",
    "chat",
    "embed",
)

#: Calls that no check looks for: whether the service has them is not known.
_NOT_LOOKED_FOR: Final = ("chat", "embed")

#: Strings that need no quotes: words, and paths that begin with a slash.
_PLAIN: Final = re.compile(r"/?[A-Za-z_][A-Za-z0-9_./-]*|/")
_SPECIAL: Final = re.compile(r'[^ -~]|["\\]')
#: Words that YAML 1.1 reads as booleans or null.
_WORDS: Final = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))

_HEADER: Final = """\
# How to call the session API at this address. Written by `reconciler doctor`; commands read it with --contract.
# The address itself is never taken from this file. docs/contract.md says what the fields mean.
"""


class LearnedFacts:
    """What a survey or a probe has found out. ``in_use`` is the contract in use, ``contract`` the one that comes out.

    ``afresh`` starts without any facts about the service, as a probe does: what cannot be found out this time is
    unknown, whatever held for another service, or for this one on another day.
    """

    def __init__(self, in_use: Contract, *, afresh: bool = False) -> None:
        self.in_use = in_use
        self.contract = replace(in_use, service=Service()) if afresh else in_use

    def learn_service(self, **facts: Any) -> Verdict:
        """Note how the service behaves, by the names of :class:`reconciler.contract.Service`.

        Returns ``differs`` if the contract in use says otherwise. None notes that a fact could not be found out.
        """
        stated = self.in_use.service
        self.contract = replace(self.contract, service=replace(self.contract.service, **facts))
        differs = any(
            getattr(stated, name) is not None and getattr(stated, name) != value
            for name, value in facts.items()
        )
        return "differs" if differs else "ok"

    def learn_operation(self, name: str, operation: Operation | None) -> Verdict:
        """Note how a call is made, or that there is none. Returns whether the contract in use says the same."""
        operations = dict(self.contract.operations)
        operations.pop(name, None)
        if operation is not None:
            operations[name] = operation
        self.contract = replace(self.contract, operations=operations)
        return "ok" if _wire(self.in_use.operations.get(name)) == _wire(operation) else "differs"

    def operation(self, name: str) -> Operation:
        """A call, as far as it is known."""
        return self.contract.operation(name)


def _wire(operation: Operation | None) -> tuple[Any, ...] | None:
    """How a call is sent and answered. What the service does to its fields is learned later."""
    if operation is None:
        return None
    return (
        operation.method,
        operation.path,
        operation.encoding,
        dict(operation.fields),
        operation.answer,
    )


def learned_contract(contract: Contract, *, at: str, endpoint: str, unknown: Sequence[str] = ()) -> Contract:
    """The contract, with the time (UTC, ISO 8601) and the address at which it was learned, and what was not."""
    learned = Learned(at=at, endpoint=endpoint, by=f"reconciler {__version__}", partial=tuple(unknown))
    return dataclasses.replace(contract, learned=learned)


def not_tried(contract: Contract) -> list[str]:
    """The calls that only a probe can check, and that no probe has tried."""
    return [
        name
        for name in ("update_session", "delete_session")
        if name in contract.operations and contract.operations[name].known == "assumed"
    ]


def contract_to_document(contract: Contract) -> dict[str, Any]:
    """The contract in its public form (``schemas/contract.schema.json``)."""
    document: dict[str, Any] = {"contract": FORMAT_VERSION, "name": contract.name}
    if contract.learned:
        learned = dataclasses.asdict(contract.learned)
        partial = learned.pop("partial")
        document["learned"] = {**learned, "partial": list(partial)} if partial else learned
    document["operations"] = {
        name: _operation(contract.operations[name]) for name in ORDER if name in contract.operations
    }
    document["session"] = _shape(contract.session)
    if contract.message != MessageShape():
        document["message"] = _shape(contract.message)
    service = {
        name: value for name, value in dataclasses.asdict(contract.service).items() if value is not None
    }
    if service:
        document["service"] = service
    return document


def contract_to_yaml(contract: Contract) -> str:
    """The contract as a file."""
    document = contract_to_document(contract)
    lines = [_HEADER, f"contract: {FORMAT_VERSION}", f"name: {_flow(document['name'])}"]
    if "learned" in document:
        lines += ["", "learned:"] + [
            f"  {name}: {_flow(value)}" for name, value in document["learned"].items()
        ]
        untried = not_tried(contract)
        if untried and "partial" not in document["learned"]:
            lines.append(f"  # without a probe: {' and '.join(untried)} were not tried")
    lines += ["", "operations:"]
    for name, facts in document["operations"].items():
        lines.append(f"  {name}:{_mark(contract, name)}")
        lines += [f"    {fact}: {_flow(value)}" for fact, value in facts.items() if fact != "fields"]
        lines.append(f"    fields:{'' if facts['fields'] else ' {}'}")
        lines += [f"      {_flow(ours)}: {_flow(wire)}" for ours, wire in facts["fields"].items()]
    missing = [name for name in ORDER if name not in {*document["operations"], *_NOT_LOOKED_FOR}]
    if missing:
        lines.append(f"  # not available: {', '.join(missing)}")
    lines += ["", "# Where the fields are in a listed session. A dot goes one level down.", "session:"]
    for name, path in document["session"].items():
        if name == "parameters":
            lines.append(f"  parameters:{'' if path else ' {}'}")
            lines += [f"    {_flow(ours)}: {_flow(at)}" for ours, at in path.items()]
        else:
            lines.append(f"  {name}: {_flow(path)}")
    if "message" in document:
        lines += ["", "# Where the fields are in a listed message.", "message:"]
        lines += [f"  {name}: {_flow(path)}" for name, path in document["message"].items()]
    if "service" in document:
        lines += ["", "# How the service behaves. A fact that is not here is not known.", "service:"]
        for name, value in document["service"].items():
            lines += [f"  # {_description(name)}", f"  {name}: {_flow(value)}"]
    return "\n".join(lines) + "\n"


def _mark(contract: Contract, name: str) -> str:
    """A comment on a call about which something could not be learned."""
    partial = contract.learned.partial if contract.learned else ()
    if name in partial:
        return "  # not learned"
    found = [one.removesuffix(f" of {name}") for one in partial if one.endswith(f" of {name}")]
    return f"  # not learned: {', '.join(found)}" if found else ""


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
    if operation.name == "list_messages" and operation.pages != "page":
        facts["pages"] = operation.pages
    if operation.counts is not None:
        facts["counts"] = operation.counts
    if operation.longest_query is not None:
        facts["longest_query"] = operation.longest_query
    if operation.answer_in != ("data",):
        facts["answer_in"] = ".".join(operation.answer_in)
    if operation.ignores:
        facts["ignores"] = sorted(operation.ignores)
    if operation.answer != "document":
        facts["answer"] = operation.answer
    facts["fields"] = dict(operation.fields)
    return facts


def _shape(shape: SessionShape | MessageShape) -> dict[str, Any]:
    document: dict[str, Any] = {
        field.name: ".".join(getattr(shape, field.name))
        for field in dataclasses.fields(shape)
        if field.name != "parameters"
    }
    if isinstance(shape, SessionShape):
        document["parameters"] = {name: ".".join(path) for name, path in shape.parameters.items()}
    return document


def _flow(value: Any) -> str:
    """A value on one line of YAML, read the same by YAML 1.1 and 1.2. Plain words stay plain."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(name)}: {_flow(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    # Not as JSON, which writes a character beyond U+FFFF as two escapes that YAML does not combine.
    return '"' + _SPECIAL.sub(lambda found: f"\\U{ord(found[0]):08x}", value) + '"'


def _description(name: str) -> str:
    facts = load_schema("contract")["properties"]["service"]["properties"][name]
    described = facts.get("description") or ""
    return described.rstrip(".") if described else name
