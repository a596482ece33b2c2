"""The last run from here, if it has no end on record: somebody has to be told, and nobody else can tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.apply.journal_facts import JournalFacts
from reconciler.controller.status import RunStatus
from reconciler.errors import ExitCode
from reconciler.text.timestamps import read_timestamp


@dataclass(frozen=True, slots=True)
class InterruptedRun:
    """A run that was killed, or that is still at work elsewhere. ``actions`` counts by kind and outcome; without an
    answer on record, the outcome is unknown."""

    status: RunStatus
    actions: Mapping[str, Mapping[str, int]]

    @property
    def sentence(self) -> str:
        done = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.status.outcomes.items()))
        return f"{done or 'nothing'} (run {self.status.run}: killed, or still running: no end on record)"


def interrupted(facts: JournalFacts, endpoint: str) -> InterruptedRun | None:
    """The last run of the catalog to this endpoint, if it has no end on record; None if it has one."""
    run = facts.last_run(endpoint)
    if not run or any(entry.get("event") == "end" for entry in run) or run[0].get("restores"):
        return None
    results = {_one(entry): str(entry["event"]) for entry in run if entry.get("event") in _RESULTS}
    outcomes: dict[str, int] = {}
    actions: dict[str, dict[str, int]] = {}
    for entry in run:
        if entry.get("event") == "intent":
            kind, outcome = str(entry.get("action")), results.get(_one(entry), "unknown")
            of_kind = actions.setdefault(kind, {})
            of_kind[outcome] = of_kind.get(outcome, 0) + 1
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
    try:
        at = read_timestamp(str(run[0].get("at")))
    except ValueError:
        return None
    status = RunStatus(str(run[0].get("run")), at, int(ExitCode.PARTIAL), outcomes)
    return InterruptedRun(status, actions)


_RESULTS = ("applied", "failed", "unknown")


def _one(entry: Mapping[str, Any]) -> tuple[str, str]:
    return str(entry.get("action")), str(entry.get("key"))
