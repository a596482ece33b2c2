"""Findings as text, as JSON, and as SARIF 2.1.0, which code hosts show beside the lines."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from reconciler import __version__
from reconciler.lint import RULES, Finding, Report, Severity
from reconciler.render.problems import format_problem

VERSION: Final = "1.0"
_LEVELS: Final[dict[Severity, str]] = {"info": "note", "warning": "warning", "error": "error"}


def as_text(report: Report) -> str:
    """Each finding with its line, and a last line that sums up."""
    lines = []
    for finding in report.findings:
        problem = finding.problem
        said = replace(problem, message=f"{finding.severity}: {problem.message} [{finding.rule}]")
        lines.append(format_problem(said))
    lines.append(summary(report))
    return "\n".join(lines) + "\n"


def summary(report: Report) -> str:
    """``bookshop: 16 sessions, 1 error, 2 warnings.``"""
    parts = [_count(report.sessions, "session")]
    counts = Counter(finding.severity for finding in report.findings)
    words: dict[Severity, str] = {"error": "error", "warning": "warning", "info": "remark"}
    parts += [_count(counts[severity], word) for severity, word in words.items() if counts[severity]]
    if not report.findings:
        parts.append("nothing found")
    if report.ignored:
        parts.append(f"{report.ignored:,} ignored")
    return f"{report.catalog}: {', '.join(parts)}."


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def as_json(report: Report) -> dict[str, Any]:
    """The report as a document."""
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
            }
            for finding in report.findings
        ],
    }


def as_sarif(report: Report, prefix: str = "") -> dict[str, Any]:
    """The report as a SARIF 2.1.0 log (OASIS, "Static Analysis Results Interchange Format", March 2020).

    ``prefix`` is the catalog's folder from the top of the repository, with a ``/`` at its end, or empty.
    """
    names = list(RULES)
    rules = [
        {
            "id": rule.name,
            "shortDescription": {"text": rule.finds},
            "help": {"text": rule.fix},
            "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        }
        for rule in RULES.values()
    ]
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "reconciler", "version": __version__, "rules": rules}},
                "columnKind": "unicodeCodePoints",
                "results": [
                    _result(finding, names.index(finding.rule), prefix) for finding in report.findings
                ],
            }
        ],
    }


def _result(finding: Finding, index: int, prefix: str) -> dict[str, Any]:
    problem = finding.problem
    text = f"{problem.message}: {problem.hint}" if problem.hint else problem.message
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": text},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(prefix + problem.file)},
                    "region": {"startLine": problem.line, "startColumn": problem.column},
                }
            }
        ],
    }
