"""How a service may differ from the next and still be healthy: what ``server --quirk`` plays."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from reconciler.contract import Contract, Status
from reconciler.text.nearest import nearest

#: What a service may fail to take in from a create or an update, by the contract's names.
IGNORABLE = ("prompt", "remark", "data", "temperature", "max_tokens", "history_length")

#: What an update may empty where it is not given it.
EMPTIED = ("name", "model", "prompt")


def _quirk(default: Any, text: str, value: str = "", read: Callable[[str], Any] | None = None) -> Any:
    """A field with the form of its value and its line of help; without a form it is a switch."""
    return field(default=default, metadata={"text": text, "value": value, "read": read})


def _whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 10) or int(text) < least:
            raise ValueError(f"{text!r} is not a whole number of at least {least}")
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


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is none of: {', '.join(words)}")
        return text

    return read


def _some_of(*words: str) -> Callable[[str], frozenset[str]]:
    def read(text: str) -> frozenset[str]:
        return frozenset(_one_of(*words)(word) for word in text.split(","))

    return read


def _status(text: str) -> Status:
    http, sign, body = text.partition("/")
    found = Status(_whole(200)(http), _whole(0)(body) if sign else 0)
    if not _playable(found):
        raise ValueError(f"{text!r} is no status that ends a call")
    return found


def _playable(status: Status) -> bool:
    return 200 <= status.http <= 599


#: How the plainest service answers a call about a session that is gone, and one that makes no sense.
_NOT_FOUND = Status(404, 404)
_BAD_REQUEST = Status(400, 400)


@dataclass(frozen=True, slots=True)
class Quirks:
    """What is peculiar about the service. The defaults are those of the plainest one."""

    max_page_size: int | None = _quirk(None, "No page holds more rows than this.", "ROWS", _whole(1))
    name_filter: Literal["exact", "partial", "none"] = _quirk(
        "exact",
        "How session_name filters a listing.",
        "exact|partial|none",
        _one_of("exact", "partial", "none"),
    )
    ordering_ignored: bool = _quirk(False, "Listings come newest change first, whatever is asked for.")
    late_seconds: float = _quirk(
        0.0, "A new session is listed only after this many seconds.", "SECONDS", _seconds
    )
    late_calls: int = _quirk(
        0, "A new session is missing from the next so many listings (each page is one).", "CALLS", _whole(0)
    )
    late_changes: float = _quirk(
        0.0, "A listing shows an update or a delete only after this many seconds.", "SECONDS", _seconds
    )
    numbers_as_text: bool = _quirk(False, "Parameters come back as texts.")
    trim_prompts: bool = _quirk(False, "White space at both ends of a prompt is lost.")
    trim_end: bool = _quirk(False, "White space at the end of a prompt is lost.")
    prompt_limit: int | None = _quirk(
        None, "A prompt of more characters than this is refused.", "CHARACTERS", _whole(1)
    )
    line_endings: Literal["kept", "lf", "crlf"] = _quirk(
        "kept", "Line ends of a prompt are rewritten.", "kept|lf|crlf", _one_of("kept", "lf", "crlf")
    )
    remark_limit: int | None = _quirk(
        None, "session_remark holds so many bytes of UTF-8.", "BYTES", _whole(0)
    )
    remark_over: Literal["refuse", "cut"] = _quirk(
        "refuse",
        "What becomes of a longer remark: 400, or it is cut off.",
        "refuse|cut",
        _one_of("refuse", "cut"),
    )
    create_ignores: frozenset[str] = _quirk(
        frozenset(),
        "Create does not take these fields in, of " + ", ".join(IGNORABLE) + ".",
        "FIELD,…",
        _some_of(*IGNORABLE),
    )
    create_refuses: frozenset[str] = _quirk(
        frozenset(),
        "Create refuses a call that carries one of these fields: 400.",
        "FIELD,…",
        _some_of(*IGNORABLE),
    )
    create_remark_limit: int | None = _quirk(
        None, "Create refuses a longer session_remark than this, an update does not.", "BYTES", _whole(0)
    )
    update_resets: bool = _quirk(False, "An update resets what it leaves out, name and model aside.")
    update_empties: frozenset[str] = _quirk(
        frozenset(),
        "An update empties these fields where it leaves them out, of " + ", ".join(EMPTIED) + ".",
        "EMPTIED,…",
        _some_of(*EMPTIED),
    )
    update_ignores: frozenset[str] = _quirk(
        frozenset(), "An update does not take these fields in.", "FIELD,…", _some_of(*IGNORABLE)
    )
    no_update: bool = _quirk(False, "There is no update call: 404.")
    delete_204: bool = _quirk(False, "Delete answers 204 without a body.")
    messages_by_token: bool = _quirk(False, "Messages are addressed by session_token alone.")
    strict_encoding: bool = _quirk(
        False, "Only the contract's encoding of each body is taken, others get 415."
    )
    not_found: Status = _quirk(  # noqa: RUF009 - it is frozen
        _NOT_FOUND,
        "How a call about a session that is gone is answered, if not with 404 in both places.",
        "HTTP[/BODY]",
        _status,
    )
    bad_request: Status = _quirk(  # noqa: RUF009
        _BAD_REQUEST,
        "How a call that makes no sense is answered, if not with 400 in both places.",
        "HTTP[/BODY]",
        _status,
    )


#: The fields by the names that the command line gives them.
_NAMED: Mapping[str, dataclasses.Field[Any]] = {
    one.name.replace("_", "-"): one for one in dataclasses.fields(Quirks)
}


def quirk_help() -> list[tuple[str, str]]:
    """Each quirk as it is written on the command line, and what it does."""
    return [
        (f"{name}={one.metadata['value']}" if one.metadata["value"] else name, one.metadata["text"])
        for name, one in _NAMED.items()
    ]


def learned_quirks(contract: Contract) -> Quirks:
    """What a contract says of how its service behaves.

    Not played, since the file does not say what becomes of the text: prompts that are ``changed`` or ``refused``.
    """
    service = contract.service
    endings = service.prompt_line_endings
    update = contract.operations.get("update_session")
    delete = contract.operations.get("delete_session")
    messages = contract.operations.get("list_messages")
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
        messages_by_token=messages is not None
        and "session_token" in messages.fields
        and "session_id" not in messages.fields,
        not_found=_played(service.not_found, _NOT_FOUND),
        bad_request=_played(service.bad_request, _BAD_REQUEST),
    )


def _played(learned: Status | None, plain: Status) -> Status:
    return learned if learned is not None and _playable(learned) else plain


def parse_quirks(texts: Iterable[str], onto: Quirks = Quirks()) -> Quirks:
    """Quirks from ``NAME`` and ``NAME=VALUE``, in place of those of ``onto``; of two values for one name, the last.

    Raises:
        ValueError: a name or a value is none. The text says which, and what there is.
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
