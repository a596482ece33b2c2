"""A controller that does what a test says, for those who see one from outside."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler.controller.events import Event, Kind
from reconciler.controller.status import (
    AccountStatus,
    GuardRefusal,
    PendingPlan,
    Revisions,
    RunStatus,
    Status,
    WatchedStatus,
)
from reconciler.errors import ReconcilerError
from tests.render.sample import action, change, plan

NOW = datetime(2026, 3, 4, 9, 12, tzinfo=UTC)
ACCOUNT = "0a1b2c3d"
DIGEST = "3f9c2ab81d07e6f5540c9a1be2d7f6a8c0b1d2e33f9c2ab81d07e6f5540c9a1b"


def watched(name: str = "bookshop", **given: Any) -> WatchedStatus:
    """A watched catalog that is in sync."""
    usual: dict[str, Any] = {
        "catalog": name,
        "environment": None,
        "account": ACCOUNT,
        "source": f"/srv/{name}",
        "mode": "approve",
        "state": "InSync",
        "revision": Revisions(applied="a" * 40, attempted="a" * 40, loaded="a" * 40),
        "sessions": {"in_sync": 12, "drifted": 0, "pending": 0, "missing": 0},
        "last_look": NOW,
        "last_success": NOW,
        "next_look": datetime.now(UTC) + timedelta(minutes=5),
    }
    return WatchedStatus(name, **usual | given)


def pending(digest: str = DIGEST, **given: Any) -> PendingPlan:
    """A plan that waits for an approval."""
    usual: dict[str, Any] = {
        "counts": {"create": 0, "update": 1, "delete": 0},
        "since": NOW - timedelta(hours=2),
        "waits_for": f"an approval: `reconciler approve {digest}`",
        "drifted": ("alice",),
    }
    return PendingPlan(digest, **usual | given)


def drift_plan(after: str = "Hello.") -> dict[str, Any]:
    """The public JSON of a plan that puts a prompt back."""
    field = change("prompt", "You are Alice. Sell everything!", f"You are Alice. {after}", "drift")
    return plan(action("update", "alice", 1, "Alice", "changed outside git", field))


@dataclass
class Scripted:
    """Watched catalogs whose status a test sets. What was asked for is kept in ``asked``."""

    catalogs: dict[str, WatchedStatus] = field(default_factory=dict)
    accounts: tuple[AccountStatus, ...] = (AccountStatus(ACCOUNT, "https://api.example.com", sessions=12),)
    plans: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    listeners: list[Callable[[Event], None]] = field(default_factory=list)
    stuck: threading.Event | None = None
    started: datetime = NOW - timedelta(days=3)
    approved_by: str = ""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self.catalogs = self.catalogs or {"bookshop": watched()}

    # --- what is seen from outside ---------------------------------------------------------------------------

    def status(self) -> Status:
        if self.stuck is not None:
            self.stuck.wait()
        with self._lock:
            return Status("0.2.0", self.started, self.accounts, tuple(self.catalogs.values()))

    def plan_document(self, name: str) -> dict[str, Any] | None:
        return self.plans.get(name)

    def reconcile(self, name: str | None = None) -> None:
        if name is not None and name not in self.catalogs:
            raise ReconcilerError(
                f"no watched catalog is named {name!r}", "choose one: " + ", ".join(self.catalogs)
            )
        self.asked.append(("reconcile", name))

    def approve(self, digest: str, by: str = "") -> None:
        for name, one in self.catalogs.items():
            if one.plan is not None and one.plan.digest == digest:
                self.asked.append(("approve", digest))
                self.approved_by = by
                self.set(name, plan=replace(one.plan, approved=True, waits_for=""))
                return
        raise ReconcilerError(
            f"no pending plan has the digest {digest[:12]}", "look at the page: the plan may have changed"
        )

    # --- what a test makes happen ----------------------------------------------------------------------------

    def set(self, name: str = "bookshop", **changes: Any) -> None:
        with self._lock:
            self.catalogs[name] = replace(self.catalogs[name], **changes)

    def tell(self, kind: Kind, name: str = "bookshop", message: str = "", **facts: Any) -> Event:
        one = self.catalogs[name]
        event = Event(kind, NOW, one.account, name, one.catalog, one.environment, message, facts)
        for listener in self.listeners:
            listener(event)
        return event

    def drift(self, name: str = "bookshop", digest: str = DIGEST) -> None:
        """A session was changed outside git; in mode ``approve``, a plan waits."""
        self.plans[name] = drift_plan()
        sessions = {"in_sync": 11, "drifted": 1, "pending": 0, "missing": 0}
        self.set(
            name,
            state="PlanPending",
            sessions=sessions,
            plan=pending(digest),
            reason=f"waits for an approval: `reconciler approve {digest}`",
        )
        self.tell("drift_found", name, "1 session of bookshop was changed outside git: alice")
        self.tell("plan_pending", name, "a plan waits for an approval")
        self.tell("looked", name, outcome="PlanPending", seconds=0.2)

    def applied(self, name: str = "bookshop") -> None:
        """The pending plan was applied."""
        plan = self.catalogs[name].plan
        assert plan is not None
        run = RunStatus("20260304-091500-1", NOW, 0, {"applied": 1}, plan.digest, "approval")
        del self.plans[name]
        self.set(
            name, state="InSync", plan=None, runs=(run,), reason="", sessions={"in_sync": 12, "drifted": 0}
        )
        self.tell(
            "applied",
            name,
            "1 change was applied",
            run=run.run,
            exit_code=0,
            actions={"update": {"applied": 1}},
        )
        self.tell("looked", name, outcome="InSync", seconds=1.2)

    def applied_before(self, name: str) -> None:
        """There was one more run."""
        runs = self.catalogs[name].runs
        self.set(name, runs=(RunStatus(f"run-{len(runs)}", NOW, 0, {"applied": 1}), *runs))

    def refused(self, name: str = "bookshop") -> None:
        """A guard refuses the pending plan."""
        refusal = GuardRefusal("max_deletes", "12 deletes, and at most 10 are allowed", "--max-deletes=12")
        plan = pending(counts={"delete": 12}, refusals=(refusal,), drifted=(), waits_for="another plan")
        self.set(name, state="Refused", plan=plan)
