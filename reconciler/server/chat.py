"""Chat calls: a plain echo, or what a script says.

The echo shows which prompt and which question arrived, so that a difference of prompts can be seen. A script is a YAML
file: a list of rules, of which the first that fits answers.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from reconciler.errors import Problem, ReconcilerError
from reconciler.server.answers import Answer, Refusal
from reconciler.server.arguments import Arguments, malformed, missing
from reconciler.strict_yaml.document import read_document
from reconciler.text.tokens import estimate_tokens

_FIELDS: Final = ("question", "prompt", "answers", "finish", "status")


@dataclass(frozen=True, slots=True)
class Rule:
    """The answers to questions that match a pattern, with a prompt that matches another; each in its turn.

    ``finish`` is the reason why the answer ends: ``stop``, ``length`` or ``content_filter``. With a ``status`` of 400
    or more, the call is refused.
    """

    question: str = ""
    prompt: str = ""
    answers: tuple[str, ...] = ("",)
    finish: str = "stop"
    status: int = 200


@dataclass(slots=True)
class Chat:
    """Answers chat calls. ``reply`` takes precedence over the script: from system prompt and question to the answer."""

    script: Sequence[Rule] = ()
    streams: bool = False
    reply: Callable[[str, str], str] | None = None
    _asked: Counter[int] = field(default_factory=Counter)

    def complete(self, call: Arguments) -> Answer:
        """Answer one call, as the OpenAI API does."""
        model, messages = _read(call)
        prompt = "\n".join(content for role, content in messages if role == "system")
        question = next((content for role, content in reversed(messages) if role == "user"), "")
        text, finish = self._text(prompt, question)
        if self.streams or call.given.get("stream") is True:
            return Answer(200, None, _stream(model, text, finish))
        usage = {
            "prompt_tokens": estimate_tokens(prompt + question),
            "completion_tokens": estimate_tokens(text),
        }
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": finish,
        }
        document = {
            "id": "chat",
            "object": "chat.completion",
            "created": 0,
            "model": model,
            "choices": [choice],
        }
        return Answer(200, {**document, "usage": {**usage, "total_tokens": sum(usage.values())}})

    def _text(self, prompt: str, question: str) -> tuple[str, str]:
        if self.reply is not None:
            return self.reply(prompt, question), "stop"
        for number, rule in enumerate(self.script):
            if re.search(rule.question, question) and re.search(rule.prompt, prompt):
                if rule.status >= 400:
                    raise Refusal(rule.status, "积分不足" if rule.status == 406 else "请求失败")
                turn = self._asked[number]
                self._asked[number] += 1
                return rule.answers[turn % len(rule.answers)], rule.finish
        digest = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        return f"[prompt {digest}] {question}", "stop"


def _read(call: Arguments) -> tuple[str, list[tuple[str, str]]]:
    facts, given = call.facts, call.given
    absent = [name for name in ("model", "messages") if not given.get(name)]
    if absent:
        raise missing(facts, absent)
    messages = given["messages"]
    if not isinstance(messages, list):
        raise malformed(facts, "messages")
    found = []
    for one in messages:
        if not (
            isinstance(one, dict) and isinstance(one.get("role"), str) and isinstance(one.get("content"), str)
        ):
            raise malformed(facts, "messages")
        found.append((one["role"], one["content"]))
    return str(given["model"]), found


def _stream(model: str, text: str, finish: str) -> str:
    """The answer as server-sent events, in two parts."""
    half = len(text) // 2
    deltas: list[tuple[dict[str, str], str | None]] = [
        ({"content": text[:half]}, None),
        ({"content": text[half:]}, None),
        ({}, finish),
    ]
    events = [
        {
            "object": "chat.completion.chunk",
            "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        }
        for delta, reason in deltas
    ]
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"


def read_script(path: Path) -> tuple[Rule, ...]:
    """The rules in a YAML file.

    Raises:
        ReconcilerError: it can't be read, or holds something else.
    """
    document = read_document(path, "the chat script")
    source = document.source
    problems = list(document.problems)
    rules: list[Rule] = []
    if not document.broken and not isinstance(document.value, list):
        problems.append(source.at_value((), "the chat script is not a list of rules", _EXAMPLE))
    for number, given in enumerate(document.value if isinstance(document.value, list) else ()):
        wrong = _wrong(given)
        if wrong:
            problems.append(source.at_value((number,), wrong, _EXAMPLE))
        elif isinstance(given, Mapping):
            answers = given.get("answers", "")
            rules.append(
                Rule(**{**given, "answers": (answers,) if isinstance(answers, str) else tuple(answers)})
            )
    if problems or document.broken:
        raise ReconcilerError(problems or [Problem(f"{path} can't be read")])
    return tuple(rules)


_EXAMPLE: Final = "write rules like `- {question: sleep, answers: [A short answer., Another one.]}`"


def _wrong(given: Any) -> str:
    """What is wrong with a rule; empty if nothing is."""
    if not isinstance(given, Mapping):
        return "this rule is not a mapping"
    for name in given:
        if name not in _FIELDS:
            return f"`{name}` is not a field of a rule; its fields are {', '.join(_FIELDS)}"
    for name in ("question", "prompt"):
        try:
            re.compile(given.get(name, ""))
        except (re.error, TypeError):
            return f"`{name}` is not a pattern"
    answers = given.get("answers", "")
    if not (
        isinstance(answers, str)
        or (isinstance(answers, list) and answers and all(isinstance(one, str) for one in answers))
    ):
        return "`answers` is neither a string nor a list of strings"
    if type(given.get("status", 200)) is not int or not 200 <= given.get("status", 200) < 600:
        return "`status` is not an HTTP status"
    return (
        ""
        if given.get("finish", "stop") in ("stop", "length", "content_filter")
        else "`finish` is not a reason to end"
    )
