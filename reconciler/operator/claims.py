"""Which of several resources for one catalog may write, and whose the sessions are when one of them is deleted."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.operator.kept import moved
from reconciler.operator.resource import FINALIZER, Resource
from reconciler.operator.resources import Resources
from reconciler.operator.runner import Running
from reconciler.operator.shards import Accounts

#: A catalog in an environment of an account: address and key, catalog, environment.
_Claim = tuple[tuple[str, str], str, str | None]


class Claims:
    """What resources claim: a catalog, in an environment of an account. For one thread at a time.

    ``running`` returns what runs for a resource, if its account has a controller.
    """

    def __init__(
        self, resources: Resources, accounts: Accounts, running: Callable[[Resource], Running | None]
    ) -> None:
        self._resources = resources
        self._accounts = accounts
        self._running = running
        self._loaded: dict[str, str] = {}  # the catalog of each resource, by the resource's name

    def load(self, resource: Resource, catalog: str) -> None:
        """Note the catalog that was loaded for a resource."""
        self._loaded[resource.name] = catalog

    def forget(self, resource: Resource) -> None:
        """Note that the catalog of a resource is not known any more: the resource was changed, or is gone."""
        self._loaded.pop(resource.name, None)

    def loaded(self, resource: Resource) -> str | None:
        """The catalog that was loaded for a resource; None if none was yet."""
        return self._loaded.get(resource.name)

    def forbids(self, own: Resource, catalog: str) -> str:
        """What a resource waits for before it may write its ``catalog``, as a noun phrase; empty if it may."""
        if own.removing:
            return self._forbids_removal(own, catalog)
        if own.wants_finalizer and not own.has_finalizer:
            return f"its finalizer, {FINALIZER}, to be set"
        older = self.older(own)
        if older is not None:
            return f"{older.name}, an older resource for the same catalog, to be deleted"
        return "older resources of the account to be loaded" if self._older_loads(own) else ""

    def older(self, resource: Resource) -> Resource | None:
        """The oldest other resource with the same catalog, environment and account, if it is older than this one."""
        claim = self._claim(resource)
        if claim is None:
            return None
        others = [
            one
            for one in self._rivals(resource)
            # The first is cheap, and enough for most of the hundreds that an account may have.
            if self._loaded.get(one.name, claim[1]) == claim[1] and self._claim(one) == claim
        ]
        return min(others, key=lambda one: one.age, default=None)

    def claimant(self, resource: Resource) -> Resource | None:
        """Another resource that wants the sessions of a deleted one."""
        claim = self._claim(resource)
        if claim is None:
            return None
        return next((one for one in self._may_claim(resource) if self._catalog(one) == claim[1]), None)

    def _forbids_removal(self, own: Resource, catalog: str) -> str:
        """What a removal waits for: other resources may want the sessions, or they are not those that it kept."""
        if (other := self.claimant(own)) is not None:
            return f"{other.name}, which has the same catalog"
        if why := moved(own, catalog, self.address(own)):
            return why
        unknown = [one.name for one in self._may_claim(own) if self._catalog(one) is None]
        return f"{unknown[0]} to be loaded, which has the same account" if unknown else ""

    def _older_loads(self, resource: Resource) -> bool:
        """Whether an older resource of the account is not known well enough to say that it has another catalog."""
        return any(self._claim(one) is None and self._loads(one) for one in self._rivals(resource))

    def _loads(self, resource: Resource) -> bool:
        """Whether the catalog of a resource is being found out: it can be neither invalid nor unreadable yet."""
        if _rests(resource):
            return False
        running = self._running(resource)
        if running is None or not running.watches(resource):
            return True  # its loop is being started
        if running.controller is None:
            return False  # its spec or its account can't be used
        found = running.controller.catalog(resource.name)
        # One that fails is loaded again and again. It holds back the others only until its first look.
        return found is not None and found.last_look is None and found.state in ("Pending", "Loading")

    def _rivals(self, resource: Resource) -> list[Resource]:
        """Older resources with the same environment and account."""
        return [one for one in self._same_place(resource) if one.age < resource.age]

    def _same_place(self, resource: Resource) -> list[Resource]:
        """The other resources with the same environment and account."""
        return [
            one
            for secret in self._accounts.same(resource.account)
            for one in self._resources.of_account(secret)
            if one.uid != resource.uid and one.environment == resource.environment
        ]

    def _claim(self, resource: Resource) -> _Claim | None:
        """What a resource claims; None if that is not known, or it rests. Until its catalog is loaded, what an
        earlier process found counts: the source may be slow, or fail."""
        account, status = self._accounts.identity(resource.account), resource.status
        before = status.get("catalog") if status.get("observedGeneration") == resource.generation else None
        catalog = self._loaded.get(resource.name, before)
        if account is None or catalog is None or _rests(resource):
            return None
        return account, catalog, resource.environment

    def address(self, resource: Resource) -> str:
        """The address of a resource's account in canonical form; empty if there is no Secret."""
        account = self._accounts.identity(resource.account)
        return "" if account is None else account[0]

    def _may_claim(self, resource: Resource) -> list[Resource]:
        """The resources that may want the sessions of a deleted one. One that is deleted, too, does if it is older."""
        others = self._same_place(resource)
        return [one for one in others if not one.deleted or one.age < resource.age]

    def _catalog(self, resource: Resource) -> str | None:
        """The catalog of a resource. If it is suspended or can't be loaded, what its status says, which is empty if it
        never was; whoever writes that can only save sessions here. None: it is not loaded yet."""
        if resource.name in self._loaded:
            return self._loaded[resource.name]
        return None if self._loads(resource) else str(resource.status.get("catalog", ""))


def _rests(resource: Resource) -> bool:
    """Whether a resource is suspended, or is deleted and its sessions stay: it writes nothing, so it is in nobody's
    way."""
    return resource.suspended or (resource.deleted and bool(resource.spared))
