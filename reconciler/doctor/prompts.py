"""Whether prompts come back to the letter: texts that services are known to change, and what this one did to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from reconciler.doctor.context import Bench

#: How many characters the longest prompt has that is tried.
LONGEST: Final = 100_000

#: Characters of the step that a prompt ends in that was kept before.
_ROOM: Final = 10

#: Emoji (joined ones, too), letters in two forms, separators that count as line ends to some, and every control
#: character but NUL, which no catalog may hold.
CHARACTERS: Final = (
    "\U0001f99c \U0001f469\u200d\U0001f467 \u7231 e\u0301 \u2028\u2029\u0085\ufeff "
    + "".join(map(chr, (*range(1, 9), 11, 12, *range(14, 32), 127, 155)))
    + " end"
)


@dataclass(frozen=True, slots=True)
class TextCase:
    """A text to store as a prompt, and the fact of the contract that it tells.

    ``make`` puts the beginning by which a probe's prompt is known into it; ``read`` says what became of the text, from
    what was sent and what was stored, as the contract words it.
    """

    name: str
    fact: str
    make: Callable[[str], str]
    read: Callable[[str, str], str]


def _lf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _ends(sent: str, stored: str) -> str:
    stored = _lf(stored)  # what becomes of line ends is another fact
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
    TextCase("white space at its ends", "prompt_ends", lambda start: f" \t {start} \t \n ", _ends),
    TextCase("line endings", "prompt_line_endings", lambda start: f"{start}\r\na\nb\rc\n\nd", _line_endings),
    TextCase("emoji, U+2028, controls", "prompt_characters", lambda start: start + CHARACTERS, _characters),
)


def together(start: str) -> str:
    """All cases in one text: where it comes back to the letter, none has to be tried alone."""
    return f" \t {start}\r\na\nb\rc\n\nd{CHARACTERS} \t \n "


def filled(start: str, length: int) -> str:
    """A prompt of so many characters."""
    return start + " " + "x" * (length - len(start) - 1)


def prompts(bench: Bench) -> None:
    """Whether prompts come back to the letter."""
    if bench.update is None:
        bench.say("prompts", "unknown", "without an update only a plain one was tried")
        return
    bench.tell("whether prompts come back to the letter")
    sent, stored = _stored(bench, together)
    if stored == sent:
        facts = {case.fact: "kept" for case in CASES}
    else:
        facts = {}
        for case in CASES:
            sent, stored = _stored(bench, case.make)
            facts[case.fact] = "refused" if stored is None else case.read(sent, stored)
    for case in CASES:
        fact = facts[case.fact]
        stated = bench.lessons.behaves(**{case.fact: fact})
        bench.say(f"prompts: {case.name}", stated, _SEEN.get(fact, fact), _follows(case.fact, fact))
    _say_length(bench)


def _say_length(bench: Bench) -> None:
    known = bench.lessons.stated.service.prompt_length is not None
    length = _longest(bench)
    stated = bench.lessons.behaves(prompt_length=length)
    if length == LONGEST:
        bench.say("prompts: length", stated, f"{LONGEST:,} characters come back to the letter")
    else:
        bench.say(
            "prompts: length",
            stated if known else "differs",
            f"{length:,} characters come back to the letter, and no more",
            "an apply says so for each prompt that is too long",
        )


def _longest(bench: Bench) -> int:
    """Characters of the longest prompt that comes back to the letter."""

    def kept(length: int) -> bool:
        sent, stored = _stored(bench, lambda start: filled(start, length))
        return stored == sent

    if kept(LONGEST):
        return LONGEST
    good, bad = len(bench.subject.prompt()) + _ROOM, LONGEST
    while bad - good > 1:
        middle = (good + bad) // 2
        bench.tell(f"a prompt of {middle} characters")
        good, bad = (middle, bad) if kept(middle) else (good, middle)
    return good


def _stored(bench: Bench, make: Callable[[str], str]) -> tuple[str, str | None]:
    """A prompt that was sent, and what was stored of it: None where it was refused."""
    sent: list[str] = []

    def made(start: str) -> str:
        sent.append(make(start))
        return sent[0]

    reply, live = bench.put({}, made)
    stored = bench.raw(live, *bench.client.contract.session.prompt)
    return sent[0], None if reply.error is not None and stored != sent[0] else str(stored)


_SEEN = {
    "kept": "come back to the letter",
    "end": "goes at the end",
    "both": "goes at both ends",
    "lf": "become LF",
    "crlf": "become CRLF",
    "changed": "are changed",
    "refused": "are refused",
}


def _follows(fact: str, what: str) -> str:
    if what in ("kept", "end", "lf", "crlf"):
        return ""  # it is what happens here to every prompt before it is compared
    if what == "refused":
        return "an apply reports each prompt that is refused"
    if fact == "prompt_ends":
        return "the tag remembers what became of a prompt that begins with white space"
    return "the tag remembers what became of such a prompt"
