"""The page at ``/`` and what belongs to it. Names and sentences are untrusted: each is escaped, and made visible.

The page is complete without its script. The script keeps it up to date, by reading it again and replacing the parts
that differ, and sends what the buttons say.
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from reconciler.controller.states import STATES, State
from reconciler.controller.status import PendingPlan, Status, WatchedStatus
from reconciler.text.escape import visible
from reconciler.text.timestamps import write_timestamp
from reconciler.web.admission import HEADER
from reconciler.web.answers import SAFE

if TYPE_CHECKING:
    from jinja2 import Environment

#: How many keys of drifted sessions, and how many runs, are shown at most.
KEYS: Final = 40
RUNS: Final = 10
#: How many characters of a name, a key or a sentence are shown at most.
LONGEST: Final = 400

#: A sign for each state, for those who see no colours.
SIGNS: Final[Mapping[State, str]] = {
    "Pending": "◌",
    "Loading": "↻",
    "Listing": "↻",
    "Comparing": "↻",
    "InSync": "✓",
    "PlanPending": "±",
    "Refused": "⊘",
    "Applying": "↻",
    "Verifying": "↻",
    "Failing": "✕",
    "Suspended": "‖",
}

#: The colours of the states.
TONES: Final[Mapping[State, str]] = {
    "InSync": "good",
    "PlanPending": "wait",
    "Refused": "stop",
    "Failing": "stop",
    "Pending": "calm",
    "Suspended": "calm",
}

_SESSIONS: Final = {
    "in_sync": "in sync",
    "drifted": "drifted",
    "pending": "changed in git",
    "missing": "missing",
}


def render_page(status: Status, *, logged_in: bool, approves: bool = True) -> str:
    """The page. ``logged_in`` says that there is a login that can end, ``approves`` that plans are approved here."""
    states = Counter(one.state for one in status.catalogs)
    waiting = [approves and approvable(one) for one in status.catalogs]
    return (
        _environment()
        .get_template("watch.html.jinja")
        .render(
            status=status,
            states=[(state, TONES.get(state, "busy"), states[state]) for state in STATES if states[state]],
            catalogs=[
                {
                    "id": index,
                    "one": one,
                    "tone": TONES.get(one.state, "busy"),
                    "means": STATES[one.state][0],
                    "sessions": [
                        (_SESSIONS.get(what, what), number) for what, number in one.sessions.items() if number
                    ],
                    "plan": one.plan,
                    "open": waiting[index] and sum(waiting) == 1,
                    "approvable": waiting[index],
                    "changes": changes(one.plan),
                }
                for index, one in enumerate(status.catalogs)
            ],
            logged_in=logged_in,
        )
        + "\n"
    )


def approvable(one: WatchedStatus) -> bool:
    """Whether an approval of the pending plan has an effect."""
    waits = one.plan is not None and not one.plan.approved and not one.plan.refusals
    return waits and one.mode == "approve" and one.state == "PlanPending" and not one.standby


def changes(plan: PendingPlan | None) -> str:
    """The changes of a plan in short: "1 create, 2 update"."""
    counts = plan.counts if plan is not None else {}
    return ", ".join(f"{number:,} {kind}" for kind, number in counts.items() if number) or "no changes"


def render_login(*, wrong: bool = False) -> str:
    """The form for the token."""
    return _environment().get_template("login.html.jinja").render(wrong=wrong) + "\n"


def render_missing(digest: str) -> str:
    """What stands in the place of a plan that is no longer pending."""
    return _environment().get_template("missing.html.jinja").render(digest=digest) + "\n"


def page_headers(*, framed: bool = False) -> Mapping[str, str]:
    """The headers of a page. ``framed``: it may stand in a frame of the page at ``/``."""
    policy = (
        f"default-src 'none'; style-src '{_hash(_asset('watch.css'))}'; script-src '{_hash(_asset('watch.js'))}'; "
        "connect-src 'self'; frame-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
        f"frame-ancestors {_ancestors(framed)}"
    )
    return {**SAFE, "Content-Security-Policy": policy}


def plan_headers() -> Mapping[str, str]:
    """The headers of a plan. It carries a policy of its own for what it loads; both apply.

    In its sandbox it has no origin, so nothing in it could use the calls of this server.
    """
    return {
        **SAFE,
        "Content-Security-Policy": f"frame-ancestors {_ancestors(True)}; sandbox allow-scripts",
    }


def _ancestors(framed: bool) -> str:
    return "'self'" if framed else "'none'"


def _hash(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()


@cache
def _asset(name: str) -> str:
    return (files("reconciler.web") / "templates" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("reconciler.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.globals |= {
        "style": Markup(_asset("watch.css")),  # noqa: S704 - our own files
        "script": Markup(_asset("watch.js")),  # noqa: S704
        "header": HEADER,
        "signs": SIGNS,
        "max_keys": KEYS,
        "max_runs": RUNS,
    }
    environment.filters |= {"time": _time, "prose": _prose}
    return environment


def _shown(value: Any) -> Any:
    """What is put into the page for a value: strings are shortened and made visible."""
    from markupsafe import Markup

    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return visible(value) if len(value) <= LONGEST else visible(value[:LONGEST]) + "…"


def _time(moment: datetime) -> Any:
    """A point in time as an element, which the script words relative to now."""
    from markupsafe import Markup

    text = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(write_timestamp(moment), text, text)


def _prose(text: str) -> Any:
    """A sentence, in which commands stand between backticks."""
    from markupsafe import Markup, escape

    parts = [escape(visible(part)) for part in text[:LONGEST].split("`")]
    marked = (Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))
    return Markup("").join(marked) + ("…" if len(text) > LONGEST else "")
