"""Environments: variants of a catalog that are live side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.errors import Problem
from reconciler.strict_yaml.places import Source
from reconciler.text.nearest import nearest
from reconciler.values import JSON


@dataclass(frozen=True, slots=True)
class Environment:
    """What the chosen environment changes; all empty if the catalog declares none."""

    name: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, JSON] = field(default_factory=dict)
    prefix: str = ""
    suffix: str = ""
    policy: Mapping[str, Any] = field(default_factory=dict)
    patches: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def choose(head: Mapping[str, Any], name: str | None, source: Source) -> Environment | Problem:
    """The environment of this name, or the problem with choosing it."""
    declared: Mapping[str, Any] = head.get("environments") or {}
    if not declared:
        return Environment(name)
    known = ", ".join(declared)
    if name is None:
        return source.at_key(
            ("environments",),
            "this catalog has environments, but none was chosen",
            f"choose one with --env: {known}",
        )
    if name not in declared:
        close = nearest(name, declared)
        return source.at_key(
            ("environments",),
            f"there is no environment `{name}`",
            f"did you mean `{close}`?" if close else f"known environments: {known}",
        )
    found = declared[name] or {}
    return Environment(
        name,
        found.get("defaults", {}),
        found.get("variables", {}),
        found.get("name_prefix", ""),
        found.get("name_suffix", ""),
        found.get("policy", {}),
        found.get("sessions", {}),
    )
