"""Prompts: one string from any form that a catalog allows.

A prompt is a string, a file, or a list of parts to join: files, strings and fragments. Nothing in them is interpreted
unless ``template: jinja`` is set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from reconciler.catalog.budget import memory
from reconciler.catalog.problems import StoppedError
from reconciler.errors import Problem
from reconciler.strict_yaml.path import NodePath
from reconciler.strict_yaml.places import Places, Source
from reconciler.text.nearest import nearest
from reconciler.text.normalise import normalise_prompt
from reconciler.values import JSON

_LINE_END = re.compile(r"\r\n|\r|\n")  # as jinja counts lines

#: The default separator of parts.
BLANK_LINE: Final = "\n\n"

#: Reads a prompt's file, only once; None if there is a problem, which has been noted.
ReadFile: TypeAlias = Callable[[str, Places, NodePath], str | None]

#: Renders a template: its text, its name for messages, the variables. Raises :class:`RenderError`.
Render: TypeAlias = Callable[[str, Mapping[str, JSON]], str]


#: Counts the bytes of a text towards the budget of the catalog; the text is that of a value at this place.
Count: TypeAlias = Callable[[Places, NodePath, int], None]


class RenderError(Exception):
    """A template can't be rendered. ``line`` counts from 1 within the template, 0 where it is not known. After a
    ``final`` one, none will be."""

    def __init__(self, message: str, hint: str = "", line: int = 0, *, final: bool = False) -> None:
        super().__init__(message)
        self.message, self.hint, self.line, self.final = message, hint, line, final


@dataclass(slots=True)
class Prompts:
    """Assembles the prompts of one catalog, and passes problems to ``note``."""

    read: ReadFile
    render: Render
    note: Callable[[Problem], None]
    count: Count
    fragments: dict[str, tuple[Any, Source]] = field(default_factory=dict)
    #: By name of a fragment: the sessions that use it, and its text if it is the same for all of them.
    users: dict[str, list[str]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    #: What several sessions share is kept once: files and fragments as they are sent, and what parts make together.
    _shared: dict[str, str] = field(default_factory=dict)
    _joined: dict[tuple[str, ...], str] = field(default_factory=dict)

    def add_fragment(self, name: str, value: Any, source: Source) -> None:
        """Add a fragment; None stands for one that does not fit the schema."""
        first = self.fragments.setdefault(name, (value, source))
        if first[1] is not source:
            there = first[1].at_key(("fragments", name), "")
            self.note(
                source.at_key(
                    ("fragments", name),
                    f"the fragment `{name}` is declared twice, first in {there.file}:{there.line}",
                    "rename or remove one of the two",
                )
            )

    def text(
        self, key: str, prompt: Any, source: Places, path: NodePath, variables: Mapping[str, JSON]
    ) -> str | None:
        """The text of a prompt; None where there is a problem, which was noted.

        ``source`` and ``path`` are where the prompt stands, ``key`` is the session that has it.
        """
        if isinstance(prompt, str):
            self.count(source, path, memory([prompt]))
            return normalise_prompt(prompt)
        separator = BLANK_LINE
        parts, place = prompt, path
        if isinstance(prompt, dict):
            if "parts" not in prompt:
                found = self._part(key, prompt, source, path, variables)
                if found is None:
                    return None
                self.count(source, path, memory([found]))
                return normalise_prompt(found)
            parts, place = prompt["parts"], (*path, "parts")
            separator = prompt.get("separator", BLANK_LINE)
        texts = [
            self._part(key, part, source, (*place, number), variables) for number, part in enumerate(parts)
        ]
        known = [normalise_prompt(text) for text in texts if text is not None]
        if len(known) < len(texts):
            return None
        self.count(source, path, memory([separator * (len(known) - 1), *known]))
        joined = self._joined.get((separator, *known))
        if joined is None:
            joined = self._joined[separator, *known] = normalise_prompt(separator.join(known))
        return joined

    def shared(self, text: str) -> str:
        """The prompt that the text of a file makes, which is the same string for all sessions that use it."""
        found = self._shared.get(text)
        if found is None:
            found = self._shared[text] = normalise_prompt(text)
        return found

    def _part(
        self, key: str, part: Any, source: Places, path: NodePath, variables: Mapping[str, JSON]
    ) -> str | None:
        if isinstance(part, str):
            return part
        template = part.get("template")
        home: Places = source
        at: NodePath = (*path, "text")
        name = part.get("fragment")
        if name is not None:
            if name not in self.fragments:
                close = nearest(name, self.fragments)
                self.note(
                    source.at_value(
                        (*path, "fragment"),
                        f"there is no fragment `{name}`",
                        f"did you mean `{close}`?" if close else "declare it below `fragments:`",
                    )
                )
                return None
            users = self.users.setdefault(name, [])
            if not users or users[-1] != key:
                users.append(key)
            part, home = self.fragments[name]
            if part is None:  # reported by the schema
                return None
            at = ("fragments", name)
            if isinstance(part, str):
                part = {"text": part}
            else:
                at = (*at, "text")
            template = template or part.get("template")
        text: str | None
        if "file" in part:
            at = (*at[:-1], "file") if at[-1] == "text" else (*at, "file")
            text = self.read(part["file"], home, at)
            file = part["file"]
        else:
            text, file = part["text"], ""
        if text is None:
            return None
        if template is None:
            if not file and name is None:
                return text
            text = self.shared(text)
            if name is not None:
                self.texts[name] = text
            return text
        try:
            rendered = self.render(text, variables)
            self.count(home, at, memory([rendered]))
            return rendered
        except RenderError as error:
            self._note_template(error, home, at, file, text)
            return None

    def _note_template(self, error: RenderError, home: Places, at: NodePath, file: str, text: str) -> None:
        self.note(self._template_problem(error, home, at, file, text))
        if error.final:
            raise StoppedError

    def _template_problem(
        self, error: RenderError, home: Places, at: NodePath, file: str, text: str
    ) -> Problem:
        if not file:
            line = f" (line {error.line} of the template)" if error.line > 1 else ""
            return home.at_value(at, error.message + line, error.hint)
        data = text.encode("utf-8", "surrogatepass")
        inside = Source(file, data, text)
        starts = [0, *(end.end() for end in _LINE_END.finditer(text))]
        return inside.at(starts[max(0, min(error.line, len(starts)) - 1)], error.message, error.hint)
