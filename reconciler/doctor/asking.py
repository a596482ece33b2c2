"""How the list can be asked: page size, name filter, ordering, and what it says to what makes no sense."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from reconciler.api.decode import value_at
from reconciler.contract import load_contract
from reconciler.doctor.bench import answer, status_of, verdict
from reconciler.doctor.look import Look, count_of, rows_of
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
