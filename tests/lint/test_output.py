"""The output formats of findings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator

from reconciler import __version__
from reconciler.lint import RULES
from tests import warm
from tests.lint.faults import FAULTS, KEY, TOKEN
from tests.lint.test_rules import planted

#: The parts of the SARIF 2.1.0 schema that are in use here, required properties and closed objects as they stand there.
_TEXT = {
    "type": "object",
    "required": ["text"],
    "additionalProperties": False,
    "properties": {"text": {"type": "string"}},
}
_LEVEL = {"enum": ["none", "note", "warning", "error"]}
SARIF: dict[str, Any] = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"enum": ["2.1.0"]},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool"],
                "additionalProperties": False,
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "additionalProperties": False,
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "additionalProperties": False,
                                "properties": {
                                    "name": {"type": "string"},
                                    "version": {"type": "string"},
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id"],
                                            "additionalProperties": False,
                                            "properties": {
                                                "id": {"type": "string"},
                                                "shortDescription": _TEXT,
                                                "help": _TEXT,
                                                "defaultConfiguration": {
                                                    "type": "object",
                                                    "additionalProperties": False,
                                                    "properties": {"level": _LEVEL},
                                                },
                                            },
                                        },
                                    },
                                },
                            }
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message"],
                            "additionalProperties": False,
                            "properties": {
                                "ruleId": {"type": "string"},
                                "ruleIndex": {"type": "integer", "minimum": -1},
                                "level": _LEVEL,
                                "message": _TEXT,
                                "locations": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "additionalProperties": False,
                                        "properties": {
                                            "physicalLocation": {
                                                "type": "object",
                                                "required": ["artifactLocation"],
                                                "additionalProperties": False,
                                                "properties": {
                                                    "artifactLocation": {
                                                        "type": "object",
                                                        "additionalProperties": False,
                                                        "properties": {"uri": {"format": "uri-reference"}},
                                                    },
                                                    "region": {
                                                        "type": "object",
                                                        "additionalProperties": False,
                                                        "properties": {
                                                            "startLine": {"type": "integer", "minimum": 1},
                                                            "startColumn": {"type": "integer", "minimum": 1},
                                                        },
                                                    },
                                                },
                                            }
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def run(*flags: str) -> Any:
    """What the command prints as a document; it finds errors in all of these tests."""
    done = warm.run(["lint", *flags])
    assert (done.returncode, done.stderr) == (1, "")
    assert KEY not in done.stdout and TOKEN not in done.stdout
    return json.loads(done.stdout)


def test_sarif(tmp_path: Path) -> None:
    log = run(str(planted(tmp_path, FAULTS)), "--format", "sarif", "--prefix", "personas/a shop")
    Draft7Validator(SARIF).validate(log)
    [the_run] = log["runs"]
    driver = the_run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("reconciler", __version__)
    assert [rule["id"] for rule in driver["rules"]] == list(RULES)
    assert all(driver["rules"][one["ruleIndex"]]["id"] == one["ruleId"] for one in the_run["results"])
    assert the_run["results"][0] == {
        "ruleId": "secret",
        "ruleIndex": list(RULES).index("secret"),
        "level": "error",
        "message": {
            "text": "this looks like an API key: revoke it first, since it is in git's history now; then remove it."
            " Never put a key into a prompt: anyone who talks to the persona can get it to reveal it"
        },
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "personas/a%20shop/prompts/keys.md"},
                    "region": {"startLine": 3, "startColumn": 12},
                }
            }
        ],
    }


def test_json(tmp_path: Path) -> None:
    document = run(str(planted(tmp_path, FAULTS)), "--format", "json")
    findings, rules = document.pop("findings"), document.pop("rules")
    assert document == {
        "format_version": "1.2",
        "catalog": "shop",
        "sessions": 24,
        "models": {"date": "2026-11-22", "shipped": True},
        "counts": {"error": 6, "warning": 20, "info": 3},
        "ignored": 0,
        "cut": [],
    }
    assert len(findings) == 29
    assert findings[3] == {
        "rule": "empty-prompt",
        "severity": "error",
        "message": "the prompt of `blank` is empty",
        "hint": "write one, or remove the session",
        "file": "sessions/a-prompts.yaml",
        "line": 4,
        "column": 13,
        "source": '    prompt: "  \\n "',
    }
    assert [rule["name"] for rule in rules] == list(RULES)
    assert rules[0] == {
        "name": "empty-prompt",
        "severity": "error",
        "finds": "A session whose prompt is empty or only white space.",
        "fix": "Write it.",
    }


def test_a_secret_is_in_no_line_of_a_document(tmp_path: Path) -> None:
    document = run(str(planted(tmp_path, FAULTS)), "--format", "json")
    sources = [finding["source"] for finding in document["findings"] if finding["rule"] == "secret"]
    assert sources == ["Its key is sk-9…, and it is open.", "    data: {token: ghp_…}"]


def test_errors_as_json(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "lint", str(tmp_path), "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["errors"][0]["message"] == "there is no catalog.yaml here"
