"""Ways in which healthy services differ from each other, which ``server --quirk`` simulates."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from reconciler.contract import Contract, Status
from reconciler.text.nearest import nearest

#: The fields that a create or an update may ignore, by the contract's names.
IGNORABLE = ("prompt", "remark", "data", "temperature", "max_tokens", "history_length")

#: The calls that are about the messages of a session.
_MESSAGE_CALLS = ("list_messages", "create_message", "clear_messages")

#: The fields that an update may empty if it leaves them out.
EMPTIED = ("name", "model", "prompt")


def _quirk(default: Any, text: str, value: str = "", read: Callable[[str], Any] | None = None) -> Any:
    """A field with its help text and the form of its value; without a form it is a switch."""
    return field(default=default, metadata={"text": text, "value": value, "read": read})


def _whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 10) or int(text) < least:
            raise ValueError(f"{text!r} is not an integer of at least {least}")
        return int(text)

    return read


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86400:
        raise ValueError(f"{text!r} is not a number of seconds")
    return seconds


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = 99.0
    if not -24 <= hours <= 24:
        raise ValueError(f"{text!r} is not a number of hours between -24 and 24")
    return hours


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}", text):
        raise ValueError(f"{text!r} is not the name of a field")
    return text


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is none of: {', '.join(words)}")
        return text

    return read


def _names(text: str) -> frozenset[str]:
    return frozenset(_name(word) for word in text.split(","))


def _some_of(*words: str) -> Callable[[str], frozenset[str]]:
    def read(text: str) -> frozenset[str]:
        return frozenset(_one_of(*words)(word) for word in text.split(","))

    return read


def _status(text: str) -> Status:
    http, sign, body = text.partition("/")
    found = Status(_whole(200)(http), _whole(0)(body) if sign else 0)
    if not _playable(found):
        raise ValueError(f"{text!r} is not the status of a final response")
    return found


def _playable(status: Status) -> bool:
    return 200 <= status.http <= 599


#: How the plainest service answers a call about a missing session, an invalid call, and a write without points.
_NOT_FOUND = Status(404, 404)
_BAD_REQUEST = Status(400, 400)
_OUT_OF_POINTS = Status(406, 406)


def _choice(default: str | None, text: str, *words: str) -> Any:
    """A field whose value is one of these words."""
    return _quirk(default, text, "|".join(words), _one_of(*words))


@dataclass(frozen=True, slots=True)
class Quirks:
    """How the simulated service behaves. The defaults describe the plainest service."""

    max_page_size: int | None = _quirk(None, "The largest number of rows on a page.", "ROWS", _whole(1))
    name_filter: Literal["exact", "partial", "none"] = _quirk(
        "exact",
        "How session_name filters the list.",
        "exact|partial|none",
        _one_of("exact", "partial", "none"),
    )
    ordering_ignored: bool = _quirk(
        False, "The list is sorted by the latest change first, whatever the request asks for."
    )
    change_order_ignored: bool = _quirk(
        False,
        "The list is sorted by session_id, the newest first, if the request asks for the order of updated_at.",
    )
    late_seconds: float = _quirk(
        0.0, "A new session appears in the list after this many seconds.", "SECONDS", _seconds
    )
    late_calls: int = _quirk(
        0, "A new session is missing from this many list requests (each page is one).", "CALLS", _whole(0)
    )
    late_changes: float = _quirk(
        0.0, "The list shows an update or a delete after this many seconds.", "SECONDS", _seconds
    )
    numbers_as_text: bool = _quirk(False, "Parameters are returned as strings.")
    trim_prompts: bool = _quirk(False, "White space at both ends of a prompt is removed.")
    trim_end: bool = _quirk(False, "White space at the end of a prompt is removed.")
    prompt_limit: int | None = _quirk(None, "A longer prompt is rejected.", "CHARACTERS", _whole(1))
    line_endings: Literal["kept", "lf", "crlf"] = _quirk(
        "kept", "The line endings of a prompt are rewritten.", "kept|lf|crlf", _one_of("kept", "lf", "crlf")
    )
    remark_limit: int | None = _quirk(
        None, "session_remark holds at most this many bytes of UTF-8.", "BYTES", _whole(0)
    )
    remark_characters: int | None = _quirk(
        None, "session_remark holds at most this many characters.", "CHARACTERS", _whole(0)
    )
    remark_over: Literal["refuse", "cut"] = _quirk(
        "refuse",
        "What happens to a longer remark: it is rejected with 400, or truncated.",
        "refuse|cut",
        _one_of("refuse", "cut"),
    )
    remark_escaped: bool = _quirk(
        False, "Quotes, angle brackets and ampersands of a remark are stored as HTML entities."
    )
    drops_empty: bool = _quirk(
        False,
        "Keys of data and of a JSON remark are not stored if their value is empty: a string, null, [] or {}.",
    )
    drops_keys: frozenset[str] = _quirk(
        frozenset(), "These keys of data and of a JSON remark are not stored.", "NAME,…", _names
    )
    normal_keys: bool = _quirk(False, "The keys of data are stored in Unicode normal form C.")
    data_field: str | None = _quirk(
        None, "The wire name of data in writes. The contract's name is ignored.", "NAME", _name
    )
    create_answer: Literal["row", "both", "token", "none"] = _choice(
        "row",
        "What a create answers: the session, its id and token, its token alone, or neither.",
        "row",
        "both",
        "token",
        "none",
    )
    create_ignores: frozenset[str] = _quirk(
        frozenset(),
        "A create ignores these fields, of " + ", ".join(IGNORABLE) + ".",
        "FIELD,…",
        _some_of(*IGNORABLE),
    )
    create_refuses: frozenset[str] = _quirk(
        frozenset(),
        "A create with one of these fields is rejected with 400.",
        "FIELD,…",
        _some_of(*IGNORABLE),
    )
    create_remark_limit: int | None = _quirk(
        None, "A create rejects a longer session_remark than this; an update does not.", "BYTES", _whole(0)
    )
    update_resets: bool = _quirk(
        False, "An update resets the fields that it leaves out, except name and model."
    )
    update_wants_all: bool = _quirk(
        False, "An update that leaves a field out is rejected with 400, which names the field."
    )
    update_empties: frozenset[str] = _quirk(
        frozenset(),
        "An update empties these fields if it leaves them out, of " + ", ".join(EMPTIED) + ".",
        "EMPTIED,…",
        _some_of(*EMPTIED),
    )
    update_ignores: frozenset[str] = _quirk(
        frozenset(), "An update ignores these fields.", "FIELD,…", _some_of(*IGNORABLE)
    )
    update_hits: Literal["named", "other", "both", "none"] = _choice(
        "named",
        "What an update changes, whatever it answers: the session, its neighbour by id, both, or none.",
        "named",
        "other",
        "both",
        "none",
    )
    updated_at: Literal["updates", "messages", "never"] = _choice(
        "updates",
        "What sets updated_at: updates, updates and new messages, or nothing after the create.",
        "updates",
        "messages",
        "never",
    )
    chat_streams: bool = _quirk(False, "A chat call is answered with a stream of events, also unasked.")
    unstamped: frozenset[str] = _quirk(
        frozenset(),
        "An update of these fields alone leaves updated_at, of " + ", ".join(IGNORABLE) + ".",
        "FIELD,…",
        _some_of(*IGNORABLE),
    )
    second_clock: float = _quirk(
        0.0,
        "Every other write is stamped by a clock that is this many seconds behind, as of a second machine.",
        "SECONDS",
        _seconds,
    )
    no_update: bool = _quirk(False, "There is no update call; it answers 404.")
    delete_204: bool = _quirk(False, "A delete answers 204 without a body.")
    delete_hits: Literal["named", "other", "both", "none"] = _choice(
        "named",
        "What a delete removes, whatever it answers: the session, its neighbour by id, both, or none.",
        "named",
        "other",
        "both",
        "none",
    )
    deletes_undone: int = _quirk(
        0,
        "A deleted session comes back after this many list requests, without its messages.",
        "CALLS",
        _whole(0),
    )
    path_names: Literal["id", "token"] | None = _choice(
        None, "What names a session in a path. Default: as in the contract.", "id", "token"
    )
    both_names: bool = _quirk(
        False, "A call that can name a session by id and by token is rejected with 400 unless it has both."
    )
    messages_by_token: bool = _quirk(False, "Messages are addressed by session_token only.")
    message_filters: Literal["session_id", "session_token", "both", "none"] | None = _choice(
        None,
        "What filters the list of messages. Others are ignored; a list without a filter has every message of the "
        "account. Default: as in the contract, and a list without a filter is rejected.",
        "session_id",
        "session_token",
        "both",
        "none",
    )
    message_pages: Literal["page", "before", "both", "first", "all"] | None = _choice(
        None,
        "How the list of messages is paged: by page, by before_message_id, by both; or every answer is the first "
        "page, or the whole list. Default: as in the contract.",
        "page",
        "before",
        "both",
        "first",
        "all",
    )
    message_counts: Literal["all", "left", "page", "none"] | None = _choice(
        None,
        "What count is: the messages of the list, of them those before the cursor, those of the page, or absent. "
        "Default: as in the contract.",
        "all",
        "left",
        "page",
        "none",
    )
    message_max_pages: Literal["all", "left", "page", "none"] = _choice(
        "left",
        "The number of messages that max_pages is computed from, or none if it is absent.",
        "all",
        "left",
        "page",
        "none",
    )
    message_order: Literal["asked", "newest", "oldest"] = _choice(
        "asked",
        "Which message comes first: as the request asks, or always the newest or the oldest.",
        "asked",
        "newest",
        "oldest",
    )
    utc_offset: float = _quirk(
        0.0, "Times are local: this many hours ahead of UTC, which they do not say.", "HOURS", _hours
    )
    time_resolution: Literal["second", "minute", "day"] = _choice(
        "second", "Times are truncated to whole seconds, minutes or days.", "second", "minute", "day"
    )
    points: int | None = _quirk(
        None, "An account can pay for this many writes; each further one is rejected.", "WRITES", _whole(0)
    )
    out_of_points: Status = _quirk(  # noqa: RUF009 - it is frozen
        _OUT_OF_POINTS,
        "The status of a write without points, in HTTP and in the body. Default: 406 in both.",
        "HTTP[/BODY]",
        _status,
    )
    query_limit: int | None = _quirk(
        None, "A longer query is rejected with 414 and an HTML page.", "BYTES", _whole(0)
    )
    strict_encoding: bool = _quirk(
        False, "Bodies in another encoding than the contract's are rejected with 415."
    )
    unread_encoding: bool = _quirk(
        False, "Bodies in another encoding than the contract's are treated as empty."
    )
    bare_errors: bool = _quirk(
        False,
        "Errors come without the envelope, as Django REST framework words them: detail, or a list of texts by field.",
    )
    not_found: Status = _quirk(  # noqa: RUF009 - it is frozen
        _NOT_FOUND,
        "The status of a call about a missing session, in HTTP and in the body. Default: 404 in both.",
        "HTTP[/BODY]",
        _status,
    )
    bad_request: Status = _quirk(  # noqa: RUF009
        _BAD_REQUEST,
        "The status of an invalid call, in HTTP and in the body. Default: 400 in both.",
        "HTTP[/BODY]",
        _status,
    )


#: The fields by the names that the command line gives them.
_NAMED: Mapping[str, dataclasses.Field[Any]] = {
    one.name.replace("_", "-"): one for one in dataclasses.fields(Quirks)
}


def quirk_help() -> list[tuple[str, str]]:
    """Each quirk as it is written on the command line, with its help text."""
    return [
        (f"{name}={one.metadata['value']}" if one.metadata["value"] else name, one.metadata["text"])
        for name, one in _NAMED.items()
    ]


def learned_quirks(contract: Contract) -> Quirks:
    """The quirks of the service that a contract describes.

    Prompts that are ``changed`` or ``refused`` are not simulated, since the contract does not say how.
    """
    service = contract.service
    endings = service.prompt_line_endings
    update = contract.operations.get("update_session")
    delete = contract.operations.get("delete_session")
    messages = [one for name, one in contract.operations.items() if name in _MESSAGE_CALLS]
    longest = [one.longest_query for one in contract.operations.values() if one.longest_query is not None]
    return Quirks(
        max_page_size=service.largest_page,
        name_filter=service.name_filter or "exact",
        ordering_ignored=service.ordering == "ignored",
        late_seconds=service.late_seconds or 0.0,
        numbers_as_text=service.numbers == "text",
        trim_prompts=service.prompt_ends == "both",
        trim_end=service.prompt_ends == "end",
        line_endings=endings if endings in ("lf", "crlf") else "kept",
        remark_limit=service.remark_limit,
        remark_over=service.remark_over or "refuse",
        create_ignores=contract.operation("create_session").ignores & frozenset(IGNORABLE),
        update_ignores=update.ignores & frozenset(IGNORABLE) if update is not None else frozenset(),
        delete_204=delete is not None and delete.answer == "empty",
        messages_by_token=bool(messages) and all(one.named_by == ("session_token",) for one in messages),
        query_limit=min(longest, default=None),
        not_found=_played(service.not_found, _NOT_FOUND),
        bad_request=_played(service.bad_request, _BAD_REQUEST),
    )


def _played(learned: Status | None, plain: Status) -> Status:
    return learned if learned is not None and _playable(learned) else plain


def parse_quirks(texts: Iterable[str], onto: Quirks = Quirks()) -> Quirks:
    """Quirks from ``NAME`` and ``NAME=VALUE``, overriding those of ``onto``. The last value of a name wins.

    Raises:
        ValueError: a name or a value is invalid. The message says which, and what is valid.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if name not in _NAMED:
            near = nearest(name, _NAMED)
            more = f"did you mean {near!r}?" if near else "there are: " + ", ".join(_NAMED)
            raise ValueError(f"there is no quirk {name!r}; {more}")
        one = _NAMED[name]
        form, read = one.metadata["value"], one.metadata["read"]
        if read is None:
            if sign:
                raise ValueError(f"the quirk {name!r} takes no value")
            found[one.name] = True
            continue
        if not sign:
            raise ValueError(f"the quirk {name!r} needs a value: {name}={form}")
        try:
            found[one.name] = read(value)
        except ValueError as error:
            raise ValueError(f"the quirk {name!r}: {error}") from None
    return dataclasses.replace(onto, **found)
