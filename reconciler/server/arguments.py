"""The arguments of a call: read from a request by the contract's names, and checked."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.contract import SESSION_NAMES, Operation
from reconciler.server.answers import BadRequest, Refusal, SessionNotFound
from reconciler.server.rows import SessionRow
from reconciler.server.store import Store
from reconciler.values import JSON

#: The default page size, in rows.
PAGE_SIZE = 20


@dataclass(frozen=True, slots=True)
class Call:
    """The fields of one request: those of the path by our names, those of query and body by wire names.

    ``api_id`` is the account that makes the call; ``None`` sees and changes the sessions of every account.
    """

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, JSON] = field(default_factory=dict)
    api_id: int | None = None


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of a call: its facts, its fields by our names, and the account that makes it."""

    facts: Operation
    given: Mapping[str, JSON]
    api_id: int | None = None


def read_arguments(facts: Operation, call: Call, *, strict: bool = False) -> Arguments:
    """The arguments of a call. Fields are taken from query and body alike; if ``strict``, as the contract says."""
    source: Mapping[str, JSON] = {**call.query, **call.body}
    if facts.method == "GET" or (strict and facts.encoding == "query"):
        source = call.query
    elif strict:
        source = call.body
    found = {ours: source[wire] for ours, wire in facts.fields.items() if wire in source}
    return Arguments(facts, {**found, **call.path}, call.api_id)


def find_session(store: Store, call: Arguments, *, both_names: bool = False) -> SessionRow:
    """The session that a call names: by id, by token, or by both if they agree.

    Raises:
        Refusal: the call names none, or one that the account does not have.
    """
    given = {name: call.given[name] for name in SESSION_NAMES if call.given.get(name) not in (None, "")}
    known = call.facts.named_by or SESSION_NAMES
    absent = [name for name in known if name not in given]
    if absent and (both_names or not given):
        raise missing(call.facts, absent if both_names else known[:1])
    rows = []
    if "session_id" in given:
        number = given["session_id"]
        if "{session_id}" in call.facts.path and not str(number).isdecimal():
            raise Refusal(404, "接口不存在")  # the path converter of the service takes digits only
        rows.append(store.session(int(read_number(call.facts, "session_id", number, whole=True))))
    if "session_token" in given:
        rows.append(store.session_by_token(str(given["session_token"])))
    row = rows[0]
    if row is None or rows[-1] != row or call.api_id not in (None, row.api_id):
        raise SessionNotFound
    return row


def read_paging(facts: Operation, given: Mapping[str, JSON]) -> tuple[int, int]:
    """The number of the page, from 1, and its size in rows."""
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
    """The refusal of a field whose value has the wrong form."""
    wire = facts.fields.get(name, name)
    return BadRequest(f"参数格式错误：{wire}", {wire: "格式错误。"})


def missing(facts: Operation, names: Iterable[str]) -> Refusal:
    """The refusal of a call without these fields."""
    wires = [facts.fields.get(name, name) for name in names]
    return BadRequest("缺少参数：" + "、".join(wires), dict.fromkeys(wires, "该字段是必填项。"))


def too_long(facts: Operation, name: str, limit: int, unit: str) -> Refusal:
    """The refusal of a text of more than ``limit`` bytes (字节) or characters (字符)."""
    wire = facts.fields[name]
    return Refusal(400, f"{wire} 过长，最多 {limit} {unit}", fields={wire: f"过长，最多 {limit} {unit}。"})
