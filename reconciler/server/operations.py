"""The calls that a server takes: those of the contract, as changed by the quirks of the service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, Literal

from reconciler.contract import SESSION_NAMES, Contract, Operation
from reconciler.server.quirks import Quirks

#: Served even if the contract does not have it, since it is documented.
_CLEAR_MESSAGES = Operation(
    name="clear_messages",
    method="POST",
    path="/v1/message/clear/",
    encoding="json",
    known="documented",
    fields={"session_id": "session_id", "session_token": "session_token"},
)

#: The wire names of parameters that the contract's list of messages may lack.
_WIRE_NAMES: Final[Mapping[str, str]] = {
    "session_id": "session_id",
    "session_token": "session_token",
    "page": "page",
    "before": "before_message_id",
    "size": "size",
}

#: The paging parameters of a list of messages by the value of the quirk, and what the contract calls such paging.
_PAGING: Final[Mapping[str, tuple[tuple[str, ...], Literal["page", "before", "none"]]]] = {
    "page": (("page", "size"), "page"),
    "before": (("before", "size"), "before"),
    "both": (("page", "before", "size"), "page"),
    "first": (("size",), "none"),
    "all": ((), "none"),
}

#: The filters of a list of messages by the value of the quirk.
_FILTERS: Final[Mapping[str, tuple[str, ...]]] = {
    "session_id": ("session_id",),
    "session_token": ("session_token",),
    "both": SESSION_NAMES,
    "none": (),
}


def served_operations(contract: Contract, quirks: Quirks) -> dict[str, Operation]:
    """The calls that a server of this contract answers, by name, each as the service takes it."""
    operations = {_CLEAR_MESSAGES.name: _CLEAR_MESSAGES, **contract.operations}
    if quirks.no_update:
        operations.pop("update_session", None)
    for name in ("create_session", "update_session"):
        if quirks.data_field is not None and name in operations:
            fields = {**operations[name].fields, "data": quirks.data_field}
            operations[name] = replace(operations[name], fields=fields)
    if quirks.path_names is not None:
        named = f"{{session_{quirks.path_names}}}"
        for name, one in operations.items():
            path = one.path.replace("{session_id}", named).replace("{session_token}", named)
            operations[name] = replace(one, path=path)
    if "list_messages" in operations:
        operations["list_messages"] = _message_list(operations["list_messages"], quirks)
    return operations


def _message_list(facts: Operation, quirks: Quirks) -> Operation:
    if quirks.message_filters is not None:
        facts = _takes(facts, SESSION_NAMES, _FILTERS[quirks.message_filters])
    if quirks.message_pages is not None:
        parameters, pages = _PAGING[quirks.message_pages]
        facts = replace(_takes(facts, ("page", "before", "size"), parameters), pages=pages)
    return facts


def _takes(facts: Operation, instead_of: Iterable[str], names: Iterable[str]) -> Operation:
    """The call with these fields instead of those."""
    kept = {ours: wire for ours, wire in facts.fields.items() if ours not in instead_of}
    return replace(
        facts, fields={**kept, **{name: facts.fields.get(name, _WIRE_NAMES[name]) for name in names}}
    )
