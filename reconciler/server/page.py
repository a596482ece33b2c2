"""The page at ``/``: a read-only view of the live sessions in a browser.

Prompts are untrusted. They are escaped, and the page's policy lets nothing be loaded or run.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING

from reconciler.server.store import Store

if TYPE_CHECKING:
    from jinja2 import Template

#: Sessions on a page.
ROWS = 50

#: How many characters of a text are shown.
MOST = 20_000


def render_page(store: Store, query: Mapping[str, str], api_id: int | None = None) -> str:
    """The page of an account, or of all of them if ``api_id`` is ``None``.

    ``q`` in the query is a part of a name, ``page`` counts from 1; invalid values are ignored.
    """
    wanted = query.get("q", "")
    asked = query.get("page", "")
    page = max(1, int(asked)) if asked.isascii() and asked.isdecimal() and len(asked) < 10 else 1
    count, rows = store.list_sessions(page=page, size=ROWS, name=wanted or None, partial=True, api_id=api_id)
    return _template().render(
        query=wanted,
        count=count,
        rows=rows,
        messages=store.count_messages([row.session_id for row in rows]),
        page=page,
        pages=max(1, -(-count // ROWS)),
        most=MOST,
    )


@cache
def page_headers() -> Mapping[str, str]:
    """The headers that go with the page."""
    style = b64encode(sha256(_style().encode()).digest()).decode()
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{style}'; img-src data:; form-action 'self'; "
            "base-uri 'none'; frame-ancestors 'none'"
        ),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("reconciler.server"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["pretty"] = lambda value: json.dumps(value, ensure_ascii=False, indent=2)
    environment.filters["shortened"] = _shortened
    environment.globals["style"] = Markup(_style())  # noqa: S704 - our own file
    return environment.get_template("sessions.html")


def _shortened(text: str) -> str:
    return text if len(text) <= MOST else f"{text[:MOST]}… {len(text) - MOST:,} more characters"


@cache
def _style() -> str:
    return (files("reconciler.server") / "templates" / "sessions.css").read_text(encoding="utf-8")
