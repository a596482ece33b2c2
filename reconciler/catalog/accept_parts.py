"""Prompts made from parts: which part a live change lies in, and where that part is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from reconciler.catalog.prompts import BLANK_LINE
from reconciler.strict_yaml.path import NodePath
from reconciler.text.normalise import normalise_prompt

#: A text that prompts are made from: a file, and the path within its document; an empty path for a prompt's own file.
Spot: TypeAlias = tuple[str, NodePath]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a prompt: its spot, and its text; None for a template, whose text is not the prompt's."""

    spot: Spot
    text: str | None
    fragment: str = ""


@dataclass(frozen=True, slots=True)
class Fragments:
    """The fragments by name, with the file that declares each; and how to read a prompt's file."""

    declared: Mapping[str, tuple[str, Any]]
    read: Callable[[str], str]

    def pieces(self, prompt: Any, spot: Spot) -> list[Piece]:
        """The parts of a prompt that is written at this spot."""
        file, path = spot
        if isinstance(prompt, dict) and "parts" in prompt:
            prompt, path = prompt["parts"], (*path, "parts")
        if not isinstance(prompt, list):
            return [self._piece(prompt, (file, path))]
        return [self._piece(part, (file, (*path, number))) for number, part in enumerate(prompt)]

    def _piece(self, part: Any, spot: Spot, fragment: str = "") -> Piece:
        if isinstance(part, str):
            return Piece(spot, part, fragment)
        file, path = spot
        name = part.get("fragment")
        if name is not None:
            home, declared = self.declared[name]
            piece = self._piece(declared, (home, ("fragments", name)), name)
            return Piece(piece.spot, None, name) if "template" in part else piece
        spot = (part["file"], ()) if "file" in part else (file, (*path, "text"))
        if "template" in part:
            return Piece(spot, None, fragment)
        return Piece(spot, self.read(part["file"]) if "file" in part else part["text"], fragment)


def is_composed(prompt: Any) -> bool:
    """Whether a prompt has parts or is a template."""
    return isinstance(prompt, list) or (isinstance(prompt, dict) and not prompt.keys() <= {"file", "text"})


def separator(prompt: Any) -> str:
    """What stands between the parts of a prompt."""
    return str(prompt.get("separator", BLANK_LINE)) if isinstance(prompt, dict) else BLANK_LINE


def fitting(pieces: Sequence[Piece], between: str, wanted: str, live: str) -> list[tuple[int, str]]:
    """The parts that the whole change from ``wanted`` to ``live`` may lie in, each with the text that makes it so.

    More than one fits where a change lies on the border of two. None fits where several parts changed.
    """
    texts = _texts(pieces, between, wanted)
    return [] if texts is None else list(_fits(texts, between, live))


def _texts(pieces: Sequence[Piece], between: str, wanted: str) -> list[str] | None:
    """The texts of the parts. That of one template is what the others leave of the prompt; of several, nobody knows."""
    texts = [None if piece.text is None else normalise_prompt(piece.text) for piece in pieces]
    if texts.count(None) > 1:
        return None
    if None in texts:
        at = texts.index(None)
        head, tail = _around([text or "" for text in texts], at, between)
        texts[at] = wanted[len(head) : len(wanted) - len(tail)]
    return [text or "" for text in texts]


def _around(texts: Sequence[str], at: int, between: str) -> tuple[str, str]:
    """What stands before a part and after it."""
    head = "".join(text + between for text in texts[:at])
    tail = "".join(between + text for text in texts[at + 1 :])
    return head, tail.rstrip()


def _fits(texts: Sequence[str], between: str, live: str) -> Iterator[tuple[int, str]]:
    for at in range(len(texts)):
        head, tail = _around(texts, at, between)
        text = live[len(head) : len(live) - len(tail)]
        if live == head + text + tail and text == text.rstrip():
            yield at, text
