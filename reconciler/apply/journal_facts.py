"""What this machine's journal knows and no tag says: what was applied, to which account, and what a canary broke."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.apply import journal as journals
from reconciler.apply.archive import FOLDER, archived_or_none
from reconciler.apply.journal import (
    Deletion,
    deletions,
    failed_canaries,
    last_account,
    read_journal,
    written,
    written_sessions,
)
from reconciler.domain import Catalog, Snapshot, Written
from reconciler.ownership.account import Account
from reconciler.ownership.tag import Identity
from reconciler.plan.canaries import without_blame
from reconciler.plan.chats import ArchivedChat, with_archived
from reconciler.plan.outside import other_account_note, refuse_second_ones, with_history
from reconciler.plan.shared_account import refuse_shared_account
from reconciler.plan.types import Plan
from reconciler.text.paste import command as paste


@dataclass(frozen=True, slots=True)
class JournalFacts:
    """The journal in the folder ``state``, as far as plans of one catalog and environment are concerned."""

    entries: list[dict[str, Any]]
    catalog: str
    environment: str | None
    state: Path

    def ids(self) -> set[int]:
        """The sessions that were applied: what became of them has to be seen, whoever they belong to now."""
        return {
            entry["session_id"]
            for entry in self.entries
            if entry.get("event") == "applied" and type(entry.get("session_id")) is int
        }

    def last_run(self, endpoint: str) -> list[dict[str, Any]]:
        """The entries of the last run to this endpoint, its start first; empty if there was none."""
        scope = self._scope(endpoint)
        last: list[dict[str, Any]] = []
        for entry in self.entries:
            if entry.get("event") == "start" and all(
                entry.get(name) == value for name, value in scope.items()
            ):
                last = [entry]
            elif last and entry.get("run") == last[0].get("run"):
                last.append(entry)
        return last

    def written(self, endpoint: str) -> Written:
        """The sessions that runs to this endpoint wrote."""
        return written(self.entries, self._scope(endpoint))

    def added(
        self,
        catalog: Catalog,
        plan: Plan,
        snapshot: Snapshot,
        *,
        allow_recreate: bool = False,
        shared_account: bool = False,
    ) -> Plan:
        """The catalog's plan with what the journal knows of it. ``allow_recreate`` is as for a plan; ``shared_account``
        lets the environment begin in the account of another one.

        Runs to another account than the one that was listed say nothing about it.
        """
        plan = without_blame(plan, failed_canaries(self.entries, plan.endpoint))
        scope = self._scope(plan.endpoint)
        live = {one.session_id for one in snapshot}
        applied = written_sessions(self.entries, scope, snapshot.account, live)
        expected = last_account(self.entries, scope, catalog.moved_every)
        plan = with_history(plan, snapshot, applied)
        plan = with_archived(plan, self._archived(catalog, plan, snapshot.account, live))
        if not allow_recreate:
            plan = refuse_second_ones(plan)
        if not shared_account and not catalog.policy.shared_account:
            applied_here = self._applied_here(catalog, snapshot, live)
            plan = refuse_shared_account(plan, catalog, snapshot, applied_here)
        return plan if expected is None else other_account_note(plan, expected, snapshot)

    def _archived(
        self, catalog: Catalog, plan: Plan, account: Account, live: Collection[int]
    ) -> dict[str, ArchivedChat]:
        """What is in the archive with messages of the sessions that the plan creates, by key."""
        created = {action.key for action in plan.actions if action.kind == "create"}
        found: dict[str, ArchivedChat] = {}
        if not created:
            return found
        for key, deleted in self._deleted(catalog, plan.endpoint, account, live).items():
            for one in deleted if key in created else ():
                archived = archived_or_none(self.state / FOLDER, one.archive_id)
                if archived is not None and archived.messages:
                    command = paste("archive", "restore", archived.id)
                    found[key] = ArchivedChat(one.day, one.run, len(archived.messages), command)
                    break
        return found

    def _deleted(
        self, catalog: Catalog, endpoint: str, account: Account, live: Collection[int]
    ) -> dict[str, list[Deletion]]:
        """The deletes that were begun from here, by the key that ``moved`` gives by now, the newest first."""
        scope = self._scope(endpoint)
        found = deletions(self.entries, scope, account, live)
        for was in {(one.catalog, one.environment) for one in catalog.moved}:
            former = {**scope, "catalog": was[0], "environment": was[1]}
            for key, deleted in deletions(self.entries, former, account, live).items():
                to = catalog.successor(Identity(*was, key))
                if to is not None:
                    found.setdefault(to.key, []).extend(deleted)
        return found

    def _applied_here(self, catalog: Catalog, snapshot: Snapshot, live: Collection[int]) -> set[str]:
        """The environments whose last apply from here was to the listed account."""
        found = set()
        for name in catalog.environments:
            last = last_account(self.entries, self._scope(snapshot.endpoint, name))
            if last is not None and last.compared(snapshot.account, live) == "same":
                found.add(name)
        return found

    def _scope(self, endpoint: str, environment: str | None = None) -> Mapping[str, Any]:
        """What the start of a run names. Without an ``environment``, it is the chosen one."""
        environment = environment or self.environment
        return {"catalog": self.catalog, "environment": environment, "endpoint": endpoint}


def journal_facts(catalog: Catalog, state: Path) -> JournalFacts:
    """Read the journal. ``state`` is the state folder.

    Raises:
        ReconcilerError: it is there and can't be read.
    """
    return JournalFacts(read_journal(state / journals.FILE), catalog.name, catalog.environment, state)
