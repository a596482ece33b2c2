"""What a session inherits: the catalog's ``defaults`` with the environment's laid over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.catalog.budget import size
from reconciler.catalog.layers import Layer, merge, overlay
from reconciler.domain import Lifecycle
from reconciler.strict_yaml.path import NodePath
from reconciler.strict_yaml.places import Source
from reconciler.values import JSON


class Defaults:
    """The values that a session has unless it says otherwise.

    ``known`` is false if catalog.yaml has errors, so what a session inherits is unknown.
    """

    def __init__(self, layers: Sequence[Layer], *, known: bool) -> None:
        self.layers = layers
        self.known = known
        given: dict[str, Any] = {}
        if known:
            for layer in layers:
                given = overlay(given, layer.fields)
        self.model: str | None = given.get("model")
        self.prompt: Any = given.get("prompt")
        self.parameters: dict[str, JSON] = given.get("parameters", {})
        self.data: dict[str, JSON] = given.get("data", {})
        self.remark: dict[str, JSON] = given.get("remark", {})
        self.lifecycle: dict[str, JSON] = given.get("lifecycle", {})
        self.tests: Sequence[Mapping[str, Any]] = given.get("tests", ())
        self.built_lifecycle = build_lifecycle(self.lifecycle)
        self.has_plain_prompt = is_plain_prompt(self.prompt)
        #: How many values a session inherits from here, at most.
        self.size = sum(map(size, (self.parameters, self.data, self.remark, self.lifecycle)))

    def prompt_place(self) -> tuple[Source, NodePath]:
        """Where the default prompt is written."""
        layer = next(layer for layer in reversed(self.layers) if "prompt" in layer.fields)
        return layer.source, (*layer.path, "prompt")


def is_plain_prompt(prompt: Any) -> bool:
    """Whether a prompt is a string or a file, with nothing to join or render."""
    return (
        prompt is None or prompt.__class__ is str or (prompt.__class__ is dict and prompt.keys() == {"file"})
    )


def inherit(base: dict[str, JSON], own: dict[str, JSON] | None) -> dict[str, JSON]:
    """A session's mapping over the default one."""
    if not own:
        return base
    return merge(base, own) if base else own


def build_lifecycle(given: Mapping[str, Any]) -> Lifecycle:
    """A ``lifecycle`` block as the type."""
    return Lifecycle(given.get("prevent_destroy", False), tuple(given.get("ignore_changes", ())))
