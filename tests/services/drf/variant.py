"""What varies between the services that this one can play, read from environment variables.

A value that is not listed here, or a variable ``DRF_…`` that is not, is an error. The first value is the default.

Accounts and limits:

``DRF_API_KEYS``
    The API keys, with commas between them. Each is an account of its own: the first has ``api_id`` 70, the next 71.
    Required.
``DRF_THROTTLE`` = ``off``, or calls a period for each account, as in ``60/min`` (``sec``, ``min``, ``hour``, ``day``)
    What is above it is a 429 with ``Retry-After``.
``DRF_POINTS`` = ``unlimited``, or a number
    How many writes an account can pay for. The next one is a 406.
``DRF_MAX_SIZE`` = ``1000``, or a number
    The most rows of a page, of sessions and of messages alike, whatever ``size`` asks for.
``DRF_MAX_QUERY`` = ``unlimited``, or a number of bytes
    A longer query string is a 414, as from a proxy in front of the service.

How a session is addressed:

``DRF_PATHS`` = ``id``, ``token``, ``verbs``
    Update and delete are ``/v1/session/{session_id}/`` and ``/v1/session/{session_id}/del/``, or the same with
    ``{session_token}``, or ``/v1/session/update/`` and ``/v1/session/del/`` with the session in the body.
``DRF_BODY_IDS`` = ``token``, ``id``, ``both``, ``either``
    What has to be in the body of such verbs: ``session_token``, ``session_id``, both, or one of the two.
``DRF_DELETE`` = ``del``, ``delete``, ``http``
    The last segment of the path of a delete, or the method ``DELETE`` on the path of the session, answered by a 204.
``DRF_GET_ONE`` = ``absent``, ``id``, ``token``
    Whether ``GET /v1/session/{…}/`` gives one session, and by what.

Writing a session:

``DRF_CREATE`` = ``json,form,multipart``, or a choice of them, or ``query``
    What a create can be encoded as. With ``query``, all fields are in the query string, and a body is not read.
``DRF_WRITE`` = ``json,form,multipart``, or a choice of them
    The same for every other write, those of messages included.
``DRF_OTHER_ENCODINGS`` = ``refused``, ``unread``
    A body in an encoding that is not read is a 415, or counts as an empty one.
``DRF_DATA_FIELD`` = ``config_data``, ``data``
    What a write calls the object that is ``session_config.data`` in a row.
``DRF_LEFT_OUT`` = ``kept``, ``reset``, ``refused``
    A field that an update leaves out keeps its value, gets its default, or is a 400. (The framework reads a text that a
    *form* leaves out as an empty one in a full update. So ``refused`` refuses it only where empty is not allowed.)
``DRF_CREATE_ANSWER`` = ``row``, ``token``, ``both``
    ``data`` in the answer to a create: the row, ``session_token`` alone, or that and ``session_id``.
``DRF_REMARK_LIMIT`` = ``unlimited``, or a number of characters
    The longest ``session_remark`` …
``DRF_REMARK_OVER`` = ``refused``, ``cut``
    … and what happens to a longer one: a 400, or it is cut silently.
``DRF_WHITESPACE`` = ``trimmed``, ``kept``
    White space at the ends of texts. Trimmed is what the framework does by itself.

Reading sessions:

``DRF_NAME_FILTER`` = ``exact``, ``contains``
    How the filter ``session_name`` compares.
``DRF_TIME_ZONE`` = ``UTC``, ``Asia/Shanghai``
    The zone of the times in rows. They never say which: ``2024-09-12 15:13:22``.
``DRF_UPDATED_AT`` = ``updates``, ``messages``, ``never``
    ``updated_at`` moves with each update, with each new message as well, or never.

Messages:

``DRF_MESSAGE_FILTERS`` = ``session_token``, ``session_id``, or both with a comma between them
    The filters that the list of messages knows. Another one is ignored, as the framework does: the answer then
    has the messages of every session of the account.
``DRF_MESSAGE_FILTER`` = ``optional``, ``required``
    Whether a list without a filter that it knows is every message of the account, or a 400.
``DRF_UNKNOWN_SESSION`` = ``empty``, ``404``
    The list of messages of a session that does not exist.
``DRF_MESSAGE_IDS`` = ``token``, ``id``, ``both``, ``either``
    How the body of a new message names its session, and how that of a clear does (in its query string, too).
``DRF_MESSAGE_PAGES`` = ``cursor``, ``page``, ``both``, ``first``, ``all``
    The list knows ``before_message_id``, or ``page``, or both, beside ``size``; or knows neither, so that every answer
    is the first page; or nothing at all, so that every answer is the whole list.
``DRF_MESSAGE_COUNT`` = ``none``, ``page``, ``rest``, ``whole``
    ``count`` is absent, that of the rows in the answer, that of the rows before the cursor, or that of the whole list.
``DRF_MESSAGE_MAX_PAGES`` = ``rest``, ``whole``, ``absent``
    What ``max_pages`` is computed from.
``DRF_MESSAGE_ORDER`` = ``newest``, ``oldest``
    Which message is the first, unless ``ordering`` says it.
``DRF_MESSAGE_ORDERING`` = ``honoured``, ``ignored``
    Whether ``ordering`` is known.

Errors:

``DRF_ERRORS`` = ``envelope``, ``bare``, ``http200``
    ``{"message": …, "status": 400, "data": {…}}``; or the framework's own, ``{"detail": …}`` and
    ``{"field": ["text", …]}``; or the envelope with HTTP status 200, whatever its own status.
``DRF_LANGUAGE`` = ``zh-hans``, ``en``
    The language of the framework's own texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

PREFIX = "DRF_"

Encoding: TypeAlias = Literal["json", "form", "multipart", "query"]
Address: TypeAlias = Literal["token", "id", "both", "either"]
MessageFilter: TypeAlias = Literal["session_token", "session_id"]


class VariantError(ValueError):
    """A variable is misspelled, or its value is none of those that it can have."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One of the services. See the module for what each field means."""

    api_keys: tuple[str, ...]
    throttle: str = "off"
    points: int | None = None
    max_size: int | None = 1000
    max_query: int | None = None

    paths: Literal["id", "token", "verbs"] = "id"
    body_ids: Address = "token"
    delete: Literal["del", "delete", "http"] = "del"
    get_one: Literal["absent", "id", "token"] = "absent"

    create: tuple[Encoding, ...] = ("json", "form", "multipart")
    write: tuple[Encoding, ...] = ("json", "form", "multipart")
    other_encodings: Literal["refused", "unread"] = "refused"
    data_field: Literal["config_data", "data"] = "config_data"
    left_out: Literal["kept", "reset", "refused"] = "kept"
    create_answer: Literal["row", "token", "both"] = "row"
    remark_limit: int | None = None
    remark_over: Literal["refused", "cut"] = "refused"
    whitespace: Literal["trimmed", "kept"] = "trimmed"

    name_filter: Literal["exact", "contains"] = "exact"
    time_zone: Literal["UTC", "Asia/Shanghai"] = "UTC"
    updated_at: Literal["updates", "messages", "never"] = "updates"

    message_filters: tuple[MessageFilter, ...] = ("session_token",)
    message_filter: Literal["optional", "required"] = "optional"
    unknown_session: Literal["empty", "404"] = "empty"
    message_ids: Address = "token"
    message_pages: Literal["cursor", "page", "both", "first", "all"] = "cursor"
    message_count: Literal["none", "page", "rest", "whole"] = "none"
    message_max_pages: Literal["rest", "whole", "absent"] = "rest"
    message_order: Literal["newest", "oldest"] = "newest"
    message_ordering: Literal["honoured", "ignored"] = "honoured"

    errors: Literal["envelope", "bare", "http200"] = "envelope"
    language: Literal["zh-hans", "en"] = "zh-hans"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"off|[1-9]\d*/(sec|min|hour|day)", self.throttle):
            raise VariantError(f"DRF_THROTTLE={self.throttle}: not off, and not like 60/min")
        if "query" in self.create and len(self.create) > 1:
            raise VariantError("DRF_CREATE: query stands alone")
        if "query" in self.write:
            raise VariantError("DRF_WRITE: query is for creates alone")
        if self.paths == "verbs" and self.delete == "http":
            raise VariantError("DRF_DELETE=http needs a path for each session, which DRF_PATHS=verbs has not")
        if self.paths != "verbs" and self.body_ids != "token":
            raise VariantError("DRF_BODY_IDS is for DRF_PATHS=verbs")
        if self.remark_limit is None and self.remark_over != "refused":
            raise VariantError("DRF_REMARK_OVER needs a DRF_REMARK_LIMIT")


def read_variant(environ: Mapping[str, str]) -> Variant:
    """Read the variables.

    Raises:
        VariantError: one is misspelled or missing, or its value is.
    """
    kinds = get_type_hints(Variant)
    variables = {PREFIX + one.name.upper(): one.name for one in fields(Variant)}
    given = {name: text for name, text in environ.items() if name.startswith(PREFIX)}
    if unknown := sorted(given.keys() - variables.keys()):
        raise VariantError(f"{unknown[0]}: no such variable")
    if not given.get("DRF_API_KEYS"):
        raise VariantError("DRF_API_KEYS: required")
    return Variant(
        **{variables[name]: _value(name, text, kinds[variables[name]]) for name, text in given.items()}
    )


def _value(name: str, text: str, kind: Any) -> Any:
    """What the text of a variable means, which is of this type in :class:`Variant`."""
    if get_origin(kind) is Literal:
        return _one_of(name, text, get_args(kind))
    if get_origin(kind) is tuple:
        of = get_args(kind)[0]
        parts = tuple(part.strip() for part in text.split(","))
        return parts if of is str else tuple(_one_of(name, part, get_args(of)) for part in parts)
    if kind is str:
        return text
    if text == "unlimited":
        return None
    if not text.isascii() or not text.isdigit():
        raise VariantError(f"{name}={text}: neither a number nor unlimited")
    return int(text)


def _one_of(name: str, text: str, choices: tuple[str, ...]) -> str:
    if text not in choices:
        raise VariantError(f"{name}={text}: none of {', '.join(choices)}")
    return text
