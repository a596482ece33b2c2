"""The contract: how the API is spoken to, read from one data file (``contracts/mindcraft.yaml``).

Nothing else in the program knows a path, a method, an encoding or a wire name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeAlias

from reconciler.errors import Problem, ReconcilerError
from reconciler.schemas import check_document

Encoding: TypeAlias = Literal["none", "json", "form", "multipart"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One call. ``fields`` maps our names to the wire's; a path may hold ``{session_id}``."""

    name: str
    method: str
    path: str
    encoding: Encoding
    known: str
    fields: Mapping[str, str]
    page_size: int = 100
    left_out: Literal["kept", "reset"] = "kept"


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
class Contract:
    """The whole table. ``operations`` lacks a call that the service does not have."""

    name: str
    operations: Mapping[str, Operation]
    session: SessionShape

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
    text = (files("reconciler") / "contracts" / "mindcraft.yaml").read_bytes()
    return _build(_parse(text, "the built-in contract"))


def _read(text: bytes, source: str) -> Contract:
    document = _parse(text, source)
    problems = check_document(document, "contract")
    if problems:
        raise ReconcilerError([Problem(f"{source}: {p.message}", p.hint) for p in problems])
    return _build(document)


def _parse(text: bytes, source: str) -> Any:
    import yaml

    try:
        return yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise ReconcilerError(f"{source} is not YAML: {error}") from None


def _build(document: Mapping[str, Any]) -> Contract:
    operations = {
        name: Operation(name=name, **{k: v for k, v in facts.items() if v is not None})
        for name, facts in document["operations"].items()
        if facts is not None
    }
    shape = document["session"]
    return Contract(
        name=document["name"],
        operations=operations,
        session=SessionShape(
            **{name: _steps(path) for name, path in shape.items() if name != "parameters"},
            parameters={name: _steps(path) for name, path in shape["parameters"].items()},
        ),
    )


def _steps(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))
