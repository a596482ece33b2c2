"""Chat and embedding calls, in the form of the OpenAI API.

A call costs points and changes nothing. It is sent again if the error may be temporary, and each sending counts.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import mul
from typing import Any, Final
from urllib.parse import urlsplit

import requests

from reconciler.api.client import Client
from reconciler.api.errors import ApiError
from reconciler.api.retry import pause_before_retry
from reconciler.contract import Contract, Operation

#: The parameters of a session that a chat call has, too.
PARAMETERS: Final = ("temperature", "max_tokens")

_EVENTS: Final = "text/event-stream"
#: What ends a line of an event stream (https://html.spec.whatwg.org/multipage/server-sent-events.html). There are other
#: line ends, which JSON may contain.
_LINE_END: Final = re.compile(r"\r\n|\n|\r")
_LONE: Final = re.compile("[\ud800-\udfff]")
#: A component of an embedding is smaller than this. Larger ones can't be multiplied.
_LARGEST: Final = 1e100


@dataclass(frozen=True, slots=True)
class Said:
    """An answer of a model. ``finish`` is why it ends, such as ``stop``, ``length`` or ``content_filter``."""

    text: str
    finish: str = "stop"


def chat_contract(contract: Contract, url: str) -> Contract:
    """The contract for another service that is compatible with the OpenAI API, at an address with or without a path."""
    path = "/chat/completions" if urlsplit(url).path.strip("/") else "/v1/chat/completions"
    fields = {name: name for name in ("model", "messages", "stream", *PARAMETERS)}
    chat = Operation("chat", "POST", path, "json", "documented", fields)
    embed = replace(
        chat,
        name="embed",
        path=path.replace("chat/completions", "embeddings"),
        fields={"model": "model", "input": "input"},
    )
    return replace(contract, operations={"chat": chat, "embed": embed})


def ask(
    client: Client,
    model: str,
    messages: Sequence[tuple[str, str]],
    parameters: Mapping[str, Any],
    *,
    before_each: Callable[[], None],
) -> Said:
    """Ask a model once. ``before_each`` is called before each sending; if it raises, nothing is sent.

    Raises:
        ApiError: no answer came, or only a part of one.
        Interrupted: the run was asked to stop.
    """
    fields = {
        "model": model,
        "messages": [{"role": role, "content": content} for role, content in messages],
        "stream": False,
        **{name: parameters[name] for name in PARAMETERS if parameters.get(name) is not None},
    }
    body = _sent(client, "chat", fields, before_each)
    choice = _first(body.get("choices"))
    message = choice.get("message")
    text = (message.get("content") or message.get("refusal") or "") if isinstance(message, Mapping) else None
    finish = choice.get("finish_reason")
    if not isinstance(text, str) or not (text or finish):
        raise _misfit("chat", "it has no choices with a message")
    return Said(_cleaned(text, client.endpoint.api_key), finish if isinstance(finish, str) else "stop")


def _cleaned(text: str, key: str) -> str:
    """An answer as it may be kept and shown: without the key, which a service may repeat, and without halves of
    characters, which no file can hold."""
    return _LONE.sub("\ufffd", text.replace(key, "…") if key else text)


def similarity(
    client: Client, model: str, texts: tuple[str, str], *, before_each: Callable[[], None]
) -> float:
    """The cosine of the embeddings of two texts.

    Raises:
        ApiError: no answer came, or one without embeddings.
    """
    body = _sent(client, "embed", {"model": model, "input": list(texts)}, before_each)
    data = body.get("data")
    vectors = [_vector(one) for one in data] if isinstance(data, list) else []
    if len(vectors) != 2 or not vectors[0] or len(vectors[0]) != len(vectors[1]):
        raise _misfit("embed", "it has no two embeddings of one length")
    left, right = vectors
    length = math.hypot(*left) * math.hypot(*right)
    return sum(map(mul, left, right)) / length if length else 0.0


def _vector(given: Any) -> list[float]:
    """The numbers of an embedding; none if it is malformed."""
    found = given.get("embedding") if isinstance(given, Mapping) else None
    numbers = found if isinstance(found, list) else []
    return numbers if all(type(one) in (int, float) and abs(one) < _LARGEST for one in numbers) else []


def _sent(
    client: Client, name: str, fields: Mapping[str, Any], before_each: Callable[[], None]
) -> Mapping[str, Any]:
    operation = client.contract.operation(name)
    attempt = 1
    while True:
        reply = client.call(operation, fields, check=before_each)
        if reply.response is not None and reply.response.status_code == 200 and _is_stream(reply.response):
            return _joined(name, reply.response.content.decode("utf-8", "replace"))
        if reply.error is None:
            return reply.body if isinstance(reply.body, Mapping) else {}
        if not pause_before_retry(client.limiter, reply.error, attempt, client.tries):
            raise reply.error
        attempt += 1


def _is_stream(response: requests.Response) -> bool:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower() == _EVENTS


def _joined(name: str, events: str) -> Mapping[str, Any]:
    """The answer whose parts a service streamed although it was asked not to."""
    texts: list[str] = []
    finish: str | None = None
    for data in _data(events):
        if data == "[DONE]":
            return {"choices": [{"message": {"content": "".join(texts)}, "finish_reason": finish or "stop"}]}
        try:
            choice = _first(json.loads(data).get("choices"))
        except (ValueError, AttributeError, RecursionError):
            raise _misfit(name, "a part of the stream is not a JSON object") from None
        delta = choice.get("delta")
        content = delta.get("content") if isinstance(delta, Mapping) else None
        texts.append(content if isinstance(content, str) else "")
        finish = choice.get("finish_reason") or finish
    raise _misfit(name, "the stream ended before the answer did")


def _data(events: str) -> Iterator[str]:
    for line in _LINE_END.split(events):
        if line.startswith("data:"):
            yield line.removeprefix("data:").strip()


def _first(choices: Any) -> Mapping[str, Any]:
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], Mapping) else {}


def _misfit(name: str, what: str) -> ApiError:
    return ApiError(
        name,
        f"the answer is not that of a chat API: {what}",
        hint="is the address that of a chat API?",
        passing=True,
    )
