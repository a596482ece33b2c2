"""Chat calls against the embedded server, and what is said of answers that are none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler import Client, Endpoint, Fault, RunningServer, load_contract, running_server
from reconciler.api.chat import Said, _cleaned, _joined, _vector, ask, chat_contract
from reconciler.api.errors import ApiError
from reconciler.errors import ReconcilerError
from reconciler.server.chat import Rule, read_script
from reconciler.server.quirks import Quirks

_QUESTION = [("system", "You are Alice."), ("user", "Which book?")]


@pytest.fixture
def server() -> Iterator[RunningServer]:
    script = [
        Rule("sleep", answers=("A short one.", "A long one.")),
        Rule("filter", answers=("",), finish="content_filter"),
        Rule("points", status=406),
    ]
    with running_server(None, script=script) as running:
        yield running


def _ask(server: RunningServer, question: str = "Which book?", tries: int = 1, **parameters: float) -> Said:
    with Client(Endpoint("test", server.url), load_contract(), tries=tries, read_timeout=0.5) as client:
        messages = [("system", "You are Alice."), ("user", question)]
        return ask(client, "deepseek-chat", messages, parameters, before_each=lambda: None)


def test_the_echo_shows_prompt_and_question(server: RunningServer) -> None:
    assert _ask(server) == Said("[prompt bb8d7f7c] Which book?", "stop")
    sent = server.log[-1].body
    assert sent is not None
    assert sent["messages"] == [
        {"role": "system", "content": "You are Alice."},
        {"role": "user", "content": "Which book?"},
    ]
    assert "temperature" not in sent


def test_the_parameters_of_the_session_are_sent(server: RunningServer) -> None:
    _ask(server, temperature=0.2, max_tokens=40, history_length=4)
    sent = server.log[-1].body
    assert sent is not None
    assert (sent["temperature"], sent["max_tokens"]) == (0.2, 40)
    assert "history_length" not in sent


def test_a_script_answers_in_turn(server: RunningServer) -> None:
    assert [_ask(server, "sleep").text for _ in range(3)] == ["A short one.", "A long one.", "A short one."]
    assert _ask(server, "filter") == Said("", "content_filter")


def test_a_stream_that_nobody_asked_for_is_read() -> None:
    with running_server(None, quirks=Quirks(chat_streams=True)) as server:
        assert _ask(server) == Said("[prompt bb8d7f7c] Which book?", "stop")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("status", "chat", status=500), "HTTP 500: 服务器内部错误"),
        (Fault("cut", "chat"), "the connection to test was cut"),
        (Fault("half", "chat"), "the connection to test was cut"),
        (Fault("hang", "chat"), "no answer from test within 0.5 s"),
        (Fault("html", "chat", status=502), "HTTP 502 with a page that is not JSON"),
        (Fault("empty", "chat"), "HTTP 200 with an empty answer"),
        (Fault("wrong-type", "chat"), "HTTP 200 with an answer that is not a JSON object"),
        (Fault("body-status", "chat", status=406), "HTTP 200, status 406 (the account is out of points)"),
    ],
)
def test_an_answer_that_does_not_come_is_told(server: RunningServer, fault: Fault, message: str) -> None:
    server.faults.add(fault)
    with pytest.raises(ApiError) as caught:
        _ask(server)
    assert caught.value.problems[0].message.startswith(f"asking the model: {message}")


def test_every_sending_counts(server: RunningServer) -> None:
    server.faults.add(Fault("status", "chat", "first", status=503, retry_after=0))
    sent: list[int] = []
    with Client(Endpoint("test", server.url), load_contract()) as client:
        said = ask(client, "m", _QUESTION, {}, before_each=lambda: sent.append(1))
    assert said.text == "[prompt bb8d7f7c] Which book?"
    assert len(sent) == 2


def test_another_service_is_asked_below_its_path(server: RunningServer) -> None:
    contract = chat_contract(load_contract(), f"{server.url}/v1")
    with Client(Endpoint("other", f"{server.url}/v1"), contract) as client:
        assert ask(client, "m", _QUESTION, {}, before_each=lambda: None).finish == "stop"
    assert chat_contract(load_contract(), server.url).operations["chat"].path == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("question: a", "the chat script is not a list of rules"),
        ("- {question: '('}", "`question` is not a pattern"),
        (
            "- {answer: a}",
            "`answer` is not a field of a rule; its fields are question, prompt, answers, finish, status",
        ),
        ("- {answers: [1]}", "`answers` is neither a string nor a list of strings"),
        ("- {status: 99}", "`status` is not an HTTP status"),
        ("- {finish: no}", "`finish` is not a reason to end"),
    ],
)
def test_a_script_that_is_none_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(text)
    with pytest.raises(ReconcilerError) as caught:
        read_script(path)
    assert caught.value.problems[0].message == message
    assert caught.value.problems[0].place.startswith(f"{path}:1:")


def test_a_script_is_read(tmp_path: Path) -> None:
    path = tmp_path / "script.yaml"
    path.write_text("- {question: sleep, answers: A short one.}\n- {answers: [a, b], finish: length}\n")
    assert read_script(path) == (
        Rule("sleep", answers=("A short one.",)),
        Rule(answers=("a", "b"), finish="length"),
    )


def test_what_no_file_can_hold_and_the_key_are_not_kept(server: RunningServer) -> None:
    server.chat.reply = lambda prompt, question: "Your key is sk-b00k."
    with Client(Endpoint("test", server.url, "sk-b00k"), load_contract(), tries=1) as client:
        said = ask(client, "m", _QUESTION, {}, before_each=lambda: None)
    assert said == Said("Your key is ….")
    assert _cleaned("a\ud800b", "") == "a\ufffdb"


def test_a_stream_ends_lines_as_its_format_says(server: RunningServer) -> None:
    """JSON may contain other characters that end lines elsewhere."""
    text = "one\u2028two\x85three"
    part = json.dumps(
        {"choices": [{"delta": {"content": text}, "finish_reason": "stop"}]}, ensure_ascii=False
    )
    events = f"data: {part}\r\n\r\ndata: [DONE]\r"
    assert _joined("chat", events) == {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 10**400, -1e200])
def test_an_embedding_that_can_not_be_compared_is_none(number: float) -> None:
    assert _vector({"embedding": [0.5, number]}) == []
    assert _vector({"embedding": [0.5, 1]}) == [0.5, 1]
