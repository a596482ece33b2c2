"""Decodes a listed row as a live session. The contract says where each field is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from reconciler.api.errors import ApiError
from reconciler.contract import Operation, SessionShape
from reconciler.domain import LiveSession
from reconciler.ownership.remark import parse_remark
from reconciler.text.normalise import normalise_prompt
from reconciler.values import DEEPEST, as_number, nested_deeper, parse_json

#: The largest id of a session: databases give out no larger ones.
LARGEST_ID: Final = 2**63 - 1

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def decode_session(row: Any, shape: SessionShape) -> LiveSession:
    """One listed row as a live session. Unknown fields of the row are kept and ignored.

    Raises:
        ApiError: the row does not have the form that the contract describes.
    """
    if type(row) is not dict:
        raise _misfit("a row of the list is not an object")
    session_id = as_number(value_at(row, shape.session_id))
    if type(session_id) is not int or session_id < 1:
        raise _misfit(f"a row of the list has no whole number above 0 at {'.'.join(shape.session_id)}")
    if session_id > LARGEST_ID:
        raise _misfit(f"a row of the list has a number of more than 64 bits at {'.'.join(shape.session_id)}")
    if nested_deeper(row, DEEPEST):
        raise _misfit(f"#{session_id} holds values more than {DEEPEST} levels deep")
    config = value_at(row, shape.config)
    if type(config) is not dict:
        raise _misfit(f"#{session_id} has no object at {'.'.join(shape.config)}")
    data = value_at(row, shape.data)
    if type(data) is str:
        data = _object(data)  # a form carries it as JSON text, which a server may return unchanged
    raw_remark = value_at(row, shape.remark)
    if type(raw_remark) is dict:
        raw_remark = json.dumps(raw_remark, ensure_ascii=False, separators=(",", ":"))
    elif raw_remark is not None and type(raw_remark) is not str:
        raise _misfit(f"#{session_id} has no text at {'.'.join(shape.remark)}")
    parameters = {}
    for name, path in shape.parameters.items():
        found = value_at(row, path)
        if found is not None:
            parameters[name] = as_number(found)
    token = value_at(row, shape.session_token)
    return LiveSession(  # positional arguments save 5 % of the time; a list has up to a million rows
        session_id,
        _text(row, shape.name, session_id),
        _text(row, shape.model, session_id),
        normalise_prompt(_text(row, shape.prompt, session_id)),
        parameters,
        data if type(data) is dict else {},
        raw_remark,
        parse_remark(raw_remark),
        row,
        config,
        token if type(token) is str else None,
    )


def answered(body: Any, operation: Operation, shape: SessionShape) -> tuple[int | None, str | None]:
    """The id and the token of the written session; None for one that the response does not contain."""
    session = value_at(body, operation.answer_in) if type(body) is dict else None
    if type(session) is not dict:
        return None, None
    number = as_number(value_at(session, shape.session_id))
    token = value_at(session, shape.session_token)
    return (
        number if type(number) is int and 0 < number <= LARGEST_ID else None,
        token if type(token) is str and token else None,
    )


def read_stamp(row: Mapping[str, Any], shape: SessionShape) -> int | None:
    """When a listed session was changed last, in microseconds of the service's clock; None if the row does not say."""
    text = value_at(row, shape.updated_at)
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return (time.replace(tzinfo=time.tzinfo or UTC) - _EPOCH) // _MICROSECOND


def value_at(row: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """The value at a path of keys in a row; None if there is none."""
    found: Any = row
    for step in path:
        if type(found) is not dict:
            return None
        found = found.get(step)
    return found


def _text(row: Mapping[str, Any], path: tuple[str, ...], session_id: int) -> str:
    found = value_at(row, path)
    if found is None:
        return ""
    if type(found) is not str:
        raise _misfit(f"#{session_id} has no text at {'.'.join(path)}")
    return found


def _object(text: str) -> Any:
    try:
        return parse_json(text, levels=DEEPEST)
    except ValueError:
        return None


def _misfit(what: str) -> ApiError:
    return ApiError(
        "list_sessions",
        f"the answer does not fit the contract: {what}",
        hint="is the address that of the session API? If so, describe its form in a file for --contract",
    )
