"""The contract: how the API is spoken to, read from one data file (``contract/mindcraft.yaml``).

Nothing else in the program knows a path, a method, an encoding or a wire name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from reconciler.errors import Problem, ReconcilerError
from reconciler.schemas import check_document

#: The most values of a contract file, and how deep they may nest, as well as how many aliases it may hold. The
#: built-in one has some 150 values four levels deep, and one alias.
_LARGEST = 10_000
_DEEPEST = 20

Encoding: TypeAlias = Literal["none", "json", "form", "multipart"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One call. ``fields`` maps our names to the wire's; a path may hold ``{session_id}``.

    ``ignores`` are fields, by our names, that the call is known not to take in, so they are not sent; ``remark_limit``
    is how many bytes of a remark are known to be kept, None where there is no known limit.
    """

    name: str
    method: str
    path: str
    encoding: Encoding
    known: str
    fields: Mapping[str, str]
    page_size: int = 100
    left_out: Literal["kept", "reset"] = "kept"
    ignores: frozenset[str] = frozenset()
    answer: Literal["document", "empty"] = "document"
    remark_limit: int | None = None

    @property
    def names_session(self) -> bool:
        """Whether the call says which session is meant."""
        return "{session_id}" in self.path or "session_id" in self.fields


@dataclass(frozen=True, slots=True)
class SessionShape:
    """Where the fields stand in a listed session, each as a path of keys."""

    session_id: tuple[str, ...]
    session_token: tuple[str, ...]
    name: tuple[str, ...]
    config: tuple[str, ...]
    model: tuple[str, ...]
    prompt: tuple[str, ...]
    data: tuple[str, ...]
    remark: tuple[str, ...]
    parameters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Status:
    """What an answer says of itself: the HTTP status, and the one in its body (0 where there is none)."""

    http: int
    body: int = 0


#: How long (seconds) a list may lag behind a write where nothing is known of it.
LEAST_SETTLE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Service:
    """How the service behaves beyond its calls, as far as it was learned. ``None``: not known.

    ``remark_limit`` is in bytes of UTF-8, ``largest_page`` in rows, ``late_seconds`` how long a new session took to be
    listed. ``prompt_ends`` is ``end`` where white space goes at the end alone, ``both`` where at both ends.
    """

    remark_limit: int | None = None
    remark_over: Literal["refuse", "cut"] | None = None
    largest_page: int | None = None
    name_filter: Literal["exact", "partial", "none"] | None = None
    ordering: Literal["honoured", "ignored"] | None = None
    late_seconds: float | None = None
    numbers: Literal["number", "text"] | None = None
    prompt_ends: Literal["kept", "end", "both", "changed", "refused"] | None = None
    prompt_line_endings: Literal["kept", "lf", "crlf", "changed", "refused"] | None = None
    prompt_characters: Literal["kept", "changed", "refused"] | None = None
    prompt_length: int | None = None
    not_found: Status | None = None
    bad_request: Status | None = None


@dataclass(frozen=True, slots=True)
class Learned:
    """When a contract was learned (UTC, ISO 8601), against which address, and by which version."""

    at: str
    endpoint: str
    by: str


@dataclass(frozen=True, slots=True)
class Contract:
    """The whole table. ``operations`` lacks a call that the service does not have.

    ``learned`` is None for a contract that no doctor wrote.
    """

    name: str
    operations: Mapping[str, Operation]
    session: SessionShape
    service: Service = Service()
    learned: Learned | None = None

    @property
    def settle(self) -> float:
        """How long (seconds) a list is given to show a write: well over what it was seen to take."""
        return max(LEAST_SETTLE, 4 * (self.service.late_seconds or 0.0))

    def operation(self, name: str) -> Operation:
        """The call of this name.

        Raises:
            ReconcilerError: the contract has no such call.
        """
        try:
            return self.operations[name]
        except KeyError:
            raise ReconcilerError(
                f"the contract {self.name!r} has no call for {name}",
                "describe the call in the contract file, or use a contract that has it",
            ) from None


def load_contract(path: Path | None = None) -> Contract:
    """Read a contract file, or the one that ships with the program.

    Raises:
        ReconcilerError: the file can't be read or does not fit ``schemas/contract.schema.json``.
    """
    if path is None:
        return _builtin()
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ReconcilerError(f"the contract {path} can't be read: {error.strerror}") from None
    return _read(text, str(path))


@cache
def _builtin() -> Contract:
    import yaml

    text = (Path(__file__).parent / "mindcraft.yaml").read_bytes()
    return _build(yaml.load(text, Loader=yaml.CSafeLoader))


def _read(text: bytes, source: str) -> Contract:
    document = _parse(text, source)
    problems = check_document(document, "contract")
    if problems:
        raise ReconcilerError([Problem(f"{source}: {p.message}", p.hint) for p in problems])
    contract = _build(document)
    for name in ("update_session", "delete_session"):
        operation = contract.operations.get(name)
        if operation is not None and not operation.names_session:
            raise ReconcilerError(
                f"{source}: operations.{name}: it does not say which session is meant",
                "put {session_id} into its path, or session_id among its fields",
            )
    return contract


def _parse(text: bytes, source: str) -> Any:
    import yaml

    try:
        depth = aliases = 0
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            aliases += isinstance(event, yaml.AliasEvent)
            # The loader would end in a stack overflow, or in all the memory that there is.
            if depth > _DEEPEST or aliases > _DEEPEST:
                what = "levels of nesting" if depth > _DEEPEST else "aliases"
                raise ReconcilerError(f"{source} holds more than {_DEEPEST} {what}")
        document = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        if (
            getattr(error, "problem", "") == "exceeded maximum nesting depth"
        ):  # newer releases of libyaml have one
            raise ReconcilerError(f"{source} holds more than {_DEEPEST} levels of nesting") from None
        raise ReconcilerError(f"{source} is not YAML: {error}") from None
    if _holds_more_than(_LARGEST, document):
        raise ReconcilerError(f"{source} holds more than {_LARGEST} values, or itself")
    return document


def _holds_more_than(count: int, document: Any) -> bool:
    """Whether a document has more values than this, each alias of one counted again."""
    left = [document]
    for _ in range(count):
        if not left:
            return False
        value = left.pop()
        if isinstance(value, dict):
            left += value.values()
        elif isinstance(value, list):
            left += value
    return bool(left)


def _build(document: Mapping[str, Any]) -> Contract:
    service = dict(document.get("service", {}))
    service |= {name: Status(**service[name]) for name in ("not_found", "bad_request") if name in service}
    limit = service.get("remark_limit")
    operations = {
        name: _operation(name, facts, limit)
        for name, facts in document["operations"].items()
        if facts is not None
    }
    shape = document["session"]
    learned = document.get("learned")
    return Contract(
        name=document["name"],
        operations=operations,
        session=SessionShape(
            **{name: _steps(path) for name, path in shape.items() if name != "parameters"},
            parameters={name: _steps(path) for name, path in shape["parameters"].items()},
        ),
        service=Service(**service),
        learned=Learned(**learned) if learned else None,
    )


def _operation(name: str, facts: Mapping[str, Any], remark_limit: int | None) -> Operation:
    given = {fact: value for fact, value in facts.items() if value is not None}
    given["ignores"] = frozenset(given.get("ignores", ()))
    return Operation(name=name, remark_limit=remark_limit if "remark" in facts["fields"] else None, **given)


def _steps(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))
