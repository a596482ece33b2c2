"""What a look finds: the plan for a catalog, and what of it only repairs drift."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace

from reconciler.api.client import Client
from reconciler.apply.beside import with_message_counts, with_messages
from reconciler.apply.journal import last_account
from reconciler.apply.journal_facts import JournalFacts
from reconciler.controller.removing import removal_plan, without_sessions
from reconciler.domain import Catalog, Snapshot
from reconciler.ownership.account import other_account
from reconciler.plan.build import make_plan
from reconciler.plan.chats import with_counts
from reconciler.plan.drift import drifted
from reconciler.plan.saved import plan_digest
from reconciler.plan.tested import with_tests
from reconciler.plan.types import Action, Plan, Refusal
from reconciler.trials.select import changed_trials

#: Notes about drift that no action shows name no key; this stands for it.
_NO_KEY = ""

#: How many refusals, or sessions, a sentence names.
_TOLD = 5


@dataclass(frozen=True, slots=True)
class Comparison:
    """A plan, the snapshot that it was made from, its digest, and the keys that changed outside git."""

    plan: Plan
    snapshot: Snapshot
    digest: str
    drifted: tuple[str, ...]

    @property
    def in_sync(self) -> bool:
        """Whether nothing is left to do or to decide."""
        return self.plan.empty and not self.plan.undone and not self.plan.refusals

    @property
    def only_drift(self) -> bool:
        """Whether every difference is a field that somebody changed since it was written, so that what was written last
        is what the catalog says."""
        plan = self.plan
        return (
            not plan.undone
            and not plan.refusals
            and all(
                one.kind == "update"
                and one.outside is None
                and all(change.cause == "drift" for change in one.fields)
                and one.fields
                for one in plan.actions
            )
        )

    def counts(self) -> dict[str, int]:
        """The plan's actions by kind."""
        return dict(Counter(action.kind for action in self.plan.actions))

    def sessions(self) -> Mapping[str, int]:
        """The sessions of the catalog by what is the matter with them."""
        changed = [action for action in self.plan.actions if not _is_drift(action)]
        missing = sum(action.kind == "create" for action in changed)
        return {
            "in_sync": self.plan.counts.no_op,
            "drifted": len(self.drifted),
            "pending": len(changed) - missing,
            "missing": missing,
        }


def compare(
    catalog: Catalog,
    snapshot: Snapshot,
    facts: JournalFacts,
    client: Client,
    before: Comparison | None = None,
    *,
    removal: bool = False,
) -> Comparison:
    """Compare a catalog with the live sessions. The messages of what is to be deleted are counted once for each plan,
    not with each look: ``before`` is the last comparison. With ``removal``, no session is wanted any more.

    Raises:
        ReconcilerError: the messages can't be counted.
    """
    written = facts.written(snapshot.endpoint)
    snapshot = with_messages(
        snapshot, catalog.name, catalog.environment, written, lambda: nullcontext(client)
    )
    if removal:
        plan, catalog = removal_plan(catalog, snapshot, written), without_sessions(catalog)
    else:
        plan = make_plan(catalog, snapshot, written=written)
    plan = facts.added(catalog, plan, snapshot)
    plan = _of_this_account(catalog, plan, snapshot, facts)
    plan = _refused_untested(catalog, plan, snapshot)
    found = _comparison(plan, snapshot)
    if before is not None and before.digest == found.digest:
        counted = {one.session_id: one.messages for one in before.plan.actions}
        counts = {number: count for number, count in counted.items() if number and count is not None}
        return replace(found, plan=with_counts(plan, counts))
    return replace(found, plan=with_message_counts(plan, snapshot, lambda: nullcontext(client)))


def only_repairs(found: Comparison) -> Comparison:
    """The part of a comparison with the applied revision that undoes what somebody changed outside git.

    A session that differs for another reason, too, is left out: its last write was not this revision's.
    """
    actions = tuple(action for action in found.plan.actions if _is_drift(action) and not _is_mixed(action))
    # What drifted goes back to what was tested when it was applied.
    refusals = tuple(one for one in found.plan.refusals if one.guard != "tests") if actions else ()
    return _comparison(replace(found.plan, actions=actions, refusals=refusals), found.snapshot)


def _comparison(plan: Plan, snapshot: Snapshot) -> Comparison:
    changed = drifted(plan)
    keys = {action.key for action in changed.actions}
    keys |= {note.key or _NO_KEY for note in changed.notes if note.drift}
    return Comparison(plan, snapshot, plan_digest(plan), tuple(sorted(keys)))


def _of_this_account(catalog: Catalog, plan: Plan, snapshot: Snapshot, facts: JournalFacts) -> Plan:
    """The plan, refused if the account is another one than that of the last apply from here."""
    scope = {"catalog": plan.catalog, "environment": plan.environment, "endpoint": plan.endpoint}
    expected = last_account(facts.entries, scope, catalog.moved_every)
    if expected is None or plan.empty:
        return plan
    live = {one.session_id for one in snapshot}
    sentence = other_account("the last apply from here was", expected, snapshot.account, live)
    if not sentence:
        return plan
    return replace(plan, refusals=(*plan.refusals, Refusal("account", sentence, "--other-account")))


def _refused_untested(catalog: Catalog, plan: Plan, snapshot: Snapshot) -> Plan:
    """The plan, refused if the policy requires behaviour tests of what it changes: nobody runs them here."""
    if catalog.policy.tests != "required":
        return plan
    actions = tuple(action for action in plan.actions if not _is_drift(action) or _is_mixed(action))
    trials = changed_trials(catalog, replace(plan, actions=actions), snapshot)
    keys = sorted({trial.key for trial in trials})
    return with_tests(plan, None, concerned=keys, required=True, allowed=())


def _is_drift(action: Action) -> bool:
    return action.outside is not None or action.caused("drift") or action.caused("conflict")


def _is_mixed(action: Action) -> bool:
    """Whether some field of an update differs for another reason than drift."""
    return (
        action.kind == "update"
        and action.outside is None
        and any(change.cause != "drift" for change in action.fields)
    )


def told_of(pending: Comparison, reason: str) -> str:
    """A pending plan in one sentence: what a person wants to know before looking at it."""
    counts = ", ".join(f"{count} to {kind}" for kind, count in pending.counts().items())
    refused = "".join(f"; {one.message}" for one in pending.plan.refusals[:_TOLD])
    return f"{counts}{'; ' if counts else ''}{reason}{refused}"


def drift_told(found: Comparison) -> str:
    """What was changed outside git, in one sentence."""
    count, keys = len(found.drifted), [key for key in found.drifted if key != _NO_KEY]
    named = ", ".join(keys[:_TOLD]) + (", …" if len(keys) > _TOLD else "")
    return f"{count} session{'' if count == 1 else 's'} changed outside git{': ' if named else ''}{named}"
