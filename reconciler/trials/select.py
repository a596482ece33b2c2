"""Which tests to run for a catalog, or for what a plan changes; and the results of having run them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from reconciler.api.chat import PARAMETERS
from reconciler.behaviour.results import Answered, Tested
from reconciler.domain import Catalog, LiveSession, Session, Snapshot
from reconciler.plan.types import Plan
from reconciler.trials.questions import Persona, Trial
from reconciler.trials.run import Outcome, Sample


def all_trials(catalog: Catalog, keys: Collection[str] | None = None) -> list[Trial]:
    """Every test of the catalog, or of some sessions."""
    return [
        Trial(key, case, _wanted(catalog.sessions[key], None))
        for key, cases in sorted(catalog.tests.items())
        if keys is None or key in keys
        for case in cases
    ]


def changed_trials(
    catalog: Catalog, plan: Plan, snapshot: Snapshot, keys: Collection[str] | None = None
) -> list[Trial]:
    """The tests of sessions whose answers a plan may change: those that it creates, and those whose model, prompt or
    parameters it changes, compared with the live ones."""
    lives = {live.session_id: live for live in snapshot}
    found: list[Trial] = []
    for action in plan.actions:
        wanted = catalog.sessions.get(action.key)
        if (
            wanted is None
            or action.kind in ("delete", "forget")
            or (keys is not None and action.key not in keys)
        ):
            continue
        live = None if action.session_id is None else lives.get(action.session_id)
        after = _wanted(wanted, live)
        before = None if live is None else _live(live)
        if before != after:
            found += [Trial(action.key, case, after, before) for case in catalog.tests.get(action.key, ())]
    return found


def _wanted(session: Session, live: LiveSession | None) -> Persona:
    """What will answer: a parameter that is not managed stays as it is live."""
    parameters = {**(live.parameters if live is not None else {}), **session.parameters}
    return Persona(session.model, session.prompt, _asked(parameters))


def _live(live: LiveSession) -> Persona:
    return Persona(live.model, live.prompt, _asked(live.parameters))


def _asked(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: parameters[name] for name in PARAMETERS if parameters.get(name) is not None}


def tested(outcomes: Iterable[Outcome]) -> tuple[Tested, ...]:
    """The results of trials."""
    return tuple(_tested(one) for one in outcomes)


def _tested(outcome: Outcome) -> Tested:
    key, case, after = outcome.trial.key, outcome.trial.case, outcome.side(outcome.after)
    comparison = outcome.comparison
    if comparison is None or outcome.before is None:
        result = "not run" if not after.complete else "passed" if after.ok else "failed"
        return Tested(key, case.name, result, after, _answers(outcome.after))  # type: ignore[arg-type]
    return Tested(
        key,
        case.name,
        comparison.change,
        after,
        _answers(outcome.after),
        outcome.side(outcome.before),
        _answers(outcome.before),
        comparison.more,
    )


def _answers(samples: Sequence[Sample]) -> tuple[Answered, ...]:
    return tuple(
        Answered(number, one.answer, one.failures, one.problem) for number, one in enumerate(samples, start=1)
    )
