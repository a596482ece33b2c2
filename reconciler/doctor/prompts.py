"""Whether prompts are returned unchanged: texts that services are known to change, and what this one does to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from reconciler.doctor.context import ProbeContext

#: The longest prompt that is tried, in characters.
LONGEST_PROMPT: Final = 100_000

#: Room, in characters, for what follows the beginning of each prompt of a probe.
_ROOM: Final = 10

#: Emoji, joined ones included, a letter with a combining accent, separators that some programs take for line ends, and
#: every control character but NUL, which no catalog may contain.
CHARACTERS: Final = (
    "\U0001f99c \U0001f469\u200d\U0001f467 \u7231 e\u0301 \u2028\u2029\u0085\ufeff "
    + "".join(map(chr, (*range(1, 9), 11, 12, *range(14, 32), 127, 155)))
    + " end"
)


@dataclass(frozen=True, slots=True)
class TextCase:
    """A text to store as a prompt, and the fact of the contract that it decides.

    ``make`` builds the text around the beginning that identifies a probe's prompt. ``classify`` gives the contract's
    word for what the service did to it, from what was sent and what was stored.
    """

    name: str
    fact: str
    make: Callable[[str], str]
    classify: Callable[[str, str], str]


def _lf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _ends(sent: str, stored: str) -> str:
    stored = _lf(stored)  # line endings are another fact
    if stored == sent:
        return "kept"
    return "both" if stored == sent.strip() else "end" if stored == sent.rstrip() else "changed"


def _line_endings(sent: str, stored: str) -> str:
    if stored == sent:
        return "kept"
    lf = _lf(sent)
    return "lf" if stored == lf else "crlf" if stored == lf.replace("\n", "\r\n") else "changed"


def _characters(sent: str, stored: str) -> str:
    return "kept" if stored == sent else "changed"


CASES: Final = (
    TextCase("white space at the ends", "prompt_ends", lambda start: f" \t {start} \t \n ", _ends),
    TextCase("line endings", "prompt_line_endings", lambda start: f"{start}\r\na\nb\rc\n\nd", _line_endings),
    TextCase(
        "emoji, U+2028, control characters",
        "prompt_characters",
        lambda start: start + CHARACTERS,
        _characters,
    ),
)


def together(start: str) -> str:
    """All cases in one text. If it comes back unchanged, no case has to be tried alone."""
    return f" \t {start}\r\na\nb\rc\n\nd{CHARACTERS} \t \n "


def filled(start: str, length: int) -> str:
    """A prompt of this many characters."""
    return start + " " + "x" * (length - len(start) - 1)


def stored_prompts(context: ProbeContext) -> None:
    """Whether prompts are returned unchanged, and how long they may be."""
    if context.update is None:
        context.report("prompts", "unknown", "without an update, only a plain prompt was tried")
        return
    context.progress("whether prompts are returned unchanged")
    sent, stored = _stored(context, together)
    if stored == sent:
        facts = {case.fact: "kept" for case in CASES}
    else:
        facts = {}
        for case in CASES:
            sent, stored = _stored(context, case.make)
            facts[case.fact] = "refused" if stored is None else case.classify(sent, stored)
    for case in CASES:
        fact = facts[case.fact]
        verdict = context.learned.learn_service(**{case.fact: fact})
        context.report(f"prompts: {case.name}", verdict, _SEEN.get(fact, fact), _follows(case.fact, fact))
    _report_length(context)


def _report_length(context: ProbeContext) -> None:
    known = context.learned.in_use.service.prompt_length is not None
    length = _longest(context)
    verdict = context.learned.learn_service(prompt_length=length)
    if length == LONGEST_PROMPT:
        context.report("prompts: length", verdict, f"{LONGEST_PROMPT:,} characters are returned unchanged")
    else:
        context.report(
            "prompts: length",
            verdict if known else "differs",
            f"at most {length:,} characters are returned unchanged",
            "an apply reports each prompt that is too long",
        )


def _longest(context: ProbeContext) -> int:
    """The length of the longest prompt that is returned unchanged, in characters."""

    def kept(length: int) -> bool:
        sent, stored = _stored(context, lambda start: filled(start, length))
        return stored == sent

    if kept(LONGEST_PROMPT):
        return LONGEST_PROMPT
    good, bad = len(context.session.prompt()) + _ROOM, LONGEST_PROMPT
    while bad - good > 1:
        middle = (good + bad) // 2
        context.progress(f"a prompt of {middle} characters")
        good, bad = (middle, bad) if kept(middle) else (good, middle)
    return good


def _stored(context: ProbeContext, make: Callable[[str], str]) -> tuple[str, str | None]:
    """A prompt as it was sent, and as it was stored; None if it was refused."""
    sent: list[str] = []

    def made(start: str) -> str:
        sent.append(make(start))
        return sent[0]

    reply, live = context.apply_update({}, made)
    stored = context.raw_value(live, *context.client.contract.session.prompt)
    return sent[0], None if reply.error is not None and stored != sent[0] else str(stored)


_SEEN: Final = {
    "kept": "returned unchanged",
    "end": "removed at the end",
    "both": "removed at both ends",
    "lf": "converted to LF",
    "crlf": "converted to CRLF",
    "changed": "changed",
    "refused": "refused",
}


def _follows(fact: str, effect: str) -> str:
    if effect in ("kept", "end", "lf", "crlf"):
        return ""  # comparing ignores these differences anyway
    if effect == "refused":
        return "an apply reports each prompt that is refused"
    if fact == "prompt_ends":
        return "the tag records how the service changes a prompt that begins with white space"
    return "the tag records how the service changes such a prompt"
