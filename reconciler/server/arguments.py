"""The arguments of a call: read from a request by the contract's names, and checked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.contract import Operation
from reconciler.server.answers import BadRequest, Refusal
from reconciler.values import JSON

#: The default page size, in rows.
PAGE_SIZE = 20


@dataclass(frozen=True, slots=True)
class Call:
    """The fields of one request: those of the path by our names, those of query and body by wire names."""

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, JSON] = field(default_factory=dict)


def read_arguments(facts: Operation, call: Call) -> dict[str, JSON]:
    """The fields of a call by our names. A session may always be named by its token, as public clients do."""
    source: Mapping[str, JSON] = call.query if facts.method == "GET" else {**call.query, **call.body}
    found = {ours: source[wire] for ours, wire in facts.fields.items() if wire in source}
    if "session_token" in source:
        found.setdefault("session_token", source["session_token"])
    found.update(call.path)
    return found


def read_paging(facts: Operation, given: Mapping[str, JSON]) -> tuple[int, int]:
    found = []
    for name, default in (("page", 1), ("size", PAGE_SIZE)):
        value = given.get(name)
        number = default if value in (None, "") else read_number(facts, name, value, whole=True)
        if not 0 < number < 2**31:
            raise malformed(facts, name)
        found.append(int(number))
    return found[0], found[1]


def read_number(facts: Operation, name: str, value: JSON, *, whole: bool = False) -> int | float:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise malformed(facts, name) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise malformed(facts, name)
    if isinstance(value, float) and not (math.isfinite(value) and (value.is_integer() or not whole)):
        raise malformed(facts, name)
    return int(value) if whole else value


def read_object(facts: Operation, name: str, value: JSON) -> dict[str, JSON]:
    """An object; in a form it is a JSON string."""
    if value in (None, ""):
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError):
            raise malformed(facts, name) from None
    if not isinstance(value, dict):
        raise malformed(facts, name)
    return value


def malformed(facts: Operation, name: str) -> Refusal:
    return BadRequest(f"参数格式错误：{facts.fields.get(name, name)}")


def too_long(facts: Operation, limit: int) -> Refusal:
    return Refusal(400, f"{facts.fields['remark']} 过长，最多 {limit} 字节")
