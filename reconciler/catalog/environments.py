"""Environments: variants of a catalog that are live side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reconciler.catalog.documents import mapping
from reconciler.errors import Problem
from reconciler.strict_yaml.places import Source
from reconciler.text.nearest import nearest
from reconciler.text.paste import flag
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


NOT_CHOSEN: Final = "this catalog has environments, but none was chosen"


def choices(names: Iterable[str]) -> str:
    """The hint that lists the environments: ``add --env=staging or --env=production``."""
    *others, last = [flag("env", name) for name in names]
    return f"add {', '.join(others)} or {last}" if others else f"add {last}"


def choose(head: Mapping[str, Any], name: str | None, source: Source) -> Environment | Problem:
    """The environment of this name, or the problem with choosing it."""
    declared: Mapping[str, Any] = head.get("environments") or {}
    if name is None:
        return source.at_key(("environments",), NOT_CHOSEN, choices(declared)) if declared else Environment()
    if not declared:
        return source.at_key(
            ("catalog",),
            f"this catalog declares no environments, so there is no `{name}`",
            f"drop --env={name} (or unset RECONCILER_ENV), or declare it below `environments:` in catalog.yaml",
        )
    if name not in declared:
        close = nearest(name, declared)
        return source.at_key(
            ("environments",),
            f"there is no environment `{name}`",
            f"did you mean --env={close}?" if close else choices(declared),
        )
    found = mapping(declared[name])
    return Environment(
        name,
        found.get("defaults", {}),
        found.get("variables", {}),
        found.get("name_prefix", ""),
        found.get("name_suffix", ""),
        found.get("policy", {}),
        found.get("sessions", {}),
    )
