"""The services that the embedded server plays for the doctor, and the truth about each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias
from unittest.mock import ANY

from reconciler.contract import Contract, Operation, load_contract

#: What a cycle of applies does: all of it; creates and deletes, but refuses updates (``no_update``); or nothing, with
#: this guard (``no_create``: with that of updates, which a create needs, too).
Cycle: TypeAlias = Literal["works", "no_update", "no_create", "no_tag", "remark_limit"]

ONE = "/v1/session/{session_id}/"
BARE = "/v1/session"


@dataclass(frozen=True)
class Service:
    """One of them.

    ``calls`` change the built-in contract's operations to how the service is spoken to, and None takes one away;
    ``quirks`` are as on the command line. ``facts`` are what the doctor has to find about its behaviour (``...`` for
    more than 0), and ``found`` what it has to find about its calls where that is not what ``calls`` says already
    (None for a call that is no use).
    ``given`` are the calls that somebody has to describe before a probe can find the others.
    """

    name: str
    calls: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    quirks: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    found: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    cycle: Cycle = "works"
    given: tuple[str, ...] = ()

    def given_contract(self) -> Contract | None:
        """What the first probe is given, None for the built-in contract."""
        if not self.given:
            return None
        built_in, played = load_contract(), self.contract()
        known = {name: played.operations[name] for name in self.given}
        return replace(built_in, operations={**built_in.operations, **known})

    def contract(self) -> Contract:
        """What the server plays."""
        contract = load_contract()
        operations = dict(contract.operations)
        for name, changes in self.calls.items():
            if changes is None:
                del operations[name]
            else:
                operations[name] = _changed(operations[name], changes)
        return replace(contract, operations=operations)


def _changed(operation: Operation, changes: Mapping[str, Any]) -> Operation:
    changed = replace(operation, **changes)
    if changed.name not in ("update_session", "delete_session") or "fields" in changes:
        return changed
    fields = {ours: wire for ours, wire in changed.fields.items() if ours != "session_token"}
    if "{session_id}" not in changed.path:
        fields = {"session_token": "session_token", **fields}
    return replace(changed, fields=fields)


#: What holds of the plainest one.
PLAIN: Mapping[str, Any] = {
    "remark_limit": None,
    "remark_over": None,
    "largest_page": None,
    "name_filter": "exact",
    "ordering": "honoured",
    "late_seconds": 0.0,
    "numbers": "number",
    "prompt_ends": "kept",
    "prompt_line_endings": "kept",
    "prompt_characters": "kept",
    "prompt_length": 100_000,
}

#: What can't be found out without an update.
_NO_UPDATE: Mapping[str, Any] = dict.fromkeys(
    ("prompt_ends", "prompt_line_endings", "prompt_characters", "prompt_length")
)

SERVICES = (
    Service("as the built-in contract says"),
    Service(
        "the id in the path, PATCH and DELETE",
        {
            "update_session": {"method": "PATCH", "path": ONE},
            "delete_session": {"method": "DELETE", "path": ONE, "encoding": "none"},
        },
    ),
    Service(
        "the id in the path, PUT that resets, DELETE answered 204",
        {
            "update_session": {"method": "PUT", "path": ONE, "left_out": "reset"},
            "delete_session": {"method": "DELETE", "path": ONE, "encoding": "none"},
        },
        ("update-resets", "delete-204", "strict-encoding"),
        found={"delete_session": {"answer": "empty"}},
    ),
    Service(
        "the id in the path, POST",
        {
            "update_session": {"path": ONE, "encoding": "form"},
            "delete_session": {"path": ONE + "delete/", "encoding": "none"},
        },
        ("strict-encoding",),
    ),
    Service(
        "forms everywhere",
        {
            "create_session": {"encoding": "form"},
            "update_session": {"path": ONE + "update/", "encoding": "form"},
            "delete_session": {"path": BARE + "/delete/", "encoding": "form"},
        },
        ("strict-encoding",),
    ),
    Service(
        "multipart everywhere",
        {
            "update_session": {"path": BARE + "/update/", "encoding": "multipart"},
            "delete_session": {"path": BARE + "/del/", "encoding": "multipart"},
        },
        ("strict-encoding",),
    ),
    Service(
        "paths without a slash at their end",
        {
            "list_sessions": {"path": BARE},
            "create_session": {"path": BARE},
            "update_session": {"method": "PATCH", "path": BARE + "/{session_id}"},
            "delete_session": {"path": BARE + "/delete", "encoding": "json"},
        },
        ("strict-encoding",),
        given=("list_sessions", "create_session"),
    ),
    Service(
        "a list without a slash at its end, and the other calls with one",
        {"list_sessions": {"path": BARE}, "create_session": {"path": BARE}},
        ("strict-encoding",),
        given=("list_sessions", "create_session"),
    ),
    Service("JSON at a create", {"create_session": {"encoding": "json"}}, ("strict-encoding",)),
    Service(
        "pages of two, names found by a part",
        quirks=("max-page-size=2", "name-filter=partial"),
        facts={"largest_page": 2, "name_filter": "partial"},
        found={"list_sessions": {"page_size": 2}},
    ),
    Service("a list that lags by calls", quirks=("late-calls=3",), facts={"late_seconds": ...}),
    Service("a list that lags by time", quirks=("late-seconds=0.3",), facts={"late_seconds": ANY}),
    Service("a list that shows changes late", quirks=("late-changes=0.3",)),
    Service(
        "a list that shows changes late, the id in the path",
        {
            "update_session": {"method": "PATCH", "path": ONE},
            "delete_session": {"method": "DELETE", "path": ONE, "encoding": "none"},
        },
        ("late-changes=0.2", "late-seconds=0.1", "strict-encoding", "remark-limit=64"),
        facts={"late_seconds": ANY, "remark_limit": 64, "remark_over": "refuse"},
    ),
    Service(
        "trimmed prompts, LF",
        quirks=("trim-prompts", "line-endings=lf"),
        facts={"prompt_ends": "both", "prompt_line_endings": "lf"},
    ),
    Service(
        "prompts of 65,535 characters",
        quirks=("prompt-limit=65535",),
        facts={"prompt_length": 65535},
    ),
    Service("prompts with CRLF", quirks=("line-endings=crlf",), facts={"prompt_line_endings": "crlf"}),
    Service(
        "numbers as text, messages by token",
        quirks=("numbers-as-text", "messages-by-token"),
        facts={"numbers": "text"},
    ),
    Service(
        "no remark at all",
        quirks=("remark-limit=0",),
        facts={"remark_limit": 0, "remark_over": "refuse"},
        cycle="remark_limit",
    ),
    Service(
        "no remark at all, without a word",
        quirks=("remark-limit=0", "remark-over=cut"),
        facts={"remark_limit": 0, "remark_over": "refuse"},
        cycle="remark_limit",
    ),
    Service(
        "a remark of 64 bytes",
        quirks=("remark-limit=64",),
        facts={"remark_limit": 64, "remark_over": "refuse"},
    ),
    Service(
        "a remark of 64 bytes, cut off",
        quirks=("remark-limit=64", "remark-over=cut"),
        facts={"remark_limit": 64, "remark_over": "cut"},
    ),
    Service(
        "a remark of 255 bytes",
        quirks=("remark-limit=255",),
        facts={"remark_limit": 255, "remark_over": "refuse"},
    ),
    Service(
        "a remark of 65,535 bytes, cut off",
        quirks=("remark-limit=65535", "remark-over=cut"),
        facts={"remark_limit": 65535, "remark_over": "cut"},
    ),
    Service(
        "an update that resets what it leaves out",
        quirks=("update-resets",),
        found={"update_session": {"left_out": "reset"}},
    ),
    Service(
        "an update that empties the prompt alone where it leaves it out",
        quirks=("update-empties=prompt",),
        found={"update_session": {"left_out": "reset"}},
    ),
    Service(
        "an update that empties name and model",
        quirks=("update-empties=name,model",),
        found={"update_session": {"left_out": "reset"}},
    ),
    Service(
        "an update that takes neither data nor max_tokens",
        quirks=("update-ignores=data,max_tokens",),
        found={"update_session": {"ignores": frozenset({"data", "max_tokens"})}},
    ),
    Service(
        "an update that takes no remark",
        quirks=("update-ignores=remark",),
        facts=_NO_UPDATE,
        found={"update_session": None},
        cycle="no_update",
    ),
    Service("no update", quirks=("no-update",), facts=_NO_UPDATE, cycle="no_update"),
    Service(
        "no update, and a remark of 64 bytes",
        quirks=("no-update", "remark-limit=64"),
        facts={**_NO_UPDATE, "remark_limit": 64, "remark_over": "refuse"},
        cycle="no_update",
    ),
    Service(
        "no update, and a remark of 255 bytes",
        quirks=("no-update", "remark-limit=255"),
        facts={**_NO_UPDATE, "remark_limit": 255, "remark_over": "refuse"},
        cycle="no_update",
    ),
    Service(
        "no update, and a remark of 90 bytes",
        quirks=("no-update", "remark-limit=90"),
        facts={**_NO_UPDATE, "remark_limit": 81, "remark_over": "refuse"},
        cycle="no_update",
    ),
    Service(
        "no update, and a remark of 64 bytes, cut off",
        quirks=("no-update", "remark-limit=64", "remark-over=cut"),
        facts={**_NO_UPDATE, "remark_limit": 64, "remark_over": "cut"},
        cycle="no_update",
    ),
    Service(
        "no update, and a remark of 39 bytes",
        quirks=("no-update", "remark-limit=39"),
        facts={**_NO_UPDATE, "remark_limit": 39, "remark_over": "refuse"},
        cycle="remark_limit",
    ),
    Service(
        "a create that takes no prompt",
        quirks=("create-ignores=prompt",),
        found={"create_session": {"ignores": frozenset({"prompt"})}},
    ),
    Service(
        "a create that takes neither prompt nor remark",
        quirks=("create-ignores=prompt,remark",),
        found={"create_session": {"ignores": frozenset({"prompt", "remark"})}},
    ),
    Service(
        "a create that takes no prompt, and no update",
        quirks=("create-ignores=prompt", "no-update"),
        facts=_NO_UPDATE,
        found={"create_session": {"ignores": frozenset({"prompt"})}},
        cycle="no_create",
    ),
    Service(
        "a create that refuses data",
        quirks=("create-refuses=data",),
        found={"create_session": {"ignores": frozenset({"data"})}},
    ),
    Service(
        "a create that refuses data, and a remark of 255 bytes",
        quirks=("create-refuses=data", "remark-limit=255"),
        facts={"remark_limit": 255, "remark_over": "refuse"},
        found={"create_session": {"ignores": frozenset({"data"})}},
    ),
    Service(
        "a create that refuses remarks and max_tokens",
        quirks=("create-refuses=remark,max_tokens",),
        found={"create_session": {"ignores": frozenset({"remark", "max_tokens"})}},
    ),
    Service(
        "a create that takes shorter remarks than an update",
        quirks=("create-remark-limit=100",),
        found={"create_session": {"ignores": frozenset({"remark"})}},
    ),
    Service(
        "a create that takes no remark",
        quirks=("create-ignores=remark",),
        found={"create_session": {"ignores": frozenset({"remark"})}},
    ),
    Service(
        "a create that takes no parameters and no data",
        quirks=("create-ignores=max_tokens,temperature,history_length,data",),
        found={
            "create_session": {"ignores": frozenset({"max_tokens", "temperature", "history_length", "data"})}
        },
    ),
    Service(
        "a create that takes no remark, and no update",
        quirks=("create-ignores=remark", "no-update"),
        facts=_NO_UPDATE,
        found={"create_session": {"ignores": frozenset({"remark"})}},
        cycle="no_tag",
    ),
    Service(
        "much at once",
        {
            "create_session": {"encoding": "json"},
            "update_session": {"method": "PUT", "path": ONE, "encoding": "multipart", "left_out": "reset"},
            "delete_session": {"path": ONE + "delete/", "encoding": "none"},
        },
        (
            "strict-encoding",
            "max-page-size=3",
            "name-filter=partial",
            "late-calls=2",
            "numbers-as-text",
            "trim-prompts",
            "line-endings=crlf",
            "remark-limit=255",
            "remark-over=cut",
            "create-ignores=remark,max_tokens",
            "update-resets",
            "delete-204",
            "messages-by-token",
        ),
        {
            "largest_page": 3,
            "name_filter": "partial",
            "late_seconds": ...,
            "numbers": "text",
            "prompt_ends": "both",
            "prompt_line_endings": "crlf",
            "remark_limit": 255,
            "remark_over": "cut",
        },
        {
            "list_sessions": {"page_size": 3},
            "create_session": {"ignores": frozenset({"remark", "max_tokens"})},
            "delete_session": {"answer": "empty"},
        },
    ),
)
