"""From a text to a document, by YAML 1.2's core rules, or to what keeps it from being one.

libyaml's scanner and parser do the work; what is built from their events is decided here. Only what JSON can
carry is built: mappings with texts for keys, lists, texts, numbers, booleans and null. A tag is never followed,
so that nothing in a text can ask for anything to be made or run.

Plain scalars are read by the core schema (YAML 1.2.2, section 10.3.2): ``no``, ``on``, ``1:30`` and
``2024-05-13`` are texts, ``0777`` is 777, ``0o17`` is 15. Beyond the specification, merge keys (``<<``) are
understood. What two readers of YAML would understand in two ways is refused: an anchor given twice, a directive
that asks for other rules, a line separator of Unicode (a line end in YAML 1.1, none in 1.2), and a plain scalar
that looks like a date and is none.

Speed: an event costs half a microsecond in libyaml's binding, whatever is done here. Composed nodes cost twice
that, since they call back for each and all live until the end; so documents are built from events, in one
recursive walk. The events carry their places, which are looked at only when there is a fault.
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
from yaml.cyaml import CParser  # type: ignore[attr-defined]  # the stubs forget it

from reconciler.strict_yaml.faults import MAX_DEPTH, TAG_HINT, TOO_DEEP, Fault, find_forbidden, syntax_fault
from reconciler.strict_yaml.scalars import MERGE, NUMERIC, WORDS, Refused, read_number
from reconciler.text.truncate import truncate
from reconciler.values import JSON

#: What the aliases of one file may add, each use counted as if it were written out: values, and characters of text.
MAX_ALIAS_VALUES: Final = 1_000_000
MAX_ALIAS_TEXT: Final = 100 * 2**20
#: After so many faults in one text the rest of it is not read.
MAX_FAULTS: Final = 1000


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text says.

    ``document`` is what could be made of it: with faults in it, other things can still be checked; where it is
    not even YAML, ``broken`` is true and there is none. ``values`` and ``text`` say how much there is: values
    (mappings, lists, keys and scalars), and characters that aliases add when they are written out.
    """

    document: JSON
    faults: tuple[Fault, ...] = ()
    broken: bool = False
    values: int = 0
    text: int = 0


def parse(data: bytes, text: str) -> Parsed:
    """Read a text, given as UTF-8 (a byte order mark is fine) and decoded."""
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
        # What is found in the same line, after another fault, most likely comes of it.
        if not reader.faults or "\n" in text[reader.faults[-1].at : fault.at]:
            reader.faults.append(fault)
        return Parsed(None, tuple(reader.faults), broken=True)
    return Parsed(document, tuple(reader.faults), values=reader.values, text=reader.alias_text)


class _NoKey:
    """Stands for a key that has been reported as a fault."""


_NO_KEY: Final = _NoKey()


class _StoppedError(Exception):
    """The rest of the text is not worth reading, or not safe to; the reader's last fault says why."""


class _Weight(NamedTuple):
    """A value with its aliases written out. ``depth`` is 0 for a scalar."""

    values: int
    text: int
    depth: int


class _Anchor:
    """What an anchor names. While its value is being built, ``finished`` is false."""

    __slots__ = ("finished", "value")

    def __init__(self) -> None:
        self.finished = False
        self.value: JSON = None


class _Reader:
    """Builds one document from the events of one text, and notes what is wrong with it."""

    def __init__(self, data: bytes, text: str) -> None:
        self.faults: list[Fault] = []
        self._text = text
        self.values = 0
        self.alias_values = 0
        self.alias_text = 0
        self._next: Callable[[], Any] = CParser(data).get_event
        self._anchors: dict[str, _Anchor] = {}
        #: By identity; the value is kept with it, so that no other can come to have that identity.
        self._weights: dict[int, tuple[JSON, _Weight]] = {}
        #: Of each mapping with a merge key, by identity: what the merged ones come to, keys that recur included.
        self._merged: dict[int, tuple[JSON, list[_Weight]]] = {}

    def document(self) -> JSON:
        """The only document of the text; ``None``, too, where there is nothing but comments.

        Raises:
            yaml.YAMLError: the text is not YAML.
            _StoppedError: there is no point, or a danger, in reading on.
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
                "a second document starts here, and a file holds one",
                "take the `---` out, or move what follows to a file of its own",
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
            if (
                event.__class__ is ScalarEvent
                and not event.style  # it is plain …
                and (key := event.value) not in WORDS
                and key[0] not in NUMERIC  # … and a text …
                and event.anchor is None
                and event.tag is None  # … and nothing else is to be thought of
            ) or (key := self._key(event, depth)).__class__ is str:
                if key in built:
                    again = f"the key `{truncate(key)}` is given twice"
                    self._fault(event, again, "keep one of the two", repeated=True)
                key = intern(key)  # the same few keys stand in every session: keep them once
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
        return self._with_merged(built, merged) if merged else built

    def _list(self, depth: int) -> list[JSON]:
        take, value = self._next, self._value
        built: list[JSON] = []
        while (event := take()).__class__ is not SequenceEndEvent:
            built.append(value(event, depth))
        self.values += len(built)
        return built

    def _scalar(self, event: Any) -> JSON:
        text = event.value
        value: JSON = text
        if event.style:
            if "\0" in text:
                self._fault(event, "there is a NUL character in this text", "take the `\\0` out")
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
        """A key that is not simply a plain text: a text all the same, or ``MERGE``, or ``_NO_KEY``."""
        if event.__class__ is ScalarEvent and not event.style and WORDS.get(event.value) is MERGE:
            return MERGE
        key = self._value(event, depth)
        if isinstance(key, str):
            return key
        if isinstance(key, dict | list):
            if self._text.startswith("{{", event.start_mark.index - 1):
                self._fault(
                    event,
                    "a plain text can't start with `{{`, which is YAML's way to start a mapping",
                    _BRACES,
                )
                return _NO_KEY
            what = "a mapping" if isinstance(key, dict) else "a list"
            self._fault(event, f"{what} can't be a key: keys are texts", "put it in quotes if it is a text")
            return _NO_KEY
        text = truncate(event.value if event.__class__ is ScalarEvent else str(key))
        if not text:
            self._fault(event, "there is no key before this `:`", "write one, or take the line out")
        else:
            self._fault(
                event, f"the key `{text}` is {_what(key)}, and keys are texts", f'put it in quotes: "{text}"'
            )
        return text

    def _merge(self, event: Any, depth: int) -> list[dict[str, JSON]]:
        """The mappings that a merge key brings in."""
        value = self._value(event, depth)
        mappings = value if isinstance(value, list) else [value]
        if all(isinstance(one, dict) for one in mappings):
            return mappings
        self._fault(
            event,
            "`<<` brings in the keys of a mapping, or of each mapping in a list, and this is neither",
            "name a mapping by its alias, like `<<: *base`",
        )
        return []

    def _with_merged(self, own: dict[str, JSON], mappings: list[dict[str, JSON]]) -> dict[str, JSON]:
        """Own keys win, then those of an earlier mapping (yaml.org/type/merge.html)."""
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
                "give each anchor a name of its own",
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
                f"put `&{name}` where the value stands, or, if this is a text, put it in quotes",
            )
            return None
        if not anchor.finished:
            self._stop(
                event,
                f"the alias `*{name}` stands within what it names, so that there is no end of it",
                "write out what is meant",
            )
        weight = self._weigh(anchor.value)
        self.values += weight.values
        self.alias_values += weight.values
        self.alias_text += weight.text
        if self.alias_values > MAX_ALIAS_VALUES or self.alias_text > MAX_ALIAS_TEXT:
            self._stop(
                event,
                f"with this, the aliases of this file stand for more than {MAX_ALIAS_VALUES:,} values"
                f" or {MAX_ALIAS_TEXT // 2**20} MiB of text",
                "use fewer of them, above all aliases within what other aliases name",
            )
        if depth + weight.depth > MAX_DEPTH:
            self._stop(event, *TOO_DEEP)
        return anchor.value

    def _weigh(self, value: JSON) -> _Weight:
        """What a value comes to when it is written out. Each mapping and list is looked through once."""
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
        # Written out, a key that is merged in ten times stands there ten times. That is how merges of merges grow
        # without end in readers that write them out, while here they only cost what is left of them.
        for weight in self._merged.get(id(value), (None, []))[1]:
            values += weight.values
            text += weight.text
        whole = _Weight(values, text, depth + 1)
        self._weights[id(value)] = value, whole
        return whole

    def _refuse_tag(self, event: Any) -> None:
        tag = truncate(event.tag.replace("tag:yaml.org,2002:", "!!", 1))
        self._fault(
            event, f"the tag `{tag}` is not followed here: a catalog holds plain values only", TAG_HINT
        )

    def _fault(self, event: Any, message: str, hint: str, *, repeated: bool = False) -> None:
        self.faults.append(Fault(event.start_mark.index, message, hint, repeated))
        if len(self.faults) > MAX_FAULTS:
            raise _StoppedError

    def _stop(self, event: Any, message: str, hint: str) -> NoReturn:
        self._fault(event, message, hint)
        raise _StoppedError


_BRACES: Final = "put the whole text in quotes, or start it in the line after a `|`"


def _what(value: JSON) -> str:
    if value is None:
        return "null"
    return "a truth value" if isinstance(value, bool) else "a number"
