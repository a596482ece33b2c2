"""Asking and judging against the embedded server: what is asked, how often, and what is said where no answer comes."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler import Cancellation, Client, Endpoint, Fault, RunningServer, load_contract, running_server
from reconciler.api.chat import Said
from reconciler.api.rate_limit import RateLimiter
from reconciler.behaviour.case import Case, Check
from reconciler.errors import ReconcilerError, Refused
from reconciler.server.chat import Rule
from reconciler.trials.answers import Answers, read_recording, recording
from reconciler.trials.questions import Cost, Persona, Trial, cost
from reconciler.trials.run import Asking, Limits, Outcome, run_trials

_OLD = Persona("m", "Be long.")
_NEW = Persona("m", "Be brief.")


def _case(*checks: tuple[str, Any], samples: int = 1, name: str = "brief", ask: str = "Which book?") -> Case:
    return Case(name, (("user", ask),), tuple(Check(*one) for one in checks), samples, samples)


def _trial(
    *checks: tuple[str, Any],
    samples: int = 1,
    before: Persona | None = _OLD,
    key: str = "a",
    ask: str = "Which book?",
) -> Trial:
    return Trial(key, _case(*checks, samples=samples, ask=ask), _NEW, before)


@pytest.fixture
def server() -> Iterator[RunningServer]:
    script = [
        Rule(prompt="You judge", question="one book", answers=("PASS\nIt does.",)),
        Rule(prompt="You judge", question="two books", answers=("FAIL\nIt names one.",)),
        Rule(prompt="You judge", answers=("Perhaps.",)),
        Rule(question="filtered", finish="content_filter"),
        Rule(prompt="brief", answers=("Short.",)),
        Rule(prompt="long", answers=("A very long answer.",)),
    ]
    with running_server(None, script=script) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[Client]:
    with Client(Endpoint("test", server.url), load_contract(), tries=1, read_timeout=0.5) as opened:
        yield opened


def _calls(server: RunningServer) -> int:
    return sum(entry.operation == "chat" for entry in server.log)


def _problems(outcomes: list[Outcome]) -> set[str]:
    return {one.problem for outcome in outcomes for one in outcome.after}


def test_before_and_after(client: Client) -> None:
    trials = [_trial(("max_characters", 10)), _trial(("min_characters", 10)), _trial(("not_contains", "x"))]
    found = run_trials(trials, Asking(client, Answers()))
    assert [one.comparison and one.comparison.change for one in found] == ["improved", "regressed", "same"]
    assert found[1].after[0].failures == ("it has 6 characters, and at least 10 are needed",)


def test_a_question_is_asked_once(server: RunningServer, client: Client, tmp_path: Path) -> None:
    """By two sessions with one prompt, by two tests with one question, and by a second run."""
    trials = [_trial(("contains", "S")), _trial(("contains", "t")), _trial(("contains", "S"), key="b")]
    for _ in range(2):
        run_trials(trials, Asking(client, Answers(tmp_path)))
    assert _calls(server) == 2
    run_trials(
        [Trial("a", _case(("contains", "S")), Persona("m", "Be brief.", {"temperature": 0.5}))],
        Asking(client, Answers(tmp_path)),
    )
    assert _calls(server) == 3


def test_an_answer_that_was_tampered_with_is_asked_for_again(
    server: RunningServer, client: Client, tmp_path: Path
) -> None:
    trial = _trial(("contains", "S"), before=None)
    run_trials([trial], Asking(client, Answers(tmp_path)))
    (kept,) = tmp_path.glob("answers/*/*.json")
    for text in ("", "[]", '{"question": "x", "answer": "S", "finish": "stop"}', "[" * 100_000):
        kept.write_text(text)
        assert run_trials([trial], Asking(client, Answers(tmp_path)))[0].passes
    assert _calls(server) == 5


def test_samples_are_asked_each(server: RunningServer, client: Client) -> None:
    (found,) = run_trials([_trial(("max_characters", 10), samples=3)], Asking(client, Answers()))
    assert _calls(server) == 6
    assert found.comparison is not None
    assert found.comparison.change == "improved"


def test_what_it_costs_is_known_and_limited_beforehand(server: RunningServer, client: Client) -> None:
    trials = [_trial(("judge", "one book"), samples=3, key=key) for key in ("a", "b")]
    assert cost(trials, ()) == Cost(18, 18_099)
    with pytest.raises(Refused) as caught:
        run_trials(trials, Asking(client, Answers(), Limits(17, 100)))
    assert [(one.message, one.hint) for one in caught.value.problems] == [
        ("this takes 18 calls, and at most 17 are allowed", "add --max-calls=18, or test fewer sessions"),
        (
            "this takes about 18,099 tokens, and at most 100 are allowed",
            "add --max-tokens=18099, or test fewer sessions",
        ),
    ]
    assert _calls(server) == 0


def test_calls_that_are_sent_again_stay_within_the_limit(server: RunningServer) -> None:
    server.faults.add(Fault("status", "chat", "every 2", status=503, retry_after=0))
    trials = [_trial(("contains", "S"), before=None, ask=f"Book {number}?") for number in range(6)]
    with Client(Endpoint("test", server.url), load_contract(), tries=4) as client:
        found = run_trials(trials, Asking(client, Answers(), Limits(6), parallelism=2))
    assert _calls(server) == 6
    assert _problems(found) == {"", "all 6 calls of --max-calls were made, some of them again after an error"}


@pytest.mark.parametrize(
    ("check", "failures", "problem"),
    [
        (("judge", "one book"), (), ""),
        (("judge", "two books"), ("the judge says no to “two books”: It names one.",), ""),
        (("judge", "three"), (), "`judge` could not be checked: the judge gave no verdict"),
        (
            ("similar_to", {"text": "x"}),
            (),
            "`similar_to` could not be checked: there is no embedding call: name its model with --embedding-model",
        ),
    ],
)
def test_checks_that_ask(
    client: Client, check: tuple[str, Any], failures: tuple[str, ...], problem: str
) -> None:
    (found,) = run_trials([_trial(check, before=None)], Asking(client, Answers()))
    assert (found.after[0].failures, found.after[0].problem) == (failures, problem)
    assert found.complete is not bool(problem)
    assert found.passes is not bool(failures or problem)


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (Fault("status", "chat", status=500), "asking the model: HTTP 500: 服务器内部错误"),
        (Fault("hang", "chat"), "asking the model: no answer from test within 0.5 s"),
        (Fault("half", "chat"), "asking the model: the connection to test was cut"),
        (Fault("empty", "chat"), "asking the model: HTTP 200 with an empty answer"),
    ],
)
def test_no_answer_is_never_a_pass(server: RunningServer, client: Client, fault: Fault, problem: str) -> None:
    server.faults.add(fault)
    (found,) = run_trials([_trial(("not_contains", "x"), before=None)], Asking(client, Answers()))
    assert found.after[0].problem == problem
    assert not found.passes


def test_a_filtered_answer_is_never_a_pass(client: Client) -> None:
    (found,) = run_trials(
        [_trial(("not_contains", "x"), before=None, ask="filtered")], Asking(client, Answers())
    )
    assert found.after[0].problem == "the service's content filter withheld the answer"


def test_an_account_without_points_is_asked_once(server: RunningServer, client: Client) -> None:
    server.faults.add(Fault("status", "chat", status=406))
    trials = [_trial(("contains", "S"), before=None, ask=f"Book {number}?") for number in range(20)]
    found = run_trials(trials, Asking(client, Answers(), parallelism=1))
    assert _calls(server) == 1
    assert all("the account is out of points" in one for one in _problems(found))


def test_what_is_known_when_the_run_is_stopped_is_returned(server: RunningServer) -> None:
    stop = Cancellation()
    third = threading.Event()

    def after(entry: Any) -> None:
        if _calls(server) == 3:
            stop.set("interrupted")
            third.set()

    server.after.append(after)
    trials = [_trial(("contains", "S"), before=None, ask=f"Book {number}?") for number in range(9)]
    with Client(Endpoint("test", server.url), load_contract(), limiter=RateLimiter(stop)) as client:
        found = run_trials(trials, Asking(client, Answers(), parallelism=1))
    assert third.is_set()
    assert [one.passes for one in found].count(True) == 3
    assert _problems(found) == {"", "the run was stopped"}


def test_a_recording_needs_no_key(server: RunningServer, client: Client, tmp_path: Path) -> None:
    answers = Answers()
    trials = [_trial(("max_characters", 10))]
    run_trials(trials, Asking(client, answers))
    path = tmp_path / "answers.jsonl"
    path.write_text(recording(answers.used.items()))
    before = _calls(server)
    (found,) = run_trials(trials, Asking(None, Answers(recorded=read_recording(path))))
    assert found.passes
    (other,) = run_trials(
        [_trial(("contains", "S"), ask="Another?")], Asking(None, Answers(recorded=read_recording(path)))
    )
    assert _problems([other]) == {"the answer is not in the recording"}
    assert _calls(server) == before


@pytest.mark.parametrize("text", ["a\u2028b\x85c\x1cd\re\nf", "书 🙂", ""])
def test_a_recording_holds_any_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(recording([("a" * 40, Said(text))]), encoding="utf-8", newline="\n")
    assert read_recording(path) == {"a" * 40: Said(text)}


def test_answers_are_kept_for_the_service_that_gave_them(tmp_path: Path) -> None:
    """What the embedded server says is not taken for what another service would."""
    Answers(tmp_path, service="local").keep("a" * 40, Said("an echo"))
    assert Answers(tmp_path, service="https://api.example").find("a" * 40) is None
    assert Answers(tmp_path, service="local").find("a" * 40) == Said("an echo")


def test_fresh_answers_take_the_place_of_those_that_are_kept(tmp_path: Path) -> None:
    Answers(tmp_path).keep("a" * 40, Said("old"))
    fresh = Answers(tmp_path, fresh=True)
    assert fresh.find("a" * 40) is None
    fresh.keep("a" * 40, Said("new"))
    assert fresh.find("a" * 40) == Answers(tmp_path).find("a" * 40) == Said("new")


@pytest.mark.parametrize(
    "line", ["x", "[]", "{}", '{"question": "zz", "answer": "a", "finish": "stop"}', "[" * 100_000]
)
def test_a_recording_that_is_none_is_told(tmp_path: Path, line: str) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(recording([("a" * 40, Said("x"))]) + line + "\n")
    with pytest.raises(ReconcilerError) as caught:
        read_recording(path)
    assert caught.value.problems[0].place == f"{path}:2:1"


@pytest.mark.parametrize(
    ("after", "change", "least", "most"), [(0.9, "regressed", 0, 20), (0.4, "regressed", 380, 400)]
)
def test_the_statistics_hold_through_the_whole_run(after: float, change: str, least: int, most: int) -> None:
    """400 comparisons of 20 samples: at most 5 % of those that are alike are called regressed, and at least 95 % of the
    others."""
    chances = random.Random(7)
    recorded: dict[str, Said] = {}
    trials = []
    for number in range(400):
        trial = _trial(("contains", "yes"), samples=20, ask=f"Question {number}?")
        for persona, rate in ((_OLD, 0.9), (_NEW, after)):
            for question in persona.asked(trial.case):
                recorded[question.digest] = Said("yes" if chances.random() < rate else "no")
        trials.append(trial)
    found = run_trials(trials, Asking(None, Answers(recorded=recorded)))
    called = sum(one.comparison is not None and one.comparison.change == change for one in found)
    assert least <= called <= most
