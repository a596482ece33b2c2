"""The messages of an archived session, as they can be sent again. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.api.decode import value_at
from reconciler.api.messages import message_id
from reconciler.apply.archive import Archived
from reconciler.contract import Contract, MessageShape


def messages_to_send(archived: Archived, contract: Contract) -> list[dict[str, Any]]:
    """What to send of each archived message, oldest first, whatever the order in which they were listed once.

    Raises:
        ReconcilerError: there are some, and the contract has no call that adds them.
    """
    messages = list(archived.messages or ())
    if messages:
        contract.operation("create_message")
    numbers = [message_id(message, contract.message) for message in messages]
    if not any(number is None for number in numbers):  # else archived under a contract that knew no ids
        ordered = sorted(zip(numbers, messages, strict=True), key=lambda one: one[0] or 0)
        messages = [message for _, message in ordered]
    return [content(message, contract.message) for message in messages]


def content(message: Mapping[str, Any], shape: MessageShape) -> dict[str, Any]:
    """What of a listed message can be sent again, under our names."""
    places = {"category": shape.category, "content": shape.content, "meta": shape.meta}
    found = {name: value_at(message, place) for name, place in places.items()}
    return {name: value for name, value in found.items() if value is not None}
