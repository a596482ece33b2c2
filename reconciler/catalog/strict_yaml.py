"""From a text to a document, by YAML 1.2's core rules, or to what keeps it from being one.

libyaml's scanner, parser and composer do the work; what is built from the composed nodes is decided here. Only
what JSON can carry is built: mappings with texts for keys, lists, texts, numbers, booleans and null. A tag is
never followed, so that nothing in a text can ask for anything to be made or run.

Plain scalars are read by the core schema (YAML 1.2.2, section 10.3.2): ``no``, ``on``, ``1:30`` and ``2024-05-13``
are texts, ``0777`` is 777, ``0o17`` is 15. Beyond the specification, merge keys (``<<``) are understood, and a
plain scalar that looks like a date but is none is refused, because readers of other YAML versions stumble over it.

Speed: a node costs about two microseconds in libyaml's binding, whatever is done here, and three calls back into
Python. These calls bound the depth and decide what a plain scalar is; the rest is one recursive walk. Nothing is
noted on the way about places: the nodes carry them, and they are looked at only when there is a fault.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import yaml
from yaml.cyaml import CParser

from reconciler.model import JSON

MAX_DEPTH = 100
MAX_DIGITS = 1000
#: What aliases may add to one file, each use counted as if it were written out.
MAX_ALIAS_VALUES = 1_000_000
MAX_ALIAS_TEXT = 100 * 2**20


class Fault(NamedTuple):
    """One thing that is wrong with a text. ``index`` counts characters, without a byte order mark."""

    index: int
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text says (``None`` when there are faults), and what its aliases add when written out."""

    document: JSON
    faults: list[Fault]
    alias_values: int = 0
    alias_text: int = 0


class Kind:
    """What a node is, before anything is built from it; stands where the composer keeps a node's tag.

    A tag that the text spells out is a ``str``; any other value is the value of a plain scalar itself.
    """


TEXT = Kind()  # a plain scalar that is a text
QUOTED = Kind()  # a quoted or block scalar
COLLECTION = Kind()
MERGE = Kind()  # <<


class Refused(NamedTuple):
    """A plain scalar that no value is made from."""

    message: str
    hint: str


class TooDeepError(Exception):
    """Deeper than :data:`MAX_DEPTH`; holds the node at which to say so."""

    def __init__(self, node: yaml.Node) -> None:
        super().__init__()
        self.node = node


# What a plain scalar can be is decided by its first character; most are texts by that alone.
_TELLING = frozenset("-+.0123456789~nNtTfF<")
_WORDS: dict[str, Any] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    "<<": MERGE,
}
_INTEGER = re.compile(r"[-+]?[0-9]+").fullmatch
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?").fullmatch
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+").fullmatch
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)").fullmatch
_DATE = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:(?:[Tt]|[ \t]+)([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::?[0-9]{2})?))?)?"
).fullmatch


def resolve_plain(text: str) -> Any:
    """The value of a plain scalar, or the :class:`Kind` or :class:`Refused` that it is."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-+.0123456789":
        return TEXT
    if _INTEGER(text):
        return int(text) if len(text) <= MAX_DIGITS else _too_long(text)
    if _FLOAT(text):
        value = float(text)
        if value in (float("inf"), float("-inf")):
            return Refused("this number is too large for any computer's floating point", _QUOTE)
        return value
    if _BASED(text):
        return int(text, 0) if len(text) <= MAX_DIGITS else _too_long(text)
    if _NOT_FINITE(text):
        return Refused(f"`{text}` is no number that JSON can carry", _QUOTE)
    when = _DATE(text)
    if when and not _possible(when):
        return Refused(f"`{text}` is no day of the calendar", _QUOTE)
    return TEXT


_QUOTE = "put it in quotes if it is a text"


def _too_long(text: str) -> Refused:
    return Refused(f"this integer has {len(text):,} digits; {MAX_DIGITS:,} is the most", _QUOTE)


def _possible(when: re.Match[str]) -> bool:
    year, month, day, hour, minute, second = (int(part or 0) for part in when.groups())
    try:
        date(year, month, day)
    except ValueError:
        return False
    return hour < 24 and minute < 60 and second <= 60


class _Composer(CParser):
    """libyaml's composer. It asks ``resolve`` for the tag of each node and frames each with the other two."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.depth = 0

    def resolve(self, _node_class: type, value: str | None, implicit: Any) -> Any:
        if value is None:
            return COLLECTION if implicit else "!"
        if not implicit[0]:
            return QUOTED
        if not value or value[0] in _TELLING:
            return resolve_plain(value)
        return TEXT

    def descend_resolver(self, parent: yaml.Node | None, _index: Any) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH and parent is not None:
            raise TooDeepError(parent)

    def ascend_resolver(self) -> None:
        self.depth -= 1


def compose(data: bytes) -> yaml.Node | None:
    """The nodes of a text, ``None`` where there is nothing but comments.

    Raises:
        yaml.YAMLError: the text is not YAML, or not one document.
        TooDeepError: deeper than :data:`MAX_DEPTH`.
    """
    node: yaml.Node | None = _Composer(data).get_single_node()
    return node


class _RefusedError(Exception):
    """The text can't be looked into any further."""

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.fault = fault


def parse(data: bytes) -> Parsed:
    """Read a text of UTF-8 that is free of the characters that :func:`unreadable` finds."""
    try:
        root = compose(data)
    except TooDeepError as error:
        return Parsed(None, [Fault(error.node.start_mark.index, *_TOO_DEEP)])
    except yaml.YAMLError as error:
        return Parsed(None, [_syntax_fault(error, data.decode("utf-8-sig"))])
    if root is None:
        return Parsed(None, [Fault(0, "the file is empty")])
    builder = _Builder()
    if _ANCHOR(data):
        try:
            root_weight = _weigh(root, {}, 0)
        except _RefusedError as refusal:
            return Parsed(None, [refusal.fault])
        builder.shared = {}
        return Parsed(builder.build(root), builder.faults, root_weight.alias_values, root_weight.alias_text)
    return Parsed(builder.build(root), builder.faults)


_TOO_DEEP = (
    f"this is nested more than {MAX_DEPTH} levels deep",
    "no catalog needs that; flatten it",
)
_ANCHOR = re.compile(rb"&[^ \t\r\n]").search


class _Weight(NamedTuple):
    """What a node is when its aliases are written out, and how much of that comes from aliases."""

    values: int
    text: int
    alias_values: int
    alias_text: int
    height: int


def _weigh(node: yaml.Node, known: dict[int, _Weight | None], depth: int) -> _Weight:
    """The weight of a node; looks at every node once.

    ``known`` holds the weight of what was looked at, and ``None`` for what is being looked at. An alias stands
    after its anchor in the text, so that its node is known, unless the alias lies within what it names.

    Raises:
        _RefusedError: an alias lies within what it names; or written out, the aliases are too many or too deep.
    """
    if isinstance(node, yaml.ScalarNode):
        weight = _Weight(1, len(node.value), 0, 0, 1)
        known[id(node)] = weight
        return weight
    known[id(node)] = None
    values, text, alias_values, alias_text, height = 1, 0, 0, 0, 0
    children = [n for pair in node.value for n in pair] if isinstance(node, yaml.MappingNode) else node.value
    for child in children:
        if id(child) in known:
            weight_or_none = known[id(child)]
            if weight_or_none is None:
                raise _RefusedError(
                    Fault(
                        child.start_mark.index,
                        "this contains an alias of itself, and so has no end",
                        "write out what the alias stands for",
                    )
                )
            weight = weight_or_none
            alias_values += weight.values
            alias_text += weight.text
        else:
            weight = _weigh(child, known, depth + 1)
            alias_values += weight.alias_values
            alias_text += weight.alias_text
        values += weight.values
        text += weight.text
        height = max(height, weight.height)
        if alias_values > MAX_ALIAS_VALUES or alias_text > MAX_ALIAS_TEXT:
            raise _RefusedError(
                Fault(
                    node.start_mark.index,
                    f"written out, the aliases in here come to more than {MAX_ALIAS_VALUES:,} values"
                    f" or {MAX_ALIAS_TEXT // 2**20} MiB of text",
                    "use fewer aliases of aliases",
                )
            )
        if depth + height > MAX_DEPTH:
            raise _RefusedError(Fault(node.start_mark.index, *_TOO_DEEP))
    weight = _Weight(values, text, alias_values, alias_text, height + 1)
    known[id(node)] = weight
    return weight


class _Builder:
    """Builds documents from nodes, and collects what is wrong with them."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        #: What was built from each collection, where a text has anchors: an alias is the same object.
        self.shared: dict[int, JSON] | None = None

    def build(self, node: yaml.Node) -> JSON:
        """The value of a node."""
        tag = node.tag
        if tag is COLLECTION:
            shared = self.shared
            if shared is None:
                return self._mapping(node) if node.__class__ is yaml.MappingNode else self._list(node)
            if id(node) not in shared:
                shared[id(node)] = (
                    self._mapping(node) if node.__class__ is yaml.MappingNode else self._list(node)
                )
            return shared[id(node)]
        if tag is TEXT or tag is MERGE:
            return node.value
        if tag is QUOTED:
            if "\0" in node.value:
                self._fault(node, "a NUL character can't be part of a text", "take the `\\0` out")
            if node.style == "":
                self._tag(node, "!")
            return node.value
        kind = tag.__class__
        if kind is str:
            self._tag(node, tag)
            return None
        if kind is Refused:
            self._fault(node, tag.message, tag.hint)
            return None
        return tag

    def _list(self, node: yaml.Node) -> list[JSON]:
        build = self.build
        return [child.value if child.tag is TEXT else build(child) for child in node.value]

    def _mapping(self, node: yaml.Node) -> dict[str, JSON]:
        build = self.build
        built: dict[str, JSON] = {}
        merges: list[yaml.Node] = []
        refused = 0
        for key_node, value_node in node.value:
            tag = key_node.tag
            if tag is TEXT or (tag is QUOTED and self._plain_text(key_node)):
                key = key_node.value
            elif tag is MERGE:
                merges.append(value_node)
                key = "<<"
            else:
                refused += 1
                self._bad_key(key_node)
                build(value_node)
                continue
            built[key] = value_node.value if value_node.tag is TEXT else build(value_node)
        if len(built) + refused != len(node.value):
            self._duplicates(node)
        if merges:
            del built["<<"]
            return self._merged(built, merges[0])
        return built

    def _plain_text(self, node: yaml.Node) -> bool:
        return "\0" not in node.value and node.style != ""

    def _bad_key(self, node: yaml.Node) -> None:
        tag = node.tag
        if tag is COLLECTION:
            what = "a mapping" if isinstance(node, yaml.MappingNode) else "a list"
            self._fault(node, f"{what} can't be a key: keys are texts", "")
        elif tag is QUOTED or tag.__class__ is str or tag.__class__ is Refused:
            self.build(node)
        else:
            self._fault(
                node, f"the key `{node.value}` is {_what(tag)}, and keys are texts", "put the key in quotes"
            )

    def _duplicates(self, node: yaml.Node) -> None:
        first: dict[str, yaml.Node] = {}
        for key_node, _ in node.value:
            key = key_node.value if key_node.tag in (TEXT, QUOTED, MERGE) else None
            if key is None:
                continue
            if key in first:
                line = first[key].start_mark.line + 1
                self._fault(
                    key_node, f"the key `{key}` was given before, in line {line}", "keep one of the two"
                )
            else:
                first[key] = key_node

    def _merged(self, own: dict[str, JSON], node: yaml.Node) -> dict[str, JSON]:
        value = self.build(node)
        merged: dict[str, JSON] = {}
        for one in reversed(value if isinstance(value, list) else [value]):
            if not isinstance(one, dict):
                self._fault(
                    node,
                    "`<<` takes in the keys of a mapping, or of a list of mappings, and this is neither",
                    "name a mapping by its alias: `<<: *defaults`",
                )
                break
            merged |= one
        return merged | own

    def _tag(self, node: yaml.Node, tag: str) -> None:
        short = tag.replace("tag:yaml.org,2002:", "!!", 1)
        self._fault(
            node,
            f"the tag `{short}` is not allowed: tags are never followed here",
            "write the value without a tag",
        )

    def _fault(self, node: yaml.Node, message: str, hint: str) -> None:
        self.faults.append(Fault(node.start_mark.index, message, hint))


def _what(value: JSON) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "a truth value"
    return "a number"


def _syntax_fault(error: yaml.YAMLError, text: str) -> Fault:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "this is not YAML"
    return Fault(mark.index if mark else 0, f"this is not YAML: {problem}")
