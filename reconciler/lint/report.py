"""What lint found, and its public form, which every rendering of it is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from reconciler.errors import Problem
from reconciler.language_models import Models
from reconciler.lint.rules import RULES, SEVERITIES, Severity

#: 1.1 added ``source`` of a finding, and ``rules``; 1.2 added ``cut``.
VERSION: Final = "1.2"
#: How many findings of one rule are reported.
MAX_FINDINGS: Final = 1000


@dataclass(frozen=True, slots=True)
class Finding:
    """A violation of a rule, and its severity."""

    rule: str
    severity: Severity
    problem: Problem


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, by file and line. ``ignored`` counts those that a comment suppresses; ``cut`` names the rules that
    may find more than the first :data:`MAX_FINDINGS`, which are all that is looked for."""

    catalog: str
    sessions: int
    models: Models
    findings: tuple[Finding, ...]
    ignored: int
    cut: tuple[str, ...] = ()

    def count(self, severity: Severity) -> int:
        """How many findings have exactly this severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def reaches(self, severity: Severity) -> bool:
        """Whether any finding has at least this severity."""
        least = SEVERITIES.index(severity)
        return any(SEVERITIES.index(finding.severity) >= least for finding in self.findings)


def report_to_document(report: Report) -> dict[str, Any]:
    """The report as a document. ``source`` is the line of a finding, with secrets masked; ``line`` and ``column``
    count from 1, in characters. ``rules`` are all rules with their usual severities."""
    return {
        "format_version": VERSION,
        "catalog": report.catalog,
        "sessions": report.sessions,
        "models": {"date": report.models.date, "shipped": report.models.shipped},
        "counts": {severity: report.count(severity) for severity in ("error", "warning", "info")},
        "ignored": report.ignored,
        "cut": list(report.cut),
        "findings": [
            {
                "rule": finding.rule,
                "severity": finding.severity,
                "message": finding.problem.message,
                "hint": finding.problem.hint,
                "file": finding.problem.file,
                "line": finding.problem.line,
                "column": finding.problem.column,
                "source": finding.problem.source,
            }
            for finding in report.findings
        ],
        "rules": [
            {"name": rule.name, "severity": rule.severity, "finds": rule.finds, "fix": rule.fix}
            for rule in RULES.values()
        ],
    }
