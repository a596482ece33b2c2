"""All resources and accounts that the cluster has. Each account of the shard has a runner."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from reconciler.controller.account_loop import OnCall
from reconciler.controller.controller import Controller, UnknownDigestError
from reconciler.controller.events import Event, OnEvent
from reconciler.controller.removing import Removed
from reconciler.controller.rule import EndedRuns, Rule
from reconciler.controller.status import WatchedStatus
from reconciler.errors import Refused, UsageError
from reconciler.operator.claims import Claims
from reconciler.operator.cluster import name_of
from reconciler.operator.conditions import of_look, of_removal, without_looking
from reconciler.operator.inputs import Inputs, named_by
from reconciler.operator.lease import Lease
from reconciler.operator.plans import Pending
from reconciler.operator.resource import Resource, read_account, read_resource
from reconciler.operator.resources import Resources
from reconciler.operator.runner import Runner, Running, Surroundings
from reconciler.operator.shards import Accounts
from reconciler.operator.unexpected import Say, survived
from reconciler.operator.wording import hinted
from reconciler.s3.store import S3Stores


class Fleet:
    """What the cluster says, and the controllers that follow it. For any thread.

    Nothing is looked at before :meth:`start`. The ``lease`` is held. Sources read their ``inputs``. ``say`` tells of
    objects that can't be followed.
    """

    def __init__(
        self,
        state: Path,
        catalogs: Path | None,
        lease: Lease,
        on_event: Iterable[OnEvent],
        inputs: Inputs,
        say: Say,
        on_call: OnCall | None = None,
        stores: S3Stores | None = None,
    ) -> None:
        self._say = say
        self._inputs = inputs
        self._resources = Resources()
        self._version = 0  # of what the cluster says, and of what was loaded
        self._accounts = Accounts(lease.shard)
        self._runners: dict[str, Runner] = {}
        self._claims = Claims(self._resources, self._accounts, self._running)
        self._lease = lease
        self._ended = EndedRuns()
        self._started = False
        self._lock = threading.RLock()
        self._around = Surroundings(
            state,
            catalogs,
            self._rule,
            (self._note, *on_event),
            self._key,
            inputs,
            on_call,
            stores,
        )

    # What the cluster says

    def resource(self, body: Mapping[str, Any]) -> None:
        """A PersonaCatalog is there, perhaps changed."""
        found = read_resource(body)
        with self._lock:
            before = self._resources.get(found.uid)
            if before is not None and before.generation > found.generation:
                return
            self._resources.put(found)
            if before is None or not _is_alike(before, found):
                self._version += 1
            self._inputs.use(found.uid, named_by(found.namespace, found.spec["source"]))
            if before is not None and before.settings != found.settings:
                self._claims.forget(found)
                if before.account != found.account:
                    self._converge(before.account)
            self._converge(found.account)
            running = self._running(found)
            asked = before is not None and before.requested != found.requested
            if asked:
                self._inputs.forget(found.uid)
            if asked and running is not None and running.controller is not None:
                running.controller.reconcile(found.name)

    def gone(self, uid: str) -> None:
        """A PersonaCatalog was deleted. Its sessions stay."""
        with self._lock:
            found = self._resources.pop(uid)
            self._version += 1
            self._inputs.use(uid, ())
            if found is not None:
                self._claims.forget(found)
                self._converge(found.account)

    def secret(self, body: Mapping[str, Any], *, gone: bool = False) -> None:
        """A Secret is there, perhaps changed, or is gone."""
        name = name_of(body)
        account = None if gone else read_account(body)
        with self._lock:
            self._version += 1
            moved = time.monotonic() if self._started else None
            for one in self._accounts.put(name, account, moved=moved):
                self._converge(one)

    def input(self, plural: str, body: Mapping[str, Any], *, gone: bool = False) -> None:
        """A ConfigMap or a Secret that sources may read is there, perhaps changed, or is gone."""
        uids = self._inputs.changed(plural, body, gone=gone)
        with self._lock:
            for found in [one for uid in uids if (one := self._resources.get(uid)) is not None]:
                running = self._running(found)
                if running is not None and running.controller is not None:
                    running.controller.source_changed(found.name)

    def known(self) -> frozenset[str]:
        """The uids of the resources and the names of the Secrets that are known."""
        with self._lock:
            return self._resources.uids() | self._accounts.names()

    def listed(
        self,
        resources: Sequence[Mapping[str, Any]],
        secrets: Sequence[Mapping[str, Any]],
        before: frozenset[str],
    ) -> None:
        """These are all that there are: a watch may miss a deletion. ``before`` was known before they were listed; what
        has come since is newer than the list."""
        there = {one["metadata"]["uid"] for one in resources}
        there |= {name_of(one) for one in secrets}
        with self._lock:
            for body in secrets:
                if name_of(body) not in self._accounts:
                    with survived(self._say, body):
                        self.secret(body)
            for name in self._accounts.names() & before - there:
                self._version += 1
                for one in self._accounts.put(name, None, moved=time.monotonic()):
                    self._converge(one)
            for uid in self._resources.uids() & before - there:
                self.gone(uid)
            for body in resources:
                with survived(self._say, body):
                    self.resource(body)

    # Running

    def start(self) -> None:
        """Begin to look."""
        with self._lock:
            self._started = True
            for name in self._resources.accounts():
                self._converge(name)

    def stop(self) -> None:
        """Start no more writes, and wait for those in flight."""
        with self._lock:
            self._started = False
            runners = list(self._runners.values())
        for runner in runners:
            runner.close()
        for runner in runners:
            runner.join()

    def _converge(self, account: str) -> None:
        if not self._started:
            return
        mine = self._accounts.mine(account)
        known = self._resources.of_account(account) if mine else []
        resources = [one for one in known if not one.deleted or not self.spared(one)]
        if resources and account in self._accounts and account not in self._runners:
            # Whoever comes makes room: accounts come and go with their namespaces.
            self._runners = {name: one for name, one in self._runners.items() if not one.retired()}
            self._runners[account] = Runner(account, self._around)
        if account in self._runners:
            self._runners[account].want(self._accounts.get(account), resources)

    def _running(self, resource: Resource) -> Running | None:
        runner = self._runners.get(resource.account)
        return None if runner is None else runner.running

    def _rule(self, account: str) -> Rule:
        """What keeps an account from being written: another process may have written until it came here."""
        lease = self._lease
        since = [one for one in (lease.since, self._accounts.since(account)) if one is not None]
        return Rule(
            lease.held, self._forbids, max(since, default=None), lease.signature, lease.outlived, self._ended
        )

    def _key(self, account: str) -> str:
        with self._lock:
            found = self._accounts.get(account)
            return "" if found is None else found.key

    # Conflicts

    def _note(self, event: Event) -> None:
        if event.kind != "revision":
            return
        with self._lock:
            own = self._resources.named(event.watched)
            running = None if own is None else self._running(own)
            if own is not None and running is not None and running.watches(own):
                self._claims.load(own, event.catalog)  # else its spec has changed since
                self._version += 1

    def _forbids(self, status: WatchedStatus) -> str:
        """What a catalog waits for before it may be written, because of its resource or of others."""
        with self._lock:
            own = self._resources.named(status.name)
            if own is None:
                return "its resource, which is gone"
            if status.mode == "approve" and (status.plan is None or not own.approves(status.plan.digest)):
                return "an approval in its spec: the one that it had was taken back"
            return self._claims.forbids(own, status.catalog)

    # Removals

    def spared(self, resource: Resource) -> str:
        """Why the sessions of a deleted resource stay; empty if they are removed."""
        with self._lock:
            other = None if resource.spared else self._claims.claimant(resource)
        claim = "has the same catalog, environment and account"
        return resource.spared or (f"{other.name} {claim}" if other is not None else "")

    def looked_at(self, resource: Resource) -> bool:
        """Whether a controller looks at a resource, and may write for it. It stops if the sessions stay."""
        with self._lock:
            self._converge(resource.account)
            running = self._running(resource)
        return running is not None and running.has(resource)

    def removed(self, resource: Resource) -> Removed | None:
        """What the removal of a deleted resource's sessions did; None if it is not done."""
        with self._lock:
            self._converge(resource.account)
            running = self._running(resource)
        if running is None or running.controller is None or not running.watches(resource):
            return None
        with suppress(UsageError):  # its spec can't be used
            return running.controller.removed(resource.name)
        return None

    # What others see

    def resources(self) -> list[Resource]:
        """The resources of this shard, the oldest ones first."""
        with self._lock:
            mine = [name for name in self._resources.accounts() if self._accounts.mine(name)]
            own = [one for name in mine for one in self._resources.of_account(name)]
        return sorted(own, key=lambda one: one.age)

    def named(self, name: str) -> list[Resource]:
        """The resource of this name, if it is of this shard."""
        with self._lock:
            found = self._resources.named(name)
            return [found] if found is not None and self._accounts.mine(found.account) else []

    def controllers(self) -> list[Controller]:
        """The controllers that run now."""
        with self._lock:
            running = [runner.running.controller for runner in self._runners.values()]
        return [one for one in running if one is not None]

    def of_account(self, mark: str) -> list[Resource]:
        """The resources of the account with this mark."""
        with self._lock:
            running = {name: runner.running.controller for name, runner in self._runners.items()}
        marked = {name for name, controller in running.items() if controller and mark in controller.marks}
        return [one for one in self.resources() if one.account in marked]

    def plan(self, resource: Resource, digest: str) -> Pending | None:
        """The pending plan with this digest (``sha256:…``); None if there is another one by now, or none."""
        running = self._running(resource)
        if running is None or running.controller is None:
            return None
        try:
            found = running.controller.pending(resource.name, digest.removeprefix("sha256:"))
        except UsageError:  # the controller has been started anew, without this resource
            return None
        return None if found is None else Pending(*found)

    def key_refused(self, resource: Resource) -> bool:
        """Whether the service refuses the key of the resource's account."""
        running = self._running(resource)
        return running is not None and running.controller is not None and running.controller.key_refused

    def approve(self, resource: Resource) -> None:
        """Approve the pending plan if it is the one that the spec names, and no other."""
        running = self._running(resource)
        if running is None or running.controller is None or not running.watches(resource):
            return
        found = running.controller.catalog(resource.name)
        plan = None if found is None or found.mode != "approve" else found.plan
        if plan is not None and not plan.approved and resource.approves(plan.digest):
            # There may be another plan by now, or a guard that refuses it: then the status tells.
            with suppress(UnknownDigestError, Refused):
                running.controller.approve(plan.digest, f"{resource.name}, generation {resource.generation}")

    def stamp(self, resource: Resource) -> tuple[object, ...]:
        """What the status of a resource is made of. As long as it is the same, so is the status."""
        with self._lock:
            running, version = self._running(resource), self._version
        controller = None if running is None else running.controller
        if controller is None:
            return version, resource, running
        return version, resource, running, controller.catalog(resource.name), controller.key_refused

    def status(self, resource: Resource) -> dict[str, Any] | None:
        """The status of a resource, without times. None: it stays as it was, because its controller is being started
        anew, or it is deleted and its sessions stay."""
        if resource.deleted and not resource.removing:
            return None
        found = self._status(resource)
        return of_removal(resource, found) if found and resource.removing else found

    def _status(self, resource: Resource) -> dict[str, Any] | None:
        with self._lock:
            running, older = self._running(resource), self._claims.older(resource)
            if resource.account not in self._accounts:
                return without_looking(resource, "AccountMissing", _no_secret(resource))
        if older is not None:
            message = f"{older.name} is older and has the same catalog, environment and account"
            message = hinted(message, "delete or suspend one of the two")
            return without_looking(resource, "Conflict", message, catalog=self._claims.loaded(resource))
        if running is None or not running.watches(resource):
            return None
        if running.broken:
            return without_looking(resource, "Failing", running.broken)
        error = running.invalid_account or (running.invalid or {}).get(resource.uid)
        if error is not None:
            reason = "InvalidAccount" if running.invalid_account else "InvalidSpec"
            problem = error.problems[0]
            return without_looking(resource, reason, hinted(problem.message, problem.hint))
        return None if running.controller is None else self._of_controller(resource, running.controller)

    def _of_controller(self, resource: Resource, controller: Controller) -> dict[str, Any] | None:
        found = controller.catalog(resource.name)
        if found is None or found.state in ("Loading", "Listing", "Comparing", "Applying", "Verifying"):
            if found is None or found.last_look is not None:
                return None
            found = replace(found, state="Pending")
        if found.state == "Suspended":
            message = "suspended: it is not looked at until `suspend` is false"
            return without_looking(resource, "Suspended", message)
        if (plan := found.plan) is not None and plan.approved and not resource.approves(plan.digest):
            found = replace(found, plan=replace(plan, approved=False))
        with self._lock:
            address = self._claims.address(resource)
        return of_look(
            resource,
            found,
            key_refused=controller.key_refused,
            compares=controller.compares(resource.name),
            address=address,
        )


def _is_alike(one: Resource, other: Resource) -> bool:
    """Whether another resource may rely on both alike: they differ in what their status tells, at the most."""
    known = one.status.get("catalog"), one.status.get("observedGeneration")
    same = known == (other.status.get("catalog"), other.status.get("observedGeneration"))
    return same and replace(other, status=one.status, version=one.version) == one


def _no_secret(resource: Resource) -> str:
    make = f"kubectl -n {resource.namespace} create secret generic {resource.spec['accountRef']['name']}"
    message = f"there is no Secret {resource.account} with an `endpoint`"
    return hinted(message, f"{make} --from-literal=endpoint=URL --from-file=key=FILE")
