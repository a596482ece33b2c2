"""The files of a promptfoo configuration. Pure.

A text of the catalog stands in the configuration if promptfoo takes it as it is. One that it would render as a
template, or open as a file, stands in a JSON file instead, and so do prompts and messages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Final

from reconciler.behaviour.case import Case, Check
from reconciler.behaviour.checks import BEGINNING, REFUSALS
from reconciler.domain import Catalog, Session
from reconciler.promptfoo.pattern import translate
from reconciler.strict_yaml.emit import mapping_lines
from reconciler.text.tokens import CJK
from reconciler.values import JSON

CONFIG: Final = "promptfooconfig.yaml"
_CODE: Final = "reconciler.cjs"
_DATA: Final = "reconciler.json"

_NATIVE: Final = {
    "equals": "equals",
    "contains": "contains",
    "contains_any": "contains-any",
    "contains_all": "contains-all",
    "not_contains": "not-contains",
    "starts_with": "starts-with",
}
#: White space, as Python strips it and as its patterns understand it. JavaScript has a slightly different set.
_SPACES: Final = r"\u0009-\u000d\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
#: What promptfoo would not take as it is: a template, the name of a file or package, a reference.
_ACTIVE: Final = re.compile(
    r"\{[{%#]|\A(?:file|package|https?|vault|env)://|\A(?:package|exec|python):|\$ref|\0"
)


@dataclass(frozen=True, slots=True)
class Composed:
    """The files by name, how many sessions and tests they have, and what was left out or differs, as sentences.

    ``left_out`` is how many of the sentences say that something was left out.
    """

    files: Mapping[str, str]
    sessions: int
    tests: int
    notes: tuple[str, ...]
    left_out: int


@dataclass(slots=True)
class _Notes:
    left_out: list[str] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)
    embeddings: list[str] = field(default_factory=list)

    def sentences(self) -> Iterator[str]:
        yield from self.left_out
        if self.samples:
            yield (
                f"{_few(self.samples)}: `samples` and `pass` have no counterpart; promptfoo asks once, "
                "and `promptfoo eval --no-cache --repeat N` asks N times and counts each answer"
            )
        if self.embeddings:
            yield (
                f"{_few(self.embeddings)}: `similar_to` is compared by the embedding model that promptfoo is set up for"
            )


def compose_promptfoo(catalog: Catalog, *, address: str, key_variable: str) -> Composed:
    """The configuration of all sessions that have tests.

    ``address`` is that of the chat API, without ``/chat/completions``; ``key_variable`` names the environment variable
    with its key.
    """
    notes = _Notes()
    config = {"apiBaseUrl": address, "apiKeyEnvar": key_variable, "omitDefaults": True}
    providers: list[JSON] = []
    tests: list[JSON] = []
    sessions: dict[str, JSON] = {}
    for key, cases in sorted(catalog.tests.items()):
        session = catalog.sessions[key]
        if _ACTIVE.search(session.model):
            notes.left_out.append(
                f"{key} is left out: promptfoo would not take its model `{session.model}` as it is"
            )
            continue
        judge: JSON = {"id": f"openai:chat:{session.model}", "config": {**config, "temperature": 0}}
        made = [one for case in cases if (one := _Test(key, case, judge, notes)).asserted]
        if not made:
            continue
        providers.append(_provider(key, session, config))
        sessions[key] = {"prompt": session.prompt, "tests": [one.data() for one in made]}
        tests += [one.document(number) for number, one in enumerate(made)]
    said = (*notes.sentences(),)
    document: dict[str, JSON] = {
        "description": catalog.name if not _ACTIVE.search(catalog.name) else "reconciler",
        "env": {"PROMPTFOO_DISABLE_TEMPLATING": "true"},
        "prompts": [{"id": f"file://{_CODE}:prompt", "label": "persona"}],
        "providers": providers,
        "tests": tests,
    }
    rules = {"spaces": _SPACES, "cjk": CJK, "refusals": list(REFUSALS), "beginning": BEGINNING}
    files = {
        CONFIG: "\n".join((*_heading(said), *mapping_lines(document, 0))) + "\n",
        _CODE: resources.files("reconciler.promptfoo").joinpath(_CODE).read_text("utf-8"),
        _DATA: json.dumps({"rules": rules, "sessions": sessions}, indent=2, ensure_ascii=False) + "\n",
    }
    return Composed(files, len(providers), len(tests), said, len(notes.left_out))


def _texts(value: JSON) -> Iterator[str]:
    """All strings in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from _texts(one)


def _heading(notes: Sequence[str]) -> Iterator[str]:
    yield f"# Written by `reconciler export --promptfoo`. Run it with `promptfoo eval -c {CONFIG}`."
    for note in notes:
        yield f"# {json.dumps(note, ensure_ascii=True)[1:-1] if not note.isprintable() else note}"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _provider(key: str, session: Session, config: Mapping[str, JSON]) -> JSON:
    given = {name: session.parameters.get(name) for name in ("temperature", "max_tokens")}
    known = {name: value for name, value in given.items() if value is not None}
    return {"id": f"openai:chat:{session.model}", "label": _label(key), "config": {**config, **known}}


def _label(key: str) -> str:
    """The name of a provider. A key alone, such as ``openai``, could be the kind of all of them."""
    return f"session {key}"


class _Test:
    """One test, as promptfoo has it. ``asserted`` is empty if no check of it has a counterpart."""

    def __init__(self, key: str, case: Case, judge: JSON, notes: _Notes) -> None:
        self._key, self._case, self._judge = key, case, judge
        self._values: list[JSON] = []
        name = f"{key} · {case.name}"
        self.asserted: list[JSON] = []
        missing = []
        for check in case.checks:
            found = self._assertion(check)
            if found is None:
                missing.append(f"`{check.kind}`")
            else:
                self.asserted.append(found)
        if missing:
            what, one = " and ".join(dict.fromkeys(missing)), len(set(missing)) == 1
            whole = "" if self.asserted else f", and with {'it' if one else 'them'} the test"
            verb = "is" if one else "are"
            notes.left_out.append(f"{name}: {what} {verb} left out{whole}: promptfoo has no counterpart")
        if self.asserted and case.samples > 1:
            notes.samples.append(name)
        if any(check.kind == "similar_to" for check in case.checks):
            notes.embeddings.append(name)

    def data(self) -> JSON:
        """What the functions beside the configuration read."""
        messages = [{"role": role, "content": content} for role, content in self._case.messages]
        return {"name": self._case.name, "messages": messages, "values": self._values}

    def document(self, number: int) -> JSON:
        """The entry below ``tests``."""
        name = self._case.name
        return {
            "description": f"{self._key}: a test" if _ACTIVE.search(name) else f"{self._key}: {name}",
            "providers": [_label(self._key)],
            "vars": {"session": self._key, "test": number},
            "options": {"transform": f"file://{_CODE}:trimmed"},
            "assert": self.asserted,
        }

    def _assertion(self, check: Check) -> dict[str, JSON] | None:
        kind, value = check.kind, check.value
        if kind == "language":
            return None
        if kind in ("matches", "not_matches"):
            assert isinstance(value, str)
            found = translate(value)
            if found is None:
                return None
            return self._called(kind, {"source": found.source, "flags": found.flags})
        if kind == "json":
            given = {} if value is True else self._valued(value)
            return {"type": "is-json", "transform": f"file://{_CODE}:without_fence", **given}
        if kind == "judge":
            return {"type": "llm-rubric", **self._valued(value), "provider": self._judge}
        if kind == "similar_to":
            assert isinstance(value, dict)
            return {
                "type": "similar",
                **self._valued(value["text"]),
                "threshold": value.get("at_least", 0.8),
            }
        if kind in _NATIVE:
            several = "-any" if kind == "not_contains" and isinstance(value, list) else ""
            text = value.strip() if kind == "equals" and isinstance(value, str) else value
            if text == "":  # promptfoo takes it for no value
                return self._called("max_characters", 0)
            return {"type": _NATIVE[kind] + several, **self._valued(text)}
        return self._called(kind, value)

    def _called(self, function: str, value: JSON) -> dict[str, JSON]:
        """An assertion by a function beside the configuration."""
        config = self._stored(value) if isinstance(value, dict) else {"value": value}
        return {"type": "javascript", "value": f"file://{_CODE}:{function}", "config": config}

    def _valued(self, value: JSON) -> dict[str, JSON]:
        """The value of an assertion, or where to find it."""
        if not any(map(_ACTIVE.search, _texts(value))):
            return {"value": value}
        return {"value": f"file://{_CODE}:value", "config": self._stored(value)}

    def _stored(self, value: Any) -> dict[str, JSON]:
        self._values.append(value)
        return {"check": len(self._values) - 1}
