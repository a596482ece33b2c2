"""Reading and checking a contract file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from reconciler.contract.types import (
    Contract,
    Learned,
    MessageShape,
    Operation,
    Service,
    SessionShape,
    Status,
)
from reconciler.errors import Problem, ReconcilerError
from reconciler.schemas import check_document

#: The most values of a contract file, and how deep they may nest, as well as how many aliases it may hold. The
#: built-in one has some 150 values four levels deep, and one alias.
_LARGEST = 10_000
_DEEPEST = 20


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
        if operation is not None and not operation.named_by:
            raise ReconcilerError(
                f"{source}: operations.{name}: it does not say which session is meant",
                "put {session_id} or {session_token} into its path, or session_id or session_token among its fields",
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
        message=MessageShape(**{name: _steps(path) for name, path in document.get("message", {}).items()}),
        service=Service(**service),
        learned=Learned(**learned) if learned else None,
    )


def _operation(name: str, facts: Mapping[str, Any], remark_limit: int | None) -> Operation:
    given = {fact: value for fact, value in facts.items() if value is not None}
    given["ignores"] = frozenset(given.get("ignores", ()))
    if "answer_in" in given:
        given["answer_in"] = _steps(given["answer_in"]) if given["answer_in"] else ()
    return Operation(name=name, remark_limit=remark_limit if "remark" in facts["fields"] else None, **given)


def _steps(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))
