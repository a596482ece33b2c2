"""Rules for slips that leave a catalog valid: part of a text was lost, or a value is not the intended text."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.catalog.files import FETCH, LFS_POINTER, UnreadableError, check_path
from reconciler.catalog.loaded import Loaded
from reconciler.language_models import Models
from reconciler.lint.read import Mark, Spot
from reconciler.lint.subject import Hit, Subject
from reconciler.text.truncate import truncate

_PATH: Final = re.compile(r"[^\r\n]{1,250}\.[A-Za-z0-9]{1,8}")
_CUT: Final = re.compile(r"[ \t]+(#(?![ \t#]|reconciler:)[^\r\n]*)")
_FIELD: Final = (
    r"name|model|prompt|parameters|temperature|max_tokens|history_length|data|remark|lifecycle|extends"
)
_FULL_WIDTH: Final = re.compile(rf"[\r\n][ \t]*((?:{_FIELD})：)")
_ITEM: Final = re.compile(r"(?:[-*+•]|[0-9]{1,3}[.)])[ \t]+[^\s-]")
#: The start of a path with a drive, whose backslash is that of an escape.
_DRIVE: Final = re.compile(r"(?<![\w\\])[A-Za-z]:\\([abefnrtvxuUNLP0_])")
_CONFLICT: Final = re.compile(r"^(?:<{7}|>{7})(?=[ \r\n]|\Z)", re.MULTILINE)


def prompt_is_path(subject: Subject, _: Mapping[str, Any]) -> Iterator[Hit]:
    for text in subject.texts("prompt"):
        path = text.value.strip()
        if text.node is not None and _is_file(subject.loaded, path):
            yield Hit(
                text.spot(0),
                f"this prompt is the text `{truncate(path)}`, which is the path of a file",
                f"to use what the file holds, write `{{file: {path}}}`",
            )


def _is_file(loaded: Loaded, path: str) -> bool:
    """Whether a text is the path of a file in the catalog's folder."""
    if not _PATH.fullmatch(path):
        return False
    try:
        check_path(path)
    except UnreadableError:
        return False
    return os.path.isfile(os.path.join(loaded.root.folder, path))


def cut_by_comment(subject: Subject, _: Mapping[str, Any]) -> Iterator[Hit]:
    for text in subject.texts("prompt", "name"):
        node = text.node
        if node is None or node.style:
            continue
        cut = _CUT.match(text.file.text, node.end)
        if cut is not None:
            yield Hit(
                Spot(Mark(text.file, cut.start(1)), text.covers),
                f"`{truncate(cut[1])}` is a comment and not part of the text, because a space precedes the `#`",
                "put the text in quotes; or, if it is a comment, put a space after the `#`",
            )


def full_width_colon(subject: Subject, _: Mapping[str, Any]) -> Iterator[Hit]:
    for text in subject.texts("prompt", "name"):
        node = text.node
        if node is None or node.style:
            continue
        for found in _FULL_WIDTH.finditer(text.file.text, node.start, node.end):
            yield Hit(
                Spot(Mark(text.file, found.start(1)), text.covers),
                f"`{found[1]}` is part of the text above it, since its colon is full-width",
                f"write `{found[1][:-1]}: `, with a plain colon and a space",
            )


def merge_conflict(subject: Subject, _: Mapping[str, Any]) -> Iterator[Hit]:
    for file in subject.written.files():
        found = _CONFLICT.search(file.text)
        if found:
            covers = next((text.covers for text in subject.written.texts if text.file is file), ())
            yield Hit(
                Spot(Mark(file, found.start()), covers),
                f"`{found.group()}` is left over from a merge conflict",
                "resolve the conflict, and remove its markers",
            )


def lfs_pointer(subject: Subject, _: Mapping[str, Any]) -> Iterator[Hit]:
    for file in subject.written.prompts.values():
        if file.text.startswith(LFS_POINTER):
            yield Hit(
                Spot(Mark(file, 0), subject.written.covers(file)),
                "this is a pointer of Git LFS, and not the prompt itself",
                FETCH,
            )


def folded_list(subject: Subject, _: Mapping[str, Any]) -> Iterator[Hit]:
    for text in subject.texts("prompt"):
        if text.node is None or text.node.style == "|":
            continue
        found = list(_folded_items(text.file.text[text.node.start : text.node.end], text.node.style))
        if found:
            more = "" if len(found) == 1 else f", like {len(found) - 1:,} below"
            yield Hit(
                Spot(Mark(text.file, text.node.start + found[0]), text.covers),
                f"this line of a list is joined to the line above it{more}",
                "write the text below a `|`, which keeps its lines",
            )


def _folded_items(written: str, style: str | None) -> Iterator[int]:
    """Where lines of a list are that YAML joins to the line above: not after a blank line nor, below a `>`, beside
    lines that are indented more than the others."""
    before: int | None = None  # the indentation of the line above, None if it is blank
    least: int | None = 0 if style != ">" else None
    at = 0
    for number, line in enumerate(written.splitlines(keepends=True)):
        content = line.lstrip(" ")
        indentation: int | None = len(line) - len(content) if style == ">" else 0
        if (style == ">" and number == 0) or not content.strip():  # its header
            indentation = None
        elif least is None:
            least = indentation
        if indentation == before == least and _ITEM.match(content.lstrip()):
            yield at + len(line) - len(content)
        before = indentation
        at += len(line)


def untidy_name(subject: Subject, _: Mapping[str, Any]) -> Iterator[Hit]:
    for session in subject.sessions:
        name = session.name
        if name.isprintable() and name == name.strip():
            continue
        end = "a line end" if name.strip(" ")[-1:] in ("\n", "\r") else "white space"
        if name != name.rstrip():
            fault = f"the name ends with {end}"
        elif name != name.lstrip():
            fault = "the name begins with white space"
        elif "\t" in name:
            fault = "the name contains a tab"
        elif "\n" in name or "\r" in name:
            fault = "the name contains a line end"
        else:
            continue
        yield Hit(
            subject.spot(session.key, "name"), fault, "write it in one line, with single spaces inside only"
        )


def escaped_path(subject: Subject, _: Mapping[str, Any]) -> Iterator[Hit]:
    for document in subject.written.documents:
        if ":\\" not in document.text:
            continue
        for node in document.outline.root.all():
            if node.style != '"':
                continue
            found = _DRIVE.search(document.text, node.start, node.end)
            if found:
                what = {"t": "a tab", "n": "a line end"}.get(found[1], "another character")
                yield Hit(
                    document.spot_at(found.start()),
                    f"`{found[0]}` in double quotes is a drive and {what}, not a path",
                    "put the text in single quotes, or write each backslash twice",
                )


def may_have_slips(loaded: Loaded, models: Models) -> bool:
    """Whether a closer look is worth its time. Never false where one of the rules in
    :data:`reconciler.lint.rules.MISTAKES` finds something."""
    return loaded.suspect or any(
        not session.prompt or session.model not in models or _is_file(loaded, session.prompt.strip())
        for session in loaded.catalog.sessions.values()
    )
