"""Asking the questions of trials within a budget, and judging the answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from reconciler.api.cancellation import Interrupted
from reconciler.api.chat import Said, ask, similarity
from reconciler.api.client import Client
from reconciler.behaviour.case import Check
from reconciler.behaviour.checks import compared, failure, judged
from reconciler.behaviour.compare import Comparison, Side, compare
from reconciler.errors import Problem, ReconcilerError, Refused
from reconciler.trials.answers import Answers
from reconciler.trials.questions import (
    Cost,
    Persona,
    Question,
    Trial,
    all_questions,
    cost,
    judge_question,
    verdict,
)

#: An error of the service that no other question will escape: the rest is not asked.
_FINAL: Final = (401, 402, 403, 406)


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer. ``failures`` say why it does not pass, ``problem`` why there is no answer, or no verdict."""

    answer: str = ""
    failures: tuple[str, ...] = ()
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether the answer passes every check."""
        return not self.failures and not self.problem


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a trial. ``before`` and ``comparison`` are None if the plan does not change the session."""

    trial: Trial
    after: tuple[Sample, ...]
    before: tuple[Sample, ...] | None = None

    def side(self, samples: Sequence[Sample]) -> Side:
        """The counts of one side."""
        case = self.trial.case
        answered = sum(not one.problem for one in samples)
        return Side(sum(one.passed for one in samples), answered, case.samples, case.needed)

    @property
    def passes(self) -> bool:
        """Whether the test passes with what the catalog wants."""
        return self.side(self.after).ok

    @property
    def complete(self) -> bool:
        """Whether all answers of the wanted persona came."""
        return self.side(self.after).complete

    @property
    def comparison(self) -> Comparison | None:
        """The change from the live persona to the wanted one."""
        return None if self.before is None else compare(self.side(self.before), self.side(self.after))


@dataclass(frozen=True, slots=True)
class Limits:
    """The most calls, and the most tokens by estimate."""

    calls: int = 200
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """How to ask. Without a ``client``, only answers that are there are used.

    ``judge`` is the model that judges, None for each persona's own. ``embedding`` is the model for ``similar_to``.
    ``parallelism`` is how many questions are in flight. ``on_answer`` is called with how many questions are done, and
    how many there are. ``on_cost`` is called before the first call with what the run takes.
    """

    client: Client | None
    answers: Answers
    limits: Limits = Limits()
    judge: str | None = None
    embedding: str | None = None
    parallelism: int = 8
    on_answer: Callable[[int, int], None] = lambda done, total: None
    on_cost: Callable[[Cost], None] = lambda needed: None


def check_limits(trials: Sequence[Trial], asking: Asking) -> Cost:
    """Check before the first call that a run stays within its limits. Returns what it takes.

    Raises:
        Refused: it would not.
    """
    known = [one.digest for one in all_questions(trials) if asking.answers.find(one.digest) is not None]
    needed, limits = cost(trials, known), asking.limits
    problems = []
    if needed.calls > limits.calls:
        problems.append(
            Problem(
                f"this takes {needed.calls:,} calls, and at most {limits.calls:,} are allowed",
                f"add --max-calls={needed.calls}, or test fewer sessions",
            )
        )
    if limits.tokens is not None and needed.tokens > limits.tokens:
        problems.append(
            Problem(
                f"this takes about {needed.tokens:,} tokens, and at most {limits.tokens:,} are allowed",
                f"add --max-tokens={needed.tokens}, or test fewer sessions",
            )
        )
    if problems and asking.client is not None:
        raise Refused(problems)
    return needed


def run_trials(trials: Sequence[Trial], asking: Asking) -> list[Outcome]:
    """Ask all questions, and judge the answers.

    What can't be asked, or is not answered, is a problem of its sample; nothing is raised for it. When the run is asked
    to stop, what is known so far is returned.

    Raises:
        Refused: it would exceed the limits. Nothing was asked.
    """
    asking.on_cost(check_limits(trials, asking))
    return _Run(asking).run(trials)


class _EnoughError(Exception):
    """No further call may be made. The text says why."""


@dataclass(slots=True)
class _Run:
    asking: Asking
    lock: threading.Lock = field(default_factory=threading.Lock)
    calls: int = 0
    ended: str = ""  # why nothing further is asked
    done: int = 0

    def run(self, trials: Sequence[Trial]) -> list[Outcome]:
        questions = all_questions(trials)
        with ThreadPoolExecutor(max(1, self.asking.parallelism), "ask") as pool:
            found = dict(
                zip(
                    (one.digest for one in questions),
                    pool.map(lambda one: self._answer(one, len(questions)), questions),
                    strict=True,
                )
            )
            judged_ones = pool.map(lambda trial: self._outcome(trial, found), trials)
            return list(judged_ones)

    def _outcome(self, trial: Trial, found: Mapping[str, Said | str]) -> Outcome:
        def samples(persona: Persona) -> tuple[Sample, ...]:
            return tuple(self._sample(one, trial, found[one.digest]) for one in persona.asked(trial.case))

        before = None if trial.before is None else samples(trial.before)
        return Outcome(trial, samples(trial.after), before)

    def _sample(self, question: Question, trial: Trial, said: Said | str) -> Sample:
        if isinstance(said, str):
            return Sample(problem=said)
        if said.finish == "content_filter":
            return Sample(said.text, problem="the service's content filter withheld the answer")
        failures = []
        for check in trial.case.checks:
            try:
                failures.append(self._failure(check, question, said.text))
            except (ReconcilerError, Interrupted, _EnoughError, ImportError) as error:
                return Sample(said.text, problem=f"`{check.kind}` could not be checked: {_why(error)}")
        return Sample(said.text, tuple(one for one in failures if one))

    def _failure(self, check: Check, question: Question, answer: str) -> str:
        if check.kind == "judge":
            asked = judge_question(question, answer, check, self.asking.judge or question.model)
            said = self._say(asked)
            found = verdict(said.text)
            if found is None:
                raise ReconcilerError("the judge gave no verdict")
            return judged(check.value, *found)
        if check.kind == "similar_to":
            client, model = self.asking.client, self.asking.embedding
            if client is None or model is None or "embed" not in client.contract.operations:
                raise ReconcilerError("there is no embedding call: name its model with --embedding-model")
            texts = (check.value["text"], answer.strip())
            return compared(check.value, similarity(client, model, texts, before_each=self._count))
        return failure(check, answer)

    def _answer(self, question: Question, total: int) -> Said | str:
        """The answer, or why there is none."""
        try:
            return self._say(question)
        except (ReconcilerError, Interrupted, _EnoughError) as error:
            if getattr(error, "status", 0) in _FINAL:
                self.ended = self.ended or _why(error)
            return _why(error)
        finally:
            with self.lock:
                self.done += 1
                self.asking.on_answer(self.done, total)

    def _say(self, question: Question) -> Said:
        known = self.asking.answers.find(question.digest)
        if known is not None:
            return known
        client = self.asking.client
        if client is None:
            raise ReconcilerError("the answer is not in the recording")
        said = ask(client, question.model, question.sent, question.parameters, before_each=self._count)
        self.asking.answers.keep(question.digest, said)
        return said

    def _count(self) -> None:
        """Count a call that is about to be sent."""
        with self.lock:
            if self.ended:
                raise _EnoughError(self.ended)
            if self.calls >= self.asking.limits.calls:
                self.ended = (
                    f"all {self.calls:,} calls of --max-calls were made, some of them again after an error"
                )
                raise _EnoughError(self.ended)
            self.calls += 1


def _why(error: BaseException) -> str:
    if isinstance(error, ReconcilerError):
        return error.problems[0].message
    if isinstance(error, Interrupted):
        return "the run was stopped"
    if isinstance(error, ImportError):
        return f"{error.name} is not installed: `pip install 'persona-reconciler[tests]'`"
    return str(error)
