"""What became of a plan, action by action."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from reconciler.errors import ExitCode
from reconciler.plan.types import Action, ActionKind
from reconciler.values import MISSING

REPORT_VERSION = "1.1"

#: The reason of a run that a person or the system ended.
INTERRUPTED = "interrupted"

#: ``unknown``: the answer never came, and looking did not tell either whether the work was done.
Outcome: TypeAlias = Literal["applied", "failed", "unknown", "not tried"]

#: Whether the list was read again afterwards, and what it said.
Verification: TypeAlias = Literal["verified", "differs", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A field that the server keeps in another form than it was sent.

    ``stored`` is MISSING where it keeps nothing. ``stored_path`` is set where the key itself has another form.
    """

    key: str
    session_id: int
    path: str
    sent: Any
    stored: Any
    stored_path: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one action. ``message`` says why it was not applied, ``hint`` what to do about it.

    ``session_id`` and ``session_token`` are those of the session that was written, as far as answers told them.
    """

    action: Action
    outcome: Outcome
    session_id: int | None = None
    message: str = ""
    hint: str = ""
    session_token: str | None = None


@dataclass(frozen=True, slots=True)
class Canary:
    """A write that was sent alone, before others of its kind, and what it did.

    ``outcome`` is ``passed`` where the list shows exactly what was asked for, ``refused`` where the service did not
    carry it out, and else ``failed``. ``sent`` and ``answered`` describe the call; ``message`` says what was seen;
    ``archived`` are the archive ids of what the write changed or took though it should not have.
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
    """What became of a plan.

    ``differences`` are what the verification found, a sentence each; ``stopped`` says why the run ended early,
    ``canaries`` what was tried on one session first. ``not_looked_at`` counts what a plan of some keys left out.
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
        """How many actions ended so."""
        return sum(result.outcome == outcome for result in self.results)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code that says the same."""
        if self.stopped == INTERRUPTED:
            return ExitCode.INTERRUPTED
        if any(canary.outcome == "failed" for canary in self.canaries):
            return ExitCode.PARTIAL
        applied = self.count("applied")
        if applied == len(self.results):
            # Every write is known to have been done. A list that can't be read does not say otherwise.
            return ExitCode.PARTIAL if self.verification == "differs" else ExitCode.OK
        if applied or self.count("unknown"):
            return ExitCode.PARTIAL
        return ExitCode.ERROR


def report_to_document(report: Report) -> dict[str, Any]:
    """The report's public form (docs/apply.md)."""
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
