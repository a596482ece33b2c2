"""Writes the plan of a watched catalog as `reconciler apply` does: lock, fresh list, archive, journal, verification."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from reconciler.api.cancellation import Cancellation, Interrupted
from reconciler.api.client import Client
from reconciler.api.lister import Lister
from reconciler.api.lock import SKEW, LockHeldError, Ticket, tickets_among
from reconciler.apply.journal import new_run
from reconciler.apply.report import Report, Result
from reconciler.apply.run import ApplyOptions, apply_plan
from reconciler.apply.waiting import hold_lock, lag_left, lock_holder
from reconciler.apply.who import who
from reconciler.controller.clock import Clock
from reconciler.controller.comparing import Comparison
from reconciler.controller.hold import ASK_AGAIN
from reconciler.controller.removing import removed
from reconciler.controller.rule import Rule
from reconciler.controller.settings import WatchedCatalog
from reconciler.controller.status import RunStatus
from reconciler.controller.watched import Watched
from reconciler.domain import Snapshot
from reconciler.errors import ReconcilerError
from reconciler.state import make_salt, open_state

#: How often a lock is renewed (seconds): seldom enough that most runs end before, at no call. A run whose lock was
#: broken by hand goes on as long.
_RENEW: Final = 10.0

#: The shortest wait for another watcher's lock (seconds): a look at it takes calls.
_STANDBY: Final = 30.0

#: What is waited for before something is created.
_LIST: Final = "the list, which may lag behind what an earlier run created"
_OTHER: Final = "the process that had this account until now, which may still finish what it has begun"


@dataclass(frozen=True, slots=True)
class Hands:
    """What a write needs of its account. ``parallelism`` is how many requests may be in flight at once."""

    client: Client
    lister: Lister
    clock: Clock
    stop: Cancellation
    rule: Rule
    parallelism: int


def write(one: Watched, hands: Hands) -> bool:
    """Write what the mode of a catalog allows, or see that its removal is done. Returns whether a run was made.

    Raises:
        ReconcilerError: nothing was written.
        Interrupted: the controller is asked to stop. Nothing was written.
    """
    if one.to_confirm():
        _confirm_removal(one, hands)
        return False
    chosen = one.to_write()
    if chosen is None or one.hold() is not None or _lags(one, hands):
        return False
    if not hands.rule.holding():  # perhaps a renewal is late, and no other process writes either
        one.held(ASK_AGAIN, "the lease, which this process does not hold now")
        return False
    settings, revision = one.settings, one.revision
    assert revision is not None
    make_salt(settings.state)  # so that the journal says for which account it is
    stop = hands.stop.part()
    client = hands.client.paced_by(hands.client.limiter.stopped_by(stop))
    catalog, environment = revision.catalog.name, settings.environment
    rule = hands.rule
    if settings.lock and (other := _holder(chosen.snapshot, catalog, environment, rule)) is not None:
        _stand_by(one, other)
        return False
    run, by = new_run(), _by(one)
    holder = lock_holder({**by, "job": rule.holder} if rule.holder else by, run)
    try:
        with hold_lock(
            client.asking(_ask(rule, _overtaken)),
            catalog,
            environment,
            holder=holder,
            timeout=0,
            settle=_settle_of(settings, client),
            wanted=settings.lock,
            on_wait=lambda ticket: None,
            dead=rule.over,
            renew=_RENEW,
        ) as holding:
            one.standing_by("")
            held = _both(holding, rule.holding)
            asking = client.asking(_ask(rule, Interrupted))
            return _write_held(one, hands, asking, chosen, _Run(run, by, held, stop))
    except LockHeldError as error:
        one.standing_by(error.problems[0].message)
        one.held(_STANDBY, "the lock, which another run holds")
        return False
    finally:
        rule.ended.add(holder)


def _confirm_removal(one: Watched, hands: Hands) -> None:
    """Note that a removal is done, if all pages of a list that does not lag show no session of the catalog."""
    if _lags(one, hands):
        return
    one.settles_at = 0.0
    if not hands.rule.holding():
        return
    one.compare(lambda keep: hands.lister.sessions(keep=keep, full=True), hands.client)
    if one.found is not None and one.to_confirm():
        one.removed = removed(one.found.plan, one.facts(), one.settings.removal)


def _ask(rule: Rule, error: Callable[[], BaseException]) -> Callable[[], None]:
    """A check for each call that writes, those that keep the lock included. It raises an ``error``."""

    def check() -> None:
        if not rule.holding():
            raise error()

    return check


def _overtaken() -> ReconcilerError:
    return ReconcilerError("this process may not write any more", "the one that may goes on")


def _both(one: Callable[[], bool], other: Callable[[], bool]) -> Callable[[], bool]:
    return lambda: one() and other()


@dataclass(frozen=True, slots=True)
class _Run:
    name: str
    by: Mapping[str, str | bool]
    holding: Callable[[], bool]
    stop: Cancellation


def _write_held(one: Watched, hands: Hands, client: Client, chosen: Comparison, run: _Run) -> bool:
    """Write under the lock, if a fresh list still leads to the chosen plan. Whoever held the lock before may have
    written it, or something else."""
    full, listed_at = chosen.plan.count("delete") > 0, client.limiter.now()
    one.compare(lambda keep: hands.lister.sessions(keep=keep, full=full), client)
    again = one.to_write()
    if again is None or again.digest != chosen.digest or one.hold() is not None:
        one.asked = True
        return False
    settings, approval = one.settings, one.approval
    one.show("Applying")
    report = apply_plan(
        again.plan,
        client,
        ApplyOptions(
            state=open_state(settings.state),
            parallelism=hands.parallelism,
            settle=_settle_of(settings, client),
            recheck=False,
            who={
                **run.by,
                "plan": again.digest,
                **({"approved_by": approval.by} if approval and approval.by else {}),
            },
            run=run.name,
            holding=run.holding,
            account=again.snapshot.account,
            listed_at=listed_at,
            save=settings.store.save,
        ),
        snapshot=again.snapshot,
        lister=hands.lister,
        stop=run.stop,
        on_result=_counting(one, len(again.plan.actions)),
    )
    _note(one, hands, again, report, approval.by if approval else "")
    return True


def _note(one: Watched, hands: Hands, written: Comparison, report: Report, approved_by: str) -> None:
    outcomes = Counter[str](result.outcome for result in report.results)
    actions: dict[str, dict[str, int]] = {}
    for result in report.results:
        of_kind = actions.setdefault(result.action.kind, {})
        of_kind[result.outcome] = of_kind.get(result.outcome, 0) + 1
    whole = report.exit_code == 0 and report.verification == "verified" and written is one.found
    whole = whole and not one.settings.removal
    one.wrote(
        RunStatus(
            report.run,
            hands.clock.now(),
            int(report.exit_code),
            dict(outcomes),
            written.digest,
            approved_by,
            report.stopped,
        ),
        actions,
        one.revision.name if whole and one.revision is not None else None,
    )


def _counting(one: Watched, total: int) -> Callable[[Result], None]:
    done = 0

    def count(_: Result) -> None:
        nonlocal done
        done += 1
        if done == total:
            one.show("Verifying")

    return count


def _lags(one: Watched, hands: Hands) -> bool:
    """Whether the list may still lag behind what an earlier run created, which would be created twice."""
    assert one.revision is not None
    catalog = one.revision.catalog
    scope = {
        "catalog": catalog.name,
        "environment": catalog.environment,
        "endpoint": hands.client.endpoint.name,
    }
    settle = _settle_of(one.settings, hands.client)
    left, waits_for = lag_left(one.facts().entries, scope, settle), _LIST
    if hands.rule.since is not None:  # what another process created then is not in our journal
        alone_in = hands.rule.since - hands.clock.monotonic()
        left, waits_for = max(left, alone_in + settle), _OTHER if alone_in > 0 else _LIST
    if left > 0:
        one.settles(left, waits_for)
    return left > 0


def _settle_of(settings: WatchedCatalog, client: Client) -> float:
    """How long (seconds) the list may lag behind a write."""
    return client.contract.settle if settings.settle is None else settings.settle


def _holder(snapshot: Snapshot, catalog: str, environment: str | None, rule: Rule) -> Ticket | None:
    """Who held the lock when the list was read. Then asking for it would take three calls, most likely in vain."""
    held = (one for one in tickets_among(snapshot, catalog, environment) if not one.expired)
    return next((one for one in held if not rule.over(one.holder)), None)


def _stand_by(one: Watched, other: Ticket) -> None:
    """Leave the catalog to whoever holds its lock. A dead holder's lock expires, which is waited for."""
    one.standing_by(other.holder)
    left = (other.expires - datetime.now(UTC)).total_seconds() + SKEW
    one.held(max(_STANDBY, left), f"the lock, which {other.holder} holds")


def _by(one: Watched) -> dict[str, str | bool]:
    """Who writes what, for the journal."""
    settings, revision = one.settings, one.revision
    assert revision is not None
    by = who(settings.root or settings.state)
    if settings.root is None:  # the source has its own commits, whatever repository the state folder lies in
        by.pop("dirty", None)
        by["commit"] = revision.name
    removal: dict[str, str | bool] = {"removal": settings.removal} if settings.removal else {}
    return {**by, "revision": revision.name, "mode": settings.mode, **removal}
