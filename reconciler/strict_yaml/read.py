"""A strict YAML 1.2 parser: from a text to a document, or to the faults in it.

libyaml scans and parses; this module builds the document from its events. The document holds only what JSON can
express: mappings with string keys, lists, strings, numbers, booleans and null. Tags are refused, so a text can't
make the parser construct or run anything.

Plain scalars follow the core schema (YAML 1.2.2, section 10.3.2): ``no``, ``on``, ``1:30`` and ``2024-05-13`` are
strings, ``0777`` is 777, ``0o17`` is 15. Merge keys (``<<``) are supported as an extension. What different YAML
parsers read differently is refused: a duplicate anchor, a directive other than ``%YAML 1.2``, a Unicode line
separator (a line break in YAML 1.1, none in 1.2), and a plain scalar that looks like a date but is not one.

Speed: an event costs half a microsecond in libyaml's binding. Composed nodes cost twice that, because each needs a
callback and all of them live until the end. So the document is built from events in one recursive walk. Events
carry their positions, which are read only if there is a fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from sys import intern
from typing import Any, Final, NamedTuple, NoReturn

import yaml
from yaml import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)
from yaml.cyaml import CParser  # type: ignore[attr-defined]  # missing from the stubs

from reconciler.strict_yaml.deviations import find_deviations
from reconciler.strict_yaml.faults import (
    MAX_DEPTH,
    MAX_FAULTS,
    TAG_HINT,
    TOO_DEEP,
    Fault,
    find_forbidden,
    syntax_fault,
)
from reconciler.strict_yaml.scalars import MERGE, NUMERIC, WORDS, Refused, read_number
from reconciler.text.truncate import truncate
from reconciler.values import JSON

#: Values that may be written in one file: a value takes microseconds, and a file of 10 MiB could hold five million.
MAX_VALUES: Final = 1_000_000
#: What the aliases of one file may add when they are expanded: values, and characters of text.
MAX_ALIAS_VALUES: Final = 1_000_000
MAX_ALIAS_TEXT: Final = 100 * 2**20


@dataclass(frozen=True, slots=True)
class Parsed:
    """The result of parsing.

    ``document`` is what could be parsed. With faults, it can still be checked further. If the text is not YAML at all,
    ``broken`` is true and ``document`` is None. ``values`` counts mappings, lists, keys and scalars, with aliases
    expanded; ``text`` counts the characters that expanding the aliases adds.
    """

    document: JSON
    faults: tuple[Fault, ...] = ()
    broken: bool = False
    values: int = 0
    text: int = 0


def parse(data: bytes, text: str) -> Parsed:
    """Parse a text, given both as UTF-8 (with or without a byte order mark) and decoded."""
    fault = find_forbidden(data, text)
    if fault:
        return Parsed(None, (fault,), broken=True)
    reader = _Reader(data, text)
    try:
        document = reader.document()
    except _StoppedError:
        return Parsed(None, tuple(reader.faults), broken=True)
    except yaml.YAMLError as error:
        fault = syntax_fault(error, text)
        # An error on the same line as an earlier fault is most likely a consequence of it.
        if not reader.faults or "\n" in text[reader.faults[-1].at : fault.at]:
            reader.faults.append(fault)
        return Parsed(None, tuple(reader.faults), broken=True)
    deviations = find_deviations(data, text)
    if deviations:
        return Parsed(None, tuple(sorted([*reader.faults, *deviations])), broken=True)
    return Parsed(document, tuple(reader.faults), values=reader.values, text=reader.alias_text)


#: Values are counted when a mapping or list ends, and each time that it has grown by this much.
_NOW_AND_THEN: Final = 2**12 - 1


class _NoKey:
    """Stands for a key that has been reported as a fault."""


_NO_KEY: Final = _NoKey()


class _StoppedError(Exception):
    """Reading on would be pointless or unsafe. The last fault says why."""


class _Weight(NamedTuple):
    """The size of a value with its aliases expanded. ``depth`` is 0 for a scalar."""

    values: int
    text: int
    depth: int


class _Anchor:
    """The value of an anchor. ``finished`` is false while the value is being built."""

    __slots__ = ("finished", "value")

    def __init__(self) -> None:
        self.finished = False
        self.value: JSON = None


class _Reader:
    """Builds one document from the events of one text, and collects the faults."""

    def __init__(self, data: bytes, text: str) -> None:
        self.faults: list[Fault] = []
        self._text = text
        self.values = 0
        self.alias_values = 0
        self.alias_text = 0
        self._next: Callable[[], Any] = CParser(data).get_event
        self._anchors: dict[str, _Anchor] = {}
        #: By id(); the value is kept too, so that its id can't be reused.
        self._weights: dict[int, tuple[JSON, _Weight]] = {}
        #: For each mapping with a merge key, by id(): the sizes of the merged mappings, repeated keys included.
        self._merged: dict[int, tuple[JSON, list[_Weight]]] = {}

    def document(self) -> JSON:
        """The only document of the text; ``None`` also for a text with nothing but comments.

        Raises:
            yaml.YAMLError: the text is not YAML.
            _StoppedError: reading on would be pointless or unsafe.
        """
        self._next()  # the start of the stream
        if self._next().__class__ is StreamEndEvent:
            return None
        document = self._value(self._next(), 0)
        self._next()  # the end of the document
        another = self._next()
        if another.__class__ is DocumentStartEvent:
            self._stop(
                another,
                "a second document starts here; a file can hold only one",
                "remove the `---`, or move what follows to another file",
            )
        return document

    def _value(self, event: Any, depth: int) -> JSON:
        kind = event.__class__
        if kind is ScalarEvent:
            return self._scalar(event)
        if kind is AliasEvent:
            return self._alias(event, depth)
        if depth == MAX_DEPTH:
            self._stop(event, *TOO_DEEP)
        if event.tag is not None:
            self._refuse_tag(event)
        anchor = event.anchor and self._open(event)
        value = self._mapping(depth + 1) if kind is MappingStartEvent else self._list(depth + 1)
        if anchor:
            anchor.value = value
            anchor.finished = True
        return value

    def _mapping(self, depth: int) -> dict[str, JSON]:
        take, scalar = self._next, self._scalar
        built: dict[str, JSON] = {}
        merged: list[dict[str, JSON]] | None = None
        pairs = 0
        key: Any
        while (event := take()).__class__ is not MappingEndEvent:
            pairs += 1
            if not pairs & _NOW_AND_THEN:
                self._limit(event, 2 * pairs)
            if (
                event.__class__ is ScalarEvent
                and not event.style  # a plain scalar …
                and (key := event.value) not in WORDS
                and key[0] not in NUMERIC  # … that is a string …
                and event.anchor is None
                and event.tag is None  # … and nothing else: the fast path
            ) or (key := self._key(event, depth)).__class__ is str:
                if key in built:
                    again = f"the key `{truncate(key)}` is given twice"
                    self._fault(event, again, "keep one of the two", repeated=True)
                key = intern(key)  # the same few keys recur in every session
                event = take()
                built[key] = scalar(event) if event.__class__ is ScalarEvent else self._value(event, depth)
            elif key is _NO_KEY:
                self._value(take(), depth)
            elif merged is None:
                merged = self._merge(take(), depth)
            else:
                self._fault(
                    event,
                    "the key `<<` is given twice",
                    "merge more than one mapping with a list: `<<: [*one, *other]`",
                    repeated=True,
                )
                self._value(take(), depth)
        self.values += 2 * pairs
        self._limit(event)
        return self._with_merged(built, merged) if merged else built

    def _list(self, depth: int) -> list[JSON]:
        take, value = self._next, self._value
        built: list[JSON] = []
        while (event := take()).__class__ is not SequenceEndEvent:
            built.append(value(event, depth))
            if not len(built) & _NOW_AND_THEN:
                self._limit(event, len(built))
        self.values += len(built)
        self._limit(event)
        return built

    def _limit(self, event: Any, more: int = 0) -> None:
        if self.values - self.alias_values + more > MAX_VALUES:
            self._stop(event, f"up to here, this file holds more than {MAX_VALUES:,} values", "split it")

    def _scalar(self, event: Any) -> JSON:
        text = event.value
        value: JSON = text
        if event.style:
            if "\0" in text:
                self._fault(event, "this string contains a NUL character", "remove the `\\0`")
        elif text in WORDS:
            value = WORDS[text]
            if value is MERGE:
                value = text
        elif text[0] in NUMERIC:
            value = read_number(text)
            if value.__class__ is Refused:
                self._fault(event, value.message, value.hint)
                value = text
        if event.tag is not None:
            self._refuse_tag(event)
        if event.anchor is not None:
            anchor = self._open(event)
            anchor.value = value
            anchor.finished = True
        return value

    def _key(self, event: Any, depth: int) -> Any:
        """A key that is not a simple plain scalar: a string, ``MERGE``, or ``_NO_KEY``."""
        if event.__class__ is ScalarEvent and not event.style and WORDS.get(event.value) is MERGE:
            return MERGE
        key = self._value(event, depth)
        if isinstance(key, str):
            return key
        if isinstance(key, dict | list):
            if self._text.startswith("{{", event.start_mark.index - 1):
                self._fault(
                    event,
                    "a plain string can't start with `{{`, which starts a mapping in YAML",
                    _BRACES,
                )
                return _NO_KEY
            what = "a mapping" if isinstance(key, dict) else "a list"
            self._fault(
                event, f"{what} can't be a key: keys are strings", "put it in quotes if it is a string"
            )
            return _NO_KEY
        text = truncate(event.value if event.__class__ is ScalarEvent else str(key))
        if not text:
            self._fault(event, "there is no key before this `:`", "write one or remove the line")
        else:
            self._fault(
                event,
                f"the key `{text}` is {_what(key)}; keys must be strings",
                f'put it in quotes: "{text}"',
            )
        return text

    def _merge(self, event: Any, depth: int) -> list[dict[str, JSON]]:
        """The mappings that a merge key merges."""
        value = self._value(event, depth)
        mappings = value if isinstance(value, list) else [value]
        if all(isinstance(one, dict) for one in mappings):
            return mappings
        self._fault(
            event,
            "`<<` merges a mapping or a list of mappings; this is neither",
            "refer to a mapping by its alias, like `<<: *base`",
        )
        return []

    def _with_merged(self, own: dict[str, JSON], mappings: list[dict[str, JSON]]) -> dict[str, JSON]:
        """The mapping's own keys win, then those of earlier merged mappings (yaml.org/type/merge.html)."""
        whole: dict[str, JSON] = {}
        for one in reversed(mappings):
            whole |= one
        whole |= own
        self._merged[id(whole)] = whole, [self._weigh(one) for one in mappings]
        return whole

    def _open(self, event: Any) -> _Anchor:
        if event.anchor in self._anchors:
            self._fault(
                event,
                f"the anchor `&{truncate(event.anchor)}` is given twice",
                "give each anchor its own name",
            )
        anchor = self._anchors[event.anchor] = _Anchor()
        return anchor

    def _alias(self, event: Any, depth: int) -> JSON:
        anchor = self._anchors.get(event.anchor)
        name = truncate(event.anchor)
        if anchor is None:
            self._fault(
                event,
                f"the alias `*{name}` has no anchor before it",
                f"put `&{name}` before the value that it stands for; if this is a string, put it in quotes",
            )
            return None
        if not anchor.finished:
            self._stop(
                event,
                f"the alias `*{name}` is inside the value of its own anchor",
                "write the value out instead of the alias",
            )
        weight = self._weigh(anchor.value)
        self.values += weight.values
        self.alias_values += weight.values
        self.alias_text += weight.text
        if self.alias_values > MAX_ALIAS_VALUES or self.alias_text > MAX_ALIAS_TEXT:
            self._stop(
                event,
                f"with this one, the aliases of this file expand to more than {MAX_ALIAS_VALUES:,} values"
                f" or {MAX_ALIAS_TEXT // 2**20} MiB of text",
                "use fewer aliases, above all aliases inside values that other aliases refer to",
            )
        if depth + weight.depth > MAX_DEPTH:
            self._stop(event, *TOO_DEEP)
        return anchor.value

    def _weigh(self, value: JSON) -> _Weight:
        """The size of a value with its aliases expanded. Each mapping and list is visited once."""
        if isinstance(value, str):
            return _Weight(1, len(value), 0)
        if not isinstance(value, dict | list):
            return _Weight(1, 0, 0)
        known = self._weights.get(id(value))
        if known is not None:
            return known[1]
        values, text, depth = 1, 0, 0
        if isinstance(value, dict):
            values += len(value)
            text += sum(map(len, value))
        for child in value.values() if isinstance(value, dict) else value:
            weight = self._weigh(child)
            values += weight.values
            text += weight.text
            depth = max(depth, weight.depth)
        # A key that is merged ten times counts ten times. In parsers that copy, merges of merges grow without bound;
        # here they only cost the merged result.
        for weight in self._merged.get(id(value), (None, []))[1]:
            values += weight.values
            text += weight.text
        whole = _Weight(values, text, depth + 1)
        self._weights[id(value)] = value, whole
        return whole

    def _refuse_tag(self, event: Any) -> None:
        tag = truncate(event.tag.replace("tag:yaml.org,2002:", "!!", 1))
        self._fault(event, f"the tag `{tag}` is not supported: only plain values are allowed", TAG_HINT)

    def _fault(self, event: Any, message: str, hint: str, *, repeated: bool = False) -> None:
        self.faults.append(Fault(event.start_mark.index, message, hint, repeated))
        if len(self.faults) > MAX_FAULTS:
            raise _StoppedError

    def _stop(self, event: Any, message: str, hint: str) -> NoReturn:
        self._fault(event, message, hint)
        raise _StoppedError


_BRACES: Final = "put the whole string in quotes, or write it below a `|`"


def _what(value: JSON) -> str:
    if value is None:
        return "null"
    return "a boolean" if isinstance(value, bool) else "a number"
