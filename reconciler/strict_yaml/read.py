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

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
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

from reconciler.text.truncate import truncate
from reconciler.values import JSON

#: The deepest nesting, of mappings and lists, aliases written out.
MAX_DEPTH: Final = 100
MAX_DIGITS: Final = 1000
#: What the aliases of one file may add, each use counted as if it were written out: values, and characters of text.
MAX_ALIAS_VALUES: Final = 1_000_000
MAX_ALIAS_TEXT: Final = 100 * 2**20
#: After so many faults in one text the rest of it is not read.
MAX_FAULTS: Final = 1000


class Fault(NamedTuple):
    """One thing that is wrong with a text. ``at`` counts characters, without a byte order mark."""

    at: int
    message: str
    hint: str = ""
    #: Whether the fault is a key that stands in its mapping a second time.
    repeated: bool = False


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
    fault = _forbidden(data, text)
    if fault:
        return Parsed(None, (fault,), broken=True)
    reader = _Reader(data, text)
    try:
        document = reader.document()
    except _StoppedError:
        return Parsed(None, tuple(reader.faults), broken=True)
    except yaml.YAMLError as error:
        fault = _syntax_fault(error, text)
        # What is found in the same line, after another fault, most likely comes of it.
        if not reader.faults or "\n" in text[reader.faults[-1].at : fault.at]:
            reader.faults.append(fault)
        return Parsed(None, tuple(reader.faults), broken=True)
    return Parsed(document, tuple(reader.faults), values=reader.values, text=reader.alias_text)


class _Kind:
    """What a key is that is no text."""


class _Refused(NamedTuple):
    """A plain scalar that no value is made from."""

    message: str
    hint: str


_MERGE: Final = _Kind()  # the plain scalar <<
_NO_KEY: Final = _Kind()  # a fault, noted already

# A plain scalar is one of a few words, starts like a number, or is a text.
_WORDS: Final[dict[str, Any]] = {
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
    "<<": _MERGE,
}
_NUMERIC: Final = frozenset("-+.0123456789")
_INTEGER = re.compile(r"[-+]?[0-9]+").fullmatch
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?").fullmatch
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+").fullmatch
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)").fullmatch
# The timestamps of YAML 1.1 (yaml.org/type/timestamp.html).
_DATE = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:(?:[Tt]|[ \t]+)([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::?[0-9]{2})?))?)?"
).fullmatch

_QUOTE: Final = "put it in quotes if it is a text"


def _number(text: str) -> Any:
    """The value of a plain scalar that starts like a number; a text of that kind is the text itself."""
    if _INTEGER(text):
        return int(text) if len(text) <= MAX_DIGITS else _too_long(text)
    if _FLOAT(text):
        value = float(text)
        if value in (float("inf"), float("-inf")):
            return _Refused("this number is larger than any that programs can carry", _QUOTE)
        return value
    if _BASED(text):
        return int(text, 0) if len(text) <= MAX_DIGITS else _too_long(text)
    if _NOT_FINITE(text):
        return _Refused(f"`{text}` is not a number that JSON can carry", _QUOTE)
    when = _DATE(text)
    if when and not _is_possible(when):
        return _Refused(f"`{text}` is written like a date, and there is no such day or time", _QUOTE)
    return text


def _too_long(text: str) -> _Refused:
    digits = text.lstrip("+-").removeprefix("0x").removeprefix("0o")
    return _Refused(f"this integer has {len(digits):,} digits, and {MAX_DIGITS:,} is the most", _QUOTE)


def _is_possible(when: re.Match[str]) -> bool:
    year, month, day, hour, minute, second = (int(part or 0) for part in when.groups())
    try:
        date(year, month, day)
    except ValueError:
        return False
    return hour < 24 and minute < 60 and second <= 60  # 60 is a leap second


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
            self._stop(event, *_TOO_DEEP)
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
                and (key := event.value) not in _WORDS
                and key[0] not in _NUMERIC  # … and a text …
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
        elif text in _WORDS:
            value = _WORDS[text]
            if value is _MERGE:
                value = text
        elif text[0] in _NUMERIC:
            value = _number(text)
            if value.__class__ is _Refused:
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
        """A key that is not simply a plain text: a text all the same, or a :class:`_Kind`."""
        if event.__class__ is ScalarEvent and not event.style and _WORDS.get(event.value) is _MERGE:
            return _MERGE
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
            self._stop(event, *_TOO_DEEP)
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
        self._fault(event, f"the tag `{tag}` is not followed here: a catalog holds plain values only", _TAG)

    def _fault(self, event: Any, message: str, hint: str, *, repeated: bool = False) -> None:
        self.faults.append(Fault(event.start_mark.index, message, hint, repeated))
        if len(self.faults) > MAX_FAULTS:
            raise _StoppedError

    def _stop(self, event: Any, message: str, hint: str) -> NoReturn:
        self._fault(event, message, hint)
        raise _StoppedError


_TOO_DEEP: Final = (f"this is nested more than {MAX_DEPTH} levels deep", "flatten it")
_BRACES: Final = "put the whole text in quotes, or start it in the line after a `|`"
_TAG: Final = "take the tag out, and put the value in quotes if it is a text"


def _what(value: JSON) -> str:
    if value is None:
        return "null"
    return "a truth value" if isinstance(value, bool) else "a number"


# What libyaml would not, or not safely, refuse by itself.
_DIRECTIVE = re.compile(r"^%(?!YAML[ \t]+1\.2[ \t]*$).*", re.MULTILINE)
_SEPARATORS: Final = ("\x85", "\u2028", "\u2029")
# What it refuses, though without saying where.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")


def _forbidden(data: bytes, text: str) -> Fault | None:
    # libyaml compares every %TAG with all before it: half a million of them keep it busy for minutes.
    if data.startswith((b"%", b"\xef\xbb\xbf%")) or b"\n%" in data or b"\r%" in data:
        found = _DIRECTIVE.search(text.replace("\r", "\n"))
        if found:
            directive = truncate(found.group().split()[0])
            return Fault(
                found.start(),
                f"a line that starts with `%` is a directive, and `{directive}` is not followed here",
                "take the line out, or indent it if it is part of a text",
            )
    for separator in _SEPARATORS:
        if separator in text:
            return Fault(
                text.index(separator),
                f"there is a U+{ord(separator):04X} here, which some readers of YAML take for a line end",
                f"replace it, write it as `\\u{ord(separator):04x}` in double quotes,"
                " or keep the prompt in a file of its own",
            )
    return None


# libyaml's words for what is wrong (its scanner.c and parser.c): ours, what to do, and whether the better place
# is where the thing began.
_TAB: Final = ("a tab is used for indentation here", "indent with spaces", False)
_NAMELESS: Final = (
    "`&` and `*` start an anchor or an alias, and its name, of letters and digits, is missing or goes on oddly",
    "put the text in quotes if it is one",
    True,
)
_SYNTAX: Final[dict[str, tuple[str, str, bool]]] = {
    # Newer releases of libyaml stop at a depth of their own, before they hand out the first event of it.
    "exceeded maximum nesting depth": (*_TOO_DEEP, False),
    "could not find expected ':'": (
        "this line is neither `key: value` nor part of the text above it",
        "put a `: ` after the key, or indent the line if it belongs to a text",
        True,
    ),
    "mapping values are not allowed in this context": (
        "a `: ` can't stand here",
        "put the text in quotes if it holds a `: `; else look at the indentation",
        False,
    ),
    "mapping keys are not allowed in this context": (
        "a key can't stand here",
        "put it on a line of its own, indented like the keys beside it",
        False,
    ),
    "block sequence entries are not allowed in this context": (
        "a list can't start here",
        "put each `- ` on a line of its own, or the text in quotes if it is one",
        False,
    ),
    "did not find expected key": (
        "this does not fit in here: a key was expected",
        "indent it like the keys beside it, or put the whole value in quotes",
        False,
    ),
    "did not find expected '-' indicator": (
        "this does not fit in here: an entry of a list, with its `- `, was expected",
        "indent it like what it belongs to",
        False,
    ),
    "did not find expected ',' or ']'": (
        "a `,` or `]` was expected here",
        "put a text in quotes if it holds `,`, `[`, `]`, `{`, `}` or a quote",
        False,
    ),
    "did not find expected ',' or '}'": (
        "a `,` or `}` was expected here",
        "put a text in quotes if it holds `,`, `[`, `]`, `{`, `}` or a quote",
        False,
    ),
    "did not find expected node content": (
        "a value was expected here",
        "write one, or put the text in quotes if this is part of it",
        False,
    ),
    "found unexpected document indicator": (
        "this quoted text runs into a line that starts with `---` or `...`",
        "close the quote before it, or indent the line",
        True,
    ),
    "found unexpected ':'": ("a `:` can't stand here", "put the text in quotes if it holds one", False),
    "did not find expected comment or line break": (
        "the text has to start on the line after `|` or `>`",
        "move it there, and indent it",
        True,
    ),
    "found an indentation indicator equal to 0": (
        "the number after `|` or `>` says how far the text is indented, and can't be 0",
        "leave the number out",
        True,
    ),
    "found a tab character where an indentation space is expected": _TAB,
    "found a tab character that violates indentation": _TAB,
    "did not find expected alphabetic or numeric character": _NAMELESS,
    "did not find expected <document start>": (
        "the document has ended before this",
        "look for a bracket too many, a line that is not indented enough, or a line with `...`",
        False,
    ),
}


def _syntax_fault(error: Any, text: str) -> Fault:
    """What libyaml could not get over, in our words."""
    if isinstance(error, yaml.reader.ReaderError):
        return _control_fault(text)
    began, at = error.context_mark, error.problem_mark.index
    if error.problem == "found character that cannot start any token":
        return _odd_start(text, at)
    if error.problem in _ESCAPES:
        return _escape_fault(text, at)
    if at >= len(text.rstrip()) and error.problem in _UNCLOSED:
        opening = text[began.index]
        return Fault(began.index, f"this `{opening}` is never closed", _UNCLOSED[error.problem])
    if error.problem == "found unexpected end of stream":
        within = '`\\"`' if text[began.index] == '"' else "`''`"
        return Fault(
            began.index, "this quote is never closed", f"close it; a quote within is written as {within}"
        )
    if text[:at].rstrip(" ")[-1:] in ("'", '"') and error.problem == "did not find expected key":
        return Fault(
            at,
            "the quotes ended before this",
            "a quote within is written as `''` in single quotes, as `\\\"` in double ones",
        )
    if at >= len(text.rstrip()) and error.problem == "did not find expected node content":
        last = len(text.rstrip()) - 1
        return Fault(
            last, "the file ends after this, where a value was expected", "write it, and close what is open"
        )
    if error.context in ("while scanning a tag", "while parsing a tag", "while parsing a node"):
        return Fault(began.index, "`!` starts a tag, and tags are not followed here", _TAG)
    message, hint, from_the_start = _SYNTAX.get(
        error.problem, (f"this is not YAML: {error.problem}", *_UNFORESEEN)
    )
    return Fault(began.index if from_the_start and began else at, message, hint)


_UNFORESEEN: Final = ("look at the quotes, the brackets and the indentation around it", False)
_UNCLOSED: Final = {
    "did not find expected ',' or ']'": "add the `]`, or put the text in quotes if it is one",
    "did not find expected ',' or '}'": "add the `}`, or put the text in quotes if it is one",
}


def _control_fault(text: str) -> Fault:
    found = _CONTROL.search(text)
    assert found is not None  # it is UTF-8, so nothing else is left that libyaml refuses
    code = ord(found.group())
    if code == 0:
        return Fault(
            found.start(),
            "there is a NUL character here",
            "take it out; save the file as UTF-8 if it is UTF-16",
        )
    escape = f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return Fault(
        found.start(),
        f"there is a control character (U+{code:04X}) here",
        f"take it out, or write it as `{escape}` in double quotes",
    )


def _odd_start(text: str, at: int) -> Fault:
    if text[at] == "\t":
        message, hint, _ = _TAB
        return Fault(at, message, hint)
    return Fault(at, f'a value can\'t start with "{text[at]}"', "put it in quotes")


_ESCAPES: Final = frozenset(
    {
        "found unknown escape character",
        "did not find expected hexdecimal number",
        "found invalid Unicode character escape code",
    }
)


def _escape_fault(text: str, at: int) -> Fault:
    start = text.rindex("\\", 0, at + 1)
    code = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))").match(text, start)
    if code is None:
        return Fault(
            start,
            f"`{text[start : start + 2]}` does not start an escape of double quotes",
            "write a backslash as `\\\\`, or use single quotes",
        )
    if 0xD800 <= int(code.group(1) or code.group(2), 16) <= 0xDFFF:
        return Fault(
            start,
            f"`{code.group()}` is half a character (a lone surrogate)",
            "write the character itself, or its number in full, like `\\U0001f600`",
        )
    return Fault(start, f"`{code.group()}` is no character of Unicode", "write the character itself")
