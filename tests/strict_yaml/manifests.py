"""Manifests as people write them, and as nobody should, for tests that hold for any manifest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from reconciler.strict_yaml.emit import double_quoted, flow, is_plain, literal, single_quoted

Path = tuple[str | int, ...]

#: Characters that mean something to YAML, can't be seen, or end a line for some.
ODD = list(" \t\n\r#:-?!&*|>'\"%@`{}[],\\=~<.0123456789yYnNtTfF我🐇\x07\x7f\x85\xa0\u200d\u2028\ufeff\uffff")
WORDS = [
    *("---", "...", "- a", "a: b", "? a", "%YAML 1.1", "0x1f", "1e3", "1:30", "2024-13-45", "yes", "null"),
    *("~", "<<", "=", "*a", "&a", "!x", "|", "> ", "a #b", "a\n\n b\n", "\n\na", " a\nb", "\ta\nb", "a\n\tb"),
    *(
        "a\n   \nb",
        "a\n  ",
        "k" * 1100,
        ".5",
        "+1",
        "0o7",
        ".inf",
        "12e999",
        "1_000",
        "",
        "\n",
        "{{char}} ${x}",
    ),
]
texts = st.one_of(
    st.sampled_from(WORDS),
    st.text(st.sampled_from(ODD), max_size=12),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts
)
#: Any value that a manifest can hold.
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)
KEYS = ("name", "prompt", "a", "b", "c-d", "é", "key with space", "no", "1", "x: y", "#", "<<")


@dataclass(slots=True)
class Line:
    """A line, and the path of the value (or, of a comment, of the mapping or list) that it belongs to.

    ``whole`` says that everything below that path stands on this line.
    """

    text: str
    owner: Path
    whole: bool = False


@dataclass(slots=True)
class Manifest:
    """A text, its lines after those of the head, and whether values in it are shared."""

    text: str
    head: int
    lines: list[Line]
    shared: bool


@dataclass(slots=True)
class _Writer:
    draw: Any
    anchors: bool
    lines: list[Line] = field(default_factory=list)
    named: list[tuple[str, bool]] = field(default_factory=list)  # with whether it is a mapping
    used: bool = False
    comments: int = 0
    anchored: int = 0
    in_block: bool = False
    keeper: Path | None = None  # the block above, if the blank lines below are part of it

    def chance(self, one_in: int) -> bool:
        return bool(self.draw(st.integers(1, one_in)) == 1)

    def comment(self) -> str:
        if not self.chance(3):
            return ""
        self.comments += 1
        return " " * self.draw(st.integers(1, 3)) + f"# c{self.comments}: & * {{"

    def between(self, owner: Path, column: int) -> None:
        if self.chance(5):
            self.lines.append(Line("", owner if self.keeper is None else self.keeper))
        if self.chance(5):
            self.comments += 1
            self.lines.append(Line(" " * self.draw(st.integers(0, column)) + f"# c{self.comments}", owner))

    def mapping(self, path: Path, column: int, depth: int) -> None:
        keys = self.draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True))
        mappings = [name for name, is_mapping in self.named if is_mapping]
        if mappings and self.chance(3):
            self.used = True
            self.lines.append(
                Line(" " * column + f"<<: *{self.draw(st.sampled_from(mappings))}{self.comment()}", path)
            )
        for key in keys:
            self.between(path, column)
            text = self.draw(st.sampled_from([double_quoted(key), single_quoted(key)]))
            if is_plain(key, flow=True) and self.chance(2):
                text = key
            if self.chance(12):
                self.lines.append(Line(f"{' ' * column}? {text}{self.comment()}", (*path, key)))
                self.value((*path, key), " " * column + ":", column, depth)
            else:
                self.value((*path, key), f"{' ' * column}{text}{' ' * self.chance(9)}:", column, depth)

    def list(self, path: Path, column: int, depth: int) -> None:
        for position in range(self.draw(st.integers(1, 3))):
            self.between(path, column)
            self.value((*path, position), " " * column + "-", column, depth)

    def value(self, path: Path, start: str, column: int, depth: int) -> None:
        """A value behind what introduces it, in any of the styles that can hold it."""
        name = ""
        self.keeper = None
        self.in_block = False
        if self.anchors and self.chance(4):
            self.anchored += 1
            name = f"a{self.anchored}"
            start += f" &{name}"
        kind = self.draw(st.sampled_from(["scalar", "flow", "mapping", "list", "alias", "block", "empty"]))
        if kind == "alias" and self.named and not name:
            self.used = True
            alias = self.draw(st.sampled_from(self.named))[0]
            self.lines.append(Line(f"{start} *{alias}{self.comment()}", path, whole=True))
            return
        step = self.draw(st.integers(1, 5))
        if kind == "mapping" and depth:
            self.lines.append(Line(start + self.comment(), path))
            self.mapping(path, column + step, depth - 1)
        elif kind == "list" and depth:
            self.lines.append(Line(start + self.comment(), path))
            under = column if not start.lstrip().startswith("-") and self.chance(2) else column + step
            self.list(path, under, depth - 1)
        elif kind == "empty":
            self.lines.append(Line(start + self.comment(), path, whole=True))
        elif kind == "block":
            self.block(path, start, column, step)
        elif kind == "flow":
            inner = st.one_of(st.lists(scalars, max_size=3), st.dictionaries(texts, scalars, max_size=3))
            value = self.draw(inner)
            text = flow(value)
            if value and self.chance(3):
                self.spread(path, start, value, column + step)
            elif value and self.chance(3):
                text = text[0] + " " + text[1:-1] + " ," * self.chance(2) + " " + text[-1]
                self.lines.append(Line(f"{start} {text}{self.comment()}", path, whole=True))
            else:
                self.lines.append(Line(f"{start} {text}{self.comment()}", path, whole=True))
        else:
            text = self.draw(texts)
            styles = [
                double_quoted(text),
                single_quoted(text) or '""',
                "plain text",
                "12",
                "-0.5",
                "true",
                "~",
            ]
            gap = " " * self.draw(st.integers(1, 2))
            self.lines.append(
                Line(start + gap + self.draw(st.sampled_from(styles)) + self.comment(), path, whole=True)
            )
        if name:
            self.named.append((name, kind == "mapping" and bool(depth)))

    def spread(self, path: Path, start: str, value: Any, column: int) -> None:
        """Braces or brackets over several lines."""
        text = flow(value)
        pairs = [{key: value[key]} for key in value] if isinstance(value, dict) else [[one] for one in value]
        self.lines.append(Line(f"{start} {text[0]}{self.comment()}", path, whole=True))
        for number, pair in enumerate(pairs):
            last = number + 1 == len(pairs)
            self.lines.append(
                Line(
                    f"{' ' * column}{flow(pair)[1:-1]}{'' if last else ','}{self.comment()}", path, whole=True
                )
            )
        self.lines.append(Line(f"{' ' * column}{text[-1]}{self.comment()}", path, whole=True))

    def block(self, path: Path, start: str, column: int, step: int) -> None:
        text = "\n".join(
            self.draw(st.lists(st.sampled_from(["a", "  b", "", "# d", "c: 1  ", "   "]), max_size=4))
        )
        written = literal(text, column, step, prompt=True)
        if written is None:
            self.lines.append(Line(f"{start} |{self.comment()}", path))
            return
        style = self.draw(st.sampled_from("||>"))
        chomping = self.draw(st.sampled_from(["", "-", "+"]))
        self.in_block = True
        self.keeper = path if chomping == "+" else None
        self.lines.append(Line(f"{start} {style}{written.head[1:]}{chomping}{self.comment()}", path))
        self.lines += [Line(line, path) for line in written.lines]
        # Blank lines below a block belong to it where it keeps them.
        self.lines += [Line("", path)] * self.draw(st.integers(0, 2))


@st.composite
def manifests(draw: Any, *, anchors: bool = True) -> Manifest:
    """A mapping of anything: odd indentation, comments, every style, LF or CRLF, with or without a byte order mark."""
    writer = _Writer(draw, anchors)
    writer.mapping((), draw(st.sampled_from([0, 0, 0, 2])), 3)
    line_break = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    head = draw(st.sampled_from([[], [], ["# head"], ["---"]]))
    text = line_break.join([*head, *(line.text for line in writer.lines)])
    # A block that ends with the text and no line end has another value than one with a line end.
    text += line_break * (draw(st.booleans()) or writer.in_block)
    return Manifest(draw(st.sampled_from(["", "", "\ufeff"])) + text, len(head), writer.lines, writer.used)
