"""What was learned so far: the contract in use, corrected fact by fact."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconciler.contract import Contract, Operation, Service
from reconciler.doctor.report import Verdict


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
