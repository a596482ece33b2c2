"""The results of behaviour tests for the page: the answers of both sides, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from reconciler.render.language import language
from reconciler.render.tests import headline, ordered, passes, sign_of, style_of, summary
from reconciler.render.view import count
from reconciler.text.escape import visible

#: How many tests are on a page, how many answers of each, and how many characters all answers take.
_TESTS: Final = 500
_SAMPLES: Final = 5
_CHARACTERS: Final = 2_000_000
#: The longest answer, in characters.
_ANSWER: Final = 20_000


def page_tests(tests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the page's template shows; nothing if there are no tests."""
    if not tests:
        return {}
    shown = ordered(tests)
    share = min(_ANSWER, max(200, _CHARACTERS // (2 * _SAMPLES * min(len(shown), _TESTS))))
    return {
        "summary": summary(tests),
        "shown": [_test(one, share, opened=at < _SAMPLES) for at, one in enumerate(shown[:_TESTS])],
        "more": f"and {count(len(shown) - _TESTS, 'more test')}" if len(shown) > _TESTS else "",
    }


def _test(test: Mapping[str, Any], share: int, *, opened: bool) -> dict[str, Any]:
    samples = [*_samples(test, share)]
    return {
        "key": visible(str(test["key"])),
        "test": visible(test["test"]),
        "headline": headline(test),
        "sign": sign_of(test),
        "style": style_of(test),
        "open": opened and not passes(test),
        "samples": samples[:_SAMPLES],
        "more": f"and {count(len(samples) - _SAMPLES, 'more answer')}" if len(samples) > _SAMPLES else "",
    }


def _samples(test: Mapping[str, Any], share: int) -> Iterator[list[dict[str, Any]]]:
    """The answers of each sample: before, if there is a live session, and after. Those that fail come first."""
    before = test["before"]["answers"] if test["before"] is not None else []
    after = test["after"]["answers"]
    order = sorted(range(len(after)), key=lambda at: not _reasons(after[at]))
    for at in order:
        sides = [("Live", before[at])] if at < len(before) else []
        yield [_side(title, answer, share) for title, answer in (*sides, ("Planned", after[at]))]


def _reasons(answer: Mapping[str, Any]) -> list[str]:
    return [answer["problem"]] if answer["problem"] else list(answer["failures"])


def _side(title: str, answer: Mapping[str, Any], share: int) -> dict[str, Any]:
    text = answer["text"].strip()
    shown = text if len(text) <= share else f"{text[:share]}…"
    found = _reasons(answer)
    return {
        "title": f"{title}: {'passes' if not found else 'no answer' if answer['problem'] else 'fails'}",
        "ok": not found,
        "sentences": [visible(one) for one in found],
        "text": visible(shown, keep_newlines=True) or ("" if answer["problem"] else "(empty)"),
        "lang": language(text),
    }
