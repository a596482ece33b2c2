"""A behaviour test of a persona, as the catalog declares it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.values import JSON


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation. ``kind`` is a name of :data:`reconciler.behaviour.checks.CHECKS`; ``value`` is as in YAML."""

    kind: str
    value: JSON


@dataclass(frozen=True, slots=True)
class Case:
    """One test. ``messages`` is what is sent after the system prompt, each with a role and a content.

    Each of the ``samples`` answers passes if every check does; the test passes if at least ``needed`` answers do.
    ``file`` and ``line`` say where it is written; they are not part of its equality.
    """

    name: str
    messages: tuple[tuple[str, str], ...]
    checks: tuple[Check, ...]
    samples: int = 1
    needed: int = 1
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)


def build_case(given: Mapping[str, Any], file: str = "", line: int = 0) -> Case:
    """A case from a document that fits the schema."""
    asked = given.get("messages") or [{"role": "user", "content": given["ask"]}]
    samples = int(given.get("samples", 1))
    return Case(
        given["name"],
        tuple((one["role"], one["content"]) for one in asked),
        tuple(Check(kind, value) for one in given["expect"] for kind, value in one.items()),
        samples,
        int(given.get("pass", samples)),
        file,
        line,
    )
