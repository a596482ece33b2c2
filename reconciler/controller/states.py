"""The states of a watched catalog. ``docs/watch.md`` has the same table, and a test compares them."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

State: TypeAlias = Literal[
    "Pending",
    "Loading",
    "Listing",
    "Comparing",
    "InSync",
    "PlanPending",
    "Refused",
    "Applying",
    "Verifying",
    "Failing",
    "Suspended",
]

#: What each state means, and what ends it.
STATES: Final[dict[State, tuple[str, str]]] = {
    "Pending": ("not looked at yet", "the first look"),
    "Loading": ("a revision is fetched and read", "the catalog is loaded, or is invalid (Failing)"),
    "Listing": ("the live sessions are looked at", "the list is complete, or can't be read (Failing)"),
    "Comparing": ("catalog and list are compared", "InSync, PlanPending, Refused or Applying"),
    "InSync": ("the live sessions match the catalog", "the next look that finds a difference"),
    "PlanPending": (
        "there are changes, and the mode, the window or a missing approval keeps them from being written",
        "an approval, the window, a new revision, or a look that finds no difference",
    ),
    "Refused": (
        "a guard refuses the plan; it stays pending and is never forced",
        "another plan: a new revision, other limits, or other live sessions",
    ),
    "Applying": ("changes are written", "every action has an outcome"),
    "Verifying": ("the list is compared with what was written", "InSync, or Failing if something differs"),
    "Failing": (
        "the last look failed: the catalog is invalid, or the service, the git remote or the disk fails",
        "the next attempt that succeeds; the attempts become rarer",
    ),
    "Suspended": ("the catalog is not looked at until it is resumed", "it is resumed"),
}

#: The states that last until something happens; the others are steps of one look.
LASTING: Final[frozenset[State]] = frozenset(
    {"Pending", "InSync", "PlanPending", "Refused", "Failing", "Suspended"}
)
