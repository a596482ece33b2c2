"""The doctor's report, line by line, and as a public document (``schemas/doctor.schema.json``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from reconciler import __version__
from reconciler.contract import Contract

FORMAT_VERSION = "1.2"

#: ``ok``: as the contract says, or as it should be; ``differs``: it is not; ``unknown``: it could not be found out.
Verdict: TypeAlias = Literal["ok", "differs", "unknown"]


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was checked, the verdict, what was seen, and what follows. Texts are raw, not escaped."""

    part: str
    name: str
    verdict: Verdict
    seen: str
    follows: str = ""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A session that a probe created and did not delete.

    ``probe`` is that probe's id. ``created_at`` is the server's time of its creation, empty if it gives none.
    """

    session_id: int
    name: str
    probe: str
    created_at: str = ""


@dataclass(slots=True)
class Report:
    """The whole report.

    ``untouched`` says that a probe, if there was one, is known to have left all other sessions as they were.
    ``removal_failed`` says that deleting the leftovers was tried in vain, ``left_behind`` what this probe could not
    delete. ``learned`` is the contract that came out, as a document, and ``not_tried`` are its writes that only a
    probe can check and none has tried. ``written`` names the file that the contract was written to, ``recorded`` the
    folder of the recorded calls; both are empty if there is none.
    """

    endpoint: str
    contract: Contract
    checks: list[Check] = field(default_factory=list)
    leftovers: Sequence[Leftover] = ()
    removal_failed: bool = False
    left_behind: str = ""
    untouched: bool = True
    learned: Mapping[str, Any] | None = None
    not_tried: Sequence[str] = ()
    written: str = ""
    recorded: str = ""

    def count(self, verdict: Verdict) -> int:
        """How many checks have this verdict."""
        return sum(check.verdict == verdict for check in self.checks)


def report_to_document(report: Report) -> dict[str, Any]:
    """The report as a public document."""
    learned = report.contract.learned
    return {
        "format_version": FORMAT_VERSION,
        "reconciler_version": __version__,
        "endpoint": report.endpoint,
        "contract": {
            "name": report.contract.name,
            "learned": {"at": learned.at, "endpoint": learned.endpoint, "by": learned.by}
            if learned
            else None,
        },
        "summary": {name: report.count(name) for name in ("ok", "differs", "unknown")},
        "checks": [
            {
                "part": check.part,
                "name": check.name,
                "verdict": check.verdict,
                "seen": check.seen,
                "follows": check.follows,
            }
            for check in report.checks
        ],
        "leftovers": [
            {"session_id": one.session_id, "name": one.name, "created_at": one.created_at}
            for one in report.leftovers
        ],
        "removal_failed": report.removal_failed,
        "learned": report.learned,
        "not_tried": list(report.not_tried),
        "written": report.written,
        "recorded": report.recorded,
    }
