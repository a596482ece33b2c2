"""Named variants: each is a service that would fit what is known of the real one.

A variant maps the variables of :mod:`tests.services.drf.variant`, in lower case and without ``DRF_``, to their values:
``running_drf(**VARIANTS["rest-token"])``.
"""

from __future__ import annotations

from collections.abc import Mapping

#: A query as long as the usual proxy lets through.
_PROXY = "8000"

VARIANTS: Mapping[str, Mapping[str, str]] = {
    # How sessions are addressed
    "rest-id": {},
    "rest-token": {"paths": "token", "get_one": "token"},
    "rest-delete-word": {"delete": "delete", "get_one": "id"},
    "http-delete": {"delete": "http", "get_one": "id"},
    "http-delete-token": {"paths": "token", "delete": "http"},
    "verbs-token-body": {"paths": "verbs"},
    "verbs-id-body": {
        "paths": "verbs",
        "body_ids": "id",
        "message_ids": "id",
        "message_filters": "session_id",
    },
    "verbs-both-ids": {
        "paths": "verbs",
        "body_ids": "both",
        "message_ids": "both",
        "message_filters": "session_token,session_id",
    },
    "verbs-either-id": {"paths": "verbs", "body_ids": "either", "message_ids": "either", "delete": "delete"},
    # How they are written
    "query-create": {"create": "query", "max_query": _PROXY, "create_answer": "token"},
    "multipart-create": {"create": "multipart"},
    "multipart-unread": {"create": "multipart", "other_encodings": "unread"},
    "json-only": {"create": "json", "write": "json"},
    "data-field": {"data_field": "data"},
    "reset-updates": {"left_out": "reset"},
    "refusing-updates": {"left_out": "refused"},
    "no-id-in-answer": {"create_answer": "token", "paths": "token"},
    "id-and-token-in-answer": {"create_answer": "both"},
    "remark-255-cut": {"remark_limit": "255", "remark_over": "cut"},
    "remark-255-refused": {"remark_limit": "255"},
    "white-space-kept": {"whitespace": "kept"},
    # How they are read
    "local-times": {"time_zone": "Asia/Shanghai"},
    "times-with-messages": {"updated_at": "messages"},
    "times-never-move": {"updated_at": "never"},
    "name-contains": {"name_filter": "contains"},
    "clamped-50": {"max_size": "50", "message_pages": "both"},
    # Messages
    "cursor-no-count": {},
    "cursor-page-count": {"message_count": "page"},
    "cursor-rest-count": {"message_count": "rest"},
    "cursor-whole-count": {"message_count": "whole", "message_max_pages": "whole"},
    "cursor-no-pages": {"message_max_pages": "absent"},
    "cursor-oldest-first": {"message_order": "oldest"},
    "pages-whole-count": {"message_pages": "page", "message_count": "whole", "message_max_pages": "whole"},
    "pages-page-count": {"message_pages": "page", "message_count": "page", "message_order": "oldest"},
    "pages-ordering-ignored": {
        "message_pages": "page",
        "message_count": "whole",
        "message_ordering": "ignored",
    },
    "pages-ignored": {"message_pages": "first", "message_count": "whole", "max_size": "100"},
    "messages-all-at-once": {"message_pages": "all", "message_count": "whole"},
    "filter-ignored": {"message_filters": "session_id", "message_ids": "id"},
    "filter-required": {"message_filter": "required", "unknown_session": "404"},
    # Limits and errors
    "throttled": {"throttle": "60/min"},
    "out-of-points": {"points": "0"},
    "bare-errors": {"errors": "bare"},
    "english-errors": {"errors": "bare", "language": "en"},
    "http200-errors": {"errors": "http200"},
}
