"""One page of the list, field by field against the contract: what is missing, extra, or of another type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.api.client import Reply
from reconciler.api.decode import value_at
from reconciler.contract import SessionShape
from reconciler.doctor.look import Look, count_of, rows_of
from reconciler.doctor.report import Verdict
from reconciler.values import as_number

#: What a row may hold beside the contract's fields. Documented, and needed by nothing here.
_DOCUMENTED = frozenset(("api_id", "device_id", "created_at", "updated_at", "api_use_count"))

_NAMED = 20  # further fields that are named


@dataclass(frozen=True, slots=True)
class _Field:
    """What a row should hold at a path. Without a ``needed`` one the list can't be read at all."""

    name: str
    path: tuple[str, ...]
    kinds: tuple[type, ...]
    needed: bool = False


def envelope(look: Look, reply: Reply) -> list[Any] | None:
    """What is around the rows. Gives the rows that are objects, or None where there is no list in it."""
    count, rows = count_of(reply), rows_of(reply)
    pages = as_number(reply.body.get("max_pages"))
    wrong = [
        name
        for name, good in (
            ("count", count is not None),
            ("max_pages", type(pages) is int),
            ("results", rows is not None),
        )
        if not good
    ]
    if wrong or rows is None:
        seen = (
            f"no good {', '.join(wrong)} in the answer, which holds: {', '.join(sorted(reply.body)[:_NAMED])}"
        )
        look.say("one page", "differs", seen, "is this the address of the session API?")
        return None
    good = [row for row in rows if type(row) is dict]
    if len(good) < len(rows):
        seen = f"{len(rows) - len(good)} of {len(rows)} rows are no objects"
        look.say("one page", "differs", seen, "the list can't be read like that")
        return None
    look.say("one page", "ok", f"{len(rows)} of {_sessions(count or 0)}")
    return good


def fields(look: Look, rows: Sequence[Any]) -> None:
    """Each field of the contract in each row: there, and of the type that it should be."""
    if not rows:
        look.say("fields", "unknown", "there are no sessions to look at")
        return
    wanted = _wanted(look.contract.session)
    fine = sum(_as_it_should(look, field, rows) for field in wanted)
    of = "all" if fine == len(wanted) else f"{fine} of"
    look.say("fields", "ok", f"{of} {len(wanted)} are there, and of the right type, in {_rows(len(rows))}")
    extra = _extra(look.contract.session, rows)
    if extra:
        look.say("further fields", "ok", ", ".join(extra[:_NAMED]), "they are kept and left alone")


def _wanted(shape: SessionShape) -> list[_Field]:
    return [
        _Field("session_id", shape.session_id, (int,), True),
        _Field("session_token", shape.session_token, (str,)),
        _Field("name", shape.name, (str,), True),
        _Field("config", shape.config, (dict,), True),
        _Field("model", shape.model, (str,), True),
        _Field("prompt", shape.prompt, (str,), True),
        _Field("data", shape.data, (dict,)),
        *(_Field(name, path, (int, float)) for name, path in shape.parameters.items()),
        _Field("remark", shape.remark, (str, type(None))),
    ]


def _as_it_should(look: Look, field: _Field, rows: Sequence[Any]) -> bool:
    """Whether a field is as it should be in all rows. Where it is not, that is said."""
    label = f"field {'.'.join(field.path)}"
    there = [value for row in rows if (value := value_at(row, field.path)) is not None]
    other = [value for value in there if type(value) not in field.kinds]
    if other:
        verdict, seen, follows = _other_type(look, field, other)
        look.say(label, verdict, f"{seen} in {len(other)} of {_rows(len(rows))}", follows)
        return False
    if field.name == "remark" or (there and (len(there) == len(rows) or not field.needed)):
        return True
    if field.name == "session_token":
        look.say(label, "ok", "not there", "sessions are addressed by their id")
    elif field.needed:
        missing = len(rows) - len(there)
        look.say(label, "differs", f"missing in {missing} of {_rows(len(rows))}", "it counts as empty")
    else:
        look.say(label, "differs", "missing", "what a catalog says of it would not stay")
    return False


def _other_type(look: Look, field: _Field, other: Sequence[Any]) -> tuple[Verdict, str, str]:
    kinds = sorted({type(value).__name__ for value in other})
    if kinds == ["str"] and all(type(as_number(value)) in field.kinds for value in other):
        stated = (
            look.lessons.behaves(numbers="text") if field.name in look.contract.session.parameters else "ok"
        )
        return stated, "a text", "it is read as a number"
    if field.name == "data" and kinds == ["str"]:
        return "ok", "a text", "it is read as JSON"
    if field.name == "remark" and kinds == ["dict"]:
        return "ok", "an object", "it is read as the text of one"
    wanted = " or ".join(kind.__name__ for kind in field.kinds if kind is not type(None))
    follows = (
        "the list can't be read like that" if field.needed or field.name == "remark" else "it is left alone"
    )
    return "differs", f"{' and '.join(kinds)}, not {wanted},", follows


def _extra(shape: SessionShape, rows: Sequence[Any]) -> list[str]:
    paths = [field.path for field in _wanted(shape)]
    known = {path[0] for path in paths} | _DOCUMENTED
    inner = {path[-1] for path in paths if path[:-1] == shape.config}
    found = {key for row in rows for key in row if key not in known}
    for row in rows:
        config = value_at(row, shape.config)
        if type(config) is dict:
            found |= {f"{'.'.join(shape.config)}.{key}" for key in config if key not in inner}
    return sorted(found)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _sessions(count: int) -> str:
    return "1 session" if count == 1 else f"{count} sessions"
