"""Invalid catalogs, one file a case below ``bad_input/``, each with the whole message that its author reads.

A case is a text of sections. Each starts with a line ``== PATH`` and holds a file of the catalog; the last one,
``== expected``, holds the messages. ``catalog.yaml`` is a valid one unless the case says otherwise. Beside the catalog
there is a folder ``outside``, from which nothing may be read. Instead of plain contents, a file can be

- ``== PATH (literal)``: a Python string or bytes literal, for contents that an editor would not keep;
- ``== PATH (symlink TARGET)``, ``(folder)``, ``(named pipe)``, ``(unreadable)``, ``(missing)``;
- ``== PATH (too large)``: one byte more than is read.

After a change of wording, ``python -m tests.catalog.bad_input_cases`` writes the messages anew; review the diff.
"""

from __future__ import annotations

import ast
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.catalog.support import Content, Fifo, Folder, Large, Link, Locked, complaint

CASES = Path(__file__).with_name("bad_input")
_SPECIAL: Mapping[str, Content] = {
    "folder": Folder(),
    "named pipe": Fifo(),
    "unreadable": Locked(),
    "missing": None,
    "too large": Large(),
}
_SECTION = re.compile(r"^== (\S+)(?: \((.*)\))?\n", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """One refused catalog. ``text`` is the case without its expected messages, as in the file."""

    path: Path
    text: str
    files: Mapping[str, Content]
    expected: str

    @property
    def name(self) -> str:
        return self.path.relative_to(CASES).with_suffix("").as_posix()

    @property
    def can_be_set_up(self) -> bool:
        """Whether this user can be refused what the case refuses: root may read every file."""
        return os.geteuid() != 0 or not any(isinstance(content, Locked) for content in self.files.values())


def cases() -> list[Case]:
    """All cases, sorted by name."""
    return [_case(path) for path in sorted(CASES.rglob("*.txt"))]


def _case(path: Path) -> Case:
    text = path.read_text(encoding="utf-8")
    _, *parts = _SECTION.split(text)
    files: dict[str, Content] = {}
    for name, special, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        files[name] = _content(special, body)
    expected = files.pop("expected")
    assert isinstance(expected, str)
    return Case(path, text[: text.index("== expected\n")], files, expected)


def _content(special: str | None, body: str) -> Content:
    if special is None:
        return body
    if special == "literal":
        literal: Content = ast.literal_eval(body)
        return literal
    if special.startswith("symlink "):
        return Link(special.removeprefix("symlink "))
    return _SPECIAL[special]


def regenerate() -> None:
    """Write the messages that each case leads to now."""
    for case in cases():
        if case.can_be_set_up:
            with tempfile.TemporaryDirectory() as folder:
                said = complaint(Path(folder), case.files)
            case.path.write_text(f"{case.text}== expected\n{said}\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    regenerate()
