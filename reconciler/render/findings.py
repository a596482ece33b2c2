"""Lint findings as text, and as SARIF 2.1.0, which code hosts show beside the lines.

Both read the report's public document (:func:`reconciler.lint.report_to_document`) and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from reconciler import __version__
from reconciler.errors import Problem
from reconciler.render.problems import format_problem

#: How each severity is called in a summary, and in SARIF.
_WORDS: Final = {"error": "error", "warning": "warning", "info": "remark"}
_LEVELS: Final = {"error": "error", "warning": "warning", "info": "note"}


def findings_as_text(document: Mapping[str, Any]) -> str:
    """Each finding with its line, and a summary in the last line: ``bookshop: 16 sessions, 1 error, 2 warnings.``"""
    lines = [
        format_problem(
            Problem(
                f"{finding['severity']}: {finding['message']} [{finding['rule']}]",
                finding["hint"],
                finding["file"],
                finding["line"],
                finding["column"],
                finding["source"],
            )
        )
        for finding in document["findings"]
    ]
    if document["cut"]:
        rules = " and of ".join(f"`{rule}`" for rule in document["cut"])
        lines.append(
            f"Of {rules}, only the first findings are shown; run this again when they are dealt with."
        )
    return "\n".join([*lines, _summary(document)]) + "\n"


def _summary(document: Mapping[str, Any]) -> str:
    parts = [_count(document["sessions"], "session")]
    counts = document["counts"]
    parts += [_count(counts[severity], word) for severity, word in _WORDS.items() if counts[severity]]
    if not document["findings"]:
        parts.append("nothing found")
    if document["ignored"]:
        parts.append(f"{document['ignored']:,} ignored")
    return f"{document['catalog']}: {', '.join(parts)}."


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def findings_as_sarif(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The findings as a SARIF 2.1.0 log (OASIS, "Static Analysis Results Interchange Format", March 2020).

    ``prefix`` is the catalog's folder relative to the top of the repository, with a ``/`` at its end, or empty.
    """
    rules = [
        {
            "id": rule["name"],
            "shortDescription": {"text": rule["finds"]},
            "help": {"text": rule["fix"]},
            "defaultConfiguration": {"level": _LEVELS[rule["severity"]]},
        }
        for rule in document["rules"]
    ]
    indexes = {rule["name"]: index for index, rule in enumerate(document["rules"])}
    results = [_result(finding, indexes[finding["rule"]], prefix) for finding in document["findings"]]
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "reconciler", "version": __version__, "rules": rules}},
                "columnKind": "unicodeCodePoints",
                "results": results,
            }
        ],
    }


def _result(finding: Mapping[str, Any], index: int, prefix: str) -> dict[str, Any]:
    message, hint = finding["message"], finding["hint"]
    return {
        "ruleId": finding["rule"],
        "ruleIndex": index,
        "level": _LEVELS[finding["severity"]],
        "message": {"text": f"{message}: {hint}" if hint else message},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(prefix + finding["file"])},
                    "region": {"startLine": finding["line"], "startColumn": finding["column"]},
                }
            }
        ],
    }
