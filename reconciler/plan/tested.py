"""The guard on behaviour tests: a plan that makes a persona answer worse, or has untested changes, is refused."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from reconciler.behaviour.results import Tested
from reconciler.plan.types import Plan, Refusal


def with_tests(
    plan: Plan,
    results: Sequence[Tested] | None,
    *,
    concerned: Sequence[str],
    required: bool,
    allowed: Collection[str],
) -> Plan:
    """The plan with the results of the tests that concern it; None if they were not run.

    ``concerned`` are the keys of sessions with tests whose answers it may change. If tests are ``required``, those that
    regressed or could not be run refuse the plan, but for the ``allowed`` ones (``KEY.TEST``).
    """
    if not concerned and results is None:
        return plan
    found = [*_refusals(results, concerned, allowed)] if required else []
    return replace(
        plan,
        tests=None if results is None else tuple(results),
        refusals=(*plan.refusals, *found),
    )


def _refusals(
    results: Sequence[Tested] | None, concerned: Sequence[str], allowed: Collection[str]
) -> Iterator[Refusal]:
    if results is None:
        whom = concerned[0] if len(concerned) == 1 else f"{len(concerned)} sessions"
        yield Refusal(
            "tests", f"the tests of {whom} were not run, and the policy requires them", "--with-tests"
        )
        return
    for one in results:
        if one.result in ("regressed", "not run") and one.name not in allowed:
            yield Refusal(
                "tests", f"{one.key}: the test “{one.test}” {_what(one)}", allow_regression(one.name), one.key
            )


def _what(one: Tested) -> str:
    if one.result == "not run":
        why = next((answer.problem for answer in (*one.answers, *one.answers_before) if answer.problem), "")
        return f"could not be run: {why}" if why else "could not be run"
    assert one.before is not None
    if one.after.samples == 1:
        return "regressed: it fails, and passed before"
    return f"regressed: {one.after.passed} of {one.after.samples} pass, was {one.before.passed}"


def allow_regression(name: str) -> str:
    """The flag that lifts the guard for one test, quoted for a shell."""
    return shlex.quote(f"--allow-regression={name}")
