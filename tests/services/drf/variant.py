"""The variant of the service to play, read from environment variables.

The first value listed is the default. An unknown value is an error, and so is an unknown variable ``DRF_…``.

Accounts and limits:

``DRF_API_KEYS``
    The API keys, separated by commas; required. Each is a separate account: the first has ``api_id`` 70, the next 71.
``DRF_THROTTLE`` = ``off``, or a rate per account such as ``60/min`` (``sec``, ``min``, ``hour``, ``day``)
    Calls above the rate get a 429 with ``Retry-After``.
``DRF_POINTS`` = ``unlimited``, or a number
    How many writes an account can pay for. After that, each write gets a 406.
``DRF_MAX_SIZE`` = ``1000``, or a number
    The maximum page size, for sessions and messages. A larger ``size`` is clamped.
``DRF_MAX_QUERY`` = ``unlimited``, or a number of bytes
    A longer query string gets a 414, as from a proxy in front of the service.

How a session is addressed:

``DRF_PATHS`` = ``id``, ``token``, ``verbs``
    Update is ``/v1/session/{session_id}/`` and delete ``/v1/session/{session_id}/del/``; or the same with
    ``{session_token}``; or ``/v1/session/update/`` and ``/v1/session/del/``, with the session named in the body.
``DRF_BODY_IDS`` = ``token``, ``id``, ``both``, ``either``
    What the body must contain under ``verbs``: ``session_token``, ``session_id``, both, or at least one of them.
``DRF_DELETE`` = ``del``, ``delete``, ``http``
    The last path segment of a delete; or the method ``DELETE`` on the session's path, answered with 204.
``DRF_GET_ONE`` = ``absent``, ``id``, ``token``
    Whether ``GET /v1/session/{…}/`` returns one session, and by which identifier.

Writing a session:

``DRF_CREATE`` = ``json,form,multipart``, or a subset, or ``query``
    The encodings a create accepts. With ``query``, fields are read from the query string and the body is ignored.
``DRF_WRITE`` = ``json,form,multipart``, or a subset
    The encodings every other write accepts, including those of messages.
``DRF_OTHER_ENCODINGS`` = ``refused``, ``unread``
    A body in any other encoding gets a 415, or is taken for an empty one.
``DRF_DATA_FIELD`` = ``config_data``, ``data``
    The name in writes of what rows show as ``session_config.data``. Unknown fields are ignored.
``DRF_LEFT_OUT`` = ``kept``, ``reset``, ``refused``
    A field left out of an update keeps its value, is reset to its default, or gets the update refused with a 400. (In
    a full update, the framework reads a string missing from a *form* as empty. So with ``refused``, a form without
    ``prompt`` or ``session_remark`` clears them.)
``DRF_CREATE_ANSWER`` = ``row``, ``token``, ``both``
    The ``data`` of a create's answer: the row, ``session_token`` alone, or ``session_token`` and ``session_id``.
``DRF_REMARK_LIMIT`` = ``unlimited``, or a number of characters
    The maximum length of ``session_remark``.
``DRF_REMARK_OVER`` = ``refused``, ``cut``
    What happens to a longer one: it gets a 400, or is truncated silently.
``DRF_WHITESPACE`` = ``trimmed``, ``kept``
    White space at both ends of strings. The framework trims it by default.

Reading sessions:

``DRF_NAME_FILTER`` = ``exact``, ``contains``
    How the ``session_name`` filter matches.
``DRF_TIME_ZONE`` = ``UTC``, ``Asia/Shanghai``
    The zone of the times in rows. They never name it: ``2024-09-12 15:13:22``.
``DRF_UPDATED_AT`` = ``updates``, ``messages``, ``never``
    ``updated_at`` changes with each update, with each update and each new message, or never.

Messages:

``DRF_MESSAGE_FILTERS`` = ``session_token``, ``session_id``, or both separated by a comma
    The filters that the message list knows. The framework ignores any other: the answer then has the messages of
    every session of the account.
``DRF_MESSAGE_FILTER`` = ``optional``, ``required``
    Without a known filter, the list has every message of the account, or is a 400.
``DRF_UNKNOWN_SESSION`` = ``empty``, ``404``
    The answer to a list of messages of a session that does not exist.
``DRF_MESSAGE_IDS`` = ``token``, ``id``, ``both``, ``either``
    How the body of a new message names its session. A clear does the same, in its body or its query string.
``DRF_MESSAGE_PAGES`` = ``cursor``, ``page``, ``both``, ``first``, ``all``
    Besides ``size``, the list knows ``before_message_id``, ``page``, or both; or neither, so that every answer is the
    first page. With ``all`` it does not know ``size`` either: every answer is the whole list.
``DRF_MESSAGE_COUNT`` = ``none``, ``page``, ``rest``, ``whole``
    ``count`` is absent, or counts the rows of the answer, the rows before the cursor, or the whole list.
``DRF_MESSAGE_MAX_PAGES`` = ``rest``, ``whole``, ``absent``
    Which of these counts ``max_pages`` is computed from.
``DRF_MESSAGE_ORDER`` = ``newest``, ``oldest``
    Which message comes first without ``ordering``.
``DRF_MESSAGE_ORDERING`` = ``honoured``, ``ignored``
    Whether the message list honours ``ordering``.

Errors:

``DRF_ERRORS`` = ``envelope``, ``bare``, ``http200``
    ``{"message": …, "status": 400, "data": {…}}``; or the framework's own bodies, ``{"detail": …}`` and
    ``{"field": ["text", …]}``; or the envelope with HTTP status 200, whatever the status inside.
``DRF_LANGUAGE`` = ``zh-hans``, ``en``
    The language of the framework's messages.
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
    """A variable is unknown or missing, or has a value that it can't have."""


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
        VariantError: one is unknown or missing, or has a value that it can't have.
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
