"""What a create or an update stores of the fields that it is given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from html import escape
from typing import Any
from unicodedata import normalize

from reconciler.contract import Operation, SessionShape
from reconciler.server.arguments import malformed, read_number, read_object, too_long
from reconciler.server.quirks import Quirks
from reconciler.server.store import DEFAULT_PARAMETERS
from reconciler.values import JSON

_WHOLE = ("max_tokens", "history_length")


class Columns:
    """How a service of this contract and with these quirks stores the fields of a session."""

    def __init__(self, shape: SessionShape, quirks: Quirks) -> None:
        self._quirks = quirks
        self._parameters = tuple(shape.parameters)

    @property
    def defaults(self) -> dict[str, JSON]:
        """The parameters of a session that was created without any."""
        return {name: value for name, value in DEFAULT_PARAMETERS.items() if name in self._parameters}

    def read(self, facts: Operation, given: Mapping[str, JSON]) -> dict[str, Any]:
        """The columns that these fields set. ``parameters`` holds only the given ones.

        Raises:
            Refusal: a field is not accepted.
        """
        found: dict[str, Any] = {}
        for name in ("name", "model", "prompt"):
            if name in given:
                if not isinstance(given[name], str):
                    raise malformed(facts, name)
                found[name] = given[name]
        if "prompt" in found:
            limit = self._quirks.prompt_limit
            if limit is not None and len(found["prompt"]) > limit:
                raise too_long(facts, "prompt", limit, "字符")
            found["prompt"] = self._prompt(found["prompt"])
        if "remark" in given:
            found["remark"] = self._remark(facts, given["remark"])
        if "data" in given:
            found["data"] = self._keys(read_object(facts, "data", given["data"]))
            if self._quirks.normal_keys:
                found["data"] = {normalize("NFC", key): value for key, value in found["data"].items()}
        parameters = {
            name: read_number(facts, name, given[name], whole=name in _WHOLE)
            for name in self._parameters
            if name in given
        }
        if parameters:
            found["parameters"] = parameters
        return found

    def _remark(self, facts: Operation, remark: JSON) -> str | None:
        if remark is None:
            return None
        if not isinstance(remark, str):
            raise malformed(facts, "remark")
        quirks = self._quirks
        if quirks.drops_empty or quirks.drops_keys:
            remark = self._remark_keys(remark)
        if quirks.remark_escaped:
            remark = escape(remark)
        characters, limit = quirks.remark_characters, quirks.remark_limit
        if characters is not None and len(remark) > characters:
            if quirks.remark_over == "refuse":
                raise too_long(facts, "remark", characters, "字符")
            remark = remark[:characters]
        if limit is not None and len(remark.encode()) > limit:
            if quirks.remark_over == "refuse":
                raise too_long(facts, "remark", limit, "字节")
            remark = remark.encode()[:limit].decode(errors="ignore")
        return str(remark)

    def _remark_keys(self, remark: str) -> str:
        with suppress(ValueError):
            found = json.loads(remark)
            if isinstance(found, dict) and (kept := self._keys(found)) != found:
                return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))
        return remark

    def _keys(self, given: Mapping[str, JSON]) -> dict[str, JSON]:
        quirks = self._quirks
        return {
            key: value
            for key, value in given.items()
            if key not in quirks.drops_keys
            and not (quirks.drops_empty and (value is None or value in ("", [], {})))
        }

    def _prompt(self, prompt: str) -> str:
        if self._quirks.trim_prompts:
            prompt = prompt.strip()
        if self._quirks.trim_end:
            prompt = prompt.rstrip()
        if self._quirks.line_endings != "kept":
            prompt = prompt.replace("\r\n", "\n").replace("\r", "\n")
            if self._quirks.line_endings == "crlf":
                prompt = prompt.replace("\n", "\r\n")
        return prompt
