"""How the list can be asked: page size, name filter, ordering, and what it says to what makes no sense."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from reconciler.api.client import Reply
from reconciler.api.decode import value_at
from reconciler.contract import SessionShape, load_contract
from reconciler.doctor.context import Look, answer, count_of, rows_of, status_of, verdict
from reconciler.doctor.report import Verdict
from reconciler.values import as_number

#: Page sizes to try beyond the contract's, as far as there are sessions enough.
_SIZES = (200, 500, 1000)

#: A name that nobody gives to a session.
NO_NAME = "reconciler doctor: no session is called this"


def page_size(look: Look, rows: int, count: int) -> None:
    """The largest page that comes, given how many rows came on the first one, of how many."""
    asked = look.listing.page_size
    if rows >= count:
        look.say("page size", "unknown", f"{asked} are asked for, and all {count} come on one page")
        return
    if rows < asked:
        stated = look.lessons.behaves(largest_page=rows)
        if look.contract.service.largest_page is None:
            stated = "differs"  # that the contract's size is honoured was assumed
        look.lessons.call("list_sessions", replace(look.lessons.operation("list_sessions"), page_size=rows))
        look.say(
            "page size",
            stated,
            f"{rows} rows come, of {asked} asked for",
            "what comes is counted, so none is missed",
        )
        return
    for size in _SIZES:
        if size <= asked or asked >= count:
            continue
        came = len(rows_of(look.list(size=size)) or ())
        if came < min(size, count):
            rows = max(rows, came)
            stated = look.lessons.behaves(largest_page=rows)
            look.say("page size", stated, f"{rows} rows come at most; {look.listing.page_size} are asked for")
            return
        rows = asked = came
    stated = look.lessons.behaves(largest_page=None)
    if stated == "differs":
        listing = look.lessons.operation("list_sessions")
        usual = load_contract().operation("list_sessions").page_size
        look.lessons.call("list_sessions", replace(listing, page_size=max(listing.page_size, usual)))
    look.say("page size", stated, f"{rows} rows come, of as many asked for")


def name_filter(look: Look, rows: Sequence[Any]) -> None:
    """Ask for a whole name, for a part of it, and for a name that nobody has."""
    names = [name for row in rows if type(name := value_at(row, look.contract.session.name)) is str]
    usable = [name for name in names if len(name) > 1 and name == name.strip()]
    if not usable or "name" not in look.listing.fields:
        why = "there is no session with a name to look for" if not usable else "the contract has none"
        look.say("name filter", "unknown", why)
        return
    # A name whose part is the least likely to be another's whole name.
    name = max(usable, key=lambda one: (one[1:] not in names, len(one), one))
    whole, part, none = (count_of(look.list(name=text, size=1)) for text in (name, name[1:], NO_NAME))
    if whole is None or part is None or none is None:
        look.say("name filter", "unknown", "not every question was answered")
    elif none:
        stated = look.lessons.behaves(name_filter="none")
        look.say("name filter", stated, "does not narrow the list", "it is narrowed here, which takes longer")
    elif not whole:
        known = look.contract.service.name_filter is not None
        stated = look.lessons.behaves(name_filter="none")
        seen = "does not find a session by its own name"
        look.say(
            "name filter",
            stated if known else "differs",
            seen,
            "what was just made can't be looked up: --probe writes down how to",
        )
    elif part:
        stated = look.lessons.behaves(name_filter="partial")
        look.say("name filter", stated, "finds a part of a name, too", "what comes is narrowed again here")
    else:
        look.say("name filter", look.lessons.behaves(name_filter="exact"), "finds whole names alone")


def ordering(look: Look, count: int) -> None:
    """Whether the list comes by id, upwards and downwards."""
    if count < 2:
        look.say("ordering", "unknown", "there are not two sessions to be put in order")
        return
    held = []
    for way in ("session_id", "-session_id"):
        rows = rows_of(look.list(ordering=way)) or []
        ids = [
            as_number(value_at(row, look.contract.session.session_id)) for row in rows if type(row) is dict
        ]
        numbers = [one for one in ids if type(one) is int]
        held.append(len(numbers) > 1 and numbers == sorted(numbers, reverse=way.startswith("-")))
    if all(held):
        look.say(
            "ordering", look.lessons.behaves(ordering="honoured"), "by session_id, upwards and downwards"
        )
        return
    known = look.contract.service.ordering is not None
    stated = look.lessons.behaves(ordering="ignored")
    look.say(
        "ordering",
        stated if known else "differs",
        "the list does not come in the order that is asked for",
        "a listing that comes out of order can't be known to be whole: it ends with an error (exit 1), "
        "never with a plan",
    )


def no_such_page(look: Look, count: int) -> None:
    """What is said to a page past the end."""
    reply = look.list(page=count + 1000)
    empty = rows_of(reply) == []
    good = empty or (reply.error is not None and reply.error.status == 404)
    follows = "" if good else "a session that goes while the list is read may end a run"
    look.say(
        "a page past the end", verdict(good), answer(reply) + (", and no rows" if empty else ""), follows
    )


def no_such_ordering(look: Look) -> None:
    """What a bad request is answered, asked in a way that can only be a question."""
    reply = look.list(ordering="no_such_field")
    status = status_of(reply)
    if reply.error is None or status is None:
        look.say("an ordering that is none", "ok", f"{answer(reply)}: it is not looked at")
    else:
        if look.lessons.contract.service.bad_request is None:  # what an update is answered counts for more
            look.lessons.behaves(bad_request=status)
        look.say("an ordering that is none", "ok", answer(reply))


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
