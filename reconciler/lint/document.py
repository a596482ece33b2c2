"""The public form of a lint report, which every rendering of it is made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reconciler.lint.rules import RULES

if TYPE_CHECKING:
    from reconciler.lint import Report

#: 1.1 added ``source`` of a finding, and ``rules``.
VERSION: Final = "1.1"


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
