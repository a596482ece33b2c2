"""The list of sessions: its envelope, the fields of its rows, and what its queries do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from reconciler.api.client import Reply
from reconciler.api.decode import value_at
from reconciler.contract import SessionShape, load_contract
from reconciler.doctor.context import (
    SurveyContext,
    count_of,
    describe_answer,
    ok_if,
    rows_of,
    status_of,
)
from reconciler.doctor.report import Verdict
from reconciler.values import as_number

#: A name that no session has.
UNUSED_NAME: Final = "reconciler doctor: no session is called this"

#: How often a check is made with another session, where the one before is gone meanwhile.
TRIES: Final = 3

#: Page sizes to try beyond the contract's, if there are enough sessions.
_SIZES: Final = (200, 500, 1000)

#: What a row may have besides the contract's fields. Documented, and not needed here.
_DOCUMENTED: Final = frozenset(("api_id", "device_id", "created_at", "updated_at", "api_use_count"))

_SHOWN: Final = 20  # further fields named in the report

_TYPE_NAMES: Final = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "dict": "object",
    "list": "array",
}


@dataclass(frozen=True, slots=True)
class _Field:
    """What a row should have at a path. Without a ``needed`` field the list can't be read."""

    name: str
    path: tuple[str, ...]
    types: tuple[type, ...]
    needed: bool = False


def envelope(context: SurveyContext, reply: Reply) -> list[Any] | None:
    """Check what surrounds the rows. Returns the rows, or None if the response is not a list of sessions."""
    count, rows = count_of(reply), rows_of(reply)
    pages = as_number(reply.body.get("max_pages"))
    valid = {"count": count is not None, "max_pages": type(pages) is int, "results": rows is not None}
    invalid = [name for name, good in valid.items() if not good]
    if invalid or rows is None:
        members = ", ".join(sorted(reply.body)[:_SHOWN])
        seen = f"the answer has no valid {', '.join(invalid)}; its members: {members}"
        context.report("one page", "differs", seen, "is this the address of the session API?")
        return None
    objects = [row for row in rows if type(row) is dict]
    if len(objects) < len(rows):
        seen = f"{len(rows) - len(objects)} of {len(rows)} rows are not objects"
        context.report("one page", "differs", seen, "this list can't be read")
        return None
    sessions = "1 session" if count == 1 else f"{count or 0} sessions"
    context.report("one page", "ok", f"{len(rows)} of {sessions}")
    return objects


def fields(context: SurveyContext, rows: Sequence[Any]) -> None:
    """Whether each field of the contract is in each row, and has the right type."""
    if not rows:
        context.report("fields", "unknown", "there are no sessions to look at")
        return
    wanted = _wanted(context.contract.session)
    good = sum(_check_field(context, field, rows) for field in wanted)
    of = "all" if good == len(wanted) else f"{good} of"
    seen = f"{of} {len(wanted)} are present and of the right type, in {_rows(len(rows))}"
    context.report("fields", "ok", seen)
    extra = _extra(context.contract.session, rows)
    if extra:
        context.report("further fields", "ok", ", ".join(extra[:_SHOWN]), "they are left unchanged")


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


def _check_field(context: SurveyContext, field: _Field, rows: Sequence[Any]) -> bool:
    """Check a field in all rows, and report it if it is not as it should be."""
    label = f"field {'.'.join(field.path)}"
    present = [value for row in rows if (value := value_at(row, field.path)) is not None]
    wrong = [value for value in present if type(value) not in field.types]
    if wrong:
        verdict, seen, follows = _other_type(context, field, wrong)
        context.report(label, verdict, f"{seen} in {len(wrong)} of {_rows(len(rows))}", follows)
        return False
    if field.name == "remark" or (present and (len(present) == len(rows) or not field.needed)):
        return True
    if field.name == "session_token":
        context.report(label, "ok", "missing", "sessions are addressed by their id")
    elif field.needed:
        seen = f"missing in {len(rows) - len(present)} of {_rows(len(rows))}"
        context.report(label, "differs", seen, "it is read as empty")
    else:
        context.report(label, "differs", "missing", "what a catalog says about it would not be kept")
    return False


def _other_type(context: SurveyContext, field: _Field, wrong: Sequence[Any]) -> tuple[Verdict, str, str]:
    types = sorted({type(value).__name__ for value in wrong})
    if types == ["str"] and all(type(as_number(value)) in field.types for value in wrong):
        is_parameter = field.name in context.contract.session.parameters
        verdict = context.learned.learn_service(numbers="text") if is_parameter else "ok"
        return verdict, "a string", "it is read as a number"
    if field.name == "data" and types == ["str"]:
        return "ok", "a string", "it is read as JSON"
    if field.name == "remark" and types == ["dict"]:
        return "ok", "an object", "its JSON text is read as the remark"
    found = " and ".join(_TYPE_NAMES[name] for name in types)
    wanted = " or ".join(_TYPE_NAMES[one.__name__] for one in field.types if one is not type(None))
    unreadable = field.needed or field.name == "remark"
    return (
        "differs",
        f"{found}, not {wanted},",
        "this list can't be read" if unreadable else "it is ignored",
    )


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


def page_size(context: SurveyContext, rows: int, count: int) -> None:
    """The largest page, given how many rows the first page had, of how many sessions."""
    requested = context.listing.page_size
    if rows >= count:
        context.report("page size", "unknown", f"{requested} were requested, and all {count} fit on one page")
        return
    if rows < requested:
        verdict = context.learned.learn_service(largest_page=rows)
        if context.contract.service.largest_page is None:
            verdict = "differs"  # the contract assumes that its size is honoured
        operation = replace(context.learned.operation("list_sessions"), page_size=rows)
        context.learned.learn_operation("list_sessions", operation)
        seen = f"{rows} rows were returned, {requested} were requested"
        context.report("page size", verdict, seen, "returned rows are counted, so none is missed")
        return
    for size in _SIZES:
        if size <= requested or requested >= count:
            continue
        reply = context.list(size=size)
        returned = len(rows_of(reply) or ())
        if returned < min(size, count_of(reply) or count):
            rows = max(rows, returned)
            verdict = context.learned.learn_service(largest_page=rows)
            seen = f"at most {rows} rows are returned; the contract requests {context.listing.page_size}"
            context.report("page size", verdict, seen)
            return
        rows = requested = returned
    verdict = context.learned.learn_service(largest_page=None)
    if verdict == "differs":
        listing = context.learned.operation("list_sessions")
        usual = load_contract().operation("list_sessions").page_size
        operation = replace(listing, page_size=max(listing.page_size, usual))
        context.learned.learn_operation("list_sessions", operation)
    context.report("page size", verdict, f"{rows} rows were returned, as many as requested")


def name_filter(context: SurveyContext, rows: Sequence[Any]) -> None:
    """Filter by a whole name, by part of it, and by a name that no session has.

    A session that its name does not find may have been deleted or renamed. Then another one is used.
    """
    for _ in range(TRIES):
        name = _usable_name(context, rows)
        if name is None or "name" not in context.listing.fields:
            why = "no session has a name to look for" if name is None else "the contract has none"
            context.report("name filter", "unknown", why)
            return
        whole, part, none = (
            count_of(context.list(name=text, size=1)) for text in (name, name[1:], UNUSED_NAME)
        )
        if whole != 0 or none != 0:
            break
        rows = [row for row in rows_of(context.list()) or () if type(row) is dict]
        if any(value_at(row, context.contract.session.name) == name for row in rows):
            break
    _report_name_filter(context, whole, part, none)


def _usable_name(context: SurveyContext, rows: Sequence[Any]) -> str | None:
    """A name to look for: one whose part is least likely to be the whole name of another session."""
    names = [name for row in rows if type(name := value_at(row, context.contract.session.name)) is str]
    usable = [name for name in names if len(name) > 1 and name == name.strip()]
    return max(usable, key=lambda one: (one[1:] not in names, len(one), one), default=None)


def _report_name_filter(
    context: SurveyContext, whole: int | None, part: int | None, none: int | None
) -> None:
    learn = context.learned.learn_service
    if whole is None or part is None or none is None:
        context.report("name filter", "unknown", "not every request was answered")
    elif none:
        verdict = learn(name_filter="none")
        follows = "names are filtered here, which takes longer"
        context.report("name filter", verdict, "has no effect", follows)
    elif not whole:
        known = context.contract.service.name_filter is not None
        verdict = learn(name_filter="none")
        seen = "does not find a session by its own name"
        follows = "a new session can't be looked up by name: --probe finds out how"
        context.report("name filter", verdict if known else "differs", seen, follows)
    elif part:
        verdict = learn(name_filter="partial")
        context.report("name filter", verdict, "also matches part of a name", "results are filtered again")
    else:
        context.report("name filter", learn(name_filter="exact"), "matches only whole names")


def ordering(context: SurveyContext, count: int) -> None:
    """Whether the list can be ordered by id, ascending and descending."""
    if count < 2:
        context.report("ordering", "unknown", "there are fewer than two sessions to order")
        return
    ordered = []
    for order in ("session_id", "-session_id"):
        rows = rows_of(context.list(ordering=order)) or []
        ids = [
            as_number(value_at(row, context.contract.session.session_id)) for row in rows if type(row) is dict
        ]
        numbers = [one for one in ids if type(one) is int]
        ordered.append(len(numbers) > 1 and numbers == sorted(numbers, reverse=order.startswith("-")))
    if all(ordered):
        verdict = context.learned.learn_service(ordering="honoured")
        context.report("ordering", verdict, "by session_id, ascending and descending")
        return
    known = context.contract.service.ordering is not None
    verdict = context.learned.learn_service(ordering="ignored")
    context.report(
        "ordering",
        verdict if known else "differs",
        "the list is not in the requested order",
        "a list that is out of order can't be known to be complete: a plan ends with an error (exit 1)",
    )


def page_past_the_end(context: SurveyContext, count: int) -> None:
    """What a page past the end is answered."""
    reply = context.list(page=count + 1000)
    empty = rows_of(reply) == []
    usual = empty or (reply.error is not None and reply.error.status == 404)
    follows = "" if usual else "a session that is deleted while the list is read may end a run"
    seen = describe_answer(reply) + (", and no rows" if empty else "")
    context.report("a page past the end", ok_if(usual), seen, follows)


def invalid_ordering(context: SurveyContext) -> None:
    """The response to an invalid request, of a kind that can't change anything."""
    reply = context.list(ordering="no_such_field")
    status = status_of(reply)
    if reply.error is None or status is None:
        context.report("an invalid ordering", "ok", f"{describe_answer(reply)}: it is ignored")
        return
    if context.learned.contract.service.bad_request is None:  # the response to an update counts for more
        context.learned.learn_service(bad_request=status)
    context.report("an invalid ordering", "ok", describe_answer(reply))
