"""The report of an apply: the outcome of each action."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from reconciler.errors import ExitCode
from reconciler.plan.types import Action, ActionKind
from reconciler.values import MISSING

REPORT_VERSION = "1.1"

#: The reason of a run that a signal ended.
INTERRUPTED = "interrupted"

#: ``unknown``: the response was lost, and the list does not show either whether the write was done.
Outcome: TypeAlias = Literal["applied", "failed", "unknown", "not tried"]

#: The result of the verification; ``skipped`` if the list was not read again.
Verification: TypeAlias = Literal["verified", "differs", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A field that the server stored in another form than it was sent.

    ``stored`` is MISSING if the server stored nothing. ``stored_path`` is set if the key itself has another form.
    """

    key: str
    session_id: int
    path: str
    sent: Any
    stored: Any
    stored_path: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one action. ``message`` says why it was not applied, ``hint`` what to do about it.

    ``session_id`` and ``session_token`` are those of the written session, as far as responses gave them.
    """

    action: Action
    outcome: Outcome
    session_id: int | None = None
    message: str = ""
    hint: str = ""
    session_token: str | None = None


@dataclass(frozen=True, slots=True)
class Canary:
    """A write that was sent alone, before others of its kind, and its effect.

    ``outcome`` is ``passed`` if the list shows exactly what was requested, ``refused`` if the service did not carry
    it out, and otherwise ``failed``. ``sent`` and ``answered`` describe the call, and ``message`` what the list
    showed. ``archived`` are the archive ids of other sessions that the write changed or deleted.
    """

    kind: ActionKind
    key: str
    session_id: int | None
    operation: str
    outcome: Literal["passed", "refused", "failed"]
    sent: str
    answered: str
    message: str = ""
    archived: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a plan.

    ``differences`` are the verification's findings, one sentence each. ``stopped`` is the reason why the run ended
    early. ``not_looked_at`` counts the sessions that a plan for some keys left out.
    """

    run: str
    catalog: str
    environment: str | None
    endpoint: str
    results: tuple[Result, ...]
    verification: Verification = "skipped"
    differences: tuple[str, ...] = ()
    rewrites: tuple[Rewrite, ...] = ()
    stopped: str = ""
    canaries: tuple[Canary, ...] = ()
    not_looked_at: int = 0

    def count(self, outcome: Outcome) -> int:
        """How many actions have this outcome."""
        return sum(result.outcome == outcome for result in self.results)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the apply."""
        if self.stopped == INTERRUPTED:
            return ExitCode.INTERRUPTED
        if any(canary.outcome == "failed" for canary in self.canaries):
            return ExitCode.PARTIAL
        applied = self.count("applied")
        if applied == len(self.results):
            # Every write was confirmed. A verification that failed to read the list does not change that.
            return ExitCode.PARTIAL if self.verification == "differs" else ExitCode.OK
        if applied or self.count("unknown"):
            return ExitCode.PARTIAL
        return ExitCode.ERROR


def report_to_document(report: Report) -> dict[str, Any]:
    """The report as its public document (docs/apply.md)."""
    return {
        "format_version": REPORT_VERSION,
        "run": report.run,
        "catalog": report.catalog,
        "environment": report.environment,
        "endpoint": report.endpoint,
        "summary": {
            "applied": report.count("applied"),
            "failed": report.count("failed"),
            "unknown": report.count("unknown"),
            "not_tried": report.count("not tried"),
            **({"not_looked_at": report.not_looked_at} if report.not_looked_at else {}),
        },
        "stopped": report.stopped,
        "canaries": [
            {
                "action": canary.kind,
                "key": canary.key,
                "session_id": canary.session_id,
                "operation": canary.operation,
                "outcome": canary.outcome,
                "sent": canary.sent,
                "answered": canary.answered,
                "message": canary.message,
                "archived": list(canary.archived),
            }
            for canary in report.canaries
        ],
        "verification": report.verification,
        "differences": list(report.differences),
        "rewritten": [
            {
                "key": one.key,
                "session_id": one.session_id,
                "path": one.path,
                "sent": one.sent,
                **({} if one.stored is MISSING else {"stored": one.stored}),
                **({} if one.stored_path is None else {"stored_path": one.stored_path}),
            }
            for one in report.rewrites
        ],
        "results": [
            {
                "action": result.action.kind,
                "key": result.action.key,
                "session_id": result.session_id,
                "name": result.action.name,
                "outcome": result.outcome,
                "message": result.message,
                "hint": result.hint,
            }
            for result in report.results
        ],
    }
