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
from reconciler.domain import Catalog, Snapshot
from reconciler.ownership.account import other_account
from reconciler.plan.build import make_plan
from reconciler.plan.drift import drifted
from reconciler.plan.saved import plan_digest
from reconciler.plan.types import Action, Plan, Refusal

#: Notes about drift that no action shows name no key; this stands for it.
_NO_KEY = ""


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


def compare(catalog: Catalog, snapshot: Snapshot, facts: JournalFacts, client: Client) -> Comparison:
    """Compare a catalog with the live sessions. Messages are counted where a plan depends on it.

    Raises:
        ReconcilerError: the messages can't be counted.
    """
    written = facts.written(snapshot.endpoint)
    snapshot = with_messages(
        snapshot, catalog.name, catalog.environment, written, lambda: nullcontext(client)
    )
    plan = facts.added(catalog, make_plan(catalog, snapshot, written=written), snapshot)
    plan = _of_this_account(catalog, plan, snapshot, facts)
    plan = with_message_counts(plan, snapshot, lambda: nullcontext(client))
    return _comparison(plan, snapshot)


def only_repairs(found: Comparison) -> Comparison:
    """The part of a comparison with the applied revision that undoes what somebody changed outside git.

    A session that differs for another reason, too, is left out: its last write was not this revision's.
    """
    actions = tuple(action for action in found.plan.actions if _is_drift(action) and not _is_mixed(action))
    refusals = found.plan.refusals if actions else ()
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


def _is_drift(action: Action) -> bool:
    return action.outside is not None or action.caused("drift") or action.caused("conflict")


def _is_mixed(action: Action) -> bool:
    """Whether some field of an update differs for another reason than drift."""
    return (
        action.kind == "update"
        and action.outside is None
        and any(change.cause != "drift" for change in action.fields)
    )
